/* step_memory.c - the memory that the steps of a trial work in, and by what ways they come to their gradients. */
#include "step.h"

#include "care.h"

enum { T = VQS_TILE, PARTIALS = VQS_PARTIALS };

/* Room for n random numbers, which are drawn in whole groups. */
static size_t whole_groups(size_t n) {
    return (n + VQS_RNG_GROUP - 1) / VQS_RNG_GROUP * VQS_RNG_GROUP;
}

/* Whether what is decoded is always a code, so that sums over samples are sums over codes. */
static bool decodes_codes(const struct vqs_settings *s, const struct vqs_estimator *estimator) {
    return vqs_n_codebooks(s) == 1 && !(estimator->needs & VQS_GIVES_VALUE);
}

/* Whether a linear decoder's gradients want sums of what it decodes. */
static bool wants_moments(const struct vqs_settings *s, const struct vqs_estimator *estimator) {
    return !vqs_setting_used(VQS_SETTING_activation, s) && !decodes_codes(s, estimator);
}

/* Whether sum f x^T, where `rows` have it, is had for less as sum_k c_k (sum of the x of code k)^T: that costs a sample
 * about as much as the product of x with four rows, and then a product as of a batch of K. */
static bool sums_by_code(const struct vqs_settings *s, const struct vqs_estimator *estimator, int rows) {
    return rows >= 2 * s->d && decodes_codes(s, estimator) && s->d * ((double)s->batch - s->K) > 4.0 * s->batch;
}

void vqs_tile_carve(const struct vqs_settings *s, const struct vqs_estimator *estimator, int rows,
                    struct vqs_arena *arena, struct vqs_tile *t) {
    const unsigned needs = estimator->needs;
    const bool each = vqs_sees_each(s), chain = each && s->levels > 1, value = needs & VQS_GIVES_VALUE;
    const size_t latent = (size_t)s->d * T, choices = (size_t)s->K * T, all = (size_t)s->levels * latent;
    const bool plain = rows > 0 && s->levels == 1 && !s->bias && s->codebook != VQS_LEARN_FSQ;
    const size_t seen = each ? (size_t)s->levels : 1; /* how often the estimator sees d components */
    t->y = vqs_arena_take(arena, (size_t)rows * T, sizeof(vqs_real));
    t->z = plain ? t->y : vqs_arena_take(arena, all, sizeof(vqs_real));
    t->q = vqs_arena_take(arena, all, sizeof(vqs_real));
    t->v = each && value ? vqs_arena_take(arena, all, sizeof(vqs_real)) : t->q;
    t->sum = s->levels > 1 ? vqs_arena_take(arena, latent, sizeof(vqs_real)) : t->v;
    t->f = !each && value ? vqs_arena_take(arena, latent, sizeof(vqs_real)) : t->sum;
    t->g = vqs_arena_take(arena, latent, sizeof(vqs_real));
    t->gz = vqs_arena_take(arena, latent, sizeof(vqs_real));
    t->outer = sums_by_code(s, estimator, rows) ? t->gz : vqs_arena_take(arena, (size_t)rows * T, sizeof(vqs_real));
    t->ge = vqs_arena_take(arena, latent, sizeof(vqs_real));
    t->rest = chain ? vqs_arena_take(arena, latent, sizeof(vqs_real)) : NULL;
    t->back = chain ? vqs_arena_take(arena, latent, sizeof(vqs_real)) : NULL;
    t->square = wants_moments(s, estimator) ? vqs_arena_take(arena, (size_t)(s->d * s->d), sizeof(vqs_real)) : NULL;
    t->at_z = needs & VQS_NEEDS_AT_Z ? vqs_arena_take(arena, latent, sizeof(vqs_real)) : NULL;
    t->noise_stride = whole_groups(latent);
    t->noise = needs & VQS_NEEDS_NOISE ? vqs_arena_take(arena, seen * t->noise_stride, sizeof(vqs_real)) : NULL;
    t->gq = needs & VQS_GIVES_CODES ? vqs_arena_take(arena, seen * latent, sizeof(vqs_real)) : NULL;
    t->words = needs & VQS_NEEDS_CHOICES ? vqs_arena_take(arena, whole_groups(choices), sizeof *t->words) : NULL;
    const size_t weights = (size_t)vqs_n_codebooks(s) * 3 * choices;
    t->soft = s->entropy_weight > 0 ? vqs_arena_take(arena, 2 * choices, sizeof(vqs_real)) : NULL;
    t->weights = needs & VQS_NEEDS_CHOICES ? vqs_arena_take(arena, weights, sizeof(vqs_real)) : NULL;
    const size_t smooth = 4 * latent + t->noise_stride;
    t->smooth = needs & VQS_NEEDS_SMOOTHED ? vqs_arena_take(arena, smooth, sizeof(vqs_real)) : NULL;
}

static size_t whole_rows(size_t n) {
    return (n + VQS_ROW_UNIT - 1) / VQS_ROW_UNIT * VQS_ROW_UNIT;
}

