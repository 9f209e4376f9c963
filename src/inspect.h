/* inspect.h - a result file opened together with the plan that it came from. */
#ifndef VQS_INSPECT_H
#define VQS_INSPECT_H

#include "vqsweep/plan.h"
#include "vqsweep/store.h"

struct vqs_inspect {
    const char *path;
    struct vqs_store *store;
    struct vqs_plan *plan; /* made anew from the job in the file, with the command-line seeds noted there */
};

/* On failure there is nothing to close. VQS_ERR_STORE when the job in the file does not give the trials in the file. */
enum vqs_status vqs_inspect_open(const char *path, struct vqs_inspect *inspect, struct vqs_error *err);
void vqs_inspect_close(struct vqs_inspect *inspect);

#endif
