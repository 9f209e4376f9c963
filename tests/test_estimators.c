/* test_estimators.c - one suite for every row of the estimator table, in double.
 *
 * A live finite difference of a hard quantiser is zero and proves nothing. What is checked is the frozen surrogate: for
 * each estimator surrogates.h states, on its own, the function of z and the codes that the estimator differentiates,
 * with the code, the direction and every stop-gradient held fixed; the derivative of a loss through it must equal
 * `backward`, and its value `forward`. A row without a surrogate fails the suite. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "surrogates.h"
#include "testing.h"
#include "vqsweep/kernels.h"
#include "vqsweep/rng.h"

enum { T = VQS_TILE, MAX_D = SURROGATE_MAX_D, MAX_K = SURROGATE_MAX_K, GROUP = VQS_RNG_GROUP };

/* ---- a tile, and a loss on f ----------------------------------------------------------------------------------- */

struct tile {
    int d, K;
    vqs_real tau;
    vqs_real z[MAX_D * T], q[MAX_D * T], f[MAX_D * T], g[MAX_D * T], at_z[MAX_D * T], gz[MAX_D * T], gq[MAX_D * T];
    vqs_real zero[T], noise[MAX_D * T + GROUP];
    vqs_real codes[MAX_K * MAX_D + VQS_ROW_UNIT], packed[(MAX_K + VQS_CODE_PACK) * MAX_D];
    vqs_real learned[VQS_ROW_UNIT * 2 * MAX_D + MAX_D * MAX_D];
    vqs_real half_norm[MAX_K + VQS_CODE_PACK], weights[3 * MAX_K * T], gcodes[MAX_K * MAX_D];
    uint32_t k[T], words[MAX_K * T + GROUP];
};

static struct vqs_estimator_tile view(const struct vqs_estimator *e, const struct vqs_settings *s, struct tile *t) {
    return (struct vqs_estimator_tile){
        .settings = s,
        .d = t->d,
        .K = t->K,
        .tau = t->tau,
        .z = t->z,
        .q = t->q,
        .k = t->k,
        .f = e->needs & VQS_GIVES_VALUE ? t->f : t->q,
        .g = t->g,
        .at_z = e->needs & VQS_NEEDS_AT_Z ? t->at_z : NULL,
        .noise = e->needs & VQS_NEEDS_NOISE ? t->noise : NULL,
        .gz = t->gz,
        .gq = e->needs & VQS_GIVES_CODES ? t->gq : NULL,
        .zero = t->zero,
        .codes = t->codes,
        .packed = t->packed,
        .half_norm = t->half_norm,
        .words = e->needs & VQS_NEEDS_CHOICES ? t->words : NULL,
        .weights = e->needs & VQS_NEEDS_CHOICES ? t->weights : NULL,
        .gcodes = e->needs & VQS_NEEDS_CHOICES ? t->gcodes : NULL,
        .learned = t->learned,
    };
}

static void lane(int d, const vqs_real *a, int l, double *out) {
    for (int i = 0; i < d; i++) {
        out[i] = a[i * T + l];
    }
}

static void set_lane(int d, const double *a, int l, vqs_real *out) {
    for (int i = 0; i < d; i++) {
        out[i * T + l] = a[i];
    }
}

static void gather(struct tile *t) {
    for (int l = 0; l < T; l++) {
        set_lane(t->d, t->codes + t->k[l] * (uint32_t)t->d, l, t->q);
    }
}

/* Not quadratic, so that its gradient at q differs from that at z: sum (x - t)^2 + x^3 / 7 + x0 x1 */
static void loss_gradient(int d, const double *x, double *g) {
    for (int i = 0; i < d; i++) {
        g[i] = 2 * (x[i] - 0.3 * i) + 3 * x[i] * x[i] / 7;
    }
    if (d > 1) {
        g[0] += x[1];
        g[1] += x[0];
    }
}

