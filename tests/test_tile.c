/* test_tile.c - the kernels that know codes: assignment, sums over codes, the tile of a step. Against naive oracles in
 * double, in every CPU class. */
#include "lanes.h"
#include "tile.h"
#include "vqsweep/rng.h"

/* ---- assign ---------------------------------------------------------------------------------------------------- */

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

/* ---- scores of chosen codes ------------------------------------------------------------------------------------ */

/* Comparing all scores finds what `assign` finds, though many differ by a last digit or not at all. */
static void try_score(const struct vqs_kernels *kernels, uint64_t *state, int K, int d) {
    vqs_real *codes = test_normals(state, (size_t)K * (size_t)d), *z = test_normals(state, (size_t)d * T);
    vqs_real *q = test_reals((size_t)d * T), score[T], least[T];
    uint32_t k[T], all[T], nearest[T] = {0};
    for (int j = K / 4; j < K; j++) {
        vqs_real *c = codes + j * d;
        memcpy(c, codes + (int)(test_random(state) % (unsigned)(K / 4)) * d, (size_t)d * sizeof *c);
        vqs_real *moved = &c[test_random(state) % (unsigned)d];
        *moved = (vqs_real)((double)*moved * (1 + REAL_EPS * (double)(test_random(state) % 3)));
    }
    for (int j = 0; j < K; j++) {
        for (int l = 0; l < T; l++) {
            all[l] = (uint32_t)j;
        }
        kernels->lookup(d, codes, all, q);
        kernels->score(d, q, z, score);
        for (int l = 0; l < T; l++) {
            ck_assert(same_bits(&q[(d - 1) * T + l], &codes[j * d + d - 1], 1));
            if (j == 0 || score[l] < least[l]) {
                least[l] = score[l];
                nearest[l] = (uint32_t)j;
            }
        }
    }
    const struct packing packed = pack_codes(kernels, K, d, codes);
    kernels->assign(K, d, packed.codes, packed.half_norm, z, k);
    ck_assert_msg(memcmp(k, nearest, sizeof k) == 0, "K %d d %d: scores are not those of assign", K, d);
    kernels->lookup(d, codes, k, q);
    for (int i = 0; i < d * T; i++) {
        ASSERT_IN_LOOP(q[i] == codes[(int)k[i % T] * d + i / T], "d %d: component %d of lane %d", d, i / T, i % T);
    }
    free_packing(packed);
    free(codes), free(z), free(q);
}

static void try_distance(const struct vqs_kernels *kernels, uint64_t *state, int d) {
    vqs_real *z = test_normals(state, (size_t)d * T), *q = test_normals(state, (size_t)d * T);
    double sum = 0;
    for (int n = 1; n <= T; n++) {
        for (int i = 0; i < d; i++) {
            sum += pow((double)z[i * T + n - 1] - (double)q[i * T + n - 1], 2);
        }
        ck_assert_double_eq_tol(kernels->distance(n, d, z, q), sum, 1e-14 * sum);
    }
    free(z), free(q);
}

START_TEST(scores_and_distances) {
    uint64_t state = 12;
    for (size_t i = 0; i < COUNT_OF(latents); i++) {
        for (int K = 8; K <= 208; K += 40) {
            try_score(test_class(_i), &state, K, latents[i]);
        }
        try_distance(test_class(_i), &state, latents[i]);
    }
}
END_TEST

