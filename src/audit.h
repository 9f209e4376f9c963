/* audit.h - what is wrong with a set-up, said before hours are spent on it.
 *
 * The one rule: every rank looks at its own place, rank 0 says what it learns, a line a kind of trouble, each with the
 * option or command that mends it. Nothing here stops a run.
 *
 * Life cycle: vqs_audit_gather (collective), then on rank 0 vqs_audit_look_at_disk and vqs_audit_say.
 */
#ifndef VQS_AUDIT_H
#define VQS_AUDIT_H

#include "node.h"

#include <stdio.h>

/* What rank 0 is told of every rank. */
struct vqs_audit_facts {
    char host[64], cpu_class[16], openblas[64];
    int threads, slots, bound, allowed, cores, threads_on_node;
    int openblas_threads, openblas_parallel; /* 0 serial, 1 pthread, 2 OpenMP */
    double clock_ahead;                      /* of rank 0's clock, in seconds; precise to a few milliseconds */
};

/* What rank 0 sees of the place where the output will be. */
struct vqs_audit_disk {
    char folder[4096];
    double room, needed; /* bytes */
    double sync_seconds; /* of a small file; negative: it failed, */
    int sync_error;      /* for this reason (errno), else 0 */
};

/* Collective. `facts` is rank 0's, [ranks]. The first two fields of threads are the caller's to say. */
void vqs_audit_gather(MPI_Comm comm, const struct vqs_node *node, int threads, int slots,
                      struct vqs_audit_facts *facts);
/* Looks at the folder of `path`, whose file there is left alone. `bytes`: about what the output takes. */
void vqs_audit_look_at_disk(const char *path, double bytes, struct vqs_audit_disk *disk);
/* A line for each kind of trouble. The OPENBLAS_CORETYPE in the environment is one of the facts. */
void vqs_audit_say(FILE *out, const struct vqs_audit_facts *facts, int n_ranks, const struct vqs_audit_disk *disk,
                   bool quiet);

#endif
