/* step.c - one step of training over a batch. */
#include "step.h"

#include "care.h"

#include "vqsweep/orthonormal.h"

#include <math.h>
#include <string.h>

enum { T = VQS_TILE, PARTIALS = VQS_PARTIALS };

/* ---- one step -------------------------------------------------------------------------------------------------- */

/* Temperature of the step `number`, from 1: from tau in the first step of the trial to tau_end in the last. */
static double temperature(const struct vqs_settings *s, int64_t number) {
    const int64_t steps = (int64_t)s->epochs * ((s->N + s->batch - 1) / s->batch);
    const double from = s->tau, to = s->tau_end, x = steps > 1 ? (double)(number - 1) / (double)(steps - 1) : 0;
    switch ((enum vqs_tau_schedule)s->tau_schedule) {
    case VQS_TAU_LINEAR:
        return from + (to - from) * x;
    case VQS_TAU_EXPONENTIAL:
        return from * pow(to / from, x);
    case VQS_TAU_COSINE:
        return to + (from - to) * (1 + cos(acos(-1) * x)) / 2;
    case VQS_TAU_CONSTANT:
        break;
    }
    return from;
}

void vqs_batch_begin(const struct vqs_settings *s, const struct vqs_work *w, const uint32_t *order, int n,
                     int64_t number, struct vqs_batch *b) {
    const struct vqs_model *m = &w->model;
    const struct vqs_estimator *estimator = &m->kernels->estimators[s->estimator];
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
        .each = vqs_sees_each(s),
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
        .tau = (vqs_real)temperature(s, number),
        .learned = w->learned,
        .number = (uint32_t)number,
    };
}

void vqs_step_clear(const struct vqs_work *w, const struct vqs_partial *part) {
    const size_t outer = (size_t)w->outer_rows * w->model.ld;
    memset(part->gsum, 0, (w->partial_stride - outer) * sizeof *part->gsum);
}

void vqs_step_lead(const struct vqs_partial *part, bool collects, struct vqs_tile *t) {
    t->gsum = part->gsum;
    t->fsum = part->fsum;
    t->moments = part->moments;
    t->gcodes = part->gcodes;
    t->softly = part->softly;
    t->sums = part->sums;
    t->collects = collects;
    t->rec = t->vq = t->zero = t->entropy = 0;
}

void vqs_step_place_tile(const struct vqs_work *w, const struct vqs_batch *b, int number, struct vqs_tile *t) {
    const int first = number * T;
    t->number = number;
    t->n = b->n - first < T ? b->n - first : T;
    t->sq = b->samples->sq;
    memcpy(t->rows, b->order + first, (size_t)t->n * sizeof *t->rows);
    for (int l = t->n; l < T; l++) {
        t->rows[l] = t->rows[0];
    }
    t->k = w->k + first;
    t->gc = w->gc + (size_t)first * vqs_row_stride(w->model.quantizer.width);
    t->book_stride = (size_t)w->tiles * T;
}

/* A batch is cut into at most PARTIALS runs of so many tiles, of which the last may have less. */
static int tiles_of_run(const struct vqs_batch *b) {
    return ((b->n + T - 1) / T + PARTIALS - 1) / PARTIALS;
}

static int runs_of(const struct vqs_batch *b) {
    const int of_run = tiles_of_run(b) * T;
    return (b->n + of_run - 1) / of_run;
}

/* Adds outer x^T of a tile, which comes after `done` others of run `p`, to the run's sum. A thread alone adds a run
 * that ends to the gradient at once; a team adds them up in the next phase, in the same order. */
static void add_outer(struct vqs_work *w, const struct vqs_batch *b, int p, int done, bool last, bool alone,
                      const uint32_t *next, const struct vqs_tile *t) {
    vqs_real *run = w->partial[alone ? 0 : p].outer;
    const bool adds = alone && last;
    w->model.kernels->outer(w->outer_rows, w->model.ld, b->samples->x, t->rows, next, t->outer, done ? run : NULL,
                            adds && p ? w->grad : NULL, adds ? w->grad : run);
}

