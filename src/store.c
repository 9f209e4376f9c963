/* store.c - writes a result file: built beside its place, row block by row block, then put there whole. */
#include "vqsweep/store.h"

#include "fileio.h"
#include "store_arrays.h"
#include "store_codebooks.h"
#include "store_common.h"
#include "store_hdf5.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = VQS_HDF5_BLOCK, CURVE_CHUNK = 1 << 18 /* bytes, about */ };

struct writer {
    const struct vqs_store_content *content;
    struct vqs_hdf5 *out;
    struct vqs_codebooks books;
    struct vqs_arrays arrays;
    hid_t trial_scale, epoch_scale;
    size_t n_trials;
    int max_epochs;
    struct vqs_column column[VQS_N_COLUMNS];
    hid_t type[VQS_N_COLUMNS], set[VQS_N_COLUMNS];
    unsigned char *cells[VQS_N_COLUMNS]; /* [BLOCK][width] */
    unsigned char *first[VQS_FIRST_RUN]; /* [width] of a setting: the cell of the first row */
    bool varies[VQS_FIRST_RUN];          /* some row so far has another */
    hid_t curve_set[VQS_N_CURVES];
    double *curves[VQS_N_CURVES]; /* [curve_rows][max_epochs] */
    size_t curve_rows;            /* in a block and a chunk */
    bool any_curve;               /* in the block */
    struct vqs_arena memory;
};

/* ---- what stands in the file once ------------------------------------------------------------------------------ */

static const char how_to_read[] =
    "A row per trial: settings, where it ran and metrics are 1-D along 'trial', curve_* are (trial, epoch); NaN or an "
    "empty text means none.\n"
    "Codebooks of K codes of d components are in codebooks/K<K>_d<d>, arrays of other dimensions in "
    "arrays/<name>_<sizes>, studies/<name> lists the trials of a study, "
    "job/text is the job. Python: xarray.open_dataset(FILE, engine='h5netcdf'), with group='codebooks/K16_d2' for a "
    "group.";

