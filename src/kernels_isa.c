/* kernels_isa.c - the inner loops of kernels.h. Compiled once for each instruction set.
 *
 * Every kernel is a block of accumulators small enough for the registers, written as an always-inlined function whose
 * block shape is a compile-time constant, and a driver that covers the whole array with blocks. */
#include "vqsweep/kernels.h"

#include "isa.h"
#include "simd.h"
#include "tile.h"

#include <Random123/philox.h>
#include <math.h>
#include <sleef.h>

#define T         VQS_TILE
#define TILE_VECS (VQS_TILE / VL) /* vectors across a tile */

/* Block shapes: 32 vector registers with AVX-512, 16 otherwise. */
#if defined(VQS_ISA_avx512)
enum { COLS = 4, WIDE_SAMPLES = 8, CODES = 8 };
#else
enum { COLS = 2, WIDE_SAMPLES = 4, CODES = 4 };
#endif

/* Keep a loaded value in a register: without it gcc loads again inside every multiply-add that uses the value. */
#if defined(VQS_ISA_avx512)
#define V_PIN(v) __asm__("" : "+v"(v))
#elif defined(__x86_64__)
#define V_PIN(v) __asm__("" : "+x"(v))
#else
#define V_PIN(v) ((void)0)
#endif

/* ---- random numbers ----------------------------------------------------------------------------------------------- */

enum { BLOCKS = VQS_RNG_GROUP / 4 }; /* Philox blocks in a group */

static void group_words(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, uint32_t w[4][BLOCKS]) {
    const philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    const uint64_t first = group * BLOCKS;
#pragma omp simd
    for (int l = 0; l < BLOCKS; l++) {
        uint64_t index = first + (uint64_t)l;
        philox4x32_ctr_t ctr = {{(uint32_t)index, (uint32_t)(index >> 32), purpose, stream}};
        philox4x32_ctr_t out = philox4x32(ctr, key);
        w[0][l] = out.v[0];
        w[1][l] = out.v[1];
        w[2][l] = out.v[2];
        w[3][l] = out.v[3];
    }
}

static void words(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i++, out += VQS_RNG_GROUP) {
        uint32_t w[4][BLOCKS];
        group_words(seed, purpose, stream, group + i, w);
        memcpy(out, w, sizeof w);
    }
}

/* Box-Muller over one vector: radius from `u` in (0, 1], angle `t` in units of pi in [-1, 1). */
#if defined(VQS_REAL_IS_DOUBLE)
INLINE void box_muller(const vqs_real *u, const vqs_real *t, vqs_real scale, vqs_real *a, vqs_real *b) {
    for (int l = 0; l < VL; l++) {
        double radius = scale * sqrt(-2 * Sleef_log_u35(u[l]));
        Sleef_double2 angle = Sleef_sincospi_u35(t[l]);
        a[l] = radius * angle.y;
        b[l] = radius * angle.x;
    }
}
#elif defined(VQS_ISA_avx512)
INLINE void box_muller(const vqs_real *u, const vqs_real *t, vqs_real scale, vqs_real *a, vqs_real *b) {
    __m512 log_u = Sleef_finz_logf16_u35avx512f(_mm512_loadu_ps(u));
    __m512 radius = _mm512_mul_ps(_mm512_set1_ps(scale), _mm512_sqrt_ps(_mm512_mul_ps(_mm512_set1_ps(-2), log_u)));
    Sleef___m512_2 angle = Sleef_finz_sincospif16_u35avx512f(_mm512_loadu_ps(t));
    _mm512_storeu_ps(a, _mm512_mul_ps(radius, angle.y));
    _mm512_storeu_ps(b, _mm512_mul_ps(radius, angle.x));
}
#elif defined(VQS_ISA_avx2)
INLINE void box_muller(const vqs_real *u, const vqs_real *t, vqs_real scale, vqs_real *a, vqs_real *b) {
    __m256 log_u = Sleef_finz_logf8_u35avx2(_mm256_loadu_ps(u));
    __m256 radius = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_sqrt_ps(_mm256_mul_ps(_mm256_set1_ps(-2), log_u)));
    Sleef___m256_2 angle = Sleef_finz_sincospif8_u35avx2(_mm256_loadu_ps(t));
    _mm256_storeu_ps(a, _mm256_mul_ps(radius, angle.y));
    _mm256_storeu_ps(b, _mm256_mul_ps(radius, angle.x));
}
#else
INLINE void box_muller(const vqs_real *u, const vqs_real *t, vqs_real scale, vqs_real *a, vqs_real *b) {
    for (int l = 0; l < VL; l++) {
        float radius = scale * sqrtf(-2 * Sleef_cinz_logf1_u35purec(u[l]));
        Sleef_float_2 angle = Sleef_cinz_sincospif1_u35purec(t[l]);
        a[l] = radius * angle.y;
        b[l] = radius * angle.x;
    }
}
#endif

