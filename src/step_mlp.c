/* step_mlp.c - a step of networks of layers: the batch's rows through the encoder, by tiles to codes, through the decoder
 * to the loss and back.
 *
 * Rows go through OpenBLAS by whole runs, for a product of few rows is slow; all that a layer's gradient wants of the
 * batch is kept, so that it is one product over all rows. */
#include "mlp.h"
#include "step.h"

#include <string.h>

enum { T = VQS_TILE, RUN = 256 };

struct vqs_mlp_work {
    int run;         /* rows of a run, whole tiles */
    vqs_real *x;     /* [batch][ld] */
    vqs_real *f;     /* [batch][row stride of d] what is decoded, and */
    vqs_real *gf;    /* the gradient to it */
    vqs_real *z;     /* the same as f for estimators that want z decoded, with traces of its own */
    struct vqs_trace encoder[VQS_MOST_LAYERS], decoder[VQS_MOST_LAYERS], at_z[VQS_MOST_LAYERS];
    struct vqs_tile *tile; /* [team][run / T] */
    vqs_real *scratch;     /* [team][scratch of the networks] */
};

int vqs_mlp_rows_of_run(const struct vqs_settings *s) {
    const int unit = VQS_PARTIALS * T, even = (s->batch + unit - 1) / unit * T;
    return even > RUN ? even : RUN;
}

void vqs_mlp_work_carve(const struct vqs_settings *s, const struct vqs_estimator *estimator, int team,
                        struct vqs_arena *arena, struct vqs_work *w) {
    struct vqs_mlp shape;
    struct vqs_mlp_work measured, *a = vqs_arena_take(arena, 1, sizeof *a);
    const size_t latent = (size_t)s->batch * vqs_row_stride(s->d);
    vqs_mlp_carve(s, NULL, NULL, &shape);
    w->mlp = a;
    a = a ? a : &measured;
    a->run = vqs_mlp_rows_of_run(s);
    a->x = vqs_arena_take(arena, (size_t)s->batch * vqs_row_stride(s->D), sizeof *a->x);
    a->f = vqs_arena_take(arena, latent, sizeof *a->f);
    a->gf = vqs_arena_take(arena, latent, sizeof *a->gf);
    vqs_net_carve(&shape.encoder, s->batch, true, arena, a->encoder);
    vqs_net_carve(&shape.decoder, s->batch, true, arena, a->decoder);
    if (estimator->needs & VQS_NEEDS_AT_Z) {
        a->z = vqs_arena_take(arena, latent, sizeof *a->z);
        vqs_net_carve(&shape.decoder, s->batch, true, arena, a->at_z);
    }
    a->scratch = vqs_arena_take(arena, (size_t)team * shape.scratch, sizeof *a->scratch);
    const int tiles = team * (a->run / T);
    a->tile = vqs_arena_take(arena, (size_t)tiles, sizeof *a->tile);
    for (int i = 0; i < tiles; i++) {
        struct vqs_tile tile;
        vqs_tile_carve(s, estimator, 0, arena, a->tile ? &a->tile[i] : &tile);
    }
}

/* ---- the loss ------------------------------------------------------------------------------------------------------ */

/* Loss and gradient of the reconstruction of sample `row`: sum |x^ - x|^2, or sum -ln p of its classes; g is that of the
 * mean over the batch and D, or over the batch and the bytes of a sample. */
static double row_loss(const struct vqs_batch *b, size_t D, uint32_t row, const vqs_real *x, const vqs_real *xhat,
                       vqs_real *g) {
    const struct vqs_settings *s = b->step.settings;
    const size_t ld = vqs_row_stride(s->D);
    if (s->loss == VQS_LOSS_MSE) {
        return b->step.kernels->squared_error(ld, b->step.rec_scale, x, xhat, g);
    }
    const size_t window = (size_t)vqs_loss_terms(s), classes = D / window;
    const vqs_real scale = 1 / ((vqs_real)b->n * (vqs_real)window);
    double sum = 0;
    memcpy(g, xhat, ld * sizeof *g);
    for (size_t i = 0; i < window; i++) {
        sum += b->step.kernels->cross_entropy((int)classes, b->samples->classes[row * window + i], scale,
                                              g + i * classes);
    }
    return sum;
}

static vqs_real *scratch_of(const struct vqs_work *w, int me) {
    return w->mlp->scratch + (size_t)me * w->model.mlp->scratch;
}

/* The losses of rows [first, first + rows) and their gradients, into g of the decoder's last layer. */
static double rows_loss(const struct vqs_work *w, const struct vqs_batch *b, const struct vqs_trace *last, int first,
                        int rows) {
    const size_t ld = w->model.ld;
    double sum = 0;
    for (size_t i = (size_t)first; i < (size_t)(first + rows); i++) {
        sum += row_loss(b, (size_t)w->model.D, b->order[i], w->mlp->x + i * ld, last->y + i * ld, last->g + i * ld);
    }
    return sum;
}

/* ---- a run of rows ------------------------------------------------------------------------------------------------- */