/* Codes 0..7, of which some have moved: every order of scores, with ties. */
START_TEST(choice_between_codes_that_stand_and_that_moved) {
    enum { K = 8 };
    const struct vqs_kernels *kernels = test_class(_i);
    uint64_t state = 13;
    for (int try = 0; try < 1000; try++) {
        uint32_t moved[K], is_moved[K], was[T], k[T], nearest[T], n = 0;
        vqs_real own[T], best[T];
        for (uint32_t j = 0; j < K; j++) {
            is_moved[j] = test_random(&state) % 2 || (n == 0 && j == K - 1);
            if (is_moved[j]) {
                moved[n++] = j;
            }
        }
        for (int l = 0; l < T; l++) {
            was[l] = (uint32_t)(test_random(&state) % K);
            k[l] = nearest[l] = (uint32_t)(test_random(&state) % n);
            own[l] = (vqs_real)(test_random(&state) % 3) - 1;
            best[l] = (vqs_real)(test_random(&state) % 3) - 1;
        }
        const uint32_t open = kernels->choose(own, best, was, moved, is_moved, k), unlike = kernels->differ(was, k);
        for (int l = 0; l < T; l++) {
            const uint32_t candidate = moved[nearest[l]];
            const bool tie_won = best[l] == own[l] && candidate < was[l] && !is_moved[was[l]];
            const bool wins = best[l] < own[l] || tie_won;
            ck_assert_uint_eq(k[l], wins ? candidate : was[l]);
            ck_assert_uint_eq(open >> l & 1, !wins && is_moved[was[l]]);
            ck_assert_uint_eq(unlike >> l & 1, k[l] != was[l]);
        }
    }
}
END_TEST

/* ---- codes: gathering gradients, moments ----------------------------------------------------------------------- */

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

/* The same sums, and those of the samples, to the bit: the order of the samples of a code is the same. */
static void try_sum_runs(const struct vqs_kernels *kernels, uint64_t *state, int K, int d, size_t ld) {
    enum { N = 75 };
    const size_t stride = vqs_row_stride(d), codes = (size_t)K, width = (size_t)d;
    vqs_real *g = test_normals(state, N * stride + VQS_ROW_UNIT), *grad = test_normals(state, codes * width);
    vqs_real *x = test_normals(state, 2 * N * ld), *x_sums = test_normals(state, codes * ld);
    vqs_real *expected = test_reals(codes * width), *expected_x = test_reals(codes * ld);
    uint32_t sorted[N], rows[N], k[N], *count = test_alloc(codes, sizeof *count), n = 0;
    const int cut = (int)(test_random(state) % (unsigned)(K + 1));
    for (size_t l = 0; l < N; l++) {
        k[l] = (uint32_t)(test_random(state) % (unsigned)K);
        rows[l] = (uint32_t)(test_random(state) % (2 * N));
        for (size_t i = 0; i < width; i++) {
            expected[k[l] * width + i] += g[l * stride + i];
        }
        for (size_t j = 0; j < ld; j++) {
            expected_x[k[l] * ld + j] += x[rows[l] * ld + j];
        }
    }
    uint32_t n_first = 0;
    for (uint32_t c = 0; c < codes; c++) {
        n_first = c == (uint32_t)cut ? n : n_first;
        for (uint32_t l = 0; l < N; l++) {
            if (k[l] == c) {
                sorted[n++] = l;
                count[c]++;
            }
        }
    }
    kernels->sum_runs(cut, K, count, sorted + n_first, d, g, grad, ld, x, rows, x_sums);
    kernels->sum_runs(0, cut, count, sorted, d, g, grad, ld, x, rows, x_sums);
    ck_assert_msg(same_bits(grad, expected, codes * width), "K %d d %d, cut at %d", K, d, cut);
    ck_assert_msg(same_bits(x_sums, expected_x, codes * ld), "K %d ld %zu, cut at %d", K, ld, cut);
    free(g), free(grad), free(x), free(x_sums), free(expected), free(expected_x), free(count);
}

