# records, journal, store
vqs_test(NAME test_record LABELS unit LIBS vqs_core)
vqs_test(NAME test_journal LABELS io LIBS vqs_store)
vqs_test(NAME test_store LABELS io LIBS vqs_store PkgConfig::HDF5)

# What other programs read from a result file. Debian's Python has the modules; another one may not, and then the test is
# skipped.
find_program(Python3_EXECUTABLE python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(Python3_EXECUTABLE)
    add_test(NAME check_store COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/check_store.py
        $<TARGET_FILE:test_store> ${CMAKE_CURRENT_BINARY_DIR} $<TARGET_FILE:vqsweep>)
    set_tests_properties(check_store PROPERTIES LABELS io TIMEOUT 120 SKIP_RETURN_CODE 77)
endif()

add_executable(bench_store bench/bench_store.c)
target_link_libraries(bench_store PRIVATE vqs_store)
