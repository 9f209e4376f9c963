/* job.c - from YAML to a job: its sections, studies and axes. */
#include "job_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum section { NAME, TITLE, FIXED, SEEDS, STUDIES, GRID, ZIP, LIST, EXCLUDE, CONTRASTS, N_SECTIONS };
static const char *const section_name[N_SECTIONS] = {"name", "title", "fixed", "seeds",   "studies",
                                                     "grid", "zip",   "list",  "exclude", "contrasts"};
#define STUDY_SECTIONS (1u << FIXED | 1u << SEEDS | 1u << GRID | 1u << ZIP | 1u << LIST | 1u << EXCLUDE)
#define AXIS_SECTIONS  (1u << GRID | 1u << ZIP | 1u << LIST | 1u << EXCLUDE)
#define JOB_SECTIONS   (1u << NAME | 1u << TITLE | 1u << STUDIES | 1u << CONTRASTS | STUDY_SECTIONS)

/* ---- sections -------------------------------------------------------------------------------------------------- */

static enum vqs_status unknown_section(struct vqs_reader *in, const yaml_node_t *key, const char *name,
                                       unsigned allowed) {
    if (vqs_setting_find(name) >= 0) {
        return COMPLAIN(in, key, "%s: a setting cannot stand here; put one value under 'fixed', several under 'grid'",
                        name);
    }
    struct vqs_suggestion near = {NULL, SIZE_MAX};
    char expected[120] = "";
    for (int s = 0, length = 0; s < N_SECTIONS; s++) {
        if (allowed & 1u << s) {
            vqs_reader_consider(&near, name, section_name[s]);
            length += snprintf(expected + length, sizeof expected - (size_t)length, "%s%s", length ? ", " : "",
                               section_name[s]);
        }
    }
    return near.name ? COMPLAIN(in, key, "%.60s: unknown key; did you mean '%s'?", name, near.name)
                     : COMPLAIN(in, key, "%.60s: unknown key; expected one of %s", name, expected);
}

/* Finds the sections of a job or a study; NULL where there is none. */
static enum vqs_status read_sections(struct vqs_reader *in, const yaml_node_t *mapping, unsigned allowed,
                                     yaml_node_t *sections[N_SECTIONS]) {
    for (size_t i = 0; i < n_pairs(mapping); i++) {
        const yaml_node_t *key = key_at(in, mapping, i);
        const char *name = vqs_reader_text(key);
        if (!name) {
            return COMPLAIN(in, key, "expected a name here, not a list or a mapping");
        }
        int s = 0;
        while (s < N_SECTIONS && (!(allowed & 1u << s) || strcmp(name, section_name[s]) != 0)) {
            s++;
        }
        if (s == N_SECTIONS) {
            return unknown_section(in, key, name, allowed);
        }
        if (sections[s]) {
            return COMPLAIN(in, key, "%s: given twice, first at line %d; keep one", name, line_of(sections[s]));
        }
        sections[s] = value_at(in, mapping, i);
    }
    return VQS_OK;
}

/* ---- the sections of a study ----------------------------------------------------------------------------------- */

/* Notes that the study sets `id` in `axis` (-1: in fixed). `line` is 0 for the command line. */
static enum vqs_status place(struct vqs_reader *in, struct vqs_study *study, enum vqs_setting_id id, int line,
                             int axis) {
    if (study->placed[id] && study->placed_axis[id] != axis) {
        return vqs_job_complain(in->job, line, in->err,
                                "%s: also set at line %d; a setting has one place in a study ('%s')",
                                vqs_setting_table[id].name, study->placed[id], study->name);
    }
    study->placed[id] = line ? line : study->line;
    study->placed_axis[id] = axis;
    return VQS_OK;
}

/* `own`: the study's own section, not the job's, which a study may overrule. */
static enum vqs_status read_fixed(struct vqs_reader *in, struct vqs_study *study, const yaml_node_t *node, bool own) {
    int seen[VQS_N_SETTINGS] = {0};
    TRY(vqs_reader_expect_mapping(in, node, "fixed", "settings such as {D: 128, d: 2}"));
    for (size_t i = 0; i < n_pairs(node); i++) {
        enum vqs_setting_id id;
        TRY(vqs_reader_key(in, node, i, seen, &id));
        TRY(vqs_reader_value(in, id, value_at(in, node, i), &study->base));
        study->base_line[id] = line_of(value_at(in, node, i));
        if (own) {
            TRY(place(in, study, id, seen[id], -1));
        }
    }
    return VQS_OK;
}