static enum vqs_status write_root(struct writer *w) {
    const struct vqs_store_content *c = w->content;
    const int64_t schema = VQS_SCHEMA_VERSION;
    const char *title = vqs_plan_title(c->plan);
    char created[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    TRY(vqs_hdf5_put_attribute(w->out, w->out->file, VQS_SCHEMA_ATTRIBUTE, H5T_NATIVE_INT64, &schema));
    TRY(vqs_hdf5_put_text(w->out, w->out->file, "title", title[0] ? title : vqs_plan_name(c->plan)));
    TRY(vqs_hdf5_put_text(w->out, w->out->file, "source", c->source));
    TRY(vqs_hdf5_put_text(w->out, w->out->file, "created", created));
    return vqs_hdf5_put_text(w->out, w->out->file, "how_to_read", how_to_read);
}

static enum vqs_status write_job(struct writer *w) {
    const struct vqs_store_content *c = w->content;
    hid_t group, set, space = H5Screate(H5S_SCALAR), type = vqs_text_type();
    char *text = strndup(c->job_text, c->job_size);
    enum vqs_status status =
        text ? vqs_hdf5_make_group(w->out, "job", &group)
             : vqs_fail(w->out->err, VQS_ERR_MEMORY, "cannot allocate a job of %zu bytes", c->job_size);
    if (!status) {
        set = H5Dcreate2(group, "text", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        status = vqs_hdf5_check(w->out, set < 0 ? -1 : H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &text),
                                "job/text");
        status = status ? status : vqs_hdf5_put_text(w->out, set, "long_name", "the job as it was given, YAML");
        status = status ? status : vqs_hdf5_put_text(w->out, group, "name", vqs_plan_name(c->plan));
        status = status ? status : vqs_hdf5_put_hex(w->out, group, "plan_key", vqs_plan_key(c->plan));
    }
    free(text);
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

static enum vqs_status write_provenance(struct writer *w) {
    hid_t group;
    TRY(vqs_hdf5_make_group(w->out, "provenance", &group));
    for (size_t i = 0; i < w->content->n_provenance; i++) {
        TRY(vqs_hdf5_put_text(w->out, group, w->content->provenance[i].name, w->content->provenance[i].value));
    }
    return VQS_OK;
}

/* Each study is the list of its trials, and its own dimension. */
static enum vqs_status write_study(struct writer *w, hid_t group, int study) {
    const struct vqs_plan *plan = w->content->plan;
    const size_t n = vqs_plan_study_size(plan, study);
    const int64_t merged = (int64_t)vqs_plan_study_merged(plan, study);
    int64_t *trials = calloc(n ? n : 1, sizeof *trials);
    if (!trials) {
        return vqs_fail(w->out->err, VQS_ERR_MEMORY, "cannot allocate a list of %zu trials", n);
    }
    size_t found = 0;
    for (size_t trial = 0; trial < w->n_trials && found < n; trial++) {
        if (vqs_plan_in_study(plan, trial, study)) {
            trials[found++] = (int64_t)trial;
        }
    }
    const struct vqs_hdf5_spec spec = {.parent = group,
                                       .name = vqs_plan_study_name(plan, study),
                                       .long_name = "trials of the study",
                                       .type = H5T_STD_I64LE,
                                       .size = {n},
                                       .chunk = {n ? n < BLOCK ? n : BLOCK : 1},
                                       .compress = true};
    hid_t set;
    enum vqs_status status = vqs_hdf5_make_dataset(w->out, &spec, &set);
    status = status || !n ? status : vqs_hdf5_write_rows(w->out, set, H5T_NATIVE_INT64, 0, n, trials, spec.name);
    status = status ? status : vqs_hdf5_put_attribute(w->out, set, "merged_points", H5T_NATIVE_INT64, &merged);
    free(trials);
    const char *axis;
    for (int i = 0; !status && (axis = vqs_plan_study_axis(plan, study, i)); i++) {
        char name[24];
        snprintf(name, sizeof name, "axis_%d", i + 1);
        status = vqs_hdf5_put_text(w->out, set, name, axis);
    }
    return status;
}

static enum vqs_status write_studies(struct writer *w) {
    hid_t group;
    TRY(vqs_hdf5_make_group(w->out, "studies", &group));
    for (int study = 0; study < vqs_plan_n_studies(w->content->plan); study++) {
        TRY(write_study(w, group, study));
    }
    return VQS_OK;
}

/* ---- columns --------------------------------------------------------------------------------------------------- */

static enum vqs_status make_columns(struct writer *w) {
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        const struct vqs_column *c = &w->column[i];
        const struct vqs_hdf5_spec spec = {.parent = w->out->file,
                                           .name = c->name,
                                           .unit = c->unit,
                                           .long_name = c->long_name,
                                           .formula = c->formula,
                                           .type = w->type[i],
                                           .size = {w->n_trials},
                                           .chunk = {w->n_trials < BLOCK ? w->n_trials : BLOCK},
                                           .compress = i < VQS_FIRST_METRIC,
                                           .scale = {w->trial_scale}};
        TRY(vqs_hdf5_make_dataset(w->out, &spec, &w->set[i]));
    }
    return VQS_OK;
}

static enum vqs_status make_curves(struct writer *w) {
    const double nan_fill = NAN;
    for (int i = 0; i < VQS_N_CURVES; i++) {
        char name[64];
        snprintf(name, sizeof name, "curve_%s", vqs_curve_table[i].name);
        const struct vqs_hdf5_spec spec = {.parent = w->out->file,
                                           .name = name,
                                           .unit = vqs_curve_table[i].unit,
                                           .long_name = vqs_curve_table[i].long_name,
                                           .formula = vqs_curve_table[i].formula,
                                           .type = H5T_IEEE_F64LE,
                                           .size = {w->n_trials, (hsize_t)w->max_epochs},
                                           .chunk = {w->curve_rows, (hsize_t)w->max_epochs},
                                           .fill = &nan_fill,
                                           .scale = {w->trial_scale, w->epoch_scale}};
        TRY(vqs_hdf5_make_dataset(w->out, &spec, &w->curve_set[i]));
    }
    return VQS_OK;
}

static void fill_setting(const struct vqs_column *column, enum vqs_setting_id id, const struct vqs_settings *settings,
                         void *cell) {
    const struct vqs_setting *setting = &vqs_setting_table[id];
    const char *field = (const char *)settings + setting->offset;
    const bool used = vqs_setting_used(id, settings);
    char text[VQS_PATH_MAX];
    int32_t small;
    int64_t integer;
    double real;
    switch (column->cell) {
    case VQS_CELL_INT:
        memcpy(&small, field, sizeof small);
        integer = small;
        memcpy(cell, &integer, sizeof integer);
        break;
    case VQS_CELL_UINT:
        memcpy(cell, field, sizeof(uint64_t));
        break;
    case VQS_CELL_REAL:
        memcpy(&small, field, sizeof small);
        real = small;
        if (setting->kind == VQS_KIND_REAL) {
            memcpy(&real, field, sizeof real);
        }
        real = used ? real : NAN;
        memcpy(cell, &real, sizeof real);
        break;
    case VQS_CELL_TEXT:
        text[0] = '\0';
        if (used) {
            vqs_setting_print(id, settings, text, sizeof text);
        }
        memcpy(cell, text, strnlen(text, column->width - 1));
        break;
    }
}

/* One row's cells, in the block's row `at`. */
static void fill_row(struct writer *w, size_t at, const struct vqs_settings *settings, const struct vqs_row *row) {
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        const struct vqs_column *column = &w->column[i];
        unsigned char *cell = w->cells[i] + at * column->width;
        memset(cell, 0, column->width);
        if (i < VQS_FIRST_RUN) {
            fill_setting(column, (enum vqs_setting_id)i, settings, cell);
        } else if (i < VQS_FIRST_METRIC) {
            vqs_run_store(i - VQS_FIRST_RUN, row, cell);
        } else {
            memcpy(cell, &row->record.metric[i - VQS_FIRST_METRIC], sizeof(double));
        }
        if (column->cell == VQS_CELL_TEXT) {
            vqs_mend_utf8((char *)cell);
        }
    }
}

