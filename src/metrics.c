/* metrics.c - evaluation of a model and the metrics of record.h. */
#include "vqsweep/metrics.h"

#include "team.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { T = VQS_TILE, SUMS = 3 };

/* The Lloyd gap wants a distortion to three digits, not the last step of convergence. */
static const double gap_tolerance = 1e-4;
enum { GAP_ITERATIONS = 100 };

void vqs_evaluation_carve(const struct vqs_settings *s, struct vqs_arena *arena, struct vqs_evaluation *e) {
    const size_t samples = (size_t)(s->N > s->N_eval ? s->N : s->N_eval), books = (size_t)vqs_n_codebooks(s);
    e->usage = vqs_arena_take(arena, books * (size_t)s->K, sizeof *e->usage);
    e->level = books > 1 ? vqs_arena_take(arena, books, sizeof *e->level) : NULL;
    e->book_stride = (samples + T - 1) / T * T;
    e->k = vqs_arena_take(arena, books * e->book_stride, sizeof *e->k);
    e->tiles = vqs_arena_take(arena, (samples + T - 1) / T * SUMS, sizeof *e->tiles);
    e->task = vqs_task_of(s);
}

size_t vqs_evaluation_scratch(const struct vqs_model *m) {
    return m->tile_scratch + (3 * (size_t)m->d + m->ld) * T;
}

/* ---- the pass over the data ------------------------------------------------------------------------------------ */

static double square(double a) {
    return a * a;
}

/* q of a tile's z, [d][T] both, as the sum of codes over levels; numbers of the codes into k. `r` is scratch, 2 x
 * [d][T]. */
static void quantize(const struct vqs_quantizer *quantizer, int d, const vqs_real *z, vqs_real *r, size_t book_stride,
                     uint32_t *k, vqs_real *q) {
    vqs_real *code = r + d * T;
    if (quantizer->n_codebooks == 1) {
        vqs_quantizer_quantize(quantizer, 0, z, k, q);
        return;
    }
    memcpy(r, z, (size_t)(d * T) * sizeof *r);
    memset(q, 0, (size_t)(d * T) * sizeof *q);
    for (int c = 0; c < quantizer->n_codebooks; c++) {
        const int at = c % quantizer->groups * quantizer->width * T;
        vqs_quantizer_quantize(quantizer, c, r + at, k + (size_t)c * book_stride, code);
        for (int i = 0; i < quantizer->width * T; i++) {
            q[at + i] += code[i];
            r[at + i] -= code[i];
        }
    }
}

/* One tile: z, its codes' numbers into k, and the two sums over its samples. */
static void evaluate_tile(const struct vqs_model *m, const struct vqs_samples *samples, const struct vqs_task *task,
                          size_t tile, vqs_real *y, vqs_real *z, size_t book_stride, uint32_t *k, double sums[SUMS]) {
    uint32_t rows[T];
    const int n = vqs_tile_rows(samples->n, tile, rows), d = m->d;
    vqs_real *q = y + m->tile_scratch, *xhat = q + 3 * d * T, error[T];
    vqs_model_encode(m, samples->x, rows, y, z);
    quantize(&m->quantizer, d, z, q + d * T, book_stride, k, q);
    double squared_error = 0, score = 0;
    const bool scored = task->kind != VQS_TASK_NONE;
    if (m->mlp || scored) {
        vqs_model_decode(m, q, y, xhat);
    }
    if (!m->mlp) {
        m->kernels->decode_error(d, m->ld, samples->x, rows, m->V, m->decoder_bias, q, error);
    }
    for (int l = 0; l < n; l++) {
        const size_t ld = m->ld;
        const vqs_real *own = xhat + (size_t)l * ld;
        score += scored ? vqs_task_score(task, samples, rows[l], ld, own) : 0;
        squared_error +=
            m->mlp ? m->kernels->squared_error(ld, 0, samples->x + rows[l] * ld, own, y) : (double)error[l];
    }
    sums[0] = squared_error;
    sums[1] = m->kernels->distance(n, d, z, q);
    sums[2] = score;
}

/* tr Cov(z) */
static double variance_of_z(const struct vqs_model *m, const vqs_real *z, size_t n) {
    double variance = 0;
    for (int i = 0; i < m->d; i++) {
        variance += m->kernels->variance(n, (size_t)m->d * T, z + i * T);
    }
    return variance;
}

struct pass {
    const struct vqs_model *model;
    const struct vqs_samples *samples;
    vqs_real *y, *z;
    struct vqs_evaluation *e;
    enum { BEGIN, TILES, LEVELS } phase;
};

/* Component i of what codebook `number` is given of sample s. */
static double input_of(const struct pass *p, int number, int i, size_t s) {
    const struct vqs_quantizer *q = &p->model->quantizer;
    const size_t component = (size_t)(number % q->groups * q->width + i);
    double r = (double)p->z[(s / T * (size_t)p->model->d + component) * T + s % T];
    for (int c = number % q->groups; c < number; c += q->groups) {
        const uint32_t k = p->e->k[(size_t)c * p->e->book_stride + s];
        r -= (double)vqs_codebook_of(q, c).codes[k * (size_t)q->width + (size_t)i];
    }
    return r;
}

