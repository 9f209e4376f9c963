/* kernels.h - the inner loops, one set for each class of CPU.
 *
 * The one rule: a kernel's result for a sample, a code or a parameter does not depend on which thread or in which order
 * tiles are worked on. Sums over samples stay inside one tile; adding tiles up in a fixed order is the caller's.
 * Results are the same to the bit within a CPU class ("avx512", "avx2", "portable"), not between classes.
 *
 * Layouts. A sample is a row of x: `ld` values, the first D of them data and the rest 0, 64-byte aligned. A weight
 * matrix is [C][ld], one filter a row, padded in the same way. A tile is VQS_TILE samples, and everything latent is
 * [d][VQS_TILE]: vector lanes are samples. `rows` names the sample of each lane and always has VQS_TILE valid entries: a
 * short tile repeats a row, and its caller gives the spare lanes a weight of 0.
 *
 * All kernels are pure and may run on any thread.
 */
#ifndef VQSWEEP_KERNELS_H
#define VQSWEEP_KERNELS_H

#include "vqsweep/base.h"
#include "vqsweep/estimators.h"

/* Rows are padded to a multiple of this many values. */
#define VQS_ROW_UNIT 16
static inline size_t vqs_row_stride(int D) {
    return ((size_t)D + VQS_ROW_UNIT - 1) / VQS_ROW_UNIT * VQS_ROW_UNIT;
}

/* Codes that `assign` reads side by side. */
#define VQS_CODE_PACK 8
static inline size_t vqs_packed_codes(int K) { /* K rounded up to whole packs */
    return ((size_t)K + VQS_CODE_PACK - 1) / VQS_CODE_PACK * VQS_CODE_PACK;
}

/* Windows of a square image of side x side pixels of `channels` values, channels last: size x size pixels each, `stride`
 * apart, so that there are side / stride of them a side. size - stride rows and columns of pixels lie outside of the
 * image, the smaller half before it; their values are 0. */
struct vqs_window {
    int side, channels, size, stride;
};

/* Random numbers come in groups of this many (rng.h). */
#define VQS_RNG_GROUP 64

struct vqs_adam_step {
    vqs_real beta1, beta2, eps;
    vqs_real rest1, rest2; /* 1 - beta1, 1 - beta2, taken in double: vqs_real has few digits next to 1 */
    vqs_real rate;       /* lr / (1 - beta1^t) */
    vqs_real inv_sqrt_2; /* 1 / sqrt(1 - beta2^t) */
};

struct vqs_step; /* tile.h */
struct vqs_tile;

struct vqs_kernels {
    const char *cpu_class;
    const struct vqs_estimator *estimators; /* the estimator table in this class's arithmetic */

    /* Philox4x32-10 words, or standard normals times `scale`, of groups [group, group + n) of a stream (rng.h). */
    void (*words)(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, size_t n, uint32_t *out);
    void (*normals)(uint64_t seed, uint32_t purpose, uint32_t stream, uint64_t group, size_t n, vqs_real scale,
                    vqs_real *out);

    /* out[c][l] = sum_j x[rows[l]][j] m[c][j]. `mt` is m packed by `pack`, NULL where pack_size is 0. */
    void (*project)(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *m, const vqs_real *mt,
                    vqs_real *out);
    /* The copy of m [C][ld] that `project` wants: its number of values, and the packing. */
    size_t (*pack_size)(int C, size_t ld);
    void (*pack)(int C, size_t ld, const vqs_real *m, vqs_real *mt);
    /* out[c][j] = base[c][j] + (from[c][j] + sum_l g[c][l] x[rows[l]][j]), without what is NULL; `out` may be either.
     * `next`: rows of the tile to come, which are fetched from memory meanwhile; or NULL. */
    void (*outer)(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const uint32_t *next, const vqs_real *g,
                  const vqs_real *from, const vqs_real *base, vqs_real *out);
    /* The codes as `assign` wants them: packs of VQS_CODE_PACK codes, [packs][d][VQS_CODE_PACK], the last filled up; and
     * half_norm[j] = |c_j|^2 / 2, [packs][VQS_CODE_PACK], infinite where it only fills up. */
    void (*pack_codes)(int K, int d, const vqs_real *codes, vqs_real *packed, vqs_real *half_norm);
    /* k[l] = argmin_j half_norm[j] - z_l . c_j, lowest j on ties, over packed codes. Lanes of NaN give 0. */
    void (*assign)(int K, int d, const vqs_real *packed, const vqs_real *half_norm, const vqs_real *z, uint32_t *k);
    /* out[i][l] = sum_j G[i][j] in[j][l], G is [d][d] */
    void (*mix)(int d, const vqs_real *G, const vqs_real *in, vqs_real *out);
    /* err[l] = sum_j (x[rows[l]][j] - offset[j] - sum_c q[c][l] v[c][j])^2 */
    void (*decode_error)(int C, size_t ld, const vqs_real *x, const uint32_t *rows, const vqs_real *v,
                         const vqs_real *offset, const vqs_real *q, vqs_real *err);
    /* x[i][j] += sum_c s[i][c] basis[c][j] of n rows, to the bit what `axpy` gives for one c after the other. s is
     * [n][r], basis [r][ld]. */
    void (*embed)(size_t n, int r, size_t ld, const vqs_real *s, const vqs_real *basis, vqs_real *x);
    /* sum[j] and square[j], [ld]: sums of x[i][j] - centre[j] and of its square over n rows, in order. */
    void (*deviations)(size_t n, size_t ld, const vqs_real *x, const vqs_real *centre, double *sum, double *square);

