/* test_pace.c - the faster of two ways is kept, whichever it is and whenever that changes. Time is a model's. */
#include "pace.h"

#include "testing.h"

/* Runs for so many seconds, in epochs of so many steps, where a step takes alone[0] or shared[1] seconds. Returns the
 * seconds a step took. */
static double run(struct vqs_pace *pace, double seconds, int64_t epoch, const double step[2]) {
    int64_t steps = 0, left = epoch;
    double taken = 0;
    while (taken < seconds) {
        const struct vqs_stretch stretch = vqs_pace_next(pace);
        const int64_t n = stretch.steps < left ? stretch.steps : left;
        const double time = (double)n * step[stretch.shared];
        vqs_pace_took(pace, n, time);
        taken += time;
        steps += n;
        left = left > n ? left - n : epoch;
    }
    ck_assert_int_gt(steps, 0);
    return taken / (double)steps;
}

static const int64_t epochs[] = {1, 3, 100, 1000000};

START_TEST(the_faster_way_is_kept) {
    static const double lengths[] = {2e-5, 1e-3, 0.2};
    for (size_t e = 0; e < COUNT_OF(epochs); e++) {
        for (size_t l = 0; l < COUNT_OF(lengths); l++) {
            const double step = lengths[l], shared[] = {step, 0.6 * step}, alone[] = {step, 1.5 * step};
            const double seconds = fmax(5, 500 * step);
            struct vqs_pace pace;
            vqs_pace_start(&pace);
            ck_assert_double_lt(run(&pace, seconds, epochs[e], shared), 1.03 * shared[1]);
            vqs_pace_start(&pace);
            ck_assert_double_lt(run(&pace, seconds, epochs[e], alone), 1.03 * alone[0]);
        }
    }
}
END_TEST

START_TEST(another_program_comes_and_goes) {
    static const double idle[] = {1e-3, 0.6e-3}, busy[] = {1e-3, 1.4e-3};
    for (int i = 0; i < 16; i++) { /* wherever between two looks */
        struct vqs_pace pace;
        vqs_pace_start(&pace);
        run(&pace, 20 + 0.05 * i, 16, idle);
        ck_assert_double_lt(run(&pace, 0.4, 16, busy), 1.08 * busy[0]); /* noticed at once */
        run(&pace, 20, 16, busy);
        run(&pace, 1, 16, idle); /* at the next look */
        ck_assert_double_lt(run(&pace, 5, 16, idle), 1.03 * idle[1]);
    }
}
END_TEST

START_TEST(a_stretch_is_long_enough_to_tell) {
    struct vqs_pace pace;
    vqs_pace_start(&pace);
    ck_assert(vqs_pace_next(&pace).shared);
    ck_assert_int_eq(vqs_pace_next(&pace).steps, 1); /* of which nothing is known */
    vqs_pace_took(&pace, 1, 1e-6);
    ck_assert(vqs_pace_next(&pace).shared);
    ck_assert_int_ge(vqs_pace_next(&pace).steps, 1000);
    vqs_pace_took(&pace, 2, 0); /* nor does a clock that stands still do any harm */
    ck_assert(vqs_pace_next(&pace).shared);
    vqs_pace_took(&pace, 1, 1);
    ck_assert(!vqs_pace_next(&pace).shared);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pace");
    TCase *tests = tcase_create("pace");
    tcase_add_test(tests, the_faster_way_is_kept);
    tcase_add_test(tests, another_program_comes_and_goes);
    tcase_add_test(tests, a_stretch_is_long_enough_to_tell);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
