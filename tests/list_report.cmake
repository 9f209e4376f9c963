# From a file to an answer: statistics, reader, report, browser.
# The long ones simulate more kinds of data and make up a million trials.
function(vqs_report_test name script)
    cmake_parse_arguments(T "LONG" "" "" ${ARGN})
    set(labels "io;python")
    set(environment VQSWEEP_LONG=)
    if(T_LONG)
        list(APPEND labels long)
        set(environment VQSWEEP_LONG=1)
    endif()
    add_test(NAME ${name} COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/${script}.py ${T_UNPARSED_ARGUMENTS})
    set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT 600 SKIP_RETURN_CODE 77
        ENVIRONMENT ${environment})
endfunction()

vqs_report_test(test_inference test_inference)
vqs_report_test(test_inference_long test_inference LONG)
vqs_report_test(test_store_reader test_store_reader $<TARGET_FILE:vqsweep>)
vqs_report_test(test_store_reader_long test_store_reader $<TARGET_FILE:vqsweep> LONG)
vqs_report_test(test_report test_report $<TARGET_FILE:vqsweep>)
vqs_report_test(test_reconstructions test_reconstructions $<TARGET_FILE:vqsweep>)
vqs_report_test(test_report_browser test_report_browser $<TARGET_FILE:vqsweep>)
