/* task.h - how good reconstructions are as what they are of: images, recordings, text.
 *
 * The one rule: a score is of values as they were in the file (times value_scale), the training mean added again; where
 * whitening, or a patch's own mean taken off, has changed them for good, there is none.
 *
 *   images  SSIM (Wang et al. 2004): windows of 8 x 8 pixels, or of the patch where that is smaller, every 4 pixels, all
 *           pixels of equal weight, each channel by itself, C1 = (0.01 peak)^2, C2 = (0.03 peak)^2
 *   audio   segmental SNR: 10 log10(|x|^2 / |x - x^|^2) of a frame, from -10 to 35 dB (Hansen, Pellom 1998)
 *   text    -ln p of the right byte, p the softmax of its logits, with loss: cross_entropy
 *
 * Life cycle: none, struct vqs_task is plain data.
 */
#ifndef VQSWEEP_TASK_H
#define VQSWEEP_TASK_H

#include "vqsweep/data.h"
#include "vqsweep/record.h"

enum vqs_task_kind { VQS_TASK_NONE, VQS_TASK_IMAGES, VQS_TASK_AUDIO, VQS_TASK_TEXT };

struct vqs_task {
    enum vqs_task_kind kind;
    double peak; /* largest difference of two values; 0: unknown, or not that of the values any more */
    bool logits; /* what x^ are, instead of reconstructions */
    int D, patch, channels, window, n_classes;
};

struct vqs_task vqs_task_of(const struct vqs_settings *settings);
/* The score of sample `i`, decoded as xhat, as a mean over what it has of windows or bytes. */
double vqs_task_score(const struct vqs_task *task, const struct vqs_samples *samples, size_t i, size_t ld,
                      const vqs_real *xhat);
/* Fills the metrics of the task from the mean score of a part and its mean squared error. */
void vqs_task_metrics(const struct vqs_task *task, bool held_out, double score, double mse,
                      double metric[VQS_N_METRICS]);

#endif
