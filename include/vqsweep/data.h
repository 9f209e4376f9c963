/* data.h - the samples of a trial.
 *
 * The one rule: a data set is a pure function of the data settings and the seed (vqs_settings_data_key). The estimator,
 * the codebook and everything else of a trial cannot change it.
 *
 * Life cycle: vqs_dataset_create, read by any number of threads, vqs_dataset_destroy.
 *
 * `data: subspace` is x = U s + sigma e with U a Haar-random orthonormal basis (MATH: sigma scales e and does not
 * change its draws); `data: plane2d` is the same in the plane, with the axes for U. All other data come from files
 * (source.h): N + N_eval different samples, each choice and order of them as likely as any other, are drawn by the
 * seed; the first N train, the next N_eval are held out. With split: tail the last N_eval samples of the source are
 * held out, in its order, and N that train are drawn by the seed from those before, less the last source.reach of them,
 * which may share content with a held-out one. Then, in this order, a patch's own mean is taken off (`patch_mean`),
 * values are multiplied by `value_scale`, the mean of the training samples is subtracted from all (`center`), and all
 * are whitened (`whiten`) by the covariance C = E diag(v) E^T of the training samples: with S = diag(1/sqrt(v +
 * whiten_epsilon)), zca is x -> E S E^T x, and pca is x -> S E^T x, the largest v first, the largest component of each
 * direction positive. vqs_dataset_restore goes the way back.
 *
 * Only the samples drawn are held, whatever the size of the file, and what the way back takes: vqs_dataset_memory says
 * how many bytes. Making them takes besides 48 to 80 bytes a sample while they are drawn, what the reader needs
 * (source.h), and for whitening four D x D matrices of doubles.
 */
#ifndef VQSWEEP_DATA_H
#define VQSWEEP_DATA_H

#include "vqsweep/kernels.h"
#include "vqsweep/source.h"

/* One part of the data: x is [n][ld], rows padded with zeros (kernels.h). */
struct vqs_samples {
    size_t n;
    vqs_real *x;
    vqs_real *sq;         /* [n] |x_i|^2 */
    double variance;      /* E|x - mean|^2 / D */
    const vqs_real *mean; /* [ld] what `center` subtracted, or 0 */
    uint8_t *classes;     /* [n][D / n_classes]: what is one-hot in x before it was scaled; NULL unless n_classes */
    uint64_t *number;     /* [n] which sample of its file each is; NULL for data that are drawn */
    float *patch_mean;    /* [n] what `patch_mean: remove` took off; else NULL */
};

struct vqs_dataset {
    uint64_t key;
    int D;
    size_t ld;
    struct vqs_samples train, eval;
    int r;                     /* rows of basis; 0 where the true subspace is unknown */
    vqs_real *basis;           /* [r][ld], orthonormal rows: U^T */
    vqs_real *mean;            /* [ld] that of both parts */
    double scale;              /* that the file's values were multiplied by */
    double *whiten, *unwhiten; /* [D][D]: the map of a centred sample, and its inverse; NULL without whitening */
    int n_classes;             /* of text: a class stands for the byte symbols[class]; 0 for all other data */
    unsigned char symbols[256];
    struct vqs_place *places;  /* [eval.n] where held-out samples are in the source; NULL unless from a file */
    int rate;                  /* of the source */
    struct vqs_arena arena;
};

/* Make the data of checked settings. `hdf5`: as for vqs_source_open. VQS_ERR_DATA names file and line or offset;
 * VQS_ERR_MEMORY. */
enum vqs_status vqs_dataset_create(const struct vqs_settings *settings, const struct vqs_source_reader *hdf5,
                                   struct vqs_dataset **out, struct vqs_error *err);
void vqs_dataset_destroy(struct vqs_dataset *data);
/* Bytes that vqs_dataset_create will hold. */
size_t vqs_dataset_memory(const struct vqs_settings *settings);

/* x, a reconstruction of sample `i` of a part, in the units of the source: `out` is what vqs_source_read would have to
 * give for x to be the sample. Both have D values and do not overlap. */
void vqs_dataset_restore(const struct vqs_dataset *data, const struct vqs_samples *part, size_t i, const vqs_real *x,
                         float *out);

/* Data sets shared by the trainers of a process. Trials of equal data key that run near each other in time pay for the
 * data once. Thread-safe; a thread that wants a data set which another is making waits for it. */
struct vqs_data_cache;
/* Data sets that nobody uses are kept while all together take at most `bytes`; those in use are always kept. `hdf5`: as
 * for vqs_source_open. */
enum vqs_status vqs_data_cache_create(size_t bytes, const struct vqs_source_reader *hdf5, struct vqs_data_cache **out,
                                      struct vqs_error *err);
/* No data set may be in use; NULL-safe. */
void vqs_data_cache_destroy(struct vqs_data_cache *cache);
/* The data set of checked settings, to be given back by vqs_data_cache_put. Errors as vqs_dataset_create. */
enum vqs_status vqs_data_cache_get(struct vqs_data_cache *cache, const struct vqs_settings *settings,
                                   const struct vqs_dataset **out, struct vqs_error *err);
void vqs_data_cache_put(struct vqs_data_cache *cache, const struct vqs_dataset *data);

#endif
