/* test_store.c - the result file: round trip, failing disks, files that are not ours, damaged files.
 *
 * `test_store --write FILE` writes the sweep of these tests to FILE, the records of its pending trials to FILE.journal,
 * and what is in both to FILE.tsv, for check_store.py to compare with what h5py, xarray and others read. */
#include "vqsweep/store.h"

#include <check.h>
#include <hdf5.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "make_record.h"
#include "store_common.h"
#include "test_files.h"
#include "vqsweep/journal.h"

/* Two shapes of codebooks, one of them also of groups; settings with and without effect, trials without epochs, two
 * studies that share trials. */
static const char small_job[] = "# \xc3\xa0 la carte\n"
                                "name: small\n"
                                "fixed: {D: 8, d: 2, N: 100, N_eval: 50, epochs: 6, snapshots: [0, 3]}\n"
                                "seeds: 1..3\n"
                                "studies:\n"
                                "  grid:\n"
                                "    grid: {estimator: [ste, projector], K: [4, 8]}\n"
                                "  baseline:\n"
                                "    grid: {estimator: [kmeans, ste], K: [4]}\n"
                                "  groups:\n"
                                "    fixed: {d: 4, groups: 2, K: 4}\n";

static struct vqs_plan *make_plan(const char *job) {
    struct vqs_plan *plan;
    struct vqs_error err = {0};
    ck_assert_msg(vqs_plan_create(job, strlen(job), "job.yaml", NULL, &plan, &err) == VQS_OK, "%s", err.text);
    return plan;
}

/* What becomes of a trial in these tests: every seventh is pending, every eleventh failed. */
static bool is_pending(size_t trial) {
    return trial % 7 == 3;
}

static void make_trial(const struct vqs_plan *plan, size_t trial, struct vqs_record *record) {
    struct vqs_settings s;
    vqs_plan_trial_settings(plan, trial, &s);
    const bool failed = trial % 11 == 5, trained = vqs_setting_used(VQS_SETTING_epochs, &s);
    const int epochs = failed || !trained ? 0 : 1 + (int)(trial * 5 % (size_t)s.epochs);
    make_record(record, trial, epochs, failed ? 0 : trained ? 3 : 1, s.K, vqs_code_width(&s));
    record->key = vqs_plan_trial_key(plan, trial);
    record->outcome = failed ? VQS_OUTCOME_FAILED : trial % 5 ? VQS_OUTCOME_COMPLETED : VQS_OUTCOME_DIVERGED;
    record->trial = (uint32_t)trial;
    vqs_record_seal(record);
}

struct source {
    const struct vqs_plan *plan;
    size_t fails_at, wrong_at; /* trials */
};

static enum vqs_status give_record(void *ctx, size_t trial, struct vqs_record *record, bool *done,
                                   struct vqs_error *err) {
    const struct source *source = ctx;
    if (trial == source->fails_at) {
        return vqs_fail(err, VQS_ERR_STORE, "no such record");
    }
    make_trial(source->plan, trial, record);
    record->key += trial == source->wrong_at;
    *done = !is_pending(trial);
    return VQS_OK;
}

static enum vqs_status write_sweep(const char *path, const char *job, struct source source, struct vqs_error *err) {
    struct vqs_plan *plan = make_plan(job);
    char key[17];
    const struct vqs_provenance_item items[] = {
        {"code_version", "1.2.3"}, {"compiler", "gcc \xc3\xa9"}, {"hosts", ""}, {"plan_key", key}};
    snprintf(key, sizeof key, "%016" PRIx64, vqs_plan_key(plan));
    source.plan = plan;
    const struct vqs_store_content content = {.plan = plan,
                                              .job_text = job,
                                              .job_size = strlen(job),
                                              .source = "vqsweep test",
                                              .provenance = items,
                                              .n_provenance = sizeof items / sizeof items[0],
                                              .record = give_record,
                                              .ctx = &source};
    enum vqs_status status = vqs_store_write(path, &content, err);
    vqs_plan_destroy(plan);
    return status;
}

static const struct source faithful = {.fails_at = SIZE_MAX, .wrong_at = SIZE_MAX};

static struct vqs_store *open_sweep(const char *path) {
    struct vqs_store *store;
    struct vqs_error err = {0};
    ck_assert_msg(vqs_store_open(path, &store, &err) == VQS_OK, "%s", err.text);
    return store;
}

