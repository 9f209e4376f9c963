/* cmd_run.c - `vqsweep run`: from a job to a result file, on every rank.
 *
 * Set-up goes in steps that all ranks agree on, so that one rank's error ends all of them with one message before the
 * first trial; then the farm runs; then rank 0 finishes the file. */
#include "audit.h"
#include "cli.h"
#include "farm.h"
#include "inputs.h"
#include "node.h"
#include "vqsweep/crew.h"
#include "vqsweep/data.h"
#include "vqsweep/kernels.h"
#include "vqsweep/train.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct run {
    const struct vqs_cli *cli;
    MPI_Comm comm;
    int rank, n_ranks;
    struct vqs_node node;
    struct vqs_farm farm;
    struct vqs_sched_summary summary;
    /* rank 0 */
    struct vqs_audit_facts *facts; /* [n_ranks] */
    struct vqs_bytes job;
    struct vqs_plan *plan;
    struct vqs_provenance provenance;
    struct vqs_output *output;
    char *default_path;
    const char *path;
    /* every rank */
    struct vqs_bytes trials_folder; /* a text */
};

/* ---- threads --------------------------------------------------------------------------------------------------- */

/* Collective: threads that share a trial, the same on all ranks, by rank 0's choice for as many threads as all have. */
static int choose_team(const struct run *run, int threads) {
    int least, team = 1;
    MPI_Allreduce(&threads, &least, 1, MPI_INT, MPI_MIN, run->comm);
    if (run->rank == 0) {
        const struct vqs_crew crew = {run->n_ranks, least, (uint32_t)run->cli->shard[0] - 1,
                                      (uint32_t)run->cli->shard[1], vqs_crew_measure};
        team = vqs_crew_choose(&crew, run->plan);
    }
    MPI_Bcast(&team, 1, MPI_INT, 0, run->comm);
    return team;
}

/* Threads of this rank, and how many trials that makes side by side. */
static enum vqs_status choose_slots(struct run *run, struct vqs_error *err) {
    const struct vqs_cli *cli = run->cli;
    const int threads = cli->threads ? cli->threads : run->node.share > cli->team ? run->node.share : cli->team;
    const int team = cli->team ? cli->team : choose_team(run, threads);
    if (team > threads) {
        return vqs_fail(err, VQS_ERR_USAGE, "--team: %d threads share a trial, but --threads gives a rank only %d",
                        team, threads);
    }
    run->farm.rank = run->rank;
    run->farm.team = team;
    run->farm.adapts = !cli->team;
    run->farm.slots = threads / team;
    run->farm.prefetch = cli->prefetch;
    run->farm.trial_checkpoint = (double)cli->trial_checkpoint;
    run->farm.grace = (double)cli->grace;
    run->farm.silence = cli->silence;
    run->farm.stall = cli->stall;
    run->farm.attempts = cli->attempts;
    run->farm.profiled = cli->profile;
    memcpy(run->farm.host, run->node.host, sizeof run->farm.host);
    openblas_set_num_threads(1);
    return VQS_OK;
}

static int total_slots(const struct run *run) {
    int total = 0;
    for (int r = 0; r < run->n_ranks; r++) {
        total += run->facts[r].slots;
    }
    return total;
}

/* About what journal and result file take together, with the temporary one. */
static double expected_bytes(const struct run *run) {
    double bytes = 0;
    for (size_t t = 0; t < vqs_plan_n_trials(run->plan); t++) {
        struct vqs_settings settings;
        vqs_plan_trial_settings(run->plan, t, &settings);
        bytes += 3 * (double)vqs_trial_record_bytes(&settings);
    }
    return bytes;
}

/* ---- provenance ------------------------------------------------------------------------------------------------ */

static bool is_like(const struct vqs_audit_facts *a, const struct vqs_audit_facts *b) {
    return !strcmp(a->host, b->host) && a->threads == b->threads && !strcmp(a->cpu_class, b->cpu_class);
}

/* "vm: 2 x 4 threads, avx512; ..." (ranks x threads of a rank) for each stretch of equal ranks */
static void describe_ranks(const struct run *run, char *text, size_t size) {
    size_t used = 0;
    for (int r = 0, next; r < run->n_ranks; r = next) {
        const struct vqs_audit_facts *facts = &run->facts[r];
        for (next = r + 1; next < run->n_ranks && is_like(&run->facts[next], facts);) {
            next++;
        }
        used += (size_t)snprintf(text + used, used < size ? size - used : 0, "%s%s: %d x %d threads, %s", r ? "; " : "",
                                 facts->host, next - r, facts->threads, facts->cpu_class);
        used = used < size ? used : size;
    }
}

