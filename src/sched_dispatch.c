/* sched_dispatch.c - the bookkeeping of handing out tasks. */
#include "sched_dispatch.h"

#include <stdlib.h>
#include <string.h>

enum vqs_status vqs_dispatch_create(struct vqs_dispatch *dispatch, const uint32_t *order, uint32_t n_tasks, int n_ranks,
                                    const int (*rooms)[2], struct vqs_error *err) {
    memset(dispatch, 0, sizeof *dispatch);
    size_t total = 0;
    for (int r = 0; r < n_ranks; r++) {
        total += (size_t)rooms[r][0] + (size_t)rooms[r][1];
    }
    dispatch->ranks = calloc((size_t)n_ranks, sizeof *dispatch->ranks);
    dispatch->block = calloc(total, sizeof *dispatch->block);
    if (!dispatch->ranks || !dispatch->block) {
        vqs_dispatch_destroy(dispatch);
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the lists of %d ranks", n_ranks);
    }
    uint32_t *list = dispatch->block;
    for (int r = 0; r < n_ranks; r++) {
        struct vqs_dispatch_rank *rank = &dispatch->ranks[r];
        rank->slots = rooms[r][0];
        rank->prefetch = rooms[r][1];
        rank->in_flight = list;
        list += rank->slots + rank->prefetch;
        dispatch->total_slots += (uint64_t)rank->slots;
    }
    dispatch->order = order;
    dispatch->n_tasks = n_tasks;
    dispatch->n_ranks = n_ranks;
    return VQS_OK;
}

void vqs_dispatch_destroy(struct vqs_dispatch *dispatch) {
    free(dispatch->ranks);
    free(dispatch->block);
    memset(dispatch, 0, sizeof *dispatch);
}

bool vqs_dispatch_next(struct vqs_dispatch *dispatch, int r, uint32_t *task) {
    struct vqs_dispatch_rank *rank = &dispatch->ranks[r];
    uint32_t left = dispatch->n_tasks - dispatch->next;
    if (dispatch->stopped || dispatch->held || left == 0) {
        return false;
    }
    uint64_t spare = left / (2 * dispatch->total_slots);
    int prefetch = spare < (uint64_t)rank->prefetch ? (int)spare : rank->prefetch;
    if (rank->n_in_flight >= rank->slots + prefetch) {
        return false;
    }
    *task = dispatch->order[dispatch->next++];
    rank->in_flight[rank->n_in_flight++] = *task;
    dispatch->in_flight++;
    return true;
}

bool vqs_dispatch_finish(struct vqs_dispatch *dispatch, int r, uint32_t task) {
    struct vqs_dispatch_rank *rank = &dispatch->ranks[r];
    for (int i = 0; i < rank->n_in_flight; i++) {
        if (rank->in_flight[i] == task) { /* oldest first: tasks mostly come back in that order */
            memmove(&rank->in_flight[i], &rank->in_flight[i + 1],
                    (size_t)(rank->n_in_flight - i - 1) * sizeof *rank->in_flight);
            rank->n_in_flight--;
            dispatch->in_flight--;
            return true;
        }
    }
    return false;
}

void vqs_dispatch_stop(struct vqs_dispatch *dispatch) {
    dispatch->stopped = true;
}

bool vqs_dispatch_over(const struct vqs_dispatch *dispatch) {
    return dispatch->in_flight == 0 && (dispatch->stopped || dispatch->next == dispatch->n_tasks);
}
