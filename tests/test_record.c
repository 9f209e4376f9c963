/* test_record.c - records: memory, digest, packed form, hostile bytes. */
#include "vqsweep/record.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "make_record.h"
#include "vqsweep/estimators.h"

START_TEST(reset_empties_and_reuses) {
    struct vqs_record record = {0};
    make_record(&record, 7, 12, 3, 16, 4);
    const unsigned char *memory = record.memory.base;
    struct vqs_record_shape shape = {.n_epochs = 5, .n_snapshots = 2, .K = 8, .d = 2};
    shape.array[VQS_ARRAY_level_metrics][0] = 3;
    shape.array[VQS_ARRAY_level_metrics][1] = VQS_N_LEVEL_METRICS;
    ck_assert_int_eq(vqs_record_reset(&record, &shape, NULL), VQS_OK);
    ck_assert_ptr_eq(record.memory.base, memory);
    ck_assert_uint_eq(record.key, 0);
    ck_assert_int_eq(record.message[0], 0);
    for (int i = 0; i < VQS_N_METRICS; i++) {
        ck_assert(isnan(record.metric[i]));
    }
    for (int i = 0; i < VQS_N_CURVES * 5; i++) {
        ck_assert(isnan(record.curves[i]));
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(record.snapshots[i].K, 8);
        ck_assert_int_eq(record.snapshots[i].d, 2);
        for (int k = 0; k < 8; k++) {
            ck_assert_uint_eq(record.snapshots[i].usage[k], 0);
            ck_assert(record.snapshots[i].codes[2 * k] == 0 && record.snapshots[i].codes[2 * k + 1] == 0);
        }
    }
    for (int i = 0; i < 3 * VQS_N_LEVEL_METRICS; i++) {
        ck_assert(isnan(record.arrays[VQS_ARRAY_level_metrics].values[i]));
    }
    ck_assert_ptr_null(record.arrays[VQS_ARRAY_probes].values);
    shape.n_epochs = 500;
    shape.K = 80;
    ck_assert_int_eq(vqs_record_reset(&record, &shape, NULL), VQS_OK); /* grows */
    vqs_record_destroy(&record);
    vqs_record_destroy(&record);
}
END_TEST

START_TEST(reset_without_memory) {
    struct vqs_record record = {0};
    struct vqs_error err = {0};
    struct vqs_record_shape shape = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, {{0}}};
    for (int round = 0; round < 2; round++) {
        err.status = VQS_OK;
        ck_assert_int_eq(vqs_record_reset(&record, &shape, &err), VQS_ERR_MEMORY);
        ck_assert_int_eq(record.n_epochs, 0);
        ck_assert_int_eq(record.n_snapshots, 0);
        ck_assert_ptr_null(record.arrays[VQS_ARRAY_probes].values);
        shape = (struct vqs_record_shape){.array[VQS_ARRAY_probes] = {INT32_MAX, INT32_MAX, INT32_MAX, 6}};
    }
    vqs_record_destroy(&record);
}
END_TEST

/* Kinds, dimensions and labels hang together; a size that they do not allow is the shape of no record. */
START_TEST(arrays_have_dimensions_and_labels) {
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        struct vqs_record_shape shape = {0};
        test_array_size(kind, 0, shape.array[kind]);
        ck_assert_ptr_nonnull(vqs_array_table[kind].dimension[0]);
        ck_assert_ptr_null(vqs_array_table[kind].dimension[VQS_ARRAY_RANK]);
        ck_assert_uint_ne(vqs_record_bytes(&shape), UINT64_MAX);
        for (int i = 0; i < VQS_ARRAY_RANK; i++) {
            const char *dimension = vqs_array_table[kind].dimension[i];
            struct vqs_record_shape wrong = shape;
            wrong.array[kind][i] += !dimension || vqs_dimension_label(dimension, 0) ? 1 : -9;
            ck_assert_uint_eq(vqs_record_bytes(&wrong), UINT64_MAX);
        }
        for (int other = 0; other < kind; other++) {
            ck_assert_uint_ne(vqs_array_tag(kind), vqs_array_tag((enum vqs_array_kind)other));
        }
    }
    ck_assert_str_eq(vqs_dimension_label("quantity", VQS_QUANTITY_alignment), "alignment");
    ck_assert_str_eq(vqs_dimension_label("estimator", 0), "ste");
    ck_assert_str_eq(vqs_dimension_label("estimator", vqs_estimator_count()), "smoothed");
    ck_assert_ptr_null(vqs_dimension_label("estimator", vqs_estimator_count() + 1));
    ck_assert_ptr_null(vqs_dimension_label("region", VQS_N_REGIONS));
    ck_assert_ptr_null(vqs_dimension_label("region", INT32_MAX));
    ck_assert_ptr_null(vqs_dimension_label("probe", 0));
}
END_TEST

