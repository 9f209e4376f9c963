/* kernels_isa.c - the inner loops of kernels.h. Compiled once for each instruction set.
 *
 * Every kernel is a block of accumulators small enough for the registers, written as an always-inlined function whose
 * block shape is a compile-time constant, and a driver that covers the whole array with blocks. */
#include "vqsweep/kernels.h"

#include "isa.h"
#include "simd.h"
#include "tile.h"

#include <Random123/philox.h>
#include <math.h>
#include <sleef.h>

#ifdef VQS_REAL_IS_DOUBLE
#define real_sqrt sqrt
#else
#define real_sqrt sqrtf
#endif

#define T         VQS_TILE
#define TILE_VECS (VQS_TILE / VL) /* vectors across a tile */

/* Block shapes: 32 vector registers with AVX-512, 16 otherwise. */
#if defined(VQS_ISA_avx512)
enum { COLS = 4, WIDE_SAMPLES = 8, CODES = 8 };
#else
enum { COLS = 2, WIDE_SAMPLES = 4, CODES = 4 };
#endif

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

/* ---- random numbers ----------------------------------------------------------------------------------------------- */

enum { BLOCKS = VQS_RNG_GROUP / 4 }; /* Philox blocks in a group */

#if defined(VQS_INTRINSICS)
/* Philox4x32-10 on whole vectors of counters: Random123's constants and rounds; its scalar code is the tests' oracle. */
#if defined(VQS_ISA_avx512)
typedef __m512i vw;
#define vw_set(x)       _mm512_set1_epi32((int)(x))
#define vw_add(a, b)    _mm512_add_epi32(a, b)
#define vw_xor3(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0x96)
#define vw_mul_even(a, b) _mm512_mul_epu32(a, b)
#define vw_odd(a)       _mm512_srli_epi64(a, 32)
#define vw_join_low(even, odd)  _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32))
#define vw_join_high(even, odd) _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd)
#define vw_load(p)      _mm512_loadu_si512(p)
#define vw_store(p, v)  _mm512_storeu_si512(p, v)
#else
typedef __m256i vw;
#define vw_set(x)       _mm256_set1_epi32((int)(x))
#define vw_add(a, b)    _mm256_add_epi32(a, b)
#define vw_xor3(a, b, c) _mm256_xor_si256(_mm256_xor_si256(a, b), c)
#define vw_mul_even(a, b) _mm256_mul_epu32(a, b)
#define vw_odd(a)       _mm256_srli_epi64(a, 32)
#define vw_join_low(even, odd)  _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa)
#define vw_join_high(even, odd) _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa)
#define vw_load(p)      _mm256_loadu_si256((const __m256i *)(p))
#define vw_store(p, v)  _mm256_storeu_si256((__m256i *)(p), v)
#endif

INLINE void multiply(vw a, vw m, vw *low, vw *high) {
    const vw even = vw_mul_even(a, m), odd = vw_mul_even(vw_odd(a), m);
    *low = vw_join_low(even, odd);
    *high = vw_join_high(even, odd);
}

static void group_words(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, uint32_t w[4][BLOCKS]) {
    const uint64_t first = group * BLOCKS; /* a group's blocks share the high word: BLOCKS divides 2^32 */
    const vw m0 = vw_set(PHILOX_M4x32_0), m1 = vw_set(PHILOX_M4x32_1);
    uint32_t lanes[BLOCKS];
    for (uint32_t l = 0; l < BLOCKS; l++) {
        lanes[l] = (uint32_t)first + l;
    }
    for (int l = 0; l < BLOCKS; l += (int)(sizeof(vw) / 4)) {
        vw c0 = vw_load(lanes + l), c1 = vw_set(first >> 32), c2 = vw_set(purpose), c3 = vw_set(stream);
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int round = 0; round < PHILOX4x32_DEFAULT_ROUNDS; round++) {
            vw low0, high0, low1, high1;
            multiply(c0, m0, &low0, &high0);
            multiply(c2, m1, &low1, &high1);
            c0 = vw_xor3(high1, c1, vw_set(k0));
            c1 = low1;
            c2 = vw_xor3(high0, c3, vw_set(k1));
            c3 = low0;
            k0 += PHILOX_W32_0;
            k1 += PHILOX_W32_1;
        }
        vw_store(w[0] + l, c0);
        vw_store(w[1] + l, c1);
        vw_store(w[2] + l, c2);
        vw_store(w[3] + l, c3);
    }
}
#else
static void group_words(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, uint32_t w[4][BLOCKS]) {
    const philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    const uint64_t first = group * BLOCKS;
#pragma omp simd
    for (int l = 0; l < BLOCKS; l++) {
        uint64_t index = first + (uint64_t)l;
        philox4x32_ctr_t ctr = {{(uint32_t)index, (uint32_t)(index >> 32), purpose, stream}};
        philox4x32_ctr_t out = philox4x32(ctr, key);
        w[0][l] = out.v[0];
        w[1][l] = out.v[1];
        w[2][l] = out.v[2];
        w[3][l] = out.v[3];
    }
}
#endif

