/* output.c - the journal of a run, and the result file made from it. */
#include "output.h"

#include "vqsweep/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* At most this far behind with the journal's sync; FILE is rewritten so rarely that it costs under a hundredth. */
enum { SYNC_RECORDS = 64, VIEW_COST_FACTOR = 100 };
static const double SYNC_SECONDS = 1, VIEW_SECONDS = 30;

struct vqs_output {
    char *path, *journal_path;
    const struct vqs_plan *plan;
    const struct vqs_bytes *job;
    const struct vqs_provenance *provenance;
    struct vqs_journal *journal; /* NULL: FILE was found complete */
    uint32_t *attempts;          /* [n_trials] attempts so far */
    bool *has;                   /* [n_trials] has a result */
    size_t n_trials, n_results;
    size_t unsynced;
    double synced_at, view_due;
    char notice[240];
};

/* ---- what is known of each trial --------------------------------------------------------------------------------- */

static void note(struct vqs_output *output, size_t trial, enum vqs_outcome outcome, uint32_t attempt) {
    if (outcome != VQS_OUTCOME_FAILED && !output->has[trial]) {
        output->has[trial] = true;
        output->n_results++;
    }
    output->attempts[trial] = attempt > output->attempts[trial] ? attempt : output->attempts[trial];
}

bool vqs_output_has(const struct vqs_output *output, size_t trial) {
    return output->has[trial];
}

uint32_t vqs_output_attempt(const struct vqs_output *output, size_t trial) {
    return output->attempts[trial] + 1;
}

bool vqs_output_is_finished(const struct vqs_output *output) {
    return output->n_results == output->n_trials && !output->journal;
}

size_t vqs_output_n_results(const struct vqs_output *output) {
    return output->n_results;
}

const char *vqs_output_notice(const struct vqs_output *output) {
    return output->notice;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static char *concatenate(const char *a, const char *b) {
    char *text = malloc(strlen(a) + strlen(b) + 1);
    if (text) {
        strcat(strcpy(text, a), b);
    }
    return text;
}

/* Every directory on the way to `path`. */
static enum vqs_status make_directories(const char *path, struct vqs_error *err) {
    char *copy = concatenate(path, "");
    enum vqs_status status = copy ? VQS_OK : vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash && status == VQS_OK; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
            status = vqs_fail(err, VQS_ERR_IO, "%s: cannot make this directory: %s", copy, strerror(errno));
        }
        *slash = '/';
    }
    free(copy);
    return status;
}

/* Whether what is at `path` came from this plan and code. */
static enum vqs_status check_origin(const struct vqs_output *output, const char *path, uint64_t plan_key,
                                    const char *code_version, struct vqs_error *err) {
    if (plan_key != vqs_plan_key(output->plan)) {
        return vqs_fail(err, VQS_ERR_STORE,
                        "%s: holds another plan (%016llx, not %016llx: another job, other seeds or contrasts); give "
                        "another file by -o, or remove this one",
                        path, (unsigned long long)plan_key, (unsigned long long)vqs_plan_key(output->plan));
    }
    if (strcmp(code_version, vqs_code_version())) {
        return vqs_fail(err, VQS_ERR_STORE,
                        "%s: comes from vqsweep %s, this is %s; finish it with that one, give another file by -o, or "
                        "remove this one",
                        path, code_version, vqs_code_version());
    }
    return VQS_OK;
}

/* Takes up the records of an earlier run's journal and opens it for more. */
static enum vqs_status resume_journal(struct vqs_output *output, struct vqs_error *err) {
    struct vqs_journal_index index = {0};
    enum vqs_status status = vqs_journal_index_open(output->journal_path, &index, err);
    if (status != VQS_OK) {
        return status;
    }
    status = check_origin(output, output->journal_path, index.header.plan_key, index.header.code_version, err);
    for (size_t t = 0; t < output->n_trials && status == VQS_OK; t++) {
        const struct vqs_journal_entry *entry = vqs_journal_find(&index, vqs_plan_trial_key(output->plan, t));
        if (entry) {
            note(output, t, entry->outcome, entry->attempt);
        }
    }
    if (index.n_damaged || index.torn_bytes) {
        snprintf(output->notice, sizeof output->notice,
                 "%s: %zu damaged stretches (%llu bytes) and %llu bytes of an unfinished record passed over",
                 output->journal_path, index.n_damaged, (unsigned long long)index.damaged_bytes,
                 (unsigned long long)index.torn_bytes);
    }
    vqs_journal_index_close(&index);
    return status == VQS_OK ? vqs_journal_reopen(output->journal_path, &output->journal, err) : status;
}

