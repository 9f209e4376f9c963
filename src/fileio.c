/* fileio.c - files put in place whole. */
#include "fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *vqs_file_temporary(const char *path) {
    const size_t size = strlen(path) + 32;
    char *text = malloc(size);
    if (text) {
        snprintf(text, size, "%s.tmp.%ld", path, (long)getpid());
    }
    return text;
}

/* Opens, fsyncs and closes; 0 or -1 with errno. */
static int sync_path(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    int result = fsync(fd), cause = errno;
    close(fd);
    errno = cause;
    return result;
}

/* The directory that `path` is in, fsynced. Some file systems refuse to fsync a directory, which is not a failure. */
static int sync_directory(const char *path) {
    const char *slash = strrchr(path, '/');
    char *directory = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!directory) {
        errno = ENOMEM;
        return -1;
    }
    int result = sync_path(directory, O_RDONLY | O_DIRECTORY);
    free(directory);
    return result && errno != EINVAL && errno != ENOTSUP ? -1 : 0;
}

enum vqs_status vqs_file_publish(const char *temporary, const char *path, struct vqs_error *err) {
    if (sync_path(temporary, O_RDONLY) || rename(temporary, path) || sync_directory(path)) {
        return vqs_fail(err, VQS_ERR_IO, "%s: cannot put the finished file in place: %s", path, strerror(errno));
    }
    return VQS_OK;
}
