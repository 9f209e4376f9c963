/* farm.c - trials on the scheduler. */
#include "farm.h"

#include "farm_trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A trial is stuck when it shows no progress for this many times the seconds that all of it should take, by the nominal
 * cost corrected by what trials took so far: generous, for a machine may be shared. */
static const double STALL_FACTOR = 20;

/* Failed attempts that are told one by one. */
enum { MOST_TOLD = 20 };

/* Two signals within this time are one: a launcher and a batch system may both pass on the same one. */
static const double ONE_SIGNAL_SECONDS = 0.25;

/* ---- rank 0 ---------------------------------------------------------------------------------------------------- */

static void say(struct vqs_farm *farm, const char *prefix, const char *text) {
    vqs_progress_clear(&farm->progress);
    fprintf(stderr, "vqsweep: %s%s\n", prefix, text);
}

static enum vqs_status describe(void *ctx, uint32_t trial, struct vqs_bytes *bytes, struct vqs_error *err) {
    const struct vqs_farm *farm = ctx;
    struct vqs_farm_task task = {.trial = trial, .attempt = vqs_output_attempt(farm->output, trial)};
    vqs_plan_trial_settings(farm->plan, trial, &task.settings);
    return vqs_bytes_append(bytes, &task, sizeof task, err);
}

/* In place of a record that did not come: one that says so. Its bytes are in farm->scratch. */
static enum vqs_status make_failed_record(struct vqs_farm *farm, uint32_t trial, int rank, const char *message,
                                          struct vqs_record_head *head, struct vqs_error *err) {
    struct vqs_record record = {0};
    farm->scratch.size = 0;
    enum vqs_status status = vqs_record_reset(&record, &(struct vqs_record_shape){0}, err);
    record.key = vqs_plan_trial_key(farm->plan, trial);
    record.trial = trial;
    record.attempt = vqs_output_attempt(farm->output, trial);
    record.rank = rank;
    snprintf(record.code_version, sizeof record.code_version, "%s", vqs_code_version());
    snprintf(record.message, sizeof record.message, "%s", message);
    if (status == VQS_OK) {
        vqs_record_seal(&record);
        status = vqs_record_pack(&record, &farm->scratch, err);
    }
    if (status == VQS_OK) {
        status = vqs_record_peek(farm->scratch.data, farm->scratch.size, head, err);
    }
    vqs_record_destroy(&record);
    return status;
}

/* Counts a trial that is given up, and remembers the first few by name. */
static void count_failure(struct vqs_farm *farm, uint32_t trial, const char *why) {
    char *text = farm->first_failures;
    size_t used = strlen(text), room = sizeof farm->first_failures - used;
    farm->state.failed++;
    if (farm->state.failed == 1) {
        snprintf(text, room, "%u (%.140s)", trial, why);
    } else if (farm->state.failed <= 4) {
        snprintf(text + used, room, ", %u", trial);
    } else if (farm->state.failed == 5) {
        snprintf(text + used, room, " ...");
    }
}

/* The trial is done with. */
static void count_trial(struct vqs_farm *farm, uint32_t trial) {
    struct vqs_settings settings;
    vqs_plan_trial_settings(farm->plan, trial, &settings);
    double cost = vqs_trial_seconds(&settings);
    farm->state.cost_here += cost;
    farm->state.cost_left -= cost;
    farm->state.done++;
    farm->state.done_here++;
}

/* A trial is given up after so many attempts, until --retry-failed grants it as many more. The last of them is made
 * with no other trial beside it at its rank: so it is not held to account for what others do, and has all memory. */
static enum vqs_sched_verdict after_attempt(const struct vqs_farm *farm, uint32_t attempt) {
    const uint32_t most = (uint32_t)farm->attempts, left = (most - attempt % most) % most;
    return left == 0 ? VQS_SCHED_DONE : left == 1 ? VQS_SCHED_ALONE : VQS_SCHED_AGAIN;
}

/* An attempt came to nothing, and its record is kept. Says so the first few times; the summary names what is given up.
 */
static void tell_of_attempt(struct vqs_farm *farm, uint32_t trial, uint32_t attempt, const char *why,
                            enum vqs_sched_verdict verdict) {
    char text[400];
    snprintf(text, sizeof text, "trial %u, attempt %u: %s; %s", trial, attempt, why,
             verdict == VQS_SCHED_DONE ? "given up, the run goes on without it" : "it is tried again");
    if (++farm->told_attempts <= MOST_TOLD) {
        say(farm, "warning: ", text);
    } else if (farm->told_attempts == MOST_TOLD + 1) {
        say(farm, "warning: ", "there are more failed attempts, which are not told here");
    }
}

