/* plan.c - from a job to numbered trials. */
#include "vqsweep/plan.h"

#include "job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

/* A trial is the point of the study that first asked for it; its settings are computed from there. */
struct trial {
    uint64_t key;
    uint64_t studies; /* bit s: belongs to study s */
    uint32_t point;
    uint32_t study;
};

struct study_view {
    size_t size, merged;
    char axis[VQS_MAX_AXES][240]; /* for people */
};

struct vqs_plan {
    struct vqs_job job;
    struct trial *trials;
    size_t n_trials;
    struct study_view *views; /* [job.n_studies] */
    uint64_t key;
};

/* ---- points ---------------------------------------------------------------------------------------------------- */

static void apply(const struct vqs_job *job, const struct vqs_axis *axis, size_t position, struct vqs_settings *s) {
    if (axis->seed_range) {
        s->seed = axis->seed + position;
        return;
    }
    size_t end = vqs_job_first(job, axis, position + 1);
    for (size_t i = vqs_job_first(job, axis, position); i < end; i++) {
        const struct vqs_assignment *a = vqs_job_assignment(job, i);
        memcpy((char *)s + vqs_setting_table[a->id].offset, job->values.data + a->value, vqs_setting_size(a->id));
    }
}

/* Point number `point` of a study, the last axis fastest. */
static void point_settings(const struct vqs_job *job, const struct vqs_study *study, size_t point,
                           struct vqs_settings *s) {
    memcpy(s, &study->base, sizeof *s);
    for (int x = study->n_axes - 1; x >= 0; x--) {
        apply(job, &study->axis[x], point % study->axis[x].n, s);
        point /= study->axis[x].n;
    }
}

/* Where the file gives setting `id` its value at a point; the study's line if it is a default. */
static int value_line(const struct vqs_job *job, const struct vqs_study *study, size_t point, enum vqs_setting_id id) {
    for (int x = study->n_axes - 1; x >= 0; x--) {
        const struct vqs_axis *axis = &study->axis[x];
        size_t position = point % axis->n;
        point /= axis->n;
        size_t end = axis->seed_range ? 0 : vqs_job_first(job, axis, position + 1);
        for (size_t i = axis->seed_range ? 0 : vqs_job_first(job, axis, position); i < end; i++) {
            if (vqs_job_assignment(job, i)->id == id) {
                return vqs_job_assignment(job, i)->line;
            }
        }
    }
    return study->base_line[id] ? study->base_line[id] : study->line;
}

static bool has_value(const struct vqs_job *job, const struct vqs_assignment *a, const struct vqs_settings *s) {
    const char *field = (const char *)s + vqs_setting_table[a->id].offset;
    return !memcmp(field, job->values.data + a->value, vqs_setting_size(a->id));
}

static bool matches(const struct vqs_job *job, const struct vqs_exclusion *exclusion, const struct vqs_settings *s) {
    for (size_t i = exclusion->first; i < exclusion->end;) {
        enum vqs_setting_id id = vqs_job_assignment(job, i)->id;
        bool hit = false;
        for (; i < exclusion->end && vqs_job_assignment(job, i)->id == id; i++) {
            hit = hit || has_value(job, vqs_job_assignment(job, i), s);
        }
        if (!hit) {
            return false;
        }
    }
    return true;
}

static bool excluded(const struct vqs_job *job, const struct vqs_study *study, const struct vqs_settings *s) {
    bool out = false;
    for (size_t i = study->first_exclusion; i < study->end_exclusion; i++) {
        struct vqs_exclusion *exclusion = vqs_job_exclusion(job, i);
        if (matches(job, exclusion, s)) {
            exclusion->hits++;
            out = true;
        }
    }
    return out;
}

/* ---- size, before anything is expanded ------------------------------------------------------------------------- */

static size_t study_points(const struct vqs_study *study) {
    size_t n = 1;
    for (int x = 0; x < study->n_axes; x++) {
        if (__builtin_mul_overflow(n, study->axis[x].n, &n)) {
            return SIZE_MAX;
        }
    }
    return n;
}

