/* resume.c - going on where an earlier run stopped, and taking over what another one has. */
#include "output_state.h"

#include "fileio.h"
#include "origin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is there: a result file, its journal, or both -------------------------------------------------------- */

struct source {
    const char *path;
    struct vqs_journal_index index;
    struct vqs_store *store;
    bool has_journal;
    char *journal_path;
};

static void source_close(struct source *source) {
    if (source->has_journal) {
        vqs_journal_index_close(&source->index);
    }
    vqs_store_close(source->store);
    free(source->journal_path);
}

/* The journal first: it is removed only after FILE has everything, so that what is opened later never misses what the
 * journal had. */
static enum vqs_status source_open(const char *path, struct source *source, struct vqs_error *err) {
    const size_t size = strlen(path) + sizeof ".journal";
    enum vqs_status status = VQS_OK;
    *source = (struct source){.path = path, .journal_path = malloc(size)};
    if (!source->journal_path) {
        return vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    snprintf(source->journal_path, size, "%s.journal", path);
    if (access(source->journal_path, F_OK) == 0) {
        status = vqs_journal_index_open(source->journal_path, &source->index, err);
        source->has_journal = status == VQS_OK;
    }
    if (status == VQS_OK && (access(path, F_OK) == 0 || !source->has_journal)) {
        status = vqs_store_open(path, &source->store, err);
    }
    if (status != VQS_OK) {
        source_close(source);
    }
    return status;
}

static struct vqs_origin journal_origin(const struct source *source) {
    const struct vqs_journal_header *header = &source->index.header;
    return (struct vqs_origin){source->journal_path,           header->plan_key, header->code_version, header->seeds,
                               (const char *)header->job.data, header->job.size};
}

static struct vqs_origin store_origin(const struct source *source) {
    const char *key = vqs_store_provenance(source->store, "plan_key");
    const char *code = vqs_store_provenance(source->store, "code_version");
    struct vqs_origin origin = {.path = source->path,
                                .plan_key = key ? strtoull(key, NULL, 16) : 0,
                                .code_version = code ? code : "unknown",
                                .seeds = vqs_store_provenance(source->store, "seeds")};
    origin.job = vqs_store_job_text(source->store, &origin.job_size);
    return origin;
}

/* Trials on other data are no part of the same sweep. Only a result file says which data there were. */
static enum vqs_status check_data_files(const struct source *source, const struct vqs_provenance *provenance,
                                        struct vqs_error *err) {
    const char *there = vqs_store_provenance(source->store, "data_files"), *here = NULL;
    for (size_t i = 0; i < provenance->n; i++) {
        here = strcmp(provenance->items[i].name, "data_files") ? here : provenance->items[i].value;
    }
    if (there && here && strcmp(there, here)) {
        return vqs_fail(
            err, VQS_ERR_STORE,
            "%s: the data files were others (%.120s; now %.120s); bring them back, give another file by -o, "
            "remove this one, or mix both with --allow-mixed",
            source->path, there, here);
    }
    return VQS_OK;
}

static enum vqs_status source_check(const struct source *source, const struct vqs_output *output,
                                    struct vqs_error *err) {
    const struct vqs_plan *plan = output->plan;
    enum vqs_status status = VQS_OK;
    if (source->has_journal) {
        const struct vqs_origin origin = journal_origin(source);
        status = vqs_origin_check(&origin, plan, err);
    }
    if (status == VQS_OK && source->store) {
        const struct vqs_origin origin = store_origin(source);
        status = vqs_origin_check(&origin, plan, err);
    }
    if (status == VQS_OK && source->store) {
        status = check_data_files(source, output->provenance, err);
    }
    return status;
}

/* ---- the plan's trials by key ---------------------------------------------------------------------------------- */

struct keyed {
    uint64_t key;
    size_t trial;
};

static int by_key(const void *a, const void *b) {
    const uint64_t x = ((const struct keyed *)a)->key, y = ((const struct keyed *)b)->key;
    return (x > y) - (x < y);
}

static struct keyed *index_plan(const struct vqs_plan *plan, struct vqs_error *err) {
    const size_t n = vqs_plan_n_trials(plan);
    struct keyed *keyed = malloc(n * sizeof *keyed);
    if (!keyed) {
        vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate the keys of %zu trials", n);
        return NULL;
    }
    for (size_t t = 0; t < n; t++) {
        keyed[t] = (struct keyed){vqs_plan_trial_key(plan, t), t};
    }
    qsort(keyed, n, sizeof *keyed, by_key);
    return keyed;
}

/* ---- taking over ----------------------------------------------------------------------------------------------- */

struct import {
    struct vqs_output *output;
    struct vqs_journal *journal; /* where records go */
    const struct keyed *keyed;
    size_t conflicts, foreign;
    struct vqs_record record;
    struct vqs_bytes scratch, packed;
};

static enum vqs_status import_begin(struct import *import, struct vqs_output *output, struct vqs_error *err) {
    *import = (struct import){.output = output, .journal = output->journal};
    import->keyed = index_plan(output->plan, err);
    output->digests = output->digests ? output->digests : calloc(output->n_trials, sizeof *output->digests);
    return import->keyed && output->digests ? VQS_OK : vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
}

static void import_end(struct import *import) {
    free((struct keyed *)import->keyed);
    vqs_record_destroy(&import->record);
    vqs_bytes_destroy(&import->scratch);
    vqs_bytes_destroy(&import->packed);
}

/* Whether a record of this key, outcome and attempt is news to the output; *trial: its number there. */
static bool is_wanted(struct import *import, uint64_t key, enum vqs_outcome outcome, uint32_t attempt, size_t *trial) {
    const struct vqs_output *output = import->output;
    const struct keyed wanted = {key, 0}, *found;
    found = bsearch(&wanted, import->keyed, output->n_trials, sizeof wanted, by_key);
    if (!found) {
        import->foreign += outcome != VQS_OUTCOME_FAILED;
        return false;
    }
    *trial = found->trial;
    return !output->has[*trial] && (outcome != VQS_OUTCOME_FAILED || attempt > output->attempts[*trial]);
}

/* Appends import->record as the record of `trial`. */
static enum vqs_status take_over(struct import *import, size_t trial, struct vqs_error *err) {
    struct vqs_record *record = &import->record;
    import->packed.size = 0;
    record->trial = (uint32_t)trial;
    enum vqs_status status = vqs_record_pack(record, &import->packed, err);
    status = status ? status : vqs_journal_append(import->journal, import->packed.data, import->packed.size, err);
    if (status == VQS_OK) {
        vqs_output_note(import->output, trial, record->outcome, record->attempt);
        import->output->digests[trial] = record->outcome == VQS_OUTCOME_FAILED ? 0 : record->digest;
    }
    return status;
}

static enum vqs_status import_journal(struct import *import, const struct source *source, struct vqs_error *err) {
    enum vqs_status status = VQS_OK;
    for (size_t i = 0; i < source->index.n_entries && status == VQS_OK; i++) {
        const struct vqs_journal_entry *entry = &source->index.entries[i];
        size_t trial;
        if (is_wanted(import, entry->key, entry->outcome, entry->attempt, &trial) &&
            (status = vqs_journal_read(&source->index, entry, &import->scratch, &import->record, err)) == VQS_OK) {
            status = take_over(import, trial, err);
        }
    }
    return status;
}

static enum vqs_status import_store(struct import *import, const struct source *source, struct vqs_error *err) {
    const size_t n = vqs_store_n_trials(source->store);
    struct vqs_store_summary *rows = malloc(n * sizeof *rows);
    enum vqs_status status =
        rows ? vqs_store_summaries(source->store, 0, n, rows, err) : vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n && status == VQS_OK; i++) {
        size_t trial = import->output->n_trials;
        if (!rows[i].done) {
            continue;
        }
        if (is_wanted(import, rows[i].key, rows[i].outcome, rows[i].attempt, &trial)) {
            if ((status = vqs_store_read(source->store, i, &import->record, err)) == VQS_OK) {
                status = take_over(import, trial, err);
            }
        } else if (trial < import->output->n_trials && rows[i].outcome != VQS_OUTCOME_FAILED) {
            const uint64_t known = import->output->digests[trial];
            import->conflicts += known && known != rows[i].digest;
        }
    }
    free(rows);
    return status;
}

