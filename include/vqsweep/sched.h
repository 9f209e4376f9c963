/* sched.h - rank 0 hands out tasks, every rank works, rank 0 collects.
 *
 * The one rule: sched moves bytes and knows nothing of what they mean. `main` says how task i is described, how it is
 * run and what to do with its result. Only the thread that called vqs_sched_run touches MPI or the on_* callbacks;
 * worker threads only call `run`.
 *
 * Every rank, rank 0 included, has `slots` worker threads. A worker asks by having room: rank 0 keeps up to
 * slots + prefetch tasks at each rank, in the order of `order`, so that none waits for the other; while tasks take some
 * milliseconds or less, up to slots + 6 prefetch, so that a rank wakes once for several. The main threads nap
 * instead of spinning, 20 ms at most and 2 on rank 0: by so much a result, or the order to stop, may be late. After
 * start-up there are no collectives.
 *
 * A run that stops early (on_tick, a failure) lets running tasks finish and collects their results; tasks that no
 * worker has begun are handed back and stay undone.
 *
 * A rank that is silent for too long is lost, and a task without progress for too long is stuck, with its slot (a
 * thread cannot be ended from outside). on_loss decides whether the task is tried again elsewhere, as on_result does of
 * one that failed by itself. The run goes on with what is left, as long as rank 0 lives; a result that comes after all
 * counts if it is the first. A rank that hears nothing of rank 0 leaves. After a loss nothing collective works: see the
 * summary's `lost`.
 */
#ifndef VQSWEEP_SCHED_H
#define VQSWEEP_SCHED_H

#include "vqsweep/base.h"
#include <mpi.h>

/* What rank 0 does next. */
enum vqs_sched_order {
    VQS_SCHED_GO,   /* hand out tasks */
    VQS_SCHED_HOLD, /* hand out none for now; what is under way goes on */
    VQS_SCHED_STOP  /* hand out no more, and drain */
};

/* What becomes of a task. */
enum vqs_sched_verdict {
    VQS_SCHED_DONE,  /* it is done with */
    VQS_SCHED_AGAIN, /* it is tried again when all others are under way */
    VQS_SCHED_ALONE  /* the same, and no other runs at its rank meanwhile: a loss is its own fault then */
};

struct vqs_sched_ops {
    void *ctx;
    /* rank 0, main thread: append the description of task `task` to `bytes`. */
    enum vqs_status (*describe)(void *ctx, uint32_t task, struct vqs_bytes *bytes, struct vqs_error *err);
    /* any rank, worker thread `slot`: run a described task and append its result. A failure is a result too. */
    void (*run)(void *ctx, int slot, const void *task, size_t size, struct vqs_bytes *result);
    /* rank 0, main thread: a result arrived. *verdict is VQS_SCHED_DONE; another means that the result is none. A
     * failure stops the run, and no further results are delivered. An empty result may also mean that the rank had no
     * memory for one. */
    enum vqs_status (*on_result)(void *ctx, uint32_t task, int rank, const void *result, size_t size,
                                 enum vqs_sched_verdict *verdict, struct vqs_error *err);
    /* rank 0, main thread: `task` was running at `rank`, which is lost, or where it is stuck; `why` says so in words.
     * NULL: always try again. */
    enum vqs_sched_verdict (*on_loss)(void *ctx, uint32_t task, int rank, const char *why);
    /* rank 0, main thread: `rank` is lost after so many seconds of silence, or is back. May be NULL. */
    void (*on_rank)(void *ctx, int rank, bool back, double seconds);
    /* any rank, main thread: a number that changes while worker `slot` gets on with its task. NULL: it never does. */
    uint32_t (*progress)(void *ctx, int slot);
    /* rank 0, main thread, every 50 ms or so: progress, checkpoints. */
    enum vqs_sched_order (*on_tick)(void *ctx, uint32_t done, uint32_t in_flight);
    /* any rank, main thread: the run is being stopped; running tasks may be cut short. May be NULL. */
    void (*on_stop)(void *ctx);
};

struct vqs_sched_config {
    const uint32_t *order; /* rank 0: tasks in the order to hand them out; borrowed */
    uint32_t n_tasks;      /* rank 0 */
    uint32_t n_suspects; /* rank 0: so many at the end of `order` may end their rank; rank 0 gets them only if there is
                          * no other */
    uint32_t n_alone;    /* rank 0: so many of these, the last, run with no other at their rank */
    int slots;           /* worker threads of this rank, >= 1 */
    int prefetch;        /* tasks kept waiting at a rank beyond its slots, >= 0; more if they are short */
    /* When to give up; all 0: never. `seconds` and the stall are rank 0's. */
    double silence;       /* seconds after which a silent rank is lost; ranks wait 4 times as long for rank 0 */
    double stall, factor; /* a task is stuck after `stall` seconds without progress, or `factor` times those it is
                           * expected to take as a whole if that is more */
    const float *seconds; /* [n_tasks] those, in the order of `order`; borrowed; NULL: unknown */
};

struct vqs_sched_summary {
    uint32_t done;       /* results collected */
    bool stopped;        /* the run ended before every task was done */
    bool stranded;       /* that is because no rank was left that could take the rest: VQS_ERR_UNFINISHED */
    int lost;            /* every rank: ranks lost, to the knowledge of this one. If any, no MPI call may follow, not
                          * even MPI_Finalize, which may wait for them for ever: _exit */
    bool hung;           /* every rank: a worker thread is still running, and uses what `run` was given: _exit */
    double busy_seconds; /* rank 0: sum over ranks of time inside `run` */
    double wall_seconds;
};

/* Collective over `comm` (all ranks call it once, with MPI at least at MPI_THREAD_FUNNELED). The summary is valid on
 * rank 0. Returns the same status on every rank. */
enum vqs_status vqs_sched_run(MPI_Comm comm, const struct vqs_sched_config *config, const struct vqs_sched_ops *ops,
                              struct vqs_sched_summary *summary, struct vqs_error *err);

/* Collective set-up agreement: every rank brings its status; all return the first failure (lowest rank) with its text,
 * or VQS_OK. So that a set-up error on any rank ends all ranks together with one message. */
enum vqs_status vqs_sched_agree(MPI_Comm comm, enum vqs_status mine, struct vqs_error *err);
/* Collective: rank 0's bytes on every rank. */
enum vqs_status vqs_sched_broadcast(MPI_Comm comm, struct vqs_bytes *bytes, struct vqs_error *err);

#endif
