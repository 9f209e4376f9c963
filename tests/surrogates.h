/* surrogates.h - for each estimator, the function f(z, codes) that it differentiates, with the code, the direction and
 * every stop-gradient frozen at one point. Written for the tests, apart from the library, over complex numbers: a step
 * of 1e-40 i gives derivatives to the last digit, without differences. */
#ifndef VQS_TESTS_SURROGATES_H
#define VQS_TESTS_SURROGATES_H

#include <check.h>
#include <complex.h>
#include <math.h>
#include <string.h>

#include "vqsweep/estimators.h"

enum { SURROGATE_MAX_D = 17, SURROGATE_MAX_K = 11 };

typedef double complex cdouble;

/* One sample, where it is frozen, with its random numbers. */
struct frozen {
    const struct vqs_settings *s;
    int d, K;
    double tau;
    double z[SURROGATE_MAX_D], codes[SURROGATE_MAX_K * SURROGATE_MAX_D]; /* [K][d] */
    int k;                                                               /* the chosen code */
    double noise[SURROGATE_MAX_D], gumbel[SURROGATE_MAX_K];
};

/* `codes` are [K][d]. */
typedef void surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out);

static inline double dot(int d, const double *a, const double *b) {
    double sum = 0;
    for (int i = 0; i < d; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static inline const double *chosen(const struct frozen *at) {
    return at->codes + at->k * at->d;
}

/* u, all 0 where q is too near (MATH); returns |q - z| or 0. */
static inline double direction(const struct frozen *at, double *u) {
    const double *q = chosen(at);
    for (int i = 0; i < at->d; i++) {
        u[i] = q[i] - at->z[i];
    }
    const double r = sqrt(dot(at->d, u, u));
    const double largest = fmax(1, sqrt(fmax(dot(at->d, at->z, at->z), dot(at->d, q, q))));
    for (int i = 0; i < at->d; i++) {
        u[i] = r > 1e-12 * largest ? u[i] / r : 0;
    }
    return r > 1e-12 * largest ? r : 0;
}

/* ---- sg(q) + sg(A) (z - sg(z)) --------------------------------------------------------------------------------- */

/* A = across I + along v v^T */
static void affine(const struct frozen *at, double across, double along, const double *v, const cdouble *z,
                   cdouble *out) {
    cdouble moved = 0;
    for (int i = 0; i < at->d; i++) {
        moved += v[i] * (z[i] - at->z[i]);
    }
    for (int i = 0; i < at->d; i++) {
        out[i] = chosen(at)[i] + across * (z[i] - at->z[i]) + along * moved * v[i];
    }
}

static void projector(const struct frozen *at, double a, double b, const cdouble *z, cdouble *out) {
    double u[SURROGATE_MAX_D];
    direction(at, u);
    affine(at, b, a - b, u, z, out);
}

static void ste_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    (void)codes;
    for (int i = 0; i < at->d; i++) {
        out[i] = z[i] + (chosen(at)[i] - at->z[i]); /* z + sg(q - z) */
    }
}

static void rotation_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    (void)codes;
    projector(at, 1, 0, z, out);
}

static void projector_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    (void)codes;
    projector(at, at->s->a, at->s->b, z, out);
}

static void scaled_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    (void)codes;
    affine(at, 1 / (at->s->kappa > 0 ? at->s->kappa : at->d), 0, at->z, z, out);
}

static void random_direction_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    (void)codes;
    affine(at, 0, (at->s->times_d ? at->d : 1) / dot(at->d, at->noise, at->noise), at->noise, z, out);
}

/* sg(lam (I - 2 w w^T + 2 qh zh^T)) z: the rotation that takes zh to qh (Fifty et al. 2024, eq. 4.2). It is the
 * identity where z or q is 0; at opposite directions, where w does not exist, the reflection along it is left out. */