static struct vqs_axis *new_axis(const struct vqs_reader *in, struct vqs_study *study, const char *name, size_t n) {
    struct vqs_axis *axis = &study->axis[study->n_axes++];
    snprintf(axis->name, sizeof axis->name, "%s", name);
    axis->n = n;
    axis->first = in->job->firsts.size / sizeof(size_t);
    return axis;
}

/* A position begins, or the last one ends, at the next assignment. */
static enum vqs_status mark_position(struct vqs_reader *in) {
    size_t next = vqs_reader_n_assignments(in);
    return vqs_bytes_append(&in->job->firsts, &next, sizeof next, in->err);
}

/* One axis of the lists under keys `from` .. `to` - 1 of a mapping, taken side by side. */
static enum vqs_status read_axis(struct vqs_reader *in, struct vqs_study *study, const yaml_node_t *mapping,
                                 size_t from, size_t to, int *seen) {
    enum vqs_setting_id id[VQS_N_SETTINGS];
    struct vqs_axis *axis = new_axis(in, study, "", 0);
    for (size_t i = from; i < to; i++) {
        const yaml_node_t *values = value_at(in, mapping, i);
        TRY(vqs_reader_key(in, mapping, i, seen, &id[i - from]));
        const char *name = vqs_setting_table[id[i - from]].name;
        TRY(vqs_reader_expect_list(in, values, name, "an axis such as [1, 2]; one value belongs under 'fixed'"));
        TRY(place(in, study, id[i - from], seen[id[i - from]], study->n_axes));
        if (i > from && n_items(values) != axis->n) {
            return COMPLAIN(in, values, "%s: %zu values, but %s has %zu; the axes of a zip need equal lengths", name,
                            n_items(values), vqs_setting_table[id[0]].name, axis->n);
        }
        size_t length = strlen(axis->name);
        snprintf(axis->name + length, sizeof axis->name - length, "%s%s", i > from ? ", " : "", name);
        axis->n = n_items(values);
    }
    for (size_t v = 0; v < axis->n; v++) {
        TRY(mark_position(in));
        for (size_t i = from; i < to; i++) {
            TRY(vqs_reader_assign(in, id[i - from], item_at(in, value_at(in, mapping, i), v)));
        }
    }
    return mark_position(in);
}

static enum vqs_status read_grid(struct vqs_reader *in, struct vqs_study *study, const yaml_node_t *node) {
    int seen[VQS_N_SETTINGS] = {0};
    TRY(vqs_reader_expect_mapping(in, node, "grid", "axes such as {K: [4, 8, 16]}"));
    for (size_t i = 0; i < n_pairs(node); i++) {
        TRY(read_axis(in, study, node, i, i + 1, seen));
    }
    return VQS_OK;
}

static enum vqs_status read_zip(struct vqs_reader *in, struct vqs_study *study, const yaml_node_t *node) {
    int seen[VQS_N_SETTINGS] = {0};
    TRY(vqs_reader_expect_mapping(in, node, "zip", "axes of equal length such as {lr: [0.1, 0.2], batch: [8, 16]}"));
    return read_axis(in, study, node, 0, n_pairs(node), seen);
}

static enum vqs_status read_list(struct vqs_reader *in, struct vqs_study *study, const yaml_node_t *node) {
    TRY(vqs_reader_expect_list(in, node, "list", "points such as [{K: 4, lr: 0.1}, {K: 8, lr: 0.2}]"));
    struct vqs_axis *axis = new_axis(in, study, "list", n_items(node));
    for (size_t v = 0; v < axis->n; v++) {
        const yaml_node_t *point = item_at(in, node, v);
        int seen[VQS_N_SETTINGS] = {0};
        TRY(vqs_reader_expect_mapping(in, point, "list", "a point such as {K: 4, lr: 0.1}"));
        TRY(mark_position(in));
        for (size_t i = 0; i < n_pairs(point); i++) {
            enum vqs_setting_id id;
            TRY(vqs_reader_key(in, point, i, seen, &id));
            TRY(place(in, study, id, seen[id], study->n_axes));
            TRY(vqs_reader_assign(in, id, value_at(in, point, i)));
        }
    }
    return mark_position(in);
}

