/* sched_mail.c - non-blocking messages over MPI. */
#include "sched_mail.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* At most so many messages are begun in one look: the caller has a clock to watch as well. A letter is at most so many
 * bytes: what transports send without asking first. */
enum { TAG = 1, WORD = 8, MOST_AT_ONCE = 64, LETTER = 4000 };

/* Neither a receive nor a send can be refused half-way: the other side counts on it. Everything finished is in the
 * journal, so ending the run is the honest way out. */
static void give_up(const struct vqs_mail *mail, const char *what, size_t size) {
    fprintf(stderr, "vqsweep: %s of %zu bytes between ranks; the run is aborted, run the same command again\n", what,
            size);
    MPI_Abort(mail->comm, vqs_status_exit_code(VQS_ERR_MEMORY));
    abort();
}

/* Room for one more message under way. */
static void make_room(struct vqs_mail *mail) {
    if (mail->n < mail->room) {
        return;
    }
    size_t room = 2 * (size_t)mail->room + 8;
    MPI_Request *requests = realloc(mail->requests, room * sizeof *requests);
    mail->requests = requests ? requests : mail->requests;
    struct vqs_parcel **parcels = realloc(mail->parcels, room * sizeof *parcels);
    mail->parcels = parcels ? parcels : mail->parcels;
    int *through = realloc(mail->through, room * sizeof *through);
    mail->through = through ? through : mail->through;
    if (!requests || !parcels || !through || room > INT_MAX) {
        give_up(mail, "no memory for the list of messages", room);
    }
    mail->room = (int)room;
}

static void append(const struct vqs_mail *mail, struct vqs_parcel *parcel, const void *bytes, size_t size) {
    if (vqs_bytes_append(&parcel->frame, bytes, size, NULL) != VQS_OK) {
        give_up(mail, "no memory for a message", parcel->frame.size + size);
    }
}

static size_t padded(size_t size) {
    return (size + WORD - 1) / WORD * WORD;
}

/* The last of what was sent to `rank` and is not posted yet. */
static struct vqs_parcel **find_letter(struct vqs_mail *mail, int rank) {
    if (!mail->letters) {
        int n_ranks;
        MPI_Comm_size(mail->comm, &n_ranks);
        mail->letters = calloc((size_t)n_ranks, sizeof *mail->letters);
        if (!mail->letters) {
            give_up(mail, "no memory for the messages to all ranks", (size_t)n_ranks);
        }
    }
    return &mail->letters[rank];
}

void vqs_mail_send(struct vqs_mail *mail, struct vqs_parcel *parcel, int rank) {
    static const unsigned char zeros[WORD];
    append(mail, parcel, zeros, padded(parcel->frame.size) - parcel->frame.size);
    struct vqs_parcel **letter = find_letter(mail, rank);
    if (*letter && (*letter)->frame.size + parcel->frame.size <= LETTER) {
        append(mail, *letter, parcel->frame.data, parcel->frame.size);
        vqs_parcel_destroy(parcel);
        return;
    }
    parcel->rank = rank;
    parcel->leaving = true;
    vqs_parcels_put(&mail->unposted, parcel);
    *letter = parcel;
}

void vqs_mail_post(struct vqs_mail *mail) {
    for (struct vqs_parcel *parcel; (parcel = vqs_parcels_take(&mail->unposted));) {
        const size_t words = parcel->frame.size / WORD;
        if (words > INT_MAX) {
            give_up(mail, "cannot send a message", parcel->frame.size);
        }
        make_room(mail);
        MPI_Isend(parcel->frame.data, (int)words, MPI_UINT64_T, parcel->rank, TAG, mail->comm,
                  &mail->requests[mail->n]);
        mail->parcels[mail->n++] = parcel;
        mail->letters[parcel->rank] = NULL;
    }
}

/* Begin to receive the next message that has shown itself. */
static bool begin_receive(struct vqs_mail *mail) {
    MPI_Message message;
    MPI_Status status;
    int found, words;
    MPI_Improbe(MPI_ANY_SOURCE, TAG, mail->comm, &found, &message, &status);
    if (!found) {
        return false;
    }
    MPI_Get_count(&status, MPI_UINT64_T, &words);
    size_t size = (size_t)words * WORD;
    struct vqs_parcel *parcel = calloc(1, sizeof *parcel);
    if (!parcel || !(parcel->frame.data = malloc(size))) {
        give_up(mail, "no memory for a message", size);
    }
    make_room(mail);
    parcel->frame.size = parcel->frame.capacity = size;
    parcel->rank = status.MPI_SOURCE;
    MPI_Imrecv(parcel->frame.data, words, MPI_UINT64_T, &message, &mail->requests[mail->n]);
    mail->parcels[mail->n++] = parcel;
    return true;
}

