/* isa_tile.c - one tile of a training step. */
#include "isa_kernels.h"
#include "tile.h"

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
static void gather_codes(int d, const vqs_real *codes, const uint32_t *k, vqs_real *q) {
    int i = 0;
    for (; i + VL <= d; i += VL) { /* whole vectors of components: rows in, columns out */
        for (int l = 0; l < T; l += VL) {
            vf r[VL];
            for (int v = 0; v < VL; v++) {
                r[v] = v_load(codes + (size_t)k[l + v] * (size_t)d + (size_t)i);
            }
            v_transpose(r);
            for (int v = 0; v < VL; v++) {
                v_store(q + (i + v) * T + l, r[v]);
            }
        }
    }
    for (; i + 8 <= d; i += 8) {
        v_rows_to_columns_8(codes + i, d, k, q + i * T);
    }
    for (; i < d; i++) {
        v_gather_tile(codes + i, d, k, q + i * T);
    }
}

static void encode(const struct vqs_step *s, struct vqs_tile *t) {
    for (int i = 0; i < s->d; i++) {
        const vqs_real b = s->bias ? s->encoder_bias[i] : 0;
        const vqs_real *restrict y = t->y + i * T;
        vqs_real *restrict z = t->z + i * T;
        FOR_LANES z[l] = y[l] + b;
    }
}

/* The estimator's random numbers: those of the step and the tile, whichever estimator asks. */
static void draw(const struct vqs_step *s, struct vqs_tile *t) {
    const uint64_t seed = s->settings->seed, tile = (uint64_t)t->number;
    if (t->noise) {
        const size_t groups = ((size_t)s->d * T + VQS_RNG_GROUP - 1) / VQS_RNG_GROUP;
        s->kernels->normals(seed, VQS_RNG_ESTIMATOR, s->number, tile * groups, groups, 1, t->noise);
    }
    if (t->words) {
        const size_t groups = ((size_t)s->quantizer->K * T + VQS_RNG_GROUP - 1) / VQS_RNG_GROUP;
        s->kernels->words(seed, VQS_RNG_ESTIMATOR, s->number, tile * groups, groups, t->words);
    }
}

static struct vqs_estimator_tile for_estimator(const struct vqs_step *s, const struct vqs_tile *t, vqs_real *zero) {
    const struct vqs_quantizer *q = s->quantizer;
    return (struct vqs_estimator_tile){
        .settings = s->settings,
        .d = s->d,
        .K = q->K,
        .tau = s->tau,
        .z = t->z,
        .q = t->q,
        .k = t->k,
        .f = t->f,
        .g = t->g,
        .at_z = t->at_z,
        .noise = t->noise,
        .gz = t->gz,
        .gq = t->gq,
        .zero = zero,
        .codes = q->codes,
        .packed = q->packed,
        .half_norm = q->half_norm,
        .words = t->words,
        .weights = t->weights,
        .gcodes = t->gcodes,
    };
}

/* k, q and f. */
static void quantize(const struct vqs_step *s, struct vqs_tile *t) {
    const struct vqs_quantizer *q = s->quantizer;
    const bool chooses = s->estimator->needs & VQS_NEEDS_CHOICES;
    const struct vqs_estimator_tile e = for_estimator(s, t, NULL);
    draw(s, t);
    if (chooses) {
        s->estimator->forward(&e);
    } else {
        s->kernels->assign(q->K, s->d, q->packed, q->half_norm, t->z, t->k);
    }
    gather_codes(s->d, q->codes, t->k, t->q);
    if (s->estimator->forward && !chooses) {
        s->estimator->forward(&e);
    }
}

/* g, and the reconstruction error |x - x^|^2 = |x - C|^2 + f.(G f - 2 V^T (x - C)) of each sample. */
static void reconstruction(const struct vqs_step *s, struct vqs_tile *t, vqs_real *restrict rec) {
    const int d = s->d;
    const vqs_real scale = s->rec_scale, bias_norm2 = s->bias_norm2;
    const vqs_real *restrict y = s->tied ? t->y : t->y + d * T;
    const vqs_real *restrict Gf = s->tied ? t->f : t->gz; /* gz is free until the estimator writes it */
    const vqs_real *restrict f = t->f;
    vqs_real *restrict g = t->g;
    if (!s->tied) {
        s->kernels->mix(d, s->gram, t->f, t->gz);
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
            vqs_real target = y[i * T + l] - shift, e = Gf[i * T + l];
            g[i * T + l] = scale * (e - target);
            rec[l] += f[i * T + l] * (e - 2 * target);
        }
    }
}

