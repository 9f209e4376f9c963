/* farm.h - a run of trials on the scheduler: what it hands out, how a trial is run, what becomes of its record.
 *
 * The one rule: this is where sched (which moves bytes), trainer (which knows no ranks) and output (which is rank 0's)
 * meet. A task is a trial's number, attempt and settings; a result is its packed record, complete with rank, host and
 * time, so that rank 0 passes bytes on to the journal.
 *
 * A run is stopped by a signal or by its time limit. From then on no trial is begun; a running one goes on if it is
 * likely to end within the grace, and is otherwise left at the end of its epoch, with a checkpoint (checkpoint.h).
 *
 * Life cycle: fill in the first group on every rank and the second on rank 0, vqs_farm_create (local), vqs_farm_run
 * (collective), read the rest, vqs_farm_destroy.
 */
#ifndef VQS_FARM_H
#define VQS_FARM_H

#include "begun.h"
#include "checkpoint.h"
#include "output.h"
#include "progress.h"
#include "supervisor.h"
#include "vqsweep/profile.h"
#include "vqsweep/sched.h"

#include <stdatomic.h>

struct vqs_farm_worker; /* trainer and record of one worker thread */

struct vqs_farm {
    /* every rank */
    int rank, slots, team, prefetch;
    bool adapts; /* teams do (train.h) */
    double silence, stall; /* seconds (sched.h) */
    int attempts;          /* at a trial that fails, is lost or is stuck, before it is given up */
    char host[64];
    const char *trials_folder; /* of checkpoints */
    double trial_checkpoint;   /* seconds between those of a trial */
    double end_at;             /* when the time limit ends, on vqs_clock_seconds; INFINITY: never */
    bool profiled;             /* time is booked to phases */
    double grace;              /* seconds before that, or after a signal, for stopping */
    /* rank 0 */
    const struct vqs_plan *plan;
    const char *path; /* of the output */
    struct vqs_output *output;
    struct vqs_shard shard;
    bool retry_failed, only_pending;
    struct vqs_progress progress;
    struct vqs_supervisor supervisor;
    struct vqs_begun begun;
    /* the farm's own */
    struct vqs_farm_worker *workers;
    struct vqs_data_cache *cache; /* shared by the workers */
    uint32_t *order;
    float *seconds;                        /* expected of each trial, in that order */
    uint32_t n_tasks, n_suspects, n_alone; /* the last two: of those, as sched.h has them */
    struct vqs_bytes scratch;
    struct vqs_progress_state state; /* where the run stands; also the outcome */
    char first_failures[200];        /* "17 (why), 18, 21" */
    int signals_seen;
    int told_attempts;          /* failed ones that were told of */
    double journal_seconds;     /* rank 0: of its main thread, if `profiled` */
    double stop_at;             /* when the first signal was seen or the time limit came near; 0: none */
    _Atomic(double) leave_by;   /* when running trials must have ended or been left; 0: not stopping */
    _Atomic(bool) told_of_disk; /* a checkpoint could not be written, which is said once */
    enum vqs_status status;
    struct vqs_error *err;
};

enum vqs_status vqs_farm_create(struct vqs_farm *farm, struct vqs_error *err);
/* Collective. Runs every trial of the shard without a result, the longest first. SIGINT, SIGTERM, SIGUSR1, SIGHUP (from
 * vqs_farm_create on) and the time limit stop it; a second signal ends the program at once with the journal in order.
 */
enum vqs_status vqs_farm_run(struct vqs_farm *farm, MPI_Comm comm, struct vqs_sched_summary *summary,
                             struct vqs_error *err);
/* What the workers of this rank booked, if `profiled`. */
struct vqs_profile vqs_farm_profile(const struct vqs_farm *farm);
/* Rank 0: trials of the shard that were to be run and have no record yet. */
size_t vqs_farm_left(const struct vqs_farm *farm);
void vqs_farm_destroy(struct vqs_farm *farm);

#endif
