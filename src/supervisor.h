/* supervisor.h - what rank 0 tells the script that watches over it (cluster/run.sh).
 *
 * The one rule: one line in the file that VQSWEEP_STATE names; without that nothing is done. mpirun's own exit code
 * says nothing once a rank was lost, and mpirun may never end: so the line is the truth. running       renewed every
 * few seconds; when it grows old, rank 0 is gone exit CODE     the run ended, with this exit code restart CODE  it
 * could not go on, for want of ranks that live; new ones would
 */
#ifndef VQS_SUPERVISOR_H
#define VQS_SUPERVISOR_H

#include "vqsweep/base.h"

struct vqs_supervisor {
    double next; /* when the line is to be renewed */
};

/* Rank 0, as often as one likes. */
void vqs_supervisor_running(struct vqs_supervisor *supervisor);
/* Rank 0, before it leaves MPI. */
void vqs_supervisor_end(enum vqs_status status, bool restart);

#endif