static void gradients_of_loss(int d, const vqs_real *x, vqs_real *g) {
    for (int l = 0; l < T; l++) {
        double at[MAX_D], gradient[MAX_D];
        lane(d, x, l, at);
        loss_gradient(d, at, gradient);
        set_lane(d, gradient, l, g);
    }
}

/* Codes and words drawn, z too: the first samples are special, z = q, z = 0, q = 0, opposite directions, z = q = 0, z
 * nearer to q than u is defined for. Rows that do not choose get any code, not only the nearest. */
static void fill(const struct vqs_kernels *k, int d, int K, struct tile *t) {
    const struct vqs_stream draws = {k, (uint64_t)(100 * K + d), VQS_RNG_DATA, 0};
    memset(t, 0, sizeof *t);
    t->d = d;
    t->K = K;
    t->tau = 0.7;
    vqs_rng_normal(&draws, 0, (size_t)d * T, 1, t->z);
    vqs_rng_normal(&draws, 10000, (size_t)(K * d), 0.8, t->codes);
    vqs_rng_normal(&draws, 20000, (size_t)d * T, 1, t->noise);
    vqs_rng_words(&draws, 30000, (size_t)K * T, t->words);
    memset(t->codes + (K - 1) * d, 0, (size_t)d * sizeof *t->codes); /* with K = 1 the only one */
    for (int l = 0; l < T; l++) {
        t->k[l] = (uint32_t)(l % K);
    }
    t->k[2] = t->k[4] = (uint32_t)(K - 1);
    for (int i = 0; i < d; i++) {
        t->z[i * T + 0] = t->codes[i];
        t->z[i * T + 1] = t->z[i * T + 4] = 0;
        t->z[i * T + 3] = -0.5 * t->codes[3 % K * d + i];
        t->z[i * T + 5] = t->codes[5 % K * d + i] + (i == 0 ? 1e-13 : 0);
    }
    k->pack_codes(K, d, t->codes, t->packed, t->half_norm);
    gather(t);
}

/* Both passes, as the trainer runs them, with the loss between them. */
static void run(const struct vqs_estimator *e, const struct vqs_settings *s, struct tile *t) {
    const struct vqs_estimator_tile tile = view(e, s, t);
    if (e->fitting) {
        struct vqs_settings fits = *s;
        fits.d = t->d; /* of the tile */
        fits.learned_rank = 1;
        e->fitting->begin(&fits, t->learned);
        if (!strcmp(e->name, "projector_learned")) {
            t->learned[0] = s->a;
            t->learned[1] = s->b;
        }
    }
    if (e->forward) {
        e->forward(&tile);
        gather(t);
    }
    gradients_of_loss(t->d, tile.f, t->g);
    gradients_of_loss(t->d, t->z, t->at_z);
    memset(t->zero, 0, sizeof t->zero);
    memset(t->gcodes, 0, sizeof t->gcodes);
    e->backward(&tile);
}

static const struct vqs_settings *some_settings(struct vqs_settings *s) {
    vqs_settings_default(s);
    s->a = -0.7;
    s->b = 1.3;
    s->kappa = 1.7;
    s->diveq_sigma = 0.3;
    s->nu = 0.6;
    s->logit_scale = 1.5;
    return s;
}

/* Calls `check` for each row that trains, in each CPU class this machine has. */
static void for_each_row(void (*check)(const struct vqs_estimator *e, const struct vqs_kernels *k)) {
    int rows = 0;
    for (int c = 0; test_class(c); c++) {
        for (int i = 0; i < vqs_estimator_count(); i++) {
            if (test_class(c)->estimators[i].backward) {
                check(&test_class(c)->estimators[i], test_class(c));
                rows++;
            }
        }
    }
    ck_assert_int_ge(rows, 14);
}

/* ---- the suite ------------------------------------------------------------------------------------------------- */

