/* probe.c - gradients of all estimators against the gradient of the smoothed loss. */
#include "probe.h"

#include "vqsweep/record.h"
#include "vqsweep/rng.h"

#include <math.h>
#include <string.h>

enum { T = VQS_TILE };

/* Draws of an estimator that draws, and pairs of draws of g* between two looks at its error. */
enum { REPEATS = 256, PAIRS = 1024 };

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* What a trial does not use does not count in its key, so it must not count here. */
static void without_unused(const struct vqs_settings *from, struct vqs_settings *to) {
    struct vqs_settings defaults;
    vqs_settings_default(&defaults);
    *to = *from;
    for (int id = 0; id < VQS_N_SETTINGS; id++) {
        if (!vqs_setting_used((enum vqs_setting_id)id, from)) {
            const size_t offset = vqs_setting_table[id].offset;
            memcpy((char *)to + offset, (const char *)&defaults + offset, vqs_setting_size((enum vqs_setting_id)id));
        }
    }
}

static size_t largest_tile(const struct vqs_settings *s, const struct vqs_kernels *k, int rows) {
    size_t largest = 0;
    for (int i = 0; i < vqs_estimator_count(); i++) {
        struct vqs_arena measure = {0};
        struct vqs_tile tile;
        vqs_tile_carve(s, &k->estimators[i], rows, &measure, &tile);
        largest = measure.used > largest ? measure.used : largest;
    }
    return largest;
}

void vqs_probe_carve(const struct vqs_settings *s, const struct vqs_model *m, struct vqs_arena *arena,
                     struct vqs_probe *p) {
    const size_t samples = (size_t)(s->probe_samples < s->N_eval ? s->probe_samples : s->N_eval);
    const size_t plane = (size_t)s->field_grid * (size_t)s->field_grid;
    const size_t d = (size_t)m->d, group = VQS_RNG_GROUP;
    without_unused(s, &p->settings);
    p->n = samples > plane ? samples : plane;
    const size_t lanes = (p->n + T - 1) / T * T;
    p->x = vqs_arena_take(arena, plane * m->ld, sizeof *p->x);
    p->y = vqs_arena_take(arena, lanes * (size_t)m->rows, sizeof *p->y);
    p->z = vqs_arena_take(arena, lanes * d, sizeof *p->z);
    p->target = vqs_arena_take(arena, lanes * d, sizeof *p->target);
    p->target_square = vqs_arena_take(arena, lanes, sizeof *p->target_square);
    p->mean = vqs_arena_take(arena, lanes * d, sizeof *p->mean);
    p->square = vqs_arena_take(arena, lanes, sizeof *p->square);
    p->margin = vqs_arena_take(arena, lanes, sizeof *p->margin);
    p->energy = vqs_arena_take(arena, lanes, sizeof *p->energy);
    p->near = vqs_arena_take(arena, lanes, sizeof *p->near);
    p->far = vqs_arena_take(arena, lanes, sizeof *p->far);
    p->draw = vqs_arena_take(arena, (d * T + group - 1) / group * group, sizeof *p->draw);
    p->plus = vqs_arena_take(arena, d * T, sizeof *p->plus);
    p->minus = vqs_arena_take(arena, d * T, sizeof *p->minus);
    p->q = vqs_arena_take(arena, d * T, sizeof *p->q);
    p->Gq = vqs_arena_take(arena, d * T, sizeof *p->Gq);
    p->gc = vqs_arena_take(arena, T * vqs_row_stride(m->d), sizeof *p->gc);
    p->gsum = vqs_arena_take(arena, vqs_row_stride(m->d), sizeof *p->gsum);
    p->gcodes = vqs_arena_take(arena, m->quantizer.n_params, sizeof *p->gcodes);
    p->tile_size = largest_tile(s, m->kernels, m->rows);
    p->tile = vqs_arena_take(arena, p->tile_size, 1);
}

/* ---- the points ------------------------------------------------------------------------------------------------ */

/* Points of one probe. */
struct points {
    const vqs_real *x; /* [n][ld] */
    size_t n, tiles;
    double h;
    uint32_t stream;
};

static double square(double a) {
    return a * a;
}

/* Distance from z to the nearest boundary of the cell of code k; infinite for a single code. */
static double margin_of(const struct vqs_quantizer *q, const double *z, uint32_t k) {
    const vqs_real *c = q->codes + (size_t)k * (size_t)q->width;
    double least = INFINITY;
    for (int j = 0; j < q->K; j++) {
        const vqs_real *other = q->codes + (size_t)j * (size_t)q->width;
        double further = 0, between = 0;
        for (int i = 0; i < q->width; i++) {
            further += square(z[i] - (double)other[i]) - square(z[i] - (double)c[i]);
            between += square((double)other[i] - (double)c[i]);
        }
        if (between > 0 && further / (2 * sqrt(between)) < least) {
            least = further / (2 * sqrt(between));
        }
    }
    return least;
}

