/* checkpoint.c - trial checkpoints: one checksummed block of bytes a trial. */
#include "checkpoint.h"

#include "fileio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* In the machine's own byte order: a checkpoint does not leave its class of CPU. The state's parts follow the head,
 * then the curves, the arrays and each snapshot's epoch, codebook, codes and usage. */
struct head {
    char magic[8];
    uint64_t checksum; /* of all that follows it */
    uint64_t size;     /* of the file */
    uint64_t key;
    char code_version[64], cpu_class[16];
    uint64_t real_size;
    int32_t epoch, n_snapshots;
    int64_t steps, flips, revived;
    double zero, seconds;
};
static const char magic[8] = "VQSTRIAL";

/* ---- the arrays of a state, in their order --------------------------------------------------------------------- */

struct piece {
    void *data;
    size_t size;
};
enum { CURVES = VQS_STATE_PARTS, ARRAYS, FIXED_PIECES = ARRAYS + VQS_N_ARRAYS, SNAPSHOT_PIECES = 4 };

static int n_pieces(const struct vqs_trial_state *state) {
    return FIXED_PIECES + SNAPSHOT_PIECES * state->n_snapshots;
}

static struct piece piece_of(const struct vqs_trial_state *state, int i) {
    const struct vqs_record *record = state->record;
    if (i < VQS_STATE_PARTS) {
        return (struct piece){state->part[i].data, state->part[i].size};
    }
    if (i == CURVES) {
        return (struct piece){record->curves, (size_t)record->n_epochs * VQS_N_CURVES * sizeof(double)};
    }
    if (i < FIXED_PIECES) {
        const struct vqs_array *array = &record->arrays[i - ARRAYS];
        const size_t n = vqs_array_values(i - ARRAYS, array->size);
        return (struct piece){array->values, n * sizeof *array->values};
    }
    struct vqs_snapshot *s = &record->snapshots[(i - FIXED_PIECES) / SNAPSHOT_PIECES];
    switch ((i - FIXED_PIECES) % SNAPSHOT_PIECES) {
    case 0:
        return (struct piece){&s->epoch, sizeof s->epoch};
    case 1:
        return (struct piece){&s->codebook, sizeof s->codebook};
    case 2:
        return (struct piece){s->codes, (size_t)s->K * (size_t)s->d * sizeof *s->codes};
    default:
        return (struct piece){s->usage, (size_t)s->K * sizeof *s->usage};
    }
}

static size_t file_size(const struct vqs_trial_state *state) {
    size_t size = sizeof(struct head);
    for (int i = 0; i < n_pieces(state); i++) {
        size += piece_of(state, i).size;
    }
    return size;
}

