/* test_quantizer.c - codebooks of levels and groups: where their codes start, level by level. */
#include "testing.h"
#include "vqsweep/quantizer.h"

enum { T = VQS_TILE, N = 100, D = 6, K = 5, TILES = (N + T - 1) / T };

struct fixture {
    struct vqs_settings settings;
    struct vqs_arena arena;
    struct vqs_quantizer quantizer;
    struct vqs_lloyd_scratch lloyd;
    vqs_real *params, *z;
};

static void carve(struct fixture *f, const struct vqs_kernels *kernels, struct vqs_arena *arena) {
    const struct vqs_settings *s = &f->settings;
    vqs_quantizer_carve(s, kernels, arena, f->params, &f->quantizer);
    vqs_lloyd_carve(arena, N, vqs_code_width(s), s->K, &f->lloyd);
}

/* With codes placed for `init`; z is left as it was drawn. */
static struct fixture make(const struct vqs_kernels *kernels, int levels, int groups, enum vqs_codebook_init init) {
    struct fixture f = {0};
    uint64_t state = 5;
    uint32_t order[N];
    vqs_settings_default(&f.settings);
    f.settings.N = N;
    f.settings.d = D;
    f.settings.K = K;
    f.settings.levels = levels;
    f.settings.groups = groups;
    f.settings.codebook_init = (int32_t)init;
    f.settings.kmeans_restarts = 2;
    f.params = test_reals(vqs_quantizer_n_params(&f.settings) + VQS_ROW_UNIT);
    carve(&f, kernels, &f.arena);
    ck_assert_int_eq(vqs_arena_create(&f.arena, f.arena.used, NULL), VQS_OK);
    carve(&f, kernels, &f.arena);
    f.z = test_normals(&state, TILES * D * T);
    vqs_real *used_up = test_reals(TILES * D * T);
    memcpy(used_up, f.z, TILES * D * T * sizeof *f.z);
    const struct vqs_encoded encoded = {used_up, N, order, &f.lloyd};
    vqs_quantizer_init(&f.settings, &encoded, &f.quantizer);
    free(used_up);
    return f;
}

static void destroy(struct fixture *f) {
    vqs_arena_destroy(&f->arena);
    free(f->params), free(f->z);
}

/* What codebook `number` is given of each sample, [N][width], and the numbers of the codes nearest to it. */
static void inputs_of(const struct fixture *f, int number, vqs_real *r, int *k) {
    const struct vqs_quantizer *q = &f->quantizer;
    const int width = q->width, from = number % q->groups * width;
    for (int s = 0; s < N; s++) {
        for (int i = 0; i < width; i++) {
            r[s * width + i] = f->z[(s / T * D + from + i) * T + s % T];
        }
        for (int c = number % q->groups; c <= number; c += q->groups) {
            const vqs_real *codes = q->codes + c * K * width;
            double least = INFINITY;
            for (int j = 0; j < K; j++) {
                double distance = 0;
                for (int i = 0; i < width; i++) {
                    distance += pow((double)r[s * width + i] - (double)codes[j * width + i], 2);
                }
                k[s] = distance < least ? j : k[s];
                least = fmin(least, distance);
            }
            for (int i = 0; i < width && c < number; i++) {
                r[s * width + i] -= codes[k[s] * width + i];
            }
        }
    }
}

static const struct { int levels, groups; } structures[] = {{1, 1}, {3, 1}, {1, 2}, {2, 3}, {2, 6}};

START_TEST(data_are_inputs_of_distinct_samples) {
    for (size_t i = 0; i < COUNT_OF(structures); i++) {
        const struct vqs_kernels *kernels = test_class(_i);
        struct fixture f = make(kernels, structures[i].levels, structures[i].groups, VQS_INIT_DATA);
        const size_t width = (size_t)f.quantizer.width;
        for (int c = 0; c < f.quantizer.n_codebooks; c++) {
            const struct vqs_stream draws = {kernels, f.settings.seed, VQS_RNG_CODEBOOK, (uint32_t)c};
            vqs_real r[N * D];
            uint32_t order[N];
            int k[N];
            inputs_of(&f, c, r, k);
            vqs_rng_permutation(&draws, N, order);
            for (size_t j = 0; j < K; j++) {
                const vqs_real *code = f.quantizer.codes + ((size_t)c * K + j) * width;
                ck_assert_msg(!memcmp(r + order[j] * width, code, width * sizeof *r),
                              "codebook %d of %d x %d, code %zu", c, f.quantizer.levels, f.quantizer.groups, j);
            }
        }
        destroy(&f);
    }
}
END_TEST