static void fill_curves(struct writer *w, size_t at, const struct vqs_record *record) {
    for (int c = 0; c < VQS_N_CURVES; c++) {
        double *to = w->curves[c] + at * (size_t)w->max_epochs;
        for (int e = 0; e < w->max_epochs; e++) {
            to[e] = e < record->n_epochs ? record->curves[(size_t)c * (size_t)record->n_epochs + (size_t)e] : NAN;
        }
    }
    w->any_curve = w->any_curve || record->n_epochs > 0;
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* A record must be of this trial: of its key, its epochs, its codebook's shape. */
static enum vqs_status check_record(struct writer *w, size_t trial, const struct vqs_settings *settings,
                                    const struct vqs_record *record) {
    if (record->key != vqs_plan_trial_key(w->content->plan, trial)) {
        return vqs_fail(w->out->err, VQS_ERR_INTERNAL, "trial %zu was given the record of another trial", trial);
    }
    bool good = record->n_epochs <= w->max_epochs;
    for (int i = 0; i < record->n_snapshots; i++) {
        good = good && record->snapshots[i].K == settings->K && record->snapshots[i].d == vqs_code_width(settings);
    }
    return good ? VQS_OK
                : vqs_fail(w->out->err, VQS_ERR_INTERNAL, "the record of trial %zu does not fit the trial's settings",
                           trial);
}

static void clear_row(struct vqs_row *row, uint64_t key) {
    struct vqs_arena memory = row->record.memory;
    *row = (struct vqs_row){.codebook_row = -1, .record = {.memory = memory, .key = key, .rank = -1}};
    row->record.wall_seconds = row->record.finished_at = NAN;
    for (int i = 0; i < VQS_N_METRICS; i++) {
        row->record.metric[i] = NAN;
    }
}

/* Follows which settings have one and the same value in all rows: most of a sweep's do. */
static void compare_cells(struct writer *w, size_t start, size_t count) {
    for (int i = 0; i < VQS_FIRST_RUN; i++) {
        const size_t width = w->column[i].width;
        if (start == 0) {
            memcpy(w->first[i], w->cells[i], width);
        }
        for (size_t k = 0; k < count && !w->varies[i]; k++) {
            w->varies[i] = memcmp(w->first[i], w->cells[i] + k * width, width) != 0;
        }
    }
}

static enum vqs_status mark_constants(struct writer *w) {
    const int64_t yes = 1;
    for (int i = 0; i < VQS_FIRST_RUN && w->n_trials > 0; i++) {
        if (!w->varies[i]) {
            TRY(vqs_hdf5_put_attribute(w->out, w->set[i], "constant", H5T_NATIVE_INT64, &yes));
        }
    }
    return VQS_OK;
}

static enum vqs_status flush_columns(struct writer *w, size_t end) {
    const size_t count = (end - 1) % BLOCK + 1;
    compare_cells(w, end - count, count);
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        const struct vqs_column *column = &w->column[i];
        const unsigned char *text[BLOCK];
        for (size_t k = 0; column->cell == VQS_CELL_TEXT && k < count; k++) {
            text[k] = w->cells[i] + k * column->width;
        }
        const void *values = column->cell == VQS_CELL_TEXT ? (const void *)text : w->cells[i];
        TRY(vqs_hdf5_write_rows(w->out, w->set[i], w->type[i], end - count, count, values, column->name));
    }
    return VQS_OK;
}

static enum vqs_status flush_curves(struct writer *w, size_t end) {
    const size_t count = (end - 1) % w->curve_rows + 1;
    for (int i = 0; w->any_curve && i < VQS_N_CURVES; i++) {
        TRY(vqs_hdf5_write_rows(w->out, w->curve_set[i], H5T_NATIVE_DOUBLE, end - count, count, w->curves[i],
                                vqs_curve_table[i].name));
    }
    w->any_curve = false;
    return VQS_OK;
}

