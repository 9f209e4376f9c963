/* farm.h - a run of trials on the scheduler: what it hands out, how a trial is run, what becomes of its record.
 *
 * The one rule: this is where sched (which moves bytes), trainer (which knows no ranks) and output (which is rank 0's)
 * meet. A task is a trial's number, attempt and settings; a result is its packed record, complete with rank, host and
 * time, so that rank 0 passes bytes on to the journal.
 *
 * Life cycle: fill in the first group on every rank and the second on rank 0, vqs_farm_create (local), vqs_farm_run
 * (collective), read the rest, vqs_farm_destroy.
 */
#ifndef VQS_FARM_H
#define VQS_FARM_H

#include "begun.h"
#include "output.h"
#include "progress.h"
#include "supervisor.h"
#include "vqsweep/sched.h"

struct vqs_farm_worker; /* trainer and record of one worker thread */

struct vqs_farm {
    /* every rank */
    int rank, slots, team, prefetch;
    double silence, stall; /* seconds (sched.h) */
    int attempts;          /* at a trial that is lost or stuck, before it is given up as failed */
    char host[64];
    /* rank 0 */
    const struct vqs_plan *plan;
    const char *path; /* of the output */
    bool retry_failed;
    struct vqs_output *output;
    struct vqs_progress progress;
    struct vqs_supervisor supervisor;
    struct vqs_begun begun;
    /* the farm's own */
    struct vqs_farm_worker *workers;
    uint32_t *order;
    float *seconds; /* expected of each trial, in that order */
    uint32_t n_tasks, n_suspects;
    struct vqs_bytes scratch;
    struct vqs_progress_state state; /* where the run stands; also the outcome */
    char first_failures[200];        /* "17 (why), 18, 21" */
    int signals_seen;
    double stop_at; /* when the first signal was seen; 0: none */
    enum vqs_status status;
    struct vqs_error *err;
};

enum vqs_status vqs_farm_create(struct vqs_farm *farm, struct vqs_error *err);
/* Collective. Runs every trial without a result, the longest first. SIGINT, SIGTERM and SIGUSR1 stop it (the summary
 * says so); a second one ends the program at once with the journal in order. */
enum vqs_status vqs_farm_run(struct vqs_farm *farm, MPI_Comm comm, struct vqs_sched_summary *summary,
                             struct vqs_error *err);
void vqs_farm_destroy(struct vqs_farm *farm);

#endif