/* Reads every `step`-th trial and compares it with what was written. */
static void check_sweep(const char *path, const char *job, size_t step) {
    struct vqs_plan *plan = make_plan(job);
    struct vqs_store *store = open_sweep(path);
    struct vqs_record expected = {0}, got = {0};
    const size_t n = vqs_plan_n_trials(plan);
    struct vqs_store_summary *summaries = calloc(n, sizeof *summaries);
    struct vqs_store_counts counts, seen = {0};
    ck_assert_uint_eq(vqs_store_n_trials(store), n);
    ck_assert_int_eq(vqs_store_summaries(store, 0, n, summaries, NULL), VQS_OK);
    for (size_t trial = 0; trial < n; trial += step) {
        make_trial(plan, trial, &expected);
        ck_assert_uint_eq(summaries[trial].key, vqs_plan_trial_key(plan, trial));
        ck_assert_int_eq(summaries[trial].done, !is_pending(trial));
        struct vqs_error err = {0};
        enum vqs_status status = vqs_store_read(store, trial, &got, &err);
        if (is_pending(trial)) {
            ck_assert_int_eq(status, VQS_ERR_STORE);
            ck_assert_ptr_nonnull(strstr(err.text, "pending"));
            seen.pending++;
            continue;
        }
        ck_assert_msg(status == VQS_OK, "%s", err.text);
        assert_same_record(&expected, &got);
        ck_assert_uint_eq(vqs_record_digest(&got), got.digest);
        ck_assert_uint_eq(summaries[trial].digest, got.digest);
        ck_assert_uint_eq(summaries[trial].attempt, got.attempt);
        ck_assert_int_eq(summaries[trial].outcome, got.outcome);
        seen.failed += got.outcome == VQS_OUTCOME_FAILED;
        seen.completed += got.outcome == VQS_OUTCOME_COMPLETED;
        seen.diverged += got.outcome == VQS_OUTCOME_DIVERGED;
    }
    ck_assert_int_eq(vqs_store_count(store, &counts, NULL), VQS_OK);
    ck_assert_uint_eq(counts.pending + counts.failed + counts.completed + counts.diverged, n);
    if (step == 1) {
        ck_assert_mem_eq(&counts, &seen, sizeof counts);
    }
    ck_assert_int_eq(vqs_store_read(store, n, &got, NULL), VQS_ERR_USAGE);
    ck_assert_int_eq(vqs_store_summaries(store, 1, n, summaries, NULL), VQS_ERR_INTERNAL);
    free(summaries);
    vqs_record_destroy(&expected);
    vqs_record_destroy(&got);
    vqs_store_close(store);
    vqs_plan_destroy(plan);
}

static size_t files_here(void) {
    size_t n = 0;
    DIR *here = opendir(".");
    while (readdir(here)) {
        n++;
    }
    closedir(here);
    return n - 2;
}

START_TEST(round_trip) {
    struct vqs_error err = {0};
    ck_assert_msg(write_sweep("s.h5", small_job, faithful, &err) == VQS_OK, "%s", err.text);
    ck_assert_uint_eq(files_here(), 1);
    check_sweep("s.h5", small_job, 1);
    struct vqs_store *store = open_sweep("s.h5");
    size_t size;
    const char *text = vqs_store_job_text(store, &size);
    ck_assert_uint_eq(size, sizeof small_job - 1);
    ck_assert_mem_eq(text, small_job, size);
    ck_assert_str_eq(vqs_store_provenance(store, "compiler"), "gcc \xc3\xa9");
    ck_assert_str_eq(vqs_store_provenance(store, "hosts"), "");
    ck_assert_ptr_null(vqs_store_provenance(store, "no such item"));
    const struct vqs_provenance_item *all;
    ck_assert_uint_eq(vqs_store_provenance_items(store, &all), 4);
    ck_assert_str_eq(all[0].name, "code_version");
    vqs_store_close(store);
    vqs_store_close(NULL);
}
END_TEST

/* More rows than a block of columns, of curves and of codebooks holds. */
START_TEST(many_blocks) {
    static const char job[] = "name: many\nfixed: {D: 4, d: 2, N: 64, N_eval: 8, epochs: 60, K: 5}\nseeds: 1..1100\n"
                              "grid: {estimator: [ste]}\n";
    struct vqs_error err = {0};
    ck_assert_msg(write_sweep("s.h5", job, faithful, &err) == VQS_OK, "%s", err.text);
    check_sweep("s.h5", job, 1);
}
END_TEST

