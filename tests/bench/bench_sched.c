/* bench_sched.c - what the task farm costs: time of rank 0 and of all ranks a task, and the efficiency of tasks that
 * sleep, beside that of the same sleeps with no farm: where ranks outnumber cores, waking up has its price without any.
 * Run it under mpirun at any number of ranks; it prints one line a measurement.
 *
 *   bench_sched                              a series of measurements
 *   bench_sched SECONDS TASKS PREFETCH       one: so many tasks a rank */
#include "vqsweep/sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static enum vqs_status describe(void *ctx, uint32_t task, struct vqs_bytes *bytes, struct vqs_error *err) {
    (void)task;
    char settings[600] = {0}; /* the size of a trial's settings */
    memcpy(settings, ctx, sizeof(double));
    return vqs_bytes_append(bytes, settings, sizeof settings, err);
}

static void sleep_for(double seconds) {
    struct timespec nap = {.tv_nsec = (long)(1e9 * seconds)};
    nanosleep(&nap, NULL);
}

static void run(void *ctx, int slot, const void *task, size_t size, struct vqs_bytes *result) {
    (void)ctx;
    (void)slot;
    (void)size;
    double seconds;
    char record[4000] = {0}; /* the size of a small trial's record */
    memcpy(&seconds, task, sizeof seconds);
    if (seconds > 0) {
        sleep_for(seconds);
    }
    vqs_bytes_append(result, record, sizeof record, NULL);
}

static enum vqs_status on_result(void *ctx, uint32_t task, int rank, const void *result, size_t size,
                                 enum vqs_sched_verdict *verdict, struct vqs_error *err) {
    (void)ctx;
    (void)verdict;
    (void)task;
    (void)rank;
    (void)result;
    (void)size;
    (void)err;
    return VQS_OK;
}

static enum vqs_sched_order on_tick(void *ctx, uint32_t done, uint32_t in_flight) {
    (void)ctx;
    (void)done;
    (void)in_flight;
    return VQS_SCHED_GO;
}

/* CLOCK_THREAD_CPUTIME_ID is of the main thread, the one that calls MPI; CLOCK_PROCESS_CPUTIME_ID of a whole rank. */
static double cpu_seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Without spinning: ranks may share cores. */
static void meet(void) {
    MPI_Request request;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    for (int met = 0; !met;) {
        sleep_for(0.005);
        MPI_Test(&request, &met, MPI_STATUS_IGNORE);
    }
}

static double sum_of_ranks(double mine) {
    double sum;
    meet();
    MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    return sum;
}

struct cost {
    double wall, main, all; /* seconds: until the end; of CPU time, by rank 0's main thread and by all ranks */
};

/* The same sleeps with no farm at all, a share at each rank; `wall` is the mean of the ranks, so that an uneven end is
 * not held against it. */
static struct cost sleep_alone(double task_seconds, uint32_t n, int ranks) {
    meet();
    double wall = vqs_clock_seconds(), cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (uint32_t i = 0; i < n / (uint32_t)ranks; i++) {
        sleep_for(task_seconds);
    }
    wall = vqs_clock_seconds() - wall;
    cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    return (struct cost){.wall = sum_of_ranks(wall) / ranks, .all = sum_of_ranks(cpu)};
}

static struct cost sleep_in_farm(double task_seconds, uint32_t n, int prefetch) {
    uint32_t *order = calloc(n, sizeof *order);
    for (uint32_t i = 0; i < n; i++) {
        order[i] = i;
    }
    struct vqs_sched_ops ops = {
        .ctx = &task_seconds, .describe = describe, .run = run, .on_result = on_result, .on_tick = on_tick};
    struct vqs_sched_config config = {.order = order, .n_tasks = n, .slots = 1, .prefetch = prefetch};
    struct vqs_sched_summary summary;
    double cpu = cpu_seconds(CLOCK_THREAD_CPUTIME_ID), all = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    vqs_sched_run(MPI_COMM_WORLD, &config, &ops, &summary, NULL);
    cpu = cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    all = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - all;
    free(order);
    return (struct cost){.wall = summary.wall_seconds, .main = cpu, .all = sum_of_ranks(all)};
}

static void measure(double task_seconds, uint32_t n, int prefetch) {
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    struct cost alone = {0}, farm = sleep_in_farm(task_seconds, n, prefetch);
    if (task_seconds > 0) {
        alone = sleep_alone(task_seconds, n, ranks);
    }
    if (rank == 0) {
        printf("%7.1f ms x %6u, %2d ranks, prefetch %d: %8.3f s, %7.2f us/task, main thread %6.2f us/task = %4.1f%% "
               "of a core, all %6.2f us/task",
               1e3 * task_seconds, n, ranks, prefetch, farm.wall, 1e6 * farm.wall / n, 1e6 * farm.main / n,
               100 * farm.main / farm.wall, 1e6 * farm.all / n);
        if (task_seconds > 0) {
            const double ideal = task_seconds * n / ranks;
            printf("; efficiency %5.1f%%; without a farm %6.2f us/task and %5.1f%%: %5.1f%% of that",
                   100 * ideal / farm.wall, 1e6 * alone.all / n, 100 * ideal / alone.wall,
                   100 * alone.wall / farm.wall);
        }
        putchar('\n');
    }
}

int main(int argc, char **argv) {
    int provided, ranks;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc == 4) {
        measure(atof(argv[1]), (uint32_t)(atoi(argv[2]) * ranks), atoi(argv[3]));
    } else {
        for (int prefetch = 0; prefetch <= 8; prefetch += prefetch ? 6 : 2) {
            measure(0, 50000, prefetch);
            measure(0.010, 200 * (uint32_t)ranks, prefetch);
        }
        measure(0.001, 1000 * (uint32_t)ranks, 4);
        measure(0.9, 2 * (uint32_t)ranks, 1);
    }
    MPI_Finalize();
    return 0;
}
