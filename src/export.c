/* export.c - what of a trial is exported: the list of arrays. */
#include "export.h"

#include "mlp.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list -------------------------------------------------------------------------------------------------- */

size_t vqs_export_bytes(const struct vqs_export_array *array) {
    static const size_t item[] = {sizeof(float), sizeof(double), sizeof(uint64_t), 1};
    size_t bytes = array->type == VQS_EXPORT_TEXT ? array->size[0] : item[array->type];
    for (int i = 0; i < array->rank; i++) {
        bytes *= array->size[i];
    }
    return bytes;
}

void vqs_export_destroy(struct vqs_export *list) {
    for (size_t i = 0; i < list->n; i++) {
        free(list->arrays[i].values);
    }
    free(list->arrays);
    *list = (struct vqs_export){0};
}

/* Adds an array and returns room for its values; NULL: out of memory, which the list remembers. */
static void *add(struct vqs_export *list, struct vqs_export_array array) {
    if (list->n == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct vqs_export_array *arrays = realloc(list->arrays, capacity * sizeof *arrays);
        if (!arrays) {
            list->short_of_memory = true;
            return NULL;
        }
        list->arrays = arrays;
        list->capacity = capacity;
    }
    array.values = malloc(vqs_export_bytes(&array));
    if (!array.values) {
        list->short_of_memory = true;
        return NULL;
    }
    list->arrays[list->n++] = array;
    return array.values;
}

static void add_copy(struct vqs_export *list, struct vqs_export_array array, const void *values) {
    void *copy = add(list, array);
    if (copy) {
        memcpy(copy, values, vqs_export_bytes(&array));
    }
}

/* An array of `from`, which keeps [rows][columns] values so far apart; a row in a vector's place if `rows` is 0. */
static void add_matrix(struct vqs_export *list, const char *name, const char *meaning, int rows, int columns,
                       size_t row_stride, size_t column_stride, const vqs_real *from) {
    struct vqs_export_array array = {.meaning = meaning, .rank = rows ? 2 : 1};
    snprintf(array.name, sizeof array.name, "%s", name);
    array.size[0] = (size_t)(rows ? rows : columns);
    array.size[1] = rows ? (size_t)columns : 0;
    float *to = add(list, array);
    for (size_t i = 0; to && i < (size_t)(rows ? rows : 1); i++) {
        for (size_t j = 0; j < (size_t)columns; j++) {
            *to++ = from ? (float)from[i * row_stride + j * column_stride] : 0;
        }
    }
}

/* ---- the model ------------------------------------------------------------------------------------------------- */

static void add_settings(const struct vqs_settings *s, struct vqs_export *list) {
    struct vqs_bytes text = {0};
    for (int id = 0; id < VQS_N_SETTINGS; id++) {
        char line[VQS_KEY_LINE], value[VQS_PATH_MAX];
        if (vqs_setting_used((enum vqs_setting_id)id, s)) {
            vqs_setting_print((enum vqs_setting_id)id, s, value, sizeof value);
            const int length = snprintf(line, sizeof line, "%s=%s\n", vqs_setting_table[id].name, value);
            list->short_of_memory |= vqs_bytes_append(&text, line, (size_t)length, NULL) != VQS_OK;
        }
    }
    if (text.size) {
        add_copy(list,
                 (struct vqs_export_array){.name = "settings",
                                           .meaning = "the settings that have an effect, a line each: name=value",
                                           .type = VQS_EXPORT_TEXT,
                                           .size = {text.size}},
                 text.data);
    }
    vqs_bytes_destroy(&text);
}

/* A part of layer `number`: W, b, gain or shift. */
static void add_part(struct vqs_export *list, const char *net, int number, const char *part, int rows, int columns,
                     size_t row_stride, size_t column_stride, const vqs_real *from) {
    static const struct {
        const char *part, *meaning;
    } parts[] = {{"W", "[out][in] weights of a layer: x W^T + b, and of a hidden one then norm and activation"},
                 {"b", "[out] bias of a layer, of a convolution [channels]; 0 where it has none"},
                 {"gain", "as b, of a layer norm: (y - mean) / sqrt(variance + 1e-5) * gain + shift"},
                 {"shift", "see gain"}};
    size_t at = 0;
    while (strcmp(parts[at].part, part)) {
        at++;
    }
    char name[48];
    snprintf(name, sizeof name, "%s.%d.%s", net, number, part);
    add_matrix(list, name, parts[at].meaning, rows, columns, row_stride, column_stride, from);
}

/* The windows of a convolution. */
static void add_window(struct vqs_export *list, const char *net, int number, const struct vqs_window *w) {
    struct vqs_export_array array = {
        .meaning = "of a convolution: side and channels of the image, side of its windows, and from one to the next; "
                   "in = a window's values, or out where it is transposed",
        .type = VQS_EXPORT_U64,
        .rank = 1,
        .size = {4}};
    const uint64_t window[] = {(uint64_t)w->side, (uint64_t)w->channels, (uint64_t)w->size, (uint64_t)w->stride};
    snprintf(array.name, sizeof array.name, "%s.%d.window", net, number);
    add_copy(list, array, window);
}