static void try_spread(const struct vqs_kernels *k, uint64_t *state, int K, int d, size_t ld) {
    vqs_real *codes = test_normals(state, (size_t)K * (size_t)d), *s = test_normals(state, (size_t)K * ld);
    vqs_real *out = test_reals((size_t)d * ld);
    uint32_t *used = test_alloc((size_t)K, sizeof *used);
    const int cut = (int)(test_random(state) % (unsigned)(d + 1));
    int n = 0;
    for (int j = 0; j < K; j += 1 + (int)(test_random(state) % 2)) {
        used[n++] = (uint32_t)j;
    }
    k->spread(n, used, d, codes, ld, s, cut, d, out);
    k->spread(n, used, d, codes, ld, s, 0, cut, out);
    for (size_t i = 0; i < (size_t)d; i++) {
        for (size_t j = 0; j < ld; j++) {
            struct oracle o = {0};
            for (int u = 0; u < n; u++) {
                oracle_add(&o, (double)codes[used[u] * (size_t)d + i] * (double)s[used[u] * ld + j]);
            }
            ASSERT_IN_LOOP(close_to(out[i * ld + j], o, K), "K %d d %d ld %zu: %zu, %zu", K, d, ld, i, j);
        }
    }
    free(codes), free(s), free(out), free(used);
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
    static const int codes[] = {1, 2, 7, 40, 300};
    uint64_t state = 11;
    for (size_t i = 0; i < COUNT_OF(latents); i++) {
        for (size_t K = 0; K < COUNT_OF(codes); K++) {
            try_scatter(test_class(_i), &state, codes[K], latents[i]);
            try_code_moments(test_class(_i), &state, codes[K], latents[i]);
            try_sum_runs(test_class(_i), &state, codes[K], latents[i], vqs_row_stride(20 + 30 * (int)i));
            try_spread(test_class(_i), &state, codes[K], latents[i], vqs_row_stride(20 + 30 * (int)i));
        }
    }
}
END_TEST

/* ---- the tile of a step ---------------------------------------------------------------------------------------- */

/* A step and one tile of it with all they point at, in one piece of memory. */
struct tile_case {
    struct vqs_step step;
    struct vqs_quantizer quantizer;
    struct vqs_settings settings;
    struct vqs_tile tile;
    int rows; /* of y */
    struct packing packed;
    vqs_real *codes, *gram, *encoder_bias, *decoded_bias, *sq;
    struct vqs_arena scratch;
};

/* by_code: `outer` is gz alone, unless tied or of few components. */
static void make_tile_case(const struct vqs_kernels *k, const char *estimator, uint64_t *state, int d, int K, bool tied,
                           bool bias, bool by_code, int n, struct tile_case *c) {
    const size_t D = (size_t)d;
    memset(c, 0, sizeof *c);
    vqs_settings_default(&c->settings);
    c->settings.d = d;
    c->settings.K = K;
    c->settings.bias = bias;
    c->settings.batch = by_code ? 100 * K : 1;
    c->rows = (tied ? 1 : 2) * d + bias;
    c->codes = test_normals(state, (size_t)K * D + VQS_ROW_UNIT);
    c->packed = pack_codes(k, K, d, c->codes);
    c->gram = test_normals(state, D * D);
    c->encoder_bias = test_normals(state, D);
    c->decoded_bias = test_normals(state, D);
    c->quantizer = (struct vqs_quantizer){.levels = 1,
                                          .groups = 1,
                                          .n_codebooks = 1,
                                          .K = K,
                                          .width = d,
                                          .codes = c->codes,
                                          .packed = c->packed.codes,
                                          .half_norm = c->packed.half_norm};
    c->step = (struct vqs_step){
        .settings = &c->settings,
        .estimator = &k->estimators[vqs_estimator_find(estimator)],
        .kernels = k,
        .quantizer = &c->quantizer,
        .each = true,
        .d = d,
        .tied = tied,
        .bias = bias,
        .gram = c->gram,
        .encoder_bias = c->encoder_bias,
        .decoded_bias = c->decoded_bias,
        .bias_norm2 = 3,
        .rec_scale = (vqs_real)0.01,
        .code_scale = (vqs_real)0.02,
        .commit_scale = (vqs_real)0.005,
        .tau = 1,
    };
    vqs_tile_carve(&c->settings, c->step.estimator, c->rows, &c->scratch, &c->tile);
    ck_assert(vqs_arena_create(&c->scratch, c->scratch.used, NULL) == VQS_OK);
    vqs_tile_carve(&c->settings, c->step.estimator, c->rows, &c->scratch, &c->tile);
    vqs_real *y = test_normals(state, (size_t)c->rows * T);
    memcpy(c->tile.y, y, (size_t)c->rows * T * sizeof *y);
    free(y);
    c->tile.n = n;
    c->tile.gc = test_reals(T * vqs_row_stride(d));
    c->tile.k = test_alloc(T, sizeof *c->tile.k);
    c->tile.gsum = test_normals(state, D); /* is added to */
    c->sq = test_reals(2 * T);
    c->tile.sq = c->sq;
    for (int i = 0; i < 2 * T; i++) {
        c->sq[i] = (vqs_real)(10 + test_uniform(state));
    }
    for (int l = 0; l < T; l++) {
        c->tile.rows[l] = (uint32_t)(test_random(state) % (2 * T));
    }
}

