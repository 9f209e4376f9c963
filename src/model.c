/* model.c - parameters of the autoencoder: layout, initial values, derived quantities, encoding. */
#include "vqsweep/model.h"

#include "mlp.h"

#include "vqsweep/orthonormal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { T = VQS_TILE };

void vqs_model_carve(const struct vqs_settings *s, const struct vqs_kernels *k, struct vqs_arena *arena,
                     struct vqs_model *m, struct vqs_model_scratch *scratch) {
    const bool trained = k->estimators[s->estimator].backward != NULL;
    m->kernels = k;
    m->D = s->D;
    m->d = s->d;
    m->ld = vqs_row_stride(s->D);
    const bool mlp = vqs_setting_used(VQS_SETTING_activation, s);
    struct vqs_mlp shape;
    m->mlp = mlp ? vqs_arena_take(arena, 1, sizeof *m->mlp) : NULL;
    m->tied = !trained || (!mlp && s->decoder == VQS_DECODER_TIED);
    m->bias = trained && !mlp && s->bias;
    m->bounded = vqs_setting_used(VQS_SETTING_fsq_levels, s);
    m->rows = mlp ? 0 : (m->tied ? 1 : 2) * s->d + (m->bias ? 1 : 0);

    const size_t d = (size_t)s->d, matrix = (size_t)m->rows * m->ld, bias = m->bias ? vqs_row_stride(s->d) : 0;
    const size_t before_codes = mlp ? vqs_mlp_n_params(s) : matrix + bias;
    m->n_params = before_codes + vqs_quantizer_n_params(s);
    m->params = vqs_arena_take(arena, m->n_params + VQS_ROW_UNIT, sizeof *m->params); /* kernels may read past codes */
    vqs_quantizer_carve(s, k, arena, m->params ? m->params + before_codes : NULL, &m->quantizer);
    m->packed = vqs_arena_take(arena, mlp ? 0 : k->pack_size(m->rows, m->ld), sizeof *m->packed);
    m->gram = vqs_arena_take(arena, mlp || m->tied ? 0 : d * d, sizeof *m->gram);
    if (mlp) {
        vqs_mlp_carve(s, k, NULL, &shape);
    }
    m->n_kept = mlp ? shape.n_kept : d * m->ld;
    m->tile_scratch = mlp ? shape.tile_scratch : (size_t)m->rows * T;
    m->decoded_bias = vqs_arena_take(arena, m->bias ? d : 0, sizeof *m->decoded_bias);
    const size_t samples = (size_t)(s->N > s->N_eval ? s->N : s->N_eval), tiles = (samples + T - 1) / T;
    scratch->z = vqs_arena_take(arena, tiles * T * d, sizeof *scratch->z);
    scratch->y = vqs_arena_take(arena, m->tile_scratch, sizeof *scratch->y);
    const size_t retract = mlp ? vqs_mlp_retract_scratch(s) : vqs_retract_scratch(s->retraction, s->d, m->ld);
    scratch->retract = vqs_arena_take(arena, retract, sizeof *scratch->retract);
    scratch->order = vqs_arena_take(arena, (size_t)s->N, sizeof *scratch->order);
    vqs_lloyd_carve(arena, (size_t)s->N, vqs_code_width(s), s->K, &scratch->lloyd);
    if (!m->params) { /* measuring */
        return;
    }
    if (mlp) {
        vqs_mlp_carve(s, k, m->params, m->mlp);
        return;
    }
    m->W = m->params;
    m->V = m->tied ? m->W : m->W + d * m->ld;
    m->decoder_bias = m->bias ? m->W + (size_t)(m->rows - 1) * m->ld : NULL;
    m->encoder_bias = m->bias ? m->params + matrix : NULL;
}

static void refresh_decoder(struct vqs_model *m) {
    const struct vqs_kernels *k = m->kernels;
    if (!m->tied) {
        k->gram(m->d, m->ld, m->V, m->gram);
    }
    if (m->bias) {
        for (int i = 0; i < m->d; i++) {
            m->decoded_bias[i] = k->dot(m->ld, m->V + (size_t)i * m->ld, m->decoder_bias);
        }
        m->bias_norm2 = k->dot(m->ld, m->decoder_bias, m->decoder_bias);
    }
}

void vqs_model_refresh_part(struct vqs_model *m, int part) {
    const struct vqs_kernels *k = m->kernels;
    if (part == 0) {
        vqs_quantizer_refresh(&m->quantizer);
    } else if (m->mlp) {
        return;
    } else if (part == 1) {
        refresh_decoder(m);
    } else if (k->pack_size(m->rows, m->ld)) {
        k->pack(m->rows, m->ld, m->W, m->packed);
    }
}

