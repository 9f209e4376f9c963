# Gradients, in double.
vqs_test(NAME test_estimators LABELS grad LIBS vqs_core_double)