/* Neither epochs nor codebooks nor anything done: still a file that opens. */
START_TEST(one_pending_trial) {
    static const char job[] = "name: one\nfixed: {D: 4, d: 2, N: 64, N_eval: 8, K: 5, estimator: kmeans}\nseeds: [1]\n";
    struct vqs_plan *plan = make_plan(job);
    struct source source = faithful;
    source.plan = plan;
    ck_assert_int_eq(write_sweep("s.h5", job, source, NULL), VQS_OK);
    check_sweep("s.h5", job, 1);
    vqs_plan_destroy(plan);
}
END_TEST

START_TEST(column_names_are_unique) {
    for (int i = 0; i < VQS_N_COLUMNS; i++) {
        const struct vqs_column column = vqs_column_get(i);
        ck_assert_str_ne(column.name, "trial");
        ck_assert_str_ne(column.name, "epoch");
        for (int j = 0; j < i; j++) {
            ck_assert_str_ne(column.name, vqs_column_get(j).name);
        }
    }
}
END_TEST

/* A text cut within a character is mended, and the rest of it is kept. */
START_TEST(texts_become_utf8) {
    static const struct {
        const char *in, *out;
    } cases[] = {{"plain", "plain"},
                 {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
                 {"cut \xe2\x82", "cut ??"},
                 {"\xff\xc0\xaf|\xed\xa0\x80|\xf0\x9f\x98\x80", "???|???|\xf0\x9f\x98\x80"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32] = {0};
        memcpy(text, cases[i].in, strlen(cases[i].in));
        vqs_mend_utf8(text);
        ck_assert_str_eq(text, cases[i].out);
    }
}
END_TEST

/* ---- failures while writing: one line, the old file as it was, nothing left over ------------------------------- */

static void check_untouched(enum vqs_status status, enum vqs_status expected, const struct vqs_error *err,
                            const char *says) {
    ck_assert_int_eq(status, expected);
    ck_assert_msg(strstr(err->text, says) != NULL, "'%s' does not say '%s'", err->text, says);
    ck_assert_uint_eq(files_here(), 1);
    check_sweep("s.h5", small_job, 1);
}

START_TEST(failing_records) {
    struct vqs_error err = {0};
    struct source source = faithful;
    ck_assert_int_eq(write_sweep("s.h5", small_job, faithful, NULL), VQS_OK);
    source.fails_at = 9;
    check_untouched(write_sweep("s.h5", small_job, source, &err), VQS_ERR_STORE, &err, "no such record");
    source = faithful;
    source.wrong_at = 8;
    err.status = VQS_OK;
    check_untouched(write_sweep("s.h5", small_job, source, &err), VQS_ERR_INTERNAL, &err, "another trial");
}
END_TEST

START_TEST(disk_full) {
    struct rlimit limit;
    ck_assert_int_eq(write_sweep("s.h5", small_job, faithful, NULL), VQS_OK);
    const size_t size = scratch_size("s.h5");
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int tenth = 0; tenth < 10; tenth++) {
        struct vqs_error err = {0};
        struct rlimit tight = {.rlim_cur = size * (size_t)tenth / 10, .rlim_max = limit.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
        enum vqs_status status = write_sweep("s.h5", small_job, faithful, &err);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        check_untouched(status, VQS_ERR_IO, &err, "File too large");
    }
    ck_assert_int_eq(write_sweep("s.h5", small_job, faithful, NULL), VQS_OK);
    check_sweep("s.h5", small_job, 1);
}
END_TEST

START_TEST(bad_places) {
    struct vqs_error err = {0};
    const size_t before = files_here();
    ck_assert_int_eq(write_sweep("/no/such/place/s.h5", small_job, faithful, &err), VQS_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "No such file"));
    err.status = VQS_OK;
    ck_assert_int_eq(mkdir("directory", 0777), 0);
    ck_assert_int_eq(write_sweep("directory", small_job, faithful, &err), VQS_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "Is a directory"));
    ck_assert_int_eq(rmdir("directory"), 0);
    ck_assert_uint_eq(files_here(), before);
}
END_TEST

/* ---- files that are not ours ----------------------------------------------------------------------------------- */