static struct frozen frozen_of(const struct vqs_settings *s, const struct tile *t, int l) {
    struct frozen at = {.s = s, .d = t->d, .K = t->K, .tau = t->tau, .k = (int)t->k[l]};
    lane(t->d, t->z, l, at.z);
    lane(t->d, t->noise, l, at.noise);
    memcpy(at.codes, t->codes, (size_t)(t->K * t->d) * sizeof *at.codes);
    for (int j = 0; j < t->K; j++) {
        at.gumbel[j] = gumbel_of(t->words[j * T + l]);
    }
    return at;
}

#define ASSERT_NEAR(what, i, l, value, expected)                                                                       \
    ASSERT_IN_LOOP(fabs((value) - (expected)) <= 1e-11 * (1 + fabs(expected)),                                         \
                   "%s (%s), K %d, d %d, lane %d: %s[%d] is %.15g, not %.15g", e->name, k->cpu_class, t->K, t->d, l,   \
                   what, i, value, expected)

static void check_tile(const struct vqs_estimator *e, const struct vqs_kernels *k, const struct vqs_settings *s,
                       struct tile *t) {
    const struct surrogate_row *row = surrogate_of(e);
    double gcodes[MAX_K * MAX_D] = {0}, given[MAX_K * MAX_D];
    run(e, s, t);
    memcpy(given, t->gcodes, sizeof given);
    for (int l = 0; l < T; l++) {
        const struct frozen at = frozen_of(s, t, l);
        double value[MAX_D], g[MAX_D], gz[MAX_D];
        ck_assert(!(row->is & CHOOSES) || at.k == surrogate_choice(row, &at));
        surrogate_value(row, &at, at.z, at.codes, value);
        loss_gradient(t->d, value, g);
        surrogate_backward(row, &at, g, gz, gcodes);
        for (int i = 0; i < t->d; i++) {
            if (!(row->is & DECODES_TWICE)) {
                ASSERT_NEAR("f", i, l, (e->needs & VQS_GIVES_VALUE ? t->f : t->q)[i * T + l], value[i]);
            }
            ASSERT_NEAR("gz", i, l, t->gz[i * T + l], gz[i]);
            given[at.k * t->d + i] += e->needs & VQS_GIVES_CODES ? t->gq[i * T + l] : 0;
        }
    }
    for (int i = 0; i < t->K * t->d; i++) {
        ASSERT_NEAR("gradient to codes", i, 0, given[i], gcodes[i]);
    }
}

static void check_gradient(const struct vqs_estimator *e, const struct vqs_kernels *k) {
    static const int sizes[] = {1, 2, 8, MAX_K};
    struct vqs_settings s;
    some_settings(&s);
    for (int d = 1; d <= MAX_D; d++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            struct tile t;
            s.times_d = d % 2;
            fill(k, d, sizes[i], &t);
            check_tile(e, k, &s, &t);
        }
    }
}

/* With what z = q and the other special samples make of it. */
START_TEST(gradient_is_that_of_the_frozen_surrogate) {
    for_each_row(check_gradient);
}
END_TEST

/* u = 0 is counted by those that use u, where z is q or as good as q, and nowhere else. */
static void check_zero(const struct vqs_estimator *e, const struct vqs_kernels *k) {
    static const char *const use_u[] = {"rotation", "projector", "nsvq", "diveq", "diveq_detach", "projector_learned"};
    struct vqs_settings s;
    struct tile t;
    bool uses = false;
    some_settings(&s);
    for (size_t i = 0; i < COUNT_OF(use_u); i++) {
        uses |= !strcmp(use_u[i], e->name);
    }
    fill(k, 5, 7, &t);
    run(e, &s, &t);
    for (int l = 0; l < T; l++) {
        ck_assert_msg(t.zero[l] == (uses && (l == 0 || l == 4 || l == 5)), "%s, lane %d", e->name, l);
    }
}

START_TEST(missing_directions_are_counted) {
    for_each_row(check_zero);
}
END_TEST

