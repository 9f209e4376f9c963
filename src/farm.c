/* farm.c - trials on the scheduler. */
#include "farm.h"

#include "vqsweep/train.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct vqs_farm_worker {
    struct vqs_trainer *trainer;
    struct vqs_record record;
    _Atomic(uint32_t) progress; /* changes as its trial gets on */
};

/* A task on its way to a rank of the same program. */
struct task {
    uint32_t trial, attempt;
    struct vqs_settings settings;
};

/* A signal handler can reach nothing else. Only ever counted up; rank 0's tick looks at it. */
static volatile sig_atomic_t signals;

static void count_signal(int number) {
    (void)number;
    signals = signals + 1;
}

/* A trial is stuck when it shows no progress for this many times the seconds that all of it should take, by the nominal
 * cost corrected by what trials took so far: generous, for a machine may be shared. */
static const double STALL_FACTOR = 20;

/* Two signals within this time are one: a launcher and a batch system may both pass on the same one. */
static const double ONE_SIGNAL_SECONDS = 0.25;

/* ---- every rank -------------------------------------------------------------------------------------------------- */

static void run_trial(void *ctx, int slot, const void *data, size_t size, struct vqs_bytes *result) {
    struct vqs_farm *farm = ctx;
    struct vqs_farm_worker *worker = &farm->workers[slot];
    struct vqs_record *record = &worker->record;
    struct task task;
    struct timespec now;
    size_t before = result->size;
    if (size != sizeof task) {
        return; /* an empty result: rank 0 reports it */
    }
    memcpy(&task, data, sizeof task);
    worker->progress++;
    vqs_begun_set(&farm->begun, slot, task.trial);
    vqs_trainer_run(worker->trainer, &task.settings, record, NULL); /* a failure is in the record */
    vqs_begun_clear(&farm->begun, slot);
    clock_gettime(CLOCK_REALTIME, &now);
    record->trial = task.trial;
    record->attempt = task.attempt;
    record->rank = farm->rank;
    record->finished_at = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    memcpy(record->host, farm->host, sizeof record->host);
    if (vqs_record_pack(record, result, NULL) != VQS_OK) {
        result->size = before;
    }
}

static uint32_t progress(void *ctx, int slot) {
    const struct vqs_farm *farm = ctx;
    return atomic_load(&farm->workers[slot].progress);
}

/* ---- rank 0 ------------------------------------------------------------------------------------------------------ */

static enum vqs_status describe(void *ctx, uint32_t trial, struct vqs_bytes *bytes, struct vqs_error *err) {
    const struct vqs_farm *farm = ctx;
    struct task task = {.trial = trial, .attempt = vqs_output_attempt(farm->output, trial)};
    vqs_plan_trial_settings(farm->plan, trial, &task.settings);
    return vqs_bytes_append(bytes, &task, sizeof task, err);
}

