/* test_lloyd.c - k-means against a naive one, and where the answer is known. */
#include "testing.h"
#include "vqsweep/lloyd.h"

enum { T = VQS_TILE };

/* A problem with what it works in. */
struct fixture {
    struct vqs_lloyd_problem problem;
    struct vqs_lloyd_scratch scratch;
    struct vqs_arena arena;
    vqs_real *z, *codes;
};

/* Tiles of the points [n][d]; lanes past the last hold far values that must not matter. */
static struct fixture make(const struct vqs_kernels *k, const double *points, size_t n, int d, int K) {
    const size_t tiles = (n + T - 1) / T;
    struct fixture f = {.z = test_reals(tiles * T * (size_t)d), .codes = test_reals((size_t)K * (size_t)d)};
    struct vqs_arena measure = {0};
    for (size_t i = 0; i < tiles * T; i++) {
        for (int c = 0; c < d; c++) {
            const double value = i < n ? points[i * (size_t)d + (size_t)c] : 1e6;
            f.z[(i / T * (size_t)d + (size_t)c) * T + i % T] = (vqs_real)value;
        }
    }
    f.problem = (struct vqs_lloyd_problem){k, 1, 0, f.z, (size_t)d * T, n, d, K, 3, 100, 0};
    vqs_lloyd_carve(&measure, n, d, K, &f.scratch);
    ck_assert_int_eq(vqs_arena_create(&f.arena, measure.used, NULL), VQS_OK);
    vqs_lloyd_carve(&f.arena, n, d, K, &f.scratch);
    return f;
}

static double solve(struct fixture *f) {
    return vqs_lloyd(&f->problem, &f->scratch, f->codes);
}

static void destroy(struct fixture *f) {
    free(f->z), free(f->codes);
    vqs_arena_destroy(&f->arena);
}

static double *draw_points(uint64_t *state, size_t n, int d) {
    double *points = test_alloc(n * (size_t)d, sizeof *points);
    for (size_t i = 0; i < n * (size_t)d; i++) {
        points[i] = (double)(vqs_real)test_normal(state);
    }
    return points;
}

/* Distance to the nearest of K centres, and which it is. */
static double nearest(const double *point, const double *centres, int d, int K, int *which) {
    double best = INFINITY;
    *which = 0;
    for (int j = 0; j < K; j++) {
        double sum = 0;
        for (int c = 0; c < d; c++) {
            sum += pow(point[c] - centres[j * d + c], 2);
        }
        if (sum < best) {
            best = sum;
            *which = j;
        }
    }
    return best;
}

static double naive_distortion(const double *points, size_t n, int d, const vqs_real *codes, int K) {
    double *centres = test_alloc((size_t)(K * d), sizeof *centres), sum = 0;
    int which;
    for (int i = 0; i < K * d; i++) {
        centres[i] = (double)codes[i];
    }
    for (size_t i = 0; i < n; i++) {
        sum += nearest(points + i * (size_t)d, centres, d, K, &which);
    }
    free(centres);
    return sum;
}

/* One iteration in double: centres become the means of their samples, or stay. */
static void naive_step(const double *points, size_t n, int d, int K, double *centres) {
    double *sums = test_alloc((size_t)(K * d), sizeof *sums);
    int *count = test_alloc((size_t)K, sizeof *count), which;
    for (size_t i = 0; i < n; i++) {
        nearest(points + i * (size_t)d, centres, d, K, &which);
        count[which]++;
        for (int c = 0; c < d; c++) {
            sums[which * d + c] += points[i * (size_t)d + (size_t)c];
        }
    }
    for (int i = 0; i < K * d; i++) {
        centres[i] = count[i / d] ? sums[i] / count[i / d] : centres[i];
    }
    free(sums), free(count);
}

/* ---- against the naive algorithm ------------------------------------------------------------------------------- */