/* dL_rec/dz were z decoded itself: g + (2/(B D)) G (z - f). */
static void reconstruction_at_z(const struct vqs_step *s, struct vqs_tile *t) {
    const int d = s->d;
    const vqs_real scale = s->rec_scale;
    vqs_real *restrict at_z = t->at_z, *restrict ge = t->ge; /* ge is free until the losses write it */
    for (int i = 0; i < d * T; i += T) {
        FOR_LANES ge[i + l] = t->z[i + l] - t->f[i + l];
    }
    const vqs_real *restrict Ge = s->tied ? t->ge : t->gz;
    if (!s->tied) {
        s->kernels->mix(d, s->gram, t->ge, t->gz);
    }
    for (int i = 0; i < d * T; i += T) {
        FOR_LANES at_z[i + l] = t->g[i + l] + scale * Ge[i + l];
    }
}

/* gz of the reconstruction loss. */
static void push_back(const struct vqs_step *s, struct vqs_tile *t, vqs_real *restrict zero) {
    FOR_LANES zero[l] = 0;
    if (t->at_z) {
        reconstruction_at_z(s, t);
    }
    const struct vqs_estimator_tile e = for_estimator(s, t, zero);
    s->estimator->backward(&e);
}

/* The commitment and codebook terms, and the sample's squared quantisation error. */
static void quantization(const struct vqs_step *s, struct vqs_tile *t, vqs_real *restrict vq) {
    const vqs_real scale = s->code_scale, commit = s->commit_scale;
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

/* Sums of f and f f^T, where f is no code. */
static void add_moments(const struct vqs_step *s, struct vqs_tile *t) {
    const int d = s->d, stride = (int)vqs_row_stride(d);
    s->kernels->gram(d, T, t->f, t->square);
    for (int i = 0; i < d; i++) {
        t->fsum[i] += sum_lanes(t->f + i * T);
        for (int j = 0; j < d; j++) {
            t->moments[i * stride + j] += t->square[i * d + j];
        }
    }
}

static void add_to(int d, const vqs_real *restrict a, vqs_real *restrict sum) {
    for (int i = 0; i < d * T; i += T) {
        FOR_LANES sum[i + l] += a[i + l];
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
    const vqs_real *restrict f = t->f, *restrict gz = t->gz;
    vqs_real *restrict outer = t->outer;
    for (int i = 0; i < d; i++) {
        if (s->tied) {
            FOR_LANES outer[i * T + l] = gz[i * T + l] - scale * f[i * T + l];
        } else {
            FOR_LANES outer[i * T + l] = gz[i * T + l];
            FOR_LANES outer[(d + i) * T + l] = f[i * T + l];
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
    const int d = s->d;
    vqs_real rec[T], vq[T], zero[T];
    encode(s, t);
    quantize(s, t);
    vqs_profile_lap(t->profile, VQS_PHASE_ASSIGN);
    reconstruction(s, t, rec);
    if (t->n < T) { /* before an estimator sums over samples */
        clear_spare_lanes(d, t->n, t->g);
    }
    push_back(s, t, zero);
    quantization(s, t, vq);
    if (t->gq) {
        add_to(d, t->gq, t->ge);
    }
    if (t->n < T) {
        clear_spare_lanes(1, t->n, rec);
        clear_spare_lanes(1, t->n, vq);
        clear_spare_lanes(1, t->n, zero);
        clear_spare_lanes(d, t->n, t->f);
        clear_spare_lanes(d, t->n, t->gz);
    }
    if (t->moments) {
        add_moments(s, t);
    }
    t->rec += (double)sum_lanes(rec);
    t->vq += (double)sum_lanes(vq);
    t->zero += (double)sum_lanes(zero);
    write_code_rows(s, t);
    write_outer(s, t);
    vqs_profile_lap(t->profile, VQS_PHASE_ESTIMATE);
}
