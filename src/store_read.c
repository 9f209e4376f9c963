/* store_read.c - reads a result file, trusting nothing in it. */
#include "store_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1024 }; /* rows read at a time */

/* ---- checks ---------------------------------------------------------------------------------------------------- */

enum vqs_status vqs_store_damaged(const struct vqs_store *store, const char *what, struct vqs_error *err) {
    return vqs_fail(err, VQS_ERR_STORE, "%s: damaged result file: cannot read '%s': %s", store->path, what,
                    store->quiet.reason[0] ? store->quiet.reason : "wrong type or shape");
}

enum vqs_status vqs_store_open_set(const struct vqs_store *store, const char *name, int rank, H5T_class_t class,
                                   size_t width, hsize_t *size, hid_t *set, struct vqs_error *err) {
    if (H5Lexists(store->file, name, H5P_DEFAULT) <= 0) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: not a complete result file: the dataset '%s' is missing", store->path,
                        name);
    }
    *set = H5Dopen2(store->file, name, H5P_DEFAULT);
    if (*set < 0) {
        return vqs_store_damaged(store, name, err);
    }
    hid_t space = H5Dget_space(*set), type = H5Dget_type(*set);
    hsize_t found[H5S_MAX_RANK];
    bool good = H5Sget_simple_extent_ndims(space) == rank && H5Sget_simple_extent_dims(space, found, NULL) == rank &&
                H5Tget_class(type) == class && (!width || H5Tget_size(type) == width) &&
                (class != H5T_STRING || H5Tis_variable_str(type) > 0);
    H5Tclose(type);
    H5Sclose(space);
    if (!good) {
        H5Dclose(*set);
        *set = 0;
        return vqs_fail(err, VQS_ERR_STORE, "%s: damaged result file: '%s' has the wrong type or shape", store->path,
                        name);
    }
    memcpy(size, found, (size_t)rank * sizeof *size);
    return VQS_OK;
}

bool vqs_store_read_block(hid_t set, hid_t type, int rank, const hsize_t *from, const hsize_t *size, void *data) {
    hid_t space = H5Dget_space(set), memory = H5Screate_simple(rank, size, NULL);
    bool good = space >= 0 && memory >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, size, NULL) >= 0 &&
                H5Sselect_valid(space) > 0 && H5Dread(set, type, memory, space, H5P_DEFAULT, data) >= 0;
    H5Sclose(memory);
    H5Sclose(space);
    return good;
}

bool vqs_store_read_number(hid_t at, const char *name, int64_t *value) {
    hid_t attribute = H5Aopen(at, name, H5P_DEFAULT), space = H5Aget_space(attribute);
    bool good = H5Sget_simple_extent_npoints(space) == 1 && H5Aread(attribute, H5T_NATIVE_INT64, value) >= 0;
    H5Sclose(space);
    H5Aclose(attribute);
    return good;
}

static H5T_class_t class_of(const struct vqs_column *column) {
    return column->cell == VQS_CELL_TEXT ? H5T_STRING : column->cell == VQS_CELL_REAL ? H5T_FLOAT : H5T_INTEGER;
}

/* Column i, a value for each trial. */
static enum vqs_status open_column(struct vqs_store *store, int i, struct vqs_error *err) {
    const struct vqs_column *column = &store->column[i];
    hsize_t n;
    TRY(vqs_store_open_set(store, column->name, 1, class_of(column), column->cell == VQS_CELL_TEXT ? 0 : 8, &n,
                           &store->set[i], err));
    if (n != store->n_trials) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: damaged result file: '%s' has %llu rows, there are %zu trials",
                        store->path, column->name, (unsigned long long)n, store->n_trials);
    }
    return VQS_OK;
}

/* The columns a record is read from: all but the settings, and of those the codebook's shape. */
static bool is_read(int i) {
    return i >= VQS_FIRST_RUN || i == VQS_SETTING_K || i == VQS_SETTING_d || i == VQS_SETTING_groups;
}