static void refuse(const char *path, enum vqs_status expected, const char *says) {
    struct vqs_store *store;
    struct vqs_error err = {0};
    ck_assert_int_eq(vqs_store_open(path, &store, &err), expected);
    ck_assert_ptr_null(store);
    ck_assert_msg(strstr(err.text, says) != NULL, "'%s' does not say '%s'", err.text, says);
    ck_assert_msg(strstr(err.text, path) != NULL, "'%s' does not name the file", err.text);
}

START_TEST(foreign_files) {
    size_t size;
    refuse("absent.h5", VQS_ERR_IO, "No such file");
    refuse(".", VQS_ERR_STORE, "not an HDF5 file");
    scratch_write("text", "hello", 5);
    refuse("text", VQS_ERR_STORE, "not an HDF5 file");
    scratch_write("empty", "", 0);
    refuse("empty", VQS_ERR_STORE, "not an HDF5 file");
    H5Fclose(H5Fcreate("other.h5", H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    refuse("other.h5", VQS_ERR_STORE, "none that vqsweep wrote");
    ck_assert_int_eq(write_sweep("s.h5", small_job, faithful, NULL), VQS_OK);
    unsigned char *bytes = scratch_read("s.h5", &size);
    scratch_write("cut.h5", bytes, size / 2);
    refuse("cut.h5", VQS_ERR_STORE, "truncated");
    free(bytes);
}
END_TEST

/* A file of ours with one thing wrong in it. */
static void spoil(const char *name, const char *says) {
    ck_assert_int_eq(write_sweep("s.h5", small_job, faithful, NULL), VQS_OK);
    hid_t file = H5Fopen("s.h5", H5F_ACC_RDWR, H5P_DEFAULT);
    if (!strcmp(name, VQS_SCHEMA_ATTRIBUTE)) {
        const int64_t version = 99;
        hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
        ck_assert_int_ge(H5Awrite(attribute, H5T_NATIVE_INT64, &version), 0);
        H5Aclose(attribute);
    } else if (!strncmp(says, "missing", 7)) {
        ck_assert_int_ge(H5Ldelete(file, name, H5P_DEFAULT), 0);
    } else { /* put a short run of small integers in its place */
        const hsize_t n = 3;
        hid_t space = H5Screate_simple(1, &n, NULL);
        ck_assert_int_ge(H5Ldelete(file, name, H5P_DEFAULT), 0);
        H5Dclose(H5Dcreate2(file, name, strstr(says, "rows") ? H5T_NATIVE_DOUBLE : H5T_NATIVE_SHORT, space, H5P_DEFAULT,
                            H5P_DEFAULT, H5P_DEFAULT));
        H5Sclose(space);
    }
    ck_assert_int_ge(H5Fclose(file), 0);
    refuse("s.h5", VQS_ERR_STORE, says);
}

START_TEST(spoilt_files) {
    spoil(VQS_SCHEMA_ATTRIBUTE, "schema version 99");
    spoil("trial", "missing");
    spoil("key", "missing");
    spoil("mse_eval", "missing");
    spoil("curve_loss", "missing");
    spoil("job/text", "missing");
    spoil("trial", "wrong type or shape");
    spoil("status", "wrong type or shape");
    spoil("curve_loss", "wrong type or shape");
    spoil("K", "wrong type or shape");
    spoil("mse_eval", "3 rows");
}
END_TEST

/* Values that a record cannot be made of. */
START_TEST(spoilt_values) {
    static const struct {
        const char *name;
        int64_t value;
    } cases[] = {
        {"n_epochs", 1000000}, {"n_epochs", -1}, {"n_snapshots", INT32_MAX}, {"n_snapshots", -2}, {"codebook_row", 999},
        {"codebook_row", -1},  {"K", 65536},     {"d", INT64_MAX},           {"rank", INT64_MAX}, {"codebook_row", 3},
        {"groups", 0},         {"groups", -1},   {"groups", INT64_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(write_sweep("s.h5", small_job, faithful, NULL), VQS_OK);
        hid_t file = H5Fopen("s.h5", H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen2(file, cases[i].name, H5P_DEFAULT);
        int64_t column[64];
        ck_assert_int_ge(H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, column), 0);
        column[0] = cases[i].value;
        ck_assert_int_ge(H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, column), 0);
        H5Dclose(set);
        H5Fclose(file);
        struct vqs_store *store = open_sweep("s.h5");
        struct vqs_record record = {0};
        struct vqs_error err = {0};
        ck_assert_msg(vqs_store_read(store, 0, &record, &err) == VQS_ERR_STORE, "%s %" PRId64, cases[i].name,
                      cases[i].value);
        ck_assert_ptr_nonnull(strstr(err.text, "damaged"));
        ck_assert_int_eq(vqs_store_read(store, 1, &record, NULL), VQS_OK); /* the others are sound */
        vqs_record_destroy(&record);
        vqs_store_close(store);
    }
}
END_TEST

/* What arrays can be wrong in: a file that lies is damaged, one of other labels is of another version. */
START_TEST(spoilt_arrays) {
    static const struct {
        const char *from, *to, *says; /* to: NULL, the link is deleted */
    } moves[] = {{"arrays/level_metrics_3x6/trial", NULL, "missing"},
                 {"arrays/level_metrics_3x6/value", NULL, "missing"},
                 {"arrays/level_metrics_3x6", "arrays/level_metrics_6x3", "wrong shape"},
                 {"arrays/level_metrics_3x6/value", "arrays/level_metrics_3x6/trial", "wrong type or shape"},
                 {"arrays", NULL, "damaged"},
                 {"epoch", "arrays/none", "missing"}};
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        ck_assert_int_eq(write_sweep("s.h5", small_job, faithful, NULL), VQS_OK);
        hid_t file = H5Fopen("s.h5", H5F_ACC_RDWR, H5P_DEFAULT);
        if (moves[i].to && H5Lexists(file, moves[i].to, H5P_DEFAULT) > 0) {
            H5Ldelete(file, moves[i].to, H5P_DEFAULT);
        }
        ck_assert_int_ge(moves[i].to ? H5Lmove(file, moves[i].from, file, moves[i].to, H5P_DEFAULT, H5P_DEFAULT)
                                     : H5Ldelete(file, moves[i].from, H5P_DEFAULT),
                         0);
        H5Fclose(file);
        refuse("s.h5", VQS_ERR_STORE, moves[i].says);
    }
}
END_TEST

/* _i: other labels; a trial that stands in two groups */
START_TEST(arrays_of_others) {
    struct vqs_record record = {0};
    ck_assert_int_eq(write_sweep("s.h5", small_job, faithful, NULL), VQS_OK);
    hid_t file = H5Fopen("s.h5", H5F_ACC_RDWR, H5P_DEFAULT);
    if (_i == 0) {
        const int64_t tag = 1;
        hid_t group = H5Gopen2(file, "arrays/level_metrics_3x6", H5P_DEFAULT);
        ck_assert_int_ge(H5Adelete(group, "tag"), 0);
        hid_t space = H5Screate(H5S_SCALAR);
        hid_t attribute = H5Acreate2(group, "tag", H5T_NATIVE_INT64, space, H5P_DEFAULT, H5P_DEFAULT);
        ck_assert_int_ge(H5Awrite(attribute, H5T_NATIVE_INT64, &tag), 0);
        H5Aclose(attribute);
        H5Sclose(space);
        H5Gclose(group);
    } else {
        const int64_t trials[8] = {1, 1, 1, 1, 1, 1, 1, 1};
        for (int probes = 2; probes <= 3; probes++) {
            int32_t size[VQS_ARRAY_RANK] = {0};
            char name[80];
            test_array_size(VQS_ARRAY_probes, 0, size);
            snprintf(name, sizeof name, "arrays/probes_%dx%dx%dx%d/trial", probes, size[1], size[2], size[3]);
            hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
            ck_assert_int_ge(H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, trials), 0);
            H5Dclose(set);
        }
    }
    H5Fclose(file);
    struct vqs_store *store = open_sweep("s.h5");
    struct vqs_error err = {0};
    ck_assert_int_eq(vqs_store_read(store, 0, &record, NULL), VQS_OK); /* has none, and is sound */
    ck_assert_int_eq(vqs_store_read(store, 1, &record, &err), VQS_ERR_STORE);
    ck_assert_msg(strstr(err.text, _i ? "two arrays" : "another version") != NULL, "%s", err.text);
    vqs_record_destroy(&record);
    vqs_store_close(store);
}
END_TEST

