/* test_codebook_training.c - trials with every kind of codebook, care and schedule against a naive trainer, in double.
 *
 * The naive trainer knows no derivative: it differences the loss with codes, stop-gradients and the straight-through
 * surrogate frozen, and shares with the library only the data, the initial values and the order of batches. */
#include <stdlib.h>

#include "settings_text.h"
#include "testing.h"
#include "vqsweep/metrics.h"
#include "vqsweep/model.h"
#include "vqsweep/train.h"

enum { MAX = 8, MAX_K = 16, MAX_BOOKS = 4, MAX_BATCH = 32, MAX_PARAMS = 1024 };

struct book { /* values may be parameters, or not */
    double c0[MAX_K][MAX], scale[MAX], shift[MAX], A[MAX][MAX], n[MAX_K], m[MAX_K][MAX], tally[MAX_K];
};
struct naive {
    const struct vqs_settings *s;
    int D, d, K, books, width;
    double W[MAX][MAX], V[MAX][MAX]; /* [d][D], [d][D] its transpose */
    struct book book[MAX_BOOKS];
};

/* What a batch freezes. */
struct frozen {
    int n;
    double beta, x[MAX_BATCH][MAX], z[MAX_BATCH][MAX];
    int k[MAX_BATCH][MAX_BOOKS];
    double q[MAX_BATCH][MAX_BOOKS][MAX];
    double codes[MAX_BOOKS][MAX_K][MAX];
};

/* ---- the model ------------------------------------------------------------------------------------------------- */

static bool trained(const struct naive *m) {
    return m->s->codebook == VQS_LEARN_GRADIENT || m->s->codebook == VQS_LEARN_AFFINE ||
           m->s->codebook == VQS_LEARN_SIMVQ;
}

static double code(const struct naive *m, int b, int k, int i) {
    const struct book *book = &m->book[b];
    double n = 0, sum = 0;
    switch ((enum vqs_learning_kind)m->s->codebook) {
    case VQS_LEARN_EMA:
        for (int j = 0; j < m->K; j++) {
            n += book->n[j];
        }
        return book->m[k][i] / ((book->n[k] + m->s->ema_eps) / (n + m->K * m->s->ema_eps) * n);
    case VQS_LEARN_AFFINE:
        return book->shift[i] + book->scale[i] * book->c0[k][i];
    case VQS_LEARN_SIMVQ:
        for (int j = 0; j < m->width; j++) {
            sum += book->A[i][j] * book->c0[k][j];
        }
        return sum;
    default:
        return book->c0[k][i];
    }
}

static void encode(const struct naive *m, const double *x, double *z) {
    for (int i = 0; i < m->d; i++) {
        z[i] = 0;
        for (int j = 0; j < m->D; j++) {
            z[i] += m->W[i][j] * x[j];
        }
        z[i] = m->s->codebook == VQS_LEARN_FSQ ? tanh(z[i]) : z[i];
    }
}

/* The input of codebook b: its slice of z, less what the levels before it have made of it. */
static void input(const struct naive *m, int b, const double *z, double q[][MAX], double *r) {
    const int group = b % m->s->groups;
    for (int i = 0; i < m->width; i++) {
        r[i] = z[group * m->width + i];
        for (int before = group; before < b; before += m->s->groups) {
            r[i] -= q[before][i];
        }
    }
}

static void freeze(const struct naive *m, struct frozen *f) {
    for (int b = 0; b < m->books; b++) {
        for (int k = 0; k < m->K; k++) {
            for (int i = 0; i < m->width; i++) {
                f->codes[b][k][i] = code(m, b, k, i);
            }
        }
    }
    for (int s = 0; s < f->n; s++) {
        encode(m, f->x[s], f->z[s]);
        for (int b = 0; b < m->books; b++) {
            double r[MAX], least = INFINITY;
            input(m, b, f->z[s], f->q[s], r);
            for (int k = 0; k < m->K; k++) {
                double distance = 0;
                for (int i = 0; i < m->width; i++) {
                    distance += pow(r[i] - f->codes[b][k][i], 2);
                }
                if (distance < least) {
                    least = distance;
                    f->k[s][b] = k;
                }
            }
            memcpy(f->q[s][b], f->codes[b][f->k[s][b]], sizeof f->q[s][b]);
        }
    }
}

