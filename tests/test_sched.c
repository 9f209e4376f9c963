/* test_sched.c - the task farm, at whatever number of ranks it is started with. No fork: a forked MPI process crashes.
 *
 * A failed check on one rank leaves the others waiting, and ctest's TIMEOUT ends them: a failure is never silent. */
#include "vqsweep/sched.h"

#include "sched_dispatch.h"

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { NEVER = -1 };

/* A farm whose task i carries and returns bytes that follow from i, and that counts what happens. */
struct farm {
    uint32_t n;
    uint32_t *order;
    size_t (*size)(uint32_t task); /* of description and result */
    double sleep_seconds;
    int64_t describe_fails_at, result_fails_at, stop_at; /* counts, or NEVER */
    uint32_t failing;                                    /* task i comes to nothing i % failing times; 0: none does */
    /* what happened */
    atomic_uint runs, damaged; /* on this rank */
    unsigned char *seen;       /* rank 0: results of each task, */
    unsigned char *failures;   /* and those that were none */
    uint32_t described, results, ticks;
    uint32_t *described_order;
    int from_rank_0;
};

static size_t no_bytes(uint32_t task) {
    (void)task;
    return 0;
}

static size_t all_sizes(uint32_t task) {
    static const size_t sizes[] = {0, 1, 7, 8, 9, 4000, 4096, 65536, 1000003, 5000000};
    return sizes[task % (sizeof sizes / sizeof *sizes)];
}

static void fill(uint32_t task, uint32_t salt, unsigned char *data, size_t size) {
    uint32_t x = task * 2654435761u + salt;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (unsigned char)(x >> 24);
    }
}

static bool intact(uint32_t task, uint32_t salt, const unsigned char *data, size_t size, size_t expected) {
    unsigned char *copy = malloc(expected + 1);
    fill(task, salt, copy, expected);
    bool same = size == expected && !memcmp(copy, data, size);
    free(copy);
    return same;
}

static void append_pattern(const struct farm *farm, uint32_t task, uint32_t salt, struct vqs_bytes *bytes) {
    size_t size = farm->size(task);
    unsigned char *data = malloc(size + 1);
    fill(task, salt, data, size);
    ck_assert_int_eq(vqs_bytes_append(bytes, data, size, NULL), VQS_OK);
    free(data);
}

static enum vqs_status farm_describe(void *ctx, uint32_t task, struct vqs_bytes *bytes, struct vqs_error *err) {
    struct farm *farm = ctx;
    if (farm->describe_fails_at == (int64_t)farm->described) {
        return vqs_fail(err, VQS_ERR_DATA, "no description of task %u", task);
    }
    farm->described_order[farm->described++] = task;
    vqs_bytes_append(bytes, &task, sizeof task, NULL);
    append_pattern(farm, task, 1, bytes);
    return VQS_OK;
}

static void farm_run(void *ctx, int slot, const void *data, size_t size, struct vqs_bytes *result) {
    struct farm *farm = ctx;
    uint32_t task;
    memcpy(&task, data, sizeof task);
    const unsigned char *pattern = (const unsigned char *)data + sizeof task;
    if (slot < 0 || !intact(task, 1, pattern, size - sizeof task, farm->size(task))) {
        atomic_fetch_add(&farm->damaged, 1);
    }
    if (farm->sleep_seconds > 0) {
        struct timespec nap = {.tv_nsec = (long)(1e9 * farm->sleep_seconds)};
        nanosleep(&nap, NULL);
    }
    append_pattern(farm, task, 2, result);
    atomic_fetch_add(&farm->runs, 1);
}

static enum vqs_status farm_on_result(void *ctx, uint32_t task, int rank, const void *result, size_t size,
                                      enum vqs_sched_verdict *verdict, struct vqs_error *err) {
    struct farm *farm = ctx;
    if (farm->result_fails_at == (int64_t)farm->results) {
        return vqs_fail(err, VQS_ERR_IO, "no room for task %u", task);
    }
    if (farm->failing && farm->failures[task] < task % farm->failing) {
        *verdict = farm->failures[task]++ ? VQS_SCHED_ALONE : VQS_SCHED_AGAIN;
        return VQS_OK;
    }
    farm->results++;
    farm->from_rank_0 += rank == 0;
    farm->seen[task]++;
    if (!intact(task, 2, result, size, farm->size(task))) {
        atomic_fetch_add(&farm->damaged, 1);
    }
    return VQS_OK;
}

