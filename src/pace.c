/* pace.c - whether the threads of a team are faster together than one of them alone, found by trying. */
#include "pace.h"

#include <math.h>

/* A system that has more to run than cores takes turns of a few milliseconds. */
static const double stretch = 10e-3;
/* What is kept is looked at again at once where its steps have become so much slower. */
static const double slower = 1.25;
enum { FIRST_WAIT = 4, LONGEST_WAIT = 64 }; /* stretches */

void vqs_pace_start(struct vqs_pace *p) {
    *p = (struct vqs_pace){.shared = true, .wait = FIRST_WAIT, .left = 1};
}

struct vqs_stretch vqs_pace_next(const struct vqs_pace *p) {
    const double step = p->steps ? p->seconds / (double)p->steps : p->kept; /* about */
    const double steps = step > 0 ? ceil((stretch - p->seconds) / step) : 1;
    return (struct vqs_stretch){p->shared != p->looking, steps < 1 ? 1 : steps > 1e9 ? (int64_t)1e9 : (int64_t)steps};
}

/* A look at the other way is over. */
static void compare(struct vqs_pace *p, double step) {
    if (step < p->kept) {
        p->shared = !p->shared;
        p->kept = step;
        p->wait = FIRST_WAIT;
    } else {
        p->wait = p->wait < LONGEST_WAIT ? 2 * p->wait : LONGEST_WAIT;
    }
    p->left = p->wait;
    p->looking = false;
}

void vqs_pace_took(struct vqs_pace *p, int64_t steps, double seconds) {
    p->steps += steps;
    p->seconds += seconds;
    if (p->seconds < stretch) {
        return;
    }
    const double step = p->seconds / (double)p->steps;
    if (p->looking) {
        compare(p, step);
    } else {
        p->looking = --p->left <= 0 || (p->kept > 0 && step > slower * p->kept);
        p->kept = step;
    }
    p->steps = 0;
    p->seconds = 0;
}
