/* test_mlp.c - MLPs in double: gradients of the whole model by finite differences, and the linear model as the MLP
 * without hidden layers.
 *
 * The naive model goes through samples, layers and components one at a time, and shares with the library only data,
 * weights and codes. The library's gradient is read from Adam's first moment after one step. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mlp.h"
#include "settings_text.h"
#include "surrogates.h"
#include "test_files.h"
#include "testing.h"
#include "vqsweep/data.h"
#include "vqsweep/quantizer.h"
#include "vqsweep/train.h"

enum { T = VQS_TILE, MAX_WIDTH = 256 };

/* ---- one trial, its start chosen and its end looked at ---------------------------------------------------------- */

struct watched {
    const double *start;                      /* parameters to begin with; NULL: the trial's own, */
    double *params, *moment1;                 /* which are copied here; and Adam's after the first epoch */
    double *end;                              /* if not NULL, the parameters after the last epoch */
    size_t n;
};

static bool on_start(void *ctx, struct vqs_trial_state *state) {
    struct watched *w = ctx;
    w->n = state->part[0].size / sizeof(double);
    w->params = realloc(w->params, state->part[0].size);
    for (int course = 0; w->start && course < VQS_STATE_PARTS; course += VQS_COURSE_PARTS) { /* a replayed trial too */
        if (state->part[course].size) {
            memcpy(state->part[course].data, w->start, state->part[course].size);
        }
    }
    memcpy(w->params, state->part[0].data, state->part[0].size);
    return w->start != NULL;
}

static bool on_epoch(void *ctx, const struct vqs_trial_state *state) {
    struct watched *w = ctx;
    if (state->epoch == 1) {
        w->moment1 = realloc(w->moment1, state->part[1].size);
        memcpy(w->moment1, state->part[1].data, state->part[1].size);
    }
    if (w->end) {
        memcpy(w->end, state->part[0].data, state->part[0].size);
    }
    return true;
}

static void run_watched(const struct vqs_settings *s, struct watched *w, struct vqs_record *record) {
    struct vqs_trainer *trainer = NULL;
    struct vqs_error err = {0};
    ck_assert(vqs_trainer_create(1, NULL, &trainer, NULL) == VQS_OK);
    vqs_trainer_set_hooks(trainer, &(struct vqs_trial_hooks){.ctx = w, .resume = on_start, .epoch = on_epoch});
    ck_assert_msg(vqs_trainer_run(trainer, s, record, &err) == VQS_OK, "%s", err.text);
    vqs_trainer_destroy(trainer);
}

/* ---- the naive model -------------------------------------------------------------------------------------------- */

static double naive_activation(enum vqs_activation activation, double x) {
    return activation == VQS_ACTIVATION_RELU ? fmax(x, 0)
                                             : x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * pow(x, 3))));
}

/* The layer norm and the activation of `layer->width` values. */
static void naive_place(const struct vqs_settings *s, const struct vqs_layer *layer, double *y) {
    double mean = 0, variance = 0;
    for (int j = 0; j < layer->width; j++) {
        mean += y[j] / layer->width;
    }
    for (int j = 0; j < layer->width; j++) {
        variance += pow(y[j] - mean, 2) / layer->width;
    }
    for (int j = 0; j < layer->width; j++) {
        if (s->layer_norm) {
            y[j] = layer->gain[j] * (y[j] - mean) / sqrt(variance + 1e-5) + layer->shift[j];
        }
        y[j] = naive_activation((enum vqs_activation)s->activation, y[j]);
    }
}

/* One weight of a convolution or a transposed one: between pixel (row, column) of an image and pixel (y, x) of a map of
 * stride^2 times fewer pixels; and 0 where they do not see each other. */
static double naive_weight(const struct vqs_layer *l, int row, int column, int c, int y, int x, int map) {
    const int k = l->window.size, s = l->window.stride, before = (k - s) / 2;
    const int dy = row - (y * s - before), dx = column - (x * s - before), at = (dy * k + dx) * l->window.channels + c;
    if (dy < 0 || dy >= k || dx < 0 || dx >= k) {
        return 0;
    }
    return l->kind == VQS_CONV ? l->W[(size_t)map * l->ld_in + (size_t)at] : l->W[(size_t)at * l->ld_in + (size_t)map];
}