static void rotate(const struct frozen *at, double lam, const cdouble *z, cdouble *out) {
    const double *q = chosen(at), zn = sqrt(dot(at->d, at->z, at->z)), qn = sqrt(dot(at->d, q, q));
    double zh[SURROGATE_MAX_D], qh[SURROGATE_MAX_D], w[SURROGATE_MAX_D];
    cdouble wz = 0, zhz = 0;
    if (zn <= 1e-12 || qn == 0) {
        affine(at, lam, 0, at->z, z, out);
        return;
    }
    for (int i = 0; i < at->d; i++) {
        zh[i] = at->z[i] / zn;
        qh[i] = q[i] / qn;
        w[i] = zh[i] + qh[i];
    }
    const double wn = sqrt(dot(at->d, w, w));
    for (int i = 0; i < at->d; i++) {
        w[i] = wn > 1e-6 ? w[i] / wn : 0;
        wz += w[i] * z[i];
        zhz += zh[i] * z[i];
    }
    for (int i = 0; i < at->d; i++) {
        out[i] = lam * (z[i] - 2 * w[i] * wz + 2 * qh[i] * zhz);
    }
}

static void rotation_trick_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    (void)codes;
    const double zn = sqrt(dot(at->d, at->z, at->z));
    rotate(at, zn > 1e-12 ? sqrt(dot(at->d, chosen(at), chosen(at))) / zn : 1, z, out);
}

/* q + sg(R) (z - sg(z)): R alone does not take z to q. */
static void rotation_trick_lam1_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes,
                                          cdouble *out) {
    cdouble z0[SURROGATE_MAX_D] = {0}, before[SURROGATE_MAX_D];
    (void)codes;
    for (int i = 0; i < at->d; i++) {
        z0[i] = at->z[i];
    }
    rotate(at, 1, z0, before);
    rotate(at, 1, z, out);
    for (int i = 0; i < at->d; i++) {
        out[i] += chosen(at)[i] - before[i];
    }
}

/* ---- z + |c_k - z| sg(v) --------------------------------------------------------------------------------------- */

static void at_distance(const struct frozen *at, const double *w, const cdouble *z, const cdouble *codes,
                        cdouble *out) {
    double u[SURROGATE_MAX_D];
    const double norm = sqrt(dot(at->d, w, w));
    cdouble rr = 0;
    for (int i = 0; i < at->d; i++) {
        const cdouble e = codes[at->k * at->d + i] - z[i];
        rr += e * e;
    }
    const cdouble r = direction(at, u) > 0 ? csqrt(rr) : 0;
    for (int i = 0; i < at->d; i++) {
        out[i] = z[i] + (norm > 0 ? r * w[i] / norm : 0);
    }
}

static void diveq_of(const struct frozen *at, double sigma, const cdouble *z, const cdouble *codes, cdouble *out) {
    double w[SURROGATE_MAX_D];
    for (int i = 0; i < at->d; i++) {
        w[i] = chosen(at)[i] - at->z[i] + sigma * at->noise[i];
    }
    at_distance(at, w, z, codes, out);
}

static void nsvq_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    at_distance(at, at->noise, z, codes, out);
}

static void diveq_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    diveq_of(at, at->s->diveq_sigma, z, codes, out);
}

static void diveq_detach_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    diveq_of(at, 0, z, codes, out);
}

/* ---- codes that move ------------------------------------------------------------------------------------------- */

/* z + sg(q - z) + nu (c_k - sg(c_k)) */
static void sync_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    ste_surrogate(at, z, codes, out);
    for (int i = 0; i < at->d; i++) {
        out[i] += at->s->nu * (codes[at->k * at->d + i] - chosen(at)[i]);
    }
}

/* l_j = -s |z - c_j|^2 */
static void logits(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *l) {
    for (int j = 0; j < at->K; j++) {
        l[j] = 0;
        for (int i = 0; i < at->d; i++) {
            const cdouble e = z[i] - codes[j * at->d + i];
            l[j] -= at->s->logit_scale * e * e;
        }
    }
}

static void softmax(int K, const cdouble *l, cdouble *p) {
    double most = -INFINITY;
    cdouble sum = 0;
    for (int j = 0; j < K; j++) {
        most = fmax(most, creal(l[j]));
    }
    for (int j = 0; j < K; j++) {
        p[j] = cexp(l[j] - most);
        sum += p[j];
    }
    for (int j = 0; j < K; j++) {
        p[j] /= sum;
    }
}

