/* test_kernels.c - every kernel of every CPU class against a naive oracle in double, and that a sample's result does
 * not depend on its lane or on what stands in the others. */
#include "testing.h"
#include "tile.h"

enum { T = VQS_TILE, ROWS = 40 };

static const int inputs[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 100, 127, 128, 200, 255, 300};
static const int filters[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 18, 24, 31, 32, 33, 40, 128, 129};
static const int latents[] = {1, 2, 3, 4, 5, 8, 16, 17, 32, 64, 100};

/* Samples of a tile: any of ROWS, at least one twice. */
static void draw_tile(uint64_t *state, uint32_t rows[T]) {
    for (int l = 0; l < T; l++) {
        rows[l] = (uint32_t)(test_random(state) % ROWS);
    }
    rows[7] = rows[5];
}

/* A rearrangement of the lanes. */
static void draw_lanes(uint64_t *state, int lanes[T]) {
    for (int l = 0; l < T; l++) {
        const int other = (int)(test_random(state) % (unsigned)(l + 1));
        lanes[l] = lanes[other];
        lanes[other] = l;
    }
}

/* out[i][lanes[l]] = in[i][l]; the caller frees it. */
static vqs_real *move_lanes(int d, const int lanes[T], const vqs_real *in) {
    vqs_real *out = test_reals((size_t)d * T);
    for (int i = 0; i < d; i++) {
        for (int l = 0; l < T; l++) {
            out[i * T + lanes[l]] = in[i * T + l];
        }
    }
    return out;
}

/* ---- project and outer ------------------------------------------------------------------------------------------- */

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

static void try_outer(const struct vqs_kernels *k, uint64_t *state, const struct product *p, bool add) {
    const size_t size = (size_t)p->C * p->ld;
    vqs_real *g = test_normals(state, (size_t)p->C * T), *acc = test_normals(state, size), *before = test_reals(size);
    memcpy(before, acc, size * sizeof *acc);
    k->outer(p->C, p->ld, p->x, p->rows, g, add, acc);
    for (int c = 0; c < p->C; c++) {
        for (size_t j = 0; j < p->ld; j++) {
            struct oracle o = {0};
            oracle_add(&o, add ? (double)before[(size_t)c * p->ld + j] : 0);
            for (int l = 0; l < T; l++) {
                oracle_add(&o, (double)g[c * T + l] * (double)p->x[p->rows[l] * p->ld + j]);
            }
            ASSERT_IN_LOOP(close_to(acc[(size_t)c * p->ld + j], o, T),
                           "C %d D %d add %d, row %d, column %zu: %.9g, not %.9g", p->C, p->D, add, c, j,
                           (double)acc[(size_t)c * p->ld + j], o.sum);
        }
    }
    free(g), free(acc), free(before);
}

