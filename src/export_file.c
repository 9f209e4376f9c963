/* export_file.c - a list of arrays as a file: .npz or HDF5. */
#include "export.h"

#include "fileio.h"
#include "store_hdf5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static bool ends_in(const char *path, const char *ending) {
    const size_t length = strlen(path), n = strlen(ending);
    return length > n && !strcmp(path + length - n, ending);
}

/* ---- .npy: a header, padded to a multiple of 64 bytes, then the values as they are in memory -------------------- */

enum { HEADER = 256 };

/* Returns its length. */
static size_t npy_header(const struct vqs_export_array *a, char out[HEADER]) {
    static const char *const kinds[] = {"f4", "f8", "u8", "u1"};
    char type[24], shape[100] = "";
    const char order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>';
    size_t used = 0;
    if (a->type == VQS_EXPORT_TEXT) {
        snprintf(type, sizeof type, "|S%zu", a->size[0]);
    } else {
        snprintf(type, sizeof type, "%c%s", order, kinds[a->type]);
    }
    for (int i = 0; i < a->rank; i++) {
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%zu, ", a->size[i]);
    }
    const int length =
        snprintf(out + 10, HEADER - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, shape);
    const size_t whole = (10 + (size_t)length + 1 + 63) / 64 * 64; /* at most HEADER */
    memset(out + 10 + length, ' ', whole - 10 - (size_t)length);
    out[whole - 1] = '\n';
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)((whole - 10) & 255);
    out[9] = (char)((whole - 10) >> 8);
    return whole;
}

/* ---- .zip: each file behind a header of its own, and a directory at the end ------------------------------------- */

struct zip {
    FILE *file;
    uint64_t at;                /* bytes written */
    struct vqs_bytes directory; /* to come at the end */
    size_t n;
    int error;                  /* of the system, the first */
    bool short_of_memory, full; /* full: more than a .zip without extensions can hold */
};

static void put(struct zip *zip, const void *bytes, size_t size) {
    if (fwrite(bytes, 1, size, zip->file) != size && !zip->error) {
        zip->error = errno;
    }
    zip->at += size;
}

/* Little-endian numbers of `widths` bytes each, "2" or "4", one after the other; returns their length. */
static size_t pack(unsigned char *out, const char *widths, const uint64_t *values) {
    size_t used = 0;
    for (; *widths; widths++, values++) {
        for (int i = 0; i < *widths - '0'; i++) {
            out[used++] = (unsigned char)(*values >> 8 * i);
        }
    }
    return used;
}

static void zip_array(struct zip *zip, const struct vqs_export_array *a) {
    enum { VERSION = 20, FIRST_OF_1980 = 1 << 5 | 1 }; /* no time of day: equal models are equal files */
    const size_t bytes = vqs_export_bytes(a), name_length = strlen(a->name) + 4;
    char header[HEADER], name[sizeof a->name + 4];
    unsigned char local[64], entry[64];
    const size_t header_length = npy_header(a, header);
    const uint64_t size = header_length + bytes, at = zip->at;
    const uint64_t crc = crc32_z(crc32_z(0, (const void *)header, header_length), a->values, bytes);
    snprintf(name, sizeof name, "%s.npy", a->name);
    zip->full |= at + size + sizeof local + sizeof name > UINT32_MAX;
    const size_t n_local =
        pack(local, "42222244422",
             (uint64_t[]){0x04034b50, VERSION, 0, 0, 0, FIRST_OF_1980, crc, size, size, name_length, 0});
    const size_t n_entry = pack(entry, "42222224442222244",
                                (uint64_t[]){0x02014b50, VERSION, VERSION, 0, 0, 0, FIRST_OF_1980, crc, size, size,
                                             name_length, 0, 0, 0, 0, 0, at});
    put(zip, local, n_local);
    put(zip, name, name_length);
    put(zip, header, header_length);
    put(zip, a->values, bytes);
    zip->short_of_memory |= vqs_bytes_append(&zip->directory, entry, n_entry, NULL) != VQS_OK ||
                            vqs_bytes_append(&zip->directory, name, name_length, NULL) != VQS_OK;
    zip->n++;
}

/* What the arrays mean, a line each, as one more of them. */
static void zip_contents(struct zip *zip, const struct vqs_export *list) {
    struct vqs_bytes text = {0};
    for (size_t i = 0; i < list->n; i++) {
        char line[400];
        const int length = snprintf(line, sizeof line, "%s: %s\n", list->arrays[i].name, list->arrays[i].meaning);
        zip->short_of_memory |= vqs_bytes_append(&text, line, (size_t)length, NULL) != VQS_OK;
    }
    const struct vqs_export_array contents = {
        .name = "contents", .type = VQS_EXPORT_TEXT, .size = {text.size}, .values = text.data};
    zip_array(zip, &contents);
    vqs_bytes_destroy(&text);
}

