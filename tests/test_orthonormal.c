/* test_orthonormal.c - retractions: what they restore, that they agree to second order, and what they make of bad
 * input. */
#include "testing.h"
#include "vqsweep/orthonormal.h"

static const enum vqs_retraction kinds[] = {VQS_RETRACTION_MGS, VQS_RETRACTION_POLAR, VQS_RETRACTION_QR,
                                            VQS_RETRACTION_QR_RAW};
static const int shapes[][2] = {{1, 1}, {1, 5}, {2, 2}, {2, 128}, {5, 5}, {8, 64}, {16, 17}, {32, 200}, {64, 256}};

/* A matrix [d][ld]. */
struct matrix {
    int d, D;
    size_t ld, size;
    vqs_real *at;
};

static struct matrix gaussian(uint64_t *state, int d, int D) {
    const size_t ld = vqs_row_stride(D);
    return (struct matrix){d, D, ld, (size_t)d * ld, test_rows(state, (size_t)d, D)};
}

static struct matrix copy_of(const struct matrix *m) {
    struct matrix copy = *m;
    copy.at = test_reals(m->size);
    memcpy(copy.at, m->at, m->size * sizeof *m->at);
    return copy;
}

static int retract(const struct vqs_kernels *k, enum vqs_retraction kind, struct matrix *m) {
    vqs_real *scratch = test_reals(vqs_retract_scratch(kind, m->d, m->ld));
    const int flips = vqs_retract(k, kind, m->d, m->ld, m->at, scratch);
    free(scratch);
    return flips;
}

static struct matrix orthonormal(const struct vqs_kernels *k, uint64_t *state, int d, int D) {
    struct matrix m = gaussian(state, d, D);
    retract(k, VQS_RETRACTION_QR, &m);
    return m;
}

/* m += t E */
static void move(struct matrix *m, double t, const struct matrix *E) {
    for (size_t i = 0; i < m->size; i++) {
        m->at[i] += (vqs_real)(t * (double)E->at[i]);
    }
}

static double dot_rows(const struct matrix *a, int i, const struct matrix *b, int j) {
    double sum = 0;
    for (size_t c = 0; c < a->ld; c++) {
        sum += (double)a->at[(size_t)i * a->ld + c] * (double)b->at[(size_t)j * b->ld + c];
    }
    return sum;
}

/* The largest element of |W W^T - I|. */
static double defect(const struct matrix *m) {
    double worst = 0;
    for (int i = 0; i < m->d; i++) {
        for (int j = 0; j <= i; j++) {
            worst = fmax(worst, fabs(dot_rows(m, i, m, j) - (i == j)));
        }
    }
    return worst;
}

static double difference(const struct matrix *a, const struct matrix *b) {
    double worst = 0;
    for (size_t i = 0; i < a->size; i++) {
        worst = fmax(worst, fabs((double)a->at[i] - (double)b->at[i]));
    }
    return worst;
}

static bool padding_is_zero(const struct matrix *m) {
    for (size_t i = 0; i < m->size; i++) {
        if (i % m->ld >= (size_t)m->D && m->at[i] != 0) {
            return false;
        }
    }
    return true;
}

/* ---- what is restored ------------------------------------------------------------------------------------------ */

START_TEST(rows_become_orthonormal) {
    uint64_t state = 1;
    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const int d = shapes[s][0], D = shapes[s][1];
        for (size_t kind = 0; kind < COUNT_OF(kinds); kind++) {
            struct matrix W = orthonormal(test_class(_i), &state, d, D), E = gaussian(&state, d, D);
            move(&W, 0.1 / sqrt(d * D), &E); /* a step of training, and a large one */
            const int flips = retract(test_class(_i), kinds[kind], &W);
            ck_assert_double_lt(defect(&W), 16 * REAL_EPS);
            ck_assert(padding_is_zero(&W));
            ck_assert(flips == 0 || kinds[kind] == VQS_RETRACTION_QR_RAW);
            free(W.at), free(E.at);
        }
    }
}
END_TEST

/* A first, arbitrary matrix. A square Gaussian one is badly conditioned. */
START_TEST(any_matrix_of_full_rank_becomes_orthonormal) {
    uint64_t state = 2;
    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        struct matrix W = gaussian(&state, shapes[s][0], shapes[s][1]), V = copy_of(&W);
        vqs_orthonormalize(test_class(_i), W.d, W.ld, W.at);
        retract(test_class(_i), VQS_RETRACTION_QR, &V);
        ck_assert_double_lt(defect(&W), 16 * REAL_EPS);
        for (int i = 0; i < W.d; i++) { /* the same rows in the same order, within what the condition leaves */
            ck_assert_double_gt(dot_rows(&W, i, &V, i), 0.999);
        }
        free(W.at), free(V.at);
    }
    struct matrix W = gaussian(&state, 100, 100);
    vqs_orthonormalize(test_class(_i), W.d, W.ld, W.at);
    ck_assert_double_lt(defect(&W), 16 * REAL_EPS);
    free(W.at);
    for (size_t kind = 0; kind < COUNT_OF(kinds); kind++) {
        W = gaussian(&state, 16, 64);
        retract(test_class(_i), kinds[kind], &W);
        ck_assert_double_lt(defect(&W), 32 * REAL_EPS);
        free(W.at);
    }
}
END_TEST

