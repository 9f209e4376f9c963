/* cmd_inspect.c - `vqsweep status` and `vqsweep show`: what a result file holds. */
#include "cli.h"
#include "inspect.h"
#include "lease.h"
#include "output.h"
#include "vqsweep/journal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- status ---------------------------------------------------------------------------------------------------- */

/* A result file and, while a run goes on, its journal, which knows more. The journal is opened first: it is removed
 * only after FILE has everything, so that the two together never miss a trial. Nothing is locked. */
struct state {
    struct vqs_journal_index index;
    bool has_journal;
    struct vqs_store *store;
    struct vqs_shard shard; /* the part of the plan that FILE is for */
};

static enum vqs_status open_state(const char *path, struct state *state, struct vqs_error *err) {
    const size_t size = strlen(path) + sizeof ".journal";
    char *journal_path = malloc(size);
    enum vqs_status status = journal_path ? VQS_OK : vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    unsigned index = 1, count = 1;
    *state = (struct state){.shard = {0, 1}};
    if (status == VQS_OK) {
        snprintf(journal_path, size, "%s.journal", path);
        state->has_journal = vqs_journal_index_open(journal_path, &state->index, NULL) == VQS_OK;
        if (!state->has_journal && access(journal_path, F_OK) == 0) { /* there, but not to be read: say why */
            status = vqs_journal_index_open(journal_path, &state->index, err);
            state->has_journal = status == VQS_OK;
        }
    }
    status = status ? status : vqs_store_open(path, &state->store, err);
    const char *shard = status == VQS_OK ? vqs_store_provenance(state->store, "shard") : NULL;
    if (shard && sscanf(shard, "%u/%u", &index, &count) == 2 && index >= 1 && index <= count) {
        state->shard = (struct vqs_shard){index - 1, count};
    }
    free(journal_path);
    return status;
}

static void close_state(struct state *state) {
    if (state->has_journal) {
        vqs_journal_index_close(&state->index);
    }
    vqs_store_close(state->store);
}

/* Counts file and journal as one. *newer: known to the journal only. *elsewhere: pending, and another shard's. */
static enum vqs_status count_all(struct state *state, struct vqs_store_counts *counts, size_t *newer, size_t *elsewhere,
                                 struct vqs_error *err) {
    const size_t n = vqs_store_n_trials(state->store);
    struct vqs_store_summary *summaries = malloc(n * sizeof *summaries);
    enum vqs_status status = summaries ? vqs_store_summaries(state->store, 0, n, summaries, err)
                                       : vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    *counts = (struct vqs_store_counts){0};
    *newer = *elsewhere = 0;
    for (size_t t = 0; t < n && status == VQS_OK; t++) {
        const struct vqs_journal_entry *entry =
            state->has_journal ? vqs_journal_find(&state->index, summaries[t].key) : NULL;
        bool in_file = summaries[t].done && summaries[t].outcome != VQS_OUTCOME_FAILED, use = entry && !in_file;
        enum vqs_outcome outcome = use ? entry->outcome : summaries[t].outcome;
        *newer += use && (!summaries[t].done || outcome != VQS_OUTCOME_FAILED);
        if (!summaries[t].done && !entry) {
            *elsewhere += !vqs_shard_has(&state->shard, t);
            counts->pending += vqs_shard_has(&state->shard, t);
        } else {
            counts->failed += outcome == VQS_OUTCOME_FAILED;
            counts->completed += outcome == VQS_OUTCOME_COMPLETED;
            counts->diverged += outcome == VQS_OUTCOME_DIVERGED;
        }
    }
    free(summaries);
    return status;
}

static void print_holder(const char *path) {
    struct vqs_lease_holder holder;
    bool alive;
    if (vqs_lease_look(path, &holder, &alive)) {
        printf("%-13s process %ld on %s, %s %.0f s ago\n", alive ? "running" : "interrupted", holder.process,
               holder.host, alive ? "heard of" : "last heard of", holder.age > 0 ? holder.age : 0);
    }
}

static enum vqs_status print_state(const char *path, struct state *state, struct vqs_error *err) {
    static const char *const shown[] = {"code_version", "mixed_with", "command", "hosts", "started_at", "shard"};
    struct vqs_store_counts counts;
    size_t newer, elsewhere;
    enum vqs_status status = count_all(state, &counts, &newer, &elsewhere, err);
    if (status != VQS_OK) {
        return status;
    }
    printf("%-13s %zu\n%-13s %zu\n%-13s %zu\n%-13s %zu\n%-13s %zu\n", "trials", vqs_store_n_trials(state->store),
           "completed", counts.completed, "diverged", counts.diverged, "failed", counts.failed, "pending",
           counts.pending);
    if (elsewhere) {
        printf("%-13s %zu more are another shard's\n", "elsewhere", elsewhere);
    }
    if (newer) {
        printf("%-13s %zu of these are still in the journal only\n", "journal", newer);
    }
    print_holder(path);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const char *value = vqs_store_provenance(state->store, shown[i]);
        if (value) {
            printf("%-13s %s\n", shown[i], value);
        }
    }
    /* the exit code tells a script what the counts tell a person: there is no message besides */
    return counts.pending ? VQS_ERR_UNFINISHED : counts.failed ? VQS_ERR_TRIALS : VQS_OK;
}