/* In place of a record that did not come: one that says so. Its bytes are in farm->scratch. */
static enum vqs_status make_failed_record(struct vqs_farm *farm, uint32_t trial, int rank, const char *message,
                                          struct vqs_record_head *head, struct vqs_error *err) {
    struct vqs_record record = {0};
    farm->scratch.size = 0;
    enum vqs_status status = vqs_record_reset(&record, 0, 0, 0, 0, err);
    record.key = vqs_plan_trial_key(farm->plan, trial);
    record.trial = trial;
    record.attempt = vqs_output_attempt(farm->output, trial);
    record.rank = rank;
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

/* Remember the first few failures by name. */
static void name_failure(struct vqs_farm *farm, uint32_t trial, const void *record, size_t size) {
    struct vqs_record whole = {0};
    char *text = farm->first_failures;
    size_t used = strlen(text), room = sizeof farm->first_failures - used;
    if (farm->state.failed == 1) {
        bool known = vqs_record_unpack(&whole, record, size, NULL) == VQS_OK;
        snprintf(text, room, "%u (%.140s)", trial, known ? whole.message : "given up by an earlier run");
        vqs_record_destroy(&whole);
    } else if (farm->state.failed <= 4) {
        snprintf(text + used, room, ", %u", trial);
    } else if (farm->state.failed == 5) {
        snprintf(text + used, room, " ...");
    }
}

/* The trial has its record, and is done with. */
static void count_record(struct vqs_farm *farm, uint32_t trial, const struct vqs_record_head *head, const void *record,
                         size_t size) {
    struct vqs_settings settings;
    vqs_plan_trial_settings(farm->plan, trial, &settings);
    double cost = vqs_trial_seconds(&settings);
    farm->state.cost_here += cost;
    farm->state.cost_left -= cost;
    farm->state.done++;
    farm->state.done_here++;
    farm->state.diverged += head->outcome == VQS_OUTCOME_DIVERGED;
    if (head->outcome == VQS_OUTCOME_FAILED) {
        farm->state.failed++;
        name_failure(farm, trial, record, size);
    }
}

static enum vqs_status on_result(void *ctx, uint32_t trial, int rank, const void *result, size_t size,
                                 struct vqs_error *err) {
    struct vqs_farm *farm = ctx;
    struct vqs_record_head head;
    enum vqs_status status = VQS_OK;
    if (vqs_record_peek(result, size, &head, NULL) != VQS_OK || head.trial != trial ||
        head.key != vqs_plan_trial_key(farm->plan, trial)) {
        const char *message =
            size ? "its rank sent something else than this trial's record" : "its rank had no memory for the record";
        status = make_failed_record(farm, trial, rank, message, &head, err);
        result = farm->scratch.data;
        size = farm->scratch.size;
    }
    if (status == VQS_OK) {
        status = vqs_output_append(farm->output, &head, result, size, err);
    }
    if (status == VQS_OK) {
        count_record(farm, trial, &head, result, size);
    }
    return status;
}

/* Every loss leaves a failed record, so that attempts are counted across restarts too. */
static bool on_loss(void *ctx, uint32_t trial, int rank, const char *why) {
    struct vqs_farm *farm = ctx;
    struct vqs_record_head head;
    const uint32_t attempt = vqs_output_attempt(farm->output, trial);
    const bool again = attempt % (uint32_t)farm->attempts != 0;
    char message[200];
    snprintf(message, sizeof message, "attempt %u: %s", attempt, why);
    enum vqs_status status = make_failed_record(farm, trial, rank, message, &head, farm->err);
    if (status == VQS_OK) {
        status = vqs_output_append(farm->output, &head, farm->scratch.data, farm->scratch.size, farm->err);
    }
    if (status == VQS_OK && !again) {
        count_record(farm, trial, &head, farm->scratch.data, farm->scratch.size);
    }
    farm->status = farm->status == VQS_OK ? status : farm->status;
    vqs_progress_clear(&farm->progress);
    fprintf(stderr, "vqsweep: warning: trial %u, %s; %s\n", trial, message,
            again ? "it is tried again" : "given up, the run goes on without it");
    return again;
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

/* The first signal stops the run; whatever comes after it in earnest ends the program. A launcher may follow its signal
 * with SIGKILL after a second, so the journal and the file are put in order before anything is waited for. */
static enum vqs_status heed_signals(struct vqs_farm *farm) {
    double now = vqs_clock_seconds();
    int seen = signals;
    if (seen == farm->signals_seen) {
        return VQS_OK;
    }
    farm->signals_seen = seen;
    if (farm->stop_at > 0 && now - farm->stop_at > ONE_SIGNAL_SECONDS) {
        enum vqs_status status = vqs_output_sync(farm->output, farm->err);
        vqs_progress_clear(&farm->progress);
        fprintf(stderr, "vqsweep: stopped at once; %s\n",
                status == VQS_OK ? "run the same command again to go on" : farm->err->text);
        _exit(vqs_status_exit_code(status == VQS_OK ? VQS_ERR_UNFINISHED : status));
    }
    if (farm->stop_at > 0) {
        return VQS_OK;
    }
    farm->stop_at = now;
    farm->state.stopping = true;
    if (!farm->progress.quiet) {
        vqs_progress_clear(&farm->progress);
        fprintf(stderr, "vqsweep: stopping: running trials are finished and kept; a second signal does not wait\n");
    }
    enum vqs_status status = vqs_output_sync(farm->output, farm->err);
    return status == VQS_OK ? vqs_output_write(farm->output, farm->err) : status;
}

static bool on_tick(void *ctx, uint32_t done, uint32_t in_flight) {
    struct vqs_farm *farm = ctx;
    (void)done;
    (void)in_flight;
    if (farm->status == VQS_OK) {
        farm->status = vqs_output_tick(farm->output, farm->err);
    }
    if (farm->status == VQS_OK) {
        farm->status = heed_signals(farm);
    }
    vqs_progress_update(&farm->progress, &farm->state);
    vqs_supervisor_running(&farm->supervisor);
    return farm->stop_at > 0 || farm->status != VQS_OK;
}

/* ---- life cycle -------------------------------------------------------------------------------------------------- */

struct costed {
    double seconds;
    uint32_t trial;
    bool suspect;
};

static int suspects_last_longest_first(const void *a, const void *b) {
    const struct costed *x = a, *y = b;
    if (x->suspect != y->suspect) {
        return x->suspect ? 1 : -1;
    }
    if (x->seconds != y->seconds) {
        return x->seconds > y->seconds ? -1 : 1;
    }
    return x->trial < y->trial ? -1 : x->trial > y->trial;
}

/* A trial is given up after so many attempts, until --retry-failed grants it as many more. */
static bool is_given_up(const struct vqs_farm *farm, uint32_t attempts) {
    return attempts > 0 && attempts % (uint32_t)farm->attempts == 0 && !farm->retry_failed;
}

/* Rank 0: the trials without a result, the longest first, and what they may cost. Those that came to nothing before are
 * tried last, for they may take a rank with them. */
static enum vqs_status make_order(struct vqs_farm *farm, struct vqs_error *err) {
    size_t n = vqs_plan_n_trials(farm->plan);
    struct costed *costed = malloc(n * sizeof *costed);
    farm->order = malloc(n * sizeof *farm->order);
    farm->seconds = malloc(n * sizeof *farm->seconds);
    if (!costed || !farm->order || !farm->seconds) {
        free(costed);
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the order of %zu trials", n);
    }
    for (size_t t = 0; t < n; t++) {
        const uint32_t attempts = vqs_output_attempt(farm->output, t) - 1;
        if (vqs_output_has(farm->output, t)) {
            continue;
        }
        if (is_given_up(farm, attempts)) {
            farm->state.failed++;
            name_failure(farm, (uint32_t)t, NULL, 0);
        } else {
            struct vqs_settings settings;
            const bool suspect = attempts > 0 || vqs_begun_found(&farm->begun, (uint32_t)t);
            vqs_plan_trial_settings(farm->plan, t, &settings);
            costed[farm->n_tasks] = (struct costed){vqs_trial_seconds(&settings), (uint32_t)t, suspect};
            farm->n_suspects += suspect;
            farm->state.cost_left += costed[farm->n_tasks++].seconds;
        }
    }
    qsort(costed, farm->n_tasks, sizeof *costed, suspects_last_longest_first);
    for (uint32_t i = 0; i < farm->n_tasks; i++) {
        farm->order[i] = costed[i].trial;
        farm->seconds[i] = (float)costed[i].seconds;
    }
    free(costed);
    farm->state.total = n;
    farm->state.done = n - farm->n_tasks;
    return VQS_OK;
}

enum vqs_status vqs_farm_create(struct vqs_farm *farm, struct vqs_error *err) {
    farm->workers = calloc((size_t)farm->slots, sizeof *farm->workers);
    if (!farm->workers) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate %d workers", farm->slots);
    }
    for (int s = 0; s < farm->slots; s++) {
        enum vqs_status status = vqs_trainer_create(farm->team, &farm->workers[s].trainer, err);
        if (status != VQS_OK) {
            return status;
        }
    }
    if (farm->plan) {
        vqs_begun_open(&farm->begun, farm->path, farm->slots);
    }
    return farm->plan ? make_order(farm, err) : VQS_OK;
}

void vqs_farm_destroy(struct vqs_farm *farm) {
    for (int s = 0; s < farm->slots && farm->workers; s++) {
        vqs_trainer_destroy(farm->workers[s].trainer);
        vqs_record_destroy(&farm->workers[s].record);
    }
    vqs_begun_close(&farm->begun, true);
    free(farm->workers);
    free(farm->order);
    free(farm->seconds);
    vqs_bytes_destroy(&farm->scratch);
}

/* Rank 0 counts the signals that stop a run; the other ranks leave when rank 0 says so. */
static void handle_signals(bool count) {
    static const int stopping[] = {SIGINT, SIGTERM, SIGUSR1};
    struct sigaction action = {.sa_handler = count ? count_signal : SIG_IGN, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++) {
        sigaction(stopping[i], &action, NULL);
    }
}

enum vqs_status vqs_farm_run(struct vqs_farm *farm, MPI_Comm comm, struct vqs_sched_summary *summary,
                             struct vqs_error *err) {
    struct vqs_sched_ops ops = {.ctx = farm,
                                .describe = describe,
                                .run = run_trial,
                                .on_result = on_result,
                                .on_tick = on_tick,
                                .on_loss = on_loss,
                                .on_rank = on_rank,
                                .progress = progress};
    struct vqs_sched_config config = {.order = farm->order,
                                      .n_tasks = farm->n_tasks,
                                      .n_suspects = farm->n_suspects,
                                      .slots = farm->slots,
                                      .prefetch = farm->prefetch,
                                      .silence = farm->silence,
                                      .stall = farm->stall,
                                      .factor = STALL_FACTOR,
                                      .seconds = farm->seconds};
    farm->err = err;
    handle_signals(farm->rank == 0);
    enum vqs_status status = vqs_sched_run(comm, &config, &ops, summary, err);
    vqs_begun_close(&farm->begun, farm->state.done < farm->state.total);
    vqs_progress_clear(&farm->progress);
    return status == VQS_OK ? farm->status : status;
}
