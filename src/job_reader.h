/* job_reader.h - reading names, settings and values from YAML nodes, each complaint with its line. Internal.
 *
 * The one rule: whatever a file holds, a function here returns VQS_OK or leaves one line "FILE:LINE: KEY: what is
 * wrong; what was expected". Only job.c and job_contrasts.c use it.
 */
#ifndef VQS_JOB_READER_H
#define VQS_JOB_READER_H

#include "job.h"

#include <yaml.h>

struct vqs_reader {
    struct vqs_job *job;
    struct vqs_error *err;
    yaml_document_t document;
};

/* For functions that have nothing to release: all memory here belongs to the job. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        enum vqs_status try_status = (call);                                                                           \
        if (try_status != VQS_OK) {                                                                                    \
            return try_status;                                                                                         \
        }                                                                                                              \
    } while (0)

#define COMPLAIN(in, node, ...) vqs_job_complain((in)->job, line_of(node), (in)->err, __VA_ARGS__)

static inline int line_of(const yaml_node_t *node) {
    return (int)node->start_mark.line + 1;
}

static inline yaml_node_t *node_at(struct vqs_reader *in, int index) {
    return yaml_document_get_node(&in->document, index);
}

static inline size_t n_items(const yaml_node_t *sequence) {
    return (size_t)(sequence->data.sequence.items.top - sequence->data.sequence.items.start);
}

static inline yaml_node_t *item_at(struct vqs_reader *in, const yaml_node_t *sequence, size_t i) {
    return node_at(in, sequence->data.sequence.items.start[i]);
}

static inline size_t n_pairs(const yaml_node_t *mapping) {
    return (size_t)(mapping->data.mapping.pairs.top - mapping->data.mapping.pairs.start);
}

static inline yaml_node_t *key_at(struct vqs_reader *in, const yaml_node_t *mapping, size_t i) {
    return node_at(in, mapping->data.mapping.pairs.start[i].key);
}

static inline yaml_node_t *value_at(struct vqs_reader *in, const yaml_node_t *mapping, size_t i) {
    return node_at(in, mapping->data.mapping.pairs.start[i].value);
}

/* The text of a plain value; NULL for a list, a mapping or a text with a NUL inside. */
const char *vqs_reader_text(const yaml_node_t *node);
/* A node of that type with something in it. `what` is the key, `expected` completes the sentence. */
enum vqs_status vqs_reader_expect_mapping(struct vqs_reader *in, const yaml_node_t *node, const char *what,
                                          const char *expected);
enum vqs_status vqs_reader_expect_list(struct vqs_reader *in, const yaml_node_t *node, const char *what,
                                       const char *expected);

/* The nearest of the candidates considered, if any is near: start from {NULL, SIZE_MAX}. */
struct vqs_suggestion {
    const char *name;
    size_t distance;
};
void vqs_reader_consider(struct vqs_suggestion *nearest, const char *name, const char *candidate);

/* A name of a job or a study, into name[VQS_NAME_MAX]. */
enum vqs_status vqs_reader_name(struct vqs_reader *in, const yaml_node_t *node, const char *what, char *name);
/* The setting named by key i of a mapping. seen[VQS_N_SETTINGS] holds the lines of the settings met so far in it. */
enum vqs_status vqs_reader_key(struct vqs_reader *in, const yaml_node_t *mapping, size_t i, int *seen,
                               enum vqs_setting_id *id);
/* One value of a setting, into `settings`. */
enum vqs_status vqs_reader_value(struct vqs_reader *in, enum vqs_setting_id id, const yaml_node_t *node,
                                 struct vqs_settings *settings);
/* One value of a setting, appended to the job's assignments, and how many there are. */
enum vqs_status vqs_reader_assign(struct vqs_reader *in, enum vqs_setting_id id, const yaml_node_t *node);
size_t vqs_reader_n_assignments(const struct vqs_reader *in);

/* The declared contrasts, checked against the studies, which must have been read (job_contrasts.c). */
enum vqs_status vqs_reader_contrasts(struct vqs_reader *in, const yaml_node_t *list);

#endif
