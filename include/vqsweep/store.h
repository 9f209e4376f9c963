/* store.h - the one HDF5 file of a sweep: a view of plan, provenance and records, for people and programs.
 *
 * The one rule: a result file is never modified. It is built whole beside its place (temporary, closed, fsynced, renamed
 * over the old one, directory fsynced), so that whatever dies, the file at `path` is complete and readable.
 *
 * To be completed by the module: the schema, version by version.
 */
#ifndef VQSWEEP_STORE_H
#define VQSWEEP_STORE_H

#include "vqsweep/base.h"
#include "vqsweep/journal.h"
#include "vqsweep/plan.h"
#include "vqsweep/record.h"

#define VQS_SCHEMA_VERSION 1

/* name/value pairs of where the results come from: code version, compiler, MPI, HDF5, OpenBLAS, CPU, launcher, hosts */
struct vqs_provenance_item {
    const char *name, *value;
};

/* What to write. Everything is borrowed. */
struct vqs_store_content {
    const struct vqs_plan *plan;
    const char *job_text;
    size_t job_size;
    const struct vqs_provenance_item *provenance;
    size_t n_provenance;
    /* The record of a trial: true and filled, or false while it is pending. Called once a trial in ascending order (a
     * second pass for snapshots is allowed). */
    bool (*record)(void *ctx, size_t trial, struct vqs_record *record);
    void *ctx;
};
/* Build the file and put it at `path`, replacing what is there. VQS_ERR_IO leaves the old file untouched. */
enum vqs_status vqs_store_write(const char *path, const struct vqs_store_content *content, struct vqs_error *err);

struct vqs_store; /* a file open for reading */
enum vqs_status vqs_store_open(const char *path, struct vqs_store **out, struct vqs_error *err);
void vqs_store_close(struct vqs_store *store);
size_t vqs_store_n_trials(const struct vqs_store *store);
/* The job text; owned by the store. */
const char *vqs_store_job_text(const struct vqs_store *store, size_t *size);
const char *vqs_store_provenance(const struct vqs_store *store, const char *name); /* NULL when absent */
/* How many trials are pending, failed, completed, diverged. */
struct vqs_store_counts {
    size_t pending, failed, completed, diverged;
};
enum vqs_status vqs_store_count(struct vqs_store *store, struct vqs_store_counts *counts, struct vqs_error *err);
/* A whole record with curves and snapshots, as it was written. VQS_ERR_STORE when pending or damaged. */
enum vqs_status vqs_store_read(struct vqs_store *store, size_t trial, struct vqs_record *record, struct vqs_error *err);

#endif
