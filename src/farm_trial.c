/* farm_trial.c - trials on this rank. */
#include "farm_trial.h"

#include "vqsweep/data.h"
#include "vqsweep/kernels.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Memory for data sets that no trial uses at the moment but the next ones may. */
static const size_t CACHE_BYTES = (size_t)512 << 20;

struct vqs_farm_worker {
    struct vqs_farm *farm;
    struct vqs_trainer *trainer;
    struct vqs_record record;
    struct vqs_profile *profiles; /* [team], or NULL */
    /* the trial in work */
    struct vqs_farm_task task;
    char *path;     /* of its checkpoint */
    int from_epoch; /* where this run of it began */
    double began, saved;
    double earlier;             /* seconds it took in earlier runs */
    _Atomic(uint32_t) progress; /* changes as it gets on */
};

/* In place of a record: the trial was left and stays pending. */
static const char LEFT[] = "left";

/* ---- signals --------------------------------------------------------------------------------------------------- */

/* A signal handler can reach nothing else. Only ever counted up. */
static volatile sig_atomic_t signals;

static void count_signal(int number) {
    (void)number;
    signals = signals + 1;
}

int vqs_farm_signals(void) {
    return signals;
}

/* Every rank counts the signals that stop a run: rank 0 stops handing out, the others leave what takes too long. A
 * hangup that nohup has us ignore stays ignored. Who reads what we say may be gone, and a disk's quota used up: neither
 * ends the run. */
static void heed_signals(void) {
    static const int stopping[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP}, ignored[] = {SIGPIPE, SIGXFSZ};
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++) {
        if (stopping[i] != SIGHUP || (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)) {
            sigaction(stopping[i], &action, NULL);
        }
    }
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) {
        signal(ignored[i], SIG_IGN);
    }
}

/* ---- trials that are saved and left ---------------------------------------------------------------------------- */

/* They get three quarters of the grace; the last of it belongs to the result file. */
double vqs_farm_leave_after(const struct vqs_farm *farm, double now) {
    return fmin(now + 0.75 * farm->grace, farm->end_at - 0.25 * farm->grace);
}

void vqs_farm_leave(void *ctx) {
    struct vqs_farm *farm = ctx;
    double not_yet = 0;
    atomic_compare_exchange_strong(&farm->leave_by, &not_yet, vqs_farm_leave_after(farm, vqs_clock_seconds()));
}

bool vqs_farm_was_left(const void *result, size_t size) {
    return size == sizeof LEFT && !memcmp(result, LEFT, size);
}

static struct vqs_checkpoint_tag tag_of(const struct vqs_farm_worker *worker) {
    return (struct vqs_checkpoint_tag){vqs_settings_key(&worker->task.settings), vqs_code_version(),
                                       vqs_kernels_cpu_class()};
}

static bool resume_trial(void *ctx, struct vqs_trial_state *state) {
    struct vqs_farm_worker *worker = ctx;
    const struct vqs_checkpoint_tag tag = tag_of(worker);
    struct vqs_error err = {0};
    if (!worker->path || access(worker->path, F_OK) != 0) {
        return false;
    }
    if (vqs_checkpoint_load(worker->path, &tag, state, &worker->earlier, &err) != VQS_OK) {
        fprintf(stderr, "vqsweep: warning: trial %u: %s\n", worker->task.trial, err.text);
        return false;
    }
    worker->from_epoch = state->epoch;
    return true;
}

/* A checkpoint that cannot be written costs time later, never a result. */
static void save_trial(struct vqs_farm_worker *worker, const struct vqs_trial_state *state, double now) {
    const struct vqs_checkpoint_tag tag = tag_of(worker);
    struct vqs_error err = {0};
    worker->saved = now;
    if (!worker->path) {
        return;
    }
    if (vqs_checkpoint_save(worker->path, &tag, state, worker->earlier + now - worker->began, &err) == VQS_OK) {
        vqs_begun_clear(&worker->farm->begun, (int)(worker - worker->farm->workers));
    } else if (!atomic_exchange(&worker->farm->told_of_disk, true)) {
        fprintf(stderr, "vqsweep: warning: %s; trials go on without checkpoints until that is mended\n", err.text);
    }
}

