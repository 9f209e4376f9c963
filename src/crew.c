/* crew.c - the end of a run by a model of the farm: the longest trial first, to whoever is free. */
#include "vqsweep/crew.h"

#include "team.h"
#include "vqsweep/train.h"

#include <math.h>
#include <stdlib.h>

enum {
    MOST_TEAM = 8,       /* runs of tiles in a step: more threads have nothing to do in most of it */
    MOST_A_THREAD = 8,   /* with so many trials for each thread, idle ones at the end of the run hardly count */
    MOST_THREADS = 1024, /* who has more is asked to choose */
    PHASES = 100,        /* that are measured, with */
    PARTS = 8,           /* parts of */
    LENGTH = 6000        /* additions, which take some microseconds */
};
/* What a larger team has to gain, since times are only expected; or may seem to lose, where it takes threads that no
 * trial wants: it adapts to what the machine has to give later (pace.h). */
static const double WORTH_IT = 0.9;

struct load {
    int phases; /* left */
    int length;
    float sums[PARTS][16]; /* each in a cache line of its own */
};

static int next_phase(void *ctx, int member) {
    struct load *load = ctx;
    (void)member;
    return load->phases-- > 0 ? PARTS : -1;
}

static void do_part(void *ctx, int part, int member) {
    struct load *load = ctx;
    (void)member;
    for (int i = 0; i < load->length; i++) { /* each waits for the one before, whatever the compiler does */
        load->sums[part][0] = 0.5F * load->sums[part][0] + 1;
    }
}

static double seconds_of(struct vqs_team *team, int length) {
    static const struct vqs_team_work work = {next_phase, do_part};
    struct load load = {.phases = PHASES, .length = length};
    const double start = vqs_clock_seconds();
    if (team) {
        vqs_team_run(team, &work, &load);
    } else {
        vqs_team_run_alone(&work, &load);
    }
    return vqs_clock_seconds() - start;
}

struct vqs_team_cost vqs_crew_measure(int threads) {
    struct vqs_team *team;
    if (vqs_team_create(threads, &team, NULL) != VQS_OK) {
        return (struct vqs_team_cost){1, INFINITY};
    }
    seconds_of(team, LENGTH); /* until all are awake */
    const double empty = seconds_of(team, 0), shared = seconds_of(team, LENGTH) - empty;
    const double alone = seconds_of(NULL, LENGTH) - seconds_of(NULL, 0);
    vqs_team_destroy(team);
    return (struct vqs_team_cost){fmax(1, fmin(threads, alone / shared)), empty / PHASES};
}

static int descending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* When the last of n trials ends. Sorts `seconds`; `busy` is scratch of `slots` values. */
static double end_of(double *seconds, size_t n, double *busy, size_t slots) {
    double end = 0;
    qsort(seconds, n, sizeof *seconds, descending);
    for (size_t s = 0; s < slots; s++) {
        busy[s] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        size_t first = 0;
        for (size_t s = 1; s < slots; s++) {
            first = busy[s] < busy[first] ? s : first;
        }
        busy[first] += seconds[i];
        end = fmax(end, busy[first]);
    }
    return end;
}

int vqs_crew_choose(const struct vqs_crew *crew, const struct vqs_plan *plan) {
    const size_t trials = vqs_plan_n_trials(plan), total = (size_t)crew->ranks * (size_t)crew->threads;
    const size_t n = trials > crew->first ? (trials - crew->first - 1) / crew->stride + 1 : 0;
    double *seconds = NULL, *busy = NULL, soonest = INFINITY;
    int best = 1;
    if (crew->threads < 2 || total > MOST_THREADS || n > MOST_A_THREAD * total ||
        !(seconds = malloc((n + 1) * sizeof *seconds)) || !(busy = malloc(total * sizeof *busy))) {
        free(seconds);
        return 1;
    }
    for (int team = 1; team <= MOST_TEAM && team <= crew->threads; team *= 2) {
        const struct vqs_team_cost cost = team > 1 ? crew->measure(team) : (struct vqs_team_cost){1, 0};
        for (size_t i = 0; i < n; i++) {
            struct vqs_settings settings;
            vqs_plan_trial_settings(plan, crew->first + i * crew->stride, &settings);
            seconds[i] = vqs_trial_team_seconds(&settings, team, &cost);
        }
        const double end = end_of(seconds, n, busy, (size_t)crew->ranks * (size_t)(crew->threads / team));
        if (team == 1 || end < soonest * (n * (size_t)team <= total ? 1 / WORTH_IT : WORTH_IT)) {
            soonest = fmin(soonest, end);
            best = team;
        }
    }
    free(busy);
    free(seconds);
    return best;
}
