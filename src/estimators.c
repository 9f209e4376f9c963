/* estimators.c - the table of estimators, and the backward passes of those that need no random numbers. Compiled once
 * for each instruction set. */
#include "estimator_rows.h"

#include <string.h>

/* ---- ste: gz = g; what is g, or what it would be elsewhere, times a number ------------------------------------- */

static void times(int d, vqs_real factor, const vqs_real *restrict g, vqs_real *restrict out) {
    for (int i = 0; i < d * T; i += T) {
        FOR_LANES out[i + l] = factor * g[i + l];
    }
}

static void ste_backward(const struct vqs_estimator_tile *t) {
    memcpy(t->gz, t->g, (size_t)t->d * T * sizeof *t->gz);
}

static void scaled_backward(const struct vqs_estimator_tile *t) {
    const double kappa = t->settings->kappa;
    times(t->d, (vqs_real)(1 / (kappa > 0 ? kappa : t->d)), t->g, t->gz);
}

static void sync_backward(const struct vqs_estimator_tile *t) {
    ste_backward(t);
    times(t->d, (vqs_real)t->settings->nu, t->g, t->gq);
}

static void exact_backward(const struct vqs_estimator_tile *t) {
    memcpy(t->gz, t->at_z, (size_t)t->d * T * sizeof *t->gz);
}

/* ---- projector(a, b): gz = a (u.g) u + b (g - (u.g) u); rotation is projector(1, 0) ---------------------------- */

static void projector_backward(const struct vqs_estimator_tile *t) {
    projector_ab(t, (vqs_real)t->settings->a, (vqs_real)t->settings->b);
}

static void rotation_backward(const struct vqs_estimator_tile *t) {
    projector_ab(t, 1, 0);
}

/* ---- rotation_trick: gz = lam [g - 2 w (w.g) + 2 zh (qh.g)] ---------------------------------------------------- */

/* Where z or q has no direction the rotation is taken as the identity; q = 0 makes lam = 0, and nothing flows. Without
 * `rescale` lam = 1 everywhere. */