START_TEST(follows_the_naive_algorithm) {
    enum { N = 300, D = 3, K = 7 };
    uint64_t state = 1;
    double *points = draw_points(&state, N, D), centres[K * D];
    struct fixture f = make(test_class(_i), points, N, D, K);
    f.problem.restarts = 1;
    f.problem.tolerance = -1; /* no early end */
    f.problem.iterations = 0; /* the starts themselves */
    solve(&f);
    for (int i = 0; i < K * D; i++) {
        centres[i] = (double)f.codes[i];
    }
    for (int iterations = 1; iterations <= 12; iterations++) {
        f.problem.iterations = iterations;
        const double distortion = solve(&f);
        naive_step(points, N, D, K, centres);
        for (int i = 0; i < K * D; i++) {
            ck_assert_msg(fabs((double)f.codes[i] - centres[i]) < 1e-5, "iteration %d, value %d: %g, not %g",
                          iterations, i, (double)f.codes[i], centres[i]);
        }
        const double exact = naive_distortion(points, N, D, f.codes, K);
        ck_assert_double_eq_tol(distortion, exact, 1e-6 * exact);
    }
    destroy(&f);
    free(points);
}
END_TEST

/* One iteration that compares every sample with every code, and adds all of a code's samples up. `k` [tiles][T]. */
static void full_step(const struct fixture *f, vqs_real *codes, uint32_t *k) {
    const struct vqs_lloyd_problem *p = &f->problem;
    const size_t d = (size_t)p->d, K = (size_t)p->K, packed = vqs_packed_codes(p->K);
    vqs_real *codes_packed = test_reals(packed * d), *half_norm = test_reals(packed);
    long double *sums = test_alloc(K * d, sizeof *sums);
    int *count = test_alloc(K, sizeof *count);
    p->kernels->pack_codes(p->K, p->d, codes, codes_packed, half_norm);
    for (size_t i = 0; i < p->n; i++) {
        if (i % T == 0) {
            p->kernels->assign(p->K, p->d, codes_packed, half_norm, p->z + i * d, k + i);
        }
        count[k[i]]++;
        for (size_t c = 0; c < d; c++) {
            sums[k[i] * d + c] += (long double)p->z[i / T * T * d + c * T + i % T];
        }
    }
    for (size_t i = 0; i < K * d; i++) {
        codes[i] = count[i / d] ? (vqs_real)((double)sums[i] / count[i / d]) : codes[i];
    }
    free(codes_packed), free(half_norm), free(sums), free(count);
}

/* What is spared when few codes move changes no bit: codes in number, and samples on a lattice, with ties everywhere. */
static void try_full(const struct vqs_kernels *kernels, size_t n, int d, int K, double lattice) {
    uint64_t state = 9;
    double *points = draw_points(&state, n, d);
    for (size_t i = 0; i < n * (size_t)d && lattice > 0; i++) {
        points[i] = round(points[i] / lattice) * lattice;
    }
    struct fixture f = make(kernels, points, n, d, K);
    const size_t size = (size_t)K * (size_t)d;
    uint32_t *k = test_alloc(n + T, sizeof *k);
    vqs_real *codes = test_reals(size);
    f.problem.restarts = 1;
    f.problem.tolerance = -1;
    f.problem.iterations = 0;
    solve(&f);
    memcpy(codes, f.codes, size * sizeof *codes);
    for (int iterations = 1; iterations <= 15; iterations++) {
        f.problem.iterations = iterations;
        const double distortion = solve(&f), exact = naive_distortion(points, n, d, f.codes, K);
        full_step(&f, codes, k);
        ck_assert_msg(same_bits(codes, f.codes, size), "n %zu d %d K %d, iteration %d", n, d, K, iterations);
        ck_assert_double_eq_tol(distortion, exact, 1e-5 * exact);
    }
    destroy(&f);
    free(points), free(k), free(codes);
}

/* As in a trial, whose last tile repeats a sample: lanes that are near codes, and are none the less not counted. */
static void fill_spare_lanes(struct fixture *f, size_t sample) {
    const size_t n = f->problem.n, d = (size_t)f->problem.d;
    for (size_t i = n; i % T; i++) {
        for (size_t c = 0; c < d; c++) {
            f->z[(i / T * d + c) * T + i % T] = f->z[(sample / T * d + c) * T + sample % T];
        }
    }
}

