/* estimators.c - the estimators' backward passes and their table. Compiled once for each instruction set.
 *
 * Every function works on a tile [d][VQS_TILE] whose lanes are samples, so that each loop over lanes is one or two
 * vector operations and each sample's arithmetic is the same in whatever lane it stands. */
#include "vqsweep/estimators.h"

#include "isa.h"

#include <math.h>
#include <string.h>

#ifdef VQS_REAL_IS_DOUBLE
#define real_sqrt sqrt
#else
#define real_sqrt sqrtf
#endif

#define FOR_LANES _Pragma("omp simd") for (int l = 0; l < VQS_TILE; l++)

enum { T = VQS_TILE };

/* out[l] = sum_i a[i][l] b[i][l] */
static void dot_lanes(int d, const vqs_real *restrict a, const vqs_real *restrict b, vqs_real *restrict out) {
    FOR_LANES out[l] = 0;
    for (int i = 0; i < d; i++) {
        FOR_LANES out[l] += a[i * T + l] * b[i * T + l];
    }
}

/* ---- ste: gz = g ------------------------------------------------------------------------------------------------- */

static void ste_backward(const struct vqs_estimator_tile *t) {
    memcpy(t->gz, t->g, (size_t)t->d * T * sizeof *t->gz);
}

/* ---- projector(a, b): gz = a (u.g) u + b (g - (u.g) u); rotation is projector(1, 0) -------------------------------- */

static void projector_ab(const struct vqs_estimator_tile *t, vqs_real a, vqs_real b) {
    const int d = t->d;
    const vqs_real *restrict z = t->z, *restrict q = t->q, *restrict g = t->g;
    vqs_real *restrict gz = t->gz, *restrict zero = t->zero;
    vqs_real rr[T], zz[T], qq[T], vg[T], scale[T]; /* v = q - z, not normalised */
    FOR_LANES rr[l] = vg[l] = 0;
    for (int i = 0; i < d; i++) {
        FOR_LANES {
            vqs_real v = q[i * T + l] - z[i * T + l];
            rr[l] += v * v;
            vg[l] += v * g[i * T + l];
        }
    }
    dot_lanes(d, z, z, zz);
    dot_lanes(d, q, q, qq);
    FOR_LANES { /* u := 0 where |v| <= 1e-12 max(|z|, |q|, 1) */
        vqs_real m = zz[l] > qq[l] ? zz[l] : qq[l];
        m = m > 1 ? m : 1;
        vqs_real too_small = real_sqrt(rr[l]) <= (vqs_real)1e-12 * real_sqrt(m) ? 1 : 0;
        zero[l] = too_small;
        vqs_real safe = too_small != 0 ? 1 : rr[l];
        scale[l] = too_small != 0 ? 0 : (a - b) * vg[l] / safe;
    }
    for (int i = 0; i < d; i++) {
        FOR_LANES gz[i * T + l] = scale[l] * (q[i * T + l] - z[i * T + l]) + b * g[i * T + l];
    }
}

static void projector_backward(const struct vqs_estimator_tile *t) {
    projector_ab(t, (vqs_real)t->settings->a, (vqs_real)t->settings->b);
}

static void rotation_backward(const struct vqs_estimator_tile *t) {
    projector_ab(t, 1, 0);
}

/* ---- rotation_trick: gz = lam [g - 2 w (w.g) + 2 zh (qh.g)] -------------------------------------------------------- */

/* Where z has no direction the rotation is taken as the identity; where q has none, lam = 0 and nothing flows. */
static void rotation_trick_backward(const struct vqs_estimator_tile *t) {
    const int d = t->d;
    const vqs_real *restrict z = t->z, *restrict q = t->q, *restrict g = t->g;
    vqs_real *restrict gz = t->gz;
    vqs_real zz[T], qq[T], zi[T], qi[T], lam[T], qg[T], wg[T], ww[T];
    dot_lanes(d, z, z, zz);
    dot_lanes(d, q, q, qq);
    FOR_LANES {
        vqs_real zn = real_sqrt(zz[l]), qn = real_sqrt(qq[l]);
        vqs_real none = zn <= (vqs_real)1e-12 ? 1 : 0;
        zi[l] = none != 0 ? 0 : 1 / (none != 0 ? 1 : zn);
        qi[l] = none != 0 || qn == 0 ? 0 : 1 / (qn == 0 ? 1 : qn);
        lam[l] = none != 0 ? 1 : qn * zi[l];
        qg[l] = wg[l] = ww[l] = 0;
    }
    for (int i = 0; i < d; i++) {
        FOR_LANES {
            vqs_real qh = q[i * T + l] * qi[l], w = z[i * T + l] * zi[l] + qh;
            qg[l] += qh * g[i * T + l];
            wg[l] += w * g[i * T + l];
            ww[l] += w * w;
        }
    }
    /* opposite directions leave no w: at most rounding is left of it, and the reflection term is dropped */
    FOR_LANES wg[l] = ww[l] > (vqs_real)1e-12 ? wg[l] / (ww[l] > (vqs_real)1e-12 ? ww[l] : 1) : 0;
    for (int i = 0; i < d; i++) {
        FOR_LANES {
            vqs_real zh = z[i * T + l] * zi[l], w = zh + q[i * T + l] * qi[l];
            gz[i * T + l] = lam[l] * (g[i * T + l] - 2 * w * wg[l] + 2 * zh * qg[l]);
        }
    }
}

/* ---- the table ----------------------------------------------------------------------------------------------------- */

const struct vqs_estimator VQS_ISA_NAME(vqs_estimator_table)[] = {
    {"ste", "g", "van den Oord, Vinyals, Kavukcuoglu 2017", {NULL}, 0, NULL, ste_backward},
    {"rotation", "(u.g) u", "the seed study's surrogate: projector(1, 0)", {NULL}, 0, NULL, rotation_backward},
    {"rotation_trick",
     "lam [g - 2 w (w.g) + 2 zh (qh.g)], w = (zh + qh)/|zh + qh|, lam = |q|/|z|",
     "Fifty et al. 2024, eq. 4.2",
     {NULL},
     0,
     NULL,
     rotation_trick_backward},
    {"projector",
     "a (u.g) u + b (g - (u.g) u)",
     "the family of ste (1, 1), rotation (1, 0), reflection (-1, 1)",
     {"a", "b"},
     0,
     NULL,
     projector_backward},
    {"kmeans",
     "none: Lloyd's algorithm on the principal components of the data",
     "Lloyd 1982; Arthur, Vassilvitskii 2007",
     {NULL},
     0,
     NULL,
     NULL},
    {NULL, NULL, NULL, {NULL}, 0, NULL, NULL},
};

#ifdef VQS_ISA_portable /* look-ups need one copy only */

int vqs_estimator_count(void) {
    return (int)(sizeof vqs_estimator_table_portable / sizeof vqs_estimator_table_portable[0]) - 1;
}

const struct vqs_estimator *vqs_estimator_get(int i) {
    return &vqs_estimator_table_portable[i];
}

int vqs_estimator_find(const char *name) {
    for (int i = 0; i < vqs_estimator_count(); i++) {
        if (!strcmp(vqs_estimator_table_portable[i].name, name)) {
            return i;
        }
    }
    return -1;
}
#endif
