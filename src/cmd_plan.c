/* cmd_plan.c - `vqsweep plan`: what a job would run, and what that would take. */
#include "cli.h"
#include "inputs.h"
#include "progress.h"
#include "vqsweep/plan.h"
#include "vqsweep/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_studies(const struct vqs_plan *plan) {
    for (int s = 0; s < vqs_plan_n_studies(plan); s++) {
        size_t merged = vqs_plan_study_merged(plan, s);
        printf("\nstudy    %s: %zu trials\n", vqs_plan_study_name(plan, s), vqs_plan_study_size(plan, s));
        for (int a = 0; vqs_plan_study_axis(plan, s, a); a++) {
            printf("         %s\n", vqs_plan_study_axis(plan, s, a));
        }
        if (merged) {
            printf("         %zu points differ from another only in settings without effect, and were merged into it\n",
                   merged);
        }
    }
}

static void print_contrasts(const struct vqs_plan *plan) {
    size_t size;
    const char *at = vqs_plan_contrasts(plan, &size), *end = at + size;
    for (const char *next; size && at < end; at = next + 1) {
        next = memchr(at, '\n', (size_t)(end - at));
        printf("%scontrast %.*s\n", at + size == end ? "\n" : "", (int)(next - at), at);
    }
}

static void print_bytes(double bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    int u = 0;
    while (bytes >= 1024 && u < 3) {
        bytes /= 1024;
        u++;
    }
    printf("%.3g %s", bytes, units[u]);
}

/* What all trials together take, by counted operations. */
struct cost {
    size_t memory, largest;  /* most bytes of a trial, and which */
    double seconds, longest; /* core-seconds of all and of the longest, */
    size_t longest_trial;
};

static struct cost add_up(const struct vqs_plan *plan) {
    struct cost cost = {0};
    struct vqs_settings settings;
    for (size_t t = 0; t < vqs_plan_n_trials(plan); t++) {
        vqs_plan_trial_settings(plan, t, &settings);
        const size_t memory = vqs_trial_memory(&settings);
        const double seconds = vqs_trial_seconds(&settings);
        if (memory > cost.memory) {
            cost.memory = memory;
            cost.largest = t;
        }
        if (seconds > cost.longest) {
            cost.longest = seconds;
            cost.longest_trial = t;
        }
        cost.seconds += seconds;
    }
    return cost;
}

static void print_cost(const struct vqs_plan *plan) {
    const struct cost cost = add_up(plan);
    struct vqs_settings settings;
    vqs_plan_trial_settings(plan, cost.largest, &settings);
    printf("\nmemory   at most ");
    print_bytes((double)cost.memory);
    printf(" a trial (trial %zu: N %d, D %d, d %d, K %d)\n", cost.largest, settings.N, settings.D, settings.d,
           settings.K);

    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    char here[32];
    double at_least = cost.seconds / (double)(cores > 0 ? cores : 1);
    vqs_progress_duration(at_least > cost.longest ? at_least : cost.longest, here, sizeof here);
    printf("cost     about %.3g core-seconds, the longest trial (%zu) %.2g s: about %s on this machine's %ld cores\n",
           cost.seconds, cost.longest_trial, cost.longest, here, cores);
}

/* For scripts; cluster/submit.sh sizes its request by these. */
static void print_figures(const struct vqs_plan *plan) {
    const struct cost cost = add_up(plan);
    printf("name=%s\ntrials=%zu\ntrial_bytes=%zu\ncore_seconds=%.0f\nlongest_trial_seconds=%.0f\n", vqs_plan_name(plan),
           vqs_plan_n_trials(plan), cost.memory, ceil(cost.seconds), ceil(cost.longest));
}

/* Last, for a file that cannot be read ends the command. */
static enum vqs_status print_data(const struct vqs_plan *plan, struct vqs_error *err) {
    struct vqs_bytes list = {0};
    enum vqs_status status = vqs_inputs_list(plan, &list, err);
    if (status == VQS_OK) {
        status = vqs_inputs_print(&list, err);
    }
    vqs_bytes_destroy(&list);
    return status;
}

enum vqs_status vqs_cmd_plan(const struct vqs_cli *cli, struct vqs_error *err) {
    struct vqs_bytes job = {0};
    struct vqs_plan *plan = NULL;
    struct vqs_plan_overrides overrides = {.seeds = cli->seeds};
    enum vqs_status status = vqs_cli_read_job(cli->file, &job, err);
    if (status == VQS_OK) {
        status = vqs_plan_create((const char *)job.data, job.size, cli->file, &overrides, &plan, err);
    }
    if (status == VQS_OK && cli->figures) {
        print_figures(plan);
    } else if (status == VQS_OK) {
        const char *title = vqs_plan_title(plan);
        printf("job      %s%s%s\n", vqs_plan_name(plan), *title ? ": " : "", title);
        printf("trials   %zu (plan %016llx)\n", vqs_plan_n_trials(plan), (unsigned long long)vqs_plan_key(plan));
        print_studies(plan);
        print_contrasts(plan);
        print_cost(plan);
        status = print_data(plan, err);
    }
    vqs_plan_destroy(plan);
    vqs_bytes_destroy(&job);
    return status;
}
