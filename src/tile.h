/* tile.h - one tile of a training step: from the projections of 32 samples to what the gradients are summed from.
 *
 * The one rule: a tile's results depend on its own samples and the parameters alone, so that tiles can be worked on by
 * any thread. With C the bias of the decoder and V^T the decoder's rows:
 *   z = W x + b,  k = nearest code,  q = c_k,  g = dL_rec/dq = (2/(B D)) (G q - V^T (x - C)),  G = V^T V,
 *   gz = estimator(z, q, g) + (2 beta/(B d)) (z - q),  gc = (2/(B d)) (q - z).
 * The decoder's gradient needs sums over samples only: dV = (2/(B D)) (V sum q q^T + C sum q^T - sum x q^T), the first
 * two of which are sums over codes, weighted by how often each was chosen. So x^ is never formed (MATH: "never form x^ in the linear case"). */
#ifndef VQS_TILE_H
#define VQS_TILE_H

#include "vqsweep/kernels.h"

/* What all tiles of a step share. */
struct vqs_step {
    const struct vqs_settings *settings;
    const struct vqs_estimator *estimator;
    const struct vqs_kernels *kernels;
    int d, K;
    bool tied, bias;
    const vqs_real *codes;        /* [K][d] */
    const vqs_real *packed_codes; /* for `assign`, with half_norm */
    const vqs_real *half_norm;
    const vqs_real *gram;         /* [d][d] G, unused when tied: W W^T = I */
    const vqs_real *encoder_bias; /* [d], with bias */
    const vqs_real *decoded_bias; /* [d] V^T C, with bias */
    vqs_real bias_norm2;          /* |C|^2 */
    vqs_real rec_scale;           /* 2 / (B D) */
    vqs_real vq_scale;            /* 2 / (B d) */
    vqs_real beta;
};

/* One tile, and a thread's scratch for it. Rows of y: W x, then V^T x if free, then C.x with bias. */
struct vqs_tile {
    int n;              /* samples; lanes from n on have no weight */
    vqs_real sq[VQS_TILE];    /* in: |x|^2 */
    vqs_real *y;        /* [rows][T] in */
    vqs_real *z;        /* [d][T] out */
    vqs_real *gc;       /* [T][vqs_row_stride(d)] out: gradient to the sample's code, a row a sample */
    uint32_t *k;        /* [T] out */
    vqs_real *outer;    /* [rows][T] out: what multiplies x^T: gz and q, or gz - (2/(B D)) q when tied; then ones */
    vqs_real *q, *g, *gz, *ge; /* [d][T] scratch */
    /* sums over the tile's samples, added to */
    double rec, vq, zero;
    vqs_real *gsum; /* [d] sum gz, with bias */
};

#endif