static void carve_partials(const struct vqs_settings *s, const struct vqs_estimator *estimator, struct vqs_arena *arena,
                           struct vqs_work *w) {
    const bool sums = wants_moments(s, estimator);
    const size_t outer = (size_t)w->outer_rows * w->model.ld, vector = vqs_row_stride(s->d);
    const size_t moments = sums ? (size_t)s->d * vector : 0;
    const size_t fsum = sums ? vector : 0;
    const bool soft = s->entropy_weight > 0, weighed = soft || estimator->needs & VQS_NEEDS_CHOICES;
    const size_t codes = weighed ? whole_rows(w->model.quantizer.n_codes) : 0;
    const size_t softly = soft ? whole_rows((size_t)vqs_n_codebooks(s) * (size_t)s->K) : 0;
    const size_t learned = estimator->fitting ? whole_rows(estimator->fitting->n_sums(s)) : 0;
    w->partial_stride = outer + vector + fsum + moments + codes + softly + learned;
    vqs_real *first = vqs_arena_take(arena, PARTIALS * w->partial_stride, sizeof(vqs_real));
    for (size_t p = 0; first && p < PARTIALS; p++) {
        struct vqs_partial *part = &w->partial[p];
        part->outer = first + p * w->partial_stride;
        part->gsum = part->outer + outer;
        part->fsum = fsum ? part->gsum + vector : NULL;
        part->moments = moments ? part->fsum + fsum : NULL;
        part->gcodes = codes ? part->gsum + vector + fsum + moments : NULL;
        part->softly = soft ? part->gcodes + codes : NULL;
        part->sums = learned ? part->gsum + vector + fsum + moments + codes + softly : NULL;
    }
}

/* What codes that are no parameters, penalties and schedules want. */
static void carve_care(const struct vqs_settings *s, struct vqs_arena *arena, struct vqs_work *w) {
    const struct vqs_model *m = &w->model;
    if (m->quantizer.learning.kind != VQS_LEARN_GRADIENT) {
        w->to_codes = vqs_arena_take(arena, m->quantizer.n_codes, sizeof(vqs_real));
    } else if (w->grad) {
        w->to_codes = w->grad + (m->quantizer.params - m->params);
    }
    if (s->entropy_weight > 0) {
        w->log_mean = vqs_arena_take(arena, (size_t)vqs_n_codebooks(s) * (size_t)s->K, sizeof *w->log_mean);
    }
    if (s->orthogonality > 0) {
        w->care = vqs_arena_take(arena, vqs_care_scratch(s->K, m->quantizer.width), sizeof *w->care);
    }
    vqs_schedule_carve(s, arena, &w->schedule);
}

void vqs_work_carve(const struct vqs_settings *s, const struct vqs_kernels *kernels, int team, struct vqs_arena *arena,
                    struct vqs_work *w) {
    const struct vqs_estimator *estimator = &kernels->estimators[s->estimator];
    vqs_model_carve(s, kernels, arena, &w->model, &w->scratch);
    const struct vqs_model *m = &w->model;
    const size_t d = (size_t)s->d, books = (size_t)m->quantizer.n_codebooks;
    w->tiles = (s->batch + T - 1) / T;
    vqs_evaluation_carve(s, arena, &w->train);
    vqs_evaluation_carve(s, arena, &w->eval);
    w->codes_before = vqs_arena_take(arena, m->quantizer.n_codes, sizeof(vqs_real));
    w->evaluation = vqs_arena_take(arena, (size_t)team * vqs_evaluation_scratch(m), sizeof(vqs_real));
    if (!estimator->backward) {
        return;
    }
    const size_t samples = books * (size_t)w->tiles * T;
    w->usage = vqs_arena_take(arena, books * (size_t)s->K, sizeof *w->usage);
    w->grad = vqs_arena_take(arena, m->n_params, sizeof(vqs_real));
    w->moment1 = vqs_arena_take(arena, m->n_params, sizeof(vqs_real));
    w->moment2 = vqs_arena_take(arena, m->n_params, sizeof(vqs_real));
    carve_care(s, arena, w);
    w->k = vqs_arena_take(arena, samples, sizeof *w->k);
    w->gc = vqs_arena_take(arena, samples * vqs_row_stride(m->quantizer.width), sizeof(vqs_real));
    w->count = vqs_arena_take(arena, books * (size_t)s->K, sizeof *w->count);
    w->used = vqs_arena_take(arena, (size_t)team * ((size_t)s->K + 1), sizeof *w->used);
    w->moments = vqs_arena_take(arena, d * vqs_row_stride(s->d), sizeof(vqs_real));
    const bool by_code = sums_by_code(s, estimator, m->rows);
    w->outer_rows = by_code ? m->d : m->rows;
    w->sorted = by_code ? vqs_arena_take(arena, (size_t)team * (size_t)w->tiles * T, sizeof *w->sorted) : NULL;
    w->x_sums = by_code ? vqs_arena_take(arena, (size_t)s->K * m->ld, sizeof(vqs_real)) : NULL;
    w->n_learned = estimator->fitting ? estimator->fitting->size(s) : 0;
    w->learned = vqs_arena_take(arena, w->n_learned, sizeof(vqs_real));
    carve_partials(s, estimator, arena, w);
    w->tile = vqs_arena_take(arena, (size_t)team, sizeof *w->tile);
    for (int i = 0; i < team; i++) {
        struct vqs_tile measured;
        vqs_tile_carve(s, estimator, m->rows, arena, w->tile ? &w->tile[i] : &measured);
    }
    if (vqs_setting_used(VQS_SETTING_activation, s)) {
        vqs_mlp_work_carve(s, estimator, team, arena, w);
    }
    if (vqs_setting_used(VQS_SETTING_probe_samples, s)) {
        vqs_probe_carve(s, m, arena, &w->probe);
    }
}
