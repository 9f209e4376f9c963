/* tile.c - one tile of a training step. Compiled once for each instruction set. */
#include "tile.h"

#include "isa.h"
#include "simd.h"

#define T VQS_TILE

#define FOR_LANES _Pragma("omp simd") for (int l = 0; l < T; l++)

static vqs_real sum_lanes(const vqs_real *a) {
    vf sum = v_load(a);
    for (int l = VL; l < T; l += VL) {
        sum += v_load(a + l);
    }
    return v_sum(sum);
}

static vqs_real dot_lanes(const vqs_real *a, const vqs_real *b) {
    vf sum = v_load(a) * v_load(b);
    for (int l = VL; l < T; l += VL) {
        sum += v_load(a + l) * v_load(b + l);
    }
    return v_sum(sum);
}

static void clear_spare_lanes(int rows, int n, vqs_real *a) {
    for (int i = 0; i < rows; i++) {
        for (int l = n; l < T; l++) {
            a[i * T + l] = 0;
        }
    }
}

static void encode_and_assign(const struct vqs_step *s, struct vqs_tile *t) {
    const int d = s->d;
    for (int i = 0; i < d; i++) {
        const vqs_real b = s->bias ? s->encoder_bias[i] : 0;
        FOR_LANES t->z[i * T + l] = t->y[i * T + l] + b;
    }
    s->kernels->assign(s->K, d, s->codes, s->half_norm, t->z, t->k);
    for (int l = 0; l < T; l++) {
        const vqs_real *c = s->codes + (size_t)t->k[l] * (size_t)d;
        for (int i = 0; i < d; i++) {
            t->q[i * T + l] = c[i];
        }
    }
}

/* g, and the reconstruction error |x - x^|^2 = |x - C|^2 + q.(G q - 2 V^T (x - C)) of each sample. */
static void reconstruction(const struct vqs_step *s, struct vqs_tile *t, vqs_real *rec) {
    const int d = s->d;
    const vqs_real *y = s->tied ? t->y : t->y + d * T;
    const vqs_real *Gq = s->tied ? t->q : t->gz; /* gz is free until the estimator writes it */
    if (!s->tied) {
        s->kernels->mix(d, s->gram, t->q, t->gz);
    }
    if (s->bias) {
        const vqs_real *cx = t->y + (s->tied ? d : 2 * d) * T;
        FOR_LANES rec[l] = t->sq[l] - 2 * cx[l] + s->bias_norm2;
    } else {
        FOR_LANES rec[l] = t->sq[l];
    }
    for (int i = 0; i < d; i++) {
        const vqs_real shift = s->bias ? s->decoded_bias[i] : 0;
        FOR_LANES {
            vqs_real target = y[i * T + l] - shift, e = Gq[i * T + l];
            t->g[i * T + l] = s->rec_scale * (e - target);
            rec[l] += t->q[i * T + l] * (e - 2 * target);
        }
    }
}

/* The commitment and codebook terms, and the sample's squared quantisation error. */
static void quantization(const struct vqs_step *s, struct vqs_tile *t, vqs_real *vq) {
    const vqs_real commit = s->beta * s->vq_scale;
    FOR_LANES vq[l] = 0;
    for (int i = 0; i < s->d; i++) {
        FOR_LANES {
            vqs_real e = t->q[i * T + l] - t->z[i * T + l];
            vq[l] += e * e;
            t->gc[i * T + l] = s->vq_scale * e;
            t->gz[i * T + l] -= commit * e;
        }
    }
}

/* sum q q^T over the tile, added to qq. */
static void add_code_moments(const struct vqs_step *s, struct vqs_tile *t) {
    const int d = s->d;
    if (d % VQS_ROW_UNIT == 0) { /* codes are rows like samples are: the same product */
        s->kernels->outer(d, (size_t)d, s->codes, t->k, t->q, true, t->qq);
        return;
    }
    for (int i = 0; i < d; i++) {
        for (int j = 0; j < i; j++) {
            vqs_real sum = dot_lanes(t->q + i * T, t->q + j * T);
            t->qq[i * d + j] += sum;
            t->qq[j * d + i] += sum;
        }
        t->qq[i * d + i] += dot_lanes(t->q + i * T, t->q + i * T);
    }
}

static void write_outer(const struct vqs_step *s, struct vqs_tile *t) {
    const int d = s->d;
    for (int i = 0; i < d; i++) {
        if (s->tied) {
            FOR_LANES t->outer[i * T + l] = t->gz[i * T + l] - s->rec_scale * t->q[i * T + l];
        } else {
            FOR_LANES t->outer[i * T + l] = t->gz[i * T + l];
            FOR_LANES t->outer[(d + i) * T + l] = t->q[i * T + l];
        }
    }
    if (s->bias) {
        vqs_real *ones = t->outer + (s->tied ? d : 2 * d) * T;
        for (int l = 0; l < T; l++) {
            ones[l] = l < t->n;
        }
        for (int i = 0; i < d; i++) {
            t->qsum[i] += sum_lanes(t->q + i * T);
            t->gsum[i] += sum_lanes(t->gz + i * T);
        }
    }
}

void VQS_ISA_NAME(vqs_tile_step)(const struct vqs_step *s, struct vqs_tile *t) {
    vqs_real rec[T], vq[T], zero[T];
    encode_and_assign(s, t);
    reconstruction(s, t, rec);
    const struct vqs_estimator_tile e = {s->settings, s->d, t->z, t->q, t->g, t->gz, zero};
    s->estimator->backward(&e);
    quantization(s, t, vq);
    if (t->n < T) {
        clear_spare_lanes(1, t->n, rec);
        clear_spare_lanes(1, t->n, vq);
        clear_spare_lanes(1, t->n, zero);
        clear_spare_lanes(s->d, t->n, t->q);
        clear_spare_lanes(s->d, t->n, t->gz);
        clear_spare_lanes(s->d, t->n, t->gc);
    }
    t->rec += (double)sum_lanes(rec);
    t->vq += (double)sum_lanes(vq);
    t->zero += (double)sum_lanes(zero);
    add_code_moments(s, t);
    write_outer(s, t);
}
