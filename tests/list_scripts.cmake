# The scripts and the offline reader. Label python keeps them out of the sanitizer run, where there is nothing to see.
add_test(NAME test_setup COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/test_setup.sh)
set_tests_properties(test_setup PROPERTIES LABELS "io;python" TIMEOUT 60)

add_test(NAME test_tables COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_tables.py)
set_tests_properties(test_tables PROPERTIES LABELS "io;python" TIMEOUT 120 SKIP_RETURN_CODE 77)

add_test(NAME test_readme COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/test_readme.sh $<TARGET_FILE:vqsweep>)
set_tests_properties(test_readme PROPERTIES LABELS "io;python" TIMEOUT 60)

find_program(VQS_SHELLCHECK shellcheck)
if(VQS_SHELLCHECK)
    add_test(NAME lint_scripts COMMAND ${VQS_SHELLCHECK} -x .ci/run jobs/setup.sh jobs/quickstart.sh cluster/run.sh
        cluster/submit.sh cluster/slurm.sbatch tests/run.sh tests/bench/run.sh tests/pretend_hosts.sh tests/slurm.sh
        tests/test_slurm.sh tests/test_setup.sh tests/test_readme.sh tests/test_bench.sh
        WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(lint_scripts PROPERTIES LABELS "io;python" TIMEOUT 60)
endif()

add_test(NAME test_export COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_export.py $<TARGET_FILE:vqsweep>
    ${CMAKE_SOURCE_DIR} $<TARGET_FILE:vqsweep_faulty>)
set_tests_properties(test_export PROPERTIES LABELS "io;python" TIMEOUT 300 SKIP_RETURN_CODE 77)
