/* output.c - the journal of a run, and the result file made from it. */
#include "output_state.h"

#include "checkpoint.h"
#include "fileio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The journal's sync is asked for a little early, for it takes its time and ticks are 50 ms apart. FILE is rewritten so
 * rarely that it costs under a hundredth of the run. */
enum { SYNC_RECORDS = 64, VIEW_COST_FACTOR = 100 };
static const double SYNC_SECONDS = 0.8, VIEW_SECONDS = 30, RETRY_SECONDS = 1;

/* ---- what is known of each trial ------------------------------------------------------------------------------- */

void vqs_output_note(struct vqs_output *output, size_t trial, enum vqs_outcome outcome, uint32_t attempt) {
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

size_t vqs_output_n_results(const struct vqs_output *output) {
    return output->n_results;
}

/* Every trial of the shard has a result. */
static bool is_complete(const struct vqs_output *output) {
    for (size_t t = 0; t < output->n_trials; t++) {
        if (vqs_shard_has(&output->shard, t) && !output->has[t]) {
            return false;
        }
    }
    return true;
}

bool vqs_output_is_finished(const struct vqs_output *output) {
    return !output->journal && is_complete(output);
}

const char *vqs_output_notice(const struct vqs_output *output) {
    return output->notice;
}

/* ---- life cycle ------------------------------------------------------------------------------------------------ */

static enum vqs_status sync_journal(void *ctx, struct vqs_error *err) {
    const struct vqs_output *output = ctx;
    return vqs_journal_sync(output->journal, err);
}

static enum vqs_status write_view(void *ctx, struct vqs_error *err) {
    struct vqs_output *output = ctx;
    double begin = vqs_clock_seconds();
    enum vqs_status status = vqs_output_write(output, err);
    output->view_seconds = vqs_clock_seconds() - begin;
    return status;
}

static enum vqs_status allocate(struct vqs_output *output, const char *path, struct vqs_error *err) {
    const size_t size = strlen(path) + sizeof ".journal";
    output->path = malloc(size);
    output->journal_path = malloc(size);
    output->trials_folder = malloc(size);
    output->attempts = calloc(output->n_trials, sizeof *output->attempts);
    output->has = calloc(output->n_trials, sizeof *output->has);
    if (!output->path || !output->journal_path || !output->trials_folder || !output->attempts || !output->has) {
        return vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    snprintf(output->path, size, "%s", path);
    snprintf(output->journal_path, size, "%s.journal", path);
    snprintf(output->trials_folder, size, "%s.trials", path);
    return VQS_OK;
}

enum vqs_status vqs_output_open(const struct vqs_output_options *options, struct vqs_output **out,
                                struct vqs_error *err) {
    struct vqs_output *output = calloc(1, sizeof *output);
    *out = output;
    if (!output) {
        return vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    output->plan = options->plan;
    output->n_trials = vqs_plan_n_trials(options->plan);
    output->job = options->job;
    output->seeds = options->seeds;
    output->provenance = options->provenance;
    output->shard = options->shard;
    output->allow_mixed = options->allow_mixed;
    output->view_due = vqs_clock_seconds() + VIEW_SECONDS;
    enum vqs_status status = allocate(output, options->path, err);
    vqs_provenance_add(output->provenance, "plan_key", "%016llx", (unsigned long long)vqs_plan_key(output->plan));
    if (status == VQS_OK && output->provenance->short_of_memory) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    if (status == VQS_OK && (status = vqs_file_check_place(output->path, err)) == VQS_OK) {
        status = vqs_file_make_directories(output->path, err);
    }
    if (status == VQS_OK) {
        status = vqs_lease_take(output->path, &output->lease, err);
    }
    if (status == VQS_OK) {
        vqs_file_sweep(output->path);
        status = vqs_output_resume(output, err);
    }
    if (status == VQS_OK && output->journal) {
        status = vqs_background_create(sync_journal, output, &output->syncer, err);
    }
    if (status == VQS_OK && output->journal) {
        status = vqs_background_create(write_view, output, &output->viewer, err);
    }
    return status;
}

void vqs_output_destroy(struct vqs_output *output) {
    if (output) {
        vqs_background_destroy(output->viewer);
        vqs_background_destroy(output->syncer);
        vqs_journal_close(output->journal, NULL);
        vqs_lease_give_back(output->lease);
        vqs_bytes_destroy(&output->backlog);
        free(output->path);
        free(output->journal_path);
        free(output->trials_folder);
        free(output->attempts);
        free(output->has);
        free(output->digests);
        free(output);
    }
}

/* ---- records --------------------------------------------------------------------------------------------------- */

static enum vqs_status write_record(struct vqs_output *output, const struct vqs_record_head *head, const void *record,
                                    size_t size, struct vqs_error *err) {
    enum vqs_status status = vqs_journal_append(output->journal, record, size, err);
    if (status != VQS_OK) {
        return status;
    }
    vqs_output_note(output, head->trial, head->outcome, head->attempt);
    if (output->unsynced++ == 0) {
        output->since = vqs_clock_seconds();
    }
    if (output->unsynced >= SYNC_RECORDS) {
        output->unsynced = 0;
        vqs_background_ask(output->syncer);
    }
    return VQS_OK;
}

static enum vqs_status keep_for_later(struct vqs_output *output, const void *record, size_t size,
                                      struct vqs_error *err) {
    const size_t before = output->backlog.size;
    enum vqs_status status = vqs_bytes_append(&output->backlog, &size, sizeof size, err);
    if (status == VQS_OK) {
        status = vqs_bytes_append(&output->backlog, record, size, err);
    }
    if (status != VQS_OK) {
        output->backlog.size = before;
        return status;
    }
    output->n_backlog++;
    return VQS_OK;
}

/* The next tick hands this line on. */
static void tell(struct vqs_output *output, const char *what, const char *then) {
    snprintf(output->news, sizeof output->news, "%s%s", what, then);
    output->has_news = true;
}

static void begin_trouble(struct vqs_output *output, const struct vqs_error *cause) {
    if (output->trouble.status == VQS_OK) {
        output->trouble = *cause;
        output->retry_at = vqs_clock_seconds() + RETRY_SECONDS;
        tell(output, cause->text, "; no more trials are begun until that is mended, then the run goes on by itself");
    }
}

enum vqs_status vqs_output_append(struct vqs_output *output, const struct vqs_record_head *head, const void *record,
                                  size_t size, struct vqs_error *err) {
    struct vqs_error cause = {0};
    enum vqs_status status = vqs_lease_hold(output->lease, err);
    if (status != VQS_OK) {
        return status;
    }
    if (output->trouble.status == VQS_OK && write_record(output, head, record, size, &cause) == VQS_OK) {
        return VQS_OK;
    }
    begin_trouble(output, &cause);
    return keep_for_later(output, record, size, err);
}

/* Writes what waits, oldest first. What is left over still waits. */
static enum vqs_status write_backlog(struct vqs_output *output, struct vqs_error *err) {
    size_t at = 0, size;
    enum vqs_status status = VQS_OK;
    while (at < output->backlog.size && status == VQS_OK) {
        struct vqs_record_head head;
        memcpy(&size, output->backlog.data + at, sizeof size);
        const unsigned char *record = output->backlog.data + at + sizeof size;
        status = vqs_record_peek(record, size, &head, err);
        status = status ? status : write_record(output, &head, record, size, err);
        if (status == VQS_OK) {
            at += sizeof size + size;
            output->n_backlog--;
        }
    }
    if (at) {
        memmove(output->backlog.data, output->backlog.data + at, output->backlog.size - at);
        output->backlog.size -= at;
    }
    return status;
}

/* Tries to get out of trouble. */
static enum vqs_status recover(struct vqs_output *output, struct vqs_error *err) {
    enum vqs_status status = VQS_OK;
    vqs_background_wait(output->syncer);
    if (output->must_renew && (status = vqs_journal_renew(output->journal, err)) == VQS_OK) {
        output->must_renew = false;
    }
    if (status == VQS_OK && (status = write_backlog(output, err)) == VQS_OK &&
        (status = vqs_journal_sync(output->journal, err)) != VQS_OK) {
        output->must_renew = true;
    }
    output->retry_at = vqs_clock_seconds() + RETRY_SECONDS;
    if (status == VQS_OK) {
        vqs_background_failure(output->syncer, NULL); /* of what has just been synced */
        output->trouble = (struct vqs_error){0};
    }
    return status;
}

bool vqs_output_troubled(const struct vqs_output *output) {
    return output->trouble.status != VQS_OK;
}

/* ---- now and then ---------------------------------------------------------------------------------------------- */

static void tick_journal(struct vqs_output *output, double now) {
    struct vqs_error cause = {0};
    if (vqs_background_failure(output->syncer, &cause) != VQS_OK) {
        output->must_renew = true;
        begin_trouble(output, &cause);
    }
    if (vqs_output_troubled(output) && now >= output->retry_at && recover(output, NULL) == VQS_OK) {
        tell(output, output->journal_path, ": can be written to again; the run goes on");
    }
    if (!vqs_output_troubled(output) && output->unsynced > 0 && now - output->since >= SYNC_SECONDS) {
        output->unsynced = 0;
        vqs_background_ask(output->syncer);
    }
}

/* A trial's checkpoint is of use until the trial has a result that is on disk. */
static bool is_checkpoint_of_use(void *ctx, uint32_t trial, uint64_t key) {
    const struct vqs_output *output = ctx;
    return trial < output->n_trials && !output->has[trial] && vqs_plan_trial_key(output->plan, trial) == key;
}

static void sweep_checkpoints(struct vqs_output *output) {
    vqs_checkpoint_sweep(output->trials_folder, is_checkpoint_of_use, output);
}

/* FILE cannot be written: the run goes on, for the journal has everything. Said once. */
static void tick_view(struct vqs_output *output, double now) {
    struct vqs_error cause = {0};
    if (output->viewing && vqs_background_idle(output->viewer)) {
        const double pause = VIEW_COST_FACTOR * output->view_seconds;
        if (!vqs_output_troubled(output) && vqs_journal_sync(output->journal, NULL) == VQS_OK) {
            sweep_checkpoints(output);
        }
        output->viewing = false;
        output->view_due = now + (pause > VIEW_SECONDS ? pause : VIEW_SECONDS);
        const bool failed = vqs_background_failure(output->viewer, &cause) != VQS_OK;
        if (failed && !output->view_failed) {
            tell(output, cause.text, "; the run goes on, the journal has every result");
        }
        output->view_failed = failed;
    }
    if (!output->viewing && now >= output->view_due) {
        output->viewing = true;
        vqs_background_ask(output->viewer);
    }
}

enum vqs_status vqs_output_tick(struct vqs_output *output, const char **news, struct vqs_error *err) {
    enum vqs_status status = vqs_lease_hold(output->lease, err);
    *news = NULL;
    if (status == VQS_OK && output->journal) {
        tick_journal(output, vqs_clock_seconds());
        tick_view(output, vqs_clock_seconds());
    }
    if (output->has_news) {
        *news = output->news;
        output->has_news = false;
    }
    return status;
}

enum vqs_status vqs_output_checkpoint(struct vqs_output *output, struct vqs_error *err) {
    output->unsynced = 0;
    output->view_due = 0;
    return output->journal ? vqs_journal_sync(output->journal, err) : VQS_OK;
}

void vqs_output_let_go(struct vqs_output *output) {
    vqs_lease_give_back(output->lease);
    output->lease = NULL;
}

/* ---- the view -------------------------------------------------------------------------------------------------- */

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
    return status;
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

enum vqs_status vqs_output_finish(struct vqs_output *output, struct vqs_error *err) {
    struct vqs_error cause = {0};
    enum vqs_status status = vqs_lease_hold(output->lease, err);
    if (status != VQS_OK || !output->journal) {
        return status;
    }
    vqs_background_wait(output->viewer);
    vqs_background_wait(output->syncer);
    output->must_renew |= vqs_background_failure(output->syncer, NULL) != VQS_OK;
    /* a sync that fails can be made up for once, by writing the journal anew */
    if (recover(output, NULL) != VQS_OK && recover(output, &cause) != VQS_OK) {
        return vqs_fail(err, VQS_ERR_UNFINISHED,
                        "%s; %zu finished trials could not be kept; mend that and run the same command again",
                        cause.text, output->n_backlog);
    }
    if (vqs_output_write(output, &cause) != VQS_OK) {
        return vqs_fail(err, VQS_ERR_UNFINISHED, "%s; every result is in %s; mend that and run the same command again",
                        cause.text, output->journal_path);
    }
    status = vqs_journal_close(output->journal, err);
    output->journal = NULL;
    sweep_checkpoints(output);
    rmdir(output->trials_folder); /* refuses while trials have yet to be finished */
    if (status == VQS_OK && is_complete(output) && unlink(output->journal_path) != 0) {
        status = vqs_fail(err, VQS_ERR_IO, "%s: cannot remove the journal: %s", output->journal_path, strerror(errno));
    }
    return status;
}