/* y += all weights times x, between an image of `side` and a map of `maps` channels. */
static void naive_conv(const struct vqs_layer *l, int maps, const double *x, double *y) {
    const int side = l->window.side, channels = l->window.channels, half = side / l->window.stride;
    for (int i = 0; i < side * side * channels; i++) {
        for (int j = 0; j < half * half * maps; j++) {
            const double w = naive_weight(l, i / channels / side, i / channels % side, i % channels, j / maps / half,
                                          j / maps % half, j % maps);
            if (l->kind == VQS_CONV) {
                y[j] += w * x[i];
            } else {
                y[i] += w * x[j];
            }
        }
    }
}

static void naive_layer(const struct vqs_settings *s, const struct vqs_layer *layer, const double *x, double *y) {
    for (int j = 0; j < layer->width * layer->places; j++) {
        y[j] = layer->b[j % layer->width];
    }
    if (layer->kind == VQS_DENSE) {
        for (int j = 0; j < layer->out; j++) {
            for (int i = 0; i < layer->in; i++) {
                y[j] += layer->W[(size_t)j * layer->ld_in + (size_t)i] * x[i];
            }
        }
    } else {
        naive_conv(layer, layer->kind == VQS_CONV ? layer->out : layer->in, x, y);
    }
    for (int place = 0; layer->hidden && place < layer->places; place++) {
        naive_place(s, layer, y + place * layer->width);
    }
}

static void naive_net(const struct vqs_settings *s, const struct vqs_net *net, int n_in, const double *x, double *y) {
    double here[MAX_WIDTH];
    memcpy(here, x, (size_t)n_in * sizeof *x);
    for (int i = 0; i < net->n; i++) {
        naive_layer(s, &net->layer[i], here, y);
        memcpy(here, y, (size_t)(net->layer[i].width * net->layer[i].places) * sizeof *y);
    }
}

/* Loss of a sample's reconstruction from f, as a mean over what it is a mean of. */
static double naive_rec(const struct vqs_settings *s, const struct vqs_net *decoder, const double *x,
                        const uint8_t *classes, const double *f) {
    double y[MAX_WIDTH], sum = 0;
    naive_net(s, decoder, s->d, f, y);
    if (s->loss == VQS_LOSS_MSE) {
        for (int i = 0; i < s->D; i++) {
            sum += pow(x[i] - y[i], 2) / s->D;
        }
        return sum;
    }
    const int n = s->D / s->text_window;
    for (int i = 0; i < s->text_window; i++) {
        double total = 0;
        for (int k = 0; k < n; k++) {
            total += exp(y[i * n + k]);
        }
        sum += (log(total) - y[i * n + classes[i]]) / s->text_window;
    }
    return sum;
}

/* ---- gradients -------------------------------------------------------------------------------------------------- */

/* A batch, frozen: one codebook. */
struct frozen_batch {
    const struct vqs_settings *s;
    const struct vqs_dataset *data;
    const struct surrogate_row *row;
    struct vqs_mlp mlp, then; /* of the parameters that are moved, and as they were */
    double *codes;            /* among the former */
    struct frozen *at;        /* [N] */
    double (*f0)[SURROGATE_MAX_D];
};

/* Random numbers of sample i of the only batch, whose order is `order`. */
static void draw(const struct vqs_settings *s, int i, struct frozen *at) {
    const struct vqs_stream stream = {vqs_kernels_get(), s->seed, VQS_RNG_ESTIMATOR, 1};
    const uint64_t group = VQS_RNG_GROUP, tile = (uint64_t)(i / T);
    const uint64_t normals = ((uint64_t)(s->d * T) + group - 1) / group * group;
    const uint64_t choices = ((uint64_t)(s->K * T) + group - 1) / group * group;
    for (int j = 0; j < s->d; j++) {
        vqs_rng_normal(&stream, tile * normals + (uint64_t)(j * T + i % T), 1, 1, &at->noise[j]);
    }
    for (int j = 0; j < s->K; j++) {
        uint32_t word;
        vqs_rng_words(&stream, tile * choices + (uint64_t)(j * T + i % T), 1, &word);
        at->gumbel[j] = gumbel_of(word);
    }
}

static const double *sample_of(const struct frozen_batch *b, uint32_t number) {
    return b->data->train.x + number * b->data->ld;
}

