# records, journal, store
vqs_test(NAME test_record LABELS unit LIBS vqs_core)
