/* isa_layers.c - what layers do besides multiplying matrices: activations, layer norm, sums over a batch, softmax,
 * windows of images. */
#include "isa_kernels.h"
#include "simd_math.h"

#include <math.h>
#include <string.h>

/* ---- activations ------------------------------------------------------------------------------------------------ */

/* x s, s = 1 / (1 + e^-2u) = (1 + tanh u) / 2, u = sqrt(2/pi) (x + 0.044715 x^3)   Hendrycks, Gimpel 2016 */
static void gelu(size_t n, vqs_real *y, vqs_real *slope) {
    const vf one = v_set(1), c = v_set((vqs_real)1.5957691216057308), cubic = v_set((vqs_real)0.044715); /* 2 sqrt(2/pi) */
    for (size_t i = 0; i < n; i += VL) {
        const vf x = v_load(y + i), xx = cubic * x * x;
        const vf s = one / (one + v_exp(v_set(0) - c * x * (one + xx)));
        v_store(y + i, x * s);
        v_store(slope + i, s + x * s * (one - s) * c * (one + v_set(3) * xx));
    }
}

static void relu(size_t n, vqs_real *restrict y, vqs_real *restrict slope) {
    _Pragma("omp simd") for (size_t i = 0; i < n; i++) {
        slope[i] = y[i] > 0 ? 1 : 0;
        y[i] = y[i] > 0 ? y[i] : 0 * y[i]; /* what is not finite stays so */
    }
}

void KERNEL(activate)(enum vqs_activation activation, size_t n, vqs_real *y, vqs_real *slope) {
    if (activation == VQS_ACTIVATION_GELU) {
        gelu(n, y, slope);
    } else {
        relu(n, y, slope);
    }
}

/* ---- layer norm (Ba, Kiros, Hinton 2016) ------------------------------------------------------------------------ */

/* Mean of a[i], or of (a[i] - *from)^2 */
static vqs_real mean_of(int n, const vqs_real *a, const vqs_real *from) {
    vf sum = v_set(0);
    vqs_real rest = 0;
    int i = 0;
    for (; i + VL <= n; i += VL) {
        const vf v = v_load(a + i), off = from ? v - v_set(*from) : v;
        sum += from ? off * off : v;
    }
    for (; i < n; i++) {
        rest += from ? (a[i] - *from) * (a[i] - *from) : a[i];
    }
    return (v_sum(sum) + rest) / (vqs_real)n;
}

void KERNEL(normalize)(int rows, int width, size_t ld, const vqs_real *gain, const vqs_real *shift, vqs_real *y,
                       vqs_real *unit, vqs_real *inv) {
    for (int row = 0; row < rows; row++, y += ld, unit += ld) {
        const vqs_real mean = mean_of(width, y, NULL), variance = mean_of(width, y, &mean);
        inv[row] = 1 / real_sqrt(variance + (vqs_real)1e-5);
        for (size_t i = 0; i < ld; i += VL) {
            const vf at = (v_load(y + i) - v_set(mean)) * v_set(inv[row]);
            v_store(unit + i, at);
            v_store(y + i, v_load(gain + i) * at + v_load(shift + i));
        }
    }
}

/* With t = gain to_y: g = inv (t - mean t - unit mean(t unit)). */
void KERNEL(normalize_back)(int rows, int width, size_t ld, const vqs_real *gain, const vqs_real *unit,
                            const vqs_real *inv, const vqs_real *to_y, vqs_real *g) {
    for (int row = 0; row < rows; row++, unit += ld, to_y += ld, g += ld) {
        vf sum = v_set(0), along = v_set(0);
        for (size_t i = 0; i < ld; i += VL) {
            const vf t = v_load(gain + i) * v_load(to_y + i);
            sum += t;
            along += t * v_load(unit + i);
        }
        const vf mean = v_set(v_sum(sum) / (vqs_real)width), turn = v_set(v_sum(along) / (vqs_real)width);
        for (size_t i = 0; i < ld; i += VL) {
            const vf t = v_load(gain + i) * v_load(to_y + i);
            v_store(g + i, v_set(inv[row]) * (t - mean - v_load(unit + i) * turn));
        }
    }
}

/* ---- products and sums ------------------------------------------------------------------------------------------ */

void KERNEL(multiply)(size_t n, const vqs_real *b, vqs_real *a) {
    for (size_t i = 0; i < n; i += VL) {
        v_store(a + i, v_load(a + i) * v_load(b + i));
    }
}

void KERNEL(column_sums)(int rows, size_t ld, size_t first, size_t last, const vqs_real *a, const vqs_real *b,
                         vqs_real *sum) {
    for (size_t j = first; j < last; j += VL) {
        vf total = v_set(0);
        for (size_t row = 0; row < (size_t)rows; row++) {
            const vf v = v_load(a + row * ld + j);
            total += b ? v * v_load(b + row * ld + j) : v;
        }
        v_store(sum + j, total);
    }
}

