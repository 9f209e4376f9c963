/* begun.c - a small file with a word for each slot of rank 0. */
#include "begun.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 1 << 20 }; /* bytes: more slots than any rank has */

static void read_found(struct vqs_begun *begun) {
    struct stat info;
    size_t size = fstat(begun->file, &info) == 0 && info.st_size < MOST ? (size_t)info.st_size : 0;
    begun->found = malloc(size + 1);
    ssize_t got = begun->found ? pread(begun->file, begun->found, size, 0) : 0;
    begun->n_found = got > 0 ? (size_t)got / sizeof *begun->found : 0;
}

void vqs_begun_open(struct vqs_begun *begun, const char *path) {
    begun->path = malloc(strlen(path) + sizeof ".begun");
    begun->file = -1;
    if (begun->path) {
        strcat(strcpy(begun->path, path), ".begun");
        begun->file = open(begun->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    }
    if (begun->file >= 0) {
        read_found(begun);
        int emptied = ftruncate(begun->file, 0);
        (void)emptied; /* what stays is found once more */
    }
}

bool vqs_begun_found(const struct vqs_begun *begun, uint64_t key) {
    size_t i = 0;
    while (i < begun->n_found && begun->found[i] != key) {
        i++;
    }
    return i < begun->n_found;
}

void vqs_begun_set(const struct vqs_begun *begun, int slot, uint64_t key) {
    if (begun->path && begun->file >= 0) {
        ssize_t written = pwrite(begun->file, &key, sizeof key, (off_t)slot * (off_t)sizeof key);
        (void)written; /* a hint less */
    }
}

void vqs_begun_clear(const struct vqs_begun *begun, int slot) {
    vqs_begun_set(begun, slot, 0);
}

void vqs_begun_close(struct vqs_begun *begun) {
    if (begun->path && begun->file >= 0) {
        close(begun->file);
        unlink(begun->path);
    }
    free(begun->path);
    free(begun->found);
    *begun = (struct vqs_begun){0};
}
