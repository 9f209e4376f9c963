/* test_metrics.c - evaluation against a naive one in double that forms every x^, and each metric by its definition. */
#include "team.h"
#include "testing.h"
#include "vqsweep/metrics.h"

#define RIGHT_ANGLE 1.5707963267948966

enum { T = VQS_TILE };

/* A model with its data and all that an evaluation works in. */
struct fixture {
    struct vqs_settings settings;
    struct vqs_dataset *data;
    struct vqs_arena arena;
    struct vqs_model model;
    struct vqs_model_scratch scratch;
    struct vqs_evaluation result;
    vqs_real *y;
};

static struct vqs_settings small_settings(bool tied, bool bias) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    s.D = 37;
    s.r = 4;
    s.d = 5;
    s.K = 11;
    s.N = 100; /* no whole number of tiles */
    s.N_eval = 70;
    s.sigma = 0.3;
    s.decoder = tied ? VQS_DECODER_TIED : VQS_DECODER_FREE;
    s.bias = bias;
    return s;
}

static void carve(struct fixture *f, const struct vqs_kernels *k, struct vqs_arena *arena) {
    vqs_model_carve(&f->settings, k, arena, &f->model, &f->scratch);
    vqs_evaluation_carve(&f->settings, arena, &f->result);
    f->y = vqs_arena_take(arena, 4 * vqs_evaluation_scratch(&f->model), sizeof *f->y);
}

static struct fixture make(const struct vqs_kernels *k, struct vqs_settings settings) {
    struct fixture f = {.settings = settings};
    struct vqs_arena measure = {0};
    struct vqs_error err = {0};
    ck_assert_msg(vqs_dataset_create(&settings, NULL, &f.data, &err) == VQS_OK, "%s", err.text);
    carve(&f, k, &measure);
    ck_assert_int_eq(vqs_arena_create(&f.arena, measure.used, &err), VQS_OK);
    carve(&f, k, &f.arena);
    vqs_model_init(&settings, f.data, &f.model, &f.scratch);
    return f;
}

/* As after some training: nothing is zero, nothing is special. */
static void disturb(struct fixture *f, uint64_t seed) {
    for (size_t i = 0; i < f->model.quantizer.n_codes; i++) {
        f->model.quantizer.codes[i] = (vqs_real)(0.5 * test_normal(&seed));
    }
    for (int i = 0; i < f->model.d && f->model.bias; i++) {
        f->model.encoder_bias[i] = (vqs_real)(0.3 * test_normal(&seed));
    }
    for (int j = 0; j < f->model.D && f->model.bias; j++) {
        f->model.decoder_bias[j] = (vqs_real)(0.3 * test_normal(&seed));
    }
    vqs_model_refresh(&f->model);
}

static void evaluate(struct fixture *f, const struct vqs_samples *samples, int team) {
    struct vqs_team *threads;
    ck_assert_int_eq(vqs_team_create(team, &threads, NULL), VQS_OK);
    vqs_evaluate(&f->model, samples, threads, &f->scratch, f->y, &f->result);
    vqs_team_destroy(threads);
}

static void destroy(struct fixture *f) {
    vqs_dataset_destroy(f->data);
    vqs_arena_destroy(&f->arena);
}

/* ---- the pass over the data ------------------------------------------------------------------------------------ */

struct naive_result {
    double squared_error, distortion, z_variance;
    uint32_t usage[11 * 11];
    struct vqs_level_evaluation level[11];
};

static void encode(const struct vqs_model *m, const vqs_real *x, double *z) {
    for (int i = 0; i < m->d; i++) {
        z[i] = m->bias ? (double)m->encoder_bias[i] : 0;
        for (int j = 0; j < m->D; j++) {
            z[i] += (double)m->W[(size_t)i * m->ld + (size_t)j] * (double)x[j];
        }
    }
}

/* The code of one codebook that is nearest to its input r. */
static int nearest(const struct vqs_model *m, int codebook, const double *r, double *distance) {
    const struct vqs_quantizer *q = &m->quantizer;
    int best = 0;
    *distance = INFINITY;
    for (int k = 0; k < q->K; k++) {
        double sum = 0;
        for (int i = 0; i < q->width; i++) {
            sum += pow(r[i] - (double)q->codes[(codebook * q->K + k) * q->width + i], 2);
        }
        if (sum < *distance) {
            *distance = sum;
            best = k;
        }
    }
    return best;
}