static void words(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i++, out += VQS_RNG_GROUP) {
        uint32_t w[4][BLOCKS];
        group_words(seed, purpose, stream, group + i, w);
        memcpy(out, w, sizeof w);
    }
}

/* Box-Muller over one vector: radius from `u` in (0, 1], angle `t` in units of pi in [-1, 1). */
#if defined(VQS_REAL_IS_DOUBLE)
INLINE void box_muller(const vqs_real *u, const vqs_real *t, vqs_real scale, vqs_real *a, vqs_real *b) {
    for (int l = 0; l < VL; l++) {
        double radius = scale * sqrt(-2 * Sleef_log_u35(u[l]));
        Sleef_double2 angle = Sleef_sincospi_u35(t[l]);
        a[l] = radius * angle.y;
        b[l] = radius * angle.x;
    }
}
#elif defined(VQS_ISA_avx512)
INLINE void box_muller(const vqs_real *u, const vqs_real *t, vqs_real scale, vqs_real *a, vqs_real *b) {
    __m512 log_u = Sleef_finz_logf16_u35avx512f(_mm512_loadu_ps(u));
    __m512 radius = _mm512_mul_ps(_mm512_set1_ps(scale), _mm512_sqrt_ps(_mm512_mul_ps(_mm512_set1_ps(-2), log_u)));
    Sleef___m512_2 angle = Sleef_finz_sincospif16_u35avx512f(_mm512_loadu_ps(t));
    _mm512_storeu_ps(a, _mm512_mul_ps(radius, angle.y));
    _mm512_storeu_ps(b, _mm512_mul_ps(radius, angle.x));
}
#elif defined(VQS_ISA_avx2)
INLINE void box_muller(const vqs_real *u, const vqs_real *t, vqs_real scale, vqs_real *a, vqs_real *b) {
    __m256 log_u = Sleef_finz_logf8_u35avx2(_mm256_loadu_ps(u));
    __m256 radius = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_sqrt_ps(_mm256_mul_ps(_mm256_set1_ps(-2), log_u)));
    Sleef___m256_2 angle = Sleef_finz_sincospif8_u35avx2(_mm256_loadu_ps(t));
    _mm256_storeu_ps(a, _mm256_mul_ps(radius, angle.y));
    _mm256_storeu_ps(b, _mm256_mul_ps(radius, angle.x));
}
#else
INLINE void box_muller(const vqs_real *u, const vqs_real *t, vqs_real scale, vqs_real *a, vqs_real *b) {
    for (int l = 0; l < VL; l++) {
        float radius = scale * sqrtf(-2 * Sleef_cinz_logf1_u35purec(u[l]));
        Sleef_float_2 angle = Sleef_cinz_sincospif1_u35purec(t[l]);
        a[l] = radius * angle.y;
        b[l] = radius * angle.x;
    }
}
#endif

static void normals(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, size_t n, vqs_real scale,
                    vqs_real *out) {
    const vqs_real ulp = (vqs_real)(1.0 / 2147483648.0); /* 2^-31 */
    for (size_t i = 0; i < n; i++, out += VQS_RNG_GROUP) {
        uint32_t w[4][BLOCKS];
        vqs_real u[2][BLOCKS], t[2][BLOCKS];
        group_words(seed, purpose, stream, group + i, w);
        for (int h = 0; h < 2; h++) {
#pragma omp simd
            for (int l = 0; l < BLOCKS; l++) {
                u[h][l] = (vqs_real)(int32_t)(w[2 * h][l] >> 1) * ulp + ulp / 2;
                t[h][l] = (vqs_real)(int32_t)w[2 * h + 1][l] * ulp;
            }
            for (int l = 0; l < BLOCKS; l += VL) {
                box_muller(&u[h][l], &t[h][l], scale, out + (2 * h) * BLOCKS + l, out + (2 * h + 1) * BLOCKS + l);
            }
        }
    }
}

/* ---- project: lanes are features while there are few filters, filters once they fill a vector --------------------- */

