/* step.h - one step of training over a batch, in phases that threads can share.
 *
 * The one rule: a step's result does not depend on the number of threads. In the first phase the batch is cut into
 * tiles of 32 samples and these into VQS_PARTIALS fixed runs of tiles, each with sums of its own; threads take whole
 * runs. In the second, codes gather their samples' gradients in the order of the batch; threads divide the codes. In
 * the third, by one thread, the sums are added up in the order of the runs and the parameters move. A barrier stands
 * between phases.
 *
 * Life cycle: vqs_work_carve from an arena, vqs_model_init; then for each batch vqs_batch_begin, vqs_step_tiles for all
 * runs, vqs_step_codes for all codes, vqs_step_update. Nothing is allocated.
 */
#ifndef VQS_STEP_H
#define VQS_STEP_H

#include "schedule.h"
#include "tile.h"
#include "vqsweep/metrics.h"

enum { VQS_PARTIALS = 8 };

/* Sums of one run of tiles: one block of memory, [partial_stride]. */
struct vqs_partial {
    vqs_real *outer;   /* [rows][ld] sum of outer x^T */
    vqs_real *gsum;    /* [d] sum of gz, with bias */
    vqs_real *fsum;    /* [d], and */
    vqs_real *moments; /* [d][vqs_row_stride(d)], where what is decoded is no single code; else NULL */
    vqs_real *gcodes;   /* [n_codes], where all codes are weighed; else NULL */
    vqs_real *soft_sum; /* [n_codebooks][K] sum of soft codes, with an entropy penalty; else NULL */
    double rec, vq, zero, soft_entropy;
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
    vqs_real *to_codes; /* [n_codes] gradient to the codes, a part of grad where they are parameters; with codebook: ema
                           sum (c_k - z) over a code's samples */
    vqs_real *log_mean; /* [n_codebooks][K] log mean of soft codes */
    vqs_real *care;     /* scratch of vqs_care_orthogonality */
    struct vqs_partial partial[VQS_PARTIALS];
    size_t partial_stride; /* from one partial's sums to the next's, in values */
    uint32_t *k;           /* [n_codebooks][tiles][T] codes of the batch */
    vqs_real *gc;          /* [n_codebooks][tiles][T][vqs_row_stride(width)] gradients to them */
    uint32_t *count;       /* [n_codebooks][K] samples of each code in the batch */
    uint32_t *used;        /* [K + 1] the codes whose count is not 0, of one codebook */
    vqs_real *moments;     /* [d][vqs_row_stride(d)] sum q q^T over the batch */
    struct vqs_tile *tile; /* [team] */
    /* epoch */
    vqs_real *codes_before; /* [n_codes] at the start of the epoch; also Lloyd's codebook at the end */
    uint32_t *usage;        /* [n_codebooks][K] over the epoch */
    double beta;            /* of the last step */
    double commitment;      /* sum over samples of beta |z - q|^2 */
    double penalty;         /* and of the weighted penalties */
    int64_t revived;
};
void vqs_work_carve(const struct vqs_settings *settings, const struct vqs_kernels *kernels, int team,
                    struct vqs_arena *arena, struct vqs_work *work);

/* The batch in work. */
struct vqs_batch {
    const struct vqs_samples *samples;
    const uint32_t *order; /* [n] sample numbers */
    int n;
    double beta;
    struct vqs_step step;
};
/* Batch of the step `number`, from 1, over samples already set. */
void vqs_batch_begin(const struct vqs_settings *settings, const struct vqs_work *work, const uint32_t *order, int n,
                     int64_t number, struct vqs_batch *batch);
/* First phase: run `p` of the batch's tiles, by thread `thread` of the team. */
void vqs_step_tiles(struct vqs_work *work, const struct vqs_batch *batch, int p, int thread, bool collects);
/* With an entropy penalty the first phase is run twice. These come first: the same with `collects`, and then, by one
 * thread, what the gradients want of all samples. */
void vqs_step_soften(struct vqs_work *work, const struct vqs_batch *batch);
/* Second phase: gradients of the codes [first, last) of each codebook, gathered in the order of the batch. */
void vqs_step_codes(struct vqs_work *work, const struct vqs_batch *batch, int first, int last);
/* Third phase, by one thread: everything but the codes' own gradients. Returns the rows that flipped. */
int vqs_step_update(const struct vqs_settings *settings, struct vqs_work *work, const struct vqs_batch *batch,
                    int64_t number);

/* Parts of the third: the gradients of the codebooks' parameters, from those of the codes; */
void vqs_step_code_gradients(struct vqs_work *work, const struct vqs_batch *batch);
/* and all that takes note of which codes the step has used. */
void vqs_step_observe(struct vqs_work *work, const struct vqs_batch *batch);

#endif