static enum vqs_status check_size(const struct vqs_job *job, size_t *total, struct vqs_error *err) {
    *total = 0;
    for (int s = 0; s < job->n_studies; s++) {
        const struct vqs_study *study = &job->studies[s];
        size_t points = study_points(study), before = *total;
        if (__builtin_add_overflow(before, points, total) || *total > VQS_PLAN_MAX_TRIALS) {
            char product[160] = "", others[60] = "";
            for (int x = 0, length = 0; x < study->n_axes && length < (int)sizeof product; x++) {
                length += snprintf(product + length, sizeof product - (size_t)length, "%s%s %zu", x ? " x " : "",
                                   study->axis[x].name, study->axis[x].n);
            }
            if (before > 0) {
                snprintf(others, sizeof others, " and the studies above it for %zu", before);
            }
            return vqs_job_complain(job, study->line, err,
                                    "%s: asks for %.4g trials (%s)%s; a plan holds at most %d, drop values or split "
                                    "the job",
                                    study->name, (double)points, product, others, VQS_PLAN_MAX_TRIALS);
        }
    }
    return VQS_OK;
}

/* ---- duplicates ------------------------------------------------------------------------------------------------ */

/* "K=4 lr=0.1" */
static void print_position(const struct vqs_job *job, const struct vqs_axis *axis, size_t position, char *text,
                           size_t size, bool names) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    apply(job, axis, position, &s);
    text[0] = '\0';
    size_t length = 0, end = vqs_job_first(job, axis, position + 1);
    for (size_t i = vqs_job_first(job, axis, position); i < end && length < size; i++) {
        enum vqs_setting_id id = vqs_job_assignment(job, i)->id;
        char value[VQS_PATH_MAX];
        vqs_setting_print(id, &s, value, sizeof value);
        length += (size_t)snprintf(text + length, size - length, "%s%s%s%s", length ? " " : "",
                                   names ? vqs_setting_table[id].name : "", names ? "=" : "", value);
    }
}

static int position_line(const struct vqs_job *job, const struct vqs_axis *axis, size_t position) {
    return vqs_job_assignment(job, vqs_job_first(job, axis, position))->line;
}

struct position {
    uint64_t hash;
    size_t at;
};

static int by_hash(const void *a, const void *b) {
    const struct position *x = a, *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return x->at < y->at ? -1 : 1;
}

/* Axes set disjoint settings, so the points of a study are distinct exactly when the positions of each axis are. */
static enum vqs_status check_axis(const struct vqs_job *job, const struct vqs_study *study, const struct vqs_axis *axis,
                                  struct vqs_error *err) {
    if (axis->seed_range) {
        return VQS_OK;
    }
    struct position *positions = malloc(axis->n * sizeof *positions);
    if (!positions) {
        return vqs_fail(err, VQS_ERR_MEMORY, "no memory for an axis of %zu values", axis->n);
    }
    for (size_t i = 0; i < axis->n; i++) {
        struct vqs_settings s;
        memcpy(&s, &study->base, sizeof s); /* with its padding, which is hashed too */
        apply(job, axis, i, &s);
        positions[i] = (struct position){XXH3_64bits(&s, sizeof s), i};
    }
    qsort(positions, axis->n, sizeof *positions, by_hash);
    size_t first = SIZE_MAX, again = SIZE_MAX; /* the duplicate that a reader of the file meets first */
    for (size_t i = 1; i < axis->n; i++) {
        if (positions[i].hash == positions[i - 1].hash && positions[i].at < again) {
            first = positions[i - 1].at;
            again = positions[i].at;
        }
    }
    free(positions);
    if (again == SIZE_MAX) {
        return VQS_OK;
    }
    char text[160];
    print_position(job, axis, again, text, sizeof text, true);
    return vqs_job_complain(job, position_line(job, axis, again), err,
                            "%s: value %zu (%s) gives the same trials as value %zu at line %d; keep one", axis->name,
                            again + 1, text, first + 1, position_line(job, axis, first));
}

/* ---- expansion ------------------------------------------------------------------------------------------------- */

/* Trial numbers by key, open addressing; only while expanding. */
struct index {
    uint32_t *slot; /* trial + 1, 0 when free */
    size_t mask;
};

static uint32_t *find_slot(const struct index *index, const struct trial *trials, uint64_t key) {
    size_t at = (size_t)key & index->mask;
    while (index->slot[at] && trials[index->slot[at] - 1].key != key) {
        at = (at + 1) & index->mask;
    }
    return &index->slot[at];
}

