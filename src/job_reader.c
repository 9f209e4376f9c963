/* job_reader.c - names, settings and values from YAML nodes. */
#include "job_reader.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Values that one job may write out (ranges of seeds are not). Aliases of aliases ask for billions in a few lines. */
#define MAX_VALUES 1000000

/* ---- complaints ------------------------------------------------------------------------------------------------ */

enum vqs_status vqs_job_complain(const struct vqs_job *job, int line, struct vqs_error *err, const char *format, ...) {
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (line == 0) { /* not from the file */
        return vqs_fail(err, VQS_ERR_USAGE, "--seeds: %s", text);
    }
    return vqs_fail(err, VQS_ERR_JOB, "%s:%d: %s", job->file, line, text);
}

/* Edits (insert, delete, replace, ignoring case) from one name to another. */
static size_t edit_distance(const char *a, const char *b) {
    size_t row[VQS_NAME_MAX + 1], nb = strlen(b);
    for (size_t j = 0; j <= nb; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < nb; j++) {
            size_t best = diagonal + (tolower((unsigned char)a[i]) != tolower((unsigned char)b[j]));
            diagonal = row[j + 1];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j + 1] = best < diagonal + 1 ? best : diagonal + 1;
        }
    }
    return row[nb];
}

void vqs_reader_consider(struct vqs_suggestion *nearest, const char *name, const char *candidate) {
    if (strlen(name) > VQS_NAME_MAX) {
        return;
    }
    size_t distance = edit_distance(name, candidate), length = strlen(candidate);
    if (distance <= (length > 4 ? 2 : 1) && distance < length && distance < nearest->distance) {
        *nearest = (struct vqs_suggestion){candidate, distance};
    }
}

/* ---- nodes ----------------------------------------------------------------------------------------------------- */

