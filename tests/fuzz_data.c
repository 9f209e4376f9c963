/* fuzz_data.c - the readers of data files, plain and gzipped: all kinds, from their first byte to their last sample. */
#include "fuzz.h"
#include "vqsweep/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SAMPLES = 1000, MOST_VALUES = 1 << 16 };

static void read_all(struct vqs_settings *s) {
    struct vqs_source source;
    if (vqs_source_open(s, NULL, &source, NULL) != VQS_OK) {
        return;
    }
    float *row = malloc(MOST_VALUES * sizeof *row);
    fuzz_must(row && source.n > 0 && source.D > 0 && source.D <= MOST_VALUES);
    for (uint64_t i = 0; i < source.n && i < MOST_SAMPLES; i++) {
        if (vqs_source_read(&source, i, 1, row, NULL) != VQS_OK) {
            break;
        }
    }
    vqs_source_read(&source, source.n - 1, 1, row, NULL);
    vqs_source_locate(&source, source.n - 1);
    free(row);
    vqs_source_close(&source);
}

void fuzz_one(const uint8_t *data, size_t size) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    snprintf(s.path, sizeof s.path, "%s", fuzz_file(data, size));
    s.D = 3;
    s.patch = s.patch_stride = 2;
    s.frame = 8;
    s.hop = 3;
    s.n_mels = 2;
    s.text_window = 3;
    for (s.data = VQS_DATA_CSV; s.data <= VQS_DATA_TEXT; s.data++) {
        for (int variant = 0; variant < 2; variant++) {
            s.label_columns = s.colour = s.audio_features = s.alphabet = variant;
            read_all(&s);
        }
    }
}

void fuzz_seeds(void (*take)(const void *data, size_t size)) {
    static const char csv[] = "a,b,c\n1,2.5,-3e2\n4, 5 ,nan\r\n\n7,8,9\n", good_csv[] = "1,2\n\n3 4\n5;6\n";
    static const unsigned char idx[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 1, 2, 3, 4};
    static const unsigned char gz[] = {0x1f, 0x8b, 8,    0,    0, 0, 0,    0,    0,    3,    0x33, 0xd4, 0x31, 0xe2,
                                       0x32, 0xd1, 0x31, 0xe5, 2, 0, 0x9c, 0x05, 0x7b, 0x7a, 8,    0,    0,    0};
    static const char npy[] = "\x93NUMPY\1\0\x36\0{'descr': '>f2', 'fortran_order': False, 'shape': (2, 3)}\n"
                              "\x3c\0\x3c\1\x3c\2\xbc\0\0\1\x7b\xff";
    static const unsigned char png[] = {137, 80, 78, 71, 13, 10, 26, 10, 0,  0,   0,   13, 73,  72,  68,  82,
                                        0,   0,  0,  4,  0,  0,  0,  4,  8,  2,   0,   0,  0,   38,  147, 9,
                                        41,  0,  0,  0,  20, 73, 68, 65, 84, 120, 156, 99, 100, 96,  229, 226,
                                        135, 1,  22, 27, 27, 27, 34, 56, 0,  106, 210, 4,  85,  184, 160, 37,
                                        45,  0,  0,  0,  0,  73, 69, 78, 68, 174, 66,  96, 130};
    static const unsigned char jpeg[] = {
        255, 216, 255, 224, 0,   16,  74,  70,  73,  70,  0,   1,   1,   0,   0,   1,   0,   1,   0,   0,   255,
        219, 0,   67,  0,   255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 192, 0,   11,  8,   0,   4,   0,   4,   1,   1,   17,  0,   255, 196, 0,
        20,  0,   1,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   1,   255, 196,
        0,   22,  16,  0,   3,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   1,
        17,  255, 218, 0,   8,   1,   1,   0,   0,   63,  0,   34,  63,  255, 217};
    static const unsigned char wav[] = {82,  73,  70,  70,  76,  0,  0,   0,   87, 65, 86,  69,  102, 109, 116, 32, 16,
                                        0,   0,   0,   1,   0,   1,  0,   64,  31, 0,  0,   128, 62,  0,   0,   2,  0,
                                        16,  0,   100, 97,  116, 97, 40,  0,   0,  0,  0,   0,   100, 0,   200, 0,  44,
                                        1,   144, 1,   244, 1,   88, 2,   188, 2,  32, 3,   132, 3,   232, 3,   76, 4,
                                        176, 4,   20,  5,   120, 5,  220, 5,   64, 6,  164, 6,   8,   7,   108, 7};
    static const unsigned char flac[] = {
        102, 76,  97,  67, 128, 0,  0,   34, 0,   16, 0,  16,  0,   0,   0,   0,   0,   0,   1,   244, 0,
        240, 0,   0,   0,  32,  0,  0,   0,  0,   0,  0,  0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
        255, 248, 96,  8,  0,   15, 150, 2,  0,   0,  0,  77,  0,   154, 0,   231, 1,   52,  1,   129, 1,
        206, 2,   27,  2,  104, 2,  181, 3,  2,   3,  79, 0,   24,  0,   101, 0,   178, 0,   255, 15,  193,
        255, 248, 96,  8,  1,   15, 131, 2,  1,   76, 1,  153, 1,   230, 2,   51,  2,   128, 2,   205, 3,
        26,  3,   103, 0,  48,  0,  125, 0,  202, 1,  23, 1,   100, 1,   177, 1,   254, 2,   75,  230, 218};
    take(csv, strlen(csv));
    take(good_csv, strlen(good_csv));
    take(idx, sizeof idx);
    take(gz, sizeof gz);
    take(npy, sizeof npy - 1);
    take(png, sizeof png);
    take(jpeg, sizeof jpeg);
    take(wav, sizeof wav);
    take(flac, sizeof flac);
}
