/* store.c - writes a result file: built beside its place, row block by row block, then put there whole. */
#include "vqsweep/store.h"

#include "fileio.h"
#include "store_common.h"
#include "store_file.h"

#include <hdf5_hl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK = 1024,             /* rows of a column written at a time, and in a chunk */
    CURVE_CHUNK = 1 << 18,    /* bytes, about */
    CODEBOOK_CHUNK = 1 << 15, /* bytes, about: a shape may have few snapshots, and a chunk is stored whole */
    DEFLATE_LEVEL = 1
};

/* The codebooks of one shape: a group, and the snapshots not yet written. */
enum { SNAPSHOT, CODES, USAGE, TRIAL, EPOCH, LEVEL, N_PARTS };
struct shape {
    int K, d;
    hid_t part[N_PARTS];
    size_t room, filled;      /* snapshots in the buffers */
    int64_t written;          /* snapshots in the file */
    float *codes;             /* [room][K][d] */
    uint32_t *usage;          /* [room][K] */
    int64_t *number[N_PARTS]; /* [room], of SNAPSHOT, TRIAL, EPOCH, LEVEL */
    struct vqs_arena memory;
};

struct writer {
    const struct vqs_store_content *content;
    const char *path; /* for messages */
    struct vqs_error *err;
    struct vqs_quiet quiet;
    hid_t driver, file, trial_scale, epoch_scale;
    int io_error; /* what the system said to the driver (store_file.h) */
    size_t n_trials;
    int max_epochs;
    struct vqs_column column[VQS_N_COLUMNS];
    hid_t type[VQS_N_COLUMNS], set[VQS_N_COLUMNS];
    unsigned char *cells[VQS_N_COLUMNS]; /* [BLOCK][width] */
    hid_t curve_set[VQS_N_CURVES];
    double *curves[VQS_N_CURVES]; /* [curve_rows][max_epochs] */
    size_t curve_rows;            /* in a block and a chunk */
    bool any_curve;               /* in the block */
    struct vqs_arena memory;
    struct shape *shapes;
    size_t n_shapes;
};

/* ---- HDF5 in small steps --------------------------------------------------------------------------------------- */

static enum vqs_status check(struct writer *w, int64_t result, const char *what) {
    if (result >= 0 && !w->io_error) {
        return VQS_OK;
    }
    return vqs_fail(w->err, VQS_ERR_IO, "%s: cannot write %s: %s", w->path, what,
                    w->io_error ? strerror(w->io_error) : w->quiet.reason);
}

/* A scalar attribute of `type`. */
static enum vqs_status put_attribute(struct writer *w, hid_t at, const char *name, hid_t type, const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    enum vqs_status status = check(w, attribute < 0 ? -1 : H5Awrite(attribute, type, value), name);
    H5Aclose(attribute);
    H5Sclose(space);
    return status;
}

static enum vqs_status put_text(struct writer *w, hid_t at, const char *name, const char *text) {
    hid_t type = vqs_text_type();
    enum vqs_status status = put_attribute(w, at, name, type, &text);
    H5Tclose(type);
    return status;
}

static enum vqs_status put_hex(struct writer *w, hid_t at, const char *name, uint64_t value) {
    char hex[17];
    snprintf(hex, sizeof hex, "%016" PRIx64, value);
    return put_text(w, at, name, hex);
}

/* Groups and datasets remember the order in which their members came: netCDF-4 lists them so. */
static enum vqs_status make_group(struct writer *w, const char *name, hid_t *group) {
    const unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    hid_t create = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_link_creation_order(create, order);
    H5Pset_attr_creation_order(create, order);
    *group = H5Gcreate2(w->file, name, H5P_DEFAULT, create, H5P_DEFAULT);
    H5Pclose(create);
    return check(w, *group, name);
}

/* A dataset to be made. Unused dimensions have size 0. */
enum { MAX_RANK = 3 };
struct spec {
    hid_t parent;
    const char *name, *unit, *long_name, *formula; /* unit and formula may be NULL */
    hid_t type;
    hsize_t size[MAX_RANK], chunk[MAX_RANK];
    bool grows;            /* along its first dimension */
    bool compress;         /* deflate pays for settings and counts; noise does not shrink */
    const double *fill;    /* what unwritten values read as, or NULL: 0 */
    hid_t scale[MAX_RANK]; /* of each dimension; 0 where the dataset is itself the scale */
};

