/* sched.c - the farm: rank 0's loop, the other ranks' loop, and agreement between ranks.
 *
 * A run in messages: every rank tells rank 0 its slots and prefetch (the last collective). Rank 0 sends TASKs, a rank
 * answers each with a RESULT. To stop early rank 0 sends STOP, and a rank answers each task it has not begun with
 * UNDONE. Once nothing is in flight anywhere, rank 0 sends everyone GOODBYE with the status of the run, and all return.
 * Messages of one sender keep their order and a rank speaks only when spoken to, so one run cannot hear the next. */
#include "vqsweep/sched.h"

#include "sched_dispatch.h"
#include "sched_mail.h"
#include "sched_pool.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* How long a main thread sleeps between looks at MPI: short enough to hide behind a prefetched task, long enough to
 * leave the core to the workers; shorter while a large message needs help to get through. */
static const double NAP_SECONDS = 0.0005, NAP_IN_TRANSFER = 0.00005, TICK_SECONDS = 0.05;

/* ---- rank 0 ------------------------------------------------------------------------------------------------------ */

struct master {
    const struct vqs_sched_ops *ops;
    struct vqs_dispatch dispatch;
    struct vqs_mail mail;
    struct vqs_pool *pool;
    uint32_t done;
    double busy;
    bool refused; /* on_result failed: it is not called again */
    enum vqs_status status;
    struct vqs_error *err;
};

static void collect(struct master *m, int rank, struct vqs_parcel *parcel);

