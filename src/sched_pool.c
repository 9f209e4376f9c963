/* sched_pool.c - worker threads with a queue in and a queue out. */
#include "sched_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct worker {
    struct vqs_pool *pool;
    int slot;
    bool running; /* `task`; both under the pool's lock */
    uint32_t task;
    pthread_t thread;
};

struct vqs_pool {
    const struct vqs_sched_ops *ops;
    pthread_mutex_t lock; /* over the four fields below, and what the workers are running */
    pthread_cond_t work, finished;
    struct vqs_parcels waiting, done;
    bool closing;
    int n_workers;
    struct worker workers[];
};

/* Run one task; the parcel that brought it carries the result. `spare` lends its memory to the result and keeps that of
 * the task, so that a worker in its stride allocates nothing here. */
static void run_parcel(const struct worker *worker, struct vqs_parcel *parcel, struct vqs_bytes *spare) {
    const struct vqs_sched_ops *ops = worker->pool->ops;
    struct vqs_parcel_header header = *vqs_parcel_header(parcel);
    size_t size = header.size;
    header.kind = VQS_PARCEL_RESULT;
    spare->size = 0;
    if (vqs_bytes_append(spare, &header, sizeof header, NULL) != VQS_OK) { /* no memory: an empty result */
        parcel->frame.size = sizeof header;
        vqs_parcel_header(parcel)->kind = VQS_PARCEL_RESULT;
        vqs_parcel_seal(parcel);
        return;
    }
    double begin = vqs_clock_seconds();
    ops->run(ops->ctx, worker->slot, vqs_parcel_payload(parcel), size, spare);
    struct vqs_bytes task = parcel->frame;
    parcel->frame = *spare;
    *spare = task;
    vqs_parcel_header(parcel)->busy = vqs_clock_seconds() - begin;
    vqs_parcel_seal(parcel);
}

/* Whether the main thread should see what is finished. */
static bool is_worth_a_look(const struct vqs_pool *pool) {
    return pool->done.n > 0 && pool->done.n >= pool->waiting.n;
}

/* Give in what `worker` has finished, if anything, and get its next task; NULL once the pool closes. The next task is
 * taken first and the main thread woken after that, with no lock held: it may take this very core at once. */
static struct vqs_parcel *exchange(struct worker *worker, struct vqs_parcel *finished) {
    struct vqs_pool *pool = worker->pool;
    pthread_mutex_lock(&pool->lock);
    if (finished) {
        vqs_parcels_put(&pool->done, finished);
    }
    struct vqs_parcel *parcel = vqs_parcels_take(&pool->waiting);
    worker->running = parcel != NULL;
    bool wake = finished && is_worth_a_look(pool);
    while (!parcel && !pool->closing) {
        if (wake) {
            pthread_cond_signal(&pool->finished);
            wake = false;
        }
        pthread_cond_wait(&pool->work, &pool->lock);
        parcel = vqs_parcels_take(&pool->waiting);
    }
    worker->running = parcel != NULL;
    worker->task = parcel ? vqs_parcel_header(parcel)->task : 0;
    pthread_mutex_unlock(&pool->lock);
    if (wake) {
        pthread_cond_signal(&pool->finished);
    }
    return parcel;
}

static void *work(void *arg) {
    struct worker *worker = arg;
    struct vqs_bytes spare = {0};
    for (struct vqs_parcel *parcel = NULL; (parcel = exchange(worker, parcel));) {
        run_parcel(worker, parcel, &spare);
    }
    vqs_bytes_destroy(&spare);
    return NULL;
}

/* Start the workers with all signals blocked: signals belong to the main thread. */
static int start_workers(struct vqs_pool *pool, int slots) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = 0;
    for (int s = 0; s < slots && !failure; s++) {
        struct worker *worker = &pool->workers[s];
        worker->pool = pool;
        worker->slot = s;
        failure = pthread_create(&worker->thread, NULL, work, worker);
        pool->n_workers += !failure;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

enum vqs_status vqs_pool_create(int slots, const struct vqs_sched_ops *ops, struct vqs_pool **out,
                                struct vqs_error *err) {
    struct vqs_pool *pool = calloc(1, sizeof *pool + (size_t)slots * sizeof *pool->workers);
    *out = pool;
    if (!pool) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate %d worker threads", slots);
    }
    pool->ops = ops;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->finished, &attributes);
    pthread_condattr_destroy(&attributes);
    int failure = start_workers(pool, slots);
    if (failure) {
        vqs_fail(err, VQS_ERR_ENVIRONMENT, "cannot start worker thread %d of %d: %s", pool->n_workers + 1, slots,
                 strerror(failure));
        vqs_pool_destroy(pool);
        *out = NULL;
        return VQS_ERR_ENVIRONMENT;
    }
    return VQS_OK;
}

void vqs_pool_destroy(struct vqs_pool *pool) {
    if (!pool) {
        return;
    }
    struct vqs_parcel *parcel;
    while ((parcel = vqs_pool_withdraw(pool))) {
        vqs_parcel_destroy(parcel);
    }
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int s = 0; s < pool->n_workers; s++) {
        pthread_join(pool->workers[s].thread, NULL);
    }
    while ((parcel = vqs_parcels_take(&pool->done))) {
        vqs_parcel_destroy(parcel);
    }
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void vqs_pool_submit(struct vqs_pool *pool, struct vqs_parcel *parcel) {
    pthread_mutex_lock(&pool->lock);
    vqs_parcels_put(&pool->waiting, parcel);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_signal(&pool->work);
}

struct vqs_parcels vqs_pool_take(struct vqs_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    struct vqs_parcels done = pool->done;
    pool->done = (struct vqs_parcels){0};
    pthread_mutex_unlock(&pool->lock);
    return done;
}

struct vqs_parcel *vqs_pool_withdraw(struct vqs_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    struct vqs_parcel *parcel = vqs_parcels_take(&pool->waiting);
    pthread_mutex_unlock(&pool->lock);
    return parcel;
}

bool vqs_pool_supplied(struct vqs_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    bool supplied = pool->waiting.n > 0;
    pthread_mutex_unlock(&pool->lock);
    return supplied;
}

bool vqs_pool_running(struct vqs_pool *pool, int slot, uint32_t *task) {
    pthread_mutex_lock(&pool->lock);
    bool running = pool->workers[slot].running;
    *task = pool->workers[slot].task;
    pthread_mutex_unlock(&pool->lock);
    return running;
}

bool vqs_pool_busy(struct vqs_pool *pool) {
    uint32_t task;
    bool busy = false;
    for (int s = 0; s < pool->n_workers; s++) {
        busy = busy || vqs_pool_running(pool, s, &task);
    }
    return busy;
}

void vqs_pool_wait(struct vqs_pool *pool, double seconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + (int64_t)(1e9 * seconds);
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    pthread_mutex_lock(&pool->lock);
    while (!is_worth_a_look(pool) && pthread_cond_timedwait(&pool->finished, &pool->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&pool->lock);
}