/* y, z and margins of all points; returns sqrt(E|z - q|^2 / d). */
static double locate(struct vqs_probe *p, const struct vqs_model *m, const struct points *points) {
    double sum = 0;
    for (size_t tile = 0; tile < points->tiles; tile++) {
        vqs_real *z = p->z + tile * (size_t)m->d * T;
        uint32_t rows[T], k[T];
        const int n = vqs_tile_rows(points->n, tile, rows);
        vqs_model_encode(m, points->x, rows, p->y + tile * (size_t)m->rows * T, z);
        vqs_quantizer_quantize(&m->quantizer, 0, z, k, p->q);
        for (int l = 0; l < n; l++) {
            double at[512];
            for (int i = 0; i < m->d; i++) {
                at[i] = (double)z[i * T + l];
                sum += square((double)z[i * T + l] - (double)p->q[i * T + l]);
            }
            p->margin[tile * T + (size_t)l] = margin_of(&m->quantizer, at, k[l]);
        }
    }
    return sqrt(sum / ((double)points->n * m->d));
}

/* ---- the gradient of the smoothed loss ------------------------------------------------------------------------- */

/* V^T (x - C) of lane l. */
static double target_of(const struct vqs_model *m, const vqs_real *y, int i, int l) {
    const double shift = m->bias ? (double)m->decoded_bias[i] : 0;
    return (double)y[((m->tied ? 0 : m->d) + i) * T + l] - shift;
}

/* D (l(Q(z)) - l(0)) of T points z against the sample in lane `lane` of y. */
static void losses_at(struct vqs_probe *p, const struct vqs_model *m, const vqs_real *y, int lane, const vqs_real *z,
                      double out[T]) {
    uint32_t k[T];
    const vqs_real *Gq = p->q;
    vqs_quantizer_quantize(&m->quantizer, 0, z, k, p->q);
    if (!m->tied) {
        m->kernels->mix(m->d, m->gram, p->q, p->Gq);
        Gq = p->Gq;
    }
    memset(out, 0, T * sizeof *out);
    for (int i = 0; i < m->d; i++) {
        const double target = target_of(m, y, i, lane);
        for (int l = 0; l < T; l++) {
            out[l] += (double)p->q[i * T + l] * ((double)Gq[i * T + l] - 2 * target);
        }
    }
}

/* T pairs of draws of g* at point `point`, number `batch` of them. */
static void draw_pairs(struct vqs_probe *p, const struct vqs_model *m, const struct points *points, size_t point,
                       size_t batch) {
    const int d = m->d, lane = (int)(point % T);
    const vqs_real *z = p->z + point / T * (size_t)d * T + lane, *y = p->y + point / T * (size_t)m->rows * T;
    const size_t groups = ((size_t)d * T + VQS_RNG_GROUP - 1) / VQS_RNG_GROUP;
    const vqs_real h = (vqs_real)points->h;
    double above[T], below[T];
    m->kernels->normals(p->settings.seed, VQS_RNG_PROBE, points->stream, (batch * p->n + point) * groups, groups, 1,
                        p->draw);
    for (int i = 0; i < d; i++) {
        for (int l = 0; l < T; l++) {
            p->plus[i * T + l] = z[i * T] + h * p->draw[i * T + l];
            p->minus[i * T + l] = z[i * T] - h * p->draw[i * T + l];
        }
    }
    losses_at(p, m, y, lane, p->plus, above);
    losses_at(p, m, y, lane, p->minus, below);
    const double scale = 1 / (2 * points->h * m->D);
    for (int l = 0; l < T; l++) {
        const double weight = scale * (above[l] - below[l]);
        for (int i = 0; i < d; i++) {
            const double g = weight * (double)p->draw[i * T + l];
            p->target[point * (size_t)d + (size_t)i] += g;
            p->target_square[point] += g * g;
        }
    }
}

/* Of the points in a region: sum of squared standard errors after n draws, and sum |g*|^2 less what of it is error. */
static void target_sums(const struct vqs_probe *p, int d, size_t n_points, const bool *in, double draws, double *errors,
                        double *norm) {
    *errors = *norm = 0;
    for (size_t point = 0; point < n_points; point++) {
        double mean2 = 0;
        for (int i = 0; i < d; i++) {
            mean2 += square(p->target[point * (size_t)d + (size_t)i] / draws);
        }
        const double error = (p->target_square[point] / draws - mean2) / draws;
        if (!in || in[point]) {
            *errors += error;
            *norm += mean2 - error;
        }
    }
}

