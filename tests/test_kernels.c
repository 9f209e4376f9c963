/* test_kernels.c - every kernel of every CPU class against a naive oracle in double, and that a sample's result does
 * not depend on its lane or on what stands in the others. */
#include "lanes.h"

enum { ROWS = 40 };

static const int inputs[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 100, 127, 128, 200, 255, 300};
static const int filters[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 18, 24, 31, 32, 33, 40, 128, 129};

/* Samples of a tile: any of ROWS, at least one twice. */
static void draw_tile(uint64_t *state, uint32_t rows[T]) {
    for (int l = 0; l < T; l++) {
        rows[l] = (uint32_t)(test_random(state) % ROWS);
    }
    rows[7] = rows[5];
}

/* ---- project and outer ----------------------------------------------------------------------------------------- */

/* A product to test: samples, a tile of them, and as many filters or gradients. */
struct product {
    int C, D;
    size_t ld;
    vqs_real *x; /* [ROWS][ld] */
    uint32_t rows[T];
};

static void check_projection(const struct product *p, const vqs_real *m, const vqs_real *out) {
    for (int c = 0; c < p->C; c++) {
        for (int l = 0; l < T; l++) {
            struct oracle o = {0};
            for (int j = 0; j < p->D; j++) {
                oracle_add(&o, (double)p->x[p->rows[l] * p->ld + (size_t)j] * (double)m[(size_t)c * p->ld + (size_t)j]);
            }
            ASSERT_IN_LOOP(close_to(out[c * T + l], o, p->D), "C %d D %d, filter %d, lane %d: %.9g, not %.9g", p->C,
                           p->D, c, l, (double)out[c * T + l], o.sum);
        }
    }
}

static void try_project(const struct vqs_kernels *k, uint64_t *state, const struct product *p) {
    const size_t size = (size_t)p->C * T, packed = k->pack_size(p->C, p->ld);
    vqs_real *m = test_rows(state, (size_t)p->C, p->D), *mt = test_reals(packed);
    vqs_real *out = test_reals(size), *moved = test_reals(size);
    uint32_t moved_rows[T];
    int lanes[T];
    draw_lanes(state, lanes);
    for (int l = 0; l < T; l++) {
        moved_rows[lanes[l]] = p->rows[l];
    }
    if (packed) {
        k->pack(p->C, p->ld, m, mt);
    }
    k->project(p->C, p->ld, p->x, p->rows, m, packed ? mt : NULL, out);
    check_projection(p, m, out);
    k->project(p->C, p->ld, p->x, moved_rows, m, packed ? mt : NULL, moved);
    vqs_real *expected = move_lanes(p->C, lanes, out);
    ck_assert_msg(same_bits(moved, expected, size), "C %d D %d: a sample depends on its lane", p->C, p->D);
    free(m), free(mt), free(out), free(moved), free(expected);
}

/* `given`: which of `from` and `base` there are, as bits. */
static void try_outer(const struct vqs_kernels *k, uint64_t *state, const struct product *p, unsigned given) {
    enum { FROM = 1, BASE = 2 };
    const size_t size = (size_t)p->C * p->ld;
    vqs_real *g = test_normals(state, (size_t)p->C * T), *from = test_normals(state, size);
    vqs_real *base = test_normals(state, size), *out = given & BASE ? base : from;
    vqs_real *from_before = test_reals(size), *base_before = test_reals(size);
    memcpy(from_before, from, size * sizeof *from);
    memcpy(base_before, base, size * sizeof *base);
    k->outer(p->C, p->ld, p->x, p->rows, given ? p->rows : NULL, g, given & FROM ? from : NULL,
             given & BASE ? base : NULL, out);
    for (int c = 0; c < p->C; c++) {
        for (size_t j = 0; j < p->ld; j++) {
            const size_t at = (size_t)c * p->ld + j;
            struct oracle o = {0};
            oracle_add(&o, given & FROM ? (double)from_before[at] : 0);
            oracle_add(&o, given & BASE ? (double)base_before[at] : 0);
            for (int l = 0; l < T; l++) {
                oracle_add(&o, (double)g[c * T + l] * (double)p->x[p->rows[l] * p->ld + j]);
            }
            ASSERT_IN_LOOP(close_to(out[at], o, T), "C %d D %d given %u, row %d, column %zu: %.9g, not %.9g", p->C,
                           p->D, given, c, j, (double)out[at], o.sum);
        }
    }
    free(g), free(from), free(base), free(from_before), free(base_before);
}

