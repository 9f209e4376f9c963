/* store_hdf5.h - HDF5 in small steps: silence, and a file that is being written. Not public.
 *
 * The one rule: HDF5 prints nothing, and the first cause of a failure, be it the system's or HDF5's own, is what the
 * error says.
 *
 * Life cycle of a file: vqs_hdf5_create; then groups, datasets, rows, attributes; vqs_hdf5_close, which ends the
 * silence too. All that was opened in the file is closed with it. */
#ifndef VQS_STORE_HDF5_H
#define VQS_STORE_HDF5_H

#include "vqsweep/base.h"

#include <hdf5.h>

/* Returns the failure of a call, if it fails. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        enum vqs_status try_ = (call);                                                                                 \
        if (try_) {                                                                                                    \
            return try_;                                                                                               \
        }                                                                                                              \
    } while (0)

/* ---- silence --------------------------------------------------------------------------------------------------- */

/* Between these HDF5 prints nothing: the first cause of its first failure goes into `reason`, one line. What the caller
 * had set up is put back. */
struct vqs_quiet {
    H5E_auto2_t function;
    void *data;
    char reason[240]; /* empty: nothing failed */
};
void vqs_quiet_begin(struct vqs_quiet *quiet);
void vqs_quiet_end(struct vqs_quiet *quiet);

/* A UTF-8 text of variable length, which every reader turns into its own kind of text; in memory a char *. (Arrays of
 * fixed length would be smaller, but netCDF-C 4.9 crashes on them.) Closed by the caller. */
hid_t vqs_text_type(void);

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* A file that is being written. */
struct vqs_hdf5 {
    const char *path; /* for messages */
    struct vqs_error *err;
    struct vqs_quiet quiet;
    hid_t driver, file;
    int io_error; /* what the system said to the driver (store_file.h) */
};

enum vqs_status vqs_hdf5_create(struct vqs_hdf5 *out, const char *file, const char *path, struct vqs_error *err);
/* Also after a failed creation. `status` is what came of the writing so far; returns it, or how the end failed. */
enum vqs_status vqs_hdf5_close(struct vqs_hdf5 *out, enum vqs_status status);
/* What HDF5 answered when it wrote `what`: negative is a failure. */
enum vqs_status vqs_hdf5_check(struct vqs_hdf5 *out, int64_t result, const char *what);

/* Scalar attributes: of `type`, a text, a number of 16 hexadecimal digits. */
enum vqs_status vqs_hdf5_put_attribute(struct vqs_hdf5 *out, hid_t at, const char *name, hid_t type, const void *value);
enum vqs_status vqs_hdf5_put_text(struct vqs_hdf5 *out, hid_t at, const char *name, const char *text);
enum vqs_status vqs_hdf5_put_hex(struct vqs_hdf5 *out, hid_t at, const char *name, uint64_t value);

enum vqs_status vqs_hdf5_make_group(struct vqs_hdf5 *out, const char *name, hid_t *group);

/* A dataset to be made. Unused dimensions have size 0. */
enum { VQS_HDF5_RANK = 6, VQS_HDF5_BLOCK = 1024 /* rows in a chunk of a 1-D dataset, and written at a time */ };
struct vqs_hdf5_spec {
    hid_t parent;
    const char *name, *unit, *long_name, *formula; /* unit and formula may be NULL */
    hid_t type;
    hsize_t size[VQS_HDF5_RANK], chunk[VQS_HDF5_RANK];
    bool grows;                 /* along its first dimension */
    bool compress;              /* deflate pays for settings and counts; noise does not shrink */
    const double *fill;         /* what unwritten values read as, or NULL: 0 */
    hid_t scale[VQS_HDF5_RANK]; /* of each dimension; 0 where the dataset is itself the scale */
};
enum vqs_status vqs_hdf5_make_dataset(struct vqs_hdf5 *out, const struct vqs_hdf5_spec *spec, hid_t *set);
/* A dimension and its coordinate: int64 first, first + 1, ... */
enum vqs_status vqs_hdf5_make_scale(struct vqs_hdf5 *out, hid_t parent, const char *name, const char *long_name,
                                    int64_t first, size_t n, hid_t *set);
/* Writes rows start .. start + count - 1, whole in the other dimensions, extending the dataset if it grows. */
enum vqs_status vqs_hdf5_write_rows(struct vqs_hdf5 *out, hid_t set, hid_t type, size_t start, size_t count,
                                    const void *data, const char *what);

#endif
