/* team.c - a few threads with a barrier that spins for a moment and then sleeps.
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

/* About a hundred microseconds, which falling asleep and being woken can take too. With cores of its own a team then hardly
 * ever sleeps; where another program has one of them, it loses that much a phase at the most. */
enum { SPINS = 2048 };

struct member {
    struct vqs_team *team;
    int number;
    pthread_t thread;
};

struct vqs_team {
    int threads; /* all that run, the caller's too */
    /* the run */
    void (*work)(void *ctx, int member); /* NULL: the team is dissolved */
    void *ctx;
    fenv_t environment;
    /* the phase */
    atomic_int next;    /* part */
    atomic_int arrived; /* members that wait for its end */
    atomic_uint phase;  /* changes when all have arrived */
    atomic_int sleepers;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    struct member members[]; /* [threads], of which 0 is not used */
};

/* ---- claiming and waiting -------------------------------------------------------------------------------------- */

int vqs_team_claim(struct vqs_team *team) {
    if (team->threads > 1) {
        return atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed);
    }
    const int part = atomic_load_explicit(&team->next, memory_order_relaxed); /* alone, and so without a locked bus */
    atomic_store_explicit(&team->next, part + 1, memory_order_relaxed);
    return part;
}

static bool is_over(struct vqs_team *team, unsigned phase) {
    return atomic_load(&team->phase) != phase;
}

/* Either the last to arrive sees a sleeper, and takes the lock with which that falls asleep; or the sleeper sees that
 * the phase is over. */
static void sleep_through(struct vqs_team *team, unsigned phase) {
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->sleepers, 1);
    while (!is_over(team, phase)) {
        pthread_cond_wait(&team->ended, &team->lock);
    }
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->lock);
}

static void end_phase(struct vqs_team *team, unsigned phase) {
    atomic_store_explicit(&team->next, 0, memory_order_relaxed);
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    atomic_store(&team->phase, phase + 1);
    if (atomic_load(&team->sleepers)) {
        pthread_mutex_lock(&team->lock);
        pthread_cond_broadcast(&team->ended);
        pthread_mutex_unlock(&team->lock);
    }
}

void vqs_team_wait(struct vqs_team *team) {
    if (team->threads == 1) {
        atomic_store_explicit(&team->next, 0, memory_order_relaxed);
        return;
    }
    const unsigned phase = atomic_load(&team->phase);
    if (atomic_fetch_add(&team->arrived, 1) == team->threads - 1) {
        end_phase(team, phase);
        return;
    }
    for (int i = 0; i < SPINS && !is_over(team, phase); i++) {
        pause();
    }
    if (!is_over(team, phase)) {
        sleep_through(team, phase);
    }
}

/* ---- runs: a phase without parts begins each, another ends it -------------------------------------------------- */

static void *serve(void *arg) {
    const struct member *member = arg;
    struct vqs_team *team = member->team;
    pthread_mutex_lock(&team->lock);
    pthread_mutex_unlock(&team->lock);
    for (;;) {
        vqs_team_wait(team);
        if (!team->work) {
            return NULL;
        }
        fesetenv(&team->environment);
        team->work(team->ctx, member->number);
        vqs_team_wait(team);
    }
}

void vqs_team_run(struct vqs_team *team, void (*work)(void *ctx, int member), void *ctx) {
    team->work = work;
    team->ctx = ctx;
    fegetenv(&team->environment);
    vqs_team_wait(team);
    work(ctx, 0);
    vqs_team_wait(team);
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
    for (int i = 1; i < threads && !failure; i++) {
        team->members[i] = (struct member){.team = team, .number = i};
        failure = pthread_create(&team->members[i].thread, NULL, serve, &team->members[i]);
        team->threads += !failure;
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
    atomic_init(&team->next, 0);
    atomic_init(&team->arrived, 0);
    atomic_init(&team->phase, 0);
    atomic_init(&team->sleepers, 0);
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->ended, NULL);
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
    team->work = NULL;
    vqs_team_wait(team);
    for (int i = 1; i < team->threads; i++) {
        pthread_join(team->members[i].thread, NULL);
    }
    pthread_cond_destroy(&team->ended);
    pthread_mutex_destroy(&team->lock);
    free(team);
}

int vqs_team_threads(const struct vqs_team *team) {
    return team->threads;
}
