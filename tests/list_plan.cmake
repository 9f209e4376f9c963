vqs_test(NAME test_settings LABELS unit LIBS vqs_core PkgConfig::XXHASH)
vqs_test(NAME test_plan LABELS unit LIBS vqs_core ARGS ${CMAKE_SOURCE_DIR}/jobs)
