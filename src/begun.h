/* begun.h - FILE.begun: the trials that rank 0 is running, for the next run to know should this one die over them.
 *
 * The one rule: a hint, never needed. Rank 0 learns from a lost rank which trials may have ended it, but nobody learns
 * that from rank 0: a trial that crashes it would be first again in every new run, and end that too. For a trial found
 * here an attempt came to nothing. One that was saved since it began (checkpoint.h) is not held to account: it gets on.
 *
 * Life cycle: open (reads what an earlier run left, and forgets it), set and clear from any worker thread, each its own
 * slot, close. Trials are known by their keys, none of which is 0.
 */
#ifndef VQS_BEGUN_H
#define VQS_BEGUN_H

#include "vqsweep/base.h"

struct vqs_begun {
    char *path;
    int file;        /* -1: cannot be written, and nothing is kept */
    uint64_t *found; /* keys, or 0 */
    size_t n_found;
};

void vqs_begun_open(struct vqs_begun *begun, const char *path);
/* Whether an earlier run died while rank 0 was running this trial. */
bool vqs_begun_found(const struct vqs_begun *begun, uint64_t key);
void vqs_begun_set(const struct vqs_begun *begun, int slot, uint64_t key);
void vqs_begun_clear(const struct vqs_begun *begun, int slot);
/* The run has ended in an orderly way: removes the file. Zero-initialised or closed: nothing happens. */
void vqs_begun_close(struct vqs_begun *begun);

#endif