static void try_products(const struct vqs_kernels *k, uint64_t *state, int C, int D) {
    struct product p = {C, D, vqs_row_stride(D), test_rows(state, ROWS, D), {0}};
    draw_tile(state, p.rows);
    try_project(k, state, &p);
    for (unsigned given = 0; given < 4; given++) {
        try_outer(k, state, &p, given);
    }
    free(p.x);
}

START_TEST(products) {
    uint64_t state = 1;
    for (size_t f = 0; f < COUNT_OF(filters); f++) {
        for (size_t i = 0; i < COUNT_OF(inputs); i++) {
            if (filters[f] < 100 || i % 4 == 0) {
                try_products(test_class(_i), &state, filters[f], inputs[i]);
            }
        }
    }
    try_products(test_class(_i), &state, 3, 4096);
    try_products(test_class(_i), &state, 17, 4096);
}
END_TEST

/* ---- small matrices by rows of parameters ---------------------------------------------------------------------- */

static void try_combine(const struct vqs_kernels *k, uint64_t *state, int d, int D) {
    const size_t stride = vqs_row_stride(d), ld = vqs_row_stride(D), size = (size_t)d * ld;
    const vqs_real scale = (vqs_real)0.3, keep = (vqs_real)-1.1;
    const int cut = (int)(test_random(state) % (unsigned)(d + 1));
    vqs_real *A = test_normals(state, (size_t)d * stride), *V = test_rows(state, (size_t)d, D);
    vqs_real *before = test_rows(state, (size_t)d, D), *whole = test_reals(size), *parts = test_reals(size);
    memcpy(whole, before, size * sizeof *whole);
    memcpy(parts, before, size * sizeof *parts);
    k->combine(d, ld, A, V, scale, keep, 0, d, whole);
    k->combine(d, ld, A, V, scale, keep, cut, d, parts);
    k->combine(d, ld, A, V, scale, keep, 0, cut, parts);
    ck_assert(same_bits(whole, parts, size));
    for (size_t i = 0; i < (size_t)d; i++) {
        for (size_t c = 0; c < ld; c++) {
            struct oracle o = {0};
            oracle_add(&o, (double)keep * (double)before[i * ld + c]);
            for (size_t j = 0; j < (size_t)d; j++) {
                oracle_add(&o, (double)scale * (double)A[i * stride + j] * (double)V[j * ld + c]);
            }
            ASSERT_IN_LOOP(close_to(whole[i * ld + c], o, d), "d %d D %d: row %zu, column %zu", d, D, i, c);
        }
    }
    free(A), free(V), free(before), free(whole), free(parts);
}

static void try_gram(const struct vqs_kernels *k, uint64_t *state, int d, int D) {
    const size_t ld = vqs_row_stride(D);
    vqs_real *A = test_rows(state, (size_t)d, D), *G = test_reals((size_t)d * (size_t)d);
    k->gram(d, ld, A, G);
    for (int i = 0; i < d; i++) {
        for (int j = 0; j < d; j++) {
            struct oracle o = {0};
            for (size_t c = 0; c < ld; c++) {
                oracle_add(&o, (double)A[(size_t)i * ld + c] * (double)A[(size_t)j * ld + c]);
            }
            ASSERT_IN_LOOP(close_to(G[i * d + j], o, D), "d %d D %d: %d, %d", d, D, i, j);
            ASSERT_IN_LOOP(G[i * d + j] == G[j * d + i], "d %d D %d: %d, %d is not symmetric", d, D, i, j);
        }
    }
    free(A), free(G);
}