START_TEST(spare_lanes_that_repeat_a_sample_do_not_matter) {
    enum { N = 1001, D = 5, K = 130 };
    uint64_t state = 10;
    double *points = draw_points(&state, N, D);
    struct fixture f = make(test_class(_i), points, N, D, K), repeats = make(test_class(_i), points, N, D, K);
    f.problem.restarts = repeats.problem.restarts = 1;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        f.problem.seed = repeats.problem.seed = seed;
        fill_spare_lanes(&repeats, (size_t)(test_random(&state) % N));
        ck_assert_double_eq(solve(&f), solve(&repeats));
        ck_assert_msg(same_bits(f.codes, repeats.codes, K * D), "seed %d", (int)seed);
    }
    destroy(&f), destroy(&repeats);
    free(points);
}
END_TEST

START_TEST(sparing_changes_nothing) {
    const struct vqs_kernels *kernels = test_class(_i);
    try_full(kernels, 3000, 5, 300, 0);
    try_full(kernels, 3000, 3, 300, 0.25);
    try_full(kernels, 1111, 8, 500, 0);
    try_full(kernels, 999, 16, 40, 0.5);
    try_full(kernels, 2000, 1, 130, 0);
}
END_TEST

START_TEST(distortion_never_increases) {
    uint64_t state = 2;
    for (int d = 1; d <= 17; d += 4) {
        double *points = draw_points(&state, 500, d), before = INFINITY;
        struct fixture f = make(test_class(_i), points, 500, d, 20);
        f.problem.restarts = 1;
        f.problem.tolerance = -1;
        for (int iterations = 0; iterations < 15; iterations++) {
            f.problem.iterations = iterations;
            const double distortion = solve(&f);
            ck_assert_msg(distortion <= before * (1 + 1e-6), "d %d, iteration %d: %.9g after %.9g", d, iterations,
                          distortion, before);
            before = distortion;
        }
        destroy(&f);
        free(points);
    }
}
END_TEST

/* k-means++: starts are distinct samples, a later one far from the earlier ones more often than not. */
START_TEST(starts_are_samples) {
    enum { N = 200, K = 12 };
    uint64_t state = 3;
    double *points = draw_points(&state, N, 2);
    struct fixture f = make(test_class(_i), points, N, 2, K);
    f.problem.restarts = 1;
    f.problem.iterations = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        f.problem.seed = seed;
        solve(&f);
        bool taken[N] = {false};
        for (int j = 0; j < K; j++) {
            const double code[] = {(double)f.codes[2 * j], (double)f.codes[2 * j + 1]};
            int which = -1;
            ck_assert(nearest(code, points, 2, N, &which) == 0);
            ck_assert(!taken[which]);
            taken[which] = true;
        }
    }
    destroy(&f);
    free(points);
}
END_TEST

/* ---- where the answer is known --------------------------------------------------------------------------------- */

/* Clusters far apart: the optimum is their means, and k-means++ starts in each of them. */
START_TEST(clusters_are_found) {
    enum { N = 400, D = 2, K = 5 };
    uint64_t state = 4;
    double *points = draw_points(&state, N, D), means[K * D] = {0}, optimum = 0;
    for (int i = 0; i < N; i++) {
        for (int c = 0; c < D; c++) {
            double *x = &points[i * D + c];
            *x = (double)(vqs_real)(*x * 0.1 + 100 * cos(i % K + 1.5 * c));
            means[i % K * D + c] += *x / (N / K);
        }
    }
    for (int i = 0; i < N; i++) {
        for (int c = 0; c < D; c++) {
            optimum += pow(points[i * D + c] - means[i % K * D + c], 2);
        }
    }
    struct fixture f = make(test_class(_i), points, N, D, K);
    ck_assert_double_eq_tol(solve(&f), optimum, 1e-4 * optimum);
    for (int j = 0; j < K; j++) {
        const double code[] = {(double)f.codes[D * j], (double)f.codes[D * j + 1]};
        int which;
        ck_assert_double_lt(nearest(code, means, D, K, &which), 1e-8);
        means[which * D] = INFINITY; /* each once */
    }
    destroy(&f);
    free(points);
}
END_TEST