/* ---- losses ----------------------------------------------------------------------------------------------------- */

double KERNEL(squared_error)(size_t n, vqs_real scale, const vqs_real *x, const vqs_real *xhat, vqs_real *g) {
    vf sum = v_set(0);
    for (size_t i = 0; i < n; i += VL) {
        const vf e = v_load(xhat + i) - v_load(x + i);
        sum += e * e;
        v_store(g + i, v_set(scale) * e);
    }
    return (double)v_sum(sum);
}

double KERNEL(cross_entropy)(int n, int target, vqs_real scale, vqs_real *logits) {
    enum { MOST = 256 };
    _Alignas(64) vqs_real p[MOST];
    vqs_real most = logits[0];
    for (int i = 1; i < n; i++) {
        most = logits[i] > most ? logits[i] : most;
    }
    const int whole = (n + VL - 1) / VL * VL;
    for (int i = 0; i < whole; i++) {
        p[i] = i < n ? logits[i] - most : (vqs_real)-INFINITY;
    }
    const double off = (double)(logits[target] - most);
    vf sum = v_set(0);
    for (int i = 0; i < whole; i += VL) {
        const vf e = v_exp(v_load(p + i));
        v_store(p + i, e);
        sum += e;
    }
    const vqs_real total = v_sum(sum), share = scale / total;
    for (int i = 0; i < n; i++) {
        logits[i] = share * p[i] - (i == target ? scale : 0);
    }
    return log((double)total) - off;
}

/* ---- windows of images ------------------------------------------------------------------------------------------ */

/* What of a window lies in the image. */
struct part {
    int top, bottom;        /* rows of the window, [top, bottom) */
    size_t image, line;     /* where their values begin, in the image and in the line, */
    size_t row, window_row; /* from one row to the next in each, */
    size_t n;               /* and values of a row */
};

INLINE struct part part_of(const struct vqs_window *w, int y, int x) {
    const int before = (w->size - w->stride) / 2, y0 = y * w->stride - before, x0 = x * w->stride - before;
    const int top = y0 < 0 ? -y0 : 0, bottom = w->size < w->side - y0 ? w->size : w->side - y0;
    const int left = x0 < 0 ? -x0 : 0, right = w->size < w->side - x0 ? w->size : w->side - x0;
    return (struct part){.top = top,
                         .bottom = bottom,
                         .image = (size_t)(((y0 + top) * w->side + x0 + left) * w->channels),
                         .line = (size_t)((top * w->size + left) * w->channels),
                         .row = (size_t)(w->side * w->channels),
                         .window_row = (size_t)(w->size * w->channels),
                         .n = (size_t)((right - left) * w->channels)};
}

void KERNEL(unroll)(const struct vqs_window *w, int rows, size_t ld_image, const vqs_real *images, size_t ld,
                    vqs_real *lines) {
    const int places = w->side / w->stride;
    const size_t values = (size_t)(w->size * w->size * w->channels);
    for (int row = 0; row < rows; row++, images += ld_image) {
        for (int i = 0; i < places * places; i++, lines += ld) {
            const struct part p = part_of(w, i / places, i % places);
            const vqs_real *restrict from = images + p.image;
            vqs_real *restrict to = lines + p.line;
            if ((size_t)(p.bottom - p.top) * p.n < values) {
                memset(lines, 0, values * sizeof *lines);
            }
            for (int dy = p.top; dy < p.bottom; dy++, from += p.row, to += p.window_row) {
                _Pragma("omp simd") for (size_t j = 0; j < p.n; j++) {
                    to[j] = from[j];
                }
            }
        }
    }
}

void KERNEL(fold)(const struct vqs_window *w, int rows, size_t ld, const vqs_real *lines, const vqs_real *b,
                  size_t ld_image, vqs_real *images) {
    const int places = w->side / w->stride, channels = w->channels;
    const size_t pixels = (size_t)(w->side * w->side);
    for (int row = 0; row < rows; row++, images += ld_image) {
        memset(images, 0, ld_image * sizeof *images);
        for (size_t i = 0; b && i < pixels; i++) {
            memcpy(images + i * (size_t)channels, b, (size_t)channels * sizeof *images);
        }
        for (int i = 0; i < places * places; i++, lines += ld) {
            const struct part p = part_of(w, i / places, i % places);
            const vqs_real *restrict from = lines + p.line;
            vqs_real *restrict to = images + p.image;
            for (int dy = p.top; dy < p.bottom; dy++, from += p.window_row, to += p.row) {
                _Pragma("omp simd") for (size_t j = 0; j < p.n; j++) {
                    to[j] += from[j];
                }
            }
        }
    }
}