static enum vqs_status open_columns(struct vqs_store *store, struct vqs_error *err) {
    hsize_t n;
    hid_t set;
    TRY(vqs_store_open_set(store, "trial", 1, H5T_INTEGER, 8, &n, &set, err));
    H5Dclose(set);
    if (n < 1 || n > VQS_PLAN_MAX_TRIALS) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: damaged result file: it claims %llu trials", store->path,
                        (unsigned long long)n);
    }
    store->n_trials = (size_t)n;
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        store->column[i] = vqs_column_get(i);
        store->type[i] = vqs_column_type(&store->column[i]);
        if (is_read(i)) {
            TRY(open_column(store, i, err));
        }
    }
    return VQS_OK;
}

static enum vqs_status open_curves(struct vqs_store *store, struct vqs_error *err) {
    for (int i = 0; i < VQS_N_CURVES; i++) {
        char name[64];
        hsize_t size[2];
        snprintf(name, sizeof name, "curve_%s", vqs_curve_table[i].name);
        TRY(vqs_store_open_set(store, name, 2, H5T_FLOAT, 8, size, &store->curve_set[i], err));
        if (size[0] != store->n_trials || size[1] > vqs_setting_table[VQS_SETTING_epochs].high ||
            (i > 0 && (int)size[1] != store->max_epochs)) {
            return vqs_fail(err, VQS_ERR_STORE, "%s: damaged result file: '%s' has the wrong shape", store->path, name);
        }
        store->max_epochs = (int)size[1];
    }
    return VQS_OK;
}

/* ---- job and provenance ---------------------------------------------------------------------------------------- */

static enum vqs_status load_job(struct vqs_store *store, struct vqs_error *err) {
    hsize_t none;
    hid_t set = 0, type = vqs_text_type();
    char *text = NULL;
    enum vqs_status status = vqs_store_open_set(store, "job/text", 0, H5T_STRING, 0, &none, &set, err);
    if (!status && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &text) < 0) {
        status = vqs_store_damaged(store, "job/text", err);
    } else if (!status && !(store->job = strdup(text ? text : ""))) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a job's text");
    }
    H5free_memory(text);
    H5Tclose(type);
    return status;
}

/* Adds one attribute of /provenance; those that are no text are passed over. */
static herr_t load_item(hid_t group, const char *name, const H5A_info_t *info, void *ctx) {
    (void)info;
    struct vqs_store *store = ctx;
    hid_t attribute = H5Aopen(group, name, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute), memory = vqs_text_type();
    char *value = NULL;
    herr_t result = 0;
    if (H5Tis_variable_str(type) > 0 && H5Sget_simple_extent_type(space) == H5S_SCALAR &&
        H5Aread(attribute, memory, &value) >= 0) {
        struct vqs_provenance_item *grown =
            realloc(store->provenance, (store->n_provenance + 1) * sizeof *store->provenance);
        store->provenance = grown ? grown : store->provenance;
        char *own_name = strdup(name), *own_value = strdup(value ? value : "");
        if (grown && own_name && own_value) {
            grown[store->n_provenance++] = (struct vqs_provenance_item){own_name, own_value};
        } else {
            free(own_name);
            free(own_value);
            result = -1;
        }
        H5free_memory(value);
    }
    H5Tclose(memory);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return result;
}

