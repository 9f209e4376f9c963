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

enum { T = VQS_TILE };

/* ---- the naive model: parameters in one flat array ------------------------------------------------------------------ */

struct naive {
    const struct vqs_settings *s;
    int D, d, K;
    double *W, *V, *C, *b, *codes; /* [d][D], [D][d] (NULL when tied), [D], [d], [K][d] */
    double *flat;
    size_t n;
};

static void naive_create(const struct vqs_settings *s, struct naive *m) {
    memset(m, 0, sizeof *m);
    m->s = s;
    m->D = s->D;
    m->d = s->d;
    m->K = s->K;
    const size_t matrix = (size_t)(s->D * s->d);
    const bool tied = s->decoder == VQS_DECODER_TIED;
    m->n = matrix * (tied ? 1 : 2) + (size_t)(s->D + s->d + s->K * s->d);
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

/* A batch, with what is frozen in it. */
struct naive_batch {
    int n;
    double *x;         /* [n][D] */
    struct frozen *at; /* [n]; codes as in the model at the time */
    double *f0;        /* [n][d] what the decoder is given */
    struct naive then; /* the model at the time */
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

/* Noise of sample i in the batch of step `number`: tiles have their parts of the step's stream, [d or K][T]. */
static void naive_draw(const struct vqs_settings *s, long number, int i, struct frozen *at) {
    enum { GROUP = VQS_RNG_GROUP };
    static vqs_real normals[SURROGATE_MAX_D * T];
    static uint32_t words[SURROGATE_MAX_K * T];
    const struct vqs_stream stream = {vqs_kernels_get(), s->seed, VQS_RNG_ESTIMATOR, (uint32_t)number};
    const size_t n = (size_t)(s->d * T), choices = (size_t)(s->K * T);
    if (i % T == 0) {
        vqs_rng_normal(&stream, (uint64_t)(i / T) * ((n + GROUP - 1) / GROUP * GROUP), n, 1, normals);
        vqs_rng_words(&stream, (uint64_t)(i / T) * ((choices + GROUP - 1) / GROUP * GROUP), choices, words);
    }
    for (int c = 0; c < s->d; c++) {
        at->noise[c] = (double)normals[c * T + i % T];
    }
    for (int j = 0; j < s->K; j++) {
        at->gumbel[j] = gumbel_of(words[j * T + i % T]);
    }
}

static const struct surrogate_row *the_surrogate(const struct naive *m) {
    return surrogate_of(vqs_estimator_get(m->s->estimator));
}

static void naive_freeze(const struct naive *m, long number, struct naive_batch *b) {
    const struct surrogate_row *row = the_surrogate(m);
    memcpy(b->then.flat, m->flat, m->n * sizeof *m->flat);
    for (int i = 0; i < b->n; i++) {
        struct frozen *at = &b->at[i];
        *at = (struct frozen){.s = m->s, .d = m->d, .K = m->K, .tau = naive_tau(m->s, number)};
        naive_encode(m, b->x + i * m->D, at->z);
        memcpy(at->codes, m->codes, (size_t)(m->K * m->d) * sizeof *at->codes);
        naive_draw(m->s, number, i, at);
        at->k = surrogate_choice(row, at);
        if (row->is & DECODES_TWICE) {
            memcpy(b->f0 + i * m->d, chosen(at), (size_t)m->d * sizeof(double));
        } else {
            surrogate_value(row, at, at->z, at->codes, b->f0 + i * m->d);
        }
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

/* The loss with codes, stop-gradients and the surrogate frozen as in b. */
static double naive_frozen_loss(const struct naive *m, const struct naive_batch *b) {
    const struct surrogate_row *row = the_surrogate(m);
    double loss = 0, z[SURROGATE_MAX_D], f[SURROGATE_MAX_D];
    for (int s = 0; s < b->n; s++) {
        const struct frozen *at = &b->at[s];
        const double *x = b->x + s * m->D, per = 1 / ((double)b->n * m->D), scale = losses_of(m) / ((double)b->n * m->d);
        naive_encode(m, x, z);
        surrogate_value(row, at, z, m->codes, f);
        if (row->is & DECODES_TWICE) { /* the decoder of the time for the encoder, what was decoded for the decoder */
            loss += per * (squared_error(&b->then, x, f) + squared_error(m, x, b->f0 + s * m->d));
        } else {
            loss += per * squared_error(m, x, f);
        }
        for (int c = 0; c < m->d; c++) {
            const double code = m->codes[at->k * m->d + c], q0 = chosen(at)[c];
            loss += scale * (at->z[c] - code) * (at->z[c] - code) + m->s->beta * scale * (z[c] - q0) * (z[c] - q0);
        }
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

/* Gradient of one sample, by the chain rule through x^. */
static void naive_sample_gradient(const struct naive *m, const struct naive_batch *b, int s, struct naive *grad) {
    const struct frozen *at = &b->at[s];
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
        naive_decoder_gradient(m, b->n, x, at->z, elsewhere, g);
    }
    surrogate_backward(the_surrogate(m), at, g, gz, grad->codes);
    for (int c = 0; c < m->d; c++) {
        gz[c] += m->s->beta * per * (at->z[c] - chosen(at)[c]);
        grad->codes[at->k * m->d + c] += per * (chosen(at)[c] - at->z[c]);
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

/* ---- the naive trainer ------------------------------------------------------------------------------------------------- */

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
        const double mhat = m[i] / (1 - pow(s->adam_beta1, (double)t)), vhat = v[i] / (1 - pow(s->adam_beta2, (double)t));
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
    for (int i = 0; i < s->K * s->d; i++) {
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
    ck_assert(vqs_dataset_create(s, &data, NULL) == VQS_OK);
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
                for (int c = 0; c < m->d; c++) {
                    vq[epoch] += pow(b.at[i].z[c] - chosen(&b.at[i])[c], 2) / ((double)s->N * s->d);
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

/* ---- tests ------------------------------------------------------------------------------------------------------------- */

static void small(struct vqs_settings *s, int estimator, int variant) {
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
    s->codebook_init = variant & 4 ? VQS_INIT_DATA : VQS_INIT_NORMAL;
    s->seed = 11;
}

enum { VARIANTS = 8 };

START_TEST(naive_gradient_is_that_of_the_frozen_loss) {
    for (int e = 0; e < vqs_estimator_count(); e++) {
        for (int variant = 0; vqs_estimator_get(e)->backward && variant < VARIANTS; variant++) {
            struct vqs_settings s;
            struct vqs_dataset *data = NULL;
            struct naive m, grad;
            struct naive_batch b = {0};
            uint32_t order[256];
            small(&s, e, variant);
            ck_assert(vqs_dataset_create(&s, &data, NULL) == VQS_OK);
            naive_create(&s, &m);
            naive_create(&s, &grad);
            naive_batch_create(&s, &b);
            take_over(&s, data, &m);
            for (int i = 0; i < s.D + s.d; i++) {
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
                ck_assert_msg(fabs(difference - grad.flat[i]) < 1e-8, "%s, variant %d, parameter %zu: %.12g, %.12g",
                              vqs_estimator_get(e)->name, variant, i, grad.flat[i], difference);
            }
            naive_batch_destroy(&b);
            free(m.flat);
            free(grad.flat);
            vqs_dataset_destroy(data);
        }
    }
}
END_TEST

START_TEST(trajectories_are_those_of_the_naive_trainer) {
    struct vqs_trainer *trainer = NULL;
    struct vqs_record record = {0};
    ck_assert(vqs_trainer_create(2, NULL, &trainer, NULL) == VQS_OK);
    for (int e = 0; e < vqs_estimator_count(); e++) {
        for (int variant = 0; vqs_estimator_get(e)->backward && variant < VARIANTS; variant++) {
            struct vqs_settings s;
            struct naive m;
            double rec[4], vq[4];
            small(&s, e, variant);
            naive_create(&s, &m);
            naive_train(&s, &m, rec, vq);
            ck_assert(vqs_trainer_run(trainer, &s, &record, NULL) == VQS_OK);
            for (int epoch = 0; epoch < s.epochs; epoch++) {
                const double *curves = record.curves + epoch;
                const double loss_rec = curves[VQS_CURVE_loss_rec * s.epochs], loss_vq = curves[VQS_CURVE_loss_vq * s.epochs];
                ck_assert_msg(fabs(loss_rec - rec[epoch]) < 1e-10 * rec[epoch] &&
                                  fabs(loss_vq - vq[epoch]) < 1e-10 * vq[epoch],
                              "%s, variant %d, epoch %d: rec %.12g, naive %.12g; vq %.12g, naive %.12g",
                              vqs_estimator_get(e)->name, variant, epoch, loss_rec, rec[epoch], loss_vq, vq[epoch]);
            }
            for (int i = 0; i < s.K * s.d; i++) {
                ck_assert_double_eq_tol(record.snapshots[0].codes[i], m.codes[i], 1e-6);
            }
            free(m.flat);
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
    tcase_add_test(tests, naive_gradient_is_that_of_the_frozen_loss);
    tcase_add_test(tests, trajectories_are_those_of_the_naive_trainer);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