const char *vqs_reader_text(const yaml_node_t *node) {
    if (node->type != YAML_SCALAR_NODE) {
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

enum vqs_status vqs_reader_expect_mapping(struct vqs_reader *in, const yaml_node_t *node, const char *what,
                                          const char *expected) {
    if (node->type != YAML_MAPPING_NODE || n_pairs(node) == 0) {
        return COMPLAIN(in, node, "%s: is %s; expected %s", what,
                        node->type == YAML_MAPPING_NODE ? "empty" : "not a mapping", expected);
    }
    return VQS_OK;
}

enum vqs_status vqs_reader_expect_list(struct vqs_reader *in, const yaml_node_t *node, const char *what,
                                       const char *expected) {
    if (node->type != YAML_SEQUENCE_NODE || n_items(node) == 0) {
        return COMPLAIN(in, node, "%s: is %s; expected %s", what,
                        node->type == YAML_SEQUENCE_NODE ? "empty" : "not a list", expected);
    }
    return VQS_OK;
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

/* A list of epochs becomes the text that vqs_setting_parse reads. */
static enum vqs_status join_epochs(struct vqs_reader *in, const yaml_node_t *list, char *text, size_t size) {
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n_items(list); i++) {
        const yaml_node_t *item = item_at(in, list, i);
        const char *epoch = vqs_reader_text(item);
        if (!epoch || !*epoch) {
            return COMPLAIN(in, item, "snapshots: expected a list of epochs such as [0, 1, 10]");
        }
        length += (size_t)snprintf(text + length, size - length, "%s%s", i ? "," : "", epoch);
        if (length >= size) {
            return COMPLAIN(in, list, "snapshots: expected at most %d epochs", VQS_MAX_SNAPSHOTS);
        }
    }
    return VQS_OK;
}

enum vqs_status vqs_reader_value(struct vqs_reader *in, enum vqs_setting_id id, const yaml_node_t *node,
                                 struct vqs_settings *settings) {
    char epochs[VQS_PATH_MAX];
    const char *text = vqs_reader_text(node);
    if (vqs_setting_table[id].kind == VQS_KIND_EPOCHS && node->type == YAML_SEQUENCE_NODE) {
        TRY(join_epochs(in, node, epochs, sizeof epochs));
        text = epochs;
    }
    if (!text) {
        return COMPLAIN(in, node, "%s: expected one value here, not %s; an axis is one list of values under 'grid'",
                        vqs_setting_table[id].name,
                        node->type == YAML_SCALAR_NODE     ? "a text with a NUL"
                        : node->type == YAML_SEQUENCE_NODE ? "a list"
                                                           : "a mapping");
    }
    struct vqs_error refusal = {0};
    enum vqs_status status = vqs_setting_parse(id, text, settings, &refusal);
    return status == VQS_OK ? VQS_OK : COMPLAIN(in, node, "%s", refusal.text);
}

size_t vqs_reader_n_assignments(const struct vqs_reader *in) {
    return in->job->assignments.size / sizeof(struct vqs_assignment);
}

enum vqs_status vqs_reader_assign(struct vqs_reader *in, enum vqs_setting_id id, const yaml_node_t *node) {
    struct vqs_job *job = in->job;
    if (vqs_reader_n_assignments(in) >= MAX_VALUES) {
        return COMPLAIN(in, node, "%s: more than %d values written out in one job; seeds can be a range such as 1..100",
                        vqs_setting_table[id].name, MAX_VALUES);
    }
    struct vqs_settings scratch;
    vqs_settings_default(&scratch);
    TRY(vqs_reader_value(in, id, node, &scratch));
    const struct vqs_assignment assignment = {id, line_of(node), job->values.size};
    const char *field = (const char *)&scratch + vqs_setting_table[id].offset;
    TRY(vqs_bytes_append(&job->values, field, vqs_setting_size(id), in->err));
    return vqs_bytes_append(&job->assignments, &assignment, sizeof assignment, in->err);
}

/* ---- keys ------------------------------------------------------------------------------------------------------ */

enum vqs_status vqs_reader_key(struct vqs_reader *in, const yaml_node_t *mapping, size_t i, int *seen,
                               enum vqs_setting_id *id) {
    const yaml_node_t *key = key_at(in, mapping, i);
    const char *name = vqs_reader_text(key);
    if (!name) {
        return COMPLAIN(in, key, "expected the name of a setting here, not a list or a mapping");
    }
    int found = vqs_setting_find(name);
    if (found < 0) {
        struct vqs_suggestion near = {NULL, SIZE_MAX};
        for (int s = 0; s < VQS_N_SETTINGS; s++) {
            vqs_reader_consider(&near, name, vqs_setting_table[s].name);
        }
        return near.name ? COMPLAIN(in, key, "%.60s: unknown setting; did you mean '%s'?", name, near.name)
                         : COMPLAIN(in, key, "%.60s: unknown setting; 'vqsweep settings' lists all", name);
    }
    if (seen[found]) {
        return COMPLAIN(in, key, "%s: given twice, first at line %d; keep one", name, seen[found]);
    }
    seen[found] = line_of(key);
    *id = (enum vqs_setting_id)found;
    return VQS_OK;
}

/* Names become parts of file names and of names in the result file, so few characters are allowed. */
enum vqs_status vqs_reader_name(struct vqs_reader *in, const yaml_node_t *node, const char *what, char *name) {
    const char *text = vqs_reader_text(node);
    size_t length = text ? strlen(text) : 0;
    bool good = length > 0 && length < VQS_NAME_MAX && isalnum((unsigned char)text[0]);
    for (size_t i = 0; good && i < length; i++) {
        good = isalnum((unsigned char)text[i]) || strchr("_-.", text[i]);
    }
    if (!good) {
        return COMPLAIN(in, node, "%s: '%.60s' is no name; expected at most %d letters, digits, '_', '-', '.'", what,
                        text ? text : "", VQS_NAME_MAX - 1);
    }
    memcpy(name, text, length + 1);
    return VQS_OK;
}
