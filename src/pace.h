/* pace.h - whether the threads of a team are faster together than one of them alone, found by trying.
 *
 * The one rule: where another program has some of the cores, sharing must not make a trial slower. So steps are taken
 * in stretches, now and then one the other way, and whichever way had the faster steps is kept; the more often it has
 * won, the longer. The results are the same bits either way. A pace reads no clock: it is told what a stretch took.
 *
 * Life cycle: vqs_pace_start, then vqs_pace_next before and vqs_pace_took after each stretch.
 */
#ifndef VQS_PACE_H
#define VQS_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct vqs_pace {
    bool shared;    /* the way kept */
    bool looking;   /* at the other way */
    double kept;    /* seconds a step took when it was last kept; 0: not known */
    int wait, left; /* stretches from one look at the other way to the next, and until then */
    /* the stretch */
    int64_t steps;
    double seconds;
};

struct vqs_stretch {
    bool shared;
    int64_t steps; /* at the most; fewer are as good */
};

void vqs_pace_start(struct vqs_pace *pace);
struct vqs_stretch vqs_pace_next(const struct vqs_pace *pace);
/* So many steps took so long, the way that vqs_pace_next said. */
void vqs_pace_took(struct vqs_pace *pace, int64_t steps, double seconds);

#endif
