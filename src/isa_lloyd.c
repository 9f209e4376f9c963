/* isa_lloyd.c - what k-means and evaluation want of tiles: distances, scores of codes already chosen, which samples
 * change code, variances. */
#include "isa_kernels.h"

/* One tile of `nearer`; whether some sample came nearer. */
INLINE bool nearer_tile(int d, const vqs_real *c, const vqs_real *z, vqs_real *near) {
    vf sum[T / VL], before[T / VL];
    for (int v = 0; v < T / VL; v++) {
        sum[v] = v_set(0);
    }
    for (int i = 0; i < d; i++) {
        const vf ci = v_set(c[i]);
        for (int v = 0; v < T / VL; v++) {
            const vf e = v_load(z + i * T + v * VL) - ci;
            sum[v] += e * e;
        }
    }
    bool any = false;
    for (int v = 0; v < T / VL; v++) {
        before[v] = v_load(near + v * VL);
        any |= v_any_less(sum[v], before[v]);
    }
    for (int v = 0; any && v < T / VL; v++) {
        v_store(near + v * VL, v_min(sum[v], before[v]));
    }
    return any;
}

size_t KERNEL(nearer)(int d, size_t tiles, size_t stride, const vqs_real *c, const vqs_real *z, vqs_real *near,
                      uint32_t *changed) {
    size_t n = 0;
    for (size_t tile = 0; tile < tiles; tile++) {
        changed[n] = (uint32_t)tile;
        n += nearer_tile(d, c, z + tile * stride, near + tile * T);
    }
    return n;
}

void KERNEL(score)(int d, const vqs_real *q, const vqs_real *z, vqs_real *score) {
    for (int l = 0; l < T; l += VL) {
        vf s = v_set(0);
        for (int i = 0; i < d; i++) {
            const vf c = v_load(q + i * T + l);
            s += c * c;
        }
        s *= v_set((vqs_real)0.5);
        for (int i = 0; i < d; i++) {
            s -= v_load(q + i * T + l) * v_load(z + i * T + l);
        }
        v_store(score + l, s);
    }
}

/* Bit l: a[l] is not 0. */
INLINE uint32_t mask_of(const uint32_t a[T]) {
    uint32_t mask = 0;
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    for (int l = 0; l < T; l += 16) {
        const __m512i v = _mm512_loadu_si512(a + l);
        mask |= (uint32_t)_mm512_test_epi32_mask(v, v) << l;
    }
#else
    for (int l = 0; l < T; l++) {
        mask |= (uint32_t)(a[l] != 0) << l;
    }
#endif
    return mask;
}

uint32_t KERNEL(differ)(const uint32_t *a, const uint32_t *b) {
#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
    const uint32_t low = _mm512_cmpneq_epi32_mask(_mm512_loadu_si512(a), _mm512_loadu_si512(b));
    const uint32_t high = _mm512_cmpneq_epi32_mask(_mm512_loadu_si512(a + 16), _mm512_loadu_si512(b + 16));
    return low | high << 16;
#else
    uint32_t unlike[T], any = 0;
#pragma omp simd reduction(| : any)
    for (int l = 0; l < T; l++) {
        unlike[l] = a[l] ^ b[l];
        any |= unlike[l];
    }
    return any ? mask_of(unlike) : 0;
#endif
}

uint32_t KERNEL(choose)(const vqs_real *own, const vqs_real *best, const uint32_t *was, const uint32_t *moved,
                        const uint32_t *is_moved, uint32_t *k) {
    uint32_t open[T];
    FOR_LANES {
        const uint32_t candidate = moved[k[l]], stands = !is_moved[was[l]];
        const uint32_t first = stands & (uint32_t)(candidate < was[l]); /* of equals where both are where they were */
        const uint32_t wins = (uint32_t)(best[l] < own[l]) | (first & (uint32_t)(best[l] == own[l]));
        k[l] = wins ? candidate : was[l];
        open[l] = !(wins | stands);
    }
    return mask_of(open);
}

/* The sum of all lanes, the upper half onto the lower until one is left. */
INLINE double fold(double sum[T]) {
    for (int width = T / 2; width; width /= 2) {
#pragma omp simd
        for (int l = 0; l < width; l++) {
            sum[l] += sum[l + width];
        }
    }
    return sum[0];
}

double KERNEL(distance)(int n, int d, const vqs_real *z, const vqs_real *q) {
    double sum[T] = {0};
    for (int i = 0; i < d; i++) {
        FOR_LANES {
            const double e = (double)z[i * T + l] - (double)q[i * T + l];
            sum[l] += e * e;
        }
    }
    for (int l = n; l < T; l++) {
        sum[l] = 0;
    }
    return fold(sum);
}

double KERNEL(variance)(size_t n, size_t stride, const vqs_real *z) {
    const vqs_real *last = z + n / T * stride; /* a tile that is not whole */
    const int rest = (int)(n % T);
    double sum[T] = {0}, square[T] = {0};
    for (const vqs_real *tile = z; tile != last; tile += stride) {
        FOR_LANES {
            sum[l] += (double)tile[l];
        }
    }
    for (int l = 0; l < rest; l++) {
        sum[l] += (double)last[l];
    }
    const double mean = fold(sum) / (double)n;
    for (const vqs_real *tile = z; tile != last; tile += stride) {
        FOR_LANES {
            const double e = (double)tile[l] - mean;
            square[l] += e * e;
        }
    }
    for (int l = 0; l < rest; l++) {
        const double e = (double)last[l] - mean;
        square[l] += e * e;
    }
    return fold(square) / (double)n;
}
