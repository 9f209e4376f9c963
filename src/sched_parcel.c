/* sched_parcel.c - parcels and queues of them. */
#include "sched_parcel.h"

#include <stdlib.h>

struct vqs_parcel *vqs_parcel_create(enum vqs_parcel_kind kind, uint32_t task) {
    struct vqs_parcel *parcel = calloc(1, sizeof *parcel);
    struct vqs_parcel_header header = {.kind = kind, .task = task};
    if (!parcel || vqs_bytes_append(&parcel->frame, &header, sizeof header, NULL) != VQS_OK) {
        free(parcel);
        return NULL;
    }
    return parcel;
}

void vqs_parcel_destroy(struct vqs_parcel *parcel) {
    if (parcel) {
        vqs_bytes_destroy(&parcel->frame);
        free(parcel);
    }
}

struct vqs_parcel_header *vqs_parcel_header(const struct vqs_parcel *parcel) {
    return (struct vqs_parcel_header *)(void *)parcel->frame.data;
}

const unsigned char *vqs_parcel_payload(const struct vqs_parcel *parcel) {
    return parcel->frame.data + sizeof(struct vqs_parcel_header);
}

void vqs_parcel_seal(struct vqs_parcel *parcel) {
    vqs_parcel_header(parcel)->size = parcel->frame.size - sizeof(struct vqs_parcel_header);
}

void vqs_parcels_put(struct vqs_parcels *queue, struct vqs_parcel *parcel) {
    parcel->next = NULL;
    if (queue->last) {
        queue->last->next = parcel;
    } else {
        queue->first = parcel;
    }
    queue->last = parcel;
    queue->n++;
}

struct vqs_parcel *vqs_parcels_take(struct vqs_parcels *queue) {
    struct vqs_parcel *parcel = queue->first;
    if (parcel) {
        queue->first = parcel->next;
        queue->last = queue->first ? queue->last : NULL;
        queue->n--;
    }
    return parcel;
}