static void try_products(const struct vqs_kernels *k, uint64_t *state, int C, int D) {
    struct product p = {C, D, vqs_row_stride(D), test_rows(state, ROWS, D), {0}};
    draw_tile(state, p.rows);
    try_project(k, state, &p);
    try_outer(k, state, &p, false);
    try_outer(k, state, &p, true);
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

/* ---- assign ------------------------------------------------------------------------------------------------------ */

static double half_norm_of(int d, const vqs_real *c) {
    double sum = 0;
    for (int i = 0; i < d; i++) {
        sum += (double)c[i] * (double)c[i];
    }
    return sum / 2;
}

/* The scores of one sample in double: |c|^2 / 2 - z.c, with the size of what was added up. */
static struct oracle score_of(int d, const vqs_real *c, const vqs_real *z) {
    struct oracle o = {0};
    oracle_add(&o, half_norm_of(d, c));
    for (int i = 0; i < d; i++) {
        oracle_add(&o, -(double)c[i] * (double)z[i * T]);
    }
    return o;
}

/* Every lane's code is as near as any other within rounding, and the first of its equals. `first_equal` [K] names the
 * first code of equal value. */
static void check_codes(int K, int d, const vqs_real *codes, const int *first_equal, const vqs_real *z,
                        const uint32_t *k) {
    for (int l = 0; l < T; l++) {
        ASSERT_IN_LOOP(k[l] < (uint32_t)K, "K %d d %d lane %d: code %u", K, d, l, k[l]);
        const struct oracle chosen = score_of(d, codes + (size_t)k[l] * (size_t)d, z + l);
        ASSERT_IN_LOOP(first_equal[k[l]] == (int)k[l], "K %d d %d lane %d: code %u, but code %d is equal", K, d, l,
                       k[l], first_equal[k[l]]);
        for (int j = 0; j < K; j++) {
            const struct oracle other = score_of(d, codes + (size_t)j * (size_t)d, z + l);
            if (chosen.sum > other.sum + REAL_EPS * (2 + sqrt(d)) * (chosen.size + other.size)) {
                ck_abort_msg("K %d d %d lane %d: code %u at %.9g, but code %d at %.9g", K, d, l, k[l], chosen.sum, j,
                             other.sum);
            }
        }
    }
}

/* Codes as `assign` reads them. */
struct packing {
    vqs_real *codes, *half_norm;
};

static struct packing pack_codes(const struct vqs_kernels *k, int K, int d, const vqs_real *codes) {
    const size_t n = vqs_packed_codes(K);
    const struct packing p = {test_reals(n * (size_t)d), test_reals(n)};
    k->pack_codes(K, d, codes, p.codes, p.half_norm);
    return p;
}

static void free_packing(struct packing p) {
    free(p.codes), free(p.half_norm);
}

static void check_packed(int K, int d, const vqs_real *codes, struct packing p) {
    for (int j = 0; j < (int)vqs_packed_codes(K); j++) {
        if (j >= K) {
            ck_assert(isinf((double)p.half_norm[j]) && p.half_norm[j] > 0);
            continue;
        }
        for (int i = 0; i < d; i++) {
            ASSERT_IN_LOOP(p.codes[(j / VQS_CODE_PACK * d + i) * VQS_CODE_PACK + j % VQS_CODE_PACK] == codes[j * d + i],
                           "K %d d %d: code %d, component %d", K, d, j, i);
        }
        const double exact = half_norm_of(d, codes + (size_t)j * (size_t)d);
        if (fabs((double)p.half_norm[j] - exact) > REAL_EPS * (2 + d) * exact) {
            ck_abort_msg("K %d d %d code %d: half norm %.9g, not %.9g", K, d, j, (double)p.half_norm[j], exact);
        }
    }
}

static void try_assign(const struct vqs_kernels *kernels, uint64_t *state, int K, int d) {
    vqs_real *codes = test_normals(state, (size_t)K * (size_t)d), *z = test_normals(state, (size_t)d * T);
    int *first_equal = test_alloc((size_t)K, sizeof *first_equal), lanes[T];
    uint32_t k[T], moved_k[T];
    for (int j = 0; j < K; j++) { /* a third of the codes are copies of an earlier one */
        first_equal[j] = j;
        if (j > 0 && test_random(state) % 3 == 0) {
            first_equal[j] = first_equal[test_random(state) % (unsigned)j];
            memcpy(codes + j * d, codes + first_equal[j] * d, (size_t)d * sizeof *codes);
        }
    }
    const struct packing packed = pack_codes(kernels, K, d, codes);
    check_packed(K, d, codes, packed);
    kernels->assign(K, d, packed.codes, packed.half_norm, z, k);
    check_codes(K, d, codes, first_equal, z, k);

    draw_lanes(state, lanes);
    vqs_real *moved = move_lanes(d, lanes, z);
    moved[lanes[3]] = (vqs_real)NAN; /* one sample is lost, the others do not notice */
    kernels->assign(K, d, packed.codes, packed.half_norm, moved, moved_k);
    ck_assert_uint_eq(moved_k[lanes[3]], 0);
    for (int l = 0; l < T; l++) {
        ck_assert_msg(l == 3 || moved_k[lanes[l]] == k[l], "K %d d %d: lane %d depends on its place", K, d, l);
    }
    free_packing(packed);
    free(codes), free(z), free(first_equal), free(moved);
}

START_TEST(assignment) {
    uint64_t state = 2;
    for (size_t i = 0; i < COUNT_OF(latents); i++) {
        for (int K = 1; K <= 70; K += K < 20 || latents[i] < 9 ? 1 : 7) {
            try_assign(test_class(_i), &state, K, latents[i]);
        }
        try_assign(test_class(_i), &state, latents[i] < 20 ? 1024 : 130, latents[i]);
    }
}
END_TEST

START_TEST(a_code_that_is_not_a_number_is_never_nearest) {
    static const int sizes[] = {21, 150};
    enum { D = 8 };
    const struct vqs_kernels *kernels = test_class(_i);
    uint64_t state = 3;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int K = sizes[s];
        vqs_real *codes = test_normals(&state, (size_t)(K * D)), *z = test_normals(&state, D * T);
        uint32_t k[T], before[T];
        struct packing packed = pack_codes(kernels, K, D, codes);
        kernels->assign(K, D, packed.codes, packed.half_norm, z, before);
        free_packing(packed);
        for (int lost = 1; lost < K; lost++) { /* who had another code keeps it */
            const vqs_real kept = codes[lost * D + 3];
            codes[lost * D + 3] = (vqs_real)NAN;
            packed = pack_codes(kernels, K, D, codes);
            kernels->assign(K, D, packed.codes, packed.half_norm, z, k);
            free_packing(packed);
            for (int l = 0; l < T; l++) {
                ck_assert_msg(before[l] == (uint32_t)lost ? k[l] != before[l] : k[l] == before[l],
                              "K %d, lane %d: code %u, before code %d was lost %u", K, l, k[l], lost, before[l]);
            }
            codes[lost * D + 3] = kept;
        }
        free(codes), free(z);
    }
}
END_TEST