/* Against the same in double; far more columns than rows keep the matrix well conditioned. */
static void try_gram_schmidt(const struct vqs_kernels *k, uint64_t *state, int d, int D) {
    const size_t ld = vqs_row_stride(D);
    vqs_real *W = test_rows(state, (size_t)d, D);
    double *Q = test_alloc((size_t)d * ld, sizeof *Q);
    for (size_t i = 0; i < (size_t)d * ld; i++) {
        Q[i] = (double)W[i];
    }
    k->gram_schmidt(d, ld, W);
    for (size_t i = 0; i < (size_t)d; i++) {
        double norm2 = 0;
        for (size_t j = 0; j < i; j++) {
            double along = 0;
            for (size_t c = 0; c < ld; c++) {
                along += Q[i * ld + c] * Q[j * ld + c];
            }
            for (size_t c = 0; c < ld; c++) {
                Q[i * ld + c] -= along * Q[j * ld + c];
            }
        }
        for (size_t c = 0; c < ld; c++) {
            norm2 += Q[i * ld + c] * Q[i * ld + c];
        }
        for (size_t c = 0; c < ld; c++) {
            Q[i * ld + c] /= sqrt(norm2);
            ASSERT_IN_LOOP(fabs((double)W[i * ld + c] - Q[i * ld + c]) < 16 * REAL_EPS, "d %d D %d row %zu", d, D, i);
        }
    }
    free(W), free(Q);
}

START_TEST(matrices_of_rows) {
    uint64_t state = 12;
    for (size_t i = 0; i < COUNT_OF(latents); i++) {
        for (size_t j = 1; j < COUNT_OF(inputs); j += 3) {
            try_combine(test_class(_i), &state, latents[i], inputs[j]);
            try_gram(test_class(_i), &state, latents[i], inputs[j]);
        }
        try_gram_schmidt(test_class(_i), &state, latents[i], 8 * latents[i]);
    }
}
END_TEST

/* ---- small products on a tile ---------------------------------------------------------------------------------- */

static void try_mix(const struct vqs_kernels *k, uint64_t *state, int d) {
    const size_t size = (size_t)d * T;
    vqs_real *G = test_normals(state, (size_t)d * (size_t)d), *in = test_normals(state, size);
    vqs_real *out = test_reals(size), *moved_out = test_reals(size);
    int lanes[T];
    k->mix(d, G, in, out);
    for (int i = 0; i < d; i++) {
        for (int l = 0; l < T; l++) {
            struct oracle o = {0};
            for (int j = 0; j < d; j++) {
                oracle_add(&o, (double)G[i * d + j] * (double)in[j * T + l]);
            }
            ASSERT_IN_LOOP(close_to(out[i * T + l], o, d), "d %d, %d, lane %d", d, i, l);
        }
    }
    draw_lanes(state, lanes);
    vqs_real *moved = move_lanes(d, lanes, in), *expected = move_lanes(d, lanes, out);
    k->mix(d, G, moved, moved_out);
    ck_assert(same_bits(moved_out, expected, size));
    free(G), free(in), free(out), free(moved_out), free(moved), free(expected);
}

/* Tiles that lie apart, of which every other one has no sample that `c` could be nearer to. */
static void try_nearer(const struct vqs_kernels *k, uint64_t *state, int d) {
    enum { TILES = 5 };
    const size_t stride = (size_t)d * T + 16;
    vqs_real *c = test_normals(state, (size_t)d), *z = test_normals(state, TILES * stride), near[TILES * T];
    vqs_real before[TILES * T];
    uint32_t changed[TILES];
    size_t expected = 0;
    for (int i = 0; i < TILES * T; i++) {
        before[i] = near[i] = i / T % 2 ? 0 : (vqs_real)(2 * d * test_uniform(state) * 2);
    }
    const size_t n = k->nearer(d, TILES, stride, c, z, near, changed);
    for (uint32_t t = 0; t < TILES; t++) {
        bool any = false;
        for (int l = 0; l < T; l++) {
            const size_t at = t * T + (size_t)l;
            struct oracle o = {0};
            for (int i = 0; i < d; i++) {
                oracle_add(&o, pow((double)z[t * stride + (size_t)(i * T + l)] - (double)c[i], 2));
            }
            o.sum = fmin(o.sum, (double)before[at]);
            ASSERT_IN_LOOP(close_to(near[at], o, d), "d %d tile %u lane %d", d, t, l);
            any |= near[at] < before[at];
        }
        if (any) {
            ck_assert(expected < n && changed[expected++] == t);
        }
    }
    ck_assert_uint_eq(n, expected);
    free(c), free(z);
}