/* ---- its loss, with all of f frozen ---------------------------------------------------------------------------- */

static double reconstruction(const struct naive *m, const struct frozen *f, int s, const double *z) {
    double sum = 0;
    for (int j = 0; j < m->D; j++) {
        double xhat = 0;
        for (int i = 0; i < m->d; i++) { /* z + sg(q - z) */
            double value = z[i] - f->z[s][i];
            for (int b = i / m->width; b < m->books; b += m->s->groups) {
                value += f->q[s][b][i % m->width];
            }
            xhat += m->V[i][j] * value;
        }
        sum += pow(f->x[s][j] - xhat, 2);
    }
    return sum;
}

static double orthogonality(const struct naive *m, int b) {
    double sum = 0, norm[MAX_K] = {0};
    for (int k = 0; k < m->K; k++) {
        for (int i = 0; i < m->width; i++) {
            norm[k] += pow(code(m, b, k, i), 2);
        }
    }
    for (int k = 0; k < m->K; k++) {
        for (int j = 0; j < m->K; j++) {
            double product = k == j ? -1 : 0;
            for (int i = 0; i < m->width; i++) {
                product += code(m, b, k, i) * code(m, b, j, i) / sqrt(norm[k] * norm[j]);
            }
            sum += product * product;
        }
    }
    return sum / (m->K * m->K);
}

/* mean H(p) - H(mean p); codes that are not trained are constants. */
static double entropy(const struct naive *m, const struct frozen *f, int b, double r[][MAX]) {
    double value = 0, mean[MAX_K] = {0};
    for (int s = 0; s < f->n; s++) {
        double p[MAX_K], total = 0;
        for (int k = 0; k < m->K; k++) {
            double distance = 0;
            for (int i = 0; i < m->width; i++) {
                distance += pow(r[s][i] - (trained(m) ? code(m, b, k, i) : f->codes[b][k][i]), 2);
            }
            total += p[k] = exp(-distance / m->s->entropy_tau);
        }
        for (int k = 0; k < m->K; k++) {
            value -= p[k] / total * log(p[k] / total) / f->n;
            mean[k] += p[k] / total / f->n;
        }
    }
    for (int k = 0; k < m->K; k++) {
        value += mean[k] * log(mean[k]);
    }
    return value;
}

static double penalties(const struct naive *m, const struct frozen *f, double z[][MAX]) {
    double sum = 0, r[MAX_BATCH][MAX];
    for (int b = 0; b < m->books; b++) {
        for (int s = 0; s < f->n; s++) {
            input(m, b, z[s], (double(*)[MAX])f->q[s], r[s]);
        }
        sum += m->s->orthogonality > 0 ? m->s->orthogonality * orthogonality(m, b) : 0;
        sum += m->s->entropy_weight > 0 ? m->s->entropy_weight * entropy(m, f, b, r) : 0;
    }
    return sum;
}

/* Parts: the reconstruction, |z - q|^2 by way of the codes, by way of z, and the penalties. */
static void losses(const struct naive *m, const struct frozen *f, double part[4]) {
    double z[MAX_BATCH][MAX], r[MAX], r0[MAX];
    part[0] = part[1] = part[2] = 0;
    for (int s = 0; s < f->n; s++) {
        encode(m, f->x[s], z[s]);
        part[0] += reconstruction(m, f, s, z[s]) / (f->n * m->D);
        for (int b = 0; b < m->books; b++) {
            input(m, b, z[s], (double(*)[MAX])f->q[s], r);
            input(m, b, f->z[s], (double(*)[MAX])f->q[s], r0);
            for (int i = 0; i < m->width; i++) {
                part[1] += pow(r0[i] - code(m, b, f->k[s][b], i), 2) / (f->n * m->d);
                part[2] += pow(r[i] - f->q[s][b][i], 2) / (f->n * m->d);
            }
        }
    }
    part[3] = penalties(m, f, z);
}