/* ---- codes: gathering gradients, moments ------------------------------------------------------------------------- */

static void try_scatter(const struct vqs_kernels *kernels, uint64_t *state, int K, int d) {
    enum { N = 75 };
    const size_t stride = vqs_row_stride(d), size = (size_t)K * (size_t)d;
    vqs_real *rows = test_normals(state, N * stride), *grad = test_normals(state, size), *expected = test_reals(size);
    uint32_t k[N], *count = test_alloc((size_t)K, sizeof *count),
                   *expected_count = test_alloc((size_t)K, sizeof *count);
    const int cut = (int)(test_random(state) % (unsigned)(K + 1));
    for (int l = 0; l < N; l++) { /* in the order of the samples, in the kernel's own arithmetic: to the bit */
        k[l] = (uint32_t)(test_random(state) % (unsigned)K);
        expected_count[k[l]]++;
        for (int i = 0; i < d; i++) {
            expected[k[l] * (size_t)d + (size_t)i] += rows[(size_t)l * stride + (size_t)i];
        }
    }
    kernels->scatter(N, d, k, rows, cut, K, grad, count);
    kernels->scatter(N, d, k, rows, 0, cut, grad, count);
    ck_assert_msg(same_bits(grad, expected, size), "K %d d %d, cut at %d", K, d, cut);
    ck_assert_mem_eq(count, expected_count, (size_t)K * sizeof *count);
    free(rows), free(grad), free(expected), free(count), free(expected_count);
}

static void try_code_moments(const struct vqs_kernels *k, uint64_t *state, int K, int d) {
    const size_t stride = vqs_row_stride(d), size = (size_t)d * stride;
    vqs_real *codes = test_normals(state, (size_t)K * (size_t)d + VQS_ROW_UNIT);
    vqs_real *whole = test_reals(size), *parts = test_reals(size);
    uint32_t *used = test_alloc((size_t)K, sizeof *used), *count = test_alloc((size_t)K, sizeof *count);
    const int cut = (int)(test_random(state) % (unsigned)(d + 1));
    int n = 0;
    for (int j = 0; j < K; j++) {
        count[j] = (uint32_t)(test_random(state) % 4);
        if (count[j]) {
            used[n++] = (uint32_t)j;
        }
    }
    k->code_moments(n, used, d, codes, count, 0, d, whole);
    k->code_moments(n, used, d, codes, count, cut, d, parts);
    k->code_moments(n, used, d, codes, count, 0, cut, parts);
    for (int i = 0; i < d; i++) {
        ck_assert(same_bits(whole + (size_t)i * stride, parts + (size_t)i * stride, (size_t)d));
        for (int j = 0; j < d; j++) {
            struct oracle o = {0};
            for (int c = 0; c < K; c++) {
                oracle_add(&o, count[c] * (double)codes[c * d + i] * (double)codes[c * d + j]);
            }
            ASSERT_IN_LOOP(close_to(whole[(size_t)i * stride + (size_t)j], o, K), "K %d d %d: %d, %d", K, d, i, j);
        }
    }
    free(codes), free(whole), free(parts), free(used), free(count);
}

