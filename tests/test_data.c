/* test_data.c - data sets drawn from a subspace, and what decides them. */
#include "make_data.h"
#include "test_files.h"

static struct vqs_settings small_settings(void) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    s.D = 24;
    s.r = 3;
    s.N = 500;
    s.N_eval = 300;
    return s;
}

/* The true latent of a sample without noise: U^T x. */
static double latent_of(const struct vqs_dataset *data, const struct vqs_samples *part, size_t i, int component) {
    double sum = 0;
    for (int j = 0; j < data->D; j++) {
        sum += element(data, part, i, j) * (double)data->basis[(size_t)component * data->ld + (size_t)j];
    }
    return sum;
}

/* ---- x = U s + sigma e ----------------------------------------------------------------------------------------- */

START_TEST(basis_is_orthonormal) {
    static const int shapes[][2] = {{24, 3}, {32, 32}, {128, 2}, {1, 1}, {300, 20}};
    use_class(_i);
    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        struct vqs_settings settings = small_settings();
        settings.D = shapes[s][0];
        settings.r = shapes[s][1];
        settings.N = settings.N_eval = 1;
        struct vqs_dataset *data = create(&settings);
        ck_assert_int_eq(data->r, settings.r);
        for (int a = 0; a < data->r; a++) {
            for (int b = 0; b <= a; b++) {
                double sum = 0;
                for (size_t j = 0; j < data->ld; j++) {
                    sum +=
                        (double)data->basis[(size_t)a * data->ld + j] * (double)data->basis[(size_t)b * data->ld + j];
                }
                ck_assert_double_eq_tol(sum, a == b, 64 * REAL_EPS);
            }
            for (size_t j = (size_t)data->D; j < data->ld; j++) {
                ck_assert(data->basis[(size_t)a * data->ld + j] == 0);
            }
        }
        vqs_dataset_destroy(data);
    }
}
END_TEST

START_TEST(variance_is_that_of_the_model) {
    use_class(_i);
    struct vqs_settings s = small_settings();
    s.N = 20000;
    s.sigma = 0.3;
    s.latent_scale = 1.5;
    struct vqs_dataset *data = create(&s);
    const double expected = (3 * 1.5 * 1.5 + 24 * 0.3 * 0.3) / 24;
    ck_assert_double_eq_tol(data->train.variance, expected, 0.02 * expected);
    ck_assert_double_eq_tol(data->eval.variance, expected, 0.2 * expected);
    check_summary(data, &data->train);
    check_summary(data, &data->eval);
    vqs_dataset_destroy(data);
}
END_TEST

/* What is drawn has no units of its own, and nothing is kept for the way back. */
START_TEST(drawn_data_are_restored_as_they_are) {
    use_class(_i);
    const struct vqs_settings s = small_settings();
    struct vqs_dataset *data = create(&s);
    float restored[24];
    ck_assert(!data->eval.number && !data->eval.patch_mean && !data->whiten && !data->unwhiten);
    for (size_t i = 0; i < data->eval.n; i++) {
        vqs_dataset_restore(data, &data->eval, i, data->eval.x + i * data->ld, restored);
        for (int j = 0; j < data->D; j++) {
            ck_assert(restored[j] == (float)data->eval.x[i * data->ld + (size_t)j]);
        }
    }
    vqs_dataset_destroy(data);
}
END_TEST

/* sigma scales e and does not change its draws. */
START_TEST(noise_scales) {
    use_class(_i);
    struct vqs_settings s = small_settings();
    s.sigma = 0;
    struct vqs_dataset *clean = create(&s);
    s.sigma = 0.1;
    struct vqs_dataset *little = create(&s);
    s.sigma = 0.3;
    struct vqs_dataset *much = create(&s);
    double inside = 0, noise = 0;
    for (int part = 0; part < 2; part++) {
        const struct vqs_samples *c = part ? &clean->eval : &clean->train, *l = part ? &little->eval : &little->train;
        const struct vqs_samples *m = part ? &much->eval : &much->train;
        for (size_t i = 0; i < c->n; i++) {
            double norm = (double)c->sq[i];
            for (int a = 0; a < clean->r; a++) {
                norm -= pow(latent_of(clean, c, i, a), 2);
            }
            inside = fmax(inside, fabs(norm) / (double)c->sq[i]); /* without noise x lies in the subspace */
            for (int j = 0; j < clean->D; j++) {
                const double x = element(clean, c, i, j), e1 = element(little, l, i, j) - x;
                const double e3 = element(much, m, i, j) - x;
                ck_assert_msg(fabs(e3 - 3 * e1) < 16 * REAL_EPS * (1 + fabs(x)), "sample %zu, %d", i, j);
                noise += e1 * e1;
            }
        }
    }
    ck_assert_double_lt(inside, 64 * REAL_EPS);
    ck_assert_double_eq_tol(sqrt(noise / (800 * 24)), 0.1, 0.1 * 4 / sqrt(2 * 800 * 24));
    vqs_dataset_destroy(clean), vqs_dataset_destroy(little), vqs_dataset_destroy(much);
}
END_TEST

