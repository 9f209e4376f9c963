/* sched_dispatch.h - which task goes to which rank next, and which rank or task is not waited for any longer.
 *
 * The one rule: pure bookkeeping. No clock, no messages, no threads: whoever drives it (MPI, a test, a model of a
 * machine with 100,000 ranks) asks vqs_dispatch_next for a rank while that has room, reports vqs_dispatch_finish for
 * each task that comes back and what it hears of ranks and running tasks, and asks now and then what is overdue. Time
 * is the driver's: seconds during which it was listening, so that its own absence is held against nobody.
 *
 * A rank has room for one task a slot and for `prefetch` more, so that a slot need not wait for rank 0; for several
 * times as many while tasks are short, so that it need not ask so often. The prefetch shrinks to nothing as tasks run
 * out: a task waiting at a busy rank could be running at a free one.
 *
 * Giving up: a rank not heard of for too long is lost, and every task it had is given up. A running task that shows no
 * progress for too long is stuck; it is given up and its slot with it. What is given up goes back to be tried again, or
 * is settled, as the driver says. Its place at the rank stays taken until a result comes after all, which counts if it
 * is the first. A lost rank that is heard of again is a rank as before.
 *
 * What may have been the reason of a loss, or came to nothing by itself, is tried again last, so that it does not take
 * rank after rank while there is other work; and what may end its rank never goes to rank 0, the one rank that nobody
 * can do without, if there are others. A task that is to be alone goes to a rank that has nothing else, which gets
 * nothing else meanwhile: so a loss tells whose fault it was, and memory that was short beside others may do.
 */
#ifndef VQS_SCHED_DISPATCH_H
#define VQS_SCHED_DISPATCH_H

#include "vqsweep/base.h"

/* When to give up. Zero-initialised: never. */
struct vqs_dispatch_patience {
    double silence;       /* seconds without a word from a rank; 0: for ever */
    double stall;         /* seconds without progress that any running task is granted; 0: for ever */
    double factor;        /* and as many times the seconds that the task is expected to take as a whole */
    const float *seconds; /* [n_tasks] expected, by position in `order`; borrowed; NULL: unknown */
};

struct vqs_dispatch_entry { /* a task at a rank */
    uint32_t position;      /* in `order` */
    uint32_t progress;      /* as last heard */
    double since;           /* when that was new; negative: not known to be running */
    bool given_up, stuck;
    bool alone;
};

struct vqs_dispatch_rank {
    int slots, prefetch;
    int n_in_flight; /* those given up included */
    int n_stuck;     /* slots that hang */
    bool alone;      /* has a task that is to be alone */
    bool lost;
    double heard;
    struct vqs_dispatch_entry *in_flight; /* oldest first, a part of the dispatch's one block */
};

struct vqs_dispatch {
    const uint32_t *order; /* borrowed */
    uint32_t n_tasks;
    uint32_t next;        /* position in `order` of the next task to hand out for the first time */
    uint32_t n_settled;   /* have a result, or never will */
    uint32_t in_flight;   /* without those given up */
    unsigned char *flags; /* of each position */
    uint32_t *again;      /* positions to hand out again, before new ones */
    uint32_t n_again;
    bool stopped;
    bool held; /* nothing is handed out for now */
    int n_ranks;
    uint64_t n_slots; /* of all ranks, without the lost and the stuck */
    struct vqs_dispatch_patience patience;
    double expected, taken; /* seconds, over the tasks that came back */
    double lately;          /* seconds that a task took, averaged over the last few */
    struct vqs_dispatch_rank *ranks;
    struct vqs_dispatch_entry *block;
};

/* `rooms` is {slots, prefetch} of every rank. */
enum vqs_status vqs_dispatch_create(struct vqs_dispatch *dispatch, const uint32_t *order, uint32_t n_tasks, int n_ranks,
                                    const int (*rooms)[2], const struct vqs_dispatch_patience *patience,
                                    struct vqs_error *err);
void vqs_dispatch_destroy(struct vqs_dispatch *dispatch);
/* The last `n` tasks of `order` may end their rank; the last `alone` of these are to be alone. */
void vqs_dispatch_suspect(struct vqs_dispatch *dispatch, uint32_t n, uint32_t alone);
/* Whether `rank` gets another task now; if so it is `*task` and in flight. */
bool vqs_dispatch_next(struct vqs_dispatch *dispatch, int rank, uint32_t *task);

/* What a result is worth. */
enum vqs_dispatch_worth {
    VQS_DISPATCH_FIRST,  /* the task is settled by it */
    VQS_DISPATCH_LATE,   /* the task was given up and is settled already */
    VQS_DISPATCH_UNKNOWN /* the task is not at this rank */
};
/* A task came back from `rank` without having been begun. False if it was not there. */
bool vqs_dispatch_return(struct vqs_dispatch *dispatch, int rank, uint32_t task);

/* A word from `rank`. True when it had been lost. */
bool vqs_dispatch_heard(struct vqs_dispatch *dispatch, int rank, double now);
/* `rank` is running `task`, and has got as far as `progress`. */
void vqs_dispatch_running(struct vqs_dispatch *dispatch, int rank, uint32_t task, uint32_t progress, double now);

enum vqs_dispatch_cause {
    VQS_DISPATCH_SILENT, /* the rank itself; each of its tasks follows */
    VQS_DISPATCH_LOST,   /* a task of a lost rank */
    VQS_DISPATCH_STUCK,  /* a task that hangs, or waits behind those that do */
    VQS_DISPATCH_FAILED  /* a task whose result is none */
};
struct vqs_dispatch_loss {
    enum vqs_dispatch_cause cause;
    int rank;
    uint32_t task, position;
    bool begun;     /* the task may have been running, and be the reason; otherwise it only waited there */
    double seconds; /* of silence, or without progress */
};
/* A result came from `rank`, after `seconds` of running. If it turns out to be none, `*failure` is for
 * vqs_dispatch_retry; it may be NULL. */
enum vqs_dispatch_worth vqs_dispatch_finish(struct vqs_dispatch *dispatch, int rank, uint32_t task, double seconds,
                                            struct vqs_dispatch_loss *failure);
/* The next rank or task to be given up at time `now`, which it is from here on; false when there is none (any more).
 * The driver then says what is to become of a task: */
bool vqs_dispatch_overdue(struct vqs_dispatch *dispatch, double now, struct vqs_dispatch_loss *loss);
/* try again, */
void vqs_dispatch_retry(struct vqs_dispatch *dispatch, const struct vqs_dispatch_loss *loss, bool alone);
/* or nevermore. */
void vqs_dispatch_settle(struct vqs_dispatch *dispatch, const struct vqs_dispatch_loss *loss);

/* Hand out no more. */
void vqs_dispatch_stop(struct vqs_dispatch *dispatch);
/* Nothing is waited for, and nothing is left to hand out. */
bool vqs_dispatch_over(const struct vqs_dispatch *dispatch);
/* Nothing is waited for, though something is left: once no rank takes a task any more, none ever will. */
bool vqs_dispatch_idle(const struct vqs_dispatch *dispatch);

#endif