static double loss(const struct naive *m, const struct frozen *f) {
    double part[4];
    losses(m, f, part);
    return part[0] + (trained(m) ? part[1] : 0) + (m->s->codebook == VQS_LEARN_FSQ ? 0 : f->beta) * part[2] + part[3];
}

/* ---- its training ---------------------------------------------------------------------------------------------- */

/* Everything Adam moves: the codebooks' parameters from *codes on. */
static int parameters(struct naive *m, double **p, int *codes) {
    int n = 0;
    for (int i = 0; i < m->d; i++) {
        for (int j = 0; j < m->D; j++) {
            p[n++] = &m->W[i][j];
            p[n++] = &m->V[i][j];
        }
    }
    *codes = n;
    for (int b = 0; b < m->books; b++) {
        struct book *book = &m->book[b];
        for (int i = 0; i < m->width; i++) {
            for (int k = 0; k < m->K; k++) {
                if (m->s->codebook == VQS_LEARN_GRADIENT || m->s->codebook == VQS_LEARN_AFFINE) {
                    p[n++] = &book->c0[k][i];
                }
            }
            if (m->s->codebook == VQS_LEARN_AFFINE) {
                p[n++] = &book->scale[i];
                p[n++] = &book->shift[i];
            }
            for (int j = 0; m->s->codebook == VQS_LEARN_SIMVQ && j < m->width; j++) {
                p[n++] = &book->A[i][j];
            }
        }
    }
    return n;
}

/* The derivative by *p, from four points: exact to h^4. */
static double slope(const struct naive *m, const struct frozen *f, double *p) {
    const double at = *p, h = 1e-3;
    double value[4];
    for (int i = 0; i < 4; i++) {
        *p = at + (double[]){-2 * h, -h, h, 2 * h}[i];
        value[i] = loss(m, f);
    }
    *p = at;
    return (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * h);
}

struct adam {
    double m[MAX_PARAMS], v[MAX_PARAMS];
};

static void adam(const struct vqs_settings *s, struct adam *a, double *const *p, const double *g, int first, int last,
                 long t) {
    for (int i = first; i < last; i++) {
        a->m[i] = s->adam_beta1 * a->m[i] + (1 - s->adam_beta1) * g[i];
        a->v[i] = s->adam_beta2 * a->v[i] + (1 - s->adam_beta2) * g[i] * g[i];
        *p[i] -= s->lr * a->m[i] / (1 - pow(s->adam_beta1, (double)t)) /
                 (sqrt(a->v[i] / (1 - pow(s->adam_beta2, (double)t))) + s->adam_eps);
    }
}

static void retract(struct naive *m) {
    for (int i = 0; i < m->d; i++) {
        for (int j = 0; j <= i; j++) { /* the last pass normalises */
            double p = 0;
            for (int c = 0; c < m->D; c++) {
                p += m->W[i][c] * m->W[j][c];
            }
            for (int c = 0; c < m->D; c++) {
                m->W[i][c] = j == i ? m->W[i][c] / sqrt(p) : m->W[i][c] - p * m->W[j][c];
            }
        }
    }
}

static void follow(struct naive *m, const struct frozen *f) {
    const double keep = m->s->ema_decay;
    for (int b = 0; b < m->books; b++) {
        struct book *book = &m->book[b];
        for (int k = 0; k < m->K; k++) {
            book->n[k] *= keep;
            for (int i = 0; i < m->width; i++) {
                book->m[k][i] *= keep;
            }
        }
        for (int s = 0; s < f->n; s++) {
            double r[MAX];
            input(m, b, f->z[s], (double(*)[MAX])f->q[s], r);
            book->n[f->k[s][b]] += 1 - keep;
            for (int i = 0; i < m->width; i++) {
                book->m[f->k[s][b]][i] += (1 - keep) * r[i];
            }
        }
    }
}