static void try_decode_error(const struct vqs_kernels *k, uint64_t *state, int C, int D, bool with_offset) {
    const size_t ld = vqs_row_stride(D);
    vqs_real *x = test_rows(state, ROWS, D), *v = test_rows(state, (size_t)C, D),
             *q = test_normals(state, (size_t)C * T);
    vqs_real *offset = test_rows(state, 1, D), err[T];
    uint32_t rows[T];
    draw_tile(state, rows);
    k->decode_error(C, ld, x, rows, v, with_offset ? offset : NULL, q, err);
    for (int l = 0; l < T; l++) {
        struct oracle total = {0};
        for (int j = 0; j < D; j++) {
            struct oracle e = {0};
            oracle_add(&e, (double)x[rows[l] * ld + (size_t)j]);
            oracle_add(&e, with_offset ? -(double)offset[j] : 0);
            for (int c = 0; c < C; c++) {
                oracle_add(&e, -(double)q[c * T + l] * (double)v[(size_t)c * ld + (size_t)j]);
            }
            total.sum += e.sum * e.sum;
            total.size += e.sum * e.sum + 2 * fabs(e.sum) * e.size; /* what an error of e does to its square */
        }
        ASSERT_IN_LOOP(close_to(err[l], total, C + D), "C %d D %d lane %d: %g, not %g", C, D, l, (double)err[l],
                       total.sum);
    }
    free(x), free(v), free(q), free(offset);
}

/* Of n rows of D. */
static void try_deviations(const struct vqs_kernels *k, uint64_t *state, size_t n, int D) {
    const size_t ld = vqs_row_stride(D);
    vqs_real *x = test_rows(state, n, D), *centre = test_rows(state, 1, D);
    double sum[320], square[320];
    k->deviations(n, ld, x, centre, sum, square);
    for (size_t j = 0; j < ld; j++) {
        struct oracle s = {0}, q = {0};
        for (size_t i = 0; i < n; i++) {
            const double e = (double)x[i * ld + j] - (double)centre[j];
            oracle_add(&s, e);
            oracle_add(&q, e * e);
        }
        ASSERT_IN_LOOP(close_to((vqs_real)sum[j], s, 3) && close_to((vqs_real)square[j], q, 3), "n %zu D %d column %zu",
                       n, D, j);
    }
    free(x), free(centre);
}

/* n rows, of which row by row r times axpy makes the same bits. */
static void try_embed(const struct vqs_kernels *k, uint64_t *state, size_t n, int r, int D) {
    const size_t ld = vqs_row_stride(D), size = n * ld;
    vqs_real *s = test_normals(state, n * (size_t)r), *basis = test_rows(state, (size_t)r, D);
    vqs_real *x = test_rows(state, n, D), *expected = test_reals(size);
    memcpy(expected, x, size * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < (size_t)r; c++) {
            k->axpy(ld, s[i * (size_t)r + c], basis + c * ld, expected + i * ld);
        }
    }
    k->embed(n, r, ld, s, basis, x);
    ck_assert_msg(same_bits(x, expected, size), "n %zu r %d D %d", n, r, D);
    free(s), free(basis), free(x), free(expected);
}

/* n samples of one component in tiles that lie apart; what stands in spare lanes does not matter. */
static void try_variance(const struct vqs_kernels *k, uint64_t *state, size_t n) {
    enum { STRIDE = 3 * T };
    const size_t tiles = (n + T - 1) / T;
    vqs_real *z = test_normals(state, tiles * STRIDE);
    double mean = 0, variance = 0;
    for (size_t i = 0; i < tiles * STRIDE; i++) {
        z[i] = i / STRIDE * T + i % STRIDE < n && i % STRIDE < T ? z[i] + 100 : NAN;
    }
    for (size_t i = 0; i < n; i++) {
        mean += (double)z[i / T * STRIDE + i % T] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        variance += pow((double)z[i / T * STRIDE + i % T] - mean, 2) / (double)n;
    }
    ck_assert_double_eq_tol(k->variance(n, STRIDE, z), variance, 1e-12 * (1 + variance));
    free(z);
}

START_TEST(drawn_samples) {
    uint64_t state = 5;
    for (size_t i = 0; i < COUNT_OF(inputs); i++) {
        for (size_t j = 0; j < COUNT_OF(latents); j++) {
            try_embed(test_class(_i), &state, 1 + (i + j) % 9, latents[j], inputs[i]);
        }
        try_deviations(test_class(_i), &state, (size_t)inputs[i], inputs[COUNT_OF(inputs) - 1 - i]);
        try_variance(test_class(_i), &state, (size_t)inputs[i]);
    }
}
END_TEST

