/* bench_step.c - what a training step costs, and how far that is from what the machine can do.
 *
 *   bench_step [--rounds N] [--seconds S] [--rows 1,3] [--estimator NAME] [--team 1|2] [--kv] | --list
 *
 * For each shape, each estimator that trains and teams of one and two threads: the time of a step through the public
 * API, taken between the ends of the first and of the last epoch but one of a trial, so that it holds all that an epoch
 * does (shuffling, curves, retraction) and nothing that a trial does once. A team of one is judged by its CPU time,
 * which other programs on the machine hardly lengthen; a team of two by the clock on the wall.
 *
 * The floor is the time that the counted flops take at the peak of multiply-adds, or that the bytes take which a step
 * has to move at the least, whichever is longer. Prints a table, or with --kv one line of key=value a row, for
 * table.py. */
#include "bench.h"
#include "peaks.h"

#include "vqsweep/estimators.h"
#include "vqsweep/kernels.h"
#include "vqsweep/train.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct row {
    int D, d, K, B, hidden; /* 0: the linear model; else an MLP with one hidden layer of that width */
} rows[] = {{64, 8, 16, 256, 0},     {64, 8, 64, 256, 0},      {64, 8, 1024, 256, 0},    {256, 64, 1024, 256, 0},
            {192, 32, 512, 1024, 0}, {128, 2, 16, 256, 0} /* the seed study's */,
            {192, 16, 512, 256, 256}, {192, 16, 512, 1024, 512}};
enum { N_ROWS = sizeof rows / sizeof *rows, MAX_ROUNDS = 99, MOST_ESTIMATORS = 64 };
enum { MAX_CASES = 2 * N_ROWS * MOST_ESTIMATORS };

static struct {
    int rounds;
    double seconds; /* of a measurement, about */
    bool wanted[N_ROWS], kv;
    int estimator; /* -1: all that train */
    int team;      /* 0: both */
} options = {.rounds = 5, .seconds = 0.05, .estimator = -1};

/* One shape, estimator and team, and what was measured of it in each round. */
static struct bench_case {
    const struct row *row;
    int estimator, team, epochs;              /* epochs of the longer trial; 0 until the first round */
    double wall[MAX_ROUNDS], cpu[MAX_ROUNDS]; /* seconds a step */
    double trial[MAX_ROUNDS];                 /* CPU seconds of a whole trial; a team of one only */
} cases[MAX_CASES];
static int n_cases;
static double peaks[N_PEAKS][MAX_ROUNDS];

static void check(enum vqs_status status, const struct vqs_error *err) {
    if (status) {
        fprintf(stderr, "bench_step: %s\n", err->text);
        exit(1);
    }
}

/* ---- counting -------------------------------------------------------------------------------------------------- */

/* Weights of an MLP. */
static double weights(const struct row *r) {
    return 2.0 * (r->D + r->d) * r->hidden;
}

/* Two products with x of 2 d rows each, whether or not half of the second is had for less (step.c); or an MLP's three
 * products a layer but for the gradient to x; and the search for the nearest code. */
static double flops(const struct row *r) {
    const double model = r->hidden ? 6 * weights(r) - 2.0 * r->D * r->hidden : 8.0 * r->D * r->d;
    return model * r->B + 2.0 * r->B * r->K * r->d;
}

/* Seconds below which no step can come at those peaks: of the flops, or of moving what must be moved: the batch once
 * from where the data are, and parameters and both moments of Adam in and out. */
static double floor_seconds(const struct row *r, const double peak[N_PEAKS]) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    const double x = sizeof(float) * vqs_row_stride(r->D);
    const double state = 3 * sizeof(float) * ((r->hidden ? weights(r) : 2.0 * r->D * r->d) + (double)r->K * r->d);
    const double moving = x * r->B / peak[bench_home((size_t)(x * s.N))] + 2 * state / peak[bench_home((size_t)state)];
    return fmax(flops(r) / peak[PEAK_FMA], moving);
}

