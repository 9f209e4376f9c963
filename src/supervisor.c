/* supervisor.c - the line for cluster/run.sh. */
#include "supervisor.h"

#include <stdio.h>
#include <stdlib.h>

static const double RENEW_SECONDS = 2;

/* A line that cannot be written makes the supervisor start the run again, which then has nothing to do. */
static void say(const char *line) {
    const char *path = getenv("VQSWEEP_STATE");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%s\n", line);
        fclose(file);
    }
}

void vqs_supervisor_running(struct vqs_supervisor *supervisor) {
    double now = vqs_clock_seconds();
    if (now >= supervisor->next) {
        supervisor->next = now + RENEW_SECONDS;
        say("running");
    }
}

void vqs_supervisor_end(enum vqs_status status, bool restart) {
    char line[32];
    snprintf(line, sizeof line, "%s %d", restart ? "restart" : "exit", vqs_status_exit_code(status));
    say(line);
}
