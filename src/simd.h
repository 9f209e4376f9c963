/* simd.h - the few vector operations the kernels are written in, at the width of the instruction set compiled for.
 *
 * GCC's vector types give loads, arithmetic and comparisons at any width and in either precision; a*b + c becomes one
 * fused operation where the instruction set has it (-ffp-contract=fast for these sources). Only what the compiler does
 * badly is written with intrinsics, for float. */
#ifndef VQS_SIMD_H
#define VQS_SIMD_H

#include "vqsweep/base.h"

#include <math.h>
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

/* Keep a loaded value in a register: without it gcc loads again inside every multiply-add that uses the value. */
#if defined(VQS_ISA_avx512)
#define V_PIN(v) __asm__("" : "+v"(v))
#elif defined(__x86_64__)
#define V_PIN(v) __asm__("" : "+x"(v))
#else
#define V_PIN(v) ((void)0)
#endif

/* Keep a pointer in a register, so that what is near it is addressed by constant offsets. */
#define P_PIN(p) __asm__("" : "+r"(p))

INLINE vf v_load(const vqs_real *p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void v_store(vqs_real *p, vf v) {
    memcpy(p, &v, sizeof v);
}

/* The first n values, n at most VL; the others are left alone in memory. */
INLINE void v_store_part(vqs_real *p, int n, vf v) {
#if defined(VQS_ISA_avx512) && !defined(VQS_REAL_IS_DOUBLE)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
    for (int i = 0; i < n; i++) {
        p[i] = v[i];
    }
#endif
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

/* p[0], p[1], p[0], p[1] ... */
INLINE vf v_set_pair(const vqs_real *p) {
#if defined(VQS_INTRINSICS)
    double pair;
    memcpy(&pair, p, sizeof pair);
#if defined(VQS_ISA_avx512)
    return (vf)_mm512_set1_pd(pair);
#else
    return (vf)_mm256_set1_pd(pair);
#endif
#else
    vf v;
    for (int i = 0; i < VL; i++) {
        v[i] = p[i % 2];
    }
    return v;
#endif
}

/* Two vectors a, b become pairs of a lane of each, a0 b0 a1 b1 ...; and the sums of such pairs, in the order of the
 * lanes that they came from. With AVX lanes go round by 128 bits at a time. */
INLINE void v_interleave(vf *a, vf *b) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    const __m512 low = _mm512_unpacklo_ps((__m512)*a, (__m512)*b), high = _mm512_unpackhi_ps((__m512)*a, (__m512)*b);
#elif defined(VQS_INTRINSICS)
    const __m256 low = _mm256_unpacklo_ps((__m256)*a, (__m256)*b), high = _mm256_unpackhi_ps((__m256)*a, (__m256)*b);
#else
    vf low, high;
    for (int i = 0; i < VL / 2; i++) {
        low[2 * i] = (*a)[i];
        low[2 * i + 1] = (*b)[i];
        high[2 * i] = (*a)[VL / 2 + i];
        high[2 * i + 1] = (*b)[VL / 2 + i];
    }
#endif
    *a = (vf)low;
    *b = (vf)high;
}

INLINE vf v_add_pairs(vf low, vf high) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    return (vf)_mm512_add_ps(_mm512_shuffle_ps((__m512)low, (__m512)high, 0x88),
                             _mm512_shuffle_ps((__m512)low, (__m512)high, 0xdd));
#elif defined(VQS_INTRINSICS)
    return (vf)_mm256_add_ps(_mm256_shuffle_ps((__m256)low, (__m256)high, 0x88),
                             _mm256_shuffle_ps((__m256)low, (__m256)high, 0xdd));
#else
    vf sum;
    for (int i = 0; i < VL / 2; i++) {
        sum[i] = low[2 * i] + low[2 * i + 1];
        sum[VL / 2 + i] = high[2 * i] + high[2 * i + 1];
    }
    return sum;
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
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    return _mm512_reduce_add_ps((__m512)v);
#elif defined(VQS_INTRINSICS)
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
    vqs_real half[VL];
    v_store(half, v);
    for (int n = VL / 2; n; n /= 2) {
        for (int i = 0; i < n; i++) {
            half[i] += half[i + n];
        }
    }
    return half[0];
#endif
}

