/* train.c - one trial: data, model, epochs of steps, evaluation, record.
 *
 * A step is two phases, so that its result does not depend on the number of threads. In the first, the batch is cut
 * into tiles of 32 samples and these into PARTIALS fixed runs of tiles, each with sums of its own; threads take whole
 * runs. In the second, the sums are added up in the order of the runs, codes gather their samples' gradients in the
 * order of the batch, and the parameters move. Threads divide the second phase by parameter, never by sample. */
#include "vqsweep/train.h"

#include "team.h"
#include "tile.h"
#include "vqsweep/metrics.h"
#include "vqsweep/orthonormal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

enum { T = VQS_TILE, PARTIALS = 8 };

/* Sums of one run of tiles. */
struct partial {
    vqs_real *outer; /* [rows][ld] sum of outer x^T */
    vqs_real *gsum;  /* [d] sum of gz, with bias */
    double rec, vq, zero;
};

/* Everything one trial works in. Carved from one arena; nothing is allocated after that. */
struct work {
    struct vqs_model model;
    struct vqs_model_scratch scratch;
    struct vqs_evaluation train, eval;
    int tiles; /* of a full batch */
    /* step */
    vqs_real *grad, *moment1, *moment2; /* [n_params] */
    struct partial partial[PARTIALS];
    size_t partial_stride; /* from one partial's sums to the next's, in values */
    uint32_t *k;           /* [tiles][T] codes of the batch */
    vqs_real *gc;          /* [tiles][T][vqs_row_stride(d)] gradients to them */
    uint32_t *count;       /* [K] samples of each code in the batch */
    uint32_t *used;        /* [team][K + 1] the codes whose count is not 0 */
    vqs_real *moments;     /* [d][vqs_row_stride(d)] sum q q^T over the batch */
    vqs_real *thread;      /* [team][thread_size] tile scratch */
    size_t thread_size;
    /* epoch */
    vqs_real *codes_before; /* [K][d] at the start of the epoch; also Lloyd's codebook at the end */
    uint32_t *usage;        /* [K] over the epoch */
};

struct vqs_trainer {
    struct vqs_team *team;
    const struct vqs_kernels *kernels;
    struct vqs_trial_hooks hooks;
    struct vqs_arena arena;
    struct vqs_data_cache *cache; /* where data comes from */
    struct vqs_data_cache *own;   /* the same, if the trainer was given none */
    const struct vqs_dataset *data; /* of the trial in work */
};

/* ---- memory ---------------------------------------------------------------------------------------------------------
 */

static bool is_trained(const struct vqs_settings *s) {
    return vqs_estimator_get(s->estimator)->backward != NULL;
}

static int snapshot_count(const struct vqs_settings *s) {
    int n = 1; /* the last codebook */
    for (int i = 0; is_trained(s) && i < s->snapshots.n; i++) {
        n += s->snapshots.at[i] != s->epochs;
    }
    return n;
}

static void carve(const struct vqs_settings *s, const struct vqs_kernels *kernels, int team, struct vqs_arena *arena,
                  struct work *w) {
    vqs_model_carve(s, kernels, arena, &w->model, &w->scratch);
    const struct vqs_model *m = &w->model;
    const size_t d = (size_t)s->d, rows = (size_t)m->rows, codes = (size_t)s->K * d;
    w->tiles = (s->batch + T - 1) / T;
    vqs_evaluation_carve(s, arena, &w->train);
    vqs_evaluation_carve(s, arena, &w->eval);
    w->codes_before = vqs_arena_take(arena, codes, sizeof(vqs_real));
    w->thread_size = (rows + rows + 5 * d) * T;
    w->thread = vqs_arena_take(arena, (size_t)team * w->thread_size, sizeof(vqs_real));
    if (!is_trained(s)) {
        return;
    }
    w->usage = vqs_arena_take(arena, (size_t)s->K, sizeof *w->usage);
    w->grad = vqs_arena_take(arena, m->n_params, sizeof(vqs_real));
    w->moment1 = vqs_arena_take(arena, m->n_params, sizeof(vqs_real));
    w->moment2 = vqs_arena_take(arena, m->n_params, sizeof(vqs_real));
    w->k = vqs_arena_take(arena, (size_t)w->tiles * T, sizeof *w->k);
    w->gc = vqs_arena_take(arena, (size_t)w->tiles * T * vqs_row_stride(s->d), sizeof(vqs_real));
    w->count = vqs_arena_take(arena, (size_t)s->K, sizeof *w->count);
    w->used = vqs_arena_take(arena, (size_t)team * ((size_t)s->K + 1), sizeof *w->used);
    w->moments = vqs_arena_take(arena, d * vqs_row_stride(s->d), sizeof(vqs_real));
    const size_t outer = rows * m->ld;
    w->partial_stride = outer + vqs_row_stride(s->d);
    vqs_real *sums = vqs_arena_take(arena, PARTIALS * w->partial_stride, sizeof(vqs_real));
    for (size_t p = 0; sums && p < PARTIALS; p++) {
        struct partial *part = &w->partial[p];
        part->outer = sums + p * w->partial_stride;
        part->gsum = part->outer + outer;
    }
}

