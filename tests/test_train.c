/* test_train.c - the trainer against a naive one, in double.
 *
 * The naive trainer forms x^, loops over samples, codes and components one at a time, and shares with the library only
 * the data, the initial values and the order of batches. Its gradient is checked by finite differences of the frozen
 * loss; its whole trajectory must be the library's. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "surrogates.h"
#include "testing.h"
#include "vqsweep/model.h"
#include "vqsweep/train.h"

enum { T = VQS_TILE, MAX_LEVELS = 3, MAX_BOOKS = 8 };

/* ---- the naive model: parameters in one flat array ------------------------------------------------------------- */

struct naive {
    const struct vqs_settings *s;
    int D, d, K, books, width;
    double *W, *V, *C, *b, *codes; /* [d][D], [D][d] (NULL when tied), [D], [d], [books][K][width] */
    double *flat;
    size_t n;
};

static void naive_create(const struct vqs_settings *s, struct naive *m) {
    memset(m, 0, sizeof *m);
    m->s = s;
    m->D = s->D;
    m->d = s->d;
    m->K = s->K;
    m->books = s->levels * s->groups;
    m->width = s->d / s->groups;
    ck_assert(s->levels <= MAX_LEVELS && m->books <= MAX_BOOKS);
    const size_t matrix = (size_t)(s->D * s->d);
    const bool tied = s->decoder == VQS_DECODER_TIED;
    m->n = matrix * (tied ? 1 : 2) + (size_t)(s->D + s->d + s->levels * s->K * s->d);
    m->flat = calloc(m->n, sizeof *m->flat);
    m->W = m->flat;
    m->V = tied ? NULL : m->W + matrix;
    m->C = m->W + matrix * (tied ? 1 : 2);
    m->b = m->C + s->D;
    m->codes = m->b + s->d;
}

static double naive_V(const struct naive *m, int i, int c) {
    return m->V ? m->V[i * m->d + c] : m->W[c * m->D + i];
}

static void naive_encode(const struct naive *m, const double *x, double *z) {
    for (int c = 0; c < m->d; c++) {
        z[c] = m->b[c];
        for (int i = 0; i < m->D; i++) {
            z[c] += m->W[c * m->D + i] * x[i];
        }
    }
}

static void naive_decode(const struct naive *m, const double *q, double *xhat) {
    for (int i = 0; i < m->D; i++) {
        xhat[i] = m->C[i];
        for (int c = 0; c < m->d; c++) {
            xhat[i] += naive_V(m, i, c) * q[c];
        }
    }
}

/* A sample of a batch: its input to each codebook, and to all of them as one whose only code is the sum of theirs. */
struct naive_sample {
    struct frozen part[MAX_BOOKS], whole;
};

/* A batch, with what is frozen in it. */
struct naive_batch {
    int n;
    double *x;               /* [n][D] */
    struct naive_sample *at; /* [n]; codes as in the model at the time */
    double *f0;              /* [n][d] what the decoder is given */
    struct naive then;       /* the model at the time */
};

/* The temperature of the step `number`, from 1. */
static double naive_tau(const struct vqs_settings *s, long number) {
    const int steps = s->epochs * (int)ceil((double)s->N / s->batch);
    const double x = (double)(number - 1) / (steps - 1);
    const double taus[] = {[VQS_TAU_CONSTANT] = s->tau,
                           [VQS_TAU_LINEAR] = (1 - x) * s->tau + x * s->tau_end,
                           [VQS_TAU_EXPONENTIAL] = exp((1 - x) * log(s->tau) + x * log(s->tau_end)),
                           [VQS_TAU_COSINE] = s->tau_end + (s->tau - s->tau_end) * pow(cos(2 * atan(1) * x), 2)};
    return taus[s->tau_schedule];
}

/* Noise of sample i in the batch of step `number`: tiles have their parts of the step's stream, [d][T] for each level
 * and [K][T] for each codebook, levels and codebooks 2^32 groups apart. */
