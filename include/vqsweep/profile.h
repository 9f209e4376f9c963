/* profile.h - where a trial's time goes.
 *
 * The one rule: time runs from lap to lap. Each lap books what has passed since the one before to a phase, so that the
 * phases add up to all the time between the first lap and the last. A profile belongs to one thread. Without one (NULL)
 * a lap is a comparison.
 *
 * Life cycle: zero-initialise, vqs_profile_start, laps, and so on; vqs_profile_add gathers those of several threads.
 */
#ifndef VQSWEEP_PROFILE_H
#define VQSWEEP_PROFILE_H

#include "vqsweep/base.h"

/* X(symbol, what is done) in the order of a trial */
#define VQS_PROFILE_TABLE(X)                                                                                           \
    X(DATA, "data: made, read, or waited for")                                                                         \
    X(INIT, "workspace and initial model")                                                                             \
    X(SHUFFLE, "order of the batches")                                                                                 \
    X(PROJECT, "x times weights")                                                                                      \
    X(ASSIGN, "nearest codes")                                                                                         \
    X(ESTIMATE, "losses, estimator, gradients of a tile")                                                              \
    X(OUTER, "gradients times x")                                                                                      \
    X(LAYERS, "layers of networks, forward and backward")                                                              \
    X(CODES, "gradients gathered by codes")                                                                            \
    X(SUMS, "sums over tiles, decoder's gradients")                                                                    \
    X(ADAM, "Adam")                                                                                                    \
    X(RETRACT, "retraction of the encoder")                                                                            \
    X(REFRESH, "codes and weights packed anew")                                                                        \
    X(WAIT, "waiting for the other threads of a trial")                                                                \
    X(EPOCH, "curves, snapshots, checkpoints")                                                                         \
    X(PROBE, "gradients of all estimators compared")                                                                   \
    X(EVALUATE, "evaluation, metrics")                                                                                 \
    X(LLOYD, "k-means, for the Lloyd gap or as the baseline")                                                          \
    X(RECORD, "record sealed and packed")

enum vqs_phase {
#define VQS_X(symbol, text) VQS_PHASE_##symbol,
    VQS_PROFILE_TABLE(VQS_X)
#undef VQS_X
        VQS_N_PHASES
};

struct vqs_profile {
    double seconds[VQS_N_PHASES];
    double last; /* lap */
};

/* Time runs from now on; NULL: no profile. */
void vqs_profile_start(struct vqs_profile *profile);
/* Books the time since the last lap to `phase`; a lap does, if there is a profile. */
void vqs_profile_book(struct vqs_profile *profile, enum vqs_phase phase);
static inline void vqs_profile_lap(struct vqs_profile *profile, enum vqs_phase phase) {
    if (profile) {
        vqs_profile_book(profile, phase);
    }
}
void vqs_profile_add(const struct vqs_profile *profile, struct vqs_profile *sum);
/* What is done in a phase. */
const char *vqs_profile_text(enum vqs_phase phase);

#endif