static double squared_error(const struct vqs_model *m, const vqs_real *x, const double *q) {
    double sum = 0;
    for (int j = 0; j < m->D; j++) {
        double decoded = m->bias ? (double)m->decoder_bias[j] : 0;
        for (int i = 0; i < m->d; i++) {
            decoded += (double)m->V[(size_t)i * m->ld + (size_t)j] * q[i];
        }
        sum += pow((double)x[j] - decoded, 2);
    }
    return sum;
}

static struct naive_result naive_evaluate(const struct vqs_model *m, const struct vqs_samples *samples) {
    struct naive_result result = {0};
    const struct vqs_quantizer *q = &m->quantizer;
    double z[16], mean[16] = {0}, square[16] = {0}, mean_r[11][16] = {{0}}, square_r[11][16] = {{0}};
    const double n = (double)samples->n;
    for (size_t s = 0; s < samples->n; s++) {
        const vqs_real *x = samples->x + s * m->ld;
        double rest[16], coded[16];
        encode(m, x, z);
        memcpy(rest, z, sizeof rest);
        for (int c = 0; c < q->n_codebooks; c++) {
            double *r = rest + c % q->groups * q->width, distance;
            const int k = nearest(m, c, r, &distance);
            result.usage[c * q->K + k]++;
            result.level[c].distortion += distance;
            for (int i = 0; i < q->width; i++) {
                mean_r[c][i] += r[i] / n;
                square_r[c][i] += r[i] * r[i] / n;
                r[i] -= (double)q->codes[(c * q->K + k) * q->width + i];
            }
        }
        for (int i = 0; i < m->d; i++) {
            mean[i] += z[i] / n;
            square[i] += z[i] * z[i] / n;
            coded[i] = z[i] - rest[i];
            result.distortion += rest[i] * rest[i];
        }
        result.squared_error += squared_error(m, x, coded);
    }
    for (int i = 0; i < m->d; i++) {
        result.z_variance += square[i] - mean[i] * mean[i];
    }
    for (int c = 0; c < q->n_codebooks; c++) {
        for (int i = 0; i < q->width; i++) {
            result.level[c].variance += square_r[c][i] - mean_r[c][i] * mean_r[c][i];
        }
    }
    return result;
}

static void compare(const struct fixture *f, const struct naive_result *naive) {
    ck_assert_double_eq_tol(f->result.squared_error, naive->squared_error, 1e-6 * naive->squared_error);
    ck_assert_double_eq_tol(f->result.distortion, naive->distortion, 1e-5 * naive->distortion);
    ck_assert_double_eq_tol(f->result.z_variance, naive->z_variance, 1e-5 * naive->z_variance);
    const int books = f->model.quantizer.n_codebooks;
    ck_assert_mem_eq(f->result.usage, naive->usage, (size_t)(books * f->model.quantizer.K) * sizeof *naive->usage);
    ck_assert((f->result.level != NULL) == (books > 1));
    for (int c = 0; c < books && books > 1; c++) {
        const struct vqs_level_evaluation *level = &f->result.level[c];
        ck_assert_double_eq_tol(level->distortion, naive->level[c].distortion, 1e-5 * naive->level[c].distortion);
        ck_assert_double_eq_tol(level->variance, naive->level[c].variance, 1e-5 * naive->level[c].variance);
    }
}

/* Of 12: tied or free, with or without biases, of one codebook or several. */
enum { KINDS = 12 };
static struct vqs_settings settings_of(int kind) {
    static const int levels[] = {1, 3, 2}, groups[] = {1, 1, 5};
    struct vqs_settings s = small_settings(kind & 1, kind >> 1 & 1);
    s.levels = levels[kind >> 2];
    s.groups = groups[kind >> 2];
    return s;
}

