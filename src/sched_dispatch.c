/* sched_dispatch.c - the bookkeeping of handing out tasks. */
#include "sched_dispatch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Flags of a position: it needs no rank any more; it was or may have been running when it was given up, or failed, and
 * is tried last; it may have ended its rank; it is to be alone. */
enum { SETTLED = 1, SUSPECT = 2, DANGEROUS = 4, ALONE = 8 };

/* Short tasks: as many wait as keep a rank for SUPPLY seconds, up to MORE_IF_SHORT times its prefetch, so that it wakes
 * once for several of them. How long tasks are is averaged over the last few, with that weight of the older ones. */
static const double SUPPLY = 0.02;
enum { MORE_IF_SHORT = 6, AVERAGED = 16 };

static int most_in_flight(const struct vqs_dispatch_rank *rank) {
    return rank->slots + MORE_IF_SHORT * rank->prefetch;
}

enum vqs_status vqs_dispatch_create(struct vqs_dispatch *dispatch, const uint32_t *order, uint32_t n_tasks, int n_ranks,
                                    const int (*rooms)[2], const struct vqs_dispatch_patience *patience,
                                    struct vqs_error *err) {
    memset(dispatch, 0, sizeof *dispatch);
    size_t total = 0, n = n_ranks > 0 ? (size_t)n_ranks : 0;
    for (int r = 0; r < n_ranks; r++) {
        total += (size_t)rooms[r][0] + MORE_IF_SHORT * (size_t)rooms[r][1];
    }
    dispatch->ranks = calloc(n, sizeof *dispatch->ranks);
    dispatch->block = calloc(total, sizeof *dispatch->block);
    dispatch->flags = calloc((size_t)n_tasks + 1, sizeof *dispatch->flags);
    dispatch->again = calloc((size_t)n_tasks + 1, sizeof *dispatch->again);
    if (!dispatch->ranks || !dispatch->block || !dispatch->flags || !dispatch->again) {
        vqs_dispatch_destroy(dispatch);
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the lists of %d ranks and %lu tasks", n_ranks,
                        (unsigned long)n_tasks);
    }
    struct vqs_dispatch_entry *list = dispatch->block;
    for (int r = 0; r < n_ranks; r++) {
        struct vqs_dispatch_rank *rank = &dispatch->ranks[r];
        rank->slots = rooms[r][0];
        rank->prefetch = rooms[r][1];
        rank->in_flight = list;
        list += most_in_flight(rank);
        dispatch->n_slots += (uint64_t)rank->slots;
    }
    dispatch->order = order;
    dispatch->n_tasks = n_tasks;
    dispatch->n_ranks = n_ranks;
    dispatch->patience = *patience;
    dispatch->lately = SUPPLY; /* until more is known: not short */
    return VQS_OK;
}

void vqs_dispatch_destroy(struct vqs_dispatch *dispatch) {
    free(dispatch->ranks);
    free(dispatch->block);
    free(dispatch->flags);
    free(dispatch->again);
    memset(dispatch, 0, sizeof *dispatch);
}

void vqs_dispatch_suspect(struct vqs_dispatch *dispatch, uint32_t n, uint32_t alone) {
    for (uint32_t i = 0; i < n; i++) {
        dispatch->flags[dispatch->n_tasks - 1 - i] |= i < alone ? DANGEROUS | ALONE : DANGEROUS;
    }
}

/* ---- out and back ---------------------------------------------------------------------------------------------- */

static struct vqs_dispatch_entry *find(const struct vqs_dispatch *dispatch, int r, uint32_t task) {
    const struct vqs_dispatch_rank *rank = &dispatch->ranks[r];
    for (int i = 0; i < rank->n_in_flight; i++) { /* oldest first: tasks mostly come back in that order */
        if (dispatch->order[rank->in_flight[i].position] == task) {
            return &rank->in_flight[i];
        }
    }
    return NULL;
}

/* Nothing is waited for there. */
static bool is_free(const struct vqs_dispatch_rank *rank) {
    int i = 0;
    while (i < rank->n_in_flight && rank->in_flight[i].given_up) {
        i++;
    }
    return i == rank->n_in_flight;
}

static bool may_have(const struct vqs_dispatch *dispatch, int r, uint32_t position) {
    const unsigned flags = dispatch->flags[position];
    return !(flags & DANGEROUS && r == 0 && dispatch->n_ranks > 1) &&
           (!(flags & ALONE) || is_free(&dispatch->ranks[r]));
}

static void take_from_again(struct vqs_dispatch *dispatch, uint32_t i) {
    dispatch->n_again--;
    memmove(&dispatch->again[i], &dispatch->again[i + 1], (dispatch->n_again - i) * sizeof *dispatch->again);
}

/* The first position that `r` may have of those to try again: suspects, or the others. */
static bool choose_again(struct vqs_dispatch *dispatch, int r, bool suspects, uint32_t *position) {
    for (uint32_t i = 0; i < dispatch->n_again; i++) {
        *position = dispatch->again[i];
        if (!(dispatch->flags[*position] & SUSPECT) == suspects || !may_have(dispatch, r, *position) ||
            find(dispatch, r, dispatch->order[*position])) { /* where it hangs: it would take slot after slot */
            continue;
        }
        take_from_again(dispatch, i);
        return true;
    }
    return false;
}

