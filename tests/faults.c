/* faults.c - what goes wrong, and the wrappers that make it so. */
#include "faults.h"

#include "vqsweep/train.h"

#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what VQS_FAULTS says -------------------------------------------------------------------------------------- */

struct fault {
    uint64_t number;
    long rank, times; /* -1: any */
};

/* The word for `point`; false when there is none. */
static bool find(const char *point, struct fault *fault) {
    const char *text = getenv("VQS_FAULTS");
    size_t length = strlen(point);
    for (; text && *text; text = strchr(text, ' '), text = text ? text + 1 : NULL) {
        if (!strncmp(text, point, length) && text[length] == '=') {
            char *end;
            *fault = (struct fault){.number = strtoull(text + length + 1, &end, 10), .rank = -1, .times = -1};
            fault->rank = *end == '@' ? strtol(end + 1, &end, 10) : -1;
            fault->times = *end == '/' ? strtol(end + 1, &end, 10) : -1;
            return true;
        }
    }
    return false;
}

static bool is_here(const struct fault *fault) {
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    return fault->rank < 0 || fault->rank == (rank ? strtol(rank, NULL, 10) : 0);
}

/* One more time, over all processes: a byte more in a file named after the point. */
static bool is_time_left(const char *point, const struct fault *fault) {
    const char *folder = getenv("VQS_FAULTS_FOLDER");
    char path[512];
    if (fault->times < 0) {
        return true;
    }
    snprintf(path, sizeof path, "%s/%s.%llu", folder ? folder : ".", point, (unsigned long long)fault->number);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    bool left = file >= 0 && lseek(file, 0, SEEK_END) < fault->times && write(file, "x", 1) == 1;
    if (file >= 0) {
        close(file);
    }
    return left;
}

bool faults_hit(const char *point, uint64_t number) {
    struct fault fault;
    return find(point, &fault) && fault.number == number && is_here(&fault) && is_time_left(point, &fault);
}

bool faults_hit_call(const char *point, _Atomic uint64_t *calls) {
    struct fault fault;
    uint64_t call = ++*calls;
    return find(point, &fault) && fault.number <= call && is_here(&fault) && is_time_left(point, &fault);
}

/* ---- trials ---------------------------------------------------------------------------------------------------- */

enum vqs_status __real_vqs_trainer_run(struct vqs_trainer *trainer, const struct vqs_settings *settings,
                                       struct vqs_record *record, struct vqs_error *err);
enum vqs_status __wrap_vqs_trainer_run(struct vqs_trainer *trainer, const struct vqs_settings *settings,
                                       struct vqs_record *record, struct vqs_error *err);

enum vqs_status __wrap_vqs_trainer_run(struct vqs_trainer *trainer, const struct vqs_settings *settings,
                                       struct vqs_record *record, struct vqs_error *err) {
    if (faults_hit("crash", (uint64_t)settings->seed)) {
        kill(getpid(), SIGKILL);
    }
    if (faults_hit("hang", (uint64_t)settings->seed)) {
        for (;;) {
            pause();
        }
    }
    if (faults_hit("fail", (uint64_t)settings->seed)) {
        enum vqs_status status = vqs_fail(err, VQS_ERR_MEMORY, "out of memory on purpose");
        vqs_record_reset(record, &(struct vqs_record_shape){0}, NULL);
        record->key = vqs_settings_key(settings);
        snprintf(record->message, sizeof record->message, "out of memory on purpose");
        vqs_record_seal(record);
        return status;
    }
    return __real_vqs_trainer_run(trainer, settings, record, err);
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

int __real_MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                     MPI_Request *request);
int __wrap_MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                     MPI_Request *request);

int __wrap_MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                     MPI_Request *request) {
    static _Atomic uint64_t calls;
    if (faults_hit_call("exit", &calls)) {
        _exit(1);
    }
    return __real_MPI_Isend(data, count, type, to, tag, comm, request);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

ssize_t __real_pwrite(int file, const void *data, size_t size, off_t at);
ssize_t __wrap_pwrite(int file, const void *data, size_t size, off_t at);
int __real_fdatasync(int file);
int __wrap_fdatasync(int file);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

ssize_t __wrap_pwrite(int file, const void *data, size_t size, off_t at) {
    static _Atomic uint64_t calls;
    if (faults_hit_call("write", &calls)) {
        errno = ENOSPC;
        return -1;
    }
    return __real_pwrite(file, data, size, at);
}

int __wrap_fdatasync(int file) {
    static _Atomic uint64_t calls;
    if (faults_hit_call("sync", &calls)) {
        errno = EIO;
        return -1;
    }
    return __real_fdatasync(file);
}

int __wrap_rename(const char *from, const char *to) {
    static _Atomic uint64_t calls;
    if (faults_hit_call("rename", &calls)) {
        errno = EIO;
        return -1;
    }
    return __real_rename(from, to);
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static bool refuses_memory(void) {
    static _Atomic uint64_t calls;
    return faults_hit_call("alloc", &calls);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size) {
    return refuses_memory() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return refuses_memory() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
    return refuses_memory() ? NULL : __real_realloc(block, size);
}