START_TEST(pack_round_trip) {
    struct vqs_record in = {0}, out = {0};
    for (int shape = 0; shape < 8; shape++) { /* with all sets of arrays */
        make_record(&in, 8 + (uint64_t)shape, shape & 1 ? 9 : 0, shape & 2 ? 3 : 0, 5, 3);
        struct vqs_bytes bytes = {0};
        ck_assert_int_eq(vqs_record_pack(&in, &bytes, NULL), VQS_OK);
        struct vqs_record_head head;
        ck_assert_int_eq(vqs_record_peek(bytes.data, bytes.size, &head, NULL), VQS_OK);
        ck_assert_uint_eq(head.key, in.key);
        ck_assert_uint_eq(head.digest, in.digest);
        ck_assert_uint_eq(head.attempt, in.attempt);
        ck_assert_uint_eq(head.trial, in.trial);
        ck_assert_int_eq(head.outcome, in.outcome);
        ck_assert_int_eq(vqs_record_unpack(&out, bytes.data, bytes.size, NULL), VQS_OK);
        assert_same_record(&in, &out);
        ck_assert_uint_eq(vqs_record_digest(&out), out.digest);
        vqs_bytes_destroy(&bytes);
    }
    vqs_record_destroy(&in);
    vqs_record_destroy(&out);
}
END_TEST

/* The format and the digest are written to disk: they must not change unnoticed. */
START_TEST(format_is_frozen) {
    struct vqs_record record = {0};
    const struct vqs_record_shape shape = {1, 1, 1, 1, {[VQS_ARRAY_level_metrics] = {1, 2}}};
    ck_assert_int_eq(vqs_record_reset(&record, &shape, NULL), VQS_OK);
    record.key = UINT64_C(0x0102030405060708);
    record.outcome = VQS_OUTCOME_COMPLETED;
    vqs_record_seal(&record);
    struct vqs_bytes bytes = {0};
    ck_assert_int_eq(vqs_record_pack(&record, &bytes, NULL), VQS_OK);
    ck_assert_uint_eq(bytes.size, 44 + 32 + 24 + 8 * (VQS_N_METRICS + VQS_N_CURVES) + 16 + 8 + 4);
    static const unsigned char key_and_outcome[] = {8, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 0, 1, 0, 0, 0};
    ck_assert_mem_eq(bytes.data + 44, key_and_outcome, sizeof key_and_outcome);
    static const unsigned char nan_bytes[] = {0, 0, 0, 0, 0, 0, 0xf8, 0x7f};
    static const unsigned char sizes[] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0};
    ck_assert_mem_eq(bytes.data + 80, sizes, sizeof sizes);
    ck_assert_mem_eq(bytes.data + 100, nan_bytes, sizeof nan_bytes);
    ck_assert_uint_eq(record.digest, UINT64_C(0x88d00c1132e07974));
    vqs_bytes_destroy(&bytes);
    vqs_record_destroy(&record);
}
END_TEST