INLINE vf v_min(vf a, vf b) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(VQS_INTRINSICS)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#else
    vi less = a < b;
    return (vf)(((vi)a & less) | ((vi)b & ~less));
#endif
}

/* Whether a < b in some lane. */
INLINE bool v_any_less(vf a, vf b) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ) != 0;
#elif defined(VQS_INTRINSICS)
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LT_OQ)) != 0;
#else
    const vi less = a < b;
    for (int i = 0; i < VL; i++) {
        if (less[i]) {
            return true;
        }
    }
    return false;
#endif
}

/* where candidate < *best: *best = candidate, *index = its index. NaN candidates never win. */
INLINE void v_keep_less(vf candidate, vi index_of, vf *best, vi *index) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    __mmask16 less = _mm512_cmp_ps_mask((__m512)candidate, (__m512)*best, _CMP_LT_OQ);
    *best = (vf)_mm512_mask_mov_ps((__m512)*best, less, (__m512)candidate);
    *index = (vi)_mm512_mask_mov_epi32((__m512i)*index, less, (__m512i)index_of);
#else
    const vi less = candidate < *best;
    *best = v_min(candidate, *best);
    *index = (index_of & less) | (*index & ~less);
#endif
}

/* out[l] = table[k[l] * stride] for a tile of VQS_TILE lanes. */
INLINE void v_gather_tile(const vqs_real *table, int stride, const uint32_t *k, vqs_real *out) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    for (int l = 0; l < 32; l += 16) {
        __m512i at = _mm512_mullo_epi32(_mm512_loadu_si512(k + l), _mm512_set1_epi32(stride));
        _mm512_storeu_ps(out + l, _mm512_i32gather_ps(at, table, 4));
    }
#else
    for (int l = 0; l < 32; l++) {
        out[l] = table[(size_t)k[l] * (size_t)stride];
    }
#endif
}

#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
/* Eight columns by sixteen lanes: in both forms r[i] has 16 values; `rows` form: rows i and i + 8 of eight values side
 * by side, `columns` form: column i of sixteen rows. Three stages of 8 x 8 transposition in each half. Its own inverse.
 */
INLINE void v_transpose_8x16(__m512 r[8]) {
    __m512 t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = (__m512)_mm512_unpacklo_pd((__m512d)t[i], (__m512d)t[i + 2]);
        u[i + 1] = (__m512)_mm512_unpackhi_pd((__m512d)t[i], (__m512d)t[i + 2]);
        u[i + 2] = (__m512)_mm512_unpacklo_pd((__m512d)t[i + 1], (__m512d)t[i + 3]);
        u[i + 3] = (__m512)_mm512_unpackhi_pd((__m512d)t[i + 1], (__m512d)t[i + 3]);
    }
    const __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
    const __m512i high = _mm512_setr_epi32(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_permutex2var_ps(u[i], low, u[i + 4]);
        r[i + 4] = _mm512_permutex2var_ps(u[i], high, u[i + 4]);
    }
}
#endif

#if defined(VQS_INTRINSICS)
INLINE void v_transpose_8(__m256 r[8]) {
    __m256 t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = (__m256)_mm256_unpacklo_pd((__m256d)t[i], (__m256d)t[i + 2]);
        u[i + 1] = (__m256)_mm256_unpackhi_pd((__m256d)t[i], (__m256d)t[i + 2]);
        u[i + 2] = (__m256)_mm256_unpacklo_pd((__m256d)t[i + 1], (__m256d)t[i + 3]);
        u[i + 3] = (__m256)_mm256_unpackhi_pd((__m256d)t[i + 1], (__m256d)t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}
#endif

/* out[i * 8 + j] = in[j * stride + i] for i, j < 8. */
INLINE void v_transpose_8x8(const vqs_real *in, int stride, vqs_real *out) {
#if defined(VQS_INTRINSICS)
    __m256 r[8];
    for (int i = 0; i < 8; i++) {
        r[i] = _mm256_loadu_ps(in + i * stride);
    }
    v_transpose_8(r);
    for (int i = 0; i < 8; i++) {
        _mm256_storeu_ps(out + i * 8, r[i]);
    }
#else
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 8; j++) {
            out[i * 8 + j] = in[j * stride + i];
        }
    }