static enum vqs_status import_source(struct import *import, const struct source *source, struct vqs_error *err) {
    enum vqs_status status = source->has_journal ? import_journal(import, source, err) : VQS_OK;
    return status == VQS_OK && source->store ? import_store(import, source, err) : status;
}

/* ---- mixing: what another plan or program left, as far as this plan asks for it -------------------------------- */

/* "0.1.0+gabc (plan 0123456789abcdef)", after what the file says of earlier mixing. */
static void note_mixing(struct vqs_output *output, const struct source *source) {
    const char *earlier = source->store ? vqs_store_provenance(source->store, "mixed_with") : NULL;
    const struct vqs_origin origin = source->store ? store_origin(source) : journal_origin(source);
    vqs_provenance_add(output->provenance, "mixed_with", "%s%s%s (plan %016llx)", earlier ? earlier : "",
                       earlier ? "; " : "", origin.code_version, (unsigned long long)origin.plan_key);
}

static enum vqs_status create_journal(struct vqs_output *output, const char *path, struct vqs_journal **journal,
                                      struct vqs_error *err) {
    struct vqs_journal_header header = {.plan_key = vqs_plan_key(output->plan), .job = *output->job};
    snprintf(header.code_version, sizeof header.code_version, "%s", vqs_code_version());
    snprintf(header.seeds, sizeof header.seeds, "%s", output->seeds ? output->seeds : "");
    return vqs_journal_create(path, &header, journal, err);
}

