/* isa_tile.c - one tile of a training step. */
#include "isa_kernels.h"
#include "tile.h"

#include <math.h>

static void clear_spare_lanes(int rows, int n, vqs_real *a) {
    for (int i = 0; i < rows; i++) {
        for (int l = n; l < T; l++) {
            a[i * T + l] = 0;
        }
    }
}

void KERNEL(lookup)(int d, const vqs_real *codes, const uint32_t *k, vqs_real *q) {
    int i = 0;
    for (; i + VL <= d; i += VL) {
        v_rows_to_columns(codes + i, d, k, q + i * T);
    }
    for (; i + 8 <= d; i += 8) {
        v_rows_to_columns_8(codes + i, d, k, q + i * T);
    }
    for (; i < d; i++) {
        v_gather_tile(codes + i, d, k, q + i * T);
    }
}

static void encode(const struct vqs_step *s, struct vqs_tile *t) {
    for (int i = 0; i < s->d && t->z != t->y; i++) {
        const vqs_real b = s->bias ? s->encoder_bias[i] : 0;
        const vqs_real *restrict y = t->y + i * T;
        vqs_real *restrict z = t->z + i * T;
        FOR_LANES z[l] = y[l] + b;
    }
    if (s->bounded) {
        KERNEL(bound)(s->d, t->z);
    }
}

/* The estimator's random numbers are those of the step, the tile and the level or codebook, whichever estimator asks:
 * groups of a stream, far enough apart for the tiles of any batch. */
static void draw_noise(const struct vqs_step *s, struct vqs_tile *t, int level) {
    const size_t groups = t->noise_stride / VQS_RNG_GROUP;
    const uint64_t first = (uint64_t)level << 32 | (uint64_t)t->number * groups;
    s->kernels->normals(s->settings->seed, VQS_RNG_ESTIMATOR, s->number, first, groups, 1,
                        t->noise + (size_t)level * t->noise_stride);
}

static void draw_words(const struct vqs_step *s, struct vqs_tile *t, int codebook) {
    const size_t groups = ((size_t)s->quantizer->K * T + VQS_RNG_GROUP - 1) / VQS_RNG_GROUP;
    const uint64_t first = (uint64_t)codebook << 32 | (uint64_t)t->number * groups;
    s->kernels->words(s->settings->seed, VQS_RNG_ESTIMATOR, s->number, first, groups, t->words);
}

INLINE vqs_real *part_of(vqs_real *a, size_t at) {
    return a ? a + at : NULL;
}

/* What the estimator sees of one codebook. */
static struct vqs_estimator_tile for_codebook(const struct vqs_step *s, const struct vqs_tile *t, int level, int group,
                                              vqs_real *zero) {
    const struct vqs_quantizer *q = s->quantizer;
    const int codebook = level * q->groups + group;
    const struct vqs_codebook book = vqs_codebook_of(q, codebook);
    const bool last = level == q->levels - 1;
    const size_t at = (size_t)(group * q->width) * T, from = (size_t)(level * s->d) * T + at;
    const size_t choices = (size_t)q->K * T;
    return (struct vqs_estimator_tile){
        .settings = s->settings,
        .d = q->width,
        .K = q->K,
        .tau = s->tau,
        .z = t->z + from,
        .q = t->q + from,
        .k = t->k + (size_t)codebook * t->book_stride,
        .f = t->v + from,
        .g = (last ? t->g : t->rest) + at,
        .at_z = t->at_z,
        .noise = part_of(t->noise, (size_t)level * t->noise_stride + at),
        .gz = (last ? t->gz : t->back) + at,
        .gq = part_of(t->gq, from),
        .zero = zero,
        .codes = book.codes,
        .packed = book.packed,
        .half_norm = book.half_norm,
        .words = t->words,
        .weights = part_of(t->weights, (size_t)codebook * 3 * choices),
        .gcodes = part_of(t->gcodes, (size_t)(codebook * q->K) * (size_t)q->width),
        .learned = s->learned,
        .smoothed = t->smooth,
        .sums = t->sums,
    };
}

