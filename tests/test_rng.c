/* test_rng.c - Philox words, normals, uniforms and permutations. */
#include "testing.h"
#include "vqsweep/rng.h"

#include <Random123/philox.h>

static struct vqs_stream stream_of(int class, uint64_t seed, uint32_t purpose, uint32_t stream) {
    return (struct vqs_stream){test_class(class), seed, purpose, stream};
}

/* ---- words ----------------------------------------------------------------------------------------------------- */

/* The known-answer vectors of Random123's own distribution (kat_vectors, philox4x32 with 10 rounds). */
START_TEST(words_are_philox) {
    static const struct {
        uint64_t index;
        uint32_t purpose, stream;
        uint64_t key;
        uint32_t answer[4];
    } vectors[] = {
        {0, 0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {UINT64_C(0x85a308d3243f6a88),
         0x13198a2e,
         0x03707344,
         UINT64_C(0x299f31d0a4093822),
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        uint32_t group[VQS_RNG_GROUP];
        const uint64_t index = vectors[i].index;
        test_class(_i)->words(vectors[i].key, vectors[i].purpose, vectors[i].stream, index / 16, 1, group);
        for (int c = 0; c < 4; c++) {
            ck_assert_uint_eq(group[16 * c + (int)(index % 16)], vectors[i].answer[c]);
        }
    }
    uint32_t words[VQS_RNG_GROUP]; /* and the first of them by way of the stream */
    const struct vqs_stream s = stream_of(_i, 0, 0, 0);
    vqs_rng_words(&s, 0, VQS_RNG_GROUP, words);
    for (int c = 0; c < 4; c++) {
        ck_assert_uint_eq(words[16 * c], vectors[0].answer[c]);
    }
}
END_TEST

/* Element `i` of a stream as rng.h defines it, by Random123's scalar function. */
static uint32_t word_oracle(const struct vqs_stream *s, uint64_t i) {
    const uint64_t block = 16 * (i / 64) + i % 16;
    philox4x32_ctr_t counter = {{(uint32_t)block, (uint32_t)(block >> 32), s->purpose, s->stream}};
    philox4x32_key_t key = {{(uint32_t)s->seed, (uint32_t)(s->seed >> 32)}};
    return philox4x32(counter, key).v[i % 64 / 16];
}

START_TEST(words_stand_where_documented) {
    static const uint64_t firsts[] = {0, 1, 15, 16, 63, 64, 1000, UINT64_C(0x3ffffffff0), UINT64_MAX - 299};
    uint32_t words[300];
    for (size_t f = 0; f < COUNT_OF(firsts); f++) {
        const struct vqs_stream s = stream_of(_i, 0x123456789abcdef0 + f, (uint32_t)f, 7 + (uint32_t)f);
        vqs_rng_words(&s, firsts[f], 300, words);
        for (uint64_t i = 0; i < 300; i++) {
            ck_assert_uint_eq(words[i], word_oracle(&s, firsts[f] + i));
        }
        ck_assert_double_eq(vqs_rng_unit(&s, firsts[f]), words[0] / 4294967296.0);
    }
}
END_TEST

/* Any cut of a range gives the same elements, and nothing past it is written. */
START_TEST(ranges_may_be_cut_anywhere) {
    enum { N = 400 };
    const struct vqs_stream s = stream_of(_i, 5, VQS_RNG_NOISE, 3);
    uint32_t words[N + 64], part_words[N + 1];
    vqs_real normals[N + 64], part[N + 1], uniforms[N + 64];
    vqs_rng_words(&s, 0, COUNT_OF(words), words);
    vqs_rng_normal(&s, 0, COUNT_OF(normals), 2, normals);
    vqs_rng_uniform(&s, 0, COUNT_OF(uniforms), -1, 3, uniforms);
    uint64_t state = 1;
    for (int trial = 0; trial < 300; trial++) {
        const size_t first = test_random(&state) % 130, n = test_random(&state) % (N - 130);
        part_words[n] = 12345;
        part[n] = 12345;
        vqs_rng_words(&s, first, n, part_words);
        ck_assert_mem_eq(part_words, words + first, n * sizeof *words);
        vqs_rng_normal(&s, first, n, 2, part);
        ck_assert(same_bits(part, normals + first, n));
        vqs_rng_uniform(&s, first, n, -1, 3, part);
        ck_assert(same_bits(part, uniforms + first, n));
        ck_assert(part_words[n] == 12345 && part[n] == 12345);
    }
}
END_TEST

/* ---- normals --------------------------------------------------------------------------------------------------- */

static int compare_reals(const void *a, const void *b) {
    const vqs_real x = *(const vqs_real *)a, y = *(const vqs_real *)b;
    return (x > y) - (x < y);
}

/* sqrt(n) times the largest distance from the empirical to the normal distribution function; sorts. */
static double kolmogorov_smirnov(vqs_real *values, size_t n) {
    double worst = 0;
    qsort(values, n, sizeof *values, compare_reals);
    for (size_t i = 0; i < n; i++) {
        const double p = erfc(-(double)values[i] / sqrt(2)) / 2;
        worst = fmax(worst, fmax(p - (double)i / (double)n, (double)(i + 1) / (double)n - p));
    }
    return worst * sqrt((double)n);
}

START_TEST(normals_are_normal) {
    enum { N = 100000 };
    const struct vqs_stream s = stream_of(_i, 42, VQS_RNG_NOISE, 0);
    vqs_real *x = test_reals(N);
    double moment[5] = {0}, tail = 0, largest = 0, lag = 0;
    vqs_rng_normal(&s, 0, N, 1, x);
    for (int i = 0; i < N; i++) {
        const double v = (double)x[i];
        for (int p = 1; p <= 4; p++) {
            moment[p] += pow(v, p) / N;
        }
        tail += fabs(v) > 3;
        largest = fmax(largest, fabs(v));
        lag += i ? v * (double)x[i - 1] / N : 0;
    }
    /* four standard errors of each */
    const double se = 4 / sqrt(N);
    ck_assert_double_eq_tol(moment[1], 0, se);
    ck_assert_double_eq_tol(moment[2], 1, se * sqrt(2));
    ck_assert_double_eq_tol(moment[3], 0, se * sqrt(15));
    ck_assert_double_eq_tol(moment[4], 3, se * sqrt(96));
    ck_assert_double_eq_tol(lag, 0, se);
    ck_assert_double_eq_tol(tail / N, 0.0026998, se * sqrt(0.0027));
    ck_assert_double_gt(largest, 4);
    ck_assert_double_lt(largest, 6.7);
    ck_assert_double_lt(kolmogorov_smirnov(x, N), 1.95); /* p = 0.001 */
    free(x);
}
END_TEST

START_TEST(normals_are_box_muller_of_the_words) {
    const struct vqs_stream s = stream_of(_i, 9, VQS_RNG_DATA, 1);
    uint32_t w[64 * 64];
    vqs_real x[64 * 64];
    double worst = 0;
    vqs_rng_words(&s, 0, COUNT_OF(w), w);
    vqs_rng_normal(&s, 0, COUNT_OF(x), (vqs_real)0.5, x);
    for (size_t i = 0; i < COUNT_OF(w); i++) {
        if (i % 32 < 16) {
            const double radius = 0.5 * sqrt(-2 * log(((w[i] >> 1) + 0.5) / 2147483648.0));
            const double angle = 3.141592653589793 * (double)(int32_t)w[i + 16] / 2147483648.0;
            worst = fmax(worst, fabs((double)x[i] - radius * cos(angle)));
            worst = fmax(worst, fabs((double)x[i + 16] - radius * sin(angle)));
        }
    }
    ck_assert_double_lt(worst, 8 * REAL_EPS);
}
END_TEST

START_TEST(classes_agree) {
    enum { N = 20000 };
    const struct vqs_stream best = stream_of(0, 3, VQS_RNG_ENCODER, 2), s = stream_of(_i, 3, VQS_RNG_ENCODER, 2);
    vqs_real *x = test_reals(N), *y = test_reals(N);
    double worst = 0;
    vqs_rng_normal(&best, 5, N, 1, x);
    vqs_rng_normal(&s, 5, N, 1, y);
    for (int i = 0; i < N; i++) {
        worst = fmax(worst, fabs((double)x[i] - (double)y[i]));
    }
    ck_assert_double_lt(worst, 1e-5);
    vqs_rng_uniform(&best, 5, N, -1, 1, x);
    vqs_rng_uniform(&s, 5, N, -1, 1, y);
    ck_assert(same_bits(x, y, N));
    free(x);
    free(y);
}
END_TEST

static double correlation(const struct vqs_stream *a, const struct vqs_stream *b) {
    enum { N = 20000 };
    static vqs_real x[N], y[N];
    double sum = 0;
    vqs_rng_normal(a, 0, N, 1, x);
    vqs_rng_normal(b, 0, N, 1, y);
    for (int i = 0; i < N; i++) {
        sum += (double)x[i] * (double)y[i];
    }
    return sum / sqrt(N); /* a standard normal if they are independent */
}

START_TEST(streams_are_independent) {
    const struct vqs_stream base = stream_of(_i, 1, VQS_RNG_DATA, 0);
    const uint64_t high = UINT64_C(1) << 32;
    const struct vqs_stream others[] = {
        stream_of(_i, 2, VQS_RNG_DATA, 0),  stream_of(_i, 1 + high, VQS_RNG_DATA, 0),
        stream_of(_i, 1, VQS_RNG_NOISE, 0), stream_of(_i, 1, VQS_RNG_EVALUATION, 0),
        stream_of(_i, 1, VQS_RNG_DATA, 1),  stream_of(_i, 1, VQS_RNG_DATA, UINT32_MAX),
        stream_of(_i, 0, VQS_RNG_DATA, 1),
    };
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        ck_assert_double_lt(fabs(correlation(&base, &others[i])), 4.5);
    }
    ck_assert_double_gt(correlation(&base, &base), 100);
}
END_TEST

/* ---- uniforms -------------------------------------------------------------------------------------------------- */

START_TEST(uniforms_fill_their_range) {
    enum { N = 64000, BINS = 64 };
    const struct vqs_stream s = stream_of(_i, 77, VQS_RNG_DECODER, 0);
    const vqs_real low = (vqs_real)-0.3, high = (vqs_real)0.9;
    vqs_real *x = test_reals(N);
    double count[BINS] = {0}, chi2 = 0;
    vqs_rng_uniform(&s, 0, N, low, high, x);
    for (int i = 0; i < N; i++) {
        ck_assert_msg(x[i] >= low && x[i] < high, "element %d is %g", i, (double)x[i]);
        count[(int)((double)(x[i] - low) / (double)(high - low) * BINS)]++;
    }
    for (int b = 0; b < BINS; b++) {
        chi2 += (count[b] - N / BINS) * (count[b] - N / BINS) / (N / BINS);
    }
    ck_assert_double_lt(chi2, 103.4); /* 63 degrees of freedom, p = 0.001 */
    free(x);
}
END_TEST

static void words_all_set(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, size_t n, uint32_t *out) {
    (void)seed, (void)purpose, (void)stream, (void)group;
    memset(out, 0xff, n * VQS_RNG_GROUP * sizeof *out);
}

START_TEST(uniforms_never_reach_the_upper_end) {
    static const double ranges[][2] = {{0, 1},   {-1, 1},    {1, 2},      {1, 1.5},
                                       {-3, -1}, {100, 101}, {-0.1, 0.1}, {1e6, 1e6 + 1}};
    const struct vqs_kernels largest = {.words = words_all_set};
    const struct vqs_stream s = {&largest, 0, 0, 0};
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        const vqs_real low = (vqs_real)ranges[i][0], high = (vqs_real)ranges[i][1];
        vqs_real x;
        vqs_rng_uniform(&s, 0, 1, low, high, &x);
        ck_assert_msg(x >= low && x < high, "%.9g is not in [%g, %g)", (double)x, (double)low, (double)high);
    }
    ck_assert_double_lt(vqs_rng_unit(&s, 0), 1);
}
END_TEST

