/* data.c - data sets: drawn from a subspace here, or from a file in data_draw.c. */
#include "data_draw.h"

#include "vqsweep/orthonormal.h"
#include "vqsweep/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Memory for `n` elements; NULL if there are none. */
static void *take(struct vqs_arena *arena, size_t n, size_t size) {
    return n ? vqs_arena_take(arena, n, size) : NULL;
}

static void carve_samples(const struct vqs_settings *s, struct vqs_arena *arena, size_t n, size_t ld,
                          struct vqs_samples *part) {
    const bool patch_mean = vqs_setting_used(VQS_SETTING_patch_mean, s) && s->patch_mean == VQS_PATCH_MEAN_REMOVE;
    part->n = n;
    part->classes = take(arena, s->data == VQS_DATA_TEXT ? n * (size_t)s->text_window : 0, sizeof *part->classes);
    part->number = take(arena, vqs_setting_used(VQS_SETTING_path, s) ? n : 0, sizeof *part->number);
    part->patch_mean = take(arena, patch_mean ? n : 0, sizeof *part->patch_mean);
    part->x = vqs_arena_take(arena, n * ld, sizeof *part->x);
    part->sq = vqs_arena_take(arena, n, sizeof *part->sq);
}

static void carve(const struct vqs_settings *s, struct vqs_arena *arena, struct vqs_dataset *data) {
    data->D = s->D;
    data->ld = vqs_row_stride(s->D);
    data->r = s->data == VQS_DATA_SUBSPACE ? s->r : s->data == VQS_DATA_PLANE2D ? 2 : 0;
    data->scale = vqs_setting_used(VQS_SETTING_value_scale, s) ? s->value_scale : 1;
    carve_samples(s, arena, (size_t)s->N, data->ld, &data->train);
    carve_samples(s, arena, (size_t)s->N_eval, data->ld, &data->eval);
    data->basis = vqs_arena_take(arena, (size_t)data->r * data->ld, sizeof *data->basis);
    data->mean = vqs_arena_take(arena, data->ld, sizeof *data->mean);
    data->train.mean = data->eval.mean = data->mean;
    data->places = take(arena, data->r ? 0 : data->eval.n, sizeof *data->places);
    const size_t square = vqs_setting_used(VQS_SETTING_whiten_epsilon, s) ? (size_t)s->D * (size_t)s->D : 0;
    data->whiten = take(arena, square, sizeof *data->whiten);
    data->unwhiten = take(arena, square, sizeof *data->unwhiten);
}

size_t vqs_dataset_memory(const struct vqs_settings *settings) {
    struct vqs_arena measure = {0};
    struct vqs_dataset data = {0};
    carve(settings, &measure, &data);
    return measure.used;
}

/* ---- x = U s + sigma e ----------------------------------------------------------------------------------------- */

/* Normals for rows [first, first + n) of a matrix with rows of D, spread out to rows of ld. */
static void normal_rows(const struct vqs_stream *stream, size_t first, size_t n, int D, size_t ld, vqs_real scale,
                        vqs_real *x) {
    if ((size_t)D == ld) {
        vqs_rng_normal(stream, first * ld, n * ld, scale, x);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        vqs_rng_normal(stream, (first + i) * (size_t)D, (size_t)D, scale, x + i * ld);
    }
}

/* The true latent of samples [first, first + n): s is [n][r]. */
static void draw_latent(const struct vqs_settings *s, const struct vqs_kernels *k, size_t r, uint32_t purpose,
                        const vqs_real *centres, size_t first, size_t n, vqs_real *latent) {
    const struct vqs_stream draws = {k, s->seed, purpose, STREAM_LATENT};
    if (s->latent == VQS_LATENT_UNIFORM) { /* unit variance times the scale */
        const vqs_real half = (vqs_real)(sqrt(3.0) * s->latent_scale);
        vqs_rng_uniform(&draws, first * r, n * r, -half, half, latent);
        return;
    }
    const bool mixture = s->latent == VQS_LATENT_MIXTURE;
    vqs_rng_normal(&draws, first * r, n * r, (vqs_real)(mixture ? s->mixture_spread : s->latent_scale), latent);
    if (mixture) {
        const struct vqs_stream component = {k, s->seed, purpose, STREAM_COMPONENT};
        for (size_t i = 0; i < n; i++) {
            uint32_t word;
            vqs_rng_words(&component, first + i, 1, &word);
            const vqs_real *c = centres + (((uint64_t)word * (uint64_t)s->mixture_centres) >> 32) * r;
            for (size_t j = 0; j < r; j++) {
                latent[i * r + j] += c[j];
            }
        }
    }
}

static void draw_samples(const struct vqs_settings *s, const struct vqs_kernels *k, uint32_t purpose,
                         uint32_t noise_purpose, const vqs_real *centres, const struct vqs_dataset *data,
                         vqs_real *latent, struct vqs_samples *out) {
    enum { ROWS = 64 };
    const struct vqs_stream noise = {k, s->seed, noise_purpose, STREAM_NOISE};
    const size_t r = (size_t)data->r, ld = data->ld;
    for (size_t first = 0; first < out->n; first += ROWS) {
        size_t n = out->n - first < ROWS ? out->n - first : ROWS;
        vqs_real *x = out->x + first * ld;
        normal_rows(&noise, first, n, s->D, ld, (vqs_real)s->sigma, x);
        draw_latent(s, k, r, purpose, centres, first, n, latent);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < r; j++) {
                k->axpy(ld, latent[i * r + j], data->basis + j * ld, x + i * ld);
            }
        }
    }
}