enum vqs_status vqs_cmd_status(const struct vqs_cli *cli, struct vqs_error *err) {
    struct state state;
    enum vqs_status status = open_state(cli->file, &state, err);
    status = status ? status : print_state(cli->file, &state, err);
    close_state(&state);
    return status;
}

/* ---- show: a line a trial -------------------------------------------------------------------------------------- */

/* The settings in which the trials of a plan differ. */
static void find_varying(const struct vqs_plan *plan, bool varying[VQS_N_SETTINGS]) {
    struct vqs_settings first, other;
    vqs_plan_trial_settings(plan, 0, &first);
    memset(varying, 0, VQS_N_SETTINGS * sizeof *varying);
    for (size_t t = 1; t < vqs_plan_n_trials(plan); t++) {
        vqs_plan_trial_settings(plan, t, &other);
        for (int id = 0; id < VQS_N_SETTINGS; id++) {
            size_t offset = vqs_setting_table[id].offset;
            varying[id] = varying[id] || memcmp((char *)&first + offset, (char *)&other + offset,
                                                vqs_setting_size((enum vqs_setting_id)id));
        }
    }
}

static void print_settings(const struct vqs_settings *settings, const bool varying[VQS_N_SETTINGS]) {
    for (int id = 0; id < VQS_N_SETTINGS; id++) {
        char value[VQS_PATH_MAX + 1];
        if (varying[id] && vqs_setting_used((enum vqs_setting_id)id, settings)) {
            vqs_setting_print((enum vqs_setting_id)id, settings, value, sizeof value);
            printf(" %s=%s", vqs_setting_table[id].name, value);
        }
    }
}

static enum vqs_status show_all(const struct vqs_inspect *in, struct vqs_error *err) {
    static const enum vqs_metric shown[] = {VQS_METRIC_mse_eval, VQS_METRIC_perplexity_eval,
                                            VQS_METRIC_dead_codes_train};
    struct vqs_record record = {0};
    bool varying[VQS_N_SETTINGS];
    enum vqs_status status = VQS_OK;
    find_varying(in->plan, varying);
    for (size_t t = 0; t < vqs_store_n_trials(in->store) && status == VQS_OK; t++) {
        struct vqs_store_summary summary;
        struct vqs_settings settings;
        vqs_plan_trial_settings(in->plan, t, &settings);
        status = vqs_store_summaries(in->store, t, 1, &summary, err);
        if (status == VQS_OK && summary.done) {
            status = vqs_store_read(in->store, t, &record, err);
        }
        if (status != VQS_OK) {
            break;
        }
        printf("%zu %s", t, summary.done ? vqs_outcome_text(record.outcome) : "pending");
        print_settings(&settings, varying);
        if (summary.done && record.outcome == VQS_OUTCOME_FAILED) {
            printf(" message: %s", record.message);
        } else if (summary.done) {
            for (size_t m = 0; m < sizeof shown / sizeof *shown; m++) {
                printf(" %s=%.6g", vqs_metric_table[shown[m]].name, record.metric[shown[m]]);
            }
            printf(" digest=%016llx", (unsigned long long)record.digest);
        }
        printf("\n");
    }
    vqs_record_destroy(&record);
    return status;
}

/* ---- show --trial ---------------------------------------------------------------------------------------------- */

static void print_quantity(const char *name, const char *unit, const char *long_name, const char *value) {
    printf("  %-26s %-24s %-7s %s\n", name, value, strcmp(unit, "1") ? unit : "", long_name);
}

static void show_settings(const struct vqs_plan *plan, size_t trial) {
    struct vqs_settings settings;
    vqs_plan_trial_settings(plan, trial, &settings);
    printf("\nsettings\n");
    for (int id = 0; id < VQS_N_SETTINGS; id++) {
        char value[VQS_PATH_MAX + 1];
        if (vqs_setting_used((enum vqs_setting_id)id, &settings)) {
            const struct vqs_setting *row = &vqs_setting_table[id];
            vqs_setting_print((enum vqs_setting_id)id, &settings, value, sizeof value);
            print_quantity(row->name, row->unit, row->long_name, value[0] ? value : "-");
        }
    }
}

static void show_metrics(const struct vqs_record *record) {
    printf("\nmetrics\n");
    for (int m = 0; m < VQS_N_METRICS; m++) {
        char value[32] = "undefined";
        if (!isnan(record->metric[m])) {
            snprintf(value, sizeof value, "%.9g", record->metric[m]);
        }
        print_quantity(vqs_metric_table[m].name, vqs_metric_table[m].unit, vqs_metric_table[m].long_name, value);
    }
}

