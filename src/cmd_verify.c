/* cmd_verify.c - `vqsweep verify`: a result file against its own job, its digests, and the trainer. */
#include "cli.h"
#include "inspect.h"
#include "provenance.h"
#include "vqsweep/data.h"
#include "vqsweep/kernels.h"
#include "vqsweep/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct verify {
    struct vqs_inspect in;
    size_t n_trials;
    struct vqs_store_summary *summaries;
    size_t pending, failed, digests; /* digests: recomputed and found right */
    size_t again, other_class;       /* trials run again; left out because of the CPU they came from */
    uint64_t random;
};

/* Every planned trial once: the file's rows are the plan's trials, row for row. A plan has no key twice. */
static enum vqs_status check_trials(struct verify *v, struct vqs_error *err) {
    enum vqs_status status = vqs_store_summaries(v->in.store, 0, v->n_trials, v->summaries, err);
    for (size_t t = 0; t < v->n_trials && status == VQS_OK; t++) {
        const struct vqs_store_summary *row = &v->summaries[t];
        if (row->key != vqs_plan_trial_key(v->in.plan, t)) {
            return vqs_fail(err, VQS_ERR_STORE, "%s: trial %zu has key %016llx, its settings give %016llx", v->in.path,
                            t, (unsigned long long)row->key, (unsigned long long)vqs_plan_trial_key(v->in.plan, t));
        }
        v->pending += !row->done;
        v->failed += row->done && row->outcome == VQS_OUTCOME_FAILED;
    }
    return status;
}

static enum vqs_status check_digests(struct verify *v, struct vqs_error *err) {
    struct vqs_record record = {0};
    enum vqs_status status = VQS_OK;
    for (size_t t = 0; t < v->n_trials && status == VQS_OK; t++) {
        if (!v->summaries[t].done) {
            continue;
        }
        status = vqs_store_read(v->in.store, t, &record, err);
        if (status == VQS_OK && vqs_record_digest(&record) != record.digest) {
            status = vqs_fail(err, VQS_ERR_STORE, "%s: trial %zu: the stored data has digest %016llx, not %016llx",
                              v->in.path, t, (unsigned long long)vqs_record_digest(&record),
                              (unsigned long long)record.digest);
        }
        v->digests += status == VQS_OK;
    }
    vqs_record_destroy(&record);
    return status;
}

/* The next number of a small generator (splitmix64): which trials are run again need only be hard to foresee. */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static enum vqs_status run_again(struct verify *v, size_t trial, struct vqs_trainer *trainer, struct vqs_error *err) {
    struct vqs_record stored = {0}, fresh = {0};
    struct vqs_settings settings;
    enum vqs_status status = vqs_store_read(v->in.store, trial, &stored, err);
    if (status == VQS_OK && strcmp(stored.cpu_class, vqs_kernels_cpu_class())) {
        v->other_class++;
    } else if (status == VQS_OK) {
        vqs_plan_trial_settings(v->in.plan, trial, &settings);
        status = vqs_trainer_run(trainer, &settings, &fresh, err);
        if (status == VQS_OK && fresh.digest != stored.digest) {
            const char *code = vqs_store_provenance(v->in.store, "code_version");
            status = vqs_fail(err, VQS_ERR_STORE,
                              "%s: trial %zu, run again by vqsweep %s, has digest %016llx, not %016llx (vqsweep %s)",
                              v->in.path, trial, vqs_code_version(), (unsigned long long)fresh.digest,
                              (unsigned long long)stored.digest, code ? code : "of unknown version");
        }
        v->again++;
    }
    vqs_record_destroy(&fresh);
    vqs_record_destroy(&stored);
    return status;
}

/* Draws `sample` of the trials that have a result, each at most once. */
static enum vqs_status check_sample(struct verify *v, size_t sample, struct vqs_error *err) {
    size_t *trials = malloc(v->n_trials * sizeof *trials), n = 0;
    struct vqs_data_cache *cache = NULL;
    struct vqs_trainer *trainer = NULL;
    if (!trials) {
        return vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    for (size_t t = 0; t < v->n_trials; t++) {
        if (v->summaries[t].done && v->summaries[t].outcome != VQS_OUTCOME_FAILED) {
            trials[n++] = t;
        }
    }
    enum vqs_status status = vqs_data_cache_create(0, &vqs_source_hdf5, &cache, err);
    if (status == VQS_OK) {
        status = vqs_trainer_create(1, cache, &trainer, err);
    }
    for (size_t i = 0; i < sample && i < n && status == VQS_OK; i++) {
        size_t pick = i + (size_t)(next_random(&v->random) % (n - i)), trial = trials[pick];
        trials[pick] = trials[i];
        status = run_again(v, trial, trainer, err);
    }
    vqs_trainer_destroy(trainer);
    vqs_data_cache_destroy(cache);
    free(trials);
    return status;
}

static enum vqs_status verify(struct verify *v, size_t sample, struct vqs_error *err) {
    v->n_trials = vqs_store_n_trials(v->in.store);
    v->random = (uint64_t)time(NULL) ^ vqs_plan_key(v->in.plan);
    v->summaries = malloc(v->n_trials * sizeof *v->summaries);
    enum vqs_status status = v->summaries ? check_trials(v, err) : vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    if (status == VQS_OK) {
        status = check_digests(v, err);
    }
    if (status == VQS_OK) {
        status = check_sample(v, sample, err);
    }
    free(v->summaries);
    return status;
}

enum vqs_status vqs_cmd_verify(const struct vqs_cli *cli, struct vqs_error *err) {
    struct verify v = {0};
    enum vqs_status status = vqs_inspect_open(cli->file, &v.in, err);
    if (status != VQS_OK) {
        return status;
    }
    status = verify(&v, (size_t)cli->sample, err);
    if (status == VQS_OK) {
        printf("%s: sound: %zu planned trials, each there once; %zu digests right; %zu trials run again, the same "
               "bits\n",
               cli->file, v.n_trials, v.digests, v.again);
        if (v.other_class) {
            printf("%zu trials were not run again: they came from another class of CPU than %s\n", v.other_class,
                   vqs_kernels_cpu_class());
        }
        if (v.pending) {
            status = vqs_fail(err, VQS_ERR_UNFINISHED, "%s: %zu of %zu trials are pending", cli->file, v.pending,
                              v.n_trials);
        } else if (v.failed) {
            status = vqs_fail(err, VQS_ERR_TRIALS, "%s: %zu of %zu trials failed", cli->file, v.failed, v.n_trials);
        }
    }
    vqs_inspect_close(&v.in);
    return status;
}
