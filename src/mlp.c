/* mlp.c - layers over batches. */
#include "mlp.h"

#include "vqsweep/orthonormal.h"
#include "vqsweep/rng.h"

#include <math.h>
#include <string.h>

#include <cblas.h>

#ifdef VQS_REAL_IS_DOUBLE
#define gemm cblas_dgemm
#else
#define gemm cblas_sgemm
#endif

enum { T = VQS_TILE };

/* ---- layout -------------------------------------------------------------------------------------------------------- */

/* The next n of the parameters. */
static vqs_real *take(vqs_real *params, size_t n, size_t *at) {
    vqs_real *here = params ? params + *at : NULL;
    *at += n;
    return here;
}

/* All but W. */
static void carve_vectors(struct vqs_layer *layer, vqs_real *params, size_t *at) {
    layer->b = take(params, layer->ld_out, at);
    if (layer->norm) {
        layer->gain = take(params, layer->ld_out, at);
        layer->shift = take(params, layer->ld_out, at);
    }
}

static void shape_net(const struct vqs_settings *s, const struct vqs_kernels *kernels, uint32_t purpose, int in,
                      int out, struct vqs_net *net) {
    *net = (struct vqs_net){.kernels = kernels, .activation = (enum vqs_activation)s->activation, .purpose = purpose,
                            .n = s->hidden_layers + 1};
    for (int i = 0; i < net->n; i++) {
        struct vqs_layer *layer = &net->layer[i];
        layer->hidden = i + 1 < net->n;
        layer->norm = layer->hidden && s->layer_norm;
        layer->in = i ? s->hidden : in;
        layer->out = layer->hidden ? s->hidden : out;
        layer->ld_in = vqs_row_stride(layer->in);
        layer->ld_out = vqs_row_stride(layer->out);
    }
}

static size_t size_of_W(const struct vqs_layer *layer) {
    return (size_t)layer->out * layer->ld_in;
}

/* Returns the number of parameters. The encoder's last W comes first. */
static size_t layout(const struct vqs_settings *s, const struct vqs_kernels *kernels, vqs_real *params,
                     struct vqs_mlp *mlp) {
    struct vqs_net *nets[] = {&mlp->encoder, &mlp->decoder};
    size_t at = 0;
    shape_net(s, kernels, VQS_RNG_ENCODER, s->D, s->d, &mlp->encoder);
    shape_net(s, kernels, VQS_RNG_DECODER, s->d, s->D, &mlp->decoder);
    struct vqs_layer *last = &mlp->encoder.layer[mlp->encoder.n - 1];
    last->W = take(params, size_of_W(last), &at);
    for (int net = 0; net < 2; net++) {
        for (int i = 0; i < nets[net]->n; i++) {
            struct vqs_layer *layer = &nets[net]->layer[i];
            if (layer != last) {
                layer->W = take(params, size_of_W(layer), &at);
            }
            carve_vectors(layer, params, &at);
        }
    }
    return at;
}

size_t vqs_mlp_n_params(const struct vqs_settings *s) {
    struct vqs_mlp mlp;
    return layout(s, NULL, NULL, &mlp);
}

void vqs_mlp_carve(const struct vqs_settings *s, const struct vqs_kernels *kernels, vqs_real *params,
                   struct vqs_mlp *mlp) {
    layout(s, kernels, params, mlp);
    mlp->tile_scratch = vqs_mlp_tile_scratch(s);
}

void vqs_net_carve(const struct vqs_net *net, int rows, bool back, struct vqs_arena *arena,
                   struct vqs_trace trace[VQS_MOST_LAYERS]) {
    for (int i = 0; i < net->n; i++) {
        const struct vqs_layer *layer = &net->layer[i];
        const size_t n = (size_t)rows * layer->ld_out;
        struct vqs_trace *t = &trace[i];
        *t = (struct vqs_trace){0};
        if (!back && i > 1 && layer->hidden) { /* hidden layers are of one width */
            *t = trace[i - 2];
            continue;
        }
        t->y = vqs_arena_take(arena, n, sizeof *t->y);
        t->slope = vqs_arena_take(arena, layer->hidden ? n : 0, sizeof *t->slope);
        t->unit = vqs_arena_take(arena, layer->norm ? n : 0, sizeof *t->unit);
        t->inv = vqs_arena_take(arena, layer->norm ? (size_t)rows : 0, sizeof *t->inv);
        t->g = vqs_arena_take(arena, back ? n : 0, sizeof *t->g);
    }
}

/* ---- initial values ------------------------------------------------------------------------------------------------ */

