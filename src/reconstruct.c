/* reconstruct.c - held-out samples beside their reconstructions, and codes decoded, in the units of the source. */
#include "reconstruct.h"

#include <math.h>
#include <string.h>

enum { T = VQS_TILE, MOST_VALUES = 4096 /* the table's limit of D */ };

void vqs_reconstruct_shape(const struct vqs_settings *s, struct vqs_record_shape *shape) {
    const int32_t n = s->reconstructions, values = vqs_shown_values(s);
    if (!vqs_setting_used(VQS_SETTING_reconstructions, s) || n == 0) {
        return;
    }
    const int32_t samples[VQS_ARRAY_RANK] = {n, values}, places[VQS_ARRAY_RANK] = {n, VQS_N_PLACES};
    const int32_t codes[VQS_ARRAY_RANK] = {vqs_n_codebooks(s), s->K, values};
    memcpy(shape->array[VQS_ARRAY_originals], samples, sizeof samples);
    memcpy(shape->array[VQS_ARRAY_reconstructions], samples, sizeof samples);
    memcpy(shape->array[VQS_ARRAY_places], places, sizeof places);
    memcpy(shape->array[VQS_ARRAY_code_pictures], codes, sizeof codes);
}

struct shower {
    const struct vqs_model *model;
    const struct vqs_dataset *data;
    const struct vqs_evaluation *e;
    vqs_real *y;    /* scratch of the decoder */
    vqs_real *q;    /* [d][T] */
    vqs_real *xhat; /* [T][ld] */
    size_t values;  /* of what is shown of a sample */
};

/* Row l of a decoded tile, as a reconstruction of sample `i` of `part`, in the units of the source. */
static void show_row(const struct shower *s, int l, const struct vqs_samples *part, size_t i, float *out) {
    const struct vqs_dataset *data = s->data;
    const vqs_real *xhat = s->xhat + (size_t)l * s->model->ld;
    const size_t n_classes = (size_t)data->n_classes;
    float row[MOST_VALUES];
    if (!n_classes) {
        vqs_dataset_restore(data, part, i, xhat, out);
        return;
    }
    if (s->e->task.logits) {
        for (size_t j = 0; j < (size_t)data->D; j++) {
            row[j] = (float)xhat[j];
        }
    } else {
        vqs_dataset_restore(data, part, i, xhat, row);
    }
    for (size_t j = 0; j < s->values; j++) {
        const float *classes = row + j * n_classes;
        size_t best = 0;
        for (size_t k = 1; k < n_classes; k++) {
            best = classes[k] > classes[best] ? k : best;
        }
        out[j] = data->symbols[best];
    }
}

static void show_original(const struct shower *s, size_t i, float *out) {
    const struct vqs_dataset *data = s->data;
    const struct vqs_samples *part = &data->eval;
    if (!data->n_classes) {
        vqs_dataset_restore(data, part, i, part->x + i * data->ld, out);
    }
    for (size_t j = 0; data->n_classes && j < s->values; j++) {
        out[j] = data->symbols[part->classes[i * s->values + j]];
    }
}

/* Adds code k of a codebook to lane l of q. */
static void add_code(const struct shower *s, int codebook, uint32_t k, size_t l) {
    const struct vqs_quantizer *quantizer = &s->model->quantizer;
    const size_t width = (size_t)quantizer->width, first = (size_t)(codebook % quantizer->groups) * width;
    const vqs_real *code = vqs_codebook_of(quantizer, codebook).codes + k * width;
    for (size_t c = 0; c < width; c++) {
        s->q[(first + c) * T + l] += code[c];
    }
}

static void clear(const struct shower *s) {
    memset(s->q, 0, (size_t)s->model->d * T * sizeof *s->q);
}

static void show_samples(const struct shower *s, struct vqs_array arrays[VQS_N_ARRAYS]) {
    const size_t n = (size_t)arrays[VQS_ARRAY_originals].size[0];
    for (size_t first = 0; first < n; first += T) {
        clear(s);
        for (size_t l = 0; l < T && first + l < n; l++) {
            for (int c = 0; c < s->model->quantizer.n_codebooks; c++) {
                add_code(s, c, s->e->k[(size_t)c * s->e->book_stride + first + l], l);
            }
        }
        vqs_model_decode(s->model, s->q, s->y, s->xhat);
        for (size_t i = first; i < n && i < first + T; i++) {
            const struct vqs_place *at = &s->data->places[i];
            float *place = arrays[VQS_ARRAY_places].values + i * VQS_N_PLACES;
            show_original(s, i, arrays[VQS_ARRAY_originals].values + i * s->values);
            show_row(s, (int)(i - first), &s->data->eval, i, arrays[VQS_ARRAY_reconstructions].values + i * s->values);
            place[VQS_PLACE_file] = (float)at->file;
            place[VQS_PLACE_row] = (float)at->row;
            place[VQS_PLACE_column] = (float)at->column;
            place[VQS_PLACE_rate] = s->data->rate ? (float)s->data->rate : NAN;
        }
    }
}

static void show_codes(const struct shower *s, float *pictures) {
    const struct vqs_samples without_mean = {0};
    const size_t K = (size_t)s->model->quantizer.K, n = K * (size_t)s->model->quantizer.n_codebooks;
    for (size_t first = 0; first < n; first += T) {
        clear(s);
        for (size_t l = 0; l < T && first + l < n; l++) {
            add_code(s, (int)((first + l) / K), (uint32_t)((first + l) % K), l);
        }
        vqs_model_decode(s->model, s->q, s->y, s->xhat);
        for (size_t i = first; i < n && i < first + T; i++) {
            show_row(s, (int)(i - first), &without_mean, 0, pictures + i * s->values);
        }
    }
}

void vqs_reconstruct(const struct vqs_model *m, const struct vqs_dataset *data, const struct vqs_evaluation *e,
                     vqs_real *y, struct vqs_array arrays[VQS_N_ARRAYS]) {
    struct shower s = {m, data, e, y, y + m->tile_scratch, NULL, (size_t)arrays[VQS_ARRAY_originals].size[1]};
    s.xhat = s.q + (size_t)m->d * T;
    if (arrays[VQS_ARRAY_originals].values) {
        show_samples(&s, arrays);
        show_codes(&s, arrays[VQS_ARRAY_code_pictures].values);
    }
}
