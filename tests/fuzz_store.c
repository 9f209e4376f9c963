/* fuzz_store.c - the reader of result files. HDF5 itself reads most of the bytes. */
#include "fuzz.h"
#include "vqsweep/store.h"

#include <stdlib.h>
#include <unistd.h>

enum { MOST_TRIALS = 64 }; /* of a file that claims more, the first so many are read */

void fuzz_one(const uint8_t *data, size_t size) {
    struct vqs_store *store;
    struct vqs_store_counts counts;
    struct vqs_record record = {0};
    if (vqs_store_open(fuzz_file(data, size), &store, NULL) == VQS_OK) {
        vqs_store_count(store, &counts, NULL);
        for (size_t t = 0; t < vqs_store_n_trials(store) && t < MOST_TRIALS; t++) {
            struct vqs_store_summary summary;
            vqs_store_summaries(store, t, 1, &summary, NULL);
            vqs_store_read(store, t, &record, NULL);
        }
        vqs_store_close(store);
    }
    vqs_record_destroy(&record);
}

static enum vqs_status give_record(void *ctx, size_t trial, struct vqs_record *record, bool *done,
                                   struct vqs_error *err) {
    (void)err;
    const struct vqs_record_shape shape = {3, 2, 4, 2, {[VQS_ARRAY_level_metrics] = {1 + (int32_t)trial, 6}}};
    fuzz_must(vqs_record_reset(record, &shape, NULL) == VQS_OK);
    record->key = vqs_plan_trial_key(ctx, trial);
    record->outcome = VQS_OUTCOME_COMPLETED;
    vqs_record_seal(record);
    *done = trial != 1;
    return VQS_OK;
}

void fuzz_seeds(void (*take)(const void *data, size_t size)) {
    static const char job[] = "name: a\nfixed: {D: 8, d: 2, K: 4, epochs: 3, snapshots: [0]}\nseeds: 1..3\n";
    static const struct vqs_provenance_item items[] = {{"code_version", "1.2"}, {"hosts", ""}};
    char path[] = "/tmp/vqsweep-fuzz-XXXXXX";
    struct vqs_plan *plan;
    fuzz_must(mkstemp(path) >= 0);
    fuzz_must(vqs_plan_create(job, sizeof job - 1, "job", NULL, &plan, NULL) == VQS_OK);
    const struct vqs_store_content content = {.plan = plan,
                                              .job_text = job,
                                              .job_size = sizeof job - 1,
                                              .source = "fuzz",
                                              .provenance = items,
                                              .n_provenance = 2,
                                              .record = give_record,
                                              .ctx = plan};
    fuzz_must(vqs_store_write(path, &content, NULL) == VQS_OK);
    vqs_plan_destroy(plan);
    fuzz_take_file(path, take);
    unlink(path);
}
