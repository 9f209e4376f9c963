/* quantizer.h - the codebooks of a model: their codes, where they come from, and what they are looked up by.
 *
 * Residual quantisation has `levels`: the first quantises r_1 = z, level l what is left, r_l = r_{l-1} - f_{l-1} with
 * f_l what level l makes of r_l: a code, or in training what the estimator gives for it (tile.h). Product quantisation has
 * `groups`: each level cuts its d components into groups of equal width, and each has a codebook of its own. Codebooks are
 * numbered level * groups + group, from 0.
 *
 * The one rule: `codes` is what samples are compared with and decoded from, and is computed from `params` (trained by
 * gradients) and `state` (changed in other ways, between steps); whoever changes either calls vqs_quantizer_refresh
 * before the codes are used again.
 *
 * Life cycle: vqs_quantizer_carve from an arena, vqs_quantizer_init, then use. A quantizer owns no memory of its own.
 */
#ifndef VQSWEEP_QUANTIZER_H
#define VQSWEEP_QUANTIZER_H

#include "vqsweep/learning.h"
#include "vqsweep/lloyd.h"
#include "vqsweep/settings.h"

struct vqs_quantizer {
    const struct vqs_kernels *kernels;
    int levels, groups, n_codebooks;
    int K, width;        /* codes of a codebook, and components of a code */
    size_t n_codes;      /* values in codes */
    vqs_real *codes;     /* [n_codebooks][K][width]; kernels may read a row past the end */
    vqs_real *packed;    /* [n_codebooks][vqs_packed_codes(K)][width] for assign(), with */
    vqs_real *half_norm; /* [n_codebooks][vqs_packed_codes(K)] */
    struct vqs_learning learning; /* of each codebook */
    vqs_real *params; /* [n_params] the last of the model's parameters: those of each codebook */
    size_t n_params;  /* a multiple of VQS_ROW_UNIT */
    vqs_real *state;  /* [n_state] that of each codebook, and then */
    vqs_real *tally;  /* [n_codebooks][K] batches that chose a code since the last revival (care.h); else NULL */
    size_t n_state;
};

/* One codebook of a quantizer. */
struct vqs_codebook {
    vqs_real *codes;              /* [K][width] */
    vqs_real *packed, *half_norm; /* as assign() reads them */
};
static inline struct vqs_codebook vqs_codebook_of(const struct vqs_quantizer *q, int number) {
    const size_t book = (size_t)number, packs = vqs_packed_codes(q->K), width = (size_t)q->width;
    return (struct vqs_codebook){q->codes + book * (size_t)q->K * width, q->packed + book * packs * width,
                                 q->half_norm + book * packs};
}

/* Encoder outputs that codebooks may start from. Where there are levels they are used up. */
struct vqs_encoded {
    vqs_real *z; /* [tiles][d][VQS_TILE] */
    size_t n;
    uint32_t *order; /* [n] scratch */
    struct vqs_lloyd_scratch *lloyd;
};

/* Parameters of the codebooks with these settings, a multiple of VQS_ROW_UNIT. */
size_t vqs_quantizer_n_params(const struct vqs_settings *settings);
/* Take all but the parameters from an arena (which may measure); `params` has room for them and for a row more. */
void vqs_quantizer_carve(const struct vqs_settings *settings, const struct vqs_kernels *kernels,
                         struct vqs_arena *arena, vqs_real *params, struct vqs_quantizer *quantizer);
/* Whether vqs_quantizer_init reads what the encoder makes of the training samples. */
bool vqs_quantizer_wants_encoded(const struct vqs_settings *settings);
/* Initial codes from the seed, as codebook_init says: `data` and `kmeans` go level by level, on what the levels before
 * have left. `encoded` may be NULL unless it is wanted. */
void vqs_quantizer_init(const struct vqs_settings *settings, const struct vqs_encoded *encoded,
                        struct vqs_quantizer *quantizer);
/* Each codebook becomes the best of kmeans_restarts runs of Lloyd's algorithm on its own input, level by level. */
void vqs_quantizer_fit(const struct vqs_settings *settings, const struct vqs_encoded *encoded,
                       struct vqs_quantizer *quantizer);
void vqs_quantizer_refresh(struct vqs_quantizer *quantizer);
/* Gradient to the parameters from that to the codes [n_codes], which for codebook: gradient are the same. */
void vqs_quantizer_pull_back(const struct vqs_quantizer *quantizer, const vqs_real *to_codes, vqs_real *grad);
/* codebook: ema takes up a batch (vqs_learning_follow); of other codebooks nothing changes. */
void vqs_quantizer_follow(struct vqs_quantizer *quantizer, const uint32_t *count, const vqs_real *residual);
/* Code k of codebook `number` becomes `code`; the moments are Adam's of `params` (vqs_learning_move). */
void vqs_quantizer_move(struct vqs_quantizer *quantizer, int number, int k, const vqs_real *code, vqs_real *moment1,
                        vqs_real *moment2);
/* Takes from the n samples what the codebook makes of them: tiles [width][VQS_TILE] of its input, `stride` values from
 * one to the next. */
void vqs_quantizer_subtract(const struct vqs_quantizer *quantizer, int number, size_t stride, size_t n,
                            vqs_real *input);
/* Of one codebook, the code nearest to each of a tile's inputs r [width][VQS_TILE]: its number, and itself as q of the
 * shape of r. */
void vqs_quantizer_quantize(const struct vqs_quantizer *quantizer, int codebook, const vqs_real *r,
                            uint32_t k[VQS_TILE], vqs_real *q);

#endif