static enum vqs_status expand_study(struct vqs_plan *plan, int s, const struct index *index, struct vqs_keyer *keyer,
                                    struct vqs_error *err) {
    const struct vqs_job *job = &plan->job;
    const struct vqs_study *study = &job->studies[s];
    const uint64_t bit = (uint64_t)1 << s;
    size_t points = study_points(study);
    for (size_t point = 0; point < points; point++) {
        struct vqs_settings settings;
        struct vqs_error refusal = {0};
        enum vqs_setting_id culprit = VQS_SETTING_seed;
        point_settings(job, study, point, &settings);
        if (excluded(job, study, &settings)) {
            continue;
        }
        if (vqs_settings_check(&settings, &culprit, &refusal) != VQS_OK) {
            return vqs_job_complain(job, value_line(job, study, point, culprit), err, "%s", refusal.text);
        }
        uint64_t key = vqs_keyer_key(keyer, &settings);
        uint32_t *slot = find_slot(index, plan->trials, key);
        if (!*slot) {
            plan->trials[plan->n_trials++] = (struct trial){key, 0, (uint32_t)point, (uint32_t)s};
            *slot = (uint32_t)plan->n_trials;
        }
        struct trial *trial = &plan->trials[*slot - 1];
        if (trial->studies & bit) { /* distinct points (check_axis) of equal key differ only without effect */
            plan->views[s].merged++;
        } else {
            trial->studies |= bit;
            plan->views[s].size++;
        }
    }
    if (plan->views[s].size == 0) {
        return vqs_job_complain(job, study->line, err, "%s: 'exclude' leaves no trial; remove an exclusion",
                                study->name);
    }
    return VQS_OK;
}

/* With other seeds than the file's an exclusion may rightly find nothing. */
static enum vqs_status check_exclusions(const struct vqs_job *job, struct vqs_error *err) {
    size_t n = job->exclusions.size / sizeof(struct vqs_exclusion);
    for (size_t i = 0; i < n && !job->seeds_overridden; i++) {
        if (vqs_job_exclusion(job, i)->hits == 0) {
            return vqs_job_complain(job, vqs_job_exclusion(job, i)->line, err,
                                    "exclude: no point of the study matches; correct it or remove it");
        }
    }
    return VQS_OK;
}

static enum vqs_status expand(struct vqs_plan *plan, struct vqs_error *err) {
    const struct vqs_job *job = &plan->job;
    size_t total, slots = 64;
    enum vqs_status status = check_size(job, &total, err);
    for (int s = 0; s < job->n_studies && status == VQS_OK; s++) {
        for (int x = 0; x < job->studies[s].n_axes && status == VQS_OK; x++) {
            status = check_axis(job, &job->studies[s], &job->studies[s].axis[x], err);
        }
    }
    if (status != VQS_OK) {
        return status;
    }
    while (slots < 2 * total) {
        slots *= 2;
    }
    struct index index = {calloc(slots, sizeof *index.slot), slots - 1};
    struct vqs_keyer *keyer = malloc(sizeof *keyer);
    plan->trials = malloc(total * sizeof *plan->trials);
    plan->views = calloc((size_t)job->n_studies, sizeof *plan->views);
    if (!index.slot || !keyer || !plan->trials || !plan->views) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "no memory for a plan of %zu trials", total);
        goto done;
    }
    vqs_keyer_init(keyer);
    for (int s = 0; s < job->n_studies && status == VQS_OK; s++) {
        status = expand_study(plan, s, &index, keyer, err);
    }
    if (status == VQS_OK) {
        status = check_exclusions(job, err);
    }
done:
    free(index.slot);
    free(keyer);
    return status;
}

static uint64_t hash_trials(const struct vqs_plan *plan) {
    uint64_t hash = plan->n_trials;
    for (size_t t = 0; t < plan->n_trials; t++) { /* each hash is the seed of the next, so the order counts */
        const uint64_t identity[2] = {plan->trials[t].key, plan->trials[t].studies};
        hash = XXH3_64bits_withSeed(identity, sizeof identity, hash);
    }
    return hash;
}