static enum vqs_status read_exclude(struct vqs_reader *in, const yaml_node_t *node) {
    TRY(vqs_reader_expect_list(in, node, "exclude", "points to leave out such as [{estimator: ste, K: [4, 8]}]"));
    for (size_t v = 0; v < n_items(node); v++) {
        const yaml_node_t *point = item_at(in, node, v);
        struct vqs_exclusion exclusion = {line_of(point), vqs_reader_n_assignments(in), 0, 0};
        int seen[VQS_N_SETTINGS] = {0};
        TRY(vqs_reader_expect_mapping(in, point, "exclude", "a point such as {estimator: ste, K: [4, 8]}"));
        for (size_t i = 0; i < n_pairs(point); i++) {
            const yaml_node_t *value = value_at(in, point, i);
            enum vqs_setting_id id;
            TRY(vqs_reader_key(in, point, i, seen, &id));
            if (value->type != YAML_SEQUENCE_NODE || vqs_setting_table[id].kind == VQS_KIND_EPOCHS) {
                TRY(vqs_reader_assign(in, id, value));
                continue;
            }
            TRY(vqs_reader_expect_list(in, value, vqs_setting_table[id].name,
                                       "one value or a list of values to leave out"));
            for (size_t j = 0; j < n_items(value); j++) {
                TRY(vqs_reader_assign(in, id, item_at(in, value, j)));
            }
        }
        exclusion.end = vqs_reader_n_assignments(in);
        TRY(vqs_bytes_append(&in->job->exclusions, &exclusion, sizeof exclusion, in->err));
    }
    return VQS_OK;
}

/* "1..100" or "7"; `line` is 0 for the command line. */
static enum vqs_status read_seed_range(struct vqs_reader *in, struct vqs_axis *axis, const char *text, int line) {
    struct vqs_settings low, high;
    struct vqs_error refusal = {0};
    char first[32];
    const char *dots = strstr(text, "..");
    size_t length = dots ? (size_t)(dots - text) : strlen(text);
    snprintf(first, sizeof first, "%.*s", length < sizeof first ? (int)length : (int)sizeof first - 1, text);
    vqs_settings_default(&low);
    vqs_settings_default(&high);
    if (vqs_setting_parse(VQS_SETTING_seed, first, &low, &refusal) != VQS_OK ||
        vqs_setting_parse(VQS_SETTING_seed, dots ? dots + 2 : first, &high, &refusal) != VQS_OK) {
        return vqs_job_complain(in->job, line, in->err, "%s; seeds are 1..100, [1, 2, 5] or 7", refusal.text);
    }
    if (high.seed < low.seed) {
        return vqs_job_complain(in->job, line, in->err, "seeds: %s is empty; the smaller seed comes first", text);
    }
    uint64_t more = high.seed - low.seed; /* one less than their number, which may not fit */
    axis->seed_range = true;
    axis->seed = low.seed;
    axis->n = more < SIZE_MAX ? (size_t)more + 1 : SIZE_MAX;
    return VQS_OK;
}

/* `node` is NULL when the seeds come from the command line, as `text`. */
static enum vqs_status read_seeds(struct vqs_reader *in, struct vqs_study *study, const yaml_node_t *node,
                                  const char *text) {
    int line = node ? line_of(node) : 0;
    struct vqs_axis *axis = new_axis(in, study, "seed", 0);
    TRY(place(in, study, VQS_SETTING_seed, line, study->n_axes));
    if (!node || node->type == YAML_SCALAR_NODE) {
        text = node ? vqs_reader_text(node) : text;
        return read_seed_range(in, axis, text ? text : "", line);
    }
    TRY(vqs_reader_expect_list(in, node, "seeds", "1..100, a list such as [1, 2, 5] or one number"));
    for (axis->n = 0; axis->n < n_items(node); axis->n++) {
        TRY(mark_position(in));
        TRY(vqs_reader_assign(in, VQS_SETTING_seed, item_at(in, node, axis->n)));
    }
    return mark_position(in);
}

/* ---- studies --------------------------------------------------------------------------------------------------- */