/* A sample's gradient has the same bits in every lane and whatever stands beside it. */
static void check_lanes(const struct vqs_estimator *e, const struct vqs_kernels *k) {
    enum { D = 3, K = 5 };
    struct vqs_settings s;
    struct tile t, moved;
    some_settings(&s);
    fill(k, D, K, &t);
    moved = t;
    for (int l = 0; l < T; l++) { /* rotate the lanes by 5 */
        const int to = (l + 5) % T;
        moved.k[to] = t.k[l];
        for (int i = 0; i < D; i++) {
            moved.z[i * T + to] = t.z[i * T + l];
            moved.q[i * T + to] = t.q[i * T + l];
            moved.noise[i * T + to] = t.noise[i * T + l];
        }
        for (int j = 0; j < K; j++) {
            moved.words[j * T + to] = t.words[j * T + l];
        }
    }
    run(e, &s, &t);
    run(e, &s, &moved);
    for (int l = 0; l < T; l++) {
        const int to = (l + 5) % T;
        ck_assert(t.k[l] == moved.k[to]);
        for (int i = 0; i < D; i++) {
            ck_assert(t.f[i * T + l] == moved.f[i * T + to]);
            ck_assert(t.gz[i * T + l] == moved.gz[i * T + to] && t.gq[i * T + l] == moved.gq[i * T + to]);
        }
    }
}

START_TEST(a_sample_does_not_see_its_neighbours) {
    for_each_row(check_lanes);
}
END_TEST

/* A sample that is not a number gets some code, and the others do not notice. */
static void check_lost(const struct vqs_estimator *e, const struct vqs_kernels *k) {
    struct vqs_settings s;
    struct tile t, lost;
    some_settings(&s);
    fill(k, 4, 9, &t);
    lost = t;
    lost.z[2 * T + 7] = NAN;
    run(e, &s, &t);
    run(e, &s, &lost);
    ck_assert(lost.k[7] < 9);
    for (int i = 0; i < 4 * T; i++) {
        ck_assert(i % T == 7 || t.gz[i] == lost.gz[i]);
    }
}

START_TEST(a_lost_sample_is_alone) {
    for_each_row(check_lost);
}
END_TEST

/* Logits as far apart as settings allow, and the lowest temperature. */
static void check_sharp(const struct vqs_estimator *e, const struct vqs_kernels *k) {
    struct vqs_settings s;
    struct tile t;
    some_settings(&s);
    s.logit_scale = 1e6;
    fill(k, 4, 9, &t);
    t.tau = 1e-3;
    run(e, &s, &t);
    for (int i = 0; i < 4 * T; i++) {
        ck_assert(isfinite(t.gz[i]) && isfinite(t.gq[i]) && isfinite(t.gcodes[i % (9 * 4)]));
    }
}

START_TEST(sharp_choices_are_finite) {
    for_each_row(check_sharp);
}
END_TEST

/* ---- identities of MATH.md section 4 --------------------------------------------------------------------------- */

static const struct vqs_estimator *row(const char *name) {
    const int i = vqs_estimator_find(name);
    ck_assert_int_ge(i, 0);
    return &vqs_kernels_get()->estimators[i];
}

static bool same(const struct tile *a, const vqs_real *x, const vqs_real *y) {
    for (int i = 0; i < a->d * T; i++) {
        if (!(fabs(x[i] - y[i]) <= 1e-12 * (1 + fabs(x[i])))) {
            return false;
        }
    }
    return true;
}

/* Two estimators on the same tile. */
static void both(const char *first, const char *second, const struct vqs_settings *s, int d, struct tile *a,
                 struct tile *b) {
    fill(vqs_kernels_get(), d, 9, a);
    *b = *a;
    run(row(first), s, a);
    run(row(second), s, b);
}

