/* origin.c - comparing plans setting by setting. */
#include "origin.h"

#include "provenance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VALUE = 40,           /* of a value, as much as a message has room for */
    MOST_TRIALS = 200000, /* of plans that are compared setting by setting: a refusal should not take minutes */
};

struct value {
    char text[VALUE];
};

static int compare_values(const void *a, const void *b) {
    return strcmp(((const struct value *)a)->text, ((const struct value *)b)->text);
}

/* The distinct values of a setting over the trials that it has an effect in, sorted. `values` has room for all trials.
 */
static size_t distinct_values(const struct vqs_plan *plan, enum vqs_setting_id id, struct value *values) {
    size_t n = 0, kept = 0;
    for (size_t t = 0; t < vqs_plan_n_trials(plan); t++) {
        struct vqs_settings settings;
        vqs_plan_trial_settings(plan, t, &settings);
        if (vqs_setting_used(id, &settings)) {
            vqs_setting_print(id, &settings, values[n++].text, VALUE);
        }
    }
    if (n) {
        qsort(values, n, sizeof *values, compare_values);
    }
    for (size_t i = 0; i < n; i++) {
        if (!kept || compare_values(&values[i], &values[kept - 1])) {
            values[kept++] = values[i];
        }
    }
    return kept;
}

/* A value of the first list that the second has not, or NULL. */
static const char *missing_from(const struct value *here, size_t n_here, const struct value *there, size_t n_there) {
    for (size_t i = 0; i < n_here; i++) {
        if (!n_there || !bsearch(&here[i], there, n_there, sizeof *there, compare_values)) {
            return here[i].text;
        }
    }
    return NULL;
}

/* "; K: 64 only there; lr: 0.1 only here": a few settings whose values differ. Empty when there is no memory. */
static void describe_settings(const struct vqs_plan *there, const struct vqs_plan *here, char *text, size_t size) {
    enum { MOST = 3 };
    struct value *a = calloc(vqs_plan_n_trials(there), sizeof *a), *b = calloc(vqs_plan_n_trials(here), sizeof *b);
    size_t used = 0;
    int named = 0;
    for (int id = 0; a && b && id < VQS_N_SETTINGS && named < MOST; id++) {
        size_t n_a = distinct_values(there, (enum vqs_setting_id)id, a);
        size_t n_b = distinct_values(here, (enum vqs_setting_id)id, b);
        const char *only_there = missing_from(a, n_a, b, n_b), *only_here = missing_from(b, n_b, a, n_a);
        if ((only_there || only_here) && used < size) {
            used += (size_t)snprintf(text + used, size - used, "; %s: %s%s%s%s%s", vqs_setting_table[id].name,
                                     only_there ? only_there : "", only_there ? " only there" : "",
                                     only_there && only_here ? ", " : "", only_here ? only_here : "",
                                     only_here ? " only here" : "");
            named++;
        }
    }
    free(a);
    free(b);
}

static bool same_contrasts(const struct vqs_plan *a, const struct vqs_plan *b) {
    size_t size_a, size_b;
    const char *text_a = vqs_plan_contrasts(a, &size_a), *text_b = vqs_plan_contrasts(b, &size_b);
    return size_a == size_b && (!size_a || !memcmp(text_a, text_b, size_a));
}

static enum vqs_status refuse_plan(const struct vqs_origin *origin, const struct vqs_plan *plan,
                                   struct vqs_error *err) {
    struct vqs_plan *there = NULL;
    struct vqs_plan_overrides overrides = {.seeds = origin->seeds && origin->seeds[0] ? origin->seeds : NULL};
    char difference[240] = "", count[48] = "";
    if (vqs_plan_create(origin->job, origin->job_size, "job", &overrides, &there, NULL) == VQS_OK &&
        vqs_plan_key(there) == origin->plan_key) {
        const size_t n_there = vqs_plan_n_trials(there), n_here = vqs_plan_n_trials(plan);
        snprintf(count, sizeof count, "of %zu trials, not %zu", n_there, n_here);
        if (n_there <= MOST_TRIALS && n_here <= MOST_TRIALS) {
            describe_settings(there, plan, difference, sizeof difference);
        }
    } else { /* another program may plan the same job differently */
        snprintf(count, sizeof count, "%016llx, not %016llx", (unsigned long long)origin->plan_key,
                 (unsigned long long)vqs_plan_key(plan));
    }
    const char *other_contrasts = there && !same_contrasts(there, plan) ? "; other contrasts" : "";
    vqs_plan_destroy(there);
    return vqs_fail(
        err, VQS_ERR_STORE,
        "%s: holds another plan (%s%s%s); give another file by -o, remove this one, or keep what both ask for "
        "with --allow-mixed",
        origin->path, count, difference, other_contrasts);
}

enum vqs_status vqs_origin_check(const struct vqs_origin *origin, const struct vqs_plan *plan, struct vqs_error *err) {
    if (origin->plan_key != vqs_plan_key(plan)) {
        return refuse_plan(origin, plan, err);
    }
    if (strcmp(origin->code_version, vqs_code_version())) {
        return vqs_fail(
            err, VQS_ERR_STORE,
            "%s: comes from vqsweep %s, this is %s; finish it with that one, give another file by -o, remove "
            "this one, or mix them with --allow-mixed",
            origin->path, origin->code_version, vqs_code_version());
    }
    return VQS_OK;
}
