/* team.c - a few threads that claim bundles of parts, spin for a moment where there are none, and then sleep.
 *
 * All that is claimed and done is one number, so that whoever finishes the last part of a phase knows it, and begins
 * the next one before anyone can claim anything. Whoever claims a bundle has with it a right to all else: nothing but
 * that number is read without one, and nothing else changes as long as one is in work. So it does no harm that the
 * number may have been others in the meantime and be the same again.
 *
 * The waits of compilers' run-time libraries spin for milliseconds. A thread that shares its core with another program
 * then waits for the very core that its partner is spinning on. */
#include "team.h"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#define pause() _mm_pause()
#else
#define pause() ((void)0)
#endif

/* Parts are claimed in so many bundles a phase: part p is in bundle p % BUNDLES. */
enum { BUNDLES = 48 };

/* About a hundred microseconds, which falling asleep and being woken can take too. With cores of its own a team then
 * hardly ever sleeps; where another program has one of them, it loses that much a phase at the most. */
enum { SPINS = 2048 };

struct member {
    struct vqs_team *team;
    int number;
    uint64_t own; /* bundles that it is offered first */
    unsigned run; /* whose environment it has */
    pthread_t thread;
};

struct vqs_team {
    int threads; /* all that run, the caller's too */
    /* the run; written where no bundle is in work */
    const struct vqs_team_work *work;
    void *ctx;
    fenv_t environment;
    unsigned run;
    /* the phase */
    int parts;
    atomic_uint_least64_t state; /* a bit for each bundle that is open; above them how many are in work; 0: no run */
    /* waiting */
    atomic_int sleepers;
    atomic_bool dissolved;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct member members[]; /* [threads] */
};

static const uint64_t all_open = ((uint64_t)1 << BUNDLES) - 1, one_in_work = (uint64_t)1 << BUNDLES;

/* ---- claiming -------------------------------------------------------------------------------------------------- */

/* The bundle that the member takes of those open. */
static int choose(const struct member *m, uint64_t open) {
    return __builtin_ctzll(open & m->own ? open & m->own : open);
}

/* Either the publisher sees a sleeper, and takes the lock with which that falls asleep; or the sleeper sees what is
 * published. */
static void publish(struct vqs_team *team, uint64_t state) {
    atomic_store(&team->state, state);
    if (atomic_load(&team->sleepers)) {
        pthread_mutex_lock(&team->lock);
        pthread_cond_broadcast(&team->changed);
        pthread_mutex_unlock(&team->lock);
    }
}

/* The next phase, of which the member gets a bundle; -1: the run is over. */
static int advance(const struct member *m) {
    struct vqs_team *team = m->team;
    do {
        team->parts = team->work->next(team->ctx, m->number);
    } while (team->parts == 0);
    if (team->parts < 0) {
        publish(team, 0);
        return -1;
    }
    const uint64_t open = all_open >> (team->parts < BUNDLES ? BUNDLES - team->parts : 0);
    const int bundle = choose(m, open);
    publish(team, (open & ~((uint64_t)1 << bundle)) | one_in_work);
    return bundle;
}

/* Another bundle for the member, who is done with one if it `had` any; -1: none is open. */
static int claim(const struct member *m, bool had) {
    struct vqs_team *team = m->team;
    uint64_t state = atomic_load_explicit(&team->state, memory_order_acquire);
    for (;;) {
        const uint64_t open = state & all_open;
        const int bundle = open ? choose(m, open) : -1;
        if (state == one_in_work && had) { /* the last one of the phase: nobody else can change anything */
            return advance(m);
        }
        if (!open && !had) {
            return -1;
        }
        uint64_t then = open ? state & ~((uint64_t)1 << bundle) : state;
        then += one_in_work * (uint64_t)(open != 0) - one_in_work * (uint64_t)had;
        if (atomic_compare_exchange_weak_explicit(&team->state, &state, then, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            return bundle;
        }
    }
}

/* From `bundle` on, all that the member can get. */
static void work_on(const struct member *m, int bundle) {
    const struct vqs_team *team = m->team;
    while (bundle >= 0) {
        for (int part = bundle; part < team->parts; part += BUNDLES) {
            team->work->part(team->ctx, part, m->number);
        }
        bundle = claim(m, true);
    }
}

/* ---- waiting --------------------------------------------------------------------------------------------------- */

/* Whether the member has something to do: parts; or, without them, to leave. */
static bool is_wanted(struct vqs_team *team, bool caller) {
    const uint64_t state = atomic_load(&team->state);
    return state & all_open || (caller ? state == 0 : atomic_load(&team->dissolved));
}

static void await(struct vqs_team *team, bool caller) {
    for (int i = 0; i < SPINS; i++) {
        if (is_wanted(team, caller)) {
            return;
        }
        pause();
    }
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->sleepers, 1);
    while (!is_wanted(team, caller)) {
        pthread_cond_wait(&team->changed, &team->lock);
    }
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->lock);
}