static void naive_draw(const struct naive *m, long number, int i, struct naive_sample *at) {
    enum { GROUP = VQS_RNG_GROUP };
    static vqs_real normals[MAX_LEVELS][SURROGATE_MAX_D * T];
    static uint32_t words[MAX_BOOKS][SURROGATE_MAX_K * T];
    const struct vqs_stream stream = {vqs_kernels_get(), m->s->seed, VQS_RNG_ESTIMATOR, (uint32_t)number};
    const size_t n = (size_t)(m->d * T), choices = (size_t)(m->K * T);
    const uint64_t tile = (uint64_t)(i / T), apart = ((uint64_t)1 << 32) * GROUP;
    for (uint64_t c = 0; i % T == 0 && c < (uint64_t)m->books; c++) {
        if (c < (uint64_t)m->s->levels) {
            vqs_rng_normal(&stream, c * apart + tile * ((n + GROUP - 1) / GROUP * GROUP), n, 1, normals[c]);
        }
        vqs_rng_words(&stream, c * apart + tile * ((choices + GROUP - 1) / GROUP * GROUP), choices, words[c]);
    }
    for (int c = 0; c < m->books; c++) {
        const int level = c / m->s->groups, from = c % m->s->groups * m->width;
        for (int j = 0; j < m->width; j++) {
            at->part[c].noise[j] = (double)normals[level][(from + j) * T + i % T];
        }
        for (int j = 0; j < m->K; j++) {
            at->part[c].gumbel[j] = gumbel_of(words[c][j * T + i % T]);
        }
    }
    for (int j = 0; j < m->d; j++) {
        at->whole.noise[j] = (double)normals[0][j * T + i % T];
    }
}

static const struct surrogate_row *the_surrogate(const struct naive *m) {
    return surrogate_of(vqs_estimator_get(m->s->estimator));
}

/* Whether the estimator is applied once to all codebooks, and not to each. */
static bool sees_whole(const struct naive *m) {
    return m->books > 1 && m->s->estimator_scope == VQS_SCOPE_TOTAL;
}

/* What codebook c makes of its input: residuals and sums are of this. */
static void part_value(const struct naive *m, int c, const struct frozen *at, const double *r, const double *codes,
                       double *out) {
    if (sees_whole(m) || the_surrogate(m)->is & DECODES_TWICE) {
        memcpy(out, codes + (c * m->K + at->k) * m->width, (size_t)m->width * sizeof *out);
    } else {
        surrogate_value(the_surrogate(m), at, r, codes + c * m->K * m->width, out);
    }
}

static void freeze_sample(const struct naive *m, double tau, struct naive_sample *at, double *f0) {
    double r[SURROGATE_MAX_D], v[SURROGATE_MAX_D];
    memcpy(r, at->whole.z, sizeof r);
    memset(f0, 0, (size_t)m->d * sizeof *f0);
    for (int c = 0; c < m->books; c++) {
        struct frozen *part = &at->part[c];
        const int from = c % m->s->groups * m->width;
        part->s = m->s;
        part->d = m->width;
        part->K = m->K;
        part->tau = tau;
        memcpy(part->z, r + from, (size_t)m->width * sizeof *r);
        memcpy(part->codes, m->codes + c * m->K * m->width, (size_t)(m->K * m->width) * sizeof *r);
        part->k = surrogate_choice(the_surrogate(m), part);
        part_value(m, c, part, part->z, m->codes, v);
        for (int i = 0; i < m->width; i++) {
            f0[from + i] += v[i];
            r[from + i] -= v[i];
        }
    }
    at->whole.s = m->s;
    at->whole.d = m->d;
    at->whole.K = 1;
    memcpy(at->whole.codes, f0, (size_t)m->d * sizeof *f0);
    if (sees_whole(m) && !(the_surrogate(m)->is & DECODES_TWICE)) {
        surrogate_value(the_surrogate(m), &at->whole, at->whole.z, at->whole.codes, f0);
    }
}

static void naive_freeze(const struct naive *m, long number, struct naive_batch *b) {
    memcpy(b->then.flat, m->flat, m->n * sizeof *m->flat);
    memset(b->at, 0, (size_t)b->n * sizeof *b->at);
    for (int i = 0; i < b->n; i++) {
        naive_encode(m, b->x + i * m->D, b->at[i].whole.z);
        naive_draw(m, number, i, &b->at[i]);
        freeze_sample(m, naive_tau(m->s, number), &b->at[i], b->f0 + i * m->d);
    }
}