/* What to try again and is not suspect, what is new, what is suspect. */
static bool choose(struct vqs_dispatch *dispatch, int r, uint32_t *position) {
    if (choose_again(dispatch, r, false, position)) {
        return true;
    }
    if (dispatch->next < dispatch->n_tasks && may_have(dispatch, r, dispatch->next)) {
        *position = dispatch->next++;
        return true;
    }
    return dispatch->next == dispatch->n_tasks && choose_again(dispatch, r, true, position);
}

/* Tasks that may wait at `rank` beyond its slots while `left` are left to hand out. */
static int prefetch(const struct vqs_dispatch *dispatch, const struct vqs_dispatch_rank *rank, uint32_t left) {
    const double spare = (double)(left / (2 * dispatch->n_slots));
    const double short_ones = fmin(SUPPLY * rank->slots / dispatch->lately, MORE_IF_SHORT * rank->prefetch);
    return (int)fmin(spare, fmax(short_ones, rank->prefetch));
}

bool vqs_dispatch_next(struct vqs_dispatch *dispatch, int r, uint32_t *task) {
    struct vqs_dispatch_rank *rank = &dispatch->ranks[r];
    uint32_t position, left = dispatch->n_tasks - dispatch->next + dispatch->n_again;
    if (dispatch->stopped || dispatch->held || left == 0 || rank->lost || rank->alone || rank->n_stuck >= rank->slots) {
        return false;
    }
    if (rank->n_in_flight >= rank->slots + prefetch(dispatch, rank, left) || !choose(dispatch, r, &position)) {
        return false;
    }
    *task = dispatch->order[position];
    rank->alone = dispatch->flags[position] & ALONE;
    rank->in_flight[rank->n_in_flight++] =
        (struct vqs_dispatch_entry){.position = position, .since = -1, .alone = rank->alone};
    dispatch->in_flight++;
    return true;
}

/* It is not waited for any longer. */
static void give_up(struct vqs_dispatch *dispatch, struct vqs_dispatch_rank *rank, struct vqs_dispatch_entry *entry) {
    if (!entry->given_up) {
        entry->given_up = true;
        dispatch->in_flight--;
        rank->alone = rank->alone && !entry->alone;
    }
}

/* The rank no longer has it. */
static void take_away(struct vqs_dispatch *dispatch, struct vqs_dispatch_rank *rank, struct vqs_dispatch_entry *entry) {
    give_up(dispatch, rank, entry);
    if (entry->stuck) { /* it was only slow, or rank 0 impatient */
        rank->n_stuck--;
        dispatch->n_slots += !rank->lost;
    }
    size_t after = (size_t)(&rank->in_flight[rank->n_in_flight] - (entry + 1));
    memmove(entry, entry + 1, after * sizeof *entry);
    rank->n_in_flight--;
}

/* `position` is not to be handed out again. */
static void withdraw(struct vqs_dispatch *dispatch, uint32_t position) {
    uint32_t i = 0;
    while (i < dispatch->n_again && dispatch->again[i] != position) {
        i++;
    }
    if (i < dispatch->n_again) {
        take_from_again(dispatch, i);
    }
}

static void settle(struct vqs_dispatch *dispatch, uint32_t position) {
    dispatch->flags[position] |= SETTLED;
    dispatch->n_settled++;
    withdraw(dispatch, position);
}

enum vqs_dispatch_worth vqs_dispatch_finish(struct vqs_dispatch *dispatch, int r, uint32_t task, double seconds,
                                            struct vqs_dispatch_loss *failure) {
    struct vqs_dispatch_entry *entry = find(dispatch, r, task);
    if (!entry) {
        return VQS_DISPATCH_UNKNOWN;
    }
    uint32_t position = entry->position;
    if (failure) {
        *failure = (struct vqs_dispatch_loss){
            .cause = VQS_DISPATCH_FAILED, .rank = r, .task = task, .position = position, .begun = true};
    }
    take_away(dispatch, &dispatch->ranks[r], entry);
    if (dispatch->flags[position] & SETTLED) {
        return VQS_DISPATCH_LATE;
    }
    settle(dispatch, position);
    dispatch->lately += (seconds - dispatch->lately) / AVERAGED;
    if (dispatch->patience.seconds) {
        dispatch->expected += (double)dispatch->patience.seconds[position];
        dispatch->taken += seconds;
    }
    return VQS_DISPATCH_FIRST;
}

bool vqs_dispatch_return(struct vqs_dispatch *dispatch, int r, uint32_t task) {
    struct vqs_dispatch_entry *entry = find(dispatch, r, task);
    if (entry) {
        take_away(dispatch, &dispatch->ranks[r], entry);
    }
    return entry != NULL;
}

/* ---- giving up ------------------------------------------------------------------------------------------------- */