/* ---- permutations ---------------------------------------------------------------------------------------------- */

START_TEST(permutations_are_permutations) {
    static const uint32_t sizes[] = {1, 2, 3, 63, 64, 65, 1023, 1024, 1025, 5000};
    static uint32_t perm[5000], again[5000], other[5000];
    static bool seen[5000];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        const uint32_t n = sizes[i];
        const struct vqs_stream s = stream_of(_i, 8, VQS_RNG_BATCHES, 4), t = stream_of(_i, 8, VQS_RNG_BATCHES, 5);
        vqs_rng_permutation(&s, n, perm);
        vqs_rng_permutation(&s, n, again);
        vqs_rng_permutation(&t, n, other);
        memset(seen, 0, sizeof seen);
        for (uint32_t j = 0; j < n; j++) {
            ck_assert_msg(perm[j] < n && !seen[perm[j]], "n = %u, place %u: %u", n, j, perm[j]);
            seen[perm[j]] = true;
        }
        ck_assert_mem_eq(perm, again, n * sizeof *perm);
        for (uint32_t j = 0; j < n; j++) { /* Fisher-Yates, step j by word j */
            const uint32_t at = (uint32_t)(((uint64_t)word_oracle(&s, j) * (j + 1)) >> 32);
            again[j] = again[at];
            again[at] = j;
        }
        ck_assert_mem_eq(perm, again, n * sizeof *perm);
        ck_assert(n < 60 || memcmp(perm, other, n * sizeof *perm) != 0);
    }
}
END_TEST