/* z of the rows, and from there to codes and f. Returns the number of tiles. */
static int quantize_run(const struct vqs_work *w, const struct vqs_batch *b, const struct vqs_partial *part, int first,
                        int rows, bool collects, struct vqs_tile *tile) {
    const struct vqs_model *m = &w->model;
    const struct vqs_mlp_work *a = w->mlp;
    const size_t ld = vqs_row_stride(m->d);
    const vqs_real *z = a->encoder[m->mlp->encoder.n - 1].y;
    int tiles = 0;
    for (int at = first; at < first + rows; at += T, tiles++) {
        struct vqs_tile *t = &tile[tiles];
        vqs_step_lead(part, collects, t);
        vqs_step_place_tile(w, b, at / T, t);
        vqs_rows_to_tile(m->d, z + (size_t)at * ld, t->n, t->z);
        if (m->bounded) {
            m->kernels->bound(m->d, t->z);
        }
        m->kernels->tile_quantize(&b->step, t);
        vqs_tile_to_rows(m->d, t->f, t->n, a->f + (size_t)at * ld);
        if (a->z) {
            vqs_tile_to_rows(m->d, t->z, t->n, a->z + (size_t)at * ld);
        }
    }
    return tiles;
}

/* The decoder to the loss and back to gf. */
static double decode_run(const struct vqs_work *w, const struct vqs_batch *b, int first, int rows, vqs_real *scratch) {
    const struct vqs_net *net = &w->model.mlp->decoder;
    const struct vqs_mlp_work *a = w->mlp;
    vqs_net_forward(net, a->f, first, rows, a->decoder, scratch);
    const double loss = rows_loss(w, b, &a->decoder[net->n - 1], first, rows);
    vqs_net_backward(net, first, rows, a->decoder, a->gf, scratch);
    if (a->z) { /* which then holds the gradient to itself */
        vqs_net_forward(net, a->z, first, rows, a->at_z, scratch);
        rows_loss(w, b, &a->at_z[net->n - 1], first, rows);
        vqs_net_backward(net, first, rows, a->at_z, a->z, scratch);
    }
    return loss;
}

/* From gf through the estimator to the encoder's last g. */
static void estimate_run(const struct vqs_work *w, const struct vqs_batch *b, int first, int tiles,
                         struct vqs_tile *tile) {
    const struct vqs_model *m = &w->model;
    const struct vqs_mlp_work *a = w->mlp;
    const size_t ld = vqs_row_stride(m->d);
    vqs_real *gz = a->encoder[m->mlp->encoder.n - 1].g;
    for (int i = 0; i < tiles; i++) {
        struct vqs_tile *t = &tile[i];
        const size_t at = (size_t)(first + i * T) * ld;
        vqs_rows_to_tile(m->d, a->gf + at, t->n, t->g);
        if (a->z) {
            vqs_rows_to_tile(m->d, a->z + at, t->n, t->at_z);
        }
        m->kernels->tile_estimate(&b->step, t);
        vqs_tile_to_rows(m->d, t->gz, t->n, gz + at);
    }
}

void vqs_mlp_run(struct vqs_work *w, const struct vqs_batch *b, int p, int me, bool collects) {
    const struct vqs_model *m = &w->model;
    const struct vqs_mlp_work *a = w->mlp;
    const int first = p * a->run, left = b->n - first, rows = left < a->run ? left : a->run;
    struct vqs_partial *part = &w->partial[p];
    struct vqs_tile *tile = a->tile + (size_t)me * (size_t)(a->run / T);
    struct vqs_profile *profile = w->tile[me].profile;
    vqs_real *scratch = scratch_of(w, me);
    part->rec = part->vq = part->zero = part->entropy = 0;
    vqs_step_clear(w, part);
    if (rows <= 0) { /* a short batch leaves runs empty */
        return;
    }
    for (int i = first; i < first + rows; i++) {
        memcpy(a->x + (size_t)i * m->ld, b->samples->x + b->order[i] * m->ld, m->ld * sizeof *a->x);
    }
    vqs_net_forward(&m->mlp->encoder, a->x, first, rows, a->encoder, scratch);
    vqs_profile_lap(profile, VQS_PHASE_LAYERS);
    const int tiles = quantize_run(w, b, part, first, rows, collects, tile);
    vqs_profile_lap(profile, VQS_PHASE_ASSIGN);
    if (!collects) {
        part->rec = decode_run(w, b, first, rows, scratch);
        vqs_profile_lap(profile, VQS_PHASE_LAYERS);
        estimate_run(w, b, first, tiles, tile);
        vqs_profile_lap(profile, VQS_PHASE_ESTIMATE);
        vqs_net_backward(&m->mlp->encoder, first, rows, a->encoder, NULL, scratch);
        vqs_profile_lap(profile, VQS_PHASE_LAYERS);
    }
    for (int i = 0; i < tiles; i++) {
        part->vq += tile[i].vq;
        part->zero += tile[i].zero;
        part->entropy += tile[i].entropy;
    }
}

/* ---- gradients of the parameters ----------------------------------------------------------------------------------- */

int vqs_mlp_parts(const struct vqs_work *w) {
    return vqs_net_parts(&w->model.mlp->encoder) + vqs_net_parts(&w->model.mlp->decoder);
}

void vqs_mlp_gradient(struct vqs_work *w, const struct vqs_batch *b, int part, int me) {
    const struct vqs_mlp *mlp = w->model.mlp;
    const struct vqs_mlp_work *a = w->mlp;
    const int encoder = vqs_net_parts(&mlp->encoder);
    if (part < encoder) {
        vqs_net_gradient(&mlp->encoder, part, a->x, b->n, a->encoder, w->model.params, w->grad, scratch_of(w, me));
    } else {
        vqs_net_gradient(&mlp->decoder, part - encoder, a->f, b->n, a->decoder, w->model.params, w->grad,
                         scratch_of(w, me));
    }
}
