/* job_contrasts.c - the comparisons a job declares: checked here, evaluated by analysis/. */
#include "job_reader.h"
#include "vqsweep/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum field { NAME, STUDY, METRIC, AXIS, VALUES, WHERE, EACH, EFFECT, N_FIELDS };
static const char *const field_name[N_FIELDS] = {"name", "study", "metric", "axis", "values", "where", "each", "effect"};
#define EXPECTED "a contrast such as {name: alive, metric: dead_codes_train, axis: estimator, values: [ste, rotation]}"

static enum vqs_status read_fields(struct vqs_reader *in, const yaml_node_t *node, yaml_node_t *fields[N_FIELDS]) {
    TRY(vqs_reader_expect_mapping(in, node, "contrasts", EXPECTED));
    for (size_t i = 0; i < n_pairs(node); i++) {
        const yaml_node_t *key = key_at(in, node, i);
        const char *name = vqs_reader_text(key);
        int f = 0;
        while (f < N_FIELDS && (!name || strcmp(name, field_name[f]) != 0)) {
            f++;
        }
        if (f == N_FIELDS) {
            return COMPLAIN(in, key,
                            "%.60s: not a key of a contrast; it has name, study, metric, axis, values, where, each, effect",
                            name ? name : "contrasts");
        }
        if (fields[f]) {
            return COMPLAIN(in, key, "%s: given twice, first at line %d; keep one", name, line_of(fields[f]));
        }
        fields[f] = value_at(in, node, i);
    }
    static const enum field needed[] = {NAME, METRIC, AXIS, VALUES};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (!fields[needed[i]]) {
            return COMPLAIN(in, node, "%s: is missing; expected " EXPECTED, field_name[needed[i]]);
        }
    }
    return VQS_OK;
}

static enum vqs_status find_study(struct vqs_reader *in, const yaml_node_t *contrast, const yaml_node_t *node,
                                  const struct vqs_study **study) {
    const struct vqs_job *job = in->job;
    *study = job->studies;
    if (!node && job->n_studies == 1) {
        return VQS_OK;
    }
    const char *name = node ? vqs_reader_text(node) : NULL;
    for (int s = 0; name && s < job->n_studies; s++) {
        if (!strcmp(job->studies[s].name, name)) {
            *study = &job->studies[s];
            return VQS_OK;
        }
    }
    return node ? COMPLAIN(in, node, "study: the job has no study '%.60s'", name ? name : "")
                : COMPLAIN(in, contrast, "study: is missing; the job has %d studies", job->n_studies);
}

static enum vqs_status find_metric(struct vqs_reader *in, const yaml_node_t *node, const char **metric) {
    const char *name = vqs_reader_text(node);
    struct vqs_suggestion near = {NULL, SIZE_MAX};
    for (int m = 0; name && m < VQS_N_METRICS; m++) {
        if (!strcmp(name, vqs_metric_table[m].name)) {
            *metric = vqs_metric_table[m].name;
            return VQS_OK;
        }
        vqs_reader_consider(&near, name, vqs_metric_table[m].name);
    }
    return near.name ? COMPLAIN(in, node, "metric: %.60s is none; did you mean '%s'?", name, near.name)
                     : COMPLAIN(in, node, "metric: %.60s is none; 'vqsweep metrics' lists all", name ? name : "a list");
}

static enum vqs_status find_setting(struct vqs_reader *in, const yaml_node_t *node, const char *what,
                                    enum vqs_setting_id *id) {
    const char *name = vqs_reader_text(node);
    int found = name ? vqs_setting_find(name) : -1;
    if (found < 0) {
        return COMPLAIN(in, node, "%s: '%.60s' is no setting; 'vqsweep settings' lists all", what, name ? name : "");
    }
    if (found == VQS_SETTING_seed) {
        return COMPLAIN(in, node, "%s: pairs are made by seed, so seed itself cannot be contrasted", what);
    }
    *id = (enum vqs_setting_id)found;
    return VQS_OK;
}

static bool same_value(enum vqs_setting_id id, const struct vqs_settings *settings, const char *text) {
    char other[VQS_PATH_MAX + 1];
    vqs_setting_print(id, settings, other, sizeof other);
    return !strcmp(text, other);
}

/* Whether some point of the study has this value, as text. */
static bool study_takes(const struct vqs_job *job, const struct vqs_study *study, enum vqs_setting_id id,
                        const char *text) {
    const int place = study->placed[id] ? study->placed_axis[id] : -1; /* axes count from 1 here */
    const struct vqs_axis *axis = place > 0 ? &study->axis[place - 1] : NULL;
    if ((!axis || !strcmp(axis->name, "list")) && same_value(id, &study->base, text)) {
        return true; /* a point of a list may leave a setting as it is */
    }
    for (size_t i = axis ? vqs_job_first(job, axis, 0) : 0; axis && i < vqs_job_first(job, axis, axis->n); i++) {
        const struct vqs_assignment *assignment = vqs_job_assignment(job, i);
        struct vqs_settings settings;
        vqs_settings_default(&settings);
        memcpy((char *)&settings + vqs_setting_table[id].offset, job->values.data + assignment->value,
               assignment->id == id ? vqs_setting_size(id) : 0);
        if (assignment->id == id && same_value(id, &settings, text)) {
            return true;
        }
    }
    return false;
}

/* One value of a setting, as canonical text, that the study takes somewhere. */
static enum vqs_status read_value(struct vqs_reader *in, const struct vqs_study *study, enum vqs_setting_id id,
                                  const yaml_node_t *node, char text[VQS_PATH_MAX + 1]) {
    struct vqs_settings settings;
    vqs_settings_default(&settings);
    TRY(vqs_reader_value(in, id, node, &settings));
    vqs_setting_print(id, &settings, text, VQS_PATH_MAX + 1);
    return study_takes(in->job, study, id, text) ? VQS_OK
                                                 : COMPLAIN(in, node, "%s: study %s has no trial of %.60s",
                                                            vqs_setting_table[id].name, study->name, text);
}