/* After an epoch: whether the trial goes on. It does unless the run is stopping and the trial would take too long. */
static bool after_epoch(void *ctx, const struct vqs_trial_state *state) {
    struct vqs_farm_worker *worker = ctx;
    struct vqs_farm *farm = worker->farm;
    const double now = vqs_clock_seconds();
    worker->progress++;
    if (signals || now >= farm->end_at - farm->grace) {
        vqs_farm_leave(farm);
    }
    const double leave_by = atomic_load(&farm->leave_by);
    const double an_epoch = (now - worker->began) / (state->epoch - worker->from_epoch);
    const bool leaves = leave_by > 0 && now + an_epoch * (worker->task.settings.epochs - state->epoch) > leave_by;
    if (leaves || now - worker->saved >= farm->trial_checkpoint) {
        save_trial(worker, state, now);
    }
    return !leaves;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

void vqs_farm_run_trial(void *ctx, int slot, const void *data, size_t size, struct vqs_bytes *result) {
    struct vqs_farm *farm = ctx;
    struct vqs_farm_worker *worker = &farm->workers[slot];
    struct vqs_record *record = &worker->record;
    struct vqs_farm_task *task = &worker->task;
    struct timespec now;
    size_t before = result->size;
    if (size != sizeof *task) {
        return; /* an empty result: rank 0 reports it */
    }
    memcpy(task, data, sizeof *task);
    free(worker->path);
    worker->path = vqs_checkpoint_path(farm->trials_folder, task->trial, vqs_settings_key(&task->settings));
    worker->began = worker->saved = vqs_clock_seconds();
    worker->from_epoch = 0;
    worker->earlier = 0;
    worker->progress++;
    vqs_begun_set(&farm->begun, slot, vqs_settings_key(&task->settings));
    enum vqs_status status = vqs_trainer_run(worker->trainer, &task->settings, record, NULL);
    vqs_begun_clear(&farm->begun, slot);
    if (status == VQS_ERR_UNFINISHED) {
        vqs_bytes_append(result, LEFT, sizeof LEFT, NULL);
        return;
    } /* any other failure is in the record */
    clock_gettime(CLOCK_REALTIME, &now);
    record->trial = task->trial;
    record->attempt = task->attempt;
    record->rank = farm->rank;
    record->wall_seconds += worker->earlier;
    record->finished_at = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    memcpy(record->host, farm->host, sizeof record->host);
    snprintf(record->code_version, sizeof record->code_version, "%s", vqs_code_version());
    if (vqs_record_pack(record, result, NULL) != VQS_OK) {
        result->size = before;
    }
    vqs_profile_lap(worker->profiles, VQS_PHASE_RECORD);
}

struct vqs_profile vqs_farm_profile(const struct vqs_farm *farm) {
    struct vqs_profile sum = {0};
    for (int i = 0; i < farm->slots * farm->team; i++) {
        const struct vqs_profile *profiles = farm->workers[i / farm->team].profiles;
        if (profiles) { /* there may have been no memory for them */
            vqs_profile_add(&profiles[i % farm->team], &sum);
        }
    }
    return sum;
}

uint32_t vqs_farm_progress(void *ctx, int slot) {
    const struct vqs_farm *farm = ctx;
    return atomic_load(&farm->workers[slot].progress);
}

/* ---- life cycle ------------------------------------------------------------------------------------------------ */

enum vqs_status vqs_farm_create_workers(struct vqs_farm *farm, struct vqs_error *err) {
    heed_signals();
    farm->workers = calloc((size_t)farm->slots, sizeof *farm->workers);
    if (!farm->workers) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate %d workers", farm->slots);
    }
    enum vqs_status status = vqs_data_cache_create(CACHE_BYTES, &vqs_source_hdf5, &farm->cache, err);
    for (int s = 0; status == VQS_OK && s < farm->slots; s++) {
        struct vqs_farm_worker *worker = &farm->workers[s];
        const struct vqs_trial_hooks hooks = {.ctx = worker, .resume = resume_trial, .epoch = after_epoch};
        worker->farm = farm;
        status = vqs_trainer_create(farm->team, farm->cache, &worker->trainer, err);
        if (status == VQS_OK) {
            vqs_trainer_set_hooks(worker->trainer, &hooks);
            vqs_trainer_set_adapts(worker->trainer, farm->adapts);
        }
        if (status == VQS_OK && farm->profiled) {
            worker->profiles = calloc((size_t)farm->team, sizeof *worker->profiles);
            vqs_trainer_set_profiles(worker->trainer, worker->profiles);
        }
    }
    return status;
}

void vqs_farm_destroy_workers(struct vqs_farm *farm) {
    for (int s = 0; s < farm->slots && farm->workers; s++) {
        vqs_trainer_destroy(farm->workers[s].trainer);
        vqs_record_destroy(&farm->workers[s].record);
        free(farm->workers[s].path);
        free(farm->workers[s].profiles);
    }
    vqs_data_cache_destroy(farm->cache);
    free(farm->workers);
}
