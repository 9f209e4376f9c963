/* isa_codes.c - samples against codes: assignment, gathering of gradients, moments. */
#include "isa_kernels.h"

#include <math.h>

/* ---- assign: lanes are samples --------------------------------------------------------------------------------- */

/* VL codes at a time where that is quick and all can be used, else eight; the last codes and components singly. */
void KERNEL(pack_codes)(int K, int d, const vqs_real *codes, vqs_real *packed, vqs_real *half_norm) {
    int first = 0;
    for (; d % PACK == 0 && first + VL <= K; first += VL, packed += VL * d, half_norm += VL) {
        if (!v_pack(d, codes + (size_t)first * (size_t)d, packed, half_norm)) {
            break;
        }
    }
    for (; first < K; first += PACK, packed += PACK * d, half_norm += PACK) {
        const int n = K - first < PACK ? K - first : PACK;
        const vqs_real *c = codes + (size_t)first * (size_t)d;
        int i = 0;
        for (; n == PACK && i + PACK <= d; i += PACK) {
            v_transpose_8x8(c + i, d, packed + i * PACK);
        }
        for (; i < d; i++) {
            for (int j = 0; j < PACK; j++) {
                packed[i * PACK + j] = j < n ? c[j * d + i] : 0;
            }
        }
        vqs_real sum[PACK] = {0};
        for (i = 0; i < d; i++) {
#pragma omp simd
            for (int j = 0; j < PACK; j++) {
                sum[j] += packed[i * PACK + j] * packed[i * PACK + j];
            }
        }
        for (int j = 0; j < PACK; j++) { /* neither what only fills up a pack nor a lost code is ever the nearest */
            const bool usable = j < n && sum[j] < (vqs_real)INFINITY;
            half_norm[j] = usable ? sum[j] / 2 : (vqs_real)INFINITY;
            for (i = 0; !usable && i < d; i++) { /* a NaN would also hide the others of its pack */
                packed[i * PACK + j] = 0;
            }
        }
    }
}

/* A round of a knockout between n pairs of neighbours, the first of a pair winning on ties. */
INLINE void knock_out(int n, vf low[], vi at[]) {
    for (int j = 0; j < n; j++) {
        v_keep_less(low[2 * j + 1], at[2 * j + 1], &low[2 * j], &at[2 * j]);
        low[j] = low[2 * j];
        at[j] = at[2 * j];
    }
}

/* The least of CODES scores and which it is, the first on ties. */
INLINE void least_of(vf score[CODES][2], int v, vf *least, vi *which) {
    vf low[CODES];
    vi at[CODES];
    for (int j = 0; j < CODES; j++) {
        low[j] = score[j][v];
        at[j] = v_set_int(j);
    }
    if (CODES == 8) {
        knock_out(4, low, at);
    }
    knock_out(2, low, at);
    knock_out(1, low, at);
    *least = low[0];
    *which = at[0];
}

/* Few codes: each is compared. */
INLINE void assign_each(int packs, int d, const vqs_real *packed, const vqs_real *half_norm, const vqs_real *z,
                        uint32_t *k) {
    vf best[2] = {v_set((vqs_real)INFINITY), v_set((vqs_real)INFINITY)};
    vi index[2] = {v_set_int(0), v_set_int(0)};
    for (int p = 0; p < packs; p++) {
        for (int from = 0; from < PACK; from += CODES) {
            vf score[CODES][2];
            score_block(d, packed + p * PACK * d, half_norm + p * PACK, from, z, score);
            for (int v = 0; v < 2; v++) {
                vf least;
                vi which;
                least_of(score, v, &least, &which);
                v_keep_less(least, which + v_set_int(p * PACK + from), &best[v], &index[v]);
            }
        }
    }
    v_store_index(k, index[0]);
    v_store_index(k + VL, index[1]);
}

/* For four samples, whose nearest codes are in the packs k[s] and have the scores best[s]: k[s] becomes the code. The
 * same sums in the same order as in score_block, lanes being codes; four samples, since each sum waits for the last. */
INLINE void find_in_packs(int d, const vqs_real *packed, const vqs_real *half_norm, const vqs_real *z,
                          const vqs_real *best, uint32_t *k) {
    typedef vqs_real codes __attribute__((vector_size(PACK * sizeof(vqs_real))));
    codes score[4];
    const vqs_real *pack[4];
    for (int s = 0; s < 4; s++) {
        pack[s] = packed + k[s] * (size_t)(PACK * d);
        P_PIN(pack[s]);
        memcpy(&score[s], half_norm + k[s] * (size_t)PACK, sizeof score[s]);
    }
    for (int i = 0; i < d; i++) {
        for (int s = 0; s < 4; s++) {
            codes c;
            memcpy(&c, pack[s] + i * PACK, sizeof c);
            score[s] -= c * z[i * T + s];
        }
    }
    for (int s = 0; s < 4; s++) {
        vqs_real scores[PACK];
        memcpy(scores, &score[s], sizeof scores);
        k[s] = k[s] * PACK + v_first_at_most(scores, best[s]);
    }
}

