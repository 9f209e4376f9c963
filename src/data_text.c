/* data_text.c - the reader of text: windows of bytes, each byte one-hot. */
#include "data_readers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct text {
    struct vqs_data_file file;
    uint64_t stride;
    size_t window;
    int class_of[256];    /* -1: a byte that did not occur */
    unsigned char *bytes; /* one window */
};

static void text_close(struct vqs_source *source) {
    struct text *text = source->state;
    if (text) {
        vqs_data_file_close(&text->file);
        free(text->bytes);
        free(text);
    }
}

static enum vqs_status find_alphabet(struct text *text, bool all, struct vqs_source *source, struct vqs_error *err) {
    bool occurs[256] = {false};
    unsigned char block[1 << 14];
    enum vqs_status status = VQS_OK;
    uint64_t at = 0;
    for (size_t got = 1; !all && got && !status; at += got) {
        status = vqs_data_file_read(&text->file, at, block, sizeof block, &got, err);
        for (size_t i = 0; i < got; i++) {
            occurs[block[i]] = true;
        }
    }
    for (int b = 0; b < 256; b++) {
        text->class_of[b] = all || occurs[b] ? source->n_classes : -1;
        if (text->class_of[b] >= 0) {
            source->symbols[source->n_classes++] = (unsigned char)b;
        }
    }
    return status;
}

static enum vqs_status text_open(const struct vqs_settings *s, struct vqs_source *source, struct vqs_error *err) {
    struct text *text = source->state = calloc(1, sizeof *text);
    if (!text || !(text->bytes = malloc((size_t)s->text_window))) {
        return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory to read it", s->path);
    }
    text->window = (size_t)s->text_window;
    text->stride = (uint64_t)s->text_stride;
    enum vqs_status status = vqs_data_file_open(s->path, false, &text->file, err);
    if (!status) {
        status = vqs_data_file_measure(&text->file, INT64_MAX, err);
    }
    if (!status && text->file.size < text->window) {
        status = vqs_fail(err, VQS_ERR_DATA,
                          "%s: %" PRIu64 " bytes are less than one window; expected at least "
                          "text_window = %zu",
                          s->path, text->file.size, text->window);
    }
    if (!status) {
        status = find_alphabet(text, s->alphabet == VQS_ALPHABET_BYTES, source, err);
    }
    if (status) {
        return status;
    }
    source->n = (text->file.size - text->window) / text->stride + 1;
    source->reach = (text->window - 1) / text->stride;
    source->D = source->n_classes * s->text_window;
    snprintf(source->text, sizeof source->text, "text of %" PRIu64 " bytes%s, windows of %zu, %d classes",
             text->file.size, text->file.zipped ? ", gzipped" : "", text->window, source->n_classes);
    return VQS_OK;
}

static enum vqs_status text_read(struct vqs_source *source, uint64_t first, size_t n, float *rows,
                                 struct vqs_error *err) {
    struct text *text = source->state;
    const size_t classes = (size_t)source->n_classes;
    memset(rows, 0, n * (size_t)source->D * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        const uint64_t at = (first + i) * text->stride;
        enum vqs_status status = vqs_data_file_get(&text->file, at, text->bytes, text->window, err);
        if (status) {
            return status;
        }
        for (size_t j = 0; j < text->window; j++) {
            const int class = text->class_of[text->bytes[j]];
            if (class < 0) {
                return vqs_fail(err, VQS_ERR_DATA, "%s: offset %" PRIu64 ": the file has changed while it is read",
                                source->path, at + j);
            }
            rows[(i * text->window + j) * classes + (size_t) class] = 1;
        }
    }
    return VQS_OK;
}

const struct vqs_source_reader vqs_source_text = {text_open, text_read, text_close, NULL};