/* The axes in their order, slowest first. */
static enum vqs_status read_axes(struct vqs_reader *in, struct vqs_study *study,
                                 yaml_node_t *const sections[N_SECTIONS], const char *seeds) {
    if (sections[LIST]) {
        TRY(read_list(in, study, sections[LIST]));
    }
    if (sections[ZIP]) {
        TRY(read_zip(in, study, sections[ZIP]));
    }
    if (sections[GRID]) {
        TRY(read_grid(in, study, sections[GRID]));
    }
    if (sections[SEEDS] || seeds) {
        TRY(read_seeds(in, study, seeds ? NULL : sections[SEEDS], seeds));
    }
    study->first_exclusion = in->job->exclusions.size / sizeof(struct vqs_exclusion);
    if (sections[EXCLUDE]) {
        TRY(read_exclude(in, sections[EXCLUDE]));
    }
    study->end_exclusion = in->job->exclusions.size / sizeof(struct vqs_exclusion);
    return VQS_OK;
}

static enum vqs_status read_study(struct vqs_reader *in, struct vqs_study *study, const yaml_node_t *node,
                                  yaml_node_t *const shared[N_SECTIONS], const char *seeds) {
    yaml_node_t *sections[N_SECTIONS] = {NULL};
    if (node->type != YAML_MAPPING_NODE) {
        return COMPLAIN(in, node, "%s: is not a mapping; a study holds fixed, grid, zip, list, exclude, seeds",
                        study->name);
    }
    TRY(read_sections(in, node, STUDY_SECTIONS, sections));
    if (shared[FIXED]) {
        TRY(read_fixed(in, study, shared[FIXED], false));
    }
    if (shared[SEEDS] && study->base_line[VQS_SETTING_seed]) {
        return COMPLAIN(in, shared[SEEDS], "seed: also set at line %d under 'fixed'; keep one",
                        study->base_line[VQS_SETTING_seed]);
    }
    if (sections[FIXED]) {
        TRY(read_fixed(in, study, sections[FIXED], true));
    }
    sections[SEEDS] = sections[SEEDS] ? sections[SEEDS] : shared[SEEDS];
    return read_axes(in, study, sections, seeds);
}

static enum vqs_status read_studies(struct vqs_reader *in, yaml_node_t *const shared[N_SECTIONS], const char *seeds) {
    struct vqs_job *job = in->job;
    const yaml_node_t *node = shared[STUDIES];
    for (int s = 0; s < N_SECTIONS; s++) {
        if (shared[s] && AXIS_SECTIONS & 1u << s) {
            return COMPLAIN(in, shared[s], "%s: cannot stand beside 'studies'; move it into a study", section_name[s]);
        }
    }
    for (int i = 0; i < job->n_studies; i++) {
        struct vqs_study *study = &job->studies[i];
        const yaml_node_t *key = key_at(in, node, (size_t)i);
        TRY(vqs_reader_name(in, key, "studies", study->name));
        study->line = line_of(key);
        for (int j = 0; j < i; j++) {
            if (!strcmp(job->studies[j].name, study->name)) {
                return COMPLAIN(in, key, "%s: two studies of this name, the first at line %d", study->name,
                                job->studies[j].line);
            }
        }
        TRY(read_study(in, study, value_at(in, node, (size_t)i), shared, seeds));
    }
    return VQS_OK;
}

/* A job without `studies` is one study that bears the job's name. */
static enum vqs_status read_single_study(struct vqs_reader *in, const yaml_node_t *root,
                                         yaml_node_t *const sections[N_SECTIONS], const char *seeds) {
    struct vqs_study *study = &in->job->studies[0];
    memcpy(study->name, in->job->name, VQS_NAME_MAX);
    study->line = line_of(root);
    if (sections[FIXED]) {
        TRY(read_fixed(in, study, sections[FIXED], true));
    }
    return read_axes(in, study, sections, seeds);
}

/* ---- the job --------------------------------------------------------------------------------------------------- */