/* Many codes: only the least score of a pack is compared, and the code is looked for in the best pack at the end. */
INLINE void assign_packs(int packs, int d, const vqs_real *packed, const vqs_real *half_norm, const vqs_real *z,
                         uint32_t *k) {
    vf best[2] = {v_set((vqs_real)INFINITY), v_set((vqs_real)INFINITY)};
    vi index[2] = {v_set_int(0), v_set_int(0)};
    for (int p = 0; p < packs; p++) {
        vf least[2];
        for (int from = 0; from < PACK; from += CODES) {
            vf score[CODES][2];
            score_block(d, packed + (size_t)p * (size_t)(PACK * d), half_norm + p * PACK, from, z, score);
            for (int v = 0; v < 2; v++) {
                vf low[CODES / 2], min; /* bounds known when compiling keep all this in registers */
                for (int j = 0; j < CODES / 2; j++) {
                    low[j] = v_min(score[j][v], score[j + CODES / 2][v]);
                }
                min = v_min(low[0], low[1]);
                for (int j = 2; j < CODES / 2; j++) {
                    min = v_min(min, low[j]);
                }
                least[v] = from == 0 ? min : v_min(least[v], min);
            }
        }
        v_keep_less(least[0], v_set_int(p), &best[0], &index[0]);
        v_keep_less(least[1], v_set_int(p), &best[1], &index[1]);
    }
    v_store_index(k, index[0]);
    v_store_index(k + VL, index[1]);
    vqs_real bound[2 * VL];
    v_store(bound, best[0]);
    v_store(bound + VL, best[1]);
    for (int l = 0; l < 2 * VL; l += 4) {
        find_in_packs(d, packed, half_norm, z + l, bound + l, k + l);
    }
}

void KERNEL(assign)(int K, int d, const vqs_real *packed, const vqs_real *half_norm, const vqs_real *z, uint32_t *k) {
    const int packs = (K + PACK - 1) / PACK;
    for (int l = 0; l < T; l += 2 * VL) {
        if (packs < 16) {
            assign_each(packs, d, packed, half_norm, z + l, k + l);
        } else {
            assign_packs(packs, d, packed, half_norm, z + l, k + l);
        }
    }
}

/* ---- codes: gathering gradients, moments ----------------------------------------------------------------------- */

/* Rows of few components are added in pieces of 8, 4, 2, 1: a masked store would not forward to the next load. */
#define ADD_PIECE(width)                                                                                               \
    if (d - i >= (width)) {                                                                                            \
        vqs_real sum[width], piece[width];                                                                             \
        memcpy(sum, g + i, sizeof sum);                                                                                \
        memcpy(piece, row + i, sizeof piece);                                                                          \
        for (int c = 0; c < (width); c++) {                                                                            \
            sum[c] += piece[c];                                                                                        \
        }                                                                                                              \
        memcpy(g + i, sum, sizeof sum);                                                                                \
        i += (width);                                                                                                  \
    }

INLINE void add_row(int d, const vqs_real *row, vqs_real *g) {
    int i = 0;
    for (; i + VL <= d; i += VL) {
        v_store(g + i, v_load(g + i) + v_load(row + i));
    }
    ADD_PIECE(8)
    ADD_PIECE(4)
    ADD_PIECE(2)
    ADD_PIECE(1)
}

void KERNEL(scatter)(int n, int d, const uint32_t *k, const vqs_real *rows, int first, int last, vqs_real *grad,
                     uint32_t *count) {
    const size_t stride = vqs_row_stride(d);
    memset(grad + (size_t)first * (size_t)d, 0, (size_t)(last - first) * (size_t)d * sizeof *grad);
    memset(count + first, 0, (size_t)(last - first) * sizeof *count);
    for (int l = 0; l < n; l++, rows += stride) {
        const int code = (int)k[l];
        if (code < first || code >= last) {
            continue;
        }
        count[code]++;
        add_row(d, rows, grad + (size_t)code * (size_t)d);
    }
}

/* The samples of one code, and where their rows stand. */
struct run {
    const uint32_t *first, *end; /* samples */
    const vqs_real *x, *g;
    const uint32_t *rows; /* of x */
    size_t ld, stride;    /* of x and g */
};

/* Sums of `vecs` vectors of x from column j and, if there is a `to`, of the first vector of g: one loop, since where it
 * ends cannot be foretold. */
INLINE void sum_block(int vecs, const struct run *r, size_t j, vqs_real *out, int d, vqs_real *to) {
    vf sum[SUMS], of_g = v_set(0);
    for (int v = 0; v < vecs; v++) {
        sum[v] = v_set(0);
    }
    for (const uint32_t *l = r->first; l < r->end; l++) {
        const vqs_real *row = r->x + r->rows[*l] * r->ld + j;
        for (int v = 0; v < vecs; v++) {
            sum[v] += v_load(row + v * VL);
        }
        if (to) {
            of_g += v_load(r->g + *l * r->stride);
        }
    }
    for (int v = 0; v < vecs; v++) {
        v_store(out + j + v * VL, sum[v]);
    }
    if (to) {
        v_store_part(to, d < VL ? d : VL, of_g);
    }
}