/* Run `p` of the batch's tiles, by member `me`; or what the entropy penalty collects from them alone. */
static void run_of_tiles(struct vqs_work *w, const struct vqs_batch *b, int p, int me, bool alone, bool collects) {
    const struct vqs_model *m = &w->model;
    const int tiles = (b->n + T - 1) / T, first = p * tiles_of_run(b);
    const int end = first + tiles_of_run(b) < tiles ? first + tiles_of_run(b) : tiles;
    struct vqs_partial *part = &w->partial[p];
    struct vqs_tile *t = &w->tile[me];
    vqs_step_clear(w, part);
    vqs_step_lead(part, collects, t);
    for (int tile = first; tile < end; tile++) {
        vqs_step_place_tile(w, b, tile, t);
        m->kernels->project(m->rows, m->ld, b->samples->x, t->rows, m->W, m->packed, t->y);
        vqs_profile_lap(t->profile, VQS_PHASE_PROJECT);
        m->kernels->tile_step(&b->step, t);
        if (collects) {
            continue;
        }
        const uint32_t *next = (tile + 2) * T <= b->left ? b->order + (tile + 1) * T : NULL;
        add_outer(w, b, p, tile - first, tile == end - 1, alone, next, t);
        vqs_profile_lap(t->profile, VQS_PHASE_OUTER);
    }
    part->rec = t->rec;
    part->vq = t->vq;
    part->zero = t->zero;
    part->entropy = t->entropy;
}

static void add_losses(struct vqs_work *w, const struct vqs_batch *b) {
    for (int p = 0; p < PARTIALS; p++) {
        w->sums.rec += w->partial[p].rec;
        w->sums.vq += w->partial[p].vq;
        w->sums.commitment += b->beta * w->partial[p].vq;
        w->sums.zero += w->partial[p].zero;
    }
}

/* ---- the gradients --------------------------------------------------------------------------------------------- */

/* Gradients of the codes [first, last) of each codebook, gathered in the order of the batch. */
static void code_gradients(struct vqs_work *w, const struct vqs_batch *b, int first, int last) {
    const struct vqs_quantizer *q = &w->model.quantizer;
    const size_t samples = (size_t)w->tiles * T, stride = samples * vqs_row_stride(q->width), K = (size_t)q->K;
    for (size_t c = 0; c < (size_t)q->n_codebooks; c++) {
        w->model.kernels->scatter(b->n, q->width, w->k + c * samples, w->gc + c * stride, first, last,
                                  w->to_codes + c * K * (size_t)q->width, w->count + c * K);
    }
}

/* Lists the samples by code, each code's in the order of the batch; those of code k end at end[k]. Of all codes, for
 * whoever wants some: which samples those have cannot be foretold, and a branch costs more than a sample. */
static void sort_by_code(int n, const uint32_t *k, size_t K, uint32_t *end, uint32_t *sorted) {
    memset(end, 0, (K + 1) * sizeof *end);
    for (int l = 0; l < n; l++) {
        end[k[l] + 1]++;
    }
    for (size_t c = 1; c <= K; c++) { /* where each begins, which moves to its end */
        end[c] += end[c - 1];
    }
    for (int l = 0; l < n; l++) {
        sorted[end[k[l]]++] = (uint32_t)l;
    }
}

/* The same of a single codebook, and the sums of its codes' samples with it. */
static void sums_of_codes(struct vqs_work *w, const struct vqs_batch *b, int first, int last, int me) {
    const struct vqs_model *m = &w->model;
    const size_t K = (size_t)m->quantizer.K;
    uint32_t *end = w->used + (size_t)me * (K + 1), *sorted = w->sorted + (size_t)me * (size_t)w->tiles * T;
    sort_by_code(b->n, w->k, K, end, sorted);
    const uint32_t begin = first ? end[first - 1] : 0;
    uint32_t before = begin;
    for (int k = first; k < last; before = end[k++]) {
        w->count[k] = end[k] - before;
    }
    m->kernels->sum_runs(first, last, w->count, sorted + begin, m->quantizer.width, w->gc, w->to_codes, m->ld,
                         b->samples->x, b->order, w->x_sums);
}

/* What codes [first, last) gather from their samples. */
static void gather(struct vqs_work *w, const struct vqs_batch *b, int first, int last, int me) {
    const size_t K = (size_t)w->model.quantizer.K;
    if (w->x_sums) {
        sums_of_codes(w, b, first, last, me);
    } else {
        code_gradients(w, b, first, last);
    }
    for (size_t c = 0; c < (size_t)w->model.quantizer.n_codebooks; c++) {
        for (int k = first; k < last; k++) {
            w->usage[c * K + (size_t)k] += w->count[c * K + (size_t)k];
        }
    }
}

