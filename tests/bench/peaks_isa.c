/* peaks_isa.c - the loops behind peaks.c. Compiled once for each instruction set, like the kernels. */
#include "peaks_isa.h"
#include "isa.h"
#include "simd.h"

/* A multiply-add takes four or five cycles and two can begin in each: twelve side by side keep a core busy. */
enum { SIDE_BY_SIDE = 12 };

static double fma_loop(long rounds, float *result) {
    vf sum[SIDE_BY_SIDE];
    const vf factor = v_set(0.5f), term = v_set(*result);
    for (int i = 0; i < SIDE_BY_SIDE; i++) {
        sum[i] = v_set((float)i);
    }
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < SIDE_BY_SIDE; i++) {
            sum[i] = sum[i] * factor + term;
        }
    }
    for (int i = 1; i < SIDE_BY_SIDE; i++) {
        sum[0] += sum[i];
    }
    *result = v_sum(sum[0]);
    return 2.0 * VL * SIDE_BY_SIDE * (double)rounds;
}

/* n is a multiple of 8 vectors. */
static float read_loop(const float *x, size_t n) {
    vf sum[8] = {{0}};
    for (size_t i = 0; i < n; i += 8 * VL) {
        for (int j = 0; j < 8; j++) {
            sum[j] += v_load(x + i + j * VL);
        }
    }
    for (int j = 1; j < 8; j++) {
        sum[0] += sum[j];
    }
    return v_sum(sum[0]);
}

const struct bench_loops VQS_ISA_NAME(bench_loops) = {VQS_ISA_TEXT, fma_loop, read_loop};
