/* testing.h - what the check programs share: random values, CPU classes, comparisons against slow oracles. Oracles
 * compute in double. */
#ifndef TESTING_H
#define TESTING_H

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vqsweep/kernels.h"

#ifdef VQS_REAL_IS_DOUBLE
#define REAL_EPS DBL_EPSILON
#else
#define REAL_EPS ((double)FLT_EPSILON)
#endif

#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

/* ---- random values: SplitMix64 --------------------------------------------------------------------------------- */

static inline uint64_t test_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline double test_uniform(uint64_t *state) {
    return (double)(test_random(state) >> 11) * 0x1p-53;
}

static inline double test_normal(uint64_t *state) {
    double radius = sqrt(-2 * log(1 - test_uniform(state)));
    return radius * cos(6.283185307179586 * test_uniform(state));
}

/* Memory of exactly `count` items, aligned as the kernels want it, zeroed; free() releases it. The exact size lets
 * AddressSanitizer see a kernel that reads past the end. */
static inline void *test_alloc(size_t count, size_t item) {
    void *memory = NULL;
    const size_t size = count * item;
    ck_assert_int_eq(posix_memalign(&memory, 64, size ? size : 1), 0);
    memset(memory, 0, size);
    return memory;
}

static inline vqs_real *test_reals(size_t n) {
    return test_alloc(n, sizeof(vqs_real));
}

static inline vqs_real *test_normals(uint64_t *state, size_t n) {
    vqs_real *values = test_reals(n);
    for (size_t i = 0; i < n; i++) {
        values[i] = (vqs_real)test_normal(state);
    }
    return values;
}

/* [n][ld], D normals a row and then zeros. */
static inline vqs_real *test_rows(uint64_t *state, size_t n, int D) {
    const size_t ld = vqs_row_stride(D);
    vqs_real *rows = test_reals(n * ld);
    for (size_t i = 0; i < n; i++) {
        for (int j = 0; j < D; j++) {
            rows[i * ld + (size_t)j] = (vqs_real)test_normal(state);
        }
    }
    return rows;
}

/* ---- comparisons ----------------------------------------------------------------------------------------------- */

/* ck_assert_msg for inner loops: check's own writes a message for every assertion that passes, too. */
#define ASSERT_IN_LOOP(condition, ...)                                                                                 \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            ck_abort_msg(__VA_ARGS__);                                                                                 \
        }                                                                                                              \
    } while (0)

/* A sum with the sum of its terms' magnitudes, which is what rounding errors are measured by. */
struct oracle {
    double sum, size;
};

static inline void oracle_add(struct oracle *o, double term) {
    o->sum += term;
    o->size += fabs(term);
}

/* Whether a sum of `terms` terms computed in vqs_real is as near as rounding allows. Errors of a sum in any order are
 * below terms * eps * size; in practice they grow like its root, which is what is allowed here. */
static inline bool close_to(vqs_real value, struct oracle o, double terms) {
    return fabs((double)value - o.sum) <= REAL_EPS * (2 + sqrt(terms)) * o.size;
}

static inline bool same_bits(const vqs_real *a, const vqs_real *b, size_t n) {
    return memcmp(a, b, n * sizeof *a) == 0;
}

/* ---- CPU classes ----------------------------------------------------------------------------------------------- */

/* The i-th class of the build that this CPU has (and that VQSWEEP_CPU_CLASS, if set, names); NULL past the last. */
static inline const struct vqs_kernels *test_class(int i) {
    const char *wanted = getenv("VQSWEEP_CPU_CLASS"), *name;
    for (int c = 0; (name = vqs_kernels_class(c)); c++) {
        const struct vqs_kernels *kernels = vqs_kernels_for(name);
        if (kernels && (!wanted || !strcmp(wanted, name)) && i-- == 0) {
            return kernels;
        }
    }
    return NULL;
}

/* Their number. Says which classes are left out. */
static inline int test_class_count(void) {
    const char *name;
    int n = 0;
    for (int c = 0; (name = vqs_kernels_class(c)); c++) {
        if (!vqs_kernels_for(name)) {
            printf("skipped: %s, which this CPU lacks\n", name);
        }
    }
    while (test_class(n)) {
        n++;
    }
    if (n == 0) { /* no tests would pass as well */
        fprintf(stderr, "VQSWEEP_CPU_CLASS=%s: not a class of this CPU\n", getenv("VQSWEEP_CPU_CLASS"));
        exit(1);
    }
    return n;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

/* Runs the suite without forking (a team of threads does not survive a fork). Returns the program's exit code. */
static inline int run_unforked(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