static enum vqs_sched_order farm_on_tick(void *ctx, uint32_t done, uint32_t in_flight) {
    struct farm *farm = ctx;
    (void)in_flight;
    farm->ticks++;
    return farm->stop_at != NEVER && (int64_t)done >= farm->stop_at ? VQS_SCHED_STOP : VQS_SCHED_GO;
}

static int my_rank(void) {
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

static int n_ranks(void) {
    int n;
    MPI_Comm_size(MPI_COMM_WORLD, &n);
    return n;
}

static void farm_create(struct farm *farm, uint32_t n) {
    memset(farm, 0, sizeof *farm);
    farm->n = n;
    farm->size = no_bytes;
    farm->describe_fails_at = farm->result_fails_at = farm->stop_at = NEVER;
    farm->order = calloc(n + 1, sizeof *farm->order);
    farm->described_order = calloc(4 * n + 1, sizeof *farm->described_order);
    farm->seen = calloc(n + 1, 1);
    farm->failures = calloc(n + 1, 1);
    for (uint32_t i = 0; i < n; i++) {
        farm->order[i] = i;
    }
}

static void farm_destroy(struct farm *farm) {
    free(farm->order);
    free(farm->described_order);
    free(farm->seen);
    free(farm->failures);
}

static enum vqs_status farm_go(struct farm *farm, int slots, int prefetch, struct vqs_sched_summary *summary,
                               struct vqs_error *err) {
    struct vqs_sched_ops ops = {
        .ctx = farm, .describe = farm_describe, .run = farm_run, .on_result = farm_on_result, .on_tick = farm_on_tick};
    struct vqs_sched_config config = {.order = farm->order, .n_tasks = farm->n, .slots = slots, .prefetch = prefetch};
    return vqs_sched_run(MPI_COMM_WORLD, &config, &ops, summary, err);
}

static uint32_t runs_everywhere(struct farm *farm) {
    uint32_t mine = atomic_load(&farm->runs), all;
    MPI_Allreduce(&mine, &all, 1, MPI_UINT32_T, MPI_SUM, MPI_COMM_WORLD);
    return all;
}

static void expect_complete(struct farm *farm, const struct vqs_sched_summary *summary) {
    ck_assert_uint_eq(atomic_load(&farm->damaged), 0);
    uint32_t in_vain = 0;
    for (uint32_t i = 0; farm->failing && i < farm->n; i++) {
        in_vain += i % farm->failing;
    }
    ck_assert_uint_eq(runs_everywhere(farm), farm->n + in_vain);
    if (my_rank() == 0) {
        ck_assert_uint_eq(summary->done, farm->n);
        ck_assert(!summary->stopped);
        for (uint32_t i = 0; i < farm->n; i++) {
            ck_assert_uint_eq(farm->seen[i], 1);
        }
    }
}

START_TEST(every_task_once_whatever_its_size) {
    struct farm farm;
    struct vqs_sched_summary summary;
    struct vqs_error err = {0};
    farm_create(&farm, 100);
    farm.size = all_sizes;
    ck_assert_int_eq(farm_go(&farm, 2, 3, &summary, &err), VQS_OK);
    expect_complete(&farm, &summary);
    farm_destroy(&farm);
}
END_TEST

START_TEST(many_null_tasks) {
    static const int rooms[][2] = {{1, 0}, {1, 4}, {3, 0}, {3, 8}};
    for (int i = 0; i < 4; i++) {
        struct farm farm;
        struct vqs_sched_summary summary;
        struct vqs_error err = {0};
        farm_create(&farm, 3000);
        ck_assert_int_eq(farm_go(&farm, rooms[i][0], rooms[i][1], &summary, &err), VQS_OK);
        expect_complete(&farm, &summary);
        farm_destroy(&farm);
    }
}
END_TEST

START_TEST(no_tasks_and_fewer_than_workers) {
    for (uint32_t n = 0; n < 4; n++) {
        struct farm farm;
        struct vqs_sched_summary summary;
        struct vqs_error err = {0};
        farm_create(&farm, n);
        ck_assert_int_eq(farm_go(&farm, 4, 2, &summary, &err), VQS_OK);
        expect_complete(&farm, &summary);
        farm_destroy(&farm);
    }
}
END_TEST

START_TEST(tasks_are_handed_out_in_the_given_order) {
    struct farm farm;
    struct vqs_sched_summary summary;
    struct vqs_error err = {0};
    farm_create(&farm, 200);
    for (uint32_t i = 0; i < farm.n; i++) {
        farm.order[i] = (i * 77 + 13) % farm.n; /* 77 and 200 share no factor: every task once */
    }
    ck_assert_int_eq(farm_go(&farm, 2, 2, &summary, &err), VQS_OK);
    expect_complete(&farm, &summary);
    if (my_rank() == 0) {
        ck_assert_mem_eq(farm.described_order, farm.order, farm.n * sizeof *farm.order);
    }
    farm_destroy(&farm);
}
END_TEST

START_TEST(every_rank_works) {
    struct farm farm;
    struct vqs_sched_summary summary;
    struct vqs_error err = {0};
    farm_create(&farm, (uint32_t)(20 * n_ranks()));
    farm.sleep_seconds = 0.005;
    ck_assert_int_eq(farm_go(&farm, 1, 2, &summary, &err), VQS_OK);
    expect_complete(&farm, &summary);
    ck_assert_uint_ge(atomic_load(&farm.runs), 1); /* a share, however busy the machine is */
    if (my_rank() == 0) {
        ck_assert_int_ge(farm.from_rank_0, 1);
        ck_assert_double_ge(summary.busy_seconds, 0.005 * farm.n);
    }
    farm_destroy(&farm);
}
END_TEST

START_TEST(a_stop_drains_what_runs_and_leaves_the_rest_undone) {
    struct farm farm;
    struct vqs_sched_summary summary;
    struct vqs_error err = {0};
    farm_create(&farm, 100000);
    farm.sleep_seconds = 0.02;
    farm.stop_at = 1;
    ck_assert_int_eq(farm_go(&farm, 2, 50, &summary, &err), VQS_OK);
    ck_assert_uint_eq(atomic_load(&farm.damaged), 0);
    uint32_t runs = runs_everywhere(&farm);
    ck_assert_uint_lt(atomic_load(&farm.runs), 40); /* of 52 in hand; about 6 fit in before the stop */
    if (my_rank() == 0) {
        ck_assert(summary.stopped);
        ck_assert_uint_eq(summary.done, runs); /* whatever was begun was collected */
        ck_assert_uint_ge(summary.done, 1);
        ck_assert_uint_lt(summary.done, farm.described); /* what only waited was handed back */
        uint32_t seen = 0;
        for (uint32_t i = 0; i < farm.n; i++) {
            ck_assert_uint_le(farm.seen[i], 1);
            seen += farm.seen[i];
        }
        ck_assert_uint_eq(seen, summary.done);
    }
    farm_destroy(&farm);
}
END_TEST

START_TEST(a_failure_stops_every_rank_with_its_status_and_text) {
    for (int which = 0; which < 2; which++) {
        for (int at = 0; at < 40; at += 13) {
            struct farm farm;
            struct vqs_sched_summary summary;
            struct vqs_error err = {0};
            farm_create(&farm, 200);
            farm.sleep_seconds = 0.0005;
            *(which ? &farm.describe_fails_at : &farm.result_fails_at) = at;
            enum vqs_status status = farm_go(&farm, 2, 2, &summary, &err);
            ck_assert_int_eq(status, which ? VQS_ERR_DATA : VQS_ERR_IO);
            ck_assert_int_eq(err.status, status);
            ck_assert_ptr_nonnull(strstr(err.text, which ? "no description of task" : "no room for task"));
            ck_assert_uint_lt(runs_everywhere(&farm), farm.n);
            if (my_rank() == 0) {
                ck_assert(summary.stopped);
                ck_assert_uint_le(farm.results, which ? farm.n : (uint32_t)at);
            }
            farm_destroy(&farm);
        }
    }
}
END_TEST

START_TEST(a_bad_configuration_of_one_rank_ends_all) {
    struct farm farm;
    struct vqs_sched_summary summary;
    struct vqs_error err = {0};
    farm_create(&farm, 10);
    int slots = my_rank() == n_ranks() - 1 ? 0 : 1;
    ck_assert_int_eq(farm_go(&farm, slots, 0, &summary, &err), VQS_ERR_INTERNAL);
    ck_assert_ptr_nonnull(strstr(err.text, "has 0 slots"));
    ck_assert_uint_eq(atomic_load(&farm.runs), 0);
    farm_destroy(&farm);
}
END_TEST

START_TEST(what_comes_to_nothing_is_tried_again) {
    struct farm farm;
    struct vqs_sched_summary summary;
    struct vqs_error err = {0};
    farm_create(&farm, 80);
    farm.size = all_sizes;
    farm.failing = 4;
    ck_assert_int_eq(farm_go(&farm, 2, 3, &summary, &err), VQS_OK);
    expect_complete(&farm, &summary);
    farm_destroy(&farm);
}
END_TEST

START_TEST(the_main_thread_does_not_spin) {
    struct farm farm;
    struct vqs_sched_summary summary;
    struct vqs_error err = {0};
    farm_create(&farm, (uint32_t)(2 * n_ranks()));
    farm.sleep_seconds = 0.25;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    ck_assert_int_eq(farm_go(&farm, 1, 1, &summary, &err), VQS_OK);
    getrusage(RUSAGE_SELF, &after);
    double cpu =
        (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) +
        1e-6 * (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
                        before.ru_stime.tv_usec);
    /* measured 1-3%; a spinning loop takes 100%, so that the bound tells them apart on a busy machine too */
    ck_assert_double_lt(cpu, 0.2 * summary.wall_seconds);
    farm_destroy(&farm);
}
END_TEST

START_TEST(agreement_is_on_the_lowest_failing_rank) {
    struct vqs_error err = {0};
    ck_assert_int_eq(vqs_sched_agree(MPI_COMM_WORLD, VQS_OK, &err), VQS_OK);
    ck_assert_int_eq(err.status, VQS_OK);
    for (int first = 0; first < n_ranks(); first++) { /* ranks from `first` on fail */
        struct vqs_error mine = {0};
        enum vqs_status status = VQS_OK;
        if (my_rank() >= first) {
            status = vqs_fail(&mine, my_rank() == first ? VQS_ERR_DATA : VQS_ERR_IO, "rank %d failed", my_rank());
        }
        char expected[32];
        snprintf(expected, sizeof expected, "rank %d failed", first);
        ck_assert_int_eq(vqs_sched_agree(MPI_COMM_WORLD, status, &mine), VQS_ERR_DATA);
        ck_assert_int_eq(mine.status, VQS_ERR_DATA);
        ck_assert_str_eq(mine.text, expected);
    }
}
END_TEST

START_TEST(a_broadcast_brings_rank_0s_bytes) {
    static const size_t sizes[] = {0, 1, 1000, 3000001};
    for (int i = 0; i < 4; i++) {
        struct vqs_bytes bytes = {0};
        struct vqs_error err = {0};
        unsigned char *pattern = malloc(sizes[i] + 1);
        fill(7, 3, pattern, sizes[i]);
        if (my_rank() == 0) {
            vqs_bytes_append(&bytes, pattern, sizes[i], NULL);
        } else {
            vqs_bytes_append(&bytes, "left over", 9, NULL);
        }
        ck_assert_int_eq(vqs_sched_broadcast(MPI_COMM_WORLD, &bytes, &err), VQS_OK);
        ck_assert_uint_eq(bytes.size, sizes[i]);
        ck_assert(sizes[i] == 0 || !memcmp(bytes.data, pattern, sizes[i]));
        vqs_bytes_destroy(&bytes);
        free(pattern);
    }
}
END_TEST

START_TEST(dispatch_keeps_books_and_prefetches_less_as_tasks_run_out) {
    static const int rooms[][2] = {{2, 4}, {1, 4}};
    uint32_t order[24], task;
    for (uint32_t i = 0; i < 24; i++) {
        order[i] = 100 + i;
    }
    struct vqs_dispatch dispatch;
    ck_assert_int_eq(vqs_dispatch_create(&dispatch, order, 24, 2, rooms, &(struct vqs_dispatch_patience){0}, NULL),
                     VQS_OK);
    int given[2] = {0, 0};
    for (int r = 0; r < 2; r++) {
        while (vqs_dispatch_next(&dispatch, r, &task)) {
            ck_assert_uint_eq(task, order[given[0] + given[1]]);
            given[r]++;
        }
    }
    /* rank 0: 2 slots and, with 20 left, 20/6 = 3 more; rank 1: 1 slot and, with 16 left, 16/6 = 2 more */
    ck_assert_int_eq(given[0], 5);
    ck_assert_int_eq(given[1], 3);
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 1, 100, 1, NULL), VQS_DISPATCH_UNKNOWN); /* that is rank 0's */
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, 100, 1, NULL), VQS_DISPATCH_FIRST);
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, 100, 1, NULL), VQS_DISPATCH_UNKNOWN);
    ck_assert_uint_eq(dispatch.in_flight, 7);
    ck_assert(!vqs_dispatch_over(&dispatch));
    vqs_dispatch_stop(&dispatch);
    ck_assert(!vqs_dispatch_next(&dispatch, 0, &task));
    for (uint32_t i = 101; i < 108; i++) {
        ck_assert_int_eq(vqs_dispatch_finish(&dispatch, i < 105 ? 0 : 1, i, 1, NULL), VQS_DISPATCH_FIRST);
    }
    ck_assert(vqs_dispatch_over(&dispatch));
    vqs_dispatch_destroy(&dispatch);
}
END_TEST

