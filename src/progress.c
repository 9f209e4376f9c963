/* progress.c - the live line. */
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double LIVE_INTERVAL = 0.2, LOG_INTERVAL = 30;

void vqs_progress_begin(struct vqs_progress *progress, int width, bool quiet) {
    *progress = (struct vqs_progress){.width = width, .quiet = quiet, .begin = vqs_clock_seconds()};
    progress->next = progress->begin + (width > 0 ? 0 : LOG_INTERVAL);
}

void vqs_progress_duration(double seconds, char *text, size_t size) {
    long s = isfinite(seconds) && seconds < 1e9 ? lround(fmax(seconds, 0)) : -1;
    if (s < 0) {
        snprintf(text, size, "?");
    } else if (s >= 48 * 3600) {
        snprintf(text, size, "%ld d %ld h", s / 86400, s % 86400 / 3600);
    } else if (s >= 3600) {
        snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s % 3600 / 60, s % 60);
    } else {
        snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
    }
}

void vqs_progress_update(struct vqs_progress *progress, const struct vqs_progress_state *state) {
    double now = vqs_clock_seconds(), elapsed = now - progress->begin;
    if (progress->quiet || now < progress->next) {
        return;
    }
    progress->next = now + (progress->width > 0 ? LIVE_INTERVAL : LOG_INTERVAL);
    char left[32] = "?", line[256];
    if (state->cost_here > 0) {
        vqs_progress_duration(elapsed * state->cost_left / state->cost_here, left, sizeof left);
    }
    int length =
        snprintf(line, sizeof line, "vqsweep: %zu/%zu (%.1f%%)  %.1f/s  %s%s  failed %zu  diverged %zu", state->done,
                 state->total, 100.0 * (double)state->done / (double)state->total,
                 elapsed > 0 ? (double)state->done_here / elapsed : 0.0, state->stopping ? "stopping" : "to go ",
                 state->stopping ? "" : left, state->failed, state->diverged);
    if (progress->width > 0) {
        length = length < progress->width ? length : progress->width - 1; /* a full last column would wrap */
        fprintf(stderr, "\r%.*s\033[K", length, line);
        progress->drawn = true;
    } else {
        fprintf(stderr, "%s\n", line);
    }
    fflush(stderr);
}

void vqs_progress_clear(struct vqs_progress *progress) {
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        progress->drawn = false;
    }
}
