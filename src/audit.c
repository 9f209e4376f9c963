/* audit.c - looking at cores, OpenBLAS, clocks and the disk. */
#include "audit.h"

#include "vqsweep/kernels.h"

#include <cblas.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static const double CLOCK_TOLERANCE = 2, SLOW_SYNC_SECONDS = 0.5;

/* ---- every rank ------------------------------------------------------------------------------------------------ */

static double wall_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void vqs_audit_gather(MPI_Comm comm, const struct vqs_node *node, int threads, int slots,
                      struct vqs_audit_facts *facts) {
    struct vqs_audit_facts mine = {.threads = threads,
                                   .slots = slots,
                                   .bound = node->bound,
                                   .allowed = node->allowed,
                                   .cores = node->cores,
                                   .threads_on_node = vqs_node_sum(comm, threads),
                                   .openblas_threads = openblas_get_num_threads(),
                                   .openblas_parallel = openblas_get_parallel()};
    memcpy(mine.host, node->host, sizeof mine.host);
    snprintf(mine.cpu_class, sizeof mine.cpu_class, "%s", vqs_kernels_cpu_class());
    snprintf(mine.openblas, sizeof mine.openblas, "%s", openblas_get_corename());
    MPI_Barrier(comm); /* all look at their clocks at about the same time */
    const double here = wall_clock();
    double there = here;
    MPI_Bcast(&there, 1, MPI_DOUBLE, 0, comm);
    mine.clock_ahead = here - there;
    MPI_Gather(&mine, (int)sizeof mine, MPI_BYTE, facts, (int)sizeof mine, MPI_BYTE, 0, comm);
}

/* ---- rank 0 ---------------------------------------------------------------------------------------------------- */

static void say_cores(FILE *out, const struct vqs_audit_facts *facts, int n_ranks) {
    for (int r = 0; r < n_ranks; r++) {
        if (facts[r].threads > facts[r].allowed) {
            fprintf(out,
                    "vqsweep: warning: rank %d on %s has %d threads but may use only %d cores; give mpirun --bind-to "
                    "none, or --map-by slot:PE=%d (under SLURM sbatch --cpus-per-task=%d)\n",
                    r, facts[r].host, facts[r].threads, facts[r].allowed, facts[r].threads, facts[r].threads);
            return;
        }
        if (facts[r].threads_on_node > facts[r].cores) {
            fprintf(out,
                    "vqsweep: warning: %d threads on the %d cores of %s get in each other's way; start fewer ranks or "
                    "give a smaller --threads\n",
                    facts[r].threads_on_node, facts[r].cores, facts[r].host);
            return;
        }
    }
}

static void say_openblas(FILE *out, const struct vqs_audit_facts *facts, int n_ranks) {
    for (int r = 0; r < n_ranks; r++) {
        if (facts[r].openblas_threads > 1) {
            fprintf(out,
                    "vqsweep: warning: OpenBLAS (%s) of rank %d on %s insists on %d threads; export "
                    "OPENBLAS_NUM_THREADS=1 (mpirun -x OPENBLAS_NUM_THREADS=1)\n",
                    facts[r].openblas_parallel == 2 ? "OpenMP" : "pthread", r, facts[r].host,
                    facts[r].openblas_threads);
            break;
        }
    }
    if (getenv("OPENBLAS_CORETYPE")) {
        fprintf(out,
                "vqsweep: warning: OPENBLAS_CORETYPE=%s chooses OpenBLAS's kernel (%s); unset it for the best one\n",
                getenv("OPENBLAS_CORETYPE"), facts[0].openblas);
    }
    for (int r = 1; r < n_ranks; r++) {
        if (strcmp(facts[r].cpu_class, facts[0].cpu_class)) {
            fprintf(out,
                    "vqsweep: warning: rank 0 on %s is of CPU class %s, rank %d on %s of %s: results are equal to the "
                    "bit only within a class; ask for nodes of one kind (sbatch --constraint)\n",
                    facts[0].host, facts[0].cpu_class, r, facts[r].host, facts[r].cpu_class);
            break;
        }
    }
}

static void say_clocks(FILE *out, const struct vqs_audit_facts *facts, int n_ranks) {
    for (int r = 1; r < n_ranks; r++) {
        if (fabs(facts[r].clock_ahead) > CLOCK_TOLERANCE) {
            fprintf(
                out,
                "vqsweep: warning: the clock of %s is %.0f s %s that of %s; finished_at and leases suffer; mend NTP "
                "there, or leave it out (sbatch --exclude=%s)\n",
                facts[r].host, fabs(facts[r].clock_ahead), facts[r].clock_ahead > 0 ? "ahead of" : "behind",
                facts[0].host, facts[r].host);
            return;
        }
    }
}

/* Writes and syncs a few bytes beside the output; seconds, or negative with errno. */
static double probe_sync(const char *path) {
    const size_t size = strlen(path) + 32;
    char *probe = malloc(size);
    double seconds = -1;
    if (!probe) {
        errno = ENOMEM;
        return seconds;
    }
    snprintf(probe, size, "%s.tmp.%ld", path, (long)getpid());
    const double begin = wall_clock();
    int file = open(probe, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file >= 0) {
        if (write(file, "probe", 5) == 5 && fsync(file) == 0) {
            seconds = wall_clock() - begin;
        }
        const int cause = errno;
        close(file);
        unlink(probe);
        errno = cause;
    }
    free(probe);
    return seconds;
}

void vqs_audit_look_at_disk(const char *path, double bytes, struct vqs_audit_disk *disk) {
    struct statvfs info;
    const char *slash = strrchr(path, '/');
    const int length = slash ? (int)(slash - path) + 1 : 2;
    snprintf(disk->folder, sizeof disk->folder, "%.*s", length, slash ? path : "./");
    disk->needed = bytes;
    disk->room = statvfs(disk->folder, &info) == 0 ? (double)info.f_bavail * (double)info.f_frsize : INFINITY;
    disk->sync_seconds = probe_sync(path);
    disk->sync_error = disk->sync_seconds < 0 ? errno : 0;
}

static void say_disk(FILE *out, const struct vqs_audit_disk *disk) {
    if (disk->room < disk->needed) {
        fprintf(out,
                "vqsweep: warning: %s has room for %.0f MB and the results may take %.0f MB; make room, or give -o "
                "another place\n",
                disk->folder, disk->room / 1e6, disk->needed / 1e6);
    }
    if (disk->sync_error) {
        fprintf(out,
                "vqsweep: warning: %s: a file there cannot be synced: %s; results may be lost in a power cut; give -o "
                "another place\n",
                disk->folder, strerror(disk->sync_error));
    } else if (disk->sync_seconds > SLOW_SYNC_SECONDS) {
        fprintf(out,
                "vqsweep: warning: %s: a sync takes %.1f s there; results are that much later safe from a power cut; "
                "give -o a place on a faster file system\n",
                disk->folder, disk->sync_seconds);
    }
}

void vqs_audit_say(FILE *out, const struct vqs_audit_facts *facts, int n_ranks, const struct vqs_audit_disk *disk,
                   bool quiet) {
    if (facts[0].allowed > facts[0].bound && !quiet) {
        fprintf(out,
                "vqsweep: mpirun bound each rank to %d of %d cores by its default; using all (--bind-to core keeps "
                "the binding)\n",
                facts[0].bound, facts[0].allowed);
    }
    say_cores(out, facts, n_ranks);
    say_openblas(out, facts, n_ranks);
    say_clocks(out, facts, n_ranks);
    say_disk(out, disk);
}
