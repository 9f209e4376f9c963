/* data_draw.c - a data set from a file: which samples are drawn, and where they go. */
#include "data_draw.h"

#include "vqsweep/rng.h"

#include <stdlib.h>
#include <string.h>

/* ---- choice: the first steps of a Fisher-Yates shuffle of the source's n samples ------------------------------- */

/* A sample of the source, and its place in the data set: training samples first, then held-out ones. */
struct pick {
    uint64_t sample;
    uint32_t place;
};

/* Of an array 0, 1, 2, ... those entries that are not their index any more: a hash table, at most half full. */
struct entry {
    uint64_t key, value; /* key: index + 1; 0: free */
};
struct moved {
    struct entry *slots;
    uint64_t mask;
};

/* The entry of an index, or the free one where it would stand. */
static struct entry *find_entry(const struct moved *moved, uint64_t index) {
    uint64_t at = index * UINT64_C(0x9e3779b97f4a7c15);
    for (at = (at ^ at >> 32) & moved->mask; moved->slots[at].key && moved->slots[at].key != index + 1;) {
        at = (at + 1) & moved->mask;
    }
    return &moved->slots[at];
}

static uint64_t entry_value(const struct entry *entry, uint64_t index) {
    return entry->key ? entry->value : index;
}

/* Step i takes a random entry from i on, by a 64-bit word, whose bias is below n / 2^64, and puts entry i in its place.
 */
static enum vqs_status pick_samples(const struct vqs_stream *words, uint64_t n, size_t wanted, struct pick *picks,
                                    struct vqs_error *err) {
    enum { BLOCK = VQS_RNG_GROUP };
    struct moved moved = {.mask = 2};
    uint32_t word[2 * BLOCK];
    while (moved.mask < 2 * (uint64_t)wanted) {
        moved.mask *= 2;
    }
    moved.slots = calloc(moved.mask, sizeof *moved.slots);
    if (!moved.slots) {
        return vqs_fail(err, VQS_ERR_MEMORY, "no memory to draw %zu samples", wanted);
    }
    moved.mask--;
    for (size_t i = 0; i < wanted; i++) {
        if (i % BLOCK == 0) {
            vqs_rng_words(words, 2 * i, 2 * BLOCK, word);
        }
        const uint64_t random = (uint64_t)word[2 * (i % BLOCK)] << 32 | word[2 * (i % BLOCK) + 1];
        const uint64_t other = i + (uint64_t)((unsigned __int128)random * (n - i) >> 64);
        const uint64_t here = entry_value(find_entry(&moved, i), i);
        struct entry *there = find_entry(&moved, other);
        picks[i] = (struct pick){entry_value(there, other), (uint32_t)i};
        *there = (struct entry){other + 1, here};
    }
    free(moved.slots);
    return VQS_OK;
}

/* All picks, by the rule of the split (data.h). */
static enum vqs_status pick_parts(const struct vqs_settings *s, const struct vqs_stream *words,
                                  const struct vqs_source *source, struct pick *picks, struct vqs_error *err) {
    const size_t N = (size_t)s->N, N_eval = (size_t)s->N_eval;
    if (s->split == VQS_SPLIT_RANDOM) {
        return pick_samples(words, source->n, N + N_eval, picks, err);
    }
    for (size_t i = 0; i < N_eval; i++) {
        picks[N + i] = (struct pick){source->n - N_eval + i, (uint32_t)(N + i)};
    }
    return pick_samples(words, source->n - N_eval - source->reach, N, picks, err);
}

