/* source.c - which reader reads what, and what is asked of all that they read. */
#include "data_readers.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const struct vqs_source_reader *find_reader(int32_t data, const struct vqs_source_reader *hdf5) {
    static const struct vqs_source_reader *const readers[] = {
        [VQS_DATA_CSV] = &vqs_source_csv,     [VQS_DATA_IDX] = &vqs_source_idx,
        [VQS_DATA_NPY] = &vqs_source_npy,     [VQS_DATA_RAW] = &vqs_source_raw,
        [VQS_DATA_TEXT] = &vqs_source_text,   [VQS_DATA_IMAGES] = &vqs_source_images,
        [VQS_DATA_AUDIO] = &vqs_source_audio,
    };
    return data == VQS_DATA_HDF5 ? hdf5 : (size_t)data < sizeof readers / sizeof *readers ? readers[data] : NULL;
}

const char *vqs_source_endings(const struct vqs_settings *settings) {
    return settings->data == VQS_DATA_IMAGES  ? ".png .jpg .jpeg"
           : settings->data == VQS_DATA_AUDIO ? ".wav .flac"
                                              : NULL;
}

enum vqs_status vqs_source_open(const struct vqs_settings *settings, const struct vqs_source_reader *hdf5,
                                struct vqs_source *source, struct vqs_error *err) {
    memset(source, 0, sizeof *source);
    source->reader = find_reader(settings->data, hdf5);
    memcpy(source->path, settings->path, sizeof source->path);
    if (!source->reader) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: this program has no reader for data: %s", settings->path,
                        vqs_setting_choice(VQS_SETTING_data, settings->data));
    }
    const enum vqs_status status = source->reader->open(settings, source, err);
    if (status) {
        vqs_source_close(source);
    }
    return status;
}

enum vqs_status vqs_source_check(const struct vqs_source *source, const struct vqs_settings *s, struct vqs_error *err) {
    const uint64_t between = s->split == VQS_SPLIT_TAIL ? source->reach : 0;
    const uint64_t wanted = (uint64_t)s->N + (uint64_t)s->N_eval + between;
    if (source->D != s->D) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: %d values a sample, but D is %d; set D: %d%s", source->path, source->D,
                        s->D, source->D, s->data == VQS_DATA_CSV ? " or the right label_columns" : "");
    }
    if (source->n < wanted) {
        return vqs_fail(err, VQS_ERR_DATA,
                        "%s: %" PRIu64 " samples, but N + N_eval is %" PRIu64 "%s; lower N or N_eval", source->path,
                        source->n, wanted,
                        between ? " with those left out by split: tail, which overlap with held-out ones" : "");
    }
    return VQS_OK;
}

enum vqs_status vqs_source_read(struct vqs_source *source, uint64_t first, size_t n, float *rows,
                                struct vqs_error *err) {
    enum vqs_status status = source->reader->read(source, first, n, rows, err);
    const size_t D = (size_t)source->D;
    for (size_t i = 0; i < n * D && !status; i++) {
        if (!(fabsf(rows[i]) <= 1e30f)) {
            status = vqs_fail(err, VQS_ERR_DATA, "%s: sample %" PRIu64 ", value %zu is not a finite number up to 1e30",
                              source->path, first + i / D + 1, i % D + 1);
        }
    }
    return status;
}

struct vqs_place vqs_source_locate(const struct vqs_source *source, uint64_t sample) {
    return source->reader->locate ? source->reader->locate(source, sample) : vqs_place_along(0, sample);
}

void vqs_source_close(struct vqs_source *source) {
    if (source->reader) {
        source->reader->close(source);
    }
    memset(source, 0, sizeof *source);
}
