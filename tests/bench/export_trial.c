/* export_trial.c - writes a trial as a peer needs it to train the same model: data, initial values, the order of the
 * samples in every epoch, and the loss curves and the last codebook that vqsweep gets; then, of an estimator that
 * chooses codes at random, the random words of each step, [tiles][K][32].
 *
 *   export_trial FILE [NAME=VALUE...]      settings over the defaults; a free decoder without bias */
#include "vqsweep/model.h"
#include "vqsweep/rng.h"
#include "vqsweep/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(enum vqs_status status, const struct vqs_error *err) {
    if (status) {
        fprintf(stderr, "export_trial: %s\n", err->text);
        exit(1);
    }
}

static void set(struct vqs_settings *s, char *word) {
    struct vqs_error err = {0};
    char *equals = strchr(word, '=');
    if (equals) {
        *equals = 0;
    }
    const int id = vqs_setting_find(word);
    if (!equals || id < 0) {
        fprintf(stderr, "export_trial: '%s' is not NAME=VALUE with the name of a setting\n", word);
        exit(2);
    }
    check(vqs_setting_parse((enum vqs_setting_id)id, equals + 1, s, &err), &err);
}

/* The first D of the ld values of each row. */
static void write_rows(FILE *file, const vqs_real *rows, size_t n, size_t D, size_t ld) {
    for (size_t i = 0; i < n; i++) {
        fwrite(rows + i * ld, sizeof *rows, D, file);
    }
}

static void write_start(FILE *file, const struct vqs_settings *s) {
    const struct vqs_kernels *kernels = vqs_kernels_get();
    struct vqs_error err = {0};
    struct vqs_dataset *data;
    struct vqs_model model = {0};
    struct vqs_model_scratch scratch;
    struct vqs_arena arena = {0};
    vqs_model_carve(s, kernels, &arena, &model, &scratch); /* measures */
    check(vqs_arena_create(&arena, arena.used, &err), &err);
    arena.used = 0;
    vqs_model_carve(s, kernels, &arena, &model, &scratch);
    check(vqs_dataset_create(s, NULL, &data, &err), &err);
    vqs_model_init(s, data, &model, &scratch);
    write_rows(file, data->train.x, data->train.n, (size_t)s->D, data->ld);
    write_rows(file, model.W, (size_t)s->d, (size_t)s->D, model.ld);
    write_rows(file, model.V, (size_t)s->d, (size_t)s->D, model.ld);
    write_rows(file, model.quantizer.codes, (size_t)s->K, (size_t)s->d, (size_t)s->d);
    for (int epoch = 0; epoch < s->epochs; epoch++) {
        const struct vqs_stream order = {kernels, s->seed, VQS_RNG_BATCHES, (uint32_t)epoch};
        vqs_rng_permutation(&order, (uint32_t)s->N, scratch.order);
        fwrite(scratch.order, sizeof *scratch.order, (size_t)s->N, file);
    }
    vqs_dataset_destroy(data);
    vqs_arena_destroy(&arena);
}

static void write_results(FILE *file, const struct vqs_settings *s) {
    struct vqs_error err = {0};
    struct vqs_trainer *trainer;
    struct vqs_record record = {0};
    check(vqs_trainer_create(1, NULL, &trainer, &err), &err);
    check(vqs_trainer_run(trainer, s, &record, &err), &err);
    const size_t n = (size_t)s->epochs;
    fwrite(record.curves + VQS_CURVE_loss_rec * n, sizeof(double), n, file);
    fwrite(record.curves + VQS_CURVE_loss_vq * n, sizeof(double), n, file);
    fwrite(record.snapshots[record.n_snapshots - 1].codes, sizeof(float), (size_t)(s->K * s->d), file);
    vqs_record_destroy(&record);
    vqs_trainer_destroy(trainer);
}

static void write_words(FILE *file, const struct vqs_settings *s) {
    const int steps = (s->N + s->batch - 1) / s->batch, choices = s->K * VQS_TILE;
    const int room = (choices + VQS_RNG_GROUP - 1) / VQS_RNG_GROUP * VQS_RNG_GROUP; /* tiles begin with whole groups */
    for (int step = 0; step < s->epochs * steps; step++) {
        const struct vqs_stream stream = {vqs_kernels_get(), s->seed, VQS_RNG_ESTIMATOR, (uint32_t)step + 1};
        const int start = step % steps * s->batch, n = s->N - start < s->batch ? s->N - start : s->batch;
        for (int i = 0; i < n; i += VQS_TILE) {
            for (int j = 0; j < s->K; j++) {
                uint32_t words[VQS_TILE];
                vqs_rng_words(&stream, (uint64_t)(i / VQS_TILE * room + j * VQS_TILE), VQS_TILE, words);
                fwrite(words, sizeof *words, VQS_TILE, file);
            }
        }
    }
}

int main(int argc, char **argv) {
    struct vqs_settings settings;
    vqs_settings_default(&settings);
    for (int i = 2; i < argc; i++) {
        set(&settings, argv[i]);
    }
    FILE *file = argc > 1 ? fopen(argv[1], "wb") : NULL;
    if (!file) {
        fprintf(stderr, "usage: export_trial FILE [NAME=VALUE...]\n");
        return 2;
    }
    const struct vqs_settings *s = &settings;
    fprintf(file, "%d %d %d %d %d %d\n", s->D, s->d, s->K, s->batch, s->N, s->epochs);
    write_start(file, s);
    write_results(file, s);
    if (vqs_estimator_get(s->estimator)->needs & VQS_NEEDS_CHOICES) {
        write_words(file, s);
    }
    if (fclose(file)) {
        fprintf(stderr, "export_trial: cannot write %s\n", argv[1]);
        return 1;
    }
    return 0;
}