/* l at the point where all is frozen. */
static void frozen_logits(const struct frozen *at, cdouble *l) {
    cdouble z[SURROGATE_MAX_D] = {0}, codes[SURROGATE_MAX_K * SURROGATE_MAX_D] = {0};
    for (int i = 0; i < at->d; i++) {
        z[i] = at->z[i];
    }
    for (int i = 0; i < at->K * at->d; i++) {
        codes[i] = at->codes[i];
    }
    logits(at, z, codes, l);
}

static void gumbel_st_weights(const struct frozen *at, const cdouble *l, cdouble *y) {
    cdouble cooled[SURROGATE_MAX_K];
    for (int j = 0; j < at->K; j++) {
        cooled[j] = (l[j] + at->gumbel[j]) / at->tau;
    }
    softmax(at->K, cooled, y);
}

/* As Liu et al. 2023 implement it: 2 softmax(l + sg(log((D + softmax(l / tau)) / 2) - l)) - softmax(l) / 2. */
static void reinmax_weights(const struct frozen *at, const cdouble *l, cdouble *p) {
    cdouble l0[SURROGATE_MAX_K], shifted[SURROGATE_MAX_K], pi[SURROGATE_MAX_K];
    frozen_logits(at, l0);
    for (int j = 0; j < at->K; j++) {
        shifted[j] = l0[j] / at->tau;
    }
    softmax(at->K, shifted, p);
    for (int j = 0; j < at->K; j++) {
        shifted[j] = l[j] + log(((j == at->k) + creal(p[j])) / 2) - l0[j];
    }
    softmax(at->K, shifted, p);
    softmax(at->K, l, pi);
    for (int j = 0; j < at->K; j++) {
        p[j] = 2 * p[j] - pi[j] / 2;
    }
}

/* sum_j (D_j + p_j - sg(p_j)) c_j, p being the weights of the logits */
static void straight_through(const struct frozen *at,
                             void (*weights)(const struct frozen *, const cdouble *, cdouble *), const cdouble *z,
                             const cdouble *codes, cdouble *out) {
    cdouble l[SURROGATE_MAX_K], p[SURROGATE_MAX_K], p0[SURROGATE_MAX_K];
    frozen_logits(at, l);
    weights(at, l, p0);
    logits(at, z, codes, l);
    weights(at, l, p);
    for (int i = 0; i < at->d; i++) {
        out[i] = codes[at->k * at->d + i];
        for (int j = 0; j < at->K; j++) {
            out[i] += (p[j] - p0[j]) * codes[j * at->d + i];
        }
    }
}

static void gumbel_st_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    straight_through(at, gumbel_st_weights, z, codes, out);
}

static void reinmax_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    straight_through(at, reinmax_weights, z, codes, out);
}

/* The decoder is given q, but the gradient is that of decoding z. */
static void exact_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    (void)codes;
    memcpy(out, z, (size_t)at->d * sizeof *out);
}

