/* data_whiten.c - whitening by the covariance of the training samples. */
#include "data_draw.h"

#include <math.h>
#include <stdlib.h>

#include <cblas.h>

/* LAPACK: all eigenvalues, ascending, and vectors of a symmetric matrix, by divide and conquer. */
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info);

enum { ROWS = 64 };

/* Rows [first, first + n) of a part, in double, into block [n][D]. */
static int load(const struct vqs_dataset *data, const struct vqs_samples *part, size_t first, double *block) {
    const size_t n = part->n - first < ROWS ? part->n - first : ROWS, D = (size_t)data->D;
    for (size_t i = 0; i < n * D; i++) {
        block[i] = (double)part->x[(first + i / D) * data->ld + i % D];
    }
    return (int)n;
}

/* The eigenvectors of x^T x / n into the rows of `vectors` [D][D], and their eigenvalues, both ascending. `block` is
 * scratch of [ROWS][D]. */
static enum vqs_status find_axes(const struct vqs_dataset *data, double *block, double *vectors, double *values,
                                 struct vqs_error *err) {
    const struct vqs_samples *train = &data->train;
    const int D = data->D, liwork = 3 + 5 * D, lwork = 1 + 6 * D + 2 * D * D;
    double *work = malloc((size_t)lwork * sizeof *work);
    int *iwork = malloc((size_t)liwork * sizeof *iwork), info = 0;
    enum vqs_status status = VQS_OK;
    if (!work || !iwork) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "no memory to whiten samples of %d values", D);
        goto done;
    }
    for (size_t first = 0; first < train->n; first += ROWS) {
        const int n = load(data, train, first, block);
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, D, n, 1.0 / (double)train->n, block, D, 1, vectors, D);
    }
    /* row after row the lower triangle is, to LAPACK, the upper one, and columns come back as rows */
    dsyevd_("V", "U", &D, vectors, &D, values, work, &lwork, iwork, &liwork, &info);
    if (info) {
        status = vqs_fail(err, VQS_ERR_INTERNAL, "LAPACK dsyevd cannot whiten samples of %d values (info %d)", D, info);
    }
done:
    free(work);
    free(iwork);
    return status;
}

/* The largest component of each axis becomes positive. */
static void settle_signs(size_t D, double *vectors) {
    for (size_t i = 0; i < D; i++) {
        double *axis = vectors + i * D;
        const double sign = axis[cblas_idamax((int)D, axis, 1)] < 0 ? -1 : 1;
        for (size_t j = 0; j < D; j++) {
            axis[j] *= sign;
        }
    }
}

/* The map [D][D] of a centred sample, or its inverse, from the axes. `scaled` is scratch of [D][D]. */
static void make_map(const struct vqs_settings *s, bool inverse, const double *vectors, const double *values,
                     double *scaled, double *map) {
    const size_t D = (size_t)s->D;
    for (size_t i = 0; i < D; i++) {
        const double deviation = sqrt(fmax(values[i], 0) + s->whiten_epsilon);
        const double scale = inverse ? deviation : 1 / deviation;
        for (size_t j = 0; j < D; j++) {
            scaled[i * D + j] = scale * vectors[i * D + j];
        }
    }
    if (s->whiten == VQS_WHITEN_ZCA) {
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, s->D, s->D, s->D, 1, vectors, s->D, scaled, s->D, 0, map,
                    s->D);
        return;
    }
    for (size_t i = 0; i < D; i++) { /* the largest variance first: rows of the map, columns of the inverse */
        cblas_dcopy(s->D, scaled + (D - 1 - i) * D, 1, inverse ? map + i : map + i * D, inverse ? s->D : 1);
    }
}

static void apply(const struct vqs_dataset *data, const double *map, double *block, struct vqs_samples *part) {
    const size_t D = (size_t)data->D;
    double *out = block + ROWS * D;
    for (size_t first = 0; first < part->n; first += ROWS) {
        const int n = load(data, part, first, block);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, data->D, data->D, 1, block, data->D, map, data->D, 0,
                    out, data->D);
        for (size_t i = 0; i < (size_t)n * D; i++) {
            part->x[(first + i / D) * data->ld + i % D] = (vqs_real)out[i];
        }
    }
}

enum vqs_status vqs_data_whiten(const struct vqs_settings *s, struct vqs_dataset *data, struct vqs_error *err) {
    const size_t D = (size_t)s->D, square = D * D;
    double *vectors = calloc(2 * square + D + 2 * ROWS * D, sizeof *vectors);
    if (!vectors) {
        return vqs_fail(err, VQS_ERR_MEMORY, "no memory to whiten samples of %d values", s->D);
    }
    double *scaled = vectors + square, *values = scaled + square, *block = values + D;
    enum vqs_status status = find_axes(data, block, vectors, values, err);
    if (!status) {
        settle_signs(D, vectors);
        make_map(s, false, vectors, values, scaled, data->whiten);
        make_map(s, true, vectors, values, scaled, data->unwhiten);
        apply(data, data->whiten, block, &data->train);
        apply(data, data->whiten, block, &data->eval);
    }
    free(vectors);
    return status;
}
