/* test_estimators.c - one suite for every row of the estimator table, in double.
 *
 * A live finite difference of a hard quantiser is zero and proves nothing. What is checked is the frozen surrogate: for
 * each estimator the test states, on its own, the function of z that the estimator differentiates, with the code, the
 * direction and every stop-gradient held fixed; differences of a loss through it must equal `backward`. A row without a
 * surrogate in surrogates.h fails the suite. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "surrogates.h"
#include "testing.h"
#include "vqsweep/kernels.h"
#include "vqsweep/rng.h"

enum { T = VQS_TILE, MAX_D = SURROGATE_MAX_D };

/* ---- a tile, and a loss on q~ ---------------------------------------------------------------------------------------- */

struct tile {
    vqs_real z[MAX_D * T], q[MAX_D * T], g[MAX_D * T], gz[MAX_D * T], zero[T];
};

static void fill(const struct vqs_stream *s, uint64_t first, double scale, int d, vqs_real *a) {
    vqs_rng_normal(s, first, (size_t)d * T, scale, a);
}

static void run(const struct vqs_estimator *e, const struct vqs_settings *s, int d, struct tile *t) {
    const struct vqs_estimator_tile tile = {
        .settings = s, .d = d, .z = t->z, .q = t->q, .f = t->q, .g = t->g, .gz = t->gz, .zero = t->zero};
    memset(t->zero, 0, sizeof t->zero);
    e->backward(&tile);
}

static void lane(int d, const vqs_real *a, int l, double *out) {
    for (int i = 0; i < d; i++) {
        out[i] = a[i * T + l];
    }
}

/* Not quadratic, so that its gradient at q differs from that at z: sum (x - t)^2 + x^3 / 7 + x0 x1 */
static double loss(int d, const double *x) {
    double sum = d > 1 ? x[0] * x[1] : 0;
    for (int i = 0; i < d; i++) {
        sum += (x[i] - 0.3 * i) * (x[i] - 0.3 * i) + x[i] * x[i] * x[i] / 7;
    }
    return sum;
}

static void loss_gradient(int d, const double *x, double *g) {
    for (int i = 0; i < d; i++) {
        g[i] = 2 * (x[i] - 0.3 * i) + 3 * x[i] * x[i] / 7;
    }
    if (d > 1) {
        g[0] += x[1];
        g[1] += x[0];
    }
}

static const struct vqs_settings *some_settings(struct vqs_settings *s) {
    vqs_settings_default(s);
    s->a = -0.7;
    s->b = 1.3;
    return s;
}

static const struct vqs_kernels *kernels_of_class(int i) {
    const char *name = vqs_kernels_class(i);
    return name ? vqs_kernels_for(name) : NULL;
}

/* Calls `check` for each row that trains, in each CPU class this machine has. */
static void for_each_row(void (*check)(const struct vqs_estimator *e, const struct vqs_kernels *k)) {
    int rows = 0;
    for (int c = 0; vqs_kernels_class(c); c++) {
        const struct vqs_kernels *k = kernels_of_class(c);
        for (int i = 0; k && i < vqs_estimator_count(); i++) {
            if (k->estimators[i].backward) {
                check(&k->estimators[i], k);
                rows++;
            }
        }
    }
    ck_assert_int_ge(rows, 4);
}

/* ---- the suite --------------------------------------------------------------------------------------------------------- */