/* Weights of the codebook loss and of the commitment. */
static double losses_of(const struct naive *m) {
    return the_surrogate(m)->is & WITHOUT_LOSSES ? 0 : 1;
}

static double squared_error(const struct naive *m, const double *x, const double *f) {
    double xhat[256], sum = 0;
    naive_decode(m, f, xhat);
    for (int i = 0; i < m->D; i++) {
        sum += (x[i] - xhat[i]) * (x[i] - xhat[i]);
    }
    return sum;
}

/* What the decoder is given at z, with all frozen that the estimator does not differentiate. */
static void naive_value(const struct naive *m, const struct naive_sample *at, const double *z, double *f) {
    double r[SURROGATE_MAX_D], v[SURROGATE_MAX_D], sum[SURROGATE_MAX_D] = {0};
    memcpy(r, z, (size_t)m->d * sizeof *r);
    for (int c = 0; c < m->books; c++) {
        const int from = c % m->s->groups * m->width;
        part_value(m, c, &at->part[c], r + from, m->codes, v);
        for (int i = 0; i < m->width; i++) {
            sum[from + i] += v[i];
            r[from + i] -= v[i];
        }
    }
    if (sees_whole(m)) {
        surrogate_value(the_surrogate(m), &at->whole, z, sum, f);
    } else {
        memcpy(f, the_surrogate(m)->is & DECODES_TWICE ? z : sum, (size_t)m->d * sizeof *f);
    }
}

/* Codebook loss and commitment of one sample. */
static double naive_losses(const struct naive *m, const struct naive_sample *at, const double *z) {
    double loss = 0;
    for (int c = 0; c < m->books; c++) {
        const struct frozen *part = &at->part[c];
        for (int i = 0; i < m->width; i++) {
            const int j = c % m->s->groups * m->width + i;
            const double code = m->codes[(c * m->K + part->k) * m->width + i];
            const double upto = at->whole.z[j] - part->z[i] + chosen(part)[i]; /* q_1 + ... + q_l */
            loss += pow(part->z[i] - code, 2) + m->s->beta * pow(z[j] - upto, 2);
        }
    }
    return losses_of(m) * loss;
}

/* The loss with codes, stop-gradients and the surrogate frozen as in b. */
static double naive_frozen_loss(const struct naive *m, const struct naive_batch *b) {
    double loss = 0, z[SURROGATE_MAX_D], f[SURROGATE_MAX_D];
    for (int s = 0; s < b->n; s++) {
        const double *x = b->x + s * m->D, per = 1 / ((double)b->n * m->D);
        naive_encode(m, x, z);
        naive_value(m, &b->at[s], z, f);
        if (the_surrogate(m)->is &
            DECODES_TWICE) { /* the decoder of the time for the encoder, what was decoded for the decoder */
            loss += per * (squared_error(&b->then, x, f) + squared_error(m, x, b->f0 + s * m->d));
        } else {
            loss += per * squared_error(m, x, f);
        }
        loss += naive_losses(m, &b->at[s], z) / ((double)b->n * m->d);
    }
    return loss;
}

/* g = dL_rec/df where f is decoded; e = dL_rec/dx^ */
static void naive_decoder_gradient(const struct naive *m, int n, const double *x, const double *f, double *e,
                                   double *g) {
    naive_decode(m, f, e);
    memset(g, 0, (size_t)m->d * sizeof *g);
    for (int i = 0; i < m->D; i++) {
        e[i] = 2 * (e[i] - x[i]) / ((double)n * m->D);
        for (int c = 0; c < m->d; c++) {
            g[c] += naive_V(m, i, c) * e[i];
        }
    }
}

