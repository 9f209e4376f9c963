/* test_probe.c - the gradient probe against closed forms, in double.
 *
 * Of two codes the smoothed loss is l_0 + (l_1 - l_0) Phi(t), t the signed distance from z to the boundary over h, and
 * its gradient (l_1 - l_0) phi(t) / h along the normal. With encoder and decoder the identity, ste gives q - x. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"
#include "testing.h"
#include "vqsweep/record.h"

enum { N = 200, SIDE = 9 };

struct fixture {
    struct vqs_settings s;
    struct vqs_dataset *data;
    struct vqs_arena arena;
    struct vqs_work work;
    struct vqs_batch batch;
    float *values; /* of either probe */
};

static void carve(struct fixture *f) {
    vqs_work_carve(&f->s, vqs_kernels_get(), 1, &f->arena, &f->work);
}

static double sqr(double a) {
    return a * a;
}

static const double code[2][2] = {{-0.5, 0.25}, {0.75, -0.5}};

/* A model of the plane with two codes that are not symmetric to anything. */
static void set_up(struct fixture *f) {
    memset(f, 0, sizeof *f);
    vqs_settings_default(&f->s);
    f->s.data = VQS_DATA_PLANE2D;
    f->s.encoder = VQS_ENCODER_IDENTITY;
    f->s.decoder = VQS_DECODER_TIED;
    f->s.D = f->s.d = 2;
    f->s.K = 2;
    f->s.N = f->s.N_eval = 256;
    f->s.probe_epochs.n = 1;
    f->s.probe_samples = N;
    f->s.probe_h = 0.8;
    f->s.field_grid = SIDE;
    f->s.field_extent = 1.5;
    f->values = malloc((size_t)(vqs_estimator_count() + 1) * SIDE * SIDE * 2 * sizeof *f->values);
    ck_assert(vqs_dataset_create(&f->s, NULL, &f->data, NULL) == VQS_OK);
    carve(f);
    ck_assert(vqs_arena_create(&f->arena, f->arena.used, NULL) == VQS_OK);
    carve(f);
    vqs_model_init(&f->s, f->data, &f->work.model, &f->work.scratch);
    memcpy(f->work.model.quantizer.params, code, sizeof code);
    vqs_model_refresh(&f->work.model);
    f->batch.samples = &f->data->train;
    vqs_batch_begin(&f->s, &f->work, f->work.scratch.order, f->s.batch, 1, &f->batch);
}

static void tear_down(struct fixture *f) {
    vqs_arena_destroy(&f->arena);
    vqs_dataset_destroy(f->data);
    free(f->values);
}

static int nearest(const double *x) {
    return hypot(x[0] - code[1][0], x[1] - code[1][1]) < hypot(x[0] - code[0][0], x[1] - code[0][1]);
}

/* Distance of z to the boundary, positive on the side of code 1. */
static double distance(const double *z) {
    const double n[2] = {code[1][0] - code[0][0], code[1][1] - code[0][1]}, length = hypot(n[0], n[1]);
    double t = 0;
    for (int i = 0; i < 2; i++) {
        t += n[i] / length * (z[i] - (code[0][i] + code[1][i]) / 2);
    }
    return t;
}

static void exact_gradient(const double *x, double h, double g[2]) {
    const double n[2] = {code[1][0] - code[0][0], code[1][1] - code[0][1]}, length = hypot(n[0], n[1]);
    double loss[2];
    for (int j = 0; j < 2; j++) {
        loss[j] = (sqr(x[0] - code[j][0]) + sqr(x[1] - code[j][1])) / 2;
    }
    const double density = exp(-sqr(distance(x) / h) / 2) / sqrt(2 * acos(-1)) / h;
    for (int i = 0; i < 2; i++) {
        g[i] = (loss[1] - loss[0]) * density * n[i] / length;
    }
}

static const float *quantities(const struct fixture *f, const char *estimator, int region) {
    const int row = vqs_estimator_find(estimator);
    return f->values + (row * VQS_N_REGIONS + region) * VQS_N_QUANTITIES;
}

/* What the probe should say of ste in a region: bias, cosine, share of points, given h. */
struct expected {
    double bias, cosine, n;
};

static struct expected expect_ste(const struct fixture *f, double h, int region) {
    double off = 0, norm = 0, own = 0, dot = 0, n = 0;
    for (size_t i = 0; i < N; i++) {
        const double x[2] = {(double)f->data->eval.x[i * f->data->ld], (double)f->data->eval.x[i * f->data->ld + 1]};
        double g[2];
        if (region != VQS_REGION_all && (fabs(distance(x)) < h) != (region == VQS_REGION_near)) {
            continue;
        }
        exact_gradient(x, h, g);
        for (int c = 0; c < 2; c++) {
            const double ste = code[nearest(x)][c] - x[c];
            off += sqr(ste - g[c]);
            norm += sqr(g[c]);
            own += sqr(ste);
            dot += ste * g[c];
        }
        n++;
    }
    return (struct expected){sqrt(off / norm), dot / sqrt(own * norm), n};
}

static double smoothing(const struct fixture *f) {
    double sum = 0;
    for (size_t i = 0; i < N; i++) {
        const double x[2] = {(double)f->data->eval.x[i * f->data->ld], (double)f->data->eval.x[i * f->data->ld + 1]};
        sum += sqr(x[0] - code[nearest(x)][0]) + sqr(x[1] - code[nearest(x)][1]);
    }
    return f->s.probe_h * sqrt(sum / (2 * N));
}

