/* quantizer.c - the codebook: layout, initial codes, what is derived from them. */
#include "vqsweep/quantizer.h"

#include "vqsweep/rng.h"

#include <string.h>

enum { T = VQS_TILE };

/* Distortions that differ by less than this share are the same minimum. */
static const double lloyd_tolerance = 1e-6;

size_t vqs_quantizer_n_params(const struct vqs_settings *s) {
    const size_t n = (size_t)s->K * (size_t)s->d;
    return (n + VQS_ROW_UNIT - 1) / VQS_ROW_UNIT * VQS_ROW_UNIT;
}

void vqs_quantizer_carve(const struct vqs_settings *s, const struct vqs_kernels *kernels, struct vqs_arena *arena,
                         vqs_real *params, struct vqs_quantizer *q) {
    q->kernels = kernels;
    q->K = s->K;
    q->d = s->d;
    q->n_codes = (size_t)s->K * (size_t)s->d;
    q->n_params = vqs_quantizer_n_params(s);
    q->n_state = 0;
    q->params = params;
    q->codes = params;
    q->packed = vqs_arena_take(arena, vqs_packed_codes(s->K) * (size_t)s->d, sizeof *q->packed);
    q->half_norm = vqs_arena_take(arena, vqs_packed_codes(s->K), sizeof *q->half_norm);
    q->state = vqs_arena_take(arena, q->n_state, sizeof *q->state);
}

void vqs_quantizer_refresh(struct vqs_quantizer *q) {
    q->kernels->pack_codes(q->K, q->d, q->codes, q->packed, q->half_norm);
}

void vqs_quantizer_quantize(const struct vqs_quantizer *quantizer, const vqs_real *z, uint32_t k[VQS_TILE],
                            vqs_real *q) {
    const int d = quantizer->d;
    quantizer->kernels->assign(quantizer->K, d, quantizer->packed, quantizer->half_norm, z, k);
    for (int l = 0; l < T; l++) {
        const vqs_real *c = quantizer->codes + (size_t)k[l] * (size_t)d;
        for (int i = 0; i < d; i++) {
            q[i * T + l] = c[i];
        }
    }
}

bool vqs_quantizer_wants_encoded(const struct vqs_settings *s) {
    return s->codebook_init == VQS_INIT_DATA || s->codebook_init == VQS_INIT_KMEANS;
}

void vqs_quantizer_fit(const struct vqs_settings *s, const struct vqs_encoded *e, struct vqs_quantizer *q) {
    const struct vqs_lloyd_problem problem = {
        q->kernels, s->seed, e->z, e->n, q->d, q->K, s->kmeans_restarts, s->kmeans_iterations, lloyd_tolerance};
    vqs_lloyd(&problem, e->lloyd, q->codes);
    vqs_quantizer_refresh(q);
}

/* Encoder outputs of K distinct samples. */
static void draw_codes(const struct vqs_settings *s, const struct vqs_encoded *e, struct vqs_quantizer *q) {
    const struct vqs_stream draws = {q->kernels, s->seed, VQS_RNG_CODEBOOK, 0};
    vqs_rng_permutation(&draws, (uint32_t)e->n, e->order);
    for (int j = 0; j < q->K; j++) {
        const size_t i = e->order[j];
        for (int c = 0; c < q->d; c++) {
            q->codes[j * q->d + c] = e->z[(i / T * (size_t)q->d + (size_t)c) * T + i % T];
        }
    }
}

void vqs_quantizer_init(const struct vqs_settings *s, const struct vqs_encoded *e, struct vqs_quantizer *q) {
    const struct vqs_stream draws = {q->kernels, s->seed, VQS_RNG_CODEBOOK, 0};
    const vqs_real bound = 1 / (vqs_real)q->K;
    switch ((enum vqs_codebook_init)s->codebook_init) {
    case VQS_INIT_UNIFORM:
        vqs_rng_uniform(&draws, 0, q->n_codes, -bound, bound, q->codes);
        break;
    case VQS_INIT_NORMAL:
        vqs_rng_normal(&draws, 0, q->n_codes, (vqs_real)s->codebook_scale, q->codes);
        break;
    case VQS_INIT_DATA:
        draw_codes(s, e, q);
        break;
    case VQS_INIT_KMEANS:
        vqs_quantizer_fit(s, e, q);
        break;
    }
    vqs_quantizer_refresh(q);
}
