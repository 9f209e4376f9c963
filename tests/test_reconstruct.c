/* test_reconstruct.c - the samples and codes that a trial shows: in the file's units, and those that its metrics are
 * of. */
#include <check.h>
#include <math.h>

#include "settings_text.h"
#include "test_files.h"
#include "testing.h"
#include "vqsweep/train.h"

enum { D = 12, N = 300, N_EVAL = 70 };

static float values[N * D], *const held_out = values + (N - N_EVAL) * D;

static void write_values(void) {
    uint64_t seed = 3;
    for (int i = 0; i < N; i++) {
        const double a = test_uniform(&seed), b = test_uniform(&seed);
        for (int j = 0; j < D; j++) {
            values[i * D + j] = (float)(5 + sin(a * j) + b * j / 3 + 0.05 * test_uniform(&seed));
        }
    }
    scratch_write("values.f32", values, sizeof values);
}

static void run(const char *settings, const char *more, int team, struct vqs_record *record) {
    struct vqs_settings s;
    struct vqs_trainer *trainer = NULL;
    struct vqs_error err = {0};
    settings_of(settings, &s);
    set_all(&s, more);
    ck_assert(vqs_trainer_create(team, NULL, &trainer, NULL) == VQS_OK);
    ck_assert_msg(vqs_trainer_run(trainer, &s, record, &err) == VQS_OK, "%s", err.text);
    ck_assert_int_eq(record->outcome, VQS_OUTCOME_COMPLETED);
    vqs_trainer_destroy(trainer);
}

static const float *values_of(const struct vqs_record *r, int kind) {
    ck_assert_ptr_nonnull(r->arrays[kind].values);
    return r->arrays[kind].values;
}

static double mean_square(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += pow((double)a[i] - (double)b[i], 2);
    }
    return sum / (double)n;
}

static const char *const raw =
    "data=raw path=values.f32 D=12 d=4 K=8 N=200 N_eval=70 epochs=3 batch=50 codebook_init=data split=tail";
static const char *const models[] = {"",
                                     "decoder=tied bias=true",
                                     "levels=2 groups=2",
                                     "encoder=identity decoder=tied d=12",
                                     "model=mlp hidden=16",
                                     "model=mlp hidden=16 levels=3 value_scale=-2.5",
                                     "codebook=fsq fsq_levels=2 K=16",
                                     "estimator=kmeans levels=2"};

/* All that is held out is shown, so the error of what is shown is that of the record. */
START_TEST(what_is_shown_has_the_error_reported) {
    struct vqs_record r = {0};
    run(raw, models[_i], 1, &r);
    ck_assert_ptr_null(r.arrays[VQS_ARRAY_originals].values);
    ck_assert_ptr_null(r.arrays[VQS_ARRAY_code_pictures].values);
    const double mse = r.metric[VQS_METRIC_mse_eval];
    char more[200];
    snprintf(more, sizeof more, "%s reconstructions=70", models[_i]);
    run(raw, more, 1, &r);
    ck_assert_double_eq(r.metric[VQS_METRIC_mse_eval], mse);
    const float *x = values_of(&r, VQS_ARRAY_originals), *xhat = values_of(&r, VQS_ARRAY_reconstructions);
    for (int i = 0; i < N_EVAL * D; i++) {
        ck_assert_double_eq_tol((double)x[i], (double)held_out[i], 4e-6);
    }
    const double scale = strstr(more, "value_scale") ? -2.5 : 1;
    ck_assert_double_eq_tol(mean_square(x, xhat, N_EVAL * D) * scale * scale, mse, 2e-5 * mse);
    const float *places = values_of(&r, VQS_ARRAY_places);
    for (int i = 0; i < N_EVAL; i++, places += VQS_N_PLACES) {
        ck_assert(places[VQS_PLACE_file] == 0 && places[VQS_PLACE_row] == 0 && isnan(places[VQS_PLACE_rate]));
        ck_assert(places[VQS_PLACE_column] == (float)(N - N_EVAL + i));
    }
    vqs_record_destroy(&r);
}
END_TEST

/* With one codebook every reconstruction is the picture of a code, and each code's picture is there as often as the
 * code is used. */
START_TEST(pictures_are_those_of_codes) {
    struct vqs_record r = {0};
    char more[200];
    snprintf(more, sizeof more, "%s levels=1 groups=1 reconstructions=70", models[_i]);
    run(raw, more, 1, &r);
    const float *xhat = values_of(&r, VQS_ARRAY_reconstructions), *code = values_of(&r, VQS_ARRAY_code_pictures);
    const int K = r.arrays[VQS_ARRAY_code_pictures].size[1];
    int found = 0, used = 0;
    for (int k = 0; k < K; k++) {
        int count = 0;
        for (int i = 0; i < N_EVAL; i++) {
            count += mean_square(xhat + i * D, code + k * D, D) < 1e-10;
        }
        found += count;
        used += count > 0;
    }
    ck_assert_int_eq(found, N_EVAL);
    ck_assert_int_eq(K - used, (int)r.metric[VQS_METRIC_dead_codes_eval]);
    vqs_record_destroy(&r);
}
END_TEST

