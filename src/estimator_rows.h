/* estimator_rows.h - the functions of the estimators whose maths fills a file of its own, for the table in
 * estimators.c, and what they share. Each source of estimators is compiled once for each instruction set.
 *
 * Every function works on a tile [d][VQS_TILE] whose lanes are samples, so that each loop over lanes is one or two
 * vector operations and each sample's arithmetic is the same in whatever lane it stands. */
#ifndef VQS_ESTIMATOR_ROWS_H
#define VQS_ESTIMATOR_ROWS_H

#include "isa_kernels.h"

#include <math.h>

#define VQS_ROW_FUNCTIONS(X)                                                                                           \
    X(random_direction_backward)                                                                                       \
    X(nsvq_forward)                                                                                                    \
    X(nsvq_backward)                                                                                                   \
    X(diveq_forward)                                                                                                   \
    X(diveq_backward)                                                                                                  \
    X(diveq_detach_backward)                                                                                           \
    X(gumbel_st_forward)                                                                                               \
    X(gumbel_st_backward)                                                                                              \
    X(reinmax_forward)                                                                                                 \
    X(reinmax_backward)                                                                                                \
    X(projector_learned_backward)                                                                                      \
    X(subspace_learned_backward)

#define VQS_X(name) void KERNEL(name)(const struct vqs_estimator_tile *tile);
VQS_ROW_FUNCTIONS(VQS_X)
#undef VQS_X
extern const struct vqs_fitting KERNEL(projector_fitting), KERNEL(subspace_fitting);

/* out[l] = sum_i a[i][l] b[i][l] */
INLINE void dot_lanes(int d, const vqs_real *restrict a, const vqs_real *restrict b, vqs_real *restrict out) {
    FOR_LANES out[l] = 0;
    for (int i = 0; i < d; i++) {
        FOR_LANES out[l] += a[i * T + l] * b[i * T + l];
    }
}

/* zero[l] = 1 where u := 0, that is |q - z| <= 1e-12 max(|z|, |q|, 1), else 0; rr = |q - z|^2 */
INLINE void find_zero(int d, const vqs_real *z, const vqs_real *q, const vqs_real *restrict rr,
                      vqs_real *restrict zero) {
    vqs_real zz[T], qq[T];
    dot_lanes(d, z, z, zz);
    dot_lanes(d, q, q, qq);
    FOR_LANES {
        vqs_real m = zz[l] > qq[l] ? zz[l] : qq[l];
        m = m > 1 ? m : 1;
        zero[l] = real_sqrt(rr[l]) <= (vqs_real)1e-12 * real_sqrt(m) ? 1 : 0;
    }
}

/* gz = a (u.g) u + b (g - (u.g) u) */
INLINE void projector_ab(const struct vqs_estimator_tile *t, vqs_real a, vqs_real b) {
    const int d = t->d;
    const vqs_real *restrict z = t->z, *restrict q = t->q, *restrict g = t->g;
    vqs_real *restrict gz = t->gz, *restrict zero = t->zero;
    vqs_real rr[T], vg[T], scale[T]; /* v = q - z, not normalised */
    FOR_LANES rr[l] = vg[l] = 0;
    for (int i = 0; i < d; i++) {
        FOR_LANES {
            vqs_real v = q[i * T + l] - z[i * T + l];
            rr[l] += v * v;
            vg[l] += v * g[i * T + l];
        }
    }
    find_zero(d, t->z, t->q, rr, zero);
    FOR_LANES scale[l] = zero[l] != 0 ? 0 : (a - b) * vg[l] / (zero[l] != 0 ? 1 : rr[l]);
    for (int i = 0; i < d; i++) {
        FOR_LANES gz[i * T + l] = scale[l] * (q[i * T + l] - z[i * T + l]) + b * g[i * T + l];
    }
}

#endif