START_TEST(of_short_tasks_more_are_prefetched) {
    enum { N = 10000 };
    static const int rooms[][2] = {{1, 4}};
    static uint32_t order[N];
    uint32_t task, next = 0;
    for (uint32_t i = 0; i < N; i++) {
        order[i] = i;
    }
    struct vqs_dispatch dispatch;
    ck_assert_int_eq(vqs_dispatch_create(&dispatch, order, N, 1, rooms, &(struct vqs_dispatch_patience){0}, NULL),
                     VQS_OK);
    static const struct {
        double seconds;
        uint32_t in_flight; /* one running, and 20 ms of such tasks, but 4 at least and 24 at most */
    } stages[] = {{1, 5}, {0.0019, 11}, {1e-6, 25}, {0.05, 5}, {0, 25}};
    for (size_t s = 0; s < sizeof stages / sizeof *stages; s++) {
        for (int i = 0; i < 1000; i++) {
            while (vqs_dispatch_next(&dispatch, 0, &task)) {
            }
            ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, next++, stages[s].seconds, NULL), VQS_DISPATCH_FIRST);
        }
        while (vqs_dispatch_next(&dispatch, 0, &task)) {
        }
        ck_assert_uint_eq(dispatch.in_flight, stages[s].in_flight);
    }
    vqs_dispatch_destroy(&dispatch);
}
END_TEST

