/* store_data.c - the reader of `data: hdf5` (source.h): a dataset of numbers, samples along its first axis. */
#include "data_readers.h"
#include "store_hdf5.h"
#include "vqsweep/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_AXES = 8 };

struct hdf5 {
    hid_t file, dataset, space; /* -1: not open */
    int axes;
    hsize_t shape[MAX_AXES];
};

static void hdf5_close(struct vqs_source *source) {
    struct hdf5 *h = source->state;
    if (h) {
        if (h->space >= 0) {
            H5Sclose(h->space);
        }
        if (h->dataset >= 0) {
            H5Dclose(h->dataset);
        }
        if (h->file >= 0) {
            H5Fclose(h->file);
        }
        free(h);
    }
}

/* NULL for anything that is no number. */
static const char *kind_of(hid_t dataset, size_t *size) {
    hid_t type = H5Dget_type(dataset);
    const H5T_class_t class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
    *size = type >= 0 ? H5Tget_size(type) : 0;
    if (type >= 0) {
        H5Tclose(type);
    }
    return class == H5T_INTEGER ? "integers" : class == H5T_FLOAT ? "floats" : NULL;
}

static enum vqs_status open_dataset(const struct vqs_settings *s, const struct vqs_quiet *quiet, struct hdf5 *h,
                                    struct vqs_source *source, struct vqs_error *err) {
    size_t item = 0;
    h->file = H5Fopen(s->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (h->file < 0) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: cannot be opened: %s; expected an HDF5 file", s->path, quiet->reason);
    }
    h->dataset = H5Dopen2(h->file, s->dataset, H5P_DEFAULT);
    h->space = h->dataset >= 0 ? H5Dget_space(h->dataset) : -1;
    if (h->space < 0) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: dataset %s: cannot be opened: %s; expected a dataset of numbers",
                        s->path, s->dataset, quiet->reason);
    }
    const char *kind = kind_of(h->dataset, &item);
    h->axes = H5Sget_simple_extent_ndims(h->space);
    if (!kind || h->axes < 1 || h->axes > MAX_AXES || H5Sget_simple_extent_dims(h->space, h->shape, NULL) < 0) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: dataset %s: expected integers or floats over 1 to %d axes", s->path,
                        s->dataset, MAX_AXES);
    }
    uint64_t D = 1;
    for (int a = 1; a < h->axes; a++) {
        D *= h->shape[a] <= VQS_MAX_COLUMNS ? h->shape[a] : VQS_MAX_COLUMNS + 1;
        D = D <= VQS_MAX_COLUMNS ? D : VQS_MAX_COLUMNS + 1;
    }
    if (h->shape[0] == 0 || D == 0 || D > VQS_MAX_COLUMNS) {
        return vqs_fail(err, VQS_ERR_DATA,
                        "%s: dataset %s: %" PRIu64 " samples of %s%" PRIu64 " values; expected samples of 1 to %d",
                        s->path, s->dataset, (uint64_t)h->shape[0], D > VQS_MAX_COLUMNS ? "more than " : "",
                        D > VQS_MAX_COLUMNS ? VQS_MAX_COLUMNS : D, VQS_MAX_COLUMNS);
    }
    source->n = h->shape[0];
    source->D = (int)D;
    snprintf(source->text, sizeof source->text, "HDF5 dataset %.60s of %zu-bit %s", s->dataset, 8 * item, kind);
    return VQS_OK;
}

static enum vqs_status hdf5_open(const struct vqs_settings *s, struct vqs_source *source, struct vqs_error *err) {
    struct hdf5 *h = source->state = malloc(sizeof *h);
    hbool_t safe = 0;
    if (!h) {
        return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory to read it", s->path);
    }
    *h = (struct hdf5){.file = -1, .dataset = -1, .space = -1};
    if (H5is_library_threadsafe(&safe) < 0 || !safe) { /* trials read while results are written */
        return vqs_fail(err, VQS_ERR_ENVIRONMENT,
                        "%s: this HDF5 library is not safe for threads, which reading data needs", s->path);
    }
    enum vqs_status status = vqs_data_stat(s->path, NULL, err);
    if (!status) {
        struct vqs_quiet quiet;
        vqs_quiet_begin(&quiet);
        status = open_dataset(s, &quiet, h, source, err);
        vqs_quiet_end(&quiet);
    }
    return status;
}

static enum vqs_status hdf5_read(struct vqs_source *source, uint64_t first, size_t n, float *rows,
                                 struct vqs_error *err) {
    const struct hdf5 *h = source->state;
    hsize_t start[MAX_AXES] = {first}, count[MAX_AXES], size = n * (hsize_t)source->D;
    struct vqs_quiet quiet;
    memcpy(count, h->shape, sizeof count);
    count[0] = n;
    vqs_quiet_begin(&quiet);
    hid_t memory = H5Screate_simple(1, &size, NULL);
    herr_t done = memory < 0 ? -1 : H5Sselect_hyperslab(h->space, H5S_SELECT_SET, start, NULL, count, NULL);
    if (done >= 0) {
        done = H5Dread(h->dataset, H5T_NATIVE_FLOAT, memory, h->space, H5P_DEFAULT, rows);
    }
    if (memory >= 0) {
        H5Sclose(memory);
    }
    vqs_quiet_end(&quiet);
    return done >= 0 ? VQS_OK
                     : vqs_fail(err, VQS_ERR_DATA, "%s: sample %" PRIu64 " cannot be read: %s", source->path, first + 1,
                                quiet.reason);
}

const struct vqs_source_reader vqs_source_hdf5 = {hdf5_open, hdf5_read, hdf5_close, NULL};