static void normals(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, size_t n, vqs_real scale,
                    vqs_real *out) {
    const vqs_real ulp = (vqs_real)(1.0 / 2147483648.0); /* 2^-31 */
    for (size_t i = 0; i < n; i++, out += VQS_RNG_GROUP) {
        uint32_t w[4][BLOCKS];
        vqs_real u[2][BLOCKS], t[2][BLOCKS];
        group_words(seed, purpose, stream, group + i, w);
        for (int h = 0; h < 2; h++) {
#pragma omp simd
            for (int l = 0; l < BLOCKS; l++) {
                u[h][l] = (vqs_real)(int32_t)(w[2 * h][l] >> 1) * ulp + ulp / 2;
                t[h][l] = (vqs_real)(int32_t)w[2 * h + 1][l] * ulp;
            }
            for (int l = 0; l < BLOCKS; l += VL) {
                box_muller(&u[h][l], &t[h][l], scale, out + (2 * h) * BLOCKS + l, out + (2 * h + 1) * BLOCKS + l);
            }
        }
    }
}

/* ---- project: lanes are features while there are few filters, filters once they fill a vector --------------------- */

/* Four samples against `cols` filters. */
INLINE void project_narrow_block(int cols, size_t ld, const vqs_real *const x[4], const vqs_real *m, vqs_real *out) {
    vf acc[COLS][4];
    for (int c = 0; c < cols; c++) {
        for (int s = 0; s < 4; s++) {
            acc[c][s] = v_set(0);
        }
    }
    for (size_t j = 0; j < ld; j += VL) {
        vf xv[4];
        for (int s = 0; s < 4; s++) {
            xv[s] = v_load(x[s] + j);
            V_PIN(xv[s]);
        }
        for (int c = 0; c < cols; c++) {
            vf mv = v_load(m + (size_t)c * ld + j);
            V_PIN(mv);
            for (int s = 0; s < 4; s++) {
                acc[c][s] += xv[s] * mv;
            }
        }
    }
    for (int c = 0; c < cols; c++) {
        v_sum4(acc[c], out + c * T);
    }
}

static void project_narrow(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *m,
                           vqs_real *out) {
    for (int l = 0; l < T; l += 4) {
        const vqs_real *const xs[4] = {x + rows[l] * ld, x + rows[l + 1] * ld, x + rows[l + 2] * ld,
                                       x + rows[l + 3] * ld};
        int c = 0;
        for (; c + COLS <= C; c += COLS) {
            project_narrow_block(COLS, ld, xs, m + (size_t)c * ld, out + c * T + l);
        }
        for (; c + 2 <= C; c += 2) {
            project_narrow_block(2, ld, xs, m + (size_t)c * ld, out + c * T + l);
        }
        for (; c < C; c++) {
            project_narrow_block(1, ld, xs, m + (size_t)c * ld, out + c * T + l);
        }
    }
}