/* Code k of codebook b becomes `r`, and its moments 0. */
static void move(struct naive *m, int b, int k, const double *r, double *const *p, struct adam *a) {
    struct book *book = &m->book[b];
    book->n[k] = 1;
    for (int i = 0; i < m->width; i++) {
        book->m[k][i] = r[i];
        book->c0[k][i] = m->s->codebook == VQS_LEARN_AFFINE ? (r[i] - book->shift[i]) / book->scale[i] : r[i];
        for (int j = 0; j < MAX_PARAMS && p[j]; j++) {
            if (p[j] == &book->c0[k][i]) {
                a->m[j] = a->v[j] = 0;
            }
        }
    }
}

static long revive(struct naive *m, const struct frozen *f, long number, double *const *p, struct adam *a) {
    const struct vqs_settings *s = m->s;
    const struct vqs_stream draws = {vqs_kernels_get(), s->seed, VQS_RNG_REVIVAL, (uint32_t)number};
    long revived = 0;
    for (int b = 0; b < m->books; b++) {
        bool used[MAX_K] = {false};
        for (int i = 0; i < f->n; i++) {
            used[f->k[i][b]] = true;
        }
        for (int k = 0; k < m->K; k++) {
            m->book[b].tally[k] += used[k];
        }
    }
    for (int b = 0; b < m->books && number % s->revive_period == 0; b++) {
        const int from = (int)(vqs_rng_unit(&draws, (uint64_t)b) * f->n);
        struct frozen now = *f; /* encoded and quantised by the model of this moment */
        freeze(m, &now);
        for (int k = 0; k < m->K; k++) {
            double r[MAX];
            const int sample = (from + k) % f->n;
            input(m, b, now.z[sample], now.q[sample], r);
            if (m->book[b].tally[k] < s->revive_threshold * s->revive_period) {
                move(m, b, k, r, p, a);
                revived++;
            }
            m->book[b].tally[k] = 0;
        }
    }
    return revived;
}

/* log beta after step `number`; `usage` are counts since it last moved. */
static double next_log_beta(const struct naive *m, const struct frozen *f, long number, double log_beta,
                            double usage[][MAX_K]) {
    const struct vqs_settings *s = m->s;
    double in_use = 0;
    for (int b = 0; b < m->books; b++) {
        double total = 0, H = 0;
        for (int i = 0; i < f->n; i++) {
            usage[b][f->k[i][b]]++;
        }
        for (int k = 0; k < m->K; k++) {
            total += usage[b][k];
        }
        for (int k = 0; k < m->K; k++) {
            H -= usage[b][k] > 0 ? usage[b][k] / total * log(usage[b][k] / total) : 0;
        }
        in_use += exp(H) / m->K / m->books;
    }
    if (number % s->beta_period) {
        return log_beta;
    }
    memset(usage, 0, sizeof(double[MAX_BOOKS][MAX_K]));
    return fmin(fmax(log_beta + s->beta_rate * (s->beta_target - in_use), log(s->beta_min)), log(s->beta_max));
}

static double beta_of(const struct vqs_settings *s, long number, double log_beta) {
    const double last = s->epochs * ceil((double)s->N / s->batch) - 1, x = (double)(number - 1) / last;
    const double betas[] = {[VQS_BETA_CONSTANT] = s->beta,
                            [VQS_BETA_LINEAR] = (1 - x) * s->beta + x * s->beta_end,
                            [VQS_BETA_COSINE] = s->beta + (s->beta_end - s->beta) * pow(sin(2 * atan(1) * x), 2),
                            [VQS_BETA_ADAPTIVE] = exp(log_beta)};
    return betas[s->beta_schedule];
}

