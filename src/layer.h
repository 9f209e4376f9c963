/* layer.h - a layer of a network over rows of samples: dense, a convolution, or a convolution transposed.
 *
 * All are one product, Y = X W^T, of lines of `in` values with W [out][in]; they differ in what a line is:
 *
 *   dense       X is x, a line a sample, Y is y
 *   conv        a line of X is a window of the image x (struct vqs_window), Y is y: a pixel of `out` channels a window
 *   transposed  X is x, a line a pixel; a line of Y is a window that is added to the image y
 *
 * A hidden layer is y = act(norm(Y + b)), the last of a network y = Y + b. b and the norm are over the channels of a
 * pixel, or over all values of a dense layer; the norm is the identity without layer_norm. Images have their channels
 * last: [side][side][channels].
 *
 * The one rule: what OpenBLAS makes of a row depends on how many rows it is given at a time and on its kernels, not on
 * threads: callers cut a batch the same way whoever works on it, and a convolution cuts what it is given into blocks
 * whose size depends on its shape alone.
 *
 * Life cycle: a network (mlp.h) shapes its layers and gives them their parameters. Nothing here allocates.
 */
#ifndef VQS_LAYER_H
#define VQS_LAYER_H

#include "vqsweep/kernels.h"

enum vqs_layer_kind { VQS_DENSE, VQS_CONV, VQS_TRANSPOSED };

struct vqs_layer {
    const struct vqs_kernels *kernels;
    enum vqs_layer_kind kind;
    enum vqs_activation activation;
    bool hidden, norm;        /* else the last; whether it has a layer norm */
    bool orthonormal;         /* W's rows, or its columns where they are fewer, are kept orthonormal */
    struct vqs_window window; /* of a convolution: what a line is */
    int in, out;              /* of a line */
    size_t ld_in, ld_out;     /* of lines of `in` and `out` values */
    int lines;                /* in a sample */
    int width, places;        /* a sample's y is `places` times `width` values, each of which has one b, gain, shift */
    size_t row_in, row_out;   /* values from one sample to the next, of x and of y */
    vqs_real *W;              /* [out][ld_in] */
    vqs_real *b;              /* [vqs_row_stride(width)] */
    vqs_real *gain, *shift;   /* the same, of the layer norm */
};

/* What a layer keeps of its samples for the way back. Each is [rows][row_out]; slope is of hidden layers only, unit and
 * inv of those with a norm. */
struct vqs_trace {
    vqs_real *y;
    vqs_real *slope; /* of the activation; after the way back the gradient to what was activated */
    vqs_real *unit;  /* what the norm makes of Y + b, before gain and shift */
    vqs_real *inv;   /* [rows][places] 1 / the deviation it divided by */
    vqs_real *g;     /* gradient to y; after the way back that to Y + b */
};

/* Values of scratch that the functions below want; none if dense. */
size_t vqs_layer_scratch(const struct vqs_layer *layer);
/* The same traces from row `first` on. */
struct vqs_trace vqs_trace_from(const struct vqs_layer *layer, const struct vqs_trace *trace, int first);
/* y of the first `rows` samples of x. */
void vqs_layer_forward(const struct vqs_layer *layer, const vqs_real *x, int rows, const struct vqs_trace *trace,
                       vqs_real *scratch);
/* g becomes the gradient to Y + b, gx that to x, unless it is NULL. */
void vqs_layer_backward(const struct vqs_layer *layer, int rows, const struct vqs_trace *trace, vqs_real *gx,
                        vqs_real *scratch);
/* The gradients of its parameters, of which there are so many parts, which threads may share. They go where `grad` has
 * them, which is laid out as the parameters from `params` on are. */
int vqs_layer_parts(const struct vqs_layer *layer);
void vqs_layer_gradient(const struct vqs_layer *layer, int part, const vqs_real *x, int rows,
                        const struct vqs_trace *trace, const vqs_real *params, vqs_real *grad, vqs_real *scratch);

#endif