static void *serve(void *arg) {
    struct member *m = arg;
    struct vqs_team *team = m->team;
    pthread_mutex_lock(&team->lock);
    pthread_mutex_unlock(&team->lock);
    while (!atomic_load(&team->dissolved)) {
        const int bundle = claim(m, false);
        if (bundle >= 0 && m->run != team->run) {
            m->run = team->run;
            fesetenv(&team->environment);
        }
        work_on(m, bundle);
        await(team, false);
    }
    return NULL;
}

/* ---- runs ------------------------------------------------------------------------------------------------------ */

void vqs_team_run_alone(const struct vqs_team_work *work, void *ctx) {
    for (int parts; (parts = work->next(ctx, 0)) >= 0;) {
        for (int part = 0; part < parts; part++) {
            work->part(ctx, part, 0);
        }
    }
}

void vqs_team_run(struct vqs_team *team, const struct vqs_team_work *work, void *ctx) {
    const struct member *m = &team->members[0];
    if (team->threads == 1) {
        vqs_team_run_alone(work, ctx);
        return;
    }
    team->work = work;
    team->ctx = ctx;
    team->run++;
    fegetenv(&team->environment);
    work_on(m, advance(m));
    while (atomic_load_explicit(&team->state, memory_order_acquire)) {
        await(team, true);
        work_on(m, claim(m, false));
    }
}

/* ---- life cycle ------------------------------------------------------------------------------------------------ */

/* As many threads as can be had, up to `threads` with the caller. All signals are blocked in them: those belong to the
 * main thread. Returns an error number. */
static int start(struct vqs_team *team, int threads) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&team->lock); /* until the team knows how many it is */
    int failure = 0;
    team->members[0] = (struct member){.team = team};
    for (int i = 1; i < threads && !failure; i++) {
        team->members[i] = (struct member){.team = team, .number = i};
        failure = pthread_create(&team->members[i].thread, NULL, serve, &team->members[i]);
        team->threads += !failure;
    }
    for (int bundle = 0; bundle < BUNDLES; bundle++) {
        team->members[bundle % team->threads].own |= (uint64_t)1 << bundle;
    }
    pthread_mutex_unlock(&team->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

enum vqs_status vqs_team_create(int threads, struct vqs_team **out, struct vqs_error *err) {
    struct vqs_team *team = *out = calloc(1, sizeof *team + (size_t)threads * sizeof *team->members);
    if (!team) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a team of %d threads", threads);
    }
    team->threads = 1;
    atomic_init(&team->state, 0);
    atomic_init(&team->sleepers, 0);
    atomic_init(&team->dissolved, false);
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->changed, NULL);
    const int failure = start(team, threads);
    if (failure) {
        vqs_fail(err, VQS_ERR_ENVIRONMENT, "cannot start thread %d of the %d that share a trial: %s; lower --team",
                 team->threads + 1, threads, strerror(failure));
        vqs_team_destroy(team);
        *out = NULL;
        return VQS_ERR_ENVIRONMENT;
    }
    return VQS_OK;
}

void vqs_team_destroy(struct vqs_team *team) {
    if (!team) {
        return;
    }
    atomic_store(&team->dissolved, true);
    publish(team, 0);
    for (int i = 1; i < team->threads; i++) {
        pthread_join(team->members[i].thread, NULL);
    }
    pthread_cond_destroy(&team->changed);
    pthread_mutex_destroy(&team->lock);
    free(team);
}

int vqs_team_threads(const struct vqs_team *team) {
    return team->threads;
}
