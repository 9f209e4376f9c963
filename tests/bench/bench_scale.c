/* bench_scale.c - how many ranks one rank 0 can feed: the bookkeeping of sched_dispatch.c under a model clock.
 *
 *   bench_scale [--cost US] [--beat US] [--delay US] [--prefetch N] [--trials N] [--ranks N]
 *
 * The model: each rank has one slot. Rank 0's main thread works for `cost` microseconds a trial, half when it hands the
 * trial out and half when it collects the result, one message at a time, in the order of arrival, and `beat`
 * microseconds a rank and second on the signs of life that go both ways; the thread has a core of its own. A message
 * takes `delay` microseconds, of which naps are the largest part. Each rank gets `trials` trials, whose times are
 * spread evenly from half the mean to one and a half. Efficiency is all time spent in trials over ranks times the time
 * until the last result: the start, when every rank waits for its first trial, and the end, when ranks run dry, are in
 * it. bench_sched measures the costs and the delay of the real scheduler. */
#include "sched_dispatch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    double cost, beat, delay; /* seconds */
    int prefetch, trials, most_ranks;
} options = {.cost = 10e-6, .beat = 4e-6, .delay = 300e-6, .prefetch = 4, .trials = 100, .most_ranks = 100000};

static const double trial_seconds[] = {0.001, 0.01, 0.1, 1};
static const int rank_counts[] = {1, 10, 100, 300, 1000, 3000, 10000, 30000, 100000};
enum { N_TIMES = sizeof trial_seconds / sizeof *trial_seconds, N_COUNTS = sizeof rank_counts / sizeof *rank_counts };

struct event {
    double time;
    int rank;
    uint32_t task;
};

/* Events that come about in the order of their times, as messages of equal delay do. */
struct queue {
    struct event *at;
    size_t first, n, capacity;
};

/* A model of a run. */
struct model {
    struct vqs_dispatch dispatch;
    double mean; /* seconds of a trial */
    int n_ranks;
    uint32_t *order;
    struct event *running; /* heap, soonest first: ends of trials */
    size_t n_running;
    struct queue to_ranks, to_master;
    uint32_t *waiting; /* [n_ranks][prefetch + 1] trials that have arrived and not begun, first to last */
    int *n_waiting;
    bool *busy;
    double master; /* when rank 0's main thread is free */
    double next_beat;
    double worked, trained;
};

static void *take(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        fprintf(stderr, "bench_scale: no memory\n");
        exit(6);
    }
    return memory;
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

static void queue_put(struct queue *q, struct event e) {
    q->at[(q->first + q->n++) % q->capacity] = e;
}

static struct event queue_get(struct queue *q) {
    const struct event e = q->at[q->first];
    q->first = (q->first + 1) % q->capacity;
    q->n--;
    return e;
}

static double queue_time(const struct queue *q) {
    return q->n ? q->at[q->first].time : INFINITY;
}

static void heap_put(struct model *m, struct event e) {
    size_t i = m->n_running++;
    for (; i > 0 && m->running[(i - 1) / 2].time > e.time; i = (i - 1) / 2) {
        m->running[i] = m->running[(i - 1) / 2];
    }
    m->running[i] = e;
}

static struct event heap_get(struct model *m) {
    const struct event soonest = m->running[0], last = m->running[--m->n_running];
    size_t i = 0;
    for (size_t child = 1; child < m->n_running; child = 2 * i + 1) {
        child += child + 1 < m->n_running && m->running[child + 1].time < m->running[child].time;
        if (m->running[child].time >= last.time) {
            break;
        }
        m->running[i] = m->running[child];
        i = child;
    }
    m->running[i] = last;
    return soonest;
}

/* ---- the actors ------------------------------------------------------------------------------------------------ */

/* Rank 0's main thread works for so many seconds, from `now` or from when it is free. */
static void master_works(struct model *m, double now, double seconds) {
    m->master = fmax(m->master, now) + seconds;
    m->worked += seconds;
}

/* Every rank is heard, and none is overdue. */
static void beat(struct model *m) {
    struct vqs_dispatch_loss loss;
    for (int r = 0; r < m->n_ranks; r++) {
        vqs_dispatch_heard(&m->dispatch, r, m->next_beat);
    }
    if (vqs_dispatch_overdue(&m->dispatch, m->next_beat, &loss)) {
        fprintf(stderr, "bench_scale: the bookkeeping gave up rank %d, which is well\n", loss.rank);
        exit(70);
    }
    master_works(m, m->next_beat, options.beat * (m->n_ranks - 1));
    m->next_beat = fmax(m->next_beat + 1, m->master); /* sched.c beats again when it gets to it */
}