static void add_run_provenance(struct run *run) {
    struct vqs_provenance *p = &run->provenance;
    char text[4096];
    vqs_provenance_add_build(p);
    describe_ranks(run, text, sizeof text);
    vqs_provenance_add(p, "hosts", "%s", text);
    vqs_provenance_add(p, "ranks", "%d", run->n_ranks);
    vqs_provenance_add(p, "slots", "%d", total_slots(run));
    vqs_provenance_add(p, "team", "%d", run->farm.team);
    vqs_provenance_add(p, "prefetch", "%d", run->farm.prefetch);
    vqs_provenance_add(p, "launcher", "%s", run->node.launcher[0] ? run->node.launcher : "none");
    if (getenv("SLURM_JOB_ID")) {
        vqs_provenance_add(p, "slurm_job", "%s", getenv("SLURM_JOB_ID"));
    }
    vqs_provenance_add(p, "command", "%s", run->cli->command);
    if (run->cli->seeds) {
        vqs_provenance_add(p, "seeds", "%s", run->cli->seeds);
    }
    if (run->cli->shard[1] > 1) {
        vqs_provenance_add(p, "shard", "%lld/%lld", (long long)run->cli->shard[0], (long long)run->cli->shard[1]);
    }
    time_t now = time(NULL);
    struct tm utc;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    vqs_provenance_add(p, "started_at", "%s", text);
}

/* ---- rank 0's set-up ------------------------------------------------------------------------------------------- */

static enum vqs_status read_plan(struct run *run, struct vqs_error *err) {
    struct vqs_plan_overrides overrides = {.seeds = run->cli->seeds};
    enum vqs_status status = vqs_cli_read_job(run->cli->file, &run->job, err);
    if (status == VQS_OK) {
        status =
            vqs_plan_create((const char *)run->job.data, run->job.size, run->cli->file, &overrides, &run->plan, err);
    }
    if (status == VQS_OK && run->cli->output) {
        run->path = run->cli->output;
    } else if (status == VQS_OK) {
        const char *name = vqs_plan_name(run->plan);
        size_t size = strlen(name) + sizeof "results/.h5";
        run->path = run->default_path = malloc(size);
        if (!run->path) {
            return vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
        }
        snprintf(run->default_path, size, "results/%s.h5", name);
    }
    return status;
}

/* Every node must see the data files that trials will read. */
static enum vqs_status check_data(struct run *run, struct vqs_error *err) {
    struct vqs_bytes list = {0};
    enum vqs_status status = VQS_OK;
    if (run->rank == 0) {
        status = vqs_inputs_list(run->plan, &list, err);
    }
    if ((status = vqs_sched_agree(run->comm, status, err)) == VQS_OK) {
        status = vqs_sched_broadcast(run->comm, &list, err);
    }
    if (status == VQS_OK) {
        for (size_t at = 0; at < list.size && run->node.rank == 0 && status == VQS_OK;
             at += sizeof(struct vqs_settings)) {
            struct vqs_settings settings;
            struct vqs_dataset *data;
            memcpy(&settings, list.data + at, sizeof settings);
            status = vqs_dataset_create(&settings, &vqs_source_hdf5, &data, err);
            vqs_dataset_destroy(data);
        }
        if (status == VQS_OK && run->rank == 0) {
            status = vqs_inputs_add_provenance(&list, &run->provenance, err);
        }
        status = vqs_sched_agree(run->comm, status, err);
    }
    vqs_bytes_destroy(&list);
    return status;
}

