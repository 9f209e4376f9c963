/* isa_soft.c - smooth functions of encoder outputs: the bound of fsq, and the soft codes of the entropy penalty. */
#include "isa_kernels.h"
#include "simd_math.h"
#include "tile.h"

#include <math.h>

/* tanh z = 1 - 2 / (e^2z + 1) */
void KERNEL(bound)(int d, vqs_real *z) {
    const vf one = v_set(1), two = v_set(2);
    for (int i = 0; i < d * T; i += VL) {
        v_store(z + i, one - two / (v_exp(two * v_load(z + i)) + one));
    }
}

/* p = softmax(-rate |z - c_k|^2) over the codes, and log p; both [K][T]. */
static void soften(int K, int width, const vqs_real *codes, vqs_real rate, const vqs_real *restrict z,
                   vqs_real *restrict p, vqs_real *restrict log_p) {
    vqs_real least[T], sum[T];
    FOR_LANES least[l] = (vqs_real)INFINITY;
    FOR_LANES sum[l] = 0;
    for (int k = 0; k < K; k++) {
        vqs_real *restrict r = log_p + k * T;
        FOR_LANES r[l] = 0;
        for (int i = 0; i < width; i++) {
            const vqs_real c = codes[k * width + i];
            FOR_LANES r[l] += (z[i * T + l] - c) * (z[i * T + l] - c);
        }
        FOR_LANES least[l] = r[l] < least[l] ? r[l] : least[l];
    }
    for (int k = 0; k < K; k++) {
        FOR_LANES log_p[k * T + l] = rate * (least[l] - log_p[k * T + l]);
        for (int l = 0; l < T; l += VL) {
            v_store(p + k * T + l, v_exp(v_load(log_p + k * T + l)));
        }
        FOR_LANES sum[l] += p[k * T + l];
    }
    for (int l = 0; l < T; l += VL) {
        v_store(least + l, v_log(v_load(sum + l)));
    }
    for (int k = 0; k < K; k++) {
        FOR_LANES p[k * T + l] /= sum[l];
        FOR_LANES log_p[k * T + l] -= least[l];
    }
}

/* Sums over the tile's samples: of p for each code, and of H(p). */
static void collect(int K, int n, const vqs_real *p, const vqs_real *log_p, vqs_real *softly, double *entropy) {
    for (int k = 0; k < K; k++) {
        for (int l = 0; l < n; l++) {
            softly[k] += p[k * T + l];
            *entropy -= (double)(p[k * T + l] * log_p[k * T + l]);
        }
    }
}

void KERNEL(soft_codes)(const struct vqs_step *s, struct vqs_tile *t, int codebook) {
    const struct vqs_quantizer *q = s->quantizer;
    const int K = q->K, width = q->width, slice = codebook % q->groups * width * T;
    const vqs_real *codes = vqs_codebook_of(q, codebook).codes, *log_mean = s->log_mean + codebook * K;
    const vqs_real *restrict z = t->z + codebook / q->groups * s->d * T + slice;
    vqs_real *restrict p = t->soft, *restrict a = p + K * T, *restrict gz = t->gz + slice, mean[T];
    soften(K, width, codes, s->soft_rate, z, p, a);
    if (t->collects) {
        collect(K, t->n, p, a, t->softly + codebook * K, &t->entropy);
        return;
    }
    FOR_LANES mean[l] = 0;
    for (int k = 0; k < K; k++) { /* a = dL/dp_k, but for the weight */
        FOR_LANES a[k * T + l] = log_mean[k] - a[k * T + l];
        FOR_LANES mean[l] += p[k * T + l] * a[k * T + l];
    }
    const vqs_real scale = 2 * s->soft_rate * s->soft_scale;
    for (int k = 0; k < K; k++) {
        const vqs_real *c = codes + k * width;
        vqs_real delta[T];
        FOR_LANES delta[l] = l < t->n ? scale * p[k * T + l] * (a[k * T + l] - mean[l]) : 0;
        for (int i = 0; i < width; i++) {
            vqs_real sum = 0;
            FOR_LANES gz[i * T + l] += delta[l] * c[i];
            for (int l = 0; t->gcodes && l < T; l++) {
                sum += delta[l] * (z[i * T + l] - c[i]);
            }
            if (t->gcodes) {
                t->gcodes[(codebook * K + k) * width + i] += sum;
            }
        }
    }
}
