/* dump_data.c - what the readers of data give, for tests in Python.
 *
 *     dump_data source SETTING=VALUE...    all samples of the source, float32 [n][D]
 *     dump_data draw SETTING=VALUE...      of a data set: train and then eval, float32 [N + N_eval][D]; classes of text
 *                                          after that, [N + N_eval][text_window] bytes
 *     dump_data restore SETTING=VALUE...   the same rows, restored to the units of their file; after that which samples
 *                                          of the file they are, uint64 [N + N_eval]
 *     dump_data places SETTING=VALUE...    file, row and column of held-out samples, uint32 [N_eval][3]
 * on stdout; on stderr a line "n D what it is", or the error. Exit code as the program's. */
#include "vqsweep/data.h"
#include "vqsweep/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum vqs_status dump_source(const struct vqs_settings *s, struct vqs_error *err) {
    struct vqs_source source;
    enum vqs_status status = vqs_source_open(s, &vqs_source_hdf5, &source, err);
    if (status) {
        return status;
    }
    const size_t D = (size_t)source.D, most = 5;
    float *rows = malloc(most * D * sizeof *rows);
    for (uint64_t first = 0, n; first < source.n && !status; first += n) {
        n = source.n - first < most ? source.n - first : most;
        status = vqs_source_read(&source, first, n, rows, err);
        fwrite(rows, sizeof *rows, status ? 0 : n * D, stdout);
    }
    if (!status) {
        fprintf(stderr, "%" PRIu64 " %d %s\n", source.n, source.D, source.text);
    }
    free(rows);
    vqs_source_close(&source);
    return status;
}

static void dump_rows(const struct vqs_dataset *data, bool restore) {
    for (size_t i = 0; i < data->train.n + data->eval.n; i++) {
        const struct vqs_samples *part = i < data->train.n ? &data->train : &data->eval;
        const size_t at = i < data->train.n ? i : i - data->train.n;
        const vqs_real *row = part->x + at * data->ld;
        float restored[4096];
        vqs_dataset_restore(data, part, at, row, restored);
        fwrite(restore ? restored : row, sizeof *row, (size_t)data->D, stdout);
    }
    if (restore) {
        fwrite(data->train.number, sizeof *data->train.number, data->train.n, stdout);
        fwrite(data->eval.number, sizeof *data->eval.number, data->eval.n, stdout);
    } else if (data->n_classes) {
        const size_t window = (size_t)(data->D / data->n_classes);
        fwrite(data->train.classes, window, data->train.n, stdout);
        fwrite(data->eval.classes, window, data->eval.n, stdout);
    }
}

static enum vqs_status dump_dataset(const char *what, const struct vqs_settings *s, struct vqs_error *err) {
    struct vqs_dataset *data;
    enum vqs_status status = vqs_dataset_create(s, &vqs_source_hdf5, &data, err);
    if (status) {
        return status;
    }
    if (!strcmp(what, "places")) {
        fwrite(data->places, sizeof *data->places, data->eval.n, stdout);
    } else {
        dump_rows(data, !strcmp(what, "restore"));
    }
    vqs_dataset_destroy(data);
    return VQS_OK;
}

static enum vqs_status dump(int n, char **words, struct vqs_error *err) {
    struct vqs_settings s;
    enum vqs_setting_id culprit;
    vqs_settings_default(&s);
    s.d = s.K = s.N = s.N_eval = 1;
    for (int i = 2; i < n; i++) {
        char *value = strchr(words[i], '=');
        *value++ = 0;
        const int id = vqs_setting_find(words[i]);
        if (id < 0) {
            return vqs_fail(err, VQS_ERR_USAGE, "no setting %s", words[i]);
        }
        enum vqs_status status = vqs_setting_parse((enum vqs_setting_id)id, value, &s, err);
        if (status) {
            return status;
        }
    }
    const enum vqs_status status = vqs_settings_check(&s, &culprit, err);
    if (status) {
        return status;
    }
    return strcmp(words[1], "source") ? dump_dataset(words[1], &s, err) : dump_source(&s, err);
}

int main(int argc, char **argv) {
    struct vqs_error err = {0};
    const enum vqs_status status = dump(argc, argv, &err);
    if (status) {
        fprintf(stderr, "%s\n", err.text);
    }
    return vqs_status_exit_code(status);
}