/* Four samples against `cols` filters. */
INLINE void project_narrow_block(int cols, size_t ld, const vqs_real *const x[4], const vqs_real *m, vqs_real *out) {
    vf acc[COLS][4];
    for (int c = 0; c < cols; c++) {
        for (int s = 0; s < 4; s++) {
            acc[c][s] = v_set(0);
        }
    }
    for (size_t j = 0; j < ld; j += VL) {
        vf xv[4];
        for (int s = 0; s < 4; s++) {
            xv[s] = v_load(x[s] + j);
            V_PIN(xv[s]);
        }
        for (int c = 0; c < cols; c++) {
            vf mv = v_load(m + (size_t)c * ld + j);
            V_PIN(mv);
            for (int s = 0; s < 4; s++) {
                acc[c][s] += xv[s] * mv;
            }
        }
    }
    for (int c = 0; c < cols; c++) {
        v_sum4(acc[c], out + c * T);
    }
}

static void project_narrow(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *m,
                           vqs_real *out) {
    for (int l = 0; l < T; l += 4) {
        const vqs_real *const xs[4] = {x + rows[l] * ld, x + rows[l + 1] * ld, x + rows[l + 2] * ld,
                                       x + rows[l + 3] * ld};
        int c = 0;
        for (; c + COLS <= C; c += COLS) {
            project_narrow_block(COLS, ld, xs, m + (size_t)c * ld, out + c * T + l);
        }
        for (; c + 2 <= C; c += 2) {
            project_narrow_block(2, ld, xs, m + (size_t)c * ld, out + c * T + l);
        }
        for (; c < C; c++) {
            project_narrow_block(1, ld, xs, m + (size_t)c * ld, out + c * T + l);
        }
    }
}

/* WIDE_SAMPLES samples against `vecs` vectors of filters; mt is [ld][stride]. A single vector would leave too few
 * independent sums to keep the adders busy, so even and odd features are summed apart. */
INLINE void project_wide_block(int vecs, size_t ld, size_t stride, const vqs_real *x, const uint32_t *rows,
                               const vqs_real *mt, vqs_real out[][VL], size_t out_step) {
    const int chains = 2 / vecs;
    vf acc[2][WIDE_SAMPLES];
    const vqs_real *xs[WIDE_SAMPLES];
    for (int s = 0; s < WIDE_SAMPLES; s++) {
        xs[s] = x + rows[s] * ld;
        acc[0][s] = acc[1][s] = v_set(0);
    }
    for (size_t j = 0; j < ld; j += (size_t)chains) {
        vf m[2];
        for (int v = 0; v < 2; v++) {
            m[v] = v_load(mt + (chains == 2 ? (j + (size_t)v) * stride : j * stride + (size_t)(v * VL)));
            V_PIN(m[v]);
        }
        for (int s = 0; s < WIDE_SAMPLES; s++) {
            vf xv = v_set(xs[s][j]);
            if (vecs == 2) {
                V_PIN(xv);
            }
            acc[0][s] += xv * m[0];
            acc[1][s] += (chains == 2 ? v_set(xs[s][j + 1]) : xv) * m[1];
        }
    }
    for (int s = 0; s < WIDE_SAMPLES; s++) {
        if (chains == 2) {
            v_store(out[s], acc[0][s] + acc[1][s]);
        } else {
            v_store(out[s], acc[0][s]);
            v_store(out[out_step + (size_t)s], acc[1][s]);
        }
    }
}

/* out[c][l] = tile[l][c] for one vector of filters, of which C are wanted. */
INLINE void transpose_tile(int C, vqs_real tile[][VL], vqs_real *out) {
    for (int l = 0; l < T; l += VL) {
        vf r[VL];
        for (int i = 0; i < VL; i++) {
            r[i] = v_load(tile[l + i]);
        }
        v_transpose(r);
        if (C == VL) {
            for (int c = 0; c < VL; c++) {
                v_store(out + c * T + l, r[c]);
            }
        } else {
            for (int c = 0; c < C; c++) {
                v_store(out + c * T + l, r[c]);
            }
        }
    }
}

static size_t wide_stride(int C) {
    return ((size_t)C + VL - 1) / VL * VL;
}

static void project_wide(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *mt,
                         vqs_real *out) {
    const size_t stride = wide_stride(C);
    vqs_real tile[2 * T][VL] __attribute__((aligned(64)));
    int c = 0;
    for (; c + VL < C; c += 2 * VL) {
        for (int l = 0; l < T; l += WIDE_SAMPLES) {
            project_wide_block(2, ld, stride, x, rows + l, mt + c, tile + l, T);
        }
        transpose_tile(VL, tile, out + c * T);
        transpose_tile(C - c - VL < VL ? C - c - VL : VL, tile + T, out + (c + VL) * T);
    }
    if (c < C) {
        for (int l = 0; l < T; l += WIDE_SAMPLES) {
            project_wide_block(1, ld, stride, x, rows + l, mt + c, tile + l, T);
        }
        transpose_tile(C - c, tile, out + c * T);
    }
}

static size_t pack_size(int C, size_t ld) {
    return C >= VL ? ld * wide_stride(C) : 0;
}

