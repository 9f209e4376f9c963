/* peaks_isa.h - the loops of one instruction set. */
#ifndef VQS_BENCH_PEAKS_ISA_H
#define VQS_BENCH_PEAKS_ISA_H

#include <stddef.h>

struct bench_loops {
    const char *cpu_class;
    /* Multiply-adds on registers, some a round; returns the flops done. `result` keeps them from being left out. */
    double (*fma)(long rounds, float *result);
    /* The sum of n floats: a multiple of 128. */
    float (*read)(const float *x, size_t n);
};

#endif
