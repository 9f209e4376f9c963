/* train.c - one trial: data, model, epochs of steps (step.h), evaluation, record. */
#include "vqsweep/train.h"

#include "mlp.h"
#include "pace.h"
#include "reconstruct.h"
#include "step.h"
#include "vqsweep/quantizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

struct vqs_trainer {
    struct vqs_team *team;
    bool adapts; /* by the pace of the trial in work */
    struct vqs_pace pace;
    const struct vqs_kernels *kernels;
    struct vqs_trial_hooks hooks;
    struct vqs_profile *profiles; /* [team], or NULL */
    struct vqs_arena arena;
    struct vqs_data_cache *cache;   /* where data comes from */
    struct vqs_data_cache *own;     /* the same, if the trainer was given none */
    const struct vqs_dataset *data; /* of the trial in work */
    struct {                        /* the trial whose beta it replays, if any (schedule.h) */
        struct vqs_settings settings;
        const struct vqs_dataset *data;
        struct vqs_work work;
        struct vqs_pace pace;
    } source;
};

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static bool is_trained(const struct vqs_settings *s) {
    return vqs_estimator_get(s->estimator)->backward != NULL;
}

static bool is_replay(const struct vqs_settings *s) {
    return vqs_setting_used(VQS_SETTING_replay_estimator, s);
}

/* The workspace of a trial and, where it replays another, of that one. */
static void carve(const struct vqs_settings *s, const struct vqs_kernels *kernels, int team, struct vqs_arena *arena,
                  struct vqs_work *w, struct vqs_work *source) {
    vqs_work_carve(s, kernels, team, arena, w);
    if (is_replay(s)) {
        const struct vqs_settings replayed = vqs_schedule_source(s);
        vqs_work_carve(&replayed, kernels, team, arena, source);
        source->schedule.betas = w->schedule.betas;
    }
}

/* One of each codebook at each epoch kept. */
static int snapshot_count(const struct vqs_settings *s) {
    int n = 1; /* the last epoch */
    for (int i = 0; is_trained(s) && i < s->snapshots.n; i++) {
        n += s->snapshots.at[i] != s->epochs;
    }
    return n * vqs_n_codebooks(s);
}

static struct vqs_record_shape record_shape(const struct vqs_settings *s) {
    struct vqs_record_shape shape = {
        .n_epochs = is_trained(s) ? s->epochs : 0, .n_snapshots = snapshot_count(s), .K = s->K, .d = vqs_code_width(s)};
    const int32_t probes = vqs_setting_used(VQS_SETTING_probe_samples, s) ? s->probe_epochs.n : 0;
    const int32_t estimators = vqs_estimator_count(), side = s->field_grid, books = vqs_n_codebooks(s);
    if (books > 1) {
        shape.array[VQS_ARRAY_level_metrics][0] = books;
        shape.array[VQS_ARRAY_level_metrics][1] = VQS_N_LEVEL_METRICS;
    }
    if (probes > 0) {
        const int32_t size[VQS_ARRAY_RANK] = {probes, estimators, VQS_N_REGIONS, VQS_N_QUANTITIES};
        memcpy(shape.array[VQS_ARRAY_probes], size, sizeof size);
    }
    if (probes > 0 && side > 0) {
        const int32_t size[VQS_ARRAY_RANK] = {probes, estimators + 1, side, side, 2};
        memcpy(shape.array[VQS_ARRAY_fields], size, sizeof size);
    }
    vqs_reconstruct_shape(s, &shape);
    return shape;
}

size_t vqs_trial_memory(const struct vqs_settings *s) {
    struct vqs_arena measure = {0};
    struct vqs_work w = {0}, source = {0};
    carve(s, vqs_kernels_get(), 1, &measure, &w, &source);
    const size_t sets = is_replay(s) && s->replay_seed ? 2 : 1; /* of data */
    return measure.used + sets * vqs_dataset_memory(s) + vqs_trial_record_bytes(s);
}

size_t vqs_trial_record_bytes(const struct vqs_settings *s) {
    const struct vqs_record_shape shape = record_shape(s);
    return (size_t)vqs_record_bytes(&shape);
}