static enum vqs_status create_journal(struct vqs_output *output, struct vqs_error *err) {
    struct vqs_journal_header header = {.plan_key = vqs_plan_key(output->plan), .job = *output->job};
    snprintf(header.code_version, sizeof header.code_version, "%s", vqs_code_version());
    return vqs_journal_create(output->journal_path, &header, &output->journal, err);
}

/* Takes up the results that only FILE has: its journal was removed or lost. Without a journal they are noted; with one
 * they are copied into it. */
static enum vqs_status adopt(struct vqs_output *output, struct vqs_store *store, struct vqs_error *err) {
    struct vqs_store_summary *summaries = malloc(output->n_trials * sizeof *summaries);
    struct vqs_record record = {0};
    struct vqs_bytes packed = {0};
    struct vqs_record_head head;
    enum vqs_status status = summaries ? vqs_store_summaries(store, 0, output->n_trials, summaries, err)
                                       : vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    for (size_t t = 0; t < output->n_trials && status == VQS_OK; t++) {
        const struct vqs_store_summary *found = &summaries[t];
        if (output->has[t] || !found->done) {
            continue;
        }
        packed.size = 0;
        if (!output->journal) {
            note(output, t, found->outcome, found->attempt);
        } else if ((status = vqs_store_read(store, t, &record, err)) == VQS_OK &&
                   (status = vqs_record_pack(&record, &packed, err)) == VQS_OK &&
                   (status = vqs_record_peek(packed.data, packed.size, &head, err)) == VQS_OK) {
            status = vqs_output_append(output, &head, packed.data, packed.size, err);
        }
    }
    vqs_bytes_destroy(&packed);
    vqs_record_destroy(&record);
    free(summaries);
    return status;
}

/* FILE exists. Without a journal it decides what is left to do; beside a journal it should hold nothing new. */
static enum vqs_status resume_file(struct vqs_output *output, struct vqs_error *err) {
    struct vqs_store *store = NULL;
    struct vqs_store_counts counts;
    enum vqs_status status = vqs_store_open(output->path, &store, err);
    if (status == VQS_OK) {
        const char *key = vqs_store_provenance(store, "plan_key"), *code = vqs_store_provenance(store, "code_version");
        status = check_origin(output, output->path, key ? strtoull(key, NULL, 16) : 0, code ? code : "unknown", err);
    }
    if (status == VQS_OK) {
        status = vqs_store_count(store, &counts, err);
    }
    bool complete = status == VQS_OK && counts.completed + counts.diverged == output->n_trials;
    if (status == VQS_OK && !output->journal && !complete) {
        status = create_journal(output, err);
    }
    if (status == VQS_OK && counts.completed + counts.diverged > output->n_results) {
        status = adopt(output, store, err);
    }
    vqs_store_close(store);
    return status;
}

static enum vqs_status open_or_create(struct vqs_output *output, struct vqs_error *err) {
    bool have_journal = access(output->journal_path, F_OK) == 0, have_file = access(output->path, F_OK) == 0;
    enum vqs_status status = VQS_OK;
    if (have_journal) {
        status = resume_journal(output, err);
    }
    if (status == VQS_OK && have_file) {
        return resume_file(output, err);
    }
    if (status == VQS_OK && !have_journal && (status = make_directories(output->path, err)) == VQS_OK) {
        status = create_journal(output, err);
    }
    /* FILE is there from the beginning: `status` can read the plan from it, and a place that cannot be written to is
     * found before hours of work */
    return status == VQS_OK ? vqs_output_write(output, err) : status;
}

