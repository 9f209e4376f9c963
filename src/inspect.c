/* inspect.c - result file and plan. */
#include "inspect.h"

#include <stdlib.h>
#include <string.h>

enum vqs_status vqs_inspect_open(const char *path, struct vqs_inspect *inspect, struct vqs_error *err) {
    memset(inspect, 0, sizeof *inspect);
    inspect->path = path;
    enum vqs_status status = vqs_store_open(path, &inspect->store, err);
    if (status != VQS_OK) {
        return status;
    }
    struct vqs_error bad_job = {0};
    struct vqs_plan_overrides overrides = {.seeds = vqs_store_provenance(inspect->store, "seeds")};
    size_t size;
    const char *job = vqs_store_job_text(inspect->store, &size),
               *key = vqs_store_provenance(inspect->store, "plan_key");
    if (vqs_plan_create(job, size, "job", &overrides, &inspect->plan, &bad_job) != VQS_OK) {
        status = vqs_fail(err, VQS_ERR_STORE, "%s: the job in this file cannot be planned: %s", path, bad_job.text);
    } else if (!key || strtoull(key, NULL, 16) != vqs_plan_key(inspect->plan) ||
               vqs_plan_n_trials(inspect->plan) != vqs_store_n_trials(inspect->store)) {
        status = vqs_fail(err, VQS_ERR_STORE,
                          "%s: the job in this file gives other trials with this program than with the one that wrote "
                          "it; status names that one",
                          path);
    }
    if (status != VQS_OK) {
        vqs_inspect_close(inspect);
    }
    return status;
}

void vqs_inspect_close(struct vqs_inspect *inspect) {
    vqs_plan_destroy(inspect->plan);
    vqs_store_close(inspect->store);
    memset(inspect, 0, sizeof *inspect);
}
