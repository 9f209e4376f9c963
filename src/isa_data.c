/* isa_data.c - products of samples with weights: the bulk of a step's arithmetic. */
#include "isa_kernels.h"

/* ---- project: lanes are features while there are few filters, filters once they fill a vector ------------------ */

/* Filters [first, last) for the whole tile, `cols` filters and `samples` samples at a time. */
INLINE void project_narrow_columns(int cols, int samples, int first, int last, size_t ld, const vqs_real *x,
                                   const uint32_t *rows, const vqs_real *m, vqs_real *out) {
    for (int l = 0; l < T; l += samples) {
        const vqs_real *xs[8];
        for (int s = 0; s < samples; s++) {
            xs[s] = x + rows[l + s] * ld;
        }
        for (int c = first; c < last; c += cols) {
            project_narrow_block(cols, samples, ld, xs, m + (size_t)c * ld, out + c * T + l);
        }
    }
}

static void project_narrow(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *m,
                           vqs_real *out) {
    const int fours = COLS == 4 ? C / 4 * 4 : 0, twos = C / 2 * 2;
    if (fours) {
        project_narrow_columns(4, 4, 0, fours, ld, x, rows, m, out);
    }
    if (twos > fours) {
        project_narrow_columns(2, COLS == 4 ? 8 : 4, fours, twos, ld, x, rows, m, out);
    }
    if (C > twos) {
        project_narrow_columns(1, COLS == 4 ? 8 : 4, twos, C, ld, x, rows, m, out);
    }
}

/* A tile is cut into blocks of LESS samples, but the first MORE blocks have one more. */
enum { BLOCKS = (T + WIDE_SAMPLES - 1) / WIDE_SAMPLES, LESS = T / BLOCKS, MORE = T % BLOCKS };

/* `samples` samples, at most WIDE_SAMPLES, against two vectors of filters; mt is [ld][2 VL]. */
INLINE void project_wide_block(int samples, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *mt,
                               vqs_real out[][VL], vqs_real out_next[][VL]) {
    vf acc[2][WIDE_SAMPLES];
    const vqs_real *xs[WIDE_SAMPLES];
    for (int s = 0; s < samples; s++) {
        xs[s] = x + rows[s] * ld;
        acc[0][s] = acc[1][s] = v_set(0);
    }
    for (size_t j = 0; j < ld; j++) {
        vf m0 = v_load(mt + j * 2 * VL), m1 = v_load(mt + j * 2 * VL + VL);
        V_PIN(m0);
        V_PIN(m1);
        for (int s = 0; s < samples; s++) {
            vf xv = v_set(xs[s][j]);
            V_PIN(xv);
            acc[0][s] += xv * m0;
            acc[1][s] += xv * m1;
        }
    }
    for (int s = 0; s < samples; s++) {
        v_store(out[s], acc[0][s]);
        v_store(out_next[s], acc[1][s]);
    }
}

/* The same against one vector of filters, mt [ld][VL], which is packed by pairs of features: lanes are half the filters
 * times two features, so that a value of x that is loaded serves two multiply-adds here too. */
INLINE void project_pair_block(int samples, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *mt,
                               vqs_real out[][VL]) {
    vf acc[2][WIDE_SAMPLES];
    const vqs_real *xs[WIDE_SAMPLES];
    for (int s = 0; s < samples; s++) {
        xs[s] = x + rows[s] * ld;
        acc[0][s] = acc[1][s] = v_set(0);
    }
    for (size_t j = 0; j < ld; j += 2) {
        vf m0 = v_load(mt + j * VL), m1 = v_load(mt + (j + 1) * VL);
        V_PIN(m0);
        V_PIN(m1);
        for (int s = 0; s < samples; s++) {
            vf xv = v_set_pair(xs[s] + j);
            V_PIN(xv);
            acc[0][s] += xv * m0;
            acc[1][s] += xv * m1;
        }
    }
    for (int s = 0; s < samples; s++) {
        v_store(out[s], v_add_pairs(acc[0][s], acc[1][s]));
    }
}

