# Gradients, in double.
vqs_test(NAME test_estimators LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_train LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_codebook_training LABELS grad LIBS vqs_core_double)
vqs_test(NAME test_trial LABELS unit LIBS vqs_core)
vqs_test(NAME test_probe LABELS grad LIBS vqs_core_double)
