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
 * how to mend that. `*resumed` is the number of trials that need not be run again. */
enum vqs_status vqs_output_open(const char *path, const struct vqs_plan *plan, const struct vqs_bytes *job,
                                struct vqs_provenance *provenance, struct vqs_output **out, size_t *resumed,
                                struct vqs_error *err);
void vqs_output_destroy(struct vqs_output *output);
/* Whether the trial has a result (completed or diverged). */
bool vqs_output_has(const struct vqs_output *output, size_t trial);
/* The number of the next attempt at a trial; 1 for the first. */
uint32_t vqs_output_attempt(const struct vqs_output *output, size_t trial);
/* Keeps a packed record of this trial. */
enum vqs_status vqs_output_append(struct vqs_output *output, size_t trial, const void *record, size_t size,
                                  enum vqs_status *unusable, struct vqs_error *err);
/* Syncs the journal and rewrites FILE when each is due. */
enum vqs_status vqs_output_tick(struct vqs_output *output, struct vqs_error *err);
enum vqs_status vqs_output_sync(struct vqs_output *output, struct vqs_error *err);
/* Writes FILE as of now. */
enum vqs_status vqs_output_write(struct vqs_output *output, struct vqs_error *err);
/* Writes FILE for the last time, and removes the journal if every trial has a result. */
enum vqs_status vqs_output_finish(struct vqs_output *output, struct vqs_error *err);

#endif
