/* quantizer.c - the codebooks: layout, initial codes, what is derived from them. */
#include "vqsweep/quantizer.h"

#include "vqsweep/rng.h"

#include <string.h>

enum { T = VQS_TILE };

/* Distortions that differ by less than this share are the same minimum. */
static const double lloyd_tolerance = 1e-6;

static size_t n_codes(const struct vqs_settings *s) {
    return (size_t)s->levels * (size_t)s->K * (size_t)s->d;
}

size_t vqs_quantizer_n_params(const struct vqs_settings *s) {
    return (n_codes(s) + VQS_ROW_UNIT - 1) / VQS_ROW_UNIT * VQS_ROW_UNIT;
}

void vqs_quantizer_carve(const struct vqs_settings *s, const struct vqs_kernels *kernels, struct vqs_arena *arena,
                         vqs_real *params, struct vqs_quantizer *q) {
    q->kernels = kernels;
    q->levels = s->levels;
    q->groups = s->groups;
    q->n_codebooks = vqs_n_codebooks(s);
    q->K = s->K;
    q->width = vqs_code_width(s);
    q->n_codes = n_codes(s);
    q->n_params = vqs_quantizer_n_params(s);
    q->n_state = 0;
    q->params = params;
    q->codes = params;
    const size_t packed = (size_t)q->n_codebooks * vqs_packed_codes(s->K);
    q->packed = vqs_arena_take(arena, packed * (size_t)q->width, sizeof *q->packed);
    q->half_norm = vqs_arena_take(arena, packed, sizeof *q->half_norm);
    q->state = vqs_arena_take(arena, q->n_state, sizeof *q->state);
}

static void refresh_codebook(struct vqs_quantizer *q, int number) {
    const struct vqs_codebook book = vqs_codebook_of(q, number);
    q->kernels->pack_codes(q->K, q->width, book.codes, book.packed, book.half_norm);
}

void vqs_quantizer_refresh(struct vqs_quantizer *q) {
    for (int c = 0; c < q->n_codebooks; c++) {
        refresh_codebook(q, c);
    }
}

void vqs_quantizer_quantize(const struct vqs_quantizer *quantizer, int codebook, const vqs_real *r,
                            uint32_t k[VQS_TILE], vqs_real *q) {
    const struct vqs_codebook book = vqs_codebook_of(quantizer, codebook);
    const int width = quantizer->width;
    quantizer->kernels->assign(quantizer->K, width, book.packed, book.half_norm, r, k);
    for (int l = 0; l < T; l++) {
        const vqs_real *c = book.codes + (size_t)k[l] * (size_t)width;
        for (int i = 0; i < width; i++) {
            q[i * T + l] = c[i];
        }
    }
}

/* ---- initial codes -------------------------------------------------------------------------------------------------
 */

bool vqs_quantizer_wants_encoded(const struct vqs_settings *s) {
    return s->codebook_init == VQS_INIT_DATA || s->codebook_init == VQS_INIT_KMEANS;
}

/* The components that codebook `number` sees, in the first tile; those of the next tile follow d T values later. */
static vqs_real *slice_of(const struct vqs_quantizer *q, const struct vqs_encoded *e, int number) {
    return e->z + number % q->groups * q->width * T;
}

/* Lloyd's codes. */
static void fit_codes(const struct vqs_settings *s, const struct vqs_encoded *e, int number, struct vqs_quantizer *q) {
    const struct vqs_lloyd_problem problem = {.kernels = q->kernels,
                                              .seed = s->seed,
                                              .codebook = (uint32_t)number,
                                              .z = slice_of(q, e, number),
                                              .stride = (size_t)s->d * T,
                                              .n = e->n,
                                              .d = q->width,
                                              .K = q->K,
                                              .restarts = s->kmeans_restarts,
                                              .iterations = s->kmeans_iterations,
                                              .tolerance = lloyd_tolerance};
    vqs_lloyd(&problem, e->lloyd, vqs_codebook_of(q, number).codes);
}

/* The inputs of K distinct samples. */
static void draw_codes(const struct vqs_settings *s, const struct vqs_encoded *e, int number, struct vqs_quantizer *q) {
    const struct vqs_stream draws = {q->kernels, s->seed, VQS_RNG_CODEBOOK, (uint32_t)number};
    const vqs_real *z = slice_of(q, e, number);
    vqs_real *codes = vqs_codebook_of(q, number).codes;
    vqs_rng_permutation(&draws, (uint32_t)e->n, e->order);
    for (int j = 0; j < q->K; j++) {
        const size_t i = e->order[j];
        for (int c = 0; c < q->width; c++) {
            codes[j * q->width + c] = z[(i / T * (size_t)s->d + (size_t)c) * T + i % T];
        }
    }
}

/* Takes from all samples of a slice what the codebook makes of them. */
static void subtract_codes(const struct vqs_quantizer *q, int number, size_t stride, size_t n, vqs_real *slice) {
    const struct vqs_codebook book = vqs_codebook_of(q, number);
    for (size_t tile = 0; tile * T < n; tile++, slice += stride) {
        uint32_t k[T];
        q->kernels->assign(q->K, q->width, book.packed, book.half_norm, slice, k);
        for (int i = 0; i < q->width; i++) {
            for (int l = 0; l < T; l++) {
                slice[i * T + l] -= book.codes[k[l] * (size_t)q->width + (size_t)i];
            }
        }
    }
}

/* Codebooks of encoded samples, each of what the levels before it have left. */
static void place_codes(const struct vqs_settings *s, const struct vqs_encoded *e, bool fit, struct vqs_quantizer *q) {
    for (int c = 0; c < q->n_codebooks; c++) {
        (fit ? fit_codes : draw_codes)(s, e, c, q);
        refresh_codebook(q, c);
        if (c + q->groups < q->n_codebooks) {
            subtract_codes(q, c, (size_t)s->d * T, e->n, slice_of(q, e, c));
        }
    }
}

void vqs_quantizer_fit(const struct vqs_settings *s, const struct vqs_encoded *e, struct vqs_quantizer *q) {
    place_codes(s, e, true, q);
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
        place_codes(s, e, false, q);
        break;
    case VQS_INIT_KMEANS:
        place_codes(s, e, true, q);
        break;
    }
    vqs_quantizer_refresh(q);
}