/* Lists the codes of the batch in `used`; returns how many. */
static int list_used(const struct vqs_work *w, uint32_t *used) {
    int n = 0;
    for (int k = 0; k < w->model.quantizer.K; k++) { /* without a branch: which codes are used cannot be foretold */
        used[n] = (uint32_t)k;
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

/* dC = (2/(B D)) (V sum f + B C - sum x) and db = sum gz; grad_C holds sum x, but where that is the sum of x_sums. */
static void bias_gradients(struct vqs_work *w, const struct vqs_batch *b, const vqs_real *gsum) {
    const struct vqs_model *m = &w->model;
    const size_t ld = m->ld, d = (size_t)m->d;
    vqs_real *grad_C = w->grad + (size_t)(m->rows - 1) * ld, *grad_V = w->grad + (m->V - m->params);
    if (w->x_sums) {
        m->kernels->add_up(0, ld, m->quantizer.K, ld, w->x_sums, grad_C);
    }
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
    const size_t outer = (size_t)w->outer_rows * m->ld, rest = w->partial_stride - outer;
    m->kernels->add_up(0, rest, PARTIALS, w->partial_stride, w->partial[0].gsum, w->partial[0].gsum);
}

/* Rows [first, last) of dV = (2/(B D)) (V sum f f^T + C sum f^T - sum f x^T), V^T that is, but for C; grad holds
 * sum f x^T, or gets it from x_sums. Tied, the rows of W already hold sum (gz - (2/(B D)) f) x^T. */
static void decoder_gradients(struct vqs_work *w, const struct vqs_batch *b, int first, int last, int me) {
    const struct vqs_model *m = &w->model;
    const vqs_real scale = b->step.rec_scale, *moments = w->partial[0].moments;
    vqs_real *grad_V = w->grad + (m->V - m->params);
    if (!moments) { /* f are codes */
        uint32_t *used = w->used + (size_t)me * ((size_t)m->quantizer.K + 1);
        const int n = list_used(w, used);
        m->kernels->code_moments(n, used, m->d, m->quantizer.codes, w->count, first, last, w->moments);
        if (w->x_sums) {
            m->kernels->spread(n, used, m->d, m->quantizer.codes, m->ld, w->x_sums, first, last, grad_V);
        }
        moments = w->moments;
    }
    m->kernels->combine(m->d, m->ld, moments, m->V, scale, m->tied ? 1 : -scale, first, last, grad_V);
}

/* ---- phases ---------------------------------------------------------------------------------------------------- */

/* Where part `part` of `parts` of n things begins: at a multiple of `unit`, or the end. */
static int begin_of(int n, int unit, int part, int parts) {
    const int units = (n + unit - 1) / unit, begin = (int)((int64_t)units * part / parts) * unit;
    return begin < n ? begin : n;
}

static int parts_of_sums(const struct vqs_steps *c) {
    const int rows = c->sharers > 1 ? c->sharers : 0; /* a thread alone has those sums (add_outer) */
    return c->sharers + (c->work->model.mlp ? vqs_mlp_parts(c->work) : rows) + 1;
}

/* What codes gather, by codes; sums over the runs of tiles, by rows, or networks' gradients; and what else the runs
 * summed. */
static void add_up(const struct vqs_steps *c, int part, int me) {
    struct vqs_work *w = c->work;
    const struct vqs_model *m = &w->model;
    const int n = c->sharers, sums = part - n, K = m->quantizer.K;
    if (sums < 0) {
        gather(w, &c->batch, begin_of(K, 1, part, n), begin_of(K, 1, part + 1, n), me);
        vqs_profile_lap(w->tile[me].profile, VQS_PHASE_CODES);
    } else if (part == parts_of_sums(c) - 1) {
        add_partials(w);
        add_losses(w, &c->batch);
    } else if (m->mlp) {
        vqs_mlp_gradient(w, &c->batch, sums, me);
        vqs_profile_lap(w->tile[me].profile, VQS_PHASE_LAYERS);
    } else {
        const size_t first = (size_t)begin_of(w->outer_rows, 1, sums, n);
        const size_t last = (size_t)begin_of(w->outer_rows, 1, sums + 1, n);
        m->kernels->add_up(first * m->ld, last * m->ld, runs_of(&c->batch), w->partial_stride, w->partial[0].outer,
                           w->grad);
    }
    vqs_profile_lap(w->tile[me].profile, VQS_PHASE_SUMS);
}

static int decoder_parts(const struct vqs_steps *c) {
    return c->work->model.mlp ? 0 : c->work->model.bias ? 1 : c->sharers;
}

/* What needs the sums: a linear decoder's gradients, by rows unless biases want sums over all rows; those of the
 * codebooks; and what an estimator learns. */
static void complete_gradients(const struct vqs_steps *c, int part, int me) {
    enum { ROWS = 4 }; /* at a time, in code_moments and combine */
    struct vqs_work *w = c->work;
    const struct vqs_batch *b = &c->batch;
    const struct vqs_model *m = &w->model;
    const int parts = decoder_parts(c);
    if (part < parts) {
        decoder_gradients(w, b, begin_of(m->d, ROWS, part, parts), begin_of(m->d, ROWS, part + 1, parts), me);
        if (m->bias) {
            bias_gradients(w, b, w->partial[0].gsum);
        }
    } else {
        vqs_step_code_gradients(w, b);
        if (w->partial[0].sums) {
            b->step.estimator->fitting->learn(b->step.settings, m->kernels, w->partial[0].sums, w->learned);
        }
    }
    vqs_profile_lap(w->tile[me].profile, VQS_PHASE_SUMS);
}

static struct vqs_adam_step adam_step(const struct vqs_settings *s, int64_t number) {
    return (struct vqs_adam_step){
        .beta1 = (vqs_real)s->adam_beta1,
        .beta2 = (vqs_real)s->adam_beta2,
        .eps = (vqs_real)s->adam_eps,
        .rest1 = (vqs_real)(1 - s->adam_beta1),
        .rest2 = (vqs_real)(1 - s->adam_beta2),
        .rate = (vqs_real)(s->lr / (1 - pow(s->adam_beta1, (double)number))),
        .inv_sqrt_2 = (vqs_real)(1 / sqrt(1 - pow(s->adam_beta2, (double)number))),
    };
}

/* The parameters [first, last); both are multiples of VQS_ROW_UNIT. */
static void move(struct vqs_work *w, const struct vqs_adam_step *adam, size_t first, size_t last) {
    w->model.kernels->adam(adam, last - first, w->grad + first, w->moment1 + first, w->moment2 + first,
                           w->model.params + first);
}

/* What moves in a step besides the encoder: the parameters [first, last). With update: alternating the codebooks' have
 * codebook_steps turns, and then all others, the encoder's among them, have one. */
struct turn {
    size_t first, last;
    bool encoder;
    int64_t number; /* of the turns of these parameters, from 1 */
};

static struct turn turn_of(const struct vqs_settings *s, const struct vqs_model *m, int64_t number) {
    const size_t encoder = m->n_kept, codes = (size_t)(m->quantizer.params - m->params);
    const int64_t turns = s->codebook_steps + 1, rounds = (number - 1) / turns, turn = (number - 1) % turns;
    if (s->update == VQS_UPDATE_JOINT) {
        return (struct turn){encoder, m->n_params, true, number};
    }
    if (turn < s->codebook_steps) {
        return (struct turn){codes, m->n_params, false, rounds * s->codebook_steps + turn + 1};
    }
    return (struct turn){encoder, codes, true, rounds + 1};
}

/* The rows that are kept orthonormal, and their retraction; the rest by ranges. */
static void move_parameters(const struct vqs_steps *c, int part, int me) {
    struct vqs_work *w = c->work;
    struct vqs_model *m = &w->model;
    const struct vqs_settings *s = c->settings;
    const struct turn turn = turn_of(s, m, c->batch.step.number);
    const struct vqs_adam_step adam = adam_step(s, turn.number);
    const size_t encoder = m->n_kept;
    if (part == 0) {
        vqs_step_observe(w, &c->batch);
        if (turn.encoder && encoder) {
            if (!m->mlp && s->encoder == VQS_ENCODER_IDENTITY) { /* without a gradient Adam leaves it as it is */
                memset(w->grad, 0, encoder * sizeof *w->grad);
            }
            move(w, &adam, 0, encoder);
            vqs_profile_lap(w->tile[me].profile, VQS_PHASE_ADAM);
            w->sums.flips += vqs_model_retract(m, (enum vqs_retraction)s->retraction, w->scratch.retract);
            vqs_profile_lap(w->tile[me].profile, VQS_PHASE_RETRACT);
        }
    } else {
        const int range = part % c->sharers; /* first offered to the member of that number */
        const int rest = (int)(turn.last - turn.first);
        move(w, &adam, turn.first + (size_t)begin_of(rest, VQS_ROW_UNIT, range, c->sharers),
             turn.first + (size_t)begin_of(rest, VQS_ROW_UNIT, range + 1, c->sharers));
    }
    vqs_profile_lap(w->tile[me].profile, VQS_PHASE_ADAM);
}

/* ---- a step, phase by phase: what team.h asks for -------------------------------------------------------------- */

/* In this order, the first only with an entropy penalty. */
enum phase { COLLECT, TILES, ADD_UP, COMPLETE, MOVE, REFRESH };

static int parts_of(const struct vqs_steps *c) {
    switch ((enum phase)c->phase) {
    case COLLECT:
    case TILES:
        return PARTIALS;
    case ADD_UP:
        return parts_of_sums(c);
    case COMPLETE:
        return decoder_parts(c) + 1;
    case MOVE:
        return c->sharers + 1;
    case REFRESH:
        return VQS_MODEL_PARTS;
    }
    return 0;
}

static void do_part(void *ctx, int part, int me) {
    const struct vqs_steps *c = ctx;
    struct vqs_profile *profile = c->work->tile[me].profile;
    vqs_profile_lap(profile, VQS_PHASE_WAIT);
    switch ((enum phase)c->phase) {
    case COLLECT: /* with an entropy penalty, what that wants of all samples */
    case TILES:
        if (c->work->model.mlp) {
            vqs_mlp_run(c->work, &c->batch, part, me, c->phase == COLLECT);
        } else {
            run_of_tiles(c->work, &c->batch, part, me, c->sharers == 1, c->phase == COLLECT);
        }
        break;
    case ADD_UP:
        add_up(c, part, me);
        break;
    case COMPLETE:
        complete_gradients(c, part, me);
        break;
    case MOVE:
        move_parameters(c, part, me);
        break;
    case REFRESH:
        vqs_model_refresh_part(&c->work->model, part);
        vqs_profile_lap(profile, VQS_PHASE_REFRESH);
        break;
    }
}

/* Returns whether there is another batch. */
static bool begin_batch(struct vqs_steps *c) {
    const struct vqs_settings *s = c->settings;
    const int left = s->N - c->at;
    if (left == 0 || c->left-- == 0) {
        return false;
    }
    c->batch.samples = c->samples;
    c->batch.left = left;
    vqs_batch_begin(s, c->work, c->work->scratch.order + c->at, left < s->batch ? left : s->batch, ++c->number,
                    &c->batch);
    c->at += c->batch.n;
    return true;
}

/* What is between the phases, by one member alone. */
static int next_phase(void *ctx, int me) {
    struct vqs_steps *c = ctx;
    struct vqs_work *w = c->work;
    const struct vqs_settings *s = c->settings;
    const struct vqs_batch *b = &c->batch;
    vqs_profile_lap(w->tile[me].profile, VQS_PHASE_WAIT);
    if (c->phase == COLLECT) {
        vqs_step_soften(w, b);
        vqs_profile_lap(w->tile[me].profile, VQS_PHASE_ESTIMATE);
    }
    if (c->phase < REFRESH) {
        c->phase++;
        return parts_of(c);
    }
    if (b->n && vqs_care_revives(s, b->step.number)) {
        w->sums.revived += vqs_care_revive(s, &w->model, b->samples, b->order, b->n, b->step.number, &w->scratch,
                                           w->moment1, w->moment2);
        vqs_profile_lap(w->tile[me].profile, VQS_PHASE_REFRESH);
    }
    if (!begin_batch(c)) {
        return -1;
    }
    c->phase = s->entropy_weight > 0 ? COLLECT : TILES;
    return parts_of(c);
}

void vqs_steps_run(struct vqs_steps *c, int64_t n, struct vqs_team *team, bool shared) {
    static const struct vqs_team_work work = {next_phase, do_part};
    const int threads = vqs_team_threads(team);
    const struct vqs_tile *tile = c->work->tile;
    c->sharers = shared ? threads : 1;
    c->left = n;
    c->phase = REFRESH;
    c->batch.n = 0;
    for (int i = 1; i < threads; i++) { /* the caller's time runs on from what came before */
        vqs_profile_start(tile[i].profile);
    }
    if (shared) {
        vqs_team_run(team, &work, c);
    } else {
        vqs_team_run_alone(&work, c);
    }
    for (int i = 0; i < threads; i++) {
        vqs_profile_lap(tile[i].profile, VQS_PHASE_WAIT);
    }
}
