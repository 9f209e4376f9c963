# From a file to an answer: statistics, report, browser. /usr/bin/python3: another may lack Debian's modules.
foreach(test inference)
    add_test(NAME test_${test} COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/test_${test}.py)
    set_tests_properties(test_${test} PROPERTIES LABELS "io;python" TIMEOUT 300 SKIP_RETURN_CODE 77)
endforeach()
