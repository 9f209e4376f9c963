# What keeps a run from losing anything: checkpoints, leases, stops, disks, SLURM.
vqs_test(NAME test_checkpoint LABELS "io;fault" LIBS vqs_store)

add_test(NAME test_durable COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_durable.py
    $<TARGET_FILE:vqsweep> ${CMAKE_SOURCE_DIR} ${MPIRUN})
set_tests_properties(test_durable PROPERTIES LABELS "fault;python" TIMEOUT 300 PROCESSORS 2)
