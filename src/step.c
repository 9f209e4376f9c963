/* step.c - one step of training over a batch. */
#include "step.h"

#include "care.h"

#include "vqsweep/orthonormal.h"

#include <math.h>
#include <string.h>

enum { T = VQS_TILE, PARTIALS = VQS_PARTIALS };

/* ---- memory -------------------------------------------------------------------------------------------------------
 */

static const struct vqs_estimator *estimator_of(const struct vqs_settings *s, const struct vqs_kernels *kernels) {
    return &kernels->estimators[s->estimator];
}

static bool is_for_each(const struct vqs_settings *s) {
    return vqs_n_codebooks(s) == 1 || s->estimator_scope == VQS_SCOPE_EACH;
}

/* Whether what is decoded is always a code, so that sums over samples are sums over codes. */
static bool decodes_codes(const struct vqs_settings *s, const struct vqs_estimator *estimator) {
    return vqs_n_codebooks(s) == 1 && !(estimator->needs & VQS_GIVES_VALUE);
}

void vqs_tile_carve(const struct vqs_settings *s, const struct vqs_estimator *estimator, int rows,
                    struct vqs_arena *arena, struct vqs_tile *t) {
    const unsigned needs = estimator->needs;
    const bool each = is_for_each(s), value = needs & VQS_GIVES_VALUE;
    const size_t latent = (size_t)s->d * T, choices = (size_t)s->K * T, all = (size_t)s->levels * latent;
    const size_t seen = each ? (size_t)s->levels : 1; /* how often the estimator sees d components */
    t->y = vqs_arena_take(arena, (size_t)rows * T, sizeof(vqs_real));
    t->outer = vqs_arena_take(arena, (size_t)rows * T, sizeof(vqs_real));
    t->z = vqs_arena_take(arena, all, sizeof(vqs_real));
    t->q = vqs_arena_take(arena, all, sizeof(vqs_real));
    t->v = each && value ? vqs_arena_take(arena, all, sizeof(vqs_real)) : t->q;
    t->sum = s->levels > 1 ? vqs_arena_take(arena, latent, sizeof(vqs_real)) : t->v;
    t->f = !each && value ? vqs_arena_take(arena, latent, sizeof(vqs_real)) : t->sum;
    t->g = vqs_arena_take(arena, latent, sizeof(vqs_real));
    t->gz = vqs_arena_take(arena, latent, sizeof(vqs_real));
    t->ge = vqs_arena_take(arena, latent, sizeof(vqs_real));
    const size_t books = (size_t)vqs_n_codebooks(s);
    const bool chain = each && s->levels > 1;
    t->rest = chain ? vqs_arena_take(arena, latent, sizeof(vqs_real)) : NULL;
    t->back = chain ? vqs_arena_take(arena, latent, sizeof(vqs_real)) : NULL;
    t->square = decodes_codes(s, estimator) ? NULL : vqs_arena_take(arena, (size_t)(s->d * s->d), sizeof(vqs_real));
    t->at_z = needs & VQS_NEEDS_AT_Z ? vqs_arena_take(arena, latent, sizeof(vqs_real)) : NULL;
    t->noise_stride = (latent + VQS_RNG_GROUP - 1) / VQS_RNG_GROUP * VQS_RNG_GROUP;
    t->noise = needs & VQS_NEEDS_NOISE ? vqs_arena_take(arena, seen * t->noise_stride, sizeof(vqs_real)) : NULL;
    t->gq = needs & VQS_GIVES_CODES ? vqs_arena_take(arena, seen * latent, sizeof(vqs_real)) : NULL;
    t->words = needs & VQS_NEEDS_CHOICES ? vqs_arena_take(arena, choices, sizeof *t->words) : NULL;
    t->soft = s->entropy_weight > 0 ? vqs_arena_take(arena, 2 * choices, sizeof(vqs_real)) : NULL;
    t->weights = needs & VQS_NEEDS_CHOICES ? vqs_arena_take(arena, books * 3 * choices, sizeof(vqs_real)) : NULL;
}

