/* isa_params.c - parameters as vectors and small matrices: sums, Adam, Gram-Schmidt. */
#include "isa_kernels.h"
#include "simd_math.h"

#include <math.h>

/* ---- vectors --------------------------------------------------------------------------------------------------- */

vqs_real KERNEL(dot)(size_t n, const vqs_real *a, const vqs_real *b) {
    vf acc[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL) {
        for (size_t s = 0; s < 4; s++) {
            acc[s] += v_load(a + i + s * VL) * v_load(b + i + s * VL);
        }
    }
    for (; i + VL <= n; i += VL) {
        acc[0] += v_load(a + i) * v_load(b + i);
    }
    vqs_real sum = v_sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
    for (; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

void KERNEL(add_up)(size_t first, size_t last, int parts, size_t stride, const vqs_real *src, vqs_real *sum) {
    for (size_t i = first; i < last; i += VL) {
        vf acc = v_load(src + i);
        for (int p = 1; p < parts; p++) {
            acc += v_load(src + (size_t)p * stride + i);
        }
        v_store(sum + i, acc);
    }
}

void KERNEL(axpy)(size_t n, vqs_real alpha, const vqs_real *x, vqs_real *y) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        y[i] += alpha * x[i];
    }
}

/* 1 / v of positive normal numbers. In float by Newton's iteration from an integer estimate, to 2 units in the last
 * place: beside the square root a division would wait for the same unit of the CPU; and, unlike the approximate
 * instructions, the same bits from every maker of CPUs. */
INLINE vf v_reciprocal(vf v) {
#ifdef VQS_REAL_IS_DOUBLE
    return v_set(1) / v;
#else
    vf r = (vf)(v_set_int(0x7ef311c7) - (vi)v);
    for (int i = 0; i < 3; i++) {
        r += r * (v_set(1) - v * r);
    }
    return r;
#endif
}

void KERNEL(adam)(const struct vqs_adam_step *step, size_t n, const vqs_real *restrict g, vqs_real *restrict m,
                  vqs_real *restrict v, vqs_real *restrict p) {
    const vf beta1 = v_set(step->beta1), beta2 = v_set(step->beta2), eps = v_set(step->eps), rate = v_set(step->rate);
    const vf rest1 = v_set(step->rest1), rest2 = v_set(step->rest2), scale = v_set(step->inv_sqrt_2);
    for (size_t i = 0; i < n; i += VL) { /* parameters are padded to whole vectors */
        const vf gi = v_load(g + i), mi = beta1 * v_load(m + i) + rest1 * gi,
                 vi_ = beta2 * v_load(v + i) + rest2 * gi * gi;
        v_store(m + i, mi);
        v_store(v + i, vi_);
        v_store(p + i, v_load(p + i) - rate * mi * v_reciprocal(v_sqrt(vi_) * scale + eps));
    }
}

/* ---- small matrices by rows of parameters ---------------------------------------------------------------------- */

INLINE void combine_block(int height, int vecs, int d, size_t ld, const vqs_real *A, const vqs_real *V, vqs_real scale,
                          vqs_real keep, vqs_real *out) {
    vf sum[ROWS][VECS];
    for (int h = 0; h < height; h++) {
        for (int v = 0; v < vecs; v++) {
            sum[h][v] = v_set(0);
        }
    }
    for (int j = 0; j < d; j++) {
        vf row[VECS];
        for (int v = 0; v < vecs; v++) {
            row[v] = v_load(V + (size_t)j * ld + (size_t)(v * VL));
            V_PIN(row[v]);
        }
        for (int h = 0; h < height; h++) {
            vf a = v_set(A[(size_t)h * vqs_row_stride(d) + (size_t)j]);
            V_PIN(a);
            for (int v = 0; v < vecs; v++) {
                sum[h][v] += a * row[v];
            }
        }
    }
    for (int h = 0; h < height; h++) {
        for (int v = 0; v < vecs; v++) {
            vqs_real *at = out + (size_t)h * ld + (size_t)(v * VL);
            v_store(at, v_set(scale) * sum[h][v] + v_set(keep) * v_load(at));
        }
    }
}

INLINE void combine_rows(int height, int d, size_t ld, const vqs_real *A, const vqs_real *V, vqs_real scale,
                         vqs_real keep, vqs_real *out) {
    ALONG_ROW(j, vecs, ld, combine_block(height, vecs, d, ld, A, V + j, scale, keep, out + j));
}

void KERNEL(combine)(int d, size_t ld, const vqs_real *A, const vqs_real *V, vqs_real scale, vqs_real keep, int first,
                     int last, vqs_real *out) {
    const size_t stride = vqs_row_stride(d);
    int i = first;
    for (; i + ROWS <= last; i += ROWS) {
        combine_rows(ROWS, d, ld, A + (size_t)i * stride, V, scale, keep, out + (size_t)i * ld);
    }
    for (; i < last; i++) {
        combine_rows(1, d, ld, A + (size_t)i * stride, V, scale, keep, out + (size_t)i * ld);
    }
}