/* ---- giving up: a dispatch of 12 tasks, numbered as their positions, and the time told by hand ----------------- */

static const struct vqs_dispatch_patience impatient = {.silence = 10, .stall = 5, .factor = 2};

static void dispatch_create(struct vqs_dispatch *dispatch, int ranks, const int (*rooms)[2],
                            const struct vqs_dispatch_patience *patience) {
    static const uint32_t order[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    ck_assert_int_eq(vqs_dispatch_create(dispatch, order, 12, ranks, rooms, patience, NULL), VQS_OK);
}

/* Fills one rank; how many tasks it got. */
static int deal(struct vqs_dispatch *dispatch, int rank) {
    uint32_t task;
    int n = 0;
    while (vqs_dispatch_next(dispatch, rank, &task)) {
        n++;
    }
    return n;
}

static void expect_loss(struct vqs_dispatch *dispatch, double now, enum vqs_dispatch_cause cause, int rank,
                        uint32_t task, bool begun) {
    struct vqs_dispatch_loss loss;
    ck_assert(vqs_dispatch_overdue(dispatch, now, &loss));
    ck_assert_int_eq(loss.cause, cause);
    ck_assert_int_eq(loss.rank, rank);
    if (cause != VQS_DISPATCH_SILENT) {
        ck_assert_uint_eq(loss.task, task);
        ck_assert_int_eq(loss.begun, begun);
        vqs_dispatch_retry(dispatch, &loss, false);
    }
}

START_TEST(a_silent_rank_is_lost_with_its_tasks_and_may_come_back) {
    static const int rooms[][2] = {{1, 0}, {1, 1}, {1, 0}};
    struct vqs_dispatch dispatch;
    struct vqs_dispatch_loss loss;
    uint32_t task;
    dispatch_create(&dispatch, 3, rooms, &impatient);
    ck_assert_int_eq(deal(&dispatch, 0), 1); /* 0 */
    ck_assert_int_eq(deal(&dispatch, 1), 2); /* 1 runs, 2 waits */
    vqs_dispatch_heard(&dispatch, 2, 9);
    ck_assert(!vqs_dispatch_overdue(&dispatch, 10, &loss));
    expect_loss(&dispatch, 10.5, VQS_DISPATCH_SILENT, 1, 0, false); /* and not rank 0, which is never silent */
    expect_loss(&dispatch, 10.5, VQS_DISPATCH_LOST, 1, 1, true);
    expect_loss(&dispatch, 10.5, VQS_DISPATCH_LOST, 1, 2, false);
    ck_assert(!vqs_dispatch_overdue(&dispatch, 10.5, &loss));
    ck_assert_int_eq(deal(&dispatch, 1), 0);
    ck_assert(vqs_dispatch_next(&dispatch, 2, &task));
    ck_assert_uint_eq(task, 2); /* what only waited goes first */
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 1, 1, 1, NULL), VQS_DISPATCH_FIRST); /* it was only slow */
    ck_assert(vqs_dispatch_heard(&dispatch, 1, 11));
    ck_assert(!vqs_dispatch_heard(&dispatch, 1, 11));
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 2, 2, 1, NULL), VQS_DISPATCH_FIRST);
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 1, 2, 1, NULL), VQS_DISPATCH_LATE); /* a second result: dropped */
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 1, 2, 1, NULL), VQS_DISPATCH_UNKNOWN);
    ck_assert(vqs_dispatch_next(&dispatch, 1, &task));
    ck_assert_uint_eq(task, 3); /* 1 has its result and is not tried again */
    vqs_dispatch_destroy(&dispatch);
}
END_TEST

