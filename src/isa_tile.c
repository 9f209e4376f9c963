/* isa_tile.c - one tile of a training step. */
#include "isa_kernels.h"
#include "tile.h"

#define FOR_LANES _Pragma("omp simd") for (int l = 0; l < T; l++)

static vqs_real sum_lanes(const vqs_real *a) {
    vf sum = v_load(a);
    for (int l = VL; l < T; l += VL) {
        sum += v_load(a + l);
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

/* q[i][l] = codes[k[l]][i] */
static void gather_codes(const struct vqs_step *s, const uint32_t *k, vqs_real *q) {
    const int d = s->d;
    int i = 0;
    for (; i + VL <= d; i += VL) { /* whole vectors of components: rows in, columns out */
        for (int l = 0; l < T; l += VL) {
            vf r[VL];
            for (int v = 0; v < VL; v++) {
                r[v] = v_load(s->codes + (size_t)k[l + v] * (size_t)d + (size_t)i);
            }
            v_transpose(r);
            for (int v = 0; v < VL; v++) {
                v_store(q + (i + v) * T + l, r[v]);
            }
        }
    }
    for (; i + 8 <= d; i += 8) {
        v_rows_to_columns_8(s->codes + i, d, k, q + i * T);
    }
    for (; i < d; i++) {
        v_gather_tile(s->codes + i, d, k, q + i * T);
    }
}

static void encode_and_assign(const struct vqs_step *s, struct vqs_tile *t) {
    const int d = s->d;
    for (int i = 0; i < d; i++) {
        const vqs_real b = s->bias ? s->encoder_bias[i] : 0;
        const vqs_real *restrict y = t->y + i * T;
        vqs_real *restrict z = t->z + i * T;
        FOR_LANES z[l] = y[l] + b;
    }
    s->kernels->assign(s->K, d, s->packed_codes, s->half_norm, t->z, t->k);
    gather_codes(s, t->k, t->q);
}

/* g, and the reconstruction error |x - x^|^2 = |x - C|^2 + q.(G q - 2 V^T (x - C)) of each sample. */
static void reconstruction(const struct vqs_step *s, struct vqs_tile *t, vqs_real *restrict rec) {
    const int d = s->d;
    const vqs_real scale = s->rec_scale, bias_norm2 = s->bias_norm2;
    const vqs_real *restrict y = s->tied ? t->y : t->y + d * T;
    const vqs_real *restrict Gq = s->tied ? t->q : t->gz; /* gz is free until the estimator writes it */
    const vqs_real *restrict q = t->q;
    vqs_real *restrict g = t->g;
    if (!s->tied) {
        s->kernels->mix(d, s->gram, t->q, t->gz);
    }
    if (s->bias) {
        const vqs_real *cx = t->y + (s->tied ? d : 2 * d) * T;
        FOR_LANES rec[l] = t->sq[l] - 2 * cx[l] + bias_norm2;
    } else {
        FOR_LANES rec[l] = t->sq[l];
    }
    for (int i = 0; i < d; i++) {
        const vqs_real shift = s->bias ? s->decoded_bias[i] : 0;
        FOR_LANES {
            vqs_real target = y[i * T + l] - shift, e = Gq[i * T + l];
            g[i * T + l] = scale * (e - target);
            rec[l] += q[i * T + l] * (e - 2 * target);
        }
    }
}

/* The commitment and codebook terms, and the sample's squared quantisation error. */
static void quantization(const struct vqs_step *s, struct vqs_tile *t, vqs_real *restrict vq) {
    const vqs_real scale = s->vq_scale, commit = s->beta * s->vq_scale;
    const vqs_real *restrict q = t->q, *restrict z = t->z;
    vqs_real *restrict ge = t->ge, *restrict gz = t->gz;
    FOR_LANES vq[l] = 0;
    for (int i = 0; i < s->d; i++) {
        FOR_LANES {
            vqs_real e = q[i * T + l] - z[i * T + l];
            vq[l] += e * e;
            ge[i * T + l] = scale * e;
            gz[i * T + l] -= commit * e;
        }
    }
}

/* The columns ge [d][T] as rows gc [T][stride]. */
static void write_code_rows(const struct vqs_step *s, struct vqs_tile *t) {
    const int d = s->d, stride = (int)vqs_row_stride(d);
    int i = 0;
    for (; i + 8 <= d; i += 8) {
        v_columns_to_rows_8(t->ge + i * T, stride, t->gc + i);
    }
    for (; i < d; i++) {
        for (int l = 0; l < T; l++) {
            t->gc[l * stride + i] = t->ge[i * T + l];
        }
    }
}

static void write_outer(const struct vqs_step *s, struct vqs_tile *t) {
    const int d = s->d;
    const vqs_real scale = s->rec_scale;
    const vqs_real *restrict q = t->q, *restrict gz = t->gz;
    vqs_real *restrict outer = t->outer;
    for (int i = 0; i < d; i++) {
        if (s->tied) {
            FOR_LANES outer[i * T + l] = gz[i * T + l] - scale * q[i * T + l];
        } else {
            FOR_LANES outer[i * T + l] = gz[i * T + l];
            FOR_LANES outer[(d + i) * T + l] = q[i * T + l];
        }
    }
    if (s->bias) {
        vqs_real *ones = t->outer + (s->tied ? d : 2 * d) * T;
        for (int l = 0; l < T; l++) {
            ones[l] = l < t->n;
        }
        for (int i = 0; i < d; i++) {
            t->gsum[i] += sum_lanes(t->gz + i * T);
        }
    }
}

void KERNEL(tile_step)(const struct vqs_step *s, struct vqs_tile *t) {
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
    }
    t->rec += (double)sum_lanes(rec);
    t->vq += (double)sum_lanes(vq);
    t->zero += (double)sum_lanes(zero);
    write_code_rows(s, t);
    write_outer(s, t);
}