/* P^T P g for P the first axes, which is where it starts. */
static void subspace_learned_surrogate(const struct frozen *at, const cdouble *z, const cdouble *codes, cdouble *out) {
    (void)codes;
    for (int i = 0; i < at->d; i++) {
        out[i] = chosen(at)[i] + (i < at->s->learned_rank ? z[i] - at->z[i] : 0);
    }
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* What is true of an estimator besides its surrogate. */
enum { CHOOSES = 1, WITHOUT_LOSSES = 2, DECODES_TWICE = 4, LEARNS = 8 };

static const struct surrogate_row {
    const char *name;
    surrogate *of;
    unsigned is;
} surrogates[] = {
    {"ste", ste_surrogate, 0},
    {"rotation", rotation_surrogate, 0},
    {"projector", projector_surrogate, 0},
    {"scaled", scaled_surrogate, 0},
    {"random_direction", random_direction_surrogate, 0},
    {"rotation_trick", rotation_trick_surrogate, 0},
    {"rotation_trick_lam1", rotation_trick_lam1_surrogate, 0},
    {"nsvq", nsvq_surrogate, WITHOUT_LOSSES},
    {"diveq", diveq_surrogate, WITHOUT_LOSSES},
    {"diveq_detach", diveq_detach_surrogate, WITHOUT_LOSSES},
    {"sync", sync_surrogate, 0},
    {"gumbel_st", gumbel_st_surrogate, CHOOSES},
    {"reinmax", reinmax_surrogate, CHOOSES},
    {"exact", exact_surrogate, DECODES_TWICE},
    {"projector_learned", projector_surrogate, LEARNS}, /* a and b as its state has them */
    {"subspace_learned", subspace_learned_surrogate, LEARNS},
};

static inline const struct surrogate_row *surrogate_of(const struct vqs_estimator *e) {
    for (size_t i = 0; i < sizeof surrogates / sizeof surrogates[0]; i++) {
        if (!strcmp(surrogates[i].name, e->name)) {
            return &surrogates[i];
        }
    }
    ck_abort_msg("estimator '%s' has no frozen surrogate in surrogates.h; write one", e->name);
    return NULL;
}

/* What the decoder is given at z and codes. */
static inline void surrogate_value(const struct surrogate_row *row, const struct frozen *at, const double *z,
                                   const double *codes, double *out) {
    cdouble zc[SURROGATE_MAX_D], cc[SURROGATE_MAX_K * SURROGATE_MAX_D], f[SURROGATE_MAX_D];
    for (int i = 0; i < at->d; i++) {
        zc[i] = z[i];
    }
    for (int i = 0; i < at->K * at->d; i++) {
        cc[i] = codes[i];
    }
    row->of(at, zc, cc, f);
    for (int i = 0; i < at->d; i++) {
        out[i] = creal(f[i]);
    }
}

/* gz [d] = J^T g of the surrogate, and its share for the codes, added to gcodes [K][d]; codes that are not chosen have
 * one only of estimators that choose. */
static inline void surrogate_backward(const struct surrogate_row *row, const struct frozen *at, const double *g,
                                      double *gz, double *gcodes) {
    const double h = 1e-40;
    cdouble z[SURROGATE_MAX_D], codes[SURROGATE_MAX_K * SURROGATE_MAX_D], f[SURROGATE_MAX_D];
    for (int i = 0; i < at->d; i++) {
        z[i] = at->z[i];
    }
    for (int i = 0; i < at->K * at->d; i++) {
        codes[i] = at->codes[i];
    }
    for (int i = 0; i < at->d + at->K * at->d; i++) {
        cdouble *x = i < at->d ? z + i : codes + (i - at->d);
        double sum = 0;
        if (i >= at->d && !(row->is & CHOOSES) && (i - at->d) / at->d != at->k) {
            continue;
        }
        *x += h * I;
        row->of(at, z, codes, f);
        *x = creal(*x);
        for (int c = 0; c < at->d; c++) {
            sum += cimag(f[c]) / h * g[c];
        }
        if (i < at->d) {
            gz[i] = sum;
        } else {
            gcodes[i - at->d] += sum;
        }
    }
}

/* The Gumbel noise that stands for a random word. */
static inline double gumbel_of(uint32_t word) {
    return -log(-log(((word >> 9) + 0.5) / 8388608));
}

/* The code that the sample is given: the nearest, or the largest logit with noise. */
static inline int surrogate_choice(const struct surrogate_row *row, const struct frozen *at) {
    int best = 0;
    double most = -INFINITY;
    for (int j = 0; j < at->K; j++) {
        double score = 0;
        for (int i = 0; i < at->d; i++) {
            const double e = at->z[i] - at->codes[j * at->d + i];
            score -= (row->is & CHOOSES ? at->s->logit_scale : 1) * e * e;
        }
        score += row->is & CHOOSES ? at->gumbel[j] : 0;
        if (score > most) {
            most = score;
            best = j;
        }
    }
    return best;
}

#endif
