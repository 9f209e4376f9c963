/* job.h - a job's text as data: studies, their axes and exclusions, each value checked and with its line. Internal.
 *
 * The one rule: job.c knows YAML and nothing of trials; plan.c knows trials and nothing of YAML. What passes between
 * them is this structure.
 *
 * Life cycle: vqs_job_parse fills it (nothing is left to release when it fails), vqs_job_destroy releases it.
 */
#ifndef VQS_JOB_H
#define VQS_JOB_H

#include "vqsweep/plan.h"

#include <stdarg.h>

#define VQS_NAME_MAX 64

/* "this setting gets this value" */
struct vqs_assignment {
    enum vqs_setting_id id;
    int line;
    size_t value; /* offset into the job's values, vqs_setting_size(id) bytes */
};

/* An axis: position i makes the assignments first[i] .. first[i + 1] - 1, several for a zip and for a point of a list,
 * one for an axis of a grid. A range of seeds is not written out. */
struct vqs_axis {
    char name[VQS_NAME_MAX]; /* "K", "lr, batch", "list", "seed" */
    size_t n;                /* positions, at least one */
    size_t first;            /* index of first[0] in the job's firsts */
    bool seed_range;         /* position i is the seed `seed` + i */
    uint64_t seed;
};

/* A point to leave out: matches when, for every setting it names, one of the values it gives is the trial's. Values of
 * one setting stand side by side. */
struct vqs_exclusion {
    int line;
    size_t first, end; /* assignments */
    size_t hits;       /* points left out, counted by the plan */
};

/* Axes take disjoint settings, one at least; the last may be the one that is refused. */
#define VQS_MAX_AXES (VQS_N_SETTINGS + 1)

struct vqs_study {
    char name[VQS_NAME_MAX];
    int line;
    struct vqs_settings base;        /* defaults, the job's `fixed`, the study's `fixed` */
    int base_line[VQS_N_SETTINGS];   /* 0 for a default */
    int placed[VQS_N_SETTINGS];      /* line where the study itself sets it, 0 where it does not */
    int placed_axis[VQS_N_SETTINGS]; /* the axis that does, -1 for `fixed` */
    int n_axes;
    struct vqs_axis axis[VQS_MAX_AXES]; /* slowest first */
    size_t first_exclusion, end_exclusion;
};

struct vqs_job {
    char file[VQS_PATH_MAX]; /* for messages */
    char name[VQS_NAME_MAX];
    char title[VQS_PATH_MAX];
    bool seeds_overridden;
    int n_studies;
    struct vqs_study *studies;
    struct vqs_bytes values, assignments, firsts, exclusions; /* arrays that the studies share */
    struct vqs_bytes contrasts; /* a line of text each: only people and the plan's key want them here */
};

enum vqs_status vqs_job_parse(const char *text, size_t size, const char *file,
                              const struct vqs_plan_overrides *overrides, struct vqs_job *job, struct vqs_error *err);
void vqs_job_destroy(struct vqs_job *job);

/* VQS_ERR_JOB with "FILE:LINE: " before the text. */
enum vqs_status vqs_job_complain(const struct vqs_job *job, int line, struct vqs_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static inline const struct vqs_assignment *vqs_job_assignment(const struct vqs_job *job, size_t i) {
    return (const struct vqs_assignment *)(const void *)job->assignments.data + i;
}

static inline struct vqs_exclusion *vqs_job_exclusion(const struct vqs_job *job, size_t i) {
    return (struct vqs_exclusion *)(void *)job->exclusions.data + i;
}

/* The first assignment of position i of an axis; that of i + 1 is the end. Not for a range of seeds. */
static inline size_t vqs_job_first(const struct vqs_job *job, const struct vqs_axis *axis, size_t i) {
    return ((const size_t *)(const void *)job->firsts.data)[axis->first + i];
}

#endif
