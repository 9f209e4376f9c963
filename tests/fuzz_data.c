/* fuzz_data.c - the readers of CSV and IDX, plain and gzipped. */
#include "fuzz.h"
#include "vqsweep/data.h"

#include <stdlib.h>
#include <string.h>

void fuzz_one(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    float *values = NULL;
    size_t n;
    int D;
    for (int labels = 0; labels < 2; labels++) {
        if (vqs_csv_read(path, labels, 1000, &values, &n, &D, NULL) == VQS_OK) {
            free(values);
        }
    }
    if (vqs_idx_read(path, 1000, &values, &n, &D, NULL) == VQS_OK) {
        free(values);
    }
}

void fuzz_seeds(void (*take)(const void *data, size_t size)) {
    static const char csv[] = "a,b,c\n1,2.5,-3e2\n4, 5 ,nan\r\n\n7,8,9\n";
    static const unsigned char idx[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 1, 2, 3, 4};
    static const unsigned char gz[] = {0x1f, 0x8b, 8,    0,    0, 0, 0,    0,    0,    3,    0x33, 0xd4, 0x31, 0xe2,
                                       0x32, 0xd1, 0x31, 0xe5, 2, 0, 0x9c, 0x05, 0x7b, 0x7a, 8,    0,    0,    0};
    take(csv, strlen(csv));
    take(idx, sizeof idx);
    take(gz, sizeof gz);
}