/* Fills a new journal from `source` and puts it in the old one's place. Nothing is dropped: results that this plan does
 * not ask for are a reason to refuse. */
static enum vqs_status mix(struct vqs_output *output, const struct source *source, struct vqs_error *err) {
    struct import import;
    char *fresh = vqs_file_temporary(output->journal_path);
    enum vqs_status status = import_begin(&import, output, err);
    if (status == VQS_OK && !fresh) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    if (status == VQS_OK && (status = create_journal(output, fresh, &import.journal, err)) == VQS_OK) {
        status = import_source(&import, source, err);
        enum vqs_status closing = vqs_journal_close(import.journal, err);
        status = status ? status : closing;
    }
    if (status == VQS_OK && import.foreign) {
        status =
            vqs_fail(err, VQS_ERR_STORE,
                     "%s: has %zu results that this job does not ask for and that would be lost; give another file "
                     "by -o",
                     output->path, import.foreign);
    }
    if (status == VQS_OK) {
        status = vqs_file_publish(fresh, output->journal_path, err);
    }
    if (status == VQS_OK) {
        note_mixing(output, source);
        status = vqs_journal_reopen(output->journal_path, &output->journal, err);
    } else if (fresh) {
        unlink(fresh);
    }
    import_end(&import);
    free(fresh);
    return status;
}

/* ---- going on -------------------------------------------------------------------------------------------------- */

static void note_damage(struct vqs_output *output, const struct vqs_journal_index *index) {
    if (index->n_damaged || index->torn_bytes) {
        snprintf(output->notice, sizeof output->notice,
                 "%s: %zu damaged stretches (%llu bytes) and %llu bytes of an unfinished record passed over",
                 output->journal_path, index->n_damaged, (unsigned long long)index->damaged_bytes,
                 (unsigned long long)index->torn_bytes);
    }
}

/* A journal of this plan and program decides what is left to do; FILE beside it should hold nothing new. */
static enum vqs_status resume_journal(struct vqs_output *output, const struct source *source, struct vqs_error *err) {
    for (size_t t = 0; t < output->n_trials; t++) {
        const struct vqs_journal_entry *entry = vqs_journal_find(&source->index, vqs_plan_trial_key(output->plan, t));
        if (entry) {
            vqs_output_note(output, t, entry->outcome, entry->attempt);
        }
    }
    note_damage(output, &source->index);
    return vqs_journal_reopen(output->journal_path, &output->journal, err);
}

