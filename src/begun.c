/* begun.c - a small file with a word for each slot of rank 0. */
#include "begun.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 1 << 16 }; /* more slots than any rank has */

static void read_found(struct vqs_begun *begun) {
    struct stat info;
    size_t size = fstat(begun->file, &info) == 0 && info.st_size < MOST ? (size_t)info.st_size : 0;
    begun->found = malloc(size + 1);
    ssize_t got = begun->found ? pread(begun->file, begun->found, size, 0) : 0;
    begun->n_found = got > 0 ? (size_t)got / sizeof *begun->found : 0;
}

static void put(const struct vqs_begun *begun, int slot, uint32_t word) {
    if (begun->path && begun->file >= 0) {
        ssize_t written = pwrite(begun->file, &word, sizeof word, (off_t)slot * (off_t)sizeof word);
        (void)written; /* a hint less */
    }
}

/* No slot has begun anything, and what was found is remembered, each trial once. */
static void start_anew(const struct vqs_begun *begun, int slots) {
    int at = slots;
    for (int s = 0; s < slots; s++) {
        put(begun, s, 0);
    }
    for (size_t i = 0; i < begun->n_found; i++) {
        size_t first = 0;
        while (begun->found[first] != begun->found[i]) {
            first++;
        }
        if (begun->found[i] && first == i) {
            put(begun, at++, begun->found[i]);
        }
    }
}

void vqs_begun_open(struct vqs_begun *begun, const char *path, int slots) {
    begun->path = malloc(strlen(path) + sizeof ".begun");
    begun->file = -1;
    if (begun->path) {
        strcat(strcpy(begun->path, path), ".begun");
        begun->file = open(begun->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    }
    if (begun->file >= 0) {
        read_found(begun);
        start_anew(begun, slots);
    }
}

bool vqs_begun_found(const struct vqs_begun *begun, uint32_t trial) {
    size_t i = 0;
    while (i < begun->n_found && begun->found[i] != trial + 1) {
        i++;
    }
    return i < begun->n_found;
}

void vqs_begun_set(const struct vqs_begun *begun, int slot, uint32_t trial) {
    put(begun, slot, trial + 1);
}

void vqs_begun_clear(const struct vqs_begun *begun, int slot) {
    put(begun, slot, 0);
}

void vqs_begun_close(struct vqs_begun *begun, bool left) {
    if (begun->path && begun->file >= 0) {
        close(begun->file);
        if (!left || begun->n_found == 0) {
            unlink(begun->path);
        }
    }
    free(begun->path);
    free(begun->found);
    *begun = (struct vqs_begun){0};
}
