/* node.c - launcher, cores and terminal of this rank. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "node.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* Parent and name of a process; false when there is no such thing to see, or it has ended. */
static bool process_info(int pid, int *parent, char name[32]) {
    char path[64], line[512], state;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    bool read = file && fgets(line, sizeof line, file);
    if (file) {
        fclose(file);
    }
    char *open = read ? strchr(line, '(') : NULL, *close = read ? strrchr(line, ')') : NULL; /* pid (name) S parent */
    if (!open || !close || sscanf(close + 1, " %c %d", &state, parent) != 2 || strchr("ZX", state)) {
        return false;
    }
    snprintf(name, 32, "%.*s", (int)(close - open - 1), open + 1);
    return true;
}

/* The nearest ancestor that is an MPI launcher or its daemon; a shell script may stand in between. */
static void find_launcher(struct vqs_node *node) {
    static const char *const names[] = {"mpirun", "mpiexec", "orterun", "orted", "prted", "prterun", "slurmstepd"};
    int pid = getppid(), parent;
    char name[32];
    for (int level = 0; level < 16 && pid > 1 && process_info(pid, &parent, name); level++, pid = parent) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (!strncmp(name, names[i], strlen(names[i]))) {
                node->launcher_pid = pid;
                memcpy(node->launcher, name, sizeof name);
                return;
            }
        }
    }
}

/* Open MPI bound this rank and nobody had asked for it: mpirun passes its user's choices on in the environment. */
static bool bound_by_default(void) {
    static const char *const choices[] = {
        "OMPI_MCA_hwloc_base_binding_policy=", "OMPI_MCA_hwloc_base_bind_to_", "OMPI_MCA_hwloc_base_cpu_",
        "OMPI_MCA_rmaps_rank_file_",           "OMPI_MCA_orte_rankfile=",      "OMPI_MCA_rmaps_base_cpus_per_"};
    for (char **entry = environ; *entry; entry++) {
        for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
            if (!strncmp(*entry, choices[i], strlen(choices[i]))) {
                return false;
            }
        }
    }
    const char *mapping = getenv("OMPI_MCA_rmaps_base_mapping_policy"); /* --map-by slot:PE=N binds to N cores */
    return getenv("OMPI_MCA_orte_bound_at_launch") && !(mapping && (strstr(mapping, "PE=") || strstr(mapping, "pe=")));
}

/* What the ranks of a node tell each other. */
struct place {
    cpu_set_t mask, launcher;
    int by_default, rank, pid;
};

/* The launcher's cores, if these ranks should use them instead of the ones they were bound to. */
static bool should_widen(const struct place *places, int n) {
    cpu_set_t used = places[0].mask;
    bool by_default = true;
    for (int r = 0; r < n; r++) {
        CPU_OR(&used, &used, &places[r].mask);
        by_default = by_default && places[r].by_default;
    }
    cpu_set_t covered;
    CPU_AND(&covered, &used, &places[0].launcher);
    return by_default && CPU_COUNT(&places[0].launcher) > 0 && !CPU_EQUAL(&covered, &places[0].launcher);
}

/* Every core goes to the rank that has fewest among those that may use it: how many come to rank `mine`. */
static int share_of(const struct place *places, int n, int mine) {
    int *count = calloc((size_t)n, sizeof *count);
    if (!count) {
        return 1;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int owner = -1;
        for (int r = 0; r < n; r++) {
            if (CPU_ISSET(cpu, &places[r].mask) && (owner < 0 || count[r] < count[owner])) {
                owner = r;
            }
        }
        if (owner >= 0) {
            count[owner]++;
        }
    }
    int share = count[mine] > 0 ? count[mine] : 1;
    free(count);
    return share;
}