static enum vqs_status load_provenance(struct vqs_store *store, struct vqs_error *err) {
    hid_t group = H5Gopen2(store->file, "provenance", H5P_DEFAULT);
    hsize_t start = 0;
    enum vqs_status status = VQS_OK;
    if (group < 0 || H5Aiterate2(group, H5_INDEX_CRT_ORDER, H5_ITER_INC, &start, load_item, store) < 0) {
        status = vqs_store_damaged(store, "provenance", err);
    }
    H5Gclose(group);
    return status;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

/* What kind of file it is, before anything in it is looked at. */
static enum vqs_status open_file(struct vqs_store *store, struct vqs_error *err) {
    struct stat stat;
    int fd = open(store->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat)) {
        enum vqs_status status = vqs_fail(err, VQS_ERR_IO, "%s: cannot open: %s", store->path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    close(fd);
    store->file_size = (uint64_t)stat.st_size;
    if (!S_ISREG(stat.st_mode) || H5Fis_hdf5(store->path) <= 0) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: not an HDF5 file", store->path);
    }
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_file_locking(access, false, true); /* a file in place is never written to */
    store->file = H5Fopen(store->path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (store->file < 0) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: damaged or truncated HDF5 file: %s", store->path, store->quiet.reason);
    }
    return VQS_OK;
}

static enum vqs_status check_schema(struct vqs_store *store, struct vqs_error *err) {
    if (H5Aexists(store->file, VQS_SCHEMA_ATTRIBUTE) <= 0) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: an HDF5 file, but none that vqsweep wrote", store->path);
    }
    int64_t schema = 0;
    if (!vqs_store_read_number(store->file, VQS_SCHEMA_ATTRIBUTE, &schema)) {
        return vqs_store_damaged(store, VQS_SCHEMA_ATTRIBUTE, err);
    }
    if (schema != VQS_SCHEMA_VERSION) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: a result file of schema version %lld; this program reads version %d",
                        store->path, (long long)schema, VQS_SCHEMA_VERSION);
    }
    return VQS_OK;
}

static enum vqs_status load_all(struct vqs_store *store, struct vqs_error *err) {
    TRY(open_file(store, err));
    TRY(check_schema(store, err));
    TRY(open_columns(store, err));
    TRY(open_curves(store, err));
    TRY(vqs_arrays_open(store, err));
    TRY(load_job(store, err));
    return load_provenance(store, err);
}

enum vqs_status vqs_store_open(const char *path, struct vqs_store **out, struct vqs_error *err) {
    *out = NULL;
    struct vqs_store *store = calloc(1, sizeof *store);
    if (!store || !(store->path = strdup(path))) {
        free(store);
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a reader");
    }
    vqs_quiet_begin(&store->quiet);
    store->file = H5I_INVALID_HID;
    enum vqs_status status = load_all(store, err);
    vqs_quiet_end(&store->quiet);
    if (status) {
        vqs_store_close(store);
        return status;
    }
    *out = store;
    return VQS_OK;
}

void vqs_store_close(struct vqs_store *store) {
    if (!store) {
        return;
    }
    vqs_quiet_begin(&store->quiet);
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        if (store->type[i] > 0) {
            H5Tclose(store->type[i]);
        }
    }
    if (store->file >= 0) {
        H5Fclose(store->file); /* and every dataset open in it */
    }
    vqs_quiet_end(&store->quiet);
    for (size_t i = 0; i < store->n_provenance; i++) {
        free((char *)store->provenance[i].name);
        free((char *)store->provenance[i].value);
    }
    free(store->provenance);
    vqs_arrays_close(&store->arrays);
    free(store->job);
    free(store->path);
    free(store);
}

/* ---- what was loaded on opening -------------------------------------------------------------------------------- */

size_t vqs_store_n_trials(const struct vqs_store *store) {
    return store->n_trials;
}

const char *vqs_store_job_text(const struct vqs_store *store, size_t *size) {
    *size = strlen(store->job);
    return store->job;
}

const char *vqs_store_provenance(const struct vqs_store *store, const char *name) {
    for (size_t i = 0; i < store->n_provenance; i++) {
        if (!strcmp(store->provenance[i].name, name)) {
            return store->provenance[i].value;
        }
    }
    return NULL;
}

size_t vqs_store_provenance_items(const struct vqs_store *store, const struct vqs_provenance_item **items) {
    *items = store->provenance;
    return store->n_provenance;
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* Texts that HDF5 allocated into cells of their own; false when one does not fit. */
static bool take_texts(char **texts, size_t n, size_t width, char *cells) {
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        const char *text = texts[i] ? texts[i] : "";
        const size_t length = strnlen(text, width);
        good = good && length < width;
        memset(cells + i * width, 0, width);
        memcpy(cells + i * width, text, good ? length : 0);
        H5free_memory(texts[i]);
    }
    return good;
}

