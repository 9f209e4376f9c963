/* data_audio.c - the reader of recordings: WAV and FLAC through libsndfile, cut into frames, as samples or log-mel. */
#include "data_readers.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sndfile.h>

#define TWO_PI 6.283185307179586

struct recordings {
    struct vqs_file_list files;
    uint64_t *first; /* [files.n + 1]: the first frame of each recording */
    int frame, hop, rate;
    SNDFILE *sound; /* recording `at`, open; or NULL */
    SF_INFO info;
    size_t at;
    float *read; /* [frame][channels] of the recording in hand */
    size_t read_size;
    double *window; /* [frame] */
    /* log-mel */
    int n_mels, n_fft;
    double *re, *im;       /* [n_fft] */
    double *cosine, *sine; /* [n_fft / 2] */
    double *mel;           /* [n_fft / 2 + 1]: where a line of the spectrum lies; band b peaks at b + 1 */
    double *energy;        /* [n_mels] */
};

/* ---- a recording ----------------------------------------------------------------------------------------------- */

static void close_recording(struct recordings *r) {
    if (r->sound) {
        sf_close(r->sound);
        r->sound = NULL;
    }
}

/* libsndfile reads much else, and takes a WAV file that was cut short for one that is shorter. */
static enum vqs_status check_head(const char *path, struct vqs_error *err) {
    unsigned char head[12] = {0};
    struct vqs_data_file file;
    size_t got = 0;
    enum vqs_status status = vqs_data_file_open(path, true, &file, err);
    if (!status) {
        status = vqs_data_file_read(&file, 0, head, sizeof head, &got, err);
    }
    const bool is_wav = !memcmp(head, "RIFF", 4) && !memcmp(head + 8, "WAVE", 4);
    if (!status && !is_wav && memcmp(head, "fLaC", 4)) {
        status = vqs_fail(err, VQS_ERR_DATA, "%s: offset 0: neither a WAV nor a FLAC recording", path);
    }
    if (!status && is_wav) {
        const uint64_t named =
            (uint64_t)head[4] | (uint64_t)head[5] << 8 | (uint64_t)head[6] << 16 | (uint64_t)head[7] << 24;
        if (named != UINT32_MAX && named + 8 > file.size) { /* UINT32_MAX: a stream whose length was not known */
            status = vqs_fail(err, VQS_ERR_DATA,
                              "%s: offset %" PRIu64 ": the file ends early; its header names %" PRIu64 " bytes", path,
                              file.size, named + 8);
        }
    }
    vqs_data_file_close(&file);
    return status;
}

static enum vqs_status open_recording(struct recordings *r, size_t f, struct vqs_error *err) {
    const char *path = r->files.paths[f];
    close_recording(r);
    memset(&r->info, 0, sizeof r->info);
    enum vqs_status status = check_head(path, err);
    if (status) {
        return status;
    }
    r->sound = sf_open(path, SFM_READ, &r->info);
    r->at = f;
    if (!r->sound) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: %s; expected a WAV or FLAC recording", path, sf_strerror(NULL));
    }
    if (r->info.frames < r->frame || r->info.frames >= SF_COUNT_MAX || r->info.samplerate < 1) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: %" PRId64 " audio samples at %d Hz; expected at least a frame of %d",
                        path, (int64_t)r->info.frames, r->info.samplerate, r->frame);
    }
    const size_t size = (size_t)r->frame * (size_t)r->info.channels;
    if (size > r->read_size) {
        float *grown = realloc(r->read, size * sizeof *grown);
        if (!grown) {
            return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory for a frame of %d channels", path, r->info.channels);
        }
        r->read = grown;
        r->read_size = size;
    }
    return VQS_OK;
}

/* `frame` audio samples from `from` on into r->read. */
static enum vqs_status read_frame(struct recordings *r, uint64_t from, struct vqs_error *err) {
    if (sf_seek(r->sound, (sf_count_t)from, SEEK_SET) != (sf_count_t)from ||
        sf_readf_float(r->sound, r->read, r->frame) != r->frame) {
        return vqs_fail(err, VQS_ERR_DATA,
                        "%s: audio sample %" PRIu64 ": cannot be read; expected a whole file of %" PRId64,
                        r->files.paths[r->at], from, (int64_t)r->info.frames);
    }
    for (size_t i = 0; i < (size_t)r->frame * (size_t)r->info.channels; i++) {
        if (!(fabsf(r->read[i]) <= 1e15f)) { /* its square is to be at most 1e30 */
            return vqs_fail(err, VQS_ERR_DATA, "%s: audio sample %" PRIu64 " is not a finite number up to 1e15",
                            r->files.paths[r->at], from + i / (size_t)r->info.channels);
        }
    }
    return VQS_OK;
}