static void init_net(const struct vqs_settings *s, struct vqs_net *net) {
    for (int i = 0; i < net->n; i++) {
        struct vqs_layer *layer = &net->layer[i];
        const struct vqs_stream draws = {net->kernels, s->seed, net->purpose, (uint32_t)i};
        const vqs_real bound = (vqs_real)sqrt((layer->hidden ? 6.0 : 3.0) / layer->in);
        const uint64_t in = (uint64_t)layer->in;
        const bool orthonormal = s->orthonormal && net->purpose == VQS_RNG_ENCODER && !layer->hidden;
        for (uint64_t row = 0; row < (uint64_t)layer->out; row++) {
            vqs_real *W = layer->W + row * layer->ld_in;
            if (orthonormal) {
                vqs_rng_normal(&draws, row * in, in, 1, W);
            } else {
                vqs_rng_uniform(&draws, row * in, in, -bound, bound, W);
            }
        }
        if (orthonormal) {
            vqs_orthonormalize(net->kernels, layer->out, layer->ld_in, layer->W);
        }
        for (int j = 0; layer->norm && j < layer->out; j++) {
            layer->gain[j] = 1;
        }
    }
}

void vqs_mlp_init(const struct vqs_settings *s, struct vqs_mlp *mlp) {
    init_net(s, &mlp->encoder);
    init_net(s, &mlp->decoder);
}

/* ---- a layer and its way back -------------------------------------------------------------------------------------- */

/* The same traces from row `first` on. */
static struct vqs_trace rows_of(const struct vqs_layer *layer, const struct vqs_trace *t, int first) {
    const size_t at = (size_t)first * layer->ld_out;
    return (struct vqs_trace){t->y + at, layer->hidden ? t->slope + at : NULL, layer->norm ? t->unit + at : NULL,
                              layer->norm ? t->inv + first : NULL, t->g ? t->g + at : NULL};
}

/* y [rows][out] = act(norm(x [rows][in] W^T [in][out] + b [out])) */
static void layer_forward(const struct vqs_net *net, const struct vqs_layer *layer, const vqs_real *x, int rows,
                          const struct vqs_trace *t) {
    memcpy(t->y, layer->b, layer->ld_out * sizeof *t->y);
    for (size_t done = 1, all = (size_t)rows; done < all; done *= 2) {
        const size_t more = done < all - done ? done : all - done;
        memcpy(t->y + done * layer->ld_out, t->y, more * layer->ld_out * sizeof *t->y);
    }
    gemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, layer->out, layer->in, 1, x, (int)layer->ld_in, layer->W,
         (int)layer->ld_in, 1, t->y, (int)layer->ld_out);
    if (layer->norm) {
        net->kernels->normalize(rows, layer->out, layer->ld_out, layer->gain, layer->shift, t->y, t->unit, t->inv);
    }
    if (layer->hidden) {
        net->kernels->activate(net->activation, (size_t)rows * layer->ld_out, t->y, t->slope);
    }
}

/* g [rows][out] becomes the gradient to x W^T + b; gx [rows][in] = g W. */
static void layer_backward(const struct vqs_net *net, const struct vqs_layer *layer, int rows,
                           const struct vqs_trace *t, vqs_real *gx) {
    const size_t n = (size_t)rows * layer->ld_out;
    if (layer->norm) { /* slope is kept, for the gradients of gain and shift */
        net->kernels->multiply(n, t->g, t->slope);
        net->kernels->normalize_back(rows, layer->out, layer->ld_out, layer->gain, t->unit, t->inv, t->slope, t->g);
    } else if (layer->hidden) {
        net->kernels->multiply(n, t->slope, t->g);
    }
    if (gx) {
        gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, layer->in, layer->out, 1, t->g, (int)layer->ld_out,
             layer->W, (int)layer->ld_in, 0, gx, (int)layer->ld_in);
    }
}

void vqs_net_forward(const struct vqs_net *net, const vqs_real *x, int first, int rows, const struct vqs_trace *trace) {
    x += (size_t)first * net->layer[0].ld_in;
    for (int i = 0; i < net->n; i++) {
        const struct vqs_trace t = rows_of(&net->layer[i], &trace[i], first);
        layer_forward(net, &net->layer[i], x, rows, &t);
        x = t.y;
    }
}

void vqs_net_backward(const struct vqs_net *net, int first, int rows, const struct vqs_trace *trace, vqs_real *gx) {
    for (int i = net->n - 1; i >= 0; i--) {
        const struct vqs_trace t = rows_of(&net->layer[i], &trace[i], first);
        vqs_real *below = i ? trace[i - 1].g : gx;
        layer_backward(net, &net->layer[i], rows, &t, below ? below + (size_t)first * net->layer[i].ld_in : NULL);
    }
}

