/* test_layers.c - what layers do besides multiplying matrices (isa_layers.c), for every CPU class against the same in
 * double. */
#include "testing.h"

static const int widths[] = {1, 2, 3, 7, 15, 16, 17, 33, 64, 100, 256, 1000};

/* Whether a value is as near as a few roundings of things of that size allow. */
static bool near(vqs_real value, double expected, double size) {
    return fabs((double)value - expected) <= 16 * REAL_EPS * size;
}

/* ---- activations ------------------------------------------------------------------------------------------------ */

/* 1 / (1 + e^-2u) of the GELU by tanh, and u's slope. */
static double gelu_share(double x, double *slope) {
    const double c = sqrt(2 / acos(-1));
    *slope = c * (1 + 3 * 0.044715 * x * x);
    return 1 / (1 + exp(-2 * c * (x + 0.044715 * x * x * x)));
}

START_TEST(gelu_and_its_slope) {
    enum { N = 4096 };
    vqs_real *y = test_reals(N), *slope = test_reals(N);
    for (int i = 0; i < N; i++) {
        y[i] = (vqs_real)((i - N / 2) * 0.005);
    }
    y[0] = (vqs_real)-1e3, y[1] = (vqs_real)1e3, y[2] = 0;
    vqs_real *x = test_reals(N);
    memcpy(x, y, N * sizeof *x);
    test_class(_i)->activate(VQS_ACTIVATION_GELU, N, y, slope);
    for (int i = 0; i < N; i++) {
        double du;
        const double at = (double)x[i], s = gelu_share(at, &du);
        const double by = fabs(at) < 100 ? s + 2 * at * s * (1 - s) * du : at > 0;
        ASSERT_IN_LOOP(near(y[i], at * s, 1 + fabs(at)), "gelu %g: %.9g, not %.9g", at, (double)y[i], at * s);
        ASSERT_IN_LOOP(near(slope[i], by, 2), "slope at %g: %.9g, not %.9g", at, (double)slope[i], by);
    }
    free(x), free(y), free(slope);
}
END_TEST

START_TEST(relu_and_its_slope) {
    enum { N = 64 };
    vqs_real *y = test_reals(N), *slope = test_reals(N);
    for (int i = 0; i < N; i++) {
        y[i] = (vqs_real)((i - 20) * 0.5);
    }
    test_class(_i)->activate(VQS_ACTIVATION_RELU, N, y, slope);
    for (int i = 0; i < N; i++) {
        const double at = (i - 20) * 0.5;
        ck_assert((double)y[i] == (at > 0 ? at : 0) && (double)slope[i] == (at > 0));
    }
    free(y), free(slope);
}
END_TEST

/* A loss that left the range of numbers is to be seen. */
START_TEST(activations_keep_what_is_not_finite) {
    enum { N = 32 };
    for (int kind = VQS_ACTIVATION_GELU; kind <= VQS_ACTIVATION_RELU; kind++) {
        vqs_real *y = test_reals(N), *slope = test_reals(N);
        for (int i = 0; i < N; i++) {
            y[i] = i % 2 ? (vqs_real)NAN : (vqs_real)INFINITY;
        }
        test_class(_i)->activate((enum vqs_activation)kind, N, y, slope);
        for (int i = 0; i < N; i++) {
            ck_assert_msg(!isfinite(y[i]), "activation %d of %s", kind, i % 2 ? "NaN" : "infinity");
        }
        free(y), free(slope);
    }
}
END_TEST

/* ---- layer norm ------------------------------------------------------------------------------------------------- */

static double mean_of(int n, const vqs_real *a, const vqs_real *b) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += (double)a[i] * (b ? (double)b[i] : 1);
    }
    return sum / n;
}

