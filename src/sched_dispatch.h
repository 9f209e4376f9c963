/* sched_dispatch.h - which task goes to which rank next.
 *
 * The one rule: pure bookkeeping. No clock, no messages, no threads: whoever drives it (MPI, a test, a model of a
 * machine with 100,000 ranks) asks vqs_dispatch_next for a rank while that has room, and reports vqs_dispatch_finish
 * for each task that comes back. Every operation costs the same however many ranks and tasks there are, but for
 * vqs_dispatch_finish, which looks through the few tasks of one rank.
 *
 * A rank has room for one task a slot and for `prefetch` more, so that a slot need not wait for rank 0. The prefetch
 * shrinks to nothing as tasks run out: a task waiting at a busy rank could be running at a free one.
 */
#ifndef VQS_SCHED_DISPATCH_H
#define VQS_SCHED_DISPATCH_H

#include "vqsweep/base.h"

struct vqs_dispatch_rank {
    int slots, prefetch;
    int n_in_flight;
    uint32_t *in_flight; /* [slots + prefetch], a part of the dispatch's one block */
};

struct vqs_dispatch {
    const uint32_t *order; /* borrowed */
    uint32_t n_tasks;
    uint32_t next; /* position in `order` of the next task to hand out */
    uint32_t in_flight;
    bool stopped;
    bool held; /* nothing is handed out for now */
    int n_ranks;
    uint64_t total_slots;
    struct vqs_dispatch_rank *ranks;
    uint32_t *block;
};

/* `rooms` is {slots, prefetch} of every rank. */
enum vqs_status vqs_dispatch_create(struct vqs_dispatch *dispatch, const uint32_t *order, uint32_t n_tasks, int n_ranks,
                                    const int (*rooms)[2], struct vqs_error *err);
void vqs_dispatch_destroy(struct vqs_dispatch *dispatch);
/* Whether `rank` gets another task now; if so it is `*task` and in flight. */
bool vqs_dispatch_next(struct vqs_dispatch *dispatch, int rank, uint32_t *task);
/* A task came back from `rank`. False if it was not in flight there. */
bool vqs_dispatch_finish(struct vqs_dispatch *dispatch, int rank, uint32_t task);
/* Hand out no more. */
void vqs_dispatch_stop(struct vqs_dispatch *dispatch);
/* Nothing in flight and nothing left to hand out. */
bool vqs_dispatch_over(const struct vqs_dispatch *dispatch);

#endif
