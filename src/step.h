/* step.h - one step of training over a batch, by a team of threads.
 *
 * The one rule: a step's result does not depend on the number of threads. In the first phase the batch is cut into
 * tiles of 32 samples and these into VQS_PARTIALS fixed runs of tiles, each with sums of its own; threads take whole
 * runs. In the second, the sums are added up in the order of the runs, and codes gather their samples' gradients in the
 * order of the batch; then the decoder's gradients are completed, the parameters move, and what is derived from them is
 * made anew. In these phases threads divide the parameters, never the samples.
 *
 * Life cycle: vqs_work_carve from an arena, vqs_model_init; then vqs_steps_run, as often as it takes to have all of an
 * epoch's batches. Nothing is allocated.
 */
#ifndef VQS_STEP_H
#define VQS_STEP_H

#include "probe.h"
#include "schedule.h"
#include "team.h"
#include "tile.h"
#include "vqsweep/metrics.h"

enum { VQS_PARTIALS = 8, VQS_STEP_PHASES = 5 };

/* Sums of one run of tiles: one block of memory, [partial_stride]. */
struct vqs_partial {
    vqs_real *outer;   /* [outer_rows][ld] sum of outer x^T */
    vqs_real *gsum;    /* [d] sum of gz, with bias */
    vqs_real *fsum;    /* [d], and */
    vqs_real *moments; /* [d][vqs_row_stride(d)], where what is decoded is no single code; else NULL */
    vqs_real *gcodes;  /* [n_codes], where all codes are weighed; else NULL */
    vqs_real *softly;  /* [n_codebooks][K] sums of soft codes, with an entropy penalty; else NULL */
    vqs_real *sums;    /* what an estimator learns from; else NULL */
    double rec, vq, zero, entropy;
};

/* What an epoch adds up. */
struct vqs_epoch_sums {
    double rec, vq, zero;
    double commitment; /* beta |z - q|^2 */
    double penalty;    /* orthogonality and entropy, times samples */
    double beta;       /* of the last step */
    int64_t flips;     /* rows of W that changed sign in the retraction */
    int64_t revived;   /* codes */
};

/* Everything one trial works in. Carved from one arena; nothing is allocated after that. */
struct vqs_work {
    struct vqs_model model;
    struct vqs_model_scratch scratch;
    struct vqs_evaluation train, eval;
    vqs_real *evaluation; /* scratch of vqs_evaluate */
    int tiles;            /* of a full batch */
    /* step */
    struct vqs_schedule schedule;
    vqs_real *grad, *moment1, *moment2; /* [n_params] */
    vqs_real *to_codes; /* [n_codes] gradient to codes, a part of grad where they are parameters; ema: sum (c_k - z) */
    vqs_real *log_mean; /* [n_codebooks][K] log mean of soft codes */
    vqs_real *care;     /* scratch of vqs_care_orthogonality */
    struct vqs_partial partial[VQS_PARTIALS];
    size_t partial_stride;    /* from one partial's sums to the next's, in values */
    uint32_t *k;              /* [n_codebooks][tiles][T] codes of the batch */
    vqs_real *gc;             /* [n_codebooks][tiles][T][vqs_row_stride(width)] gradients to them */
    uint32_t *count;          /* [n_codebooks][K] samples of each code in the batch */
    uint32_t *used;           /* [team][K + 1] the codes whose count is not 0, of a single codebook */
    vqs_real *moments;        /* [d][vqs_row_stride(d)] sum q q^T over the batch */
    int outer_rows;           /* of a tile's `outer`: the model's rows, or those of gz alone where there are */
    vqs_real *x_sums;         /* [K][ld] sums of a batch's samples by code; else NULL, and */
    uint32_t *sorted;         /* [team][tiles][T] samples by code */
    struct vqs_tile *tile;    /* [team] */
    struct vqs_mlp_work *mlp; /* what else networks work in (step_mlp.c); NULL in a linear model */
    /* epoch */
    struct vqs_epoch_sums sums;
    vqs_real *codes_before; /* [n_codes] at the start of the epoch; also Lloyd's codebook at the end */
    uint32_t *usage;        /* [n_codebooks][K] over the epoch */
    vqs_real *learned;      /* [n_learned] state of an estimator that learns */
    size_t n_learned;
    struct vqs_probe probe; /* with probe_epochs */
};
void vqs_work_carve(const struct vqs_settings *settings, const struct vqs_kernels *kernels, int team,
                    struct vqs_arena *arena, struct vqs_work *work);

/* The batch in work. */
struct vqs_batch {
    const struct vqs_samples *samples;
    const uint32_t *order; /* [n] sample numbers */
    int n;
    int left; /* sample numbers from `order` on, those of the batches to come included; 0 where there are none */
    double beta;
    struct vqs_step step;
};
/* Batch of the step `number`, from 1, over samples already set. */
void vqs_batch_begin(const struct vqs_settings *settings, const struct vqs_work *work, const uint32_t *order, int n,
                     int64_t number, struct vqs_batch *batch);

/* The steps of an epoch. */
struct vqs_steps {
    const struct vqs_settings *settings;
    const struct vqs_samples *samples;
    struct vqs_work *work; /* its scratch.order is that of the samples */
    int64_t number;        /* steps of the trial so far */
    int at;                /* samples of the epoch so far */
    /* of a run */
    int64_t left; /* steps */
    int sharers;  /* threads that it is cut for */
    int phase;
    struct vqs_batch batch;
};
/* The next n steps, or those left of the epoch: by the team, or by the caller alone. Adds to the epoch's sums. */
void vqs_steps_run(struct vqs_steps *steps, int64_t n, struct vqs_team *team, bool shared);

/* The sums of a run become 0, but for `outer`. */
void vqs_step_clear(const struct vqs_work *work, const struct vqs_partial *part);
/* The tile adds to those sums. */
void vqs_step_lead(const struct vqs_partial *part, bool collects, struct vqs_tile *tile);
/* The tile is number `number` of the batch: its samples `rows`, and where its codes go. */
void vqs_step_place_tile(const struct vqs_work *work, const struct vqs_batch *batch, int number, struct vqs_tile *tile);

/* The networks' part in a step (step_mlp.c). Its batch is cut into at most VQS_PARTIALS runs of so many rows: */
int vqs_mlp_rows_of_run(const struct vqs_settings *settings);
/* run `p` of them forward and back, by member `me`; */
void vqs_mlp_work_carve(const struct vqs_settings *settings, const struct vqs_estimator *estimator, int team,
                        struct vqs_arena *arena, struct vqs_work *work);
void vqs_mlp_run(struct vqs_work *work, const struct vqs_batch *batch, int p, int me, bool collects);
/* and then the parts of its parameters' gradients. */
int vqs_mlp_parts(const struct vqs_work *work);
void vqs_mlp_gradient(struct vqs_work *work, const struct vqs_batch *batch, int part, int me);

/* What a step does to the codes beyond gathering their gradients, each by one member alone (step_codes.c):
 * with an entropy penalty, from a first pass over the tiles, what its gradients want of all samples; */
void vqs_step_soften(struct vqs_work *work, const struct vqs_batch *batch);
/* penalties, and the gradients of what codes are computed from; */
void vqs_step_code_gradients(struct vqs_work *work, const struct vqs_batch *batch);
/* and all that takes note of which codes the step has used. */
void vqs_step_observe(struct vqs_work *work, const struct vqs_batch *batch);

#endif
