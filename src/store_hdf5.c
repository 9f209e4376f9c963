/* store_hdf5.c - HDF5 in small steps. */
#include "store_hdf5.h"

#include "store_file.h"

#include <hdf5_hl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DEFLATE_LEVEL = 1 };

/* ---- silence --------------------------------------------------------------------------------------------------- */

static herr_t keep_cause(unsigned n, const H5E_error2_t *error, void *data) {
    struct vqs_quiet *quiet = data;
    if (n == 0 && error->desc) {
        /* a failing write tells time, buffer and more; what the system said is enough */
        const char *said = strstr(error->desc, "error message = '");
        said = said ? said + strlen("error message = '") : error->desc;
        const char *end = said > error->desc ? strchr(said, '\'') : NULL;
        snprintf(quiet->reason, sizeof quiet->reason, "%.*s", end ? (int)(end - said) : 200, said);
    }
    return 0;
}

/* HDF5 calls this when one of its functions is about to return an error. */
static herr_t on_error(hid_t stack, void *data) {
    const struct vqs_quiet *quiet = data;
    return quiet->reason[0] ? 0 : H5Ewalk2(stack, H5E_WALK_UPWARD, keep_cause, data);
}

void vqs_quiet_begin(struct vqs_quiet *quiet) {
    quiet->reason[0] = '\0';
    H5Eget_auto2(H5E_DEFAULT, &quiet->function, &quiet->data);
    H5Eset_auto2(H5E_DEFAULT, on_error, quiet);
}

void vqs_quiet_end(struct vqs_quiet *quiet) {
    H5Eset_auto2(H5E_DEFAULT, quiet->function, quiet->data);
}

hid_t vqs_text_type(void) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

/* ---- a file that is being written ------------------------------------------------------------------------------ */

enum vqs_status vqs_hdf5_create(struct vqs_hdf5 *out, const char *file, const char *path, struct vqs_error *err) {
    const unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    *out = (struct vqs_hdf5){.path = path, .err = err};
    vqs_quiet_begin(&out->quiet);
    hid_t create = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_link_creation_order(create, order);
    H5Pset_attr_creation_order(create, order);
    /* checksums on all that HDF5 keeps for itself, and small indexes; HDF5 1.10 (2016) and later read it */
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    out->driver = vqs_store_file_driver(access, &out->io_error);
    out->file = H5Fcreate(file, H5F_ACC_TRUNC, create, access);
    H5Pclose(create);
    H5Pclose(access);
    return vqs_hdf5_check(out, out->file, "a new file");
}

enum vqs_status vqs_hdf5_close(struct vqs_hdf5 *out, enum vqs_status status) {
    if (out->file >= 0) {
        status = status ? status : vqs_hdf5_check(out, H5Fflush(out->file, H5F_SCOPE_GLOBAL), "the last blocks");
        const herr_t closed = H5Fclose(out->file);
        status = status ? status : vqs_hdf5_check(out, closed, "the end of the file");
    }
    H5FDunregister(out->driver);
    vqs_quiet_end(&out->quiet);
    return status;
}

enum vqs_status vqs_hdf5_check(struct vqs_hdf5 *out, int64_t result, const char *what) {
    if (result >= 0 && !out->io_error) {
        return VQS_OK;
    }
    return vqs_fail(out->err, VQS_ERR_IO, "%s: cannot write %s: %s", out->path, what,
                    out->io_error ? strerror(out->io_error) : out->quiet.reason);
}

enum vqs_status vqs_hdf5_put_attribute(struct vqs_hdf5 *out, hid_t at, const char *name, hid_t type,
                                       const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    enum vqs_status status = vqs_hdf5_check(out, attribute < 0 ? -1 : H5Awrite(attribute, type, value), name);
    H5Aclose(attribute);
    H5Sclose(space);
    return status;
}

enum vqs_status vqs_hdf5_put_text(struct vqs_hdf5 *out, hid_t at, const char *name, const char *text) {
    hid_t type = vqs_text_type();
    enum vqs_status status = vqs_hdf5_put_attribute(out, at, name, type, &text);
    H5Tclose(type);
    return status;
}

enum vqs_status vqs_hdf5_put_hex(struct vqs_hdf5 *out, hid_t at, const char *name, uint64_t value) {
    char hex[17];
    snprintf(hex, sizeof hex, "%016" PRIx64, value);
    return vqs_hdf5_put_text(out, at, name, hex);
}

/* Groups and datasets remember the order in which their members came: netCDF-4 lists them so. */
enum vqs_status vqs_hdf5_make_group(struct vqs_hdf5 *out, const char *name, hid_t *group) {
    const unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    hid_t create = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_link_creation_order(create, order);
    H5Pset_attr_creation_order(create, order);
    *group = H5Gcreate2(out->file, name, H5P_DEFAULT, create, H5P_DEFAULT);
    H5Pclose(create);
    return vqs_hdf5_check(out, *group, name);
}

