/* estimators_choice.c - estimators that choose a code at random and weigh all codes: gumbel_st and reinmax.
 *
 * With logits l_j = -s |z - c_j|^2 both choose k = argmax(l + G), G being Gumbel noise, which is a draw from
 * softmax(l); under equal random words they choose alike. f = c_k, and with delta = dL_rec/dl as the estimator takes
 * it, which sums to 0,
 *
 *   gz = 2 s sum_j delta_j c_j,   gradient to code j = onehot_j g + 2 s delta_j (z - c_j).
 *
 * delta is made of a_j = c_j.g and J(p) a = p (a - p.a), J being the derivative of softmax. All is computed from costs
 * -l_j, less s |z|^2, which all codes share. */
#include "estimator_rows.h"
#include "simd_math.h"

#include <math.h>

enum { PART = VQS_ROW_UNIT, PV = PART / VL }; /* components that are summed side by side, and their vectors */

/* The three rows of weights that are kept. */
INLINE vqs_real *kept(const struct vqs_estimator_tile *t, int i) {
    return t->weights + (size_t)i * (size_t)t->K * T;
}

/* out[j][l] = scale (half_norm[j] - c_j . x_l), half_norm being 0 where it is NULL */
static void products(const struct vqs_estimator_tile *t, const vqs_real *half_norm, const vqs_real *x, vqs_real scale,
                     vqs_real *out) {
    static const vqs_real zeros[PACK];
    const vf factor = v_set(scale);
    for (int first = 0; first < t->K; first += CODES) {
        const vqs_real *packed = t->packed + (size_t)(first / PACK) * (size_t)(PACK * t->d);
        const int n = t->K - first < CODES ? t->K - first : CODES;
        for (int l = 0; l < T; l += 2 * VL) {
            vf score[CODES][2];
            score_block(t->d, packed, half_norm ? half_norm + first / PACK * PACK : zeros, first % PACK, x + l, score);
            for (int j = 0; j < n; j++) {
                v_store(out + (size_t)(first + j) * T + l, score[j][0] * factor);
                v_store(out + (size_t)(first + j) * T + l + VL, score[j][1] * factor);
            }
        }
    }
}

/* -G, from the 23 bits of a word that float has between 0 and 1, both excluded. */
INLINE vf minus_gumbel(const uint32_t *words) {
    vqs_real u[VL];
    for (int i = 0; i < VL; i++) {
        u[i] = ((vqs_real)(int32_t)(words[i] >> 9) + (vqs_real)0.5) * (vqs_real)0x1p-23;
    }
    return v_log(-v_log(v_load(u)));
}

/* out[j][l] = cost - G, and k its argmin; `out` may be `cost`. */
static void choose(const struct vqs_estimator_tile *t, const vqs_real *cost, vqs_real *out) {
    for (int l = 0; l < T; l += VL) {
        vf best = v_set((vqs_real)INFINITY);
        vi index = v_set_int(0);
        for (int j = 0; j < t->K; j++) {
            const size_t at = (size_t)j * T + (size_t)l;
            const vf x = v_load(cost + at) + minus_gumbel(t->words + at);
            v_store(out + at, x);
            v_keep_less(x, v_set_int(j), &best, &index);
        }
        v_store_index(t->k + l, index);
    }
}

/* out = share softmax(-cost / tau) over the codes; `out` may not be `cost`. */
static void softmax(int K, const vqs_real *cost, vqs_real tau, vqs_real share, vqs_real *out) {
    const vf rate = v_set(1 / tau);
    for (int l = 0; l < T; l += VL) {
        vf least = v_set((vqs_real)INFINITY), sum = v_set(0);
        for (int j = 0; j < K; j++) {
            least = v_min(v_load(cost + j * T + l), least);
        }
        for (int j = 0; j < K; j++) {
            const vf y = v_exp((least - v_load(cost + j * T + l)) * rate);
            v_store(out + j * T + l, y);
            sum += y;
        }
        sum = v_set(share) / sum;
        for (int j = 0; j < K; j++) {
            v_store(out + j * T + l, v_load(out + j * T + l) * sum);
        }
    }
}

/* p.a of the samples from lane l on */
INLINE vf mean(int K, const vqs_real *p, const vqs_real *a, int l) {
    vf sum = v_set(0);
    for (int j = 0; j < K; j++) {
        sum += v_load(p + j * T + l) * v_load(a + j * T + l);
    }
    return sum;
}

/* ---- what delta gives ------------------------------------------------------------------------------------------ */

/* gz = 2 s sum_j delta_j c_j: CODES components of two vectors of samples at a time. The last may read past a code. */
static void push_to_z(const struct vqs_estimator_tile *t, const vqs_real *delta, vf factor) {
    for (int first = 0; first < t->d; first += CODES) {
        const int n = t->d - first < CODES ? t->d - first : CODES;
        for (int l = 0; l < T; l += 2 * VL) {
            vf acc[CODES][2] = {{{0}}};
            for (int j = 0; j < t->K; j++) {
                const vqs_real *c = t->codes + (size_t)j * (size_t)t->d + first;
                const vf d0 = v_load(delta + (size_t)j * T + l), d1 = v_load(delta + (size_t)j * T + l + VL);
                for (int i = 0; i < CODES; i++) {
                    acc[i][0] += v_set(c[i]) * d0;
                    acc[i][1] += v_set(c[i]) * d1;
                }
            }
            for (int i = 0; i < n; i++) {
                v_store(t->gz + (first + i) * T + l, acc[i][0] * factor);
                v_store(t->gz + (first + i) * T + l + VL, acc[i][1] * factor);
            }
        }
    }
}