/* ---- each kind's own ------------------------------------------------------------------------------------------- */

void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *lda, double *s,
             double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork, int *info);

/* The nearest matrix with orthonormal rows, P Q of the singular value decomposition W = P S Q. */
static struct matrix nearest_orthonormal(const struct matrix *W) {
    const int d = W->d, ld = (int)W->ld, lwork = 20 * (d + ld);
    int info = 1;
    double *a = test_alloc(W->size, sizeof *a), *u = test_alloc(W->size, sizeof *u);
    double *vt = test_alloc((size_t)(d * d), sizeof *vt), *s = test_alloc((size_t)d, sizeof *s);
    double *work = test_alloc((size_t)lwork, sizeof *work);
    struct matrix nearest = copy_of(W);
    for (size_t i = 0; i < W->size; i++) {
        a[i] = (double)W->at[i];
    }
    dgesvd_("S", "S", &ld, &d, a, &ld, s, u, &ld, vt, &d, work, &lwork, &info); /* column-major: of W^T */
    ck_assert_int_eq(info, 0);
    for (int i = 0; i < d; i++) {
        for (int c = 0; c < ld; c++) {
            double sum = 0;
            for (int j = 0; j < d; j++) {
                sum += u[j * ld + c] * vt[i * d + j];
            }
            nearest.at[i * ld + c] = (vqs_real)sum;
        }
    }
    free(a), free(u), free(vt), free(s), free(work);
    return nearest;
}

START_TEST(polar_is_the_nearest) {
    uint64_t state = 4;
    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const int d = shapes[s][0], D = shapes[s][1];
        struct matrix W = orthonormal(test_class(_i), &state, d, D), E = gaussian(&state, d, D);
        move(&W, 0.2 / sqrt(d * D), &E);
        struct matrix nearest = nearest_orthonormal(&W);
        retract(test_class(_i), VQS_RETRACTION_POLAR, &W);
        ck_assert_double_lt(difference(&W, &nearest), 16 * REAL_EPS);
        free(W.at), free(E.at), free(nearest.at);
    }
}
END_TEST

START_TEST(mgs_is_qr_with_its_signs_mended) {
    uint64_t state = 5;
    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const int d = shapes[s][0], D = shapes[s][1];
        struct matrix W = orthonormal(test_class(_i), &state, d, D), E = gaussian(&state, d, D);
        move(&W, 0.5 / sqrt(d * D), &E);
        struct matrix V = copy_of(&W);
        retract(test_class(_i), VQS_RETRACTION_MGS, &W);
        retract(test_class(_i), VQS_RETRACTION_QR, &V);
        ck_assert_double_lt(difference(&W, &V), 32 * REAL_EPS);
        free(W.at), free(E.at), free(V.at);
    }
}
END_TEST

/* Householder's reflection sends a row with a positive leading element to its negative: raw QR flips it, and says so.
 */
START_TEST(raw_qr_flips_rows_and_counts_them) {
    uint64_t state = 6;
    int total = 0;
    for (int trial = 0; trial < 20; trial++) {
        struct matrix W = orthonormal(test_class(_i), &state, 8, 64), before = copy_of(&W), mended = copy_of(&W);
        int flipped = 0;
        ck_assert_int_eq(retract(test_class(_i), VQS_RETRACTION_QR, &mended), 0);
        const int flips = retract(test_class(_i), VQS_RETRACTION_QR_RAW, &W);
        for (int i = 0; i < W.d; i++) {
            const double along = dot_rows(&before, i, &W, i);
            ck_assert_double_eq_tol(fabs(along), 1, 16 * REAL_EPS);
            ck_assert_double_eq_tol(dot_rows(&mended, i, &W, i), along > 0 ? 1 : -1, 16 * REAL_EPS);
            flipped += along < 0;
        }
        ck_assert_int_eq(flips, flipped);
        total += flips;
        free(W.at), free(before.at), free(mended.at);
    }
    ck_assert_int_gt(total, 20);
}
END_TEST

/* ---- order ----------------------------------------------------------------------------------------------------- */