static size_t whole_rows(size_t n) {
    return (n + VQS_ROW_UNIT - 1) / VQS_ROW_UNIT * VQS_ROW_UNIT;
}

static void carve_partials(const struct vqs_settings *s, const struct vqs_estimator *estimator,
                           struct vqs_arena *arena, struct vqs_work *w) {
    const bool sums_codes = decodes_codes(s, estimator);
    const size_t outer = (size_t)w->model.rows * w->model.ld, vector = vqs_row_stride(s->d);
    const size_t moments = sums_codes ? 0 : (size_t)s->d * vector;
    const size_t fsum = sums_codes ? 0 : vector;
    const struct vqs_quantizer *q = &w->model.quantizer;
    const bool soft = s->entropy_weight > 0, weighed = soft || estimator->needs & VQS_NEEDS_CHOICES;
    const size_t codes = weighed ? whole_rows(q->n_codes) : 0;
    const size_t soft_sum = soft ? whole_rows((size_t)q->n_codebooks * (size_t)q->K) : 0;
    w->partial_stride = outer + vector + fsum + moments + codes + soft_sum;
    vqs_real *sums = vqs_arena_take(arena, PARTIALS * w->partial_stride, sizeof(vqs_real));
    for (size_t p = 0; sums && p < PARTIALS; p++) {
        struct vqs_partial *part = &w->partial[p];
        part->outer = sums + p * w->partial_stride;
        part->gsum = part->outer + outer;
        part->fsum = fsum ? part->gsum + vector : NULL;
        part->moments = moments ? part->fsum + fsum : NULL;
        part->gcodes = codes ? part->gsum + vector + fsum + moments : NULL;
        part->soft_sum = soft ? part->gcodes + codes : NULL;
    }
}

void vqs_work_carve(const struct vqs_settings *s, const struct vqs_kernels *kernels, int team, struct vqs_arena *arena,
                    struct vqs_work *w) {
    const struct vqs_estimator *estimator = estimator_of(s, kernels);
    vqs_model_carve(s, kernels, arena, &w->model, &w->scratch);
    const struct vqs_model *m = &w->model;
    const size_t d = (size_t)s->d, books = (size_t)m->quantizer.n_codebooks;
    w->tiles = (s->batch + T - 1) / T;
    vqs_evaluation_carve(s, arena, &w->train);
    vqs_evaluation_carve(s, arena, &w->eval);
    w->codes_before = vqs_arena_take(arena, m->quantizer.n_codes, sizeof(vqs_real));
    w->evaluation = vqs_arena_take(arena, (size_t)team * (size_t)(m->rows + 2 * s->d) * T, sizeof(vqs_real));
    if (!estimator->backward) {
        return;
    }
    const size_t samples = books * (size_t)w->tiles * T;
    w->usage = vqs_arena_take(arena, books * (size_t)s->K, sizeof *w->usage);
    w->grad = vqs_arena_take(arena, m->n_params, sizeof(vqs_real));
    w->moment1 = vqs_arena_take(arena, m->n_params, sizeof(vqs_real));
    w->moment2 = vqs_arena_take(arena, m->n_params, sizeof(vqs_real));
    if (m->quantizer.learning.kind != VQS_LEARN_GRADIENT) {
        w->to_codes = vqs_arena_take(arena, m->quantizer.n_codes, sizeof(vqs_real));
    } else if (w->grad) {
        w->to_codes = w->grad + (m->quantizer.params - m->params);
    }
    if (s->entropy_weight > 0) {
        w->log_mean = vqs_arena_take(arena, books * (size_t)s->K, sizeof *w->log_mean);
    }
    if (s->orthogonality > 0) {
        w->care = vqs_arena_take(arena, vqs_care_scratch(s->K, m->quantizer.width), sizeof *w->care);
    }
    vqs_schedule_carve(s, arena, &w->schedule);
    w->k = vqs_arena_take(arena, samples, sizeof *w->k);
    w->gc = vqs_arena_take(arena, samples * vqs_row_stride(m->quantizer.width), sizeof(vqs_real));
    w->count = vqs_arena_take(arena, books * (size_t)s->K, sizeof *w->count);
    w->used = vqs_arena_take(arena, (size_t)s->K + 1, sizeof *w->used);
    w->moments = vqs_arena_take(arena, d * vqs_row_stride(s->d), sizeof(vqs_real));
    carve_partials(s, estimator, arena, w);
    w->tile = vqs_arena_take(arena, (size_t)team, sizeof *w->tile);
    for (int i = 0; i < team; i++) {
        struct vqs_tile measured;
        vqs_tile_carve(s, estimator, m->rows, arena, w->tile ? &w->tile[i] : &measured);
    }
}

