/* output.h - what a run leaves on disk: FILE, and FILE.journal until every trial is in FILE.
 *
 * The one rule: a record counts as done once it is in the journal; FILE is a view of the journal, written whole now and
 * then and at the end. Only rank 0 has an output, and FILE.lease (lease.h) keeps it to one run at a time.
 *
 * Nothing here holds up the run: the journal is synced (at most a second or 64 records behind) and FILE is written by
 * threads of their own. When the journal cannot be written to, records wait in memory, vqs_output_troubled says so and
 * the caller hands out no more work; the output tries again every second until the cause is gone.
 *
 * Life cycle: open (new, or going on where an earlier run of the same plan stopped), append records, tick often,
 * finish. destroy without finish leaves the journal, from which the same command goes on.
 */
#ifndef VQS_OUTPUT_H
#define VQS_OUTPUT_H

#include "provenance.h"
#include "vqsweep/store.h"

/* The part of a plan that this run answers for: trials index, index + count, ... */
struct vqs_shard {
    uint32_t index, count;
};
static inline bool vqs_shard_has(const struct vqs_shard *shard, size_t trial) {
    return trial % shard->count == shard->index;
}

/* Everything is borrowed until destroy. */
struct vqs_output_options {
    const char *path;
    const struct vqs_plan *plan;
    const struct vqs_bytes *job;
    const char *seeds;                 /* given in place of the job's; NULL: none */
    struct vqs_provenance *provenance; /* what identifies the plan is added */
    struct vqs_shard shard;
    bool allow_mixed; /* take over results of another plan or program, as far as this plan asks for them */
};

struct vqs_output;

/* Takes the lease. Refuses to touch a file or journal of another plan or code version, and says what differs and how to
 * mend that. */
enum vqs_status vqs_output_open(const struct vqs_output_options *options, struct vqs_output **out,
                                struct vqs_error *err);
void vqs_output_destroy(struct vqs_output *output);
/* Takes over what another result file and its journal hold of this plan; its trials may be numbered otherwise.
 * *conflicts: trials that were here already with another result, which was kept. */
enum vqs_status vqs_output_import(struct vqs_output *output, const char *path, size_t *conflicts,
                                  struct vqs_error *err);

/* Whether the trial has a result (completed or diverged). */
bool vqs_output_has(const struct vqs_output *output, size_t trial);
/* The number of the next attempt at a trial; 1 for the first. */
uint32_t vqs_output_attempt(const struct vqs_output *output, size_t trial);
/* FILE was found with every result in it: there is nothing to run and nothing to write. */
bool vqs_output_is_finished(const struct vqs_output *output);
/* Trials that have a result. */
size_t vqs_output_n_results(const struct vqs_output *output);
/* What a person should know of the journal that was found, in one line; empty: nothing. */
const char *vqs_output_notice(const struct vqs_output *output);

/* Keeps a packed record, whose head is `head`. When the disk refuses it, it is kept in memory and this is still VQS_OK.
 * VQS_ERR_BUSY: the lease is lost, and so for tick. */
enum vqs_status vqs_output_append(struct vqs_output *output, const struct vqs_record_head *head, const void *record,
                                  size_t size, struct vqs_error *err);
/* Renews the lease, has the journal synced and FILE written when each is due, tries again what failed. *news: a line
 * that a person should read, or NULL; valid until the next call. */
enum vqs_status vqs_output_tick(struct vqs_output *output, const char **news, struct vqs_error *err);
/* The journal cannot be written to just now. */
bool vqs_output_troubled(const struct vqs_output *output);
/* Syncs the journal now and has FILE written soon: what is done so far is safe when the program is killed after this.
 */
enum vqs_status vqs_output_checkpoint(struct vqs_output *output, struct vqs_error *err);
/* Before the process ends in the middle: lets the next run begin without waiting. Nothing may be written after this. */
void vqs_output_let_go(struct vqs_output *output);
/* Writes FILE for the last time, and removes the journal if every trial of the shard has a result. VQS_ERR_UNFINISHED:
 * the disk refused; what the journal has is not lost. */
enum vqs_status vqs_output_finish(struct vqs_output *output, struct vqs_error *err);

#endif