static void pack(int C, size_t ld, const vqs_real *m, vqs_real *mt) {
    const size_t stride = wide_stride(C);
    for (size_t c = 0; c < (size_t)C; c += VL) { /* ld is whole vectors; filters past C are packed as 0 */
        for (size_t j = 0; j < ld; j += VL) {
            vf r[VL];
            for (size_t i = 0; i < VL; i++) {
                r[i] = c + i < (size_t)C ? v_load(m + (c + i) * ld + j) : v_set(0);
            }
            v_transpose(r);
            for (size_t i = 0; i < VL; i++) {
                v_store(mt + (j + i) * stride + c, r[i]);
            }
        }
    }
}

static void project(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *m, const vqs_real *mt,
                    vqs_real *out) {
    if (mt && C >= VL) {
        project_wide(C, ld, x, rows, mt, out);
    } else {
        project_narrow(C, ld, x, rows, m, out);
    }
}

/* ---- outer: lanes are features --------------------------------------------------------------------------------------- */

INLINE void outer_block(int cols, int vecs, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *g,
                        bool add, vqs_real *acc) {
    vf sum[COLS][4];
    for (int c = 0; c < cols; c++) {
        for (int v = 0; v < vecs; v++) {
            sum[c][v] = add ? v_load(acc + (size_t)c * ld + (size_t)(v * VL)) : v_set(0);
        }
    }
    for (int l = 0; l < T; l++) {
        const vqs_real *row = x + rows[l] * ld;
        P_PIN(row);
        vf xv[4];
        for (int v = 0; v < vecs; v++) {
            xv[v] = v_load(row + v * VL);
            V_PIN(xv[v]);
        }
        for (int c = 0; c < cols; c++) {
            vf gv = v_set(g[c * T + l]);
            V_PIN(gv);
            for (int v = 0; v < vecs; v++) {
                sum[c][v] += gv * xv[v];
            }
        }
    }
    for (int c = 0; c < cols; c++) {
        for (int v = 0; v < vecs; v++) {
            v_store(acc + (size_t)c * ld + (size_t)(v * VL), sum[c][v]);
        }
    }
}

INLINE void outer_columns(int cols, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *g, bool add,
                          vqs_real *acc) {
    size_t j = 0;
    for (; j + 4 * VL <= ld; j += 4 * VL) {
        outer_block(cols, 4, ld, x + j, rows, g, add, acc + j);
    }
    for (; j < ld; j += VL) {
        outer_block(cols, 1, ld, x + j, rows, g, add, acc + j);
    }
}

static void outer(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *g, bool add,
                  vqs_real *acc) {
    int c = 0;
    for (; c + COLS <= C; c += COLS) {
        outer_columns(COLS, ld, x, rows, g + c * T, add, acc + (size_t)c * ld);
    }
    for (; c + 2 <= C; c += 2) {
        outer_columns(2, ld, x, rows, g + c * T, add, acc + (size_t)c * ld);
    }
    for (; c < C; c++) {
        outer_columns(1, ld, x, rows, g + c * T, add, acc + (size_t)c * ld);
    }
}

/* ---- assign: lanes are samples ------------------------------------------------------------------------------------- */

enum { PACK = VQS_CODE_PACK };

/* Eight components of sixteen codes at a time; the last codes and components one by one. */
static void pack_codes(int K, int d, const vqs_real *codes, vqs_real *packed, vqs_real *half_norm) {
    for (int first = 0; first < K; first += PACK, packed += PACK * d, half_norm += PACK) {
        const int n = K - first < PACK ? K - first : PACK;
        const vqs_real *c = codes + (size_t)first * (size_t)d;
        int i = 0;
        for (; n == PACK && i + PACK <= d; i += PACK) {
            v_transpose_8x8(c + i, d, packed + i * PACK);
        }
        for (; i < d; i++) {
            for (int j = 0; j < PACK; j++) {
                packed[i * PACK + j] = j < n ? c[j * d + i] : 0;
            }
        }
        vqs_real sum[PACK] = {0};
        for (i = 0; i < d; i++) {
#pragma omp simd
            for (int j = 0; j < PACK; j++) {
                sum[j] += packed[i * PACK + j] * packed[i * PACK + j];
            }
        }
        for (int j = 0; j < PACK; j++) { /* neither what only fills up a pack nor a lost code is ever the nearest */
            const bool usable = j < n && sum[j] < (vqs_real)INFINITY;
            half_norm[j] = usable ? sum[j] / 2 : (vqs_real)INFINITY;
            for (i = 0; !usable && i < d; i++) { /* a NaN would also hide the others of its pack */
                packed[i * PACK + j] = 0;
            }
        }
    }
}