/* All 24 orders of four things, over many streams. */
START_TEST(permutations_are_uniform) {
    enum { N = 24 * 500 };
    int count[256] = {0};
    double chi2 = 0;
    for (uint32_t i = 0; i < N; i++) {
        const struct vqs_stream s = stream_of(_i, 8, VQS_RNG_BATCHES, i);
        uint32_t p[4];
        vqs_rng_permutation(&s, 4, p);
        count[p[0] | p[1] << 2 | p[2] << 4 | p[3] << 6]++;
    }
    for (int i = 0; i < 256; i++) {
        chi2 += count[i] ? (count[i] - 500.0) * (count[i] - 500.0) / 500.0 : 0;
    }
    ck_assert_double_lt(chi2, 49.7); /* 23 degrees of freedom, p = 0.001 */
}
END_TEST

int main(void) {
    const int classes = test_class_count();
    Suite *suite = suite_create("rng");
    TCase *tests = tcase_create("each class");
    tcase_add_loop_test(tests, words_are_philox, 0, classes);
    tcase_add_loop_test(tests, words_stand_where_documented, 0, classes);
    tcase_add_loop_test(tests, ranges_may_be_cut_anywhere, 0, classes);
    tcase_add_loop_test(tests, normals_are_normal, 0, classes);
    tcase_add_loop_test(tests, normals_are_box_muller_of_the_words, 0, classes);
    tcase_add_loop_test(tests, classes_agree, 0, classes);
    tcase_add_loop_test(tests, streams_are_independent, 0, classes);
    tcase_add_loop_test(tests, uniforms_fill_their_range, 0, classes);
    tcase_add_test(tests, uniforms_never_reach_the_upper_end);
    tcase_add_loop_test(tests, permutations_are_permutations, 0, classes);
    tcase_add_loop_test(tests, permutations_are_uniform, 0, classes);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
