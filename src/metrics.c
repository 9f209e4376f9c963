/* metrics.c - evaluation of a model and the metrics of record.h. */
#include "vqsweep/metrics.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { T = VQS_TILE };

/* The Lloyd gap wants a distortion to three digits, not the last step of convergence. */
static const double gap_tolerance = 1e-4;
enum { GAP_ITERATIONS = 100 };

/* Samples are cut into so many runs of tiles, whatever the number of threads. */
enum { RUNS = 64 };

void vqs_evaluation_carve(const struct vqs_settings *s, struct vqs_arena *arena, struct vqs_evaluation *e) {
    const size_t samples = (size_t)(s->N > s->N_eval ? s->N : s->N_eval), books = (size_t)vqs_n_codebooks(s);
    e->usage = vqs_arena_take(arena, books * (size_t)s->K, sizeof *e->usage);
    e->tiles = vqs_arena_take(arena, (samples + T - 1) / T * 2, sizeof *e->tiles);
    e->level = books > 1 ? vqs_arena_take(arena, books, sizeof *e->level) : NULL;
    e->runs = books > 1 ? vqs_arena_take(arena, RUNS * books * (size_t)(2 + vqs_code_width(s)), sizeof *e->runs) : NULL;
}

/* ---- the pass over the data
 * ------------------------------------------------------------------------------------------ */

/* What codebook `number` makes of the r [width][T] of n samples is added to q and taken from r. With `sums`, its
 * distortion, sum |r|^2 and the components' sum r are added to those. */
static void evaluate_codebook(const struct vqs_quantizer *q, int number, int n, vqs_real *r, vqs_real *out,
                              uint32_t *usage, double *sums) {
    const struct vqs_codebook book = vqs_codebook_of(q, number);
    uint32_t k[T];
    q->kernels->assign(q->K, q->width, book.packed, book.half_norm, r, k);
    for (int l = 0; l < n; l++) { /* whole numbers: the order of threads cannot be seen in them */
#pragma omp atomic
        usage[k[l]]++;
    }
    for (int i = 0; i < q->width; i++) {
        for (int l = 0; l < T; l++) {
            const vqs_real c = book.codes[k[l] * (size_t)q->width + (size_t)i], in = r[i * T + l];
            out[i * T + l] += c;
            r[i * T + l] -= c;
            if (sums && l < n) {
                sums[0] += ((double)in - (double)c) * ((double)in - (double)c);
                sums[1] += (double)in * (double)in;
                sums[2 + i] += (double)in;
            }
        }
    }
}

/* One tile: z, the usage of its codes, and the two sums over its samples. `run` is where sums of codebooks go. */
static void evaluate_tile(const struct vqs_model *m, const struct vqs_samples *samples, size_t tile, vqs_real *y,
                          vqs_real *z, uint32_t *usage, double *run, double sums[2]) {
    const struct vqs_quantizer *quantizer = &m->quantizer;
    uint32_t rows[T];
    const int n = vqs_tile_rows(samples->n, tile, rows), d = m->d, width = quantizer->width;
    vqs_real *q = y + m->rows * T, *r = q + d * T, error[T];
    vqs_model_encode(m, samples->x, rows, y, z);
    memcpy(r, z, (size_t)(d * T) * sizeof *r);
    memset(q, 0, (size_t)(d * T) * sizeof *q);
    for (int c = 0; c < quantizer->n_codebooks; c++) {
        const int at = c % quantizer->groups * width * T;
        evaluate_codebook(quantizer, c, n, r + at, q + at, usage + c * quantizer->K,
                          run ? run + c * (2 + width) : NULL);
    }
    double distortion = 0, squared_error = 0;
    for (int l = 0; l < n; l++) {
        for (int i = 0; i < d; i++) {
            double e = (double)z[i * T + l] - (double)q[i * T + l];
            distortion += e * e;
        }
    }
    m->kernels->decode_error(d, m->ld, samples->x, rows, m->V, m->decoder_bias, q, error);
    for (int l = 0; l < n; l++) {
        squared_error += (double)error[l];
    }
    sums[0] = squared_error;
    sums[1] = distortion;
}