size_t vqs_trial_memory(const struct vqs_settings *s) {
    struct vqs_arena measure = {0};
    struct work w = {0};
    carve(s, vqs_kernels_get(), 1, &measure, &w);
    return measure.used + vqs_dataset_memory(s) + vqs_trial_record_bytes(s);
}

size_t vqs_trial_record_bytes(const struct vqs_settings *s) {
    return (size_t)VQS_N_CURVES * (size_t)s->epochs * sizeof(double) +
           (size_t)snapshot_count(s) * (size_t)s->K * ((size_t)s->d + 1) * sizeof(float);
}

/* ---- denormal numbers
 * ------------------------------------------------------------------------------------------------ */

/* Weights and moments of dead codes decay into denormal numbers, which some CPUs handle a hundred times slower than
 * others. They are taken as 0 in every thread of a trial while it runs. Returns what to restore. */
static unsigned flush_denormals(void) {
#if defined(__SSE__)
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* FTZ and DAZ */
    return before;
#else
    return 0;
#endif
}

static void restore_denormals(unsigned before) {
#if defined(__SSE__)
    _mm_setcsr(before);
#else
    (void)before;
#endif
}

/* ---- one step -------------------------------------------------------------------------------------------------------
 */

/* The batch in work. */
struct batch {
    const struct vqs_samples *samples;
    const uint32_t *order; /* [n] sample numbers */
    int n;
    struct vqs_step step;
};

static struct vqs_step make_step(const struct vqs_settings *s, const struct work *w, int n) {
    const struct vqs_model *m = &w->model;
    return (struct vqs_step){
        .settings = s,
        .estimator = &m->kernels->estimators[s->estimator],
        .kernels = m->kernels,
        .d = m->d,
        .K = m->K,
        .tied = m->tied,
        .bias = m->bias,
        .codes = m->codes,
        .packed_codes = m->packed_codes,
        .half_norm = m->half_norm,
        .gram = m->gram,
        .encoder_bias = m->encoder_bias,
        .decoded_bias = m->decoded_bias,
        .bias_norm2 = m->bias_norm2,
        .rec_scale = (vqs_real)(2.0 / ((double)n * m->D)),
        .vq_scale = (vqs_real)(2.0 / ((double)n * m->d)),
        .beta = (vqs_real)s->beta,
    };
}

/* First phase: run `p` of the batch's tiles. */
static void run_of_tiles(struct work *w, const struct batch *b, int p, vqs_real *scratch) {
    const struct vqs_model *m = &w->model;
    const int d = m->d, tiles = (b->n + T - 1) / T, per_run = (tiles + PARTIALS - 1) / PARTIALS;
    struct partial *part = &w->partial[p];
    struct vqs_tile t = {.y = scratch, .gsum = part->gsum};
    t.outer = t.y + m->rows * T;
    t.z = t.outer + m->rows * T;
    t.q = t.z + d * T;
    t.g = t.q + d * T;
    t.gz = t.g + d * T;
    t.ge = t.gz + d * T;
    if (p * per_run >= tiles) { /* a short batch leaves runs empty */
        memset(part->outer, 0, (size_t)m->rows * m->ld * sizeof *part->outer);
    }
    memset(part->gsum, 0, vqs_row_stride(d) * sizeof *part->gsum);
    for (int tile = p * per_run; tile < tiles && tile < (p + 1) * per_run; tile++) {
        uint32_t rows[T];
        t.n = b->n - tile * T < T ? b->n - tile * T : T;
        for (int l = 0; l < T; l++) {
            rows[l] = b->order[tile * T + (l < t.n ? l : 0)];
            t.sq[l] = b->samples->sq[rows[l]];
        }
        t.k = w->k + tile * T;
        t.gc = w->gc + (size_t)tile * T * vqs_row_stride(d);
        m->kernels->project(m->rows, m->ld, b->samples->x, rows, m->W, m->packed, t.y);
        m->kernels->tile_step(&b->step, &t);
        m->kernels->outer(m->rows, m->ld, b->samples->x, rows, t.outer, tile > p * per_run, part->outer);
    }
    part->rec = t.rec;
    part->vq = t.vq;
    part->zero = t.zero;
}

