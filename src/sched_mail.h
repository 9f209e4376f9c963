/* sched_mail.h - parcels between ranks, without ever waiting.
 *
 * The one rule: one thread of a rank uses a mail, and no call blocks. Small parcels to the same rank that wait to be
 * posted go as one message, a letter. Sends leave from a parcel's own frame; receives are begun when a message shows
 * itself and finished when it is whole, so that a large message, or a sender that died in the middle of one, holds up
 * nobody. A message that never gets through keeps its memory: MPI may still write to it.
 *
 * Life cycle: zero-initialise but for `comm`; send, post, look and take any number of times; destroy.
 */
#ifndef VQS_SCHED_MAIL_H
#define VQS_SCHED_MAIL_H

#include "sched_parcel.h"
#include <mpi.h>

struct vqs_mail {
    MPI_Comm comm;
    struct vqs_parcels unposted; /* sent, but not on their way yet */
    struct vqs_parcel **letters; /* [ranks] the last of those to each rank, which takes more; NULL before the first */
    struct vqs_parcels arrived;  /* whole */
    int n, room;                 /* under way, either way: */
    struct vqs_parcel **parcels; /* [room] */
    MPI_Request *requests;       /* [room] theirs, side by side for MPI */
    int *through;                /* [room] scratch */
};

/* Takes the sealed parcel, which waits to be posted. */
void vqs_mail_send(struct vqs_mail *mail, struct vqs_parcel *parcel, int rank);
/* What was sent leaves. */
void vqs_mail_post(struct vqs_mail *mail);
/* Posts, moves on whatever is under way, and sees what has arrived. */
void vqs_mail_look(struct vqs_mail *mail);
/* A whole parcel that a look saw, now the caller's, or NULL. */
struct vqs_parcel *vqs_mail_take(struct vqs_mail *mail);
/* Whether a message of at least `size` bytes is under way in either direction, those with lost ranks aside. */
bool vqs_mail_busy(const struct vqs_mail *mail, size_t size);
/* Whether a message to `rank` is still under way. */
bool vqs_mail_leaving(const struct vqs_mail *mail, int rank);
/* `rank` was lost: what is under way to or from it may be so for ever. Should it arrive all the same, it is taken. */
void vqs_mail_lose(struct vqs_mail *mail, int rank);
/* Drops what has arrived and was not taken, and what was not posted; what is under way is left to MPI. */
void vqs_mail_destroy(struct vqs_mail *mail);

#endif
