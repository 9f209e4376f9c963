/* layer.c - a layer forward, back, and the gradients of its parameters. */
#include "layer.h"

#include <string.h>

#include <cblas.h>

#ifdef VQS_REAL_IS_DOUBLE
#define gemm cblas_dgemm
#else
#define gemm cblas_sgemm
#endif

/* ---- blocks of samples ------------------------------------------------------------------------------------------ */

enum { WINDOWS = 1 << 16 }; /* values of windows at a time, about: they are to stay in a cache */

static size_t windows_of_sample(const struct vqs_layer *layer) {
    return (size_t)layer->lines * (layer->kind == VQS_CONV ? layer->ld_in : layer->ld_out);
}

/* Of `rows` samples, how many are worked on at a time. */
static int block_of(const struct vqs_layer *layer, int rows) {
    const size_t fit = layer->kind == VQS_DENSE ? (size_t)rows : WINDOWS / windows_of_sample(layer);
    return fit < 1 ? 1 : fit < (size_t)rows ? (int)fit : rows;
}

size_t vqs_layer_scratch(const struct vqs_layer *layer) {
    if (layer->kind == VQS_DENSE) {
        return 0;
    }
    const size_t one = windows_of_sample(layer), windows = one > WINDOWS ? one : WINDOWS;
    return windows > layer->row_out ? windows : layer->row_out; /* sums by columns want that */
}

struct vqs_trace vqs_trace_from(const struct vqs_layer *layer, const struct vqs_trace *t, int first) {
    const size_t at = (size_t)first * layer->row_out;
    return (struct vqs_trace){t->y + at, layer->hidden ? t->slope + at : NULL, layer->norm ? t->unit + at : NULL,
                              layer->norm ? t->inv + (size_t)first * (size_t)layer->places : NULL,
                              t->g ? t->g + at : NULL};
}

/* From one place's values to the next, where vectors of them are taken: in all layers but one that makes an image. */
static size_t ld_of_places(const struct vqs_layer *layer) {
    return layer->row_out / (size_t)layer->places;
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

/* b into all of `places` places of y. */
static void fill(const struct vqs_layer *layer, size_t places, vqs_real *y) {
    const size_t ld = ld_of_places(layer);
    memcpy(y, layer->b, ld * sizeof *y);
    for (size_t done = 1; done < places; done *= 2) {
        const size_t more = done < places - done ? done : places - done;
        memcpy(y + done * ld, y, more * ld * sizeof *y);
    }
}

/* y = X W^T + b */
static void product(const struct vqs_layer *layer, const vqs_real *x, int rows, vqs_real *y, vqs_real *scratch) {
    const struct vqs_kernels *k = layer->kernels;
    const bool transposed = layer->kind == VQS_TRANSPOSED;
    vqs_real *Y = transposed ? scratch : y;
    if (layer->kind == VQS_CONV) {
        k->unroll(&layer->window, rows, layer->row_in, x, layer->ld_in, scratch);
        x = scratch;
    }
    if (!transposed) {
        fill(layer, (size_t)rows * (size_t)layer->places, y);
    }
    gemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows * layer->lines, layer->out, layer->in, 1, x, (int)layer->ld_in,
         layer->W, (int)layer->ld_in, transposed ? 0 : 1, Y, (int)layer->ld_out);
    if (transposed) {
        k->fold(&layer->window, rows, layer->ld_out, scratch, layer->b, layer->row_out, y);
    }
}

void vqs_layer_forward(const struct vqs_layer *layer, const vqs_real *x, int rows, const struct vqs_trace *trace,
                       vqs_real *scratch) {
    const int block = block_of(layer, rows);
    for (int first = 0; first < rows; first += block) {
        const int n = rows - first < block ? rows - first : block;
        const struct vqs_trace t = vqs_trace_from(layer, trace, first);
        product(layer, x + (size_t)first * layer->row_in, n, t.y, scratch);
        if (layer->norm) {
            layer->kernels->normalize(n * layer->places, layer->width, ld_of_places(layer), layer->gain, layer->shift,
                                      t.y, t.unit, t.inv);
        }
        if (layer->hidden) {
            layer->kernels->activate(layer->activation, (size_t)n * layer->row_out, t.y, t.slope);
        }
    }
}

/* ---- back ------------------------------------------------------------------------------------------------------- */

/* g becomes the gradient to Y + b. */
static void through_activation(const struct vqs_layer *layer, int rows, const struct vqs_trace *t) {
    const struct vqs_kernels *k = layer->kernels;
    const size_t n = (size_t)rows * layer->row_out;
    if (layer->norm) { /* slope is kept, for the gradients of gain and shift */
        k->multiply(n, t->g, t->slope);
        k->normalize_back(rows * layer->places, layer->width, ld_of_places(layer), layer->gain, t->unit, t->inv,
                          t->slope, t->g);
    } else if (layer->hidden) {
        k->multiply(n, t->slope, t->g);
    }
}

