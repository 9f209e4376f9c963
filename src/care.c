/* care.c - revival and penalties. */
#include "care.h"

#include "vqsweep/rng.h"

#include <math.h>
#include <string.h>

enum { T = VQS_TILE };

/* ---- revival --------------------------------------------------------------------------------------------------- */

void vqs_care_tally(struct vqs_quantizer *q, const uint32_t *count) {
    for (size_t k = 0; q->tally && k < (size_t)q->n_codebooks * (size_t)q->K; k++) {
        q->tally[k] += count[k] != 0;
    }
}

bool vqs_care_revives(const struct vqs_settings *s, int64_t number) {
    return s->revive == VQS_REVIVE_EXPIRE && number % s->revive_period == 0;
}

/* What is left for codebook `number` of the encoded samples, in z [d][T]. Returns its components of it. */
static const vqs_real *input_of(const struct vqs_quantizer *q, int number, vqs_real *z) {
    for (int c = 0; c < number / q->groups * q->groups; c++) {
        vqs_quantizer_subtract(q, c, 0, T, z + c % q->groups * q->width * T);
    }
    return z + number % q->groups * q->width * T;
}

/* Codes k, k + 1, ... of codebook `number`, as many as samples in a tile. */
static int revive_some(const struct vqs_settings *s, struct vqs_model *m, int number, int k, const vqs_real *input,
                       vqs_real *moment1, vqs_real *moment2) {
    struct vqs_quantizer *q = &m->quantizer;
    const vqs_real *tally = q->tally + (size_t)number * (size_t)q->K;
    vqs_real code[512]; /* the most that d can be */
    int revived = 0;
    for (int l = 0; l < T && k + l < q->K; l++) {
        if ((double)tally[k + l] >= s->revive_threshold * s->revive_period) {
            continue;
        }
        for (int i = 0; i < q->width; i++) {
            code[i] = input[i * T + l];
        }
        vqs_quantizer_move(q, number, k + l, code, moment1, moment2);
        revived++;
    }
    return revived;
}

int vqs_care_revive(const struct vqs_settings *s, struct vqs_model *m, const struct vqs_samples *samples,
                    const uint32_t *order, int n, int64_t number, struct vqs_model_scratch *scratch, vqs_real *moment1,
                    vqs_real *moment2) {
    struct vqs_quantizer *q = &m->quantizer;
    const struct vqs_stream draws = {q->kernels, s->seed, VQS_RNG_REVIVAL, (uint32_t)number};
    const size_t offset = (size_t)(q->params - m->params);
    int revived = 0;
    for (int c = 0; c < q->n_codebooks; c++) {
        const int from = (int)(vqs_rng_unit(&draws, (uint64_t)c) * n);
        for (int k = 0; k < q->K; k += T) {
            uint32_t rows[T];
            for (int l = 0; l < T; l++) {
                rows[l] = order[(from + k + l) % n];
            }
            vqs_model_encode(m, samples->x, rows, scratch->y, scratch->z);
            const vqs_real *input = input_of(q, c, scratch->z);
            revived += revive_some(s, m, c, k, input, moment1 + offset, moment2 + offset);
        }
        vqs_quantizer_refresh(q); /* the next level quantises what this one leaves now */
    }
    memset(q->tally, 0, (size_t)q->n_codebooks * (size_t)q->K * sizeof *q->tally);
    return revived;
}

/* ---- orthogonality --------------------------------------------------------------------------------------------- */

size_t vqs_care_scratch(int K, int width) {
    const size_t w = (size_t)width;
    return (size_t)K * (w + 1) + w * w + w;
}

/* out = a of length 1, or 0. Returns 1/|a|, or 0. */
static vqs_real normalise(size_t width, const vqs_real *a, vqs_real *out) {
    double square = 0;
    for (size_t i = 0; i < width; i++) {
        square += (double)a[i] * (double)a[i];
    }
    const vqs_real inverse = square > 0 ? (vqs_real)(1 / sqrt(square)) : 0;
    for (size_t i = 0; i < width; i++) {
        out[i] = a[i] * inverse;
    }
    return inverse;
}

/* grad += scale (M c - c (c . M c)); `Mc` is scratch. */
static void add_across(size_t width, const vqs_real *M, const vqs_real *c, vqs_real scale, vqs_real *Mc,
                       vqs_real *grad) {
    vqs_real along = 0;
    for (size_t i = 0; i < width; i++) {
        Mc[i] = 0;
        for (size_t j = 0; j < width; j++) {
            Mc[i] += M[i * width + j] * c[j];
        }
        along += Mc[i] * c[i];
    }
    for (size_t i = 0; i < width; i++) {
        grad[i] += scale * (Mc[i] - along * c[i]);
    }
}

/* With M = C^T C: |C C^T - I|^2 = |M|^2 - 2 tr M + K, which needs no K x K matrix, and the gradient to ch_k is
 * (4 / K^2) (M - I) ch_k. The -ch_k in it, and all else along ch_k, is lost when it is taken through the length:
 * the gradient to c_k is (4 / K^2) (I - ch_k ch_k^T) M ch_k / |c_k|. */
double vqs_care_orthogonality(int K, int width, const vqs_real *codes, double weight, vqs_real *grad,
                              vqs_real *scratch) {
    const size_t w = (size_t)width, n = (size_t)K;
    vqs_real *unit = scratch, *inverse = unit + n * w, *M = inverse + n, *Mc = M + w * w;
    double value = 0;
    memset(M, 0, w * w * sizeof *M);
    for (size_t k = 0; k < n; k++) {
        const vqs_real *c = unit + k * w;
        inverse[k] = normalise(w, codes + k * w, unit + k * w);
        value -= inverse[k] > 0;
        for (size_t i = 0; i < w; i++) {
            for (size_t j = 0; j < w; j++) {
                M[i * w + j] += c[i] * c[j];
            }
        }
    }
    for (size_t i = 0; i < w * w; i++) {
        value += (double)M[i] * (double)M[i];
    }
    const double share = weight / ((double)n * (double)n);
    for (size_t k = 0; k < n; k++) {
        add_across(w, M, unit + k * w, (vqs_real)(4 * share) * inverse[k], Mc, grad + k * w);
    }
    return share * value;
}

/* ---- what cannot be -------------------------------------------------------------------------------------------- */

enum vqs_status vqs_care_check(const struct vqs_settings *s, enum vqs_setting_id *culprit, struct vqs_error *err) {
    const enum vqs_learning_kind kind = (enum vqs_learning_kind)s->codebook;
    const char *name = vqs_setting_choice(VQS_SETTING_codebook, s->codebook);
    if (vqs_setting_used(VQS_SETTING_revive_period, s) && !vqs_learning_can_move(kind)) {
        *culprit = VQS_SETTING_revive;
        return vqs_fail(err, VQS_ERR_JOB,
                        "revive: no single code of codebook: %s can be moved; use revive: off, or codebook: gradient, "
                        "ema or affine",
                        name);
    }
    if (vqs_setting_used(VQS_SETTING_orthogonality, s) && s->orthogonality > 0 && !vqs_learning_is_trained(kind)) {
        *culprit = VQS_SETTING_orthogonality;
        return vqs_fail(err, VQS_ERR_JOB,
                        "orthogonality: the codes of codebook: %s follow no gradient; it must be 0, or codebook "
                        "gradient, affine or simvq",
                        name);
    }
    return VQS_OK;
}
