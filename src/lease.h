/* lease.h - one writer to an output: FILE.lease says which process that is.
 *
 * The one rule: whoever writes FILE or FILE.journal holds FILE.lease, renews it every few seconds, and stops at once
 * when it finds another's there. Readers do not look at it.
 *
 * The lease is a small text: host, process, start of the process, boot of the machine, space of process numbers, and a
 * token of its own. It is stale, and taken over,
 *   - when its process can be looked up from here (same boot, same space) and is no more;
 *   - when its machine was started anew since;
 *   - when it has not been renewed for VQS_LEASE_SECONDS. Ages are told by the file system's own clock.
 * A lease of another machine that is younger than that is watched until it is renewed (refused) or stale (taken).
 *
 * Life cycle: take, hold often, give back. What a crash leaves behind is found stale by the next run.
 */
#ifndef VQS_LEASE_H
#define VQS_LEASE_H

#include "vqsweep/base.h"

enum { VQS_LEASE_SECONDS = 60, VQS_LEASE_BEAT_SECONDS = 5 };

struct vqs_lease;

/* Who holds or held a lease, as its file says. */
struct vqs_lease_holder {
    char host[64], boot[40], space[40], token[40];
    long process;
    unsigned long long
        started; /* in ticks since boot, as /proc has it: tells a process from a later one of its number */
    double age;  /* seconds since it was renewed */
};

/* Takes the lease of `path`; its directory must exist. VQS_ERR_BUSY: another run has it, with who and how to mend that.
 * VQS_ERR_IO: it cannot be written. May wait VQS_LEASE_SECONDS for a machine that may be gone. */
enum vqs_status vqs_lease_take(const char *path, struct vqs_lease **out, struct vqs_error *err);
/* Renews the lease when that is due. VQS_ERR_BUSY: another run has taken it over (this one was taken for dead), and
 * nothing more may be written. A lease that cannot be read or renewed now is kept. */
enum vqs_status vqs_lease_hold(struct vqs_lease *lease, struct vqs_error *err);
/* Removes the lease if it is still ours, and frees. NULL-safe. */
void vqs_lease_give_back(struct vqs_lease *lease);

/* Who holds the lease of `path`: false when nobody does, or it cannot be read. *alive: it is not stale. */
bool vqs_lease_look(const char *path, struct vqs_lease_holder *holder, bool *alive);

#endif
