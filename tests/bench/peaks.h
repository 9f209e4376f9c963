/* peaks.h - what one core can do at most: the limits that a training step is held against. */
#ifndef VQS_BENCH_PEAKS_H
#define VQS_BENCH_PEAKS_H

#include <stddef.h>

enum bench_peak {
    PEAK_FMA,     /* flop/s of multiply-adds on registers, in the instruction set of the kernels */
    PEAK_SGEMM,   /* flop/s of OpenBLAS, one thread, square matrices */
    PEAK_READ_L1, /* bytes/s of reading from each level of memory */
    PEAK_READ_L2,
    PEAK_READ_L3,
    N_PEAKS
};

/* Measure one limit for some `seconds`, by the CPU time of this thread. */
double bench_peak(enum bench_peak peak, double seconds);
const char *bench_peak_name(enum bench_peak peak);
/* The level from which `bytes` that are read again and again come: PEAK_READ_L1, _L2 or _L3. */
enum bench_peak bench_home(size_t bytes);

#endif
