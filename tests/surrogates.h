/* surrogates.h - for each estimator, the function q~(z) that it differentiates, with the code, the direction and every
 * stop-gradient frozen at z0 and q. All are affine in z and take z0 to q. Written for the tests, apart from the library. */
#ifndef VQS_TESTS_SURROGATES_H
#define VQS_TESTS_SURROGATES_H

#include <check.h>
#include <math.h>
#include <string.h>

#include "vqsweep/estimators.h"

enum { SURROGATE_MAX_D = 17 };

typedef void surrogate(int d, const struct vqs_settings *s, const double *z0, const double *q, const double *z,
                       double *out);

static double dot(int d, const double *a, const double *b) {
    double sum = 0;
    for (int i = 0; i < d; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* q + sg(a uu^T + b (I - uu^T)) (z - z0) */
static void along_and_across(int d, double a, double b, const double *z0, const double *q, const double *z,
                             double *out) {
    double u[SURROGATE_MAX_D], step[SURROGATE_MAX_D], r = 0;
    for (int i = 0; i < d; i++) {
        u[i] = q[i] - z0[i];
        step[i] = z[i] - z0[i];
    }
    r = sqrt(dot(d, u, u));
    const double largest = fmax(1, sqrt(fmax(dot(d, z0, z0), dot(d, q, q))));
    r = r <= 1e-12 * largest ? 0 : r; /* MATH: u := 0 there */
    for (int i = 0; i < d; i++) {
        u[i] = r > 0 ? u[i] / r : 0;
    }
    const double along = dot(d, u, step);
    for (int i = 0; i < d; i++) {
        out[i] = q[i] + a * along * u[i] + b * (step[i] - along * u[i]);
    }
}

static void ste_surrogate(int d, const struct vqs_settings *s, const double *z0, const double *q, const double *z,
                          double *out) {
    (void)s;
    for (int i = 0; i < d; i++) {
        out[i] = z[i] + (q[i] - z0[i]); /* z + sg(q - z) */
    }
}

static void rotation_surrogate(int d, const struct vqs_settings *s, const double *z0, const double *q,
                               const double *z, double *out) {
    (void)s;
    along_and_across(d, 1, 0, z0, q, z, out);
}

static void projector_surrogate(int d, const struct vqs_settings *s, const double *z0, const double *q,
                                const double *z, double *out) {
    along_and_across(d, s->a, s->b, z0, q, z, out);
}

/* sg(|q|/|z| (I - 2 w w^T + 2 qh zh^T)) z: the rotation that takes zh to qh (Fifty et al. 2024, eq. 4.2) */
static void rotation_trick_surrogate(int d, const struct vqs_settings *s, const double *z0, const double *q,
                                     const double *z, double *out) {
    (void)s;
    double zh[SURROGATE_MAX_D], qh[SURROGATE_MAX_D], w[SURROGATE_MAX_D], zn = sqrt(dot(d, z0, z0)), qn = sqrt(dot(d, q, q));
    for (int i = 0; i < d; i++) {
        zh[i] = z0[i] / zn;
        qh[i] = q[i] / qn;
        w[i] = zh[i] + qh[i];
    }
    const double wn = sqrt(dot(d, w, w));
    for (int i = 0; i < d; i++) {
        w[i] = wn > 1e-6 ? w[i] / wn : 0; /* opposite directions: the rotation by a half turn */
    }
    for (int i = 0; i < d; i++) {
        out[i] = qn / zn * (z[i] - 2 * w[i] * dot(d, w, z) + 2 * qh[i] * dot(d, zh, z));
    }
}

static const struct {
    const char *name;
    surrogate *of;
} surrogates[] = {
    {"ste", ste_surrogate},
    {"rotation", rotation_surrogate},
    {"projector", projector_surrogate},
    {"rotation_trick", rotation_trick_surrogate},
};

static surrogate *surrogate_of(const struct vqs_estimator *e) {
    for (size_t i = 0; i < sizeof surrogates / sizeof surrogates[0]; i++) {
        if (!strcmp(surrogates[i].name, e->name)) {
            return surrogates[i].of;
        }
    }
    ck_abort_msg("estimator '%s' has no frozen surrogate in surrogates.h; write one", e->name);
    return NULL;
}

#endif
