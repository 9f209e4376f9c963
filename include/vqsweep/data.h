/* data.h - the samples of a trial.
 *
 * The one rule: a data set is a pure function of the data settings and the seed (vqs_settings_data_key). The estimator,
 * the codebook and everything else of a trial cannot change it.
 *
 * Life cycle: vqs_dataset_create, read by any number of threads, vqs_dataset_destroy.
 *
 * Sources: `subspace`, x = U s + sigma e with U a Haar-random orthonormal basis (MATH: sigma scales e and does not change
 * its draws); `plane2d`, the same in the plane with the axes for U; `csv`, numbers separated by commas, semicolons or blanks, one sample a line, `label_columns` trailing
 * columns left out; `idx`, the format of the MNIST files, of any element type, samples along the first axis. Files may
 * be gzipped. A file's samples are shuffled by the seed; the first N train, the next N_eval are held out.
 */
#ifndef VQSWEEP_DATA_H
#define VQSWEEP_DATA_H

#include "vqsweep/kernels.h"
#include "vqsweep/settings.h"

/* One part of the data: x is [n][ld], rows padded with zeros (kernels.h). */
struct vqs_samples {
    size_t n;
    vqs_real *x;
    vqs_real *sq;    /* [n] |x_i|^2 */
    double variance; /* E|x - mean|^2 / D */
};

struct vqs_dataset {
    uint64_t key;
    int D;
    size_t ld;
    struct vqs_samples train, eval;
    int r;           /* rows of basis; 0 where the true subspace is unknown */
    vqs_real *basis; /* [r][ld], orthonormal rows: U^T */
    struct vqs_arena arena;
};

/* Make the data of checked settings. VQS_ERR_DATA names file and line or offset; VQS_ERR_MEMORY. */
enum vqs_status vqs_dataset_create(const struct vqs_settings *settings, struct vqs_dataset **out,
                                   struct vqs_error *err);
void vqs_dataset_destroy(struct vqs_dataset *data);
/* Bytes that vqs_dataset_create will hold. */
size_t vqs_dataset_memory(const struct vqs_settings *settings);

/* Data sets shared by the trainers of a process. Trials of equal data key that run near each other in time pay for the
 * data once. Thread-safe; a thread that wants a data set which another is making waits for it. */
struct vqs_data_cache;
/* Data sets that nobody uses are kept while all together take at most `bytes`; those in use are always kept. */
enum vqs_status vqs_data_cache_create(size_t bytes, struct vqs_data_cache **out, struct vqs_error *err);
/* No data set may be in use; NULL-safe. */
void vqs_data_cache_destroy(struct vqs_data_cache *cache);
/* The data set of checked settings, to be given back by vqs_data_cache_put. Errors as vqs_dataset_create. */
enum vqs_status vqs_data_cache_get(struct vqs_data_cache *cache, const struct vqs_settings *settings,
                                   const struct vqs_dataset **out, struct vqs_error *err);
void vqs_data_cache_put(struct vqs_data_cache *cache, const struct vqs_dataset *data);

/* A whole numeric file: values is [n][D], D the columns that are data. Owned by the caller (free). `limit`: stop reading
 * after so many samples (0: all). VQS_ERR_DATA with file, line or offset, and what was expected. */
enum vqs_status vqs_csv_read(const char *path, int label_columns, size_t limit, float **values, size_t *n, int *D,
                             struct vqs_error *err);
enum vqs_status vqs_idx_read(const char *path, size_t limit, float **values, size_t *n, int *D, struct vqs_error *err);

#endif
