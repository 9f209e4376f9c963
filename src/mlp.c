/* mlp.c - networks of layers: shapes, parameters, batches. */
#include "mlp.h"

#include "vqsweep/rng.h"

#include <math.h>
#include <string.h>

enum { T = VQS_TILE };

/* ---- shapes ----------------------------------------------------------------------------------------------------- */

/* The next layer of the network, all but its shape. */
static struct vqs_layer *next_layer(const struct vqs_settings *s, const struct vqs_kernels *kernels,
                                    struct vqs_net *net, bool hidden) {
    const bool encoder = net->purpose == VQS_RNG_ENCODER;
    struct vqs_layer *layer = &net->layer[net->n++];
    layer->kernels = kernels;
    layer->activation = (enum vqs_activation)s->activation;
    layer->hidden = hidden;
    layer->norm = hidden && s->layer_norm;
    layer->orthonormal =
        s->orthonormal && (s->orthonormal_layers == VQS_ORTHONORMAL_ALL ||
                           (encoder && s->orthonormal_layers == VQS_ORTHONORMAL_ENCODER) || (encoder && !hidden));
    return layer;
}

static void shape_product(struct vqs_layer *layer, enum vqs_layer_kind kind, int in, int out) {
    layer->kind = kind;
    layer->in = in;
    layer->out = out;
    layer->ld_in = vqs_row_stride(in);
    layer->ld_out = vqs_row_stride(out);
}

static void shape_dense(struct vqs_layer *layer, int in, int out) {
    shape_product(layer, VQS_DENSE, in, out);
    layer->lines = layer->places = 1;
    layer->width = out;
    layer->row_in = layer->ld_in;
    layer->row_out = layer->ld_out;
}

/* The convolution of an image of side x side x channels to `maps` channels, or the one back. */
static void shape_conv(const struct vqs_settings *s, bool transposed, int side, int channels, int maps,
                       struct vqs_layer *layer) {
    const int places = side / s->conv_stride * (side / s->conv_stride),
              values = s->conv_kernel * s->conv_kernel * channels;
    const size_t image = vqs_row_stride(side * side * channels), map = (size_t)places * (size_t)maps;
    layer->window = (struct vqs_window){side, channels, s->conv_kernel, s->conv_stride};
    layer->lines = places;
    if (transposed) {
        shape_product(layer, VQS_TRANSPOSED, maps, values);
        layer->width = channels;
        layer->places = side * side;
        layer->row_in = map;
        layer->row_out = image;
    } else {
        shape_product(layer, VQS_CONV, values, maps);
        layer->width = maps;
        layer->places = places;
        layer->row_in = image;
        layer->row_out = map;
    }
}

bool vqs_conv_image(int D, int *side, int *channels) {
    for (*channels = 1; *channels <= 3; *channels += 2) {
        for (*side = 1; *side * *side * *channels < D;) {
            ++*side;
        }
        if (*side * *side * *channels == D) {
            return true;
        }
    }
    return false;
}

static void shape_convs(const struct vqs_settings *s, const struct vqs_kernels *kernels, struct vqs_mlp *mlp) {
    struct {
        int side, channels;
    } image[VQS_MOST_LAYERS]; /* what each convolution is given, and what the last one gives */
    const int n = s->conv_layers;
    vqs_conv_image(s->D, &image[0].side, &image[0].channels);
    for (int i = 0; i < n; i++) {
        image[i + 1].side = image[i].side / s->conv_stride;
        image[i + 1].channels = s->conv_channels << i;
        shape_conv(s, false, image[i].side, image[i].channels, image[i + 1].channels,
                   next_layer(s, kernels, &mlp->encoder, true));
    }
    const int last = image[n].side * image[n].side * image[n].channels;
    shape_dense(next_layer(s, kernels, &mlp->encoder, false), last, s->d);
    shape_dense(next_layer(s, kernels, &mlp->decoder, true), s->d, last);
    for (int i = n - 1; i >= 0; i--) {
        shape_conv(s, true, image[i].side, image[i].channels, image[i + 1].channels,
                   next_layer(s, kernels, &mlp->decoder, i > 0));
    }
}

static void shape_dense_net(const struct vqs_settings *s, const struct vqs_kernels *kernels, int in, int out,
                            struct vqs_net *net) {
    for (int i = 0; i <= s->hidden_layers; i++) {
        const bool hidden = i < s->hidden_layers;
        shape_dense(next_layer(s, kernels, net, hidden), i ? s->hidden : in, hidden ? s->hidden : out);
    }
}