/* Gradients of the codes [first, last), gathered in the order of the batch. */
static void gather_code_gradients(struct work *w, const struct batch *b, int first, int last) {
    vqs_real *grad = w->grad + (w->model.codes - w->model.params);
    w->model.kernels->scatter(b->n, w->model.d, w->k, w->gc, first, last, grad, w->count);
    for (int k = first; k < last; k++) {
        w->usage[k] += w->count[k];
    }
}

/* Lists the codes of the batch in `used` [K + 1]; returns how many. */
static int list_used(const struct work *w, uint32_t *used) {
    int n = 0;
    for (int k = 0; k < w->model.K; k++) { /* without a branch: which codes are used cannot be foretold */
        used[n] = (uint32_t)k;
        n += w->count[k] != 0;
    }
    return n;
}

/* dC = (2/(B D)) (V sum q + B C - sum x) and db = sum gz; grad_C holds sum x. */
static void bias_gradients(struct work *w, const struct batch *b, const vqs_real *gsum) {
    const struct vqs_model *m = &w->model;
    const size_t ld = m->ld, d = (size_t)m->d;
    vqs_real *grad_C = w->grad + (size_t)(m->rows - 1) * ld, *grad_V = w->grad + (m->V - m->params);
    for (size_t i = 0; i < ld; i++) {
        grad_C[i] = b->step.rec_scale * ((vqs_real)b->n * m->decoder_bias[i] - grad_C[i]);
    }
    for (size_t i = 0; i < d; i++) {
        vqs_real qsum = 0;
        for (size_t k = 0; k < (size_t)m->K; k++) {
            qsum += (vqs_real)w->count[k] * m->codes[k * d + i];
        }
        m->kernels->axpy(ld, b->step.rec_scale * qsum, m->V + i * ld, grad_C);
        m->kernels->axpy(ld, b->step.rec_scale * qsum, m->decoder_bias, grad_V + i * ld);
    }
    memcpy(w->grad + (size_t)m->rows * ld, gsum, d * sizeof *w->grad);
}

/* Rows [first, last) of dV = (2/(B D)) (V sum q q^T + C sum q^T - sum q x^T), V^T that is; grad holds sum q x^T. Tied,
 * the rows of W already hold sum (gz - (2/(B D)) q) x^T. */
static void decoder_gradients(struct work *w, const struct batch *b, int me, int first, int last) {
    const struct vqs_model *m = &w->model;
    const struct vqs_kernels *k = m->kernels;
    const vqs_real scale = b->step.rec_scale;
    uint32_t *used = w->used + (size_t)me * ((size_t)m->K + 1);
    k->code_moments(list_used(w, used), used, m->d, m->codes, w->count, first, last, w->moments);
    k->combine(m->d, m->ld, w->moments, m->V, scale, m->tied ? 1 : -scale, first, last, w->grad + (m->V - m->params));
    if (m->bias) {
        k->add_up(0, vqs_row_stride(m->d), PARTIALS, w->partial_stride, w->partial[0].gsum, w->partial[0].gsum);
        bias_gradients(w, b, w->partial[0].gsum);
    }
}

static struct vqs_adam_step make_adam_step(const struct vqs_settings *s, int64_t step_number) {
    return (struct vqs_adam_step){
        .beta1 = (vqs_real)s->adam_beta1,
        .beta2 = (vqs_real)s->adam_beta2,
        .eps = (vqs_real)s->adam_eps,
        .rest1 = (vqs_real)(1 - s->adam_beta1),
        .rest2 = (vqs_real)(1 - s->adam_beta2),
        .rate = (vqs_real)(s->lr / (1 - pow(s->adam_beta1, (double)step_number))),
        .inv_sqrt_2 = (vqs_real)(1 / sqrt(1 - pow(s->adam_beta2, (double)step_number))),
    };
}