/* ---- denormal numbers ------------------------------------------------------------------------------------------ */

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

/* ---- epochs ---------------------------------------------------------------------------------------------------- */

/* All steps of an epoch, by the team or by the caller alone. */
static void run_steps(const struct vqs_trainer *t, struct vqs_steps *steps, struct vqs_pace *pace) {
    while (steps->at < steps->settings->N) {
        const struct vqs_stretch stretch = t->adapts ? vqs_pace_next(pace) : (struct vqs_stretch){true, INT64_MAX};
        const int64_t before = steps->number;
        const double start = vqs_clock_seconds();
        vqs_steps_run(steps, stretch.steps, t->team, stretch.shared);
        vqs_pace_took(pace, steps->number - before, vqs_clock_seconds() - start);
    }
}

/* The next epoch of the trial. */
static void run_epoch(const struct vqs_trainer *t, const struct vqs_settings *s, const struct vqs_dataset *data,
                      struct vqs_work *w, struct vqs_pace *pace, struct vqs_trial_state *at) {
    const struct vqs_stream order = {t->kernels, s->seed, VQS_RNG_BATCHES, (uint32_t)at->epoch};
    struct vqs_steps steps = {.settings = s, .samples = &data->train, .work = w, .number = at->steps};
    w->sums = (struct vqs_epoch_sums){0};
    memset(w->usage, 0, (size_t)(vqs_n_codebooks(s) * s->K) * sizeof *w->usage);
    memcpy(w->codes_before, w->model.quantizer.codes, w->model.quantizer.n_codes * sizeof *w->codes_before);
    vqs_rng_permutation(&order, (uint32_t)data->train.n, w->scratch.order);
    vqs_profile_lap(t->profiles, VQS_PHASE_SHUFFLE);
    run_steps(t, &steps, pace);
    at->epoch++;
    at->steps = steps.number;
    at->flips += w->sums.flips;
    at->revived += w->sums.revived;
    at->zero += w->sums.zero;
}

static double code_drift(const struct vqs_work *w) {
    enum { SUMS = 8 }; /* side by side, so that none waits for the one before */
    const struct vqs_quantizer *q = &w->model.quantizer;
    double sums[SUMS] = {0}, sum = 0;
    for (size_t i = 0; i < q->n_codes; i += SUMS) {
        for (size_t j = 0; j < SUMS && i + j < q->n_codes; j++) {
            const double moved = (double)q->codes[i + j] - (double)w->codes_before[i + j];
            sums[j] += moved * moved;
        }
    }
    for (int j = 0; j < SUMS; j++) {
        sum += sums[j];
    }
    return sqrt(sum / (q->n_codebooks * q->K));
}

/* The curves of epoch `e` (0-based). Returns whether all is still finite. */
static bool record_epoch(const struct vqs_settings *s, const struct vqs_work *w, int e, struct vqs_record *record) {
    const struct vqs_epoch_sums *sums = &w->sums;
    const double rec = sums->rec / ((double)s->N * vqs_loss_terms(s)), vq = sums->vq / ((double)s->N * s->d);
    const bool losses = vqs_setting_used(VQS_SETTING_beta, s);
    const double codes = losses && vqs_learning_is_trained(w->model.quantizer.learning.kind) ? 1 : 0;
    double beta = losses ? s->beta : 0; /* as a mean over the epoch */
    if (s->beta_schedule != VQS_BETA_CONSTANT && sums->vq > 0) {
        beta = sums->commitment / sums->vq;
    }
    const double values[VQS_N_CURVES] = {
        [VQS_CURVE_loss] = rec + (codes + beta) * vq + sums->penalty / s->N,
        [VQS_CURVE_loss_rec] = rec,
        [VQS_CURVE_loss_vq] = vq,
        [VQS_CURVE_entropy] = vqs_entropy(w->usage, vqs_n_codebooks(s), s->K),
        [VQS_CURVE_dead_codes] = vqs_dead_codes(w->usage, vqs_n_codebooks(s), s->K),
        [VQS_CURVE_code_drift] = code_drift(w),
        [VQS_CURVE_u_zero] = sums->zero,
        [VQS_CURVE_beta] = losses ? sums->beta : NAN,
    };
    for (int c = 0; c < VQS_N_CURVES; c++) {
        record->curves[c * record->n_epochs + e] = values[c];
    }
    return isfinite(values[VQS_CURVE_loss]) && isfinite(values[VQS_CURVE_code_drift]);
}