static void shape_nets(const struct vqs_settings *s, const struct vqs_kernels *kernels, struct vqs_mlp *mlp) {
    *mlp = (struct vqs_mlp){.encoder.purpose = VQS_RNG_ENCODER, .decoder.purpose = VQS_RNG_DECODER};
    if (s->model == VQS_MODEL_CONV) {
        shape_convs(s, kernels, mlp);
    } else {
        shape_dense_net(s, kernels, s->D, s->d, &mlp->encoder);
        shape_dense_net(s, kernels, s->d, s->D, &mlp->decoder);
    }
}

/* ---- layout ----------------------------------------------------------------------------------------------------- */

/* Layer i of both networks, from the encoder's last one on. */
static struct vqs_layer *layer_of(struct vqs_mlp *mlp, int i) {
    const int n = mlp->encoder.n;
    return i == 0 ? &mlp->encoder.layer[n - 1] : i < n ? &mlp->encoder.layer[i - 1] : &mlp->decoder.layer[i - n];
}

static int n_layers(const struct vqs_mlp *mlp) {
    return mlp->encoder.n + mlp->decoder.n;
}

/* The next n of the parameters. */
static vqs_real *take(vqs_real *params, size_t n, size_t *at) {
    vqs_real *here = params ? params + *at : NULL;
    *at += n;
    return here;
}

static size_t size_of_W(const struct vqs_layer *layer) {
    return (size_t)layer->out * layer->ld_in;
}

/* Returns the number of parameters. */
static size_t layout(const struct vqs_settings *s, const struct vqs_kernels *kernels, vqs_real *params,
                     struct vqs_mlp *mlp) {
    size_t at = 0;
    shape_nets(s, kernels, mlp);
    for (int i = 0; i < n_layers(mlp); i++) {
        struct vqs_layer *layer = layer_of(mlp, i);
        if (i == 0 || layer->orthonormal) {
            layer->W = take(params, size_of_W(layer), &at);
            mlp->n_kept = layer->orthonormal ? at : 0;
        }
    }
    for (int i = 0; i < n_layers(mlp); i++) {
        struct vqs_layer *layer = i < mlp->encoder.n ? &mlp->encoder.layer[i] : &mlp->decoder.layer[i - mlp->encoder.n];
        const size_t width = vqs_row_stride(layer->width);
        if (layer != layer_of(mlp, 0) && !layer->orthonormal) {
            layer->W = take(params, size_of_W(layer), &at);
        }
        layer->b = take(params, width, &at);
        if (layer->norm) {
            layer->gain = take(params, width, &at);
            layer->shift = take(params, width, &at);
        }
    }
    return at;
}

size_t vqs_mlp_n_params(const struct vqs_settings *s) {
    struct vqs_mlp mlp;
    return layout(s, NULL, NULL, &mlp);
}

double vqs_mlp_retract_operations(const struct vqs_settings *s) {
    struct vqs_mlp mlp;
    double operations = 0;
    shape_nets(s, NULL, &mlp);
    for (int i = 0; i < n_layers(&mlp); i++) {
        const struct vqs_layer *layer = layer_of(&mlp, i);
        const double few = fmin(layer->out, layer->in), many = fmax(layer->out, layer->in);
        operations += layer->orthonormal ? few * few * many : 0;
    }
    return operations;
}

int vqs_mlp_before_last(const struct vqs_settings *s) {
    struct vqs_mlp mlp;
    shape_nets(s, NULL, &mlp);
    return layer_of(&mlp, 0)->in;
}

double vqs_mlp_operations(const struct vqs_settings *s) {
    struct vqs_mlp mlp;
    double operations = 0;
    shape_nets(s, NULL, &mlp);
    for (int i = 0; i < n_layers(&mlp); i++) {
        const struct vqs_layer *layer = layer_of(&mlp, i);
        operations += (layer->kind == VQS_DENSE ? 1 : 1.5) * layer->lines * layer->in * layer->out;
    }
    return operations;
}