static int rank_of(const struct spec *spec) {
    int rank = 0;
    while (rank < MAX_RANK && spec->chunk[rank]) {
        rank++;
    }
    return rank;
}

static hid_t creation_properties(const struct spec *spec) {
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(create, false);
    H5Pset_chunk(create, rank_of(spec), spec->chunk);
    if (spec->fill) {
        H5Pset_fill_value(create, H5T_NATIVE_DOUBLE, spec->fill);
    }
    if (spec->compress) {
        H5Pset_shuffle(create);
        H5Pset_deflate(create, DEFLATE_LEVEL);
    }
    return create;
}

static enum vqs_status make_dataset(struct writer *w, const struct spec *spec, hid_t *set) {
    const int rank = rank_of(spec);
    hsize_t most[MAX_RANK];
    memcpy(most, spec->size, sizeof most);
    most[0] = spec->grows ? H5S_UNLIMITED : most[0];
    hid_t space = H5Screate_simple(rank, spec->size, most);
    hid_t create = creation_properties(spec);
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, 1, 0, 1.0); /* we write whole chunks: nothing to keep */
    *set = H5Dcreate2(spec->parent, spec->name, spec->type, space, H5P_DEFAULT, create, access);
    H5Pclose(access);
    H5Pclose(create);
    H5Sclose(space);
    TRY(check(w, *set, spec->name));
    if (spec->unit) {
        TRY(put_text(w, *set, "units", spec->unit));
    }
    TRY(put_text(w, *set, "long_name", spec->long_name));
    if (spec->formula) {
        TRY(put_text(w, *set, "formula", spec->formula));
    }
    for (int i = 0; i < rank; i++) {
        herr_t ok =
            spec->scale[i] ? H5DSattach_scale(*set, spec->scale[i], (unsigned)i) : H5DSset_scale(*set, spec->name);
        TRY(check(w, ok, spec->name));
    }
    return VQS_OK;
}

/* Writes rows start .. start + count - 1, whole in the other dimensions, extending the dataset if it grows. */
static enum vqs_status write_rows(struct writer *w, hid_t set, hid_t type, size_t start, size_t count, const void *data,
                                  const char *what) {
    hid_t space = H5Dget_space(set), memory = H5I_INVALID_HID;
    hsize_t size[MAX_RANK] = {0}, most[MAX_RANK] = {0}, from[MAX_RANK] = {start};
    int rank = H5Sget_simple_extent_dims(space, size, most);
    herr_t ok = rank < 1 ? -1 : 0;
    if (ok >= 0 && most[0] == H5S_UNLIMITED) {
        size[0] = start + count;
        ok = H5Dset_extent(set, size);
        H5Sclose(space);
        space = H5Dget_space(set);
    }
    if (ok >= 0) {
        size[0] = count;
        memory = H5Screate_simple(rank, size, NULL);
        ok = H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, size, NULL);
    }
    if (ok >= 0) {
        ok = H5Dwrite(set, type, memory, space, H5P_DEFAULT, data);
    }
    enum vqs_status status = check(w, ok, what);
    H5Sclose(memory);
    H5Sclose(space);
    return status;
}

/* A dimension and its coordinate: int64 first, first + 1, ... */
static enum vqs_status make_scale(struct writer *w, hid_t parent, const char *name, const char *long_name,
                                  int64_t first, size_t n, hid_t *set) {
    const struct spec spec = {.parent = parent,
                              .name = name,
                              .long_name = long_name,
                              .type = H5T_STD_I64LE,
                              .size = {n},
                              .chunk = {n < BLOCK ? n : BLOCK},
                              .compress = true};
    TRY(make_dataset(w, &spec, set));
    int64_t block[BLOCK];
    for (size_t start = 0; start < n; start += BLOCK) {
        size_t count = n - start < BLOCK ? n - start : BLOCK;
        for (size_t i = 0; i < count; i++) {
            block[i] = first + (int64_t)(start + i);
        }
        TRY(write_rows(w, *set, H5T_NATIVE_INT64, start, count, block, name));
    }
    return VQS_OK;
}