/* `samples` samples against `vecs` vectors of filters; mt is [ld][stride]. */
INLINE void project_wide_block(int samples, int vecs, size_t ld, size_t stride, const vqs_real *x,
                               const uint32_t *rows, const vqs_real *mt, vqs_real out[][VL], size_t out_step) {
    vf acc[2 * WIDE_SAMPLES];
    const vqs_real *xs[2 * WIDE_SAMPLES];
    for (int s = 0; s < samples; s++) {
        xs[s] = x + rows[s] * ld;
        for (int v = 0; v < vecs; v++) {
            acc[s * vecs + v] = v_set(0);
        }
    }
    for (size_t j = 0; j < ld; j++) {
        vf mv[2];
        for (int v = 0; v < vecs; v++) {
            mv[v] = v_load(mt + j * stride + (size_t)(v * VL));
            V_PIN(mv[v]);
        }
        for (int s = 0; s < samples; s++) {
            vf xv = v_set(xs[s][j]);
            if (vecs > 1) {
                V_PIN(xv);
            }
            for (int v = 0; v < vecs; v++) {
                acc[s * vecs + v] += xv * mv[v];
            }
        }
    }
    for (int s = 0; s < samples; s++) {
        for (int v = 0; v < vecs; v++) {
            v_store(out[(size_t)v * out_step + (size_t)s], acc[s * vecs + v]);
        }
    }
}

/* out[c][l] = tile[l][c] for one vector of filters, of which C are wanted. */
INLINE void transpose_tile(int C, vqs_real tile[][VL], vqs_real *out) {
    for (int c = 0; c < C; c++) {
        for (int l = 0; l < T; l++) {
            out[c * T + l] = tile[l][c];
        }
    }
}

static size_t wide_stride(int C) {
    return ((size_t)C + VL - 1) / VL * VL;
}

static void project_wide(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *mt,
                         vqs_real *out) {
    const size_t stride = wide_stride(C);
    vqs_real tile[2 * T][VL] __attribute__((aligned(64)));
    int c = 0;
    for (; c + VL < C; c += 2 * VL) {
        for (int l = 0; l < T; l += WIDE_SAMPLES) {
            project_wide_block(WIDE_SAMPLES, 2, ld, stride, x, rows + l, mt + c, tile + l, T);
        }
        transpose_tile(VL, tile, out + c * T);
        transpose_tile(C - c - VL < VL ? C - c - VL : VL, tile + T, out + (c + VL) * T);
    }
    if (c < C) {
        for (int l = 0; l < T; l += 2 * WIDE_SAMPLES) {
            project_wide_block(2 * WIDE_SAMPLES, 1, ld, stride, x, rows + l, mt + c, tile + l, T);
        }
        transpose_tile(C - c, tile, out + c * T);
    }
}

static size_t pack_size(int C, size_t ld) {
    return C >= VL ? ld * wide_stride(C) : 0;
}

static void pack(int C, size_t ld, const vqs_real *m, vqs_real *mt) {
    const size_t stride = wide_stride(C);
    for (size_t j = 0; j < ld; j++) {
        for (size_t c = 0; c < (size_t)C; c++) {
            mt[j * stride + c] = m[c * ld + j];
        }
    }
}

static void project(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *m, const vqs_real *mt,
                    vqs_real *out) {
    if (mt && C >= VL) {
        project_wide(C, ld, x, rows, mt, out);
    } else {
        project_narrow(C, ld, x, rows, m, out);
    }
}

/* ---- outer: lanes are features --------------------------------------------------------------------------------------- */

INLINE void outer_block(int cols, int vecs, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *g,
                        bool add, vqs_real *acc) {
    vf sum[COLS][4];
    for (int c = 0; c < cols; c++) {
        for (int v = 0; v < vecs; v++) {
            sum[c][v] = add ? v_load(acc + (size_t)c * ld + (size_t)(v * VL)) : v_set(0);
        }
    }
    for (int l = 0; l < T; l++) {
        const vqs_real *row = x + rows[l] * ld;
        vf xv[4];
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
            v_store(acc + (size_t)c * ld + (size_t)(v * VL), sum[c][v]);
        }
    }
}

INLINE void outer_columns(int cols, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *g, bool add,
                          vqs_real *acc) {
    size_t j = 0;
    for (; j + 4 * VL <= ld; j += 4 * VL) {
        outer_block(cols, 4, ld, x + j, rows, g, add, acc + j);
    }
    for (; j < ld; j += VL) {
        outer_block(cols, 1, ld, x + j, rows, g, add, acc + j);
    }
}

