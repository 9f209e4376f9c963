/* mlp.h - encoder and decoder as multilayer perceptrons: their parameters, forward and backward over rows.
 *
 * A layer is y = act(norm(W x + b)) where it is hidden, and y = W x + b where it is the last. The encoder goes from D by
 * hidden_layers of width `hidden` to d, the decoder from d by as many to D. norm is the identity without layer_norm.
 * A batch is rows: [rows][ld], ld the width rounded up as vqs_row_stride does it, so that layers are products of
 * matrices, which OpenBLAS takes.
 *
 * The one rule: what OpenBLAS makes of a row depends on how many rows it is given at a time and on its kernels, not on
 * threads: callers cut a batch the same way whoever works on it.
 *
 * Initial values: W of a hidden layer is uniform with variance 2 / in (Kaiming: He et al. 2015), of a last one with
 * variance 1 / in (LeCun et al. 1998), from the stream (seed, VQS_RNG_ENCODER or VQS_RNG_DECODER, layer); with
 * `orthonormal` the encoder's last is an orthonormalised Gaussian. b and shift are 0, gain is 1.
 *
 * Life cycle: vqs_mlp_carve from an arena, vqs_mlp_init, then use. Nothing here allocates.
 */
#ifndef VQS_MLP_H
#define VQS_MLP_H

#include "vqsweep/kernels.h"

enum { VQS_MOST_LAYERS = 9 };

struct vqs_layer {
    int in, out;
    size_t ld_in, ld_out;   /* of rows of `in` and `out` values */
    bool hidden, norm;      /* else the last; whether it has a layer norm */
    vqs_real *W;            /* [out][ld_in] */
    vqs_real *b;            /* [ld_out] */
    vqs_real *gain, *shift; /* [ld_out] of the layer norm */
};

struct vqs_net {
    const struct vqs_kernels *kernels;
    enum vqs_activation activation;
    uint32_t purpose; /* of its initial values */
    int n;
    struct vqs_layer layer[VQS_MOST_LAYERS];
};

struct vqs_mlp {
    struct vqs_net encoder, decoder;
    size_t tile_scratch; /* values */
};

/* What a layer keeps of its rows for the way back. Each is [rows][ld_out]; slope is of hidden layers only, unit and inv
 * of those with a norm. */
struct vqs_trace {
    vqs_real *y;
    vqs_real *slope; /* of the activation; after the way back the gradient to what was activated */
    vqs_real *unit;  /* what the norm makes of W x + b, before gain and shift */
    vqs_real *inv;   /* [rows] 1 / the deviation it divided by */
    vqs_real *g;     /* gradient to y; after the way back that to W x + b */
};

/* The number of parameters, a multiple of VQS_ROW_UNIT. */
size_t vqs_mlp_n_params(const struct vqs_settings *settings);
/* `params` has room for them, the encoder's last W before all others; or is NULL, where only shapes are wanted. */
void vqs_mlp_carve(const struct vqs_settings *settings, const struct vqs_kernels *kernels, vqs_real *params,
                   struct vqs_mlp *mlp);
void vqs_mlp_init(const struct vqs_settings *settings, struct vqs_mlp *mlp);

/* Traces of `rows` rows. Those that are not to go back share what they can: y by turns, slope, unit; and have no g. */
void vqs_net_carve(const struct vqs_net *net, int rows, bool back, struct vqs_arena *arena,
                   struct vqs_trace trace[VQS_MOST_LAYERS]);
/* Rows [first, first + rows) of x [..][ld_in of the first layer] and of the traces: y of all layers. */
void vqs_net_forward(const struct vqs_net *net, const vqs_real *x, int first, int rows, const struct vqs_trace *trace);
/* From g of the last layer to those of all, and to the gradient to x unless gx is NULL. */
void vqs_net_backward(const struct vqs_net *net, int first, int rows, const struct vqs_trace *trace, vqs_real *gx);
/* The parts of the parameters' gradients, which threads may share; and one of them, into `grad`, which is laid out as
 * the parameters from `params` on are. */
int vqs_net_parts(const struct vqs_net *net);
void vqs_net_gradient(const struct vqs_net *net, int part, const vqs_real *x, int rows, const struct vqs_trace *trace,
                      const vqs_real *params, vqs_real *grad);

/* A tile [d][VQS_TILE] of n rows of d values, the last again in the lanes that are over; and back. */
void vqs_rows_to_tile(int d, const vqs_real *rows, int n, vqs_real *tile);
void vqs_tile_to_rows(int d, const vqs_real *tile, int n, vqs_real *rows);

/* One tile without a way back: what the encoder makes of the samples `rows` of x, and the decoder of q, both latent
 * ones [d][VQS_TILE]; xhat is [VQS_TILE][ld]. `scratch` has so many values. */
size_t vqs_mlp_tile_scratch(const struct vqs_settings *settings);
void vqs_mlp_encode(const struct vqs_mlp *mlp, const vqs_real *x, const uint32_t *rows, vqs_real *scratch,
                    vqs_real *z);
void vqs_mlp_decode(const struct vqs_mlp *mlp, const vqs_real *q, vqs_real *scratch, vqs_real *xhat);

#endif
