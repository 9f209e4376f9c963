/* journal.c - the journal: frames, their writer, their reader. */
#include "vqsweep/journal.h"

#include "fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* ---- frames ---------------------------------------------------------------------------------------------------- */

enum { FORMAT_VERSION = 2, FRAME_HEAD = 24, KIND_HEADER = 1, KIND_RECORD = 2, HEADER_FIXED = 12 };

/* The first byte is no text and a transfer that mends line ends would break the last ones. */
static const unsigned char magic[8] = {0x93, 'V', 'Q', 'S', 'J', '\r', '\n', 0x1a};

static void store_le(unsigned char *to, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) {
        to[i] = (unsigned char)(value >> 8 * i);
    }
}

static uint64_t load_le(const unsigned char *from, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint64_t)from[i] << 8 * i;
    }
    return value;
}

static uint64_t checksum(uint32_t kind, const void *payload, uint32_t size) {
    return XXH3_64bits_withSeed(payload, size, size | (uint64_t)kind << 32);
}

/* Bytes of a frame on disk. */
static uint64_t frame_size(uint32_t payload) {
    return (FRAME_HEAD + (uint64_t)payload + 7) & ~UINT64_C(7);
}

/* Puts the frame of a payload in place of what `bytes` held. */
static enum vqs_status build_frame(struct vqs_bytes *bytes, uint32_t kind, const void *payload, size_t size,
                                   struct vqs_error *err) {
    static const unsigned char zeros[8] = {0};
    if (size > UINT32_MAX) {
        return vqs_fail(err, VQS_ERR_IO, "a record of %zu bytes is too large for a journal (the limit is 4 GiB)", size);
    }
    unsigned char head[FRAME_HEAD];
    memcpy(head, magic, sizeof magic);
    store_le(head + 8, size, 4);
    store_le(head + 12, kind, 4);
    store_le(head + 16, checksum(kind, payload, (uint32_t)size), 8);
    bytes->size = 0;
    enum vqs_status status = vqs_bytes_append(bytes, head, sizeof head, err);
    status = status ? status : vqs_bytes_append(bytes, payload, size, err);
    const size_t padding = (size_t)frame_size((uint32_t)size) - FRAME_HEAD - size;
    return status ? status : vqs_bytes_append(bytes, zeros, padding, err);
}

/* ---- a window on a file that is read from front to back -------------------------------------------------------- */

enum { WINDOW = 1 << 20 };

struct window {
    const char *path; /* for messages */
    int fd;
    uint64_t file_size; /* when it was opened: what is appended later is not looked at */
    uint64_t start;     /* file offset of bytes.data */
    struct vqs_bytes bytes;
};

/* Makes room for `size` bytes without keeping what was there. */
static enum vqs_status reserve(struct vqs_bytes *bytes, size_t size, struct vqs_error *err) {
    if (size > bytes->capacity) {
        vqs_bytes_destroy(bytes);
        if (!(bytes->data = malloc(size))) {
            return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a buffer of %zu bytes", size);
        }
        bytes->capacity = size;
    }
    return VQS_OK;
}