START_TEST(evaluation_is_the_naive_one) {
    for (int kind = 0; kind < KINDS; kind++) {
        struct fixture f = make(test_class(_i), settings_of(kind));
        disturb(&f, 1);
        struct naive_result naive = naive_evaluate(&f.model, &f.data->train);
        evaluate(&f, &f.data->train, 1);
        compare(&f, &naive);
        naive = naive_evaluate(&f.model, &f.data->eval);
        evaluate(&f, &f.data->eval, 1);
        compare(&f, &naive);
        double z[16];
        for (size_t s = 0; s < f.data->eval.n; s++) { /* and z is left behind */
            encode(&f.model, f.data->eval.x + s * f.model.ld, z);
            for (int i = 0; i < f.model.d; i++) {
                const double left = (double)f.scratch.z[(s / T * (size_t)f.model.d + (size_t)i) * T + s % T];
                ck_assert_msg(fabs(left - z[i]) < 1e-5, "sample %zu, %d: %g, not %g", s, i, left, z[i]);
            }
        }
        destroy(&f);
    }
}
END_TEST

START_TEST(evaluation_does_not_depend_on_the_team) {
    static const int teams[] = {2, 4, 3};
    for (int kind = 0; kind < KINDS; kind++) {
        struct vqs_settings s = settings_of(kind);
        s.N = 1000;
        struct fixture f = make(test_class(_i), s);
        disturb(&f, 2);
        evaluate(&f, &f.data->train, 1);
        const struct vqs_evaluation alone = f.result;
        struct vqs_level_evaluation level[11] = {{0}};
        uint32_t usage[11];
        memcpy(usage, f.result.usage, sizeof usage);
        const size_t levels = alone.level ? (size_t)f.model.quantizer.n_codebooks * sizeof *level : 0;
        memcpy(level, alone.level ? alone.level : level, levels);
        for (size_t i = 0; i < COUNT_OF(teams); i++) {
            evaluate(&f, &f.data->train, teams[i]);
            ck_assert_mem_eq(&f.result.squared_error, &alone.squared_error, sizeof(double));
            ck_assert_mem_eq(&f.result.distortion, &alone.distortion, sizeof(double));
            ck_assert_mem_eq(&f.result.z_variance, &alone.z_variance, sizeof(double));
            ck_assert_mem_eq(f.result.usage, usage, sizeof usage);
            ck_assert(levels == 0 || !memcmp(f.result.level, level, levels));
        }
        destroy(&f);
    }
}
END_TEST

/* ---- figures --------------------------------------------------------------------------------------------------- */

START_TEST(entropy_and_dead_codes) {
    static const uint32_t even[] = {5, 5, 5, 5}, one[] = {0, 9, 0}, none[] = {0, 0}, some[] = {1, 0, 3};
    ck_assert_double_eq_tol(vqs_entropy(even, 1, 4), log(4), 1e-15);
    ck_assert_double_eq_tol(vqs_entropy(some, 1, 3), 0.25 * log(4) + 0.75 * log(4.0 / 3), 1e-15);
    ck_assert(vqs_entropy(one, 1, 3) == 0);
    ck_assert(isnan(vqs_entropy(none, 1, 2)));
    ck_assert_int_eq(vqs_dead_codes(even, 1, 4), 0);
    ck_assert_int_eq(vqs_dead_codes(one, 1, 3), 2);
    ck_assert_int_eq(vqs_dead_codes(none, 1, 2), 2);
    static const uint32_t large[] = {UINT32_MAX, UINT32_MAX};
    ck_assert_double_eq_tol(vqs_entropy(large, 1, 2), log(2), 1e-15);
}
END_TEST