START_TEST(a_stuck_task_costs_its_slot_until_it_ends) {
    static const int rooms[][2] = {{2, 0}, {1, 0}};
    struct vqs_dispatch dispatch;
    struct vqs_dispatch_loss loss;
    dispatch_create(&dispatch, 2, rooms, &impatient);
    ck_assert_int_eq(deal(&dispatch, 0), 2); /* 0, 1 */
    for (int now = 0; now <= 20; now++) {    /* 0 gets on, 1 does not */
        vqs_dispatch_running(&dispatch, 0, 0, (uint32_t)now, now);
        vqs_dispatch_running(&dispatch, 0, 1, 7, now);
        vqs_dispatch_heard(&dispatch, 1, now);
        if (now == 6) {
            expect_loss(&dispatch, now, VQS_DISPATCH_STUCK, 0, 1, true);
        }
        ck_assert(!vqs_dispatch_overdue(&dispatch, now, &loss));
    }
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, 0, 1, NULL), VQS_DISPATCH_FIRST);
    ck_assert_int_eq(deal(&dispatch, 0), 1); /* one slot is left */
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, 1, 30, NULL), VQS_DISPATCH_FIRST);
    ck_assert_int_eq(deal(&dispatch, 0), 1); /* and the other is back */
    ck_assert_int_eq(deal(&dispatch, 1), 1); /* the same for a rank's last slot */
    vqs_dispatch_running(&dispatch, 1, 4, 0, 20);
    expect_loss(&dispatch, 26, VQS_DISPATCH_STUCK, 1, 4, true);
    ck_assert_int_eq(deal(&dispatch, 1), 0);
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 1, 4, 30, NULL), VQS_DISPATCH_FIRST);
    ck_assert_int_eq(deal(&dispatch, 1), 1);
    vqs_dispatch_destroy(&dispatch);
}
END_TEST