/* Reads up to `size` bytes at `offset`; fewer only at the end of the file. -1 with errno. */
static ssize_t read_at(int fd, unsigned char *data, size_t size, uint64_t offset) {
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* *out: the `size` bytes at `offset`, or NULL when the file ends before. Valid until the next call. */
static enum vqs_status window_at(struct window *w, uint64_t offset, uint64_t size, const unsigned char **out,
                                 struct vqs_error *err) {
    *out = NULL;
    if (offset > w->file_size || size > w->file_size - offset) {
        return VQS_OK;
    }
    if (offset < w->start || offset + size > w->start + w->bytes.size) {
        uint64_t want = size > WINDOW ? size : WINDOW;
        want = want < w->file_size - offset ? want : w->file_size - offset;
        w->bytes.size = 0;
        enum vqs_status status = reserve(&w->bytes, (size_t)want, err);
        if (status) {
            return status;
        }
        ssize_t n = read_at(w->fd, w->bytes.data, (size_t)want, offset);
        if (n < 0) {
            return vqs_fail(err, VQS_ERR_IO, "%s: cannot read the journal: %s", w->path, strerror(errno));
        }
        w->start = offset;
        w->bytes.size = (size_t)n;
        if (w->bytes.size < size) { /* it was cut while we read */
            return VQS_OK;
        }
    }
    *out = w->bytes.data + (offset - w->start);
    return VQS_OK;
}

struct frame {
    uint64_t offset; /* of the frame */
    uint32_t kind, size;
    const unsigned char *payload; /* in the window */
};

/* The whole frame that starts at `offset`, or payload NULL. */
static enum vqs_status frame_at(struct window *w, uint64_t offset, struct frame *frame, struct vqs_error *err) {
    const unsigned char *at;
    *frame = (struct frame){.offset = offset};
    enum vqs_status status = window_at(w, offset, FRAME_HEAD, &at, err);
    if (status || !at || memcmp(at, magic, sizeof magic)) {
        return status;
    }
    const uint32_t size = (uint32_t)load_le(at + 8, 4), kind = (uint32_t)load_le(at + 12, 4);
    const uint64_t expected = load_le(at + 16, 8);
    status = window_at(w, offset, frame_size(size), &at, err);
    if (!status && at && checksum(kind, at + FRAME_HEAD, size) == expected) {
        frame->kind = kind;
        frame->size = size;
        frame->payload = at + FRAME_HEAD;
    }
    return status;
}

/* The next whole frame at or after `offset`, or payload NULL when there is none. */
static enum vqs_status next_frame(struct window *w, uint64_t offset, struct frame *frame, struct vqs_error *err) {
    enum vqs_status status = frame_at(w, offset, frame, err);
    while (!status && !frame->payload && offset + FRAME_HEAD < w->file_size) {
        offset++;
        const uint64_t left = w->file_size - offset, step = left < WINDOW / 2 ? left : WINDOW / 2;
        const unsigned char *at, *first;
        if ((status = window_at(w, offset, step, &at, err)) || !at) {
            break;
        }
        for (first = at; (first = memchr(first, magic[0], (size_t)(at + step - first))); first++) {
            if ((size_t)(at + step - first) < sizeof magic || !memcmp(first, magic, sizeof magic)) {
                break; /* a magic, or what may be the start of one */
            }
        }
        offset += first ? (uint64_t)(first - at) : step;
        status = frame_at(w, offset, frame, err);
    }
    return status;
}

/* ---- header ---------------------------------------------------------------------------------------------------- */

void vqs_journal_header_destroy(struct vqs_journal_header *header) {
    vqs_bytes_destroy(&header->job);
    memset(header, 0, sizeof *header);
}

static enum vqs_status pack_text(const char *text, size_t room, struct vqs_bytes *bytes, struct vqs_error *err) {
    const size_t length = strnlen(text, room - 1);
    unsigned char number[4];
    store_le(number, length, 4);
    enum vqs_status status = vqs_bytes_append(bytes, number, sizeof number, err);
    return status ? status : vqs_bytes_append(bytes, text, length, err);
}

/* Moves *at past a text that ends before `end` and fits the room. */
static bool unpack_text(const unsigned char **at, const unsigned char *end, char *text, size_t room) {
    const uint64_t length = end - *at >= 4 ? load_le(*at, 4) : UINT64_MAX;
    if (length >= room || length > (uint64_t)(end - *at - 4)) {
        return false;
    }
    memcpy(text, *at + 4, (size_t)length);
    text[length] = 0;
    *at += 4 + length;
    return true;
}

static enum vqs_status pack_header(const struct vqs_journal_header *header, struct vqs_bytes *bytes,
                                   struct vqs_error *err) {
    unsigned char fixed[HEADER_FIXED];
    store_le(fixed, FORMAT_VERSION, 4);
    store_le(fixed + 4, header->plan_key, 8);
    enum vqs_status status = vqs_bytes_append(bytes, fixed, sizeof fixed, err);
    status = status ? status : pack_text(header->code_version, sizeof header->code_version, bytes, err);
    status = status ? status : pack_text(header->seeds, sizeof header->seeds, bytes, err);
    return status ? status : vqs_bytes_append(bytes, header->job.data, header->job.size, err);
}

static enum vqs_status unpack_header(const struct frame *frame, const char *path, struct vqs_journal_header *header,
                                     struct vqs_error *err) {
    memset(header, 0, sizeof *header);
    if (!frame->payload || frame->kind != KIND_HEADER || frame->size < HEADER_FIXED) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: not a vqsweep journal, or its header is damaged", path);
    }
    const unsigned char *at = frame->payload;
    const unsigned version = (unsigned)load_le(at, 4);
    if (version != FORMAT_VERSION) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: a journal of format %u, this program reads format %d", path, version,
                        FORMAT_VERSION);
    }
    header->plan_key = load_le(at + 4, 8);
    const unsigned char *const end = at + frame->size;
    at += HEADER_FIXED;
    if (!unpack_text(&at, end, header->code_version, sizeof header->code_version) ||
        !unpack_text(&at, end, header->seeds, sizeof header->seeds)) {
        return vqs_fail(err, VQS_ERR_STORE, "%s: the journal's header is malformed", path);
    }
    return vqs_bytes_append(&header->job, at, (size_t)(end - at), err);
}