static const struct {
    const char *first, *second;
    int d;
    double a, b;
    bool codes; /* gradients to the codes are the same too */
} equal[] = {
    {"rotation", "ste", 1, 0, 0, false}, /* in one dimension u u^T = 1, but where u = 0 */
    {"projector", "ste", 6, 1, 1, false},
    {"projector", "rotation", 6, 1, 0, false},
    {"projector", "diveq_detach", 6, 0, 1, false},
    {"scaled", "ste", 6, 0, 0, false},        /* kappa = 1 */
    {"sync", "ste", 6, 0, 0, true},           /* nu = 0 */
    {"diveq", "diveq_detach", 6, 0, 0, true}, /* diveq_sigma = 0 */
};

START_TEST(identities) {
    struct vqs_settings s;
    struct tile a, b;
    vqs_settings_default(&s);
    s.a = equal[_i].a;
    s.b = equal[_i].b;
    s.kappa = 1;
    s.nu = s.diveq_sigma = 0;
    both(equal[_i].first, equal[_i].second, &s, equal[_i].d, &a, &b);
    for (int l = 0; l < T && a.d == 1; l++) {
        a.gz[l] = a.zero[l] != 0 ? b.gz[l] : a.gz[l];
    }
    ck_assert(same(&a, a.gz, b.gz));
    ck_assert(!equal[_i].codes || same(&a, a.gq, b.gq));
}
END_TEST

START_TEST(nothing_passes_the_empty_projector) {
    struct vqs_settings s;
    struct tile t;
    vqs_settings_default(&s);
    s.a = s.b = 0;
    fill(vqs_kernels_get(), 6, 9, &t);
    run(row("projector"), &s, &t);
    for (int i = 0; i < t.d * T; i++) {
        ck_assert(t.gz[i] == 0);
    }
}
END_TEST

START_TEST(rotation_trick_at_equal_norms_is_a_rotation) {
    struct vqs_settings s;
    struct tile t, unscaled;
    vqs_settings_default(&s);
    fill(vqs_kernels_get(), 5, 1, &t);
    for (int l = 0; l < T; l++) { /* a code for each sample, of z's norm */
        double z[5], q[5];
        lane(5, t.noise, l, q);
        vqs_rng_normal(&(struct vqs_stream){vqs_kernels_get(), 1, VQS_RNG_DATA, 0}, (uint64_t)l * 5, 5, 1, z);
        set_lane(5, z, l, t.z);
        for (int i = 0; i < 5; i++) {
            t.q[i * T + l] = q[i] * sqrt(dot(5, z, z) / dot(5, q, q));
        }
    }
    unscaled = t;
    run(row("rotation_trick"), &s, &t);
    run(row("rotation_trick_lam1"), &s, &unscaled);
    ck_assert(same(&t, t.gz, unscaled.gz));
    for (int l = 0; l < T; l++) {
        double g[5], gz[5];
        lane(5, t.g, l, g);
        lane(5, t.gz, l, gz);
        ck_assert_double_eq_tol(dot(5, g, g), dot(5, gz, gz), 1e-11 * dot(5, g, g));
    }
    /* and it takes the direction of q back to that of z: g = q gives gz = z */
    memcpy(t.g, t.q, sizeof t.g);
    const struct vqs_estimator_tile tile = view(row("rotation_trick"), &s, &t);
    row("rotation_trick")->backward(&tile);
    ck_assert(same(&t, t.gz, t.z));
}
END_TEST

/* ---- expectations ---------------------------------------------------------------------------------------------- */

enum { E_D = 5, E_K = 4 };

/* A quadratic loss of the chosen code, and its gradient. */
static double quadratic(const double *x) {
    double sum = x[0] * x[1] - x[2] * x[3];
    for (int i = 0; i < E_D; i++) {
        sum += (1 + 0.2 * i) * (x[i] - 0.3 * i) * (x[i] - 0.3 * i);
    }
    return sum;
}

static void quadratic_gradient(const double *x, double *g) {
    for (int i = 0; i < E_D; i++) {
        g[i] = 2 * (1 + 0.2 * i) * (x[i] - 0.3 * i);
    }
    g[0] += x[1], g[1] += x[0], g[2] -= x[3], g[3] -= x[2];
}