/* ---- hostile files --------------------------------------------------------------------------------------------- */

/* Opens and reads all of it, in a process of its own. Returns the signal that ended it, or 0. */
static int read_in_child(const char *path) {
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct vqs_store *store;
        struct vqs_record record = {0};
        struct vqs_store_counts counts;
        alarm(20);
        freopen("/dev/null", "w", stderr);
        if (vqs_store_open(path, &store, NULL) == VQS_OK) {
            (void)vqs_store_count(store, &counts, NULL);
            for (size_t trial = 0; trial < vqs_store_n_trials(store) && trial < 100; trial++) {
                if (vqs_store_read(store, trial, &record, NULL) == VQS_OK) {
                    (void)vqs_record_digest(&record);
                }
            }
            vqs_record_destroy(&record);
            vqs_store_close(store);
        }
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

START_TEST(truncations) {
    size_t size;
    ck_assert_int_eq(write_sweep("s.h5", small_job, faithful, NULL), VQS_OK);
    unsigned char *bytes = scratch_read("s.h5", &size);
    uint64_t state = 4;
    for (int round = 0; round < 60; round++) {
        struct vqs_store *store;
        scratch_write("cut.h5", bytes, round < 10 ? size - 1 - (size_t)round * 7 : test_random(&state) % size);
        ck_assert_int_eq(vqs_store_open("cut.h5", &store, NULL), VQS_ERR_STORE);
    }
    free(bytes);
}
END_TEST

/* Bytes changed anywhere. HDF5 1.10 does not survive all of this: it trusts the sizes in its global heap, where texts
 * of variable length stand without a checksum. Nothing before the heap is read can prevent that, so a few in a hundred
 * are allowed; everything else has checksums, ours to check or HDF5's. */
START_TEST(flipped_bytes) {
    size_t size;
    int crashes = 0;
    ck_assert_int_eq(write_sweep("s.h5", small_job, faithful, NULL), VQS_OK);
    unsigned char *bytes = scratch_read("s.h5", &size), *mutant = malloc(size);
    ck_assert_ptr_nonnull(mutant);
    uint64_t state = 5;
    const int rounds = 300;
    for (int round = 0; round < rounds; round++) {
        memcpy(mutant, bytes, size);
        for (int i = 0; i < 1 + round % 4; i++) {
            mutant[test_random(&state) % (round % 2 ? size : 4096)] = (unsigned char)test_random(&state);
        }
        scratch_write("mutant.h5", mutant, size);
        const int signal = read_in_child("mutant.h5");
        if (signal) {
            crashes++;
        }
    }
    ck_assert_msg(crashes <= rounds / 50, "%d of %d files ended the reader", crashes, rounds);
    free(bytes);
    free(mutant);
}
END_TEST

/* ---- for check_store.py ---------------------------------------------------------------------------------------- */

static const char *python_file; /* given on the command line */

/* A record to the journal, and what of it stands before and after its arrays to the list. */
static void journal_for_python(struct vqs_journal *journal, const struct vqs_record *r, FILE *out) {
    struct vqs_bytes packed = {0};
    ck_assert_int_eq(vqs_record_pack(r, &packed, NULL), VQS_OK);
    ck_assert_int_eq(vqs_journal_append(journal, packed.data, packed.size, NULL), VQS_OK);
    fprintf(out, "%u\tjournal\t%016" PRIx64 "\t%.17g\t%s\t%s\n", r->trial, r->digest, r->metric[0], r->host,
            r->message);
    vqs_bytes_destroy(&packed);
}

static void arrays_for_python(const struct vqs_record *r, FILE *out) {
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        const size_t n = vqs_array_values(kind, r->arrays[kind].size);
        for (size_t i = 0; i < n; i++) {
            if (i == 0) {
                fprintf(out, "%u\tarray\t%s", r->trial, vqs_array_table[kind].quantity.name);
            }
            fprintf(out, "\t%.9g%s", (double)r->arrays[kind].values[i], i + 1 == n ? "\n" : "");
        }
    }
}