    /* One tile of a linear model's step after `project` (tile.h). */
    void (*tile_step)(const struct vqs_step *step, struct vqs_tile *tile);
    /* The part of it that every model shares (tile.h): from z to k and f, or the soft codes that it collects; and from
     * g, and at_z where that is needed, to gz and gc. */
    void (*tile_quantize)(const struct vqs_step *step, struct vqs_tile *tile);
    void (*tile_estimate)(const struct vqs_step *step, struct vqs_tile *tile);
    /* q[i][l] = codes[k[l]][i] */
    void (*lookup)(int d, const vqs_real *codes, const uint32_t *k, vqs_real *q);
    /* near[t][l] = min(near[t][l], |z_tl - c|^2) for tiles that start `stride` values apart. Which tiles have changed goes
     * into `changed` [tiles], in order; returns how many. */
    size_t (*nearer)(int d, size_t tiles, size_t stride, const vqs_real *c, const vqs_real *z, vqs_real *near,
                     uint32_t *changed);
    /* score[l] = |q_l|^2 / 2 - z_l . q_l, to the bit what `assign` compares if q_l is a code. */
    void (*score)(int d, const vqs_real *q, const vqs_real *z, vqs_real *score);
    /* Bit l: a[l] != b[l]. */
    uint32_t (*differ)(const uint32_t *a, const uint32_t *b);
    /* The nearest codes of a tile where some codes have moved. Before, that was was[l], with the score own[l], which no
     * code that stands is below; the nearest of those that moved is moved[k[l]], with the score best[l]. k[l] becomes the
     * nearest code of all; bit l of the result: that is not known, and k[l] is was[l]. is_moved is [K]. */
    uint32_t (*choose)(const vqs_real *own, const vqs_real *best, const uint32_t *was, const uint32_t *moved,
                       const uint32_t *is_moved, uint32_t *k);
    /* sum |z_l - q_l|^2 over the first n lanes. */
    double (*distance)(int n, int d, const vqs_real *z, const vqs_real *q);
    /* Variance of n samples of one component, in tiles that start `stride` values apart. */
    double (*variance)(size_t n, size_t stride, const vqs_real *z);