static void try_normalize(const struct vqs_kernels *k, uint64_t *state, int width) {
    enum { ROWS = 5 };
    const size_t ld = vqs_row_stride(width);
    vqs_real *y = test_rows(state, ROWS, width), *x = test_reals(ROWS * ld), *unit = test_reals(ROWS * ld);
    vqs_real *gain = test_rows(state, 1, width), *shift = test_rows(state, 1, width), *inv = test_reals(ROWS);
    for (size_t i = 0; i < ROWS * ld; i++) { /* far from 0, but for spare values */
        y[i] = y[i] != 0 ? 3 + y[i] / 2 : 0;
    }
    memcpy(x, y, ROWS * ld * sizeof *x);
    k->normalize(ROWS, width, ld, gain, shift, y, unit, inv);
    for (size_t row = 0; row < ROWS; row++) {
        const double mean = mean_of(width, x + row * ld, NULL);
        double variance = 0;
        for (size_t i = 0; i < (size_t)width; i++) {
            variance += pow((double)x[row * ld + i] - mean, 2) / width;
        }
        const double by = 1 / sqrt(variance + 1e-5);
        ASSERT_IN_LOOP(near(inv[row], by, 10 * by), "width %d: inv %g, not %g", width, (double)inv[row], by);
        for (size_t i = 0; i < ld; i++) {
            const double u = ((double)x[row * ld + i] - mean) * by, size = 10 * (1 + by);
            const double expected = (double)gain[i] * u + (double)shift[i];
            ASSERT_IN_LOOP(i >= (size_t)width || near(unit[row * ld + i], u, size), "width %d: unit", width);
            ASSERT_IN_LOOP(near(y[row * ld + i], expected, i < (size_t)width ? size * (1 + fabs((double)gain[i])) : 0),
                           "width %d, value %zu: %g, not %g", width, i, (double)y[row * ld + i], expected);
        }
    }
    free(y), free(x), free(unit), free(gain), free(shift), free(inv);
}

/* Spare values of unit may be anything finite. */
static void try_normalize_back(const struct vqs_kernels *k, uint64_t *state, int width) {
    enum { ROWS = 5 };
    const size_t ld = vqs_row_stride(width);
    vqs_real *unit = test_normals(state, ROWS * ld), *to_y = test_rows(state, ROWS, width), *g = test_reals(ROWS * ld);
    vqs_real *gain = test_rows(state, 1, width), *inv = test_normals(state, ROWS), *t = test_reals(ld);
    k->normalize_back(ROWS, width, ld, gain, unit, inv, to_y, g);
    for (size_t row = 0; row < ROWS; row++) {
        double most = 0;
        for (size_t i = 0; i < (size_t)width; i++) {
            t[i] = gain[i] * to_y[row * ld + i];
            most = fmax(most, fabs((double)t[i]) * (1 + fabs((double)unit[row * ld + i])));
        }
        const double mean = mean_of(width, t, NULL), along = mean_of(width, t, unit + row * ld);
        for (size_t i = 0; i < (size_t)width; i++) {
            const double u = (double)unit[row * ld + i],
                         expected = (double)inv[row] * ((double)t[i] - mean - u * along);
            ASSERT_IN_LOOP(near(g[row * ld + i], expected, fabs((double)inv[row]) * most * (1 + fabs(u))),
                           "width %d, value %zu: %g, not %g", width, i, (double)g[row * ld + i], expected);
        }
    }
    free(unit), free(to_y), free(g), free(gain), free(inv), free(t);
}

START_TEST(layer_norm) {
    uint64_t state = 1;
    for (size_t i = 0; i < COUNT_OF(widths); i++) {
        try_normalize(test_class(_i), &state, widths[i]);
        try_normalize_back(test_class(_i), &state, widths[i]);
    }
}
END_TEST

/* ---- products and sums ------------------------------------------------------------------------------------------ */

START_TEST(products_are_exact) {
    enum { N = 48 };
    uint64_t state = 2;
    vqs_real *a = test_normals(&state, N), *b = test_normals(&state, N), *before = test_reals(N);
    memcpy(before, a, N * sizeof *a);
    test_class(_i)->multiply(N, b, a);
    for (int i = 0; i < N; i++) {
        ck_assert(a[i] == before[i] * b[i]);
    }
    free(a), free(b), free(before);
}
END_TEST