#endif
}

/* Transpose a VL x VL block held in vectors. */
INLINE void v_transpose(vf r[VL]) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    __m512 t[16], u[16];
    for (int i = 0; i < 16; i += 2) { /* pairs of rows, then quadruples, within lanes of 128 bits */
        t[i] = _mm512_unpacklo_ps((__m512)r[i], (__m512)r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps((__m512)r[i], (__m512)r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        u[i] = (__m512)_mm512_unpacklo_pd((__m512d)t[i], (__m512d)t[i + 2]);
        u[i + 1] = (__m512)_mm512_unpackhi_pd((__m512d)t[i], (__m512d)t[i + 2]);
        u[i + 2] = (__m512)_mm512_unpacklo_pd((__m512d)t[i + 1], (__m512d)t[i + 3]);
        u[i + 3] = (__m512)_mm512_unpackhi_pd((__m512d)t[i + 1], (__m512d)t[i + 3]);
    }
    for (int i = 0; i < 4; i++) { /* then the 4 x 4 matrix of lanes */
        t[i] = _mm512_shuffle_f32x4(u[i], u[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(u[i], u[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = (vf)_mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = (vf)_mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = (vf)_mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = (vf)_mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
#elif defined(VQS_INTRINSICS)
    __m256 t[8];
    memcpy(t, r, sizeof t);
    v_transpose_8(t);
    memcpy(r, t, sizeof t);
#else
    vf t[VL];
    for (int i = 0; i < VL; i++) {
        for (int j = 0; j < VL; j++) {
            t[i][j] = r[j][i];
        }
    }
    memcpy(r, t, sizeof t);
#endif
}

/* Packs of eight of VL codes of d components, a multiple of 8, as pack_codes makes them. Returns whether it did: not if
 * some code is lost, and only with the instruction sets that it is written for. */
INLINE bool v_pack(int d, const vqs_real *codes, vqs_real *packed, vqs_real *half_norm) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    __m512 sum = _mm512_setzero_ps();
    for (int i = 0; i < d; i += 8) {
        __m512 r[8];
        for (int c = 0; c < 8; c++) {
            r[c] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(codes + c * d + i)),
                                      _mm256_loadu_ps(codes + (c + 8) * d + i), 1);
        }
        v_transpose_8x16(r);
        for (int c = 0; c < 8; c++) {
            sum = _mm512_fmadd_ps(r[c], r[c], sum);
            _mm256_storeu_ps(packed + (i + c) * 8, _mm512_castps512_ps256(r[c]));
            _mm256_storeu_ps(packed + (d + i + c) * 8, _mm512_extractf32x8_ps(r[c], 1));
        }
    }
    _mm512_storeu_ps(half_norm, _mm512_mul_ps(sum, _mm512_set1_ps(0.5f)));
    return _mm512_cmp_ps_mask(sum, _mm512_set1_ps(INFINITY), _CMP_LT_OQ) == 0xffff;
#elif defined(VQS_INTRINSICS)
    __m256 sum = _mm256_setzero_ps();
    for (int i = 0; i < d; i += 8) {
        __m256 r[8];
        for (int c = 0; c < 8; c++) {
            r[c] = _mm256_loadu_ps(codes + c * d + i);
        }
        v_transpose_8(r);
        for (int c = 0; c < 8; c++) {
            sum = _mm256_fmadd_ps(r[c], r[c], sum);
            _mm256_storeu_ps(packed + (i + c) * 8, r[c]);
        }
    }
    _mm256_storeu_ps(half_norm, _mm256_mul_ps(sum, _mm256_set1_ps(0.5f)));
    return _mm256_movemask_ps(_mm256_cmp_ps(sum, _mm256_set1_ps(INFINITY), _CMP_LT_OQ)) == 0xff;
#else
    (void)d, (void)codes, (void)packed, (void)half_norm;
    return false;
#endif
}

/* columns[i * VQS_TILE + l] = rows(l)[i] for VL components i and VQS_TILE lanes l; row l starts at table + at[l] *
 * stride. */
INLINE void v_rows_to_columns(const vqs_real *table, int stride, const uint32_t *at, vqs_real *columns) {
    for (int l = 0; l < 32; l += VL) {
        vf r[VL];
        for (int v = 0; v < VL; v++) {
            r[v] = v_load(table + (size_t)at[l + v] * (size_t)stride);
        }
        v_transpose(r);
        for (int v = 0; v < VL; v++) {
            v_store(columns + v * 32 + l, r[v]);
        }
    }
}

/* The same for eight components. */
INLINE void v_rows_to_columns_8(const vqs_real *table, int stride, const uint32_t *at, vqs_real *columns) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    for (int l = 0; l < 32; l += 16) {
        __m512 r[8];
        for (int i = 0; i < 8; i++) {
            const float *a = table + (size_t)at[l + i] * (size_t)stride,
                        *b = table + (size_t)at[l + 8 + i] * (size_t)stride;
            r[i] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(a)), _mm256_loadu_ps(b), 1);
        }
        v_transpose_8x16(r);
        for (int i = 0; i < 8; i++) {
            _mm512_storeu_ps(columns + i * 32 + l, r[i]);
        }
    }
#else
    for (int i = 0; i < 8; i += VL) {
        v_rows_to_columns(table + i, stride, at, columns + i * 32);
    }
#endif
}

