# What keeps a run from losing anything: checkpoints, leases, stops, disks, SLURM.
set(VQS_PYTHON /usr/bin/python3) # Debian's: another on the PATH may lack Debian's modules
find_program(MPIRUN NAMES mpirun.openmpi mpirun REQUIRED)
vqs_test(NAME test_checkpoint LABELS "io;fault" LIBS vqs_store)
set(AUDIT ${CMAKE_SOURCE_DIR}/src/audit.c ${CMAKE_SOURCE_DIR}/src/node.c)
vqs_test(NAME test_audit LABELS unit SOURCES test_audit.c ${AUDIT} LIBS vqs_core PkgConfig::MPI PkgConfig::OPENBLAS)

add_test(NAME test_durable COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_durable.py
    $<TARGET_FILE:vqsweep> ${CMAKE_SOURCE_DIR} ${MPIRUN})
set_tests_properties(test_durable PROPERTIES LABELS "fault;python" TIMEOUT 900 PROCESSORS 2)

add_test(NAME test_disk COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_disk.py $<TARGET_FILE:vqsweep>
    $<TARGET_FILE:vqsweep_faulty>)
add_test(NAME test_disk_long COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_disk.py $<TARGET_FILE:vqsweep>
    $<TARGET_FILE:vqsweep_faulty> --long)
add_test(NAME test_disk_full COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_disk.py $<TARGET_FILE:vqsweep>
    $<TARGET_FILE:vqsweep_faulty> --mount)
set_tests_properties(test_disk PROPERTIES LABELS "fault;python" TIMEOUT 900)
set_tests_properties(test_disk_full PROPERTIES LABELS "fault;python" TIMEOUT 300 SKIP_RETURN_CODE 77)
set_tests_properties(test_disk_long PROPERTIES LABELS "fault;python;long" TIMEOUT 3600)

# SLURM holds a job that was put back into the queue for two minutes, so this takes some.
add_test(NAME test_slurm COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/test_slurm.sh $<TARGET_FILE:vqsweep>)
set_tests_properties(test_slurm PROPERTIES LABELS "fault;python;long" TIMEOUT 1800 PROCESSORS 2 SKIP_RETURN_CODE 77)