/* g* of all points into target; returns the number of draws that it is the mean of. */
static double smoothed_gradient(struct vqs_probe *p, const struct vqs_model *m, const struct points *points) {
    const double wanted = square(p->settings.probe_error);
    double errors, norm;
    size_t pairs = 0;
    memset(p->target, 0, points->n * (size_t)m->d * sizeof *p->target);
    memset(p->target_square, 0, points->n * sizeof *p->target_square);
    do {
        for (size_t point = 0; point < points->n; point++) {
            for (size_t batch = pairs / T; batch < (pairs + PAIRS) / T; batch++) {
                draw_pairs(p, m, points, point, batch);
            }
        }
        pairs += PAIRS;
        target_sums(p, m->d, points->n, NULL, (double)pairs, &errors, &norm);
    } while (errors > wanted * norm && pairs < (size_t)p->settings.probe_pairs);
    return (double)pairs;
}

/* ---- the estimators -------------------------------------------------------------------------------------------- */

/* Energies of g and of its part along u, for each point of a tile. */
static void alignment_of(const struct vqs_tile *t, int d, int l, double *along, double *all) {
    double ug = 0, uu = 0, gg = 0;
    for (int i = 0; i < d; i++) {
        const double u = (double)t->q[i * T + l] - (double)t->z[i * T + l], g = (double)t->g[i * T + l];
        ug += u * g;
        uu += u * u;
        gg += g * g;
    }
    *along = uu > 0 ? ug * ug / uu : 0;
    *all = gg;
}

/* Mean and square of gz over the draws of one estimator, and the energies of its alignment, at every point. */
static void estimate(struct vqs_probe *p, const struct vqs_model *m, const struct points *points,
                     const struct vqs_estimator *estimator, const struct vqs_step *like) {
    const int d = m->d, repeats = estimator->needs & (VQS_NEEDS_NOISE | VQS_NEEDS_CHOICES) ? REPEATS : 1;
    struct vqs_arena arena = {.base = p->tile, .size = p->tile_size};
    struct vqs_step step = *like;
    struct vqs_tile t = {0};
    uint32_t k[T];
    const vqs_real none = 0; /* the error itself is not wanted */
    step.settings = &p->settings;
    step.estimator = estimator;
    step.rec_scale = 2 / (vqs_real)m->D; /* a batch of one */
    step.code_scale = step.commit_scale = step.soft_rate = 0;
    vqs_tile_carve(&p->settings, estimator, m->rows, &arena, &t);
    t.k = k;
    t.gc = p->gc;
    t.gsum = p->gsum;
    t.sq = &none;
    t.gcodes = p->gcodes;
    memset(p->mean, 0, points->n * (size_t)d * sizeof *p->mean);
    memset(p->square, 0, points->n * sizeof *p->square);
    memset(p->energy, 0, points->n * sizeof *p->energy);
    for (size_t tile = 0; tile < points->tiles; tile++) {
        t.n = points->n - tile * T < T ? (int)(points->n - tile * T) : T;
        memcpy(t.y, p->y + tile * (size_t)m->rows * T, (size_t)m->rows * T * sizeof *t.y);
        for (int r = 0; r < repeats; r++) {
            t.number = (int)(tile * REPEATS) + r;
            m->kernels->tile_step(&step, &t);
            for (int l = 0; l < t.n; l++) {
                const size_t point = tile * T + (size_t)l;
                double along, all;
                for (int i = 0; i < d; i++) {
                    const double g = (double)t.gz[i * T + l];
                    p->mean[point * (size_t)d + (size_t)i] += g / repeats;
                    p->square[point] += g * g / repeats;
                }
                alignment_of(&t, d, l, &along, &all);
                p->energy[point][0] += along;
                p->energy[point][1] += all;
            }
        }
    }
}

/* ---- figures --------------------------------------------------------------------------------------------------- */

static double ratio(double a, double b) {
    return b > 0 ? a / b : NAN;
}

