/* sched.c - the farm: rank 0's loop, the other ranks' loop, and agreement between ranks.
 *
 * A run in messages: every rank tells rank 0 its slots and prefetch (the last collective). Rank 0 sends TASKs, a rank
 * answers each with a RESULT. To stop early rank 0 sends STOP, and a rank answers each task it has not begun with
 * UNDONE. Both sides send a BEAT every second. Once nothing is waited for anywhere, rank 0 sends everyone GOODBYE with
 * the status of the run, each rank answers with GOODBYE, and all return. Messages of one sender keep their order and a
 * goodbye is the last, so one run cannot hear the next.
 *
 * Rank 0 sends nothing to a rank that is lost: it learns of a loss by silence only, and MPI may end the program over a
 * message to a host that is gone. */
#include "vqsweep/sched.h"

#include "sched_dispatch.h"
#include "sched_mail.h"
#include "sched_pool.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a main thread sleeps between looks at MPI: a waking costs its core several times what a message does, and
 * ranks may be many on a core. NAP after something came, and on a servant twice as long after each look in vain, up to
 * LONGEST_NAP; as long at once while tasks wait for its workers, who wake it in time: what comes then is not urgent.
 * Others wait for rank 0, so it never sleeps longer than NAP, or NAP_SUPPLIED while tasks wait for its own workers, as
 * they then do elsewhere. A message of LARGE bytes and more needs help to get through: NAP_IN_TRANSFER, up to NAP. */
static const double NAP = 0.0005, NAP_SUPPLIED = 0.002, LONGEST_NAP = 0.02, NAP_IN_TRANSFER = 0.00005;
enum { LARGE = 1 << 16 };
static const double TICK_SECONDS = 0.05;
static const double BEAT_SECONDS = 1;
/* Rank 0 may be busy for a while with its files, and a rank that leaves too early is lost. */
static const double PATIENCE_WITH_RANK_0 = 4;
/* How long goodbyes may take once a rank was lost. */
static const double GOODBYE_SECONDS = 5;

/* Time spent listening. A main thread that was busy elsewhere, or stopped, missed what was said meanwhile; only a
 * little of that time counts, so that nobody is called silent for it. */
struct ear {
    double last, listened;
};

static double listen(struct ear *ear) {
    double now = vqs_clock_seconds();
    ear->listened += ear->last > 0 ? fmin(now - ear->last, 0.25) : 0;
    ear->last = now;
    return ear->listened;
}

/* A beat is made for `to` unless the last one is still on its way. */
static struct vqs_parcel *make_beat(const struct vqs_mail *mail, int to) {
    return vqs_mail_leaving(mail, to) ? NULL : vqs_parcel_create(VQS_PARCEL_BEAT, 0);
}

/* Post, and sleep until local workers have results worth fetching or MPI deserves a look: `most` seconds, or `supplied`
 * while tasks wait here. `*last` is how long the nap before this was; 0: something has come since. */
static void nap(struct vqs_pool *pool, struct vqs_mail *mail, double *last, double most, double supplied) {
    vqs_mail_post(mail);
    if (vqs_mail_busy(mail, LARGE)) {
        *last = fmin(fmax(2 * *last, NAP_IN_TRANSFER), NAP);
    } else {
        *last = vqs_pool_supplied(pool) ? supplied : fmin(fmax(2 * *last, NAP), most);
    }
    vqs_pool_wait(pool, *last);
}

/* ---- rank 0 ---------------------------------------------------------------------------------------------------- */

struct master {
    const struct vqs_sched_ops *ops;
    struct vqs_dispatch dispatch;
    struct vqs_mail mail;
    struct vqs_pool *pool;
    struct ear ear;
    double now; /* of `ear` */
    uint32_t done;
    int n_goodbyes; /* heard */
    int lost;       /* ranks, in the end */
    double busy;
    bool stranded;
    bool refused; /* on_result failed: it is not called again */
    enum vqs_status status;
    struct vqs_error *err;
};

static void collect(struct master *m, int rank, struct vqs_parcel *parcel);

/* To a rank that is not lost. Without memory for it, nothing is sent. */
static void send_short(struct master *m, struct vqs_parcel *parcel, int rank) {
    if (parcel && !m->dispatch.ranks[rank].lost) {
        vqs_mail_send(&m->mail, parcel, rank);
    } else {
        vqs_parcel_destroy(parcel);
    }
}

