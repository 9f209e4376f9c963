/* estimators_learned.c - projections of g that are learned in place of the fixed u u^T. Compiled once for each
 * instruction set.
 *
 * The loss itself has no gradient with respect to them (MATH.md, section 4). They are fitted to what the gradient
 * should be: for each sample one antithetic pair of draws gives an unbiased h of the gradient of the smoothed loss, and
 * the projection is the one that minimises E |A g - h|^2 over a running mean of the batches. Both minimisers need only
 * sums over the batch, which the tiles add up. */
#include "estimator_rows.h"

#include <string.h>

/* The running means start from 0, all of them, so that their ratios need no correction. */
static void mean_in(const struct vqs_settings *s, size_t n, const vqs_real *sums, vqs_real *mean) {
    const vqs_real keep = (vqs_real)s->learned_decay;
    for (size_t i = 0; i < n; i++) {
        mean[i] = keep * mean[i] + (1 - keep) * sums[i];
    }
}

/* ---- projector_learned: gz = a (u.g) u + b (g - (u.g) u), a = <u.g u.h>/<(u.g)^2>, b likewise across u --------- */

enum { ALONG, ALONG_H, ACROSS, ACROSS_H, N_MEANS }; /* (u.g)^2, u.g u.h, |g|^2 - (u.g)^2, g.h - u.g u.h */

static size_t projector_sums(const struct vqs_settings *s) {
    (void)s;
    return N_MEANS;
}

/* a, b, and the running means. */
static size_t projector_size(const struct vqs_settings *s) {
    (void)s;
    return 2 + N_MEANS;
}

static void projector_begin(const struct vqs_settings *s, vqs_real *state) {
    memset(state, 0, projector_size(s) * sizeof *state);
    state[0] = state[1] = 1; /* ste */
}

static void projector_learn(const struct vqs_settings *s, const struct vqs_kernels *kernels, const vqs_real *sums,
                            vqs_real *state) {
    (void)kernels;
    const vqs_real *mean = state + 2;
    mean_in(s, N_MEANS, sums, state + 2);
    if (mean[ALONG] > 0) {
        state[0] = mean[ALONG_H] / mean[ALONG];
    }
    if (mean[ACROSS] >
        (vqs_real)1e-6 * mean[ALONG]) { /* else rounding is all there is across u, as with a tied decoder */
        state[1] = mean[ACROSS_H] / mean[ACROSS];
    }
}

static void add_projector_sums(const struct vqs_estimator_tile *t) {
    const int d = t->d;
    const vqs_real *restrict z = t->z, *restrict q = t->q, *restrict g = t->g, *restrict h = t->smoothed;
    vqs_real rr[T], gg[T], gh[T], vg[T], vh[T], zero[T];
    FOR_LANES rr[l] = gg[l] = gh[l] = vg[l] = vh[l] = 0;
    for (int i = 0; i < d * T; i += T) {
        FOR_LANES {
            const vqs_real v = q[i + l] - z[i + l];
            rr[l] += v * v;
            gg[l] += g[i + l] * g[i + l];
            gh[l] += g[i + l] * h[i + l];
            vg[l] += v * g[i + l];
            vh[l] += v * h[i + l];
        }
    }
    find_zero(d, t->z, t->q, rr, zero);
    for (int l = 0; l < T; l++) { /* spare lanes have g = 0 */
        const vqs_real per = zero[l] != 0 ? 0 : 1 / rr[l];
        t->sums[ALONG] += vg[l] * vg[l] * per;
        t->sums[ALONG_H] += vg[l] * vh[l] * per;
        t->sums[ACROSS] += gg[l] - vg[l] * vg[l] * per;
        t->sums[ACROSS_H] += gh[l] - vg[l] * vh[l] * per;
    }
}

void KERNEL(projector_learned_backward)(const struct vqs_estimator_tile *t) {
    projector_ab(t, t->learned[0], t->learned[1]);
    if (t->sums) {
        add_projector_sums(t);
    }
}

const struct vqs_fitting KERNEL(projector_fitting) = {projector_sums, projector_size, projector_begin, projector_learn};

/* ---- subspace_learned: gz = P^T P g, P [rank][d] with orthonormal rows ----------------------------------------- */

/* E |P^T P g - h|^2 is a constant less tr P M P^T with M = E (h g^T + g h^T - g g^T). */
static size_t subspace_sums(const struct vqs_settings *s) {
    return (size_t)s->d * (size_t)s->d;
}

/* P, rows padded; then the running mean of M. */
static size_t subspace_size(const struct vqs_settings *s) {
    return (size_t)s->learned_rank * vqs_row_stride(s->d) + subspace_sums(s);
}

static void subspace_begin(const struct vqs_settings *s, vqs_real *state) {
    memset(state, 0, subspace_size(s) * sizeof *state);
    for (size_t i = 0; i < (size_t)s->learned_rank; i++) { /* the first axes */
        state[i * vqs_row_stride(s->d) + i] = 1;
    }
}

/* A step of ascent of tr P M P^T, P + P M / |M|, and back onto the Stiefel manifold by Gram-Schmidt. */
static void subspace_learn(const struct vqs_settings *s, const struct vqs_kernels *kernels, const vqs_real *sums,
                           vqs_real *state) {
    const size_t rank = (size_t)s->learned_rank, d = (size_t)s->d, stride = vqs_row_stride(s->d);
    vqs_real *M = state + rank * stride, row[512];
    mean_in(s, subspace_sums(s), sums, M);
    const vqs_real norm = real_sqrt(kernels->dot(d * d, M, M));
    if (!(norm > 0)) {
        return;
    }
    for (size_t i = 0; i < rank; i++) {
        vqs_real *P = state + i * stride;
        memset(row, 0, d * sizeof *row);
        for (size_t j = 0; j < d; j++) { /* M is symmetric */
            kernels->axpy(d, P[j] / norm, M + j * d, row);
        }
        kernels->axpy(d, 1, row, P);
    }
    kernels->gram_schmidt((int)rank, stride, state);
}

static void add_subspace_sums(const struct vqs_estimator_tile *t) {
    const int d = t->d;
    const vqs_real *restrict g = t->g, *restrict h = t->smoothed;
    for (int i = 0; i < d; i++) {
        for (int j = 0; j <= i; j++) {
            vqs_real sum[T], total = 0;
            FOR_LANES sum[l] = h[i * T + l] * g[j * T + l] + g[i * T + l] * (h[j * T + l] - g[j * T + l]);
            for (int l = 0; l < T; l++) {
                total += sum[l];
            }
            t->sums[i * d + j] += total;
            if (j < i) {
                t->sums[j * d + i] += total;
            }
        }
    }
}

void KERNEL(subspace_learned_backward)(const struct vqs_estimator_tile *t) {
    const int d = t->d, stride = (int)vqs_row_stride(d);
    const vqs_real *restrict g = t->g;
    vqs_real *restrict gz = t->gz;
    memset(gz, 0, (size_t)d * T * sizeof *gz);
    for (int r = 0; r < t->settings->learned_rank; r++) {
        const vqs_real *P = t->learned + r * stride;
        vqs_real along[T] = {0};
        for (int i = 0; i < d; i++) {
            FOR_LANES along[l] += P[i] * g[i * T + l];
        }
        for (int i = 0; i < d; i++) {
            FOR_LANES gz[i * T + l] += P[i] * along[l];
        }
    }
    if (t->sums) {
        add_subspace_sums(t);
    }
}

const struct vqs_fitting KERNEL(subspace_fitting) = {subspace_sums, subspace_size, subspace_begin, subspace_learn};