/* The trial failed by itself: memory, a data file. Both may be a passing trouble, and failing costs little time. */
static enum vqs_sched_verdict on_failure(struct vqs_farm *farm, uint32_t trial, const struct vqs_record_head *head,
                                         const void *result, size_t size) {
    const enum vqs_sched_verdict verdict = after_attempt(farm, head->attempt);
    struct vqs_record record = {0};
    const char *why = vqs_record_unpack(&record, result, size, NULL) == VQS_OK ? record.message : "out of memory";
    tell_of_attempt(farm, trial, head->attempt, why, verdict);
    if (verdict == VQS_SCHED_DONE) {
        count_failure(farm, trial, why);
    }
    vqs_record_destroy(&record);
    return verdict;
}

static enum vqs_status on_result(void *ctx, uint32_t trial, int rank, const void *result, size_t size,
                                 enum vqs_sched_verdict *verdict, struct vqs_error *err) {
    struct vqs_farm *farm = ctx;
    struct vqs_record_head head;
    enum vqs_status status = VQS_OK;
    if (vqs_farm_was_left(result, size)) {
        return VQS_OK; /* it stays pending */
    }
    if (vqs_record_peek(result, size, &head, NULL) != VQS_OK || head.trial != trial ||
        head.key != vqs_plan_trial_key(farm->plan, trial)) {
        const char *message =
            size ? "its rank sent something else than this trial's record" : "its rank had no memory for the record";
        status = make_failed_record(farm, trial, rank, message, &head, err);
        result = farm->scratch.data;
        size = farm->scratch.size;
    }
    if (status == VQS_OK) {
        const double start = farm->profiled ? vqs_clock_seconds() : 0;
        status = vqs_output_append(farm->output, &head, result, size, err);
        farm->journal_seconds += farm->profiled ? vqs_clock_seconds() - start : 0;
    }
    if (status == VQS_OK && head.outcome == VQS_OUTCOME_FAILED) {
        *verdict = on_failure(farm, trial, &head, result, size);
    }
    if (status == VQS_OK && *verdict == VQS_SCHED_DONE) {
        farm->state.diverged += head.outcome == VQS_OUTCOME_DIVERGED;
        count_trial(farm, trial);
    }
    return status;
}

/* Every loss leaves a failed record, so that attempts are counted across restarts too. */
static enum vqs_status keep_loss(struct vqs_farm *farm, uint32_t trial, int rank, const char *why,
                                 enum vqs_sched_verdict *verdict, struct vqs_error *err) {
    struct vqs_record_head head;
    const uint32_t attempt = vqs_output_attempt(farm->output, trial);
    *verdict = after_attempt(farm, attempt);
    enum vqs_status status = make_failed_record(farm, trial, rank, why, &head, err);
    status = status ? status : vqs_output_append(farm->output, &head, farm->scratch.data, farm->scratch.size, err);
    tell_of_attempt(farm, trial, attempt, why, *verdict);
    return status;
}

static enum vqs_sched_verdict on_loss(void *ctx, uint32_t trial, int rank, const char *why) {
    struct vqs_farm *farm = ctx;
    enum vqs_sched_verdict verdict;
    enum vqs_status status = keep_loss(farm, trial, rank, why, &verdict, farm->err);
    if (status == VQS_OK && verdict == VQS_SCHED_DONE) {
        count_failure(farm, trial, why);
        count_trial(farm, trial);
    }
    farm->status = farm->status == VQS_OK ? status : farm->status;
    return verdict;
}

static void on_rank(void *ctx, int rank, bool back, double seconds) {
    struct vqs_farm *farm = ctx;
    vqs_progress_clear(&farm->progress);
    if (back) {
        fprintf(stderr, "vqsweep: rank %d is back\n", rank);
    } else {
        fprintf(stderr, "vqsweep: warning: rank %d is lost, silent for %.0f s; the run goes on without it\n", rank,
                seconds);
    }
}

/* No more waiting: the journal is put in order, and the lease goes with the process. */
static void leave_now(struct vqs_farm *farm) {
    struct vqs_error err = {0};
    enum vqs_status status = vqs_output_checkpoint(farm->output, &err);
    say(farm, "stopped at once; ", status == VQS_OK ? "run the same command again to go on" : err.text);
    vqs_output_let_go(farm->output);
    vqs_begun_close(&farm->begun);
    _exit(vqs_status_exit_code(VQS_ERR_UNFINISHED));
}

