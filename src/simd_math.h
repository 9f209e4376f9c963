/* simd_math.h - elementary functions of whole vectors: square roots, and from SLEEF the variants whose bits are the
 * same on every CPU of the class compiled for. */
#ifndef VQS_SIMD_MATH_H
#define VQS_SIMD_MATH_H

#include "simd.h"

#include <sleef.h>

#if defined(VQS_INTRINSICS) && defined(VQS_ISA_avx512)
INLINE vf v_sqrt(vf x) {
    return (vf)_mm512_sqrt_ps((__m512)x);
}

INLINE vf v_exp(vf x) {
    return (vf)Sleef_finz_expf16_u10avx512f((__m512)x);
}

INLINE vf v_log(vf x) {
    return (vf)Sleef_finz_logf16_u35avx512f((__m512)x);
}

/* Of x in units of pi. */
INLINE void v_sincospi(vf x, vf *sine, vf *cosine) {
    const Sleef___m512_2 both = Sleef_finz_sincospif16_u35avx512f((__m512)x);
    *sine = (vf)both.x;
    *cosine = (vf)both.y;
}
#elif defined(VQS_INTRINSICS)
INLINE vf v_sqrt(vf x) {
    return (vf)_mm256_sqrt_ps((__m256)x);
}

INLINE vf v_exp(vf x) {
    return (vf)Sleef_finz_expf8_u10avx2((__m256)x);
}

INLINE vf v_log(vf x) {
    return (vf)Sleef_finz_logf8_u35avx2((__m256)x);
}

INLINE void v_sincospi(vf x, vf *sine, vf *cosine) {
    const Sleef___m256_2 both = Sleef_finz_sincospif8_u35avx2((__m256)x);
    *sine = (vf)both.x;
    *cosine = (vf)both.y;
}
#else
#ifdef VQS_REAL_IS_DOUBLE
#define VQS_SQRT     sqrt
#define VQS_EXP      Sleef_exp_u10
#define VQS_LOG      Sleef_log_u35
#define VQS_SINCOSPI Sleef_sincospi_u35
#else
#define VQS_SQRT     sqrtf
#define VQS_EXP      Sleef_cinz_expf1_u10purec
#define VQS_LOG      Sleef_cinz_logf1_u35purec
#define VQS_SINCOSPI Sleef_cinz_sincospif1_u35purec
#endif
INLINE vf v_sqrt(vf x) {
    for (int i = 0; i < VL; i++) {
        x[i] = VQS_SQRT(x[i]);
    }
    return x;
}

INLINE vf v_exp(vf x) {
    for (int i = 0; i < VL; i++) {
        x[i] = VQS_EXP(x[i]);
    }
    return x;
}

INLINE vf v_log(vf x) {
    for (int i = 0; i < VL; i++) {
        x[i] = VQS_LOG(x[i]);
    }
    return x;
}

INLINE void v_sincospi(vf x, vf *sine, vf *cosine) {
    for (int i = 0; i < VL; i++) {
        const __typeof__(VQS_SINCOSPI(x[i])) both = VQS_SINCOSPI(x[i]);
        (*sine)[i] = both.x;
        (*cosine)[i] = both.y;
    }
}
#endif

#endif