START_TEST(what_waits_behind_hanging_slots_goes_elsewhere) {
    static const int rooms[][2] = {{1, 0}, {1, 1}};
    struct vqs_dispatch dispatch;
    struct vqs_dispatch_loss loss;
    uint32_t task;
    dispatch_create(&dispatch, 2, rooms, &impatient);
    ck_assert_int_eq(deal(&dispatch, 1), 2);
    vqs_dispatch_running(&dispatch, 1, 0, 0, 0);
    vqs_dispatch_heard(&dispatch, 1, 6);
    expect_loss(&dispatch, 6, VQS_DISPATCH_STUCK, 1, 0, true);
    expect_loss(&dispatch, 6, VQS_DISPATCH_STUCK, 1, 1, false);
    ck_assert(!vqs_dispatch_overdue(&dispatch, 6, &loss));
    ck_assert_int_eq(deal(&dispatch, 1), 0);
    ck_assert(vqs_dispatch_idle(&dispatch) && !vqs_dispatch_over(&dispatch));
    for (uint32_t i = 1; i <= 12; i++) { /* the suspect comes last */
        ck_assert(vqs_dispatch_next(&dispatch, 0, &task));
        ck_assert_uint_eq(task, i % 12);
        ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, task, 1, NULL), VQS_DISPATCH_FIRST);
    }
    ck_assert(vqs_dispatch_over(&dispatch));
    vqs_dispatch_destroy(&dispatch);
}
END_TEST

