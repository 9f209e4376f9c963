/* test_task.c - scores of images, recordings and text against what they must be, and as metrics of trials. */
#include <check.h>
#include <math.h>

#include "settings_text.h"
#include "test_files.h"
#include "testing.h"
#include "vqsweep/task.h"
#include "vqsweep/train.h"

enum { PATCH = 10, CHANNELS = 3, D = PATCH * PATCH * CHANNELS };

/* One sample and its reconstruction. */
struct pair {
    struct vqs_settings settings;
    vqs_real x[D], xhat[D], mean[D];
    struct vqs_samples samples;
};

static void draw_pair(const char *settings, uint64_t seed, struct pair *p) {
    settings_of(settings, &p->settings);
    for (int i = 0; i < D; i++) {
        p->x[i] = (vqs_real)(test_uniform(&seed) - 0.5);
        p->mean[i] = (vqs_real)(0.5 + 0.1 * sin(i));
        p->xhat[i] = p->x[i] + (vqs_real)(0.2 * (test_uniform(&seed) - 0.5));
    }
    p->samples = (struct vqs_samples){.n = 1, .x = p->x, .mean = p->mean};
}

static double score_of(const struct pair *p) {
    const struct vqs_task task = vqs_task_of(&p->settings);
    return vqs_task_score(&task, &p->samples, 0, D, p->xhat);
}

/* Wang et al. 2004, eq. 13, by raw moments: a patch of 10 x 10 has one window of 8 x 8 in every channel. */
static double naive_ssim(const struct pair *p) {
    double sum = 0;
    for (int c = 0; c < CHANNELS; c++) {
        double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
        for (int row = 0; row < 8; row++) {
            for (int column = 0; column < 8; column++) {
                const int i = (row * PATCH + column) * CHANNELS + c;
                const double a = (double)p->x[i] + (double)p->mean[i], b = (double)p->xhat[i] + (double)p->mean[i];
                x += a / 64, y += b / 64, xx += a * a / 64, yy += b * b / 64, xy += a * b / 64;
            }
        }
        sum += (2 * x * y + 1e-4) * (2 * (xy - x * y) + 9e-4) /
               ((x * x + y * y + 1e-4) * (xx - x * x + yy - y * y + 9e-4)) / CHANNELS;
    }
    return sum;
}

START_TEST(ssim) {
    struct pair p;
    draw_pair("data=images path=x patch=10 D=300", 1, &p);
    ck_assert_double_eq_tol(score_of(&p), naive_ssim(&p), 1e-6);
    ck_assert(score_of(&p) < 0.999 && score_of(&p) > 0.8);
    p.xhat[9 * PATCH * CHANNELS] += 1; /* in no window */
    ck_assert_double_eq_tol(score_of(&p), naive_ssim(&p), 1e-6);
    memcpy(p.xhat, p.x, sizeof p.x);
    ck_assert_double_eq_tol(score_of(&p), 1, 1e-12);
    set_all(&p.settings, "patch_mean=remove");
    ck_assert_int_eq(vqs_task_of(&p.settings).kind, VQS_TASK_NONE);
    ck_assert_double_eq(vqs_task_of(&p.settings).peak, 1); /* a difference does not miss the mean */
    set_all(&p.settings, "whiten=zca");
    ck_assert_double_eq(vqs_task_of(&p.settings).peak, 0);
}
END_TEST

START_TEST(segmental_snr) {
    struct pair p;
    draw_pair("data=audio path=x frame=300 D=300", 2, &p);
    for (int i = 0; i < D; i++) {
        p.xhat[i] = (vqs_real)0.9 * (p.x[i] + p.mean[i]) - p.mean[i];
    }
    ck_assert_double_eq_tol(score_of(&p), 20, 1e-4);
    memcpy(p.xhat, p.x, sizeof p.x);
    ck_assert_double_eq(score_of(&p), 35);
    for (int i = 0; i < D; i++) {
        p.x[i] = -p.mean[i]; /* silence */
    }
    ck_assert_double_eq(score_of(&p), -10);
    memcpy(p.xhat, p.x, sizeof p.x);
    ck_assert_double_eq(score_of(&p), 35);
    p.xhat[7] = NAN;
    ck_assert(isnan(score_of(&p)));
}
END_TEST

