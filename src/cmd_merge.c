/* cmd_merge.c - `vqsweep merge`: the files of several runs of one plan, in one file. */
#include "cli.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct merge {
    const struct vqs_cli *cli;
    struct vqs_bytes job;
    char *seeds; /* NULL: as the job says */
    struct vqs_plan *plan;
    struct vqs_provenance provenance;
    struct vqs_output *output;
    size_t conflicts;
};

static enum vqs_status refuse_same_file(const char *out, const char *in, struct vqs_error *err) {
    struct stat a, b;
    return stat(out, &a) == 0 && stat(in, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino
               ? vqs_fail(err, VQS_ERR_USAGE, "merge: %s would be both written and read; give a new file first", in)
               : VQS_OK;
}

/* Where the trials ran, over all files. */
static void add_hosts(struct merge *merge, const char *hosts) {
    struct vqs_provenance *p = &merge->provenance;
    for (size_t i = 0; i < p->n; i++) {
        if (!strcmp(p->items[i].name, "hosts")) {
            const size_t size = strlen(p->items[i].value) + strlen(hosts) + 3;
            char *joined = malloc(size);
            if (!joined) {
                p->short_of_memory = true;
                return;
            }
            snprintf(joined, size, "%s; %s", p->items[i].value, hosts);
            free((char *)p->items[i].value);
            p->items[i].value = joined;
            return;
        }
    }
    vqs_provenance_add(p, "hosts", "%s", hosts);
}

/* The plan is that of the first file, and so are its data. */
static enum vqs_status read_plan(struct merge *merge, struct vqs_store *first, struct vqs_error *err) {
    const char *seeds = vqs_store_provenance(first, "seeds");
    const char *data_files = vqs_store_provenance(first, "data_files");
    size_t size;
    const char *job = vqs_store_job_text(first, &size);
    if (seeds && !(merge->seeds = strdup(seeds))) {
        return vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    if (data_files) {
        vqs_provenance_add(&merge->provenance, "data_files", "%s", data_files);
    }
    const struct vqs_plan_overrides overrides = {.seeds = merge->seeds};
    enum vqs_status status = vqs_bytes_append(&merge->job, job, size, err);
    return status ? status : vqs_plan_create(job, size, "job", &overrides, &merge->plan, err);
}

/* What is needed of every file before any is merged. */
static enum vqs_status look_at(struct merge *merge, const char *path, struct vqs_error *err) {
    struct vqs_store *store = NULL;
    enum vqs_status status = refuse_same_file(merge->cli->file, path, err);
    status = status ? status : vqs_store_open(path, &store, err);
    if (status == VQS_OK && !merge->plan) {
        status = read_plan(merge, store, err);
    }
    if (status == VQS_OK) {
        const char *hosts = vqs_store_provenance(store, "hosts");
        add_hosts(merge, hosts ? hosts : "unknown");
    }
    vqs_store_close(store);
    return status;
}

static enum vqs_status open_output(struct merge *merge, struct vqs_error *err) {
    struct vqs_provenance *p = &merge->provenance;
    vqs_provenance_add_build(p);
    vqs_provenance_add(p, "command", "%s", merge->cli->command);
    if (merge->seeds) {
        vqs_provenance_add(p, "seeds", "%s", merge->seeds);
    }
    const struct vqs_output_options options = {.path = merge->cli->file,
                                               .plan = merge->plan,
                                               .job = &merge->job,
                                               .seeds = merge->seeds,
                                               .provenance = p,
                                               .shard = {0, 1},
                                               .allow_mixed = merge->cli->allow_mixed};
    return vqs_output_open(&options, &merge->output, err);
}

static enum vqs_status merge_all(struct merge *merge, struct vqs_error *err) {
    const struct vqs_cli *cli = merge->cli;
    enum vqs_status status = VQS_OK;
    for (int i = 0; i < cli->n_more && status == VQS_OK; i++) {
        status = look_at(merge, cli->more[i], err);
    }
    status = status ? status : open_output(merge, err);
    for (int i = 0; i < cli->n_more && status == VQS_OK; i++) {
        size_t conflicts;
        status = vqs_output_import(merge->output, cli->more[i], &conflicts, err);
        merge->conflicts += conflicts;
    }
    return status ? status : vqs_output_finish(merge->output, err);
}

static enum vqs_status conclude(const struct merge *merge, struct vqs_error *err) {
    const size_t n = vqs_plan_n_trials(merge->plan), done = vqs_output_n_results(merge->output);
    if (merge->conflicts) {
        fprintf(
            stderr,
            "vqsweep: warning: %zu trials have another result in a later file; the first was kept (see cpu_class and "
            "code_version)\n",
            merge->conflicts);
    }
    if (done < n) {
        return vqs_fail(err, VQS_ERR_UNFINISHED,
                        "%s: %zu of %zu trials have a result; run the job with -o %s to do the others, or merge the "
                        "missing files into it too",
                        merge->cli->file, done, n, merge->cli->file);
    }
    if (!merge->cli->quiet) {
        printf("vqsweep: %zu trials in %s\n", n, merge->cli->file);
    }
    return VQS_OK;
}

enum vqs_status vqs_cmd_merge(const struct vqs_cli *cli, struct vqs_error *err) {
    struct merge merge = {.cli = cli};
    enum vqs_status status = merge_all(&merge, err);
    status = status ? status : conclude(&merge, err);
    vqs_output_destroy(merge.output);
    vqs_plan_destroy(merge.plan);
    vqs_provenance_destroy(&merge.provenance);
    vqs_bytes_destroy(&merge.job);
    free(merge.seeds);
    return status;
}