START_TEST(patience_follows_what_tasks_are_known_to_cost) {
    static const int rooms[][2] = {{3, 0}};
    static const float seconds[12] = {1, 1, 10};
    const struct vqs_dispatch_patience patience = {.stall = 5, .factor = 2, .seconds = seconds};
    struct vqs_dispatch dispatch;
    struct vqs_dispatch_loss loss;
    dispatch_create(&dispatch, 1, rooms, &patience);
    ck_assert_int_eq(deal(&dispatch, 0), 3);
    vqs_dispatch_running(&dispatch, 0, 1, 0, 0);
    vqs_dispatch_running(&dispatch, 0, 2, 0, 0);
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, 0, 4, NULL),
                     VQS_DISPATCH_FIRST); /* four times what was expected */
    ck_assert(!vqs_dispatch_overdue(&dispatch, 7.5, &loss));
    expect_loss(&dispatch, 8.5, VQS_DISPATCH_STUCK, 0, 1, true); /* 2 x 4 x 1 s */
    ck_assert(!vqs_dispatch_overdue(&dispatch, 79, &loss));
    expect_loss(&dispatch, 81, VQS_DISPATCH_STUCK, 0, 2, true); /* 2 x 4 x 10 s */
    vqs_dispatch_destroy(&dispatch);
}
END_TEST

START_TEST(a_result_that_is_none_sends_its_task_out_again_last) {
    static const int rooms[][2] = {{2, 0}, {2, 0}};
    struct vqs_dispatch dispatch;
    struct vqs_dispatch_loss failure;
    dispatch_create(&dispatch, 2, rooms, &impatient);
    ck_assert_int_eq(deal(&dispatch, 0), 2);
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, 0, 1, &failure), VQS_DISPATCH_FIRST);
    ck_assert_uint_eq(dispatch.n_settled, 1);
    vqs_dispatch_retry(&dispatch, &failure, false);
    ck_assert_uint_eq(dispatch.n_settled, 0);
    for (uint32_t task = 1, next; task < 12; task++) {
        ck_assert(vqs_dispatch_next(&dispatch, 0, &next));
        ck_assert_uint_eq(next, task == 11 ? 0 : task + 1); /* rank 0 may have it: no rank was lost over it */
        ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, task, 1, NULL), VQS_DISPATCH_FIRST);
    }
    ck_assert(!vqs_dispatch_over(&dispatch));
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, 0, 1, NULL), VQS_DISPATCH_FIRST);
    ck_assert(vqs_dispatch_over(&dispatch));
    vqs_dispatch_destroy(&dispatch);
}
END_TEST

START_TEST(what_is_to_be_alone_waits_for_a_free_rank_and_fills_it) {
    static const int rooms[][2] = {{3, 0}, {3, 0}};
    struct vqs_dispatch dispatch;
    struct vqs_dispatch_loss failure;
    dispatch_create(&dispatch, 2, rooms, &impatient);
    vqs_dispatch_suspect(&dispatch, 3, 2); /* 9, and alone 10 and 11 */
    uint32_t task;
    for (uint32_t i = 0; i < 9; i++) {
        ck_assert(vqs_dispatch_next(&dispatch, 0, &task));
        ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, task, 1, &failure), VQS_DISPATCH_FIRST);
    }
    vqs_dispatch_retry(&dispatch, &failure, true); /* 8, but not dangerous */
    ck_assert(vqs_dispatch_next(&dispatch, 1, &task));
    ck_assert_uint_eq(task, 9);
    ck_assert(!vqs_dispatch_next(&dispatch, 1, &task)); /* it is not free */
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 1, 9, 1, &failure), VQS_DISPATCH_FIRST);
    ck_assert_int_eq(deal(&dispatch, 1), 1);
    vqs_dispatch_retry(&dispatch, &failure, false); /* 9 need not be alone, but 10 is */
    ck_assert_int_eq(deal(&dispatch, 1), 0);
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 1, 10, 1, NULL), VQS_DISPATCH_FIRST);
    ck_assert_int_eq(deal(&dispatch, 1), 1);
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 1, 11, 1, NULL), VQS_DISPATCH_FIRST);
    ck_assert_int_eq(deal(&dispatch, 0), 1); /* 8 */
    ck_assert_int_eq(deal(&dispatch, 1), 1); /* 9 */
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 0, 8, 1, NULL), VQS_DISPATCH_FIRST);
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 1, 9, 1, NULL), VQS_DISPATCH_FIRST);
    ck_assert(vqs_dispatch_over(&dispatch));
    vqs_dispatch_destroy(&dispatch);
}
END_TEST