/* Rows first .. first + n - 1 of column i, at most BLOCK. */
static enum vqs_status read_column(struct vqs_store *store, int i, size_t first, size_t n, void *cells,
                                   struct vqs_error *err) {
    const struct vqs_column *column = &store->column[i];
    const hsize_t from = first, size = n;
    char *texts[BLOCK] = {NULL};
    const bool is_text = column->cell == VQS_CELL_TEXT;
    bool good = vqs_store_read_block(store->set[i], store->type[i], 1, &from, &size, is_text ? (void *)texts : cells);
    if (is_text) {
        good = take_texts(texts, n, column->width, cells) && good;
    }
    return good ? VQS_OK : vqs_store_damaged(store, column->name, err);
}

/* Run columns `runs` of rows first .. first + n - 1, at most BLOCK, into `rows`. */
static enum vqs_status read_runs(struct vqs_store *store, const int *runs, int n_runs, size_t first, size_t n,
                                 struct vqs_row *rows, unsigned char *cells, struct vqs_error *err) {
    for (int r = 0; r < n_runs; r++) {
        const int i = VQS_FIRST_RUN + runs[r];
        TRY(read_column(store, i, first, n, cells, err));
        for (size_t k = 0; k < n; k++) {
            if (!vqs_run_load(runs[r], cells + k * store->column[i].width, &rows[k])) {
                return vqs_fail(err, VQS_ERR_STORE, "%s: damaged result file: '%s' of trial %zu has no valid value",
                                store->path, store->column[i].name, first + k);
            }
        }
    }
    return VQS_OK;
}

enum { MAX_WIDTH = 512 }; /* of any run column; checked by the build */
_Static_assert(sizeof((struct vqs_record *)0)->message < MAX_WIDTH, "a run column is wider than MAX_WIDTH");

/* Calls `use` for every row of the named run columns, block by block. */
static enum vqs_status walk_rows(struct vqs_store *store, const int *runs, int n_runs, size_t first, size_t n,
                                 void (*use)(const struct vqs_row *row, size_t i, void *ctx), void *ctx,
                                 struct vqs_error *err) {
    const size_t block = n < BLOCK ? n + !n : BLOCK;
    struct vqs_row *rows = calloc(block, sizeof *rows);
    unsigned char *cells = malloc(block * MAX_WIDTH);
    vqs_quiet_begin(&store->quiet);
    enum vqs_status status = rows && cells ? VQS_OK : vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a block of rows");
    for (size_t start = 0; !status && start < n; start += BLOCK) {
        const size_t count = n - start < BLOCK ? n - start : BLOCK;
        status = read_runs(store, runs, n_runs, first + start, count, rows, cells, err);
        for (size_t k = 0; !status && k < count; k++) {
            use(&rows[k], start + k, ctx);
        }
    }
    vqs_quiet_end(&store->quiet);
    free(cells);
    free(rows);
    return status;
}

static void count_row(const struct vqs_row *row, size_t i, void *ctx) {
    (void)i;
    struct vqs_store_counts *counts = ctx;
    counts->pending += !row->done;
    counts->failed += row->done && row->record.outcome == VQS_OUTCOME_FAILED;
    counts->completed += row->done && row->record.outcome == VQS_OUTCOME_COMPLETED;
    counts->diverged += row->done && row->record.outcome == VQS_OUTCOME_DIVERGED;
}

enum vqs_status vqs_store_count(struct vqs_store *store, struct vqs_store_counts *counts, struct vqs_error *err) {
    static const int runs[] = {VQS_RUN_status};
    memset(counts, 0, sizeof *counts);
    return walk_rows(store, runs, 1, 0, store->n_trials, count_row, counts, err);
}

static void summarise_row(const struct vqs_row *row, size_t i, void *ctx) {
    struct vqs_store_summary *out = ctx;
    out[i] = (struct vqs_store_summary){.key = row->record.key,
                                        .digest = row->record.digest,
                                        .done = row->done,
                                        .outcome = row->record.outcome,
                                        .attempt = row->record.attempt};
}

