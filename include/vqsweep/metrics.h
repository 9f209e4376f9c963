/* metrics.h - a trained model's figures: what record.h names, computed directly on whole parts of the data.
 *
 * The one rule: a reported figure is computed from its definition (x^ is formed, |z - q| is measured), not from the
 * algebra that makes training fast and loses a digit; and it does not depend on the number of threads.
 */
#ifndef VQSWEEP_METRICS_H
#define VQSWEEP_METRICS_H

#include "vqsweep/model.h"
#include "vqsweep/record.h"
#include "vqsweep/task.h"

struct vqs_team; /* team.h */

/* One codebook of several, and its input r. */
struct vqs_level_evaluation {
    double distortion; /* sum |r - q|^2 */
    double variance;   /* tr Cov(r) */
};
/* One pass of a model over samples; q is the sum of codes over levels. */
struct vqs_evaluation {
    double squared_error; /* sum |x - x^|^2 */
    double distortion;    /* sum |z - q|^2 */
    double z_variance;    /* tr Cov(z) */
    struct vqs_task task; /* what x are, and */
    double score;         /* the sum of what reconstructions score as that (task.h) */
    uint32_t *usage;      /* [n_codebooks][K] samples of each code */
    struct vqs_level_evaluation *level; /* [n_codebooks]; NULL where there is one */
    uint32_t *k;          /* [n_codebooks][book_stride] code of each sample */
    size_t book_stride;   /* whole tiles */
    double *tiles;        /* [tiles][3] scratch: sums of each tile, added up in order */
};
void vqs_evaluation_carve(const struct vqs_settings *settings, struct vqs_arena *arena, struct vqs_evaluation *e);
/* Leaves z of all samples in scratch->z. `y` is scratch of vqs_evaluation_scratch values for each member of the team. */
size_t vqs_evaluation_scratch(const struct vqs_model *model);
void vqs_evaluate(const struct vqs_model *model, const struct vqs_samples *samples, struct vqs_team *team,
                  struct vqs_model_scratch *scratch, vqs_real *y, struct vqs_evaluation *e);

/* Mean entropy in nats, and the number of zeros, of counts [n][K] of n codebooks. The entropy of nothing is NaN. */
double vqs_entropy(const uint32_t *counts, int n, int K);
int vqs_dead_codes(const uint32_t *counts, int n, int K);

/* Fills the metrics of one part into the record (mse, explained variance, quantisation error, entropy, perplexity, dead
 * codes, usage; for the training part also `collapsed`). */
enum vqs_part { VQS_PART_TRAIN, VQS_PART_EVAL };
void vqs_metrics_part(const struct vqs_model *model, const struct vqs_samples *samples, enum vqs_part part,
                      const struct vqs_evaluation *e, double metric[VQS_N_METRICS]);
/* The same of each of several codebooks, as far as the array level_metrics names it; `values` is all of that array. */
void vqs_metrics_levels(const struct vqs_model *model, const struct vqs_samples *samples, enum vqs_part part,
                        const struct vqs_evaluation *e, float *values);
/* subspace_recovery and principal_angle; NaN where the data has no known subspace. VQS_ERR_MEMORY. */
enum vqs_status vqs_metrics_subspace(const struct vqs_model *model, const struct vqs_dataset *data,
                                     double metric[VQS_N_METRICS], struct vqs_error *err);
/* The distortion of e over that of k-means on the z that vqs_evaluate left in scratch; NaN if restarts is 0 or
 * there are several codebooks. */
double vqs_lloyd_gap(const struct vqs_settings *settings, const struct vqs_model *model, size_t n,
                     const struct vqs_evaluation *e, struct vqs_model_scratch *scratch, vqs_real *codes);

#endif
