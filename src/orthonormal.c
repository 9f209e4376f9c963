/* orthonormal.c - retractions onto matrices with orthonormal rows. */
#include "vqsweep/orthonormal.h"

#include <math.h>
#include <string.h>

#ifdef VQS_REAL_IS_DOUBLE
#define geqrf dgeqrf_
#define orgqr dorgqr_
#else
#define geqrf sgeqrf_
#define orgqr sorgqr_
#endif

/* LAPACK, column-major: a matrix [d][ld] of ours is ld x d of theirs. */
void geqrf(const int *m, const int *n, vqs_real *a, const int *lda, vqs_real *tau, vqs_real *work, const int *lwork,
           int *info);
void orgqr(const int *m, const int *n, const int *k, vqs_real *a, const int *lda, const vqs_real *tau, vqs_real *work,
           const int *lwork, int *info);

enum { QR_BLOCK = 64 }; /* columns of work for LAPACK's blocked code */

static size_t row(int i, size_t ld) {
    return (size_t)i * ld;
}

/* Once loses as many digits as the matrix's condition number has; twice is enough (Giraud et al. 2005). A retraction
 * starts next to an orthonormal matrix and needs it once. */
void vqs_orthonormalize(const struct vqs_kernels *k, int d, size_t ld, vqs_real *W) {
    k->gram_schmidt(d, ld, W);
    k->gram_schmidt(d, ld, W);
}

/* Newton-Schulz: W <- (3/2 I - 1/2 W W^T) W, quadratic once |W W^T - I| < 1. A step of Adam leaves it far inside; what
 * comes from outside (a first, arbitrary W) is made orthonormal by Gram-Schmidt first. */
static void retract_polar(const struct vqs_kernels *k, int d, size_t ld, vqs_real *W, vqs_real *scratch) {
    vqs_real *G = scratch, *next = scratch + (size_t)d * (size_t)d;
    const vqs_real squares_away =
        sizeof(vqs_real) == 4 ? (vqs_real)1e-7 : (vqs_real)1e-16; /* below rounding next time */
    bool last = false;
    for (int iteration = 0; iteration < 8 && !last; iteration++) {
        k->gram(d, ld, W, G);
        vqs_real off = 0; /* |G - I|_F^2 */
        for (int i = 0; i < d * d; i++) {
            vqs_real e = G[i] - (i % (d + 1) == 0);
            off += e * e;
        }
        if (!isfinite(off)) {
            return;
        }
        if (off >= (vqs_real)0.5) {
            vqs_orthonormalize(k, d, ld, W);
            return;
        }
        last = off <= squares_away;
        for (int i = 0; i < d; i++) {
            memset(next + row(i, ld), 0, ld * sizeof *next);
            for (int j = 0; j < d; j++) {
                k->axpy(ld, (i == j ? (vqs_real)1.5 : 0) - G[i * d + j] / 2, W + row(j, ld), next + row(i, ld));
            }
        }
        memcpy(W, next, row(d, ld) * sizeof *W);
    }
}

static void retract_qr(int d, size_t ld, bool mend_signs, vqs_real *W, vqs_real *scratch) {
    vqs_real *tau = scratch, *diagonal = tau + d, *work = diagonal + d;
    const int m = (int)ld, lwork = QR_BLOCK * d;
    int info = 0;
    geqrf(&m, &d, W, &m, tau, work, &lwork, &info);
    for (int i = 0; i < d; i++) {
        diagonal[i] = W[row(i, ld) + (size_t)i];
    }
    orgqr(&m, &d, &d, W, &m, tau, work, &lwork, &info);
    for (int i = 0; i < d; i++) {
        for (size_t c = 0; mend_signs && diagonal[i] < 0 && c < ld; c++) {
            W[row(i, ld) + c] = -W[row(i, ld) + c];
        }
    }
}

size_t vqs_retract_scratch(enum vqs_retraction kind, int d, size_t ld) {
    size_t before = row(d, ld); /* the rows before the step, to count flips */
    switch (kind) {
    case VQS_RETRACTION_POLAR:
        return before + (size_t)d * (size_t)d + row(d, ld);
    case VQS_RETRACTION_QR:
    case VQS_RETRACTION_QR_RAW:
        return before + (2 + QR_BLOCK) * (size_t)d;
    default:
        return before;
    }
}

int vqs_retract(const struct vqs_kernels *k, enum vqs_retraction kind, int d, size_t ld, vqs_real *W,
                vqs_real *scratch) {
    vqs_real *before = scratch, *work = scratch + row(d, ld);
    memcpy(before, W, row(d, ld) * sizeof *W);
    switch (kind) {
    case VQS_RETRACTION_MGS:
        k->gram_schmidt(d, ld, W);
        break;
    case VQS_RETRACTION_POLAR:
        retract_polar(k, d, ld, W, work);
        break;
    case VQS_RETRACTION_QR:
    case VQS_RETRACTION_QR_RAW:
        retract_qr(d, ld, kind == VQS_RETRACTION_QR, W, work);
        break;
    }
    int flips = 0;
    for (int i = 0; i < d; i++) {
        flips += k->dot(ld, before + row(i, ld), W + row(i, ld)) < 0;
    }
    return flips;
}

/* ---- rows or columns -------------------------------------------------------------------------------------------- */

/* to [cols][row stride of rows], spare values 0 */
static void transpose(int rows, int cols, const vqs_real *W, vqs_real *to) {
    const size_t ld = vqs_row_stride(cols), ld_to = vqs_row_stride(rows);
    memset(to, 0, row(cols, ld_to) * sizeof *to);
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < cols; j++) {
            to[row(j, ld_to) + (size_t)i] = W[row(i, ld) + (size_t)j];
        }
    }
}

void vqs_orthonormalize_either(const struct vqs_kernels *k, int rows, int cols, vqs_real *W, vqs_real *scratch) {
    if (rows <= cols) {
        vqs_orthonormalize(k, rows, vqs_row_stride(cols), W);
        return;
    }
    transpose(rows, cols, W, scratch);
    vqs_orthonormalize(k, cols, vqs_row_stride(rows), scratch);
    transpose(cols, rows, scratch, W);
}

size_t vqs_retract_either_scratch(enum vqs_retraction kind, int rows, int cols) {
    return rows <= cols ? vqs_retract_scratch(kind, rows, vqs_row_stride(cols))
                        : row(cols, vqs_row_stride(rows)) + vqs_retract_scratch(kind, cols, vqs_row_stride(rows));
}

int vqs_retract_either(const struct vqs_kernels *k, enum vqs_retraction kind, int rows, int cols, vqs_real *W,
                       vqs_real *scratch) {
    const size_t ld = vqs_row_stride(rows);
    if (rows <= cols) {
        return vqs_retract(k, kind, rows, vqs_row_stride(cols), W, scratch);
    }
    transpose(rows, cols, W, scratch);
    const int flips = vqs_retract(k, kind, cols, ld, scratch, scratch + row(cols, ld));
    transpose(cols, rows, scratch, W);
    return flips;
}