/* Every curve at a few epochs, evenly apart, the last among them. */
static void show_curves(const struct vqs_record *record) {
    enum { COLUMNS = 7 };
    int n = record->n_epochs < COLUMNS ? record->n_epochs : COLUMNS;
    if (n == 0) {
        return;
    }
    printf("\n%-14s", "epoch");
    for (int c = 0; c < n; c++) {
        printf(" %12d", (int)((int64_t)(c + 1) * record->n_epochs / n));
    }
    for (int q = 0; q < VQS_N_CURVES; q++) {
        printf("\n%-14s", vqs_curve_table[q].name);
        for (int c = 0; c < n; c++) {
            int64_t epoch = (int64_t)(c + 1) * record->n_epochs / n;
            printf(" %12.6g", record->curves[(int64_t)q * record->n_epochs + epoch - 1]);
        }
    }
    printf("\n");
}

/* The last codebook, as much of it as a person can read. */
static void show_codebook(const struct vqs_record *record) {
    enum { CODES = 64, COMPONENTS = 8 };
    if (record->n_snapshots == 0) {
        return;
    }
    const struct vqs_snapshot *last = &record->snapshots[record->n_snapshots - 1];
    printf("\ncodebook at epoch %d (of %d kept), K = %d, d = %d\n  code   samples  components\n", last->epoch,
           record->n_snapshots, last->K, last->d);
    for (int k = 0; k < last->K && k < CODES; k++) {
        printf("  %4d %9u ", k, last->usage[k]);
        for (int i = 0; i < last->d && i < COMPONENTS; i++) {
            printf(" %12.6g", (double)last->codes[(size_t)k * (size_t)last->d + (size_t)i]);
        }
        puts(last->d > COMPONENTS ? " ..." : "");
    }
    if (last->K > CODES) {
        puts("  ...");
    }
}

static void show_arrays(const struct vqs_record *record) {
    const char *before = "\n";
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        const struct vqs_array *array = &record->arrays[kind];
        const struct vqs_array_row *row = &vqs_array_table[kind];
        if (!array->values) {
            continue;
        }
        printf("%sarray %s:", before, row->quantity.name);
        before = "";
        for (int i = 0; row->dimension[i]; i++) {
            printf("%s %s %d", i ? "," : "", row->dimension[i], array->size[i]);
        }
        puts("");
    }
}

static enum vqs_status show_one(const struct vqs_inspect *in, size_t trial, struct vqs_error *err) {
    size_t n = vqs_store_n_trials(in->store);
    if (trial >= n) {
        return vqs_fail(err, VQS_ERR_USAGE, "--trial: %s has trials 0 to %zu, not %zu", in->path, n - 1, trial);
    }
    struct vqs_store_summary summary;
    struct vqs_record record = {0};
    enum vqs_status status = vqs_store_summaries(in->store, trial, 1, &summary, err);
    if (status == VQS_OK && summary.done) {
        status = vqs_store_read(in->store, trial, &record, err);
    }
    if (status == VQS_OK) {
        printf("trial    %zu, %s\nkey      %016llx\n", trial,
               summary.done ? vqs_outcome_text(record.outcome) : "pending",
               (unsigned long long)vqs_plan_trial_key(in->plan, trial));
        for (int s = 0; s < vqs_plan_n_studies(in->plan); s++) {
            if (vqs_plan_in_study(in->plan, trial, s)) {
                printf("study    %s\n", vqs_plan_study_name(in->plan, s));
            }
        }
    }
    if (status == VQS_OK && summary.done) {
        printf("digest   %016llx\nrun by   rank %d on %s (%s), attempt %u, %.3g s\n", (unsigned long long)record.digest,
               record.rank, record.host, record.cpu_class, record.attempt, record.wall_seconds);
        if (record.message[0]) {
            printf("message  %s\n", record.message);
        }
    }
    if (status == VQS_OK) {
        show_settings(in->plan, trial);
    }
    if (status == VQS_OK && summary.done && record.outcome != VQS_OUTCOME_FAILED) {
        show_metrics(&record);
        show_curves(&record);
        show_codebook(&record);
        show_arrays(&record);
    }
    vqs_record_destroy(&record);
    return status;
}

enum vqs_status vqs_cmd_show(const struct vqs_cli *cli, struct vqs_error *err) {
    struct vqs_inspect in;
    enum vqs_status status = vqs_inspect_open(cli->file, &in, err);
    if (status == VQS_OK) {
        status = cli->trial >= 0 ? show_one(&in, (size_t)cli->trial, err) : show_all(&in, err);
        vqs_inspect_close(&in);
    }
    return status;
}