static void freeze(struct frozen_batch *b, const uint32_t *order) {
    const struct vqs_settings *s = b->s;
    for (int i = 0; i < s->N; i++) {
        struct frozen *at = &b->at[order[i]];
        double z[MAX_WIDTH];
        *at = (struct frozen){.s = s, .d = s->d, .K = s->K, .tau = s->tau};
        naive_net(s, &b->mlp.encoder, s->D, sample_of(b, order[i]), z);
        memcpy(at->z, z, (size_t)s->d * sizeof *z);
        memcpy(at->codes, b->codes, (size_t)(s->K * s->d) * sizeof *at->codes);
        draw(s, i, at);
        at->k = surrogate_choice(b->row, at);
        if (b->row->is & DECODES_TWICE) {
            memcpy(b->f0[order[i]], chosen(at), (size_t)s->d * sizeof *z);
        } else {
            surrogate_value(b->row, at, z, b->codes, b->f0[order[i]]);
        }
    }
}

static double frozen_loss(const struct frozen_batch *b) {
    const struct vqs_settings *s = b->s;
    const size_t window = b->data->n_classes ? (size_t)s->text_window : 0;
    double loss = 0;
    for (int i = 0; i < s->N; i++) {
        const struct frozen *at = &b->at[i];
        const double *x = sample_of(b, (uint32_t)i), *code = b->codes + at->k * s->d;
        const uint8_t *classes = window ? b->data->train.classes + (size_t)i * window : NULL;
        double z[MAX_WIDTH], f[SURROGATE_MAX_D], losses = 0;
        naive_net(s, &b->mlp.encoder, s->D, x, z);
        if (b->row->is & DECODES_TWICE) {
            loss += naive_rec(s, &b->then.decoder, x, classes, z) + naive_rec(s, &b->mlp.decoder, x, classes, b->f0[i]);
        } else {
            surrogate_value(b->row, at, z, b->codes, f);
            loss += naive_rec(s, &b->mlp.decoder, x, classes, f);
        }
        for (int j = 0; j < s->d && !(b->row->is & WITHOUT_LOSSES); j++) {
            losses += pow(at->z[j] - code[j], 2) + s->beta * pow(z[j] - chosen(at)[j], 2);
        }
        loss += losses / s->d;
    }
    return loss / s->N;
}

/* Parameters a little off their initial values, so that none is 0 or 1 where all of its kind are. */
static void stir(size_t n, const double *from, const double *used, double *to) {
    uint64_t state = 7;
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i] + (used[i] != 0 ? 0.1 * test_normal(&state) : 0);
    }
}

/* 1 where there is a weight, 2 where there is another parameter, 0 where a row is filled up. */
static void mark(const struct vqs_net *net, bool norm) {
    for (int i = 0; i < net->n; i++) {
        const struct vqs_layer *layer = &net->layer[i];
        for (int j = 0; j < layer->out; j++) {
            for (int c = 0; c < layer->in; c++) {
                layer->W[(size_t)j * layer->ld_in + (size_t)c] = 1;
            }
        }
        for (int j = 0; j < layer->width; j++) {
            layer->b[j] = 2;
            if (norm && layer->hidden) {
                layer->gain[j] = layer->shift[j] = 2;
            }
        }
    }
}