/* How many samples of a part equal an earlier one. */
static int repeated(const struct vqs_dataset *data, const struct vqs_samples *part) {
    int n = 0;
    for (size_t i = 1; i < part->n; i++) {
        bool found = false;
        for (size_t j = 0; j < i && !found; j++) {
            found = part->sq[i] == part->sq[j] && same_bits(part->x + i * data->ld, part->x + j * data->ld, data->ld);
        }
        n += found;
    }
    return n;
}

START_TEST(no_sample_is_drawn_twice) {
    static const double scales[][2] = {{0, 1}, {1, 0}}; /* of noise and latent: one alone must tell samples apart */
    use_class(_i);
    for (int D = 24; D <= 32; D += 8) { /* rows with and without padding */
        for (size_t i = 0; i < COUNT_OF(scales); i++) {
            struct vqs_settings s = small_settings();
            s.D = D;
            s.sigma = scales[i][0];
            s.latent_scale = scales[i][1];
            struct vqs_dataset *data = create(&s);
            ck_assert_int_eq(repeated(data, &data->train), 0);
            ck_assert_int_eq(repeated(data, &data->eval), 0);
            vqs_dataset_destroy(data);
        }
    }
}
END_TEST

struct moments {
    double mean, variance, kurtosis, largest;
};

static struct moments latent_moments(const struct vqs_dataset *data) {
    struct moments m = {0};
    const double n = (double)data->train.n * data->r;
    for (size_t i = 0; i < data->train.n; i++) {
        for (int a = 0; a < data->r; a++) {
            const double s = latent_of(data, &data->train, i, a);
            m.mean += s / n;
            m.variance += s * s / n;
            m.kurtosis += s * s * s * s / n;
            m.largest = fmax(m.largest, fabs(s));
        }
    }
    m.kurtosis /= m.variance * m.variance;
    return m;
}

START_TEST(latents_have_their_moments) {
    use_class(_i);
    struct vqs_settings s = small_settings();
    s.sigma = 0;
    s.N = 10000;
    s.latent_scale = 2;
    struct vqs_dataset *data = create(&s);
    struct moments m = latent_moments(data);
    ck_assert_double_eq_tol(m.mean, 0, 2 * 4 / sqrt(3e4));
    ck_assert_double_eq_tol(m.variance, 4, 4 * 4 * sqrt(2 / 3e4));
    ck_assert_double_eq_tol(m.kurtosis, 3, 0.15);
    vqs_dataset_destroy(data);
    s.latent = VQS_LATENT_UNIFORM;
    data = create(&s);
    m = latent_moments(data);
    ck_assert_double_eq_tol(m.mean, 0, 2 * 4 / sqrt(3e4));
    ck_assert_double_eq_tol(m.variance, 4, 0.1);
    ck_assert_double_eq_tol(m.kurtosis, 1.8, 0.03);
    ck_assert_double_lt(m.largest, 2 * sqrt(3) * (1 + 1e-5));
    ck_assert_double_gt(m.largest, 2 * sqrt(3) * 0.999);
    vqs_dataset_destroy(data);
}
END_TEST

/* Without spread a mixture has as many values as centres, about equally often. */
START_TEST(mixture_has_its_centres) {
    enum { CENTRES = 5, N = 5000 };
    use_class(_i);
    struct vqs_settings s = small_settings();
    s.latent = VQS_LATENT_MIXTURE;
    s.mixture_centres = CENTRES;
    s.mixture_spread = 0;
    s.sigma = 0;
    s.N = N;
    struct vqs_dataset *tight = create(&s);
    s.mixture_spread = 0.05;
    struct vqs_dataset *wide = create(&s);
    size_t first[CENTRES];
    int found = 0, count[CENTRES] = {0};
    double spread = 0, chi2 = 0;
    for (size_t i = 0; i < N; i++) {
        int c = 0;
        while (c < found &&
               !same_bits(tight->train.x + i * tight->ld, tight->train.x + first[c] * tight->ld, tight->ld)) {
            c++;
        }
        ck_assert_int_lt(c, CENTRES);
        if (c == found) {
            first[found++] = i;
        }
        count[c]++;
        for (int a = 0; a < 3; a++) { /* the same components are drawn whatever the spread */
            spread += pow(latent_of(wide, &wide->train, i, a) - latent_of(tight, &tight->train, i, a), 2) / (3 * N);
        }
    }
    for (int c = 0; c < CENTRES; c++) {
        chi2 += pow(count[c] - N / CENTRES, 2) / (N / CENTRES);
    }
    ck_assert_double_lt(chi2, 18.5); /* 4 degrees of freedom, p = 0.001 */
    ck_assert_double_eq_tol(sqrt(spread), 0.05, 0.05 * 4 / sqrt(2 * 3 * N));
    vqs_dataset_destroy(tight), vqs_dataset_destroy(wide);
}
END_TEST