/* Of several codebooks a code stands with zeros for all others: with a linear decoder without biases, pictures less the
 * mean add up to the reconstruction less the mean. */
START_TEST(pictures_of_several_codebooks_add_up) {
    struct vqs_record r = {0};
    run(raw, "levels=2 groups=2 reconstructions=9 center=false", 1, &r);
    const float *xhat = values_of(&r, VQS_ARRAY_reconstructions), *code = values_of(&r, VQS_ARRAY_code_pictures);
    for (int i = 0; i < 9; i++) {
        double best = 1e9;
        for (int combination = 0; combination < 8 * 8 * 8 * 8; combination++) {
            double error = 0;
            for (int j = 0; j < D; j++) {
                double sum = 0;
                for (int c = 0; c < 4; c++) {
                    sum += (double)code[(c * 8 + (combination >> 3 * c & 7)) * D + j];
                }
                error += pow(sum - (double)xhat[i * D + j], 2);
            }
            best = fmin(best, error);
        }
        ck_assert_double_lt(best, 1e-8);
    }
    vqs_record_destroy(&r);
}
END_TEST

/* Where every training sample is a code, what comes back from whitening is one of them. */
START_TEST(whitened_samples_come_back) {
    struct vqs_record r = {0};
    run(raw, "whiten=pca encoder=identity decoder=tied d=12 K=200 epochs=1 lr=0 reconstructions=70", 1, &r);
    const float *x = values_of(&r, VQS_ARRAY_originals), *xhat = values_of(&r, VQS_ARRAY_reconstructions);
    for (int i = 0; i < N_EVAL; i++) {
        double nearest = 1e9;
        for (int k = 0; k < N - N_EVAL; k++) {
            nearest = fmin(nearest, mean_square(xhat + i * D, values + k * D, D));
        }
        ck_assert_double_lt(nearest, 1e-9);
        ck_assert_double_lt(mean_square(x + i * D, held_out + i * D, D), 1e-10);
    }
    vqs_record_destroy(&r);
}
END_TEST

/* A text whose windows are few enough for a code each is read back, by either loss. */
START_TEST(text_is_shown_as_bytes) {
    static const char text[] =
        "abcaabcaabcadeaadeaadeaabcaabcaadeabcaadeaabcaabcadeaabcaadeaabcaabcadeaabcadeaabcaabcadeaabca";
    static const char *const losses[] = {"loss=cross_entropy epochs=300", "loss=mse epochs=300 value_scale=-3"};
    const int size = sizeof text - 1;
    struct vqs_record r = {0};
    scratch_write("text.txt", text, (size_t)size);
    for (int i = 0; i < 2; i++) {
        run("model=mlp hidden=48 d=8 K=24 data=text path=text.txt text_window=3 alphabet=occurring D=15 N=60 N_eval=20 "
            "batch=20 lr=0.005 codebook_init=data split=tail reconstructions=20",
            losses[i], 1, &r);
        const float *x = values_of(&r, VQS_ARRAY_originals), *xhat = values_of(&r, VQS_ARRAY_reconstructions);
        const float *code = values_of(&r, VQS_ARRAY_code_pictures);
        int right = 0;
        ck_assert_int_eq(r.arrays[VQS_ARRAY_code_pictures].size[2], 3);
        for (int j = 0; j < 20 * 3; j++) {
            ck_assert_int_eq((int)x[j], text[size - 22 + j / 3 + j % 3]);
            right += x[j] == xhat[j];
        }
        ck_assert_int_ge(right, 55);
        for (int j = 0; j < 24 * 3; j++) {
            ck_assert(code[j] >= 'a' && code[j] <= 'e');
        }
    }
    vqs_record_destroy(&r);
}
END_TEST

START_TEST(any_number_of_threads_shows_the_same) {
    struct vqs_record r = {0};
    uint64_t digest = 0;
    for (int team = 1; team <= 3; team++) {
        run(raw, "model=mlp hidden=16 levels=2 whiten=zca reconstructions=41", team, &r);
        ck_assert(team == 1 || r.digest == digest);
        digest = r.digest;
    }
    vqs_record_destroy(&r);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("reconstruct");
    TCase *tests = tcase_create("reconstruct");
    tcase_add_checked_fixture(tests, write_values, NULL);
    tcase_add_loop_test(tests, what_is_shown_has_the_error_reported, 0, sizeof models / sizeof *models);
    tcase_add_loop_test(tests, pictures_are_those_of_codes, 0, sizeof models / sizeof *models);
    tcase_add_test(tests, pictures_of_several_codebooks_add_up);
    tcase_add_test(tests, whitened_samples_come_back);
    tcase_add_test(tests, text_is_shown_as_bytes);
    tcase_add_test(tests, any_number_of_threads_shows_the_same);
    suite_add_tcase(suite, tests);
    return run_in_scratch(suite);
}