bool vqs_dispatch_heard(struct vqs_dispatch *dispatch, int r, double now) {
    struct vqs_dispatch_rank *rank = &dispatch->ranks[r];
    bool back = rank->lost;
    if (back) {
        rank->lost = false;
        dispatch->n_slots += (uint64_t)(rank->slots - rank->n_stuck);
    }
    rank->heard = now;
    return back;
}

void vqs_dispatch_running(struct vqs_dispatch *dispatch, int r, uint32_t task, uint32_t progress, double now) {
    struct vqs_dispatch_entry *entry = find(dispatch, r, task);
    if (entry && (entry->since < 0 || entry->progress != progress)) {
        entry->progress = progress;
        entry->since = now;
    }
}

/* Seconds without progress that are granted: what was expected is corrected by what tasks took so far. */
static double limit(const struct vqs_dispatch *dispatch, uint32_t position) {
    const struct vqs_dispatch_patience *patience = &dispatch->patience;
    if (patience->stall <= 0) {
        return INFINITY;
    }
    double slower = dispatch->expected > 0 ? fmax(1, dispatch->taken / dispatch->expected) : 1;
    double whole = patience->seconds ? (double)patience->seconds[position] * slower : 0;
    return fmax(patience->stall, patience->factor * whole);
}

static bool is_silent(const struct vqs_dispatch *dispatch, int r, double now) {
    const struct vqs_dispatch_rank *rank = &dispatch->ranks[r];
    double silence = dispatch->patience.silence;
    return r > 0 && silence > 0 && !rank->lost && now - rank->heard > silence;
}

/* Whether the i-th task of a rank is to be given up. Those begun are the oldest: one for each slot that does not hang.
 */
static bool is_overdue(const struct vqs_dispatch *dispatch, const struct vqs_dispatch_rank *rank, int i, double now,
                       struct vqs_dispatch_loss *loss) {
    const struct vqs_dispatch_entry *entry = &rank->in_flight[i];
    int before = 0;
    for (int k = 0; k < i; k++) {
        before += !rank->in_flight[k].stuck;
    }
    loss->task = dispatch->order[entry->position];
    loss->position = entry->position;
    loss->begun = before < rank->slots - rank->n_stuck;
    loss->cause = rank->lost ? VQS_DISPATCH_LOST : VQS_DISPATCH_STUCK;
    loss->seconds = now - (rank->lost ? rank->heard : entry->since);
    if (entry->given_up) {
        return false;
    }
    bool hangs = entry->since >= 0 && loss->seconds > limit(dispatch, entry->position);
    return rank->lost || hangs || rank->n_stuck >= rank->slots; /* behind tasks that hang, none will be begun */
}

bool vqs_dispatch_overdue(struct vqs_dispatch *dispatch, double now, struct vqs_dispatch_loss *loss) {
    for (int r = 0; r < dispatch->n_ranks; r++) {
        struct vqs_dispatch_rank *rank = &dispatch->ranks[r];
        if (is_silent(dispatch, r, now)) {
            rank->lost = true;
            dispatch->n_slots -= (uint64_t)(rank->slots - rank->n_stuck);
            *loss = (struct vqs_dispatch_loss){.cause = VQS_DISPATCH_SILENT, .rank = r, .seconds = now - rank->heard};
            return true;
        }
        for (int i = 0; i < rank->n_in_flight; i++) {
            loss->rank = r;
            if (is_overdue(dispatch, rank, i, now, loss)) {
                struct vqs_dispatch_entry *entry = &rank->in_flight[i];
                give_up(dispatch, rank, entry);
                entry->stuck = !rank->lost && rank->n_stuck < rank->slots;
                rank->n_stuck += entry->stuck;
                dispatch->n_slots -= entry->stuck;
                if (!(dispatch->flags[entry->position] & SETTLED)) { /* else its result came from elsewhere */
                    return true;
                }
            }
        }
    }
    return false;
}

void vqs_dispatch_retry(struct vqs_dispatch *dispatch, const struct vqs_dispatch_loss *loss, bool alone) {
    unsigned char *flags = &dispatch->flags[loss->position];
    dispatch->n_settled -= *flags & SETTLED;
    *flags &= (unsigned char)~SETTLED;
    if (loss->begun) {
        *flags |= loss->cause == VQS_DISPATCH_LOST ? SUSPECT | DANGEROUS : SUSPECT;
    }
    *flags |= alone ? ALONE : 0;
    withdraw(dispatch, loss->position); /* another copy of it may have come to nothing before */
    dispatch->again[dispatch->n_again++] = loss->position;
}

void vqs_dispatch_settle(struct vqs_dispatch *dispatch, const struct vqs_dispatch_loss *loss) {
    settle(dispatch, loss->position);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

void vqs_dispatch_stop(struct vqs_dispatch *dispatch) {
    dispatch->stopped = true;
}

bool vqs_dispatch_idle(const struct vqs_dispatch *dispatch) {
    return dispatch->in_flight == 0;
}

bool vqs_dispatch_over(const struct vqs_dispatch *dispatch) {
    return dispatch->n_settled == dispatch->n_tasks || (dispatch->stopped && dispatch->in_flight == 0);
}