/* ---- the writer ------------------------------------------------------------------------------------------------ */

struct vqs_journal {
    char *path;
    int fd;
    uint64_t end; /* of the last whole frame */
    struct vqs_bytes frame;
};

static enum vqs_status io_error(const char *path, const char *what, struct vqs_error *err) {
    return vqs_fail(err, VQS_ERR_IO, "%s: cannot %s the journal: %s", path, what, strerror(errno));
}

/* A writer on the file `at`, which is or becomes the journal `path`. Releases everything on failure. */
static enum vqs_status writer_open(const char *path, const char *at, int flags, struct vqs_journal **out,
                                   struct vqs_error *err) {
    *out = NULL;
    struct vqs_journal *journal = calloc(1, sizeof *journal);
    if (!journal || !(journal->path = strdup(path))) {
        free(journal);
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a journal");
    }
    if ((journal->fd = open(at, flags | O_CLOEXEC, 0666)) < 0) {
        enum vqs_status status = io_error(path, flags & O_CREAT ? "create" : "open", err);
        free(journal->path);
        free(journal);
        return status;
    }
    *out = journal;
    return VQS_OK;
}

static void writer_free(struct vqs_journal *journal) {
    close(journal->fd);
    vqs_bytes_destroy(&journal->frame);
    free(journal->path);
    free(journal);
}

/* Puts the built frame after the last one. A write that comes back short is gone on with, so that the system tells why
 * it stops; then what it left is cut off. */
static enum vqs_status write_frame(struct vqs_journal *journal, struct vqs_error *err) {
    size_t done = 0;
    while (done < journal->frame.size) {
        ssize_t n =
            pwrite(journal->fd, journal->frame.data + done, journal->frame.size - done, (off_t)(journal->end + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            enum vqs_status status = io_error(journal->path, "append to", err);
            /* Should this fail too: the next append starts at the same place, and readers skip what is not whole. */
            int ignored = ftruncate(journal->fd, (off_t)journal->end);
            (void)ignored;
            return status;
        }
        done += (size_t)n;
    }
    journal->end += journal->frame.size;
    return VQS_OK;
}

enum vqs_status vqs_journal_create(const char *path, const struct vqs_journal_header *header, struct vqs_journal **out,
                                   struct vqs_error *err) {
    *out = NULL;
    struct vqs_bytes packed = {0};
    struct vqs_journal *journal = NULL;
    char *temporary = NULL;
    enum vqs_status status = VQS_OK;
    if (access(path, F_OK) == 0) {
        return vqs_fail(err, VQS_ERR_IO, "%s: cannot create the journal: it exists already", path);
    }
    if (!(temporary = vqs_file_temporary(path))) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a journal");
        goto done;
    }
    if ((status = pack_header(header, &packed, err)) ||
        (status = writer_open(path, temporary, O_RDWR | O_CREAT | O_TRUNC, &journal, err)) ||
        (status = build_frame(&journal->frame, KIND_HEADER, packed.data, packed.size, err)) ||
        (status = write_frame(journal, err)) || (status = vqs_file_publish(temporary, path, err))) {
        goto done;
    }
    *out = journal;
    journal = NULL;
done:
    if (journal) {
        writer_free(journal);
        unlink(temporary);
    }
    vqs_bytes_destroy(&packed);
    free(temporary);
    return status;
}