START_TEST(metrics_follow_their_definitions) {
    uint32_t usage[20] = {4, 4};
    const struct vqs_model m = {.D = 3, .d = 2, .quantizer = {.n_codebooks = 1, .K = 20}};
    const struct vqs_samples samples = {.n = 8, .variance = 2};
    const struct vqs_evaluation e = {.squared_error = 12, .distortion = 6, .z_variance = 3, .usage = usage};
    double metric[VQS_N_METRICS];
    for (int i = 0; i < VQS_N_METRICS; i++) {
        metric[i] = -1;
    }
    vqs_metrics_part(&m, &samples, VQS_PART_EVAL, &e, metric);
    ck_assert_double_eq(metric[VQS_METRIC_mse_eval], 0.5);
    ck_assert_double_eq(metric[VQS_METRIC_explained_variance_eval], 0.75);
    ck_assert_double_eq(metric[VQS_METRIC_quantization_error_eval], 0.25);
    ck_assert_double_eq_tol(metric[VQS_METRIC_entropy_eval], log(2), 1e-15);
    ck_assert_double_eq_tol(metric[VQS_METRIC_perplexity_eval], 2, 1e-14);
    ck_assert_double_eq(metric[VQS_METRIC_dead_codes_eval], 18);
    ck_assert_double_eq_tol(metric[VQS_METRIC_usage_eval], 0.1, 1e-15);
    ck_assert_double_eq(metric[VQS_METRIC_mse_train], -1); /* the other part is left alone */
    ck_assert_double_eq(metric[VQS_METRIC_collapsed], -1);
    for (int dead = 0; dead < 4; dead++) { /* two of twenty is a tenth */
        for (int k = 0; k < 20; k++) {
            usage[k] = k >= dead;
        }
        vqs_metrics_part(&m, &samples, VQS_PART_TRAIN, &e, metric);
        ck_assert_double_eq(metric[VQS_METRIC_dead_codes_train], dead);
        ck_assert_double_eq(metric[VQS_METRIC_collapsed], dead >= 2);
    }
    const struct vqs_samples constant = {.n = 8, .variance = 0};
    const struct vqs_evaluation still = {.squared_error = 12, .distortion = 6, .z_variance = 0, .usage = usage};
    vqs_metrics_part(&m, &constant, VQS_PART_TRAIN, &still, metric);
    ck_assert(isnan(metric[VQS_METRIC_explained_variance_train]) && isnan(metric[VQS_METRIC_quantization_error_train]));
}
END_TEST

/* Two codebooks of 4 codes: means and sums over them, and each by itself. */
START_TEST(metrics_of_several_codebooks) {
    static uint32_t usage[] = {4, 4, 0, 0, 2, 2, 2, 2};
    struct vqs_level_evaluation level[] = {{6, 3}, {4, 0}};
    const struct vqs_model m = {.D = 3, .d = 2, .quantizer = {.n_codebooks = 2, .K = 4}};
    const struct vqs_samples samples = {.n = 8, .variance = 2};
    const struct vqs_evaluation e = {.z_variance = 3, .usage = usage, .level = level};
    double metric[VQS_N_METRICS];
    float values[2 * VQS_N_LEVEL_METRICS], *second = values + VQS_N_LEVEL_METRICS;
    vqs_metrics_part(&m, &samples, VQS_PART_TRAIN, &e, metric);
    ck_assert_double_eq_tol(metric[VQS_METRIC_entropy_train], (log(2) + log(4)) / 2, 1e-15);
    ck_assert_double_eq_tol(metric[VQS_METRIC_perplexity_train], sqrt(8), 1e-14);
    ck_assert_double_eq(metric[VQS_METRIC_dead_codes_train], 2);
    ck_assert_double_eq(metric[VQS_METRIC_usage_train], 0.75);
    ck_assert_double_eq(metric[VQS_METRIC_collapsed], 1);
    for (int i = 0; i < 2 * VQS_N_LEVEL_METRICS; i++) {
        values[i] = -1;
    }
    vqs_metrics_levels(&m, &samples, VQS_PART_EVAL, &e, values);
    ck_assert_double_eq_tol((double)values[VQS_LEVEL_METRIC_entropy_eval], log(2), 1e-7);
    ck_assert_double_eq_tol((double)second[VQS_LEVEL_METRIC_entropy_eval], log(4), 1e-7);
    ck_assert(values[VQS_LEVEL_METRIC_dead_codes_eval] == 2 && second[VQS_LEVEL_METRIC_dead_codes_eval] == 0);
    ck_assert(values[VQS_LEVEL_METRIC_quantization_error_eval] == 0.25F);
    ck_assert(isnan(second[VQS_LEVEL_METRIC_quantization_error_eval])); /* its input does not vary */
    ck_assert(values[VQS_LEVEL_METRIC_entropy_train] == -1 && second[VQS_LEVEL_METRIC_dead_codes_train] == -1);
}
END_TEST

/* ---- the subspace ---------------------------------------------------------------------------------------------- */