START_TEST(sums_over_codes) {
    static const int codes[] = {1, 2, 7, 40};
    uint64_t state = 11;
    for (size_t i = 0; i < COUNT_OF(latents); i++) {
        for (size_t K = 0; K < COUNT_OF(codes); K++) {
            try_scatter(test_class(_i), &state, codes[K], latents[i]);
            try_code_moments(test_class(_i), &state, codes[K], latents[i]);
        }
    }
}
END_TEST

/* ---- small matrices by rows of parameters ------------------------------------------------------------------------ */

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

/* ---- small products on a tile ------------------------------------------------------------------------------------ */

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

static void try_nearer(const struct vqs_kernels *k, uint64_t *state, int d) {
    vqs_real *c = test_normals(state, (size_t)d), *z = test_normals(state, (size_t)d * T), near[T], before[T];
    for (int l = 0; l < T; l++) {
        before[l] = near[l] = (vqs_real)(2 * d * test_uniform(state) * 2);
    }
    k->nearer(d, c, z, near);
    for (int l = 0; l < T; l++) {
        struct oracle o = {0};
        for (int i = 0; i < d; i++) {
            oracle_add(&o, pow((double)z[i * T + l] - (double)c[i], 2));
        }
        o.sum = fmin(o.sum, (double)before[l]);
        ASSERT_IN_LOOP(close_to(near[l], o, d), "d %d lane %d", d, l);
    }
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

/* ---- vectors of parameters --------------------------------------------------------------------------------------- */

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

/* ---- the tile of a step ------------------------------------------------------------------------------------------ */

/* A step and one tile of it with all they point at, in one piece of memory. */
struct tile_case {
    struct vqs_step step;
    struct vqs_tile tile;
    int rows; /* of y */
    struct packing packed;
    vqs_real *codes, *gram, *encoder_bias, *decoded_bias;
};

static struct tile_case make_tile_case(const struct vqs_kernels *k, uint64_t *state, int d, int K, bool tied, bool bias,
                                       int n) {
    const size_t D = (size_t)d, lanes = D * T;
    const size_t rows = T * vqs_row_stride(d);
    struct tile_case c = {.rows = (tied ? 1 : 2) * d + bias};
    c.codes = test_normals(state, (size_t)K * D);
    c.packed = pack_codes(k, K, d, c.codes);
    c.gram = test_normals(state, D * D);
    c.encoder_bias = test_normals(state, D);
    c.decoded_bias = test_normals(state, D);
    c.step = (struct vqs_step){
        .estimator = &k->estimators[vqs_estimator_find("ste")],
        .kernels = k,
        .d = d,
        .K = K,
        .tied = tied,
        .bias = bias,
        .codes = c.codes,
        .packed_codes = c.packed.codes,
        .half_norm = c.packed.half_norm,
        .gram = c.gram,
        .encoder_bias = c.encoder_bias,
        .decoded_bias = c.decoded_bias,
        .bias_norm2 = 3,
        .rec_scale = (vqs_real)0.01,
        .vq_scale = (vqs_real)0.02,
        .beta = (vqs_real)0.25,
    };
    c.tile.n = n;
    c.tile.y = test_normals(state, (size_t)c.rows * T);
    c.tile.outer = test_reals((size_t)c.rows * T);
    c.tile.gc = test_reals(rows);
    vqs_real **const pieces[] = {&c.tile.z, &c.tile.q, &c.tile.g, &c.tile.gz, &c.tile.ge};
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        *pieces[i] = test_reals(lanes);
    }
    c.tile.k = test_alloc(T, sizeof *c.tile.k);
    c.tile.gsum = test_normals(state, D); /* is added to */
    for (int l = 0; l < T; l++) {
        c.tile.sq[l] = (vqs_real)(10 + test_uniform(state));
    }
    return c;
}

static void free_tile_case(struct tile_case *c) {
    free_packing(c->packed);
    free(c->codes), free(c->gram), free(c->encoder_bias), free(c->decoded_bias);
    free(c->tile.y), free(c->tile.outer), free(c->tile.z), free(c->tile.gc), free(c->tile.q), free(c->tile.g);
    free(c->tile.gz), free(c->tile.ge), free(c->tile.k), free(c->tile.gsum);
}

static void expect(const struct tile_case *c, const char *what, int i, int l, vqs_real value, struct oracle o) {
    const struct vqs_step *s = &c->step;
    ASSERT_IN_LOOP(close_to(value, o, s->d * T), "d %d K %d tied %d bias %d n %d: %s[%d], lane %d: %.9g, not %.9g",
                   s->d, s->K, s->tied, s->bias, c->tile.n, what, i, l, (double)value, o.sum);
}