/* The library's initial values, taken over. */
static void take_over(const struct vqs_settings *s, struct vqs_dataset *data, struct naive *m) {
    struct vqs_arena arena = {0};
    struct vqs_model model = {0};
    struct vqs_model_scratch scratch = {0};
    vqs_model_carve(s, vqs_kernels_get(), &arena, &model, &scratch);
    ck_assert(vqs_arena_create(&arena, arena.used, NULL) == VQS_OK);
    vqs_model_carve(s, vqs_kernels_get(), &arena, &model, &scratch);
    vqs_model_init(s, data, &model, &scratch);
    *m =
        (struct naive){.s = s, .D = s->D, .d = s->d, .K = s->K, .books = vqs_n_codebooks(s), .width = s->d / s->groups};
    for (int i = 0; i < s->d; i++) {
        for (int j = 0; j < s->D; j++) {
            m->W[i][j] = (double)model.W[(size_t)i * model.ld + (size_t)j];
            m->V[i][j] = (double)model.V[(size_t)i * model.ld + (size_t)j];
        }
    }
    for (int b = 0; b < m->books; b++) {
        for (int i = 0; i < m->width; i++) {
            m->book[b].scale[i] = m->book[b].A[i][i] = 1;
            for (int k = 0; k < m->K; k++) {
                m->book[b].n[k] = 1;
                m->book[b].m[k][i] = m->book[b].c0[k][i] =
                    (double)vqs_codebook_of(&model.quantizer, b).codes[k * m->width + i];
            }
        }
    }
    vqs_arena_destroy(&arena);
}

/* An epoch's means of the parts of the loss, and its last beta. */
struct epoch {
    double rec, vq, loss, beta;
};

static void one_step(struct naive *m, struct frozen *f, long number, struct adam *a, double **p, long *revived) {
    const struct vqs_settings *s = m->s;
    double g[MAX_PARAMS];
    int codes;
    const int n = parameters(m, p, &codes);
    p[n] = NULL;
    for (int i = 0; i < n; i++) {
        g[i] = slope(m, f, p[i]);
    }
    const long turns = s->codebook_steps + 1, rounds = (number - 1) / turns, turn = (number - 1) % turns;
    if (s->update == VQS_UPDATE_JOINT) {
        adam(s, a, p, g, 0, n, number);
    } else if (turn < s->codebook_steps) {
        adam(s, a, p, g, codes, n, rounds * s->codebook_steps + turn + 1);
    } else {
        adam(s, a, p, g, 0, codes, rounds + 1);
    }
    retract(m);
    follow(m, f);
    if (s->revive == VQS_REVIVE_EXPIRE) {
        *revived += revive(m, f, number, p, a);
    }
}