/* The parameters [first, last) move; both are multiples of VQS_ROW_UNIT. */
static void move(struct work *w, const struct vqs_adam_step *adam, size_t first, size_t last) {
    w->model.kernels->adam(adam, last - first, w->grad + first, w->moment1 + first, w->moment2 + first,
                           w->model.params + first);
}

/* ---- epochs
 * ---------------------------------------------------------------------------------------------------------- */

/* What an epoch adds up. */
struct epoch_sums {
    double rec, vq, zero;
    int64_t flips;
};

static void add_losses(const struct work *w, struct epoch_sums *sums) {
    for (int p = 0; p < PARTIALS; p++) {
        sums->rec += w->partial[p].rec;
        sums->vq += w->partial[p].vq;
        sums->zero += w->partial[p].zero;
    }
}

/* What the threads of an epoch share. */
struct epoch {
    const struct vqs_settings *settings;
    const struct vqs_samples *samples;
    struct work *work;
    struct vqs_team *team;
    int64_t steps_before; /* over the trial */
    struct epoch_sums sums;
};

/* From where part `part` of `parts` of n begins: a multiple of `unit`. */
static int part_begin(int n, int unit, int part, int parts) {
    const int units = (n + unit - 1) / unit, first = (int)((int64_t)units * part / parts) * unit;
    return first < n ? first : n;
}

/* The gradients, in two phases: sums over the runs of tiles and of the codes' samples; then what needs the codes'
 * counts, by rows of V. */
static void gather_gradients(struct epoch *e, const struct batch *b, int me) {
    struct work *w = e->work;
    const struct vqs_model *m = &w->model;
    const int parts = vqs_team_threads(e->team), rows_at_once = m->bias ? m->d : 4; /* biases sum over all rows */
    for (int part; (part = vqs_team_claim(e->team)) < 2 * parts;) {
        const int i = part / 2;
        if (part % 2) {
            m->kernels->add_up((size_t)part_begin(m->rows, 1, i, parts) * m->ld,
                               (size_t)part_begin(m->rows, 1, i + 1, parts) * m->ld, PARTIALS, w->partial_stride,
                               w->partial[0].outer, w->grad);
        } else {
            gather_code_gradients(w, b, part_begin(m->K, 1, i, parts), part_begin(m->K, 1, i + 1, parts));
        }
    }
    vqs_team_wait(e->team);
    for (int part; (part = vqs_team_claim(e->team)) < parts;) {
        const int first = part_begin(m->d, rows_at_once, part, parts);
        const int last = part_begin(m->d, rows_at_once, part + 1, parts);
        if (first < last) {
            decoder_gradients(w, b, me, first, last);
        }
    }
    vqs_team_wait(e->team);
}

/* Where code `k` stands among the parameters; the padding belongs to the last. */
static size_t code_offset(const struct vqs_model *m, int k) {
    return k < m->K ? (size_t)(m->codes - m->params) + (size_t)k * (size_t)m->d : m->n_params;
}

/* Parameters move, and the model is made ready for the next step: W and its retraction, what else stands before the
 * codes, and ranges of codes; then what is made of whole matrices. */
static void update(struct epoch *e, const struct vqs_adam_step *adam) {
    struct work *w = e->work;
    struct vqs_model *m = &w->model;
    const int parts = vqs_team_threads(e->team);
    const size_t encoder = (size_t)m->d * m->ld;
    for (int part; (part = vqs_team_claim(e->team)) < 2 + parts;) {
        if (part == 0) {
            move(w, adam, 0, encoder);
            e->sums.flips += vqs_retract(m->kernels, (enum vqs_retraction)e->settings->retraction, m->d, m->ld, m->W,
                                         w->scratch.retract);
        } else if (part == 1) {
            move(w, adam, encoder, code_offset(m, 0));
        } else {
            const int first = part_begin(m->K, VQS_ROW_UNIT, part - 2, parts);
            const int last = part_begin(m->K, VQS_ROW_UNIT, part - 1, parts);
            move(w, adam, code_offset(m, first), code_offset(m, last));
            vqs_model_refresh_codes(m, first, last);
        }
    }
    vqs_team_wait(e->team);
    for (int part; (part = vqs_team_claim(e->team)) < VQS_MODEL_PARTS;) {
        vqs_model_refresh_part(m, part);
    }
    vqs_team_wait(e->team);
}