static struct oracle scaled(double factor, struct oracle o) {
    return (struct oracle){factor * o.sum, fabs(factor) * o.size};
}

static struct oracle plus(struct oracle a, struct oracle b) {
    return (struct oracle){a.sum + b.sum, a.size + b.size};
}

/* dL_rec/dq of component i: (2/(B D)) (G q - V^T (x - C)); *into_rec is its share of the squared error. */
static struct oracle gradient_of(const struct tile_case *c, int i, int l, struct oracle *into_rec) {
    const struct vqs_step *s = &c->step;
    const double q = (double)c->tile.q[i * T + l];
    struct oracle decoded = {0}, target = {0};
    for (int j = 0; j < s->d; j++) {
        const double G = s->tied ? (double)(i == j) : (double)c->gram[i * s->d + j];
        oracle_add(&decoded, G * (double)c->tile.q[j * T + l]);
    }
    oracle_add(&target, (double)c->tile.y[((s->tied ? 0 : s->d) + i) * T + l]);
    oracle_add(&target, s->bias ? -(double)c->decoded_bias[i] : 0);
    *into_rec = plus(*into_rec, scaled(q, plus(decoded, scaled(-2, target))));
    return scaled((double)s->rec_scale, plus(decoded, scaled(-1, target)));
}

/* What the sums over a tile should have grown by. */
struct tile_sums {
    struct oracle rec, vq, gsum[100];
};

static void check_sample(const struct tile_case *c, int l, struct tile_sums *sums) {
    const struct vqs_step *s = &c->step;
    const struct vqs_tile *t = &c->tile;
    const int d = s->d;
    const vqs_real *code = c->codes + (size_t)t->k[l] * (size_t)d;
    struct oracle rec = {0};
    oracle_add(&rec, (double)t->sq[l]);
    if (s->bias) {
        oracle_add(&rec, -2 * (double)t->y[(c->rows - 1) * T + l]);
        oracle_add(&rec, (double)s->bias_norm2);
        ck_assert(t->outer[(c->rows - 1) * T + l] == 1);
    }
    for (int i = 0; i < d; i++) {
        struct oracle z = {0}, e = {0};
        oracle_add(&z, (double)t->y[i * T + l]);
        oracle_add(&z, s->bias ? (double)c->encoder_bias[i] : 0);
        expect(c, "z", i, l, t->z[i * T + l], z);
        ASSERT_IN_LOOP(t->q[i * T + l] == code[i], "q[%d], lane %d", i, l);
        oracle_add(&e, (double)code[i]);
        oracle_add(&e, -(double)t->z[i * T + l]);
        sums->vq = plus(sums->vq, (struct oracle){e.sum * e.sum, e.sum * e.sum});
        const struct oracle g = gradient_of(c, i, l, &rec);
        const struct oracle gz = plus(g, scaled(-(double)s->beta * (double)s->vq_scale, e));
        expect(c, "g", i, l, t->g[i * T + l], g);
        expect(c, "gz", i, l, t->gz[i * T + l], gz);
        expect(c, "gc", i, l, t->gc[(size_t)l * vqs_row_stride(d) + (size_t)i], scaled((double)s->vq_scale, e));
        const struct oracle q = {(double)code[i], fabs((double)code[i])};
        if (s->tied) {
            expect(c, "outer", i, l, t->outer[i * T + l], plus(gz, scaled(-(double)s->rec_scale, q)));
        } else {
            expect(c, "outer", i, l, t->outer[i * T + l], gz);
            ASSERT_IN_LOOP(t->outer[(d + i) * T + l] == code[i], "outer[%d], lane %d", d + i, l);
        }
        sums->gsum[i] = plus(sums->gsum[i], gz);
    }
    sums->rec = plus(sums->rec, rec);
}

static void check_sums(const struct tile_case *c, const struct tile_sums *sums) {
    const struct vqs_tile *t = &c->tile;
    expect(c, "rec", 0, 0, (vqs_real)t->rec, sums->rec);
    expect(c, "vq", 0, 0, (vqs_real)t->vq, sums->vq);
    ck_assert(t->zero == 0);
    for (int i = 0; i < c->step.d && c->step.bias; i++) {
        expect(c, "gsum", i, 0, t->gsum[i], sums->gsum[i]);
    }
}