/* ---- gradients of the parameters ----------------------------------------------------------------------------------- */

enum { BLOCK = 256 }; /* rows of a W in one part */

static int blocks_of(const struct vqs_layer *layer) {
    return (layer->out + BLOCK - 1) / BLOCK;
}

int vqs_net_parts(const struct vqs_net *net) {
    int parts = 0;
    for (int i = 0; i < net->n; i++) {
        parts += blocks_of(&net->layer[i]);
    }
    return parts;
}

/* dW [out][in] = g^T [out][rows] x [rows][in], db = sum of g over rows; of outputs [first, last) */
static void layer_gradient(const struct vqs_net *net, const struct vqs_layer *layer, size_t first, size_t last,
                           const vqs_real *x, int rows, const struct vqs_trace *t, const vqs_real *params,
                           vqs_real *grad) {
    const size_t ld = layer->ld_out, whole = vqs_row_stride((int)last);
    const struct vqs_kernels *k = net->kernels;
    gemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)(last - first), layer->in, rows, 1, t->g + first, (int)ld, x,
         (int)layer->ld_in, 0, grad + (layer->W - params) + first * layer->ld_in, (int)layer->ld_in);
    k->column_sums(rows, ld, first, whole, t->g, NULL, grad + (layer->b - params));
    if (layer->norm) {
        k->column_sums(rows, ld, first, whole, t->slope, t->unit, grad + (layer->gain - params));
        k->column_sums(rows, ld, first, whole, t->slope, NULL, grad + (layer->shift - params));
    }
    for (size_t j = last; j < whole; j++) { /* spare parameters stay 0 */
        grad[(size_t)(layer->b - params) + j] = 0;
        if (layer->norm) {
            grad[(size_t)(layer->gain - params) + j] = grad[(size_t)(layer->shift - params) + j] = 0;
        }
    }
}

void vqs_net_gradient(const struct vqs_net *net, int part, const vqs_real *x, int rows, const struct vqs_trace *trace,
                      const vqs_real *params, vqs_real *grad) {
    for (int i = 0; i < net->n; i++) {
        const struct vqs_layer *layer = &net->layer[i];
        if (part < blocks_of(layer)) {
            const size_t first = (size_t)part * BLOCK, out = (size_t)layer->out;
            const size_t last = first + BLOCK < out ? first + BLOCK : out;
            layer_gradient(net, layer, first, last, i ? trace[i - 1].y : x, rows, &trace[i], params, grad);
            return;
        }
        part -= blocks_of(layer);
    }
}

/* ---- one tile, without a way back ---------------------------------------------------------------------------------- */

/* Rows and traces in the scratch of a tile. */
struct tile_traces {
    vqs_real *x; /* [T][ld] */
    struct vqs_trace trace[VQS_MOST_LAYERS];
};

static void carve_tile(const struct vqs_net *net, struct vqs_arena *arena, struct tile_traces *t) {
    t->x = vqs_arena_take(arena, T * net->layer[0].ld_in, sizeof *t->x);
    vqs_net_carve(net, T, false, arena, t->trace);
}

size_t vqs_mlp_tile_scratch(const struct vqs_settings *s) {
    struct vqs_mlp mlp;
    struct vqs_arena encoder = {0}, decoder = {0};
    struct tile_traces t;
    layout(s, NULL, NULL, &mlp);
    carve_tile(&mlp.encoder, &encoder, &t);
    carve_tile(&mlp.decoder, &decoder, &t);
    return (encoder.used > decoder.used ? encoder.used : decoder.used) / sizeof(vqs_real);
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
    carve_tile(net, &arena, &t);
    const size_t ld = net->layer[0].ld_in;
    for (size_t l = 0; l < T; l++) {
        memcpy(t.x + l * ld, x + rows[l] * ld, ld * sizeof *x);
    }
    vqs_net_forward(net, t.x, 0, T, t.trace);
    vqs_rows_to_tile(net->layer[net->n - 1].out, t.trace[net->n - 1].y, T, z);
}

void vqs_mlp_decode(const struct vqs_mlp *mlp, const vqs_real *q, vqs_real *scratch, vqs_real *xhat) {
    const struct vqs_net *net = &mlp->decoder;
    struct vqs_arena arena = {.base = (unsigned char *)scratch, .size = mlp->tile_scratch * sizeof *scratch};
    struct tile_traces t;
    carve_tile(net, &arena, &t);
    t.trace[net->n - 1].y = xhat;
    vqs_tile_to_rows(net->layer[0].in, q, T, t.x);
    vqs_net_forward(net, t.x, 0, T, t.trace);
}