static void check_gradient(const struct vqs_settings *s, const char *what) {
    struct vqs_dataset *data = NULL;
    struct vqs_record record = {0};
    struct watched own = {0}, stirred = {0};
    struct vqs_mlp marks;
    struct vqs_error err = {0};
    ck_assert_msg(vqs_dataset_create(s, NULL, &data, &err) == VQS_OK, "%s", err.text);
    run_watched(s, &own, &record);
    const size_t n = own.n, before_codes = vqs_mlp_n_params(s);
    double *used = calloc(n, sizeof *used), *now = calloc(n, sizeof *now), *then = calloc(n, sizeof *then);
    vqs_mlp_carve(s, vqs_kernels_get(), used, &marks);
    mark(&marks.encoder, s->layer_norm);
    mark(&marks.decoder, s->layer_norm);
    for (int i = 0; i < s->K * s->d; i++) {
        used[before_codes + (size_t)i] = 1;
    }
    stir(n, own.params, used, now);
    memcpy(then, now, n * sizeof *now);
    stirred.start = then;
    run_watched(s, &stirred, &record);

    struct frozen_batch b = {.s = s, .data = data, .row = surrogate_of(vqs_estimator_get(s->estimator))};
    uint32_t *order = calloc((size_t)s->N, sizeof *order);
    const struct vqs_stream shuffle = {vqs_kernels_get(), s->seed, VQS_RNG_BATCHES, 0};
    vqs_rng_permutation(&shuffle, (uint32_t)s->N, order);
    vqs_mlp_carve(s, vqs_kernels_get(), now, &b.mlp);
    vqs_mlp_carve(s, vqs_kernels_get(), then, &b.then);
    b.codes = now + before_codes;
    b.at = calloc((size_t)s->N, sizeof *b.at);
    b.f0 = calloc((size_t)s->N, sizeof *b.f0);
    freeze(&b, order);
    int checked = 0;
    const size_t every = 4 + n / 199; /* parameters of a convolution are many */
    for (size_t i = 0; i < n; i++) {
        const double gradient = stirred.moment1[i] / (1 - s->adam_beta1), h = 2e-6;
        if (used[i] == 0) {
            ck_assert_msg(gradient == 0, "%s: spare parameter %zu has a gradient", what, i);
            continue;
        }
        if (i % (used[i] == 1 ? every : 3)) {
            continue;
        }
        now[i] = then[i] + h;
        double difference = frozen_loss(&b);
        now[i] = then[i] - h;
        difference = (difference - frozen_loss(&b)) / (2 * h);
        now[i] = then[i];
        ck_assert_msg(fabs(difference - gradient) < 4e-9, "%s, parameter %zu: %.12g, by differences %.12g", what, i,
                      gradient, difference);
        checked += gradient != 0;
    }
    ck_assert_int_gt(checked, 20);
    free(b.at);
    free(b.f0);
    free(order);
    free(used);
    free(now);
    free(then);
    free(own.params);
    free(own.moment1);
    free(stirred.params);
    free(stirred.moment1);
    vqs_record_destroy(&record);
    vqs_dataset_destroy(data);
}

static const char *const models[] = {
    "D=12 r=3 hidden=9",
    "D=12 r=3 hidden=9 activation=relu hidden_layers=2",
    "D=17 r=3 hidden=18 layer_norm=true hidden_layers=2 N=140 batch=140",
    "D=16 r=3 hidden=7 layer_norm=true activation=relu",
    "D=12 r=3 hidden_layers=0",
    "model=conv D=16 conv_layers=1 N=8 batch=8",
    "model=conv D=12 conv_layers=1 conv_kernel=3 activation=relu layer_norm=true N=8 batch=8",
    "model=conv D=27 conv_layers=1 conv_kernel=3 conv_stride=1 N=8 batch=8",
    "model=conv D=16 conv_layers=2 layer_norm=true N=8 batch=8",
    "loss=cross_entropy data=text path=text.txt text_window=3 alphabet=occurring D=15 hidden=8 value_scale=2",
};

START_TEST(gradients_are_those_of_the_frozen_loss) {
    scratch_write("text.txt", "abacadaeabbccddeecabdaebacedbaacbadebcadeabcdeabcdeaabbccddeeeabdcaebbdacae", 75);
    for (int e = 0; e < vqs_estimator_count(); e++) {
        struct vqs_settings s;
        settings_of("model=mlp d=4 K=7 N=60 N_eval=10 batch=60 epochs=2 lr=0 codebook_init=normal gap_restarts=0 "
                    "a=-0.5 b=0.8 nu=0.6 diveq_sigma=0.3 logit_scale=2 tau=1.2 seed=5 tau_schedule=constant", &s);
        set_all(&s, models[_i]);
        s.estimator = e;
        enum vqs_setting_id culprit;
        if (vqs_settings_check(&s, &culprit, NULL)) { /* not trained by gradients, or by a linear model's only */
            ck_assert(culprit == VQS_SETTING_estimator);
        } else if (vqs_estimator_get(e)->backward) {
            char what[200];
            snprintf(what, sizeof what, "%s, %s", vqs_estimator_get(e)->name, models[_i]);
            check_gradient(&s, what);
        }
    }
}
END_TEST

/* ---- blocks of samples ------------------------------------------------------------------------------------------ */

/* A network's traces and gradients over rows, in memory of their own. */
struct passed {
    struct vqs_trace trace[VQS_MOST_LAYERS];
    double *gx, *grad;
    void *memory;
};