/* Without a journal: makes a note of what FILE has. Complete: no journal is needed. */
static enum vqs_status note_store(struct vqs_output *output, const struct source *source, bool *complete,
                                  struct vqs_error *err) {
    struct vqs_store_summary *rows = malloc(output->n_trials * sizeof *rows);
    enum vqs_status status = rows ? vqs_store_summaries(source->store, 0, output->n_trials, rows, err)
                                  : vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    *complete = true;
    for (size_t t = 0; t < output->n_trials && status == VQS_OK; t++) {
        *complete &= !vqs_shard_has(&output->shard, t) || (rows[t].done && rows[t].outcome != VQS_OUTCOME_FAILED);
    }
    for (size_t t = 0; t < output->n_trials && status == VQS_OK && *complete; t++) {
        if (rows[t].done) {
            vqs_output_note(output, t, rows[t].outcome, rows[t].attempt);
        }
    }
    free(rows);
    return status;
}

/* FILE has what its journal has not, or there is no journal: it was removed or lost, or the run ended with failures. */
static enum vqs_status adopt_store(struct vqs_output *output, const struct source *source, struct vqs_error *err) {
    struct import import;
    enum vqs_status status = import_begin(&import, output, err);
    if (status == VQS_OK) {
        status = import_store(&import, source, err);
    }
    import_end(&import);
    return status;
}

static enum vqs_status go_on(struct vqs_output *output, const struct source *source, struct vqs_error *err) {
    bool complete = false;
    enum vqs_status status = source_check(source, output, output->allow_mixed ? NULL : err);
    if (status == VQS_ERR_STORE && output->allow_mixed) {
        return mix(output, source, err);
    }
    if (status == VQS_OK && source->has_journal) {
        status = resume_journal(output, source, err);
    } else if (status == VQS_OK) {
        status = note_store(output, source, &complete, err);
    }
    if (status == VQS_OK && !output->journal && !complete) {
        status = create_journal(output, output->journal_path, &output->journal, err);
    }
    if (status == VQS_OK && output->journal && source->store) {
        status = adopt_store(output, source, err);
    }
    if (status == VQS_OK && source->store) { /* what was mixed once stays so */
        const char *mixed = vqs_store_provenance(source->store, "mixed_with");
        if (mixed) {
            vqs_provenance_add(output->provenance, "mixed_with", "%s", mixed);
        }
    }
    return status;
}

enum vqs_status vqs_output_resume(struct vqs_output *output, struct vqs_error *err) {
    struct source source;
    if (access(output->journal_path, F_OK) == 0 || access(output->path, F_OK) == 0) {
        enum vqs_status status = source_open(output->path, &source, err);
        if (status == VQS_ERR_STORE && err) {
            const size_t used = strlen(err->text);
            snprintf(err->text + used, sizeof err->text - used, "; it is left as it is: give another file by -o");
        }
        if (status == VQS_OK) {
            status = go_on(output, &source, err);
            source_close(&source);
        }
        if (status != VQS_OK || !output->journal) {
            return status;
        }
    } else {
        enum vqs_status status = create_journal(output, output->journal_path, &output->journal, err);
        if (status != VQS_OK) {
            return status;
        }
    }
    /* FILE is there from the beginning: `status` can read the plan from it, and a place that cannot be written to is
     * found before hours of work */
    return vqs_output_write(output, err);
}

enum vqs_status vqs_output_import(struct vqs_output *output, const char *path, size_t *conflicts,
                                  struct vqs_error *err) {
    struct source source;
    struct import import = {0};
    enum vqs_status status = source_open(path, &source, err);
    *conflicts = 0;
    if (status != VQS_OK) {
        return status;
    }
    status = source_check(&source, output, output->allow_mixed ? NULL : err);
    if (status == VQS_ERR_STORE && output->allow_mixed) {
        note_mixing(output, &source);
        status = VQS_OK;
    }
    if (status == VQS_OK && output->journal && (status = import_begin(&import, output, err)) == VQS_OK) {
        status = import_source(&import, &source, err);
        *conflicts = import.conflicts;
    }
    if (status == VQS_OK && import.foreign) {
        status =
            vqs_fail(err, VQS_ERR_STORE, "%s: has %zu results that this plan does not ask for", path, import.foreign);
    }
    import_end(&import);
    source_close(&source);
    return status;
}