/* ---- what decides the data ------------------------------------------------------------------------------------- */

START_TEST(parts_do_not_depend_on_each_others_size) {
    use_class(_i);
    struct vqs_settings s = small_settings();
    struct vqs_dataset *data = create(&s);
    s.N = 777;
    struct vqs_dataset *more = create(&s);
    s.N_eval = 33;
    struct vqs_dataset *fewer = create(&s);
    ck_assert(same_samples(data, more, 500, 300));
    ck_assert(same_samples(more, fewer, 777, 33));
    double correlation = 0; /* and they are not the same samples */
    for (size_t i = 0; i < 300; i++) {
        for (int j = 0; j < data->D; j++) {
            correlation += element(data, &data->train, i, j) * element(data, &data->eval, i, j) / data->train.variance;
        }
    }
    ck_assert_double_lt(fabs(correlation), 4.5 * sqrt(300 * 24) * sqrt(24.0 / 3));
    vqs_dataset_destroy(data), vqs_dataset_destroy(more), vqs_dataset_destroy(fewer);
}
END_TEST

/* Sets `assignments`, "name=value" separated by blanks, and tells whether key and samples stay those of `reference`. */
static void compare_with(const struct vqs_dataset *reference, const char *assignments, bool *same_key, bool *same) {
    struct vqs_settings s = small_settings();
    char copy[200], *rest = copy;
    snprintf(copy, sizeof copy, "%s", assignments);
    for (char *name; (name = strtok_r(rest, " ", &rest));) {
        char *value = strchr(name, '=');
        *value++ = '\0';
        struct vqs_error err = {0};
        ck_assert_msg(!vqs_setting_parse((enum vqs_setting_id)vqs_setting_find(name), value, &s, &err), "%s", err.text);
    }
    struct vqs_dataset *data = create(&s);
    *same_key = data->key == reference->key;
    *same = same_samples(data, reference, (size_t)(s.N < 500 ? s.N : 500), (size_t)(s.N_eval < 300 ? s.N_eval : 300));
    vqs_dataset_destroy(data);
}

START_TEST(data_key_decides_the_data) {
    static const char *const without_effect[] = {
        "estimator=rotation K=64 d=8 beta=1", "estimator=kmeans kmeans_restarts=2", "decoder=tied bias=true lr=0.1",
        "codebook_init=kmeans batch=32 epochs=3", "mixture_centres=3 mixture_spread=0.5 label_columns=1 center=false"};
    static const char *const with_effect[] = {"seed=2",         "sigma=0.2",        "latent=uniform",
                                              "latent=mixture", "latent_scale=1.1", "r=4"};
    const struct vqs_settings s = small_settings();
    struct vqs_dataset *reference = create(&s);
    bool same_key, same;
    for (size_t i = 0; i < COUNT_OF(without_effect); i++) {
        compare_with(reference, without_effect[i], &same_key, &same);
        ck_assert_msg(same_key && same, "%s", without_effect[i]);
    }
    for (size_t i = 0; i < COUNT_OF(with_effect); i++) {
        compare_with(reference, with_effect[i], &same_key, &same);
        ck_assert_msg(!same_key && !same, "%s", with_effect[i]);
    }
    compare_with(reference, "N=501", &same_key, &same); /* another key, yet what both have is equal */
    ck_assert(!same_key && same);
    vqs_dataset_destroy(reference);
}
END_TEST

int main(void) {
    const int classes = test_class_count();
    Suite *suite = suite_create("data");
    TCase *tests = tcase_create("data");
    tcase_add_loop_test(tests, basis_is_orthonormal, 0, classes);
    tcase_add_loop_test(tests, variance_is_that_of_the_model, 0, classes);
    tcase_add_loop_test(tests, drawn_data_are_restored_as_they_are, 0, classes);
    tcase_add_loop_test(tests, noise_scales, 0, classes);
    tcase_add_loop_test(tests, no_sample_is_drawn_twice, 0, classes);
    tcase_add_loop_test(tests, latents_have_their_moments, 0, classes);
    tcase_add_loop_test(tests, mixture_has_its_centres, 0, classes);
    tcase_add_loop_test(tests, parts_do_not_depend_on_each_others_size, 0, classes);
    tcase_add_test(tests, data_key_decides_the_data);
    suite_add_tcase(suite, tests);
    return run_here(suite);
}
