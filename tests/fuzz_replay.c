/* fuzz_replay.c - a fuzz target without libFuzzer: fuzz_NAME [MUTATIONS [FILE...]], or fuzz_NAME --seeds FOLDER.
 * Reads each seed, MUTATIONS mutations of each (the same every time), and each FILE. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int mutations = 200;
static const char *folder;
static int n_seeds;
static uint64_t state = 1;

/* SplitMix64 */
static size_t random_below(size_t n) {
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return n ? (size_t)((z ^ z >> 31) % n) : 0;
}

/* Changes bytes, cuts, or moves a stretch to another place. */
static size_t mutate(uint8_t *bytes, size_t size) {
    for (size_t i = 1 + random_below(4); i > 0 && size > 0; i--) {
        const size_t at = random_below(size), to = random_below(size);
        const size_t room = size - (at > to ? at : to), length = random_below(room < 64 ? room : 64);
        static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
        switch (random_below(5)) {
        case 0:
            bytes[at] = (uint8_t)random_below(256);
            break;
        case 1:
            bytes[at] ^= (uint8_t)(1u << random_below(8));
            break;
        case 2:
            memset(bytes + at, telling[random_below(sizeof telling)], length % 9);
            break;
        case 3:
            memmove(bytes + to, bytes + at, length);
            break;
        default:
            size = random_below(8) ? size : at;
        }
    }
    return size;
}

static void keep(const void *data, size_t size) {
    char path[512];
    snprintf(path, sizeof path, "%s/seed%d", folder, n_seeds);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) {
        perror(path);
        exit(1);
    }
}

static void replay(const void *data, size_t size) {
    uint8_t *bytes = malloc(size ? size : 1);
    if (!bytes) {
        exit(1);
    }
    fuzz_one(data, size);
    for (int i = 0; i < mutations; i++) {
        memcpy(bytes, data, size);
        fuzz_one(bytes, mutate(bytes, size));
    }
    free(bytes);
}

static void take(const void *data, size_t size) {
    n_seeds++;
    if (folder) {
        keep(data, size);
    } else {
        replay(data, size);
    }
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "--seeds")) {
        folder = argv[2];
    } else if (argc > 1) {
        mutations = atoi(argv[1]);
    }
    fuzz_seeds(take);
    for (int i = 2; i < argc && !folder; i++) {
        fuzz_take_file(argv[i], take);
    }
    printf("%d seeds, %d mutations of each\n", n_seeds, folder ? 0 : mutations);
    return n_seeds == 0;
}