/* ---- measuring ------------------------------------------------------------------------------------------------- */

static struct vqs_settings settings_of(const struct bench_case *c, int epochs) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    s.D = c->row->D;
    s.d = s.r = c->row->d;
    s.K = c->row->K;
    s.batch = c->row->B;
    s.model = c->row->hidden ? VQS_MODEL_MLP : VQS_MODEL_LINEAR;
    s.hidden = c->row->hidden ? c->row->hidden : s.hidden;
    s.codebook_init = VQS_INIT_DATA; /* codes in use, as in a trial that goes well */
    s.estimator = c->estimator;
    s.epochs = epochs;
    return s;
}

static int steps_an_epoch(const struct vqs_settings *s) {
    return (s->N + s->batch - 1) / s->batch;
}

struct duration {
    double wall, cpu;
};

/* When the first and the latest epoch ended. */
struct watch {
    int epochs;
    struct duration first, latest;
};

static bool on_epoch(void *ctx, const struct vqs_trial_state *state) {
    struct watch *watch = ctx;
    watch->epochs = state->epoch;
    watch->latest = (struct duration){vqs_clock_seconds(), bench_process_seconds()};
    if (state->epoch == 1) {
        watch->first = watch->latest;
    }
    return true;
}

/* Seconds a step in a trial of so many epochs, at least 3. */
static struct duration time_step(const struct bench_case *c, int epochs, struct vqs_record *record) {
    struct vqs_error err = {0};
    struct vqs_trainer *trainer;
    struct watch watch = {0};
    struct vqs_settings s = settings_of(c, epochs);
    s.gap_restarts = 0; /* no k-means at the end */
    check(vqs_trainer_create(c->team, NULL, &trainer, &err), &err);
    vqs_trainer_set_hooks(trainer, &(struct vqs_trial_hooks){.ctx = &watch, .epoch = on_epoch});
    check(vqs_trainer_run(trainer, &s, record, &err), &err);
    vqs_trainer_destroy(trainer);
    const double steps = (double)(watch.epochs - 1) * steps_an_epoch(&s);
    return (struct duration){(watch.latest.wall - watch.first.wall) / steps,
                             (watch.latest.cpu - watch.first.cpu) / steps};
}

/* Enough epochs to fill options.seconds: by the wall too, since a team waits for each other on a busy machine. */
static int choose_epochs(const struct bench_case *c, struct vqs_record *record) {
    const struct vqs_settings s = settings_of(c, 1);
    const struct duration step = time_step(c, 4, record);
    return 3 + (int)(options.seconds / (steps_an_epoch(&s) * fmax(step.wall, step.cpu)));
}

/* A whole trial of default length by a trainer that knows nothing, until its record is packed. */
static double time_trial(const struct bench_case *c, struct vqs_record *record) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    s = settings_of(c, s.epochs);
    struct vqs_trainer *trainer;
    struct vqs_bytes packed = {0};
    struct vqs_error err = {0};
    const double start = bench_thread_seconds();
    check(vqs_trainer_create(1, NULL, &trainer, &err), &err);
    check(vqs_trainer_run(trainer, &s, record, &err), &err);
    check(vqs_record_pack(record, &packed, &err), &err);
    vqs_trainer_destroy(trainer);
    const double taken = bench_thread_seconds() - start;
    vqs_bytes_destroy(&packed);
    return taken;
}

static void measure_case(struct bench_case *c, int round) {
    struct vqs_record record = {0};
    if (c->epochs == 0) {
        c->epochs = choose_epochs(c, &record);
    }
    const struct duration step = time_step(c, c->epochs, &record);
    c->wall[round] = step.wall;
    c->cpu[round] = step.cpu;
    c->trial[round] = c->team == 1 ? time_trial(c, &record) : NAN;
    vqs_record_destroy(&record);
}

static void measure(void) {
    for (int round = 0; round < options.rounds; round++) {
        for (int p = 0; p < N_PEAKS; p++) {
            peaks[p][round] = bench_peak((enum bench_peak)p, options.seconds);
        }
        for (int i = 0; i < n_cases; i++) {
            measure_case(&cases[i], round);
        }
    }
}

