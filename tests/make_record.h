/* make_record.h - records filled from a seed, for the tests of record, journal and store. */
#ifndef MAKE_RECORD_H
#define MAKE_RECORD_H

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "testing.h"
#include "vqsweep/record.h"

/* All labels along a dimension that has some, 2 or 3 along one that is numbered. */
static inline void test_array_size(int kind, uint64_t seed, int32_t size[VQS_ARRAY_RANK]) {
    const char *const *dimension = vqs_array_table[kind].dimension;
    for (int i = 0; dimension[i]; i++) {
        while (vqs_dimension_label(dimension[i], size[i])) {
            size[i]++;
        }
        size[i] = size[i] ? size[i] : 2 + (int32_t)((seed >> i) % 2);
    }
}

/* A sealed record with something in every field; some metrics stay NaN. It has an array of a kind where that bit of the
 * seed is set. */
static inline void make_record(struct vqs_record *record, uint64_t seed, int n_epochs, int n_snapshots, int K, int d) {
    uint64_t state = seed;
    struct vqs_record_shape shape = {n_epochs, n_snapshots, n_snapshots ? K : 0, n_snapshots ? d : 0, {{0}}};
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        if (seed >> kind & 1) {
            test_array_size(kind, seed, shape.array[kind]);
        }
    }
    ck_assert_int_eq(vqs_record_reset(record, &shape, NULL), VQS_OK);
    record->key = test_random(&state);
    record->outcome = VQS_OUTCOME_COMPLETED;
    record->trial = (uint32_t)seed;
    record->attempt = 1 + (uint32_t)seed % 3;
    record->rank = (int32_t)seed % 5;
    record->wall_seconds = test_uniform(&state);
    record->finished_at = 1.7e9 + test_uniform(&state);
    snprintf(record->host, sizeof record->host, "node%03d", (int)(seed % 7));
    snprintf(record->cpu_class, sizeof record->cpu_class, "avx2");
    snprintf(record->code_version, sizeof record->code_version, "0.%d", (int)(seed % 2));
    snprintf(record->message, sizeof record->message, "%s", seed % 4 ? "" : "a message \xc3\xa0 la carte");
    for (int i = 0; i < VQS_N_METRICS; i++) {
        record->metric[i] = i % 7 == 6 ? NAN : test_uniform(&state);
    }
    for (int i = 0; i < VQS_N_CURVES * n_epochs; i++) {
        record->curves[i] = test_uniform(&state);
    }
    for (int s = 0; s < n_snapshots; s++) {
        record->snapshots[s].epoch = 10 * s;
        record->snapshots[s].codebook = s % 2;
        for (int i = 0; i < K * d; i++) {
            record->snapshots[s].codes[i] = (float)test_uniform(&state) - 0.5f;
        }
        for (int k = 0; k < K; k++) {
            record->snapshots[s].usage[k] = (uint32_t)test_random(&state) % 1000;
        }
    }
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        const size_t n = vqs_array_values(kind, record->arrays[kind].size);
        for (size_t i = 0; i < n; i++) { /* the first stays NaN */
            record->arrays[kind].values[i] = i ? (float)test_uniform(&state) : NAN;
        }
    }
    vqs_record_seal(record);
}

/* Equal to the bit in everything but the memory they own. */
static inline void assert_same_record(const struct vqs_record *a, const struct vqs_record *b) {
    ck_assert_uint_eq(a->key, b->key);
    ck_assert_int_eq(a->outcome, b->outcome);
    ck_assert_mem_eq(a->metric, b->metric, sizeof a->metric);
    ck_assert_int_eq(a->n_epochs, b->n_epochs);
    if (a->n_epochs) {
        ck_assert_mem_eq(a->curves, b->curves, sizeof(double) * VQS_N_CURVES * (size_t)a->n_epochs);
    }
    ck_assert_int_eq(a->n_snapshots, b->n_snapshots);
    for (int i = 0; i < a->n_snapshots; i++) {
        const struct vqs_snapshot *s = &a->snapshots[i], *t = &b->snapshots[i];
        ck_assert_int_eq(s->epoch, t->epoch);
        ck_assert_int_eq(s->codebook, t->codebook);
        ck_assert_int_eq(s->K, t->K);
        ck_assert_int_eq(s->d, t->d);
        ck_assert_mem_eq(s->codes, t->codes, sizeof(float) * (size_t)(s->K * s->d));
        ck_assert_mem_eq(s->usage, t->usage, sizeof(uint32_t) * (size_t)s->K);
    }
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        const struct vqs_array *x = &a->arrays[kind], *y = &b->arrays[kind];
        ck_assert_int_eq(x->values != NULL, y->values != NULL);
        ck_assert_mem_eq(x->size, y->size, sizeof x->size);
        if (x->values) {
            ck_assert_mem_eq(x->values, y->values, sizeof(float) * vqs_array_values(kind, x->size));
        }
    }
    ck_assert_uint_eq(a->digest, b->digest);
    ck_assert_uint_eq(a->trial, b->trial);
    ck_assert_uint_eq(a->attempt, b->attempt);
    ck_assert_int_eq(a->rank, b->rank);
    ck_assert_mem_eq(&a->wall_seconds, &b->wall_seconds, sizeof(double));
    ck_assert_mem_eq(&a->finished_at, &b->finished_at, sizeof(double));
    ck_assert_str_eq(a->host, b->host);
    ck_assert_str_eq(a->cpu_class, b->cpu_class);
    ck_assert_str_eq(a->code_version, b->code_version);
    ck_assert_str_eq(a->message, b->message);
}

#endif