/* The quantities of one estimator in one region; `in` NULL: all points. */
static void summarize(const struct vqs_probe *p, int d, size_t n, const bool *in, double draws, float *values) {
    double errors, norm, off = 0, spread = 0, dot = 0, own = 0, along = 0, all = 0;
    size_t count = 0;
    target_sums(p, d, n, in, draws, &errors, &norm);
    for (size_t point = 0; point < n; point++) {
        if (in && !in[point]) {
            continue;
        }
        double mean2 = 0;
        for (int i = 0; i < d; i++) {
            const double g = p->mean[point * (size_t)d + (size_t)i];
            const double target = p->target[point * (size_t)d + (size_t)i] / draws;
            off += square(g - target);
            dot += g * target;
            mean2 += g * g;
        }
        spread += p->square[point] - mean2;
        own += mean2;
        along += p->energy[point][0];
        all += p->energy[point][1];
        count++;
    }
    off = off > errors ? off - errors : 0; /* the error of g* adds to the distance from it */
    values[VQS_QUANTITY_bias] = (float)sqrt(ratio(off, norm));
    values[VQS_QUANTITY_std] = (float)sqrt(ratio(spread > 0 ? spread : 0, norm));
    values[VQS_QUANTITY_cosine] = (float)(norm > 0 ? ratio(dot, sqrt(own * norm)) : NAN);
    values[VQS_QUANTITY_alignment] = (float)ratio(along, all);
    values[VQS_QUANTITY_n_samples] = (float)count;
    values[VQS_QUANTITY_target_error] = (float)sqrt(ratio(errors, norm));
}

/* ---- the two probes -------------------------------------------------------------------------------------------- */

/* An estimator that learns has a state only where it trains. */
static bool is_comparable(const struct vqs_estimator *estimator, const struct vqs_step *step) {
    return estimator->backward && (!estimator->fitting || estimator == step->estimator);
}

static void fill_nan(size_t n, float *values) {
    for (size_t i = 0; i < n; i++) {
        values[i] = NAN;
    }
}

static struct points begin(struct vqs_probe *p, const struct vqs_model *m, const vqs_real *x, size_t n,
                           uint32_t stream) {
    struct points points = {.x = x, .n = n, .tiles = (n + T - 1) / T, .stream = stream};
    points.h = p->settings.probe_h * locate(p, m, &points);
    return points;
}

void vqs_probe_samples(struct vqs_probe *p, const struct vqs_model *m, const struct vqs_step *step,
                       const struct vqs_samples *samples, uint32_t stream, float *values) {
    const size_t wanted = (size_t)p->settings.probe_samples, n = wanted < samples->n ? wanted : samples->n;
    const struct points points = begin(p, m, samples->x, n, stream);
    const double draws = smoothed_gradient(p, m, &points);
    for (size_t i = 0; i < n; i++) {
        p->near[i] = p->margin[i] < points.h;
        p->far[i] = !p->near[i];
    }
    const bool *const regions[VQS_N_REGIONS] = {NULL, p->near, p->far};
    for (int e = 0; e < vqs_estimator_count(); e++) {
        const struct vqs_estimator *estimator = &m->kernels->estimators[e];
        float *row = values + e * VQS_N_REGIONS * VQS_N_QUANTITIES;
        if (!is_comparable(estimator, step)) {
            fill_nan((size_t)(VQS_N_REGIONS * VQS_N_QUANTITIES), row);
            continue;
        }
        estimate(p, m, &points, estimator, step);
        for (int region = 0; region < VQS_N_REGIONS; region++) {
            summarize(p, m->d, n, regions[region], draws, row + region * VQS_N_QUANTITIES);
        }
    }
}

/* The point in row `y`, column `x` of the grid. */
static void grid_points(const struct vqs_probe *p, size_t ld) {
    const int side = p->settings.field_grid;
    const double step = 2 * p->settings.field_extent / (side - 1);
    for (int i = 0; i < side * side; i++) {
        p->x[(size_t)i * ld] = (vqs_real)(i % side * step - p->settings.field_extent);
        p->x[(size_t)i * ld + 1] = (vqs_real)(i / side * step - p->settings.field_extent);
    }
}

static void write_field(const double *sum, double draws, size_t n, float *values) {
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)(sum[i] / draws);
    }
}

void vqs_probe_plane(struct vqs_probe *p, const struct vqs_model *m, const struct vqs_step *step, uint32_t stream,
                     float *values) {
    const size_t n = (size_t)p->settings.field_grid * (size_t)p->settings.field_grid, field = 2 * n;
    grid_points(p, m->ld);
    const struct points points = begin(p, m, p->x, n, stream);
    for (int e = 0; e < vqs_estimator_count(); e++) {
        const struct vqs_estimator *estimator = &m->kernels->estimators[e];
        if (is_comparable(estimator, step)) {
            estimate(p, m, &points, estimator, step);
            write_field(p->mean, 1, field, values);
        } else {
            fill_nan(field, values);
        }
        values += field;
    }
    const double draws = smoothed_gradient(p, m, &points);
    write_field(p->target, draws, field, values);
}
