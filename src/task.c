/* task.c - scores of reconstructions. */
#include "vqsweep/task.h"

#include <math.h>

struct vqs_task vqs_task_of(const struct vqs_settings *s) {
    const bool drawn = !vqs_setting_used(VQS_SETTING_path, s), whole = !drawn && s->whiten == VQS_WHITEN_NONE;
    const bool logits = vqs_setting_used(VQS_SETTING_loss, s) && s->loss == VQS_LOSS_CROSS_ENTROPY;
    struct vqs_task task = {.D = s->D, .logits = logits, .patch = s->patch};
    if (whole && !logits) {
        task.peak = s->peak > 0 ? s->peak : s->data == VQS_DATA_IMAGES ? fabs(s->value_scale) : 0;
    }
    if (logits) {
        task.kind = VQS_TASK_TEXT;
        task.window = s->text_window;
        task.n_classes = s->D / s->text_window;
    } else if (whole && s->data == VQS_DATA_IMAGES && s->patch_mean == VQS_PATCH_MEAN_KEEP) {
        task.kind = VQS_TASK_IMAGES;
        task.channels = s->D / (s->patch * s->patch);
    } else if (whole && s->data == VQS_DATA_AUDIO && s->audio_features == VQS_AUDIO_SAMPLES) {
        task.kind = VQS_TASK_AUDIO;
    }
    return task;
}

/* ---- scores -------------------------------------------------------------------------------------------------------- */

/* SSIM of one window of side w: its first value, rows `row` values apart and pixels `step`. */
static double ssim_of_window(const vqs_real *x, const vqs_real *y, const vqs_real *mean, int w, int row, int step,
                             double peak) {
    const double n = w * w, C1 = 1e-4 * peak * peak, C2 = 9e-4 * peak * peak;
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < w * w; i++) {
        const int at = i / w * row + i % w * step;
        mx += ((double)x[at] + (double)mean[at]) / n;
        my += ((double)y[at] + (double)mean[at]) / n;
    }
    for (int i = 0; i < w * w; i++) {
        const int at = i / w * row + i % w * step;
        const double a = (double)x[at] + (double)mean[at] - mx, b = (double)y[at] + (double)mean[at] - my;
        xx += a * a / n;
        yy += b * b / n;
        xy += a * b / n;
    }
    return (2 * mx * my + C1) * (2 * xy + C2) / ((mx * mx + my * my + C1) * (xx + yy + C2));
}

static double ssim(const struct vqs_task *t, const vqs_real *x, const vqs_real *xhat, const vqs_real *mean) {
    enum { SIDE = 8, STRIDE = 4 };
    const int w = t->patch < SIDE ? t->patch : SIDE, row = t->patch * t->channels;
    double sum = 0;
    int windows = 0;
    for (int top = 0; top + w <= t->patch; top += STRIDE) {
        for (int left = 0; left + w <= t->patch; left += STRIDE) {
            for (int c = 0; c < t->channels; c++, windows++) {
                const int at = top * row + left * t->channels + c;
                sum += ssim_of_window(x + at, xhat + at, mean + at, w, row, t->channels, t->peak);
            }
        }
    }
    return sum / windows;
}

static double segmental_snr(const struct vqs_task *t, const vqs_real *x, const vqs_real *xhat, const vqs_real *mean) {
    double signal = 0, noise = 0;
    for (int i = 0; i < t->D; i++) {
        const double value = (double)x[i] + (double)mean[i], e = (double)x[i] - (double)xhat[i];
        signal += value * value;
        noise += e * e;
    }
    const double snr = signal == 0 && noise == 0 ? 35 : 10 * log10(signal / noise); /* silence as silence */
    return isnan(snr) ? NAN : fmin(fmax(snr, -10), 35);
}

static double cross_entropy(const struct vqs_task *t, const uint8_t *classes, const vqs_real *logits) {
    double sum = 0;
    for (int i = 0; i < t->window; i++, logits += t->n_classes) {
        double most = (double)logits[0], total = 0;
        for (int k = 1; k < t->n_classes; k++) {
            most = fmax(most, (double)logits[k]);
        }
        for (int k = 0; k < t->n_classes; k++) {
            total += exp((double)logits[k] - most);
        }
        sum += log(total) + most - (double)logits[classes[i]];
    }
    return sum / t->window;
}

double vqs_task_score(const struct vqs_task *t, const struct vqs_samples *s, size_t i, size_t ld,
                      const vqs_real *xhat) {
    const vqs_real *x = s->x + i * ld;
    switch (t->kind) {
    case VQS_TASK_IMAGES:
        return ssim(t, x, xhat, s->mean);
    case VQS_TASK_AUDIO:
        return segmental_snr(t, x, xhat, s->mean);
    case VQS_TASK_TEXT:
        return cross_entropy(t, s->classes + i * (size_t)t->window, xhat);
    case VQS_TASK_NONE:
        break;
    }
    return 0;
}

/* ---- metrics ------------------------------------------------------------------------------------------------------- */

void vqs_task_metrics(const struct vqs_task *t, bool held_out, double score, double mse,
                      double metric[VQS_N_METRICS]) {
    if (t->kind == VQS_TASK_TEXT) {
        metric[VQS_METRIC_cross_entropy_train + held_out] = score;
    }
    if (!held_out) {
        return;
    }
    if (t->peak > 0) {
        metric[VQS_METRIC_psnr_eval] = 10 * log10(t->peak * t->peak / mse);
    }
    if (t->kind == VQS_TASK_IMAGES) {
        metric[VQS_METRIC_ssim_eval] = score;
    } else if (t->kind == VQS_TASK_AUDIO) {
        metric[VQS_METRIC_segmental_snr_eval] = score;
    } else if (t->kind == VQS_TASK_TEXT) {
        metric[VQS_METRIC_bits_per_byte_eval] = score / log(2);
    }
}