static enum vqs_status write_npz(const struct vqs_export *list, const char *file, const char *path,
                                 struct vqs_error *err) {
    struct zip zip = {.file = fopen(file, "wb")};
    if (!zip.file) {
        return vqs_fail(err, VQS_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    }
    for (size_t i = 0; i < list->n && !zip.error && !zip.full; i++) {
        zip_array(&zip, &list->arrays[i]);
    }
    zip_contents(&zip, list);
    unsigned char end[32];
    const size_t n_end =
        pack(end, "42222442", (uint64_t[]){0x06054b50, 0, 0, zip.n, zip.n, zip.directory.size, zip.at, 0});
    put(&zip, zip.directory.data, zip.directory.size);
    put(&zip, end, n_end);
    if (fclose(zip.file) && !zip.error) {
        zip.error = errno;
    }
    vqs_bytes_destroy(&zip.directory);
    if (zip.full) {
        return vqs_fail(err, VQS_ERR_USAGE, "%s: more than the 4 GiB that a .npz can hold; give a name in .h5 by -o",
                        path);
    }
    return zip.short_of_memory ? vqs_fail(err, VQS_ERR_MEMORY, "out of memory")
           : zip.error         ? vqs_fail(err, VQS_ERR_IO, "%s: cannot write: %s", path, strerror(zip.error))
                               : VQS_OK;
}

/* ---- HDF5 ------------------------------------------------------------------------------------------------------ */

static enum vqs_status put_dataset(struct vqs_hdf5 *out, const struct vqs_export_array *a) {
    const hid_t types[] = {H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE, H5T_NATIVE_UINT64, H5T_NATIVE_UINT8};
    hsize_t size[VQS_EXPORT_RANK];
    for (int i = 0; i < VQS_EXPORT_RANK; i++) {
        size[i] = a->size[i];
    }
    hid_t type = H5Tcopy(a->type == VQS_EXPORT_TEXT ? H5T_C_S1 : types[a->type]);
    if (a->type == VQS_EXPORT_TEXT) {
        H5Tset_size(type, a->size[0]);
        H5Tset_strpad(type, H5T_STR_NULLPAD);
        H5Tset_cset(type, H5T_CSET_UTF8);
    }
    hid_t space = a->rank ? H5Screate_simple(a->rank, size, NULL) : H5Screate(H5S_SCALAR);
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(create, false);
    hid_t set = H5Dcreate2(out->file, a->name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    const herr_t ok = set < 0 ? -1 : H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, a->values);
    enum vqs_status status = vqs_hdf5_check(out, ok, a->name);
    status = status ? status : vqs_hdf5_put_text(out, set, "long_name", a->meaning);
    H5Dclose(set);
    H5Pclose(create);
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

static enum vqs_status write_hdf5(const struct vqs_export *list, const char *file, const char *path,
                                  struct vqs_error *err) {
    struct vqs_hdf5 out;
    enum vqs_status status = vqs_hdf5_create(&out, file, path, err);
    for (size_t i = 0; i < list->n && !status; i++) {
        status = put_dataset(&out, &list->arrays[i]);
    }
    return vqs_hdf5_close(&out, status);
}

/* ---- either ---------------------------------------------------------------------------------------------------- */

/* Whether a file can be made there is told by making one, for a trial may take hours before it is written. */
enum vqs_status vqs_export_check_place(const char *path, struct vqs_error *err) {
    if (!ends_in(path, ".npz") && !ends_in(path, ".h5")) {
        return vqs_fail(err, VQS_ERR_USAGE, "%s: can be written as .npz or .h5; give a name that ends so by -o", path);
    }
    enum vqs_status status = vqs_file_check_place(path, err);
    if (!status && access(path, F_OK) == 0) {
        status = vqs_fail(err, VQS_ERR_USAGE, "%s: is there already; remove it, or give another name by -o", path);
    }
    status = status ? status : vqs_file_make_directories(path, err);
    char *temporary = status ? NULL : vqs_file_temporary(path);
    const int file = temporary ? open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (!status && file < 0) {
        status = temporary ? vqs_fail(err, VQS_ERR_IO, "%s: cannot write: %s", path, strerror(errno))
                           : vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    if (file >= 0) {
        close(file);
        unlink(temporary);
    }
    free(temporary);
    return status;
}

enum vqs_status vqs_export_write(const struct vqs_export *list, const char *path, struct vqs_error *err) {
    char *temporary = vqs_file_temporary(path);
    if (!temporary || list->short_of_memory) {
        free(temporary);
        return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory for the arrays of the trial", path);
    }
    enum vqs_status status = (ends_in(path, ".npz") ? write_npz : write_hdf5)(list, temporary, path, err);
    status = status ? status : vqs_file_publish(temporary, path, err);
    if (status) {
        unlink(temporary);
    }
    free(temporary);
    return status;
}