START_TEST(small_products) {
    uint64_t state = 4;
    for (size_t i = 0; i < COUNT_OF(latents); i++) {
        try_mix(test_class(_i), &state, latents[i]);
        try_nearer(test_class(_i), &state, latents[i]);
        for (size_t j = 0; j < COUNT_OF(inputs); j++) {
            try_decode_error(test_class(_i), &state, latents[i], inputs[j], (i + j) % 2);
        }
    }
    try_decode_error(test_class(_i), &state, 2, 4096, true);
    try_decode_error(test_class(_i), &state, 0, 33, true); /* no codes: the distance from the offset */
}
END_TEST

/* ---- vectors of parameters ------------------------------------------------------------------------------------- */

START_TEST(sums_of_parts_run_first_to_last) {
    enum { N = 48, STRIDE = 64, PARTS = 8 };
    const struct vqs_kernels *k = test_class(_i);
    uint64_t state = 5;
    vqs_real *src = test_normals(&state, STRIDE * (PARTS - 1) + N), *sum = test_reals(N);
    for (int parts = 1; parts <= PARTS; parts++) {
        k->add_up(0, 16, parts, STRIDE, src, sum);
        k->add_up(16, N, parts, STRIDE, src, sum);
        for (int i = 0; i < N; i++) {
            vqs_real expected = src[i];
            for (int p = 1; p < parts; p++) {
                expected += src[p * STRIDE + i];
            }
            ck_assert_msg(same_bits(&sum[i], &expected, 1), "%d parts, element %d", parts, i);
        }
    }
    k->add_up(0, N, PARTS, STRIDE, src, src); /* in place, as the trainer does */
    ck_assert(same_bits(src, sum, N));
    free(src), free(sum);
}
END_TEST

START_TEST(dot_and_axpy) {
    const struct vqs_kernels *k = test_class(_i);
    const vqs_real alpha = (vqs_real)-1.7;
    uint64_t state = 6;
    for (size_t n = 0; n < 300; n++) {
        vqs_real *a = test_normals(&state, n), *b = test_normals(&state, n), *y = test_reals(n);
        struct oracle o = {0};
        memcpy(y, b, n * sizeof *y);
        k->axpy(n, alpha, a, y);
        for (size_t i = 0; i < n; i++) {
            struct oracle e = {0};
            oracle_add(&e, (double)b[i]);
            oracle_add(&e, (double)alpha * (double)a[i]);
            ASSERT_IN_LOOP(close_to(y[i], e, 1), "axpy n %zu, element %zu", n, i);
            oracle_add(&o, (double)a[i] * (double)b[i]);
        }
        ASSERT_IN_LOOP(close_to(k->dot(n, a, b), o, (double)n), "dot n %zu", n);
        for (size_t cut = 0; cut < n && n % 37 == 0; cut++) { /* an element's place does not matter */
            vqs_real *part = test_reals(n - cut);
            memcpy(part, b + cut, (n - cut) * sizeof *part);
            k->axpy(n - cut, alpha, a + cut, part);
            ck_assert(same_bits(part, y + cut, n - cut));
            free(part);
        }
        free(a), free(b), free(y);
    }
}
END_TEST

static struct vqs_adam_step adam_step(double lr, double beta1, double beta2, double eps, int t) {
    return (struct vqs_adam_step){
        .beta1 = (vqs_real)beta1,
        .beta2 = (vqs_real)beta2,
        .eps = (vqs_real)eps,
        .rest1 = (vqs_real)(1 - beta1),
        .rest2 = (vqs_real)(1 - beta2),
        .rate = (vqs_real)(lr / (1 - pow(beta1, t))),
        .inv_sqrt_2 = (vqs_real)(1 / sqrt(1 - pow(beta2, t))),
    };
}