/* half_norm - z . c of CODES codes, from number `from` of a pack on, for two vectors of samples. */
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

/* Few codes: each is compared. */
INLINE void assign_each(int packs, int d, const vqs_real *packed, const vqs_real *half_norm, const vqs_real *z,
                        uint32_t *k) {
    vf best[2] = {v_set((vqs_real)INFINITY), v_set((vqs_real)INFINITY)};
    vi index[2] = {v_set_int(0), v_set_int(0)};
    for (int p = 0; p < packs; p++) {
        for (int from = 0; from < PACK; from += CODES) {
            vf score[CODES][2];
            score_block(d, packed + p * PACK * d, half_norm + p * PACK, from, z, score);
            for (int j = 0; j < CODES; j++) {
                const vi code = v_set_int(p * PACK + from + j);
                v_keep_less(score[j][0], code, &best[0], &index[0]);
                v_keep_less(score[j][1], code, &best[1], &index[1]);
            }
        }
    }
    v_store_index(k, index[0]);
    v_store_index(k + VL, index[1]);
}

/* Which code of a pack has the score `best` for sample l: the same sums in the same order, lanes being codes. */
INLINE uint32_t find_in_pack(int d, const vqs_real *packed, const vqs_real *half_norm, const vqs_real *z, int l,
                             vqs_real best) {
    vqs_real score[PACK];
    memcpy(score, half_norm, sizeof score);
    for (int i = 0; i < d; i++) {
        const vqs_real zi = z[i * T + l];
#pragma omp simd
        for (int j = 0; j < PACK; j++) {
            score[j] -= packed[i * PACK + j] * zi;
        }
    }
    return v_first_at_most(score, best);
}

/* Many codes: only the least score of a pack is compared, and the code is looked for in the best pack at the end. */
INLINE void assign_packs(int packs, int d, const vqs_real *packed, const vqs_real *half_norm, const vqs_real *z,
                         uint32_t *k) {
    vf best[2] = {v_set((vqs_real)INFINITY), v_set((vqs_real)INFINITY)};
    vi index[2] = {v_set_int(0), v_set_int(0)};
    for (int p = 0; p < packs; p++) {
        vf least[2];
        for (int from = 0; from < PACK; from += CODES) {
            vf score[CODES][2];
            score_block(d, packed + (size_t)p * (size_t)(PACK * d), half_norm + p * PACK, from, z, score);
            for (int v = 0; v < 2; v++) {
                vf low[CODES / 2], min; /* bounds known when compiling keep all this in registers */
                for (int j = 0; j < CODES / 2; j++) {
                    low[j] = v_min(score[j][v], score[j + CODES / 2][v]);
                }
                min = v_min(low[0], low[1]);
                for (int j = 2; j < CODES / 2; j++) {
                    min = v_min(min, low[j]);
                }
                least[v] = from == 0 ? min : v_min(least[v], min);
            }
        }
        v_keep_less(least[0], v_set_int(p), &best[0], &index[0]);
        v_keep_less(least[1], v_set_int(p), &best[1], &index[1]);
    }
    v_store_index(k, index[0]);
    v_store_index(k + VL, index[1]);
    for (int l = 0; l < 2 * VL; l++) {
        const size_t p = k[l];
        k[l] = (uint32_t)(p * PACK) + find_in_pack(d, packed + p * (size_t)(PACK * d), half_norm + p * PACK, z, l,
                                                   best[l / VL][l % VL]);
    }
}

static void assign(int K, int d, const vqs_real *packed, const vqs_real *half_norm, const vqs_real *z, uint32_t *k) {
    const int packs = (K + PACK - 1) / PACK;
    for (int l = 0; l < T; l += 2 * VL) {
        if (packs < 16) {
            assign_each(packs, d, packed, half_norm, z + l, k + l);
        } else {
            assign_packs(packs, d, packed, half_norm, z + l, k + l);
        }
    }
}

/* ---- codes: gathering gradients, moments ------------------------------------------------------------------------------ */

/* Rows of few components are added in pieces of 8, 4, 2, 1: a masked store would not forward to the next load. */
#define ADD_PIECE(width)                                                                                               \
    if (d - i >= (width)) {                                                                                            \
        vqs_real sum[width], piece[width];                                                                             \
        memcpy(sum, g + i, sizeof sum);                                                                                \
        memcpy(piece, row + i, sizeof piece);                                                                          \
        for (int c = 0; c < (width); c++) {                                                                            \
            sum[c] += piece[c];                                                                                        \
        }                                                                                                              \
        memcpy(g + i, sum, sizeof sum);                                                                                \
        i += (width);                                                                                                  \
    }

