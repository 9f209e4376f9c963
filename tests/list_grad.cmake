# Gradients, in double.
vqs_test(NAME test_estimators LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_train LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_codebook_training LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_mlp LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_trial LABELS unit LIBS vqs_core)
vqs_test(NAME test_probe LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_allocation LABELS unit LIBS vqs_core)
foreach(function malloc calloc realloc aligned_alloc posix_memalign)
    target_link_options(test_allocation PRIVATE -Wl,--wrap=${function})
endforeach()

# Trajectories against the papers' own formulation, by PyTorch's autograd where it is installed and by NumPy anyway.
add_test(NAME test_trajectories COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_trajectories.py
    $<TARGET_FILE:export_trial>)
set_tests_properties(test_trajectories PROPERTIES LABELS "grad;python" TIMEOUT 120 SKIP_RETURN_CODE 77)
vqs_test(NAME test_learned LABELS grad LIBS vqs_core_double)

# Networks on photographs beside independent ones in PyTorch, with Debian's PyTorch and scikit-learn's photographs.
foreach(name test_mlp_torch test_mlp_torch_long)
    string(REGEX MATCH "long" long ${name})
    add_test(NAME ${name} COMMAND ${VQS_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_mlp_torch.py $<TARGET_FILE:vqsweep>
        $<$<BOOL:${long}>:--long>)
    set_tests_properties(${name} PROPERTIES LABELS "grad;python;${long}" TIMEOUT $<IF:$<BOOL:${long}>,1800,600> SKIP_RETURN_CODE 77)
endforeach()