enum vqs_status vqs_store_summaries(struct vqs_store *store, size_t first, size_t n, struct vqs_store_summary *out,
                                    struct vqs_error *err) {
    static const int runs[] = {VQS_RUN_key, VQS_RUN_digest, VQS_RUN_status, VQS_RUN_attempt};
    if (first > store->n_trials || n > store->n_trials - first) {
        return vqs_fail(err, VQS_ERR_INTERNAL, "%s: there is no trial %zu", store->path, first + n - 1);
    }
    return walk_rows(store, runs, sizeof runs / sizeof runs[0], first, n, summarise_row, out, err);
}

/* ---- a whole record -------------------------------------------------------------------------------------------- */

static enum vqs_status read_curves(struct vqs_store *store, size_t trial, struct vqs_record *record,
                                   struct vqs_error *err) {
    const hsize_t from[2] = {trial, 0}, size[2] = {1, (hsize_t)record->n_epochs};
    for (int i = 0; record->n_epochs > 0 && i < VQS_N_CURVES; i++) {
        if (!vqs_store_read_block(store->curve_set[i], H5T_NATIVE_DOUBLE, 2, from, size,
                                  record->curves + (size_t)i * (size_t)record->n_epochs)) {
            return vqs_store_damaged(store, vqs_curve_table[i].name, err);
        }
    }
    return VQS_OK;
}

/* One number of a group of codebooks, for each of the record's snapshots. */
static enum vqs_status read_numbers(struct vqs_store *store, const char *group, const char *part, hsize_t from,
                                    hsize_t n, int64_t *out, struct vqs_error *err) {
    char name[VQS_GROUP_NAME + 16];
    hsize_t size = 0;
    hid_t set = 0;
    snprintf(name, sizeof name, "%s/%s", group, part);
    TRY(vqs_store_open_set(store, name, 1, H5T_INTEGER, 8, &size, &set, err));
    bool good = from <= size && n <= size - from && vqs_store_read_block(set, H5T_NATIVE_INT64, 1, &from, &n, out);
    enum vqs_status status = good ? VQS_OK : vqs_store_damaged(store, name, err);
    H5Dclose(set);
    return status;
}

/* Rows from[0] .. of "GROUP/PART", which must be K x d (or K) each. */
static enum vqs_status read_values(struct vqs_store *store, const char *group, const char *part, int rank,
                                   H5T_class_t class, const hsize_t *from, const hsize_t *size, hid_t type, void *out,
                                   struct vqs_error *err) {
    char name[VQS_GROUP_NAME + 16];
    hsize_t found[3] = {0};
    hid_t set = 0;
    snprintf(name, sizeof name, "%s/%s", group, part);
    TRY(vqs_store_open_set(store, name, rank, class, 4, found, &set, err));
    bool good = from[0] <= found[0] && size[0] <= found[0] - from[0];
    for (int i = 1; i < rank; i++) {
        good = good && found[i] == size[i];
    }
    good = good && vqs_store_read_block(set, type, rank, from, size, out);
    enum vqs_status status = good ? VQS_OK : vqs_store_damaged(store, name, err);
    H5Dclose(set);
    return status;
}

static enum vqs_status read_snapshots(struct vqs_store *store, size_t trial, int64_t row, struct vqs_record *record,
                                      struct vqs_error *err) {
    const int n = record->n_snapshots;
    if (n == 0) {
        return VQS_OK;
    }
    char group[VQS_GROUP_NAME];
    const struct vqs_snapshot *first = &record->snapshots[0];
    const hsize_t from[3] = {(hsize_t)row}, size[3] = {(hsize_t)n, (hsize_t)first->K, (hsize_t)first->d};
    int64_t *numbers = calloc(3 * (size_t)n, sizeof *numbers);
    if (!numbers) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate numbers of %d snapshots", n);
    }
    int64_t *epochs = numbers + n, *codebooks = epochs + n;
    vqs_codebook_group(first->K, first->d, group);
    enum vqs_status status;
    if ((status = read_numbers(store, group, "trial", from[0], size[0], numbers, err)) ||
        (status = read_numbers(store, group, "epoch", from[0], size[0], epochs, err)) ||
        (status = read_numbers(store, group, "codebook", from[0], size[0], codebooks, err)) ||
        /* the snapshots of a record are one block of memory */
        (status = read_values(store, group, "codes", 3, H5T_FLOAT, from, size, H5T_NATIVE_FLOAT, first->codes, err)) ||
        (status =
             read_values(store, group, "usage", 2, H5T_INTEGER, from, size, H5T_NATIVE_UINT32, first->usage, err))) {
        goto done;
    }
    for (int i = 0; i < n; i++) {
        if (numbers[i] != (int64_t)trial) {
            status = vqs_fail(err, VQS_ERR_STORE, "%s: damaged result file: row %lld of %s is not of trial %zu",
                              store->path, (long long)(row + i), group, trial);
            goto done;
        }
        record->snapshots[i].epoch = (int32_t)epochs[i];
        record->snapshots[i].codebook = (int32_t)codebooks[i];
    }