/* Appends every codebook to the `n` snapshots taken so far. */
static void take_snapshots(const struct vqs_work *w, int epoch, const uint32_t *usage, struct vqs_record *record,
                           int *n) {
    const struct vqs_quantizer *q = &w->model.quantizer;
    const size_t K = (size_t)q->K, size = K * (size_t)q->width;
    for (int c = 0; c < q->n_codebooks; c++) {
        const vqs_real *codes = vqs_codebook_of(q, c).codes;
        struct vqs_snapshot *snapshot = &record->snapshots[(*n)++];
        snapshot->epoch = epoch;
        snapshot->codebook = c;
        for (size_t i = 0; i < size; i++) {
            snapshot->codes[i] = (float)codes[i];
        }
        memcpy(snapshot->usage, usage + (size_t)c * K, K * sizeof *usage);
    }
}

static void evaluate_part(struct vqs_work *w, struct vqs_team *team, const struct vqs_samples *part,
                          struct vqs_evaluation *e) {
    vqs_evaluate(&w->model, part, team, &w->scratch, w->evaluation, e);
}

/* Initial values of one course of training; what it changes are the state's parts from `part` on. */
static void start(const struct vqs_settings *s, const struct vqs_dataset *data, struct vqs_work *w, int part,
                  struct vqs_trial_state *state) {
    const struct vqs_model *m = &w->model;
    const size_t value = sizeof(vqs_real), params = m->n_params * value;
    void *const at[] = {m->params, w->moment1, w->moment2, m->quantizer.state, w->schedule.state, w->learned};
    const size_t size[] = {
        params, params, params, m->quantizer.n_state * value, w->schedule.state_size, w->n_learned * value};
    for (int i = 0; i < VQS_COURSE_PARTS; i++) {
        state->part[part + i].data = at[i];
        state->part[part + i].size = size[i];
    }
    vqs_model_init(s, data, &w->model, &w->scratch);
    vqs_schedule_start(s, &w->schedule);
    if (w->n_learned) {
        m->kernels->estimators[s->estimator].fitting->begin(s, w->learned);
    }
}

/* The initial model, or the one in which an earlier run left the trial. */
static struct vqs_trial_state begin(struct vqs_trainer *t, const struct vqs_settings *s, struct vqs_work *w,
                                    struct vqs_record *record) {
    struct vqs_trial_state state = {.record = record};
    start(s, t->data, w, 0, &state);
    if (is_replay(s)) {
        start(&t->source.settings, t->source.data, &t->source.work, VQS_COURSE_PARTS, &state);
    }
    if (t->hooks.resume && t->hooks.resume(t->hooks.ctx, &state)) {
        vqs_model_refresh(&w->model);
        if (is_replay(s)) {
            vqs_model_refresh(&t->source.work.model);
        }
    }
    vqs_profile_lap(t->profiles, VQS_PHASE_INIT);
    return state;
}

/* Probes the gradients, and maps them where that is asked for, if it is the epoch for it. */
static void probe(const struct vqs_settings *s, const struct vqs_dataset *data, struct vqs_work *w,
                  const struct vqs_trial_state *at, struct vqs_record *record) {
    for (uint32_t i = 0; i < (uint32_t)s->probe_epochs.n; i++) {
        if (s->probe_epochs.at[i] != at->epoch) {
            continue;
        }
        struct vqs_batch b = {.samples = &data->train};
        struct vqs_array *probes = &record->arrays[VQS_ARRAY_probes], *fields = &record->arrays[VQS_ARRAY_fields];
        const size_t n_probe = vqs_array_values(VQS_ARRAY_probes, probes->size) / (size_t)probes->size[0];
        vqs_batch_begin(s, w, w->scratch.order, s->batch, at->steps + 1, &b);
        vqs_probe_samples(&w->probe, &w->model, &b.step, &data->eval, 2 * i, probes->values + i * n_probe);
        if (fields->values) {
            const size_t n_field = vqs_array_values(VQS_ARRAY_fields, fields->size) / (size_t)fields->size[0];
            vqs_probe_plane(&w->probe, &w->model, &b.step, 2 * i + 1, fields->values + i * n_field);
        }
    }
}

