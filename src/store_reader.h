/* store_reader.h - a result file that is being read, and how its datasets are opened. Not public.
 *
 * The one rule: nothing in the file is trusted. A dataset is opened with the rank and the type that it must have, and
 * one that is not compressed cannot hold more than the file is long. */
#ifndef VQS_STORE_READER_H
#define VQS_STORE_READER_H

#include "store_arrays.h"
#include "store_common.h"
#include "store_hdf5.h"
#include "vqsweep/store.h"

struct vqs_store {
    char *path;
    struct vqs_quiet quiet;
    hid_t file;
    uint64_t file_size; /* an uncompressed dataset that claims more than this lies */
    size_t n_trials;
    int max_epochs;
    /* those we read; 0 elsewhere */
    struct vqs_column column[VQS_N_COLUMNS];
    hid_t type[VQS_N_COLUMNS], set[VQS_N_COLUMNS];
    hid_t curve_set[VQS_N_CURVES];
    struct vqs_array_groups arrays;
    char *job;
    struct vqs_provenance_item *provenance; /* texts owned */
    size_t n_provenance;
};

/* VQS_ERR_STORE with what HDF5 said of `what`. */
enum vqs_status vqs_store_damaged(const struct vqs_store *store, const char *what, struct vqs_error *err);
/* Opens a dataset that must have this rank and, unless `width` is 0, values of this class and width. Its size goes into
 * `size`. */
enum vqs_status vqs_store_open_set(const struct vqs_store *store, const char *name, int rank, H5T_class_t class,
                                   size_t width, hsize_t *size, hid_t *set, struct vqs_error *err);
/* A whole number, from an attribute of one value; false: it is none. */
bool vqs_store_read_number(hid_t at, const char *name, int64_t *value);
/* Reads the block from `from` of `size`, both of the dataset's rank. */
bool vqs_store_read_block(hid_t set, hid_t type, int rank, const hsize_t *from, const hsize_t *size, void *data);

#endif