static uint64_t checksum(const unsigned char *file, size_t size) {
    const size_t from = offsetof(struct head, size);
    return XXH3_64bits(file + from, size - from);
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

char *vqs_checkpoint_path(const char *folder, uint32_t trial, uint64_t key) {
    const size_t size = strlen(folder) + 32;
    char *path = malloc(size);
    if (path) {
        snprintf(path, size, "%s/%" PRIu32 "-%016" PRIx64, folder, trial, key);
    }
    return path;
}

static enum vqs_status write_whole(const char *path, const struct vqs_bytes *bytes, struct vqs_error *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    size_t done = 0;
    while (fd >= 0 && done < bytes->size) {
        ssize_t n = write(fd, bytes->data + done, bytes->size - done);
        if (n < 0 && errno != EINTR) {
            break;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    const int cause = errno;
    if (fd >= 0) {
        close(fd);
    }
    return done == bytes->size
               ? VQS_OK
               : vqs_fail(err, VQS_ERR_IO, "%s: cannot write a trial's checkpoint: %s", path, strerror(cause));
}

enum vqs_status vqs_checkpoint_save(const char *path, const struct vqs_checkpoint_tag *tag,
                                    const struct vqs_trial_state *state, double seconds, struct vqs_error *err) {
    struct head head = {.size = file_size(state),
                        .key = tag->key,
                        .real_size = sizeof(vqs_real),
                        .epoch = state->epoch,
                        .n_snapshots = state->n_snapshots,
                        .steps = state->steps,
                        .flips = state->flips,
                        .revived = state->revived,
                        .zero = state->zero,
                        .seconds = seconds};
    struct vqs_bytes bytes = {0};
    memcpy(head.magic, magic, sizeof magic);
    snprintf(head.code_version, sizeof head.code_version, "%s", tag->code_version);
    snprintf(head.cpu_class, sizeof head.cpu_class, "%s", tag->cpu_class);
    enum vqs_status status = vqs_bytes_append(&bytes, &head, sizeof head, err);
    for (int i = 0; i < n_pieces(state) && status == VQS_OK; i++) {
        const struct piece piece = piece_of(state, i);
        status = vqs_bytes_append(&bytes, piece.data, piece.size, err);
    }
    char *temporary = status == VQS_OK ? vqs_file_temporary(path) : NULL;
    if (status == VQS_OK && !temporary) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    if (status == VQS_OK) {
        const uint64_t sum = checksum(bytes.data, bytes.size);
        memcpy(bytes.data + offsetof(struct head, checksum), &sum, sizeof sum);
        status = vqs_file_make_directories(path, err);
        status = status ? status : write_whole(temporary, &bytes, err);
        status = status ? status : vqs_file_publish(temporary, path, err);
        if (status != VQS_OK) {
            unlink(temporary);
        }
    }
    free(temporary);
    vqs_bytes_destroy(&bytes);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* A file of at most `most` bytes; more than that is no checkpoint of this trial. */
static enum vqs_status read_whole(const char *path, size_t most, struct vqs_bytes *bytes, struct vqs_error *err) {
    unsigned char block[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 0;
    enum vqs_status status = VQS_OK;
    while (fd >= 0 && status == VQS_OK && bytes->size <= most && (n = read(fd, block, sizeof block)) > 0) {
        status = vqs_bytes_append(bytes, block, (size_t)n, err);
    }
    if (n < 0) {
        status = vqs_fail(err, VQS_ERR_IO, "%s: cannot read a trial's checkpoint: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

/* Why the bytes are no checkpoint of this trial; NULL: they are one. */
static const char *find_fault(const struct vqs_bytes *bytes, const struct head *head,
                              const struct vqs_checkpoint_tag *tag, const struct vqs_trial_state *claimed) {
    if (bytes->size < sizeof *head || memcmp(head->magic, magic, sizeof magic)) {
        return "not a checkpoint";
    }
    if (head->size != bytes->size || head->checksum != checksum(bytes->data, bytes->size)) {
        return "damaged";
    }
    if (head->key != tag->key || head->real_size != sizeof(vqs_real)) {
        return "of another trial";
    }
    if (strncmp(head->code_version, tag->code_version, sizeof head->code_version - 1)) {
        return "of another version of the code";
    }
    if (strncmp(head->cpu_class, tag->cpu_class, sizeof head->cpu_class - 1)) {
        return "of another class of CPU";
    }
    if (head->epoch < 0 || head->epoch > claimed->record->n_epochs || head->n_snapshots < 0 ||
        head->n_snapshots > claimed->record->n_snapshots || file_size(claimed) != bytes->size) {
        return "of another shape";
    }
    return NULL;
}

enum vqs_status vqs_checkpoint_load(const char *path, const struct vqs_checkpoint_tag *tag,
                                    struct vqs_trial_state *state, double *seconds, struct vqs_error *err) {
    struct vqs_trial_state claimed = *state;
    struct vqs_bytes bytes = {0};
    struct head head = {.n_snapshots = 0};
    claimed.n_snapshots = state->record->n_snapshots;
    enum vqs_status status = read_whole(path, file_size(&claimed), &bytes, err);
    if (status == VQS_OK) {
        memcpy(&head, bytes.data ? bytes.data : (const unsigned char *)&head,
               bytes.size < sizeof head ? bytes.size : sizeof head);
        claimed.n_snapshots =
            head.n_snapshots >= 0 && head.n_snapshots <= state->record->n_snapshots ? head.n_snapshots : 0;
        const char *fault = find_fault(&bytes, &head, tag, &claimed);
        if (fault) {
            status = vqs_fail(err, VQS_ERR_STORE, "%s: %s; the trial begins anew", path, fault);
        }
    }
    if (status == VQS_OK) {
        const unsigned char *from = bytes.data + sizeof head;
        for (int i = 0; i < n_pieces(&claimed); i++) {
            const struct piece piece = piece_of(&claimed, i);
            if (piece.size) { /* of an array that the record does not have there is no data */
                memcpy(piece.data, from, piece.size);
            }
            from += piece.size;
        }
        state->epoch = head.epoch;
        state->n_snapshots = head.n_snapshots;
        state->steps = head.steps;
        state->flips = head.flips;
        state->revived = head.revived;
        state->zero = head.zero;
        *seconds = head.seconds;
    }
    vqs_bytes_destroy(&bytes);
    return status;
}

/* ---- removing -------------------------------------------------------------------------------------------------- */

void vqs_checkpoint_sweep(const char *folder, bool (*keep)(void *ctx, uint32_t trial, uint64_t key), void *ctx) {
    DIR *entries = opendir(folder);
    if (!entries) {
        return;
    }
    for (const struct dirent *entry; (entry = readdir(entries));) {
        uint32_t trial;
        uint64_t key;
        if (sscanf(entry->d_name, "%" SCNu32 "-%" SCNx64, &trial, &key) == 2 && !keep(ctx, trial, key)) {
            unlinkat(dirfd(entries), entry->d_name, 0); /* and a temporary of it */
        }
    }
    closedir(entries);
}