done:
    free(numbers);
    return status;
}

/* Whether a record may have so many codebooks: codes are not compressed, so the file must be as large. */
static bool codebooks_fit(const struct vqs_store *store, int n, int64_t K, int64_t d, int64_t row) {
    if (n <= 0) {
        return n == 0;
    }
    return row >= 0 && K >= 1 && K <= vqs_setting_table[VQS_SETTING_K].high && d >= 1 &&
           d <= vqs_setting_table[VQS_SETTING_d].high &&
           (uint64_t)n <= store->file_size / ((uint64_t)(K * d) * sizeof(float));
}

static enum vqs_status read_record(struct vqs_store *store, size_t trial, struct vqs_record *record,
                                   struct vqs_error *err) {
    unsigned char cell[MAX_WIDTH];
    struct vqs_row row = {0};
    int runs[VQS_N_RUN];
    int64_t K, d, groups;
    for (int i = 0; i < VQS_N_RUN; i++) {
        runs[i] = i;
    }
    TRY(read_runs(store, runs, VQS_N_RUN, trial, 1, &row, cell, err));
    TRY(read_column(store, VQS_SETTING_K, trial, 1, &K, err));
    TRY(read_column(store, VQS_SETTING_d, trial, 1, &d, err));
    TRY(read_column(store, VQS_SETTING_groups, trial, 1, &groups, err));
    d = groups > 0 ? d / groups : 0;
    if (!row.done) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: trial %zu is pending: it has no record yet", store->path, trial);
    }
    const int n_epochs = row.record.n_epochs, n_snapshots = row.record.n_snapshots;
    if (n_epochs < 0 || n_epochs > store->max_epochs || !codebooks_fit(store, n_snapshots, K, d, row.codebook_row)) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: damaged result file: trial %zu claims %d epochs and %d codebooks",
                        store->path, trial, n_epochs, n_snapshots);
    }
    struct vqs_array_places places;
    struct vqs_record_shape shape = {
        n_epochs, n_snapshots, n_snapshots ? (int32_t)K : 0, n_snapshots ? (int32_t)d : 0, {{0}}};
    TRY(vqs_arrays_find(store, trial, &places, &shape, err));
    TRY(vqs_record_reset(record, &shape, err));
    row.record.curves = record->curves;
    row.record.snapshots = record->snapshots;
    row.record.memory = record->memory;
    memcpy(row.record.arrays, record->arrays, sizeof record->arrays);
    *record = row.record;
    record->trial = (uint32_t)trial;
    for (int i = 0; i < VQS_N_METRICS; i++) {
        TRY(read_column(store, VQS_FIRST_METRIC + i, trial, 1, &record->metric[i], err));
    }
    TRY(read_curves(store, trial, record, err));
    TRY(vqs_arrays_read(store, &places, record, err));
    return read_snapshots(store, trial, row.codebook_row, record, err);
}

enum vqs_status vqs_store_read(struct vqs_store *store, size_t trial, struct vqs_record *record,
                               struct vqs_error *err) {
    if (trial >= store->n_trials) {
        return vqs_fail(err, VQS_ERR_USAGE, "%s: there is no trial %zu; the last is %zu", store->path, trial,
                        store->n_trials - 1);
    }
    vqs_quiet_begin(&store->quiet);
    enum vqs_status status = read_record(store, trial, record, err);
    vqs_quiet_end(&store->quiet);
    return status;
}