/* All steps of the epoch, by member `me` of the team. */
static void run_steps(void *ctx, int me) {
    struct epoch *e = ctx;
    const struct vqs_settings *s = e->settings;
    struct work *w = e->work;
    int64_t step_number = e->steps_before;
    for (int start = 0; start < s->N; start += s->batch) {
        const int n = s->N - start < s->batch ? s->N - start : s->batch;
        const struct batch b = {e->samples, w->scratch.order + start, n, make_step(s, w, n)};
        const struct vqs_adam_step adam = make_adam_step(s, ++step_number);
        for (int p; (p = vqs_team_claim(e->team)) < PARTIALS;) {
            run_of_tiles(w, &b, p, w->thread + (size_t)me * w->thread_size);
        }
        vqs_team_wait(e->team);
        if (me == 0) {
            add_losses(w, &e->sums);
        }
        gather_gradients(e, &b, me);
        update(e, &adam);
    }
}

/* One epoch; `step_number` counts steps over the trial. */
static void run_epoch(const struct vqs_settings *s, struct vqs_team *team, const struct vqs_dataset *data,
                      struct work *w, int epoch, int64_t *step_number, struct epoch_sums *sums) {
    const struct vqs_stream order = {w->model.kernels, s->seed, VQS_RNG_BATCHES, (uint32_t)epoch};
    vqs_rng_permutation(&order, (uint32_t)data->train.n, w->scratch.order);
    struct epoch e = {.settings = s, .samples = &data->train, .work = w, .team = team, .steps_before = *step_number};
    vqs_team_run(team, run_steps, &e);
    *step_number += (s->N + s->batch - 1) / s->batch;
    *sums = e.sums;
}

static double code_drift(const struct work *w) {
    const size_t n = (size_t)w->model.K * (size_t)w->model.d;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double moved = (double)w->model.codes[i] - (double)w->codes_before[i];
        sum += moved * moved;
    }
    return sqrt(sum / w->model.K);
}

/* The curves of epoch `e` (0-based). Returns whether all is still finite. */
static bool record_epoch(const struct vqs_settings *s, const struct work *w, const struct epoch_sums *sums, int e,
                         struct vqs_record *record) {
    const double rec = sums->rec / ((double)s->N * s->D), vq = sums->vq / ((double)s->N * s->d);
    const double values[VQS_N_CURVES] = {
        [VQS_CURVE_loss] = rec + (1 + s->beta) * vq,
        [VQS_CURVE_loss_rec] = rec,
        [VQS_CURVE_loss_vq] = vq,
        [VQS_CURVE_entropy] = vqs_entropy(w->usage, s->K),
        [VQS_CURVE_dead_codes] = vqs_dead_codes(w->usage, s->K),
        [VQS_CURVE_code_drift] = code_drift(w),
        [VQS_CURVE_u_zero] = sums->zero,
    };
    for (int c = 0; c < VQS_N_CURVES; c++) {
        record->curves[c * record->n_epochs + e] = values[c];
    }
    return isfinite(values[VQS_CURVE_loss]) && isfinite(values[VQS_CURVE_code_drift]);
}

static void take_snapshot(const struct work *w, int epoch, const uint32_t *usage, struct vqs_snapshot *snapshot) {
    const size_t n = (size_t)w->model.K * (size_t)w->model.d;
    snapshot->epoch = epoch;
    for (size_t i = 0; i < n; i++) {
        snapshot->codes[i] = (float)w->model.codes[i];
    }
    memcpy(snapshot->usage, usage, (size_t)w->model.K * sizeof *usage);
}

static void evaluate_part(struct work *w, struct vqs_team *team, const struct vqs_samples *part,
                          struct vqs_evaluation *e) {
    vqs_evaluate(&w->model, part, team, &w->scratch, w->thread, e);
}

/* The initial model, or the one in which an earlier run left the trial. */
static struct vqs_trial_state begin(const struct vqs_trainer *t, const struct vqs_settings *s, struct work *w,
                                    struct vqs_record *record) {
    struct vqs_trial_state state = {.n_params = w->model.n_params,
                                    .params = w->model.params,
                                    .moment1 = w->moment1,
                                    .moment2 = w->moment2,
                                    .record = record};
    vqs_model_init(s, t->data, &w->model, &w->scratch);
    if (t->hooks.resume && t->hooks.resume(t->hooks.ctx, &state)) {
        vqs_model_refresh(&w->model);
    }
    return state;
}

