/* fuzz_job.c - the job parser: YAML from anywhere becomes a plan or an error. */
#include "fuzz.h"
#include "vqsweep/plan.h"

#include <string.h>

void fuzz_one(const uint8_t *data, size_t size) {
    struct vqs_plan *plan = NULL;
    struct vqs_error err = {0};
    struct vqs_settings settings;
    if (vqs_plan_create((const char *)data, size, "job", NULL, &plan, &err) == VQS_OK) {
        vqs_plan_trial_settings(plan, vqs_plan_n_trials(plan) - 1, &settings);
        vqs_plan_destroy(plan);
    }
}

void fuzz_seeds(void (*take)(const void *data, size_t size)) {
    static const char *const jobs[] = {
        "name: a\nfixed: {D: 8, d: 2}\ngrid: {K: [4, 8], estimator: [ste, rotation]}\nseeds: 1..3\n",
        "name: b\ntitle: t\nseeds: [1, 5]\nstudies:\n  one:\n    fixed: {sigma: 0.1, snapshots: [0, 3]}\n"
        "    list: [{estimator: ste}, {estimator: projector, a: 1, b: 0.5}]\n"
        "    zip: {lr: [0.001, 0.002], batch: [128, 256]}\n    exclude: [{estimator: ste, lr: 0.001}]\n"
        "  two:\n    grid: {estimator: [kmeans]}\n    seeds: 1..2\n",
        "name: &x c\nfixed: {data: csv, path: \"some file\", D: 4, d: 1}\n",
    };
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        take(jobs[i], strlen(jobs[i]));
    }
}
