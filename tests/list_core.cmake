# the numerical core; programs named _double run the same checks on the core in double
vqs_test(NAME test_rng LABELS unit LIBS vqs_core)
vqs_test(NAME test_rng_double LABELS unit SOURCES test_rng.c LIBS vqs_core_double)
foreach(name test_rng test_rng_double)
    target_include_directories(${name} SYSTEM PRIVATE ${RANDOM123_INCLUDE_DIR})
endforeach()
vqs_test(NAME test_kernels LABELS unit LIBS vqs_core)
vqs_test(NAME test_kernels_double LABELS unit SOURCES test_kernels.c LIBS vqs_core_double)