/* gz of the reconstruction loss by the chain rule through the estimator and, level by level, r_{l+1} = r_l - f_l. */
static void naive_backward(const struct naive *m, const struct naive_sample *at, const double *g, double *gz,
                           double *gcodes) {
    const struct surrogate_row *row = the_surrogate(m);
    const int groups = m->s->groups, size = m->K * m->width;
    double rest[SURROGATE_MAX_D], back[SURROGATE_MAX_D], gq[SURROGATE_MAX_D] = {0};
    memset(gz, 0, (size_t)m->d * sizeof *gz);
    for (int c = m->books - 1; !sees_whole(m) && c >= 0; c--) {
        const int from = c % groups * m->width;
        for (int i = 0; i < m->width; i++) {
            rest[i] = g[from + i] - gz[from + i];
        }
        surrogate_backward(row, &at->part[c], rest, back, gcodes + c * size);
        for (int i = 0; i < m->width; i++) {
            gz[from + i] += back[i];
        }
    }
    if (sees_whole(m)) {
        surrogate_backward(row, &at->whole, g, gz, gq);
        for (int c = 0; c < m->books; c++) {
            for (int i = 0; i < m->width; i++) {
                gcodes[c * size + at->part[c].k * m->width + i] += gq[c % groups * m->width + i];
            }
        }
    }
}

/* Gradient of one sample, by the chain rule through x^. */
static void naive_sample_gradient(const struct naive *m, const struct naive_batch *b, int s, struct naive *grad) {
    const struct naive_sample *at = &b->at[s];
    const double *x = b->x + s * m->D, *f0 = b->f0 + s * m->d, per = losses_of(m) * 2 / ((double)b->n * m->d);
    double e[256], elsewhere[256], g[SURROGATE_MAX_D], gz[SURROGATE_MAX_D];
    naive_decoder_gradient(m, b->n, x, f0, e, g);
    for (int i = 0; i < m->D; i++) {
        grad->C[i] += e[i];
        for (int c = 0; c < m->d; c++) {
            *(grad->V ? &grad->V[i * m->d + c] : &grad->W[c * m->D + i]) += e[i] * f0[c];
        }
    }
    if (the_surrogate(m)->is & DECODES_TWICE) {
        naive_decoder_gradient(m, b->n, x, at->whole.z, elsewhere, g);
    }
    naive_backward(m, at, g, gz, grad->codes);
    for (int c = 0; c < m->books; c++) {
        const struct frozen *part = &at->part[c];
        for (int i = 0; i < m->width; i++) {
            const double far = chosen(part)[i] - part->z[i];
            gz[c % m->s->groups * m->width + i] -= m->s->beta * per * far;
            grad->codes[(c * m->K + part->k) * m->width + i] += per * far;
        }
    }
    for (int c = 0; c < m->d; c++) {
        grad->b[c] += gz[c];
        for (int i = 0; i < m->D; i++) {
            grad->W[c * m->D + i] += gz[c] * x[i];
        }
    }
}

static void naive_gradient(const struct naive *m, const struct naive_batch *b, struct naive *grad) {
    memset(grad->flat, 0, grad->n * sizeof *grad->flat);
    for (int s = 0; s < b->n; s++) {
        naive_sample_gradient(m, b, s, grad);
    }
}

/* ---- the naive trainer ----------------------------------------------------------------------------------------- */

static void gram_schmidt(int d, int D, double *W) {
    for (int i = 0; i < d; i++) {
        for (int j = 0; j <= i; j++) { /* the last pass normalises */
            double p = 0;
            for (int c = 0; c < D; c++) {
                p += W[i * D + c] * W[j * D + c];
            }
            for (int c = 0; c < D; c++) {
                W[i * D + c] = j == i ? W[i * D + c] / sqrt(p) : W[i * D + c] - p * W[j * D + c];
            }
        }
    }
}

/* Kingma and Ba 2015, algorithm 1, as printed there. */
static void naive_adam(const struct vqs_settings *s, long t, size_t n, const double *g, double *m, double *v,
                       double *p) {
    for (size_t i = 0; i < n; i++) {
        m[i] = s->adam_beta1 * m[i] + (1 - s->adam_beta1) * g[i];
        v[i] = s->adam_beta2 * v[i] + (1 - s->adam_beta2) * g[i] * g[i];
        const double mhat = m[i] / (1 - pow(s->adam_beta1, (double)t)),
                     vhat = v[i] / (1 - pow(s->adam_beta2, (double)t));
        p[i] -= s->lr * mhat / (sqrt(vhat) + s->adam_eps);
    }
}

