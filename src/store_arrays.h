/* store_arrays.h - the arrays of a result file: a group for each kind and shape. Not public.
 *
 * The one rule: trials come in ascending order, so a reader finds a trial's row by bisection.
 *
 * Life cycle, writing: a struct with `out` set; vqs_arrays_begin, _add for every record, _flush, _destroy (always).
 * Reading: vqs_arrays_open with the file, _find and _read for each record, _close. */
#ifndef VQS_STORE_ARRAYS_H
#define VQS_STORE_ARRAYS_H

#include "store_hdf5.h"
#include "vqsweep/record.h"

/* ---- writing --------------------------------------------------------------------------------------------------- */

struct vqs_arrays {
    struct vqs_hdf5 *out;
    struct vqs_arrays_shape *shapes;
    size_t n_shapes;
};

enum vqs_status vqs_arrays_begin(struct vqs_arrays *arrays);
enum vqs_status vqs_arrays_add(struct vqs_arrays *arrays, size_t trial, const struct vqs_record *record);
enum vqs_status vqs_arrays_flush(struct vqs_arrays *arrays);
void vqs_arrays_destroy(struct vqs_arrays *arrays);

/* ---- reading --------------------------------------------------------------------------------------------------- */

struct vqs_store;

/* The groups of a file that is being read. */
struct vqs_array_groups {
    struct vqs_array_group *at;
    size_t n;
};
/* Where the arrays of a trial stand; of a kind that it does not have, group is NULL. */
struct vqs_array_places {
    const struct vqs_array_group *group[VQS_N_ARRAYS];
    hsize_t row[VQS_N_ARRAYS];
};

enum vqs_status vqs_arrays_open(struct vqs_store *store, struct vqs_error *err);
void vqs_arrays_close(struct vqs_array_groups *groups);
/* The sizes go into shape->array. */
enum vqs_status vqs_arrays_find(struct vqs_store *store, size_t trial, struct vqs_array_places *places,
                                struct vqs_record_shape *shape, struct vqs_error *err);
/* Into a record of that shape. */
enum vqs_status vqs_arrays_read(struct vqs_store *store, const struct vqs_array_places *places,
                                struct vqs_record *record, struct vqs_error *err);

#endif