static void free_tile_case(struct tile_case *c) {
    free_packing(c->packed);
    vqs_arena_destroy(&c->scratch);
    free(c->codes), free(c->gram), free(c->sq), free(c->encoder_bias), free(c->decoded_bias);
    free(c->tile.gc), free(c->tile.k), free(c->tile.gsum);
}

static void expect(const struct tile_case *c, const char *what, int i, int l, vqs_real value, struct oracle o) {
    const struct vqs_step *s = &c->step;
    ASSERT_IN_LOOP(close_to(value, o, s->d * T), "d %d K %d tied %d bias %d n %d: %s[%d], lane %d: %.9g, not %.9g",
                   s->d, s->quantizer->K, s->tied, s->bias, c->tile.n, what, i, l, (double)value, o.sum);
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
    oracle_add(&rec, (double)t->sq[t->rows[l]]);
    if (s->bias) {
        oracle_add(&rec, -2 * (double)t->y[(c->rows - 1) * T + l]);
        oracle_add(&rec, (double)s->bias_norm2);
        ck_assert(t->outer == t->gz || t->outer[(c->rows - 1) * T + l] == 1);
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
        const struct oracle gz = plus(g, scaled(-(double)s->commit_scale, e));
        expect(c, "g", i, l, t->g[i * T + l], g);
        expect(c, "gz", i, l, t->gz[i * T + l], gz);
        expect(c, "gc", i, l, t->gc[(size_t)l * vqs_row_stride(d) + (size_t)i], scaled((double)s->code_scale, e));
        const struct oracle q = {(double)code[i], fabs((double)code[i])};
        if (s->tied) {
            expect(c, "outer", i, l, t->outer[i * T + l], plus(gz, scaled(-(double)s->rec_scale, q)));
        } else {
            expect(c, "outer", i, l, t->outer[i * T + l], gz);
            ASSERT_IN_LOOP(t->outer == t->gz || t->outer[(d + i) * T + l] == code[i], "outer[%d], lane %d", d + i, l);
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
        for (int i = 0; i < (c->tile.outer == c->tile.gz ? c->step.d : c->rows); i++) {
            ASSERT_IN_LOOP(c->tile.outer[i * T + l] == 0, "outer[%d], spare lane %d", i, l);
        }
    }
}

static void try_tile(const struct vqs_kernels *k, uint64_t *state, int d, int K, bool tied, bool bias, bool by_code,
                     int n) {
    struct tile_case c;
    make_tile_case(k, "ste", state, d, K, tied, bias, by_code, n, &c);
    ck_assert((c.tile.outer == c.tile.gz) == (by_code && !tied && d > 4));
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
        for (int kind = 0; kind < 8; kind++) {
            for (size_t n = 0; n < COUNT_OF(lanes); n++) {
                try_tile(test_class(_i), &state, latents[i], 1 + (int)(test_random(&state) % 40), kind & 1,
                         kind >> 1 & 1, kind >> 2, lanes[n]);
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
        struct tile_case c;
        make_tile_case(test_class(_i), "ste", &state, d, 19, kind & 1, kind >> 1, false, T, &c);
        int lanes[T];
        draw_lanes(&state, lanes);
        vqs_real *gc = c.tile.gc, *outer, *y;
        uint32_t rows[T];
        test_class(_i)->tile_step(&c.step, &c.tile);
        outer = move_lanes(c.rows, lanes, c.tile.outer), y = move_lanes(c.rows, lanes, c.tile.y);
        memcpy(c.tile.y, y, (size_t)c.rows * T * sizeof *y);
        c.tile.gc = test_reals(T * stride);
        memcpy(rows, c.tile.rows, sizeof rows);
        for (int l = 0; l < T; l++) {
            c.tile.rows[lanes[l]] = rows[l];
        }
        test_class(_i)->tile_step(&c.step, &c.tile);
        ck_assert(same_bits(outer, c.tile.outer, (size_t)c.rows * T));
        for (int l = 0; l < T; l++) {
            ck_assert(same_bits(gc + (size_t)l * stride, c.tile.gc + (size_t)lanes[l] * stride, (size_t)d));
        }
        free(y), free(gc), free(outer);
        free_tile_case(&c);
    }
}
END_TEST

/* The estimator's random numbers are those of (seed, step, tile), whichever row asks, and a row that draws none is
 * given none. */
static void check_draws(const struct vqs_kernels *k, const struct vqs_estimator *e, int d, int K) {
    enum { NUMBER = 5, TILE = 3, GROUP = VQS_RNG_GROUP };
    const size_t latent = (size_t)d * T, choices = (size_t)K * T, stride = vqs_row_stride(d);
    vqs_real *noise = test_reals(latent);
    uint32_t *words = test_alloc(choices, sizeof *words);
    uint64_t state = 12;
    struct tile_case c;
    make_tile_case(k, e->name, &state, d, K, false, false, false, T, &c);
    c.tile.fsum = test_reals(stride);
    c.tile.moments = e->needs & VQS_GIVES_VALUE ? test_reals(stride * (size_t)d) : NULL;
    c.tile.gcodes = test_reals((size_t)(K * d));
    vqs_real *learned = e->fitting ? test_reals(e->fitting->size(&c.settings)) : NULL;
    c.tile.number = TILE;
    c.step.number = NUMBER;
    c.step.learned = learned;
    k->tile_step(&c.step, &c.tile);
    const struct vqs_stream stream = {k, c.settings.seed, VQS_RNG_ESTIMATOR, NUMBER};
    vqs_rng_normal(&stream, TILE * ((latent + GROUP - 1) / GROUP * GROUP), latent, 1, noise);
    vqs_rng_words(&stream, TILE * ((choices + GROUP - 1) / GROUP * GROUP), choices, words);
    ck_assert(!(e->needs & VQS_NEEDS_NOISE) == !c.tile.noise && !(e->needs & VQS_NEEDS_CHOICES) == !c.tile.words);
    ck_assert_msg(!c.tile.noise || same_bits(noise, c.tile.noise, latent), "%s: noise", e->name);
    ck_assert_msg(!c.tile.words || !memcmp(words, c.tile.words, choices * sizeof *words), "%s: words", e->name);
    free(noise), free(words), free(learned), free(c.tile.fsum), free(c.tile.moments), free(c.tile.gcodes);
    free_tile_case(&c);
}

START_TEST(random_numbers_do_not_depend_on_the_estimator) {
    for (int i = 0; i < vqs_estimator_count(); i++) {
        if (test_class(_i)->estimators[i].backward) {
            check_draws(test_class(_i), &test_class(_i)->estimators[i], 3, 7);
            check_draws(test_class(_i), &test_class(_i)->estimators[i], 8, 16);
        }
    }
}
END_TEST

int main(void) {
    const int classes = test_class_count();
    Suite *suite = suite_create("tile");
    TCase *tests = tcase_create("each class");
    tcase_add_loop_test(tests, assignment, 0, classes);
    tcase_add_loop_test(tests, a_code_that_is_not_a_number_is_never_nearest, 0, classes);
    tcase_add_loop_test(tests, scores_and_distances, 0, classes);
    tcase_add_loop_test(tests, choice_between_codes_that_stand_and_that_moved, 0, classes);
    tcase_add_loop_test(tests, sums_over_codes, 0, classes);
    tcase_add_loop_test(tests, tile_of_a_step, 0, classes);
    tcase_add_loop_test(tests, tile_does_not_depend_on_the_lane, 0, classes);
    tcase_add_loop_test(tests, random_numbers_do_not_depend_on_the_estimator, 0, classes);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
