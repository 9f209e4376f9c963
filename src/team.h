/* team.h - threads that work on one trial together.
 *
 * The one rule: a phase of work is cut into numbered parts whose results do not depend on who did them. Threads claim
 * parts until none is left, and then wait for each other: a thread that the system takes off its core holds up one part
 * and not half of the phase. Who waits for long sleeps, and leaves its core to whom it waits for.
 *
 * Life cycle: vqs_team_create, vqs_team_run any number of times, vqs_team_destroy. A team belongs to the thread that
 * created it, which is its member 0; the others sleep between runs. Work is, for every member and phase alike,
 *
 *     for (int part; (part = vqs_team_claim(team)) < parts;) { ... }
 *     vqs_team_wait(team);
 *
 * and what a member wrote before vqs_team_wait all see after it. A team of one costs nothing.
 */
#ifndef VQS_TEAM_H
#define VQS_TEAM_H

#include "vqsweep/base.h"

struct vqs_team;

/* VQS_ERR_MEMORY, or VQS_ERR_ENVIRONMENT where no more threads may be started. */
enum vqs_status vqs_team_create(int threads, struct vqs_team **out, struct vqs_error *err);
void vqs_team_destroy(struct vqs_team *team);
int vqs_team_threads(const struct vqs_team *team);
/* Every member calls work(ctx, its number), under the caller's floating-point environment; returns when all are done.
 */
void vqs_team_run(struct vqs_team *team, void (*work)(void *ctx, int member), void *ctx);
/* A part that nobody else has, in ascending order; from the number of parts on there is none left. */
int vqs_team_claim(struct vqs_team *team);
/* Until every member is here; then the next phase begins with part 0. */
void vqs_team_wait(struct vqs_team *team);

#endif