void vqs_node_set_up(MPI_Comm comm, struct vqs_node *node) {
    memset(node, 0, sizeof *node);
    gethostname(node->host, sizeof node->host - 1);
    find_launcher(node);
    MPI_Comm mates;
    MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &mates);
    MPI_Comm_rank(mates, &node->rank);
    MPI_Comm_size(mates, &node->n_ranks);
    struct place mine = {.by_default = bound_by_default(), .pid = getpid()};
    MPI_Comm_rank(comm, &mine.rank);
    struct place *places = calloc((size_t)node->n_ranks, sizeof *places);
    if (sched_getaffinity(0, sizeof mine.mask, &mine.mask) != 0) {
        CPU_SET(0, &mine.mask); /* more cores than the set can name, or a system without masks: be modest */
    }
    if (!node->launcher_pid || sched_getaffinity(node->launcher_pid, sizeof mine.launcher, &mine.launcher) != 0) {
        CPU_ZERO(&mine.launcher);
    }
    node->bound = node->allowed = CPU_COUNT(&mine.mask);
    node->share = 1;
    if (!places) { /* too early to agree on anything */
        fprintf(stderr, "vqsweep: out of memory on %s\n", node->host);
        MPI_Abort(comm, vqs_status_exit_code(VQS_ERR_MEMORY));
        return;
    }
    MPI_Allgather(&mine, (int)sizeof mine, MPI_BYTE, places, (int)sizeof mine, MPI_BYTE, mates);
    if (should_widen(places, node->n_ranks)) {
        for (int r = 0; r < node->n_ranks; r++) {
            places[r].mask = places[0].launcher;
        }
        if (sched_setaffinity(0, sizeof mine.mask, &places[0].mask) == 0) {
            node->allowed = CPU_COUNT(&places[0].mask);
        }
    }
    node->master_pid = places[0].rank == 0 && mine.rank != 0 ? places[0].pid : 0;
    node->share = share_of(places, node->n_ranks, node->rank);
    node->share = node->share < node->allowed ? node->share : node->allowed;
    for (int r = 1; r < node->n_ranks; r++) {
        CPU_OR(&places[0].mask, &places[0].mask, &places[r].mask);
    }
    node->cores = CPU_COUNT(&places[0].mask);
    free(places);
    MPI_Comm_free(&mates);
}

/* ---- leaving when there is nobody to work for ------------------------------------------------------------------ */

static bool is_alive(int pid) {
    int parent;
    char name[32];
    return process_info(pid, &parent, name);
}

/* What the watching thread looks at; it ends with the process. */
struct vqs_node_watcher {
    int launcher;      /* process; 0: not watched */
    atomic_int master; /* the same; 0 once rank 0 may go */
};

static void *watch(void *arg) {
    const struct timespec pause = {.tv_nsec = 500000000};
    struct vqs_node_watcher *watcher = arg;
    for (;;) {
        const int master = atomic_load(&watcher->master);
        const bool gone = (watcher->launcher && !is_alive(watcher->launcher)) || (master && !is_alive(master));
        if (gone && atomic_load(&watcher->master) == master) {
            _exit(vqs_status_exit_code(VQS_ERR_UNFINISHED)); /* what is finished is in the journal */
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

void vqs_node_watch(struct vqs_node *node) {
    struct vqs_node_watcher *watcher = calloc(1, sizeof *watcher);
    sigset_t all, before;
    pthread_t thread;
    if (!watcher) {
        return; /* the launcher and the scheduler have ways of their own, only slower ones */
    }
    watcher->launcher = node->launcher_pid && is_alive(node->launcher_pid) ? node->launcher_pid : 0;
    atomic_init(&watcher->master, node->master_pid && is_alive(node->master_pid) ? node->master_pid : 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the main thread */
    if (pthread_create(&thread, NULL, watch, watcher) == 0) {
        pthread_detach(thread);
        node->watcher = watcher;
    } else {
        free(watcher);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void vqs_node_let_master_go(struct vqs_node *node) {
    if (node->watcher) {
        atomic_store(&node->watcher->master, 0);
    }
}

int vqs_node_sum(MPI_Comm comm, int value) {
    MPI_Comm mates;
    int sum;
    MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &mates);
    MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, mates);
    MPI_Comm_free(&mates);
    return sum;
}

static int width_of(int fd) {
    struct winsize size;
    if (!isatty(fd)) {
        return 0;
    }
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

int vqs_node_terminal_width(const struct vqs_node *node) {
    char path[64];
    struct stat info;
    if (!node->launcher_pid || isatty(STDERR_FILENO)) {
        return width_of(STDERR_FILENO);
    }
    /* a rank's stderr is a pipe to mpirun, which copies it to its own */
    snprintf(path, sizeof path, "/proc/%d/fd/2", node->launcher_pid);
    int fd = stat(path, &info) == 0 && S_ISCHR(info.st_mode) ? open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK) : -1;
    int width = fd < 0 ? 0 : width_of(fd);
    if (fd >= 0) {
        close(fd);
    }
    return width;
}

bool vqs_node_speaks(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *rank = getenv(names[i]);
        if (rank) {
            return atoi(rank) == 0;
        }
    }
    return true;
}
