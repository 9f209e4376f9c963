/* sched_mail.c - non-blocking messages over MPI. */
#include "sched_mail.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { TAG = 1, WORD = 8 };

/* Neither a receive nor a send can be refused half-way: the other side counts on it. Everything finished is in the
 * journal, so ending the run is the honest way out. */
static void give_up(const struct vqs_mail *mail, const char *what, size_t size) {
    fprintf(stderr, "vqsweep: %s of %zu bytes between ranks; the run is aborted, run the same command again\n", what,
            size);
    MPI_Abort(mail->comm, vqs_status_exit_code(VQS_ERR_MEMORY));
    abort();
}

void vqs_mail_send(struct vqs_mail *mail, struct vqs_parcel *parcel, int rank) {
    static const unsigned char zeros[WORD];
    size_t size = parcel->frame.size, words = (size + WORD - 1) / WORD;
    if (words > INT_MAX || vqs_bytes_append(&parcel->frame, zeros, words * WORD - size, NULL) != VQS_OK) {
        give_up(mail, "cannot send a message", size);
    }
    parcel->rank = rank;
    MPI_Isend(parcel->frame.data, (int)words, MPI_UINT64_T, rank, TAG, mail->comm, &parcel->request);
    vqs_parcels_put(&mail->leaving, parcel);
}

/* The first parcel of the queue that is through, taken out of it; NULL when none is. */
static struct vqs_parcel *take_completed(struct vqs_parcels *queue) {
    struct vqs_parcel *previous = NULL;
    for (struct vqs_parcel *p = queue->first; p; previous = p, p = p->next) {
        int through;
        MPI_Test(&p->request, &through, MPI_STATUS_IGNORE);
        if (through) {
            *(previous ? &previous->next : &queue->first) = p->next;
            queue->last = queue->last == p ? previous : queue->last;
            return p;
        }
    }
    return NULL;
}

/* Begin to receive the next message that has shown itself. Looks twice, because the first look may only have moved
 * MPI's own machinery on. */
static bool begin_receive(struct vqs_mail *mail) {
    MPI_Message message;
    MPI_Status status;
    int found = 0, words;
    for (int look = 0; look < 2 && !found; look++) {
        MPI_Improbe(MPI_ANY_SOURCE, TAG, mail->comm, &found, &message, &status);
    }
    if (!found) {
        return false;
    }
    MPI_Get_count(&status, MPI_UINT64_T, &words);
    size_t size = (size_t)words * WORD;
    struct vqs_parcel *parcel = calloc(1, sizeof *parcel);
    if (!parcel || !(parcel->frame.data = malloc(size))) {
        give_up(mail, "no memory for a message", size);
    }
    parcel->frame.size = parcel->frame.capacity = size;
    parcel->rank = status.MPI_SOURCE;
    MPI_Imrecv(parcel->frame.data, words, MPI_UINT64_T, &message, &parcel->request);
    vqs_parcels_put(&mail->arriving, parcel);
    return true;
}

struct vqs_parcel *vqs_mail_receive(struct vqs_mail *mail) {
    for (struct vqs_parcel *sent; (sent = take_completed(&mail->leaving));) {
        vqs_parcel_destroy(sent);
    }
    struct vqs_parcel *parcel;
    do {
        parcel = take_completed(&mail->arriving);
    } while (!parcel && begin_receive(mail));
    return parcel;
}

static bool any_awaited(const struct vqs_parcels *queue) {
    const struct vqs_parcel *p = queue->first;
    while (p && p->unawaited) {
        p = p->next;
    }
    return p != NULL;
}

bool vqs_mail_busy(const struct vqs_mail *mail) {
    return any_awaited(&mail->leaving) || any_awaited(&mail->arriving);
}

bool vqs_mail_leaving(const struct vqs_mail *mail, int rank) {
    const struct vqs_parcel *p = mail->leaving.first;
    while (p && p->rank != rank) {
        p = p->next;
    }
    return p != NULL;
}

void vqs_mail_lose(struct vqs_mail *mail, int rank) {
    const struct vqs_parcels *queues[] = {&mail->leaving, &mail->arriving};
    for (int q = 0; q < 2; q++) {
        for (struct vqs_parcel *p = queues[q]->first; p; p = p->next) {
            p->unawaited = p->unawaited || p->rank == rank;
        }
    }
}