/* Adds up the sums of runs, in their order. */
static void evaluate_levels(const struct vqs_quantizer *q, size_t n, struct vqs_evaluation *e) {
    const size_t book_size = (size_t)q->width + 2, size = (size_t)q->n_codebooks * book_size;
    for (size_t i = 0; i < size; i++) {
        for (size_t run = 1; run < RUNS; run++) {
            e->runs[i] += e->runs[run * size + i];
        }
    }
    for (int c = 0; c < q->n_codebooks; c++) {
        const double *sums = e->runs + (size_t)c * book_size;
        double variance = sums[1];
        for (int i = 0; i < q->width; i++) {
            variance -= sums[2 + i] * sums[2 + i] / (double)n;
        }
        e->level[c] = (struct vqs_level_evaluation){sums[0], variance / (double)n};
    }
}

/* tr Cov(z) in two passes. */
static double variance_of_z(const vqs_real *z, size_t n, int d) {
    double variance = 0;
    for (int i = 0; i < d; i++) {
        double mean = 0, sum = 0;
        for (int pass = 0; pass < 2; pass++) {
            sum = 0;
            for (size_t s = 0; s < n; s++) {
                double v = (double)z[(s / T * (size_t)d + (size_t)i) * T + s % T];
                sum += pass ? (v - mean) * (v - mean) : v;
            }
            mean = sum / (double)n;
        }
        variance += sum / (double)n;
    }
    return variance;
}

void vqs_evaluate(const struct vqs_model *m, const struct vqs_samples *samples, int team,
                  struct vqs_model_scratch *scratch, vqs_real *y, struct vqs_evaluation *e) {
    const struct vqs_quantizer *q = &m->quantizer;
    const size_t tiles = (samples->n + T - 1) / T, y_size = (size_t)(m->rows + 2 * m->d) * T;
    const size_t books = (size_t)q->n_codebooks, run_size = books * (size_t)(2 + q->width);
    memset(e->usage, 0, books * (size_t)q->K * sizeof *e->usage);
    if (e->runs) {
        memset(e->runs, 0, RUNS * run_size * sizeof *e->runs);
    }
#pragma omp parallel for schedule(static) num_threads(team) if (team > 1)
    for (size_t run = 0; run < RUNS; run++) {
        vqs_real *own = y + (size_t)omp_get_thread_num() * y_size;
        for (size_t tile = run * tiles / RUNS; tile < (run + 1) * tiles / RUNS; tile++) {
            evaluate_tile(m, samples, tile, own, scratch->z + tile * (size_t)m->d * T, e->usage,
                          e->runs ? e->runs + run * run_size : NULL, e->tiles + 2 * tile);
        }
    }
    e->squared_error = e->distortion = 0;
    for (size_t tile = 0; tile < tiles; tile++) {
        e->squared_error += e->tiles[2 * tile];
        e->distortion += e->tiles[2 * tile + 1];
    }
    if (e->level) {
        evaluate_levels(q, samples->n, e);
    }
    e->z_variance = variance_of_z(scratch->z, samples->n, m->d);
}

/* ---- figures
 * ----------------------------------------------------------------------------------------------------------- */

static double entropy_of(const uint32_t *counts, int K) {
    double total = 0, entropy = 0;
    for (int j = 0; j < K; j++) {
        total += counts[j];
    }
    for (int j = 0; j < K; j++) {
        double p = counts[j] / total;
        entropy -= counts[j] ? p * log(p) : 0;
    }
    return total > 0 ? entropy : NAN;
}

double vqs_entropy(const uint32_t *counts, int n, int K) {
    double sum = 0;
    for (int c = 0; c < n; c++) {
        sum += entropy_of(counts + c * K, K);
    }
    return sum / n;
}

int vqs_dead_codes(const uint32_t *counts, int n, int K) {
    int dead = 0;
    for (int j = 0; j < n * K; j++) {
        dead += counts[j] == 0;
    }
    return dead;
}