START_TEST(bias_of_ste_is_the_analytic_one) {
    struct fixture f;
    set_up(&f);
    const double h = smoothing(&f);
    vqs_probe_samples(&f.work.probe, &f.work.model, &f.batch.step, &f.data->eval, 0, f.values);
    for (int region = 0; region < VQS_N_REGIONS; region++) {
        const struct expected e = expect_ste(&f, h, region);
        const float *v = quantities(&f, "ste", region);
        ck_assert_double_eq(v[VQS_QUANTITY_n_samples], e.n);
        ck_assert(e.n > 20);
        ck_assert_double_eq_tol(v[VQS_QUANTITY_bias], e.bias, 0.02 * e.bias);
        ck_assert_double_eq_tol(v[VQS_QUANTITY_cosine], e.cosine, 0.02);
        ck_assert_double_eq(v[VQS_QUANTITY_std], 0);
        ck_assert_double_eq_tol(v[VQS_QUANTITY_alignment], 1, 1e-6); /* tied: g is along u */
    }
    ck_assert(quantities(&f, "ste", VQS_REGION_all)[VQS_QUANTITY_target_error] < f.s.probe_error);
    const float *rotation = quantities(&f, "rotation", VQS_REGION_all); /* tied, so the same estimator */
    ck_assert_double_eq_tol(rotation[VQS_QUANTITY_bias], quantities(&f, "ste", VQS_REGION_all)[VQS_QUANTITY_bias],
                            1e-6);
    tear_down(&f);
}
END_TEST

/* projector(0, 0) gives nothing: its bias is 1, whatever g* is. */
START_TEST(no_gradient_has_a_bias_of_one) {
    struct fixture f;
    set_up(&f);
    f.s.estimator = vqs_estimator_find("projector"); /* so that a and b count */
    f.s.a = f.s.b = 0;
    f.arena.used = 0;
    carve(&f);
    vqs_model_init(&f.s, f.data, &f.work.model, &f.work.scratch);
    memcpy(f.work.model.quantizer.params, code, sizeof code);
    vqs_model_refresh(&f.work.model);
    vqs_batch_begin(&f.s, &f.work, f.work.scratch.order, f.s.batch, 1, &f.batch);
    vqs_probe_samples(&f.work.probe, &f.work.model, &f.batch.step, &f.data->eval, 3, f.values);
    const float *v = quantities(&f, "projector", VQS_REGION_all);
    ck_assert_double_eq_tol(v[VQS_QUANTITY_bias], 1, 0.001);
    ck_assert(isnan(v[VQS_QUANTITY_cosine]));
    tear_down(&f);
}
END_TEST

START_TEST(fields_are_those_of_the_plane) {
    struct fixture f;
    double squares = 0, off = 0, norm = 0;
    set_up(&f);
    for (int i = 0; i < SIDE * SIDE; i++) {
        const double x[2] = {-1.5 + i % SIDE * 3.0 / (SIDE - 1), -1.5 + i / SIDE * 3.0 / (SIDE - 1)};
        squares += sqr(x[0] - code[nearest(x)][0]) + sqr(x[1] - code[nearest(x)][1]);
    }
    const double h = f.s.probe_h * sqrt(squares / (2 * SIDE * SIDE));
    vqs_probe_plane(&f.work.probe, &f.work.model, &f.batch.step, 1, f.values);
    const float *ste = f.values, *smoothed = f.values + vqs_estimator_count() * SIDE * SIDE * 2;
    ck_assert_str_eq(vqs_estimator_get(0)->name, "ste");
    for (int i = 0; i < SIDE * SIDE; i++) {
        const double x[2] = {-1.5 + i % SIDE * 3.0 / (SIDE - 1), -1.5 + i / SIDE * 3.0 / (SIDE - 1)};
        double g[2];
        exact_gradient(x, h, g);
        for (int c = 0; c < 2; c++) {
            ck_assert_double_eq_tol(ste[2 * i + c], code[nearest(x)][c] - x[c], 1e-6);
            off += sqr(smoothed[2 * i + c] - g[c]);
            norm += sqr(g[c]);
        }
    }
    ck_assert_double_lt(sqrt(off / norm), 1.5 * f.s.probe_error);
    tear_down(&f);
}
END_TEST

/* What a trial does not use cannot be seen in its probe. */
START_TEST(unused_parameters_do_not_count) {
    struct fixture f;
    float before[VQS_N_QUANTITIES];
    set_up(&f);
    f.s.probe_pairs = 1024;
    f.s.probe_error = 1;
    for (int pass = 0; pass < 2; pass++) {
        f.s.a = pass ? 0.125 : 1; /* of projector, which does not train here */
        f.arena.used = 0;
        carve(&f);
        vqs_model_init(&f.s, f.data, &f.work.model, &f.work.scratch);
        vqs_batch_begin(&f.s, &f.work, f.work.scratch.order, f.s.batch, 1, &f.batch);
        vqs_probe_samples(&f.work.probe, &f.work.model, &f.batch.step, &f.data->eval, 0, f.values);
        if (pass) {
            ck_assert_mem_eq(before, quantities(&f, "projector", 0), sizeof before);
        }
        memcpy(before, quantities(&f, "projector", 0), sizeof before);
    }
    tear_down(&f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("probe");
    TCase *tests = tcase_create("closed forms");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, bias_of_ste_is_the_analytic_one);
    tcase_add_test(tests, no_gradient_has_a_bias_of_one);
    tcase_add_test(tests, fields_are_those_of_the_plane);
    tcase_add_test(tests, unused_parameters_do_not_count);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