static void check_gradient(const struct vqs_estimator *e, const struct vqs_kernels *k) {
    struct vqs_settings s;
    some_settings(&s);
    surrogate *q_of = surrogate_of(e);
    for (int d = 1; d <= MAX_D; d++) {
        struct tile t;
        const struct vqs_stream draws = {k, (uint64_t)d, VQS_RNG_ESTIMATOR, 0};
        fill(&draws, 0, 1.0, d, t.z);
        fill(&draws, 10000, 0.8, d, t.q);
        for (int l = 0; l < T; l++) {
            double at[MAX_D], q[MAX_D], g[MAX_D], z[MAX_D];
            lane(d, t.z, l, z);
            lane(d, t.q, l, q);
            q_of(d, &s, z, q, z, at); /* the forward value, which must be q */
            for (int i = 0; i < d; i++) {
                ck_assert_double_eq_tol(at[i], q[i], 1e-12);
            }
            loss_gradient(d, q, g);
            for (int i = 0; i < d; i++) {
                t.g[i * T + l] = g[i];
            }
        }
        run(e, &s, d, &t);
        for (int l = 0; l < T; l++) {
            double z0[MAX_D], q[MAX_D], z[MAX_D], at[MAX_D];
            lane(d, t.z, l, z0);
            lane(d, t.q, l, q);
            for (int i = 0; i < d; i++) {
                const double h = 1e-5;
                double difference = 0;
                for (int sign = -1; sign <= 1; sign += 2) {
                    memcpy(z, z0, sizeof z);
                    z[i] += sign * h;
                    q_of(d, &s, z0, q, z, at);
                    difference += sign * loss(d, at) / (2 * h);
                }
                ck_assert_msg(fabs(difference - t.gz[i * T + l]) <= 1e-7 * (1 + fabs(difference)),
                              "%s (%s), d %d, lane %d, component %d: backward %.12g, difference %.12g", e->name,
                              k->cpu_class, d, l, i, t.gz[i * T + l], difference);
            }
        }
    }
}

START_TEST(gradient_is_that_of_the_frozen_surrogate) {
    for_each_row(check_gradient);
}
END_TEST

/* z = q, z = 0, q = 0, opposite directions, all of them 0: finite, and u = 0 is counted by those that use u. */
static void check_corners(const struct vqs_estimator *e, const struct vqs_kernels *k) {
    struct vqs_settings s;
    some_settings(&s);
    for (int d = 1; d <= 5; d += 2) {
        struct tile t;
        const struct vqs_stream draws = {k, 5, VQS_RNG_ESTIMATOR, 0};
        fill(&draws, 0, 1.0, d, t.z);
        fill(&draws, 1000, 1.0, d, t.q);
        fill(&draws, 2000, 1.0, d, t.g);
        for (int i = 0; i < d; i++) {
            t.q[i * T + 0] = t.z[i * T + 0];
            t.z[i * T + 1] = 0;
            t.q[i * T + 2] = 0;
            t.q[i * T + 3] = -2 * t.z[i * T + 3];
            t.z[i * T + 4] = t.q[i * T + 4] = 0;
        }
        run(e, &s, d, &t);
        for (int j = 0; j < d * T; j++) {
            ck_assert_msg(isfinite(t.gz[j]), "%s, d %d, lane %d", e->name, d, j % T);
        }
        for (int l = 5; l < T; l++) {
            ck_assert_double_eq(t.zero[l], 0);
        }
        ck_assert(t.zero[0] == t.zero[4]);
    }
}

START_TEST(corner_cases_are_finite) {
    for_each_row(check_corners);
}
END_TEST

/* A sample's gradient has the same bits in every lane and whatever stands beside it. */
static void check_lanes(const struct vqs_estimator *e, const struct vqs_kernels *k) {
    enum { D = 3 };
    struct vqs_settings s;
    some_settings(&s);
    struct tile t, moved;
    const struct vqs_stream draws = {k, 9, VQS_RNG_ESTIMATOR, 0};
    fill(&draws, 0, 1.0, D, t.z);
    fill(&draws, 1000, 1.0, D, t.q);
    fill(&draws, 2000, 1.0, D, t.g);
    run(e, &s, D, &t);
    for (int i = 0; i < D; i++) {
        for (int l = 0; l < T; l++) { /* rotate the lanes by 5 */
            moved.z[i * T + (l + 5) % T] = t.z[i * T + l];
            moved.q[i * T + (l + 5) % T] = t.q[i * T + l];
            moved.g[i * T + (l + 5) % T] = t.g[i * T + l];
        }
    }
    run(e, &s, D, &moved);
    for (int i = 0; i < D; i++) {
        for (int l = 0; l < T; l++) {
            ck_assert(t.gz[i * T + l] == moved.gz[i * T + (l + 5) % T]);
        }
    }
}