static enum vqs_status write_trials(struct writer *w) {
    const struct vqs_store_content *c = w->content;
    struct vqs_row row = {0};
    enum vqs_status status = VQS_OK;
    for (size_t trial = 0; !status && trial < w->n_trials; trial++) {
        struct vqs_settings settings;
        vqs_plan_trial_settings(c->plan, trial, &settings);
        clear_row(&row, vqs_plan_trial_key(c->plan, trial));
        if ((status = c->record(c->ctx, trial, &row.record, &row.done, w->out->err))) {
            break;
        }
        if (!row.done) {
            clear_row(&row, vqs_plan_trial_key(c->plan, trial));
        } else if ((status = check_record(w, trial, &settings, &row.record)) ||
                   (status = vqs_codebooks_add(&w->books, trial, &row.record, &row.codebook_row)) ||
                   (status = vqs_arrays_add(&w->arrays, trial, &row.record))) {
            break;
        }
        fill_row(w, trial % BLOCK, &settings, &row);
        fill_curves(w, trial % w->curve_rows, &row.record);
        const bool last = trial + 1 == w->n_trials;
        if ((trial + 1) % BLOCK == 0 || last) {
            status = flush_columns(w, trial + 1);
        }
        if (!status && ((trial + 1) % w->curve_rows == 0 || last)) {
            status = flush_curves(w, trial + 1);
        }
    }
    vqs_record_destroy(&row.record);
    status = status ? status : vqs_codebooks_flush(&w->books);
    return status ? status : vqs_arrays_flush(&w->arrays);
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

/* The most epochs a trial of the plan has; at least 1, for netCDF has no empty dimension. */
static int most_epochs(const struct vqs_plan *plan) {
    int most = 1;
    for (size_t trial = 0; trial < vqs_plan_n_trials(plan); trial++) {
        struct vqs_settings settings;
        vqs_plan_trial_settings(plan, trial, &settings);
        if (vqs_setting_used(VQS_SETTING_epochs, &settings) && settings.epochs > most) {
            most = settings.epochs;
        }
    }
    return most;
}

static void carve(struct writer *w) {
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        w->cells[i] = vqs_arena_take(&w->memory, BLOCK, w->column[i].width);
    }
    for (int i = 0; i < VQS_FIRST_RUN; i++) {
        w->first[i] = vqs_arena_take(&w->memory, 1, w->column[i].width);
    }
    for (int i = 0; i < VQS_N_CURVES; i++) {
        w->curves[i] = vqs_arena_take(&w->memory, w->curve_rows * (size_t)w->max_epochs, sizeof(double));
    }
}

static enum vqs_status prepare(struct writer *w) {
    w->n_trials = vqs_plan_n_trials(w->content->plan);
    w->max_epochs = most_epochs(w->content->plan);
    size_t rows = CURVE_CHUNK / ((size_t)w->max_epochs * sizeof(double));
    rows = rows < w->n_trials ? rows : w->n_trials;
    w->curve_rows = rows ? rows : 1;
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        w->column[i] = vqs_column_get(i);
        w->type[i] = vqs_column_type(&w->column[i]);
    }
    carve(w);
    TRY(vqs_arena_create(&w->memory, w->memory.used, w->out->err));
    carve(w);
    return VQS_OK;
}

static enum vqs_status write_all(struct writer *w) {
    TRY(write_root(w));
    TRY(vqs_hdf5_make_scale(w->out, w->out->file, "trial", "number of the trial in the plan", 0, w->n_trials,
                            &w->trial_scale));
    TRY(vqs_hdf5_make_scale(w->out, w->out->file, "epoch", "epoch", 1, (size_t)w->max_epochs, &w->epoch_scale));
    TRY(make_columns(w));
    TRY(make_curves(w));
    TRY(write_studies(w));
    TRY(vqs_codebooks_begin(&w->books));
    TRY(vqs_arrays_begin(&w->arrays));
    TRY(write_trials(w));
    TRY(mark_constants(w));
    TRY(write_job(w));
    return write_provenance(w);
}

enum vqs_status vqs_store_write(const char *path, const struct vqs_store_content *content, struct vqs_error *err) {
    struct vqs_hdf5 out;
    struct writer w = {.content = content, .out = &out, .books = {.out = &out}, .arrays = {.out = &out}};
    char *temporary = vqs_file_temporary(path);
    if (!temporary) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a file name");
    }
    enum vqs_status status = vqs_hdf5_create(&out, temporary, path, err);
    status = status ? status : prepare(&w);
    status = status ? status : write_all(&w);
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        H5Tclose(w.type[i]);
    }
    status = vqs_hdf5_close(&out, status);
    status = status ? status : vqs_file_publish(temporary, path, err);
    if (status) {
        unlink(temporary);
    }
    vqs_codebooks_destroy(&w.books);
    vqs_arrays_destroy(&w.arrays);
    vqs_arena_destroy(&w.memory);
    free(temporary);
    return status;
}
