/* probe.h - how good the gradients of all estimators are, on one state of a model (MATH.md, section 5).
 *
 * The true gradient of a hard quantiser is zero almost everywhere; what a step can hope for is the gradient of the
 * smoothed loss, g*(z) = grad_z E l(Q(z + h e)), e ~ N(0, I), with l(f) = |x - V f - C|^2 / D of one sample. It is
 * estimated as the mean of (l(Q(z + h e)) - l(Q(z - h e))) e / (2 h), until its standard error, root mean square over
 * the points, is below probe_error of g*. Each estimator's gz is then compared with it: rows of the estimator table,
 * with the trial's parameters where it has any and the defaults elsewhere, under the same smoothing and the same draws.
 *
 * Quantities (record.h) are sums over the points i of a region: all; `near`, closer than h to a boundary between cells;
 * `far`, the others. m_i is the mean and v_i the variance (trace) of an estimator's gradient over its own draws, s_i
 * the standard error of g*. What s_i adds to |m_i - g*_i|^2 and |g*_i|^2 on average is taken off them.
 *
 *     bias = sqrt(sum |m_i - g*_i|^2 / sum |g*_i|^2)
 *     std = sqrt(sum v_i / sum |g*_i|^2)
 *     cosine = sum m_i.g*_i / sqrt(sum |m_i|^2 sum |g*_i|^2)
 *     alignment = sum (u_i.g_i)^2 / sum |g_i|^2, the share of g along u
 *     n_samples = points in the region
 *     target_error = sqrt(sum s_i^2 / sum |g*_i|^2)
 *
 * NaN where there are no points, where a denominator is 0, for the k-means baseline, and for estimators that learn in
 * trials that they do not train.
 *
 * The one rule: a probe reads the model and changes nothing of the trial; its numbers are a function of the settings
 * and do not depend on which estimator trains, but for the state it trained to.
 *
 * Life cycle: vqs_probe_carve from an arena, then vqs_probe_samples and vqs_probe_plane any number of times.
 */
#ifndef VQS_PROBE_H
#define VQS_PROBE_H

#include "tile.h"
#include "vqsweep/model.h"

struct vqs_probe {
    struct vqs_settings settings;           /* the trial's, parameters that it does not use at their defaults */
    size_t n;                               /* points that there is room for */
    vqs_real *x;                            /* [n][ld] points of a plane */
    vqs_real *y;                            /* [tiles][rows][T] their projections */
    vqs_real *z;                            /* [tiles][d][T] */
    double *target, *target_square;         /* [n][d] sum of the draws of g*, then g*; [n] sum of their squares */
    double *mean, *square;                  /* [n][d], [n] the same of an estimator */
    double (*energy)[2];                    /* [n] of g along u, and of all of g */
    double *margin;                         /* [n] distance to the nearest boundary */
    bool *near, *far;                       /* [n] closer than h to it, or not */
    vqs_real *draw, *plus, *minus, *q, *Gq; /* [d][T] */
    vqs_real *gc, *gsum, *gcodes;           /* what a tile adds to, not used */
    void *tile;                             /* memory of a tile's scratch, of any estimator */
    size_t tile_size;
};
void vqs_probe_carve(const struct vqs_settings *settings, const struct vqs_model *model, struct vqs_arena *arena,
                     struct vqs_probe *probe);

/* The first min(probe_samples, N_eval) held-out samples into values [estimators][regions][quantities], as the array
 * `probes` of a record has them. `step` is any step of the trial in its present state. `stream` keeps the draws of one
 * probe apart from those of the next. */
void vqs_probe_samples(struct vqs_probe *probe, const struct vqs_model *model, const struct vqs_step *step,
                       const struct vqs_samples *samples, uint32_t stream, float *values);
/* Gradients on a grid of field_grid x field_grid points over [-field_extent, field_extent]^2, both ends included, for a
 * model of the plane whose encoder is the identity: values [estimators + 1][y][x][2], mean gz of each estimator, then
 * g*, as the array `fields` of a record has them. */
void vqs_probe_plane(struct vqs_probe *probe, const struct vqs_model *model, const struct vqs_step *step,
                     uint32_t stream, float *values);

#endif
