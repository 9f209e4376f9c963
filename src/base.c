/* base.c - status texts, errors, arena, byte buffers. */
#include "vqsweep/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int vqs_status_exit_code(enum vqs_status status) {
    static const int codes[] = {
#define VQS_X(symbol, code, text) [symbol] = code,
        VQS_STATUS_TABLE(VQS_X)
#undef VQS_X
    };
    return (unsigned)status < VQS_N_STATUS ? codes[status] : codes[VQS_ERR_INTERNAL];
}

const char *vqs_status_text(enum vqs_status status) {
    static const char *const texts[] = {
#define VQS_X(symbol, code, text) [symbol] = text,
        VQS_STATUS_TABLE(VQS_X)
#undef VQS_X
    };
    return (unsigned)status < VQS_N_STATUS ? texts[status] : "unknown status";
}

enum vqs_status vqs_fail(struct vqs_error *err, enum vqs_status status, const char *format, ...) {
    if (!err || err->status != VQS_OK) {
        return status;
    }
    err->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    for (char *c = err->text; *c; c++) { /* one line, whatever was quoted in it */
        if ((unsigned char)*c < ' ') {
            *c = ' ';
        }
    }
    return status;
}

enum { ALIGNMENT = 64 };

static size_t round_up(size_t size) {
    return size > SIZE_MAX - (ALIGNMENT - 1) ? SIZE_MAX : (size + (ALIGNMENT - 1)) & ~(size_t)(ALIGNMENT - 1);
}

enum vqs_status vqs_arena_create(struct vqs_arena *arena, size_t size, struct vqs_error *err) {
    memset(arena, 0, sizeof *arena);
    const size_t rounded = round_up(size ? size : 1);
    if (rounded > PTRDIFF_MAX - ALIGNMENT ||
        !(arena->block = calloc(1, rounded + ALIGNMENT))) { /* zeroed as it is used */
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a workspace of %zu bytes", size);
    }
    arena->base = (unsigned char *)arena->block + (ALIGNMENT - (uintptr_t)arena->block % ALIGNMENT) % ALIGNMENT;
    arena->size = rounded;
    return VQS_OK;
}

void vqs_arena_destroy(struct vqs_arena *arena) {
    free(arena->block);
    memset(arena, 0, sizeof *arena);
}

void *vqs_arena_take(struct vqs_arena *arena, size_t count, size_t item) {
    size_t size;
    if (__builtin_mul_overflow(count, item, &size)) {
        size = SIZE_MAX;
    }
    size = round_up(size);
    size_t start = arena->used;
    if (__builtin_add_overflow(start, size, &arena->used)) {
        arena->used = SIZE_MAX;
    }
    if (!arena->base) {
        return NULL;
    }
    if (arena->used > arena->size) {
        fprintf(stderr, "vqsweep: workspace overrun (%zu of %zu bytes)\n", arena->used, arena->size);
        abort();
    }
    return arena->base + start;
}

enum vqs_status vqs_bytes_append(struct vqs_bytes *bytes, const void *data, size_t size, struct vqs_error *err) {
    size_t needed;
    if (__builtin_add_overflow(bytes->size, size, &needed)) {
        return vqs_fail(err, VQS_ERR_MEMORY, "a message of more than %zu bytes", bytes->size);
    }
    if (needed > bytes->capacity) {
        size_t capacity = needed < SIZE_MAX / 2 ? needed + needed / 2 : needed;
        unsigned char *grown = realloc(bytes->data, capacity);
        if (!grown) {
            return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a message of %zu bytes", needed);
        }
        bytes->data = grown;
        bytes->capacity = capacity;
    }
    if (size) {
        memcpy(bytes->data + bytes->size, data, size);
    }
    bytes->size = needed;
    return VQS_OK;
}

void vqs_bytes_destroy(struct vqs_bytes *bytes) {
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}

double vqs_clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
