/* lease.c - taking, renewing and judging FILE.lease. */
#include "lease.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct vqs_lease {
    char *path; /* of the lease */
    struct vqs_lease_holder self;
    double renewed_at;
};

/* ---- who a process is ------------------------------------------------------------------------------------------ */

/* The first line of a small file, or empty. */
static void read_line(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "r");
    text[0] = 0;
    if (file && !fgets(text, (int)size, file)) {
        text[0] = 0;
    }
    if (file) {
        fclose(file);
    }
    text[strcspn(text, "\n")] = 0;
}

/* When a process began, in ticks since boot; 0: there is no such process, or it is dead and not yet collected. */
static unsigned long long process_start(long process) {
    char path[64], line[1024], state;
    unsigned long long start;
    snprintf(path, sizeof path, "/proc/%ld/stat", process);
    read_line(path, line, sizeof line);
    const char *close = strrchr(line, ')'); /* the name before it may hold anything */
    return close &&
                   sscanf(close + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                          &state, &start) == 2 &&
                   state != 'Z' && state != 'X'
               ? start
               : 0;
}

static void describe_self(struct vqs_lease_holder *self) {
    struct timespec now;
    memset(self, 0, sizeof *self);
    gethostname(self->host, sizeof self->host - 1);
    read_line("/proc/sys/kernel/random/boot_id", self->boot, sizeof self->boot);
    if (readlink("/proc/self/ns/pid", self->space, sizeof self->space - 1) < 0) {
        self->space[0] = 0;
    }
    self->process = (long)getpid();
    self->started = process_start(self->process);
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(self->token, sizeof self->token, "%lx.%lx.%lx", (long)now.tv_sec, now.tv_nsec, self->process);
}

/* Whether the holder is certainly gone (-1), certainly there (1), or only its age can tell (0). */
static int presence(const struct vqs_lease_holder *holder, const struct vqs_lease_holder *self) {
    const bool same_boot = self->boot[0] && !strcmp(holder->boot, self->boot);
    if (same_boot && self->space[0] && !strcmp(holder->space, self->space)) {
        return process_start(holder->process) == holder->started ? 1 : -1;
    }
    /* its machine was started anew; two beats of silence, lest two machines of one name be taken for one */
    if (!same_boot && !strcmp(holder->host, self->host) && holder->age > 2 * VQS_LEASE_BEAT_SECONDS) {
        return -1;
    }
    return 0;
}

static bool is_stale(const struct vqs_lease_holder *holder, const struct vqs_lease_holder *self) {
    const int there = presence(holder, self);
    return there < 0 || (there == 0 && holder->age > VQS_LEASE_SECONDS);
}

/* ---- the file -------------------------------------------------------------------------------------------------- */

static double seconds_of(struct timespec time) {
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Reads a lease; `now` is what the file system takes for the time. A lease that does not parse has an empty token. */
static bool read_lease(const char *path, double now, struct vqs_lease_holder *holder) {
    struct stat info;
    FILE *file = fopen(path, "r");
    memset(holder, 0, sizeof *holder);
    if (!file) {
        return false;
    }
    if (fscanf(file, "vqsweep lease host %63s process %ld started %llu boot %39s space %39s token %39s", holder->host,
               &holder->process, &holder->started, holder->boot, holder->space, holder->token) != 6) {
        holder->token[0] = 0;
    }
    holder->age = fstat(fileno(file), &info) == 0 ? now - seconds_of(info.st_mtim) : 0;
    fclose(file);
    return true;
}

static const char *or_dash(const char *text) {
    return text[0] ? text : "-";
}

static bool write_lease(const char *path, const struct vqs_lease_holder *self) {
    FILE *file = fopen(path, "w");
    if (!file) {
        return false;
    }
    bool good = fprintf(file, "vqsweep lease\nhost %s\nprocess %ld\nstarted %llu\nboot %s\nspace %s\ntoken %s\n",
                        or_dash(self->host), self->process, self->started, or_dash(self->boot), or_dash(self->space),
                        self->token) > 0;
    return (fclose(file) == 0) & good;
}

static char *lease_path(const char *path, const char *suffix) {
    const size_t size = strlen(path) + strlen(suffix) + sizeof ".lease";
    char *text = malloc(size);
    if (text) {
        snprintf(text, size, "%s.lease%s", path, suffix);
    }
    return text;
}

bool vqs_lease_look(const char *path, struct vqs_lease_holder *holder, bool *alive) {
    struct vqs_lease_holder self;
    struct timespec now;
    char *own = lease_path(path, "");
    describe_self(&self);
    clock_gettime(CLOCK_REALTIME, &now); /* a reader writes nothing: its own clock has to do */
    const bool found = own && read_lease(own, seconds_of(now), holder) && holder->token[0];
    *alive = found && !is_stale(holder, &self);
    free(own);
    return found;
}

/* ---- taking ---------------------------------------------------------------------------------------------------- */

/* "process 17 on node3", or what can be said of a lease that does not parse */
static void name_holder(const struct vqs_lease_holder *holder, char text[96]) {
    if (holder->token[0]) {
        snprintf(text, 96, "process %ld on %s", holder->process, holder->host);
    } else {
        snprintf(text, 96, "somebody unknown");
    }
}

static enum vqs_status refuse(const struct vqs_lease *lease, const struct vqs_lease_holder *holder,
                              struct vqs_error *err) {
    char who[96];
    name_holder(holder, who);
    return vqs_fail(err, VQS_ERR_BUSY,
                    "%.*s: another run writes it (%s, last heard of %.0f s ago); wait for it, stop it, or give another "
                    "file by -o",
                    (int)(strlen(lease->path) - strlen(".lease")), lease->path, who, holder->age > 0 ? holder->age : 0);
}

static void pause_for(double seconds) {
    struct timespec left = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&left, NULL);
}