/* Codes and one z, in every lane. */
static void expectation_case(struct vqs_settings *s, struct tile *t) {
    some_settings(s);
    s->logit_scale = 0.4;
    fill(vqs_kernels_get(), E_D, E_K, t);
    t->tau = 1;
    for (int i = 0; i < E_D * T; i++) {
        t->z[i] = t->z[i / T * T + 10];
    }
}

static void probabilities(const struct vqs_settings *s, const struct tile *t, double *pi) {
    const struct frozen at = frozen_of(s, t, 0);
    cdouble z[E_D], codes[E_K * E_D], l[E_K], p[E_K];
    for (int i = 0; i < E_D; i++) {
        z[i] = at.z[i];
    }
    for (int i = 0; i < E_K * E_D; i++) {
        codes[i] = at.codes[i];
    }
    logits(&at, z, codes, l);
    softmax(E_K, l, p);
    for (int j = 0; j < E_K; j++) {
        pi[j] = creal(p[j]);
    }
}

/* d/dz sum_j pi_j f(c_j): what an unbiased estimator has as its mean. */
static void exact_gradient(const struct vqs_settings *s, const struct tile *t, double *gz) {
    double pi[E_K], mean = 0;
    probabilities(s, t, pi);
    for (int j = 0; j < E_K; j++) {
        mean += pi[j] * quadratic(t->codes + j * E_D);
    }
    for (int i = 0; i < E_D; i++) {
        gz[i] = 0;
        for (int j = 0; j < E_K; j++) { /* d pi_j / dl_j = pi_j (. - mean), dl_j / dz = 2 s (c_j - z) */
            gz[i] += pi[j] * (quadratic(t->codes + j * E_D) - mean) * 2 * s->logit_scale *
                     (t->codes[j * E_D + i] - t->z[i * T]);
        }
    }
}

/* gz of the loss at the code that the words make the estimator choose. */
static void run_quadratic(const struct vqs_estimator *e, const struct vqs_settings *s, struct tile *t) {
    const struct vqs_estimator_tile tile = view(e, s, t);
    e->forward(&tile);
    gather(t);
    for (int l = 0; l < T; l++) {
        double g[E_D];
        quadratic_gradient(t->codes + t->k[l] * E_D, g);
        set_lane(E_D, g, l, t->g);
    }
    e->backward(&tile);
}

/* The mean over all outcomes D, each weighted by its probability, is exact to the second order of the loss. */
START_TEST(reinmax_is_exact_for_a_quadratic_loss) {
    struct vqs_settings s;
    struct tile t;
    double pi[E_K], mean[E_D] = {0}, exact[E_D];
    expectation_case(&s, &t);
    probabilities(&s, &t, pi);
    exact_gradient(&s, &t, exact);
    for (uint32_t j = 0; j < E_K; j++) {
        for (uint32_t i = 0; i < E_K * T; i++) {
            t.words[i] = i / T == j ? UINT32_MAX : 0; /* so much noise that code j is chosen */
        }
        run_quadratic(row("reinmax"), &s, &t);
        ck_assert_uint_eq(t.k[0], j);
        for (int i = 0; i < E_D; i++) {
            mean[i] += pi[j] * t.gz[i * T];
        }
    }
    for (int i = 0; i < E_D; i++) {
        ck_assert_double_eq_tol(mean[i], exact[i], 1e-12);
    }
}
END_TEST

/* Mean and standard error over many draws. */
struct statistics {
    double n, mean[E_D], error[E_D], chosen[E_K];
};