static enum vqs_status count_frames(struct recordings *r, struct vqs_error *err) {
    for (size_t f = 0; f < r->files.n; f++) {
        enum vqs_status status = open_recording(r, f, err);
        if (!status) { /* the end must be there */
            status = read_frame(r, (uint64_t)(r->info.frames - r->frame), err);
        }
        if (status) {
            return status;
        }
        if (f > 0 && r->info.samplerate != r->rate) {
            return vqs_fail(err, VQS_ERR_DATA, "%s: %d audio samples a second, but the files before have %d",
                            r->files.paths[f], r->info.samplerate, r->rate);
        }
        r->rate = r->info.samplerate;
        r->first[f + 1] = r->first[f] + (uint64_t)(r->info.frames - r->frame) / (uint64_t)r->hop + 1;
    }
    return VQS_OK;
}

/* ---- log-mel --------------------------------------------------------------------------------------------------- */

/* The discrete Fourier transform of re + i im, in place; n is a power of two (Cooley and Tukey 1965). */
static void transform(struct recordings *r) {
    const size_t n = (size_t)r->n_fft;
    double *re = r->re, *im = r->im;
    for (size_t i = 1, j = 0; i < n; i++) { /* into the order of reversed bits */
        size_t bit = n >> 1;
        for (; j & bit; bit >>= 1) {
            j ^= bit;
        }
        j ^= bit;
        if (i < j) {
            const double a = re[i], b = im[i];
            re[i] = re[j], im[i] = im[j];
            re[j] = a, im[j] = b;
        }
    }
    for (size_t half = 1; half < n; half *= 2) {
        for (size_t start = 0; start < n; start += 2 * half) {
            for (size_t k = 0; k < half; k++) {
                const size_t even = start + k, odd = even + half, at = k * (n / 2 / half);
                const double c = r->cosine[at], s = r->sine[at];
                const double a = c * re[odd] + s * im[odd], b = c * im[odd] - s * re[odd];
                re[odd] = re[even] - a, im[odd] = im[even] - b;
                re[even] += a, im[even] += b;
            }
        }
    }
}

static double hertz_to_mel(double f) {
    return 2595 * log10(1 + f / 700);
}

/* The spectrum's energies, in re, into bands: a line's energy is shared by the bands on its left and right. */
static void sum_bands(struct recordings *r) {
    memset(r->energy, 0, (size_t)r->n_mels * sizeof *r->energy);
    for (int k = 0; k <= r->n_fft / 2; k++) {
        const int right = (int)r->mel[k];
        const double share = r->mel[k] - right;
        if (right < r->n_mels) {
            r->energy[right] += share * r->re[k];
        }
        if (right > 0 && right <= r->n_mels) {
            r->energy[right - 1] += (1 - share) * r->re[k];
        }
    }
}

static enum vqs_status prepare_mel(struct recordings *r, const struct vqs_settings *s, struct vqs_error *err) {
    r->n_mels = s->n_mels;
    for (r->n_fft = 1; r->n_fft < r->frame;) {
        r->n_fft *= 2;
    }
    const size_t n = (size_t)r->n_fft;
    if (!(r->re = malloc((4 * n + 1 + (size_t)r->n_mels) * sizeof *r->re))) {
        return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory for log-mel", s->path);
    }
    r->im = r->re + n;
    r->cosine = r->im + n;
    r->sine = r->cosine + n / 2;
    r->mel = r->sine + n / 2;
    r->energy = r->mel + n / 2 + 1;
    for (size_t k = 0; k < n / 2; k++) {
        r->cosine[k] = cos(TWO_PI * (double)k / (double)n);
        r->sine[k] = sin(TWO_PI * (double)k / (double)n);
    }
    const double band = hertz_to_mel(r->rate / 2.0) / (r->n_mels + 1);
    for (size_t k = 0; k <= n / 2; k++) {
        r->mel[k] = hertz_to_mel((double)k * r->rate / (double)n) / band;
        r->re[k] = 1;
    }
    sum_bands(r);
    for (int b = 0; b < r->n_mels; b++) {
        if (r->energy[b] < 1e-9) { /* no line of the spectrum lies in it */
            return vqs_fail(err, VQS_ERR_DATA,
                            "%s: band %d of n_mels = %d is narrower than the %g Hz between the lines of "
                            "a spectrum; lower n_mels or lengthen the frame",
                            s->path, b + 1, r->n_mels, r->rate / (double)n);
        }
    }
    return VQS_OK;
}