/* What the estimator sees of all codebooks together. */
static struct vqs_estimator_tile for_total(const struct vqs_step *s, const struct vqs_tile *t, vqs_real *zero) {
    return (struct vqs_estimator_tile){
        .settings = s->settings,
        .d = s->d,
        .tau = s->tau,
        .z = t->z,
        .q = t->sum,
        .f = t->f,
        .g = t->g,
        .at_z = t->at_z,
        .noise = t->noise,
        .gz = t->gz,
        .gq = t->gq,
        .zero = zero,
    };
}

static void subtract(int d, const vqs_real *restrict a, const vqs_real *restrict b, vqs_real *restrict out) {
    for (int i = 0; i < d * T; i += T) {
        FOR_LANES out[i + l] = a[i + l] - b[i + l];
    }
}

static void add_to(int d, const vqs_real *restrict a, vqs_real *restrict sum) {
    for (int i = 0; i < d * T; i += T) {
        FOR_LANES sum[i + l] += a[i + l];
    }
}

/* k and q of one codebook, and what the estimator makes of them. */
static void quantize_part(const struct vqs_step *s, struct vqs_tile *t, int level, int group) {
    const struct vqs_quantizer *q = s->quantizer;
    const int codebook = level * q->groups + group;
    const struct vqs_codebook book = vqs_codebook_of(q, codebook);
    const size_t from = (size_t)(level * s->d + group * q->width) * T;
    uint32_t *k = t->k + (size_t)codebook * t->book_stride;
    const bool chooses = s->estimator->needs & VQS_NEEDS_CHOICES;
    if (chooses) {
        draw_words(s, t, codebook);
    } else {
        s->kernels->assign(q->K, q->width, book.packed, book.half_norm, t->z + from, k);
        if (!v_look_up_few(q->K, q->width, book.packed, k, t->q + from)) {
            KERNEL(lookup)(q->width, book.codes, k, t->q + from);
        }
    }
    if (s->each && s->estimator->forward) {
        const struct vqs_estimator_tile e = for_codebook(s, t, level, group, NULL);
        s->estimator->forward(&e);
    }
    if (chooses) {
        KERNEL(lookup)(q->width, book.codes, k, t->q + from);
    }
}

