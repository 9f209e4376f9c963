/* journal.h - the append-only file that makes a record durable.
 *
 * The one rule: a record counts as done once it is in the journal, and the journal is only ever appended to. Each frame
 * carries its length and a checksum, so that a reader can skip a torn tail, zero blocks or damaged frames and go on.
 *
 * File, little-endian: a header frame (kind 1), then one frame a record (kind 2).
 *   frame    magic, 8 bytes | u32 payload length | u32 kind | u64 checksum | payload | zero padding to 8
 *   header   u32 format version | u64 plan key | u32 length, code version | u32 length, seeds | the job's text
 *   record   vqs_record_pack
 * The checksum is XXH3-64 of the payload, seeded with length | kind << 32. After damage a reader looks for the next
 * magic at which a whole frame starts.
 *
 * Life cycle of a writer: create or reopen, append any number of times, sync when the caller chooses, close. One writer
 * at a time, which the caller sees to. A reader maps nothing and locks nothing: it may read while a writer appends, and
 * then sees at worst an unfinished frame at the end.
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
    char seeds[64];       /* given in place of the job's; empty: none */
    struct vqs_bytes job; /* the job's text; owned */
};
void vqs_journal_header_destroy(struct vqs_journal_header *header);

/* Create `path` (it must not exist) with this header, durably: a journal that exists has a whole header. Or open an
 * existing one for appending after its last whole frame (what follows it is cut off: no reader could use it).
 * VQS_ERR_IO names the path and the system's reason; VQS_ERR_STORE: not a journal. */
enum vqs_status vqs_journal_create(const char *path, const struct vqs_journal_header *header, struct vqs_journal **out,
                                   struct vqs_error *err);
enum vqs_status vqs_journal_reopen(const char *path, struct vqs_journal **out, struct vqs_error *err);
/* Append one packed record in a single write. On failure the file is cut back to its last whole frame, and the append
 * may be tried again. */
enum vqs_status vqs_journal_append(struct vqs_journal *journal, const void *record, size_t size, struct vqs_error *err);
/* fdatasync: what was appended before survives a power loss. Another thread than the one that appends may call it. */
enum vqs_status vqs_journal_sync(struct vqs_journal *journal, struct vqs_error *err);
/* After a failed sync, when the system may have dropped what it could not write: puts a copy, synced, in the journal's
 * place. On failure the journal is as it was, and renewing may be tried again. */
enum vqs_status vqs_journal_renew(struct vqs_journal *journal, struct vqs_error *err);
/* Sync and close; NULL-safe. */
enum vqs_status vqs_journal_close(struct vqs_journal *journal, struct vqs_error *err);

/* A reader's index: one frame of each key. */
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
    size_t n_duplicates; /* record frames passed over for another of their key */
    size_t n_damaged;    /* stretches skipped: bad magic, length or checksum, or no record of this version */
    uint64_t damaged_bytes;
    uint64_t torn_bytes; /* after the last whole frame: an append that did not end, or damage */
    int fd;              /* open for vqs_journal_read */
};
/* Read a whole journal and index it, holding one frame at a time. Of the frames of one key a completed or diverged one
 * is preferred to a failed one; of the former the first, of the latter the last. VQS_ERR_STORE when it has no valid
 * header; VQS_ERR_IO when it cannot be read. On failure there is nothing to close; closing twice or a
 * zero-initialised index does nothing. */
enum vqs_status vqs_journal_index_open(const char *path, struct vqs_journal_index *index, struct vqs_error *err);
void vqs_journal_index_close(struct vqs_journal_index *index);
/* The entry of a key, or NULL. */
const struct vqs_journal_entry *vqs_journal_find(const struct vqs_journal_index *index, uint64_t key);
/* Read, check and unpack one record. `scratch` is a buffer to reuse. Distinct threads may read from one index, each
 * with its own scratch and record. */
enum vqs_status vqs_journal_read(const struct vqs_journal_index *index, const struct vqs_journal_entry *entry,
                                 struct vqs_bytes *scratch, struct vqs_record *record, struct vqs_error *err);

#endif