/* W and U of which the i-th rows stand at angle[i] for i < both, and the others at right angles to everything. */
static void check_subspace(int d, int r, const double *angle, double recovery, double largest) {
    enum { D = 30, LD = 32 };
    vqs_real W[8 * LD] = {0}, U[8 * LD] = {0};
    for (int i = 0; i < r; i++) {
        U[i * LD + i] = 1;
    }
    for (int i = 0; i < d; i++) {
        W[i * LD + i] = (vqs_real)cos(i < r ? angle[i] : RIGHT_ANGLE);
        W[i * LD + 10 + i] = (vqs_real)sin(i < r ? angle[i] : RIGHT_ANGLE);
    }
    for (int c = 0; c < LD; c++) { /* another basis of the same space */
        const vqs_real a = W[c], b = W[(d - 1) * LD + c];
        if (d > 1) {
            W[c] = (vqs_real)0.6 * a + (vqs_real)0.8 * b;
            W[(d - 1) * LD + c] = (vqs_real)0.8 * a - (vqs_real)0.6 * b;
        }
    }
    const struct vqs_model m = {.D = D, .d = d, .ld = LD, .W = W};
    const struct vqs_dataset data = {.D = D, .ld = LD, .r = r, .basis = U};
    double metric[VQS_N_METRICS];
    ck_assert_int_eq(vqs_metrics_subspace(&m, &data, metric, NULL), VQS_OK);
    ck_assert_double_eq_tol(metric[VQS_METRIC_subspace_recovery], recovery, 1e-6);
    ck_assert_double_eq_tol(metric[VQS_METRIC_principal_angle], largest, largest < 0.1 ? 1e-3 : 1e-6);
}

START_TEST(subspace_metrics) {
    static const double aligned[] = {0, 0, 0}, apart[] = {0.3, 0.7, 1.1},
                        across[] = {RIGHT_ANGLE, RIGHT_ANGLE, RIGHT_ANGLE};
    const double c3 = pow(cos(0.3), 2), c7 = pow(cos(0.7), 2), c11 = pow(cos(1.1), 2);
    check_subspace(1, 1, apart, c3, 0.3);
    check_subspace(3, 3, aligned, 1, 0);
    check_subspace(3, 3, apart, (c3 + c7 + c11) / 3, 1.1);
    check_subspace(3, 3, across, 0, RIGHT_ANGLE);
    check_subspace(2, 3, apart, (c3 + c7) / 2, 0.7); /* fewer filters than dimensions, and more */
    check_subspace(5, 3, apart, (c3 + c7 + c11) / 3, 1.1);
    check_subspace(5, 1, apart, c3, 0.3);
    double metric[VQS_N_METRICS];
    metric[VQS_METRIC_subspace_recovery] = metric[VQS_METRIC_principal_angle] = NAN;
    const struct vqs_dataset unknown = {.D = 30, .ld = 32};
    ck_assert_int_eq(vqs_metrics_subspace(&(struct vqs_model){.d = 2}, &unknown, metric, NULL), VQS_OK);
    ck_assert(isnan(metric[VQS_METRIC_subspace_recovery]) && isnan(metric[VQS_METRIC_principal_angle]));
}
END_TEST

/* ---- k-means --------------------------------------------------------------------------------------------------- */

START_TEST(baseline_finds_the_subspace) {
    struct vqs_settings s = small_settings(true, false);
    s.estimator = vqs_estimator_find("kmeans");
    s.sigma = 0.01;
    s.N = 500;
    s.d = 4;
    struct fixture f = make(test_class(_i), s);
    double metric[VQS_N_METRICS];
    struct vqs_error err = {0};
    ck_assert_msg(vqs_model_kmeans(&s, f.data, &f.model, &f.scratch, &err) == VQS_OK, "%s", err.text);
    ck_assert_int_eq(vqs_metrics_subspace(&f.model, f.data, metric, &err), VQS_OK);
    ck_assert_double_gt(metric[VQS_METRIC_subspace_recovery], 0.999);
    struct naive_result naive = naive_evaluate(&f.model, &f.data->train);
    evaluate(&f, &f.data->train, 1);
    compare(&f, &naive);
    double before = INFINITY;
    for (int i = 0; i < f.model.d; i++) { /* principal components: uncorrelated, the largest first */
        double products[4] = {0};
        for (size_t n = 0; n < f.data->train.n; n++) {
            double z[16];
            encode(&f.model, f.data->train.x + n * f.model.ld, z);
            for (int j = 0; j <= i; j++) {
                products[j] += z[i] * z[j];
            }
        }
        for (int j = 0; j < i; j++) {
            ck_assert_double_lt(fabs(products[j]), 1e-4 * products[i]);
        }
        ck_assert_double_lt(products[i], before);
        before = products[i];
    }
    destroy(&f);
}
END_TEST