/* Forward and back of `rows` rows of x, from the gradient g of what the network makes of them. */
static struct passed pass(const struct vqs_net *net, const double *params, size_t n, size_t scratch, const double *x,
                          const double *g, int rows) {
    struct passed p = {0};
    struct vqs_arena measure = {0}, arena = {0};
    const size_t row_in = net->layer[0].row_in, row_out = net->layer[net->n - 1].row_out;
    vqs_net_carve(net, rows, true, &measure, p.trace);
    arena.size = measure.used;
    arena.base = p.memory = test_alloc(measure.used, 1);
    vqs_net_carve(net, rows, true, &arena, p.trace);
    double *room = test_alloc(scratch, sizeof *room);
    p.gx = test_alloc((size_t)rows * row_in, sizeof *p.gx);
    p.grad = test_alloc(n, sizeof *p.grad);
    vqs_net_forward(net, x, 0, rows, p.trace, room);
    memcpy(p.trace[net->n - 1].g, g, (size_t)rows * row_out * sizeof *g);
    vqs_net_backward(net, 0, rows, p.trace, p.gx, room);
    for (int part = 0; part < vqs_net_parts(net); part++) {
        vqs_net_gradient(net, part, x, rows, p.trace, params, p.grad, room);
    }
    free(room);
    return p;
}

static void release(struct passed *p) {
    free(p->memory), free(p->gx), free(p->grad);
}

/* Traces without a way back share memory; what comes out is the same to the bit. */
static void check_shared(const struct vqs_net *net, size_t scratch, const double *x, int rows, const double *y) {
    struct vqs_trace trace[VQS_MOST_LAYERS];
    struct vqs_arena measure = {0}, arena = {0};
    vqs_net_carve(net, rows, false, &measure, trace);
    arena.size = measure.used;
    arena.base = test_alloc(measure.used, 1);
    vqs_net_carve(net, rows, false, &arena, trace);
    double *room = test_alloc(scratch, sizeof *room);
    vqs_net_forward(net, x, 0, rows, trace, room);
    ck_assert(same_bits(trace[net->n - 1].y, y, (size_t)rows * net->layer[net->n - 1].row_out));
    free(arena.base), free(room);
}

static void check_blocks(const struct vqs_net *net, const double *params, size_t n, size_t scratch) {
    enum { ROWS = 9 };
    uint64_t state = 3;
    const struct vqs_layer *last = &net->layer[net->n - 1];
    double *x = test_rows(&state, ROWS, (int)net->layer[0].row_in), *g = test_rows(&state, ROWS, (int)last->row_out);
    double *sum = test_alloc(n, sizeof *sum);
    for (size_t row = 0; last->places * last->width < (int)last->row_out && row < ROWS; row++) {
        memset(g + row * last->row_out + last->places * last->width, 0,
               (last->row_out - (size_t)(last->places * last->width)) * sizeof *g);
    }
    struct passed all = pass(net, params, n, scratch, x, g, ROWS);
    check_shared(net, scratch, x, ROWS, all.trace[net->n - 1].y);
    for (size_t row = 0; row < ROWS; row++) {
        struct passed one = pass(net, params, n, scratch, x + row * net->layer[0].row_in, g + row * last->row_out, 1);
        for (size_t i = 0; i < last->row_out; i++) {
            ASSERT_IN_LOOP(fabs(one.trace[net->n - 1].y[i] - all.trace[net->n - 1].y[row * last->row_out + i]) < 1e-9,
                           "y of row %zu", row);
        }
        for (size_t i = 0; i < net->layer[0].row_in; i++) {
            ASSERT_IN_LOOP(fabs(one.gx[i] - all.gx[row * net->layer[0].row_in + i]) < 1e-9, "gx of row %zu", row);
        }
        for (size_t i = 0; i < n; i++) {
            sum[i] += one.grad[i];
        }
        release(&one);
    }
    for (size_t i = 0; i < n; i++) {
        ASSERT_IN_LOOP(fabs(sum[i] - all.grad[i]) < 1e-8 * (1 + fabs(sum[i])), "gradient %zu", i);
    }
    release(&all);
    free(x), free(g), free(sum);
}

