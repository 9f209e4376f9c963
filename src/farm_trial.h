/* farm_trial.h - the part of the farm that every rank has: workers that run trials, save them, and leave them when the
 * run is being stopped. For farm.c only.
 *
 * The one rule: what becomes of a trial is in the bytes that a worker returns, its packed record or the word that it
 * was left; rank 0 decides what that means. */
#ifndef VQS_FARM_TRIAL_H
#define VQS_FARM_TRIAL_H

#include "farm.h"

/* A task on its way to a rank of the same program. */
struct vqs_farm_task {
    uint32_t trial, attempt;
    struct vqs_settings settings;
};

/* Also has signals stop the run from here on. */
enum vqs_status vqs_farm_create_workers(struct vqs_farm *farm, struct vqs_error *err);
void vqs_farm_destroy_workers(struct vqs_farm *farm);

/* vqs_sched_ops: run, progress, on_stop */
void vqs_farm_run_trial(void *farm, int slot, const void *task, size_t size, struct vqs_bytes *result);
uint32_t vqs_farm_progress(void *farm, int slot);
void vqs_farm_leave(void *farm);

/* Whether the result says that the trial was left, and stays pending. */
bool vqs_farm_was_left(const void *result, size_t size);
/* When trials that are running must have ended, if the run is stopped now. */
double vqs_farm_leave_after(const struct vqs_farm *farm, double now);
/* Signals to stop that this process has had. */
int vqs_farm_signals(void);

#endif