START_TEST(nobody_is_told_of_the_loss_of_a_task_that_has_its_result) {
    static const int rooms[][2] = {{1, 0}, {1, 0}, {1, 0}};
    struct vqs_dispatch dispatch;
    struct vqs_dispatch_loss loss;
    dispatch_create(&dispatch, 3, rooms, &impatient);
    ck_assert_int_eq(deal(&dispatch, 1), 1);
    expect_loss(&dispatch, 11, VQS_DISPATCH_SILENT, 1, 0, false);
    dispatch.ranks[2].heard = 11;
    expect_loss(&dispatch, 11, VQS_DISPATCH_LOST, 1, 0, true);
    dispatch.next = dispatch.n_tasks; /* nothing else is left */
    ck_assert_int_eq(deal(&dispatch, 2), 1);
    vqs_dispatch_heard(&dispatch, 1, 12);
    ck_assert_int_eq(vqs_dispatch_finish(&dispatch, 1, 0, 1, NULL), VQS_DISPATCH_FIRST);
    dispatch.ranks[1].heard = 30;
    expect_loss(&dispatch, 30, VQS_DISPATCH_SILENT, 2, 0, false);
    ck_assert(!vqs_dispatch_overdue(&dispatch, 30, &loss));
    ck_assert(vqs_dispatch_idle(&dispatch));
    ck_assert_uint_eq(dispatch.n_settled, 1);
    vqs_dispatch_destroy(&dispatch);
}
END_TEST

START_TEST(what_may_end_its_rank_never_goes_to_rank_0) {
    static const int rooms[][2] = {{20, 0}, {20, 0}};
    for (int ranks = 1; ranks <= 2; ranks++) {
        struct vqs_dispatch dispatch;
        dispatch_create(&dispatch, ranks, rooms, &impatient);
        vqs_dispatch_suspect(&dispatch, 2, 0);
        ck_assert_int_eq(deal(&dispatch, 0), ranks == 1 ? 12 : 10); /* unless it is alone */
        if (ranks == 2) {
            struct vqs_dispatch_loss loss;
            ck_assert_int_eq(deal(&dispatch, 1), 2);
            expect_loss(&dispatch, 11, VQS_DISPATCH_SILENT, 1, 0, false);
            expect_loss(&dispatch, 11, VQS_DISPATCH_LOST, 1, 10, true);
            ck_assert_int_eq(deal(&dispatch, 0), 0);
            ck_assert(vqs_dispatch_overdue(&dispatch, 11, &loss));
            vqs_dispatch_settle(&dispatch, &loss); /* the driver has had enough of 11 */
            ck_assert_uint_eq(dispatch.n_settled, 1);
        }
        vqs_dispatch_destroy(&dispatch);
    }
}
END_TEST

int main(int argc, char **argv) {
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    Suite *suite = suite_create("sched");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, dispatch_keeps_books_and_prefetches_less_as_tasks_run_out);
    tcase_add_test(tests, of_short_tasks_more_are_prefetched);
    tcase_add_test(tests, a_silent_rank_is_lost_with_its_tasks_and_may_come_back);
    tcase_add_test(tests, a_stuck_task_costs_its_slot_until_it_ends);
    tcase_add_test(tests, what_waits_behind_hanging_slots_goes_elsewhere);
    tcase_add_test(tests, patience_follows_what_tasks_are_known_to_cost);
    tcase_add_test(tests, a_result_that_is_none_sends_its_task_out_again_last);
    tcase_add_test(tests, what_is_to_be_alone_waits_for_a_free_rank_and_fills_it);
    tcase_add_test(tests, nobody_is_told_of_the_loss_of_a_task_that_has_its_result);
    tcase_add_test(tests, what_may_end_its_rank_never_goes_to_rank_0);
    tcase_add_test(tests, agreement_is_on_the_lowest_failing_rank);
    tcase_add_test(tests, a_broadcast_brings_rank_0s_bytes);
    tcase_add_test(tests, no_tasks_and_fewer_than_workers);
    tcase_add_test(tests, every_task_once_whatever_its_size);
    tcase_add_test(tests, many_null_tasks);
    tcase_add_test(tests, tasks_are_handed_out_in_the_given_order);
    tcase_add_test(tests, every_rank_works);
    tcase_add_test(tests, a_stop_drains_what_runs_and_leaves_the_rest_undone);
    tcase_add_test(tests, a_failure_stops_every_rank_with_its_status_and_text);
    tcase_add_test(tests, a_bad_configuration_of_one_rank_ends_all);
    tcase_add_test(tests, what_comes_to_nothing_is_tried_again);
    tcase_add_test(tests, the_main_thread_does_not_spin);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (failed) {
        MPI_Abort(MPI_COMM_WORLD, 1); /* the others may be waiting for this rank */
    }
    MPI_Finalize();
    return 0;
}