INLINE void add_row(int d, const vqs_real *row, vqs_real *g) {
    int i = 0;
    for (; i + VL <= d; i += VL) {
        v_store(g + i, v_load(g + i) + v_load(row + i));
    }
    ADD_PIECE(8)
    ADD_PIECE(4)
    ADD_PIECE(2)
    ADD_PIECE(1)
}

static void scatter(int n, int d, const uint32_t *k, const vqs_real *rows, int first, int last, vqs_real *grad,
                    uint32_t *count) {
    const size_t stride = vqs_row_stride(d);
    memset(grad + (size_t)first * (size_t)d, 0, (size_t)(last - first) * (size_t)d * sizeof *grad);
    memset(count + first, 0, (size_t)(last - first) * sizeof *count);
    for (int l = 0; l < n; l++, rows += stride) {
        const int code = (int)k[l];
        if (code < first || code >= last) {
            continue;
        }
        count[code]++;
        add_row(d, rows, grad + (size_t)code * (size_t)d);
    }
}

/* `height` rows from i by `vecs` vectors from column j of the moments. */
INLINE void moments_block(int height, int vecs, int n, const uint32_t *used, int d, const vqs_real *codes,
                          const uint32_t *count, int i, int j, vqs_real *moments) {
    vf sum[COLS][4];
    for (int h = 0; h < height; h++) {
        for (int v = 0; v < vecs; v++) {
            sum[h][v] = v_set(0);
        }
    }
    for (int u = 0; u < n; u++) {
        const uint32_t k = used[u];
        const vqs_real *c = codes + k * (size_t)d, weight = (vqs_real)count[k];
        vf cv[4];
        for (int v = 0; v < vecs; v++) {
            cv[v] = v_load(c + j + v * VL);
        }
        for (int h = 0; h < height; h++) {
            vf w = v_set(weight * c[i + h]);
            for (int v = 0; v < vecs; v++) {
                sum[h][v] += w * cv[v];
            }
        }
    }
    for (int h = 0; h < height; h++) {
        for (int v = 0; v < vecs; v++) {
            v_store(moments + (size_t)(i + h) * vqs_row_stride(d) + (size_t)(j + v * VL), sum[h][v]);
        }
    }
}

static void code_moments(int n, const uint32_t *used, int d, const vqs_real *codes, const uint32_t *count, int first,
                         int last, vqs_real *moments) {
    const int stride = (int)vqs_row_stride(d);
    int i = first;
    for (; i + COLS <= last; i += COLS) {
        int j = 0;
        for (; j + 4 * VL <= stride; j += 4 * VL) {
            moments_block(COLS, 4, n, used, d, codes, count, i, j, moments);
        }
        for (; j < stride; j += VL) {
            moments_block(COLS, 1, n, used, d, codes, count, i, j, moments);
        }
    }
    for (; i < last; i++) {
        for (int j = 0; j < stride; j += VL) {
            moments_block(1, 1, n, used, d, codes, count, i, j, moments);
        }
    }
}

/* ---- small matrices by rows of parameters ------------------------------------------------------------------------------ */

