/* data_file.c - a file read at any offset, plain or gzipped. */
#include "data_readers.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

enum vqs_status vqs_data_stat(const char *path, uint64_t *size, struct vqs_error *err) {
    struct stat status;
    if (stat(path, &status)) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: cannot open: %s; expected a readable data file", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: %s; expected a regular file", path,
                        S_ISDIR(status.st_mode) ? strerror(EISDIR) : "not a file");
    }
    if (size) {
        *size = (uint64_t)status.st_size;
    }
    return VQS_OK;
}

enum vqs_status vqs_data_file_open(const char *path, bool as_is, struct vqs_data_file *file, struct vqs_error *err) {
    *file = (struct vqs_data_file){.path = path};
    enum vqs_status status = vqs_data_stat(path, &file->size, err);
    if (status) {
        return status;
    }
    unsigned char magic[2];
    errno = 0;
    file->plain = fopen(path, "rb");
    if (file->plain && !as_is && fread(magic, 1, 2, file->plain) == 2 && magic[0] == 0x1f && magic[1] == 0x8b) {
        fclose(file->plain);
        file->plain = NULL;
        file->size = UINT64_MAX;
        file->zipped = gzopen(path, "rb");
    }
    if (!file->plain && !file->zipped) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: cannot open: %s; expected a readable data file", path,
                        errno ? strerror(errno) : "out of memory");
    }
    return VQS_OK;
}

void vqs_data_file_close(struct vqs_data_file *file) {
    if (file->plain) {
        fclose(file->plain);
    }
    if (file->zipped) {
        gzclose(file->zipped);
    }
    memset(file, 0, sizeof *file);
}

enum vqs_status vqs_data_gz_check(gzFile file, const char *path, struct vqs_error *err) {
    int code = Z_OK;
    const char *text = gzerror(file, &code);
    if (code == Z_OK || code == Z_STREAM_END) {
        return VQS_OK;
    }
    return vqs_fail(err, VQS_ERR_DATA, "%s: offset %ld: %s; expected a whole plain or gzip file", path,
                    (long)gztell(file), code == Z_ERRNO ? strerror(errno) : text);
}

enum vqs_status vqs_data_file_read(struct vqs_data_file *file, uint64_t offset, void *bytes, size_t size, size_t *got,
                                   struct vqs_error *err) {
    *got = 0;
    if (offset > INT64_MAX || size > INT_MAX) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: offset %" PRIu64 ": past what a file can hold", file->path, offset);
    }
    if (file->zipped) {
        const int n =
            gzseek(file->zipped, (z_off_t)offset, SEEK_SET) < 0 ? -1 : gzread(file->zipped, bytes, (unsigned)size);
        *got = n > 0 ? (size_t)n : 0;
        return *got < size ? vqs_data_gz_check(file->zipped, file->path, err) : VQS_OK;
    }
    if ((uint64_t)ftello(file->plain) != offset) { /* a seek empties the buffer */
        fseeko(file->plain, (off_t)offset, SEEK_SET);
    }
    *got = fread(bytes, 1, size, file->plain);
    if (ferror(file->plain)) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: offset %" PRIu64 ": %s", file->path, offset, strerror(errno));
    }
    return VQS_OK;
}

enum vqs_status vqs_data_file_get(struct vqs_data_file *file, uint64_t offset, void *bytes, size_t size,
                                  struct vqs_error *err) {
    size_t got;
    enum vqs_status status = vqs_data_file_read(file, offset, bytes, size, &got, err);
    if (!status && got < size) {
        status = vqs_fail(err, VQS_ERR_DATA, "%s: offset %" PRIu64 ": the file ends early", file->path, offset + got);
    }
    return status;
}

enum vqs_status vqs_data_file_measure(struct vqs_data_file *file, uint64_t most, struct vqs_error *err) {
    unsigned char block[1 << 16];
    uint64_t size = 0;
    enum vqs_status status = VQS_OK;
    for (size_t got = 1; file->size == UINT64_MAX && got && size <= most && !status; size += got) {
        status = vqs_data_file_read(file, size, block, sizeof block, &got, err);
    }
    if (file->size == UINT64_MAX) {
        file->size = size;
    }
    return status;
}
