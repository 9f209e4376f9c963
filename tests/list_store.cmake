# records, journal, store
vqs_test(NAME test_record LABELS unit LIBS vqs_core)
vqs_test(NAME test_journal LABELS io LIBS vqs_store)
