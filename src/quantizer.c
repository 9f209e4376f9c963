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
    const size_t n = (size_t)vqs_n_codebooks(s) * vqs_learning_of(s, vqs_code_width(s)).n_params;
    return (n + VQS_ROW_UNIT - 1) / VQS_ROW_UNIT * VQS_ROW_UNIT;
}

/* Parameters or state where they are the codes, else memory of their own. */
static vqs_real *carve_codes(const struct vqs_quantizer *q, struct vqs_arena *arena) {
    switch (q->learning.kind) {
    case VQS_LEARN_GRADIENT:
        return q->params;
    case VQS_LEARN_FIXED:
    case VQS_LEARN_FSQ:
    case VQS_LEARN_LFQ:
        return q->state;
    case VQS_LEARN_EMA:
    case VQS_LEARN_AFFINE:
    case VQS_LEARN_SIMVQ:
        break;
    }
    return vqs_arena_take(arena, q->n_codes + VQS_ROW_UNIT, sizeof *q->codes);
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
    q->learning = vqs_learning_of(s, q->width);
    const size_t books = (size_t)q->n_codebooks, packed = books * vqs_packed_codes(s->K);
    const size_t learned = books * q->learning.n_state;
    const size_t tally = vqs_setting_used(VQS_SETTING_revive_period, s) ? books * (size_t)s->K : 0;
    q->n_params = vqs_quantizer_n_params(s);
    q->n_state = learned + tally;
    q->params = params;
    q->packed = vqs_arena_take(arena, packed * (size_t)q->width, sizeof *q->packed);
    q->half_norm = vqs_arena_take(arena, packed, sizeof *q->half_norm);
    q->state = vqs_arena_take(arena, q->n_state + VQS_ROW_UNIT, sizeof *q->state); /* it may be codes */
    q->tally = tally && q->state ? q->state + learned : NULL;
    q->codes = carve_codes(q, arena);
}

static vqs_real *params_of(const struct vqs_quantizer *q, int number) {
    return q->params + (size_t)number * q->learning.n_params;
}

static vqs_real *state_of(const struct vqs_quantizer *q, int number) {
    return q->state + (size_t)number * q->learning.n_state;
}

static void refresh_codebook(struct vqs_quantizer *q, int number) {
    const struct vqs_codebook book = vqs_codebook_of(q, number);
    vqs_learning_make(&q->learning, params_of(q, number), state_of(q, number), book.codes);
    q->kernels->pack_codes(q->K, q->width, book.codes, book.packed, book.half_norm);
}

void vqs_quantizer_refresh(struct vqs_quantizer *q) {
    for (int c = 0; c < q->n_codebooks; c++) {
        refresh_codebook(q, c);
    }
}

/* The codes are what they shall start as. */
static void start_codebook(struct vqs_quantizer *q, int number) {
    vqs_learning_start(&q->learning, vqs_codebook_of(q, number).codes, params_of(q, number), state_of(q, number));
    refresh_codebook(q, number);
}

/* ---- learning -------------------------------------------------------------------------------------------------- */

void vqs_quantizer_pull_back(const struct vqs_quantizer *q, const vqs_real *to_codes, vqs_real *grad) {
    for (int c = 0; c < q->n_codebooks; c++) {
        vqs_learning_pull_back(&q->learning, params_of(q, c), state_of(q, c),
                               to_codes + (size_t)(c * q->K) * (size_t)q->width, grad + (params_of(q, c) - q->params));
    }
}

void vqs_quantizer_follow(struct vqs_quantizer *q, const uint32_t *count, const vqs_real *residual) {
    for (int c = 0; c < q->n_codebooks && q->learning.kind == VQS_LEARN_EMA; c++) {
        vqs_learning_follow(&q->learning, count + c * q->K, residual + (size_t)(c * q->K) * (size_t)q->width,
                            vqs_codebook_of(q, c).codes, state_of(q, c));
    }
}

void vqs_quantizer_move(struct vqs_quantizer *q, int number, int k, const vqs_real *code, vqs_real *moment1,
                        vqs_real *moment2) {
    const size_t at = (size_t)number * q->learning.n_params;
    vqs_learning_move(&q->learning, k, code, q->params + at, moment1 + at, moment2 + at, state_of(q, number));
}

/* ---- quantising ------------------------------------------------------------------------------------------------ */

void vqs_quantizer_subtract(const struct vqs_quantizer *q, int number, size_t stride, size_t n, vqs_real *input) {
    const struct vqs_codebook book = vqs_codebook_of(q, number);
    for (size_t tile = 0; tile * T < n; tile++, input += stride) {
        uint32_t k[T];
        q->kernels->assign(q->K, q->width, book.packed, book.half_norm, input, k);
        for (int i = 0; i < q->width; i++) {
            for (int l = 0; l < T; l++) {
                input[i * T + l] -= book.codes[k[l] * (size_t)q->width + (size_t)i];
            }
        }
    }
}

void vqs_quantizer_quantize(const struct vqs_quantizer *quantizer, int codebook, const vqs_real *r,
                            uint32_t k[VQS_TILE], vqs_real *q) {
    const struct vqs_codebook book = vqs_codebook_of(quantizer, codebook);
    const int width = quantizer->width;
    quantizer->kernels->assign(quantizer->K, width, book.packed, book.half_norm, r, k);
    quantizer->kernels->lookup(width, book.codes, k, q);
}

/* ---- initial codes --------------------------------------------------------------------------------------------- */

bool vqs_quantizer_wants_encoded(const struct vqs_settings *s) {
    return vqs_setting_used(VQS_SETTING_codebook_init, s) &&
           (s->codebook_init == VQS_INIT_DATA || s->codebook_init == VQS_INIT_KMEANS);
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

/* Codebooks of encoded samples, each of what the levels before it have left. */
static void place_codes(const struct vqs_settings *s, const struct vqs_encoded *e, bool fit, struct vqs_quantizer *q) {
    for (int c = 0; c < q->n_codebooks; c++) {
        (fit ? fit_codes : draw_codes)(s, e, c, q);
        start_codebook(q, c);
        if (c + q->groups < q->n_codebooks) {
            vqs_quantizer_subtract(q, c, (size_t)s->d * T, e->n, slice_of(q, e, c));
        }
    }
}

void vqs_quantizer_fit(const struct vqs_settings *s, const struct vqs_encoded *e, struct vqs_quantizer *q) {
    place_codes(s, e, true, q);
}

void vqs_quantizer_init(const struct vqs_settings *s, const struct vqs_encoded *e, struct vqs_quantizer *q) {
    const struct vqs_stream draws = {q->kernels, s->seed, VQS_RNG_CODEBOOK, 0};
    const vqs_real bound = 1 / (vqs_real)q->K;
    if (vqs_quantizer_wants_encoded(s)) {
        place_codes(s, e, s->codebook_init == VQS_INIT_KMEANS, q);
        return;
    }
    if (s->codebook_init == VQS_INIT_NORMAL) {
        vqs_rng_normal(&draws, 0, q->n_codes, (vqs_real)s->codebook_scale, q->codes);
    } else {
        vqs_rng_uniform(&draws, 0, q->n_codes, -bound, bound, q->codes);
    }
    for (int c = 0; c < q->n_codebooks; c++) {
        start_codebook(q, c);
    }
}