static enum vqs_status open_output(struct run *run, struct vqs_error *err) {
    const struct vqs_cli *cli = run->cli;
    run->farm.shard = (struct vqs_shard){(uint32_t)cli->shard[0] - 1, (uint32_t)cli->shard[1]};
    add_run_provenance(run);
    const struct vqs_output_options options = {.path = run->path,
                                               .plan = run->plan,
                                               .job = &run->job,
                                               .seeds = cli->seeds,
                                               .provenance = &run->provenance,
                                               .shard = run->farm.shard,
                                               .allow_mixed = cli->allow_mixed};
    enum vqs_status status = vqs_output_open(&options, &run->output, err);
    if (status == VQS_OK && vqs_output_notice(run->output)[0]) {
        fprintf(stderr, "vqsweep: warning: %s\n", vqs_output_notice(run->output));
    }
    if (status == VQS_OK && vqs_output_n_results(run->output) > 0 && !run->cli->quiet) {
        size_t n = vqs_plan_n_trials(run->plan), done = vqs_output_n_results(run->output);
        fprintf(stderr, "vqsweep: %s: %zu of %zu trials are in %s already\n", done == n ? "nothing to run" : "going on",
                done, n, run->path);
    }
    run->farm.plan = run->plan;
    run->farm.output = run->output;
    run->farm.path = run->path;
    run->farm.retry_failed = cli->retry_failed;
    run->farm.only_pending = cli->only_pending;
    return status;
}

/* ---- what every rank needs to know of the output --------------------------------------------------------------- */

/* Seconds until the run has to have ended: --time-limit, or what the batch system says. */
static double seconds_left(const struct vqs_cli *cli) {
    const char *end = getenv("SLURM_JOB_END_TIME");
    double left = cli->time_limit ? (double)cli->time_limit : INFINITY;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (end && atoll(end) > now.tv_sec) {
        left = fmin(left, (double)(atoll(end) - now.tv_sec));
    }
    return left;
}

static enum vqs_status share_output(struct run *run, struct vqs_error *err) {
    enum vqs_status status = VQS_OK;
    double left = seconds_left(run->cli);
    if (run->rank == 0) {
        status = vqs_bytes_append(&run->trials_folder, run->path, strlen(run->path), err);
        status = status ? status : vqs_bytes_append(&run->trials_folder, ".trials", sizeof ".trials", err);
    }
    if ((status = vqs_sched_agree(run->comm, status, err)) == VQS_OK) {
        status = vqs_sched_broadcast(run->comm, &run->trials_folder, err);
    }
    MPI_Bcast(&left, 1, MPI_DOUBLE, 0, run->comm);
    run->farm.end_at = vqs_clock_seconds() + left;
    run->farm.grace = fmin(run->farm.grace, left / 2); /* a short limit is not all grace */
    run->farm.trials_folder = (const char *)run->trials_folder.data;
    return status;
}

/* ---- the run --------------------------------------------------------------------------------------------------- */

static enum vqs_status set_up(struct run *run, struct vqs_error *err) {
    enum vqs_status status = VQS_OK;
    vqs_node_set_up(run->comm, &run->node);
    vqs_node_watch(&run->node);
    if (run->rank == 0) {
        status = read_plan(run, err);
    }
    if ((status = vqs_sched_agree(run->comm, status, err)) != VQS_OK) {
        return status;
    }
    status = choose_slots(run, err);
    if (status == VQS_OK && run->rank == 0 && !(run->facts = calloc((size_t)run->n_ranks, sizeof *run->facts))) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    if ((status = vqs_sched_agree(run->comm, status, err)) != VQS_OK) {
        return status;
    }
    vqs_audit_gather(run->comm, &run->node, run->farm.slots * run->farm.team, run->farm.slots, run->facts);
    status = check_data(run, err);
    if (status == VQS_OK && run->rank == 0) { /* nothing is written before all else is known to be in order */
        status = open_output(run, err);
    }
    if ((status = vqs_sched_agree(run->comm, status, err)) == VQS_OK) {
        status = share_output(run, err);
    }
    if (status == VQS_OK) {
        status = vqs_farm_create(&run->farm, err);
    }
    return vqs_sched_agree(run->comm, status, err);
}

static void print_summary(const struct run *run, const struct vqs_sched_summary *summary) {
    const struct vqs_progress_state *state = &run->farm.state;
    double seconds = summary->wall_seconds;
    printf("vqsweep: %zu of %zu trials done: %zu failed, %zu diverged; %zu run now in %.1f s (%.1f/s, workers %.0f%% "
           "busy); %s\n",
           state->done, state->total, state->failed, state->diverged, state->done_here, seconds,
           (double)state->done_here / seconds, 100 * summary->busy_seconds / (seconds * total_slots(run)), run->path);
}

