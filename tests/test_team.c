/* test_team.c - parts are done once each, a phase ends before the next begins and without members that are late, and
 * members sleep and wake. */
#include "team.h"

#include "testing.h"

#include <fenv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { PHASES = 300, PARTS = 131, MOST = 4 };

struct job {
    int threads;
    int phase;               /* -1 before the first */
    int done[PHASES][PARTS]; /* by how many; whoever did it */
    atomic_int unfinished;   /* parts of the phase before that were not seen done */
    atomic_int strangers;    /* members beyond the team */
    int rounding[PHASES][PARTS];
    bool slow;
};

/* From none to more than can be claimed at once. */
static int parts_of(int phase) {
    return phase * 7 % (PARTS + 1);
}

static int next_phase(void *ctx, int member) {
    struct job *job = ctx;
    job->strangers += member < 0 || member >= job->threads;
    for (int part = 0; job->phase >= 0 && part < parts_of(job->phase); part++) {
        job->unfinished += job->done[job->phase][part] != 1;
    }
    return ++job->phase < PHASES ? parts_of(job->phase) : -1;
}

/* Now and then a part takes so long that the others fall asleep over it. */
static void dawdle(const struct job *job, int part) {
    if (job->slow && job->phase % 7 == 0 && part == job->phase % PARTS) {
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
}

static void do_part(void *ctx, int part, int member) {
    struct job *job = ctx;
    dawdle(job, part);
    job->strangers += member < 0 || member >= job->threads;
    job->rounding[job->phase][part] = fegetround();
    job->done[job->phase][part]++;
}

static const struct vqs_team_work work = {next_phase, do_part};

static struct vqs_team *team_of(int threads) {
    struct vqs_team *team;
    ck_assert_int_eq(vqs_team_create(threads, &team, NULL), VQS_OK);
    ck_assert_int_eq(vqs_team_threads(team), threads);
    return team;
}

static void check_done(const struct job *job) {
    int wrong = 0; /* an assertion takes long */
    for (int phase = 0; phase < PHASES; phase++) {
        for (int part = 0; part < PARTS; part++) {
            wrong += job->done[phase][part] != (part < parts_of(phase));
        }
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert_int_eq(job->phase, PHASES);
    ck_assert_int_eq(job->unfinished, 0);
    ck_assert_int_eq(job->strangers, 0);
}

static void run(int threads, bool slow) {
    struct job *job = calloc(1, sizeof *job);
    struct vqs_team *team = team_of(threads);
    for (int again = 0; again < 3; again++) {
        *job = (struct job){.threads = threads, .phase = -1, .slow = slow};
        vqs_team_run(team, &work, job);
        check_done(job);
    }
    vqs_team_destroy(team);
    free(job);
}

START_TEST(every_part_is_done_once_and_in_its_phase) {
    for (int threads = 1; threads <= MOST; threads++) {
        run(threads, false);
        run(threads, true);
    }
}
END_TEST

START_TEST(one_alone_does_the_same) {
    struct job *job = calloc(1, sizeof *job);
    job->threads = 1;
    job->phase = -1;
    vqs_team_run_alone(&work, job);
    check_done(job);
    free(job);
}
END_TEST

START_TEST(members_compute_as_the_caller_does) {
    struct job *job = calloc(1, sizeof *job);
    const int modes[] = {FE_UPWARD, FE_TONEAREST};
    struct vqs_team *team = team_of(MOST);
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        *job = (struct job){.threads = MOST, .phase = -1};
        fesetround(modes[i]);
        vqs_team_run(team, &work, job);
        int wrong = 0;
        for (int phase = 0; phase < PHASES; phase++) {
            for (int part = 0; part < parts_of(phase); part++) {
                wrong += job->rounding[phase][part] != modes[i];
            }
        }
        ck_assert_int_eq(wrong, 0);
    }
    vqs_team_destroy(team);
    free(job);
}
END_TEST

/* ---- members that are late ------------------------------------------------------------------------------------- */

/* Members can be held up where they take the team's lock, which is before they do anything and when they fall asleep;
 * and where they wake up. */
static _Thread_local bool is_free; /* of that */
static atomic_bool holds;
static atomic_int held; /* members asleep or held up */

int __real_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);
int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock);

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void be_held(void) {
    held += !is_free;
    while (!is_free && holds) {
        nap();
    }
    held -= !is_free;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *lock) {
    be_held();
    return __real_pthread_mutex_lock(lock);
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock) {
    held += !is_free;
    __real_pthread_cond_wait(condition, lock);
    pthread_mutex_unlock(lock);
    be_held();
    held -= !is_free;
    return __real_pthread_mutex_lock(lock);
}