static int rank_of(const struct vqs_hdf5_spec *spec) {
    int rank = 0;
    while (rank < VQS_HDF5_RANK && spec->chunk[rank]) {
        rank++;
    }
    return rank;
}

static hid_t creation_properties(const struct vqs_hdf5_spec *spec) {
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(create, false);
    H5Pset_chunk(create, rank_of(spec), spec->chunk);
    if (spec->fill) {
        H5Pset_fill_value(create, H5T_NATIVE_DOUBLE, spec->fill);
    }
    if (spec->compress) {
        H5Pset_shuffle(create);
        H5Pset_deflate(create, DEFLATE_LEVEL);
    }
    return create;
}

enum vqs_status vqs_hdf5_make_dataset(struct vqs_hdf5 *out, const struct vqs_hdf5_spec *spec, hid_t *set) {
    const int rank = rank_of(spec);
    hsize_t most[VQS_HDF5_RANK];
    memcpy(most, spec->size, sizeof most);
    most[0] = spec->grows ? H5S_UNLIMITED : most[0];
    hid_t space = H5Screate_simple(rank, spec->size, most);
    hid_t create = creation_properties(spec);
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, 1, 0, 1.0); /* we write whole chunks: nothing to keep */
    *set = H5Dcreate2(spec->parent, spec->name, spec->type, space, H5P_DEFAULT, create, access);
    H5Pclose(access);
    H5Pclose(create);
    H5Sclose(space);
    TRY(vqs_hdf5_check(out, *set, spec->name));
    if (spec->unit) {
        TRY(vqs_hdf5_put_text(out, *set, "units", spec->unit));
    }
    TRY(vqs_hdf5_put_text(out, *set, "long_name", spec->long_name));
    if (spec->formula) {
        TRY(vqs_hdf5_put_text(out, *set, "formula", spec->formula));
    }
    for (int i = 0; i < rank; i++) {
        herr_t ok =
            spec->scale[i] ? H5DSattach_scale(*set, spec->scale[i], (unsigned)i) : H5DSset_scale(*set, spec->name);
        TRY(vqs_hdf5_check(out, ok, spec->name));
    }
    return VQS_OK;
}

enum vqs_status vqs_hdf5_write_rows(struct vqs_hdf5 *out, hid_t set, hid_t type, size_t start, size_t count,
                                    const void *data, const char *what) {
    hid_t space = H5Dget_space(set), memory = H5I_INVALID_HID;
    hsize_t size[VQS_HDF5_RANK] = {0}, most[VQS_HDF5_RANK] = {0}, from[VQS_HDF5_RANK] = {start};
    int rank = H5Sget_simple_extent_dims(space, size, most);
    herr_t ok = rank < 1 ? -1 : 0;
    if (ok >= 0 && most[0] == H5S_UNLIMITED) {
        size[0] = start + count;
        ok = H5Dset_extent(set, size);
        H5Sclose(space);
        space = H5Dget_space(set);
    }
    if (ok >= 0) {
        size[0] = count;
        memory = H5Screate_simple(rank, size, NULL);
        ok = H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, size, NULL);
    }
    if (ok >= 0) {
        ok = H5Dwrite(set, type, memory, space, H5P_DEFAULT, data);
    }
    enum vqs_status status = vqs_hdf5_check(out, ok, what);
    H5Sclose(memory);
    H5Sclose(space);
    return status;
}

enum vqs_status vqs_hdf5_make_scale(struct vqs_hdf5 *out, hid_t parent, const char *name, const char *long_name,
                                    int64_t first, size_t n, hid_t *set) {
    const struct vqs_hdf5_spec spec = {.parent = parent,
                                       .name = name,
                                       .long_name = long_name,
                                       .type = H5T_STD_I64LE,
                                       .size = {n},
                                       .chunk = {n < VQS_HDF5_BLOCK ? n : VQS_HDF5_BLOCK},
                                       .compress = true};
    TRY(vqs_hdf5_make_dataset(out, &spec, set));
    int64_t block[VQS_HDF5_BLOCK];
    for (size_t start = 0; start < n; start += VQS_HDF5_BLOCK) {
        size_t count = n - start < VQS_HDF5_BLOCK ? n - start : VQS_HDF5_BLOCK;
        for (size_t i = 0; i < count; i++) {
            block[i] = first + (int64_t)(start + i);
        }
        TRY(vqs_hdf5_write_rows(out, *set, H5T_NATIVE_INT64, start, count, block, name));
    }
    return VQS_OK;
}
