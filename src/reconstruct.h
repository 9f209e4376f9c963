/* reconstruct.h - what a trial has to show: held-out samples beside their reconstructions, and its codes decoded. Not
 * public.
 *
 * The one rule: all is in the units of the source, as vqs_source_read gives them; of text, bytes: what was read, and
 * the most probable. Samples get back the mean that `patch_mean: remove` took off, which no code carries; codes do not.
 *
 * Life cycle: none. The arrays stand in the record of a trial with `reconstructions` over 0. */
#ifndef VQS_RECONSTRUCT_H
#define VQS_RECONSTRUCT_H

#include "vqsweep/metrics.h"

/* Adds the sizes of the arrays, where the settings ask for them. */
void vqs_reconstruct_shape(const struct vqs_settings *settings, struct vqs_record_shape *shape);
/* Fills them in, from what vqs_evaluate found of the held-out part. `y` is scratch of vqs_evaluation_scratch values. */
void vqs_reconstruct(const struct vqs_model *model, const struct vqs_dataset *data, const struct vqs_evaluation *e,
                     vqs_real *y, struct vqs_array arrays[VQS_N_ARRAYS]);

#endif