INLINE void rotate(const struct vqs_estimator_tile *t, bool rescale) {
    const int d = t->d;
    const vqs_real *restrict z = t->z, *restrict q = t->q, *restrict g = t->g;
    vqs_real *restrict gz = t->gz;
    vqs_real zz[T], qq[T], zi[T], qi[T], lam[T], qg[T], wg[T], ww[T];
    dot_lanes(d, z, z, zz);
    dot_lanes(d, q, q, qq);
    FOR_LANES {
        vqs_real zn = real_sqrt(zz[l]), qn = real_sqrt(qq[l]);
        const bool no_z = zn <= (vqs_real)1e-12, none = no_z || qn == 0;
        zi[l] = none ? 0 : 1 / (none ? 1 : zn);
        qi[l] = none ? 0 : 1 / (none ? 1 : qn);
        lam[l] = no_z || !rescale ? 1 : qn / (no_z ? 1 : zn);
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

static void rotation_trick_backward(const struct vqs_estimator_tile *t) {
    rotate(t, true);
}

static void rotation_trick_lam1_backward(const struct vqs_estimator_tile *t) {
    rotate(t, false);
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* New rows go to the end: journals and plans number them. */
const struct vqs_estimator VQS_ISA_NAME(vqs_estimator_table)[] = {
    {.name = "ste", .formula = "g", .source = "van den Oord, Vinyals, Kavukcuoglu 2017", .backward = ste_backward},
    {.name = "rotation",
     .formula = "(u.g) u",
     .source = "the seed study's surrogate: projector(1, 0)",
     .backward = rotation_backward},
    {.name = "rotation_trick",
     .formula = "lam [g - 2 w (w.g) + 2 zh (qh.g)], w = (zh + qh)/|zh + qh|, lam = |q|/|z|",
     .source = "Fifty et al. 2024, eq. 4.2",
     .backward = rotation_trick_backward},
    {.name = "projector",
     .formula = "a (u.g) u + b (g - (u.g) u)",
     .source = "the family of ste (1, 1), rotation (1, 0), reflection (-1, 1)",
     .params = {"a", "b"},
     .backward = projector_backward},
    {.name = "kmeans",
     .formula = "none: Lloyd's algorithm on the principal components of the data",
     .source = "Lloyd 1982; Arthur, Vassilvitskii 2007"},
    {.name = "scaled",
     .formula = "g / kappa; kappa = 0 stands for d",
     .source = "control: attenuation alone",
     .params = {"kappa"},
     .backward = scaled_backward},
    {.name = "random_direction",
     .formula = "d (v.g) v, or (v.g) v without times_d; v uniform on the sphere",
     .source = "control: rank one without geometry",
     .params = {"times_d"},
     .needs = VQS_NEEDS_NOISE,
     .backward = KERNEL(random_direction_backward)},
    {.name = "rotation_trick_lam1",
     .formula = "as rotation_trick with lam = 1",
     .source = "Fifty et al. 2024, without rescaling",
     .backward = rotation_trick_lam1_backward},
    {.name = "nsvq",
     .value = "z + |q - z| v, v uniform on the sphere",
     .formula = "g - u (v.g)",
     .to_codes = "u (v.g) to code k",
     .source = "Vali, Backstrom 2022",
     .needs = VQS_NEEDS_NOISE | VQS_GIVES_VALUE | VQS_GIVES_CODES | VQS_WITHOUT_LOSSES,
     .forward = KERNEL(nsvq_forward),
     .backward = KERNEL(nsvq_backward)},
    {.name = "diveq",
     .value = "z + |q - z| v, v = (q - z + e)/|q - z + e|, e ~ N(0, diveq_sigma^2 I)",
     .formula = "g - u (v.g)",
     .to_codes = "u (v.g) to code k",
     .source = "Vali et al. 2025",
     .params = {"diveq_sigma"},
     .needs = VQS_NEEDS_NOISE | VQS_GIVES_VALUE | VQS_GIVES_CODES | VQS_WITHOUT_LOSSES,
     .forward = KERNEL(diveq_forward),
     .backward = KERNEL(diveq_backward)},
    {.name = "diveq_detach",
     .formula = "g - u (u.g): diveq without noise",
     .to_codes = "u (u.g) to code k",
     .source = "Vali et al. 2025",
     .needs = VQS_GIVES_CODES | VQS_WITHOUT_LOSSES,
     .backward = KERNEL(diveq_detach_backward)},
    {.name = "sync",
     .formula = "g",
     .to_codes = "nu g to code k",
     .source = "Huh et al. 2023",
     .params = {"nu"},
     .needs = VQS_GIVES_CODES,
     .backward = sync_backward},
    {.name = "gumbel_st",
     .value = "code k = argmax(l + G), l_j = -logit_scale |z - c_j|^2, G Gumbel noise",
     .formula = "2 logit_scale sum_j delta_j c_j, delta = J(y) a / tau, y = softmax((l + G)/tau)",
     .to_codes = "g to code k, and 2 logit_scale delta_j (z - c_j) to every code j",
     .source = "Jang, Gu, Poole 2017; Maddison, Mnih, Teh 2017",
     .params = {"logit_scale", "tau", "tau_schedule", "tau_end"},
     .needs = VQS_NEEDS_CHOICES | VQS_GIVES_CODES,
     .forward = KERNEL(gumbel_st_forward),
     .backward = KERNEL(gumbel_st_backward)},
    {.name = "reinmax",
     .value = "code k drawn from pi = softmax(l), l and draw as of gumbel_st; D is 1 at k, else 0",
     .formula = "as gumbel_st, with delta = 2 J((softmax(l/tau) + D)/2) a - J(pi) a / 2",
     .to_codes = "as gumbel_st",
     .source = "Liu et al. 2023",
     .params = {"logit_scale", "tau", "tau_schedule", "tau_end"},
     .needs = VQS_NEEDS_CHOICES | VQS_GIVES_CODES,
     .forward = KERNEL(reinmax_forward),
     .backward = KERNEL(reinmax_backward)},
    {.name = "exact",
     .formula = "dL_rec/dz as if z itself were decoded; the decoder is trained on q",
     .source = "control of Fifty et al. 2024",
     .needs = VQS_NEEDS_AT_Z,
     .backward = exact_backward},
    {.name = "projector_learned",
     .formula = "a (u.g) u + b (g - (u.g) u), a and b fitted to the smoothed loss's gradient",
     .source = "least squares over a running mean of batches (estimators_learned.c)",
     .params = {"learned_h", "learned_decay"},
     .needs = VQS_NEEDS_SMOOTHED,
     .backward = KERNEL(projector_learned_backward),
     .fitting = &KERNEL(projector_fitting)},
    {.name = "subspace_learned",
     .formula = "P^T P g, P orthonormal rows fitted to the smoothed loss's gradient",
     .source = "ascent on the Stiefel manifold (estimators_learned.c)",
     .params = {"learned_h", "learned_decay", "learned_rank"},
     .needs = VQS_NEEDS_SMOOTHED,
     .backward = KERNEL(subspace_learned_backward),
     .fitting = &KERNEL(subspace_fitting)},
    {.name = NULL},
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