START_TEST(a_sample_does_not_see_its_neighbours) {
    for_each_row(check_lanes);
}
END_TEST

/* ---- identities of MATH.md section 4 ------------------------------------------------------------------------------------ */

static const struct vqs_estimator *row(const char *name) {
    const int i = vqs_estimator_find(name);
    ck_assert_int_ge(i, 0);
    return &vqs_kernels_get()->estimators[i];
}

/* gz of two estimators on the same random tile of dimension d. */
static void both(const char *first, const char *second, const struct vqs_settings *s, int d, struct tile *a,
                 struct tile *b) {
    const struct vqs_stream draws = {vqs_kernels_get(), 77, VQS_RNG_ESTIMATOR, 0};
    fill(&draws, 0, 1.0, d, a->z);
    fill(&draws, 1000, 1.0, d, a->q);
    fill(&draws, 2000, 1.0, d, a->g);
    *b = *a;
    run(row(first), s, d, a);
    run(row(second), s, d, b);
}

static void assert_same(int d, const struct tile *a, const struct tile *b) {
    for (int j = 0; j < d * T; j++) {
        ck_assert_double_eq_tol(a->gz[j], b->gz[j], 1e-12);
    }
}

START_TEST(identities) {
    struct vqs_settings s;
    struct tile a, b;
    vqs_settings_default(&s);
    both("rotation", "ste", &s, 1, &a, &b); /* in one dimension u u^T = 1 */
    assert_same(1, &a, &b);
    s.a = 1;
    s.b = 1;
    both("projector", "ste", &s, 6, &a, &b);
    assert_same(6, &a, &b);
    s.b = 0;
    both("projector", "rotation", &s, 6, &a, &b);
    assert_same(6, &a, &b);
    s.a = 0;
    both("projector", "ste", &s, 6, &a, &b); /* (0, 0) passes nothing on */
    for (int j = 0; j < 6 * T; j++) {
        ck_assert(a.gz[j] == 0);
    }
}
END_TEST

START_TEST(rotation_trick_at_equal_norms_is_a_rotation) {
    enum { D = 5 };
    struct vqs_settings s;
    struct tile t;
    vqs_settings_default(&s);
    const struct vqs_stream draws = {vqs_kernels_get(), 78, VQS_RNG_ESTIMATOR, 0};
    fill(&draws, 0, 1.0, D, t.z);
    fill(&draws, 1000, 1.0, D, t.q);
    fill(&draws, 2000, 1.0, D, t.g);
    for (int l = 0; l < T; l++) {
        double z[D], q[D];
        lane(D, t.z, l, z);
        lane(D, t.q, l, q);
        for (int i = 0; i < D; i++) {
            t.q[i * T + l] *= sqrt(dot(D, z, z) / dot(D, q, q));
        }
    }
    run(row("rotation_trick"), &s, D, &t);
    for (int l = 0; l < T; l++) {
        double g[D], gz[D];
        lane(D, t.g, l, g);
        lane(D, t.gz, l, gz);
        ck_assert_double_eq_tol(dot(D, g, g), dot(D, gz, gz), 1e-12);
    }
    /* and it takes the direction of q back to that of z: g = q gives gz = z */
    memcpy(t.g, t.q, sizeof t.g);
    run(row("rotation_trick"), &s, D, &t);
    for (int j = 0; j < D * T; j++) {
        ck_assert_double_eq_tol(t.gz[j], t.z[j], 1e-12);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("estimators");
    TCase *conformance = tcase_create("conformance"), *identity = tcase_create("identities");
    tcase_add_test(conformance, gradient_is_that_of_the_frozen_surrogate);
    tcase_add_test(conformance, corner_cases_are_finite);
    tcase_add_test(conformance, a_sample_does_not_see_its_neighbours);
    tcase_add_test(identity, identities);
    tcase_add_test(identity, rotation_trick_at_equal_norms_is_a_rotation);
    suite_add_tcase(suite, conformance);
    suite_add_tcase(suite, identity);
    return run_unforked(suite);
}
