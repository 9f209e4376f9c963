/* source.h - files of samples, and how they are read.
 *
 * The one rule: a source gives any range of its samples on demand, as rows of D floats, and holds no more of a file
 * than it needs for that. A reader is one row of functions; which one reads what is said by `data` in the settings.
 * What happens to samples after that (choice, split, centring, whitening) is the same for all of them (data_draw.c).
 *
 * Life cycle: vqs_source_open, vqs_source_read any number of times, vqs_source_close. A source belongs to one thread.
 *
 * What bounds time and memory, for a source of any length:
 *   npy, raw, idx  a sample is read where it stands; memory: one sample. A gzipped file is read through once to see
 *                  that it is whole, and again up to the last sample asked for. Read, not mapped: of a mapped file that
 *                  is cut short meanwhile the program dies; here it gives an error with an offset.
 *   csv            read through once to count and check all lines, and again up to the last sample; memory: one line
 *   hdf5           a range is read where it stands; memory: the range, and HDF5's cache of chunks
 *   images         headers of all files are read at once; memory: one image (3 bytes a pixel, at most 2^27 pixels)
 *   audio          headers of all files are read at once; a frame is read where it stands; memory: one frame
 *   text           a window is read where it stands; `alphabet: occurring` reads the file through once
 * Those that read on to a sample start again for an earlier one: ask in ascending order.
 *
 * Samples of a file of several axes lie along the first. An image is cut into patches of patch x patch x channels, row
 * by row, `patch_stride` apart, values 0 to 1; grey is 0.299 R + 0.587 G + 0.114 B, rounded to a byte; transparent
 * pixels lie on black. Audio is the mean of its channels, -1 to 1; frames start `hop` apart and do not cross from file
 * to file; log-mel is the natural logarithm of n_mels sums of |X|^2 over triangles that are even on the mel scale (2595
 * log10(1 + f/700), as in HTK) from 0 to half the sampling rate, no sum less than 1e-10; X is the Fourier transform of
 * the frame, padded with zeros to a power of two. Text is bytes, one-hot.
 */
#ifndef VQSWEEP_SOURCE_H
#define VQSWEEP_SOURCE_H

#include "vqsweep/settings.h"

struct vqs_source;

/* Where a sample is: the number of its file, and of a patch its row and column among those of the image. What has no
 * rows is counted on along a row of 2^20, so that each number is exact as a float too. */
struct vqs_place {
    uint32_t file, row, column;
};
static inline struct vqs_place vqs_place_along(uint32_t file, uint64_t number) {
    return (struct vqs_place){file, (uint32_t)(number >> 20), (uint32_t)(number & 0xfffff)};
}

/* How one kind of data is read. */
struct vqs_source_reader {
    /* Fills in n, D, text, state, and what else applies. On failure `close` is called all the same. */
    enum vqs_status (*open)(const struct vqs_settings *settings, struct vqs_source *source, struct vqs_error *err);
    /* Samples [first, first + n), which exist, into rows [n][D]. */
    enum vqs_status (*read)(struct vqs_source *source, uint64_t first, size_t n, float *rows, struct vqs_error *err);
    void (*close)(struct vqs_source *source); /* frees `state`, which may be NULL */
    /* Where a sample is; NULL where a source is one file of samples one after the other. */
    struct vqs_place (*locate)(const struct vqs_source *source, uint64_t sample);
};

struct vqs_source {
    const struct vqs_source_reader *reader;
    char path[VQS_PATH_MAX];
    uint64_t n;     /* samples, at least 1 */
    int D;          /* values of a sample */
    char text[120]; /* what it is, for people */
    uint64_t reach; /* how far before a sample one may be that shares content with it, in samples */
    int rate;       /* audio samples a second; else 0 */
    /* Of text: a sample is D / n_classes times one-hot over so many classes, which stand for these bytes. Else 0. */
    int n_classes;
    unsigned char symbols[256];
    void *state; /* the reader's */
};

/* Opens the file of settings that read one. `hdf5` reads `data: hdf5`; NULL where the program has no HDF5 (the core
 * knows none; store.h has the reader). VQS_ERR_DATA: file, place, and what was expected; then there is nothing to
 * close. */
enum vqs_status vqs_source_open(const struct vqs_settings *settings, const struct vqs_source_reader *hdf5,
                                struct vqs_source *source, struct vqs_error *err);
/* Whether the source has what the settings ask for: D values a sample, N + N_eval samples, and those that split: tail
 * leaves out. */
enum vqs_status vqs_source_check(const struct vqs_source *source, const struct vqs_settings *settings,
                                 struct vqs_error *err);
/* Samples [first, first + n) into rows [n][D], every value finite and at most 1e30. */
enum vqs_status vqs_source_read(struct vqs_source *source, uint64_t first, size_t n, float *rows,
                                struct vqs_error *err);
struct vqs_place vqs_source_locate(const struct vqs_source *source, uint64_t sample);
/* Zeroed and closed sources are left alone. */
void vqs_source_close(struct vqs_source *source);

/* One line on what the files of these settings hold, to tell whether they are the same another time: number, bytes and
 * XXH3-64 (of a single file: of its bytes; of several: of their sizes and hashes in order). Reads them all. */
enum vqs_status vqs_source_fingerprint(const struct vqs_settings *settings, char *text, size_t size,
                                       struct vqs_error *err);

#endif