/* The library's data and initial values, taken over. */
static void take_over(const struct vqs_settings *s, struct vqs_dataset *data, struct naive *m) {
    struct vqs_arena arena = {0};
    struct vqs_model model = {0};
    struct vqs_model_scratch scratch = {0};
    vqs_model_carve(s, vqs_kernels_get(), &arena, &model, &scratch);
    ck_assert(vqs_arena_create(&arena, arena.used, NULL) == VQS_OK);
    vqs_model_carve(s, vqs_kernels_get(), &arena, &model, &scratch);
    vqs_model_init(s, data, &model, &scratch);
    for (int c = 0; c < s->d; c++) {
        for (int i = 0; i < s->D; i++) {
            m->W[c * s->D + i] = (double)model.W[(size_t)c * model.ld + (size_t)i];
            if (m->V) {
                m->V[i * s->d + c] = (double)model.V[(size_t)c * model.ld + (size_t)i];
            }
        }
    }
    for (int i = 0; i < m->books * m->K * m->width; i++) {
        m->codes[i] = (double)model.quantizer.codes[i];
    }
    vqs_arena_destroy(&arena);
}

/* The batch of step `number`, from 1. */
static void naive_load(const struct naive *m, const struct vqs_dataset *data, const uint32_t *order, int n, long number,
                       struct naive_batch *b) {
    b->n = n;
    for (int s = 0; s < n; s++) {
        for (int i = 0; i < m->D; i++) {
            b->x[s * m->D + i] = (double)data->train.x[order[s] * data->ld + (size_t)i];
        }
    }
    naive_freeze(m, number, b);
}

static void naive_batch_create(const struct vqs_settings *s, struct naive_batch *b) {
    b->x = calloc((size_t)(s->batch * s->D), sizeof *b->x);
    b->at = calloc((size_t)s->batch, sizeof *b->at);
    b->f0 = calloc((size_t)(s->batch * s->d), sizeof *b->f0);
    naive_create(s, &b->then);
}

static void naive_batch_destroy(struct naive_batch *b) {
    free(b->x);
    free(b->at);
    free(b->f0);
    free(b->then.flat);
}