void vqs_metrics_part(const struct vqs_model *m, const struct vqs_samples *samples, enum vqs_part part,
                      const struct vqs_evaluation *e, double metric[VQS_N_METRICS]) {
    const int at = part == VQS_PART_EVAL; /* record.h lists _train and _eval side by side */
    const double mse = e->squared_error / ((double)samples->n * m->D);
    const int books = m->quantizer.n_codebooks, K = m->quantizer.K;
    const double entropy = vqs_entropy(e->usage, books, K);
    const int dead = vqs_dead_codes(e->usage, books, K);
    metric[VQS_METRIC_mse_train + at] = mse;
    metric[VQS_METRIC_explained_variance_train + at] = samples->variance > 0 ? 1 - mse / samples->variance : NAN;
    metric[VQS_METRIC_quantization_error_train + at] =
        e->z_variance > 0 ? e->distortion / ((double)samples->n * e->z_variance) : NAN;
    metric[VQS_METRIC_entropy_train + at] = entropy;
    metric[VQS_METRIC_perplexity_train + at] = exp(entropy);
    metric[VQS_METRIC_dead_codes_train + at] = dead;
    metric[VQS_METRIC_usage_train + at] = 1 - (double)dead / (books * K);
    if (part == VQS_PART_TRAIN) {
        metric[VQS_METRIC_collapsed] = dead >= 1 && dead >= 0.1 * (books * K);
    }
}

/* LAPACK: singular values. */
void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *lda, double *s,
             double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork, int *info);

enum vqs_status vqs_metrics_subspace(const struct vqs_model *m, const struct vqs_dataset *data,
                                     double metric[VQS_N_METRICS], struct vqs_error *err) {
    if (data->r == 0) {
        return VQS_OK;
    }
    const int d = m->d, r = data->r, least = d < r ? d : r, lwork = 8 * (d + r), one = 1;
    double *WU = malloc(((size_t)d * (size_t)r + (size_t)least + (size_t)lwork) * sizeof *WU); /* column-major [d][r] */
    if (!WU) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the %d x %d overlap of the subspaces", d, r);
    }
    double *singular = WU + (size_t)d * (size_t)r, *work = singular + least, norm2 = 0;
    for (int j = 0; j < r; j++) {
        for (int i = 0; i < d; i++) {
            double sum = 0;
            for (size_t c = 0; c < (size_t)m->D; c++) {
                sum += (double)m->W[(size_t)i * m->ld + c] * (double)data->basis[(size_t)j * data->ld + c];
            }
            WU[(size_t)j * (size_t)d + (size_t)i] = sum;
            norm2 += sum * sum;
        }
    }
    metric[VQS_METRIC_subspace_recovery] = norm2 / least;
    int info = 0;
    dgesvd_("N", "N", &d, &r, WU, &d, singular, NULL, &one, NULL, &one, work, &lwork, &info);
    double smallest = singular[least - 1];
    metric[VQS_METRIC_principal_angle] = info ? NAN : acos(smallest < 1 ? smallest : 1);
    free(WU);
    return VQS_OK;
}

double vqs_lloyd_gap(const struct vqs_settings *s, const struct vqs_model *m, size_t n, const struct vqs_evaluation *e,
                     struct vqs_model_scratch *scratch, vqs_real *codes) {
    if (s->gap_restarts == 0 || (size_t)s->K > n || m->quantizer.n_codebooks > 1) {
        return NAN;
    }
    const struct vqs_lloyd_problem problem = {.kernels = m->kernels,
                                              .seed = s->seed,
                                              .z = scratch->z,
                                              .stride = (size_t)m->d * T,
                                              .n = n,
                                              .d = m->d,
                                              .K = m->quantizer.K,
                                              .restarts = s->gap_restarts,
                                              .iterations = GAP_ITERATIONS,
                                              .tolerance = gap_tolerance};
    double best = vqs_lloyd(&problem, &scratch->lloyd, codes);
    return best > 0 ? e->distortion / best : NAN;
}
