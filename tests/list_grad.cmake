# Gradients, in double.
vqs_test(NAME test_estimators LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_train LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_trial LABELS unit LIBS vqs_core)
vqs_test(NAME test_probe LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_allocation LABELS unit LIBS vqs_core)
foreach(function malloc calloc realloc aligned_alloc posix_memalign)
    target_link_options(test_allocation PRIVATE -Wl,--wrap=${function})
endforeach()