static bool hand_out(struct model *m, int rank, double now) {
    uint32_t task;
    if (!vqs_dispatch_next(&m->dispatch, rank, &task)) {
        return false;
    }
    master_works(m, now, options.cost / 2);
    queue_put(&m->to_ranks, (struct event){m->master + options.delay, rank, task});
    return true;
}

static void collect(struct model *m, struct event e) {
    master_works(m, e.time, options.cost / 2);
    if (vqs_dispatch_finish(&m->dispatch, e.rank, e.task, m->mean, NULL) != VQS_DISPATCH_FIRST) {
        fprintf(stderr, "bench_scale: the bookkeeping does not know task %u\n", e.task);
        exit(70);
    }
    hand_out(m, e.rank, e.time);
}

static void begin(struct model *m, int rank, uint32_t task, double now) {
    const double u = (double)((task * UINT64_C(0x9E3779B97F4A7C15)) >> 11) * 0x1p-53; /* in [0, 1), by the trial */
    const double seconds = m->mean * (0.5 + u);
    m->busy[rank] = true;
    m->trained += seconds;
    heap_put(m, (struct event){now + seconds, rank, task});
}

static void arrive(struct model *m, struct event e) {
    if (m->busy[e.rank]) {
        m->waiting[(size_t)e.rank * (size_t)(options.prefetch + 1) + (size_t)m->n_waiting[e.rank]++] = e.task;
    } else {
        begin(m, e.rank, e.task, e.time);
    }
}

static void end(struct model *m, struct event e) {
    queue_put(&m->to_master, (struct event){e.time + options.delay, e.rank, e.task});
    m->busy[e.rank] = false;
    if (m->n_waiting[e.rank]) {
        uint32_t *waiting = m->waiting + (size_t)e.rank * (size_t)(options.prefetch + 1), task = waiting[0];
        memmove(waiting, waiting + 1, (size_t)--m->n_waiting[e.rank] * sizeof *waiting);
        begin(m, e.rank, task, e.time);
    }
}

static void run(struct model *m) {
    for (bool any = true; any;) { /* the first trials go round by round, as in sched.c */
        any = false;
        for (int r = 0; r < m->n_ranks; r++) {
            any |= hand_out(m, r, 0);
        }
    }
    while (!vqs_dispatch_over(&m->dispatch)) {
        const double ended = m->n_running ? m->running[0].time : INFINITY;
        if (m->next_beat <= fmin(ended, fmin(queue_time(&m->to_ranks), queue_time(&m->to_master)))) {
            beat(m);
        } else if (ended <= fmin(queue_time(&m->to_ranks), queue_time(&m->to_master))) {
            end(m, heap_get(m));
        } else if (queue_time(&m->to_ranks) <= queue_time(&m->to_master)) {
            arrive(m, queue_get(&m->to_ranks));
        } else {
            collect(m, queue_get(&m->to_master));
        }
    }
}

/* ---- one run --------------------------------------------------------------------------------------------------- */

struct outcome {
    double efficiency, master; /* shares: of the ranks' time in trials, of rank 0's main thread at work */
};

static void create(struct model *m, int n_ranks, double mean) {
    struct vqs_error err = {0};
    const size_t ranks = (size_t)n_ranks, at_a_rank = (size_t)options.prefetch + 1, n_tasks = ranks * options.trials;
    *m = (struct model){.mean = mean, .n_ranks = n_ranks, .next_beat = 1};
    m->order = take(n_tasks, sizeof *m->order);
    for (size_t i = 0; i < n_tasks; i++) {
        m->order[i] = (uint32_t)i;
    }
    int(*rooms)[2] = take(ranks, sizeof *rooms);
    for (int r = 0; r < n_ranks; r++) {
        rooms[r][0] = 1;
        rooms[r][1] = options.prefetch;
    }
    const struct vqs_dispatch_patience patience = {.silence = 30, .stall = 600};
    if (vqs_dispatch_create(&m->dispatch, m->order, (uint32_t)n_tasks, n_ranks, (const int(*)[2])rooms, &patience,
                            &err)) {
        fprintf(stderr, "bench_scale: %s\n", err.text);
        exit(6);
    }
    free(rooms);
    m->running = take(ranks, sizeof *m->running);
    m->to_ranks.capacity = m->to_master.capacity = ranks * at_a_rank;
    m->to_ranks.at = take(ranks * at_a_rank, sizeof *m->to_ranks.at);
    m->to_master.at = take(ranks * at_a_rank, sizeof *m->to_master.at);
    m->waiting = take(ranks * at_a_rank, sizeof *m->waiting);
    m->n_waiting = take(ranks, sizeof *m->n_waiting);
    m->busy = take(ranks, sizeof *m->busy);
}

