/* learning.h - how the codes of one codebook are learned: from what is trained or kept of it to the codes, and back.
 *
 * The one rule: codes are a function of `params`, which Adam moves along gradients, and of `state`, which is changed in
 * other ways between steps. Where one of the two is the codes themselves, no copy is made of them (gradient; fixed,
 * fsq, lfq).
 *
 *   gradient  c_k (van den Oord, Vinyals, Kavukcuoglu 2017)
 *   ema       c_k = m_k / ((n_k + eps) n / (n + K eps)), with n_k <- gamma n_k + (1 - gamma) samples of the batch,
 *             m_k <- gamma m_k + (1 - gamma) their sum, n = sum n_k; n_k starts at 1, m_k at the code (the same,
 *             appendix A.1)
 *   affine    c_k = shift + scale * c0_k by component, all three trained; at first 0, 1 and the code (Huh et al. 2023)
 *   simvq     c_k = A c0_k with c0 as drawn, A trained from the identity (Zhu et al. 2024)
 *   fixed     as they start
 *   fsq       the grid of fsq_levels values from -1 to 1 in each component, for z = tanh(W x + b) (Mentzer et al. 2023)
 *   lfq       the corners -1, 1 of the cube (Yu et al. 2023)
 *
 * Life cycle: none, struct vqs_learning is plain data. Codes, gradients to them and sums over their samples are
 * [K][width].
 */
#ifndef VQSWEEP_LEARNING_H
#define VQSWEEP_LEARNING_H

#include "vqsweep/settings.h"

struct vqs_learning {
    enum vqs_learning_kind kind;
    int K, width;
    int grid_levels;          /* values of a component, of fsq and lfq */
    vqs_real decay, eps;      /* of ema */
    size_t n_params, n_state; /* values in params and state */
};

/* Codebooks of `width` components. */
struct vqs_learning vqs_learning_of(const struct vqs_settings *settings, int width);
/* Whether gradients reach the codes of this kind of learning. */
bool vqs_learning_is_trained(enum vqs_learning_kind kind);
/* Whether single codes can be moved (vqs_learning_move). */
bool vqs_learning_can_move(enum vqs_learning_kind kind);
/* Whether the codes are a grid, which no codebook_init draws. */
bool vqs_learning_is_grid(enum vqs_learning_kind kind);

/* Parameters and state of a codebook that starts as `codes` (a grid starts as itself); they may overlap. */
void vqs_learning_start(const struct vqs_learning *learning, const vqs_real *codes, vqs_real *params, vqs_real *state);
/* The codes. */
void vqs_learning_make(const struct vqs_learning *learning, const vqs_real *params, const vqs_real *state,
                       vqs_real *codes);
/* Gradient to the parameters from that to the codes, which for `gradient` are the same. */
void vqs_learning_pull_back(const struct vqs_learning *learning, const vqs_real *params, const vqs_real *state,
                            const vqs_real *to_codes, vqs_real *grad);
/* ema: the state after a batch of which code k has count[k] samples, and residual[k] = sum (c_k - z) over them. */
void vqs_learning_follow(const struct vqs_learning *learning, const uint32_t *count, const vqs_real *residual,
                         const vqs_real *codes, vqs_real *state);
/* Code k becomes `code`, with no memory of what it was: its moments of Adam are 0, its state that of a start. */
void vqs_learning_move(const struct vqs_learning *learning, int k, const vqs_real *code, vqs_real *params,
                       vqs_real *moment1, vqs_real *moment2, vqs_real *state);

/* Refuses what codebook, update and the size of a grid cannot be together. As vqs_settings_check, which calls it. */
enum vqs_status vqs_learning_check(const struct vqs_settings *settings, enum vqs_setting_id *culprit,
                                   struct vqs_error *err);

#endif