void vqs_model_refresh(struct vqs_model *m) {
    for (int part = 0; part < VQS_MODEL_PARTS; part++) {
        vqs_model_refresh_part(m, part);
    }
}

int vqs_model_retract(struct vqs_model *m, enum vqs_retraction kind, vqs_real *scratch) {
    return m->mlp ? vqs_mlp_retract(m->mlp, kind, scratch) : vqs_retract(m->kernels, kind, m->d, m->ld, m->W, scratch);
}

/* ---- encoding -------------------------------------------------------------------------------------------------- */

int vqs_tile_rows(size_t n, size_t tile, uint32_t rows[VQS_TILE]) {
    for (size_t l = 0; l < T; l++) {
        size_t i = tile * T + l;
        rows[l] = (uint32_t)(i < n ? i : n - 1);
    }
    return n - tile * T < T ? (int)(n - tile * T) : T;
}

/* z = W x + b */
static void encode_linear(const struct vqs_model *m, const vqs_real *x, const uint32_t *rows, vqs_real *y,
                          vqs_real *z) {
    m->kernels->project(m->rows, m->ld, x, rows, m->W, m->packed, y);
    for (int i = 0; i < m->d; i++) {
        const vqs_real b = m->bias ? m->encoder_bias[i] : 0;
        for (int l = 0; l < T; l++) {
            z[i * T + l] = y[i * T + l] + b;
        }
    }
}

void vqs_model_encode(const struct vqs_model *m, const vqs_real *x, const uint32_t *rows, vqs_real *y, vqs_real *z) {
    if (m->mlp) {
        vqs_mlp_encode(m->mlp, x, rows, y, z);
    } else {
        encode_linear(m, x, rows, y, z);
    }
    if (m->bounded) {
        m->kernels->bound(m->d, z);
    }
}

void vqs_model_decode(const struct vqs_model *m, const vqs_real *q, vqs_real *y, vqs_real *xhat) {
    if (m->mlp) {
        vqs_mlp_decode(m->mlp, q, y, xhat);
        return;
    }
    for (size_t l = 0; l < T; l++) {
        vqs_real *out = xhat + l * m->ld;
        memset(out, 0, m->ld * sizeof *out);
        for (int i = 0; i < m->d; i++) {
            m->kernels->axpy(m->ld, q[(size_t)i * T + l], m->V + (size_t)i * m->ld, out);
        }
        if (m->bias) {
            m->kernels->axpy(m->ld, 1, m->decoder_bias, out);
        }
    }
}

static struct vqs_encoded encode_all(const struct vqs_model *m, const struct vqs_samples *s,
                                     struct vqs_model_scratch *scratch) {
    for (size_t tile = 0; tile * T < s->n; tile++) {
        uint32_t rows[T];
        vqs_tile_rows(s->n, tile, rows);
        vqs_model_encode(m, s->x, rows, scratch->y, scratch->z + tile * (size_t)m->d * T);
    }
    return (struct vqs_encoded){scratch->z, s->n, scratch->order, &scratch->lloyd};
}

/* ---- initial values -------------------------------------------------------------------------------------------- */

static void init_linear(const struct vqs_settings *s, struct vqs_model *m) {
    const struct vqs_stream encoder = {m->kernels, s->seed, VQS_RNG_ENCODER, 0};
    const struct vqs_stream decoder = {m->kernels, s->seed, VQS_RNG_DECODER, 0};
    const size_t D = (size_t)m->D;
    const vqs_real bound = (vqs_real)(1 / sqrt(m->d));
    for (int i = 0; i < m->d; i++) {
        if (s->encoder == VQS_ENCODER_IDENTITY) {
            m->W[(size_t)i * m->ld + (size_t)i] = 1;
        } else {
            vqs_rng_normal(&encoder, (uint64_t)i * D, D, 1, m->W + (size_t)i * m->ld);
        }
    }
    vqs_orthonormalize(m->kernels, m->d, m->ld, m->W);
    for (int i = 0; i < m->d && !m->tied; i++) {
        vqs_rng_uniform(&decoder, (uint64_t)i * D, D, -bound, bound, m->V + (size_t)i * m->ld);
    }
}

void vqs_model_init(const struct vqs_settings *s, const struct vqs_dataset *data, struct vqs_model *m,
                    struct vqs_model_scratch *scratch) {
    memset(m->params, 0, m->n_params * sizeof *m->params);
    if (m->mlp) {
        vqs_mlp_init(s, m->mlp, scratch->retract);
    } else {
        init_linear(s, m);
    }
    vqs_model_refresh(m);
    struct vqs_encoded encoded = {0};
    if (vqs_quantizer_wants_encoded(s)) {
        encoded = encode_all(m, &data->train, scratch);
    }
    vqs_quantizer_init(s, &encoded, &m->quantizer);
}

