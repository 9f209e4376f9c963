/* output_state.h - what output.c (writing) and resume.c (going on) both know of an output. Not for others. */
#ifndef VQS_OUTPUT_STATE_H
#define VQS_OUTPUT_STATE_H

#include "background.h"
#include "lease.h"
#include "output.h"
#include "vqsweep/journal.h"

struct vqs_output {
    char *path, *journal_path, *trials_folder;
    const struct vqs_plan *plan;
    const struct vqs_bytes *job;
    const char *seeds;
    struct vqs_provenance *provenance;
    struct vqs_shard shard;
    bool allow_mixed;
    struct vqs_lease *lease;
    struct vqs_journal *journal; /* NULL: FILE was found complete */
    uint32_t *attempts;          /* [n_trials] attempts so far */
    bool *has;                   /* [n_trials] has a result */
    uint64_t *digests;           /* [n_trials] of results that were imported; 0: none, or not known; NULL before that */
    size_t n_trials, n_results;
    char notice[240];
    /* the journal's sync and the view, each a thread of its own */
    struct vqs_background *syncer, *viewer;
    size_t unsynced; /* records since the last sync was asked for, */
    double since;    /* the first of them appended at this time */
    bool viewing;
    double view_due;
    double view_seconds; /* what the last view took; the viewer's while it runs */
    bool view_failed;
    /* when the journal cannot be written to */
    struct vqs_error trouble; /* VQS_OK: it can */
    bool must_renew;          /* a sync failed: what was written may be lost */
    struct vqs_bytes backlog; /* of records: size_t size, then the packed record */
    size_t n_backlog;
    double retry_at;
    char news[640];
    bool has_news;
};

/* output.c: makes a note of what became of a trial. */
void vqs_output_note(struct vqs_output *output, size_t trial, enum vqs_outcome outcome, uint32_t attempt);
/* output.c: writes FILE as of now, from the journal. */
enum vqs_status vqs_output_write(struct vqs_output *output, struct vqs_error *err);
/* resume.c: takes up what is there, makes what is not. The lease is held. */
enum vqs_status vqs_output_resume(struct vqs_output *output, struct vqs_error *err);

#endif
