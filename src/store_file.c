/* store_file.c - an HDF5 file driver over POSIX calls that keeps the first error to itself. */
#include "store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

struct file {
    H5FD_t head; /* HDF5's own part, first */
    int fd;
    haddr_t end_allocated, end;
    int *error; /* 0, or the errno after which nothing is written any more */
};

/* What travels in the access property list. */
struct info {
    int *error;
};

static H5FD_t *file_open(const char *name, unsigned flags, hid_t access, haddr_t max) {
    (void)max;
    const struct info *info = H5Pget_driver_info(access);
    struct file *file = calloc(1, sizeof *file);
    const int create = flags & H5F_ACC_TRUNC ? O_TRUNC | O_CREAT : flags & H5F_ACC_CREAT ? O_CREAT : 0;
    if (!info || !file || (file->fd = open(name, O_RDWR | O_CLOEXEC | create, 0666)) < 0) {
        if (info) {
            *info->error = errno;
        }
        free(file);
        return NULL;
    }
    file->error = info->error;
    return &file->head;
}

static herr_t file_close(H5FD_t *head) {
    struct file *file = (struct file *)head;
    if (close(file->fd) && !*file->error) {
        *file->error = errno; /* some file systems tell of a full disk here */
    }
    free(file);
    return 0;
}

static herr_t file_query(const H5FD_t *head, unsigned long *flags) {
    (void)head;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t file_get_eoa(const H5FD_t *head, H5FD_mem_t type) {
    (void)type;
    return ((const struct file *)head)->end_allocated;
}

static herr_t file_set_eoa(H5FD_t *head, H5FD_mem_t type, haddr_t address) {
    (void)type;
    ((struct file *)head)->end_allocated = address;
    return 0;
}

static haddr_t file_get_eof(const H5FD_t *head, H5FD_mem_t type) {
    (void)type;
    return ((const struct file *)head)->end;
}

/* What was never written reads as zeros. */
static herr_t file_read(H5FD_t *head, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, void *data) {
    (void)type, (void)transfer;
    struct file *file = (struct file *)head;
    unsigned char *to = data;
    memset(to, 0, size);
    while (size > 0) {
        ssize_t n = pread(file->fd, to, size, (off_t)address);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && !*file->error) {
            *file->error = errno;
        }
        if (n <= 0) {
            break;
        }
        to += n;
        size -= (size_t)n;
        address += (haddr_t)n;
    }
    return 0;
}

static herr_t file_write(H5FD_t *head, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size,
                         const void *data) {
    (void)type, (void)transfer;
    struct file *file = (struct file *)head;
    const unsigned char *from = data;
    file->end = address + size > file->end ? address + size : file->end;
    while (size > 0 && !*file->error) {
        ssize_t n = pwrite(file->fd, from, size, (off_t)address);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            *file->error = errno;
            break;
        }
        from += n;
        size -= (size_t)n;
        address += (haddr_t)n;
    }
    return 0;
}

static herr_t file_truncate(H5FD_t *head, hid_t transfer, hbool_t closing) {
    (void)transfer, (void)closing;
    struct file *file = (struct file *)head;
    if (file->end_allocated != file->end && !*file->error && ftruncate(file->fd, (off_t)file->end_allocated)) {
        *file->error = errno;
    }
    file->end = file->end_allocated;
    return 0;
}

hid_t vqs_store_file_driver(hid_t access, int *error) {
    static const H5FD_class_t class = {
#ifdef H5FD_CLASS_VERSION
        .version = H5FD_CLASS_VERSION,
        .value = 511, /* the last of those kept for private drivers */
#endif
        .name = "vqsweep",
        .maxaddr = (haddr_t)1 << 62,
        .fc_degree = H5F_CLOSE_STRONG, /* closing the file closes what is open in it */
        .fapl_size = sizeof(struct info),
        .open = file_open,
        .close = file_close,
        .query = file_query,
        .get_eoa = file_get_eoa,
        .set_eoa = file_set_eoa,
        .get_eof = file_get_eof,
        .read = file_read,
        .write = file_write,
        .truncate = file_truncate,
        .fl_map = H5FD_FLMAP_DICHOTOMY,
    };
    hid_t driver = H5FDregister(&class);
    if (driver >= 0 && H5Pset_driver(access, driver, &(struct info){error}) < 0) {
        H5FDunregister(driver);
        driver = H5I_INVALID_HID;
    }
    return driver;
}