static int by_sample(const void *a, const void *b) {
    const struct pick *x = a, *y = b;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

/* ---- samples to their places ----------------------------------------------------------------------------------- */

/* Which of each window's classes is the one. */
static void take_classes(const float *row, size_t D, size_t n_classes, uint8_t *classes) {
    for (size_t j = 0; j < D; j++) {
        if (row[j] > 0) {
            classes[j / n_classes] = (uint8_t)(j % n_classes);
        }
    }
}

/* Takes the mean of a row off it. */
static float remove_mean(float *row, size_t D) {
    double sum = 0;
    for (size_t j = 0; j < D; j++) {
        sum += (double)row[j];
    }
    const double mean = sum / (double)D;
    for (size_t j = 0; j < D; j++) {
        row[j] = (float)((double)row[j] - mean);
    }
    return (float)mean;
}

static void place_sample(float *row, struct pick pick, struct vqs_dataset *data) {
    const size_t place = pick.place;
    struct vqs_samples *part = place < data->train.n ? &data->train : &data->eval;
    const size_t at = place < data->train.n ? place : place - data->train.n, D = (size_t)data->D;
    if (data->n_classes) {
        const size_t n_classes = (size_t)data->n_classes;
        take_classes(row, D, n_classes, part->classes + at * (D / n_classes));
    }
    part->number[at] = pick.sample;
    if (part->patch_mean) {
        part->patch_mean[at] = remove_mean(row, D);
    }
    for (size_t j = 0; j < D; j++) {
        part->x[at * data->ld + j] = (vqs_real)(data->scale * (double)row[j]);
    }
}

/* Reads the picks, which ascend, neighbours together. */
static enum vqs_status read_picks(const struct vqs_settings *s, struct vqs_source *source, const struct pick *picks,
                                  size_t wanted, struct vqs_dataset *data, struct vqs_error *err) {
    enum { MOST = 64 };
    const size_t D = (size_t)source->D;
    enum vqs_status status = VQS_OK;
    float *rows = malloc(MOST * D * sizeof *rows);
    if (!rows) {
        return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory to read %d samples", s->path, MOST);
    }
    for (size_t i = 0, n; i < wanted && !status; i += n) {
        for (n = 1; n < MOST && i + n < wanted && picks[i + n].sample == picks[i].sample + n;) {
            n++;
        }
        status = vqs_source_read(source, picks[i].sample, n, rows, err);
        for (size_t l = 0; l < n && !status; l++) {
            place_sample(rows + l * D, picks[i + l], data);
        }
    }
    free(rows);
    return status;
}

/* The mean of the training samples is subtracted from all. */
static void subtract_mean(struct vqs_dataset *data) {
    for (int j = 0; j < data->D; j++) {
        double sum = 0;
        for (size_t i = 0; i < data->train.n; i++) {
            sum += (double)data->train.x[i * data->ld + (size_t)j];
        }
        const vqs_real mean = data->mean[j] = (vqs_real)(sum / (double)data->train.n);
        for (size_t i = 0; i < data->train.n; i++) {
            data->train.x[i * data->ld + (size_t)j] -= mean;
        }
        for (size_t i = 0; i < data->eval.n; i++) {
            data->eval.x[i * data->ld + (size_t)j] -= mean;
        }
    }
}

enum vqs_status vqs_data_draw(const struct vqs_settings *s, const struct vqs_source_reader *hdf5,
                              struct vqs_dataset *data, struct vqs_error *err) {
    const struct vqs_stream shuffle = {vqs_kernels_get(), s->seed, VQS_RNG_DATA, STREAM_SHUFFLE};
    const size_t wanted = data->train.n + data->eval.n;
    struct vqs_source source;
    enum vqs_status status = vqs_source_open(s, hdf5, &source, err);
    struct pick *picks = status ? NULL : malloc(wanted * sizeof *picks);
    if (!status && !picks) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory to draw %zu samples", s->path, wanted);
    }
    if (!status && !(status = vqs_source_check(&source, s, err))) {
        status = pick_parts(s, &shuffle, &source, picks, err);
    }
    for (size_t i = 0; i < data->eval.n && !status; i++) {
        data->places[i] = vqs_source_locate(&source, picks[data->train.n + i].sample);
    }
    if (!status) {
        data->rate = source.rate;
        qsort(picks, wanted, sizeof *picks, by_sample);
        data->n_classes = source.n_classes;
        memcpy(data->symbols, source.symbols, sizeof data->symbols);
        status = read_picks(s, &source, picks, wanted, data, err);
    }
    free(picks);
    vqs_source_close(&source);
    if (!status && s->center) {
        subtract_mean(data);
    }
    return !status && s->whiten != VQS_WHITEN_NONE ? vqs_data_whiten(s, data, err) : status;
}
