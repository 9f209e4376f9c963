# The scheduler at 1, 2 and 4 ranks, under Open MPI's own mpirun; root and more ranks than cores are allowed here.
find_program(MPIRUN NAMES mpirun.openmpi mpirun REQUIRED)
set(VQS_MPI_ENVIRONMENT
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1)

add_executable(test_sched test_sched.c)
target_link_libraries(test_sched PRIVATE vqs_sched PkgConfig::CHECK m)
target_include_directories(test_sched PRIVATE ${CMAKE_SOURCE_DIR}/src)
foreach(ranks 1 2 4)
    add_test(NAME test_sched_${ranks} COMMAND ${MPIRUN} -n ${ranks} --bind-to none $<TARGET_FILE:test_sched>)
    set_tests_properties(test_sched_${ranks} PROPERTIES LABELS mpi TIMEOUT 120 PROCESSORS ${ranks}
        ENVIRONMENT "${VQS_MPI_ENVIRONMENT}")
endforeach()

add_executable(bench_sched bench/bench_sched.c)
target_link_libraries(bench_sched PRIVATE vqs_sched)

# The real program. test_cli needs no MPI; the others start it under mpirun.
add_test(NAME test_cli COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_cli.py $<TARGET_FILE:vqsweep>
    ${CMAKE_SOURCE_DIR})
set_tests_properties(test_cli PROPERTIES LABELS "io;python" TIMEOUT 120)
foreach(test test_run check_smoke)
    add_test(NAME ${test} COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/${test}.py $<TARGET_FILE:vqsweep>
        ${CMAKE_SOURCE_DIR} ${MPIRUN})
    set_tests_properties(${test} PROPERTIES LABELS "mpi;python" TIMEOUT 600 PROCESSORS 2 SKIP_RETURN_CODE 77)
endforeach()
