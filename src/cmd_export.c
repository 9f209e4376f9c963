/* cmd_export.c - `vqsweep export`: one trial's model, for other programs. */
#include "cli.h"
#include "export.h"
#include "inputs.h"
#include "inspect.h"

#include "vqsweep/kernels.h"
#include "vqsweep/train.h"

#include <cblas.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct request {
    const struct vqs_cli *cli;
    struct vqs_inspect in;
    size_t trial;
    struct vqs_settings settings;
    struct vqs_record stored, fresh;
    struct vqs_export list;
};

/* The trial's record and settings, if it has a model and its data are still there. */
static enum vqs_status find_trial(struct request *x, struct vqs_error *err) {
    const size_t n = vqs_store_n_trials(x->in.store);
    struct vqs_store_summary summary;
    if (x->trial >= n) {
        return vqs_fail(err, VQS_ERR_USAGE, "--trial: %s has trials 0 to %zu, not %zu", x->in.path, n - 1, x->trial);
    }
    enum vqs_status status = vqs_store_summaries(x->in.store, x->trial, 1, &summary, err);
    if (!status && summary.done) {
        status = vqs_store_read(x->in.store, x->trial, &x->stored, err);
    }
    if (!status && (!summary.done || x->stored.outcome != VQS_OUTCOME_COMPLETED)) {
        return vqs_fail(err, VQS_ERR_USAGE, "--trial: trial %zu of %s is %s and left no model%s%s", x->trial,
                        x->in.path, summary.done ? vqs_outcome_text(x->stored.outcome) : "pending",
                        summary.done && x->stored.message[0] ? ": " : "", summary.done ? x->stored.message : "");
    }
    vqs_plan_trial_settings(x->in.plan, x->trial, &x->settings);
    const char *data_files = vqs_store_provenance(x->in.store, "data_files");
    if (!status && data_files && vqs_setting_used(VQS_SETTING_path, &x->settings)) {
        status = vqs_inputs_check(&x->settings, data_files, err);
    }
    return status;
}

static void keep_model(void *ctx, const struct vqs_settings *settings, const struct vqs_model *model,
                       const struct vqs_dataset *data) {
    struct request *x = ctx;
    vqs_export_model(settings, model, data, &x->list);
}

static enum vqs_status run_again(struct request *x, struct vqs_error *err) {
    const struct vqs_trial_hooks hooks = {.ctx = x, .completed = keep_model};
    struct vqs_data_cache *cache = NULL;
    struct vqs_trainer *trainer = NULL;
    enum vqs_status status = vqs_data_cache_create(0, &vqs_source_hdf5, &cache, err);
    status = status ? status : vqs_trainer_create(1, cache, &trainer, err);
    if (!status) {
        vqs_trainer_set_hooks(trainer, &hooks);
        status = vqs_trainer_run(trainer, &x->settings, &x->fresh, err);
    }
    vqs_trainer_destroy(trainer);
    vqs_data_cache_destroy(cache);
    return status;
}

/* Equal bits; or, where CPU or OpenBLAS are of another kind than those that ran the trial, an error of reconstruction
 * that is the same but for `most` of it, and a line that says so. */
static enum vqs_status compare(const struct request *x, struct vqs_error *err) {
    static const double most = 0.01;
    const char *blas = vqs_store_provenance(x->in.store, "openblas_kernel"), *here = openblas_get_corename();
    const bool text = isnan(x->stored.metric[VQS_METRIC_mse_eval]);
    const enum vqs_metric metric = text ? VQS_METRIC_cross_entropy_eval : VQS_METRIC_mse_eval;
    const double a = x->stored.metric[metric], b = x->fresh.metric[metric];
    if (x->fresh.digest == x->stored.digest) {
        return VQS_OK;
    }
    if (!strcmp(x->stored.cpu_class, x->fresh.cpu_class) && blas && !strcmp(blas, here)) {
        return vqs_fail(err, VQS_ERR_STORE,
                        "%s: trial %zu, run again, has digest %016" PRIx64 ", not %016" PRIx64
                        "; it was run by vqsweep %s",
                        x->in.path, x->trial, x->fresh.digest, x->stored.digest, x->stored.code_version);
    }
    char both[200];
    snprintf(both, sizeof both, "%s is %.6g here (%s, OpenBLAS %s) and %.6g where it ran (%s, OpenBLAS %s)",
             vqs_metric_table[metric].name, b, x->fresh.cpu_class, here, a, x->stored.cpu_class,
             blas ? blas : "of unknown kind");
    if (!(fabs(a - b) <= most * fabs(a))) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: trial %zu does not repeat on this machine: %s; export it there",
                        x->in.path, x->trial, both);
    }
    fprintf(stderr, "vqsweep: warning: trial %zu has other bits on this machine: %s\n", x->trial, both);
    return VQS_OK;
}

static enum vqs_status export_trial(struct request *x, struct vqs_error *err) {
    enum vqs_status status = find_trial(x, err);
    status = status ? status : vqs_export_check_place(x->cli->output, err);
    status = status ? status : run_again(x, err);
    status = status ? status : compare(x, err);
    if (!status) {
        vqs_export_outcome(&x->fresh, &x->list);
        status = vqs_export_write(&x->list, x->cli->output, err);
    }
    if (!status && !x->cli->quiet) {
        printf("vqsweep: trial %zu of %s in %s\n", x->trial, x->in.path, x->cli->output);
    }
    return status;
}

enum vqs_status vqs_cmd_export(const struct vqs_cli *cli, struct vqs_error *err) {
    struct request x = {.cli = cli, .trial = (size_t)cli->trial};
    if (cli->trial < 0 || !cli->output) {
        return vqs_fail(err, VQS_ERR_USAGE, "export needs %s; see vqsweep export --help",
                        cli->trial < 0 ? "the number of a trial, --trial N" : "a file to write, -o FILE.npz");
    }
    enum vqs_status status = vqs_inspect_open(cli->file, &x.in, err);
    if (!status) {
        status = export_trial(&x, err);
        vqs_inspect_close(&x.in);
    }
    vqs_record_destroy(&x.stored);
    vqs_record_destroy(&x.fresh);
    vqs_export_destroy(&x.list);
    return status;
}
