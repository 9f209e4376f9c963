/* store_arrays.c - the arrays of a result file, written shape by shape, and found again. */
#include "store_arrays.h"

#include "store_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARRAY_CHUNK = 1 << 15, NAME = 128 }; /* bytes of a chunk, about, as of codebooks; of a name with its path */

/* "arrays/probes_3x6x3x6" */
static void group_name(int kind, const int32_t *size, char name[NAME]) {
    size_t used = (size_t)snprintf(name, NAME, "arrays/%s", vqs_array_table[kind].quantity.name);
    for (int i = 0; i < VQS_ARRAY_RANK && size[i]; i++) {
        used += (size_t)snprintf(name + used, NAME - used, "%c%" PRId32, i ? 'x' : '_', size[i]);
    }
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* The arrays of one kind and shape: a group, and the arrays not yet written. */
struct vqs_arrays_shape {
    int kind;
    int32_t size[VQS_ARRAY_RANK];
    hid_t row_set, trial_set, value_set;
    size_t n_values;     /* of one array */
    size_t room, filled; /* arrays in the buffers */
    int64_t written;     /* arrays in the file */
    int64_t *row, *trial;
    float *values;
    struct vqs_arena memory;
};

/* A dimension whose coordinate is the labels. */
static enum vqs_status make_labels(struct vqs_hdf5 *out, hid_t group, const char *dimension, size_t n, hid_t *set) {
    hid_t type = vqs_text_type();
    const struct vqs_hdf5_spec spec = {
        .parent = group, .name = dimension, .long_name = dimension, .type = type, .size = {n}, .chunk = {n}};
    enum vqs_status status = vqs_hdf5_make_dataset(out, &spec, set);
    for (size_t i = 0; !status && i < n; i++) {
        const char *label = vqs_dimension_label(dimension, (int)i);
        status = vqs_hdf5_write_rows(out, *set, type, i, 1, &label, dimension);
    }
    H5Tclose(type);
    return status;
}

static enum vqs_status make_sets(struct vqs_hdf5 *out, struct vqs_arrays_shape *s) {
    const struct vqs_array_row *row = &vqs_array_table[s->kind];
    const int64_t tag = vqs_array_tag(s->kind);
    char name[NAME];
    hid_t group;
    group_name(s->kind, s->size, name);
    TRY(vqs_hdf5_make_group(out, name, &group));
    TRY(vqs_hdf5_put_attribute(out, group, "tag", H5T_NATIVE_INT64, &tag));
    struct vqs_hdf5_spec rows = {.parent = group,
                                 .name = "row",
                                 .long_name = "row of this group",
                                 .type = H5T_STD_I64LE,
                                 .chunk = {s->room},
                                 .grows = true,
                                 .compress = true};
    TRY(vqs_hdf5_make_dataset(out, &rows, &s->row_set));
    rows.name = "trial";
    rows.long_name = "trial the array is of, ascending";
    rows.scale[0] = s->row_set;
    TRY(vqs_hdf5_make_dataset(out, &rows, &s->trial_set));
    struct vqs_hdf5_spec value = {.parent = group,
                                  .name = "value",
                                  .unit = row->quantity.unit,
                                  .long_name = row->quantity.long_name,
                                  .formula = row->quantity.formula,
                                  .type = H5T_IEEE_F32LE,
                                  .chunk = {s->room},
                                  .grows = true,
                                  .scale = {s->row_set}};
    for (int i = 0; row->dimension[i]; i++) {
        const char *dimension = row->dimension[i];
        const size_t n = value.size[i + 1] = value.chunk[i + 1] = (hsize_t)s->size[i];
        TRY(vqs_dimension_label(dimension, 0)
                ? make_labels(out, group, dimension, n, &value.scale[i + 1])
                : vqs_hdf5_make_scale(out, group, dimension, dimension, 0, n, &value.scale[i + 1]));
    }
    return vqs_hdf5_make_dataset(out, &value, &s->value_set);
}

static void carve_shape(struct vqs_arrays_shape *s) {
    s->values = vqs_arena_take(&s->memory, s->room * s->n_values, sizeof *s->values);
    s->row = vqs_arena_take(&s->memory, s->room, sizeof *s->row);
    s->trial = vqs_arena_take(&s->memory, s->room, sizeof *s->trial);
}

/* The shape of this array, made when it is first asked for. */
static enum vqs_status find_shape(struct vqs_arrays *arrays, int kind, const struct vqs_array *array,
                                  struct vqs_arrays_shape **out) {
    for (size_t i = 0; i < arrays->n_shapes; i++) {
        *out = &arrays->shapes[i];
        if ((*out)->kind == kind && !memcmp((*out)->size, array->size, sizeof array->size)) {
            return VQS_OK;
        }
    }
    struct vqs_arrays_shape *grown = realloc(arrays->shapes, (arrays->n_shapes + 1) * sizeof *grown);
    if (!grown) {
        return vqs_fail(arrays->out->err, VQS_ERR_MEMORY, "cannot allocate %zu shapes of arrays", arrays->n_shapes + 1);
    }
    arrays->shapes = grown;
    struct vqs_arrays_shape *s = *out = &arrays->shapes[arrays->n_shapes];
    *s = (struct vqs_arrays_shape){.kind = kind, .n_values = vqs_array_values(kind, array->size)};
    memcpy(s->size, array->size, sizeof s->size);
    const size_t bytes = s->n_values * sizeof(float);
    s->room = bytes < ARRAY_CHUNK ? ARRAY_CHUNK / bytes : 1;
    carve_shape(s);
    TRY(vqs_arena_create(&s->memory, s->memory.used, arrays->out->err));
    carve_shape(s);
    arrays->n_shapes++;
    return make_sets(arrays->out, s);
}

static enum vqs_status flush_shape(struct vqs_hdf5 *out, struct vqs_arrays_shape *s) {
    const size_t start = (size_t)s->written, n = s->filled;
    if (n == 0) {
        return VQS_OK;
    }
    TRY(vqs_hdf5_write_rows(out, s->row_set, H5T_NATIVE_INT64, start, n, s->row, "arrays"));
    TRY(vqs_hdf5_write_rows(out, s->trial_set, H5T_NATIVE_INT64, start, n, s->trial, "arrays"));
    TRY(vqs_hdf5_write_rows(out, s->value_set, H5T_NATIVE_FLOAT, start, n, s->values, "arrays"));
    s->written += (int64_t)n;
    s->filled = 0;
    return VQS_OK;
}

enum vqs_status vqs_arrays_begin(struct vqs_arrays *arrays) {
    hid_t group;
    return vqs_hdf5_make_group(arrays->out, "arrays", &group);
}

enum vqs_status vqs_arrays_add(struct vqs_arrays *arrays, size_t trial, const struct vqs_record *record) {
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        const struct vqs_array *array = &record->arrays[kind];
        struct vqs_arrays_shape *s = NULL;
        if (!array->values) {
            continue;
        }
        TRY(find_shape(arrays, kind, array, &s));
        memcpy(s->values + s->filled * s->n_values, array->values, s->n_values * sizeof(float));
        s->row[s->filled] = s->written + (int64_t)s->filled;
        s->trial[s->filled] = (int64_t)trial;
        if (++s->filled == s->room) {
            TRY(flush_shape(arrays->out, s));
        }
    }
    return VQS_OK;
}