static vqs_real dot(size_t n, const vqs_real *a, const vqs_real *b) {
    vf acc[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL) {
        for (size_t s = 0; s < 4; s++) {
            acc[s] += v_load(a + i + s * VL) * v_load(b + i + s * VL);
        }
    }
    for (; i + VL <= n; i += VL) {
        acc[0] += v_load(a + i) * v_load(b + i);
    }
    vqs_real sum = v_sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
    for (; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

INLINE void combine_block(int height, int vecs, int d, size_t ld, const vqs_real *A, const vqs_real *V, vqs_real scale,
                          vqs_real keep, vqs_real *out) {
    vf sum[COLS][4];
    for (int h = 0; h < height; h++) {
        for (int v = 0; v < vecs; v++) {
            sum[h][v] = v_set(0);
        }
    }
    for (int j = 0; j < d; j++) {
        vf row[4];
        for (int v = 0; v < vecs; v++) {
            row[v] = v_load(V + (size_t)j * ld + (size_t)(v * VL));
            V_PIN(row[v]);
        }
        for (int h = 0; h < height; h++) {
            vf a = v_set(A[(size_t)h * vqs_row_stride(d) + (size_t)j]);
            V_PIN(a);
            for (int v = 0; v < vecs; v++) {
                sum[h][v] += a * row[v];
            }
        }
    }
    for (int h = 0; h < height; h++) {
        for (int v = 0; v < vecs; v++) {
            vqs_real *at = out + (size_t)h * ld + (size_t)(v * VL);
            v_store(at, v_set(scale) * sum[h][v] + v_set(keep) * v_load(at));
        }
    }
}

INLINE void combine_rows(int height, int d, size_t ld, const vqs_real *A, const vqs_real *V, vqs_real scale,
                         vqs_real keep, vqs_real *out) {
    size_t j = 0;
    for (; j + 4 * VL <= ld; j += 4 * VL) {
        combine_block(height, 4, d, ld, A, V + j, scale, keep, out + j);
    }
    for (; j < ld; j += VL) {
        combine_block(height, 1, d, ld, A, V + j, scale, keep, out + j);
    }
}

static void combine(int d, size_t ld, const vqs_real *A, const vqs_real *V, vqs_real scale, vqs_real keep, int first,
                    int last, vqs_real *out) {
    const size_t stride = vqs_row_stride(d);
    int i = first;
    for (; i + COLS <= last; i += COLS) {
        combine_rows(COLS, d, ld, A + (size_t)i * stride, V, scale, keep, out + (size_t)i * ld);
    }
    for (; i < last; i++) {
        combine_rows(1, d, ld, A + (size_t)i * stride, V, scale, keep, out + (size_t)i * ld);
    }
}

/* Pointers to four rows from i on, of which those past the last repeat it. */
INLINE void four_rows(int d, size_t ld, const vqs_real *A, int i, const vqs_real *rows[4]) {
    for (int s = 0; s < 4; s++) {
        rows[s] = A + (size_t)(i + s < d ? i + s : d - 1) * ld;
    }
}

static void gram(int d, size_t ld, const vqs_real *A, vqs_real *G) {
    vqs_real block[COLS * T];
    for (int j = 0; j < d; j += COLS) {
        const int cols = d - j < COLS ? d - j : COLS;
        for (int i = j; i < d; i += 4) {
            const vqs_real *rows[4];
            four_rows(d, ld, A, i, rows);
            if (cols == COLS) {
                project_narrow_block(COLS, ld, rows, A + (size_t)j * ld, block);
            } else {
                for (int c = 0; c < cols; c++) {
                    project_narrow_block(1, ld, rows, A + (size_t)(j + c) * ld, block + c * T);
                }
            }
            for (int c = 0; c < cols; c++) {
                for (int s = 0; s < 4 && i + s < d; s++) {
                    G[(i + s) * d + j + c] = G[(j + c) * d + i + s] = block[c * T + s];
                }
            }
        }
    }
}

/* Row i is normalised and then taken out of all later rows, four at a time: their products with it do not wait for each
 * other, as they would if each row were finished before the next. */
static void gram_schmidt(int d, size_t ld, vqs_real *W) {
    for (int i = 0; i < d; i++) {
        vqs_real *w = W + (size_t)i * ld, p[4];
        const vqs_real norm2 = dot(ld, w, w), scale = norm2 > 0 ? 1 / real_sqrt(norm2) : 0;
        for (size_t c = 0; c < ld; c += VL) {
            v_store(w + c, v_load(w + c) * v_set(scale));
        }
        for (int j = i + 1; j < d; j += 4) {
            const vqs_real *rows[4];
            const int n = d - j < 4 ? d - j : 4;
            four_rows(d, ld, W, j, rows);
            project_narrow_block(1, ld, rows, w, p);
            for (size_t c = 0; c < ld; c += VL) {
                vf wv = v_load(w + c);
                for (int s = 0; s < n; s++) {
                    vqs_real *at = W + (size_t)(j + s) * ld + c;
                    v_store(at, v_load(at) - v_set(p[s]) * wv);
                }
            }
        }
    }
}

/* ---- small products on a tile ---------------------------------------------------------------------------------------- */

INLINE void mix_rows(int rows, int d, const vqs_real *G, const vqs_real *in, vqs_real *out) {
    for (int l = 0; l < T; l += 2 * VL) {
        vf acc[COLS][2];
        for (int i = 0; i < rows; i++) {
            acc[i][0] = acc[i][1] = v_set(0);
        }
        for (int j = 0; j < d; j++) {
            vf a = v_load(in + j * T + l), b = v_load(in + j * T + l + VL);
            for (int i = 0; i < rows; i++) {
                vf g = v_set(G[(size_t)i * (size_t)d + (size_t)j]);
                V_PIN(g);
                acc[i][0] += g * a;
                acc[i][1] += g * b;
            }
        }
        for (int i = 0; i < rows; i++) {
            v_store(out + i * T + l, acc[i][0]);
            v_store(out + i * T + l + VL, acc[i][1]);
        }
    }
}

static void mix(int d, const vqs_real *G, const vqs_real *in, vqs_real *out) {
    int i = 0;
    for (; i + COLS <= d; i += COLS) {
        mix_rows(COLS, d, G + (size_t)i * (size_t)d, in, out + i * T);
    }
    for (; i < d; i++) {
        mix_rows(1, d, G + (size_t)i * (size_t)d, in, out + i * T);
    }
}

static void decode_error(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *v,
                         const vqs_real *offset, const vqs_real *q, vqs_real *err) {
    for (int l = 0; l < T; l += 4) {
        vf sum[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
        for (size_t j = 0; j < ld; j += VL) {
            vf off = offset ? v_load(offset + j) : v_set(0);
            vf e[4];
            for (int s = 0; s < 4; s++) {
                e[s] = v_load(x + rows[l + s] * ld + j) - off;
            }
            for (int c = 0; c < C; c++) {
                vf vc = v_load(v + (size_t)c * ld + j);
                V_PIN(vc);
                for (int s = 0; s < 4; s++) {
                    e[s] -= v_set(q[c * T + l + s]) * vc;
                }
            }
            for (int s = 0; s < 4; s++) {
                sum[s] += e[s] * e[s];
            }
        }
        v_sum4(sum, err + l);
    }
}

static void nearer(int d, const vqs_real *c, const vqs_real *z, vqs_real *near) {
    vqs_real sum[T] = {0};
    for (int i = 0; i < d; i++) {
#pragma omp simd
        for (int l = 0; l < T; l++) {
            vqs_real e = z[i * T + l] - c[i];
            sum[l] += e * e;
        }
    }
#pragma omp simd
    for (int l = 0; l < T; l++) {
        near[l] = sum[l] < near[l] ? sum[l] : near[l];
    }
}

/* ---- vectors of parameters ------------------------------------------------------------------------------------------- */

static void add_up(size_t first, size_t last, int parts, size_t stride, const vqs_real *src, vqs_real *sum) {
    for (size_t i = first; i < last; i += VL) {
        vf acc = v_load(src + i);
        for (int p = 1; p < parts; p++) {
            acc += v_load(src + (size_t)p * stride + i);
        }
        v_store(sum + i, acc);
    }
}

static void axpy(size_t n, vqs_real alpha, const vqs_real *x, vqs_real *y) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        y[i] += alpha * x[i];
    }
}

/* sqrt of values that are not negative. In float by Newton's iteration for 1/sqrt from an integer estimate, to 2 units
 * in the last place: half the time of the instruction, which would be the slowest part of a step with many codes, and the
 * same bits from every maker of CPUs, unlike the approximate instructions. */
INLINE vf v_sqrt(vf v) {
#ifdef VQS_REAL_IS_DOUBLE
    for (int i = 0; i < VL; i++) {
        v[i] = sqrt(v[i]);
    }
    return v;
#else
    const vf half = v * v_set(0.5f), three_halves = v_set(1.5f);
    vf y = (vf)(v_set_int(0x5f375a86) - ((vi)v >> 1));
    for (int i = 0; i < 3; i++) {
        y = y * (three_halves - half * y * y);
    }
    return v * y;
#endif
}

static void adam(const struct vqs_adam_step *step, size_t n, const vqs_real *restrict g, vqs_real *restrict m,
                 vqs_real *restrict v, vqs_real *restrict p) {
    const vf beta1 = v_set(step->beta1), beta2 = v_set(step->beta2), eps = v_set(step->eps), rate = v_set(step->rate);
    const vf rest1 = v_set(step->rest1), rest2 = v_set(step->rest2), scale = v_set(step->inv_sqrt_2);
    for (size_t i = 0; i < n; i += VL) { /* parameters are padded to whole vectors */
        const vf gi = v_load(g + i), mi = beta1 * v_load(m + i) + rest1 * gi, vi_ = beta2 * v_load(v + i) + rest2 * gi * gi;
        v_store(m + i, mi);
        v_store(v + i, vi_);
        v_store(p + i, v_load(p + i) - rate * mi / (v_sqrt(vi_) * scale + eps));
    }
}

extern const struct vqs_estimator VQS_ISA_NAME(vqs_estimator_table)[];
extern const struct vqs_kernels VQS_ISA_NAME(vqs_kernels);

const struct vqs_kernels VQS_ISA_NAME(vqs_kernels) = {
    .cpu_class = VQS_ISA_TEXT,
    .estimators = VQS_ISA_NAME(vqs_estimator_table),
    .words = words,
    .normals = normals,
    .project = project,
    .pack_size = pack_size,
    .pack = pack,
    .outer = outer,
    .assign = assign,
    .pack_codes = pack_codes,
    .mix = mix,
    .decode_error = decode_error,
    .tile_step = VQS_ISA_NAME(vqs_tile_step),
    .nearer = nearer,
    .scatter = scatter,
    .code_moments = code_moments,
    .combine = combine,
    .gram = gram,
    .gram_schmidt = gram_schmidt,
    .add_up = add_up,
    .dot = dot,
    .axpy = axpy,
    .adam = adam,
};