/* Steps by the formula of the paper, in double; the second beta is 1 in float. */
START_TEST(adam_is_the_papers) {
    static const double betas[] = {0.999, 0.99999999};
    enum { N = 5 * VQS_ROW_UNIT };
    const double lr = 0.01, beta1 = 0.9, beta2 = betas[_i % 2], eps = 1e-8;
    uint64_t state = 7;
    vqs_real *m = test_reals(N), *v = test_reals(N), *p = test_normals(&state, N), *start = test_reals(N);
    double M[N] = {0}, V[N] = {0}, P[N];
    memcpy(start, p, N * sizeof *p);
    for (int i = 0; i < N; i++) {
        P[i] = (double)p[i];
    }
    for (int t = 1; t <= 3; t++) {
        vqs_real *g = test_normals(&state, N);
        g[5] = 0; /* a dead parameter does not move */
        const struct vqs_adam_step step = adam_step(lr, beta1, beta2, eps, t);
        test_class(_i / 2)->adam(&step, N, g, m, v, p);
        for (int i = 0; i < N; i++) {
            const double gi = (double)g[i];
            M[i] = beta1 * M[i] + (1 - beta1) * gi;
            V[i] = beta2 * V[i] + (1 - beta2) * gi * gi;
            P[i] -= lr * (M[i] / (1 - pow(beta1, t))) / (sqrt(V[i] / (1 - pow(beta2, t))) + eps);
            ck_assert_msg(fabs((double)p[i] - P[i]) < 2 * t * REAL_EPS * (fabs(P[i]) + 10 * lr),
                          "step %d, parameter %d: %.9g, not %.9g", t, i, (double)p[i], P[i]);
        }
        free(g);
    }
    ck_assert(same_bits(&p[5], &start[5], 1));
    free(m), free(v), free(p), free(start);
}
END_TEST

START_TEST(adam_does_not_depend_on_the_place) {
    enum { N = 5 * VQS_ROW_UNIT, SHIFT = 7 };
    const struct vqs_adam_step step = adam_step(0.01, 0.9, 0.999, 1e-8, 2);
    uint64_t state = 8;
    vqs_real *all[4], *moved[4]; /* g, m, v, p, and the same shifted round */
    for (int a = 0; a < 4; a++) {
        all[a] = test_normals(&state, N);
        moved[a] = test_reals(N);
        for (int i = 0; i < N; i++) { /* second moments are not negative */
            all[a][i] = a == 2 ? all[a][i] * all[a][i] : all[a][i];
            moved[a][(i + SHIFT) % N] = all[a][i];
        }
    }
    test_class(_i)->adam(&step, N, all[0], all[1], all[2], all[3]);
    test_class(_i)->adam(&step, N, moved[0], moved[1], moved[2], moved[3]);
    for (int a = 0; a < 4; a++) {
        for (int i = 0; i < N; i++) {
            ck_assert(same_bits(&moved[a][(i + SHIFT) % N], &all[a][i], 1));
        }
        free(all[a]), free(moved[a]);
    }
}
END_TEST

/* ---- choosing a class ------------------------------------------------------------------------------------------ */

START_TEST(the_environment_chooses_the_class) {
    char *before = getenv("VQSWEEP_CPU_CLASS");
    before = before ? strdup(before) : NULL;
    unsetenv("VQSWEEP_CPU_CLASS");
    const struct vqs_kernels *best = vqs_kernels_get();
    ck_assert_ptr_eq(best, test_class(0));
    setenv("VQSWEEP_CPU_CLASS", "portable", 1);
    ck_assert_str_eq(vqs_kernels_cpu_class(), "portable");
    setenv("VQSWEEP_CPU_CLASS", "abacus", 1);
    ck_assert_ptr_eq(vqs_kernels_get(), best);
    ck_assert_ptr_null(vqs_kernels_for("abacus"));
    unsetenv("VQSWEEP_CPU_CLASS");
    if (before) {
        setenv("VQSWEEP_CPU_CLASS", before, 1);
    }
    free(before);
}
END_TEST

int main(void) {
    const int classes = test_class_count();
    Suite *suite = suite_create("kernels");
    TCase *tests = tcase_create("each class");
    tcase_add_loop_test(tests, products, 0, classes);
    tcase_add_loop_test(tests, matrices_of_rows, 0, classes);
    tcase_add_loop_test(tests, drawn_samples, 0, classes);
    tcase_add_loop_test(tests, small_products, 0, classes);
    tcase_add_loop_test(tests, sums_of_parts_run_first_to_last, 0, classes);
    tcase_add_loop_test(tests, dot_and_axpy, 0, classes);
    tcase_add_loop_test(tests, adam_is_the_papers, 0, 2 * classes);
    tcase_add_loop_test(tests, adam_does_not_depend_on_the_place, 0, classes);
    tcase_add_test(tests, the_environment_chooses_the_class);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