static void run(const char *settings, struct vqs_record *record) {
    struct vqs_settings s;
    struct vqs_trainer *trainer = NULL;
    struct vqs_error err = {0};
    settings_of(settings, &s);
    ck_assert(vqs_trainer_create(1, NULL, &trainer, NULL) == VQS_OK);
    ck_assert_msg(vqs_trainer_run(trainer, &s, record, &err) == VQS_OK, "%s", err.text);
    vqs_trainer_destroy(trainer);
}

/* Without a step forward the loss in training is that of the evaluation, and text as good as unknown costs log2 of its
 * classes. */
START_TEST(metrics_of_trials) {
    struct vqs_record r = {0};
    const double *m = r.metric;
    float values[20];
    for (int i = 0; i < 20; i++) {
        values[i] = (float)sin(i);
    }
    scratch_write("values.f32", values, sizeof values);
    scratch_write("text.txt", "abacadaeabbccddeecabdaebacedbaacbadebcadeabcdeabcdeaabbccddeeeabdcaebbdacae", 75);
    run("model=mlp hidden=16 d=4 K=9 loss=cross_entropy data=text path=text.txt text_window=3 alphabet=occurring D=15 "
        "N=60 N_eval=10 epochs=1 lr=0 codebook_init=data", &r);
    ck_assert_double_eq_tol(m[VQS_METRIC_cross_entropy_train], r.curves[VQS_CURVE_loss_rec], 1e-6);
    ck_assert_double_eq_tol(m[VQS_METRIC_bits_per_byte_eval], m[VQS_METRIC_cross_entropy_eval] / log(2), 1e-12);
    ck_assert(isnan(m[VQS_METRIC_mse_train]) && isnan(m[VQS_METRIC_psnr_eval]) && isnan(m[VQS_METRIC_ssim_eval]));
    run("model=mlp hidden=32 d=8 K=32 loss=cross_entropy data=text path=text.txt text_window=3 alphabet=occurring D=15 "
        "N=60 N_eval=10 epochs=200 batch=20 lr=0.01 codebook_init=data", &r);
    ck_assert(m[VQS_METRIC_cross_entropy_train] < 0.4 * log(5));
    run("model=mlp hidden=16 data=raw path=values.f32 D=1 d=1 K=4 N=10 N_eval=5 epochs=1 lr=0 peak=2 codebook_init=data "
        "levels=2", &r);
    ck_assert_double_eq_tol(m[VQS_METRIC_mse_train], r.curves[VQS_CURVE_loss_rec], 1e-6 * m[VQS_METRIC_mse_train]);
    ck_assert_double_eq_tol(m[VQS_METRIC_psnr_eval], 10 * log10(4 / m[VQS_METRIC_mse_eval]), 1e-9);
    ck_assert_double_eq_tol(m[VQS_METRIC_bits_per_sample_eval], 2 * m[VQS_METRIC_entropy_eval] / log(2), 1e-12);
    run("epochs=1 D=16 K=9", &r);
    ck_assert_double_eq_tol(m[VQS_METRIC_bits_per_value_eval], m[VQS_METRIC_entropy_eval] / log(2) / 16, 1e-12);
    ck_assert(isnan(m[VQS_METRIC_psnr_eval]) && isnan(m[VQS_METRIC_cross_entropy_eval]));
    vqs_record_destroy(&r);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("task");
    TCase *tests = tcase_create("scores");
    tcase_add_test(tests, ssim);
    tcase_add_test(tests, segmental_snr);
    tcase_add_test(tests, metrics_of_trials);
    suite_add_tcase(suite, tests);
    return run_in_scratch(suite);
}