/* ---- one step ------------------------------------------------------------------------------------------------------
 */

void vqs_batch_begin(const struct vqs_settings *s, const struct vqs_work *w, const uint32_t *order, int n,
                     int64_t number, struct vqs_batch *b) {
    const struct vqs_model *m = &w->model;
    const struct vqs_estimator *estimator = estimator_of(s, m->kernels);
    const bool losses = vqs_setting_used(VQS_SETTING_beta, s), follows = m->quantizer.learning.kind == VQS_LEARN_EMA;
    const double loss_scale = losses ? 2.0 / ((double)n * m->d) : 0;
    b->order = order;
    b->n = n;
    b->beta = losses ? vqs_schedule_beta(s, &w->schedule, number) : 0;
    b->step = (struct vqs_step){
        .settings = s,
        .estimator = estimator,
        .kernels = m->kernels,
        .quantizer = &m->quantizer,
        .each = is_for_each(s),
        .d = m->d,
        .tied = m->tied,
        .bias = m->bias,
        .gram = m->gram,
        .encoder_bias = m->encoder_bias,
        .decoded_bias = m->decoded_bias,
        .bias_norm2 = m->bias_norm2,
        .rec_scale = (vqs_real)(2.0 / ((double)n * m->D)),
        .code_scale = follows ? 1 : (vqs_real)loss_scale,
        .commit_scale = (vqs_real)b->beta * (vqs_real)loss_scale,
        .bounded = m->bounded,
        .follows = follows,
        .soft_rate = s->entropy_weight > 0 ? (vqs_real)(1 / s->entropy_tau) : 0,
        .soft_scale = (vqs_real)(s->entropy_weight / n),
        .log_mean = w->log_mean,
        .number = (uint32_t)number,
    };
}

void vqs_step_tiles(struct vqs_work *w, const struct vqs_batch *b, int p, int thread, bool collects) {
    const struct vqs_model *m = &w->model;
    const int tiles = (b->n + T - 1) / T, per_run = (tiles + PARTIALS - 1) / PARTIALS;
    struct vqs_partial *part = &w->partial[p];
    struct vqs_tile *t = &w->tile[thread];
    t->gsum = part->gsum;
    t->fsum = part->fsum;
    t->moments = part->moments;
    t->gcodes = part->gcodes;
    t->soft_sum = part->soft_sum;
    t->collects = collects;
    t->rec = t->vq = t->zero = t->soft_entropy = 0;
    if (p * per_run >= tiles) { /* a short batch leaves runs empty */
        memset(part->outer, 0, (size_t)m->rows * m->ld * sizeof *part->outer);
    }
    memset(part->gsum, 0, (w->partial_stride - (size_t)m->rows * m->ld) * sizeof *part->gsum);
    for (int tile = p * per_run; tile < tiles && tile < (p + 1) * per_run; tile++) {
        uint32_t rows[T];
        t->number = tile;
        t->n = b->n - tile * T < T ? b->n - tile * T : T;
        for (int l = 0; l < T; l++) {
            rows[l] = b->order[tile * T + (l < t->n ? l : 0)];
            t->sq[l] = b->samples->sq[rows[l]];
        }
        t->k = w->k + tile * T;
        t->gc = w->gc + (size_t)tile * T * vqs_row_stride(m->quantizer.width);
        t->book_stride = (size_t)w->tiles * T;
        m->kernels->project(m->rows, m->ld, b->samples->x, rows, m->W, m->packed, t->y);
        m->kernels->tile_step(&b->step, t);
        if (!collects) {
            m->kernels->outer(m->rows, m->ld, b->samples->x, rows, t->outer, tile > p * per_run, part->outer);
        }
    }
    part->rec = t->rec;
    part->vq = t->vq;
    part->zero = t->zero;
    part->soft_entropy = t->soft_entropy;
}