START_TEST(as_many_codes_as_samples) {
    enum { N = 50 };
    uint64_t state = 5;
    double *points = draw_points(&state, N, 3);
    struct fixture f = make(test_class(_i), points, N, 3, N);
    ck_assert(solve(&f) == 0);
    ck_assert(naive_distortion(points, N, 3, f.codes, N) == 0);
    destroy(&f);
    free(points);
}
END_TEST

START_TEST(one_code_is_the_mean) {
    enum { N = 77 };
    uint64_t state = 6;
    double *points = draw_points(&state, N, 1), mean = 0, variance = 0;
    for (int i = 0; i < N; i++) {
        mean += points[i] / N;
    }
    for (int i = 0; i < N; i++) {
        variance += pow(points[i] - mean, 2);
    }
    struct fixture f = make(test_class(_i), points, N, 1, 1);
    ck_assert_double_eq_tol(solve(&f), variance, 1e-5 * variance);
    ck_assert_double_eq_tol((double)f.codes[0], mean, 1e-6);
    destroy(&f);
    free(points);
}
END_TEST

/* Fewer distinct samples than codes. */
START_TEST(samples_may_repeat) {
    enum { N = 60, K = 10 };
    double points[N * 2];
    for (int i = 0; i < N; i++) {
        points[2 * i] = i % 3;
        points[2 * i + 1] = -(i % 3);
    }
    struct fixture f = make(test_class(_i), points, N, 2, K);
    ck_assert(solve(&f) == 0);
    for (int i = 0; i < K * 2; i++) {
        ck_assert(isfinite((double)f.codes[i]));
    }
    destroy(&f);
}
END_TEST

/* ---- what it promises ------------------------------------------------------------------------------------------ */

START_TEST(the_best_start_is_kept) {
    enum { N = 300, K = 15 };
    uint64_t state = 7;
    double *points = draw_points(&state, N, 2), before = INFINITY;
    struct fixture f = make(test_class(_i), points, N, 2, K);
    for (int restarts = 1; restarts <= 8; restarts++) { /* a start does not depend on how many follow it */
        f.problem.restarts = restarts;
        const double distortion = solve(&f), exact = naive_distortion(points, N, 2, f.codes, K);
        ck_assert(distortion <= before);
        ck_assert_double_eq_tol(distortion, exact, 1e-6 * exact);
        before = distortion;
    }
    vqs_real *again = test_reals(K * 2);
    memcpy(again, f.codes, K * 2 * sizeof *again);
    memset(f.scratch.codes, 0x55, K * 2 * sizeof *again); /* and nothing is left over from before */
    ck_assert(solve(&f) == before);
    ck_assert(same_bits(again, f.codes, K * 2));
    free(again);
    destroy(&f);
    free(points);
}
END_TEST

START_TEST(samples_that_are_not_numbers_give_none) {
    enum { N = 40 };
    uint64_t state = 8;
    double *points = draw_points(&state, N, 2);
    points[17] = NAN;
    struct fixture f = make(test_class(_i), points, N, 2, 4);
    ck_assert(isnan(solve(&f)));
    destroy(&f);
    free(points);
}
END_TEST

int main(void) {
    const int classes = test_class_count();
    Suite *suite = suite_create("lloyd");
    TCase *tests = tcase_create("each class");
    tcase_add_loop_test(tests, follows_the_naive_algorithm, 0, classes);
    tcase_add_loop_test(tests, sparing_changes_nothing, 0, classes);
    tcase_add_loop_test(tests, spare_lanes_that_repeat_a_sample_do_not_matter, 0, classes);
    tcase_add_loop_test(tests, distortion_never_increases, 0, classes);
    tcase_add_loop_test(tests, starts_are_samples, 0, classes);
    tcase_add_loop_test(tests, clusters_are_found, 0, classes);
    tcase_add_loop_test(tests, as_many_codes_as_samples, 0, classes);
    tcase_add_loop_test(tests, one_code_is_the_mean, 0, classes);
    tcase_add_loop_test(tests, samples_may_repeat, 0, classes);
    tcase_add_loop_test(tests, the_best_start_is_kept, 0, classes);
    tcase_add_loop_test(tests, samples_that_are_not_numbers_give_none, 0, classes);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