enum vqs_status vqs_output_open(const char *path, const struct vqs_plan *plan, const struct vqs_bytes *job,
                                struct vqs_provenance *provenance, struct vqs_output **out, struct vqs_error *err) {
    struct vqs_output *output = calloc(1, sizeof *output);
    *out = output;
    if (!output) {
        return vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    output->n_trials = vqs_plan_n_trials(plan);
    output->path = concatenate(path, "");
    output->journal_path = concatenate(path, ".journal");
    output->attempts = calloc(output->n_trials, sizeof *output->attempts);
    output->has = calloc(output->n_trials, sizeof *output->has);
    if (!output->path || !output->journal_path || !output->attempts || !output->has) {
        return vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    vqs_provenance_add(provenance, "plan_key", "%016llx", (unsigned long long)vqs_plan_key(plan));
    if (provenance->short_of_memory) {
        return vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    output->plan = plan;
    output->job = job;
    output->provenance = provenance;
    output->synced_at = vqs_clock_seconds();
    output->view_due = output->synced_at + VIEW_SECONDS;
    return open_or_create(output, err);
}

void vqs_output_destroy(struct vqs_output *output) {
    if (output) {
        vqs_journal_close(output->journal, NULL);
        free(output->path);
        free(output->journal_path);
        free(output->attempts);
        free(output->has);
        free(output);
    }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

enum vqs_status vqs_output_append(struct vqs_output *output, const struct vqs_record_head *head, const void *record,
                                  size_t size, struct vqs_error *err) {
    enum vqs_status status = vqs_journal_append(output->journal, record, size, err);
    if (status == VQS_OK) {
        note(output, head->trial, head->outcome, head->attempt);
        output->unsynced++;
    }
    return status;
}

enum vqs_status vqs_output_sync(struct vqs_output *output, struct vqs_error *err) {
    output->unsynced = 0;
    output->synced_at = vqs_clock_seconds();
    return output->journal ? vqs_journal_sync(output->journal, err) : VQS_OK;
}

enum vqs_status vqs_output_tick(struct vqs_output *output, struct vqs_error *err) {
    double now = vqs_clock_seconds();
    enum vqs_status status = VQS_OK;
    if (output->unsynced >= SYNC_RECORDS || (output->unsynced > 0 && now - output->synced_at > SYNC_SECONDS)) {
        status = vqs_output_sync(output, err);
    }
    return status == VQS_OK && now > output->view_due ? vqs_output_write(output, err) : status;
}

/* Hands the journal's records to the store's writer. */
struct view {
    const struct vqs_plan *plan;
    struct vqs_journal_index index;
    struct vqs_bytes scratch;
};

static enum vqs_status view_record(void *ctx, size_t trial, struct vqs_record *record, bool *done,
                                   struct vqs_error *err) {
    struct view *view = ctx;
    const struct vqs_journal_entry *entry = vqs_journal_find(&view->index, vqs_plan_trial_key(view->plan, trial));
    *done = entry != NULL;
    return entry ? vqs_journal_read(&view->index, entry, &view->scratch, record, err) : VQS_OK;
}

enum vqs_status vqs_output_write(struct vqs_output *output, struct vqs_error *err) {
    struct view view = {.plan = output->plan};
    double begin = vqs_clock_seconds();
    enum vqs_status status = vqs_journal_index_open(output->journal_path, &view.index, err);
    if (status == VQS_OK) {
        struct vqs_store_content content = {
            .plan = output->plan,
            .job_text = (const char *)output->job->data,
            .job_size = output->job->size,
            .source = vqs_program_version(),
            .provenance = output->provenance->items,
            .n_provenance = output->provenance->n,
            .record = view_record,
            .ctx = &view,
        };
        status = vqs_store_write(output->path, &content, err);
        vqs_journal_index_close(&view.index);
        vqs_bytes_destroy(&view.scratch);
    }
    double end = vqs_clock_seconds(), pause = VIEW_COST_FACTOR * (end - begin);
    output->view_due = end + (pause > VIEW_SECONDS ? pause : VIEW_SECONDS);
    return status;
}

enum vqs_status vqs_output_finish(struct vqs_output *output, struct vqs_error *err) {
    enum vqs_status status = vqs_output_sync(output, err);
    if (status == VQS_OK) {
        status = vqs_output_write(output, err);
    }
    enum vqs_status closing = vqs_journal_close(output->journal, err);
    output->journal = NULL;
    if (status == VQS_OK && closing == VQS_OK && output->n_results == output->n_trials &&
        unlink(output->journal_path) != 0) {
        status = vqs_fail(err, VQS_ERR_IO, "%s: cannot remove the journal: %s", output->journal_path, strerror(errno));
    }
    return status == VQS_OK ? closing : status;
}