/* The parcels of a message that has arrived; the first keeps its memory. */
static void open_letter(struct vqs_mail *mail, struct vqs_parcel *first) {
    const struct vqs_bytes letter = first->frame;
    first->frame.size = padded(sizeof(struct vqs_parcel_header) + vqs_parcel_header(first)->size);
    vqs_parcels_put(&mail->arrived, first);
    for (size_t at = first->frame.size; at < letter.size;) {
        struct vqs_parcel_header header;
        memcpy(&header, letter.data + at, sizeof header);
        const size_t size = padded(sizeof header + header.size);
        struct vqs_parcel *parcel = calloc(1, sizeof *parcel);
        if (!parcel) {
            give_up(mail, "no memory for a message", size);
        }
        append(mail, parcel, letter.data + at, size);
        parcel->rank = first->rank;
        vqs_parcels_put(&mail->arrived, parcel);
        at += size;
    }
}

/* What is through leaves the list of what is under way: sends are done with, receives have arrived. */
static void take_completed(struct vqs_mail *mail) {
    int n_through, n = 0;
    MPI_Testsome(mail->n, mail->requests, &n_through, mail->through, MPI_STATUSES_IGNORE);
    for (int i = 0; i < n_through; i++) {
        struct vqs_parcel **parcel = &mail->parcels[mail->through[i]];
        if ((*parcel)->leaving) {
            vqs_parcel_destroy(*parcel);
        } else {
            open_letter(mail, *parcel);
        }
        *parcel = NULL;
    }
    for (int i = 0; i < mail->n && n_through > 0; i++) {
        if (mail->parcels[i]) {
            mail->requests[n] = mail->requests[i];
            mail->parcels[n++] = mail->parcels[i];
        }
    }
    mail->n = n_through > 0 ? n : mail->n;
}

/* A call that finds nothing moves MPI's machinery on and, where ranks share cores, yields the core for as long as the
 * others please: so there are few, one for all that is under way and one or two for what is not: two, because the first
 * may only have brought it in. */
void vqs_mail_look(struct vqs_mail *mail) {
    vqs_mail_post(mail);
    const bool moved = mail->n > 0;
    int begun = 0;
    if (moved) {
        take_completed(mail);
    }
    while (begun < MOST_AT_ONCE && begin_receive(mail)) {
        begun++;
    }
    if (begun > 0 || (!moved && begin_receive(mail))) {
        take_completed(mail);
    }
}

struct vqs_parcel *vqs_mail_take(struct vqs_mail *mail) {
    return vqs_parcels_take(&mail->arrived);
}

bool vqs_mail_busy(const struct vqs_mail *mail, size_t size) {
    int i = 0;
    while (i < mail->n && (mail->parcels[i]->unawaited || mail->parcels[i]->frame.size < size)) {
        i++;
    }
    return i < mail->n || mail->unposted.n > 0;
}

bool vqs_mail_leaving(const struct vqs_mail *mail, int rank) {
    int i = 0;
    while (i < mail->n && !(mail->parcels[i]->leaving && mail->parcels[i]->rank == rank)) {
        i++;
    }
    return i < mail->n;
}

void vqs_mail_lose(struct vqs_mail *mail, int rank) {
    vqs_mail_post(mail);
    for (int i = 0; i < mail->n; i++) {
        mail->parcels[i]->unawaited |= mail->parcels[i]->rank == rank;
    }
}

void vqs_mail_destroy(struct vqs_mail *mail) {
    for (struct vqs_parcel *parcel; (parcel = vqs_mail_take(mail)) || (parcel = vqs_parcels_take(&mail->unposted));) {
        vqs_parcel_destroy(parcel);
    }
    free(mail->requests);
    free(mail->parcels);
    free(mail->through);
    free(mail->letters);
    memset(mail, 0, sizeof *mail);
}
