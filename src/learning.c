/* learning.c - the kinds of codebook learning. */
#include "vqsweep/learning.h"

#include <string.h>

bool vqs_learning_is_trained(enum vqs_learning_kind kind) {
    return kind == VQS_LEARN_GRADIENT || kind == VQS_LEARN_AFFINE || kind == VQS_LEARN_SIMVQ;
}

bool vqs_learning_can_move(enum vqs_learning_kind kind) {
    return kind == VQS_LEARN_GRADIENT || kind == VQS_LEARN_AFFINE || kind == VQS_LEARN_EMA;
}

bool vqs_learning_is_grid(enum vqs_learning_kind kind) {
    return kind == VQS_LEARN_FSQ || kind == VQS_LEARN_LFQ;
}

struct vqs_learning vqs_learning_of(const struct vqs_settings *s, int width) {
    const size_t K = (size_t)s->K, w = (size_t)width;
    struct vqs_learning c = {.kind = VQS_LEARN_GRADIENT,
                             .K = s->K,
                             .width = width,
                             .decay = (vqs_real)s->ema_decay,
                             .eps = (vqs_real)s->ema_eps};
    if (vqs_setting_used(VQS_SETTING_codebook, s)) {
        c.kind = (enum vqs_learning_kind)s->codebook;
    }
    switch (c.kind) {
    case VQS_LEARN_GRADIENT:
        c.n_params = K * w;
        break;
    case VQS_LEARN_EMA: /* n, then m */
        c.n_state = K + K * w;
        break;
    case VQS_LEARN_AFFINE: /* c0, then scale, then shift */
        c.n_params = K * w + 2 * w;
        break;
    case VQS_LEARN_SIMVQ: /* A; c0 */
        c.n_params = w * w;
        c.n_state = K * w;
        break;
    case VQS_LEARN_FSQ:
        c.grid_levels = s->fsq_levels;
        c.n_state = K * w;
        break;
    case VQS_LEARN_LFQ:
        c.grid_levels = 2;
        c.n_state = K * w;
        break;
    case VQS_LEARN_FIXED:
        c.n_state = K * w;
        break;
    }
    return c;
}

/* ---- ema ------------------------------------------------------------------------------------------------------- */

static void ema_make(const struct vqs_learning *c, const vqs_real *state, vqs_real *codes) {
    const vqs_real *n = state, *m = state + c->K;
    vqs_real total = 0;
    for (int k = 0; k < c->K; k++) {
        total += n[k];
    }
    const vqs_real share = total / (total + (vqs_real)c->K * c->eps);
    for (int k = 0; k < c->K; k++) {
        for (int i = 0; i < c->width; i++) {
            codes[k * c->width + i] = m[k * c->width + i] / ((n[k] + c->eps) * share);
        }
    }
}

static void ema_start_code(const struct vqs_learning *c, int k, const vqs_real *code, vqs_real *state) {
    state[k] = 1;
    memcpy(state + c->K + k * c->width, code, (size_t)c->width * sizeof *state);
}

void vqs_learning_follow(const struct vqs_learning *c, const uint32_t *count, const vqs_real *residual,
                         const vqs_real *codes, vqs_real *state) {
    vqs_real *n = state, *m = state + c->K;
    for (int k = 0; k < c->K; k++) {
        n[k] = c->decay * n[k] + (1 - c->decay) * (vqs_real)count[k];
        for (int i = k * c->width; i < (k + 1) * c->width; i++) {
            const vqs_real sum = (vqs_real)count[k] * codes[i] - residual[i];
            m[i] = c->decay * m[i] + (1 - c->decay) * sum;
        }
    }
}

/* ---- affine ---------------------------------------------------------------------------------------------------- */

static void affine_make(const struct vqs_learning *c, const vqs_real *params, vqs_real *codes) {
    const vqs_real *scale = params + c->K * c->width, *shift = scale + c->width;
    for (int k = 0; k < c->K; k++) {
        for (int i = 0; i < c->width; i++) {
            codes[k * c->width + i] = shift[i] + scale[i] * params[k * c->width + i];
        }
    }
}

