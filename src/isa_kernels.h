/* isa_kernels.h - what the kernels' sources share. Each isa_*.c is compiled once for each instruction set.
 *
 * A kernel is a block of accumulators small enough for the registers, written as an always-inlined function whose shape
 * is a compile-time constant, and a driver that covers the whole array with blocks. KERNEL(name) is the driver's name in
 * the instruction set compiled for; what it does is said in kernels.h. */
#ifndef VQS_ISA_KERNELS_H
#define VQS_ISA_KERNELS_H

#include "vqsweep/kernels.h"

#include "isa.h"
#include "simd.h"

/* Every kernel, by its name in struct vqs_kernels. */
#define VQS_KERNEL_LIST(X)                                                                                             \
    X(words) X(normals) X(project) X(pack_size) X(pack) X(outer) X(decode_error) X(embed) X(deviations) X(pack_codes)  \
    X(assign) X(scatter) X(sum_runs) X(spread) X(code_moments) X(lookup) X(nearer) X(score) X(differ) X(choose)        \
    X(distance) X(variance) X(mix) X(tile_step) X(tile_quantize) X(tile_estimate) X(combine) X(gram) X(gram_schmidt)   \
    X(add_up) X(dot) X(axpy) X(adam) X(bound) X(activate) X(normalize) X(normalize_back) X(multiply) X(column_sums)    \
    X(squared_error) X(cross_entropy) X(unroll) X(fold)

#define KERNEL(name) VQS_ISA_NAME(vqs_##name)

/* Each has the type that struct vqs_kernels gives it. */
#define VQS_X(name) extern __typeof__(*((struct vqs_kernels *)0)->name) KERNEL(name);
VQS_KERNEL_LIST(VQS_X)
#undef VQS_X

#define T VQS_TILE

/* The entropy penalty of one codebook in a tile (care.h): its sums while the tile collects, then its gradients. */
void KERNEL(soft_codes)(const struct vqs_step *step, struct vqs_tile *tile, int codebook);

/* Over the samples of a tile: one or two vector operations. */
#define FOR_LANES _Pragma("omp simd") for (int l = 0; l < T; l++)

/* Block shapes: 32 vector registers with AVX-512, 16 otherwise, of which one less is free without a fused multiply-add.
 * ROWS by VECS vectors that are summed over a third index; at the end of a row REST vectors, then single ones. SUMS
 * vectors that are only added up. COLS by four samples, lanes being features. WIDE_SAMPLES samples or CODES codes by
 * two vectors. */
#if defined(VQS_ISA_avx512)
enum { ROWS = 4, VECS = 4, REST = 1, SUMS = 4, COLS = 4, WIDE_SAMPLES = 8, CODES = 8 };
#elif defined(VQS_ISA_avx2)
enum { ROWS = 4, VECS = 3, REST = 2, SUMS = 8, COLS = 2, WIDE_SAMPLES = 6, CODES = 4 };
#else
enum { ROWS = 2, VECS = 4, REST = 1, SUMS = 4, COLS = 2, WIDE_SAMPLES = 4, CODES = 4 };
#endif

/* How much of a row of ld values is for blocks of VECS: rather two of REST at its end than VECS and a single vector. */
INLINE size_t widest(size_t ld) {
    const size_t vectors = ld / VL, blocks = vectors / VECS;
    return (REST > 1 && blocks && vectors % VECS == 1 ? blocks - 1 : blocks) * VECS * VL;
}

/* Along a row of ld values by blocks of `vecs` vectors, a constant to the statement `block`, each from value j on. */
#define ALONG_ROW(j, vecs, ld, block)                                                                                  \
    do {                                                                                                               \
        size_t j = 0;                                                                                                  \
        for (const size_t end = widest(ld); j < end; j += VECS * VL) {                                                 \
            enum { vecs = VECS };                                                                                      \
            block;                                                                                                     \
        }                                                                                                              \
        for (; REST > 1 && j + REST * VL <= (ld); j += REST * VL) {                                                    \
            enum { vecs = REST };                                                                                      \
            block;                                                                                                     \
        }                                                                                                              \
        for (; j < (ld); j += VL) {                                                                                    \
            enum { vecs = 1 };                                                                                         \
            block;                                                                                                     \
        }                                                                                                              \
    } while (0)

#ifdef VQS_REAL_IS_DOUBLE
#define real_sqrt sqrt
#else
#define real_sqrt sqrtf
#endif

INLINE vqs_real sum_lanes(const vqs_real *a) {
    vf sum = v_load(a);
    for (int l = VL; l < T; l += VL) {
        sum += v_load(a + l);
    }
    return v_sum(sum);
}

enum { PACK = VQS_CODE_PACK };

/* half_norm - z . c of CODES packed codes, from number `from` of a pack on, for two vectors of samples. */
INLINE void score_block(int d, const vqs_real *packed, const vqs_real *half_norm, int from, const vqs_real *z,
                        vf score[CODES][2]) {
    for (int j = 0; j < CODES; j++) {
        score[j][0] = score[j][1] = v_set(half_norm[from + j]);
    }
    for (int i = 0; i < d; i++) {
        vf z0 = v_load(z + i * T), z1 = v_load(z + i * T + VL);
        V_PIN(z0);
        V_PIN(z1);
        for (int j = 0; j < CODES; j++) {
            vf c = v_set(packed[i * PACK + from + j]);
            V_PIN(c);
            score[j][0] -= c * z0;
            score[j][1] -= c * z1;
        }
    }
}

/* out[c][s] = x[s] . m[c]: `samples` rows (a multiple of 4) against `cols` rows, lanes being features. */
INLINE void project_narrow_block(int cols, int samples, size_t ld, const vqs_real *const x[], const vqs_real *m,
                                 vqs_real *out) {
    vf acc[16];
    for (int i = 0; i < cols * samples; i++) {
        acc[i] = v_set(0);
    }
    for (size_t j = 0; j < ld; j += VL) {
        vf xv[8];
        for (int s = 0; s < samples; s++) {
            xv[s] = v_load(x[s] + j);
            V_PIN(xv[s]);
        }
        for (int c = 0; c < cols; c++) {
            vf mv = v_load(m + (size_t)c * ld + j);
            V_PIN(mv);
            for (int s = 0; s < samples; s++) {
                acc[c * samples + s] += xv[s] * mv;
            }
        }
    }
    if (cols * samples == 16) {
        vqs_real *const to[4] = {out, out + 4 / samples * T + 4 % samples, out + 8 / samples * T + 8 % samples,
                                 out + 12 / samples * T + 12 % samples};
        v_sum16(acc, to);
    } else {
        for (int i = 0; i < cols * samples; i += 4) {
            v_sum4(acc + i, out + i / samples * T + i % samples);
        }
    }
}

#endif
