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

/* ---- variance -------------------------------------------------------------------------------------------------- */

enum { ROWS = 256 }; /* rows made and summarised while they are in cache */

/* Of the rows seen so far: the mean of each column and the sum of squared distances from it. Rows join in blocks (Chan,
 * Golub, LeVeque 1979), since far from zero the difference of mean square and squared mean keeps no digits. */
struct spread {
    size_t n;
    double squares;
    double *mean;         /* [ld] */
    double *sum, *square; /* [ld], of one block */
    vqs_real *centre;     /* [ld], of one block */
};

static enum vqs_status spread_create(size_t ld, struct spread *s, struct vqs_error *err) {
    s->mean = malloc(ld * (3 * sizeof *s->mean + sizeof *s->centre));
    if (!s->mean) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the means of a data set");
    }
    s->sum = s->mean + ld;
    s->square = s->sum + ld;
    s->centre = (vqs_real *)(s->square + ld);
    return VQS_OK;
}

/* Rows [first, first + n) of a part: |x_i|^2 of each, and they join `s`. */
static void join_rows(const struct vqs_kernels *k, size_t ld, size_t first, size_t n, struct vqs_samples *part,
                      struct spread *s) {
    const vqs_real *x = part->x + first * ld;
    const double share = 1 / (double)n, weight = (double)n / (double)(s->n + n);
    for (size_t i = 0; i < n; i++) {
        part->sq[first + i] = k->dot(ld, x + i * ld, x + i * ld);
    }
    for (size_t j = 0; j < ld; j++) { /* any that is near the mean will do */
        s->centre[j] = s->n ? (vqs_real)s->mean[j] : x[j];
    }
    k->deviations(n, ld, x, s->centre, s->sum, s->square);
    if (!s->n) { /* the first row need not be near it */
        for (size_t j = 0; j < ld; j++) {
            s->centre[j] += (vqs_real)(s->sum[j] * share);
        }
        k->deviations(n, ld, x, s->centre, s->sum, s->square);
    }
    for (size_t j = 0; j < ld; j++) {
        const double sum = s->sum[j], mean = s->n ? s->mean[j] : 0, apart = (double)s->centre[j] + sum * share - mean;
        s->squares += s->square[j] - sum * sum * share + apart * apart * weight * (double)s->n;
        s->mean[j] = mean + apart * weight;
    }
    s->n += n;
}

/* ---- x = U s + sigma e ----------------------------------------------------------------------------------------- */

/* Normals for rows [first, first + n) of a matrix with rows of D, spread out to rows of ld. */
static void normal_rows(const struct vqs_stream *stream, size_t first, size_t n, size_t D, size_t ld, vqs_real scale,
                        vqs_real *x) {
    vqs_rng_normal(stream, first * D, n * D, scale, x);
    for (size_t i = D == ld ? 0 : n; i-- > 0;) {
        memmove(x + i * ld, x + i * D, D * sizeof *x);
        memset(x + i * ld + D, 0, (ld - D) * sizeof *x);
    }
}

/* How samples are drawn. */
struct drawing {
    const struct vqs_settings *settings;
    const struct vqs_kernels *kernels;
    uint32_t purpose, noise_purpose;
    const vqs_real *centres; /* of the mixture */
    vqs_real *latent;        /* scratch, [ROWS][r] */
};

/* The true latent of samples [first, first + n). */
static void draw_latent(const struct drawing *d, size_t r, size_t first, size_t n) {
    const struct vqs_settings *s = d->settings;
    const struct vqs_stream draws = {d->kernels, s->seed, d->purpose, STREAM_LATENT};
    if (s->latent == VQS_LATENT_UNIFORM) { /* unit variance times the scale */
        const vqs_real half = (vqs_real)(sqrt(3.0) * s->latent_scale);
        vqs_rng_uniform(&draws, first * r, n * r, -half, half, d->latent);
        return;
    }
    const bool mixture = s->latent == VQS_LATENT_MIXTURE;
    vqs_rng_normal(&draws, first * r, n * r, (vqs_real)(mixture ? s->mixture_spread : s->latent_scale), d->latent);
    if (mixture) {
        const struct vqs_stream component = {d->kernels, s->seed, d->purpose, STREAM_COMPONENT};
        uint32_t word[ROWS];
        vqs_rng_words(&component, first, n, word);
        for (size_t i = 0; i < n; i++) {
            const vqs_real *c = d->centres + (((uint64_t)word[i] * (uint64_t)s->mixture_centres) >> 32) * r;
            for (size_t j = 0; j < r; j++) {
                d->latent[i * r + j] += c[j];
            }
        }
    }
}