START_TEST(lloyd_gap_is_one_for_lloyds_codes) {
    struct vqs_settings s = small_settings(true, false);
    s.codebook_init = VQS_INIT_KMEANS;
    s.kmeans_restarts = s.gap_restarts = 3;
    struct fixture f = make(test_class(_i), s);
    vqs_real *codes = test_reals((size_t)(s.K * s.d));
    evaluate(&f, &f.data->train, 1);
    ck_assert_double_eq_tol(vqs_lloyd_gap(&s, &f.model, (size_t)s.N, &f.result, &f.scratch, codes), 1, 1e-3);
    disturb(&f, 3);
    evaluate(&f, &f.data->train, 1);
    ck_assert_double_gt(vqs_lloyd_gap(&s, &f.model, (size_t)s.N, &f.result, &f.scratch, codes), 1.1);
    s.gap_restarts = 0;
    ck_assert(isnan(vqs_lloyd_gap(&s, &f.model, (size_t)s.N, &f.result, &f.scratch, codes)));
    s.gap_restarts = 1;
    ck_assert(isnan(vqs_lloyd_gap(&s, &f.model, (size_t)s.K - 1, &f.result, &f.scratch, codes)));
    free(codes);
    destroy(&f);
}
END_TEST

/* ---- initial values -------------------------------------------------------------------------------------------- */

START_TEST(initial_codes) {
    struct vqs_settings s = small_settings(false, true);
    s.codebook_init = VQS_INIT_UNIFORM;
    struct fixture f = make(test_class(_i), s);
    for (int i = 0; i < s.K * s.d; i++) {
        ck_assert(fabs((double)f.model.quantizer.codes[i]) <= 1.0 / s.K);
    }
    for (int i = 0; i < s.d; i++) {
        ck_assert(f.model.encoder_bias[i] == 0);
        for (int j = 0; j < s.D; j++) {
            ck_assert(fabs((double)f.model.V[(size_t)i * f.model.ld + (size_t)j]) <= 1 / sqrt(s.d));
        }
    }
    destroy(&f);
    s.codebook_init = VQS_INIT_DATA; /* outputs of the encoder, each of a sample of its own */
    f = make(test_class(_i), s);
    evaluate(&f, &f.data->train, 1);
    ck_assert_int_eq(vqs_dead_codes(f.result.usage, 1, s.K), 0);
    int exact = 0;
    for (size_t n = 0; n < f.data->train.n; n++) {
        double z[16], distance;
        encode(&f.model, f.data->train.x + n * f.model.ld, z);
        nearest(&f.model, 0, z, &distance);
        exact += distance < 1e-10;
    }
    ck_assert_int_eq(exact, s.K);
    destroy(&f);
}
END_TEST

int main(void) {
    const int classes = test_class_count();
    Suite *suite = suite_create("metrics");
    TCase *tests = tcase_create("each class");
    tcase_add_loop_test(tests, evaluation_is_the_naive_one, 0, classes);
    tcase_add_loop_test(tests, evaluation_does_not_depend_on_the_team, 0, classes);
    tcase_add_test(tests, entropy_and_dead_codes);
    tcase_add_test(tests, metrics_follow_their_definitions);
    tcase_add_test(tests, metrics_of_several_codebooks);
    tcase_add_test(tests, subspace_metrics);
    tcase_add_loop_test(tests, baseline_finds_the_subspace, 0, classes);
    tcase_add_loop_test(tests, lloyd_gap_is_one_for_lloyds_codes, 0, classes);
    tcase_add_loop_test(tests, initial_codes, 0, classes);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