/* out[c][l] = tile[l][c] for one vector of filters, of which C are wanted. */
INLINE void transpose_tile(int C, vqs_real tile[][VL], vqs_real *out) {
    for (int l = 0; l < T; l += VL) {
        vf r[VL];
        for (int i = 0; i < VL; i++) {
            r[i] = v_load(tile[l + i]);
        }
        v_transpose(r);
        if (C == VL) {
            for (int c = 0; c < VL; c++) {
                v_store(out + c * T + l, r[c]);
            }
        } else {
            for (int c = 0; c < C; c++) {
                v_store(out + c * T + l, r[c]);
            }
        }
    }
}

/* Two vectors of filters. */
INLINE void project_two(size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *mt, vqs_real tile[][VL]) {
    int l = 0;
    for (; l < MORE * (LESS + 1); l += LESS + 1) {
        project_wide_block(LESS + 1, ld, x, rows + l, mt, tile + l, tile + T + l);
    }
    for (; l < T; l += LESS) {
        project_wide_block(LESS, ld, x, rows + l, mt, tile + l, tile + T + l);
    }
}

INLINE void project_one(size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *mt, vqs_real tile[][VL]) {
    int l = 0;
    for (; l < MORE * (LESS + 1); l += LESS + 1) {
        project_pair_block(LESS + 1, ld, x, rows + l, mt, tile + l);
    }
    for (; l < T; l += LESS) {
        project_pair_block(LESS, ld, x, rows + l, mt, tile + l);
    }
}

static void project_wide(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *mt, vqs_real *out) {
    vqs_real tile[2 * T][VL] __attribute__((aligned(64)));
    int c = 0;
    for (; c + VL < C; c += 2 * VL, mt += ld * 2 * VL) {
        project_two(ld, x, rows, mt, tile);
        transpose_tile(VL, tile, out + c * T);
        transpose_tile(C - c - VL < VL ? C - c - VL : VL, tile + T, out + (c + VL) * T);
    }
    if (c < C) {
        project_one(ld, x, rows, mt, tile);
        transpose_tile(C - c, tile, out + c * T);
    }
}

size_t KERNEL(pack_size)(int C, size_t ld) {
    return C >= VL ? ((size_t)C + VL - 1) / VL * VL * ld : 0;
}

/* Filters [first, first + VL) as a vector for each feature, at a distance of `stride`; ld is whole vectors, and filters
 * past C are packed as 0. */
INLINE void pack_vector(int C, int first, size_t ld, const vqs_real *m, bool pairs, size_t stride, vqs_real *mt) {
    for (size_t j = 0; j < ld; j += VL) {
        vf r[VL];
        for (int i = 0; i < VL; i++) {
            r[i] = first + i < C ? v_load(m + (size_t)(first + i) * ld + j) : v_set(0);
        }
        v_transpose(r);
        for (int i = 0; pairs && i < VL; i += 2) {
            v_interleave(&r[i], &r[i + 1]);
        }
        for (size_t i = 0; i < VL; i++) {
            v_store(mt + (j + i) * stride, r[i]);
        }
    }
}

/* Two vectors of filters side by side, and after them the next two, so that what `project` runs through lies together;
 * the last may be alone. */
void KERNEL(pack)(int C, size_t ld, const vqs_real *m, vqs_real *mt) {
    int c = 0;
    for (; c + VL < C; c += 2 * VL, mt += ld * 2 * VL) {
        pack_vector(C, c, ld, m, false, 2 * VL, mt);
        pack_vector(C, c + VL, ld, m, false, 2 * VL, mt + VL);
    }
    if (c < C) {
        pack_vector(C, c, ld, m, true, VL, mt);
    }
}

void KERNEL(project)(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *m, const vqs_real *mt,
                     vqs_real *out) {
    if (mt && C >= VL) {
        project_wide(C, ld, x, rows, mt, out);
    } else {
        project_narrow(C, ld, x, rows, m, out);
    }
}

/* ---- outer: lanes are features --------------------------------------------------------------------------------- */

/* Where sums of outer products come from and go to; see kernels.h. */
struct outer_sums {
    const vqs_real *from, *base;
    vqs_real *out;
};

enum { LINE = 64 / VBYTES }; /* vectors in a line of the cache */