static void try_column_sums(const struct vqs_kernels *k, uint64_t *state, int rows, size_t ld, size_t first,
                            size_t last) {
    vqs_real *a = test_normals(state, (size_t)rows * ld), *b = test_normals(state, (size_t)rows * ld);
    for (int both = 0; both < 2; both++) {
        vqs_real *sum = test_reals(ld);
        sum[first ? 0 : ld - 1] = 7;
        k->column_sums(rows, ld, first, last, a, both ? b : NULL, sum);
        for (size_t j = first; j < last; j++) {
            struct oracle o = {0};
            for (size_t row = 0; row < (size_t)rows; row++) {
                oracle_add(&o, (double)a[row * ld + j] * (both ? (double)b[row * ld + j] : 1));
            }
            ASSERT_IN_LOOP(close_to(sum[j], o, rows), "%d rows, column %zu: %g, not %g", rows, j, (double)sum[j],
                           o.sum);
        }
        ck_assert((last - first == ld) || sum[first ? 0 : ld - 1] == 7);
        free(sum);
    }
    free(a), free(b);
}

START_TEST(column_sums) {
    uint64_t state = 3;
    for (int rows = 1; rows < 300; rows = rows * 3 + 1) {
        try_column_sums(test_class(_i), &state, rows, 16, 0, 16);
        try_column_sums(test_class(_i), &state, rows, 80, 16, 80);
        try_column_sums(test_class(_i), &state, rows, 256, 0, 240);
    }
}
END_TEST

/* ---- losses ----------------------------------------------------------------------------------------------------- */

START_TEST(squared_errors) {
    uint64_t state = 4;
    for (size_t w = 0; w < COUNT_OF(widths); w++) {
        const size_t n = vqs_row_stride(widths[w]);
        const vqs_real scale = (vqs_real)0.37;
        vqs_real *x = test_rows(&state, 1, widths[w]), *y = test_rows(&state, 1, widths[w]), *g = test_reals(n);
        struct oracle o = {0};
        const double sum = test_class(_i)->squared_error(n, scale, x, y, g);
        for (size_t i = 0; i < n; i++) {
            const double e = (double)y[i] - (double)x[i];
            oracle_add(&o, e * e);
            ASSERT_IN_LOOP(near(g[i], (double)scale * e, fabs((double)x[i]) + fabs((double)y[i])), "gradient %zu", i);
        }
        ck_assert(close_to((vqs_real)sum, o, (double)n));
        free(x), free(y), free(g);
    }
}
END_TEST

static void try_cross_entropy(const struct vqs_kernels *k, uint64_t *state, int n, double spread) {
    const int target = (int)(test_random(state) % (unsigned)n);
    const double scale = 0.25;
    double total = 0, most = -1e300;
    vqs_real *logits = test_reals((size_t)n), *g = test_reals((size_t)n);
    for (int i = 0; i < n; i++) {
        g[i] = logits[i] = (vqs_real)(spread * test_normal(state) + 50);
        most = fmax(most, (double)logits[i]);
    }
    for (int i = 0; i < n; i++) {
        total += exp((double)logits[i] - most);
    }
    const double loss = k->cross_entropy(n, target, (vqs_real)scale, g), at = (double)logits[target] - most;
    ck_assert_msg(fabs(loss - (log(total) - at)) <= 16 * REAL_EPS * (1 + fabs(at) + log(total)),
                  "%d classes: %g, not %g", n, loss, log(total) - at);
    for (int i = 0; i < n; i++) {
        const double p = exp((double)logits[i] - most) / total;
        ASSERT_IN_LOOP(near(g[i], scale * (p - (i == target)), 4 * scale), "%d classes, class %d", n, i);
    }
    free(logits), free(g);
}

START_TEST(cross_entropies) {
    static const int classes[] = {1, 2, 3, 7, 8, 15, 16, 17, 65, 100, 255, 256};
    uint64_t state = 5;
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        try_cross_entropy(test_class(_i), &state, classes[i], 1);
        try_cross_entropy(test_class(_i), &state, classes[i], 200); /* all but certain */
    }
}
END_TEST

/* ---- windows of images ------------------------------------------------------------------------------------------ */

/* What window (y, x) has at (dy, dx), channel c: its number in the image, or -1 outside. */
static int seen(const struct vqs_window *w, int y, int x, int dy, int dx, int c) {
    const int row = y * w->stride + dy - (w->size - w->stride) / 2,
              column = x * w->stride + dx - (w->size - w->stride) / 2;
    const bool inside = row >= 0 && row < w->side && column >= 0 && column < w->side;
    return inside ? (row * w->side + column) * w->channels + c : -1;
}