/* The first signal, or the end of the time limit coming near, stops the run; a signal in earnest after that ends the
 * program. A launcher may follow its signal with SIGKILL after a second, so the journal is put in order, and the file
 * is written, before anything is waited for. */
static void heed_stops(struct vqs_farm *farm) {
    const double now = vqs_clock_seconds();
    const bool signalled = vqs_farm_signals() != farm->signals_seen;
    farm->signals_seen = vqs_farm_signals();
    if (farm->stop_at > 0) {
        if (signalled && now - farm->stop_at > ONE_SIGNAL_SECONDS) {
            leave_now(farm);
        }
        return;
    }
    if (!signalled && now < farm->end_at - farm->grace) {
        return;
    }
    farm->stop_at = now;
    farm->state.stopping = true;
    for (int s = 0; s < farm->slots; s++) { /* if the end comes now, it is not the trials' doing */
        vqs_begun_clear(&farm->begun, s);
    }
    if (!farm->progress.quiet) {
        char left[32], text[200];
        vqs_progress_duration(vqs_farm_leave_after(farm, now) - now, left, sizeof left);
        snprintf(text, sizeof text,
                 "trials that end within %s are finished, others are saved; a second signal does not wait", left);
        say(farm, signalled ? "stopping: " : "stopping before the time limit: ", text);
    }
    struct vqs_error err = {0};
    if (vqs_output_checkpoint(farm->output, &err) != VQS_OK) { /* the output tries again by itself */
        say(farm, "warning: ", err.text);
    }
}

static enum vqs_sched_order on_tick(void *ctx, uint32_t done, uint32_t in_flight) {
    struct vqs_farm *farm = ctx;
    const char *news;
    (void)done;
    (void)in_flight;
    if (farm->status == VQS_OK) {
        farm->status = vqs_output_tick(farm->output, &news, farm->err);
        if (news) {
            say(farm, "warning: ", news);
        }
    }
    heed_stops(farm);
    vqs_progress_update(&farm->progress, &farm->state);
    vqs_supervisor_running(&farm->supervisor);
    return farm->stop_at > 0 || farm->status != VQS_OK ? VQS_SCHED_STOP
           : vqs_output_troubled(farm->output)         ? VQS_SCHED_HOLD
                                                       : VQS_SCHED_GO;
}

/* ---- life cycle ------------------------------------------------------------------------------------------------ */

struct costed {
    double seconds;
    int suspect; /* 2: and to be alone */
    int size;    /* trials of equal size differ by less than a factor of 4 in cost */
    uint64_t data;
    uint32_t trial;
};

/* The long ones first, so that the run ends on short ones; among those of a size, trials on the same data side by side,
 * so that a rank makes it once. What came to nothing before is tried last, for it may take a rank with it. */
static int dispatch_order(const void *a, const void *b) {
    const struct costed *x = a, *y = b;
    if (x->suspect != y->suspect) {
        return x->suspect > y->suspect ? 1 : -1;
    }
    if (x->size != y->size) {
        return x->size > y->size ? -1 : 1;
    }
    if (x->data != y->data) {
        return x->data < y->data ? -1 : 1;
    }
    if (x->seconds != y->seconds) {
        return x->seconds > y->seconds ? -1 : 1;
    }
    return x->trial < y->trial ? -1 : x->trial > y->trial;
}

static bool is_given_up(const struct vqs_farm *farm, uint32_t attempts) {
    return attempts > 0 && !farm->retry_failed &&
           (farm->only_pending || after_attempt(farm, attempts) == VQS_SCHED_DONE);
}

/* Rank 0: an attempt came to nothing at every trial that an earlier rank 0 was running when it died. */
static enum vqs_status count_deaths(struct vqs_farm *farm, struct vqs_error *err) {
    enum vqs_status status = VQS_OK;
    for (size_t t = 0; t < vqs_plan_n_trials(farm->plan) && farm->begun.n_found && status == VQS_OK; t++) {
        enum vqs_sched_verdict verdict;
        if (vqs_begun_found(&farm->begun, vqs_plan_trial_key(farm->plan, t)) && vqs_shard_has(&farm->shard, t) &&
            !vqs_output_has(farm->output, t)) {
            status = keep_loss(farm, (uint32_t)t, 0, "rank 0 died while it was running there", &verdict, err);
        }
    }
    return status;
}

