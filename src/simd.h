/* simd.h - the few vector operations the kernels are written in, at the width of the instruction set compiled for.
 *
 * GCC's vector types give loads, arithmetic and comparisons at any width and in either precision; a*b + c becomes one
 * fused operation where the instruction set has it (-ffp-contract=fast for these sources). Only what the compiler does
 * badly is written with intrinsics, for float. */
#ifndef VQS_SIMD_H
#define VQS_SIMD_H

#include "vqsweep/base.h"

#include <string.h>

#if defined(VQS_ISA_avx512)
#define VBYTES 64
#elif defined(VQS_ISA_avx2)
#define VBYTES 32
#else
#define VBYTES 16
#endif

#if (defined(VQS_ISA_avx512) || defined(VQS_ISA_avx2)) && !defined(VQS_REAL_IS_DOUBLE)
#include <immintrin.h>
#define VQS_INTRINSICS 1
#endif

enum { VL = VBYTES / (int)sizeof(vqs_real) };

typedef vqs_real vf __attribute__((vector_size(VBYTES)));
#ifdef VQS_REAL_IS_DOUBLE
typedef int64_t vi __attribute__((vector_size(VBYTES)));
#else
typedef int32_t vi __attribute__((vector_size(VBYTES)));
#endif

#define INLINE static inline __attribute__((always_inline))

INLINE vf v_load(const vqs_real *p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void v_store(vqs_real *p, vf v) {
    memcpy(p, &v, sizeof v);
}

INLINE vf v_set(vqs_real s) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    return (vf)_mm512_set1_ps(s);
#elif defined(VQS_INTRINSICS)
    return (vf)_mm256_set1_ps(s);
#else
    vf v;
    for (int i = 0; i < VL; i++) {
        v[i] = s;
    }
    return v;
#endif
}

INLINE vi v_set_int(int s) {
    return s - (vi){0};
}

INLINE void v_store_index(uint32_t *p, vi v) {
#ifdef VQS_REAL_IS_DOUBLE
    for (int i = 0; i < VL; i++) {
        p[i] = (uint32_t)v[i];
    }
#else
    memcpy(p, &v, sizeof v);
#endif
}

INLINE vqs_real v_sum(vf v) {
    vqs_real half[VL];
    v_store(half, v);
    for (int n = VL / 2; n; n /= 2) {
        for (int i = 0; i < n; i++) {
            half[i] += half[i + n];
        }
    }
    return half[0];
}

/* where candidate < *best: *best = candidate, *index = its index. NaN candidates never win. */
INLINE void v_keep_less(vf candidate, vi index_of, vf *best, vi *index) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    __mmask16 less = _mm512_cmp_ps_mask((__m512)candidate, (__m512)*best, _CMP_LT_OQ);
    *best = (vf)_mm512_mask_mov_ps((__m512)*best, less, (__m512)candidate);
    *index = (vi)_mm512_mask_mov_epi32((__m512i)*index, less, (__m512i)index_of);
#elif defined(VQS_INTRINSICS)
    __m256 less = _mm256_cmp_ps((__m256)candidate, (__m256)*best, _CMP_LT_OQ);
    *best = (vf)_mm256_blendv_ps((__m256)*best, (__m256)candidate, less);
    *index = (vi)_mm256_blendv_ps((__m256)*index, (__m256)index_of, less);
#else
    vi less = candidate < *best;
    *best = (vf)(((vi)candidate & less) | ((vi)*best & ~less));
    *index = (index_of & less) | (*index & ~less);
#endif
}

/* out[i] = sum of the lanes of v[i], for four vectors. */
INLINE void v_sum4(const vf v[4], vqs_real out[4]) {
#if defined(VQS_INTRINSICS)
#if defined(VQS_ISA_avx512)
    __m256 h[4];
    for (int i = 0; i < 4; i++) {
        h[i] = _mm256_add_ps(_mm512_castps512_ps256((__m512)v[i]), _mm512_extractf32x8_ps((__m512)v[i], 1));
    }
#else
    const __m256 h[4] = {(__m256)v[0], (__m256)v[1], (__m256)v[2], (__m256)v[3]};
#endif
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(h[0], h[1]), _mm256_hadd_ps(h[2], h[3]));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
#else
    for (int i = 0; i < 4; i++) {
        out[i] = v_sum(v[i]);
    }
#endif
}

#endif
