/* node.h - this rank's place on its machine: who launched it, which cores it may use, where its stderr ends.
 *
 * The one rule: every core that the launcher was given is used by default, and a binding that a person asked for is
 * kept. Open MPI binds each rank of a small run to one core unless told otherwise, which starves the threads of a rank;
 * such a default binding is widened to the launcher's own cores, if cores would lie idle otherwise.
 */
#ifndef VQS_NODE_H
#define VQS_NODE_H

#include "vqsweep/base.h"

#include <mpi.h>

struct vqs_node_watcher;

struct vqs_node {
    char host[64];
    char launcher[32]; /* "mpirun.openmpi", "orted" ..., empty when started by hand */
    int launcher_pid;  /* 0: none found */
    int master_pid;    /* of rank 0, if it is on this node and another process; else 0 */
    int rank, n_ranks; /* among the ranks of this node */
    int bound;         /* cores of the affinity mask as it was found */
    int allowed;       /* cores of the mask as it is now */
    int cores;         /* of all ranks of this node together */
    struct vqs_node_watcher *watcher;
    int share; /* of those, this rank's, none of which another rank of the node counts as its own; at least 1 */
};

/* Collective: finds all of the above, and widens the mask of the calling thread where the rule says so. */
void vqs_node_set_up(MPI_Comm comm, struct vqs_node *node);
/* From now on the process leaves by itself, within a second, when its launcher or rank 0 (of this node) is gone: it
 * would wait for ever, perhaps inside MPI. */
void vqs_node_watch(struct vqs_node *node);
/* From now on rank 0 may go: the run is over, and ranks end in any order. */
void vqs_node_let_master_go(struct vqs_node *node);
/* Collective: the sum of `value` over the ranks of this node. */
int vqs_node_sum(MPI_Comm comm, int value);
/* Columns of the terminal that shows what this process writes to stderr, be it through mpirun; 0: no terminal. */
int vqs_node_terminal_width(const struct vqs_node *node);
/* Whether this process is the one of its job to print what all of them would. Works before MPI_Init. */
bool vqs_node_speaks(void);

#endif