/* Nothing new is handed out, and what no worker has begun comes back. */
static void stop(struct master *m) {
    if (m->dispatch.stopped) {
        return;
    }
    vqs_dispatch_stop(&m->dispatch);
    if (m->ops->on_stop) {
        m->ops->on_stop(m->ops->ctx);
    }
    for (int r = 1; r < m->dispatch.n_ranks; r++) {
        struct vqs_parcel *parcel = vqs_parcel_create(VQS_PARCEL_STOP, 0);
        if (parcel) { /* without memory for it, the rank finishes what it has */
            vqs_mail_send(&m->mail, parcel, r);
        }
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
        vqs_dispatch_finish(&m->dispatch, rank, task);
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

/* A parcel came back from `rank`: account for it and give the rank its next task. */
static void collect(struct master *m, int rank, struct vqs_parcel *parcel) {
    const struct vqs_parcel_header *header = vqs_parcel_header(parcel);
    if (!vqs_dispatch_finish(&m->dispatch, rank, header->task)) {
        fail(m, vqs_fail(m->err, VQS_ERR_INTERNAL, "rank %d answered for task %u, which it does not have", rank,
                         header->task));
    } else if (header->kind == VQS_PARCEL_RESULT) {
        hand_out(m, rank); /* before the result is looked at: the worker should not wait for that */
        m->busy += header->busy;
        if (!m->refused) {
            m->done++;
            enum vqs_status status = m->ops->on_result(m->ops->ctx, header->task, rank, vqs_parcel_payload(parcel),
                                                       (size_t)header->size, m->err);
            if (status != VQS_OK) {
                m->refused = true;
                fail(m, status);
            }
        }
    }
    vqs_parcel_destroy(parcel);
}

/* Fills every rank's room. Tasks go round by round, so that the longest ones land on different ranks. */
static void hand_out_all(struct master *m) {
    for (bool any = true; any;) {
        any = false;
        for (int r = 0; r < m->dispatch.n_ranks; r++) {
            any |= hand_out(m, r);
        }
    }
}

static void say_goodbye(struct master *m) {
    for (int r = 1; r < m->dispatch.n_ranks; r++) {
        struct vqs_parcel *parcel = vqs_parcel_create(VQS_PARCEL_GOODBYE, (uint32_t)m->status);
        const char *text = m->status == VQS_OK ? "" : m->err->text;
        if (!parcel || vqs_bytes_append(&parcel->frame, text, strlen(text) + 1, NULL) != VQS_OK) {
            MPI_Abort(m->mail.comm, vqs_status_exit_code(VQS_ERR_MEMORY)); /* nobody may wait for ever */
        }
        vqs_parcel_seal(parcel);
        vqs_mail_send(&m->mail, parcel, r);
    }
}

/* Sleep until a local worker finishes or MPI deserves a look. Alone, there is nothing to look at. */
static void nap(struct vqs_pool *pool, const struct vqs_mail *mail, int n_ranks) {
    vqs_pool_wait(pool, n_ranks == 1 ? TICK_SECONDS : vqs_mail_busy(mail) ? NAP_IN_TRANSFER : NAP_SECONDS);
}

/* Send off what is under way; nothing is expected any more. */
static void flush(struct vqs_mail *mail, struct vqs_pool *pool) {
    while (vqs_mail_busy(mail)) {
        vqs_parcel_destroy(vqs_mail_receive(mail));
        if (vqs_mail_busy(mail)) {
            vqs_pool_wait(pool, NAP_IN_TRANSFER);
        }
    }
}

static void obey_tick(struct master *m, enum vqs_sched_order order) {
    const bool was_held = m->dispatch.held;
    m->dispatch.held = order == VQS_SCHED_HOLD;
    if (order == VQS_SCHED_STOP) {
        stop(m);
    } else if (was_held && !m->dispatch.held) {
        hand_out_all(m);
    }
}

static void run_master(struct master *m) {
    hand_out_all(m);
    double next_tick = vqs_clock_seconds();
    while (!vqs_dispatch_over(&m->dispatch)) {
        struct vqs_parcel *local = vqs_pool_take(m->pool), *remote = vqs_mail_receive(&m->mail);
        if (local) {
            collect(m, 0, local);
        }
        if (remote) {
            collect(m, remote->rank, remote);
        }
        double now = vqs_clock_seconds();
        if (now >= next_tick) {
            next_tick = now + TICK_SECONDS;
            obey_tick(m, m->ops->on_tick(m->ops->ctx, m->done, m->dispatch.in_flight));
        }
        if (!local && !remote) {
            nap(m->pool, &m->mail, m->dispatch.n_ranks);
        }
    }
    say_goodbye(m);
    flush(&m->mail, m->pool);
}

/* ---- the other ranks --------------------------------------------------------------------------------------------- */

struct servant {
    const struct vqs_sched_ops *ops;
    struct vqs_mail mail;
    struct vqs_pool *pool;
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

/* Obey a message from rank 0. */
static void obey(struct servant *s, struct vqs_parcel *parcel) {
    const struct vqs_parcel_header *header = vqs_parcel_header(parcel);
    switch (header->kind) {
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
    default: /* goodbye */
        s->over = true;
        s->status = (enum vqs_status)header->task;
        if (s->status != VQS_OK) {
            vqs_fail(s->err, s->status, "%s", (const char *)vqs_parcel_payload(parcel));
        }
    }
    vqs_parcel_destroy(parcel);
}

static void run_servant(struct servant *s, int n_ranks) {
    while (!s->over) {
        struct vqs_parcel *order = vqs_mail_receive(&s->mail), *result = vqs_pool_take(s->pool);
        if (order) {
            obey(s, order);
        }
        if (result) {
            vqs_mail_send(&s->mail, result, 0);
        }
        if (!order && !result) {
            nap(s->pool, &s->mail, n_ranks);
        }
    }
    flush(&s->mail, s->pool);
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

/* The collective part: rank 0 learns every rank's {slots, prefetch} and sets up its lists. */
static enum vqs_status set_up(MPI_Comm comm, const struct vqs_sched_config *config, struct vqs_dispatch *dispatch,
                              struct vqs_error *err) {
    int rank, n_ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    int mine[2] = {config->slots, config->prefetch}, (*rooms)[2] = NULL;
    enum vqs_status status = VQS_OK;
    if (mine[0] < 1 || mine[1] < 0 || mine[0] > INT_MAX / 2 || mine[1] > INT_MAX / 2) {
        status = vqs_fail(err, VQS_ERR_INTERNAL, "rank %d has %d slots and prefetch %d", rank, mine[0], mine[1]);
    }
    if (rank == 0 && !(rooms = malloc((size_t)n_ranks * sizeof *rooms))) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the lists of %d ranks", n_ranks);
    }
    if ((status = vqs_sched_agree(comm, status, err)) == VQS_OK) {
        MPI_Gather(mine, 2, MPI_INT, rooms, 2, MPI_INT, 0, comm);
        if (rank == 0) {
            status =
                vqs_dispatch_create(dispatch, config->order, config->n_tasks, n_ranks, (const int(*)[2])rooms, err);
        }
    }
    free(rooms);
    return status;
}

enum vqs_status vqs_sched_run(MPI_Comm comm, const struct vqs_sched_config *config, const struct vqs_sched_ops *ops,
                              struct vqs_sched_summary *summary, struct vqs_error *err) {
    double begin = vqs_clock_seconds();
    int rank, n_ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
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
        *summary =
            (struct vqs_sched_summary){.done = m.done, .stopped = m.done < config->n_tasks, .busy_seconds = m.busy};
    } else if (status == VQS_OK) {
        struct servant s = {.ops = ops, .mail = {.comm = comm}, .pool = pool, .err = err};
        run_servant(&s, n_ranks);
        status = s.status;
    }
    vqs_pool_destroy(pool);
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
