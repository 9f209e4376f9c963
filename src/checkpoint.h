/* checkpoint.h - a long trial's state in a file, so that it can go on where it was.
 *
 * The one rule: a checkpoint is used only by the same code, on the same class of CPU, for the same trial; anything
 * else, damage included, begins the trial anew. What a trial gives is the same to the bit either way.
 *
 * The checkpoints of FILE stand in the folder FILE.trials, one file a trial, each put in place whole. Whoever runs the
 * trial writes it; the writer of FILE removes it once the trial's record is durable.
 */
#ifndef VQS_CHECKPOINT_H
#define VQS_CHECKPOINT_H

#include "vqsweep/train.h"

/* What a checkpoint has to agree in with whoever would use it. */
struct vqs_checkpoint_tag {
    uint64_t key; /* of the trial */
    const char *code_version, *cpu_class;
};

/* FOLDER/TRIAL-KEY; owned by the caller. NULL: out of memory. */
char *vqs_checkpoint_path(const char *folder, uint32_t trial, uint64_t key);
/* Puts the state at `path`, durably; makes the folder. `seconds`: what the trial has taken so far. */
enum vqs_status vqs_checkpoint_save(const char *path, const struct vqs_checkpoint_tag *tag,
                                    const struct vqs_trial_state *state, double seconds, struct vqs_error *err);
/* VQS_ERR_STORE: there is one, but it is damaged or another's, and says why; VQS_ERR_IO with errno's reason. The state
 * is changed on VQS_OK only. */
enum vqs_status vqs_checkpoint_load(const char *path, const struct vqs_checkpoint_tag *tag,
                                    struct vqs_trial_state *state, double *seconds, struct vqs_error *err);
/* Removes from the folder what `keep` does not want. */
void vqs_checkpoint_sweep(const char *folder, bool (*keep)(void *ctx, uint32_t trial, uint64_t key), void *ctx);

#endif
