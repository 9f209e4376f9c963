/* fileio.c - files put in place whole. */
#include "fileio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

enum vqs_status vqs_file_check_place(const char *path, struct vqs_error *err) {
    struct stat info;
    const bool slash = path[strlen(path) - 1] == '/';
    if (!slash && (lstat(path, &info) != 0 || S_ISREG(info.st_mode))) {
        return VQS_OK;
    }
    const char *what = slash || S_ISDIR(info.st_mode) ? "a directory"
                       : S_ISLNK(info.st_mode)        ? "a symbolic link"
                                                      : "no regular file";
    return vqs_fail(err, VQS_ERR_USAGE, "%s: is %s and cannot be a result file; give the name of a file by -o", path,
                    what);
}

enum vqs_status vqs_file_make_directories(const char *path, struct vqs_error *err) {
    char *copy = strdup(path);
    enum vqs_status status = copy ? VQS_OK : vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash && status == VQS_OK; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
            status = vqs_fail(err, VQS_ERR_IO, "%s: cannot make this directory: %s", copy, strerror(errno));
        }
        *slash = '/';
    }
    free(copy);
    return status;
}

/* Whether `name` is a temporary of `base` or of something beside it: BASE[.x].tmp.123 */
static bool is_temporary_of(const char *name, const char *base) {
    const char *rest = strncmp(name, base, strlen(base)) ? NULL : strstr(name + strlen(base), ".tmp.");
    return rest && rest[5] && strspn(rest + 5, "0123456789") == strlen(rest + 5) &&
           (rest == name + strlen(base) || name[strlen(base)] == '.');
}

void vqs_file_sweep(const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char *directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("./");
    DIR *entries = directory ? opendir(directory) : NULL;
    for (const struct dirent *entry; entries && (entry = readdir(entries));) {
        if (is_temporary_of(entry->d_name, base)) {
            unlinkat(dirfd(entries), entry->d_name, 0);
        }
    }
    if (entries) {
        closedir(entries);
    }
    free(directory);
}