/* Pointers to four rows from i on, of which those past the last repeat it. */
INLINE void four_rows(int d, size_t ld, const vqs_real *A, int i, const vqs_real *rows[4]) {
    for (int s = 0; s < 4; s++) {
        rows[s] = A + (size_t)(i + s < d ? i + s : d - 1) * ld;
    }
}

void KERNEL(gram)(int d, size_t ld, const vqs_real *A, vqs_real *G) {
    vqs_real block[COLS * T];
    for (int j = 0; j < d; j += COLS) {
        const int cols = d - j < COLS ? d - j : COLS;
        for (int i = j; i < d; i += 4) {
            const vqs_real *rows[4];
            four_rows(d, ld, A, i, rows);
            if (cols == COLS) {
                project_narrow_block(COLS, 4, ld, rows, A + (size_t)j * ld, block);
            } else {
                for (int c = 0; c < cols; c++) {
                    project_narrow_block(1, 4, ld, rows, A + (size_t)(j + c) * ld, block + c * T);
                }
            }
            for (int c = 0; c < cols; c++) {
                for (int s = 0; s < 4 && i + s < d; s++) {
                    G[(i + s) * d + j + c] = G[(j + c) * d + i + s] = block[c * T + s];
                }
            }
        }
    }
}

/* Rows [first, first + n) among themselves, one after the other. */
INLINE void orthonormal_panel(int first, int n, size_t ld, vqs_real *W) {
    for (int i = 0; i < n; i++) {
        vqs_real *w = W + (size_t)(first + i) * ld;
        const vqs_real norm2 = KERNEL(dot)(ld, w, w), scale = norm2 > 0 ? 1 / real_sqrt(norm2) : 0;
        for (size_t c = 0; c < ld; c += VL) {
            v_store(w + c, v_load(w + c) * v_set(scale));
        }
        for (int j = i + 1; j < n; j++) {
            vqs_real *later = W + (size_t)(first + j) * ld;
            KERNEL(axpy)(ld, -KERNEL(dot)(ld, w, later), w, later);
        }
    }
}

enum { PANEL = 4 }; /* rows */

/* A panel of orthonormal rows is taken out of four later rows at a time. */
INLINE void take_out_panel(int first, int j, int d, size_t ld, vqs_real *W) {
    const vqs_real *rows[4], *panel = W + (size_t)first * ld;
    const int n = d - j < 4 ? d - j : 4;
    vqs_real p[PANEL * T];
    four_rows(d, ld, W, j, rows);
    for (int i = 0; i < PANEL; i += COLS) {
        project_narrow_block(COLS, 4, ld, rows, panel + (size_t)i * ld, p + i * T);
    }
    for (size_t c = 0; c < ld; c += VL) {
        vf w[PANEL];
        for (int i = 0; i < PANEL; i++) {
            w[i] = v_load(panel + (size_t)i * ld + c);
        }
        for (int s = 0; s < n; s++) {
            vqs_real *at = W + (size_t)(j + s) * ld + c;
            vf v = v_load(at);
            for (int i = 0; i < PANEL; i++) {
                v -= v_set(p[i * T + s]) * w[i];
            }
            v_store(at, v);
        }
    }
}

/* By panels: each is made orthonormal within itself and then taken out of all later rows, so that these are read and
 * written once for a panel and not once for a row. */
void KERNEL(gram_schmidt)(int d, size_t ld, vqs_real *W) {
    int i = 0;
    for (; i + PANEL <= d; i += PANEL) {
        orthonormal_panel(i, PANEL, ld, W);
        for (int j = i + PANEL; j < d; j += 4) {
            take_out_panel(i, j, d, ld, W);
        }
    }
    orthonormal_panel(i, d - i, ld, W);
}

/* ---- small products on a tile ---------------------------------------------------------------------------------- */

INLINE void mix_rows(int rows, int d, const vqs_real *G, const vqs_real *in, vqs_real *out) {
    for (int l = 0; l < T; l += 2 * VL) {
        vf acc[ROWS][2];
        for (int i = 0; i < rows; i++) {
            acc[i][0] = acc[i][1] = v_set(0);
        }
        for (int j = 0; j < d; j++) {
            vf a = v_load(in + j * T + l), b = v_load(in + j * T + l + VL);
            for (int i = 0; i < rows; i++) {
                vf g = v_set(G[(size_t)i * (size_t)d + (size_t)j]);
                V_PIN(g);
                acc[i][0] += g * a;
                acc[i][1] += g * b;
            }
        }
        for (int i = 0; i < rows; i++) {
            v_store(out + i * T + l, acc[i][0]);
            v_store(out + i * T + l + VL, acc[i][1]);
        }
    }
}

void KERNEL(mix)(int d, const vqs_real *G, const vqs_real *in, vqs_real *out) {
    int i = 0;
    for (; i + ROWS <= d; i += ROWS) {
        mix_rows(ROWS, d, G + (size_t)i * (size_t)d, in, out + i * T);
    }
    for (; i < d; i++) {
        mix_rows(1, d, G + (size_t)i * (size_t)d, in, out + i * T);
    }
}