/* Windows of several samples do not fit into the scratch of a convolution, which then takes some at a time. */
START_TEST(blocks_of_samples_are_samples_one_by_one) {
    static const char *const shapes[] = {"D=256 conv_kernel=9 conv_stride=1", "D=768 conv_kernel=5 layer_norm=true",
                                         "D=432 conv_layers=2 conv_channels=48", "D=768 conv_layers=4 layer_norm=true"};
    uint64_t state = 1;
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct vqs_settings s;
        struct vqs_mlp mlp;
        settings_of("model=conv d=4 conv_layers=1", &s);
        set_all(&s, shapes[i]);
        const size_t n = vqs_mlp_n_params(&s);
        double *params = test_normals(&state, n);
        for (size_t j = 0; j < n; j++) {
            params[j] *= 0.1;
        }
        vqs_mlp_carve(&s, vqs_kernels_get(), params, &mlp);
        check_blocks(&mlp.encoder, params, n, mlp.scratch);
        check_blocks(&mlp.decoder, params, n, mlp.scratch);
        free(params);
    }
}
END_TEST

/* ---- what is kept orthonormal ----------------------------------------------------------------------------------- */

/* The largest entry of W W^T - I or, where columns are fewer, of W^T W - I. */
static double off_orthonormal(const struct vqs_layer *l) {
    const bool by_rows = l->out <= l->in;
    const int n = by_rows ? l->out : l->in, m = by_rows ? l->in : l->out;
    double most = 0;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double dot = -(i == j);
            for (int c = 0; c < m; c++) {
                dot += l->W[by_rows ? (size_t)i * l->ld_in + (size_t)c : (size_t)c * l->ld_in + (size_t)i] *
                       l->W[by_rows ? (size_t)j * l->ld_in + (size_t)c : (size_t)c * l->ld_in + (size_t)j];
            }
            most = fmax(most, fabs(dot));
        }
    }
    return most;
}

/* Whether those of `s` are, and no others. */
static void check_orthonormal(const struct vqs_settings *s, double *params) {
    struct vqs_mlp mlp;
    vqs_mlp_carve(s, vqs_kernels_get(), params, &mlp);
    for (int i = 0; i < mlp.encoder.n + mlp.decoder.n; i++) {
        const bool encoder = i < mlp.encoder.n, last = i == mlp.encoder.n - 1;
        const struct vqs_layer *l = encoder ? &mlp.encoder.layer[i] : &mlp.decoder.layer[i - mlp.encoder.n];
        const int of = s->orthonormal_layers;
        const bool wanted = last || of == VQS_ORTHONORMAL_ALL || (encoder && of == VQS_ORTHONORMAL_ENCODER);
        const double off = off_orthonormal(l);
        ck_assert_msg(wanted ? off < 1e-9 : off > 1e-3, "layer %d is %g off", i, off);
    }
}

START_TEST(layers_are_kept_orthonormal) {
    static const char *const shapes[] = {"model=mlp hidden=20 hidden_layers=2", "model=mlp hidden_layers=0",
                                         "model=conv conv_layers=1 layer_norm=true"};
    static const char *const which[] = {"orthonormal_layers=last", "orthonormal_layers=encoder",
                                        "orthonormal_layers=all", "orthonormal_layers=all retraction=polar",
                                        "orthonormal_layers=all retraction=qr"};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct vqs_settings s;
        struct vqs_record record = {0};
        struct watched w = {0};
        settings_of("D=16 d=3 r=3 K=5 N=100 N_eval=10 batch=50 epochs=5 lr=0.01 gap_restarts=0 orthonormal=true", &s);
        set_all(&s, shapes[i]);
        set_all(&s, which[_i]);
        w.end = calloc(vqs_mlp_n_params(&s) + 1000, sizeof *w.end);
        run_watched(&s, &w, &record);
        check_orthonormal(&s, w.params);
        check_orthonormal(&s, w.end);
        ck_assert(memcmp(w.params, w.end, vqs_mlp_n_params(&s) * sizeof *w.end));
        free(w.params), free(w.moment1), free(w.end);
        vqs_record_destroy(&record);
    }
}
END_TEST

/* ---- the linear model ------------------------------------------------------------------------------------------- */