    /* Codes in [first, last): grad[k] += rows[l] and count[k]++ for l = 0 .. n-1 in order, where k = k[l]; grad is
     * [K][d], rows [n][vqs_row_stride(d)]. Both are zeroed first. */
    void (*scatter)(int n, int d, const uint32_t *k, const vqs_real *rows, int first, int last, vqs_real *grad,
                    uint32_t *count);
    /* Codes in [first, last), of which code k has the next count[k] samples l of `sorted`: grad[k] = sum of g[l] and
     * x_sums[k] = sum of x[rows[l]], each in the order listed. grad is [K][d], g [n][vqs_row_stride(d)] and read up to
     * a vector past d; x_sums is [K][ld]. */
    void (*sum_runs)(int first, int last, const uint32_t *count, const uint32_t *sorted, int d, const vqs_real *g,
                     vqs_real *grad, size_t ld, const vqs_real *x, const uint32_t *rows, vqs_real *x_sums);
    /* Rows [first, last) of out = sum_k c_k s_k^T over the n codes listed in `used`; codes [K][d], s [K][ld],
     * out [d][ld]. */
    void (*spread)(int n, const uint32_t *used, int d, const vqs_real *codes, size_t ld, const vqs_real *s, int first,
                   int last, vqs_real *out);
    /* Rows [first, last) of sum_k count[k] c_k c_k^T over the n codes listed in `used`, [d][vqs_row_stride(d)]. Reads up
     * to a vector past the codes. */
    void (*code_moments)(int n, const uint32_t *used, int d, const vqs_real *codes, const uint32_t *count, int first,
                         int last, vqs_real *moments);
    /* Rows [first, last) of out = scale A V + keep out; A is [d][vqs_row_stride(d)], V and out are [d][ld]. */
    void (*combine)(int d, size_t ld, const vqs_real *A, const vqs_real *V, vqs_real scale, vqs_real keep, int first,
                    int last, vqs_real *out);
    /* Hidden layers (layer.h). y, of n values, a multiple of VQS_ROW_UNIT, becomes the activation of itself, `slope` its
     * derivative there. */
    void (*activate)(enum vqs_activation activation, size_t n, vqs_real *y, vqs_real *slope);
    /* `width` values of each row of y [rows][ld] become gain unit + shift, `unit` being their distances from their mean
     * times inv[row] = 1 / sqrt(their variance + 1e-5). */
    void (*normalize)(int rows, int width, size_t ld, const vqs_real *gain, const vqs_real *shift, vqs_real *y,
                      vqs_real *unit, vqs_real *inv);
    /* The gradient g [rows][ld] to what was normalised, from that to what became of it; gain is 0 past `width`. */
    void (*normalize_back)(int rows, int width, size_t ld, const vqs_real *gain, const vqs_real *unit,
                           const vqs_real *inv, const vqs_real *to_y, vqs_real *g);
    /* a *= b, of n values, a multiple of VQS_ROW_UNIT. */
    void (*multiply)(size_t n, const vqs_real *b, vqs_real *a);
    /* sum[j] = sum over rows of a[row][j], times b[row][j] unless b is NULL, for j in [first, last): multiples of
     * VQS_ROW_UNIT */
    void (*column_sums)(int rows, size_t ld, size_t first, size_t last, const vqs_real *a, const vqs_real *b,
                        vqs_real *sum);
    /* Sum of e^2, e = xhat - x, of n values, a multiple of VQS_ROW_UNIT; g = scale e. */
    double (*squared_error)(size_t n, vqs_real scale, const vqs_real *x, const vqs_real *xhat, vqs_real *g);
    /* -ln softmax(logits)[target] over n <= 256 classes; the logits become its gradient, times `scale`. */
    double (*cross_entropy)(int n, int target, vqs_real scale, vqs_real *logits);
    /* lines [rows][windows of an image][ld]: the size x size x channels values of each window, of images [rows][ld_image]. */
    void (*unroll)(const struct vqs_window *window, int rows, size_t ld_image, const vqs_real *images, size_t ld,
                   vqs_real *lines);
    /* The transpose: each pixel of the images is b [channels], or 0 without b, plus the values that lines have for it,
     * window by window. Spare values of an image's row become 0. */
    void (*fold)(const struct vqs_window *window, int rows, size_t ld, const vqs_real *lines, const vqs_real *b,
                 size_t ld_image, vqs_real *images);
    /* z [d][VQS_TILE] becomes tanh z. */
    void (*bound)(int d, vqs_real *z);
    /* G = A A^T, [d][d]. */
    void (*gram)(int d, size_t ld, const vqs_real *A, vqs_real *G);
    /* Modified Gram-Schmidt on the rows of W, first to last; a row with nothing left of its own becomes 0. */
    void (*gram_schmidt)(int d, size_t ld, vqs_real *W);
    /* sum[i] = src[i] + src[i + stride] + ... over `parts` parts, first to last, for i in [first, last): multiples of
     * VQS_ROW_UNIT */
    void (*add_up)(size_t first, size_t last, int parts, size_t stride, const vqs_real *src, vqs_real *sum);
    vqs_real (*dot)(size_t n, const vqs_real *a, const vqs_real *b);
    /* y += alpha x */
    void (*axpy)(size_t n, vqs_real alpha, const vqs_real *x, vqs_real *y);
    /* Adam (Kingma, Ba 2015, algorithm 1): m, v, p updated in place by the gradient g. n is a multiple of
     * VQS_ROW_UNIT. */
    void (*adam)(const struct vqs_adam_step *step, size_t n, const vqs_real *g, vqs_real *m, vqs_real *v, vqs_real *p);
};

/* The kernels for this CPU: the best class it has, or the one named by the environment variable VQSWEEP_CPU_CLASS if
 * the CPU has it. */
const struct vqs_kernels *vqs_kernels_get(void);
/* The kernels of a named class; NULL where the CPU or the build lacks it. */
const struct vqs_kernels *vqs_kernels_for(const char *cpu_class);
/* The classes of this build, best first; NULL past the last. */
const char *vqs_kernels_class(int i);
/* vqs_kernels_get()->cpu_class */
const char *vqs_kernels_cpu_class(void);

#endif