/* Rank 0: the trials without a result, in the order to hand them out, and what they may cost. */
static enum vqs_status make_order(struct vqs_farm *farm, struct vqs_error *err) {
    size_t n = vqs_plan_n_trials(farm->plan), in_shard = 0;
    struct costed *costed = malloc(n * sizeof *costed);
    farm->order = malloc(n * sizeof *farm->order);
    farm->seconds = malloc(n * sizeof *farm->seconds);
    if (!costed || !farm->order || !farm->seconds) {
        free(costed);
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the order of %zu trials", n);
    }
    for (size_t t = 0; t < n; t++) {
        const uint32_t attempts = vqs_output_attempt(farm->output, t) - 1;
        if (!vqs_shard_has(&farm->shard, t)) {
            continue;
        }
        in_shard++;
        if (vqs_output_has(farm->output, t)) {
            continue;
        }
        if (is_given_up(farm, attempts)) {
            count_failure(farm, (uint32_t)t, "given up before; vqsweep show tells why");
        } else {
            struct vqs_settings settings;
            const int suspect = attempts == 0 ? 0 : after_attempt(farm, attempts) == VQS_SCHED_ALONE ? 2 : 1;
            vqs_plan_trial_settings(farm->plan, t, &settings);
            const double seconds = vqs_trial_seconds(&settings);
            costed[farm->n_tasks++] = (struct costed){seconds, suspect, (int)floor(log2(seconds) / 2),
                                                      vqs_settings_data_key(&settings), (uint32_t)t};
            farm->n_suspects += suspect > 0;
            farm->n_alone += suspect == 2;
            farm->state.cost_left += seconds;
        }
    }
    qsort(costed, farm->n_tasks, sizeof *costed, dispatch_order);
    for (uint32_t i = 0; i < farm->n_tasks; i++) {
        farm->order[i] = costed[i].trial;
        farm->seconds[i] = (float)costed[i].seconds;
    }
    free(costed);
    farm->state.total = in_shard;
    farm->state.done = in_shard - farm->n_tasks;
    return VQS_OK;
}

enum vqs_status vqs_farm_create(struct vqs_farm *farm, struct vqs_error *err) {
    enum vqs_status status = vqs_farm_create_workers(farm, err);
    if (status == VQS_OK && farm->plan) {
        vqs_begun_open(&farm->begun, farm->path);
        status = count_deaths(farm, err);
        status = status ? status : make_order(farm, err);
    }
    return status;
}

void vqs_farm_destroy(struct vqs_farm *farm) {
    vqs_farm_destroy_workers(farm);
    vqs_begun_close(&farm->begun);
    free(farm->order);
    free(farm->seconds);
    vqs_bytes_destroy(&farm->scratch);
}

/* The last records may still wait for a disk that is full: until there is room, a signal or the time limit. */
static void wait_for_disk(struct vqs_farm *farm) {
    const struct timespec nap = {0, 50000000};
    while (farm->status == VQS_OK && vqs_output_troubled(farm->output) && farm->stop_at == 0) {
        nanosleep(&nap, NULL);
        on_tick(farm, 0, 0);
    }
}

enum vqs_status vqs_farm_run(struct vqs_farm *farm, MPI_Comm comm, struct vqs_sched_summary *summary,
                             struct vqs_error *err) {
    struct vqs_sched_ops ops = {.ctx = farm,
                                .describe = describe,
                                .run = vqs_farm_run_trial,
                                .on_result = on_result,
                                .on_tick = on_tick,
                                .on_stop = vqs_farm_leave,
                                .on_loss = on_loss,
                                .on_rank = on_rank,
                                .progress = vqs_farm_progress};
    struct vqs_sched_config config = {.order = farm->order,
                                      .n_tasks = farm->n_tasks,
                                      .n_suspects = farm->n_suspects,
                                      .n_alone = farm->n_alone,
                                      .slots = farm->slots,
                                      .prefetch = farm->prefetch,
                                      .silence = farm->silence,
                                      .stall = farm->stall,
                                      .factor = STALL_FACTOR,
                                      .seconds = farm->seconds};
    farm->err = err;
    enum vqs_status status = vqs_sched_run(comm, &config, &ops, summary, err);
    if (status == VQS_OK && farm->rank == 0) {
        wait_for_disk(farm);
    }
    vqs_begun_close(&farm->begun);
    vqs_progress_clear(&farm->progress);
    return status == VQS_OK ? farm->status : status;
}

size_t vqs_farm_left(const struct vqs_farm *farm) {
    return farm->n_tasks - farm->state.done_here;
}
