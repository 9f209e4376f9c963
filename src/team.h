/* team.h - threads that work on one trial together.
 *
 * The one rule: work comes in phases, each cut into numbered parts whose results do not depend on who does them, and a
 * phase is over when its parts are done. Nobody waits for a member that has no part: one that the system took off its
 * core finds the phase over when it comes back, and goes on to the present one. What it held up is the part it had, if
 * any. So members may touch what they share only from within a part.
 *
 * Part p is first offered to member p % threads, whose core may still have in its cache what it had there the last
 * time; then to whoever is free. Who waits for long sleeps, and leaves its core to whom it waits for.
 *
 * Life cycle: vqs_team_create, vqs_team_run any number of times, vqs_team_destroy. A team belongs to the thread that
 * created it, which is its member 0; the others sleep between runs.
 */
#ifndef VQS_TEAM_H
#define VQS_TEAM_H

#include "vqsweep/base.h"

struct vqs_team;

/* What a run does. */
struct vqs_team_work {
    /* The next phase, the first one included: returns how many parts it has, or -1 where there is none and the run
     * ends. One member calls it when all parts of the former are done, and sees all that they wrote, as parts see what
     * it writes. */
    int (*next)(void *ctx, int member);
    void (*part)(void *ctx, int part, int member);
};

/* VQS_ERR_MEMORY, or VQS_ERR_ENVIRONMENT where no more threads may be started. */
enum vqs_status vqs_team_create(int threads, struct vqs_team **out, struct vqs_error *err);
void vqs_team_destroy(struct vqs_team *team);
int vqs_team_threads(const struct vqs_team *team);
/* Returns when all is done, under the caller's floating-point environment. */
void vqs_team_run(struct vqs_team *team, const struct vqs_team_work *work, void *ctx);
/* The same by the caller alone, at no cost, as in a team of one. */
void vqs_team_run_alone(const struct vqs_team_work *work, void *ctx);

#endif