static size_t most(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Traces of hidden layers that share memory have room for the largest. */
void vqs_net_carve(const struct vqs_net *net, int rows, bool back, struct vqs_arena *arena,
                   struct vqs_trace trace[VQS_MOST_LAYERS]) {
    size_t row = 0, places = 0;
    for (int i = 0; i + 1 < net->n; i++) {
        row = most(row, net->layer[i].row_out);
        places = most(places, (size_t)net->layer[i].places);
    }
    for (int i = 0; i < net->n; i++) {
        const struct vqs_layer *layer = &net->layer[i];
        const bool shared = !back && layer->hidden;
        const size_t n = (size_t)rows * (shared ? row : layer->row_out);
        const size_t devs = (size_t)rows * (shared ? places : (size_t)layer->places);
        struct vqs_trace *t = &trace[i];
        *t = (struct vqs_trace){0};
        if (shared && i > 1) {
            *t = trace[i - 2];
            continue;
        }
        t->y = vqs_arena_take(arena, n, sizeof *t->y);
        t->slope = vqs_arena_take(arena, layer->hidden ? n : 0, sizeof *t->slope);
        t->unit = vqs_arena_take(arena, layer->norm ? n : 0, sizeof *t->unit);
        t->inv = vqs_arena_take(arena, layer->norm ? devs : 0, sizeof *t->inv);
        t->g = vqs_arena_take(arena, back ? n : 0, sizeof *t->g);
    }
}

/* ---- initial values, and what is kept of them ------------------------------------------------------------------- */

static void init_layer(const struct vqs_settings *s, uint32_t purpose, int i, struct vqs_layer *layer,
                       vqs_real *scratch) {
    const struct vqs_stream draws = {layer->kernels, s->seed, purpose, (uint32_t)i};
    const double windows = (double)(layer->window.size * layer->window.size); /* per stride^2: that an output is in */
    const double inputs =
        layer->kind == VQS_TRANSPOSED ? layer->in * windows / (layer->window.stride * layer->window.stride) : layer->in;
    const vqs_real bound = (vqs_real)sqrt((layer->hidden ? 6.0 : 3.0) / inputs);
    const uint64_t in = (uint64_t)layer->in;
    for (uint64_t row = 0; row < (uint64_t)layer->out; row++) {
        vqs_real *W = layer->W + row * layer->ld_in;
        if (layer->orthonormal) {
            vqs_rng_normal(&draws, row * in, in, 1, W);
        } else {
            vqs_rng_uniform(&draws, row * in, in, -bound, bound, W);
        }
    }
    if (layer->orthonormal) {
        vqs_orthonormalize_either(layer->kernels, layer->out, layer->in, layer->W, scratch);
    }
    for (int j = 0; layer->norm && j < layer->width; j++) {
        layer->gain[j] = 1;
    }
}

void vqs_mlp_init(const struct vqs_settings *s, struct vqs_mlp *mlp, vqs_real *scratch) {
    struct vqs_net *nets[] = {&mlp->encoder, &mlp->decoder};
    for (int net = 0; net < 2; net++) {
        for (int i = 0; i < nets[net]->n; i++) {
            init_layer(s, nets[net]->purpose, i, &nets[net]->layer[i], scratch);
        }
    }
}

size_t vqs_mlp_retract_scratch(const struct vqs_settings *s) {
    struct vqs_mlp mlp;
    size_t scratch = 0;
    shape_nets(s, NULL, &mlp);
    for (int i = 0; i < n_layers(&mlp); i++) {
        const struct vqs_layer *layer = layer_of(&mlp, i);
        if (layer->orthonormal) {
            scratch =
                most(scratch, vqs_retract_either_scratch((enum vqs_retraction)s->retraction, layer->out, layer->in));
        }
    }
    return scratch;
}

int vqs_mlp_retract(const struct vqs_mlp *mlp, enum vqs_retraction kind, vqs_real *scratch) {
    int flips = 0;
    const struct vqs_net *nets[] = {&mlp->encoder, &mlp->decoder};
    for (int net = 0; net < 2; net++) {
        for (int i = 0; i < nets[net]->n; i++) {
            const struct vqs_layer *layer = &nets[net]->layer[i];
            if (layer->orthonormal) {
                flips += vqs_retract_either(layer->kernels, kind, layer->out, layer->in, layer->W, scratch);
            }
        }
    }
    return flips;
}

/* ---- batches ---------------------------------------------------------------------------------------------------- */

void vqs_net_forward(const struct vqs_net *net, const vqs_real *x, int first, int rows, const struct vqs_trace *trace,
                     vqs_real *scratch) {
    x += (size_t)first * net->layer[0].row_in;
    for (int i = 0; i < net->n; i++) {
        const struct vqs_trace t = vqs_trace_from(&net->layer[i], &trace[i], first);
        vqs_layer_forward(&net->layer[i], x, rows, &t, scratch);
        x = t.y;
    }
}

void vqs_net_backward(const struct vqs_net *net, int first, int rows, const struct vqs_trace *trace, vqs_real *gx,
                      vqs_real *scratch) {
    for (int i = net->n - 1; i >= 0; i--) {
        const struct vqs_layer *layer = &net->layer[i];
        const struct vqs_trace t = vqs_trace_from(layer, &trace[i], first);
        vqs_real *below = i ? trace[i - 1].g : gx;
        vqs_layer_backward(layer, rows, &t, below ? below + (size_t)first * layer->row_in : NULL, scratch);
    }
}

int vqs_net_parts(const struct vqs_net *net) {
    int parts = 0;
    for (int i = 0; i < net->n; i++) {
        parts += vqs_layer_parts(&net->layer[i]);
    }
    return parts;
}

void vqs_net_gradient(const struct vqs_net *net, int part, const vqs_real *x, int rows, const struct vqs_trace *trace,
                      const vqs_real *params, vqs_real *grad, vqs_real *scratch) {
    int i = 0;
    for (; part >= vqs_layer_parts(&net->layer[i]); i++) {
        part -= vqs_layer_parts(&net->layer[i]);
    }
    vqs_layer_gradient(&net->layer[i], part, i ? trace[i - 1].y : x, rows, &trace[i], params, grad, scratch);
}

/* ---- one tile, without a way back ------------------------------------------------------------------------------- */

/* Rows and traces in the scratch of a tile. */
struct tile_traces {
    vqs_real *x;       /* [T][row_in] */
    vqs_real *scratch; /* of layers */
    struct vqs_trace trace[VQS_MOST_LAYERS];
};

static void carve_tile(const struct vqs_mlp *mlp, const struct vqs_net *net, struct vqs_arena *arena,
                       struct tile_traces *t) {
    t->x = vqs_arena_take(arena, T * net->layer[0].row_in, sizeof *t->x);
    t->scratch = vqs_arena_take(arena, mlp->scratch, sizeof *t->scratch);
    vqs_net_carve(net, T, false, arena, t->trace);
}

static size_t tile_scratch(const struct vqs_mlp *mlp) {
    struct vqs_arena encoder = {0}, decoder = {0};
    struct tile_traces t;
    carve_tile(mlp, &mlp->encoder, &encoder, &t);
    carve_tile(mlp, &mlp->decoder, &decoder, &t);
    return most(encoder.used, decoder.used) / sizeof(vqs_real);
}

void vqs_mlp_carve(const struct vqs_settings *s, const struct vqs_kernels *kernels, vqs_real *params,
                   struct vqs_mlp *mlp) {
    layout(s, kernels, params, mlp);
    for (int i = 0; i < n_layers(mlp); i++) {
        mlp->scratch = most(mlp->scratch, vqs_layer_scratch(layer_of(mlp, i)));
    }
    mlp->tile_scratch = tile_scratch(mlp);
}

void vqs_rows_to_tile(int d, const vqs_real *rows, int n, vqs_real *tile) {
    const size_t ld = vqs_row_stride(d);
    for (int i = 0; i < d; i++) {
        for (int l = 0; l < T; l++) {
            tile[i * T + l] = rows[(size_t)(l < n ? l : n - 1) * ld + (size_t)i];
        }
    }
}

void vqs_tile_to_rows(int d, const vqs_real *tile, int n, vqs_real *rows) {
    const size_t ld = vqs_row_stride(d);
    for (int l = 0; l < n; l++) {
        for (int i = 0; i < d; i++) {
            rows[(size_t)l * ld + (size_t)i] = tile[i * T + l];
        }
    }
}

void vqs_mlp_encode(const struct vqs_mlp *mlp, const vqs_real *x, const uint32_t *rows, vqs_real *scratch,
                    vqs_real *z) {
    const struct vqs_net *net = &mlp->encoder;
    struct vqs_arena arena = {.base = (unsigned char *)scratch, .size = mlp->tile_scratch * sizeof *scratch};
    struct tile_traces t;
    carve_tile(mlp, net, &arena, &t);
    const size_t ld = net->layer[0].row_in;
    for (size_t l = 0; l < T; l++) {
        memcpy(t.x + l * ld, x + rows[l] * ld, ld * sizeof *x);
    }
    vqs_net_forward(net, t.x, 0, T, t.trace, t.scratch);
    vqs_rows_to_tile(net->layer[net->n - 1].out, t.trace[net->n - 1].y, T, z);
}

void vqs_mlp_decode(const struct vqs_mlp *mlp, const vqs_real *q, vqs_real *scratch, vqs_real *xhat) {
    const struct vqs_net *net = &mlp->decoder;
    struct vqs_arena arena = {.base = (unsigned char *)scratch, .size = mlp->tile_scratch * sizeof *scratch};
    struct tile_traces t;
    carve_tile(mlp, net, &arena, &t);
    t.trace[net->n - 1].y = xhat;
    vqs_tile_to_rows(net->layer[0].in, q, T, t.x);
    vqs_net_forward(net, t.x, 0, T, t.trace, t.scratch);
}
