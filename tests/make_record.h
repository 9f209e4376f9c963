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

/* A sealed record with something in every field; some metrics stay NaN. */
static inline void make_record(struct vqs_record *record, uint64_t seed, int n_epochs, int n_snapshots, int K, int d) {
    uint64_t state = seed;
    ck_assert_int_eq(vqs_record_reset(record, n_epochs, n_snapshots, K, d, NULL), VQS_OK);
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
        for (int i = 0; i < K * d; i++) {
            record->snapshots[s].codes[i] = (float)test_uniform(&state) - 0.5f;
        }
        for (int k = 0; k < K; k++) {
            record->snapshots[s].usage[k] = (uint32_t)test_random(&state) % 1000;
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
        ck_assert_int_eq(s->level, t->level);
        ck_assert_int_eq(s->K, t->K);
        ck_assert_int_eq(s->d, t->d);
        ck_assert_mem_eq(s->codes, t->codes, sizeof(float) * (size_t)(s->K * s->d));
        ck_assert_mem_eq(s->usage, t->usage, sizeof(uint32_t) * (size_t)s->K);
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