START_TEST(digest_covers_the_result_only) {
    struct vqs_record r = {0};
    make_record(&r, 3, 4, 2, 4, 2);
    const uint64_t digest = r.digest;
    r.rank++, r.attempt++, r.trial++, r.wall_seconds++, r.finished_at++, r.host[0]++, r.cpu_class[0]++, r.message[0]++;
    ck_assert_uint_eq(vqs_record_digest(&r), digest);
    r.rank = 5;
#define COVERED(field, change)                                                                                         \
    do {                                                                                                               \
        (field) change;                                                                                                \
        ck_assert_msg(vqs_record_digest(&r) != digest, "%s is outside the digest", #field);                            \
        vqs_record_destroy(&r);                                                                                        \
        make_record(&r, 3, 4, 2, 4, 2);                                                                                \
    } while (0)
    COVERED(r.key, ++);
    COVERED(r.outcome, = VQS_OUTCOME_DIVERGED);
    COVERED(r.metric[0], += 1);
    COVERED(r.metric[VQS_N_METRICS - 1], = 1);
    COVERED(r.n_epochs, -= 1);
    COVERED(r.n_snapshots, -= 1);
    COVERED(r.curves[0], += 1);
    COVERED(r.curves[4 * VQS_N_CURVES - 1], += 1);
    COVERED(r.snapshots[1].epoch, ++);
    COVERED(r.snapshots[1].codebook, ++);
    COVERED(r.snapshots[0].codes[0], += 1);
    COVERED(r.snapshots[1].codes[7], += 1);
    COVERED(r.snapshots[1].usage[3], ++);
    COVERED(r.arrays[VQS_ARRAY_level_metrics].size[1], -= 1);
    COVERED(r.arrays[VQS_ARRAY_level_metrics].values[1], += 1);
    COVERED(r.arrays[VQS_ARRAY_probes].values[vqs_array_values(VQS_ARRAY_probes, r.arrays[VQS_ARRAY_probes].size) - 1],
            += 1);
    COVERED(r.arrays[VQS_ARRAY_probes], = (struct vqs_array){0});
#undef COVERED
    vqs_record_destroy(&r);
}
END_TEST

START_TEST(digest_folds_nan) {
    struct vqs_record r = {0};
    make_record(&r, 3, 4, 1, 4, 2);
    r.metric[3] = NAN;
    r.snapshots[0].codes[1] = NAN;
    const uint64_t digest = vqs_record_digest(&r);
    r.metric[3] = -NAN;
    r.snapshots[0].codes[1] = -NAN;
    ck_assert_uint_eq(vqs_record_digest(&r), digest);
    r.metric[3] = 0.0;
    const uint64_t positive = vqs_record_digest(&r);
    r.metric[3] = -0.0;
    ck_assert_uint_ne(vqs_record_digest(&r), positive);
    vqs_record_destroy(&r);
}
END_TEST

START_TEST(pack_refuses_mixed_shapes) {
    struct vqs_record r = {0};
    struct vqs_bytes bytes = {0};
    make_record(&r, 3, 4, 2, 4, 2);
    r.snapshots[1].K = 3;
    ck_assert_int_eq(vqs_record_pack(&r, &bytes, NULL), VQS_ERR_INTERNAL);
    vqs_bytes_destroy(&bytes);
    vqs_record_destroy(&r);
}
END_TEST

/* Every truncation fails; every mutation either fails or gives a record that can be used. */
START_TEST(hostile_bytes) {
    struct vqs_record in = {0}, out = {0};
    struct vqs_bytes bytes = {0};
    make_record(&in, 5, 6, 2, 6, 3);
    ck_assert_int_eq(vqs_record_pack(&in, &bytes, NULL), VQS_OK);
    for (size_t size = 0; size < bytes.size; size++) {
        unsigned char *exact = malloc(size + !size); /* exact, so that ASan sees a read past it */
        ck_assert_ptr_nonnull(exact);
        memcpy(exact, bytes.data, size);
        struct vqs_error err = {0};
        ck_assert_int_eq(vqs_record_unpack(&out, exact, size, &err), VQS_ERR_STORE);
        ck_assert_int_ne(err.text[0], 0);
        free(exact);
    }
    unsigned char *mutant = malloc(bytes.size);
    ck_assert_ptr_nonnull(mutant);
    uint64_t state = 1;
    for (int round = 0; round < 20000; round++) {
        memcpy(mutant, bytes.data, bytes.size);
        for (int i = 0; i < 1 + round % 4; i++) { /* mostly in the fields that hold sizes */
            size_t range = round % 3 ? 124 : bytes.size, at = test_random(&state) % range;
            mutant[at] =
                (unsigned char)(test_random(&state) % 4 ? test_random(&state) : 255 * (test_random(&state) % 2));
        }
        if (vqs_record_unpack(&out, mutant, bytes.size, NULL) == VQS_OK) {
            (void)vqs_record_digest(&out);
            struct vqs_bytes again = {0};
            ck_assert_int_eq(vqs_record_pack(&out, &again, NULL), VQS_OK);
            ck_assert_uint_eq(again.size, bytes.size);
            vqs_bytes_destroy(&again);
        }
    }
    free(mutant);
    vqs_bytes_destroy(&bytes);
    vqs_record_destroy(&in);
    vqs_record_destroy(&out);
}
END_TEST

START_TEST(tables_and_texts) {
    ck_assert_str_eq(vqs_metric_table[VQS_METRIC_mse_train].name, "mse_train");
    ck_assert_str_eq(vqs_curve_table[VQS_CURVE_u_zero].name, "u_zero");
    ck_assert_str_eq(vqs_outcome_text(VQS_OUTCOME_DIVERGED), "diverged");
    ck_assert_str_eq(vqs_outcome_text((enum vqs_outcome)17), "unknown");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("record");
    TCase *tc = tcase_create("record");
    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, reset_empties_and_reuses);
    tcase_add_test(tc, reset_without_memory);
    tcase_add_test(tc, arrays_have_dimensions_and_labels);
    tcase_add_test(tc, pack_round_trip);
    tcase_add_test(tc, format_is_frozen);
    tcase_add_test(tc, digest_covers_the_result_only);
    tcase_add_test(tc, digest_folds_nan);
    tcase_add_test(tc, pack_refuses_mixed_shapes);
    tcase_add_test(tc, hostile_bytes);
    tcase_add_test(tc, tables_and_texts);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
