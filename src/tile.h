/* tile.h - one tile of a training step: from the projections of 32 samples to what the gradients are summed from.
 *
 * The quantiser's part of it stands by itself and is every model's: `tile_quantize` makes k and f of z, `tile_estimate`
 * gz, gc and the codes' losses of g. What is around it is the linear model's alone, and so are y, sq, outer, moments.
 *
 * The one rule: a tile's results depend on its own samples, the parameters and the number of the tile alone, so that
 * tiles can be worked on by any thread. With C the bias of the decoder and V^T the decoder's rows:
 *   z = W x + b,  k = nearest code,  q = c_k,  f = what the estimator lets the decoder see, mostly q itself,
 *   g = dL_rec/df = (2/(B D)) (G f - V^T (x - C)),  G = V^T V,
 *   gz = estimator(z, q, g) + (2 beta/(B d)) (z - q),  gc = (2/(B d)) (q - z) + what the estimator gives the code.
 * With levels l = 1..L (quantizer.h): r_1 = z, r_{l+1} = r_l - v_l with q_l the code nearest to r_l. The estimator sees
 *   the total: v_l = q_l, f from (z, sum q_l), gz = estimator(z, sum q_l, g), and each q_l gets what it gives the code;
 *   or each codebook: v_l from (r_l, q_l), f = sum v_l, and by the chain rule through the residuals, with A_{L+1} = 0,
 *   A_l = A_{l+1} + estimator(r_l, q_l, g - A_{l+1}), gz = A_1.
 * To these gz adds (2 beta/(B d)) sum_l (r_l - q_l), and gc_l has r_l in place of z. Groups are slices of all of this.
 * The decoder's gradient needs sums over samples only: dV = (2/(B D)) (V sum f f^T + C sum f^T - sum x f^T). Where f is
 * a single code, the first two are sums over codes, weighted by how often each was chosen; and the last may be one as
 * well, of the codes times the sums of their x. So x^ is never formed (MATH:
 * "never form x^ in the linear case"). */
#ifndef VQS_TILE_H
#define VQS_TILE_H

#include "vqsweep/kernels.h"
#include "vqsweep/profile.h"
#include "vqsweep/quantizer.h"

/* Whether the estimator sees each codebook, as it does the only one; else the total of all. */
static inline bool vqs_sees_each(const struct vqs_settings *s) {
    return vqs_n_codebooks(s) == 1 || s->estimator_scope == VQS_SCOPE_EACH;
}

/* What all tiles of a step share. */
struct vqs_step {
    const struct vqs_settings *settings;
    const struct vqs_estimator *estimator;
    const struct vqs_kernels *kernels;
    const struct vqs_quantizer *quantizer;
    bool each; /* vqs_sees_each */
    int d;
    bool tied, bias;
    const vqs_real *gram;         /* [d][d] G, unused when tied: W W^T = I */
    const vqs_real *encoder_bias; /* [d], with bias */
    const vqs_real *decoded_bias; /* [d] V^T C, with bias */
    vqs_real bias_norm2;          /* |C|^2 */
    vqs_real rec_scale;           /* 2 / (B D) */
    vqs_real code_scale;          /* 2 / (B d), or 0 for an estimator without losses of its own */
    vqs_real commit_scale;        /* beta times what code_scale is with such losses */
    bool bounded;                 /* z = tanh(W x + b), for codebook: fsq */
    bool follows;                 /* gc is q - z alone, for codebook: ema */
    vqs_real soft_rate;           /* 1 / entropy_tau, or 0 without an entropy penalty (care.h) */
    vqs_real soft_scale;          /* entropy_weight / B */
    const vqs_real *log_mean;     /* [n_codebooks][K] log mean p over the batch */
    vqs_real tau;                 /* temperature of estimators that choose */
    const vqs_real *learned;      /* state of an estimator that learns, else NULL */
    uint32_t number;              /* of the step, from 1: the stream of the estimator's random numbers */
};

/* One tile, and a thread's scratch for it. Rows of y: W x, then V^T x if free, then C.x with bias. */
struct vqs_tile {
    int n;                   /* samples; lanes from n on have no weight */
    int number;              /* of the tile in its batch */
    uint32_t rows[VQS_TILE]; /* in: sample numbers; spare lanes repeat one */
    const vqs_real *sq;      /* in: |x|^2 of all samples */
    vqs_real *y;             /* [rows][T] in */
    vqs_real *z;             /* [levels][d][T] out: z, then the residuals; y itself where z = W x and there are none */
    vqs_real *gc;            /* [T][vqs_row_stride(width)] out: gradient to the sample's code, a row a sample, and */
    uint32_t *k;             /* [T] out, both of the first codebook; those of the next follow */
    size_t book_stride;      /* so many samples later */
    vqs_real *outer;         /* [rows][T] out: what multiplies x^T: gz and f, or gz - (2/(B D)) f when tied; then ones.
                              * It is gz itself where sums of f x^T and x come from sums of x by code (step_memory.c) */
    /* scratch; what is not needed is NULL or stands for what it would be a copy of */
    vqs_real *q;                 /* [levels][d][T] */
    vqs_real *v;                 /* [levels][d][T]; q unless the estimator sees each codebook and gives a value */
    vqs_real *sum;               /* [d][T] of v over levels */
    vqs_real *f;                 /* [d][T]; sum unless the estimator sees the total and gives a value */
    vqs_real *g, *gz;            /* [d][T] */
    vqs_real *ge;                /* [d][T] gradient to the codes of a level */
    vqs_real *rest;              /* [d][T] g - A of the next level, and */
    vqs_real *back;              /* [d][T] what the estimator makes of it, with several levels */
    vqs_real *at_z;              /* [d][T], and what else estimators need (estimators.h): */
    vqs_real *noise;             /* [d][T] of each level, or of the total, at a distance of */
    size_t noise_stride;         /* whole VQS_RNG_GROUPs */
    vqs_real *gq;                /* [levels][d][T], or [d][T] of the total */
    uint32_t *words;             /* [K][T] */
    vqs_real *weights;           /* [n_codebooks][3][K][T] */
    vqs_real *square;            /* [d][d] f f^T of the tile */
    vqs_real *smooth;            /* [5][d][T] draws of the smoothed loss's gradient, the result first */
    vqs_real *soft;              /* [2][K][T], with an entropy penalty */
    bool collects;               /* sums of soft codes alone are wanted, for log_mean */
    struct vqs_profile *profile; /* of the thread, or NULL */
    /* sums over the tile's samples, added to */
    double rec, vq, zero, entropy;
    vqs_real *gsum;    /* [d] sum gz, with bias */
    vqs_real *fsum;    /* [d] sum f, where f is no single code */
    vqs_real *moments; /* [d][vqs_row_stride(d)] sum f f^T, where f is no single code */
    vqs_real *gcodes;  /* [n_codebooks][K][width] gradient to all codes, where they are weighed; else NULL */
    vqs_real *softly;  /* [n_codebooks][K] sum p */
    vqs_real *sums;    /* what an estimator learns from, or NULL */
};

/* Take a thread's scratch for the tiles of these settings from an arena (which may measure). `rows` are those of y. */
void vqs_tile_carve(const struct vqs_settings *settings, const struct vqs_estimator *estimator, int rows,
                    struct vqs_arena *arena, struct vqs_tile *tile);

#endif
