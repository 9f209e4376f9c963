/* output.h - what a run leaves on disk: FILE, and FILE.journal until every trial is in FILE.
 *
 * The one rule: a record counts as done once it is in the journal; FILE is a view of the journal, written whole now and
 * then and at the end. Only rank 0 has an output.
 *
 * Life cycle: open (new, or going on where an earlier run of the same plan stopped), append records, tick often,
 * finish. destroy without finish leaves the journal, from which the same command goes on.
 */
#ifndef VQS_OUTPUT_H
#define VQS_OUTPUT_H

#include "provenance.h"
#include "vqsweep/store.h"

struct vqs_output;

/* Everything is borrowed until destroy. Refuses to touch a file or journal of another plan or code version, and says
 * how to mend that. Adds what identifies the plan to `provenance`. */
enum vqs_status vqs_output_open(const char *path, const struct vqs_plan *plan, const struct vqs_bytes *job,
                                struct vqs_provenance *provenance, struct vqs_output **out, struct vqs_error *err);
void vqs_output_destroy(struct vqs_output *output);
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
/* Keeps a packed record, whose head is `head`. */
enum vqs_status vqs_output_append(struct vqs_output *output, const struct vqs_record_head *head, const void *record,
                                  size_t size, struct vqs_error *err);
/* Syncs the journal and rewrites FILE when each is due. */
enum vqs_status vqs_output_tick(struct vqs_output *output, struct vqs_error *err);
enum vqs_status vqs_output_sync(struct vqs_output *output, struct vqs_error *err);
/* Writes FILE as of now. */
enum vqs_status vqs_output_write(struct vqs_output *output, struct vqs_error *err);
/* Writes FILE for the last time, and removes the journal if every trial has a result. */
enum vqs_status vqs_output_finish(struct vqs_output *output, struct vqs_error *err);

#endif
