/* plan.h - from a job's text to numbered trials.
 *
 * The one rule: the plan is a pure function of the job's text and the overrides. The same job gives the same trials
 * with the same numbers and keys on every rank and every machine; nothing is written while planning.
 *
 * A job names fixed settings, axes and studies (jobs/ has examples; the README has the grammar):
 *   name:    seed_study
 *   title:   for people                optional
 *   fixed:   {D: 128, d: 2}            settings shared by every study
 *   seeds:   1..100                    or a list; an axis of every study
 *   studies:
 *     scaling:
 *       fixed:   {sigma: 0.1}
 *       grid:    {estimator: [ste, rotation], K: [4, 8, 16]}       every combination
 *       zip:     {lr: [0.001, 0.002], batch: [128, 256]}           side by side, equal lengths
 *       list:    [{estimator: projector, a: 1, b: 0}, ...]         explicit points
 *       exclude: [{estimator: ste, K: [4, 8]}]                     points to leave out
 *       seeds:   1..10                                             instead of the job's
 *   contrasts:                                                     the comparisons meant to be made, optional
 *     - {name: alive, study: scaling, metric: dead_codes_train, axis: estimator, values: [ste, rotation],
 *        where: {K: 32}, each: [decoder]}
 * A job of one study may put grid, zip, list and exclude at its top level. A study is list x zip x grid x seeds, the
 * last axis fastest, less the excluded points (a point is left out when every setting named matches; an exclusion that
 * matches nothing is an error). A setting may stand in one place of a study only; what the job's `fixed` says holds
 * where the study says nothing.
 *
 * A contrast is the mean of `metric` at the second of two values of a setting less that at the first, over pairs of
 * trials equal in all else, among the study's trials that are as `where` says; `each` asks for it in each combination
 * of some settings. The program only checks contrasts; analysis/ evaluates them. The job's text stands in the journal
 * and in the result file before the first trial runs, and contrasts are part of the plan's key: other contrasts make
 * another plan.
 *
 * A trial that several studies ask for is one trial and belongs to each. The same settings twice in one study are an
 * error; points of a study that differ only in settings without effect (beta under k-means) are merged and counted.
 *
 * Life cycle: vqs_plan_create, any number of reads from any thread, vqs_plan_destroy. A trial's settings are computed
 * on demand, so that a plan takes some 32 bytes a trial.
 */
#ifndef VQSWEEP_PLAN_H
#define VQSWEEP_PLAN_H

#include "vqsweep/base.h"
#include "vqsweep/settings.h"

#define VQS_PLAN_MAX_TRIALS  10000000
#define VQS_PLAN_MAX_STUDIES 64

struct vqs_plan;

/* What the command line may change in a job. */
struct vqs_plan_overrides {
    const char *seeds; /* "1..10" or "7", in place of every `seeds` of the job; NULL: as the job says */
};

/* Parse `text` (`size` bytes of YAML, not NUL-terminated) and expand it. `file` is the name used in messages.
 * On failure VQS_ERR_JOB with "FILE:LINE: KEY: what is wrong; what was expected", or VQS_ERR_USAGE with "--seeds: ..."
 * for bad overrides, and *out is NULL. *out is owned by the caller. */
enum vqs_status vqs_plan_create(const char *text, size_t size, const char *file,
                                const struct vqs_plan_overrides *overrides, struct vqs_plan **out,
                                struct vqs_error *err);
void vqs_plan_destroy(struct vqs_plan *plan);

const char *vqs_plan_name(const struct vqs_plan *plan);
const char *vqs_plan_title(const struct vqs_plan *plan); /* empty when the job has none */
size_t vqs_plan_n_trials(const struct vqs_plan *plan);
/* Hash of all trial keys and study memberships, in order, and of the contrasts: equal exactly when two plans are the
 * same. */
uint64_t vqs_plan_key(const struct vqs_plan *plan);
uint64_t vqs_plan_trial_key(const struct vqs_plan *plan, size_t trial);
/* Settings of trial number `trial`. */
void vqs_plan_trial_settings(const struct vqs_plan *plan, size_t trial, struct vqs_settings *settings);
/* The file line at which the study of this trial stands; for messages. */
int vqs_plan_trial_line(const struct vqs_plan *plan, size_t trial);

/* Studies, in the order of the job. */
int vqs_plan_n_studies(const struct vqs_plan *plan);
const char *vqs_plan_study_name(const struct vqs_plan *plan, int study);
size_t vqs_plan_study_size(const struct vqs_plan *plan, int study); /* trials that belong to it */
bool vqs_plan_in_study(const struct vqs_plan *plan, size_t trial, int study);
size_t vqs_plan_study_merged(const struct vqs_plan *plan, int study); /* points merged, differing without effect */

/* The declared contrasts, a line each: "alive: dead_codes_train in scaling, estimator rotation - ste, K=32, each
 * decoder". `size` bytes without a NUL at the end; none when 0. */
const char *vqs_plan_contrasts(const struct vqs_plan *plan, size_t *size);

/* Axes of a study as text, for people: axis i is "estimator: ste, rotation" (NULL past the last). */
const char *vqs_plan_study_axis(const struct vqs_plan *plan, int study, int i);

#endif