/* A fixed point of Lloyd's: every code is the mean of its samples' inputs. */
START_TEST(kmeans_codes_are_means_of_inputs) {
    for (size_t i = 0; i < COUNT_OF(structures); i++) {
        struct fixture f = make(test_class(_i), structures[i].levels, structures[i].groups, VQS_INIT_KMEANS);
        const int width = f.quantizer.width;
        for (int c = 0; c < f.quantizer.n_codebooks; c++) {
            vqs_real r[N * D];
            int k[N], count[K] = {0};
            double mean[K * D] = {0};
            inputs_of(&f, c, r, k);
            for (int s = 0; s < N; s++) {
                count[k[s]]++;
                for (int j = 0; j < width; j++) {
                    mean[k[s] * width + j] += (double)r[s * width + j];
                }
            }
            for (int j = 0; j < K * width; j++) {
                const double code = (double)f.quantizer.codes[c * K * width + j];
                ck_assert_double_eq_tol(code, mean[j] / count[j / width], 1e-5);
            }
        }
        destroy(&f);
    }
}
END_TEST

/* Also in random numbers: the first level is that of a trial without levels. */
START_TEST(the_first_level_knows_nothing_of_the_others) {
    for (int init = VQS_INIT_UNIFORM; init <= VQS_INIT_KMEANS; init++) {
        struct fixture one = make(test_class(_i), 1, 2, (enum vqs_codebook_init)init);
        struct fixture three = make(test_class(_i), 3, 2, (enum vqs_codebook_init)init);
        const size_t first = one.quantizer.n_codes;
        ck_assert_uint_eq(three.quantizer.n_codes, 3 * first);
        ck_assert_mem_eq(one.quantizer.codes, three.quantizer.codes, first * sizeof(vqs_real));
        ck_assert_mem_ne(three.quantizer.codes, three.quantizer.codes + first, first * sizeof(vqs_real));
        destroy(&one);
        destroy(&three);
    }
}
END_TEST

START_TEST(quantizing_is_by_the_codebook_asked_for) {
    struct fixture f = make(test_class(_i), 2, 3, VQS_INIT_NORMAL);
    const int width = f.quantizer.width;
    for (int c = 0; c < f.quantizer.n_codebooks; c++) {
        vqs_real r[N * D], tile[D * T], q[D * T];
        uint32_t numbers[T];
        int k[N];
        inputs_of(&f, c, r, k);
        for (int i = 0; i < width * T; i++) {
            tile[i] = r[i % T * width + i / T];
        }
        vqs_quantizer_quantize(&f.quantizer, c, tile, numbers, q);
        for (int l = 0; l < T; l++) {
            ck_assert_uint_eq(numbers[l], (unsigned)k[l]);
            for (int i = 0; i < width; i++) {
                ck_assert(q[i * T + l] == f.quantizer.codes[(c * K + k[l]) * width + i]);
            }
        }
    }
    destroy(&f);
}
END_TEST

int main(void) {
    const int classes = test_class_count();
    Suite *suite = suite_create("quantizer");
    TCase *tests = tcase_create("each class");
    tcase_add_loop_test(tests, data_are_inputs_of_distinct_samples, 0, classes);
    tcase_add_loop_test(tests, kmeans_codes_are_means_of_inputs, 0, classes);
    tcase_add_loop_test(tests, the_first_level_knows_nothing_of_the_others, 0, classes);
    tcase_add_loop_test(tests, quantizing_is_by_the_codebook_asked_for, 0, classes);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