static void log_mel(struct recordings *r, const float *samples, float *bands) {
    const size_t n = (size_t)r->n_fft;
    for (size_t i = 0; i < n; i++) {
        r->re[i] = i < (size_t)r->frame ? (double)samples[i] : 0;
        r->im[i] = 0;
    }
    transform(r);
    for (size_t k = 0; k <= n / 2; k++) {
        r->re[k] = r->re[k] * r->re[k] + r->im[k] * r->im[k];
    }
    sum_bands(r);
    for (int b = 0; b < r->n_mels; b++) {
        bands[b] = (float)log(fmax(r->energy[b], 1e-10));
    }
}

/* ---- the reader ------------------------------------------------------------------------------------------------ */

static void audio_close(struct vqs_source *source) {
    struct recordings *r = source->state;
    if (r) {
        close_recording(r);
        vqs_file_list_destroy(&r->files);
        free(r->first);
        free(r->read);
        free(r->window);
        free(r->re);
        free(r);
    }
}

static enum vqs_status audio_open(const struct vqs_settings *s, struct vqs_source *source, struct vqs_error *err) {
    struct recordings *r = source->state = calloc(1, sizeof *r);
    if (!r || !(r->window = malloc((size_t)s->frame * sizeof *r->window))) {
        return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory to read it", s->path);
    }
    r->frame = s->frame;
    r->hop = s->hop;
    for (int i = 0; i < r->frame; i++) {
        r->window[i] = s->frame_window == VQS_FRAME_HANN ? 0.5 - 0.5 * cos(TWO_PI * i / r->frame) : 1;
    }
    enum vqs_status status = vqs_file_list_make(s->path, vqs_source_endings(s), &r->files, err);
    if (!status && !(r->first = calloc(r->files.n + 1, sizeof *r->first))) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory for %zu recordings", s->path, r->files.n);
    }
    if (!status) {
        status = count_frames(r, err);
    }
    if (!status && s->audio_features == VQS_AUDIO_LOG_MEL) {
        status = prepare_mel(r, s, err);
    }
    if (status) {
        return status;
    }
    source->n = r->first[r->files.n];
    source->reach = (uint64_t)((r->frame - 1) / r->hop);
    source->rate = r->rate;
    source->D = r->n_mels ? r->n_mels : r->frame;
    snprintf(source->text, sizeof source->text, "%zu recording%s at %d Hz, frames of %d, %d apart%s", r->files.n,
             r->files.n == 1 ? "" : "s", r->rate, r->frame, r->hop, r->n_mels ? ", log-mel" : "");
    return VQS_OK;
}

static enum vqs_status audio_read(struct vqs_source *source, uint64_t first, size_t n, float *rows,
                                  struct vqs_error *err) {
    struct recordings *r = source->state;
    for (size_t i = 0; i < n; i++) {
        const size_t f = vqs_file_list_find(r->first, r->files.n, first + i);
        enum vqs_status status = r->sound && r->at == f ? VQS_OK : open_recording(r, f, err);
        if (!status) {
            status = read_frame(r, (first + i - r->first[f]) * (uint64_t)r->hop, err);
        }
        if (status) {
            return status;
        }
        const int channels = r->info.channels;
        for (int t = 0; t < r->frame; t++) { /* into the place of the first channel, which is read before */
            double sum = 0;
            for (int c = 0; c < channels; c++) {
                sum += (double)r->read[t * channels + c];
            }
            r->read[t] = (float)(r->window[t] * sum / channels);
        }
        float *row = rows + i * (size_t)source->D;
        if (r->n_mels) {
            log_mel(r, r->read, row);
        } else {
            memcpy(row, r->read, (size_t)r->frame * sizeof *row);
        }
    }
    return VQS_OK;
}

static struct vqs_place audio_locate(const struct vqs_source *source, uint64_t sample) {
    const struct recordings *r = source->state;
    const size_t f = vqs_file_list_find(r->first, r->files.n, sample);
    return vqs_place_along((uint32_t)f, sample - r->first[f]);
}

const struct vqs_source_reader vqs_source_audio = {audio_open, audio_read, audio_close, audio_locate};