START_TEST(write_for_python) {
    struct vqs_plan *plan = make_plan(small_job);
    struct vqs_record r = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s.tsv", python_file);
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    const struct vqs_journal_header header = {.plan_key = vqs_plan_key(plan), .code_version = "1.2.3"};
    struct vqs_journal *journal;
    snprintf(path, sizeof path, "%s.journal", python_file);
    unlink(path);
    ck_assert_int_eq(vqs_journal_create(path, &header, &journal, NULL), VQS_OK);
    ck_assert_int_eq(write_sweep(python_file, small_job, faithful, NULL), VQS_OK);
    for (size_t trial = 0; trial < vqs_plan_n_trials(plan); trial++) {
        struct vqs_settings settings;
        char text[VQS_PATH_MAX];
        vqs_plan_trial_settings(plan, trial, &settings);
        make_trial(plan, trial, &r);
        fprintf(out, "%zu\tkey\t%016" PRIx64 "\n", trial, vqs_plan_trial_key(plan, trial));
        for (int i = 0; i < VQS_N_SETTINGS; i++) {
            vqs_setting_print((enum vqs_setting_id)i, &settings, text, sizeof text);
            fprintf(out, "%zu\t%s\t%s\n", trial, vqs_setting_table[i].name,
                    vqs_setting_used((enum vqs_setting_id)i, &settings) ? text : "");
        }
        if (is_pending(trial)) {
            fprintf(out,
                    "%zu\tstatus\tpending\n%zu\trank\t-1\n%zu\tattempt\t0\n%zu\tcodebook_row\t-1\n%zu\thost\t\n"
                    "%zu\twall_seconds\t\n%zu\tmse_eval\t\n%zu\tdigest\t0000000000000000\n",
                    trial, trial, trial, trial, trial, trial, trial, trial);
            journal_for_python(journal, &r, out);
            continue;
        }
        arrays_for_python(&r, out);
        fprintf(out, "%zu\tstatus\t%s\n%zu\tdigest\t%016" PRIx64 "\n%zu\thost\t%s\n%zu\tmessage\t%s\n%zu\trank\t%d\n",
                trial, vqs_outcome_text(r.outcome), trial, r.digest, trial, r.host, trial, r.message, trial,
                (int)r.rank);
        fprintf(out, "%zu\twall_seconds\t%.17g\n%zu\tn_epochs\t%d\n", trial, r.wall_seconds, trial, (int)r.n_epochs);
        for (int i = 0; i < VQS_N_METRICS; i++) {
            fprintf(out, "%zu\t%s\t%.17g\n", trial, vqs_metric_table[i].name, r.metric[i]);
        }
        for (int c = 0; c < VQS_N_CURVES; c++) {
            for (int e = 0; e < r.n_epochs; e++) {
                fprintf(out, "%zu\tcurve_%s\t%.17g\t%d\n", trial, vqs_curve_table[c].name, r.curves[c * r.n_epochs + e],
                        e + 1);
            }
        }
        for (int s = 0; s < r.n_snapshots; s++) {
            const struct vqs_snapshot *snapshot = &r.snapshots[s];
            for (int k = 0; k < snapshot->K; k++) {
                fprintf(out, "%zu\tcode\t%d\t%d\t%d\t%" PRIu32 "\t%.9g\t%.9g\n", trial, snapshot->K,
                        snapshot->epoch, k, snapshot->usage[k], (double)snapshot->codes[2 * k],
                        (double)snapshot->codes[2 * k + 1]);
            }
        }
    }
    vqs_record_destroy(&r);
    vqs_plan_destroy(plan);
    ck_assert_int_eq(vqs_journal_close(journal, NULL), VQS_OK);
    ck_assert_int_eq(fclose(out), 0);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("store");
    TCase *tc = tcase_create("store");
    tcase_set_timeout(tc, 240);
    suite_add_tcase(suite, tc);
    if (argc == 3 && !strcmp(argv[1], "--write")) {
        python_file = argv[2];
        tcase_add_test(tc, write_for_python);
        return run_here(suite);
    }
    tcase_add_test(tc, round_trip);
    tcase_add_test(tc, many_blocks);
    tcase_add_test(tc, one_pending_trial);
    tcase_add_test(tc, column_names_are_unique);
    tcase_add_test(tc, texts_become_utf8);
    tcase_add_test(tc, failing_records);
    tcase_add_test(tc, disk_full);
    tcase_add_test(tc, bad_places);
    tcase_add_test(tc, foreign_files);
    tcase_add_test(tc, spoilt_files);
    tcase_add_test(tc, spoilt_values);
    tcase_add_test(tc, spoilt_arrays);
    tcase_add_loop_test(tc, arrays_of_others, 0, 2);
    tcase_add_test(tc, truncations);
    tcase_add_test(tc, flipped_bytes);
    return run_in_scratch(suite);
}