/* Train to the last epoch, until something is no longer finite, or until the hooks want to leave. */
static enum vqs_status train(const struct vqs_trainer *t, const struct vqs_settings *s, struct work *w,
                             struct vqs_record *record, struct vqs_error *err) {
    const struct vqs_dataset *data = t->data;
    struct vqs_trial_state at = begin(t, s, w, record);
    record->outcome = VQS_OUTCOME_COMPLETED;
    for (;;) {
        const int epoch = at.epoch;
        if (at.n_snapshots < s->snapshots.n && s->snapshots.at[at.n_snapshots] == epoch && epoch < s->epochs) {
            evaluate_part(w, t->team, &data->train, &w->train);
            take_snapshot(w, epoch, w->train.usage, &record->snapshots[at.n_snapshots++]);
        }
        if (epoch == s->epochs) {
            break;
        }
        struct epoch_sums sums = {0};
        memset(w->usage, 0, (size_t)s->K * sizeof *w->usage);
        memcpy(w->codes_before, w->model.codes, (size_t)s->K * (size_t)s->d * sizeof *w->codes_before);
        run_epoch(s, t->team, data, w, epoch, &at.steps, &sums);
        at.flips += sums.flips;
        at.zero += sums.zero;
        at.epoch++;
        if (!record_epoch(s, w, &sums, epoch, record)) {
            record->outcome = VQS_OUTCOME_DIVERGED;
            break;
        }
        if (t->hooks.epoch && at.epoch < s->epochs && !t->hooks.epoch(t->hooks.ctx, &at)) {
            return vqs_fail(err, VQS_ERR_UNFINISHED, "left after %d of %d epochs", at.epoch, s->epochs);
        }
    }
    record->n_snapshots = at.n_snapshots; /* the last one is added by evaluate() */
    record->metric[VQS_METRIC_u_zero_events] = at.zero;
    record->metric[VQS_METRIC_row_flips] = (double)at.flips;
    return VQS_OK;
}

/* The metrics of the final model, and its codebook as the last snapshot. */
static enum vqs_status evaluate(const struct vqs_settings *s, struct vqs_team *team, const struct vqs_dataset *data,
                                struct work *w, struct vqs_record *record, struct vqs_error *err) {
    evaluate_part(w, team, &data->eval, &w->eval);
    vqs_metrics_part(&w->model, &data->eval, VQS_PART_EVAL, &w->eval, record->metric);
    evaluate_part(w, team, &data->train, &w->train); /* last: its z stays for the Lloyd gap */
    vqs_metrics_part(&w->model, &data->train, VQS_PART_TRAIN, &w->train, record->metric);
    take_snapshot(w, is_trained(s) ? s->epochs : 0, w->train.usage, &record->snapshots[record->n_snapshots++]);
    record->metric[VQS_METRIC_lloyd_gap] =
        vqs_lloyd_gap(s, &w->model, data->train.n, &w->train, &w->scratch, w->codes_before);
    return vqs_metrics_subspace(&w->model, data, record->metric, err);
}

/* ---- the trial
 * -------------------------------------------------------------------------------------------------------- */

static enum vqs_status prepare(struct vqs_trainer *t, const struct vqs_settings *s, struct work *w,
                               struct vqs_record *record, struct vqs_error *err) {
    enum vqs_setting_id culprit;
    enum vqs_status status = vqs_settings_check(s, &culprit, err);
    if (!status) {
        status = vqs_record_reset(record, is_trained(s) ? s->epochs : 0, snapshot_count(s), s->K, s->d, err);
    }
    if (!status) {
        status = vqs_data_cache_get(t->cache, s, &t->data, err);
    }
    if (status) {
        return status;
    }
    struct vqs_arena measure = {0};
    carve(s, t->kernels, vqs_team_threads(t->team), &measure, w);
    if (measure.used > t->arena.size) {
        vqs_arena_destroy(&t->arena);
        status = vqs_arena_create(&t->arena, measure.used, err);
    }
    if (!status) {
        memset(t->arena.base, 0, measure.used); /* a trial sees the same zeros whatever ran before it */
        t->arena.used = 0;
        carve(s, t->kernels, vqs_team_threads(t->team), &t->arena, w);
    }
    return status;
}