static void outer(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *g, bool add,
                  vqs_real *acc) {
    int c = 0;
    for (; c + COLS <= C; c += COLS) {
        outer_columns(COLS, ld, x, rows, g + c * T, add, acc + (size_t)c * ld);
    }
    for (; c + 2 <= C; c += 2) {
        outer_columns(2, ld, x, rows, g + c * T, add, acc + (size_t)c * ld);
    }
    for (; c < C; c++) {
        outer_columns(1, ld, x, rows, g + c * T, add, acc + (size_t)c * ld);
    }
}

/* ---- assign: lanes are samples ------------------------------------------------------------------------------------- */

/* Codes [first, first + codes) against `vecs` vectors of samples. */
INLINE void assign_block(int codes, int vecs, int d, int first, const vqs_real *c, const vqs_real *half_norm,
                         const vqs_real *z, vf *best, vi *index) {
    vf score[CODES][2];
    for (int j = 0; j < codes; j++) {
        for (int v = 0; v < vecs; v++) {
            score[j][v] = v_set(half_norm[first + j]);
        }
    }
    const vqs_real *row = c + (size_t)first * (size_t)d;
    for (int i = 0; i < d; i++) {
        vf zv[2];
        for (int v = 0; v < vecs; v++) {
            zv[v] = v_load(z + i * T + v * VL);
            V_PIN(zv[v]);
        }
        for (int j = 0; j < codes; j++) {
            vf cv = v_set(row[(size_t)j * (size_t)d + (size_t)i]);
            V_PIN(cv);
            for (int v = 0; v < vecs; v++) {
                score[j][v] -= cv * zv[v];
            }
        }
    }
    for (int j = 0; j < codes; j++) {
        vi code = v_set_int(first + j);
        for (int v = 0; v < vecs; v++) {
            v_keep_less(score[j][v], code, &best[v], &index[v]);
        }
    }
}

INLINE void assign_d(int K, int d, const vqs_real *codes, const vqs_real *half_norm, const vqs_real *z, uint32_t *k) {
    for (int l = 0; l < T; l += 2 * VL) {
        vf best[2] = {v_set((vqs_real)INFINITY), v_set((vqs_real)INFINITY)};
        vi index[2] = {v_set_int(0), v_set_int(0)};
        int j = 0;
        for (; j + CODES <= K; j += CODES) {
            assign_block(CODES, 2, d, j, codes, half_norm, z + l, best, index);
        }
        for (; j < K; j++) {
            assign_block(1, 2, d, j, codes, half_norm, z + l, best, index);
        }
        v_store_index(k + l, index[0]);
        v_store_index(k + l + VL, index[1]);
    }
}

static void assign(int K, int d, const vqs_real *codes, const vqs_real *half_norm, const vqs_real *z, uint32_t *k) {
    switch (d) { /* common d are instantiated, so that the loop over components unrolls */
    case 2:
        assign_d(K, 2, codes, half_norm, z, k);
        break;
    case 4:
        assign_d(K, 4, codes, half_norm, z, k);
        break;
    case 8:
        assign_d(K, 8, codes, half_norm, z, k);
        break;
    case 16:
        assign_d(K, 16, codes, half_norm, z, k);
        break;
    case 32:
        assign_d(K, 32, codes, half_norm, z, k);
        break;
    case 64:
        assign_d(K, 64, codes, half_norm, z, k);
        break;
    default:
        assign_d(K, d, codes, half_norm, z, k);
    }
}

static void half_norms(int K, int d, const vqs_real *codes, vqs_real *half_norm) {
    for (int j = 0; j < K; j++) {
        const vqs_real *c = codes + (size_t)j * (size_t)d;
        vf acc = v_set(0);
        int i = 0;
        for (; i + VL <= d; i += VL) {
            vf v = v_load(c + i);
            acc += v * v;
        }
        vqs_real sum = i ? v_sum(acc) : 0;
        for (; i < d; i++) {
            sum += c[i] * c[i];
        }
        half_norm[j] = sum / 2;
    }
}

/* ---- small products on a tile ---------------------------------------------------------------------------------------- */