/* The gradient to Y: g, or the windows of it. */
static const vqs_real *gradient_to_product(const struct vqs_layer *layer, int rows, const vqs_real *g,
                                           vqs_real *scratch) {
    if (layer->kind != VQS_TRANSPOSED) {
        return g;
    }
    layer->kernels->unroll(&layer->window, rows, layer->row_out, g, layer->ld_out, scratch);
    return scratch;
}

void vqs_layer_backward(const struct vqs_layer *layer, int rows, const struct vqs_trace *trace, vqs_real *gx,
                        vqs_real *scratch) {
    const int block = block_of(layer, rows);
    for (int first = 0; first < rows; first += block) {
        const int n = rows - first < block ? rows - first : block;
        const struct vqs_trace t = vqs_trace_from(layer, trace, first);
        through_activation(layer, n, &t);
        if (gx) {
            vqs_real *to = gx + (size_t)first * layer->row_in, *X = layer->kind == VQS_CONV ? scratch : to;
            gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n * layer->lines, layer->in, layer->out, 1,
                 gradient_to_product(layer, n, t.g, scratch), (int)layer->ld_out, layer->W, (int)layer->ld_in, 0, X,
                 (int)layer->ld_in);
            if (layer->kind == VQS_CONV) {
                layer->kernels->fold(&layer->window, n, layer->ld_in, scratch, NULL, layer->row_in, to);
            }
        }
    }
}

/* ---- gradients of the parameters -------------------------------------------------------------------------------- */

enum { OUTPUTS = 256 }; /* of a dense layer, in one part */

int vqs_layer_parts(const struct vqs_layer *layer) {
    return layer->kind == VQS_DENSE ? (layer->out + OUTPUTS - 1) / OUTPUTS : 1;
}

/* dW [out][in] = (gradient to Y)^T X, of outputs [first, last) */
static void gradient_of_W(const struct vqs_layer *layer, size_t first, size_t last, const vqs_real *x, int rows,
                          const vqs_real *g, vqs_real *dW, vqs_real *scratch) {
    const int block = block_of(layer, rows);
    for (int row = 0; row < rows; row += block) {
        const int n = rows - row < block ? rows - row : block;
        const vqs_real *X = x + (size_t)row * layer->row_in;
        const vqs_real *G = gradient_to_product(layer, n, g + (size_t)row * layer->row_out, scratch);
        if (layer->kind == VQS_CONV) {
            layer->kernels->unroll(&layer->window, n, layer->row_in, X, layer->ld_in, scratch);
            X = scratch;
        }
        gemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)(last - first), layer->in, n * layer->lines, 1, G + first,
             (int)layer->ld_out, X, (int)layer->ld_in, row ? 1 : 0, dW + first * layer->ld_in, (int)layer->ld_in);
    }
}

/* Of columns [first, last) of the places' values: sum over all places of a, times b unless that is NULL. Spare sums up
 * to whole vectors are 0. */
static void sum_places(const struct vqs_layer *layer, size_t first, size_t last, int rows, const vqs_real *a,
                       const vqs_real *b, vqs_real *sum, vqs_real *scratch) {
    const size_t ld = ld_of_places(layer), whole = vqs_row_stride((int)last), width = (size_t)layer->width;
    if (ld >= whole) {
        layer->kernels->column_sums(rows * layer->places, ld, first, whole, a, b, sum);
    } else { /* the image's channels lie closer than vectors do */
        layer->kernels->column_sums(rows, layer->row_out, 0, layer->row_out, a, b, scratch);
        memset(sum, 0, whole * sizeof *sum);
        for (size_t i = 0; i < width * (size_t)layer->places; i++) {
            sum[i % width] += scratch[i];
        }
    }
    for (size_t j = last; j < whole; j++) {
        sum[j] = 0;
    }
}

void vqs_layer_gradient(const struct vqs_layer *layer, int part, const vqs_real *x, int rows, const struct vqs_trace *t,
                        const vqs_real *params, vqs_real *grad, vqs_real *scratch) {
    const bool dense = layer->kind == VQS_DENSE;
    const size_t first = (size_t)part * OUTPUTS, out = (size_t)layer->out;
    const size_t last = dense && first + OUTPUTS < out ? first + OUTPUTS : out;
    const size_t end = dense ? last : (size_t)layer->width;
    gradient_of_W(layer, first, last, x, rows, t->g, grad + (layer->W - params), scratch);
    sum_places(layer, first, end, rows, t->g, NULL, grad + (layer->b - params), scratch);
    if (layer->norm) {
        sum_places(layer, first, end, rows, t->slope, t->unit, grad + (layer->gain - params), scratch);
        sum_places(layer, first, end, rows, t->slope, NULL, grad + (layer->shift - params), scratch);
    }
}
