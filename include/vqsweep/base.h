/* base.h - what every module stands on: status codes, error text, the workspace arena.
 *
 * The one rule: a function that can fail returns an `enum vqs_status` and, when it fails, leaves one line in the
 * caller's `struct vqs_error`. The deepest cause wins: a later vqs_fail() on an error that is already set keeps the
 * first text. A line says what is wrong, where (file, line, key), what was expected, and how to mend it.
 *
 * Nothing here is global and nothing is locked: every function is safe to call from any thread on distinct objects.
 */
#ifndef VQSWEEP_BASE_H
#define VQSWEEP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The arithmetic of the trainer. Everything is stored in `vqs_real`; losses and metrics are accumulated in double.
 * The library is built in float; tests build it a second time in double for gradient checks. */
#ifdef VQS_REAL_IS_DOUBLE
typedef double vqs_real;
#else
typedef float vqs_real;
#endif

/* X(symbol, exit code of the program, text): the only place where a status gets its number, text and exit code. */
#define VQS_STATUS_TABLE(X)                                                                                            \
    X(VQS_OK, 0, "ok")                                                                                                 \
    X(VQS_ERR_USAGE, 2, "bad command line")                                                                            \
    X(VQS_ERR_JOB, 2, "bad job")                                                                                       \
    X(VQS_ERR_DATA, 2, "bad data file")                                                                                \
    X(VQS_ERR_TRIALS, 3, "some trials failed")                                                                         \
    X(VQS_ERR_IO, 4, "input or output failed")                                                                         \
    X(VQS_ERR_STORE, 5, "not a usable result file")                                                                    \
    X(VQS_ERR_MEMORY, 6, "out of memory")                                                                              \
    X(VQS_ERR_ENVIRONMENT, 7, "the machine or the launcher is not set up for this run")                                \
    X(VQS_ERR_BUSY, 8, "another run writes this output")                                                               \
    X(VQS_ERR_INTERNAL, 70, "internal error, please report")                                                           \
    X(VQS_ERR_UNFINISHED, 75, "unfinished, run the same command again")

enum vqs_status {
#define VQS_X(symbol, code, text) symbol,
    VQS_STATUS_TABLE(VQS_X)
#undef VQS_X
        VQS_N_STATUS
};

/* The program's exit code for a status (distinct where a script has to tell them apart). */
int vqs_status_exit_code(enum vqs_status status);
/* A short text for a status; never NULL. */
const char *vqs_status_text(enum vqs_status status);

struct vqs_error {
    enum vqs_status status; /* VQS_OK while unset */
    char text[480];         /* one line, no newline */
};

/* Set `err` (unless it is already set: the deepest cause wins) and return `status`. `err` may be NULL. */
enum vqs_status vqs_fail(struct vqs_error *err, enum vqs_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One block of memory, carved into 64-byte-aligned pieces. An arena of NULL base measures: it hands out NULL and
 * counts, so that one layout function both sizes a workspace and carves it. There is no free of a piece. */
struct vqs_arena {
    void *block;         /* owned */
    unsigned char *base; /* the first aligned byte of it; NULL while measuring */
    size_t size;         /* bytes at base */
    size_t used;         /* bytes handed out or, while measuring, asked for */
};

/* Allocate `size` bytes, zeroed. VQS_ERR_MEMORY when there are not so many. */
enum vqs_status vqs_arena_create(struct vqs_arena *arena, size_t size, struct vqs_error *err);
void vqs_arena_destroy(struct vqs_arena *arena);
/* `count` items of `item` bytes, zeroed, 64-byte aligned; NULL while measuring. Running past the end is a programming
 * error and aborts. An overflowing product saturates `used`, so that creating such an arena fails cleanly. */
void *vqs_arena_take(struct vqs_arena *arena, size_t count, size_t item);

/* A growable run of bytes for messages and records. Zero-initialise; vqs_bytes_destroy releases. */
struct vqs_bytes {
    unsigned char *data;
    size_t size, capacity;
};
enum vqs_status vqs_bytes_append(struct vqs_bytes *bytes, const void *data, size_t size, struct vqs_error *err);
void vqs_bytes_destroy(struct vqs_bytes *bytes);

/* Seconds on a clock that never steps back. */
double vqs_clock_seconds(void);

#endif