/* Nothing new is handed out, and what no worker has begun comes back. */
static void stop(struct master *m) {
    if (m->dispatch.stopped) {
        return;
    }
    vqs_dispatch_stop(&m->dispatch);
    if (m->ops->on_stop) {
        m->ops->on_stop(m->ops->ctx);
    }
    for (int r = 1; r < m->dispatch.n_ranks; r++) { /* without memory for it, the rank finishes what it has */
        send_short(m, vqs_parcel_create(VQS_PARCEL_STOP, 0), r);
    }
    for (struct vqs_parcel *parcel; (parcel = vqs_pool_withdraw(m->pool));) {
        vqs_parcel_header(parcel)->kind = VQS_PARCEL_UNDONE;
        collect(m, 0, parcel);
    }
}

static void fail(struct master *m, enum vqs_status status) {
    m->status = m->status == VQS_OK ? status : m->status;
    stop(m);
}

/* Give `rank` one more task if it has room. */
static bool hand_out(struct master *m, int rank) {
    uint32_t task;
    if (!vqs_dispatch_next(&m->dispatch, rank, &task)) {
        return false;
    }
    struct vqs_parcel *parcel = vqs_parcel_create(VQS_PARCEL_TASK, task);
    enum vqs_status status = parcel
                                 ? m->ops->describe(m->ops->ctx, task, &parcel->frame, m->err)
                                 : vqs_fail(m->err, VQS_ERR_MEMORY, "cannot allocate the description of task %u", task);
    if (status != VQS_OK) {
        vqs_parcel_destroy(parcel);
        vqs_dispatch_return(&m->dispatch, rank, task);
        fail(m, status);
        return false;
    }
    vqs_parcel_seal(parcel);
    if (rank == 0) {
        vqs_pool_submit(m->pool, parcel);
    } else {
        vqs_mail_send(&m->mail, parcel, rank);
    }
    return true;
}

/* Round by round, so that the longest tasks land on different ranks. */
static void hand_out_to_all(struct master *m) {
    for (bool any = true; any;) {
        any = false;
        for (int r = 0; r < m->dispatch.n_ranks; r++) {
            any |= hand_out(m, r);
        }
    }
}

static void tell_of_rank(const struct master *m, int rank, bool back, double seconds) {
    if (m->ops->on_rank) {
        m->ops->on_rank(m->ops->ctx, rank, back, seconds);
    }
}

static void take_result(struct master *m, int rank, const struct vqs_parcel *parcel) {
    const struct vqs_parcel_header *header = vqs_parcel_header(parcel);
    struct vqs_dispatch_loss failure;
    enum vqs_sched_verdict verdict = VQS_SCHED_DONE;
    enum vqs_dispatch_worth worth = vqs_dispatch_finish(&m->dispatch, rank, header->task, header->busy, &failure);
    while (hand_out(m, rank)) { /* before the result is looked at: rank 0's worker should not wait for that */
    }
    m->busy += header->busy;
    if (worth == VQS_DISPATCH_UNKNOWN) {
        fail(m, vqs_fail(m->err, VQS_ERR_INTERNAL, "rank %d answered for task %u, which it does not have", rank,
                         header->task));
    } else if (worth == VQS_DISPATCH_FIRST && !m->refused) {
        m->done++;
        enum vqs_status status = m->ops->on_result(m->ops->ctx, header->task, rank, vqs_parcel_payload(parcel),
                                                   (size_t)header->size, &verdict, m->err);
        if (status != VQS_OK) {
            m->refused = true;
            fail(m, status);
        } else if (verdict != VQS_SCHED_DONE) {
            m->done--;
            vqs_dispatch_retry(&m->dispatch, &failure, verdict == VQS_SCHED_ALONE);
            hand_out_to_all(m);
        }
    }
}

static void take_beat(struct master *m, int rank, const struct vqs_parcel *parcel) {
    size_t n = (size_t)vqs_parcel_header(parcel)->size / sizeof(struct vqs_parcel_slot);
    for (size_t i = 0; i < n; i++) {
        struct vqs_parcel_slot slot;
        memcpy(&slot, vqs_parcel_payload(parcel) + i * sizeof slot, sizeof slot);
        vqs_dispatch_running(&m->dispatch, rank, slot.task, slot.progress, m->now);
    }
}