/* The linear model's parameters, with free decoder and biases, as those of an MLP without hidden layers. */
static double *as_mlp(const struct vqs_settings *linear, const struct vqs_settings *s, const double *from, size_t n) {
    const size_t D = (size_t)s->D, d = (size_t)s->d, ld = vqs_row_stride(s->D), before = vqs_mlp_n_params(s);
    const double *V = from + d * ld, *C = V + d * ld, *codes = C + ld + vqs_row_stride(s->d);
    const size_t n_codes = vqs_quantizer_n_params(linear);
    double *to = calloc(before + n_codes, sizeof *to);
    struct vqs_mlp mlp;
    ck_assert_uint_eq(n, (size_t)(codes - from) + n_codes);
    vqs_mlp_carve(s, vqs_kernels_get(), to, &mlp);
    memcpy(mlp.encoder.layer[0].W, from, d * ld * sizeof *to);
    for (size_t i = 0; i < D; i++) {
        for (size_t c = 0; c < d; c++) {
            mlp.decoder.layer[0].W[i * mlp.decoder.layer[0].ld_in + c] = V[c * ld + i];
        }
    }
    memcpy(to + before, codes, n_codes * sizeof *to);
    return to;
}

/* What else a step does, all of which an MLP shares with the linear model. */
static const char *const others[] = {
    "",
    "levels=3",
    "levels=2 groups=2 estimator_scope=each",
    "codebook=ema revive=expire revive_period=4",
    "codebook=affine orthogonality=0.3 entropy_weight=0.2 groups=2",
    "codebook=simvq update=alternating codebook_steps=2",
    "codebook=fsq K=16 groups=2",
    "levels=2 beta_schedule=adaptive beta_period=3 beta_rate=1 entropy_weight=0.1",
    "beta_schedule=replay beta_period=3 beta_rate=1 replay_estimator=rotation codebook=lfq K=16",
};

START_TEST(the_linear_model_is_an_mlp_without_hidden_layers) {
    struct vqs_record linear = {0}, mlp = {0};
    int compared = 0;
    for (int e = 0; e < vqs_estimator_count(); e++) {
        struct vqs_settings s, same;
        struct vqs_error err = {0};
        enum vqs_setting_id culprit;
        settings_of("D=20 d=4 r=3 K=9 N=300 N_eval=50 batch=140 epochs=4 lr=0.01 bias=true codebook_init=normal "
                    "gap_restarts=0 a=-0.5 b=0.8 diveq_sigma=0.1 seed=3", &s);
        set_all(&s, others[_i]);
        s.estimator = e;
        same = s;
        set_all(&same, "model=mlp hidden_layers=0 orthonormal=true");
        if (!vqs_estimator_get(e)->backward || vqs_settings_check(&same, &culprit, &err)) {
            continue;
        }
        struct watched start = {0}, moved = {0};
        run_watched(&s, &start, &linear);
        double *params = as_mlp(&s, &same, start.params, start.n);
        moved.start = params;
        run_watched(&same, &moved, &mlp);
        for (int i = 0; i < VQS_N_CURVES * s.epochs; i++) {
            const double a = linear.curves[i], b = mlp.curves[i];
            ck_assert_msg((isnan(a) && isnan(b)) || fabs(a - b) <= 1e-7 * (1e-3 + fabs(a)),
                          "%s, '%s', %s of epoch %d: %.12g, MLP %.12g", vqs_estimator_get(e)->name, others[_i],
                          vqs_curve_table[i / s.epochs].name, i % s.epochs, a, b);
        }
        for (int i = VQS_METRIC_mse_train; i <= VQS_METRIC_collapsed; i++) {
            ck_assert_msg(fabs(linear.metric[i] - mlp.metric[i]) <= 1e-7, "%s, '%s', %s: %.12g, MLP %.12g",
                          vqs_estimator_get(e)->name, others[_i], vqs_metric_table[i].name, linear.metric[i],
                          mlp.metric[i]);
        }
        compared++;
        free(params);
        free(start.params);
        free(start.moment1);
        free(moved.params);
        free(moved.moment1);
    }
    ck_assert_int_gt(compared, 5);
    vqs_record_destroy(&linear);
    vqs_record_destroy(&mlp);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mlp");
    TCase *tests = tcase_create("gradients");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, gradients_are_those_of_the_frozen_loss, 0, COUNT_OF(models));
    tcase_add_loop_test(tests, the_linear_model_is_an_mlp_without_hidden_layers, 0, COUNT_OF(others));
    tcase_add_test(tests, blocks_of_samples_are_samples_one_by_one);
    tcase_add_loop_test(tests, layers_are_kept_orthonormal, 0, 5);
    suite_add_tcase(suite, tests);
    return run_in_scratch(suite);
}
