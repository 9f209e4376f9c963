/* schedule.h - the commitment weight beta over the steps of a trial.
 *
 * The one rule: beta of a step is known before it, from the settings, the number of the step and, where beta follows
 * the use of codes, what the steps before have left in `state`.
 *
 *   constant  beta
 *   linear    from beta in the first step to beta_end in the last
 *   cosine    the same way along half a period of a cosine
 *   adaptive  log beta += beta_rate (beta_target - mean e^H / K) after every beta_period steps, within beta_min and
 *             beta_max; H is the entropy of a codebook's usage in those steps, the mean is over codebooks
 *   replay    what `adaptive` gave in another trial: the same settings but replay_estimator, and replay_seed added
 *             to the seed. It is trained beside this one, an epoch ahead, and leaves its betas in `betas`
 *
 * Life cycle: vqs_schedule_carve from an arena, vqs_schedule_start, then for each step vqs_schedule_beta before it and
 * vqs_schedule_observe after it.
 */
#ifndef VQS_SCHEDULE_H
#define VQS_SCHEDULE_H

#include "vqsweep/settings.h"

struct vqs_schedule_state {
    double log_beta;
    uint32_t usage[]; /* [codebooks][K] samples of each code since it last changed */
};
struct vqs_schedule {
    int steps;                        /* of an epoch */
    struct vqs_schedule_state *state; /* of adaptive, else NULL */
    size_t state_size;                /* in bytes */
    double *betas; /* [steps] of an epoch: those to replay, and in the trial that is replayed where to leave them */
};

void vqs_schedule_carve(const struct vqs_settings *settings, struct vqs_arena *arena, struct vqs_schedule *schedule);
void vqs_schedule_start(const struct vqs_settings *settings, struct vqs_schedule *schedule);
/* beta of step `number`, from 1. */
double vqs_schedule_beta(const struct vqs_settings *settings, const struct vqs_schedule *schedule, int64_t number);
/* Step `number` is done; count [codebooks][K] are the samples of each code in it. */
void vqs_schedule_observe(const struct vqs_settings *settings, struct vqs_schedule *schedule, int64_t number,
                          const uint32_t *count);

/* The settings of the trial whose beta a trial with these replays. */
struct vqs_settings vqs_schedule_source(const struct vqs_settings *settings);
/* Refuses schedules without a commitment or outside their bounds. As vqs_settings_check, which calls it. */
enum vqs_status vqs_schedule_check(const struct vqs_settings *settings, enum vqs_setting_id *culprit,
                                   struct vqs_error *err);

#endif