enum vqs_status vqs_journal_reopen(const char *path, struct vqs_journal **out, struct vqs_error *err) {
    *out = NULL;
    struct vqs_journal *journal;
    enum vqs_status status = writer_open(path, path, O_RDWR, &journal, err);
    if (status) {
        return status;
    }
    struct window window = {.path = path, .fd = journal->fd};
    struct vqs_journal_header header = {0};
    struct frame frame;
    struct stat stat;
    if (fstat(journal->fd, &stat)) {
        status = io_error(path, "read", err);
        goto done;
    }
    window.file_size = (uint64_t)stat.st_size;
    if ((status = frame_at(&window, 0, &frame, err)) || (status = unpack_header(&frame, path, &header, err))) {
        goto done;
    }
    while (!status && frame.payload) {
        journal->end = frame.offset + frame_size(frame.size);
        status = next_frame(&window, journal->end, &frame, err);
    }
    if (!status && journal->end < window.file_size && ftruncate(journal->fd, (off_t)journal->end)) {
        status = io_error(path, "cut the torn end off", err);
    }
done:
    vqs_bytes_destroy(&window.bytes);
    vqs_journal_header_destroy(&header);
    if (status) {
        writer_free(journal);
    } else {
        *out = journal;
    }
    return status;
}

enum vqs_status vqs_journal_append(struct vqs_journal *journal, const void *record, size_t size,
                                   struct vqs_error *err) {
    enum vqs_status status = build_frame(&journal->frame, KIND_RECORD, record, size, err);
    return status ? status : write_frame(journal, err);
}

enum vqs_status vqs_journal_sync(struct vqs_journal *journal, struct vqs_error *err) {
    return fdatasync(journal->fd) ? io_error(journal->path, "sync", err) : VQS_OK;
}

/* Copies the first `size` bytes of one file to another; 0 or -1 with errno. */
static int copy_bytes(int from, int to, uint64_t size, struct vqs_bytes *block) {
    for (uint64_t at = 0; at < size;) {
        const uint64_t want = size - at < block->capacity ? size - at : block->capacity;
        ssize_t n = read_at(from, block->data, (size_t)want, at);
        for (ssize_t done = 0, written; done < n; done += written) {
            if ((written = pwrite(to, block->data + done, (size_t)(n - done), (off_t)(at + (uint64_t)done))) < 0) {
                return -1;
            }
        }
        if (n <= 0) {
            return -1;
        }
        at += (uint64_t)n;
    }
    return 0;
}