/* sums[j] = sum_l delta_j[l] rows[l], rows [T][PART]: lanes are components, samples follow each other. */
INLINE void sum_block(const vqs_real *const delta[CODES], const vqs_real *rows, vqs_real sums[CODES][PART]) {
    vf acc[CODES][PV] = {{{0}}};
    for (int l = 0; l < T; l++) {
        for (int v = 0; v < PV; v++) {
            const vf row = v_load(rows + l * PART + v * VL);
            for (int j = 0; j < CODES; j++) {
                acc[j][v] += row * v_set(delta[j][l]);
            }
        }
    }
    for (int j = 0; j < CODES; j++) {
        for (int v = 0; v < PV; v++) {
            v_store(sums[j] + v * VL, acc[j][v]);
        }
    }
}

/* gcodes[j] += 2 s sum_l delta_jl (z_l - c_j), PART components and CODES codes at a time. */
static void push_to_codes(const struct vqs_estimator_tile *t, const vqs_real *delta, vqs_real factor) {
    for (int from = 0; from < t->d; from += PART) {
        const int n = t->d - from < PART ? t->d - from : PART;
        vqs_real rows[T * PART] = {0}, sums[CODES][PART];
        for (int i = 0; i < n; i++) {
            for (int l = 0; l < T; l++) {
                rows[l * PART + i] = t->z[(from + i) * T + l];
            }
        }
        for (int first = 0; first < t->K; first += CODES) {
            const vqs_real *weights[CODES];
            for (int j = 0; j < CODES; j++) {
                weights[j] = delta + (size_t)(first + j < t->K ? first + j : t->K - 1) * T;
            }
            sum_block(weights, rows, sums);
            for (int j = 0; j < CODES && first + j < t->K; j++) {
                const size_t at = (size_t)(first + j) * (size_t)t->d + (size_t)from;
                const vqs_real total = sum_lanes(weights[j]);
                for (int i = 0; i < n; i++) {
                    t->gcodes[at + (size_t)i] += factor * (sums[j][i] - total * t->codes[at + (size_t)i]);
                }
            }
        }
    }
}

static void push(const struct vqs_estimator_tile *t, const vqs_real *delta) {
    const vqs_real factor = 2 * (vqs_real)t->settings->logit_scale;
    push_to_z(t, delta, v_set(factor));
    push_to_codes(t, delta, factor);
    memcpy(t->gq, t->g, (size_t)t->d * T * sizeof *t->gq);
}

/* ---- gumbel_st: delta = J(y) a / tau, y = softmax((l + G) / tau) ----------------------------------------------- */

void KERNEL(gumbel_st_forward)(const struct vqs_estimator_tile *t) {
    vqs_real *cost = kept(t, 1);
    products(t, t->half_norm, t->z, 2 * (vqs_real)t->settings->logit_scale, cost);
    choose(t, cost, cost);
    softmax(t->K, cost, t->tau, 1, kept(t, 0));
}

void KERNEL(gumbel_st_backward)(const struct vqs_estimator_tile *t) {
    const vqs_real *y = kept(t, 0);
    vqs_real *a = kept(t, 1); /* becomes delta */
    const vf rate = v_set(1 / t->tau);
    products(t, NULL, t->g, -1, a);
    for (int l = 0; l < T; l += VL) {
        const vf ya = mean(t->K, y, a, l);
        for (int j = 0; j < t->K; j++) {
            v_store(a + j * T + l, v_load(y + j * T + l) * (v_load(a + j * T + l) - ya) * rate);
        }
    }
    push(t, a);
}

/* ---- reinmax: delta = 2 J(p) a - J(pi) a / 2, p = (softmax(l / tau) + D) / 2, pi = softmax(l) ------------------ */

void KERNEL(reinmax_forward)(const struct vqs_estimator_tile *t) {
    vqs_real *pi = kept(t, 0), *p = kept(t, 1), *cost = kept(t, 2);
    products(t, t->half_norm, t->z, 2 * (vqs_real)t->settings->logit_scale, cost);
    choose(t, cost, pi); /* for k alone */
    softmax(t->K, cost, 1, 1, pi);
    softmax(t->K, cost, t->tau, (vqs_real)0.5, p);
    for (int l = 0; l < T; l++) { /* D is one where the chosen code is */
        p[(size_t)t->k[l] * T + (size_t)l] += (vqs_real)0.5;
    }
}

void KERNEL(reinmax_backward)(const struct vqs_estimator_tile *t) {
    const vqs_real *pi = kept(t, 0), *p = kept(t, 1);
    vqs_real *a = kept(t, 2); /* becomes delta */
    const vf two = v_set(2), half = v_set((vqs_real)0.5);
    products(t, NULL, t->g, -1, a);
    for (int l = 0; l < T; l += VL) {
        const vf pa = mean(t->K, p, a, l), pia = mean(t->K, pi, a, l);
        for (int j = 0; j < t->K; j++) {
            const vf aj = v_load(a + j * T + l);
            v_store(a + j * T + l,
                    two * v_load(p + j * T + l) * (aj - pa) - half * v_load(pi + j * T + l) * (aj - pia));
        }
    }
    push(t, a);
}
