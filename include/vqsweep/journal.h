/* journal.h - the append-only file that makes a record durable.
 *
 * The one rule: a record counts as done once it is in the journal, and the journal is only ever appended to. Each frame
 * carries its length and a checksum, so that a reader can skip a torn tail, zero blocks or damaged frames and go on.
 *
 * File: a header frame (format version, plan key, code version, job text), then one frame a record:
 *   magic 8 bytes | payload length u32 | kind u32 | XXH3-64 of kind, length and payload | payload (vqs_record_pack) | zero padding to 8
 *
 * Life cycle of a writer: open, append any number of times, sync when the caller chooses, close. One writer at a time.
 * A reader maps nothing and locks nothing: it may read while a writer appends.
 */
#ifndef VQSWEEP_JOURNAL_H
#define VQSWEEP_JOURNAL_H

#include "vqsweep/base.h"
#include "vqsweep/record.h"

struct vqs_journal; /* a writer */

/* What a journal says of the run it belongs to. */
struct vqs_journal_header {
    uint64_t plan_key;
    char code_version[64];
    struct vqs_bytes job; /* the job's text; owned */
};
void vqs_journal_header_destroy(struct vqs_journal_header *header);

/* Create `path` (it must not exist) with this header, or open an existing one for appending after its last whole frame
 * (a torn tail is cut off). VQS_ERR_IO names the path and the system's reason. */
enum vqs_status vqs_journal_create(const char *path, const struct vqs_journal_header *header, struct vqs_journal **out,
                                   struct vqs_error *err);
enum vqs_status vqs_journal_reopen(const char *path, struct vqs_journal **out, struct vqs_error *err);
/* Append one packed record in a single write. On failure the file is cut back to its last whole frame. */
enum vqs_status vqs_journal_append(struct vqs_journal *journal, const void *record, size_t size, struct vqs_error *err);
/* fdatasync. */
enum vqs_status vqs_journal_sync(struct vqs_journal *journal, struct vqs_error *err);
/* Sync and close; NULL-safe. */
enum vqs_status vqs_journal_close(struct vqs_journal *journal, struct vqs_error *err);

/* A reader's index: the newest whole frame of each key. */
struct vqs_journal_entry {
    uint64_t key;
    uint64_t offset; /* of the payload */
    uint32_t size;   /* of the payload */
    uint32_t attempt;
    enum vqs_outcome outcome;
};
struct vqs_journal_index {
    struct vqs_journal_header header;
    struct vqs_journal_entry *entries; /* sorted by key; owned */
    size_t n_entries;
    size_t n_duplicates;   /* frames superseded: same key */
    size_t n_damaged;      /* stretches skipped: bad magic, length or checksum */
    uint64_t damaged_bytes;
    uint64_t torn_bytes;   /* unfinished frame at the end */
    int fd;                /* open for vqs_journal_read */
};
/* Read a whole journal and index it. A completed or diverged record is preferred to a failed one of the same key, then
 * the first. VQS_ERR_STORE when it has no valid header; VQS_ERR_IO when it cannot be read. */
enum vqs_status vqs_journal_index_open(const char *path, struct vqs_journal_index *index, struct vqs_error *err);
void vqs_journal_index_close(struct vqs_journal_index *index);
/* The entry of a key, or NULL. */
const struct vqs_journal_entry *vqs_journal_find(const struct vqs_journal_index *index, uint64_t key);
/* Read and unpack one record. `scratch` is a buffer to reuse. */
enum vqs_status vqs_journal_read(const struct vqs_journal_index *index, const struct vqs_journal_entry *entry,
                                 struct vqs_bytes *scratch, struct vqs_record *record, struct vqs_error *err);

#endif