/* A parcel came from `rank`: account for it and give the rank its next task. */
static void collect(struct master *m, int rank, struct vqs_parcel *parcel) {
    if (vqs_dispatch_heard(&m->dispatch, rank, m->now)) {
        tell_of_rank(m, rank, true, 0);
        hand_out_to_all(m);
    }
    switch (vqs_parcel_header(parcel)->kind) {
    case VQS_PARCEL_RESULT:
        take_result(m, rank, parcel);
        break;
    case VQS_PARCEL_UNDONE:
        vqs_dispatch_return(&m->dispatch, rank, vqs_parcel_header(parcel)->task);
        break;
    case VQS_PARCEL_BEAT:
        take_beat(m, rank, parcel);
        break;
    default:
        m->n_goodbyes++;
    }
    vqs_parcel_destroy(parcel);
}

static void exchange_beats(struct master *m) {
    for (int r = 1; r < m->dispatch.n_ranks; r++) {
        send_short(m, make_beat(&m->mail, r), r);
    }
    for (int s = 0; s < m->dispatch.ranks[0].slots; s++) { /* rank 0's own workers */
        uint32_t task;
        if (m->ops->progress && vqs_pool_running(m->pool, s, &task)) {
            vqs_dispatch_running(&m->dispatch, 0, task, m->ops->progress(m->ops->ctx, s), m->now);
        }
    }
}

static void take_loss(struct master *m, const struct vqs_dispatch_loss *loss) {
    char why[128];
    if (loss->cause == VQS_DISPATCH_SILENT) {
        vqs_mail_lose(&m->mail, loss->rank);
        tell_of_rank(m, loss->rank, false, loss->seconds);
        return;
    }
    snprintf(why, sizeof why, loss->cause == VQS_DISPATCH_LOST ? "lost with rank %d" : "stuck on rank %d for %.0f s",
             loss->rank, loss->seconds);
    enum vqs_sched_verdict verdict = VQS_SCHED_AGAIN;
    if (loss->begun && m->ops->on_loss) {
        verdict = m->ops->on_loss(m->ops->ctx, loss->task, loss->rank, why);
    }
    if (verdict == VQS_SCHED_DONE) {
        vqs_dispatch_settle(&m->dispatch, loss);
    } else {
        vqs_dispatch_retry(&m->dispatch, loss, verdict == VQS_SCHED_ALONE);
    }
}

/* What is waited for in vain goes elsewhere. */
static void give_up_overdue(struct master *m) {
    struct vqs_dispatch_loss loss;
    bool any = false;
    while (vqs_dispatch_overdue(&m->dispatch, m->now, &loss)) {
        take_loss(m, &loss);
        any = true;
    }
    if (any || vqs_dispatch_idle(&m->dispatch)) {
        hand_out_to_all(m);
    }
    if (!m->dispatch.held && vqs_dispatch_idle(&m->dispatch) && !vqs_dispatch_over(&m->dispatch)) {
        m->stranded = true;
        fail(m, vqs_fail(m->err, VQS_ERR_UNFINISHED,
                         "no rank is left that could take the remaining tasks; run the same command again to go on"));
    }
}

static int count_lost(const struct vqs_dispatch *dispatch) {
    int n = 0;
    for (int r = 0; r < dispatch->n_ranks; r++) {
        n += dispatch->ranks[r].lost;
    }
    return n;
}

static void say_goodbye(struct master *m) {
    struct vqs_parcel_goodbye goodbye = {.n_lost = count_lost(&m->dispatch)};
    snprintf(goodbye.text, sizeof goodbye.text, "%s", m->status == VQS_OK ? "" : m->err->text);
    for (int r = 1; r < m->dispatch.n_ranks; r++) {
        struct vqs_parcel *parcel = vqs_parcel_create(VQS_PARCEL_GOODBYE, (uint32_t)m->status);
        if (!parcel || vqs_bytes_append(&parcel->frame, &goodbye, sizeof goodbye, NULL) != VQS_OK) {
            MPI_Abort(m->mail.comm, vqs_status_exit_code(VQS_ERR_MEMORY)); /* nobody may wait for ever */
        }
        vqs_parcel_seal(parcel);
        send_short(m, parcel, r);
    }
}