static void list_cases(void) {
    if (vqs_estimator_count() > MOST_ESTIMATORS) {
        fprintf(stderr, "bench_step: room for %d estimators only\n", MOST_ESTIMATORS);
        exit(1);
    }
    for (int r = 0; r < N_ROWS; r++) {
        for (int e = 0; options.wanted[r] && e < vqs_estimator_count(); e++) {
            const bool wanted = options.estimator < 0 || options.estimator == e;
            for (int team = 1; team <= 2 && wanted && vqs_estimator_get(e)->backward; team++) {
                if (options.team == 0 || options.team == team) {
                    cases[n_cases++] = (struct bench_case){.row = &rows[r], .estimator = e, .team = team};
                }
            }
        }
    }
}

/* ---- reporting ------------------------------------------------------------------------------------------------- */

struct report {
    struct bench_spread wall, cpu;
    double gflops, of_sgemm, of_floor, trial; /* of a team: of as many times one core's peak */
};

static struct report report_of(struct bench_case *c, const double peak[N_PEAKS]) {
    const size_t n = (size_t)options.rounds;
    struct report r = {.trial = bench_spread(c->trial, n).median};
    r.wall = bench_spread(c->wall, n);
    r.cpu = bench_spread(c->cpu, n);
    struct vqs_settings s;
    vqs_settings_default(&s);
    s = settings_of(c, s.epochs);
    const double seconds = c->team == 1 ? r.cpu.median : r.wall.median;
    r.gflops = 1e-9 * flops(c->row) / seconds;
    r.of_sgemm = 1e9 * r.gflops / (c->team * peak[PEAK_SGEMM]);
    r.of_floor = floor_seconds(c->row, peak) / (c->team * seconds);
    r.trial /= seconds * s.epochs * steps_an_epoch(&s);
    return r;
}

static void name_row(const struct row *r, char *name, size_t size) {
    const int length = snprintf(name, size, "%d,%d,%d,%d", r->D, r->d, r->K, r->B);
    if (r->hidden) {
        snprintf(name + length, size - (size_t)length, ",mlp%d", r->hidden);
    }
}

static void print_kv(const struct bench_case *c, const struct report *r, const double peak[N_PEAKS]) {
    char shape[48];
    name_row(c->row, shape, sizeof shape);
    printf("bench=step row=%s estimator=%s team=%d rounds=%d us=%.3f us_low=%.3f us_high=%.3f cpu_us=%.3f "
           "cpu_us_low=%.3f cpu_us_high=%.3f gflops=%.2f of_sgemm=%.4f floor_us=%.3f of_floor=%.4f trial=%.4f\n",
           shape, vqs_estimator_get(c->estimator)->name, c->team, options.rounds,
           1e6 * r->wall.median, 1e6 * r->wall.low, 1e6 * r->wall.high, 1e6 * r->cpu.median, 1e6 * r->cpu.low,
           1e6 * r->cpu.high, r->gflops, r->of_sgemm, 1e6 * floor_seconds(c->row, peak), r->of_floor, r->trial);
}

static void print_row(const struct bench_case *c, const struct report *r) {
    char shape[48], range[32], trial[16] = "";
    name_row(c->row, shape, sizeof shape);
    snprintf(range, sizeof range, "%.1f..%.1f", 1e6 * r->wall.low, 1e6 * r->wall.high);
    if (c->team == 1) {
        snprintf(trial, sizeof trial, "%.2f", r->trial);
    }
    printf("%-22s %-20s %4d %9.2f %9.2f %15s %8.1f %6.1f%% %6.1f%% %6s\n", shape, vqs_estimator_get(c->estimator)->name,
           c->team, 1e6 * r->cpu.median, 1e6 * r->wall.median, range, r->gflops, 100 * r->of_sgemm, 100 * r->of_floor,
           trial);
}