/* U: Haar-random, or the axes of the plane. */
static void make_basis(const struct vqs_settings *s, const struct vqs_kernels *k, struct vqs_dataset *data) {
    const struct vqs_stream basis = {k, s->seed, VQS_RNG_DATA, STREAM_BASIS};
    if (s->data == VQS_DATA_PLANE2D) {
        data->basis[0] = data->basis[data->ld + 1] = 1;
        return;
    }
    normal_rows(&basis, 0, (size_t)data->r, s->D, data->ld, 1, data->basis);
    vqs_orthonormalize(k, data->r, data->ld, data->basis);
}

static enum vqs_status make_drawn(const struct vqs_settings *s, const struct vqs_kernels *k, struct vqs_dataset *data,
                                  struct vqs_error *err) {
    const size_t r = (size_t)data->r, n_centres = (size_t)s->mixture_centres;
    vqs_real *scratch = malloc((n_centres * r + 64 * r) * sizeof *scratch);
    if (!scratch) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the latents of the data");
    }
    vqs_real *centres = scratch, *latent = centres + n_centres * r;
    make_basis(s, k, data);
    const struct vqs_stream centre = {k, s->seed, VQS_RNG_DATA, STREAM_CENTRES};
    vqs_rng_normal(&centre, 0, n_centres * r, (vqs_real)s->latent_scale, centres);
    draw_samples(s, k, VQS_RNG_DATA, VQS_RNG_NOISE, centres, data, latent, &data->train);
    draw_samples(s, k, VQS_RNG_EVALUATION, VQS_RNG_EVALUATION, centres, data, latent, &data->eval);
    free(scratch);
    return VQS_OK;
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

/* The mean of each column, padding included. Sums run over blocks of rows in `vqs_real` and over blocks in double.
 * `sum` is scratch of ld values. */
static void column_means(const struct vqs_kernels *k, size_t ld, const struct vqs_samples *s, vqs_real *sum,
                         double *mean) {
    enum { ROWS = 256 };
    memset(mean, 0, ld * sizeof *mean);
    for (size_t first = 0; first < s->n; first += ROWS) {
        memset(sum, 0, ld * sizeof *sum);
        for (size_t i = first; i < s->n && i < first + ROWS; i++) {
            k->axpy(ld, 1, s->x + i * ld, sum);
        }
        for (size_t j = 0; j < ld; j++) {
            mean[j] += (double)sum[j] / (double)s->n;
        }
    }
}

/* |x_i|^2 of each sample, and the variance per element: from distances to the mean, since far from zero the difference
 * of mean square and squared mean keeps no digits. `mean` and `sum` are scratch of ld values. */
static void summarize(const struct vqs_kernels *k, int D, size_t ld, vqs_real *sum, double *mean,
                      struct vqs_samples *s) {
    column_means(k, ld, s, sum, mean);
    for (size_t j = 0; j < ld; j++) {
        sum[j] = (vqs_real)mean[j];
    }
    double total = 0;
    for (size_t first = 0; first < s->n; first += VQS_TILE) {
        uint32_t rows[VQS_TILE];
        vqs_real distance[VQS_TILE];
        for (size_t l = 0; l < VQS_TILE; l++) {
            rows[l] = (uint32_t)(first + l < s->n ? first + l : s->n - 1);
        }
        k->decode_error(0, ld, s->x, rows, NULL, sum, NULL, distance);
        for (size_t i = first; i < s->n && i < first + VQS_TILE; i++) {
            s->sq[i] = k->dot(ld, s->x + i * ld, s->x + i * ld);
            total += (double)distance[i - first];
        }
    }
    s->variance = total / ((double)s->n * D);
}

enum vqs_status vqs_dataset_create(const struct vqs_settings *settings, const struct vqs_source_reader *hdf5,
                                   struct vqs_dataset **out, struct vqs_error *err) {
    const struct vqs_kernels *k = vqs_kernels_get();
    struct vqs_dataset *data = calloc(1, sizeof *data);
    vqs_real *sum = malloc(vqs_row_stride(settings->D) * sizeof *sum);
    double *mean = malloc(vqs_row_stride(settings->D) * sizeof *mean);
    enum vqs_status status = VQS_OK;
    if (!data || !sum || !mean) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a data set");
        goto done;
    }
    status = vqs_arena_create(&data->arena, vqs_dataset_memory(settings), err);
    if (status) {
        goto done;
    }
    data->key = vqs_settings_data_key(settings);
    carve(settings, &data->arena, data);
    status = data->r > 0 ? make_drawn(settings, k, data, err) : vqs_data_draw(settings, hdf5, data, err);
    if (status) {
        goto done;
    }
    summarize(k, data->D, data->ld, sum, mean, &data->train);
    summarize(k, data->D, data->ld, sum, mean, &data->eval);
done:
    free(mean);
    free(sum);
    if (status) {
        vqs_dataset_destroy(data);
        data = NULL;
    }
    *out = data;
    return status;
}

void vqs_dataset_restore(const struct vqs_dataset *data, const struct vqs_samples *part, size_t i, const vqs_real *x,
                         float *out) {
    const size_t D = (size_t)data->D;
    for (size_t j = 0; j < D; j++) {
        double value = data->unwhiten ? 0 : (double)x[j];
        for (size_t l = 0; data->unwhiten && l < D; l++) {
            value += data->unwhiten[j * D + l] * (double)x[l];
        }
        value = (value + (double)data->mean[j]) / data->scale;
        out[j] = (float)(part->patch_mean ? value + (double)part->patch_mean[i] : value);
    }
}

void vqs_dataset_destroy(struct vqs_dataset *data) {
    if (data) {
        vqs_arena_destroy(&data->arena);
        free(data);
    }
}