/* Until every rank that is not lost has said goodbye too; whoever dies over it is not waited for, and lost as well. */
static void part(struct master *m) {
    const int expected = m->dispatch.n_ranks - 1 - count_lost(&m->dispatch);
    double patience = m->dispatch.patience.silence > 0 ? fmax(m->dispatch.patience.silence, GOODBYE_SECONDS) : INFINITY;
    double until = listen(&m->ear) + patience, last_nap = 0;
    while ((m->n_goodbyes < expected || vqs_mail_busy(&m->mail, 0)) && listen(&m->ear) < until) {
        nap(m->pool, &m->mail, &last_nap, NAP, NAP);
        vqs_mail_look(&m->mail);
        for (struct vqs_parcel *parcel; (parcel = vqs_mail_take(&m->mail));) {
            m->n_goodbyes += vqs_parcel_header(parcel)->kind == VQS_PARCEL_GOODBYE;
            vqs_parcel_destroy(parcel);
        }
    }
    m->lost = m->dispatch.n_ranks - 1 - m->n_goodbyes;
}

static void obey_tick(struct master *m, enum vqs_sched_order order) {
    const bool was_held = m->dispatch.held;
    m->dispatch.held = order == VQS_SCHED_HOLD;
    if (order == VQS_SCHED_STOP) {
        stop(m);
    } else if (was_held && !m->dispatch.held) {
        hand_out_to_all(m);
    }
}

/* Everything that has come, from the own workers and from other ranks; whether there was any. */
static bool collect_all(struct master *m) {
    bool any = false;
    struct vqs_parcels results = vqs_pool_take(m->pool);
    if (m->dispatch.n_ranks > 1) {
        vqs_mail_look(&m->mail);
    }
    m->now = listen(&m->ear);
    for (struct vqs_parcel *parcel; (parcel = vqs_parcels_take(&results)); any = true) {
        collect(m, 0, parcel);
    }
    for (struct vqs_parcel *parcel; (parcel = vqs_mail_take(&m->mail)); any = true) {
        collect(m, parcel->rank, parcel);
    }
    vqs_mail_post(&m->mail); /* a tick may take long */
    return any;
}

static void run_master(struct master *m) {
    const bool alone = m->dispatch.n_ranks == 1;
    for (int r = 0; r < m->dispatch.n_ranks; r++) {
        vqs_dispatch_heard(&m->dispatch, r, m->now);
    }
    hand_out_to_all(m);
    double next_tick = vqs_clock_seconds(), next_beat = next_tick, last_nap = 0;
    while (!vqs_dispatch_over(&m->dispatch)) {
        const bool any = collect_all(m);
        const double clock = m->ear.last;
        if (clock >= next_beat) {
            next_beat = clock + BEAT_SECONDS;
            exchange_beats(m);
            give_up_overdue(m);
        }
        if (clock >= next_tick) {
            next_tick = clock + TICK_SECONDS;
            obey_tick(m, m->ops->on_tick(m->ops->ctx, m->done, m->dispatch.in_flight));
        }
        if (any) {
            last_nap = 0;
        } else if (alone) {
            vqs_pool_wait(m->pool, LONGEST_NAP);
        } else {
            nap(m->pool, &m->mail, &last_nap, NAP, NAP_SUPPLIED);
        }
    }
    say_goodbye(m);
    part(m);
}

/* ---- the other ranks ------------------------------------------------------------------------------------------- */

struct servant {
    const struct vqs_sched_ops *ops;
    struct vqs_mail mail;
    struct vqs_pool *pool;
    int slots, lost;
    struct ear ear;
    double heard; /* rank 0, on the clock of `ear` */
    bool stopping, over;
    enum vqs_status status;
    struct vqs_error *err;
};

static void return_undone(struct servant *s, struct vqs_parcel *parcel) {
    parcel->frame.size = sizeof(struct vqs_parcel_header);
    vqs_parcel_header(parcel)->kind = VQS_PARCEL_UNDONE;
    vqs_parcel_seal(parcel);
    vqs_mail_send(&s->mail, parcel, 0);
}

static void return_goodbye(struct servant *s, const struct vqs_parcel *parcel) {
    struct vqs_parcel_goodbye goodbye;
    memcpy(&goodbye, vqs_parcel_payload(parcel), sizeof goodbye);
    s->over = true;
    s->lost = goodbye.n_lost;
    s->status = (enum vqs_status)vqs_parcel_header(parcel)->task;
    if (s->status != VQS_OK) {
        vqs_fail(s->err, s->status, "%s", goodbye.text);
    }
    struct vqs_parcel *answer = vqs_parcel_create(VQS_PARCEL_GOODBYE, 0);
    if (!answer) {
        MPI_Abort(s->mail.comm, vqs_status_exit_code(VQS_ERR_MEMORY)); /* rank 0 would wait for it */
    } else {
        vqs_mail_send(&s->mail, answer, 0);
    }
}

