/* progress.h - what a person sees while a sweep runs.
 *
 * On a terminal one line, redrawn about five times a second within the terminal's width; elsewhere a line every half
 * minute; nothing when quiet. All on stderr.
 */
#ifndef VQS_PROGRESS_H
#define VQS_PROGRESS_H

#include "vqsweep/base.h"

struct vqs_progress {
    int width; /* of the terminal; 0: none */
    bool quiet, drawn;
    double begin, next;
};

/* Where a run stands. Costs are in expected core-seconds, this run's only: the trials left may be shorter than those
 * done, so that a count alone would mislead about the time to go. */
struct vqs_progress_state {
    size_t done, total, failed, diverged;
    size_t done_here; /* by this run, not an earlier one */
    double cost_here, cost_left;
    bool stopping;
};

void vqs_progress_begin(struct vqs_progress *progress, int width, bool quiet);
/* Draws if it is time to. */
void vqs_progress_update(struct vqs_progress *progress, const struct vqs_progress_state *state);
/* Clears the live line; anything may be printed until the next update. */
void vqs_progress_clear(struct vqs_progress *progress);
/* Seconds as a person says them: "0:42", "3:07:00", "2 d 4 h". */
void vqs_progress_duration(double seconds, char *text, size_t size);

#endif
