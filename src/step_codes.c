/* step_codes.c - what a step does to the codes besides gathering gradients: penalties, ways of learning, care. */
#include "care.h"
#include "step.h"

#include <math.h>

void vqs_step_soften(struct vqs_work *w, const struct vqs_batch *b) {
    const struct vqs_settings *s = b->step.settings;
    const size_t K = (size_t)s->K, codes = (size_t)w->model.quantizer.n_codebooks * K;
    double penalty = 0; /* sum H(p) - B sum H(mean p) */
    for (int p = 0; p < VQS_PARTIALS; p++) {
        penalty += w->partial[p].entropy;
    }
    for (size_t k = 0; k < codes; k++) {
        double mean = 0;
        for (int p = 0; p < VQS_PARTIALS; p++) {
            mean += (double)w->partial[p].softly[k];
        }
        mean = fmax(mean / b->n, 1e-30); /* of a code so far away that every p is 0 */
        penalty += b->n * mean * log(mean);
        w->log_mean[k] = (vqs_real)log(mean);
    }
    w->sums.penalty += s->entropy_weight * penalty;
}

void vqs_step_code_gradients(struct vqs_work *w, const struct vqs_batch *b) {
    const struct vqs_settings *s = b->step.settings;
    const struct vqs_model *m = &w->model;
    const struct vqs_quantizer *q = &m->quantizer;
    if (!vqs_learning_is_trained(q->learning.kind)) {
        return;
    }
    if (w->partial[0].gcodes) {
        m->kernels->axpy(q->n_codes, 1, w->partial[0].gcodes, w->to_codes);
    }
    for (int c = 0; s->orthogonality > 0 && c < q->n_codebooks; c++) {
        const vqs_real *codes = vqs_codebook_of(q, c).codes;
        w->sums.penalty += b->n * vqs_care_orthogonality(q->K, q->width, codes, s->orthogonality,
                                                         w->to_codes + (codes - q->codes), w->care);
    }
    vqs_quantizer_pull_back(q, w->to_codes, w->grad + (q->params - m->params));
}

void vqs_step_observe(struct vqs_work *w, const struct vqs_batch *b) {
    struct vqs_quantizer *q = &w->model.quantizer;
    w->sums.beta = b->beta;
    vqs_quantizer_follow(q, w->count, w->to_codes);
    vqs_care_tally(q, w->count);
    vqs_schedule_observe(b->step.settings, &w->schedule, b->step.number, w->count);
}