static struct vqs_level_evaluation evaluate_level(const struct pass *p, int number) {
    const struct vqs_quantizer *q = &p->model->quantizer;
    const vqs_real *codes = vqs_codebook_of(q, number).codes;
    const uint32_t *k = p->e->k + (size_t)number * p->e->book_stride;
    const size_t n = p->samples->n;
    struct vqs_level_evaluation level = {0};
    for (int i = 0; i < q->width; i++) {
        double mean = 0;
        for (size_t s = 0; s < n; s++) {
            mean += input_of(p, number, i, s) / (double)n;
        }
        for (size_t s = 0; s < n; s++) {
            const double r = input_of(p, number, i, s);
            level.distortion += square(r - (double)codes[k[s] * (size_t)q->width + (size_t)i]);
            level.variance += square(r - mean) / (double)n;
        }
    }
    return level;
}

/* Tiles, then codebooks where there are several. */
static int next_phase(void *ctx, int me) {
    struct pass *p = ctx;
    (void)me;
    if (p->phase == BEGIN) {
        p->phase = TILES;
        return (int)((p->samples->n + T - 1) / T);
    }
    if (p->phase == TILES && p->e->level) {
        p->phase = LEVELS;
        return p->model->quantizer.n_codebooks;
    }
    return -1;
}

static void do_part(void *ctx, int part, int me) {
    const struct pass *p = ctx;
    const struct vqs_model *m = p->model;
    const size_t t = (size_t)part;
    if (p->phase == TILES) {
        evaluate_tile(m, p->samples, &p->e->task, t, p->y + (size_t)me * vqs_evaluation_scratch(m),
                      p->z + t * (size_t)m->d * T, p->e->book_stride, p->e->k + t * T, p->e->tiles + SUMS * t);
    } else {
        p->e->level[part] = evaluate_level(p, part);
    }
}

void vqs_evaluate(const struct vqs_model *m, const struct vqs_samples *samples, struct vqs_team *team,
                  struct vqs_model_scratch *scratch, vqs_real *y, struct vqs_evaluation *e) {
    const size_t tiles = (samples->n + T - 1) / T;
    const size_t books = (size_t)m->quantizer.n_codebooks, K = (size_t)m->quantizer.K;
    static const struct vqs_team_work work = {next_phase, do_part};
    struct pass pass = {m, samples, y, scratch->z, e, BEGIN};
    vqs_team_run(team, &work, &pass);
    memset(e->usage, 0, books * K * sizeof *e->usage);
    for (size_t c = 0; c < books; c++) {
        for (size_t i = 0; i < samples->n; i++) {
            e->usage[c * K + e->k[c * e->book_stride + i]]++;
        }
    }
    e->squared_error = e->distortion = e->score = 0;
    for (size_t tile = 0; tile < tiles; tile++) {
        e->squared_error += e->tiles[SUMS * tile];
        e->distortion += e->tiles[SUMS * tile + 1];
        e->score += e->tiles[SUMS * tile + 2];
    }
    e->z_variance = variance_of_z(m, scratch->z, samples->n);
}

/* ---- figures --------------------------------------------------------------------------------------------------- */

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
    const double mse = e->task.logits ? NAN : e->squared_error / ((double)samples->n * m->D);
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
    vqs_task_metrics(&e->task, part == VQS_PART_EVAL, e->score / (double)samples->n, mse, metric);
    if (part == VQS_PART_EVAL) {
        metric[VQS_METRIC_bits_per_sample_eval] = books * entropy / log(2);
        metric[VQS_METRIC_bits_per_value_eval] = books * entropy / (log(2) * m->D);
    } else {
        metric[VQS_METRIC_collapsed] = dead >= 1 && dead >= 0.1 * (books * K);
    }
}

void vqs_metrics_levels(const struct vqs_model *m, const struct vqs_samples *samples, enum vqs_part part,
                        const struct vqs_evaluation *e, float *values) {
    const int at = part == VQS_PART_EVAL, K = m->quantizer.K;
    for (int c = 0; e->level && c < m->quantizer.n_codebooks; c++, values += VQS_N_LEVEL_METRICS) {
        const uint32_t *usage = e->usage + c * K;
        const struct vqs_level_evaluation *level = &e->level[c];
        values[VQS_LEVEL_METRIC_entropy_train + at] = (float)vqs_entropy(usage, 1, K);
        values[VQS_LEVEL_METRIC_dead_codes_train + at] = (float)vqs_dead_codes(usage, 1, K);
        values[VQS_LEVEL_METRIC_quantization_error_train + at] =
            level->variance > 0 ? (float)(level->distortion / ((double)samples->n * level->variance)) : NAN;
    }
}

/* LAPACK: singular values. */
void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *lda, double *s,
             double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork, int *info);

enum vqs_status vqs_metrics_subspace(const struct vqs_model *m, const struct vqs_dataset *data,
                                     double metric[VQS_N_METRICS], struct vqs_error *err) {
    if (data->r == 0 || m->mlp) {
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