/* "K: 4, 8, 16", "lr, batch: 0.1 8, 0.2 16", "list: estimator=ste, estimator=projector a=1", "seed: 1..30" */
static void describe_axis(const struct vqs_job *job, const struct vqs_axis *axis, char *text, size_t size) {
    if (axis->seed_range) {
        uint64_t last = axis->seed + (axis->n - 1);
        snprintf(text, size, axis->n > 1 ? "seed: %" PRIu64 "..%" PRIu64 : "seed: %" PRIu64, axis->seed, last);
        return;
    }
    bool names = !strcmp(axis->name, "list");
    size_t length = (size_t)snprintf(text, size, "%s: ", axis->name);
    for (size_t i = 0; i < axis->n; i++) {
        char position[160], more[40] = "";
        print_position(job, axis, i, position, sizeof position, names);
        if (i + 1 < axis->n) {
            snprintf(more, sizeof more, ", ... (%zu values)", axis->n);
        }
        if (length + strlen(position) + strlen(more) + 2 >= size) { /* the rest does not fit */
            snprintf(text + length, size - length, "%s... (%zu values)", i ? ", " : "", axis->n);
            return;
        }
        length += (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "", position);
    }
}

/* ---- the plan -------------------------------------------------------------------------------------------------- */

enum vqs_status vqs_plan_create(const char *text, size_t size, const char *file,
                                const struct vqs_plan_overrides *overrides, struct vqs_plan **out,
                                struct vqs_error *err) {
    *out = NULL;
    struct vqs_plan *plan = calloc(1, sizeof *plan);
    if (!plan) {
        return vqs_fail(err, VQS_ERR_MEMORY, "no memory for a plan");
    }
    enum vqs_status status = vqs_job_parse(text, size, file, overrides, &plan->job, err);
    if (status == VQS_OK) {
        status = expand(plan, err);
    }
    if (status != VQS_OK) {
        vqs_plan_destroy(plan);
        return status;
    }
    struct trial *fitted = realloc(plan->trials, plan->n_trials * sizeof *plan->trials);
    plan->trials = fitted ? fitted : plan->trials;
    plan->key = hash_trials(plan);
    if (plan->job.contrasts.size) { /* so that a run is not resumed with contrasts thought of after its results */
        plan->key = XXH3_64bits_withSeed(plan->job.contrasts.data, plan->job.contrasts.size, plan->key);
    }
    for (int s = 0; s < plan->job.n_studies; s++) {
        for (int x = 0; x < plan->job.studies[s].n_axes; x++) {
            describe_axis(&plan->job, &plan->job.studies[s].axis[x], plan->views[s].axis[x],
                          sizeof plan->views[s].axis[x]);
        }
    }
    *out = plan;
    return VQS_OK;
}

void vqs_plan_destroy(struct vqs_plan *plan) {
    if (plan) {
        vqs_job_destroy(&plan->job);
        free(plan->trials);
        free(plan->views);
        free(plan);
    }
}

const char *vqs_plan_name(const struct vqs_plan *plan) {
    return plan->job.name;
}

const char *vqs_plan_title(const struct vqs_plan *plan) {
    return plan->job.title;
}

size_t vqs_plan_n_trials(const struct vqs_plan *plan) {
    return plan->n_trials;
}

uint64_t vqs_plan_key(const struct vqs_plan *plan) {
    return plan->key;
}

uint64_t vqs_plan_trial_key(const struct vqs_plan *plan, size_t trial) {
    return plan->trials[trial].key;
}

void vqs_plan_trial_settings(const struct vqs_plan *plan, size_t trial, struct vqs_settings *settings) {
    const struct trial *t = &plan->trials[trial];
    point_settings(&plan->job, &plan->job.studies[t->study], t->point, settings);
}

int vqs_plan_trial_line(const struct vqs_plan *plan, size_t trial) {
    return plan->job.studies[plan->trials[trial].study].line;
}

int vqs_plan_n_studies(const struct vqs_plan *plan) {
    return plan->job.n_studies;
}

const char *vqs_plan_study_name(const struct vqs_plan *plan, int study) {
    return plan->job.studies[study].name;
}

size_t vqs_plan_study_size(const struct vqs_plan *plan, int study) {
    return plan->views[study].size;
}

bool vqs_plan_in_study(const struct vqs_plan *plan, size_t trial, int study) {
    return plan->trials[trial].studies >> study & 1;
}

size_t vqs_plan_study_merged(const struct vqs_plan *plan, int study) {
    return plan->views[study].merged;
}

const char *vqs_plan_study_axis(const struct vqs_plan *plan, int study, int i) {
    return i < plan->job.studies[study].n_axes ? plan->views[study].axis[i] : NULL;
}

const char *vqs_plan_contrasts(const struct vqs_plan *plan, size_t *size) {
    *size = plan->job.contrasts.size;
    return (const char *)plan->job.contrasts.data;
}