static void add_net(const char *name, const struct vqs_net *net, struct vqs_export *list) {
    for (int i = 0; i < net->n; i++) {
        const struct vqs_layer *layer = &net->layer[i];
        add_part(list, name, i, "W", layer->out, layer->in, layer->ld_in, 1, layer->W);
        add_part(list, name, i, "b", 0, layer->width, 0, 1, layer->b);
        if (layer->norm) {
            add_part(list, name, i, "gain", 0, layer->width, 0, 1, layer->gain);
            add_part(list, name, i, "shift", 0, layer->width, 0, 1, layer->shift);
        }
        if (layer->kind != VQS_DENSE) {
            add_window(list, name, i, &layer->window);
        }
    }
}

/* The linear model, as networks of one layer. */
static void add_linear(const struct vqs_model *m, struct vqs_export *list) {
    add_part(list, "encoder", 0, "W", m->d, m->D, m->ld, 1, m->W);
    add_part(list, "encoder", 0, "b", 0, m->d, 0, 1, m->encoder_bias);
    add_part(list, "decoder", 0, "W", m->D, m->d, 1, m->ld, m->V);
    add_part(list, "decoder", 0, "b", 0, m->D, 0, 1, m->decoder_bias);
}

static void add_codes(const struct vqs_quantizer *q, struct vqs_export *list) {
    float *to =
        add(list, (struct vqs_export_array){
                      .name = "codes",
                      .meaning = "[level][group][code][component] q is the sum over levels of the code nearest to "
                                 "what is left of z, by groups of components",
                      .rank = 4,
                      .size = {(size_t)q->levels, (size_t)q->groups, (size_t)q->K, (size_t)q->width}});
    for (size_t i = 0; to && i < q->n_codes; i++) {
        to[i] = (float)q->codes[i];
    }
}

/* ---- the samples ----------------------------------------------------------------------------------------------- */

static void add_preparation(const struct vqs_dataset *data, struct vqs_export *list) {
    const size_t D = (size_t)data->D;
    const struct vqs_export_array scale = {.name = "scale",
                                           .meaning = "x is ((source - its patch mean) * scale - mean) whiten^T, where "
                                                      "there are such",
                                           .type = VQS_EXPORT_F64};
    add_copy(list, scale, &data->scale);
    add_matrix(list, "mean", "[D] subtracted from every sample, after scale", 0, data->D, 0, 1, data->mean);
    if (data->whiten) {
        struct vqs_export_array map = {.name = "whiten",
                                       .meaning = "[D][D] the map that whitens a centred sample",
                                       .type = VQS_EXPORT_F64,
                                       .rank = 2,
                                       .size = {D, D}};
        add_copy(list, map, data->whiten);
        strcpy(map.name, "unwhiten");
        map.meaning = "[D][D] its inverse: source = (x unwhiten^T + mean) / scale + its patch mean";
        add_copy(list, map, data->unwhiten);
    }
}

static void add_held_out(const struct vqs_dataset *data, struct vqs_export *list) {
    const struct vqs_samples *s = &data->eval;
    add_matrix(list, "held_out", "[N_eval][D] held-out samples x as the model saw them", (int)s->n, data->D, data->ld,
               1, s->x);
    struct vqs_export_array array = {.rank = 1, .size = {s->n}};
    if (s->number) {
        strcpy(array.name, "held_out_number");
        array.meaning = "[N_eval] which sample of the source each is, from 0";
        array.type = VQS_EXPORT_U64;
        add_copy(list, array, s->number);
    }
    if (s->patch_mean) {
        strcpy(array.name, "held_out_patch_mean");
        array.meaning = "[N_eval] the mean that was taken off the patch, in the source's units";
        array.type = VQS_EXPORT_F32;
        add_copy(list, array, s->patch_mean);
    }
    if (data->n_classes) {
        strcpy(array.name, "held_out_classes");
        array.meaning = "[N_eval][text_window] which of its classes each byte is";
        array.type = VQS_EXPORT_U8;
        array.rank = 2;
        array.size[1] = (size_t)(data->D / data->n_classes);
        add_copy(list, array, s->classes);
        strcpy(array.name, "symbols");
        array.meaning = "[class] the byte that a class stands for";
        array.rank = 1;
        array.size[0] = (size_t)data->n_classes;
        add_copy(list, array, data->symbols);
    }
}

void vqs_export_model(const struct vqs_settings *s, const struct vqs_model *m, const struct vqs_dataset *data,
                      struct vqs_export *list) {
    add_settings(s, list);
    if (m->mlp) {
        add_net("encoder", &m->mlp->encoder, list);
        add_codes(&m->quantizer, list);
        add_net("decoder", &m->mlp->decoder, list);
    } else {
        add_linear(m, list);
        add_codes(&m->quantizer, list);
    }
    add_preparation(data, list);
    add_held_out(data, list);
}

void vqs_export_outcome(const struct vqs_record *record, struct vqs_export *list) {
    for (int i = 0; i < VQS_N_METRICS; i++) {
        struct vqs_export_array array = {.meaning = vqs_metric_table[i].long_name, .type = VQS_EXPORT_F64};
        snprintf(array.name, sizeof array.name, "metric.%s", vqs_metric_table[i].name);
        if (!isnan(record->metric[i])) {
            add_copy(list, array, &record->metric[i]);
        }
    }
    char digest[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, record->digest);
    const struct vqs_export_array text = {.name = "digest",
                                          .meaning = "of the trial's record, as vqsweep show prints it",
                                          .type = VQS_EXPORT_TEXT,
                                          .size = {16}};
    add_copy(list, text, digest);
}