enum vqs_status vqs_trainer_run(struct vqs_trainer *t, const struct vqs_settings *s, struct vqs_record *record,
                                struct vqs_error *err) {
    struct vqs_error own = {0};
    struct work w = {0};
    const double start = vqs_clock_seconds();
    const unsigned denormals = flush_denormals();
    enum vqs_status status = prepare(t, s, &w, record, &own);
    if (!status && is_trained(s)) {
        status = train(t, s, &w, record, &own);
    } else if (!status) {
        status = vqs_model_kmeans(s, t->data, &w.model, &w.scratch, &own);
        record->n_snapshots = 0;
        record->outcome = VQS_OUTCOME_COMPLETED;
    }
    if (!status && record->outcome == VQS_OUTCOME_COMPLETED) {
        status = evaluate(s, t->team, t->data, &w, record, &own);
    }
    restore_denormals(denormals);
    vqs_data_cache_put(t->cache, t->data);
    t->data = NULL;
    if (status) {
        struct vqs_error ignored = {0};
        vqs_record_reset(record, 0, 0, 0, 0, &ignored);
        record->outcome = VQS_OUTCOME_FAILED;
        snprintf(record->message, sizeof record->message, "%.*s", (int)sizeof record->message - 1, own.text);
        vqs_fail(err, status, "%s", own.text);
    }
    record->key = vqs_settings_key(s);
    record->wall_seconds = vqs_clock_seconds() - start;
    snprintf(record->cpu_class, sizeof record->cpu_class, "%s", t->kernels->cpu_class);
    vqs_record_seal(record);
    return status;
}

/* OpenBLAS's results depend on its thread count, and its threads would fight ours. */
void openblas_set_num_threads(int n);

/* What a trainer without a shared cache keeps of data that is not in use. */
static const size_t own_cache_bytes = (size_t)256 << 20;

enum vqs_status vqs_trainer_create(int team, struct vqs_data_cache *cache, struct vqs_trainer **out,
                                   struct vqs_error *err) {
    *out = calloc(1, sizeof **out);
    if (!*out) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a trainer");
    }
    openblas_set_num_threads(1);
    (*out)->kernels = vqs_kernels_get();
    (*out)->cache = cache;
    enum vqs_status status = vqs_team_create(team, &(*out)->team, err);
    if (!status && !cache) {
        status = vqs_data_cache_create(own_cache_bytes, &(*out)->own, err);
        (*out)->cache = (*out)->own;
    }
    if (status) {
        vqs_trainer_destroy(*out);
        *out = NULL;
    }
    return status;
}

void vqs_trainer_set_hooks(struct vqs_trainer *t, const struct vqs_trial_hooks *hooks) {
    t->hooks = *hooks;
}

void vqs_trainer_destroy(struct vqs_trainer *t) {
    if (t) {
        vqs_team_destroy(t->team);
        vqs_data_cache_destroy(t->own);
        vqs_arena_destroy(&t->arena);
        free(t);
    }
}

/* ---- planning
 * --------------------------------------------------------------------------------------------------------- */

double vqs_trial_seconds(const struct vqs_settings *s) {
    const double multiply_adds_per_second = 2e10, seconds_per_normal = 1.5e-9, seconds_per_sample_pass = 5e-9;
    const double D = s->D, d = s->d, K = s->K, N = s->N, samples = N + s->N_eval;
    const double starts = is_trained(s) ? s->gap_restarts : s->kmeans_restarts + s->gap_restarts;
    const double lloyd = starts * 40 * N * (K * d / multiply_adds_per_second + d * 1e-9);
    const double data = s->data == VQS_DATA_SUBSPACE ? samples * D * seconds_per_normal : samples * D * 20e-9;
    const double products = is_trained(s) && s->decoder == VQS_DECODER_FREE ? 4 : 2;
    double training = 0;
    if (is_trained(s)) {
        const double steps = s->epochs * ceil(N / s->batch);
        training =
            s->epochs * N * ((products * D * d + K * d + d * d) / multiply_adds_per_second + seconds_per_sample_pass) +
            steps * (products * D * d * 6 + D * d * d + 10 * K * d) / multiply_adds_per_second;
    } else {
        training = D * D * N / 2e9 + D * D * D / 1e9;
    }
    return data + training + lloyd + 3 * samples * (2 * D * d + K * d) / multiply_adds_per_second;
}

enum vqs_status vqs_trial_check_data(const struct vqs_settings *s, struct vqs_error *err) {
    if (s->data == VQS_DATA_SUBSPACE) {
        return VQS_OK;
    }
    struct vqs_dataset *data = NULL;
    enum vqs_status status = vqs_dataset_create(s, &data, err);
    vqs_dataset_destroy(data);
    return status;
}