/* Obey a message from rank 0. */
static void obey(struct servant *s, struct vqs_parcel *parcel) {
    switch (vqs_parcel_header(parcel)->kind) {
    case VQS_PARCEL_TASK:
        if (s->stopping) {
            return_undone(s, parcel);
        } else {
            vqs_pool_submit(s->pool, parcel);
        }
        return;
    case VQS_PARCEL_STOP:
        s->stopping = true;
        if (s->ops->on_stop) {
            s->ops->on_stop(s->ops->ctx);
        }
        for (struct vqs_parcel *waiting; (waiting = vqs_pool_withdraw(s->pool));) {
            return_undone(s, waiting);
        }
        break;
    case VQS_PARCEL_GOODBYE:
        return_goodbye(s, parcel);
        break;
    default: /* a beat: being heard is all it is for */
        break;
    }
    vqs_parcel_destroy(parcel);
}

/* Tell rank 0 that this rank lives, and how far its workers are. */
static void send_beat(struct servant *s) {
    struct vqs_parcel *beat = make_beat(&s->mail, 0);
    for (int i = 0; i < s->slots && beat && s->ops->progress; i++) {
        struct vqs_parcel_slot slot;
        if (vqs_pool_running(s->pool, i, &slot.task)) {
            slot.progress = s->ops->progress(s->ops->ctx, i);
            vqs_bytes_append(&beat->frame, &slot, sizeof slot, NULL); /* without memory, a shorter beat */
        }
    }
    if (beat) {
        vqs_parcel_seal(beat);
        vqs_mail_send(&s->mail, beat, 0);
    }
}

/* Without rank 0 there is nobody to work for. */
static void leave_if_deserted(struct servant *s, double now, double patience) {
    if (patience > 0 && now - s->heard > patience) {
        s->status = vqs_fail(s->err, VQS_ERR_UNFINISHED,
                             "nothing was heard of rank 0 for %.0f s; run the same command again to go on", patience);
        s->lost = 1;
        s->over = true;
        vqs_mail_lose(&s->mail, 0);
    }
}

static void run_servant(struct servant *s, double patience) {
    double next_beat = vqs_clock_seconds() + BEAT_SECONDS, last_nap = 0;
    while (!s->over) {
        struct vqs_parcels results = vqs_pool_take(s->pool);
        for (struct vqs_parcel *result; (result = vqs_parcels_take(&results)); last_nap = 0) {
            vqs_mail_send(&s->mail, result, 0);
        }
        vqs_mail_look(&s->mail);
        const double now = listen(&s->ear);
        for (struct vqs_parcel *order; (order = vqs_mail_take(&s->mail)); last_nap = 0) {
            s->heard = now;
            obey(s, order);
        }
        if (s->ear.last >= next_beat) {
            next_beat = s->ear.last + BEAT_SECONDS;
            send_beat(s);
            leave_if_deserted(s, now, patience);
        }
        if (!s->over) {
            nap(s->pool, &s->mail, &last_nap, LONGEST_NAP, LONGEST_NAP);
        }
    }
    double until = listen(&s->ear) + (patience > 0 ? GOODBYE_SECONDS : INFINITY);
    while (vqs_mail_busy(&s->mail, 0) && listen(&s->ear) < until) {
        nap(s->pool, &s->mail, &last_nap, NAP, NAP);
        vqs_mail_look(&s->mail);
    }
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

/* The collective part: rank 0 learns every rank's {slots, prefetch} and sets up its lists. */
static enum vqs_status set_up(MPI_Comm comm, const struct vqs_sched_config *config, struct vqs_dispatch *dispatch,
                              struct vqs_error *err) {
    int rank, n_ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    int mine[2] = {config->slots, config->prefetch}, (*rooms)[2] = NULL;
    enum vqs_status status = VQS_OK;
    if (mine[0] < 1 || mine[1] < 0 || mine[0] > INT_MAX / 16 || mine[1] > INT_MAX / 16) {
        status = vqs_fail(err, VQS_ERR_INTERNAL, "rank %d has %d slots and prefetch %d", rank, mine[0], mine[1]);
    }
    if (rank == 0 && !(rooms = malloc((size_t)n_ranks * sizeof *rooms))) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the lists of %d ranks", n_ranks);
    }
    if ((status = vqs_sched_agree(comm, status, err)) == VQS_OK) {
        MPI_Gather(mine, 2, MPI_INT, rooms, 2, MPI_INT, 0, comm);
        if (rank == 0) {
            struct vqs_dispatch_patience patience = {config->silence, config->stall, config->factor, config->seconds};
            status = vqs_dispatch_create(dispatch, config->order, config->n_tasks, n_ranks, (const int(*)[2])rooms,
                                         &patience, err);
            if (status == VQS_OK) {
                vqs_dispatch_suspect(dispatch, config->n_suspects, config->n_alone);
            }
        }
    }
    free(rooms);
    return status;
}