/* `cols` rows by `vecs` vectors of them, which begin `at` values on; x and g begin at that column and row. `next`: rows
 * to be wanted soon, or NULL. They are asked for one by one, since only so many can be on their way. */
INLINE void outer_block(int cols, int vecs, size_t ld, const vqs_real *x, const uint32_t *rows, const uint32_t *next,
                        const vqs_real *g, const struct outer_sums *sums, size_t at) {
    vf sum[ROWS][VECS];
    for (int c = 0; c < cols; c++) {
        for (int v = 0; v < vecs; v++) {
            sum[c][v] = sums->from ? v_load(sums->from + at + (size_t)c * ld + (size_t)(v * VL)) : v_set(0);
        }
    }
    for (int l = 0; l < T; l++) {
        const vqs_real *row = x + rows[l] * ld;
        P_PIN(row);
        for (int v = 0; next && v < vecs; v += LINE) {
            __builtin_prefetch(x + next[l] * ld + v * VL, 0, 3);
        }
        vf xv[VECS];
        for (int v = 0; v < vecs; v++) {
            xv[v] = v_load(row + v * VL);
            V_PIN(xv[v]);
        }
        for (int c = 0; c < cols; c++) {
            vf gv = v_set(g[c * T + l]);
            V_PIN(gv);
            for (int v = 0; v < vecs; v++) {
                sum[c][v] += gv * xv[v];
            }
        }
    }
    for (int c = 0; c < cols; c++) {
        for (int v = 0; v < vecs; v++) {
            const size_t to = at + (size_t)c * ld + (size_t)(v * VL);
            v_store(sums->out + to, sums->base ? v_load(sums->base + to) + sum[c][v] : sum[c][v]);
        }
    }
}

INLINE void outer_rows(int cols, int c, size_t ld, const vqs_real *x, const uint32_t *rows, const uint32_t *next,
                       const vqs_real *g, const struct outer_sums *sums) {
    const size_t at = (size_t)c * ld;
    ALONG_ROW(j, vecs, ld, outer_block(cols, vecs, ld, x + j, rows, c ? NULL : next, g + c * T, sums, at + j));
}

void KERNEL(outer)(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const uint32_t *next, const vqs_real *g,
                   const vqs_real *from, const vqs_real *base, vqs_real *out) {
    const struct outer_sums sums = {from, base, out};
    int c = 0;
    for (; c + ROWS <= C; c += ROWS) {
        outer_rows(ROWS, c, ld, x, rows, next, g, &sums);
    }
    for (; c + 2 <= C; c += 2) {
        outer_rows(2, c, ld, x, rows, next, g, &sums);
    }
    for (; c < C; c++) {
        outer_rows(1, c, ld, x, rows, next, g, &sums);
    }
}

/* ---- decode_error: lanes are features -------------------------------------------------------------------------- */

/* Four samples, whose x begin at `x` and whose codes are the columns of `q`: to sum[s], `vecs` vectors of features from
 * number j on. */
INLINE void decode_block(int vecs, int C, size_t ld, const vqs_real *const x[4], size_t j, const vqs_real *v,
                         const vqs_real *offset, const vqs_real *q, vf sum[4]) {
    vf e[4][VECS];
    for (int s = 0; s < 4; s++) {
        for (int b = 0; b < vecs; b++) {
            const size_t at = j + (size_t)(b * VL);
            e[s][b] = v_load(x[s] + at) - (offset ? v_load(offset + at) : v_set(0));
        }
    }
    for (int c = 0; c < C; c++) {
        vf row[VECS];
        for (int b = 0; b < vecs; b++) {
            row[b] = v_load(v + (size_t)c * ld + j + (size_t)(b * VL));
            V_PIN(row[b]);
        }
        for (int s = 0; s < 4; s++) {
            vf w = v_set(q[c * T + s]);
            V_PIN(w);
            for (int b = 0; b < vecs; b++) {
                e[s][b] -= w * row[b];
            }
        }
    }
    for (int s = 0; s < 4; s++) {
        for (int b = 0; b < vecs; b++) {
            sum[s] += e[s][b] * e[s][b];
        }
    }
}