static long naive_train(const struct vqs_settings *s, struct naive *m, struct epoch *curve) {
    static struct frozen f;
    static struct adam a;
    static double *p[MAX_PARAMS + 1];
    double usage[MAX_BOOKS][MAX_K] = {{0}}, log_beta = log(s->beta);
    uint32_t order[256];
    struct vqs_dataset *data = NULL;
    long number = 0, revived = 0;
    memset(&a, 0, sizeof a);
    ck_assert(vqs_dataset_create(s, NULL, &data, NULL) == VQS_OK);
    take_over(s, data, m);
    for (int e = 0; e < s->epochs; e++) {
        const struct vqs_stream shuffle = {vqs_kernels_get(), s->seed, VQS_RNG_BATCHES, (uint32_t)e};
        vqs_rng_permutation(&shuffle, (uint32_t)s->N, order);
        curve[e] = (struct epoch){0};
        for (int start = 0; start < s->N; start += s->batch) {
            double part[4];
            f.n = s->N - start < s->batch ? s->N - start : s->batch;
            f.beta = curve[e].beta = beta_of(s, ++number, log_beta);
            for (int i = 0; i < f.n; i++) {
                for (int j = 0; j < s->D; j++) {
                    f.x[i][j] = (double)data->train.x[order[start + i] * data->ld + (size_t)j];
                }
            }
            freeze(m, &f);
            losses(m, &f, part);
            curve[e].rec += part[0] * f.n / s->N;
            curve[e].vq += part[2] * f.n / s->N;
            curve[e].loss += loss(m, &f) * f.n / s->N;
            one_step(m, &f, number, &a, p, &revived);
            log_beta = next_log_beta(m, &f, number, log_beta, usage);
        }
    }
    vqs_dataset_destroy(data);
    return revived;
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static const char *const variants[] = {
    "",
    "codebook=ema ema_decay=0.8 ema_eps=0.01",
    "codebook=ema levels=2 d=4 K=5 codebook_init=data",
    "codebook=affine d=3 codebook_init=kmeans",
    "codebook=affine d=4 groups=2 levels=2 K=5 update=alternating codebook_steps=2",
    "codebook=simvq d=3",
    "codebook=simvq d=4 groups=2 K=5 update=alternating",
    "codebook=fixed entropy_weight=0.3 entropy_tau=0.7",
    "codebook=fsq fsq_levels=3 K=9 codebook_init=data",
    "codebook=fsq fsq_levels=4 K=4 d=2 groups=2 entropy_weight=0.2",
    "codebook=lfq d=3 K=8 entropy_weight=0.2 beta_schedule=linear beta_end=0.9",
    "orthogonality=0.5",
    "orthogonality=0.5 codebook=affine entropy_weight=0.4 d=4 groups=2",
    "orthogonality=0.5 codebook=simvq d=3 revive=off",
    "entropy_weight=0.4 entropy_tau=0.5 levels=2 d=4",
    "entropy_weight=0.4 codebook=ema",
    "revive=expire revive_period=2 revive_threshold=0.7 codebook_init=normal codebook_scale=5",
    /* few codes of a large batch: were two of level 1 revived by samples that two of level 0 had just become, nothing
     * would be left of either, and rounding would choose between them */
    "revive=expire revive_period=3 levels=2 d=4 K=4 N=75 batch=30 codebook=affine codebook_init=normal "
    "codebook_scale=5",
    "revive=expire revive_period=2 codebook=ema codebook_init=normal codebook_scale=5",
    "revive=expire revive_period=2 groups=2 d=4 update=alternating codebook_init=normal codebook_scale=5",
    "beta_schedule=linear beta_end=2",
    "beta_schedule=cosine beta_end=0 codebook=ema",
    "beta_schedule=adaptive beta_period=3 beta_rate=2",
    "beta_schedule=adaptive beta_period=2 beta_rate=5 beta_max=0.4 levels=2 d=4",
};
enum { N_VARIANTS = COUNT_OF(variants), EPOCHS = 3 };

static void settings_of_variant(int variant, struct vqs_settings *s) {
    enum vqs_setting_id culprit;
    struct vqs_error err = {0};
    settings_of("D=6 r=2 d=2 K=7 N=50 N_eval=20 batch=20 lr=0.02 epochs=3 gap_restarts=0 seed=5", s);
    set_all(s, variants[variant]);
    ck_assert_msg(vqs_settings_check(s, &culprit, &err) == VQS_OK, "%s: %s", variants[variant], err.text);
}

static void expect(int variant, int epoch, const char *what, double value, double naive) {
    ck_assert_msg(fabs(value - naive) <= 1e-7 * fabs(naive), "'%s', epoch %d: %s is %.12g, naive %.12g",
                  variants[variant], epoch, what, value, naive);
}

START_TEST(trajectories_are_those_of_the_naive_trainer) {
    struct vqs_trainer *trainer = NULL;
    struct vqs_record record = {0};
    struct vqs_settings s;
    static struct naive m;
    struct epoch curve[EPOCHS];
    settings_of_variant(_i, &s);
    ck_assert(vqs_trainer_create(2, NULL, &trainer, NULL) == VQS_OK);
    ck_assert(vqs_trainer_run(trainer, &s, &record, NULL) == VQS_OK);
    const double revived = (double)naive_train(&s, &m, curve);
    for (int e = 0; e < EPOCHS; e++) {
        const double *c = record.curves + e;
        expect(_i, e, "loss_rec", c[VQS_CURVE_loss_rec * EPOCHS], curve[e].rec);
        expect(_i, e, "loss_vq", c[VQS_CURVE_loss_vq * EPOCHS], curve[e].vq);
        expect(_i, e, "loss", c[VQS_CURVE_loss * EPOCHS], curve[e].loss);
        if (s.codebook != VQS_LEARN_FSQ) {
            expect(_i, e, "beta", c[VQS_CURVE_beta * EPOCHS], curve[e].beta);
        } else {
            ck_assert(isnan(c[VQS_CURVE_beta * EPOCHS]));
        }
    }
    for (int b = 0; b < m.books; b++) {
        for (int i = 0; i < m.K * m.width; i++) {
            ck_assert_double_eq_tol(record.snapshots[b].codes[i], code(&m, b, i / m.width, i % m.width), 1e-5);
        }
    }
    ck_assert_double_eq(record.metric[VQS_METRIC_revived_codes], revived);
    ck_assert((s.revive == VQS_REVIVE_EXPIRE) == (revived > 0));
    vqs_record_destroy(&record);
    vqs_trainer_destroy(trainer);
}
END_TEST

/* beta of a replay is that of the adaptive trial with the other estimator and seed, and not its own. */
START_TEST(replay_follows_the_other_trial) {
    static const char *const sources[] = {"estimator=rotation", "estimator=projector seed=7"};
    static const char *const replays[] = {"replay_estimator=rotation", "replay_estimator=projector replay_seed=2"};
    struct vqs_trainer *trainer = NULL;
    struct vqs_record source = {0}, replay = {0}, own = {0};
    ck_assert(vqs_trainer_create(1, NULL, &trainer, NULL) == VQS_OK);
    for (int i = 0; i < 2; i++) {
        struct vqs_settings s, t;
        settings_of("D=6 d=2 K=7 N=200 N_eval=20 batch=20 lr=0.02 epochs=5 seed=5 a=0.2 codebook_init=normal "
                    "beta_schedule=adaptive beta_period=4 beta_rate=1",
                    &s);
        t = s;
        ck_assert(vqs_trainer_run(trainer, &s, &own, NULL) == VQS_OK);
        set_all(&t, sources[i]);
        ck_assert(vqs_trainer_run(trainer, &t, &source, NULL) == VQS_OK);
        set_all(&s, replays[i]);
        set(&s, "beta_schedule", "replay");
        ck_assert(vqs_trainer_run(trainer, &s, &replay, NULL) == VQS_OK);
        const size_t at = (size_t)(VQS_CURVE_beta * s.epochs), size = (size_t)s.epochs * sizeof(double);
        ck_assert_mem_eq(replay.curves + at, source.curves + at, size);
        ck_assert_mem_ne(replay.curves + at, own.curves + at, size);
        const size_t rec = (size_t)(VQS_CURVE_loss_rec * s.epochs); /* the training is its own */
        ck_assert_mem_ne(replay.curves + rec, source.curves + rec, size);
    }
    vqs_record_destroy(&source);
    vqs_record_destroy(&replay);
    vqs_record_destroy(&own);
    vqs_trainer_destroy(trainer);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codebook training");
    TCase *tests = tcase_create("against a naive trainer");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, trajectories_are_those_of_the_naive_trainer, 0, N_VARIANTS);
    tcase_add_test(tests, replay_follows_the_other_trial);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
