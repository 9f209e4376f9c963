/* bench.h - what the benchmarks share: clocks, medians, and how busy the machine was meanwhile.
 *
 * The one rule: a measurement is repeated in rounds that visit everything in turn, and its median is reported with the
 * range, so that a busy minute of the machine hits all alike. */
#ifndef VQS_BENCH_H
#define VQS_BENCH_H

#include <stddef.h>

/* Seconds of CPU time of this thread, and of the whole process. Unlike the clock on the wall, they stand still while
 * another program has the core. */
double bench_thread_seconds(void);
double bench_process_seconds(void);

struct bench_spread {
    double median, low, high; /* NAN without values */
};
/* Of n values, which are left in order. */
struct bench_spread bench_spread(double *values, size_t n);

/* CPU time of the machine since it was started. */
struct bench_load {
    double wall, own, busy, stolen; /* seconds; busy: of all programs, stolen: taken by the host of a virtual machine */
};
struct bench_load bench_load_now(void);
/* Cores that others kept busy, on average, between `before` and now; NAN where the system does not say. */
double bench_load_others(const struct bench_load *before);

#endif