void vqs_step_codes(struct vqs_work *w, const struct vqs_batch *b, int first, int last) {
    const struct vqs_quantizer *q = &w->model.quantizer;
    const size_t samples = (size_t)w->tiles * T, K = (size_t)q->K, width = (size_t)q->width;
    for (size_t c = 0; c < (size_t)q->n_codebooks; c++) {
        uint32_t *count = w->count + c * K, *usage = w->usage + c * K;
        w->model.kernels->scatter(b->n, q->width, w->k + c * samples, w->gc + c * samples * vqs_row_stride(q->width),
                                  first, last, w->to_codes + c * K * width, count);
        for (int k = first; k < last; k++) {
            usage[k] += count[k];
        }
    }
}

/* Lists the codes of the batch; returns how many. */
static int list_used(struct vqs_work *w) {
    int n = 0;
    for (int k = 0; k < w->model.quantizer.K; k++) { /* without a branch: which codes are used cannot be foretold */
        w->used[n] = (uint32_t)k;
        n += w->count[k] != 0;
    }
    return n;
}

/* Component i of sum f over the batch. */
static vqs_real sum_of_values(const struct vqs_work *w, size_t i) {
    const struct vqs_quantizer *q = &w->model.quantizer;
    vqs_real sum = 0;
    if (w->partial[0].fsum) {
        return w->partial[0].fsum[i]; /* all of it, after add_partials */
    }
    for (size_t k = 0; k < (size_t)q->K; k++) {
        sum += (vqs_real)w->count[k] * q->codes[k * (size_t)q->width + i];
    }
    return sum;
}

/* dC = (2/(B D)) (V sum f + B C - sum x) and db = sum gz; grad_C holds sum x. */
static void bias_gradients(struct vqs_work *w, const struct vqs_batch *b, const vqs_real *gsum) {
    const struct vqs_model *m = &w->model;
    const size_t ld = m->ld, d = (size_t)m->d;
    vqs_real *grad_C = w->grad + (size_t)(m->rows - 1) * ld, *grad_V = w->grad + (m->V - m->params);
    for (size_t i = 0; i < ld; i++) {
        grad_C[i] = b->step.rec_scale * ((vqs_real)b->n * m->decoder_bias[i] - grad_C[i]);
    }
    for (size_t i = 0; i < d; i++) {
        const vqs_real sum = sum_of_values(w, i);
        m->kernels->axpy(ld, b->step.rec_scale * sum, m->V + i * ld, grad_C);
        m->kernels->axpy(ld, b->step.rec_scale * sum, m->decoder_bias, grad_V + i * ld);
    }
    memcpy(w->grad + (size_t)m->rows * ld, gsum, d * sizeof *w->grad);
}

/* What the runs of tiles summed besides `outer`, into the first of them. */
static void add_partials(struct vqs_work *w) {
    const struct vqs_model *m = &w->model;
    const size_t outer = (size_t)m->rows * m->ld, rest = w->partial_stride - outer;
    m->kernels->add_up(0, rest, PARTIALS, w->partial_stride, w->partial[0].gsum, w->partial[0].gsum);
}