/* Trains and leaves the epochs' losses: rec[e], vq[e]. */
static void naive_train(const struct vqs_settings *s, struct naive *m, double *rec, double *vq) {
    struct vqs_dataset *data = NULL;
    struct naive grad, moment1, moment2;
    struct naive_batch b = {0};
    uint32_t *order = calloc((size_t)s->N, sizeof *order);
    long t = 0;
    ck_assert(vqs_dataset_create(s, NULL, &data, NULL) == VQS_OK);
    naive_create(s, &grad);
    naive_create(s, &moment1);
    naive_create(s, &moment2);
    naive_batch_create(s, &b);
    take_over(s, data, m);
    for (int epoch = 0; epoch < s->epochs; epoch++) {
        const struct vqs_stream shuffle = {vqs_kernels_get(), s->seed, VQS_RNG_BATCHES, (uint32_t)epoch};
        vqs_rng_permutation(&shuffle, (uint32_t)s->N, order);
        rec[epoch] = vq[epoch] = 0;
        for (int start = 0; start < s->N; start += s->batch) {
            naive_load(m, data, order + start, s->N - start < s->batch ? s->N - start : s->batch, ++t, &b);
            for (int i = 0; i < b.n; i++) {
                rec[epoch] += squared_error(m, b.x + i * m->D, b.f0 + i * m->d) / ((double)s->N * s->D);
                for (int c = 0; c < m->books; c++) {
                    const struct frozen *part = &b.at[i].part[c];
                    for (int j = 0; j < m->width; j++) {
                        vq[epoch] += pow(part->z[j] - chosen(part)[j], 2) / ((double)s->N * s->d);
                    }
                }
            }
            naive_gradient(m, &b, &grad);
            if (!s->bias) {
                memset(grad.C, 0, (size_t)(s->D + s->d) * sizeof *grad.C);
            }
            naive_adam(s, t, m->n, grad.flat, moment1.flat, moment2.flat, m->flat);
            gram_schmidt(m->d, m->D, m->W);
        }
    }
    naive_batch_destroy(&b);
    free(grad.flat);
    free(moment1.flat);
    free(moment2.flat);
    free(order);
    vqs_dataset_destroy(data);
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

/* _i: levels, and whether there are groups; with several codebooks, what the estimator sees. */
static const struct {
    int levels;
    bool grouped;
    enum vqs_estimator_scope scope;
} structures[] = {{1, false, VQS_SCOPE_TOTAL}, {3, false, VQS_SCOPE_TOTAL}, {3, false, VQS_SCOPE_EACH},
                  {1, true, VQS_SCOPE_TOTAL},  {2, true, VQS_SCOPE_TOTAL},  {2, true, VQS_SCOPE_EACH}};
enum { VARIANTS = 8, STRUCTURES = sizeof structures / sizeof structures[0] };

static void small(struct vqs_settings *s, int estimator, int variant, int structure) {
    vqs_settings_default(s);
    s->estimator = estimator;
    s->a = -0.5;
    s->b = 0.8;
    s->kappa = variant & 1 ? 1.7 : 0;
    s->times_d = variant & 1;
    s->diveq_sigma = 0.3;
    s->nu = 0.6;
    s->logit_scale = 2;
    s->tau = 1.2;
    s->tau_end = 0.3;
    s->tau_schedule = variant & 3;
    s->decoder = variant & 1 ? VQS_DECODER_TIED : VQS_DECODER_FREE;
    s->bias = variant >> 1 & 1;
    s->D = variant & 4 ? 33 : 24; /* one row padded, one whole */
    s->d = variant & 4 ? 16 : 3;
    s->K = variant & 4 ? 5 : 11;
    s->r = 3;
    s->N = variant & 2 ? 141 : 150; /* with batch 70: tiles and batches that do not come out even, or one sample */
    s->N_eval = 40;
    s->batch = 70;
    s->epochs = 4;
    s->lr = 0.01;
    s->codebook_init = variant & 4 && !structure ? VQS_INIT_DATA : VQS_INIT_NORMAL; /* data leaves residuals of 0 */
    s->seed = 11;
    s->levels = structures[structure].levels;
    s->groups = !structures[structure].grouped ? 1 : s->d == 3 ? 3 : 4; /* codes of one component, and of several */
    s->estimator_scope = (int32_t)structures[structure].scope;
}

/* Whether there is such a trial; what the estimator cannot see is refused. */
/* Whether the naive trainer knows it: it fits nothing (test_learned.c). */
static bool is_naive(int estimator) {
    const struct vqs_estimator *e = vqs_estimator_get(estimator);
    return e->backward && !(surrogate_of(e)->is & LEARNS);
}

static bool can_be(const struct vqs_settings *s) {
    const unsigned is = surrogate_of(vqs_estimator_get(s->estimator))->is;
    const bool several = s->levels * s->groups > 1;
    const bool refused = several && is & (s->estimator_scope == VQS_SCOPE_TOTAL ? CHOOSES : DECODES_TWICE);
    enum vqs_setting_id culprit;
    ck_assert_int_eq(vqs_settings_check(s, &culprit, NULL), refused ? VQS_ERR_JOB : VQS_OK);
    ck_assert(!refused || culprit == VQS_SETTING_estimator_scope);
    return !refused;
}

/* The naive gradient of one batch against finite differences. */
static void check_gradient(const struct vqs_settings *s, int variant) {
    struct vqs_dataset *data = NULL;
    struct naive m, grad;
    struct naive_batch b = {0};
    uint32_t order[256];
    ck_assert(vqs_dataset_create(s, NULL, &data, NULL) == VQS_OK);
    naive_create(s, &m);
    naive_create(s, &grad);
    naive_batch_create(s, &b);
    take_over(s, data, &m);
    for (int i = 0; i < s->D + s->d; i++) {
        m.C[i] = 0.1 * sin(i); /* biases start at 0; check them elsewhere */
    }
    for (uint32_t i = 0; i < 20; i++) {
        order[i] = 3 * i;
    }
    naive_load(&m, data, order, 20, 5, &b);
    naive_gradient(&m, &b, &grad);
    for (size_t i = 0; i < m.n; i += 1 + m.n / 97) {
        const double at = m.flat[i], h = 1e-5;
        m.flat[i] = at + h;
        double difference = naive_frozen_loss(&m, &b);
        m.flat[i] = at - h;
        difference = (difference - naive_frozen_loss(&m, &b)) / (2 * h);
        m.flat[i] = at;
        ck_assert_msg(
            fabs(difference - grad.flat[i]) < 1e-8, "%s, variant %d, levels %d, groups %d, parameter %zu: %.12g, %.12g",
            vqs_estimator_get(s->estimator)->name, variant, s->levels, s->groups, i, grad.flat[i], difference);
    }
    naive_batch_destroy(&b);
    free(m.flat);
    free(grad.flat);
    vqs_dataset_destroy(data);
}

static void check_trajectory(struct vqs_trainer *trainer, const struct vqs_settings *s, int variant,
                             struct vqs_record *record) {
    struct naive m;
    const char *name = vqs_estimator_get(s->estimator)->name;
    /* rotation_trick multiplies by |q|/|z|, and so does rounding: residuals come near 0 */
    const double tolerance = s->levels > 1 && !strcmp(name, "rotation_trick") ? 1e-8 : 1e-10;
    double rec[4], vq[4];
    naive_create(s, &m);
    naive_train(s, &m, rec, vq);
    ck_assert(vqs_trainer_run(trainer, s, record, NULL) == VQS_OK);
    for (int epoch = 0; epoch < s->epochs; epoch++) {
        static const int curves[] = {VQS_CURVE_loss_rec, VQS_CURVE_loss_vq, VQS_CURVE_loss};
        const double expected[] = {rec[epoch], vq[epoch], rec[epoch] + losses_of(&m) * (1 + s->beta) * vq[epoch]};
        for (size_t c = 0; c < COUNT_OF(curves); c++) {
            const double value = record->curves[curves[c] * s->epochs + epoch];
            ck_assert_msg(fabs(value - expected[c]) < tolerance * expected[c],
                          "%s, variant %d, levels %d, groups %d, epoch %d: %s %.12g, naive %.12g", name, variant,
                          s->levels, s->groups, epoch, vqs_curve_table[curves[c]].name, value, expected[c]);
        }
    }
    ck_assert_int_eq(record->n_snapshots, m.books);
    for (int i = 0; i < m.books * m.K * m.width; i++) { /* all snapshots stand in one block */
        ck_assert_double_eq_tol(record->snapshots[0].codes[i], m.codes[i], 1e-6);
    }
    free(m.flat);
}

START_TEST(naive_gradient_is_that_of_the_frozen_loss) {
    for (int e = 0; e < vqs_estimator_count(); e++) {
        for (int variant = 0; is_naive(e) && variant < VARIANTS; variant += _i ? 3 : 1) {
            struct vqs_settings s;
            small(&s, e, variant, _i);
            if (can_be(&s)) {
                check_gradient(&s, variant);
            }
        }
    }
}
END_TEST

START_TEST(trajectories_are_those_of_the_naive_trainer) {
    struct vqs_trainer *trainer = NULL;
    struct vqs_record record = {0};
    ck_assert(vqs_trainer_create(1, NULL, &trainer, NULL) == VQS_OK);
    for (int e = 0; e < vqs_estimator_count(); e++) {
        for (int variant = 0; is_naive(e) && variant < VARIANTS; variant += _i ? 3 : 1) {
            struct vqs_settings s;
            small(&s, e, variant, _i);
            if (can_be(&s)) {
                check_trajectory(trainer, &s, variant, &record);
            }
        }
    }
    vqs_record_destroy(&record);
    vqs_trainer_destroy(trainer);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("train");
    TCase *tests = tcase_create("against a naive trainer");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, naive_gradient_is_that_of_the_frozen_loss, 0, STRUCTURES);
    tcase_add_loop_test(tests, trajectories_are_those_of_the_naive_trainer, 0, STRUCTURES);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
