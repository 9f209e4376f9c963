/* model.h - the vector-quantised autoencoder: parameters, their initial values, and what is derived from them.
 *
 * model: linear
 *
 * z = W x + b,  q = c_k,  x^ = V q + C.  W is [d][ld] with orthonormal rows; V is kept as its transpose, [d][ld], so
 * that W, V^T and C are rows of one matrix, which one product takes x through. Tied: V^T is W itself. With encoder: identity,
 * W is the identity (d = D) and stays it.
 *
 * model: mlp and conv have two networks in their place (mlp.h); x^ are logits under loss: cross_entropy.
 *
 * The one rule: whoever changes a parameter calls vqs_model_refresh before the model is used again.
 *
 * Life cycle: vqs_model_carve from an arena, vqs_model_init, then use. A model owns no memory of its own.
 */
#ifndef VQSWEEP_MODEL_H
#define VQSWEEP_MODEL_H

#include "vqsweep/data.h"
#include "vqsweep/quantizer.h"

struct vqs_model {
    const struct vqs_kernels *kernels;
    int D, d;
    size_t ld;
    bool tied, bias;
    bool bounded; /* z = tanh(W x + b): codebook: fsq */
    int rows; /* of the product with x: d or 2d, and C with bias; 0 with networks */
    struct vqs_mlp *mlp;  /* the networks; NULL in a linear model, and with networks W to gram are */
    size_t tile_scratch;  /* values of `y` that encoding and decoding a tile want */
    size_t n_kept;        /* of the parameters, the first: what is kept orthonormal */
    /* parameters: one block, so that one Adam covers all; each part padded to whole vectors */
    vqs_real *params;
    size_t n_params;
    vqs_real *W;            /* [d][ld] */
    vqs_real *V;            /* [d][ld] V^T; W when tied */
    vqs_real *decoder_bias; /* [ld] C; NULL without bias */
    vqs_real *encoder_bias; /* [d] b; NULL without bias */
    struct vqs_quantizer quantizer;
    /* derived */
    vqs_real *packed;       /* for project() of `rows` rows */
    vqs_real *gram;         /* [d][d] V^T V; NULL when tied */
    vqs_real *decoded_bias; /* [d] V^T C; NULL without bias */
    vqs_real bias_norm2;
};

/* Memory that initialisation and evaluation work in. */
struct vqs_model_scratch {
    vqs_real *z;       /* [tiles][d][VQS_TILE], tiles of the larger of N and N_eval */
    vqs_real *y;       /* [tile_scratch] */
    vqs_real *retract; /* what vqs_model_retract wants */
    uint32_t *order;   /* [N] a permutation of the training samples */
    struct vqs_lloyd_scratch lloyd;
};

/* Take the model and its scratch from an arena (which may measure). The arena outlives both. */
void vqs_model_carve(const struct vqs_settings *settings, const struct vqs_kernels *kernels, struct vqs_arena *arena,
                     struct vqs_model *model, struct vqs_model_scratch *scratch);
/* Initial values from the seed: W an orthonormalised Gaussian, V uniform in (-1/sqrt d, 1/sqrt d), biases 0, codes as
 * codebook_init says (`data` and `kmeans` encode the training samples first). */
void vqs_model_init(const struct vqs_settings *settings, const struct vqs_dataset *data, struct vqs_model *model,
                    struct vqs_model_scratch *scratch);
/* What is kept orthonormal, made so again after a step. Returns vqs_retract's flips. */
int vqs_model_retract(struct vqs_model *model, enum vqs_retraction kind, vqs_real *scratch);
void vqs_model_refresh(struct vqs_model *model);
/* The same in pieces, which threads may share. */
enum { VQS_MODEL_PARTS = 3 };
void vqs_model_refresh_part(struct vqs_model *model, int part);

/* Sample numbers of tile `tile` of n samples in order; returns how many are real, the rest repeat the last. */
int vqs_tile_rows(size_t n, size_t tile, uint32_t rows[VQS_TILE]);
/* z [d][VQS_TILE] of the given samples. `y` is scratch of tile_scratch values. */
void vqs_model_encode(const struct vqs_model *model, const vqs_real *x, const uint32_t *rows, vqs_real *y, vqs_real *z);
/* x^ [VQS_TILE][ld] of q [d][VQS_TILE], with the same scratch. */
void vqs_model_decode(const struct vqs_model *model, const vqs_real *q, vqs_real *y, vqs_real *xhat);
/* The k-means baseline: W = V^T the first d principal directions of the training samples (of E x x^T), codes the best
 * of kmeans_restarts by vqs_lloyd on W x. VQS_ERR_MEMORY. */
enum vqs_status vqs_model_kmeans(const struct vqs_settings *settings, const struct vqs_dataset *data,
                                 struct vqs_model *model, struct vqs_model_scratch *scratch, struct vqs_error *err);

#endif