/* A direction along which W W^T = I holds to first order: E <- E - (W E^T + E W^T)/2 W. */
static void make_tangent(const struct matrix *W, struct matrix *E) {
    struct matrix raw = copy_of(E);
    for (int i = 0; i < W->d; i++) {
        for (int j = 0; j < W->d; j++) {
            const double normal = (dot_rows(W, i, &raw, j) + dot_rows(&raw, i, W, j)) / 2;
            for (size_t c = 0; c < W->ld; c++) {
                E->at[(size_t)i * W->ld + c] -= (vqs_real)(normal * (double)W->at[(size_t)j * W->ld + c]);
            }
        }
    }
    free(raw.at);
}

/* log2 of what halving the step does to a difference of two retractions, or of one and the step itself. */
static double order_of(const struct vqs_kernels *k, const struct matrix *W, const struct matrix *E,
                       enum vqs_retraction a, const enum vqs_retraction *b) {
    double size[2];
    for (int half = 0; half < 2; half++) {
        struct matrix A = copy_of(W);
        move(&A, 1e-3 / (1 + half), E);
        struct matrix B = copy_of(&A);
        retract(k, a, &A);
        if (b) {
            retract(k, *b, &B);
        }
        size[half] = difference(&A, &B);
        free(A.at), free(B.at);
    }
    return log2(size[0] / size[1]);
}

/* Only double has the digits to see it. */
START_TEST(retractions_agree_to_second_order) {
    if (sizeof(vqs_real) == sizeof(float)) {
        return;
    }
    const enum vqs_retraction mgs = VQS_RETRACTION_MGS;
    uint64_t state = 7;
    struct matrix W = orthonormal(test_class(_i), &state, 6, 40), E = gaussian(&state, 6, 40), free_E = copy_of(&E);
    make_tangent(&W, &E);
    for (size_t kind = 0; kind < 3; kind++) { /* along the tangent a retraction is the identity to first order */
        ck_assert_double_eq_tol(order_of(test_class(_i), &W, &E, kinds[kind], NULL), 2, 0.02);
    }
    ck_assert_double_eq_tol(order_of(test_class(_i), &W, &E, VQS_RETRACTION_POLAR, &mgs), 2, 0.02);
    /* across it they part at first order: mgs favours its first rows, polar treats all alike */
    ck_assert_double_eq_tol(order_of(test_class(_i), &W, &free_E, VQS_RETRACTION_POLAR, &mgs), 1, 0.02);
    free(W.at), free(E.at), free(free_E.at);
}
END_TEST

/* ---- bad input ------------------------------------------------------------------------------------------------- */

START_TEST(bad_input_ends) {
    static const double bad[] = {0, NAN, INFINITY, 1e-30, 1e30};
    uint64_t state = 8;
    for (size_t kind = 0; kind < COUNT_OF(kinds); kind++) {
        for (size_t b = 0; b < COUNT_OF(bad); b++) {
            struct matrix W = orthonormal(test_class(_i), &state, 6, 20);
            for (int c = 0; c < 20; c++) { /* one row */
                W.at[2 * W.ld + (size_t)c] = (vqs_real)bad[b];
            }
            retract(test_class(_i), kinds[kind], &W);
            ck_assert_msg(isfinite(bad[b]) == isfinite((double)W.at[2 * W.ld]), "%g became %g", bad[b],
                          (double)W.at[2 * W.ld]);
            for (size_t i = 0; i < W.size; i++) { /* all */
                W.at[i] = (vqs_real)bad[b];
            }
            retract(test_class(_i), kinds[kind], &W);
            free(W.at);
        }
        struct matrix W = orthonormal(test_class(_i), &state, 6, 20); /* a row twice */
        memcpy(W.at + W.ld, W.at, W.ld * sizeof *W.at);
        retract(test_class(_i), kinds[kind], &W);
        free(W.at);
    }
}
END_TEST

int main(void) {
    const int classes = test_class_count();
    Suite *suite = suite_create("orthonormal");
    TCase *tests = tcase_create("each class");
    tcase_add_loop_test(tests, rows_become_orthonormal, 0, classes);
    tcase_add_loop_test(tests, any_matrix_of_full_rank_becomes_orthonormal, 0, classes);
    tcase_add_loop_test(tests, polar_is_the_nearest, 0, classes);
    tcase_add_loop_test(tests, mgs_is_qr_with_its_signs_mended, 0, classes);
    tcase_add_loop_test(tests, raw_qr_flips_rows_and_counts_them, 0, classes);
    tcase_add_loop_test(tests, retractions_agree_to_second_order, 0, classes);
    tcase_add_loop_test(tests, bad_input_ends, 0, classes);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
