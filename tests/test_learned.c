/* test_learned.c - projections that are learned: what they converge to, given sums and in a trial. In double. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "testing.h"
#include "vqsweep/kernels.h"
#include "vqsweep/train.h"

static const struct vqs_estimator *row(const char *name) {
    return &vqs_kernels_get()->estimators[vqs_estimator_find(name)];
}

START_TEST(a_and_b_are_ratios_of_means) {
    static const vqs_real sums[] = {4, 2, 1, 3}, tied[] = {4, 2, 1e-9, 3};
    struct vqs_settings s;
    vqs_real state[16];
    vqs_settings_default(&s);
    const struct vqs_fitting *f = row("projector_learned")->fitting;
    ck_assert_uint_eq(f->n_sums(&s), 4);
    ck_assert_uint_le(f->size(&s), 16);
    f->begin(&s, state);
    ck_assert(state[0] == 1 && state[1] == 1); /* ste */
    f->learn(&s, vqs_kernels_get(), tied, state);
    ck_assert_double_eq_tol(state[0], 0.5, 1e-12);
    ck_assert_double_eq(state[1], 1); /* nothing across u but rounding */
    f->begin(&s, state);
    for (int i = 0; i < 3; i++) {
        f->learn(&s, vqs_kernels_get(), sums, state);
        ck_assert_double_eq_tol(state[0], 0.5, 1e-12);
        ck_assert_double_eq_tol(state[1], 3, 1e-12);
    }
}
END_TEST

/* M = Q diag(3, 2, 1, -1, -4) Q^T, Q a Householder reflection: the subspace of rank 2 is that of the first two. */
START_TEST(the_subspace_is_that_of_the_largest_eigenvalues) {
    enum { D = 5 };
    static const double value[D] = {3, 2, 1, -1, -4}, w[D] = {0.2, -0.4, 0.6, 0.4, -0.52};
    struct vqs_settings s;
    vqs_real M[D * D], state[200];
    double Q[D][D], ww = 0, inside = 0;
    vqs_settings_default(&s);
    s.d = D;
    s.learned_rank = 2;
    const struct vqs_fitting *f = row("subspace_learned")->fitting;
    ck_assert_uint_le(f->size(&s), 200);
    for (int i = 0; i < D; i++) {
        ww += w[i] * w[i];
    }
    for (int i = 0; i < D; i++) {
        for (int j = 0; j < D; j++) {
            Q[i][j] = (i == j) - 2 * w[i] * w[j] / ww;
        }
    }
    for (int i = 0; i < D; i++) {
        for (int j = 0; j < D; j++) {
            M[i * D + j] = 0;
            for (int k = 0; k < D; k++) {
                M[i * D + j] += Q[i][k] * value[k] * Q[j][k];
            }
        }
    }
    f->begin(&s, state);
    for (int i = 0; i < 300; i++) {
        f->learn(&s, vqs_kernels_get(), M, state);
    }
    for (int r = 0; r < 2; r++) {
        for (int k = 0; k < 2; k++) {
            double dot = 0;
            for (int i = 0; i < D; i++) {
                dot += state[(size_t)r * vqs_row_stride(D) + (size_t)i] * Q[i][k];
            }
            inside += dot * dot;
        }
    }
    ck_assert_double_eq_tol(inside, 2, 1e-6);
}
END_TEST

/* The bias of an estimator in a probe, over all samples. */
static double bias_of(const struct vqs_record *record, int probe, const char *name) {
    const struct vqs_array *probes = &record->arrays[VQS_ARRAY_probes];
    const int row = probe * vqs_estimator_count() + vqs_estimator_find(name);
    const int at = row * VQS_N_REGIONS * VQS_N_QUANTITIES;
    return (double)probes->values[at + VQS_QUANTITY_bias];
}

/* In a trial that hardly moves, a fitted projection comes nearer to the smoothed loss's gradient than it was before,
 * and a and b than any of their family that are not fitted; projector(0, 0) is one of these, whose bias is 1. */
START_TEST(fitted_projections_have_less_bias) {
    static const char *const family[] = {"ste", "rotation", "diveq_detach"}; /* (1, 1), (1, 0), (0, 1) */
    const char *const fitted[] = {"projector_learned", "subspace_learned"};
    struct vqs_trainer *trainer = NULL;
    struct vqs_record record = {0};
    struct vqs_settings s;
    ck_assert(vqs_trainer_create(1, NULL, &trainer, NULL) == VQS_OK);
    vqs_settings_default(&s);
    s.D = 12;
    s.r = s.d = 3;
    s.K = 8;
    s.N = s.N_eval = 2048;
    s.codebook_init = VQS_INIT_DATA;
    s.lr = 1e-7;
    s.epochs = 40;
    s.learned_decay = 0.998;
    s.probe_epochs = (struct vqs_epochs){.n = 2, .at = {0, 40}};
    s.probe_samples = 2048;
    s.probe_error = 0.02;
    s.estimator = vqs_estimator_find(fitted[_i]);
    ck_assert(vqs_trainer_run(trainer, &s, &record, NULL) == VQS_OK);
    const double bias = bias_of(&record, 1, fitted[_i]);
    ck_assert_double_lt(bias, 0.9 * bias_of(&record, 0, fitted[_i]));
    for (size_t i = 0; _i == 0 && i < COUNT_OF(family); i++) {
        ck_assert_double_lt(bias, bias_of(&record, 1, family[i]));
    }
    ck_assert(_i != 0 || bias < 1);
    ck_assert(isnan(bias_of(&record, 1, fitted[1 - _i]))); /* it has no state in this trial */
    vqs_record_destroy(&record);
    vqs_trainer_destroy(trainer);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("learned");
    TCase *tests = tcase_create("projections");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_and_b_are_ratios_of_means);
    tcase_add_test(tests, the_subspace_is_that_of_the_largest_eigenvalues);
    tcase_add_loop_test(tests, fitted_projections_have_less_bias, 0, 2);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
