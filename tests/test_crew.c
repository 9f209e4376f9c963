/* test_crew.c - threads share a trial where some would be idle otherwise and waiting is cheap; else none do. */
#include "testing.h"
#include "vqsweep/crew.h"
#include "vqsweep/train.h"

#define LARGE "fixed: {D: 256, d: 64, K: 1024, gap_restarts: 0}\n"
#define SMALL "fixed: {D: 16, d: 2, K: 4, N: 512, N_eval: 1, gap_restarts: 0}\n"

static struct vqs_team_cost cheap(int team) {
    return (struct vqs_team_cost){team, 2e-7 * team};
}
static struct vqs_team_cost dear(int team) { /* where waking takes long */
    return (struct vqs_team_cost){team, 1e-3 * team};
}
static struct vqs_team_cost busy(int team) { /* another program has the other cores */
    return (struct vqs_team_cost){1.05, 2e-7 * team};
}
static struct vqs_team_cost impossible(int team) {
    return team > 2 ? (struct vqs_team_cost){1, INFINITY} : cheap(team);
}

static const struct {
    const char *job, *seeds;
    struct vqs_crew crew;
    int team;
} cases[] = {
    {LARGE, "[1]", {1, 2, 0, 1, cheap}, 2},      {LARGE, "[1]", {1, 4, 0, 1, cheap}, 4},
    {LARGE, "[1]", {1, 64, 0, 1, cheap}, 8},     {LARGE, "[1]", {1, 4, 0, 1, dear}, 1},
    {LARGE, "[1]", {1, 4, 0, 1, busy}, 4},       {LARGE, "1..3", {1, 4, 0, 1, busy}, 1}, /* nothing to lose; something */
    {LARGE, "[1]", {1, 4, 0, 1, impossible}, 2}, {LARGE, "[1]", {1, 1, 0, 1, cheap}, 1},
    {LARGE, "1..2", {1, 4, 0, 1, cheap}, 2},     {LARGE, "1..2", {2, 4, 0, 1, cheap}, 4},
    {LARGE, "1..4", {1, 4, 0, 1, cheap}, 1},                                              /* no one is idle */
    {LARGE, "1..100", {1, 4, 0, 1, cheap}, 1},   {LARGE, "1..2", {1, 2, 0, 2, cheap}, 2}, /* a shard of one trial */
    {LARGE, "1..2", {1, 2, 1, 2, cheap}, 2},     {LARGE, "[1]", {1, 4, 1, 2, cheap}, 1},  /* a shard of none */
    {SMALL, "[1]", {1, 2, 0, 1, cheap}, 1}, /* five waits a step cost more than half of the step saves */
};

START_TEST(choice) {
    struct vqs_plan *plan = NULL;
    struct vqs_error err = {0};
    char job[300];
    snprintf(job, sizeof job, "name: crew\n%sseeds: %s\n", cases[_i].job, cases[_i].seeds);
    ck_assert_msg(vqs_plan_create(job, strlen(job), "job", NULL, &plan, &err) == VQS_OK, "%s", err.text);
    ck_assert_int_eq(vqs_crew_choose(&cases[_i].crew, plan), cases[_i].team);
    vqs_plan_destroy(plan);
}
END_TEST

START_TEST(a_team_of_two_is_expected_to_be_faster_by_less_than_two) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    const struct vqs_team_cost alone = {1, 0}, ideal = {2, 0}, slow = {2, 1e-6}, busy = {1.5, 0}, all_busy = {1, 0};
    const double one = vqs_trial_seconds(&s), two = vqs_trial_team_seconds(&s, 2, &ideal);
    ck_assert(vqs_trial_team_seconds(&s, 1, &alone) == one);
    ck_assert(two < one && two > one / 2);
    ck_assert(vqs_trial_team_seconds(&s, 2, &slow) > two);
    ck_assert(vqs_trial_team_seconds(&s, 2, &busy) > two && vqs_trial_team_seconds(&s, 2, &busy) < one);
    ck_assert(vqs_trial_team_seconds(&s, 2, &all_busy) == one);
}
END_TEST

START_TEST(a_team_is_measured) {
    const struct vqs_team_cost cost = vqs_crew_measure(2);
    ck_assert(cost.phase_seconds > 0 && isfinite(cost.phase_seconds));
    ck_assert(cost.cores >= 1 && cost.cores <= 2);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("crew");
    TCase *tests = tcase_create("crew");
    tcase_add_loop_test(tests, choice, 0, COUNT_OF(cases));
    tcase_add_test(tests, a_team_of_two_is_expected_to_be_faster_by_less_than_two);
    tcase_add_test(tests, a_team_is_measured);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
