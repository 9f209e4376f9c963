/* estimators_noise.c - estimators that draw a direction: a control, and those that put the decoder's input at the
 * distance r = |q - z| from z. */
#include "estimator_rows.h"

/* ---- random_direction: gz = (v.g) v, by default times d; v = noise/|noise| ------------------------------------- */

void KERNEL(random_direction_backward)(const struct vqs_estimator_tile *t) {
    const int d = t->d;
    const vqs_real factor = t->settings->times_d ? (vqs_real)d : 1;
    const vqs_real *restrict n = t->noise;
    vqs_real *restrict gz = t->gz;
    vqs_real nn[T], ng[T], scale[T];
    dot_lanes(d, n, n, nn);
    dot_lanes(d, n, t->g, ng);
    FOR_LANES scale[l] = nn[l] > 0 ? factor * ng[l] / nn[l] : 0;
    for (int i = 0; i < d; i++) {
        FOR_LANES gz[i * T + l] = scale[l] * n[i * T + l];
    }
}

/* ---- f = z + r v, v = w/|w|: gz = g - u (v.g), gq = u (v.g) ---------------------------------------------------------
 *
 * w = toward (q - z) + spread noise; noise may be NULL where spread is 0. */

#define DIRECTION(at) (toward * (q[at] - z[at]) + (spread != 0 ? spread * noise[at] : 0))

INLINE void at_distance_forward(const struct vqs_estimator_tile *t, vqs_real toward, vqs_real spread) {
    const int d = t->d;
    const vqs_real *restrict z = t->z, *restrict q = t->q, *restrict noise = t->noise;
    vqs_real *restrict f = t->f;
    vqs_real rr[T], ww[T], scale[T];
    FOR_LANES rr[l] = ww[l] = 0;
    for (int i = 0; i < d; i++) {
        FOR_LANES {
            const vqs_real e = q[i * T + l] - z[i * T + l], w = DIRECTION(i * T + l);
            rr[l] += e * e;
            ww[l] += w * w;
        }
    }
    FOR_LANES scale[l] = ww[l] > 0 ? real_sqrt(rr[l] / ww[l]) : 0;
    for (int i = 0; i < d; i++) {
        FOR_LANES f[i * T + l] = z[i * T + l] + scale[l] * DIRECTION(i * T + l);
    }
}

INLINE void at_distance_backward(const struct vqs_estimator_tile *t, vqs_real toward, vqs_real spread) {
    const int d = t->d;
    const vqs_real *restrict z = t->z, *restrict q = t->q, *restrict noise = t->noise, *restrict g = t->g;
    vqs_real *restrict gz = t->gz, *restrict gq = t->gq, *restrict zero = t->zero;
    vqs_real rr[T], ww[T], wg[T], scale[T];
    FOR_LANES rr[l] = ww[l] = wg[l] = 0;
    for (int i = 0; i < d; i++) {
        FOR_LANES {
            const vqs_real e = q[i * T + l] - z[i * T + l], w = DIRECTION(i * T + l);
            rr[l] += e * e;
            ww[l] += w * w;
            wg[l] += w * g[i * T + l];
        }
    }
    find_zero(d, t->z, t->q, rr, zero);
    FOR_LANES {
        const vqs_real norms = zero[l] != 0 ? 0 : real_sqrt(rr[l]) * real_sqrt(ww[l]);
        scale[l] = norms > 0 ? wg[l] / norms : 0;
    }
    for (int i = 0; i < d; i++) {
        FOR_LANES {
            gq[i * T + l] = scale[l] * (q[i * T + l] - z[i * T + l]);
            gz[i * T + l] = g[i * T + l] - gq[i * T + l];
        }
    }
}

void KERNEL(nsvq_forward)(const struct vqs_estimator_tile *t) {
    at_distance_forward(t, 0, 1);
}

void KERNEL(nsvq_backward)(const struct vqs_estimator_tile *t) {
    at_distance_backward(t, 0, 1);
}

void KERNEL(diveq_forward)(const struct vqs_estimator_tile *t) {
    at_distance_forward(t, 1, (vqs_real)t->settings->diveq_sigma);
}

void KERNEL(diveq_backward)(const struct vqs_estimator_tile *t) {
    at_distance_backward(t, 1, (vqs_real)t->settings->diveq_sigma);
}

/* Without noise f is q, and needs no forward pass. */
void KERNEL(diveq_detach_backward)(const struct vqs_estimator_tile *t) {
    at_distance_backward(t, 1, 0);
}