static void draw_rows(const struct drawing *d, const struct vqs_dataset *data, size_t first, size_t n, vqs_real *x) {
    const struct vqs_stream noise = {d->kernels, d->settings->seed, d->noise_purpose, STREAM_NOISE};
    normal_rows(&noise, first, n, (size_t)data->D, data->ld, (vqs_real)d->settings->sigma, x);
    draw_latent(d, (size_t)data->r, first, n);
    d->kernels->embed(n, data->r, data->ld, d->latent, data->basis, x);
}

/* U: Haar-random, or the axes of the plane. */
static void make_basis(const struct vqs_settings *s, const struct vqs_kernels *k, struct vqs_dataset *data) {
    const struct vqs_stream basis = {k, s->seed, VQS_RNG_DATA, STREAM_BASIS};
    if (s->data == VQS_DATA_PLANE2D) {
        data->basis[0] = data->basis[data->ld + 1] = 1;
        return;
    }
    normal_rows(&basis, 0, (size_t)data->r, (size_t)s->D, data->ld, 1, data->basis);
    vqs_orthonormalize(k, data->r, data->ld, data->basis);
}

/* Draws a part of the data, unless it is from a file, and summarises it. */
static void make_part(const struct vqs_kernels *k, const struct drawing *d, const struct vqs_dataset *data,
                      struct spread *spread, struct vqs_samples *part) {
    spread->n = 0;
    spread->squares = 0;
    for (size_t first = 0; first < part->n; first += ROWS) {
        const size_t n = part->n - first < ROWS ? part->n - first : ROWS;
        if (d) {
            draw_rows(d, data, first, n, part->x + first * data->ld);
        }
        join_rows(k, data->ld, first, n, part, spread);
    }
    part->variance = spread->squares / ((double)part->n * data->D);
}

static enum vqs_status make_drawn(const struct vqs_settings *s, const struct vqs_kernels *k, struct spread *spread,
                                  struct vqs_dataset *data, struct vqs_error *err) {
    const size_t r = (size_t)data->r, n_centres = (size_t)s->mixture_centres;
    vqs_real *centres = malloc((n_centres + ROWS) * r * sizeof *centres);
    if (!centres) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the latents of the data");
    }
    make_basis(s, k, data);
    const struct vqs_stream centre = {k, s->seed, VQS_RNG_DATA, STREAM_CENTRES};
    vqs_rng_normal(&centre, 0, n_centres * r, (vqs_real)s->latent_scale, centres);
    struct drawing drawing = {s, k, VQS_RNG_DATA, VQS_RNG_NOISE, centres, centres + n_centres * r};
    make_part(k, &drawing, data, spread, &data->train);
    drawing.purpose = drawing.noise_purpose = VQS_RNG_EVALUATION;
    make_part(k, &drawing, data, spread, &data->eval);
    free(centres);
    return VQS_OK;
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

static enum vqs_status make(const struct vqs_settings *s, const struct vqs_source_reader *hdf5,
                            struct vqs_dataset *data, struct vqs_error *err) {
    const struct vqs_kernels *k = vqs_kernels_get();
    struct spread spread = {0};
    enum vqs_status status = spread_create(data->ld, &spread, err);
    if (!status && data->r > 0) {
        status = make_drawn(s, k, &spread, data, err);
    } else if (!status && !(status = vqs_data_draw(s, hdf5, data, err))) {
        make_part(k, NULL, data, &spread, &data->train);
        make_part(k, NULL, data, &spread, &data->eval);
    }
    free(spread.mean);
    return status;
}

enum vqs_status vqs_dataset_create(const struct vqs_settings *settings, const struct vqs_source_reader *hdf5,
                                   struct vqs_dataset **out, struct vqs_error *err) {
    struct vqs_dataset *data = *out = calloc(1, sizeof *data);
    if (!data) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a data set");
    }
    enum vqs_status status = vqs_arena_create(&data->arena, vqs_dataset_memory(settings), err);
    if (!status) {
        data->key = vqs_settings_data_key(settings);
        carve(settings, &data->arena, data);
        status = make(settings, hdf5, data, err);
    }
    if (status) {
        vqs_dataset_destroy(data);
        *out = NULL;
    }
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