#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
/* From one or four registers, each of a component of sixteen codes. */
INLINE void v_look_up_in(int registers, int K, int d, const float *packed, const uint32_t *k, float *columns) {
    const int last = (K - 1) / 8;
    for (int i = 0; i < d; i++) {
        __m512 c[4];
        for (int r = 0; r < registers; r++) { /* past the last pack there is nothing to be looked for */
            const int even = 2 * r < last ? 2 * r : last, odd = 2 * r + 1 < last ? 2 * r + 1 : last;
            c[r] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(packed + (even * d + i) * 8)),
                                      _mm256_loadu_ps(packed + (odd * d + i) * 8), 1);
        }
        for (int l = 0; l < 32; l += 16) {
            const __m512i at = _mm512_loadu_si512(k + l);
            __m512 value = _mm512_permutexvar_ps(at, c[0]);
            if (registers == 4) {
                const __mmask16 upper = _mm512_cmpge_epi32_mask(at, _mm512_set1_epi32(32));
                value = _mm512_mask_blend_ps(upper, _mm512_permutex2var_ps(c[0], at, c[1]),
                                             _mm512_permutex2var_ps(c[2], at, c[3]));
            }
            _mm512_storeu_ps(columns + i * 32 + l, value);
        }
    }
}
#elif defined(VQS_INTRINSICS)
/* From two or four registers, each of a component of eight codes: the lower bits of a number choose the lane, and each
 * of the others between two registers. */
INLINE void v_look_up_in(int registers, int K, int d, const float *packed, const uint32_t *k, float *columns) {
    const int last = (K - 1) / 8;
    for (int i = 0; i < d; i++) {
        __m256 c[4];
        for (int r = 0; r < registers; r++) { /* past the last pack there is nothing to be looked for */
            c[r] = _mm256_loadu_ps(packed + ((r < last ? r : last) * d + i) * 8);
        }
        for (int l = 0; l < 32; l += 8) {
            const __m256i at = _mm256_loadu_si256((const __m256i *)(k + l));
            __m256 value[4];
            for (int r = 0; r < registers; r++) {
                value[r] = _mm256_permutevar8x32_ps(c[r], at);
            }
            for (int n = registers / 2, bit = 3; n; n /= 2, bit++) {
                const __m256 odd = (__m256)_mm256_slli_epi32(at, 31 - bit);
                for (int r = 0; r < n; r++) {
                    value[r] = _mm256_blendv_ps(value[2 * r], value[2 * r + 1], odd);
                }
            }
            _mm256_storeu_ps(columns + i * 32 + l, value[0]);
        }
    }
}
#endif

/* columns[i * VQS_TILE + l] = component i of code k[l] of K, which are packed as for `assign`. Returns whether it did:
 * only where the registers hold a component of all codes, and not where whole codes are had sooner. */