enum vqs_status vqs_journal_renew(struct vqs_journal *journal, struct vqs_error *err) {
    struct vqs_bytes block = {0};
    char *temporary = vqs_file_temporary(journal->path);
    enum vqs_status status = reserve(&block, WINDOW, err);
    int fd = -1;
    if (!temporary) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    if (!status && ((fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0 ||
                    copy_bytes(journal->fd, fd, journal->end, &block))) {
        status = io_error(journal->path, "renew", err);
    }
    status = status ? status : vqs_file_publish(temporary, journal->path, err);
    if (status && fd >= 0) {
        unlink(temporary);
        close(fd);
    } else if (!status) {
        close(journal->fd);
        journal->fd = fd;
    }
    vqs_bytes_destroy(&block);
    free(temporary);
    return status;
}

enum vqs_status vqs_journal_close(struct vqs_journal *journal, struct vqs_error *err) {
    enum vqs_status status = VQS_OK;
    if (journal) {
        status = vqs_journal_sync(journal, err);
        writer_free(journal);
    }
    return status;
}

/* ---- the reader ------------------------------------------------------------------------------------------------ */

static int compare_u64(uint64_t a, uint64_t b) {
    return (a > b) - (a < b);
}

/* By key, and within a key the preferred one first. */
static int compare_entries(const void *left, const void *right) {
    const struct vqs_journal_entry *a = left, *b = right;
    const bool a_failed = a->outcome == VQS_OUTCOME_FAILED, b_failed = b->outcome == VQS_OUTCOME_FAILED;
    if (a->key != b->key) {
        return compare_u64(a->key, b->key);
    }
    if (a_failed != b_failed) {
        return a_failed - b_failed;
    }
    return a_failed ? compare_u64(b->offset, a->offset) : compare_u64(a->offset, b->offset);
}

static void sort_and_drop_duplicates(struct vqs_journal_index *index) {
    size_t kept = 0;
    if (index->n_entries) {
        qsort(index->entries, index->n_entries, sizeof *index->entries, compare_entries);
    }
    for (size_t i = 0; i < index->n_entries; i++) {
        if (!kept || index->entries[i].key != index->entries[kept - 1].key) {
            index->entries[kept++] = index->entries[i];
        }
    }
    index->n_duplicates = index->n_entries - kept;
    index->n_entries = kept;
}

/* Adds a record's frame to the index; a whole frame without a record of this version counts as damage. */
static enum vqs_status add_entry(struct vqs_journal_index *index, const struct frame *frame, size_t *capacity,
                                 struct vqs_error *err) {
    struct vqs_record_head head;
    if (frame->kind != KIND_RECORD || vqs_record_peek(frame->payload, frame->size, &head, NULL)) {
        index->n_damaged++;
        index->damaged_bytes += frame_size(frame->size);
        return VQS_OK;
    }
    if (index->n_entries == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 256;
        struct vqs_journal_entry *grown = realloc(index->entries, *capacity * sizeof *grown);
        if (!grown) {
            return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate an index of %zu journal entries", *capacity);
        }
        index->entries = grown;
    }
    index->entries[index->n_entries++] = (struct vqs_journal_entry){.key = head.key,
                                                                    .offset = frame->offset + FRAME_HEAD,
                                                                    .size = frame->size,
                                                                    .attempt = head.attempt,
                                                                    .outcome = head.outcome};
    return VQS_OK;
}

enum vqs_status vqs_journal_index_open(const char *path, struct vqs_journal_index *index, struct vqs_error *err) {
    memset(index, 0, sizeof *index);
    struct window window = {.path = path};
    struct frame frame;
    struct stat stat;
    size_t capacity = 0;
    enum vqs_status status = VQS_OK;
    if ((index->fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 || fstat(index->fd, &stat)) {
        status = io_error(path, "open", err);
        goto done;
    }
    window.fd = index->fd;
    window.file_size = (uint64_t)stat.st_size;
    if ((status = frame_at(&window, 0, &frame, err)) || (status = unpack_header(&frame, path, &index->header, err))) {
        goto done;
    }
    uint64_t end = frame_size(frame.size); /* of the last whole frame */
    while (!(status = next_frame(&window, end, &frame, err)) && frame.payload) {
        if (frame.offset > end) {
            index->n_damaged++;
            index->damaged_bytes += frame.offset - end;
        }
        if ((status = add_entry(index, &frame, &capacity, err))) {
            break;
        }
        end = frame.offset + frame_size(frame.size);
    }
    index->torn_bytes = window.file_size - end;
    sort_and_drop_duplicates(index);
done:
    vqs_bytes_destroy(&window.bytes);
    if (status) {
        vqs_journal_index_close(index);
    }
    return status;
}

void vqs_journal_index_close(struct vqs_journal_index *index) {
    if (index->fd > 0) { /* zero-initialised: never opened */
        close(index->fd);
    }
    free(index->entries);
    vqs_journal_header_destroy(&index->header);
    memset(index, 0, sizeof *index);
}

const struct vqs_journal_entry *vqs_journal_find(const struct vqs_journal_index *index, uint64_t key) {
    size_t low = 0, high = index->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->entries[middle].key < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < index->n_entries && index->entries[low].key == key ? &index->entries[low] : NULL;
}

enum vqs_status vqs_journal_read(const struct vqs_journal_index *index, const struct vqs_journal_entry *entry,
                                 struct vqs_bytes *scratch, struct vqs_record *record, struct vqs_error *err) {
    const size_t size = FRAME_HEAD + (size_t)entry->size;
    enum vqs_status status = reserve(scratch, size, err);
    if (status) {
        return status;
    }
    ssize_t n = read_at(index->fd, scratch->data, size, entry->offset - FRAME_HEAD);
    if (n < 0) {
        return vqs_fail(err, VQS_ERR_IO, "cannot read the journal at byte %llu: %s", (unsigned long long)entry->offset,
                        strerror(errno));
    }
    if ((size_t)n < size || load_le(scratch->data + 8, 4) != entry->size ||
        load_le(scratch->data + 16, 8) != checksum(KIND_RECORD, scratch->data + FRAME_HEAD, entry->size)) {
        return vqs_fail(err, VQS_ERR_STORE, "the journal's record at byte %llu changed since it was indexed",
                        (unsigned long long)entry->offset);
    }
    return vqs_record_unpack(record, scratch->data + FRAME_HEAD, entry->size, err);
}
