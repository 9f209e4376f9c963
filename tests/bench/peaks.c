/* peaks.c - measures what one core can do at most. */
#include "peaks.h"

#include "bench.h"
#include "peaks_isa.h"
#include "vqsweep/kernels.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 768 }; /* sgemm: three matrices of 2.4 MB, past the small sizes and short enough to repeat */

extern const struct bench_loops bench_loops_portable;
#if defined(__x86_64__)
extern const struct bench_loops bench_loops_avx2, bench_loops_avx512;
#endif

static const struct bench_loops *loops(void) {
#if defined(__x86_64__)
    const char *cpu_class = vqs_kernels_cpu_class();
    if (!strcmp(cpu_class, bench_loops_avx512.cpu_class)) {
        return &bench_loops_avx512;
    }
    if (!strcmp(cpu_class, bench_loops_avx2.cpu_class)) {
        return &bench_loops_avx2;
    }
#endif
    return &bench_loops_portable;
}

const char *bench_peak_name(enum bench_peak peak) {
    static const char *const names[] = {"fma", "sgemm", "read_l1", "read_l2", "read_l3"};
    return names[peak];
}

/* Bytes of a core's cache of level 1 or 2; a usual size where the system does not say. */
static size_t cache_size(enum bench_peak level) {
    const bool first = level == PEAK_READ_L1;
    const long size = sysconf(first ? _SC_LEVEL1_DCACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
    return size > 0 ? (size_t)size : first ? 32768 : 1048576;
}

enum bench_peak bench_home(size_t bytes) {
    return bytes <= cache_size(PEAK_READ_L1)   ? PEAK_READ_L1
           : bytes <= cache_size(PEAK_READ_L2) ? PEAK_READ_L2
                                               : PEAK_READ_L3;
}

/* A block that comes from that level and from no nearer one. */
static size_t block_size(enum bench_peak level) {
    const size_t bytes = level == PEAK_READ_L3 ? 4 * cache_size(PEAK_READ_L2) : cache_size(level) / 2;
    return bytes / 4096 * 4096;
}

/* One piece of work; returns how much it was. */
static double work(enum bench_peak peak, float *memory) {
    static volatile float sink;
    if (peak == PEAK_FMA) {
        float value = sink; /* unknown to the compiler */
        const double flops = loops()->fma(20000, &value);
        sink = value;
        return flops;
    }
    if (peak == PEAK_SGEMM) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, memory, N, memory + N * N, N, 0,
                    memory + 2 * N * N, N);
        return 2.0 * N * N * N;
    }
    const size_t bytes = block_size(peak), times = 1 + 4000000 / bytes;
    for (size_t i = 0; i < times; i++) {
        sink = loops()->read(memory, bytes / sizeof *memory);
    }
    return (double)(bytes * times);
}

double bench_peak(enum bench_peak peak, double seconds) {
    const size_t bytes = peak == PEAK_FMA ? 64 : peak == PEAK_SGEMM ? 3 * N * N * sizeof(float) : block_size(peak);
    float *memory = aligned_alloc(64, bytes);
    if (!memory) {
        return 0;
    }
    memset(memory, 0, bytes); /* pages of its own, not the one page of zeros */
    openblas_set_num_threads(1);
    work(peak, memory);
    double done = 0, start = bench_thread_seconds(), taken;
    do {
        done += work(peak, memory);
        taken = bench_thread_seconds() - start;
    } while (taken < seconds);
    free(memory);
    return done / taken;
}