INLINE void mix_rows(int rows, int d, const vqs_real *G, const vqs_real *in, vqs_real *out) {
    for (int l = 0; l < T; l += 2 * VL) {
        vf acc[COLS][2];
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

static void mix(int d, const vqs_real *G, const vqs_real *in, vqs_real *out) {
    int i = 0;
    for (; i + COLS <= d; i += COLS) {
        mix_rows(COLS, d, G + (size_t)i * (size_t)d, in, out + i * T);
    }
    for (; i < d; i++) {
        mix_rows(1, d, G + (size_t)i * (size_t)d, in, out + i * T);
    }
}

static void decode_error(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *v,
                         const vqs_real *offset, const vqs_real *q, vqs_real *err) {
    for (int l = 0; l < T; l += 4) {
        vf sum[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
        for (size_t j = 0; j < ld; j += VL) {
            vf off = offset ? v_load(offset + j) : v_set(0);
            vf e[4];
            for (int s = 0; s < 4; s++) {
                e[s] = v_load(x + rows[l + s] * ld + j) - off;
            }
            for (int c = 0; c < C; c++) {
                vf vc = v_load(v + (size_t)c * ld + j);
                V_PIN(vc);
                for (int s = 0; s < 4; s++) {
                    e[s] -= v_set(q[c * T + l + s]) * vc;
                }
            }
            for (int s = 0; s < 4; s++) {
                sum[s] += e[s] * e[s];
            }
        }
        v_sum4(sum, err + l);
    }
}

static void nearer(int d, const vqs_real *c, const vqs_real *z, vqs_real *near) {
    vqs_real sum[T] = {0};
    for (int i = 0; i < d; i++) {
#pragma omp simd
        for (int l = 0; l < T; l++) {
            vqs_real e = z[i * T + l] - c[i];
            sum[l] += e * e;
        }
    }
#pragma omp simd
    for (int l = 0; l < T; l++) {
        near[l] = sum[l] < near[l] ? sum[l] : near[l];
    }
}

/* ---- vectors of parameters ------------------------------------------------------------------------------------------- */

static void add_up(size_t n, int parts, size_t stride, const vqs_real *src, vqs_real *sum) {
    for (size_t i = 0; i < n; i += VL) { /* rows are padded to whole vectors */
        vf acc = v_load(src + i);
        for (int p = 1; p < parts; p++) {
            acc += v_load(src + (size_t)p * stride + i);
        }
        v_store(sum + i, acc);
    }
}

static vqs_real dot(size_t n, const vqs_real *a, const vqs_real *b) {
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

static void axpy(size_t n, vqs_real alpha, const vqs_real *x, vqs_real *y) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        y[i] += alpha * x[i];
    }
}

#ifdef VQS_REAL_IS_DOUBLE
#define real_sqrt sqrt
#else
#define real_sqrt sqrtf
#endif

static void adam(const struct vqs_adam_step *step, size_t n, const vqs_real *restrict g, vqs_real *restrict m,
                 vqs_real *restrict v, vqs_real *restrict p) {
    const struct vqs_adam_step s = *step;
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        m[i] = s.beta1 * m[i] + (1 - s.beta1) * g[i];
        v[i] = s.beta2 * v[i] + (1 - s.beta2) * g[i] * g[i];
        p[i] -= s.rate * m[i] / (real_sqrt(v[i]) * s.inv_sqrt_2 + s.eps);
    }
}

extern const struct vqs_estimator VQS_ISA_NAME(vqs_estimator_table)[];
extern const struct vqs_kernels VQS_ISA_NAME(vqs_kernels);

const struct vqs_kernels VQS_ISA_NAME(vqs_kernels) = {
    .cpu_class = VQS_ISA_TEXT,
    .estimators = VQS_ISA_NAME(vqs_estimator_table),
    .words = words,
    .normals = normals,
    .project = project,
    .pack_size = pack_size,
    .pack = pack,
    .outer = outer,
    .assign = assign,
    .half_norms = half_norms,
    .mix = mix,
    .decode_error = decode_error,
    .tile_step = VQS_ISA_NAME(vqs_tile_step),
    .nearer = nearer,
    .add_up = add_up,
    .dot = dot,
    .axpy = axpy,
    .adam = adam,
};