void KERNEL(decode_error)(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *v,
                          const vqs_real *offset, const vqs_real *q, vqs_real *err) {
    for (int l = 0; l < T; l += 4) {
        const vqs_real *xs[4];
        vf sum[4];
        for (int s = 0; s < 4; s++) {
            xs[s] = x + rows[l + s] * ld;
            sum[s] = v_set(0);
        }
        ALONG_ROW(j, vecs, ld, decode_block(vecs, C, ld, xs, j, v, offset, q + l, sum));
        v_sum4(sum, err + l);
    }
}

/* ---- embed: lanes are features --------------------------------------------------------------------------------- */

INLINE void embed_block(int samples, int vecs, int r, size_t ld, const vqs_real *s, const vqs_real *basis,
                        vqs_real *x) {
    vf sum[ROWS][VECS];
    for (int i = 0; i < samples; i++) {
        for (int v = 0; v < vecs; v++) {
            sum[i][v] = v_load(x + (size_t)i * ld + (size_t)(v * VL));
        }
    }
    for (int c = 0; c < r; c++) {
        vf u[VECS];
        for (int v = 0; v < vecs; v++) {
            u[v] = v_load(basis + (size_t)c * ld + (size_t)(v * VL));
            V_PIN(u[v]);
        }
        for (int i = 0; i < samples; i++) {
            vf si = v_set(s[i * r + c]);
            V_PIN(si);
            for (int v = 0; v < vecs; v++) {
                sum[i][v] += si * u[v];
            }
        }
    }
    for (int i = 0; i < samples; i++) {
        for (int v = 0; v < vecs; v++) {
            v_store(x + (size_t)i * ld + (size_t)(v * VL), sum[i][v]);
        }
    }
}

INLINE void embed_rows(int samples, int r, size_t ld, const vqs_real *s, const vqs_real *basis, vqs_real *x) {
    ALONG_ROW(j, vecs, ld, embed_block(samples, vecs, r, ld, s, basis + j, x + j));
}

void KERNEL(embed)(size_t n, int r, size_t ld, const vqs_real *s, const vqs_real *basis, vqs_real *x) {
    size_t i = 0;
    for (; i + ROWS <= n; i += ROWS) {
        embed_rows(ROWS, r, ld, s + i * (size_t)r, basis, x + i * ld);
    }
    for (; i < n; i++) {
        embed_rows(1, r, ld, s + i * (size_t)r, basis, x + i * ld);
    }
}

/* ---- deviations: lanes are features ---------------------------------------------------------------------------- */

INLINE void add_doubles(vf v, double *sum) {
    vqs_real part[VL];
    v_store(part, v);
#pragma omp simd
    for (int l = 0; l < VL; l++) {
        sum[l] += (double)part[l];
    }
}

INLINE void deviations_block(int vecs, size_t n, size_t ld, const vqs_real *x, const vqs_real *centre, double *sum,
                             double *square) {
    vf c[4], s[4], q[4];
    for (int v = 0; v < vecs; v++) {
        c[v] = v_load(centre + v * VL);
        s[v] = q[v] = v_set(0);
    }
    for (size_t i = 0; i < n; i++) {
        for (int v = 0; v < vecs; v++) {
            const vf e = v_load(x + i * ld + (size_t)(v * VL)) - c[v];
            s[v] += e;
            q[v] += e * e;
        }
    }
    for (int v = 0; v < vecs; v++) {
        add_doubles(s[v], sum + v * VL);
        add_doubles(q[v], square + v * VL);
    }
}

void KERNEL(deviations)(size_t n, size_t ld, const vqs_real *x, const vqs_real *centre, double *sum, double *square) {
    enum { RUN = 16 }; /* rows added in vqs_real: more would cost digits */
    memset(sum, 0, ld * sizeof *sum);
    memset(square, 0, ld * sizeof *square);
    for (size_t first = 0; first < n; first += RUN, x += RUN * ld) {
        const size_t run = n - first < RUN ? n - first : RUN;
        size_t j = 0;
        for (; j + 4 * VL <= ld; j += 4 * VL) {
            deviations_block(4, run, ld, x + j, centre + j, sum + j, square + j);
        }
        for (; j < ld; j += VL) {
            deviations_block(1, run, ld, x + j, centre + j, sum + j, square + j);
        }
    }
}
