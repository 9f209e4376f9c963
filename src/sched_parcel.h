/* sched_parcel.h - one message between rank 0 and a rank, or between a main thread and its worker threads.
 *
 * The one rule: a parcel has one owner. Handing it to the pool or to the mail gives it away; taking it back makes the
 * taker its owner. A parcel that brings a task to a worker thread brings its result back.
 *
 * The frame is a header and then the payload, padded to whole 8-byte words, because MPI counts in `int`: words let a
 * message grow to 16 GiB.
 */
#ifndef VQS_SCHED_PARCEL_H
#define VQS_SCHED_PARCEL_H

#include "vqsweep/base.h"

enum vqs_parcel_kind {
    VQS_PARCEL_TASK,   /* rank 0 -> rank: run this */
    VQS_PARCEL_RESULT, /* rank -> rank 0: what came of it */
    VQS_PARCEL_UNDONE, /* rank -> rank 0: the run stopped before this task was begun */
    VQS_PARCEL_STOP,   /* rank 0 -> rank: finish what is running, hand back what is waiting */
    VQS_PARCEL_BEAT,   /* rank 0 -> rank: still there. rank -> rank 0: still there, and what each slot is doing */
    VQS_PARCEL_GOODBYE /* rank 0 -> rank: nothing more will come; `task` is the status, the payload a struct
                        * vqs_parcel_goodbye. rank -> rank 0: nothing more will come */
};

struct vqs_parcel_header {
    uint32_t kind, task;
    double busy;   /* seconds inside `run` */
    uint64_t size; /* of the payload, without padding */
};

/* The payload of a beat: one of these for each slot that is running a task. */
struct vqs_parcel_slot {
    uint32_t task, progress;
};

/* The payload of rank 0's goodbye. */
struct vqs_parcel_goodbye {
    int32_t n_lost; /* ranks that will not hear it: nothing collective works any more */
    char text[sizeof(((struct vqs_error *)0)->text)];
};

struct vqs_parcel {
    struct vqs_parcel *next;
    struct vqs_bytes frame;
    int rank;       /* under way or received: whom to or from */
    bool leaving;   /* under way: to, not from */
    bool unawaited; /* under way, but maybe for ever: to or from a rank that was lost */
};

/* A parcel with a header and no payload; NULL when there is no memory. */
struct vqs_parcel *vqs_parcel_create(enum vqs_parcel_kind kind, uint32_t task);
void vqs_parcel_destroy(struct vqs_parcel *parcel);
struct vqs_parcel_header *vqs_parcel_header(const struct vqs_parcel *parcel);
const unsigned char *vqs_parcel_payload(const struct vqs_parcel *parcel);
/* After the payload has been appended to the frame: note its size in the header. */
void vqs_parcel_seal(struct vqs_parcel *parcel);

/* A queue of parcels, first in, first out. Zero-initialise. */
struct vqs_parcels {
    struct vqs_parcel *first, *last;
    size_t n;
};
void vqs_parcels_put(struct vqs_parcels *queue, struct vqs_parcel *parcel);
struct vqs_parcel *vqs_parcels_take(struct vqs_parcels *queue); /* NULL when empty */

#endif
