# The program with failures on purpose (faults.h): the objects of vqsweep, with these calls led through faults.c.
set(FAULTS_WRAPPED vqs_trainer_run MPI_Isend pwrite fdatasync rename malloc calloc realloc aligned_alloc)

add_executable(vqsweep_faulty faults.c $<TARGET_OBJECTS:vqsweep>)
get_target_property(VQS_PROGRAM_LIBRARIES vqsweep LINK_LIBRARIES)
target_link_libraries(vqsweep_faulty PRIVATE ${VQS_PROGRAM_LIBRARIES})
foreach(function ${FAULTS_WRAPPED})
    target_link_options(vqsweep_faulty PRIVATE -Wl,--wrap=${function})
endforeach()