enum vqs_status vqs_sched_run(MPI_Comm comm, const struct vqs_sched_config *config, const struct vqs_sched_ops *ops,
                              struct vqs_sched_summary *summary, struct vqs_error *err) {
    double begin = vqs_clock_seconds();
    int rank;
    MPI_Comm_rank(comm, &rank);
    memset(summary, 0, sizeof *summary);
    struct vqs_error own = {0};
    err = err ? err : &own; /* a goodbye carries its text */
    struct vqs_dispatch dispatch = {0};
    struct vqs_pool *pool = NULL;
    enum vqs_status status = set_up(comm, config, &dispatch, err);
    if (status == VQS_OK) {
        status = vqs_pool_create(config->slots, ops, &pool, err);
    }
    status = vqs_sched_agree(comm, status, err);
    if (status == VQS_OK && rank == 0) {
        struct master m = {.ops = ops, .dispatch = dispatch, .mail = {.comm = comm}, .pool = pool, .err = err};
        run_master(&m);
        status = m.status;
        *summary = (struct vqs_sched_summary){.done = m.done,
                                              .stopped = m.dispatch.n_settled < config->n_tasks,
                                              .stranded = m.stranded,
                                              .lost = m.lost,
                                              .busy_seconds = m.busy};
        dispatch = m.dispatch;
        vqs_mail_destroy(&m.mail);
    } else if (status == VQS_OK) {
        struct servant s = {.ops = ops, .mail = {.comm = comm}, .pool = pool, .slots = config->slots, .err = err};
        run_servant(&s, PATIENCE_WITH_RANK_0 * config->silence);
        status = s.status;
        summary->lost = s.lost;
        vqs_mail_destroy(&s.mail);
    }
    summary->hung = pool && vqs_pool_busy(pool);
    if (!summary->hung) {
        vqs_pool_destroy(pool);
    }
    vqs_dispatch_destroy(&dispatch);
    summary->wall_seconds = vqs_clock_seconds() - begin;
    return status;
}

enum vqs_status vqs_sched_agree(MPI_Comm comm, enum vqs_status mine, struct vqs_error *err) {
    int rank, n_ranks, first;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    int failing = mine == VQS_OK ? n_ranks : rank;
    MPI_Allreduce(&failing, &first, 1, MPI_INT, MPI_MIN, comm);
    if (first == n_ranks) {
        return VQS_OK;
    }
    struct vqs_error theirs = {.status = mine};
    if (rank == first && err) {
        theirs = *err;
        theirs.status = mine;
    }
    MPI_Bcast(&theirs, (int)sizeof theirs, MPI_BYTE, first, comm);
    if (err) {
        *err = theirs;
    }
    return theirs.status;
}

enum vqs_status vqs_sched_broadcast(MPI_Comm comm, struct vqs_bytes *bytes, struct vqs_error *err) {
    enum { CHUNK = 1 << 30 };
    int rank;
    MPI_Comm_rank(comm, &rank);
    uint64_t size = bytes->size;
    MPI_Bcast(&size, 1, MPI_UINT64_T, 0, comm);
    enum vqs_status status = VQS_OK;
    if (rank != 0) {
        unsigned char *data = realloc(bytes->data, size ? size : 1);
        if (data) {
            *bytes = (struct vqs_bytes){.data = data, .size = size, .capacity = size ? size : 1};
        } else {
            status = vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a message of %zu bytes", (size_t)size);
        }
    }
    if ((status = vqs_sched_agree(comm, status, err)) != VQS_OK) {
        return status;
    }
    for (uint64_t at = 0; at < size; at += CHUNK) {
        uint64_t part = size - at < CHUNK ? size - at : CHUNK;
        MPI_Bcast(bytes->data + at, (int)part, MPI_BYTE, 0, comm);
    }
    return VQS_OK;
}
