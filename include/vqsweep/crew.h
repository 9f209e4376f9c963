/* crew.h - how many threads should share a trial.
 *
 * The one rule: a thread with a trial of its own is never beaten as long as there are trials for all threads; only
 * where some would be idle do threads that share a trial end sooner. The choice changes no result. It is made from
 * expected times (train.h) and from what a team does together and what it costs to agree that a phase is over, which is
 * measured on the machine as it is: on cores that are busy with something else a team does little more than one thread,
 * and trials that could wait for a thread of their own are left to one each.
 */
#ifndef VQSWEEP_CREW_H
#define VQSWEEP_CREW_H

#include "vqsweep/plan.h"
#include "vqsweep/train.h"

/* Who runs the trials `first`, first + stride ... of a plan. */
struct vqs_crew {
    int ranks, threads; /* of each rank, at least */
    uint32_t first, stride;
    struct vqs_team_cost (*measure)(int team); /* vqs_crew_measure, unless a test knows better */
};
/* The number of threads that share a trial with which the last trial is expected to end soonest: 1 or a power of 2. */
int vqs_crew_choose(const struct vqs_crew *crew, const struct vqs_plan *plan);
/* What a team of so many threads costs now; takes about 20 milliseconds. Infinite where no such team can be had. */
struct vqs_team_cost vqs_crew_measure(int team);

#endif