static void destroy(struct model *m) {
    vqs_dispatch_destroy(&m->dispatch);
    free(m->order);
    free(m->running);
    free(m->to_ranks.at);
    free(m->to_master.at);
    free(m->waiting);
    free(m->n_waiting);
    free(m->busy);
}

static struct outcome simulate(int n_ranks, double mean) {
    struct model m;
    create(&m, n_ranks, mean);
    run(&m);
    const struct outcome outcome = {m.trained / (n_ranks * m.master), m.worked / m.master};
    destroy(&m);
    return outcome;
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* Prints the number of ranks at which efficiency falls through `level`: looked for between two counts. */
static void print_bend(double mean, const double *efficiency, int n, double level) {
    printf("  under %.0f%%: ", 100 * level);
    int i = 0;
    while (i < n && efficiency[i] >= level) {
        i++;
    }
    if (i == 0 || i == n) {
        printf(i == 0 ? "at once;" : "not within these;");
        return;
    }
    double good = rank_counts[i - 1], bad = rank_counts[i];
    while (bad > fmax(1.02 * good, good + 1)) {
        const double middle = round(sqrt(good * bad));
        *(simulate((int)middle, mean).efficiency < level ? &bad : &good) = middle;
    }
    printf("%.0f ranks;", bad);
}

static void print_line(double mean) {
    double efficiency[N_COUNTS], busy[N_COUNTS];
    int n = 0;
    printf("%7.0f ms", 1e3 * mean);
    for (; n < N_COUNTS && rank_counts[n] <= options.most_ranks; n++) {
        if (n > 0 && efficiency[n - 1] < 0.2) { /* nothing new beyond */
            break;
        }
        const struct outcome o = simulate(rank_counts[n], mean);
        efficiency[n] = o.efficiency;
        busy[n] = o.master;
        printf(" %7.1f%%", 100 * efficiency[n]);
        fflush(stdout);
    }
    printf("\n    rank 0");
    for (int i = 0; i < n; i++) {
        printf(" %7.1f%%", 100 * busy[i]);
    }
    printf("\n         ");
    print_bend(mean, efficiency, n, 0.95);
    print_bend(mean, efficiency, n, 0.5);
    printf("  trial over cost: %.0f\n", mean / options.cost);
}

static void parse(int argc, char **argv) {
    bool good = argc % 2 == 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const double value = atof(argv[i + 1]);
        if (!strcmp(argv[i], "--cost")) {
            options.cost = 1e-6 * value;
        } else if (!strcmp(argv[i], "--beat")) {
            options.beat = 1e-6 * value;
        } else if (!strcmp(argv[i], "--delay")) {
            options.delay = 1e-6 * value;
        } else if (!strcmp(argv[i], "--prefetch")) {
            options.prefetch = (int)value;
        } else if (!strcmp(argv[i], "--trials")) {
            options.trials = (int)value;
        } else if (!strcmp(argv[i], "--ranks")) {
            options.most_ranks = (int)value;
        } else {
            good = false;
        }
    }
    if (!good || !(options.cost > 0) || !(options.beat >= 0) || !(options.delay >= 0) || options.prefetch < 0 ||
        options.prefetch > 1000 || options.trials < 1 || options.trials > 10000 || options.most_ranks < 1) {
        fprintf(stderr,
                "usage: bench_scale [--cost US] [--beat US] [--delay US] [--prefetch N] [--trials N] [--ranks N]\n");
        exit(2);
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    printf("model of a run: rank 0 works %.1f us a trial and %.1f us a rank and second, messages take %.0f us,\n"
           "prefetch %d, %d trials a rank\n"
           "share of the ranks' time spent in trials, and of rank 0's main thread at work:\n%10s",
           1e6 * options.cost, 1e6 * options.beat, 1e6 * options.delay, options.prefetch, options.trials, "ranks");
    for (int i = 0; i < N_COUNTS && rank_counts[i] <= options.most_ranks; i++) {
        printf(" %8d", rank_counts[i]);
    }
    printf("\n");
    for (int i = 0; i < N_TIMES; i++) {
        print_line(trial_seconds[i]);
    }
    return 0;
}