enum vqs_status vqs_arrays_flush(struct vqs_arrays *arrays) {
    enum vqs_status status = VQS_OK;
    for (size_t i = 0; !status && i < arrays->n_shapes; i++) {
        status = flush_shape(arrays->out, &arrays->shapes[i]);
    }
    return status;
}

void vqs_arrays_destroy(struct vqs_arrays *arrays) {
    for (size_t i = 0; i < arrays->n_shapes; i++) {
        vqs_arena_destroy(&arrays->shapes[i].memory);
    }
    free(arrays->shapes);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

struct vqs_array_group {
    int kind; /* VQS_N_ARRAYS: not one of ours */
    int32_t size[VQS_ARRAY_RANK];
    hsize_t n; /* rows */
    hid_t trial_set, value_set;
};

/* The kind that a group's name begins with, if its labels are ours. */
static int kind_of(const struct vqs_store *store, const char *path) {
    const char *name = strchr(path, '/') + 1;
    int64_t tag = -1;
    int kind = 0;
    hid_t group = H5Gopen2(store->file, path, H5P_DEFAULT);
    if (group >= 0) {
        vqs_store_read_number(group, "tag", &tag);
        H5Gclose(group);
    }
    for (; kind < VQS_N_ARRAYS; kind++) {
        const char *prefix = vqs_array_table[kind].quantity.name;
        const size_t length = strlen(prefix);
        if (!strncmp(name, prefix, length) && name[length] == '_' && tag == vqs_array_tag(kind)) {
            break;
        }
    }
    return kind;
}

/* Opens a group's values, of a kind of ours: as many rows as trials, of the shape that the name tells, and no larger
 * than the file. */
static enum vqs_status open_values(const struct vqs_store *store, const char *path, struct vqs_array_group *group,
                                   struct vqs_error *err) {
    struct vqs_record_shape shape = {0};
    hsize_t found[VQS_ARRAY_RANK + 1] = {0};
    char name[NAME];
    int rank = 1;
    while (vqs_array_table[group->kind].dimension[rank - 1]) {
        rank++;
    }
    snprintf(name, sizeof name, "%s/value", path);
    TRY(vqs_store_open_set(store, name, rank, H5T_FLOAT, 4, found, &group->value_set, err));
    for (int i = 1; i < rank; i++) {
        group->size[i - 1] = found[i] <= INT32_MAX ? (int32_t)found[i] : -1;
    }
    memcpy(shape.array[group->kind], group->size, sizeof group->size);
    group_name(group->kind, group->size, name);
    if (found[0] != group->n || vqs_record_bytes(&shape) > store->file_size || strcmp(name, path)) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: damaged result file: '%s' has values of the wrong shape", store->path,
                        path);
    }
    return VQS_OK;
}