void KERNEL(tile_quantize)(const struct vqs_step *s, struct vqs_tile *t) {
    const struct vqs_quantizer *q = s->quantizer;
    const size_t latent = (size_t)s->d * T;
    for (int level = 0; level < q->levels; level++) {
        vqs_real *v = t->v + (size_t)level * latent, *r = t->z + (size_t)level * latent;
        if (t->noise && (s->each || level == 0)) {
            draw_noise(s, t, level);
        }
        for (int group = 0; group < q->groups; group++) {
            quantize_part(s, t, level, group);
        }
        if (level + 1 < q->levels) {
            subtract(s->d, r, v, r + latent);
        }
        if (level > 0) {
            add_to(s->d, v, t->sum);
        } else if (t->sum != v) {
            memcpy(t->sum, v, latent * sizeof *v);
        }
    }
    if (!s->each && s->estimator->forward) {
        const struct vqs_estimator_tile e = for_total(s, t, NULL);
        s->estimator->forward(&e);
    }
    for (int c = 0; t->collects && c < q->n_codebooks; c++) {
        KERNEL(soft_codes)(s, t, c);
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
    v_gather_tile(t->sq, 1, t->rows, rec);
    if (s->bias) {
        const vqs_real *cx = t->y + (s->tied ? d : 2 * d) * T;
        FOR_LANES rec[l] += bias_norm2 - 2 * cx[l];
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

/* e[l] = f.(G f - 2 V^T (x - C)), f the code nearest to `at`: what is left of the reconstruction error when |x - C|^2
 * is taken off. `q` and `Gq` are scratch. One codebook only. */
static void error_at(const struct vqs_step *s, const struct vqs_tile *t, const vqs_real *at, vqs_real *q, vqs_real *Gq,
                     vqs_real *restrict e) {
    const int d = s->d;
    const vqs_real *restrict y = s->tied ? t->y : t->y + d * T;
    const struct vqs_quantizer *book = s->quantizer;
    uint32_t k[T];
    book->kernels->assign(book->K, d, book->packed, book->half_norm, at, k);
    KERNEL(lookup)(d, book->codes, k, q);
    if (!s->tied) {
        s->kernels->mix(d, s->gram, q, Gq);
    }
    const vqs_real *restrict f = q, *restrict Gf = s->tied ? q : Gq;
    FOR_LANES e[l] = 0;
    for (int i = 0; i < d; i++) {
        const vqs_real shift = s->bias ? s->decoded_bias[i] : 0;
        FOR_LANES e[l] += f[i * T + l] * (Gf[i * T + l] - 2 * (y[i * T + l] - shift));
    }
}

/* An unbiased draw of the gradient of the smoothed loss for each sample: (l(Q(z + h n)) - l(Q(z - h n))) n / (2 h), n a
 * standard normal and h = learned_h sqrt(mean |z - q|^2 / d) over the tile. */
static void smoothed_gradient(const struct vqs_step *s, struct vqs_tile *t) {
    const int d = s->d;
    const size_t latent = (size_t)d * T, groups = t->noise_stride / VQS_RNG_GROUP;
    vqs_real *out = t->smooth, *at = out + latent, *q = at + latent, *Gq = q + latent, *n = Gq + latent;
    vqs_real above[T], below[T], rr = 0;
    for (int i = 0; i < d; i++) {
        for (int l = 0; l < t->n; l++) {
            rr += (t->z[i * T + l] - t->q[i * T + l]) * (t->z[i * T + l] - t->q[i * T + l]);
        }
    }
    const vqs_real h = (vqs_real)s->settings->learned_h * real_sqrt(rr / (vqs_real)(t->n * d));
    s->kernels->normals(s->settings->seed, VQS_RNG_ESTIMATOR, s->number,
                        (uint64_t)1 << 50 | (uint64_t)t->number * groups, groups, 1, n);
    for (size_t i = 0; i < latent; i++) {
        at[i] = t->z[i] + h * n[i];
    }
    error_at(s, t, at, q, Gq, above);
    for (size_t i = 0; i < latent; i++) {
        at[i] = t->z[i] - h * n[i];
    }
    error_at(s, t, at, q, Gq, below);
    const vqs_real scale = h > 0 ? s->rec_scale / (4 * h) : 0;
    for (int i = 0; i < d; i++) {
        FOR_LANES out[i * T + l] = scale * (above[l] - below[l]) * n[i * T + l];
    }
}

/* A of one level, in gz, from that of the next. */
static void push_back_level(const struct vqs_step *s, struct vqs_tile *t, int level, vqs_real *restrict zero) {
    const struct vqs_quantizer *q = s->quantizer;
    const bool last = level == q->levels - 1;
    if (!last) {
        subtract(s->d, t->g, t->gz, t->rest);
    }
    for (int group = 0; group < q->groups; group++) {
        vqs_real own[T] = {0};
        const struct vqs_estimator_tile e = for_codebook(s, t, level, group, own);
        s->estimator->backward(&e);
        FOR_LANES zero[l] += own[l];
    }
    if (!last) {
        add_to(s->d, t->back, t->gz);
    }
}

/* gz of the reconstruction loss. */
static void push_back(const struct vqs_step *s, struct vqs_tile *t, vqs_real *restrict zero) {
    FOR_LANES zero[l] = 0;
    for (int level = s->quantizer->levels - 1; s->each && level >= 0; level--) {
        push_back_level(s, t, level, zero);
    }
    if (!s->each) {
        const struct vqs_estimator_tile e = for_total(s, t, zero);
        s->estimator->backward(&e);
    }
}

/* The commitment and codebook terms of one level; its squared quantisation error is added to vq. */
static void quantization(const struct vqs_step *s, struct vqs_tile *t, int level, vqs_real *restrict vq) {
    const vqs_real scale = s->code_scale, commit = s->commit_scale;
    const vqs_real *restrict q = t->q + level * s->d * T, *restrict z = t->z + level * s->d * T;
    vqs_real *restrict ge = t->ge, *restrict gz = t->gz;
    for (int i = 0; i < s->d; i++) {
        FOR_LANES {
            vqs_real e = q[i * T + l] - z[i * T + l];
            vq[l] += e * e;
            ge[i * T + l] = scale * e;
            gz[i * T + l] -= commit * e;
        }
    }
    if (t->gq && !s->follows) {
        add_to(s->d, t->gq + (s->each ? level * s->d * T : 0), t->ge);
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

/* The columns ge [width][T] of a codebook as rows gc [T][stride]; `stride` leaves room for whole eights. */
static void write_code_rows(const struct vqs_step *s, struct vqs_tile *t, int level, int group) {
    const struct vqs_quantizer *q = s->quantizer;
    const int width = q->width, stride = (int)vqs_row_stride(width);
    const vqs_real *ge = t->ge + group * width * T;
    vqs_real *gc = t->gc + (size_t)(level * q->groups + group) * t->book_stride * (size_t)stride;
    int i = 0;
    for (; i + 8 <= width; i += 8) {
        v_columns_to_rows_8(8, ge + i * T, stride, gc + i);
    }
    if (i < width) {
        v_columns_to_rows_8(width - i, ge + i * T, stride, gc + i);
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
    }
}

/* Through the bound: d tanh = 1 - tanh^2. */
static void unbound(int d, const vqs_real *restrict z, vqs_real *restrict gz) {
    for (int i = 0; i < d * T; i += T) {
        FOR_LANES gz[i + l] *= 1 - z[i + l] * z[i + l];
    }
}

void KERNEL(tile_estimate)(const struct vqs_step *s, struct vqs_tile *t) {
    const int d = s->d;
    vqs_real vq[T], zero[T];
    if (t->n < T) { /* before an estimator sums over samples */
        clear_spare_lanes(d, t->n, t->g);
    }
    push_back(s, t, zero);
    FOR_LANES vq[l] = 0;
    for (int level = 0; level < s->quantizer->levels; level++) {
        quantization(s, t, level, vq);
        for (int group = 0; group < s->quantizer->groups; group++) {
            if (s->soft_rate > 0) {
                KERNEL(soft_codes)(s, t, level * s->quantizer->groups + group);
            }
            write_code_rows(s, t, level, group);
        }
    }
    if (s->bounded) {
        unbound(d, t->z, t->gz);
    }
    if (t->n < T) {
        clear_spare_lanes(1, t->n, vq);
        clear_spare_lanes(1, t->n, zero);
        clear_spare_lanes(d, t->n, t->gz);
    }
    t->vq += (double)sum_lanes(vq);
    t->zero += (double)sum_lanes(zero);
}

void KERNEL(tile_step)(const struct vqs_step *s, struct vqs_tile *t) {
    vqs_real rec[T];
    encode(s, t);
    KERNEL(tile_quantize)(s, t);
    vqs_profile_lap(t->profile, VQS_PHASE_ASSIGN);
    if (t->collects) {
        return;
    }
    reconstruction(s, t, rec);
    if (t->at_z) {
        reconstruction_at_z(s, t);
    }
    if (t->sums) {
        smoothed_gradient(s, t);
    }
    KERNEL(tile_estimate)(s, t);
    if (t->n < T) {
        clear_spare_lanes(1, t->n, rec);
        clear_spare_lanes(s->d, t->n, t->f);
    }
    if (t->moments) {
        add_moments(s, t);
    }
    t->rec += (double)sum_lanes(rec);
    if (t->outer != t->gz) {
        write_outer(s, t);
    }
    for (int i = 0; i < s->d && s->bias; i++) {
        t->gsum[i] += sum_lanes(t->gz + i * T);
    }
    vqs_profile_lap(t->profile, VQS_PHASE_ESTIMATE);
}
