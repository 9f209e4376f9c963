/* schedule.c - the commitment weight over the steps of a trial. */
#include "schedule.h"

#include "vqsweep/estimators.h"
#include "vqsweep/metrics.h"

#include <math.h>
#include <string.h>

void vqs_schedule_carve(const struct vqs_settings *s, struct vqs_arena *arena, struct vqs_schedule *b) {
    const size_t codes = (size_t)vqs_n_codebooks(s) * (size_t)s->K;
    const bool adaptive = s->beta_schedule == VQS_BETA_ADAPTIVE, replay = s->beta_schedule == VQS_BETA_REPLAY;
    b->steps = (s->N + s->batch - 1) / s->batch;
    b->state_size = adaptive ? sizeof *b->state + codes * sizeof b->state->usage[0] : 0;
    b->state = vqs_arena_take(arena, b->state_size, 1);
    b->betas = replay ? vqs_arena_take(arena, (size_t)b->steps, sizeof *b->betas) : NULL;
}

void vqs_schedule_start(const struct vqs_settings *s, struct vqs_schedule *b) {
    if (b->state_size) {
        memset(b->state, 0, b->state_size);
        b->state->log_beta = log(s->beta);
    }
}

double vqs_schedule_beta(const struct vqs_settings *s, const struct vqs_schedule *b, int64_t number) {
    const double last = (double)b->steps * s->epochs - 1, part = last > 0 ? fmin((double)(number - 1) / last, 1) : 1;
    switch ((enum vqs_beta_schedule)s->beta_schedule) {
    case VQS_BETA_CONSTANT:
        return s->beta;
    case VQS_BETA_LINEAR:
        return s->beta + (s->beta_end - s->beta) * part;
    case VQS_BETA_COSINE:
        return s->beta_end + (s->beta - s->beta_end) * (1 + cos(acos(-1) * part)) / 2;
    case VQS_BETA_ADAPTIVE:
        return exp(b->state->log_beta);
    case VQS_BETA_REPLAY:
        return b->betas[(number - 1) % b->steps];
    }
    return s->beta;
}

void vqs_schedule_observe(const struct vqs_settings *s, struct vqs_schedule *b, int64_t number, const uint32_t *count) {
    if (!b->state_size) {
        return;
    }
    const int books = vqs_n_codebooks(s);
    uint32_t *usage = b->state->usage;
    if (b->betas) {
        b->betas[(number - 1) % b->steps] = vqs_schedule_beta(s, b, number);
    }
    for (size_t k = 0; k < (size_t)books * (size_t)s->K; k++) {
        usage[k] += count[k];
    }
    if (number % s->beta_period) {
        return;
    }
    double in_use = 0;
    for (int c = 0; c < books; c++) {
        in_use += exp(vqs_entropy(usage + (size_t)c * (size_t)s->K, 1, s->K)) / s->K / books;
    }
    const double moved = b->state->log_beta + s->beta_rate * (s->beta_target - in_use);
    b->state->log_beta = fmin(fmax(moved, log(s->beta_min)), log(s->beta_max));
    memset(usage, 0, b->state_size - sizeof *b->state);
}

struct vqs_settings vqs_schedule_source(const struct vqs_settings *s) {
    struct vqs_settings source = *s;
    source.beta_schedule = VQS_BETA_ADAPTIVE;
    source.estimator = s->replay_estimator;
    source.seed += (uint64_t)s->replay_seed;
    source.probe_epochs.n = 0; /* nothing is kept of it but beta */
    return source;
}

/* ---- what cannot be -------------------------------------------------------------------------------------------- */

enum vqs_status vqs_schedule_check(const struct vqs_settings *s, enum vqs_setting_id *culprit, struct vqs_error *err) {
    if (!vqs_setting_used(VQS_SETTING_beta_schedule, s) || s->beta_schedule == VQS_BETA_CONSTANT) {
        return VQS_OK;
    }
    *culprit = VQS_SETTING_beta_schedule;
    const char *schedule = vqs_setting_choice(VQS_SETTING_beta_schedule, s->beta_schedule);
    if (!vqs_setting_used(VQS_SETTING_beta, s)) {
        return vqs_fail(err, VQS_ERR_JOB,
                        "beta_schedule: '%s' moves a commitment weight, and there is none with estimator: %s and "
                        "codebook: %s; use beta_schedule: constant",
                        schedule, vqs_setting_choice(VQS_SETTING_estimator, s->estimator),
                        vqs_setting_choice(VQS_SETTING_codebook, s->codebook));
    }
    if (!vqs_setting_used(VQS_SETTING_beta_min, s)) {
        return VQS_OK;
    }
    if (!(s->beta_min <= s->beta && s->beta <= s->beta_max)) {
        *culprit = VQS_SETTING_beta;
        return vqs_fail(err, VQS_ERR_JOB,
                        "beta: beta_schedule: %s starts at %g, outside of beta_min = %g to beta_max = %g", schedule,
                        s->beta, s->beta_min, s->beta_max);
    }
    const struct vqs_settings source = vqs_schedule_source(s);
    if (s->beta_schedule == VQS_BETA_REPLAY && !vqs_setting_used(VQS_SETTING_beta, &source)) {
        *culprit = VQS_SETTING_replay_estimator;
        return vqs_fail(err, VQS_ERR_JOB,
                        "replay_estimator: '%s' has no commitment weight to replay; name an estimator that is trained "
                        "with one, such as ste",
                        vqs_setting_choice(VQS_SETTING_estimator, s->replay_estimator));
    }
    return VQS_OK;
}