static void print_profile(const struct run *run) {
    const struct vqs_profile profile = vqs_farm_profile(&run->farm);
    double total = 0;
    for (int i = 0; i < VQS_N_PHASES; i++) {
        total += profile.seconds[i];
    }
    printf("%-55s %10.3f s\n", "time of trials, all threads of rank 0 together", total);
    for (int i = 0; i < VQS_N_PHASES; i++) {
        if (profile.seconds[i] > 0) {
            printf("  %-53s %10.3f s %5.1f%%\n", vqs_profile_text((enum vqs_phase)i), profile.seconds[i],
                   100 * profile.seconds[i] / total);
        }
    }
    printf("%-55s %10.3f s\n", "journal, by rank 0 besides", run->farm.journal_seconds);
}

/* Rank 0, after the farm: the file, the summary, and what the run came to. */
static enum vqs_status conclude(struct run *run, const struct vqs_sched_summary *summary, struct vqs_error *err) {
    const struct vqs_progress_state *state = &run->farm.state;
    enum vqs_status status = vqs_output_finish(run->output, err);
    if (status != VQS_OK) {
        return status;
    }
    if (!run->cli->quiet) {
        print_summary(run, summary);
    }
    if (run->cli->profile) {
        print_profile(run);
    }
    if (vqs_farm_left(&run->farm)) {
        return vqs_fail(err, VQS_ERR_UNFINISHED,
                        "stopped with %zu of %zu trials done; run the same command again to go on", state->done,
                        state->total);
    }
    if (state->failed) {
        return vqs_fail(err, VQS_ERR_TRIALS,
                        "%zu of %zu trials failed: %s; the same command with --retry-failed tries them again",
                        state->failed, state->total, run->farm.first_failures);
    }
    return VQS_OK;
}

static enum vqs_status run_job(struct run *run, struct vqs_error *err) {
    enum vqs_status status = set_up(run, err);
    int finished = status == VQS_OK && run->rank == 0 && vqs_output_is_finished(run->output);
    if (status == VQS_OK) {
        MPI_Bcast(&finished, 1, MPI_INT, 0, run->comm);
    }
    if (status != VQS_OK || finished) {
        return status;
    }
    if (run->rank == 0) {
        struct vqs_audit_disk disk;
        vqs_audit_look_at_disk(run->path, expected_bytes(run), &disk);
        vqs_audit_say(stderr, run->facts, run->n_ranks, &disk, run->cli->quiet);
    }
    vqs_progress_begin(&run->farm.progress, run->rank == 0 ? vqs_node_terminal_width(&run->node) : 0, run->cli->quiet);
    status = vqs_farm_run(&run->farm, run->comm, &run->summary, err);
    return status == VQS_OK && run->rank == 0 ? conclude(run, &run->summary, err) : status;
}

/* After a loss: MPI_Finalize may wait for ranks that are gone, and a thread that hangs still uses what would be freed.
 */
static void leave(struct run *run, enum vqs_status status, struct vqs_error *err) {
    vqs_output_destroy(run->output);
    if (!run->summary.lost) {
        MPI_Finalize();
    }
    _exit(vqs_cli_conclude(status, err));
}

enum vqs_status vqs_cmd_run(const struct vqs_cli *cli, struct vqs_error *err) {
    struct run run = {.cli = cli, .comm = MPI_COMM_WORLD};
    int provided;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(run.comm, &run.rank);
    MPI_Comm_size(run.comm, &run.n_ranks);
    enum vqs_status status = provided < MPI_THREAD_FUNNELED
                                 ? vqs_fail(err, VQS_ERR_ENVIRONMENT, "this MPI cannot run beside threads")
                                 : run_job(&run, err);
    if (run.rank == 0) {
        vqs_supervisor_end(status, status == VQS_ERR_UNFINISHED && run.summary.stranded);
    }
    vqs_node_let_master_go(&run.node);
    if (run.summary.lost || run.summary.hung) {
        leave(&run, status, err);
    }
    vqs_farm_destroy(&run.farm);
    vqs_output_destroy(run.output);
    vqs_plan_destroy(run.plan);
    vqs_provenance_destroy(&run.provenance);
    vqs_bytes_destroy(&run.job);
    vqs_bytes_destroy(&run.trials_folder);
    free(run.facts);
    free(run.default_path);
    MPI_Finalize();
    return status;
}
