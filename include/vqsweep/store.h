/* store.h - the one HDF5 file of a sweep: a view of plan, provenance and records, for people and programs.
 *
 * The one rule: a result file is never modified. It is built whole beside its place (temporary, closed, fsynced,
 * renamed over the old one, directory fsynced), so that whatever dies, the file at `path` is complete and readable.
 *
 * Schema, version 2. The file is HDF5 and keeps the conventions of netCDF-4: every dimension is a dimension scale with
 * its coordinate, every dataset has `long_name` and, where it has a unit, `units`; metrics and curves have `formula`.
 * A setting that has one and the same value in all rows has the attribute `constant`, 1: reading one row is enough.
 *   /                      attributes vqsweep_schema (this version), title, source (program and version), created
 *                          (ISO 8601, UTC), how_to_read
 *   /trial (trial)         0 .. n-1, the number in the plan
 *   /epoch (epoch)         1 .. the most epochs of a trial
 *   /NAME (trial)          for each setting of settings.h; where it has no effect, NaN or an empty text. Whole numbers
 *                          that always have an effect are int64, the seed is uint64, other numbers and switches are
 *                          double (so that NaN can say "none"), choices, file names and lists are text
 *   /NAME (trial)          for each of: key, status (pending, failed, completed, diverged), attempt, rank, host,
 *                          cpu_class, code_version, wall_seconds, finished_at, n_epochs, n_snapshots, codebook_row,
 *                          digest, message.
 *                          key and digest are 16 hexadecimal digits, for there are readers without 64-bit integers
 *   /NAME (trial)          for each metric of record.h, double, NaN where undefined
 *   /curve_NAME (trial, epoch)  for each curve of record.h, double, NaN past the trial's n_epochs
 *   /studies/NAME (NAME)   the trials of a study, ascending; attributes axis_1, axis_2, ..., merged_points
 *   /codebooks/K16_d2      for each shape of codebook, K x d / groups: codes (snapshot, code, component) float32, usage
 *                          (snapshot, code) uint32, and trial, epoch, codebook (snapshot), sorted by trial. A trial's
 *                          n_snapshots codebooks stand from its codebook_row on, by epoch and number
 *   /arrays/probes_3x6x3x6 for each array of record.h and each size of it: value (row, ...) float32 over the dimensions
 *                          of the kind, and trial (row), ascending. A dimension is a dataset of its labels, or of 0, 1,
 *                          ...; attribute tag: a hash of the labels
 *   /job                   text, a scalar: the job as it was given; attributes name, plan_key
 *   /provenance            an attribute for each item
 * Texts are UTF-8 of variable length.
 * What a record holds is in the file without loss: its digest can be computed anew from it (record.h says how).
 * The version is raised when a reader of the old one would be wrong; a new setting, metric or attribute does not raise
 * it.
 *
 * HDF5 is not made for threads: all calls come from one thread. It prints nothing; what it says goes into the error.
 */
#ifndef VQSWEEP_STORE_H
#define VQSWEEP_STORE_H

#include "vqsweep/base.h"
#include "vqsweep/plan.h"
#include "vqsweep/record.h"

#define VQS_SCHEMA_VERSION   2
#define VQS_SCHEMA_ATTRIBUTE "vqsweep_schema"

/* name/value pairs of where the results come from: code version, compiler, MPI, HDF5, OpenBLAS, CPU, launcher, hosts */
struct vqs_provenance_item {
    const char *name, *value;
};

/* What to write. Everything is borrowed. */
struct vqs_store_content {
    const struct vqs_plan *plan;
    const char *job_text;
    size_t job_size;
    const char *source; /* program and version, such as "vqsweep 0.1.0" */
    const struct vqs_provenance_item *provenance;
    size_t n_provenance;
    /* The record of a trial: *done true and `record` filled, or *done false while it is pending. Called once a trial in
     * ascending order. A failure stops the writing, so that a record that cannot be read is never taken for pending. */
    enum vqs_status (*record)(void *ctx, size_t trial, struct vqs_record *record, bool *done, struct vqs_error *err);
    void *ctx;
};
/* Build the file and put it at `path`, replacing what is there; memory does not grow with the number of trials.
 * VQS_ERR_IO names the cause and leaves the old file untouched, without a temporary beside it. VQS_ERR_INTERNAL: a
 * record of another trial. */
enum vqs_status vqs_store_write(const char *path, const struct vqs_store_content *content, struct vqs_error *err);

struct vqs_store; /* a file open for reading */
/* VQS_ERR_IO: cannot be read. VQS_ERR_STORE: not HDF5, not ours, of another schema version, damaged or incomplete; the
 * text says which. */
enum vqs_status vqs_store_open(const char *path, struct vqs_store **out, struct vqs_error *err);
void vqs_store_close(struct vqs_store *store); /* NULL-safe */
size_t vqs_store_n_trials(const struct vqs_store *store);
/* The job text; owned by the store. */
const char *vqs_store_job_text(const struct vqs_store *store, size_t *size);
const char *vqs_store_provenance(const struct vqs_store *store, const char *name); /* NULL when absent */
/* All items, in the order they were written. */
size_t vqs_store_provenance_items(const struct vqs_store *store, const struct vqs_provenance_item **items);

/* How many trials are pending, failed, completed, diverged. */
struct vqs_store_counts {
    size_t pending, failed, completed, diverged;
};
enum vqs_status vqs_store_count(struct vqs_store *store, struct vqs_store_counts *counts, struct vqs_error *err);

/* What accounts for a trial, cheaply. */
struct vqs_store_summary {
    uint64_t key;
    uint64_t digest; /* 0 while pending */
    bool done;       /* false: pending */
    enum vqs_outcome outcome;
    uint32_t attempt;
};
/* Of trials first .. first + n - 1, which must exist. */
enum vqs_status vqs_store_summaries(struct vqs_store *store, size_t first, size_t n, struct vqs_store_summary *out,
                                    struct vqs_error *err);
/* A whole record with curves, snapshots and arrays, as it was written. VQS_ERR_STORE when pending or damaged. */
enum vqs_status vqs_store_read(struct vqs_store *store, size_t trial, struct vqs_record *record, struct vqs_error *err);

/* Reads `data: hdf5`, for those who make data sets: the core knows no HDF5 and is given this (source.h). */
extern const struct vqs_source_reader vqs_source_hdf5;

#endif