static enum vqs_status open_group(struct vqs_store *store, const char *path, struct vqs_error *err) {
    struct vqs_array_groups *groups = &store->arrays;
    struct vqs_array_group *grown = realloc(groups->at, (groups->n + 1) * sizeof *grown);
    char name[NAME];
    if (!grown) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate %zu groups of arrays", groups->n + 1);
    }
    groups->at = grown;
    struct vqs_array_group *group = &groups->at[groups->n];
    *group = (struct vqs_array_group){.kind = kind_of(store, path)};
    snprintf(name, sizeof name, "%s/trial", path);
    TRY(vqs_store_open_set(store, name, 1, H5T_INTEGER, 8, &group->n, &group->trial_set, err));
    groups->n++;
    return group->kind == VQS_N_ARRAYS ? VQS_OK : open_values(store, path, group, err);
}

struct walk {
    struct vqs_store *store;
    struct vqs_error *err;
    enum vqs_status status;
};

static herr_t visit(hid_t arrays, const char *name, const H5L_info_t *info, void *ctx) {
    (void)arrays;
    (void)info;
    struct walk *walk = ctx;
    char path[NAME / 2];
    if (snprintf(path, sizeof path, "arrays/%s", name) < (int)sizeof path) {
        walk->status = open_group(walk->store, path, walk->err);
    } else {
        walk->status = vqs_store_damaged(walk->store, "arrays", walk->err);
    }
    return walk->status ? -1 : 0;
}

enum vqs_status vqs_arrays_open(struct vqs_store *store, struct vqs_error *err) {
    struct walk walk = {.store = store, .err = err};
    hid_t arrays = H5Gopen2(store->file, "arrays", H5P_DEFAULT);
    if (arrays < 0 || (H5Literate(arrays, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, &walk) < 0 && !walk.status)) {
        walk.status = vqs_store_damaged(store, "arrays", err);
    }
    H5Gclose(arrays);
    return walk.status;
}

void vqs_arrays_close(struct vqs_array_groups *groups) {
    free(groups->at);
}

/* The row of a trial, n if it has none. Bisects in the file, for a damaged one may claim more rows than memory holds.
 */
static bool find_row(const struct vqs_array_group *group, size_t trial, hsize_t *row) {
    hsize_t low = 0, high = group->n, one = 1;
    int64_t found = -1;
    while (low < high) {
        const hsize_t middle = low + (high - low) / 2;
        if (!vqs_store_read_block(group->trial_set, H5T_NATIVE_INT64, 1, &middle, &one, &found)) {
            return false;
        }
        if (found == (int64_t)trial) {
            *row = middle;
            return true;
        }
        if (found < (int64_t)trial) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *row = group->n;
    return true;
}

enum vqs_status vqs_arrays_find(struct vqs_store *store, size_t trial, struct vqs_array_places *places,
                                struct vqs_record_shape *shape, struct vqs_error *err) {
    memset(places, 0, sizeof *places);
    for (size_t i = 0; i < store->arrays.n; i++) {
        const struct vqs_array_group *group = &store->arrays.at[i];
        hsize_t row;
        if (!find_row(group, trial, &row)) {
            return vqs_store_damaged(store, "arrays", err);
        }
        if (row == group->n) {
            continue;
        }
        if (group->kind == VQS_N_ARRAYS) {
            return vqs_fail(err, VQS_ERR_STORE, "%s: trial %zu has arrays of another version of vqsweep", store->path,
                            trial);
        }
        if (places->group[group->kind]) {
            return vqs_fail(err, VQS_ERR_STORE, "%s: damaged result file: trial %zu has two arrays '%s'", store->path,
                            trial, vqs_array_table[group->kind].quantity.name);
        }
        places->group[group->kind] = group;
        places->row[group->kind] = row;
        memcpy(shape->array[group->kind], group->size, sizeof group->size);
    }
    return VQS_OK;
}

enum vqs_status vqs_arrays_read(struct vqs_store *store, const struct vqs_array_places *places,
                                struct vqs_record *record, struct vqs_error *err) {
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        const struct vqs_array_group *group = places->group[kind];
        hsize_t from[VQS_ARRAY_RANK + 1] = {places->row[kind]}, size[VQS_ARRAY_RANK + 1] = {1};
        int rank = 1;
        for (; group && rank <= VQS_ARRAY_RANK && group->size[rank - 1]; rank++) {
            size[rank] = (hsize_t)group->size[rank - 1];
        }
        if (group &&
            !vqs_store_read_block(group->value_set, H5T_NATIVE_FLOAT, rank, from, size, record->arrays[kind].values)) {
            return vqs_store_damaged(store, vqs_array_table[kind].quantity.name, err);
        }
    }
    return VQS_OK;
}