/* ---- the k-means baseline -------------------------------------------------------------------------------------- */

/* LAPACK: eigenvalues il..iu and their vectors of a symmetric matrix. */
void dsyevr_(const char *jobz, const char *range, const char *uplo, const int *n, double *a, const int *lda,
             const double *vl, const double *vu, const int *il, const int *iu, const double *abstol, int *m, double *w,
             double *z, const int *ldz, int *isuppz, double *work, const int *lwork, int *iwork, const int *liwork,
             int *info);

/* sum x x^T into moment [D][D]. Sums over BLOCK tiles run in `vqs_real` and over blocks in double. `tile` is scratch of
 * [D][VQS_TILE], `block` of [D][ld]. */
static void second_moment(const struct vqs_kernels *k, const struct vqs_samples *s, int D, size_t ld, vqs_real *tile,
                          vqs_real *block, double *moment) {
    enum { BLOCK = 8 };
    const size_t tiles = (s->n + T - 1) / T;
    for (size_t t = 0; t < tiles; t++) {
        uint32_t rows[T];
        const int n = vqs_tile_rows(s->n, t, rows);
        for (int c = 0; c < D; c++) {
            for (int l = 0; l < T; l++) {
                tile[c * T + l] = l < n ? s->x[rows[l] * ld + (size_t)c] : 0;
            }
        }
        k->outer(D, ld, s->x, rows, NULL, tile, t % BLOCK ? block : NULL, NULL, block);
        if (t % BLOCK == BLOCK - 1 || t == tiles - 1) {
            for (size_t c = 0; c < (size_t)D; c++) {
                for (size_t r = 0; r < (size_t)D; r++) {
                    moment[c * (size_t)D + r] += (double)block[c * ld + r];
                }
            }
        }
    }
}

/* The d leading eigenvectors of E x x^T into W, largest first, each with its largest component positive. */
static enum vqs_status principal_directions(const struct vqs_samples *s, struct vqs_model *m, struct vqs_error *err) {
    const int D = m->D, d = m->d, first = D - d + 1, lwork = 26 * D, liwork = 10 * D;
    const size_t n = (size_t)D;
    double *moment = calloc(n * n + n * (size_t)d + n + (size_t)lwork, sizeof *moment);
    int *iwork = malloc((2 * n + (size_t)liwork) * sizeof *iwork);
    vqs_real *block = malloc(n * (m->ld + T) * sizeof *block);
    enum vqs_status status = VQS_OK;
    if (!moment || !iwork || !block) {
        status =
            vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the %d x %d moments for the principal directions", D, D);
        goto done;
    }
    double *vectors = moment + n * n, *values = vectors + n * (size_t)d, *work = values + n;
    const double none = 0;
    int found = 0, info = 0;
    second_moment(m->kernels, s, D, m->ld, block + n * m->ld, block, moment);
    dsyevr_("V", "I", "U", &D, moment, &D, &none, &none, &first, &D, &none, &found, values, vectors, &D, iwork, work,
            &lwork, iwork + 2 * n, &liwork, &info);
    if (info != 0 || found != d) {
        status = vqs_fail(err, VQS_ERR_INTERNAL, "LAPACK dsyevr found %d of %d principal directions (info %d)", found,
                          d, info);
        goto done;
    }
    for (int i = 0; i < d; i++) {
        const double *v = vectors + (size_t)(d - 1 - i) * n;
        size_t largest = 0;
        for (size_t c = 1; c < n; c++) {
            largest = fabs(v[c]) > fabs(v[largest]) ? c : largest;
        }
        for (size_t c = 0; c < n; c++) {
            m->W[(size_t)i * m->ld + c] = (vqs_real)(v[largest] < 0 ? -v[c] : v[c]);
        }
    }
done:
    free(moment);
    free(iwork);
    free(block);
    return status;
}

enum vqs_status vqs_model_kmeans(const struct vqs_settings *s, const struct vqs_dataset *data, struct vqs_model *m,
                                 struct vqs_model_scratch *scratch, struct vqs_error *err) {
    memset(m->params, 0, m->n_params * sizeof *m->params);
    enum vqs_status status = principal_directions(&data->train, m, err);
    if (!status) {
        vqs_model_refresh(m);
        const struct vqs_encoded encoded = encode_all(m, &data->train, scratch);
        vqs_quantizer_fit(s, &encoded, &m->quantizer);
    }
    return status;
}