/* sum f f^T over the batch, [d][vqs_row_stride(d)] */
static const vqs_real *moments_of_values(struct vqs_work *w) {
    const struct vqs_model *m = &w->model;
    if (w->partial[0].moments) {
        return w->partial[0].moments;
    }
    m->kernels->code_moments(list_used(w), w->used, m->d, m->quantizer.codes, w->count, 0, m->d, w->moments);
    return w->moments;
}

/* Gradients of W, V and the biases: sums over the runs of tiles, then dV = (2/(B D)) (V sum f f^T + C sum f^T -
 * sum f x^T), by rows of V^T. Tied, the rows of W already hold sum (gz - (2/(B D)) f) x^T. */
static void matrix_gradients(struct vqs_work *w, const struct vqs_batch *b) {
    const struct vqs_model *m = &w->model;
    const struct vqs_kernels *k = m->kernels;
    const vqs_real scale = b->step.rec_scale;
    const size_t outer = (size_t)m->rows * m->ld;
    k->add_up(0, outer, PARTIALS, w->partial_stride, w->partial[0].outer, w->grad);
    k->combine(m->d, m->ld, moments_of_values(w), m->V, scale, m->tied ? 1 : -scale, 0, m->d,
               w->grad + (m->V - m->params));
    if (m->bias) {
        bias_gradients(w, b, w->partial[0].gsum);
    }
}

/* Adam on the parameters [first, last), whose step `t` this is. */
static void move(const struct vqs_settings *s, struct vqs_work *w, size_t first, size_t last, int64_t t) {
    const struct vqs_adam_step adam = {
        .beta1 = (vqs_real)s->adam_beta1,
        .beta2 = (vqs_real)s->adam_beta2,
        .eps = (vqs_real)s->adam_eps,
        .rest1 = (vqs_real)(1 - s->adam_beta1),
        .rest2 = (vqs_real)(1 - s->adam_beta2),
        .rate = (vqs_real)(s->lr / (1 - pow(s->adam_beta1, (double)t))),
        .inv_sqrt_2 = (vqs_real)(1 / sqrt(1 - pow(s->adam_beta2, (double)t))),
    };
    w->model.kernels->adam(&adam, last - first, w->grad + first, w->moment1 + first, w->moment2 + first,
                           w->model.params + first);
}

/* All parameters, or those whose turn it is. Returns whether the encoder is among them. */
static bool move_parameters(const struct vqs_settings *s, struct vqs_work *w, int64_t number) {
    const struct vqs_model *m = &w->model;
    const size_t codes = (size_t)(m->quantizer.params - m->params);
    const int64_t turns = s->codebook_steps + 1, rounds = (number - 1) / turns, turn = (number - 1) % turns;
    if (s->update == VQS_UPDATE_JOINT) {
        move(s, w, 0, m->n_params, number);
    } else if (turn < s->codebook_steps) {
        move(s, w, codes, m->n_params, rounds * s->codebook_steps + turn + 1);
        return false;
    } else {
        move(s, w, 0, codes, rounds + 1);
    }
    return true;
}

int vqs_step_update(const struct vqs_settings *s, struct vqs_work *w, const struct vqs_batch *b, int64_t step_number) {
    struct vqs_model *m = &w->model;
    int flips = 0;
    add_partials(w);
    matrix_gradients(w, b);
    vqs_step_code_gradients(w, b);
    if (s->encoder == VQS_ENCODER_IDENTITY) { /* without a gradient Adam leaves it as it is */
        memset(w->grad, 0, (size_t)m->d * m->ld * sizeof *w->grad);
    }
    if (move_parameters(s, w, step_number)) {
        flips = vqs_retract(m->kernels, (enum vqs_retraction)s->retraction, m->d, m->ld, m->W, w->scratch.retract);
    }
    vqs_step_observe(w, b);
    vqs_model_refresh(m);
    w->revived += vqs_care_revive(s, m, b->samples, b->order, b->n, step_number, &w->scratch, w->moment1, w->moment2);
    return flips;
}
