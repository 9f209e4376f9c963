/* quantizer.h - the codebook of a model: its codes, where they come from, and what they are looked up by.
 *
 * The one rule: `codes` is what samples are compared with and decoded from, and is computed from `params` (trained by
 * gradients) and `state` (changed in other ways, between steps); whoever changes either calls vqs_quantizer_refresh
 * before the codes are used again.
 *
 * Life cycle: vqs_quantizer_carve from an arena, vqs_quantizer_init, then use. A quantizer owns no memory of its own.
 */
#ifndef VQSWEEP_QUANTIZER_H
#define VQSWEEP_QUANTIZER_H

#include "vqsweep/lloyd.h"
#include "vqsweep/settings.h"

struct vqs_quantizer {
    const struct vqs_kernels *kernels;
    int K, d;         /* codes, and components of a code */
    size_t n_codes;   /* values in codes: K d */
    vqs_real *codes;  /* [K][d]; kernels may read a row past the end */
    vqs_real *packed; /* for assign(), with half_norm */
    vqs_real *half_norm;
    vqs_real *params; /* [n_params] the last of the model's parameters */
    size_t n_params;  /* a multiple of VQS_ROW_UNIT */
    vqs_real *state;  /* [n_state] */
    size_t n_state;
};

/* Encoder outputs that a codebook may start from. */
struct vqs_encoded {
    const vqs_real *z; /* [tiles][d][VQS_TILE] */
    size_t n;
    uint32_t *order; /* [n] scratch */
    struct vqs_lloyd_scratch *lloyd;
};

/* Parameters of a codebook with these settings, a multiple of VQS_ROW_UNIT. */
size_t vqs_quantizer_n_params(const struct vqs_settings *settings);
/* Take all but the parameters from an arena (which may measure); `params` has room for them and for a row more. */
void vqs_quantizer_carve(const struct vqs_settings *settings, const struct vqs_kernels *kernels,
                         struct vqs_arena *arena, vqs_real *params, struct vqs_quantizer *quantizer);
/* Whether vqs_quantizer_init reads what the encoder makes of the training samples. */
bool vqs_quantizer_wants_encoded(const struct vqs_settings *settings);
/* Initial codes from the seed, as codebook_init says. `encoded` may be NULL unless it is wanted. */
void vqs_quantizer_init(const struct vqs_settings *settings, const struct vqs_encoded *encoded,
                        struct vqs_quantizer *quantizer);
/* The codes become the best of kmeans_restarts runs of Lloyd's algorithm. */
void vqs_quantizer_fit(const struct vqs_settings *settings, const struct vqs_encoded *encoded,
                       struct vqs_quantizer *quantizer);
void vqs_quantizer_refresh(struct vqs_quantizer *quantizer);
/* The nearest code of each of a tile's samples z [d][VQS_TILE]: its number, and itself as q [d][VQS_TILE]. */
void vqs_quantizer_quantize(const struct vqs_quantizer *quantizer, const vqs_real *z, uint32_t k[VQS_TILE],
                            vqs_real *q);

#endif
