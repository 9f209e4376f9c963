# The program with failures on purpose (faults.h): the objects of vqsweep, with these calls led through faults.c.
set(FAULTS_WRAPPED vqs_trainer_run MPI_Isend pwrite fdatasync rename malloc calloc realloc)

add_executable(vqsweep_faulty faults.c $<TARGET_OBJECTS:vqsweep>)
get_target_property(VQS_PROGRAM_LIBRARIES vqsweep LINK_LIBRARIES)
target_link_libraries(vqsweep_faulty PRIVATE ${VQS_PROGRAM_LIBRARIES})
foreach(function ${FAULTS_WRAPPED})
    target_link_options(vqsweep_faulty PRIVATE -Wl,--wrap=${function})
endforeach()

# These kill, stop and cut off processes in the middle of real runs under mpirun; labels fault and, in full, long.
set(VQS_PYTHON /usr/bin/python3) # Debian's: another on the PATH may lack Debian's modules
function(vqs_fault_test name script program timeout labels)
    add_test(NAME ${name} COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/${script}.py $<TARGET_FILE:${program}>
        ${CMAKE_SOURCE_DIR} ${MPIRUN} ${ARGN})
    set_tests_properties(${name} PROPERTIES LABELS "fault;mpi;python;${labels}" TIMEOUT ${timeout} PROCESSORS 2
        SKIP_RETURN_CODE 77)
endfunction()
vqs_fault_test(fault_trials fault_trials vqsweep_faulty 600 "")
vqs_fault_test(fault_hosts fault_hosts vqsweep 600 "")
vqs_fault_test(fault_kill fault_kill vqsweep 600 "" 10)
vqs_fault_test(fault_kill_long fault_kill vqsweep 7200 long 210 2)