static void affine_pull_back(const struct vqs_learning *c, const vqs_real *params, const vqs_real *to_codes,
                             vqs_real *grad) {
    const vqs_real *scale = params + c->K * c->width;
    vqs_real *to_scale = grad + c->K * c->width, *to_shift = to_scale + c->width;
    memset(to_scale, 0, 2 * (size_t)c->width * sizeof *grad);
    for (int k = 0; k < c->K; k++) {
        for (int i = 0; i < c->width; i++) {
            const vqs_real g = to_codes[k * c->width + i];
            to_scale[i] += g * params[k * c->width + i];
            to_shift[i] += g;
            grad[k * c->width + i] = g * scale[i];
        }
    }
}

/* ---- simvq ----------------------------------------------------------------------------------------------------- */

static void simvq_make(const struct vqs_learning *c, const vqs_real *A, const vqs_real *c0, vqs_real *codes) {
    for (int k = 0; k < c->K; k++) {
        for (int i = 0; i < c->width; i++) {
            vqs_real sum = 0;
            for (int j = 0; j < c->width; j++) {
                sum += A[i * c->width + j] * c0[k * c->width + j];
            }
            codes[k * c->width + i] = sum;
        }
    }
}

static void simvq_pull_back(const struct vqs_learning *c, const vqs_real *c0, const vqs_real *to_codes,
                            vqs_real *grad) {
    memset(grad, 0, c->n_params * sizeof *grad);
    for (int k = 0; k < c->K; k++) {
        for (int i = 0; i < c->width; i++) {
            for (int j = 0; j < c->width; j++) {
                grad[i * c->width + j] += to_codes[k * c->width + i] * c0[k * c->width + j];
            }
        }
    }
}

/* ---- fsq, lfq -------------------------------------------------------------------------------------------------- */

/* All combinations of the values -1 + 2 j / (levels - 1), the first component fastest. */
static void make_grid(const struct vqs_learning *c, vqs_real *codes) {
    for (int k = 0; k < c->K; k++) {
        for (int i = 0, rest = k; i < c->width; i++, rest /= c->grid_levels) {
            codes[k * c->width + i] = 2 * (vqs_real)(rest % c->grid_levels) / (vqs_real)(c->grid_levels - 1) - 1;
        }
    }
}

/* ---- any kind -------------------------------------------------------------------------------------------------- */

void vqs_learning_start(const struct vqs_learning *c, const vqs_real *codes, vqs_real *params, vqs_real *state) {
    const size_t size = (size_t)c->K * (size_t)c->width * sizeof *codes;
    switch (c->kind) {
    case VQS_LEARN_GRADIENT:
        memmove(params, codes, size);
        break;
    case VQS_LEARN_AFFINE:
        memmove(params, codes, size);
        for (int i = 0; i < c->width; i++) {
            params[c->K * c->width + i] = 1;
            params[(c->K + 1) * c->width + i] = 0;
        }
        break;
    case VQS_LEARN_EMA:
        for (int k = 0; k < c->K; k++) {
            ema_start_code(c, k, codes + k * c->width, state);
        }
        break;
    case VQS_LEARN_SIMVQ:
        memmove(state, codes, size);
        for (int i = 0; i < c->width * c->width; i++) {
            params[i] = i % (c->width + 1) == 0;
        }
        break;
    case VQS_LEARN_FIXED:
        memmove(state, codes, size);
        break;
    case VQS_LEARN_FSQ:
    case VQS_LEARN_LFQ:
        make_grid(c, state);
        break;
    }
}

void vqs_learning_make(const struct vqs_learning *c, const vqs_real *params, const vqs_real *state, vqs_real *codes) {
    switch (c->kind) {
    case VQS_LEARN_EMA:
        ema_make(c, state, codes);
        break;
    case VQS_LEARN_AFFINE:
        affine_make(c, params, codes);
        break;
    case VQS_LEARN_SIMVQ:
        simvq_make(c, params, state, codes);
        break;
    case VQS_LEARN_GRADIENT: /* params or state are the codes */
    case VQS_LEARN_FIXED:
    case VQS_LEARN_FSQ:
    case VQS_LEARN_LFQ:
        break;
    }
}