/* ---- what stands in the file once ------------------------------------------------------------------------------ */

static const char how_to_read[] =
    "A row per trial: settings, where it ran and metrics are 1-D along 'trial', curve_* are (trial, epoch); NaN or an "
    "empty text means none.\n"
    "Codebooks of K codes of d components are in codebooks/K<K>_d<d>, studies/<name> lists the trials of a study, "
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
    TRY(put_attribute(w, w->file, VQS_SCHEMA_ATTRIBUTE, H5T_NATIVE_INT64, &schema));
    TRY(put_text(w, w->file, "title", title[0] ? title : vqs_plan_name(c->plan)));
    TRY(put_text(w, w->file, "source", c->source));
    TRY(put_text(w, w->file, "created", created));
    return put_text(w, w->file, "how_to_read", how_to_read);
}

static enum vqs_status write_job(struct writer *w) {
    const struct vqs_store_content *c = w->content;
    hid_t group, set, space = H5Screate(H5S_SCALAR), type = vqs_text_type();
    char *text = strndup(c->job_text, c->job_size);
    enum vqs_status status = text ? make_group(w, "job", &group)
                                  : vqs_fail(w->err, VQS_ERR_MEMORY, "cannot allocate a job of %zu bytes", c->job_size);
    if (!status) {
        set = H5Dcreate2(group, "text", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        status = check(w, set < 0 ? -1 : H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &text), "job/text");
        status = status ? status : put_text(w, set, "long_name", "the job as it was given, YAML");
        status = status ? status : put_text(w, group, "name", vqs_plan_name(c->plan));
        status = status ? status : put_hex(w, group, "plan_key", vqs_plan_key(c->plan));
    }
    free(text);
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

static enum vqs_status write_provenance(struct writer *w) {
    hid_t group;
    TRY(make_group(w, "provenance", &group));
    for (size_t i = 0; i < w->content->n_provenance; i++) {
        TRY(put_text(w, group, w->content->provenance[i].name, w->content->provenance[i].value));
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
        return vqs_fail(w->err, VQS_ERR_MEMORY, "cannot allocate a list of %zu trials", n);
    }
    size_t found = 0;
    for (size_t trial = 0; trial < w->n_trials && found < n; trial++) {
        if (vqs_plan_in_study(plan, trial, study)) {
            trials[found++] = (int64_t)trial;
        }
    }
    const struct spec spec = {.parent = group,
                              .name = vqs_plan_study_name(plan, study),
                              .long_name = "trials of the study",
                              .type = H5T_STD_I64LE,
                              .size = {n},
                              .chunk = {n ? n < BLOCK ? n : BLOCK : 1},
                              .compress = true};
    hid_t set;
    enum vqs_status status = make_dataset(w, &spec, &set);
    status = status || !n ? status : write_rows(w, set, H5T_NATIVE_INT64, 0, n, trials, spec.name);
    status = status ? status : put_attribute(w, set, "merged_points", H5T_NATIVE_INT64, &merged);
    free(trials);
    const char *axis;
    for (int i = 0; !status && (axis = vqs_plan_study_axis(plan, study, i)); i++) {
        char name[24];
        snprintf(name, sizeof name, "axis_%d", i + 1);
        status = put_text(w, set, name, axis);
    }
    return status;
}

static enum vqs_status write_studies(struct writer *w) {
    hid_t group;
    TRY(make_group(w, "studies", &group));
    for (int study = 0; study < vqs_plan_n_studies(w->content->plan); study++) {
        TRY(write_study(w, group, study));
    }
    return VQS_OK;
}

/* ---- columns --------------------------------------------------------------------------------------------------- */

static enum vqs_status make_columns(struct writer *w) {
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        const struct vqs_column *c = &w->column[i];
        const struct spec spec = {.parent = w->file,
                                  .name = c->name,
                                  .unit = c->unit,
                                  .long_name = c->long_name,
                                  .formula = c->formula,
                                  .type = w->type[i],
                                  .size = {w->n_trials},
                                  .chunk = {w->n_trials < BLOCK ? w->n_trials : BLOCK},
                                  .compress = i < VQS_FIRST_METRIC,
                                  .scale = {w->trial_scale}};
        TRY(make_dataset(w, &spec, &w->set[i]));
    }
    return VQS_OK;
}

