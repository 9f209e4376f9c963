/* care.h - what is done to a codebook besides learning: revival of codes out of use, penalties on codes and their use.
 *
 * The one rule: nothing here depends on the estimator, the number of threads, or anything but the settings and the
 * training so far.
 *
 * Revival (`revive: expire`). After every revive_period steps, a code that was chosen in fewer than revive_threshold of
 * their batches becomes what the encoder makes now of a sample of the last batch. Samples are taken from the batch in
 * its order, one a code, from a place drawn from the stream (seed, VQS_RNG_REVIVAL, step).
 *
 * Orthogonality. For each codebook, with codes ch_k of length 1 as the rows of C (Shin et al. 2023):
 *   orthogonality |C C^T - I|_F^2 / K^2.
 * A code of length 0 has no direction and is left out.
 *
 * Entropy. For each codebook, with p_k = softmax_k(-|z - c_k|^2 / entropy_tau) (Yu et al. 2023):
 *   entropy_weight (mean H(p) - H(mean p)), means over the batch: samples should be sure of their code, and all codes
 * be used. Its gradient reaches z, and codes that are trained.
 */
#ifndef VQS_CARE_H
#define VQS_CARE_H

#include "vqsweep/model.h"

/* Notes which codes a batch has chosen, for revival; count [codebooks][K]. */
void vqs_care_tally(struct vqs_quantizer *quantizer, const uint32_t *count);
/* Whether codes are revived after step `number`. */
bool vqs_care_revives(const struct vqs_settings *settings, int64_t number);
/* Revival after step `number`, whose batch are the n samples in `order`. The moments are Adam's of all parameters.
 * Returns how many codes were revived. */
int vqs_care_revive(const struct vqs_settings *settings, struct vqs_model *model, const struct vqs_samples *samples,
                    const uint32_t *order, int n, int64_t number, struct vqs_model_scratch *scratch, vqs_real *moment1,
                    vqs_real *moment2);

/* The orthogonality penalty of the codes [K][width] of one codebook, its gradient added to `grad`. `scratch` has
 * vqs_care_scratch(K, width) values. */
double vqs_care_orthogonality(int K, int width, const vqs_real *codes, double weight, vqs_real *grad,
                              vqs_real *scratch);
size_t vqs_care_scratch(int K, int width);

/* Refuses care for codes that cannot take it. As vqs_settings_check, which calls it. */
enum vqs_status vqs_care_check(const struct vqs_settings *settings, enum vqs_setting_id *culprit,
                               struct vqs_error *err);

#endif