static void try_windows(const struct vqs_kernels *k, uint64_t *state, const struct vqs_window *w) {
    enum { ROWS = 3 };
    const int places = w->side / w->stride, values = w->size * w->size * w->channels;
    const int pixels = w->side * w->side * w->channels;
    const size_t ld_image = vqs_row_stride(pixels), ld = vqs_row_stride(values),
                 lines = (size_t)(ROWS * places * places);
    vqs_real *images = test_rows(state, ROWS, pixels), *unrolled = test_normals(state, lines * ld);
    vqs_real *windows = test_normals(state, lines * ld), *b = test_normals(state, (size_t)w->channels);
    vqs_real *folded = test_normals(state, ROWS * ld_image), *without = test_normals(state, ROWS * ld_image);
    double *sum = test_alloc(ROWS * ld_image, sizeof *sum);
    k->unroll(w, ROWS, ld_image, images, ld, unrolled);
    k->fold(w, ROWS, ld, windows, b, ld_image, folded);
    k->fold(w, ROWS, ld, windows, NULL, ld_image, without);
    for (int row = 0; row < ROWS; row++) {
        for (int i = 0; i < places * places * values; i++) {
            const int place = i / values, v = i % values, c = v % w->channels, pixel = v / w->channels;
            const int at = seen(w, place / places, place % places, pixel / w->size, pixel % w->size, c);
            const size_t line = ((size_t)(row * places * places + place)) * ld + (size_t)v;
            const vqs_real expected = at < 0 ? 0 : images[(size_t)row * ld_image + (size_t)at];
            ASSERT_IN_LOOP(unrolled[line] == expected, "%d pixels, windows of %d, %d apart: row %d, value %d", w->side,
                           w->size, w->stride, row, i);
            if (at >= 0) {
                sum[(size_t)row * ld_image + (size_t)at] += (double)windows[line];
            }
        }
        for (size_t i = 0; i < ld_image; i++) {
            const size_t at = (size_t)row * ld_image + i;
            const bool spare = i >= (size_t)pixels;
            const double bias = spare ? 0 : (double)b[i % (size_t)w->channels], size = spare ? 0 : 40;
            ASSERT_IN_LOOP(near(folded[at], sum[at] + bias, size) && near(without[at], sum[at], size),
                           "%d pixels, windows of %d, %d apart: row %d, pixel %zu", w->side, w->size, w->stride, row,
                           i);
        }
    }
    free(images), free(unrolled), free(windows), free(b), free(folded), free(without), free(sum);
}

START_TEST(windows_of_images) {
    static const struct vqs_window windows[] = {{8, 3, 4, 2},  {8, 1, 3, 1},  {9, 3, 3, 3},  {6, 16, 4, 2},
                                                {4, 1, 9, 2},  {2, 1, 9, 1},  {1, 3, 1, 1},  {10, 3, 5, 2},
                                                {4, 32, 3, 2}, {12, 1, 6, 4}, {16, 3, 4, 4}, {8, 16, 2, 2}};
    uint64_t state = 6;
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        try_windows(test_class(_i), &state, &windows[i]);
    }
}
END_TEST

int main(void) {
    const int classes = test_class_count();
    Suite *suite = suite_create("layers");
    TCase *tests = tcase_create("each class");
    tcase_add_loop_test(tests, gelu_and_its_slope, 0, classes);
    tcase_add_loop_test(tests, relu_and_its_slope, 0, classes);
    tcase_add_loop_test(tests, activations_keep_what_is_not_finite, 0, classes);
    tcase_add_loop_test(tests, layer_norm, 0, classes);
    tcase_add_loop_test(tests, products_are_exact, 0, classes);
    tcase_add_loop_test(tests, column_sums, 0, classes);
    tcase_add_loop_test(tests, squared_errors, 0, classes);
    tcase_add_loop_test(tests, cross_entropies, 0, classes);
    tcase_add_loop_test(tests, windows_of_images, 0, classes);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