/* The rest of g. */
INLINE void sum_g(const struct run *r, int i, int d, vqs_real *to) {
    vf sum = v_set(0);
    for (const uint32_t *l = r->first; l < r->end; l++) {
        sum += v_load(r->g + *l * r->stride + i);
    }
    v_store_part(to + i, d - i < VL ? d - i : VL, sum);
}

void KERNEL(sum_runs)(int first, int last, const uint32_t *count, const uint32_t *sorted, int d, const vqs_real *g,
                      vqs_real *grad, size_t ld, const vqs_real *x, const uint32_t *rows, vqs_real *x_sums) {
    for (int k = first; k < last; k++) {
        const struct run r = {sorted, sorted + count[k], x, g, rows, ld, vqs_row_stride(d)};
        vqs_real *to = grad + (size_t)k * (size_t)d, *out = x_sums + (size_t)k * ld;
        size_t j = 0;
        if (ld >= SUMS * VL) {
            sum_block(SUMS, &r, 0, out, d, to);
            for (j = SUMS * VL; j + SUMS * VL <= ld; j += SUMS * VL) {
                sum_block(SUMS, &r, j, out, d, NULL);
            }
        } else {
            sum_block(1, &r, 0, out, d, to);
            j = VL;
        }
        for (; j < ld; j += VL) {
            sum_block(1, &r, j, out, d, NULL);
        }
        for (int i = VL; i < d; i += VL) {
            sum_g(&r, i, d, to);
        }
        sorted = r.end;
    }
}

/* `height` rows from i by `vecs` vectors of sum_k w_k c_k s_k^T over the codes in `used`; w_k is 1 where `count` is
 * NULL. `s` and `out` start at the column. */
INLINE void spread_block(int height, int vecs, int n, const uint32_t *used, int d, const vqs_real *codes,
                         const uint32_t *count, int i, size_t ld, const vqs_real *s, size_t out_ld, vqs_real *out) {
    vf sum[ROWS][VECS];
    for (int h = 0; h < height; h++) {
        for (int v = 0; v < vecs; v++) {
            sum[h][v] = v_set(0);
        }
    }
    for (int u = 0; u < n; u++) {
        const uint32_t k = used[u];
        const vqs_real *c = codes + k * (size_t)d + i;
        vf sv[VECS];
        for (int v = 0; v < vecs; v++) {
            sv[v] = v_load(s + k * ld + v * VL);
            if (count) {
                sv[v] *= v_set((vqs_real)count[k]);
            }
            V_PIN(sv[v]);
        }
        for (int h = 0; h < height; h++) {
            vf w = v_set(c[h]);
            V_PIN(w);
            for (int v = 0; v < vecs; v++) {
                sum[h][v] += w * sv[v];
            }
        }
    }
    for (int h = 0; h < height; h++) {
        for (int v = 0; v < vecs; v++) {
            v_store(out + (size_t)(i + h) * out_ld + (size_t)(v * VL), sum[h][v]);
        }
    }
}

INLINE void spread_columns(int vecs, int n, const uint32_t *used, int d, const vqs_real *codes, const uint32_t *count,
                           size_t ld, const vqs_real *s, int first, int last, size_t out_ld, vqs_real *out) {
    int i = first;
    for (; i + ROWS <= last; i += ROWS) {
        spread_block(ROWS, vecs, n, used, d, codes, count, i, ld, s, out_ld, out);
    }
    for (; i < last; i++) {
        spread_block(1, vecs, n, used, d, codes, count, i, ld, s, out_ld, out);
    }
}

/* By columns, since a few of them of all codes stay nearer than whole rows. */
INLINE void spread(int n, const uint32_t *used, int d, const vqs_real *codes, const uint32_t *count, size_t ld,
                   const vqs_real *s, int first, int last, size_t out_ld, vqs_real *out) {
    ALONG_ROW(j, vecs, out_ld, spread_columns(vecs, n, used, d, codes, count, ld, s + j, first, last, out_ld, out + j));
}

void KERNEL(spread)(int n, const uint32_t *used, int d, const vqs_real *codes, size_t ld, const vqs_real *s, int first,
                    int last, vqs_real *out) {
    spread(n, used, d, codes, NULL, ld, s, first, last, ld, out);
}

void KERNEL(code_moments)(int n, const uint32_t *used, int d, const vqs_real *codes, const uint32_t *count, int first,
                          int last, vqs_real *moments) {
    spread(n, used, d, codes, count, (size_t)d, codes, first, last, vqs_row_stride(d), moments);
}
