/* bench.c - clocks, medians and the load of the machine. */
#include "bench.h"

#include "vqsweep/base.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double seconds_on(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double bench_thread_seconds(void) {
    return seconds_on(CLOCK_THREAD_CPUTIME_ID);
}

double bench_process_seconds(void) {
    return seconds_on(CLOCK_PROCESS_CPUTIME_ID);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bench_spread bench_spread(double *values, size_t n) {
    if (n == 0) {
        return (struct bench_spread){NAN, NAN, NAN};
    }
    qsort(values, n, sizeof *values, ascending);
    return (struct bench_spread){(values[(n - 1) / 2] + values[n / 2]) / 2, values[0], values[n - 1]};
}

struct bench_load bench_load_now(void) {
    struct bench_load load = {.wall = vqs_clock_seconds(), .own = bench_process_seconds(), .busy = NAN, .stolen = NAN};
    FILE *file = fopen("/proc/stat", "r");
    double user, nice, system, idle, waiting, irq, softirq, stolen; /* all in ticks */
    if (file && fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle, &waiting, &irq,
                       &softirq, &stolen) == 8) {
        const double ticks = (double)sysconf(_SC_CLK_TCK);
        load.busy = (user + nice + system + irq + softirq) / ticks;
        load.stolen = stolen / ticks;
    }
    if (file) {
        fclose(file);
    }
    return load;
}

double bench_load_others(const struct bench_load *before) {
    const struct bench_load now = bench_load_now();
    const double others = now.busy - before->busy + now.stolen - before->stolen - (now.own - before->own);
    return fmax(0, others / (now.wall - before->wall)); /* ticks are coarse */
}