static enum vqs_status make_curves(struct writer *w) {
    const double nan_fill = NAN;
    for (int i = 0; i < VQS_N_CURVES; i++) {
        char name[64];
        snprintf(name, sizeof name, "curve_%s", vqs_curve_table[i].name);
        const struct spec spec = {.parent = w->file,
                                  .name = name,
                                  .unit = vqs_curve_table[i].unit,
                                  .long_name = vqs_curve_table[i].long_name,
                                  .formula = vqs_curve_table[i].formula,
                                  .type = H5T_IEEE_F64LE,
                                  .size = {w->n_trials, (hsize_t)w->max_epochs},
                                  .chunk = {w->curve_rows, (hsize_t)w->max_epochs},
                                  .fill = &nan_fill,
                                  .scale = {w->trial_scale, w->epoch_scale}};
        TRY(make_dataset(w, &spec, &w->curve_set[i]));
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

/* ---- codebooks ------------------------------------------------------------------------------------------------- */

/* The parts of a shape's group besides codes and usage: numbers along `snapshot`. */
static const struct {
    int part;
    const char *name, *long_name;
} shape_numbers[] = {{SNAPSHOT, "snapshot", "row of this group"},
                     {TRIAL, "trial", "trial the codebook is of, ascending"},
                     {EPOCH, "epoch", "end of which epoch, 0: before training"},
                     {LEVEL, "level", "level of residual quantisation"}};
enum { N_NUMBERS = sizeof shape_numbers / sizeof shape_numbers[0] };

static enum vqs_status make_shape_sets(struct writer *w, struct shape *s) {
    const hsize_t room = s->room, K = (hsize_t)s->K, d = (hsize_t)s->d;
    char name[VQS_GROUP_NAME];
    hid_t group, code, component;
    vqs_codebook_group(s->K, s->d, name);
    TRY(make_group(w, name, &group));
    TRY(make_scale(w, group, "code", "code", 0, K, &code));
    TRY(make_scale(w, group, "component", "component of a code", 0, d, &component));
    for (int i = 0; i < N_NUMBERS; i++) {
        const int part = shape_numbers[i].part;
        const struct spec spec = {.parent = group,
                                  .name = shape_numbers[i].name,
                                  .long_name = shape_numbers[i].long_name,
                                  .type = H5T_STD_I64LE,
                                  .chunk = {room},
                                  .grows = true,
                                  .compress = true,
                                  .scale = {part == SNAPSHOT ? 0 : s->part[SNAPSHOT]}};
        TRY(make_dataset(w, &spec, &s->part[part]));
    }
    const struct spec codes = {.parent = group,
                               .name = "codes",
                               .unit = "1",
                               .long_name = "codebook",
                               .type = H5T_IEEE_F32LE,
                               .size = {0, K, d},
                               .chunk = {room, K, d},
                               .grows = true,
                               .scale = {s->part[SNAPSHOT], code, component}};
    const struct spec usage = {.parent = group,
                               .name = "usage",
                               .unit = "samples",
                               .long_name = "training samples of each code",
                               .formula = "n_k",
                               .type = H5T_STD_U32LE,
                               .size = {0, K},
                               .chunk = {room, K},
                               .grows = true,
                               .compress = true,
                               .scale = {s->part[SNAPSHOT], code}};
    TRY(make_dataset(w, &codes, &s->part[CODES]));
    return make_dataset(w, &usage, &s->part[USAGE]);
}

static void carve_shape(struct shape *s) {
    s->codes = vqs_arena_take(&s->memory, s->room * (size_t)s->K * (size_t)s->d, sizeof *s->codes);
    s->usage = vqs_arena_take(&s->memory, s->room * (size_t)s->K, sizeof *s->usage);
    for (int i = 0; i < N_NUMBERS; i++) {
        s->number[shape_numbers[i].part] = vqs_arena_take(&s->memory, s->room, sizeof(int64_t));
    }
}

/* The shape K x d, made when it is first asked for. */
static enum vqs_status find_shape(struct writer *w, int K, int d, struct shape **out) {
    for (size_t i = 0; i < w->n_shapes; i++) {
        if (w->shapes[i].K == K && w->shapes[i].d == d) {
            *out = &w->shapes[i];
            return VQS_OK;
        }
    }
    struct shape *grown = realloc(w->shapes, (w->n_shapes + 1) * sizeof *grown);
    if (!grown) {
        return vqs_fail(w->err, VQS_ERR_MEMORY, "cannot allocate %zu shapes of codebooks", w->n_shapes + 1);
    }
    w->shapes = grown;
    struct shape *s = *out = &w->shapes[w->n_shapes];
    const size_t bytes = (size_t)K * (size_t)d * sizeof(float);
    *s = (struct shape){.K = K, .d = d, .room = bytes < CODEBOOK_CHUNK ? CODEBOOK_CHUNK / bytes : 1};
    carve_shape(s);
    TRY(vqs_arena_create(&s->memory, s->memory.used, w->err));
    carve_shape(s);
    w->n_shapes++;
    return make_shape_sets(w, s);
}

static enum vqs_status flush_shape(struct writer *w, struct shape *s) {
    const size_t start = (size_t)s->written, n = s->filled;
    if (n == 0) {
        return VQS_OK;
    }
    TRY(write_rows(w, s->part[CODES], H5T_NATIVE_FLOAT, start, n, s->codes, "codebooks"));
    TRY(write_rows(w, s->part[USAGE], H5T_NATIVE_UINT32, start, n, s->usage, "codebooks"));
    for (int i = 0; i < N_NUMBERS; i++) {
        const int part = shape_numbers[i].part;
        TRY(write_rows(w, s->part[part], H5T_NATIVE_INT64, start, n, s->number[part], "codebooks"));
    }
    s->written += (int64_t)n;
    s->filled = 0;
    return VQS_OK;
}

static enum vqs_status add_snapshots(struct writer *w, size_t trial, struct vqs_row *row) {
    const struct vqs_record *record = &row->record;
    struct shape *s = NULL;
    if (record->n_snapshots > 0) {
        TRY(find_shape(w, record->snapshots[0].K, record->snapshots[0].d, &s));
        row->codebook_row = s->written + (int64_t)s->filled;
    }
    for (int i = 0; i < record->n_snapshots; i++) {
        const struct vqs_snapshot *snapshot = &record->snapshots[i];
        const size_t K = (size_t)s->K, d = (size_t)s->d;
        memcpy(s->codes + s->filled * K * d, snapshot->codes, K * d * sizeof(float));
        memcpy(s->usage + s->filled * K, snapshot->usage, K * sizeof(uint32_t));
        s->number[SNAPSHOT][s->filled] = s->written + (int64_t)s->filled;
        s->number[TRIAL][s->filled] = (int64_t)trial;
        s->number[EPOCH][s->filled] = snapshot->epoch;
        s->number[LEVEL][s->filled] = snapshot->level;
        if (++s->filled == s->room) {
            TRY(flush_shape(w, s));
        }
    }
    return VQS_OK;
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* A record must be of this trial: of its key, its epochs, its codebook's shape. */
static enum vqs_status check_record(struct writer *w, size_t trial, const struct vqs_settings *settings,
                                    const struct vqs_record *record) {
    if (record->key != vqs_plan_trial_key(w->content->plan, trial)) {
        return vqs_fail(w->err, VQS_ERR_INTERNAL, "trial %zu was given the record of another trial", trial);
    }
    bool good = record->n_epochs <= w->max_epochs;
    for (int i = 0; i < record->n_snapshots; i++) {
        good = good && record->snapshots[i].K == settings->K && record->snapshots[i].d == settings->d;
    }
    return good
               ? VQS_OK
               : vqs_fail(w->err, VQS_ERR_INTERNAL, "the record of trial %zu does not fit the trial's settings", trial);
}

static void clear_row(struct vqs_row *row, uint64_t key) {
    struct vqs_arena memory = row->record.memory;
    *row = (struct vqs_row){.codebook_row = -1, .record = {.memory = memory, .key = key, .rank = -1}};
    row->record.wall_seconds = row->record.finished_at = NAN;
    for (int i = 0; i < VQS_N_METRICS; i++) {
        row->record.metric[i] = NAN;
    }
}

static enum vqs_status flush_columns(struct writer *w, size_t end) {
    const size_t count = (end - 1) % BLOCK + 1;
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        const struct vqs_column *column = &w->column[i];
        const unsigned char *text[BLOCK];
        for (size_t k = 0; column->cell == VQS_CELL_TEXT && k < count; k++) {
            text[k] = w->cells[i] + k * column->width;
        }
        const void *values = column->cell == VQS_CELL_TEXT ? (const void *)text : w->cells[i];
        TRY(write_rows(w, w->set[i], w->type[i], end - count, count, values, column->name));
    }
    return VQS_OK;
}

static enum vqs_status flush_curves(struct writer *w, size_t end) {
    const size_t count = (end - 1) % w->curve_rows + 1;
    for (int i = 0; w->any_curve && i < VQS_N_CURVES; i++) {
        TRY(write_rows(w, w->curve_set[i], H5T_NATIVE_DOUBLE, end - count, count, w->curves[i],
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
        if ((status = c->record(c->ctx, trial, &row.record, &row.done, w->err))) {
            break;
        }
        if (!row.done) {
            clear_row(&row, vqs_plan_trial_key(c->plan, trial));
        } else if ((status = check_record(w, trial, &settings, &row.record)) ||
                   (status = add_snapshots(w, trial, &row))) {
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
    for (size_t i = 0; !status && i < w->n_shapes; i++) {
        status = flush_shape(w, &w->shapes[i]);
    }
    vqs_record_destroy(&row.record);
    return status;
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
    TRY(vqs_arena_create(&w->memory, w->memory.used, w->err));
    carve(w);
    return VQS_OK;
}

static enum vqs_status create_file(struct writer *w, const char *temporary) {
    const unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    hid_t create = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_link_creation_order(create, order);
    H5Pset_attr_creation_order(create, order);
    /* checksums on all that HDF5 keeps for itself, and small indexes; HDF5 1.10 (2016) and later read it */
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    w->driver = vqs_store_file_driver(access, &w->io_error);
    w->file = H5Fcreate(temporary, H5F_ACC_TRUNC, create, access);
    H5Pclose(create);
    H5Pclose(access);
    return check(w, w->file, "a new file");
}

static enum vqs_status write_all(struct writer *w) {
    TRY(write_root(w));
    TRY(make_scale(w, w->file, "trial", "number of the trial in the plan", 0, w->n_trials, &w->trial_scale));
    TRY(make_scale(w, w->file, "epoch", "epoch", 1, (size_t)w->max_epochs, &w->epoch_scale));
    TRY(make_columns(w));
    TRY(make_curves(w));
    TRY(write_studies(w));
    hid_t codebooks;
    TRY(make_group(w, "codebooks", &codebooks));
    TRY(write_trials(w));
    TRY(write_job(w));
    TRY(write_provenance(w));
    return check(w, H5Fflush(w->file, H5F_SCOPE_GLOBAL), "the last blocks");
}

enum vqs_status vqs_store_write(const char *path, const struct vqs_store_content *content, struct vqs_error *err) {
    struct writer w = {
        .content = content, .path = path, .err = err, .driver = H5I_INVALID_HID, .file = H5I_INVALID_HID};
    vqs_quiet_begin(&w.quiet);
    char *temporary = vqs_file_temporary(path);
    enum vqs_status status = temporary ? prepare(&w) : vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a file name");
    status = status ? status : create_file(&w, temporary);
    status = status ? status : write_all(&w);
    if (w.file >= 0) {
        const herr_t closed = H5Fclose(w.file);
        status = status ? status : check(&w, closed, "the end of the file");
    }
    status = status ? status : vqs_file_publish(temporary, path, err);
    if (status && temporary) {
        unlink(temporary);
    }
    H5FDunregister(w.driver);
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        H5Tclose(w.type[i]);
    }
    for (size_t i = 0; i < w.n_shapes; i++) {
        vqs_arena_destroy(&w.shapes[i].memory);
    }
    free(w.shapes);
    vqs_arena_destroy(&w.memory);
    free(temporary);
    vqs_quiet_end(&w.quiet);
    return status;
}
