/* bench_store.c - what keeping results costs: journal and result file, per record.
 *
 * bench_store [RECORDS [DIRECTORY]]: writes that many small records (4 epochs, 2 codebooks of 8 x 2) through a journal
 * into a result file in DIRECTORY, reads them back, and prints one line a step. */
#include "vqsweep/journal.h"
#include "vqsweep/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EPOCHS = 4, SYNCED = 200 };

static void check(enum vqs_status status, const struct vqs_error *err) {
    if (status) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static void report(const char *what, double seconds, size_t n, const char *path) {
    struct stat file = {0};
    struct rusage usage;
    if (path) {
        stat(path, &file);
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("%-34s %8.3f s %9.2f us/record %10.0f records/s %8.1f MB %6ld MB of memory\n", what, seconds,
           1e6 * seconds / (double)n, (double)n / seconds, 1e-6 * (double)file.st_size, usage.ru_maxrss / 1024);
}

static void fill(const struct vqs_plan *plan, size_t trial, struct vqs_record *r, struct vqs_error *err) {
    uint64_t state = trial;
    check(vqs_record_reset(r, &(struct vqs_record_shape){EPOCHS, 2, 8, 2, {{0}}}, err), err);
    r->key = vqs_plan_trial_key(plan, trial);
    r->outcome = VQS_OUTCOME_COMPLETED;
    r->trial = (uint32_t)trial;
    r->attempt = 1;
    strcpy(r->host, "node0123");
    strcpy(r->cpu_class, "avx512");
    for (int i = 0; i < VQS_N_METRICS; i++) {
        r->metric[i] = (double)(state = state * UINT64_C(6364136223846793005) + 1) * 0x1p-64;
    }
    for (int i = 0; i < VQS_N_CURVES * EPOCHS; i++) {
        r->curves[i] = (double)(state = state * UINT64_C(6364136223846793005) + 1) * 0x1p-64;
    }
    for (int i = 0; i < 32; i++) { /* both codebooks are one block of memory */
        r->snapshots[0].codes[i] = (float)(state = state * UINT64_C(6364136223846793005) + 1) * 0x1p-64f;
    }
    vqs_record_seal(r);
}

struct source {
    const struct vqs_plan *plan;
    const struct vqs_journal_index *index;
    struct vqs_bytes scratch;
};

static enum vqs_status give(void *ctx, size_t trial, struct vqs_record *record, bool *done, struct vqs_error *err) {
    struct source *source = ctx;
    const struct vqs_journal_entry *entry = vqs_journal_find(source->index, vqs_plan_trial_key(source->plan, trial));
    *done = entry != NULL;
    return entry ? vqs_journal_read(source->index, entry, &source->scratch, record, err) : VQS_OK;
}

static void bench_journal(const struct vqs_plan *plan, size_t n, const char *path, struct vqs_error *err) {
    struct vqs_journal_header header = {.plan_key = vqs_plan_key(plan), .code_version = "bench"};
    struct vqs_journal *journal;
    struct vqs_record record = {0};
    struct vqs_bytes packed = {0};
    double building = 0, appending = 0, start;
    check(vqs_journal_create(path, &header, &journal, err), err);
    for (size_t i = 0; i < n; i++) {
        start = vqs_clock_seconds();
        fill(plan, i, &record, err);
        packed.size = 0;
        check(vqs_record_pack(&record, &packed, err), err);
        building += vqs_clock_seconds() - start;
        start = vqs_clock_seconds();
        check(vqs_journal_append(journal, packed.data, packed.size, err), err);
        appending += vqs_clock_seconds() - start;
    }
    report("record: fill, digest, pack", building, n, NULL);
    report("journal: append", appending, n, path);
    start = vqs_clock_seconds();
    for (int i = 0; i < SYNCED; i++) {
        check(vqs_journal_append(journal, packed.data, packed.size, err), err);
        check(vqs_journal_sync(journal, err), err);
    }
    report("journal: append and sync each", vqs_clock_seconds() - start, SYNCED, NULL);
    check(vqs_journal_close(journal, err), err);
    vqs_bytes_destroy(&packed);
    vqs_record_destroy(&record);
}

static void bench_reading(const char *path, size_t n, struct vqs_error *err) {
    struct vqs_store *store;
    struct vqs_store_counts counts;
    struct vqs_record record = {0};
    double start = vqs_clock_seconds();
    check(vqs_store_open(path, &store, err), err);
    check(vqs_store_count(store, &counts, err), err);
    report("store: open and count", vqs_clock_seconds() - start, n, NULL);
    struct vqs_store_summary *summaries = calloc(n, sizeof *summaries);
    start = vqs_clock_seconds();
    check(vqs_store_summaries(store, 0, n, summaries, err), err);
    report("store: summaries of all", vqs_clock_seconds() - start, n, NULL);
    start = vqs_clock_seconds();
    for (size_t i = 0; i < 100; i++) {
        check(vqs_store_read(store, i * (n - 1) / 99, &record, err), err);
        if (vqs_record_digest(&record) != record.digest) {
            fprintf(stderr, "a digest differs\n");
            exit(1);
        }
    }
    report("store: 100 records here and there", vqs_clock_seconds() - start, 100, NULL);
    free(summaries);
    vqs_record_destroy(&record);
    vqs_store_close(store);
}

int main(int argc, char **argv) {
    const size_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    if (n < 2 || (argc > 2 && chdir(argv[2]))) {
        fprintf(stderr, "usage: bench_store [RECORDS [DIRECTORY]]\n");
        return 2;
    }
    const char *journal = "bench_store.journal", *file = "bench_store.h5";
    char job[256];
    struct vqs_error err = {0};
    struct vqs_plan *plan;
    struct vqs_journal_index index;
    snprintf(job, sizeof job, "name: bench\nfixed: {D: 8, d: 2, K: 8, N: 64, N_eval: 8, epochs: %d}\nseeds: 1..%zu\n",
             EPOCHS, n);
    unlink(journal);
    check(vqs_plan_create(job, strlen(job), "bench", NULL, &plan, &err), &err);
    bench_journal(plan, n, journal, &err);
    double start = vqs_clock_seconds();
    check(vqs_journal_index_open(journal, &index, &err), &err);
    report("journal: index", vqs_clock_seconds() - start, n, journal);
    struct source source = {.plan = plan, .index = &index};
    const struct vqs_store_content content = {
        .plan = plan, .job_text = job, .job_size = strlen(job), .source = "bench", .record = give, .ctx = &source};
    start = vqs_clock_seconds();
    check(vqs_store_write(file, &content, &err), &err);
    report("store: write, journal to file", vqs_clock_seconds() - start, n, file);
    bench_reading(file, n, &err);
    vqs_bytes_destroy(&source.scratch);
    vqs_journal_index_close(&index);
    vqs_plan_destroy(plan);
    unlink(journal);
    unlink(file);
    return 0;
}
