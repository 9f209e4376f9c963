/* fuzz_files.c - files for the fuzz targets, in memory; and libFuzzer's entry. */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_must(bool good) {
    if (!good) {
        fprintf(stderr, "fuzz: cannot make a seed\n");
        exit(1);
    }
}

const char *fuzz_file(const uint8_t *data, size_t size) {
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    if (file < 0 || ftruncate(file, 0) || pwrite(file, data, size, 0) != (ssize_t)size) {
        perror("fuzz_file");
        exit(1);
    }
    return path;
}

void fuzz_take_file(const char *path, void (*take)(const void *data, size_t size)) {
    FILE *file = fopen(path, "rb");
    static unsigned char bytes[4 << 20];
    if (!file) {
        perror(path);
        exit(1);
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    take(bytes, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_one(data, size);
    return 0;
}