INLINE bool v_look_up_few(int K, int d, const vqs_real *packed, const uint32_t *k, vqs_real *columns) {
#if defined(VQS_INTRINSICS)
#if defined(VQS_ISA_avx512)
    enum { FEW = 1, ALWAYS = 16, MOST = 64 };
#else
    enum { FEW = 2, ALWAYS = 0, MOST = 32 };
#endif
    if (K > (d < 8 ? MOST : ALWAYS)) {
        return false;
    }
    if (K <= 16) {
        v_look_up_in(FEW, K, d, packed, k, columns);
    } else {
        v_look_up_in(4, K, d, packed, k, columns);
    }
    return true;
#else
    (void)K, (void)d, (void)packed, (void)k, (void)columns;
    return false;
#endif
}

/* The other way: rows[l * stride + i] = columns[i * VQS_TILE + l] for n of eight components; the others are written
 * too. */
INLINE void v_columns_to_rows_8(int n, const vqs_real *columns, int stride, vqs_real *rows) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    for (int l = 0; l < 32; l += 16) {
        __m512 r[8];
        for (int i = 0; i < 8; i++) {
            r[i] = _mm512_loadu_ps(columns + (i < n ? i : n - 1) * 32 + l);
        }
        v_transpose_8x16(r);
        for (int i = 0; i < 8; i++) {
            _mm256_storeu_ps(rows + (l + i) * stride, _mm512_castps512_ps256(r[i]));
            _mm256_storeu_ps(rows + (l + 8 + i) * stride, _mm512_extractf32x8_ps(r[i], 1));
        }
    }
#else
    for (int i = 0; i < 8; i += VL) {
        for (int l = 0; l < 32; l += VL) {
            vf r[VL];
            for (int v = 0; v < VL; v++) {
                r[v] = v_load(columns + (i + v < n ? i + v : n - 1) * 32 + l);
            }
            v_transpose(r);
            for (int v = 0; v < VL; v++) {
                v_store(rows + (l + v) * stride + i, r[v]);
            }
        }
    }
#endif
}

/* The first of eight values that is not above `bound`; 0 if none is. */
INLINE uint32_t v_first_at_most(const vqs_real a[8], vqs_real bound) {
#if defined(VQS_INTRINSICS)
    const int mask = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(a), _mm256_set1_ps(bound), _CMP_LE_OQ));
    return mask ? (uint32_t)__builtin_ctz((unsigned)mask) : 0;
#else
    for (uint32_t i = 0; i < 8; i++) {
        if (a[i] <= bound) {
            return i;
        }
    }
    return 0;
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

/* out[i][j] = sum of the lanes of v[4 i + j], for sixteen vectors. */
INLINE void v_sum16(const vf v[16], vqs_real *const out[4]) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    __m512 u[4], w[2];
    for (int i = 0; i < 4; i++) { /* each 128-bit lane: a part of the four sums */
        const __m512 a = (__m512)v[4 * i], b = (__m512)v[4 * i + 1], c = (__m512)v[4 * i + 2], d = (__m512)v[4 * i + 3];
        const __m512d ab = (__m512d)_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        const __m512d cd = (__m512d)_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        u[i] = _mm512_add_ps((__m512)_mm512_unpacklo_pd(ab, cd), (__m512)_mm512_unpackhi_pd(ab, cd));
    }
    for (int i = 0; i < 2; i++) { /* then the lanes */
        w[i] = _mm512_add_ps(_mm512_shuffle_f32x4(u[2 * i], u[2 * i + 1], 0x88),
                             _mm512_shuffle_f32x4(u[2 * i], u[2 * i + 1], 0xdd));
    }
    const __m512 sums = _mm512_add_ps(_mm512_shuffle_f32x4(w[0], w[1], 0x88), _mm512_shuffle_f32x4(w[0], w[1], 0xdd));
    _mm_storeu_ps(out[0], _mm512_castps512_ps128(sums));
    _mm_storeu_ps(out[1], _mm512_extractf32x4_ps(sums, 1));
    _mm_storeu_ps(out[2], _mm512_extractf32x4_ps(sums, 2));
    _mm_storeu_ps(out[3], _mm512_extractf32x4_ps(sums, 3));
#else
    for (int i = 0; i < 4; i++) {
        v_sum4(v + 4 * i, out[i]);
    }
#endif
}

#endif