void vqs_learning_pull_back(const struct vqs_learning *c, const vqs_real *params, const vqs_real *state,
                            const vqs_real *to_codes, vqs_real *grad) {
    if (c->kind == VQS_LEARN_AFFINE) {
        affine_pull_back(c, params, to_codes, grad);
    } else if (c->kind == VQS_LEARN_SIMVQ) {
        simvq_pull_back(c, state, to_codes, grad);
    }
}

void vqs_learning_move(const struct vqs_learning *c, int k, const vqs_real *code, vqs_real *params, vqs_real *moment1,
                       vqs_real *moment2, vqs_real *state) {
    const size_t at = (size_t)k * (size_t)c->width, size = (size_t)c->width * sizeof *code;
    if (c->kind == VQS_LEARN_EMA) {
        ema_start_code(c, k, code, state);
        return;
    }
    for (int i = 0; i < c->width; i++) { /* of gradient the code itself, of affine (code - shift) / scale */
        const vqs_real *scale = params + (size_t)c->K * (size_t)c->width + i, *shift = scale + c->width;
        const bool plain = c->kind == VQS_LEARN_GRADIENT;
        params[at + (size_t)i] = plain ? code[i] : *scale == 0 ? 0 : (code[i] - *shift) / *scale;
    }
    memset(moment1 + at, 0, size);
    memset(moment2 + at, 0, size);
}

/* ---- what cannot be -------------------------------------------------------------------------------------------- */

static const char *name_of(const struct vqs_settings *s) {
    return vqs_setting_choice(VQS_SETTING_codebook, s->codebook);
}

/* Grids have as many codes as they have. */
static enum vqs_status check_grid(const struct vqs_settings *s, const struct vqs_learning *c,
                                  enum vqs_setting_id *culprit, struct vqs_error *err) {
    double K = 1;
    for (int i = 0; i < c->width; i++) {
        K *= c->grid_levels;
    }
    if (s->levels > 1) {
        *culprit = VQS_SETTING_levels;
        return vqs_fail(err, VQS_ERR_JOB,
                        "levels: the grid of %s does not fit what a level leaves over; levels must be 1 with it, or "
                        "codebook another",
                        name_of(s));
    }
    *culprit = VQS_SETTING_K;
    if (K > vqs_setting_table[VQS_SETTING_K].high) {
        return vqs_fail(
            err, VQS_ERR_JOB,
            "K: %s of %d components with %d values each has %.3g codes, more than K can be; use a smaller d or "
            "more groups",
            name_of(s), c->width, c->grid_levels, K);
    }
    if (K != s->K) {
        return vqs_fail(err, VQS_ERR_JOB, "K: %s of %d components with %d values each has %.0f codes; K must be %.0f",
                        name_of(s), c->width, c->grid_levels, K, K);
    }
    return VQS_OK;
}

enum vqs_status vqs_learning_check(const struct vqs_settings *s, enum vqs_setting_id *culprit, struct vqs_error *err) {
    const struct vqs_learning c = vqs_learning_of(s, vqs_code_width(s));
    if (vqs_setting_used(VQS_SETTING_codebook_steps, s) && !vqs_learning_is_trained(c.kind)) {
        *culprit = VQS_SETTING_update;
        return vqs_fail(err, VQS_ERR_JOB,
                        "update: codes of codebook: %s take no steps along gradients, so nothing alternates; use "
                        "update: joint, or codebook: gradient, affine or simvq",
                        name_of(s));
    }
    if (c.kind == VQS_LEARN_FSQ && vqs_setting_used(VQS_SETTING_probe_samples, s)) {
        *culprit = VQS_SETTING_probe_epochs;
        return vqs_fail(
            err, VQS_ERR_JOB,
            "probe_epochs: gradients are probed at z, which codebook: fsq bounds after the encoder; use another "
            "codebook, or no probe_epochs");
    }
    return vqs_learning_is_grid(c.kind) ? check_grid(s, &c, culprit, err) : VQS_OK;
}