static enum vqs_status say(struct vqs_reader *in, const char *before, const char *text, const char *after) {
    TRY(vqs_bytes_append(&in->job->contrasts, before, strlen(before), in->err));
    TRY(vqs_bytes_append(&in->job->contrasts, text, strlen(text), in->err));
    return vqs_bytes_append(&in->job->contrasts, after, strlen(after), in->err);
}

static enum vqs_status read_axis(struct vqs_reader *in, const struct vqs_study *study, yaml_node_t *fields[N_FIELDS],
                                 int *seen) {
    enum vqs_setting_id id = 0;
    char first[VQS_PATH_MAX + 1], second[VQS_PATH_MAX + 1];
    TRY(find_setting(in, fields[AXIS], "axis", &id));
    seen[id] = line_of(fields[AXIS]);
    TRY(vqs_reader_expect_list(in, fields[VALUES], "values", "two values of the axis, such as [ste, rotation]"));
    if (n_items(fields[VALUES]) != 2) {
        return COMPLAIN(in, fields[VALUES], "values: %zu values; a contrast is of two", n_items(fields[VALUES]));
    }
    TRY(read_value(in, study, id, item_at(in, fields[VALUES], 0), first));
    TRY(read_value(in, study, id, item_at(in, fields[VALUES], 1), second));
    if (!strcmp(first, second)) {
        return COMPLAIN(in, fields[VALUES], "values: both are %.60s", first);
    }
    TRY(say(in, ", ", vqs_setting_table[id].name, " "));
    return say(in, second, " - ", first);
}

static enum vqs_status read_where(struct vqs_reader *in, const struct vqs_study *study, const yaml_node_t *node,
                                  int *seen) {
    TRY(vqs_reader_expect_mapping(in, node, "where", "settings such as {K: 32}"));
    for (size_t i = 0; i < n_pairs(node); i++) {
        enum vqs_setting_id id = 0;
        char text[VQS_PATH_MAX + 1];
        TRY(find_setting(in, key_at(in, node, i), "where", &id));
        TRY(vqs_reader_key(in, node, i, seen, &id)); /* refuses a setting given twice */
        TRY(read_value(in, study, id, value_at(in, node, i), text));
        TRY(say(in, ", ", vqs_setting_table[id].name, "="));
        TRY(say(in, text, "", ""));
    }
    return VQS_OK;
}

static enum vqs_status read_each(struct vqs_reader *in, const yaml_node_t *node, int *seen) {
    TRY(vqs_reader_expect_list(in, node, "each", "settings such as [decoder, codebook_init]"));
    for (size_t i = 0; i < n_items(node); i++) {
        enum vqs_setting_id id = 0;
        TRY(find_setting(in, item_at(in, node, i), "each", &id));
        if (seen[id]) {
            return COMPLAIN(in, item_at(in, node, i), "each: %s is given twice, first at line %d",
                            vqs_setting_table[id].name, seen[id]);
        }
        seen[id] = line_of(item_at(in, node, i));
        TRY(say(in, i ? ", " : ", each ", vqs_setting_table[id].name, ""));
    }
    return VQS_OK;
}

/* The size of difference that is worth finding, for the table of power: a number over 0. */
static enum vqs_status read_effect(struct vqs_reader *in, const yaml_node_t *node) {
    const char *text = vqs_reader_text(node);
    char *end = NULL;
    const double effect = text ? strtod(text, &end) : 0;
    if (!text || !*text || *end || !(effect > 0 && effect < 1e300)) {
        return COMPLAIN(in, node, "effect: must be a number over 0, in the unit of the metric, not '%.60s'",
                        text ? text : "a list");
    }
    return say(in, ", effect ", text, "");
}

enum vqs_status vqs_reader_contrasts(struct vqs_reader *in, const yaml_node_t *list) {
    TRY(vqs_reader_expect_list(in, list, "contrasts", "a list of " EXPECTED));
    for (size_t c = 0; c < n_items(list); c++) {
        yaml_node_t *fields[N_FIELDS] = {NULL};
        const struct vqs_study *study;
        const char *metric = NULL;
        char name[VQS_NAME_MAX], other[VQS_NAME_MAX];
        int seen[VQS_N_SETTINGS] = {0};
        TRY(read_fields(in, item_at(in, list, c), fields));
        TRY(vqs_reader_name(in, fields[NAME], "name", name));
        for (size_t i = 0; i < c; i++) {
            yaml_node_t *before[N_FIELDS] = {NULL};
            TRY(read_fields(in, item_at(in, list, i), before));
            TRY(vqs_reader_name(in, before[NAME], "name", other));
            if (!strcmp(name, other)) {
                return COMPLAIN(in, fields[NAME], "%s: two contrasts of this name, the first at line %d", name,
                                line_of(before[NAME]));
            }
        }
        TRY(find_study(in, item_at(in, list, c), fields[STUDY], &study));
        TRY(find_metric(in, fields[METRIC], &metric));
        TRY(say(in, name, ": ", metric));
        TRY(say(in, " in ", study->name, ""));
        TRY(read_axis(in, study, fields, seen));
        TRY(fields[WHERE] ? read_where(in, study, fields[WHERE], seen) : VQS_OK);
        TRY(fields[EACH] ? read_each(in, fields[EACH], seen) : VQS_OK);
        TRY(fields[EFFECT] ? read_effect(in, fields[EFFECT]) : VQS_OK);
        TRY(say(in, "\n", "", ""));
    }
    return VQS_OK;
}