/* Phases of a part a member, but for LONE, which has one: from that to BACK all members but the caller and who does it
 * are held up. */
enum { LONE = 100, BACK = 200 };

struct late {
    int threads, phase;
    bool meets;         /* before LONE and after BACK each part waits until all are begun, and so by all members */
    atomic_int here;    /* parts of the phase that are begun */
    int held;           /* in LONE */
    atomic_int by[PHASES][MOST]; /* how many parts each did */
};

static int next_of_late(void *ctx, int member) {
    struct late *late = ctx;
    (void)member;
    late->here = 0;
    return ++late->phase == PHASES ? -1 : late->phase == LONE ? 1 : late->threads;
}

static void part_of_late(void *ctx, int part, int member) {
    struct late *late = ctx;
    const bool meets = late->meets && (late->phase < LONE || late->phase > BACK);
    (void)part;
    late->by[late->phase][member]++;
    for (late->here++; meets && late->here < late->threads;) {
        nap();
    }
    if (late->meets && late->phase == LONE) {
        is_free = true;
        late->held = late->threads - 1 - (member != 0);
        for (holds = true; held < late->held;) {
            nap();
        }
    }
    if (late->meets && late->phase == BACK) {
        holds = false;
    }
}

static const struct vqs_team_work late_work = {next_of_late, part_of_late};

START_TEST(a_run_ends_without_members_that_never_come) {
    struct late *late = calloc(1, sizeof *late);
    is_free = true;
    holds = true;
    struct vqs_team *team = team_of(MOST);
    for (int again = 0; again < 2; again++) {
        *late = (struct late){.threads = MOST, .phase = -1};
        vqs_team_run(team, &late_work, late);
        ck_assert_int_eq(late->phase, PHASES);
        for (int phase = 0; phase < PHASES; phase++) {
            ck_assert_int_eq(late->by[phase][0], phase == LONE ? 1 : MOST);
        }
    }
    holds = false;
    vqs_team_destroy(team);
    free(late);
}
END_TEST

START_TEST(who_comes_late_goes_on_to_the_present_phase) {
    struct late *late = calloc(1, sizeof *late);
    is_free = true;
    struct vqs_team *team = team_of(MOST);
    *late = (struct late){.threads = MOST, .phase = -1, .meets = true};
    vqs_team_run(team, &late_work, late);
    ck_assert_int_eq(late->phase, PHASES);
    ck_assert_int_ge(late->held, MOST - 2);
    for (int phase = 0; phase < PHASES; phase++) {
        int did = 0;
        for (int member = 0; member < MOST; member++) {
            did += late->by[phase][member] > 0;
        }
        ck_assert_int_le(did, phase >= LONE && phase < BACK ? MOST - late->held : MOST);
        ck_assert_int_ge(did, phase < LONE || phase > BACK ? MOST : 1);
    }
    vqs_team_destroy(team);
    free(late);
}
END_TEST

START_TEST(a_team_that_never_ran_is_dissolved) {
    vqs_team_destroy(NULL);
    vqs_team_destroy(team_of(MOST));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("team");
    TCase *tests = tcase_create("team");
    tcase_add_test(tests, every_part_is_done_once_and_in_its_phase);
    tcase_add_test(tests, one_alone_does_the_same);
    tcase_add_test(tests, members_compute_as_the_caller_does);
    tcase_add_test(tests, a_run_ends_without_members_that_never_come);
    tcase_add_test(tests, who_comes_late_goes_on_to_the_present_phase);
    tcase_add_test(tests, a_team_that_never_ran_is_dissolved);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
