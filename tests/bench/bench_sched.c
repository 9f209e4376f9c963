/* bench_sched.c - what the task farm costs: time of rank 0 a null task, its share of a core while workers sleep, and
 * the efficiency of sleeping tasks. Run it under mpirun at any number of ranks; it prints one line a measurement. */
#include "vqsweep/sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static enum vqs_status describe(void *ctx, uint32_t task, struct vqs_bytes *bytes, struct vqs_error *err) {
    (void)task;
    char settings[600] = {0}; /* the size of a trial's settings */
    memcpy(settings, ctx, sizeof(double));
    return vqs_bytes_append(bytes, settings, sizeof settings, err);
}

static void run(void *ctx, int slot, const void *task, size_t size, struct vqs_bytes *result) {
    (void)ctx;
    (void)slot;
    (void)size;
    double seconds;
    char record[4000] = {0}; /* the size of a small trial's record */
    memcpy(&seconds, task, sizeof seconds);
    if (seconds > 0) {
        struct timespec nap = {.tv_nsec = (long)(1e9 * seconds)};
        nanosleep(&nap, NULL);
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

static double cpu_seconds(void) {
    struct timespec now; /* of this thread, which is the one that calls MPI */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void measure(double task_seconds, uint32_t n, int slots, int prefetch) {
    uint32_t *order = calloc(n, sizeof *order);
    for (uint32_t i = 0; i < n; i++) {
        order[i] = i;
    }
    struct vqs_sched_ops ops = {
        .ctx = &task_seconds, .describe = describe, .run = run, .on_result = on_result, .on_tick = on_tick};
    struct vqs_sched_config config = {.order = order, .n_tasks = n, .slots = slots, .prefetch = prefetch};
    struct vqs_sched_summary summary;
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    double cpu = cpu_seconds();
    vqs_sched_run(MPI_COMM_WORLD, &config, &ops, &summary, NULL);
    cpu = cpu_seconds() - cpu;
    if (rank == 0) {
        double ideal = task_seconds * n / (ranks * slots);
        printf("%7.1f ms x %6u, %2d ranks x %d slots, prefetch %d: %8.3f s, %7.2f us/task, main thread %6.2f us/task "
               "= %4.1f%% of a core, efficiency %5.1f%%\n",
               1e3 * task_seconds, n, ranks, slots, prefetch, summary.wall_seconds, 1e6 * summary.wall_seconds / n,
               1e6 * cpu / n, 100 * cpu / summary.wall_seconds, 100 * ideal / summary.wall_seconds);
    }
    free(order);
}

int main(int argc, char **argv) {
    int provided, ranks;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    for (int prefetch = 0; prefetch <= 8; prefetch += prefetch ? 6 : 2) {
        measure(0, 50000, 1, prefetch);
        measure(0.010, 400, 1, prefetch);
    }
    measure(0.001, 1000 * (uint32_t)ranks, 1, 4);
    measure(0.9, 4, 1, 1);
    MPI_Finalize();
    return 0;
}
