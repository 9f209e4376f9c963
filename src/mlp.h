/* mlp.h - encoder and decoder as networks of layers (layer.h): their shapes, parameters, forward and backward over
 * rows.
 *
 * model: mlp    The encoder goes from D by hidden_layers dense layers of width `hidden` to d, the decoder from d by as
 *               many to D.
 * model: conv   A sample is a square image of one or three channels, channels last, which D gives away: p x p or
 *               p x p x 3. The encoder's conv_layers convolutions have windows of conv_kernel x conv_kernel pixels,
 *               conv_stride apart, and conv_channels channels, twice as many in each next one; a last dense layer makes
 *               d values of all that is left. The decoder is the mirror image: a dense layer from d, which is a hidden
 *               one here, and transposed convolutions, the last of which makes the image.
 *
 * A batch is rows: [rows][ld], ld the width rounded up as vqs_row_stride does it, so that layers are products of
 * matrices, which OpenBLAS takes.
 *
 * The one rule: layer.h's.
 *
 * Initial values: with n the inputs that an output has (of a transposed convolution on the average), W of a hidden
 * layer is uniform with variance 2 / n (Kaiming: He et al. 2015), of a last one with variance 1 / n (LeCun et al.
 * 1998), from the stream (seed, VQS_RNG_ENCODER or VQS_RNG_DECODER, layer); what is kept orthonormal is an
 * orthonormalised Gaussian. b and shift are 0, gain is 1.
 *
 * Life cycle: vqs_mlp_carve from an arena, vqs_mlp_init, then use. Nothing here allocates.
 */
#ifndef VQS_MLP_H
#define VQS_MLP_H

#include "layer.h"
#include "vqsweep/orthonormal.h"

enum { VQS_MOST_LAYERS = 9 };

struct vqs_net {
    uint32_t purpose; /* of its initial values */
    int n;
    struct vqs_layer layer[VQS_MOST_LAYERS];
};

struct vqs_mlp {
    struct vqs_net encoder, decoder;
    size_t n_kept;       /* of the parameters, the first: matrices that are kept orthonormal */
    size_t scratch;      /* values that a network wants */
    size_t tile_scratch; /* values that a tile wants */
};

/* The side and the channels of the images that samples of D values are; false where they can be none. */
bool vqs_conv_image(int D, int *side, int *channels);

/* The values that the encoder's last layer is given. */
int vqs_mlp_before_last(const struct vqs_settings *settings);
/* The number of parameters, a multiple of VQS_ROW_UNIT. */
size_t vqs_mlp_n_params(const struct vqs_settings *settings);
/* Multiply-adds of a sample on its way through both networks; of a convolution half as many again, for its windows take
 * as long as that. */
double vqs_mlp_operations(const struct vqs_settings *settings);
/* The same of what makes the matrices orthonormal again that are kept so. */
double vqs_mlp_retract_operations(const struct vqs_settings *settings);
/* `params` has room for them, matrices that are kept orthonormal before all others and the encoder's last W first; or
 * is NULL, where only shapes are wanted. */
void vqs_mlp_carve(const struct vqs_settings *settings, const struct vqs_kernels *kernels, vqs_real *params,
                   struct vqs_mlp *mlp);
/* Values of scratch that the next two want. */
size_t vqs_mlp_retract_scratch(const struct vqs_settings *settings);
void vqs_mlp_init(const struct vqs_settings *settings, struct vqs_mlp *mlp, vqs_real *scratch);
/* What is to be orthonormal, made so again. Returns vqs_retract's flips, of all. */
int vqs_mlp_retract(const struct vqs_mlp *mlp, enum vqs_retraction kind, vqs_real *scratch);

/* Traces of `rows` rows. Those that are not to go back share what they can: y by turns, slope, unit; and have no g. */
void vqs_net_carve(const struct vqs_net *net, int rows, bool back, struct vqs_arena *arena,
                   struct vqs_trace trace[VQS_MOST_LAYERS]);
/* Rows [first, first + rows) of x [..][row_in of the first layer] and of the traces: y of all layers. */
void vqs_net_forward(const struct vqs_net *net, const vqs_real *x, int first, int rows, const struct vqs_trace *trace,
                     vqs_real *scratch);
/* From g of the last layer to those of all, and to the gradient to x unless gx is NULL. */
void vqs_net_backward(const struct vqs_net *net, int first, int rows, const struct vqs_trace *trace, vqs_real *gx,
                      vqs_real *scratch);
/* The parts of the parameters' gradients, which threads may share; and one of them, into `grad`, which is laid out as
 * the parameters from `params` on are. */
int vqs_net_parts(const struct vqs_net *net);
void vqs_net_gradient(const struct vqs_net *net, int part, const vqs_real *x, int rows, const struct vqs_trace *trace,
                      const vqs_real *params, vqs_real *grad, vqs_real *scratch);

/* A tile [d][VQS_TILE] of n rows of d values, the last again in the lanes that are over; and back. */
void vqs_rows_to_tile(int d, const vqs_real *rows, int n, vqs_real *tile);
void vqs_tile_to_rows(int d, const vqs_real *tile, int n, vqs_real *rows);

/* One tile without a way back: what the encoder makes of the samples `rows` of x, and the decoder of q, both latent
 * ones [d][VQS_TILE]; xhat is [VQS_TILE][ld]. `scratch` has tile_scratch values. */
void vqs_mlp_encode(const struct vqs_mlp *mlp, const vqs_real *x, const uint32_t *rows, vqs_real *scratch, vqs_real *z);
void vqs_mlp_decode(const struct vqs_mlp *mlp, const vqs_real *q, vqs_real *scratch, vqs_real *xhat);

#endif