static void sample_gradients(const struct vqs_estimator *e, const struct vqs_settings *s, struct tile *t,
                             struct statistics *m) {
    enum { TILES = 3000 };
    double sum[E_D] = {0}, square[E_D] = {0};
    memset(m, 0, sizeof *m);
    m->n = TILES * T;
    for (uint32_t n = 0; n < TILES; n++) {
        const struct vqs_stream draws = {vqs_kernels_get(), 3, VQS_RNG_ESTIMATOR, n};
        vqs_rng_words(&draws, 0, E_K * T, t->words);
        vqs_rng_normal(&draws, 0, E_D * T, 1, t->noise);
        if (e->forward) {
            run_quadratic(e, s, t);
        } else {
            run(e, s, t);
        }
        for (int l = 0; l < T; l++) {
            m->chosen[t->k[l]]++;
            for (int i = 0; i < E_D; i++) {
                sum[i] += t->gz[i * T + l];
                square[i] += t->gz[i * T + l] * t->gz[i * T + l];
            }
        }
    }
    for (int i = 0; i < E_D; i++) {
        m->mean[i] = sum[i] / m->n;
        m->error[i] = sqrt((square[i] / m->n - m->mean[i] * m->mean[i]) / m->n);
    }
}

/* gumbel_st is biased where reinmax is not, and both draw codes with the probabilities of softmax(l). */
START_TEST(choices_have_the_right_probabilities_and_gumbel_is_biased) {
    static const char *const names[] = {"reinmax", "gumbel_st"};
    double pi[E_K], exact[E_D];
    for (int e = 0; e < 2; e++) {
        struct vqs_settings s;
        struct tile t;
        struct statistics m;
        double worst = 0;
        expectation_case(&s, &t);
        probabilities(&s, &t, pi);
        exact_gradient(&s, &t, exact);
        sample_gradients(row(names[e]), &s, &t, &m);
        for (int j = 0; j < E_K; j++) {
            ck_assert_double_eq_tol(m.chosen[j] / m.n, pi[j], 5 * sqrt(pi[j] * (1 - pi[j]) / m.n));
        }
        for (int i = 0; i < E_D; i++) {
            worst = fmax(worst, fabs(m.mean[i] - exact[i]) / m.error[i]);
        }
        ck_assert_msg(e == 0 ? worst < 5 : worst > 20, "%s: off by %.1f standard errors", names[e], worst);
    }
}
END_TEST

/* E[d (v.g) v] = g */
START_TEST(random_direction_keeps_the_mean) {
    struct vqs_settings s;
    struct tile t;
    struct statistics m;
    expectation_case(&s, &t);
    for (int l = 0; l < T; l++) {
        t.k[l] = 1;
    }
    gather(&t);
    sample_gradients(row("random_direction"), &s, &t, &m);
    for (int i = 0; i < E_D; i++) {
        ck_assert_double_eq_tol(m.mean[i], t.g[i * T], 5 * m.error[i]);
    }
}
END_TEST

int main(void) {
    test_class_count();
    Suite *suite = suite_create("estimators");
    TCase *conformance = tcase_create("conformance"), *identity = tcase_create("identities");
    TCase *expectation = tcase_create("expectations");
    tcase_add_test(conformance, gradient_is_that_of_the_frozen_surrogate);
    tcase_add_test(conformance, missing_directions_are_counted);
    tcase_add_test(conformance, a_sample_does_not_see_its_neighbours);
    tcase_add_test(conformance, a_lost_sample_is_alone);
    tcase_add_test(conformance, sharp_choices_are_finite);
    tcase_add_loop_test(identity, identities, 0, COUNT_OF(equal));
    tcase_add_test(identity, nothing_passes_the_empty_projector);
    tcase_add_test(identity, rotation_trick_at_equal_norms_is_a_rotation);
    tcase_add_test(expectation, reinmax_is_exact_for_a_quadratic_loss);
    tcase_add_test(expectation, choices_have_the_right_probabilities_and_gumbel_is_biased);
    tcase_add_test(expectation, random_direction_keeps_the_mean);
    suite_add_tcase(suite, conformance);
    suite_add_tcase(suite, identity);
    suite_add_tcase(suite, expectation);
    return run_unforked(suite);
}