static void print_machine(const double peak[N_PEAKS], double others) {
    const char *coretype = getenv("OPENBLAS_CORETYPE");
    const char *head = options.kv ? "bench=machine class=%s openblas=%s coretype=%s others=%.2f"
                                  : "kernels %s, OpenBLAS %s (OPENBLAS_CORETYPE %s); others kept %.2f cores busy\n";
    printf(head, vqs_kernels_cpu_class(), openblas_get_corename(), coretype ? coretype : "unset", others);
    for (int p = 0; p < N_PEAKS; p++) {
        printf(options.kv ? " %s=%.1f" : "%s %.0f  ", bench_peak_name((enum bench_peak)p), 1e-9 * peak[p]);
    }
    printf(options.kv ? "\n" : "(GFLOP/s and GB/s of one core)\n\n");
}

static void print_all(double others) {
    double peak[N_PEAKS];
    for (int p = 0; p < N_PEAKS; p++) {
        peak[p] = bench_spread(peaks[p], (size_t)options.rounds).median;
    }
    print_machine(peak, others);
    if (!options.kv) {
        printf("%-22s %-20s %4s %9s %9s %15s %8s %7s %7s %6s\n", "D,d,K,B", "estimator", "team", "us (CPU)",
               "us (wall)", "range of wall", "GFLOP/s", "sgemm", "floor", "trial");
    }
    for (int i = 0; i < n_cases; i++) {
        const struct report r = report_of(&cases[i], peak);
        if (options.kv) {
            print_kv(&cases[i], &r, peak);
        } else {
            print_row(&cases[i], &r);
        }
    }
    if (!options.kv) {
        printf("\nsgemm, floor: share of OpenBLAS's rate, and of the rate that multiply-adds and memory would allow.\n"
               "trial: a whole trial over its steps times the time of a step.\n");
    }
}

/* ---- the command line ------------------------------------------------------------------------------------------ */

static void usage(void) {
    fprintf(stderr,
            "usage: bench_step [--rounds 1..%d] [--seconds S] [--rows 1,3] [--estimator NAME] [--team 1|2] [--kv] | "
            "--list\n",
            MAX_ROUNDS);
    exit(2);
}

static void want_rows(const char *list) {
    memset(options.wanted, 0, sizeof options.wanted);
    char *end;
    do {
        const long row = strtol(list, &end, 10);
        if (row < 1 || row > N_ROWS || (*end && *end != ',')) {
            usage();
        }
        options.wanted[row - 1] = true;
        list = end + 1;
    } while (*end);
}

static void parse(int argc, char **argv) {
    memset(options.wanted, true, sizeof options.wanted);
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--kv")) {
            options.kv = true;
            continue;
        }
        if (!strcmp(argv[i], "--rounds")) {
            options.rounds = atoi(value);
        } else if (!strcmp(argv[i], "--seconds")) {
            options.seconds = atof(value);
        } else if (!strcmp(argv[i], "--rows")) {
            want_rows(value);
        } else if (!strcmp(argv[i], "--team")) {
            options.team = atoi(value);
        } else if (!strcmp(argv[i], "--estimator")) {
            if ((options.estimator = vqs_estimator_find(value)) < 0) {
                usage();
            }
        } else {
            usage();
        }
        i++;
    }
    const bool untrained = options.estimator >= 0 && !vqs_estimator_get(options.estimator)->backward;
    if (options.rounds < 1 || options.rounds > MAX_ROUNDS || !(options.seconds > 0) || untrained || options.team < 0 ||
        options.team > 2) {
        usage();
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "--list")) { /* the shapes, for the peers */
        for (int r = 0; r < N_ROWS && !rows[r].hidden; r++) { /* peers know no MLP */
            printf("%d,%d,%d,%d\n", rows[r].D, rows[r].d, rows[r].K, rows[r].B);
        }
        return 0;
    }
    parse(argc, argv);
    list_cases();
    const struct bench_load before = bench_load_now();
    measure();
    print_all(bench_load_others(&before));
    return 0;
}