static enum vqs_status read_job(struct vqs_reader *in, const char *seeds) {
    struct vqs_job *job = in->job;
    const yaml_node_t *root = yaml_document_get_root_node(&in->document);
    yaml_node_t *sections[N_SECTIONS] = {NULL};
    if (!root) {
        return vqs_job_complain(job, 1, in->err, "the job is empty; expected keys such as name, fixed, grid, seeds");
    }
    TRY(vqs_reader_expect_mapping(in, root, "job", "keys such as name, fixed, grid, seeds"));
    TRY(read_sections(in, root, JOB_SECTIONS, sections));
    if (!sections[NAME]) {
        return COMPLAIN(in, root, "name: is missing; add a line such as 'name: my_job'");
    }
    TRY(vqs_reader_name(in, sections[NAME], "name", job->name));
    if (sections[TITLE]) {
        const char *title = vqs_reader_text(sections[TITLE]);
        if (!title || strlen(title) >= sizeof job->title) {
            return COMPLAIN(in, sections[TITLE], "title: expected a text of at most %zu bytes", sizeof job->title - 1);
        }
        memcpy(job->title, title, strlen(title) + 1);
    }
    if (sections[STUDIES]) {
        TRY(vqs_reader_expect_mapping(in, sections[STUDIES], "studies",
                                      "studies such as 'scaling: {grid: {K: [4, 8]}}'"));
        if (n_pairs(sections[STUDIES]) > VQS_PLAN_MAX_STUDIES) {
            return COMPLAIN(in, sections[STUDIES], "studies: %zu studies; a job holds at most %d",
                            n_pairs(sections[STUDIES]), VQS_PLAN_MAX_STUDIES);
        }
    }
    job->n_studies = sections[STUDIES] ? (int)n_pairs(sections[STUDIES]) : 1;
    job->studies = calloc((size_t)job->n_studies, sizeof *job->studies);
    if (!job->studies) {
        return vqs_fail(in->err, VQS_ERR_MEMORY, "no memory for %d studies", job->n_studies);
    }
    for (int i = 0; i < job->n_studies; i++) {
        vqs_settings_default(&job->studies[i].base);
    }
    TRY(sections[STUDIES] ? read_studies(in, sections, seeds) : read_single_study(in, root, sections, seeds));
    return sections[CONTRASTS] ? vqs_reader_contrasts(in, sections[CONTRASTS]) : VQS_OK;
}

static enum vqs_status complain_yaml(struct vqs_reader *in, const yaml_parser_t *parser, const char *text,
                                     size_t size) {
    if (parser->error == YAML_MEMORY_ERROR) {
        return vqs_fail(in->err, VQS_ERR_MEMORY, "no memory to read %s", in->job->file);
    }
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) { /* knows only an offset */
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < size; i++) {
            line += text[i] == '\n';
        }
    }
    return vqs_job_complain(in->job, (int)line, in->err, "not valid YAML: %s%s%s",
                            parser->problem ? parser->problem : "unreadable", parser->context ? " " : "",
                            parser->context ? parser->context : "");
}

/* Loads the one document of a text. On success the caller deletes it. */
static enum vqs_status load_document(struct vqs_reader *in, const char *text, size_t size) {
    yaml_parser_t parser;
    yaml_document_t next;
    enum vqs_status status = VQS_OK;
    if (!yaml_parser_initialize(&parser)) {
        return vqs_fail(in->err, VQS_ERR_MEMORY, "no memory to read %s", in->job->file);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)(size ? text : ""), size);
    if (!yaml_parser_load(&parser, &in->document)) {
        status = complain_yaml(in, &parser, text, size);
        goto done;
    }
    if (!yaml_parser_load(&parser, &next)) {
        status = complain_yaml(in, &parser, text, size);
    } else if (yaml_document_get_root_node(&next)) {
        status = COMPLAIN(in, yaml_document_get_root_node(&next), "a second document; a file holds one job");
    }
    yaml_document_delete(&next);
    if (status != VQS_OK) {
        yaml_document_delete(&in->document);
    }
done:
    yaml_parser_delete(&parser);
    return status;
}

enum vqs_status vqs_job_parse(const char *text, size_t size, const char *file,
                              const struct vqs_plan_overrides *overrides, struct vqs_job *job, struct vqs_error *err) {
    struct vqs_reader in = {.job = job, .err = err};
    const char *seeds = overrides ? overrides->seeds : NULL;
    memset(job, 0, sizeof *job);
    size_t length = strlen(file);
    snprintf(job->file, sizeof job->file, "%s",
             length < sizeof job->file ? file : file + length - (sizeof job->file - 1));
    job->seeds_overridden = seeds != NULL;
    TRY(load_document(&in, text, size));
    enum vqs_status status = read_job(&in, seeds);
    yaml_document_delete(&in.document);
    if (status != VQS_OK) {
        vqs_job_destroy(job);
    }
    return status;
}

void vqs_job_destroy(struct vqs_job *job) {
    free(job->studies);
    vqs_bytes_destroy(&job->values);
    vqs_bytes_destroy(&job->assignments);
    vqs_bytes_destroy(&job->firsts);
    vqs_bytes_destroy(&job->exclusions);
    vqs_bytes_destroy(&job->contrasts);
    memset(job, 0, sizeof *job);
}
