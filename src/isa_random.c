/* isa_random.c - random words and normals. */
#include "isa_kernels.h"
#include "simd_math.h"

#include <Random123/philox.h>

enum {
    BLOCKS = VQS_RNG_GROUP / 4, /* Philox blocks in a group */
    GROUPS = 2                  /* groups made at a time */
};

#if defined(VQS_INTRINSICS)
/* Philox4x32-10 on whole vectors of counters: Random123's constants and rounds; its scalar code is the tests' oracle.
 */
#if defined(VQS_ISA_avx512)
typedef __m512i vw;
#define vw_set(x)               _mm512_set1_epi32((int)(x))
#define vw_add(a, b)            _mm512_add_epi32(a, b)
#define vw_xor3(a, b, c)        _mm512_ternarylogic_epi32(a, b, c, 0x96)
#define vw_mul_even(a, b)       _mm512_mul_epu32(a, b)
#define vw_odd(a)               _mm512_srli_epi64(a, 32)
#define vw_join_low(even, odd)  _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32))
#define vw_join_high(even, odd) _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd)
#define vw_load(p)              _mm512_loadu_si512(p)
#define vw_store(p, v)          _mm512_storeu_si512(p, v)
#else
typedef __m256i vw;
#define vw_set(x)               _mm256_set1_epi32((int)(x))
#define vw_add(a, b)            _mm256_add_epi32(a, b)
#define vw_xor3(a, b, c)        _mm256_xor_si256(_mm256_xor_si256(a, b), c)
#define vw_mul_even(a, b)       _mm256_mul_epu32(a, b)
#define vw_odd(a)               _mm256_srli_epi64(a, 32)
#define vw_join_low(even, odd)  _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa)
#define vw_join_high(even, odd) _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa)
#define vw_load(p)              _mm256_loadu_si256((const __m256i *)(p))
#define vw_store(p, v)          _mm256_storeu_si256((__m256i *)(p), v)
#endif

static const uint32_t numbers[BLOCKS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

INLINE void multiply(vw a, vw m, vw *low, vw *high) {
    const vw even = vw_mul_even(a, m), odd = vw_mul_even(vw_odd(a), m);
    *low = vw_join_low(even, odd);
    *high = vw_join_high(even, odd);
}

/* Words of GROUPS groups side by side: each round waits for the one before. */
static void group_words(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group,
                        uint32_t w[GROUPS][4][BLOCKS]) {
    enum { LANES = (int)(sizeof(vw) / 4), IN_GROUP = BLOCKS / LANES, VECTORS = GROUPS * IN_GROUP };
    const vw m0 = vw_set(PHILOX_M4x32_0), m1 = vw_set(PHILOX_M4x32_1);
    vw c0[VECTORS], c1[VECTORS], c2[VECTORS], c3[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        const uint64_t first = (group + (uint64_t)(v / IN_GROUP)) * BLOCKS; /* blocks of a group share the high word */
        c0[v] = vw_add(vw_load(numbers + v % IN_GROUP * LANES), vw_set((uint32_t)first));
        c1[v] = vw_set(first >> 32);
        c2[v] = vw_set(purpose);
        c3[v] = vw_set(stream);
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < PHILOX4x32_DEFAULT_ROUNDS; round++) {
        for (int v = 0; v < VECTORS; v++) {
            vw low0, high0, low1, high1;
            multiply(c0[v], m0, &low0, &high0);
            multiply(c2[v], m1, &low1, &high1);
            c0[v] = vw_xor3(high1, c1[v], vw_set(k0));
            c1[v] = low1;
            c2[v] = vw_xor3(high0, c3[v], vw_set(k1));
            c3[v] = low0;
        }
        k0 += PHILOX_W32_0;
        k1 += PHILOX_W32_1;
    }
    for (int v = 0; v < VECTORS; v++) {
        uint32_t(*to)[BLOCKS] = w[v / IN_GROUP];
        const int at = v % IN_GROUP * LANES;
        vw_store(to[0] + at, c0[v]);
        vw_store(to[1] + at, c1[v]);
        vw_store(to[2] + at, c2[v]);
        vw_store(to[3] + at, c3[v]);
    }
}
#else
static void group_words(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group,
                        uint32_t w[GROUPS][4][BLOCKS]) {
    const philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    for (int g = 0; g < GROUPS; g++) {
        const uint64_t first = (group + (uint64_t)g) * BLOCKS;
#pragma omp simd
        for (int l = 0; l < BLOCKS; l++) {
            uint64_t index = first + (uint64_t)l;
            philox4x32_ctr_t ctr = {{(uint32_t)index, (uint32_t)(index >> 32), purpose, stream}};
            philox4x32_ctr_t out = philox4x32(ctr, key);
            w[g][0][l] = out.v[0];
            w[g][1][l] = out.v[1];
            w[g][2][l] = out.v[2];
            w[g][3][l] = out.v[3];
        }
    }
}
#endif

void KERNEL(words)(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i += GROUPS, out += GROUPS * VQS_RNG_GROUP) {
        uint32_t w[GROUPS][4][BLOCKS];
        group_words(seed, purpose, stream, group + i, w);
        memcpy(out, w, n - i < GROUPS ? (n - i) * sizeof w[0] : sizeof w);
    }
}

/* Normals of one group from its words, by Box and Muller: radii from u in (0, 1], and angles t in units of pi in
 * [-1, 1). All radii first: each is a long chain of operations, and a CPU sees only a few of them ahead. */
INLINE void group_normals(uint32_t w[4][BLOCKS], vqs_real scale, vqs_real *out) {
    const vqs_real ulp = (vqs_real)(1.0 / 2147483648.0); /* 2^-31 */
    vqs_real u[2][BLOCKS], t[2][BLOCKS];
    for (int h = 0; h < 2; h++) {
#pragma omp simd
        for (int l = 0; l < BLOCKS; l++) {
            u[h][l] = (vqs_real)(int32_t)(w[2 * h][l] >> 1) * ulp + ulp / 2;
            t[h][l] = (vqs_real)(int32_t)w[2 * h + 1][l] * ulp;
        }
    }
    for (int h = 0; h < 2; h++) {
        for (int l = 0; l < BLOCKS; l += VL) {
            v_store(&u[h][l], v_set(scale) * v_sqrt(v_set(-2) * v_log(v_load(&u[h][l]))));
        }
    }
    for (int h = 0; h < 2; h++) {
        for (int l = 0; l < BLOCKS; l += VL) {
            const vf radius = v_load(&u[h][l]);
            vf sine, cosine;
            v_sincospi(v_load(&t[h][l]), &sine, &cosine);
            v_store(out + (2 * h) * BLOCKS + l, radius * cosine);
            v_store(out + (2 * h + 1) * BLOCKS + l, radius * sine);
        }
    }
}

void KERNEL(normals)(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, size_t n, vqs_real scale,
                     vqs_real *out) {
    for (size_t i = 0; i < n; i += GROUPS) {
        uint32_t w[GROUPS][4][BLOCKS];
        group_words(seed, purpose, stream, group + i, w);
        for (size_t g = 0; g < GROUPS && i + g < n; g++, out += VQS_RNG_GROUP) {
            group_normals(w[g], scale, out);
        }
    }
}
