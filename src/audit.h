/* audit.h - what is wrong with a set-up, said before hours are spent on it.
 *
 * The one rule: every rank looks at its own place, rank 0 says what it learns, a line a kind of trouble, each with the
 * option or command that mends it. Nothing here stops a run.
 *
 * Life cycle: vqs_audit_gather (collective), then on rank 0 vqs_audit_print with the facts of all ranks.
 */
#ifndef VQS_AUDIT_H
#define VQS_AUDIT_H

#include "node.h"

/* What rank 0 is told of every rank. */
struct vqs_audit_facts {
    char host[64], cpu_class[16], openblas[64];
    int threads, slots, bound, allowed, cores, threads_on_node;
    int openblas_threads, openblas_parallel; /* 0 serial, 1 pthread, 2 OpenMP */
    double clock_ahead;                      /* of rank 0's clock, in seconds; precise to a few milliseconds */
};

/* Collective. `facts` is rank 0's, [ranks]. The first two fields of threads are the caller's to say. */
void vqs_audit_gather(MPI_Comm comm, const struct vqs_node *node, int threads, int slots,
                      struct vqs_audit_facts *facts);
/* Rank 0. `path` is where the output will be, which is probed: room, and how long a sync takes. `bytes`: about what the
 * output takes. */
void vqs_audit_print(const struct vqs_audit_facts *facts, int n_ranks, const char *path, double bytes, bool quiet);

#endif
