/* train.h - runs one trial: settings in, record out.
 *
 * The one rule: vqs_trainer_run is a pure function of the settings. The record it leaves (what is under the digest) is
 * the same to the bit for any team size, worker, rank or history of the trainer, within one CPU class (kernels.h).
 *
 * Life cycle: vqs_trainer_create once a worker thread, vqs_trainer_run any number of times, vqs_trainer_destroy. A
 * trainer keeps its workspace between trials and grows it when a larger trial comes; nothing is allocated in the step
 * loop. One trainer belongs to one thread at a time; distinct trainers run side by side.
 */
#ifndef VQSWEEP_TRAIN_H
#define VQSWEEP_TRAIN_H

#include "vqsweep/base.h"
#include "vqsweep/profile.h"
#include "vqsweep/record.h"
#include "vqsweep/settings.h"

struct vqs_trainer;
struct vqs_data_cache; /* data.h */
struct vqs_dataset;
struct vqs_model; /* model.h */

/* `team`: threads that share one trial, >= 1. `cache`: data sets shared with other trainers, which outlives this
 * one; NULL for a cache of its own, which reads no HDF5. */
enum vqs_status vqs_trainer_create(int team, struct vqs_data_cache *cache, struct vqs_trainer **out,
                                   struct vqs_error *err);
void vqs_trainer_destroy(struct vqs_trainer *trainer);

/* Run a trial. Fills everything of the record but trial, attempt, rank, host, finished_at, and seals it. A diverged
 * trial is VQS_OK. On failure (memory, data file; left by a hook) the record is a failed one with the message and the
 * status is returned too. */
enum vqs_status vqs_trainer_run(struct vqs_trainer *trainer, const struct vqs_settings *settings,
                                struct vqs_record *record, struct vqs_error *err);

enum { VQS_COURSE_PARTS = 6, VQS_STATE_PARTS = 2 * VQS_COURSE_PARTS };
/* Where a trial stands between two epochs: everything that what follows depends on. */
struct vqs_trial_state {
    int epoch;       /* the next to run, from 0 */
    int n_snapshots; /* taken so far */
    int64_t steps;   /* taken so far */
    int64_t flips;   /* rows that changed sign in them */
    int64_t revived; /* codes revived in them */
    double zero;     /* samples too close to their code in them */
    struct {         /* parameters, Adam's moments of them, the codebook's own state, that of the schedule of beta, that of */
        void *data;  /* the estimator; then those of the trial that is replayed. They belong to the trial */
        size_t size; /* in bytes */
    } part[VQS_STATE_PARTS];
    struct vqs_record *record; /* its curves, arrays and snapshots so far */
};
/* Lets a caller follow a trial from epoch to epoch, leave it and come back to it later, to the same bits. */
struct vqs_trial_hooks {
    void *ctx;
    /* Before the first epoch: fill in the state in which the trial was left, and return true; or leave all as it is. */
    bool (*resume)(void *ctx, struct vqs_trial_state *state);
    /* After each epoch but the last: false leaves the trial there, and vqs_trainer_run returns VQS_ERR_UNFINISHED. */
    bool (*epoch)(void *ctx, const struct vqs_trial_state *state);
    /* Of a trial that completed: its settings, model and data, as they were evaluated; not to be kept. */
    void (*completed)(void *ctx, const struct vqs_settings *settings, const struct vqs_model *model,
                      const struct vqs_dataset *data);
};
/* For the trials from now on; copied. Any hook may be NULL. Trials that are not trained (k-means) have no epochs. */
void vqs_trainer_set_hooks(struct vqs_trainer *trainer, const struct vqs_trial_hooks *hooks);

/* For the trials from now on: whether steps are left to one thread alone where the team is slower than that, as when
 * another program has its cores. At first all steps are shared. */
void vqs_trainer_set_adapts(struct vqs_trainer *trainer, bool adapts);

/* For the trials from now on: where each thread of the team books its time; `profiles` is [team] and outlives them. */
void vqs_trainer_set_profiles(struct vqs_trainer *trainer, struct vqs_profile *profiles);

/* Memory of one trial in bytes: workspace, data, record. Exact for the workspace. Checked settings only. */
size_t vqs_trial_memory(const struct vqs_settings *settings);
/* Of these, curves, codebooks and arrays of the record: what a trial leaves on disk, about. */
size_t vqs_trial_record_bytes(const struct vqs_settings *settings);
/* Expected seconds of one trial on one core, from counted operations and a nominal rate; good for order and for an
 * estimate within a factor of two. */
double vqs_trial_seconds(const struct vqs_settings *settings);
/* The same for a team: what its threads do together in the time in which one does 1, and what passes between the phases
 * of a step. */
struct vqs_team_cost {
    double cores, phase_seconds;
};
double vqs_trial_team_seconds(const struct vqs_settings *settings, int team, const struct vqs_team_cost *cost);

#endif