static void check_spare_lanes(const struct tile_case *c) {
    for (int l = c->tile.n; l < T; l++) {
        for (int i = 0; i < c->rows; i++) {
            ASSERT_IN_LOOP(c->tile.outer[i * T + l] == 0, "outer[%d], spare lane %d", i, l);
        }
    }
}

static void try_tile(const struct vqs_kernels *k, uint64_t *state, int d, int K, bool tied, bool bias, int n) {
    struct tile_case c = make_tile_case(k, state, d, K, tied, bias, n);
    struct tile_sums *sums = test_alloc(1, sizeof *sums);
    int *first_equal = test_alloc((size_t)K, sizeof *first_equal);
    for (int i = 0; i < d; i++) {
        oracle_add(&sums->gsum[i], (double)c.tile.gsum[i]);
    }
    for (int j = 0; j < K; j++) {
        first_equal[j] = j;
    }
    k->tile_step(&c.step, &c.tile);
    check_codes(K, d, c.codes, first_equal, c.tile.z, c.tile.k);
    for (int l = 0; l < n; l++) {
        check_sample(&c, l, sums);
    }
    check_sums(&c, sums);
    check_spare_lanes(&c);
    free(first_equal), free(sums);
    free_tile_case(&c);
}

START_TEST(tile_of_a_step) {
    static const int lanes[] = {T, T - 1, 1, 17};
    uint64_t state = 9;
    for (size_t i = 0; i < COUNT_OF(latents); i++) {
        for (int kind = 0; kind < 4; kind++) {
            for (size_t n = 0; n < COUNT_OF(lanes); n++) {
                try_tile(test_class(_i), &state, latents[i], 1 + (int)(test_random(&state) % 40), kind & 1, kind >> 1,
                         lanes[n]);
            }
        }
    }
}
END_TEST

/* The same samples in other lanes give the same codes and gradients to the bit. */
START_TEST(tile_does_not_depend_on_the_lane) {
    uint64_t state = 10;
    for (size_t i = 0; i < COUNT_OF(latents); i++) {
        const int d = latents[i], kind = (int)(i % 4);
        const size_t stride = vqs_row_stride(d);
        struct tile_case c = make_tile_case(test_class(_i), &state, d, 19, kind & 1, kind >> 1, T);
        int lanes[T];
        draw_lanes(&state, lanes);
        vqs_real *y = c.tile.y, *gc = c.tile.gc, *moved_sq = move_lanes(1, lanes, c.tile.sq);
        test_class(_i)->tile_step(&c.step, &c.tile);
        vqs_real *outer = move_lanes(c.rows, lanes, c.tile.outer);
        c.tile.y = move_lanes(c.rows, lanes, y);
        c.tile.gc = test_reals(T * stride);
        memcpy(c.tile.sq, moved_sq, sizeof c.tile.sq);
        test_class(_i)->tile_step(&c.step, &c.tile);
        ck_assert(same_bits(outer, c.tile.outer, (size_t)c.rows * T));
        for (int l = 0; l < T; l++) {
            ck_assert(same_bits(gc + (size_t)l * stride, c.tile.gc + (size_t)lanes[l] * stride, (size_t)d));
        }
        free(y), free(gc), free(moved_sq), free(outer);
        free_tile_case(&c);
    }
}
END_TEST

/* ---- choosing a class -------------------------------------------------------------------------------------------- */

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
    tcase_add_loop_test(tests, assignment, 0, classes);
    tcase_add_loop_test(tests, a_code_that_is_not_a_number_is_never_nearest, 0, classes);
    tcase_add_loop_test(tests, sums_over_codes, 0, classes);
    tcase_add_loop_test(tests, matrices_of_rows, 0, classes);
    tcase_add_loop_test(tests, small_products, 0, classes);
    tcase_add_loop_test(tests, sums_of_parts_run_first_to_last, 0, classes);
    tcase_add_loop_test(tests, dot_and_axpy, 0, classes);
    tcase_add_loop_test(tests, adam_is_the_papers, 0, 2 * classes);
    tcase_add_loop_test(tests, adam_does_not_depend_on_the_place, 0, classes);
    tcase_add_loop_test(tests, tile_of_a_step, 0, classes);
    tcase_add_loop_test(tests, tile_does_not_depend_on_the_lane, 0, classes);
    tcase_add_test(tests, the_environment_chooses_the_class);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
