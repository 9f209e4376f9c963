/* test_team.c - parts are done once each, a phase ends before the next begins, and members sleep and wake. */
#include "team.h"

#include "testing.h"

#include <fenv.h>
#include <stdatomic.h>
#include <time.h>

enum { PHASES = 300, PARTS = 23, MOST = 4 };

struct job {
    struct vqs_team *team;
    int done[PHASES][PARTS]; /* by how many; whoever did it */
    atomic_int unfinished;   /* parts of the phase before that were not seen done */
    int rounding[MOST];      /* of each member */
    bool slow;
};

/* Now and then a part takes so long that the others fall asleep over it. */
static void dawdle(const struct job *job, int phase, int part) {
    const struct timespec nap = {.tv_nsec = 500000};
    if (job->slow && phase % 7 == 0 && part == phase % PARTS) {
        nanosleep(&nap, NULL);
    }
}

static void work(void *ctx, int member) {
    struct job *job = ctx;
    job->rounding[member] = fegetround();
    for (int phase = 0; phase < PHASES; phase++) {
        for (int part; (part = vqs_team_claim(job->team)) < PARTS;) {
            for (int p = 0; phase > 0 && p < PARTS; p++) {
                if (job->done[phase - 1][p] != 1) {
                    job->unfinished++;
                }
            }
            dawdle(job, phase, part);
            job->done[phase][part]++;
        }
        vqs_team_wait(job->team);
    }
}

static void run(int threads, bool slow) {
    struct job *job = calloc(1, sizeof *job);
    ck_assert_int_eq(vqs_team_create(threads, &job->team, NULL), VQS_OK);
    ck_assert_int_eq(vqs_team_threads(job->team), threads);
    for (int again = 0; again < 3; again++) {
        memset(job->done, 0, sizeof job->done);
        job->slow = slow;
        vqs_team_run(job->team, work, job);
        for (int phase = 0; phase < PHASES; phase++) {
            for (int part = 0; part < PARTS; part++) {
                ck_assert_int_eq(job->done[phase][part], 1);
            }
        }
        ck_assert_int_eq(job->unfinished, 0);
    }
    vqs_team_destroy(job->team);
    free(job);
}

START_TEST(every_part_is_done_once_and_in_its_phase) {
    for (int threads = 1; threads <= MOST; threads++) {
        run(threads, false);
        run(threads, true);
    }
}
END_TEST

START_TEST(members_compute_as_the_caller_does) {
    struct job *job = calloc(1, sizeof *job);
    const int modes[] = {FE_UPWARD, FE_TONEAREST};
    ck_assert_int_eq(vqs_team_create(MOST, &job->team, NULL), VQS_OK);
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        fesetround(modes[i]);
        vqs_team_run(job->team, work, job);
        for (int member = 0; member < MOST; member++) {
            ck_assert_int_eq(job->rounding[member], modes[i]);
        }
    }
    vqs_team_destroy(job->team);
    free(job);
}
END_TEST

START_TEST(a_team_that_never_ran_is_dissolved) {
    struct vqs_team *team = NULL;
    vqs_team_destroy(NULL);
    ck_assert_int_eq(vqs_team_create(MOST, &team, NULL), VQS_OK);
    vqs_team_destroy(team);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("team");
    TCase *tests = tcase_create("team");
    tcase_add_test(tests, every_part_is_done_once_and_in_its_phase);
    tcase_add_test(tests, members_compute_as_the_caller_does);
    tcase_add_test(tests, a_team_that_never_ran_is_dissolved);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