/* Train to the last epoch, until something is no longer finite, or until the hooks want to leave. */
static enum vqs_status train(struct vqs_trainer *t, const struct vqs_settings *s, struct vqs_work *w,
                             struct vqs_record *record, struct vqs_error *err) {
    const struct vqs_dataset *data = t->data;
    struct vqs_trial_state at = begin(t, s, w, record);
    record->outcome = VQS_OUTCOME_COMPLETED;
    vqs_pace_start(&t->pace);
    vqs_pace_start(&t->source.pace);
    for (;;) {
        const int epoch = at.epoch, kept = at.n_snapshots / vqs_n_codebooks(s);
        if (kept < s->snapshots.n && s->snapshots.at[kept] == epoch && epoch < s->epochs) {
            evaluate_part(w, t->team, &data->train, &w->train);
            take_snapshots(w, epoch, w->train.usage, record, &at.n_snapshots);
        }
        vqs_profile_lap(t->profiles, VQS_PHASE_EPOCH);
        probe(s, data, w, &at, record);
        vqs_profile_lap(t->profiles, VQS_PHASE_PROBE);
        if (epoch == s->epochs) {
            break;
        }
        if (is_replay(s)) { /* first the same epoch of the trial that is replayed, for its betas */
            struct vqs_trial_state ahead = at;
            run_epoch(t, &t->source.settings, t->source.data, &t->source.work, &t->source.pace, &ahead);
        }
        run_epoch(t, s, data, w, &t->pace, &at);
        if (!record_epoch(s, w, epoch, record)) {
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
    record->metric[VQS_METRIC_revived_codes] = (double)at.revived;
    return VQS_OK;
}

/* The metrics of the final model, and its codebook as the last snapshot. */
static enum vqs_status evaluate(const struct vqs_trainer *t, const struct vqs_settings *s, struct vqs_work *w,
                                struct vqs_record *record, struct vqs_error *err) {
    const struct vqs_dataset *data = t->data;
    float *levels = record->arrays[VQS_ARRAY_level_metrics].values;
    evaluate_part(w, t->team, &data->eval, &w->eval);
    vqs_metrics_part(&w->model, &data->eval, VQS_PART_EVAL, &w->eval, record->metric);
    vqs_metrics_levels(&w->model, &data->eval, VQS_PART_EVAL, &w->eval, levels);
    vqs_reconstruct(&w->model, data, &w->eval, w->evaluation, record->arrays);
    evaluate_part(w, t->team, &data->train, &w->train); /* last: its z stays for the Lloyd gap */
    vqs_metrics_part(&w->model, &data->train, VQS_PART_TRAIN, &w->train, record->metric);
    vqs_metrics_levels(&w->model, &data->train, VQS_PART_TRAIN, &w->train, levels);
    take_snapshots(w, is_trained(s) ? s->epochs : 0, w->train.usage, record, &record->n_snapshots);
    enum vqs_status status = vqs_metrics_subspace(&w->model, data, record->metric, err);
    vqs_profile_lap(t->profiles, VQS_PHASE_EVALUATE);
    record->metric[VQS_METRIC_lloyd_gap] =
        vqs_lloyd_gap(s, &w->model, data->train.n, &w->train, &w->scratch, w->codes_before);
    vqs_profile_lap(t->profiles, VQS_PHASE_LLOYD);
    return status;
}

/* ---- the trial ------------------------------------------------------------------------------------------------- */

static enum vqs_status prepare(struct vqs_trainer *t, const struct vqs_settings *s, struct vqs_work *w,
                               struct vqs_record *record, struct vqs_error *err) {
    enum vqs_setting_id culprit;
    enum vqs_status status = vqs_settings_check(s, &culprit, err);
    if (!status) {
        const struct vqs_record_shape shape = record_shape(s);
        status = vqs_record_reset(record, &shape, err);
    }
    if (!status) {
        status = vqs_data_cache_get(t->cache, s, &t->data, err);
        vqs_profile_lap(t->profiles, VQS_PHASE_DATA);
    }
    if (!status && is_replay(s)) {
        t->source.settings = vqs_schedule_source(s);
        status = vqs_data_cache_get(t->cache, &t->source.settings, &t->source.data, err);
    }
    if (status) {
        return status;
    }
    struct vqs_arena measure = {0};
    carve(s, t->kernels, vqs_team_threads(t->team), &measure, w, &t->source.work);
    if (measure.used > t->arena.size) {
        vqs_arena_destroy(&t->arena);
        status = vqs_arena_create(&t->arena, measure.used, err);
    } else {
        memset(t->arena.base, 0, t->arena.used); /* a trial sees the same zeros whatever ran before it */
    }
    if (!status) {
        t->arena.used = 0;
        carve(s, t->kernels, vqs_team_threads(t->team), &t->arena, w, &t->source.work);
    }
    for (int i = 0; t->profiles && w->tile && i < vqs_team_threads(t->team); i++) {
        w->tile[i].profile = &t->profiles[i];
    }
    return status;
}

enum vqs_status vqs_trainer_run(struct vqs_trainer *t, const struct vqs_settings *s, struct vqs_record *record,
                                struct vqs_error *err) {
    struct vqs_error own = {0};
    struct vqs_work w = {0};
    const double start = vqs_clock_seconds();
    vqs_profile_start(t->profiles);
    const unsigned denormals = flush_denormals();
    enum vqs_status status = prepare(t, s, &w, record, &own);
    if (!status && is_trained(s)) {
        status = train(t, s, &w, record, &own);
    } else if (!status) {
        status = vqs_model_kmeans(s, t->data, &w.model, &w.scratch, &own);
        record->n_snapshots = 0;
        record->outcome = VQS_OUTCOME_COMPLETED;
        vqs_profile_lap(t->profiles, VQS_PHASE_LLOYD);
    }
    if (!status && record->outcome == VQS_OUTCOME_COMPLETED) {
        status = evaluate(t, s, &w, record, &own);
        if (!status && t->hooks.completed) {
            t->hooks.completed(t->hooks.ctx, s, &w.model, t->data);
        }
    }
    restore_denormals(denormals);
    vqs_data_cache_put(t->cache, t->data);
    vqs_data_cache_put(t->cache, t->source.data);
    t->data = t->source.data = NULL;
    if (status) {
        struct vqs_error ignored = {0};
        vqs_record_reset(record, &(struct vqs_record_shape){0}, &ignored);
        record->outcome = VQS_OUTCOME_FAILED;
        snprintf(record->message, sizeof record->message, "%.*s", (int)sizeof record->message - 1, own.text);
        vqs_fail(err, status, "%s", own.text);
    }
    record->key = vqs_settings_key(s);
    record->wall_seconds = vqs_clock_seconds() - start;
    snprintf(record->cpu_class, sizeof record->cpu_class, "%s", t->kernels->cpu_class);
    vqs_record_seal(record);
    vqs_profile_lap(t->profiles, VQS_PHASE_RECORD);
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
        status = vqs_data_cache_create(own_cache_bytes, NULL, &(*out)->own, err);
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

void vqs_trainer_set_adapts(struct vqs_trainer *t, bool adapts) {
    t->adapts = adapts && vqs_team_threads(t->team) > 1;
}

void vqs_trainer_set_profiles(struct vqs_trainer *t, struct vqs_profile *profiles) {
    t->profiles = profiles;
}

void vqs_trainer_destroy(struct vqs_trainer *t) {
    if (t) {
        vqs_team_destroy(t->team);
        vqs_data_cache_destroy(t->own);
        vqs_arena_destroy(&t->arena);
        free(t);
    }
}

/* ---- planning -------------------------------------------------------------------------------------------------- */

/* What an estimator's random numbers cost a sample: normals, or exponentials and products of all codes. */
static double seconds_of_randomness(const struct vqs_settings *s) {
    const unsigned needs = vqs_estimator_get(s->estimator)->needs;
    return (needs & VQS_NEEDS_NOISE ? s->d * 1.5e-9 : 0) +
           (needs & VQS_NEEDS_CHOICES ? s->K * (3e-9 + 3 * s->d / 2e10) : 0);
}

/* Multiply-adds of the penalties: soft codes take tiles twice, and exponentials. */
static double penalty_operations(const struct vqs_settings *s) {
    const double D = s->D, d = s->d, K = s->levels * (double)s->K, N = s->N, steps = s->epochs * ceil(N / s->batch);
    return (s->entropy_weight > 0 ? s->epochs * N * (2 * D * d + 10 * K * d + 50 * K) : 0) +
           (s->orthogonality > 0 ? steps * 8 * K * d * d : 0);
}

double vqs_trial_team_seconds(const struct vqs_settings *s, int team, const struct vqs_team_cost *cost) {
    const double multiply_adds_per_second = 2e10, seconds_per_normal = 1.5e-9, seconds_per_sample_pass = 5e-9;
    const double D = s->D, d = s->d, N = s->N, samples = N + s->N_eval;
    const double K = s->levels * (double)s->K; /* each level compares d components with K codes */
    const double gap = vqs_n_codebooks(s) > 1 ? 0 : s->gap_restarts;
    const double starts = is_trained(s) ? gap : s->kmeans_restarts + gap;
    const double lloyd = starts * 40 * N * (K * d / multiply_adds_per_second + d * 1e-9);
    const double data = vqs_setting_used(VQS_SETTING_sigma, s) ? samples * D * seconds_per_normal : samples * D * 20e-9;
    const double products = is_trained(s) && s->decoder == VQS_DECODER_FREE ? 4 : 2;
    double training = 0, probes = 0;
    if (vqs_setting_used(VQS_SETTING_probe_samples, s)) {
        const double points = s->probe_samples + (double)s->field_grid * s->field_grid;
        const double pairs = fmin(s->probe_pairs, 4096 * d); /* about: until the error is small enough */
        probes = s->probe_epochs.n * points * pairs * (2 * (K * d + d * d) / multiply_adds_per_second + d * 2e-8);
    }
    if (is_trained(s)) {
        const double steps = s->epochs * ceil(N / s->batch);
        const bool mlp = vqs_setting_used(VQS_SETTING_activation, s);
        const double run = mlp ? vqs_mlp_rows_of_run(s) : VQS_TILE;
        const double runs = fmin(VQS_PARTIALS, ceil(s->batch / run));
        const double share = fmax(ceil(runs / team) / runs, 1 / cost->cores);
        training = s->epochs * N * share *
                       ((products * D * d + K * d + d * d) / multiply_adds_per_second + seconds_per_sample_pass +
                        seconds_of_randomness(s)) +
                   steps * ((products * D * d * 6 + 10 * K * d) / cost->cores + D * d * d) / multiply_adds_per_second +
                   steps * VQS_STEP_PHASES * cost->phase_seconds + penalty_operations(s) / multiply_adds_per_second;
        if (mlp) { /* by OpenBLAS, three times as fast; backward takes twice the time of forward */
            training +=
                (3 * s->epochs * N * share + 3 * samples) * vqs_mlp_operations(s) / (3 * multiply_adds_per_second) +
                steps * (vqs_mlp_operations(s) * 6 / cost->cores + vqs_mlp_retract_operations(s)) /
                    multiply_adds_per_second;
        }
        training *= is_replay(s) ? 2 : 1;
    } else {
        training = D * D * N / 2e9 + D * D * D / 1e9;
    }
    return data + training + probes + lloyd + 3 * samples * (2 * D * d + K * d) / multiply_adds_per_second;
}

double vqs_trial_seconds(const struct vqs_settings *s) {
    return vqs_trial_team_seconds(s, 1, &(struct vqs_team_cost){.cores = 1});
}