/* Touches `temporary` to learn the file system's time. */
static double file_system_time(const char *temporary) {
    struct stat info;
    return utimensat(AT_FDCWD, temporary, NULL, 0) == 0 && stat(temporary, &info) == 0 ? seconds_of(info.st_mtim) : 0;
}

/* Puts our lease in place of a stale one. Two runs may try at once: the later one wins, and each looks again after a
 * moment. Whoever loses later still finds out when it renews. */
static enum vqs_status replace(const struct vqs_lease *lease, const char *temporary, struct vqs_error *err) {
    struct vqs_lease_holder holder;
    if (rename(temporary, lease->path) != 0) {
        return vqs_fail(err, VQS_ERR_IO, "%s: cannot replace what is there: %s; remove it", lease->path,
                        strerror(errno));
    }
    pause_for(0.3);
    const bool ours = read_lease(lease->path, 0, &holder) && !strcmp(holder.token, lease->self.token);
    return ours ? VQS_OK : refuse(lease, &holder, err);
}

/* Our lease is written at `temporary`: gets it into place, or says why not. */
static enum vqs_status take(struct vqs_lease *lease, const char *temporary, struct vqs_error *err) {
    struct vqs_lease_holder holder, first = {{0}, {0}, {0}, {0}, 0, 0, 0};
    double watched_from = 0;
    for (;;) {
        if (link(temporary, lease->path) == 0) { /* atomic on every file system that has links, NFS among them */
            return VQS_OK;
        }
        const int cause = errno;
        const double now = file_system_time(temporary);
        if (cause != EEXIST && cause != EPERM && cause != ENOTSUP && cause != EOPNOTSUPP) {
            return vqs_fail(err, VQS_ERR_IO, "%s: cannot take the lease: %s", lease->path, strerror(cause));
        }
        const bool there = read_lease(lease->path, now, &holder);
        if (!there && cause == EEXIST) {
            continue; /* it was given back just now */
        }
        const double watched = watched_from > 0 ? vqs_clock_seconds() - watched_from : 0;
        /* a clock that was wrong makes leases of the future, which are not older than they look */
        if (!there || is_stale(&holder, &lease->self) || watched > VQS_LEASE_SECONDS) {
            return replace(lease, temporary, err);
        }
        /* renewed while we watched: its age went down, or it is another's */
        const bool moved = watched_from > 0 && (strcmp(holder.token, first.token) || holder.age < first.age);
        if (moved || presence(&holder, &lease->self) > 0) {
            return refuse(lease, &holder, err);
        }
        if (watched_from == 0) {
            char who[96];
            name_holder(&holder, who);
            fprintf(stderr, "vqsweep: waiting up to %.0f s to see whether %s still writes this output (%s)\n",
                    VQS_LEASE_SECONDS - (holder.age > 0 ? holder.age : 0), who, lease->path);
            watched_from = vqs_clock_seconds();
        }
        first = holder;
        pause_for(1);
    }
}

enum vqs_status vqs_lease_take(const char *path, struct vqs_lease **out, struct vqs_error *err) {
    struct vqs_lease *lease = calloc(1, sizeof *lease);
    char *temporary = NULL;
    enum vqs_status status = VQS_OK;
    *out = NULL;
    if (lease) {
        char suffix[48];
        describe_self(&lease->self);
        snprintf(suffix, sizeof suffix, ".%s", lease->self.token);
        lease->path = lease_path(path, "");
        temporary = lease_path(path, suffix);
    }
    if (!lease || !lease->path || !temporary) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    } else if (!write_lease(temporary, &lease->self)) {
        status = vqs_fail(err, VQS_ERR_IO,
                          "%s: cannot write this file, which keeps others out: %s; give a place that "
                          "can be written to by -o",
                          lease->path, strerror(errno));
    } else {
        status = take(lease, temporary, err);
    }
    if (temporary) {
        unlink(temporary);
    }
    free(temporary);
    if (status != VQS_OK) {
        free(lease ? lease->path : NULL);
        free(lease);
        return status;
    }
    lease->renewed_at = vqs_clock_seconds();
    *out = lease;
    return VQS_OK;
}

enum vqs_status vqs_lease_hold(struct vqs_lease *lease, struct vqs_error *err) {
    struct vqs_lease_holder holder;
    const double now = vqs_clock_seconds();
    if (now - lease->renewed_at < VQS_LEASE_BEAT_SECONDS) {
        return VQS_OK;
    }
    lease->renewed_at = now;
    if (!read_lease(lease->path, 0, &holder)) { /* removed by hand: ours again, if nobody was faster */
        if (errno == ENOENT && access(lease->path, F_OK) != 0) {
            write_lease(lease->path, &lease->self);
        }
        return VQS_OK;
    }
    if (holder.token[0] && strcmp(holder.token, lease->self.token)) {
        return vqs_fail(err, VQS_ERR_BUSY,
                        "%s: process %ld on %s took this run for dead and took over; this one ends and writes nothing "
                        "more",
                        lease->path, holder.process, holder.host);
    }
    (void)utimensat(AT_FDCWD, lease->path, NULL, 0); /* on a failing disk: renewed when it recovers */
    return VQS_OK;
}

void vqs_lease_give_back(struct vqs_lease *lease) {
    struct vqs_lease_holder holder;
    if (!lease) {
        return;
    }
    if (read_lease(lease->path, 0, &holder) && !strcmp(holder.token, lease->self.token)) {
        unlink(lease->path);
    }
    free(lease->path);
    free(lease);
}
