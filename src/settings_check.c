/* settings_check.c - what settings cannot have together, and what no trial can be made of. */
#include "care.h"
#include "mlp.h"
#include "schedule.h"
#include "vqsweep/estimators.h"
#include "vqsweep/learning.h"

#include <stdio.h>

/* The D that the plane, patches, frames and windows have, and in words why; s->D for all other data. */
static int64_t implied_D(const struct vqs_settings *s, char *why, size_t size) {
    const int channels = s->colour == VQS_COLOUR_RGB ? 3 : 1;
    if (s->data == VQS_DATA_PLANE2D) {
        snprintf(why, size, "plane2d, which lies in the plane");
        return 2;
    }
    if (s->data == VQS_DATA_IMAGES) {
        snprintf(why, size, "patches of %d x %d in %d channels", s->patch, s->patch, channels);
        return (int64_t)s->patch * s->patch * channels;
    }
    if (s->data == VQS_DATA_AUDIO && s->audio_features == VQS_AUDIO_LOG_MEL) {
        snprintf(why, size, "n_mels: %d", s->n_mels);
        return s->n_mels;
    }
    if (s->data == VQS_DATA_AUDIO) {
        snprintf(why, size, "frame: %d", s->frame);
        return s->frame;
    }
    if (s->data == VQS_DATA_TEXT && s->alphabet == VQS_ALPHABET_BYTES) {
        snprintf(why, size, "text_window: %d with 256 classes a byte", s->text_window);
        return (int64_t)s->text_window * 256;
    }
    return s->D;
}

static enum vqs_status check_data(const struct vqs_settings *s, enum vqs_setting_id *culprit, struct vqs_error *err) {
    char why[80];
    const int64_t D = implied_D(s, why, sizeof why);
    if (vqs_setting_used(VQS_SETTING_path, s) && !s->path[0]) {
        *culprit = VQS_SETTING_data;
        return vqs_fail(err, VQS_ERR_JOB, "data: %s reads a file; name it with 'path: FILE'",
                        vqs_setting_choice(VQS_SETTING_data, s->data));
    }
    if (vqs_setting_used(VQS_SETTING_dataset, s) && !s->dataset[0]) {
        *culprit = VQS_SETTING_data;
        return vqs_fail(err, VQS_ERR_JOB, "data: hdf5 reads a dataset; name it with 'dataset: NAME'");
    }
    if (D != s->D) {
        *culprit = VQS_SETTING_D;
        return vqs_fail(err, VQS_ERR_JOB, "D: must be %lld with %s, not %d", (long long)D, why, s->D);
    }
    if (vqs_setting_used(VQS_SETTING_value_scale, s) && s->value_scale == 0) {
        *culprit = VQS_SETTING_value_scale;
        return vqs_fail(err, VQS_ERR_JOB, "value_scale: 0 leaves nothing of the data; expected a factor other than 0");
    }
    if (vqs_setting_used(VQS_SETTING_whiten_epsilon, s) && !s->center) {
        *culprit = VQS_SETTING_whiten;
        return vqs_fail(err, VQS_ERR_JOB, "whiten: needs center: true, for it whitens about the training mean");
    }
    return VQS_OK;
}

/* No more to look at than there is, and than a record should hold. */
static enum vqs_status check_reconstructions(const struct vqs_settings *s, enum vqs_setting_id *culprit,
                                             struct vqs_error *err) {
    const int64_t most = INT64_C(1) << 26, codes = (int64_t)s->K * vqs_n_codebooks(s), values = vqs_shown_values(s);
    *culprit = VQS_SETTING_reconstructions;
    if (!vqs_setting_used(VQS_SETTING_reconstructions, s) || s->reconstructions == 0) {
        return VQS_OK;
    }
    if (s->reconstructions > s->N_eval) {
        return vqs_fail(err, VQS_ERR_JOB,
                        "reconstructions: %d of N_eval = %d held-out samples; expected at most N_eval",
                        s->reconstructions, s->N_eval);
    }
    if (codes * values > most) {
        return vqs_fail(
            err, VQS_ERR_JOB,
            "reconstructions: pictures of %lld codes of %lld values are kept too, and all values may be %lld "
            "at most; lower K, or set reconstructions: 0",
            (long long)codes, (long long)values, (long long)most);
    }
    return VQS_OK;
}

/* No epoch past the last one. */
static enum vqs_status check_epochs(enum vqs_setting_id id, const struct vqs_settings *s, const struct vqs_epochs *list,
                                    enum vqs_setting_id *culprit, struct vqs_error *err) {
    if (!vqs_setting_used(id, s) || list->n == 0 || list->at[list->n - 1] <= s->epochs) {
        return VQS_OK;
    }
    *culprit = id;
    return vqs_fail(err, VQS_ERR_JOB, "%s: epoch %d is past the last one; epochs go from 0 to epochs = %d",
                    vqs_setting_table[id].name, list->at[list->n - 1], s->epochs);
}

/* What several codebooks cannot do. */
static enum vqs_status check_codebooks(const struct vqs_settings *s, enum vqs_setting_id *culprit,
                                       struct vqs_error *err) {
    const struct vqs_estimator *estimator = vqs_estimator_get(s->estimator);
    if (s->d % s->groups) {
        *culprit = VQS_SETTING_groups;
        return vqs_fail(err, VQS_ERR_JOB, "groups: %d groups of equal width do not make d = %d; groups must divide d",
                        s->groups, s->d);
    }
    if (vqs_setting_used(VQS_SETTING_learned_rank, s) && s->learned_rank > s->d) {
        *culprit = VQS_SETTING_learned_rank;
        return vqs_fail(err, VQS_ERR_JOB, "learned_rank: a subspace of dimension %d does not fit into d = %d",
                        s->learned_rank, s->d);
    }
    if (!vqs_setting_used(VQS_SETTING_estimator_scope, s)) {
        return VQS_OK;
    }
    if (estimator->needs & VQS_NEEDS_SMOOTHED) {
        *culprit = VQS_SETTING_estimator;
        return vqs_fail(err, VQS_ERR_JOB,
                        "estimator: %s learns with one codebook only, not with %d; "
                        "set levels: 1 and groups: 1",
                        estimator->name, vqs_n_codebooks(s));
    }
    *culprit = VQS_SETTING_estimator_scope;
    if (estimator->needs & VQS_NEEDS_CHOICES && s->estimator_scope == VQS_SCOPE_TOTAL) {
        return vqs_fail(err, VQS_ERR_JOB,
                        "estimator_scope: %s weighs all codes of a codebook, and the total of %d has none; "
                        "set estimator_scope: each",
                        estimator->name, vqs_n_codebooks(s));
    }
    if (estimator->needs & VQS_NEEDS_AT_Z && s->estimator_scope == VQS_SCOPE_EACH) {
        return vqs_fail(err, VQS_ERR_JOB,
                        "estimator_scope: %s decodes z, which no single one of %d codebooks stands for; "
                        "set estimator_scope: total",
                        estimator->name, vqs_n_codebooks(s));
    }
    if (s->probe_epochs.n > 0) {
        *culprit = VQS_SETTING_probe_epochs;
        return vqs_fail(err, VQS_ERR_JOB,
                        "probe_epochs: gradients are probed where there is one codebook, not %d; "
                        "set levels: 1 and groups: 1, or no probe_epochs",
                        vqs_n_codebooks(s));
    }
    return VQS_OK;
}

/* Which samples convolutions can take, and how small these may make them. */
static enum vqs_status check_conv(const struct vqs_settings *s, enum vqs_setting_id *culprit, struct vqs_error *err) {
    int side, channels, divisor = 1;
    if (!vqs_setting_used(VQS_SETTING_conv_layers, s)) {
        return VQS_OK;
    }
    if (s->data == VQS_DATA_AUDIO || s->data == VQS_DATA_TEXT || s->data == VQS_DATA_PLANE2D) {
        *culprit = VQS_SETTING_model;
        return vqs_fail(err, VQS_ERR_JOB, "model: conv is of images, not of data: %s; set model: mlp",
                        vqs_setting_choice(VQS_SETTING_data, s->data));
    }
    if (vqs_setting_used(VQS_SETTING_whiten_epsilon, s) && s->whiten == VQS_WHITEN_PCA) {
        *culprit = VQS_SETTING_whiten;
        return vqs_fail(err, VQS_ERR_JOB, "whiten: pca leaves no pixels for model: conv; use whiten: zca");
    }
    if (!vqs_conv_image(s->D, &side, &channels)) {
        *culprit = VQS_SETTING_D;
        return vqs_fail(err, VQS_ERR_JOB,
                        "D: model: conv wants square images of 1 or 3 channels, D = p x p or p x p x 3, not %d", s->D);
    }
    if (s->conv_channels % VQS_ROW_UNIT) {
        *culprit = VQS_SETTING_conv_channels;
        return vqs_fail(err, VQS_ERR_JOB, "conv_channels: must be a multiple of %d, not %d", VQS_ROW_UNIT,
                        s->conv_channels);
    }
    if (s->conv_kernel < s->conv_stride) {
        *culprit = VQS_SETTING_conv_kernel;
        return vqs_fail(err, VQS_ERR_JOB,
                        "conv_kernel: windows of %d pixels leave some out at conv_stride = %d; it must be as large at "
                        "least",
                        s->conv_kernel, s->conv_stride);
    }
    for (int i = 0; i < s->conv_layers; i++) {
        divisor *= s->conv_stride;
    }
    if (side % divisor) {
        *culprit = VQS_SETTING_conv_layers;
        return vqs_fail(err, VQS_ERR_JOB,
                        "conv_layers: %d of conv_stride = %d want images whose side divides by %d, not of %d pixels",
                        s->conv_layers, s->conv_stride, divisor, side);
    }
    return VQS_OK;
}

/* What networks cannot do. */
static enum vqs_status check_layers(const struct vqs_settings *s, enum vqs_setting_id *culprit, struct vqs_error *err) {
    if (!vqs_setting_used(VQS_SETTING_activation, s)) {
        return VQS_OK;
    }
    const int before_last = vqs_mlp_before_last(s);
    if (s->orthonormal && s->d > before_last) {
        *culprit = VQS_SETTING_orthonormal;
        return vqs_fail(err, VQS_ERR_JOB,
                        "orthonormal: d = %d rows of the %d values before the encoder's last layer cannot be "
                        "orthonormal; d must be at most those",
                        s->d, before_last);
    }
    if (s->loss == VQS_LOSS_CROSS_ENTROPY && s->data != VQS_DATA_TEXT) {
        *culprit = VQS_SETTING_loss;
        return vqs_fail(err, VQS_ERR_JOB, "loss: cross_entropy is of classes, which data: %s has not; use data: text",
                        vqs_setting_choice(VQS_SETTING_data, s->data));
    }
    if (vqs_estimator_get(s->estimator)->needs & VQS_NEEDS_SMOOTHED) {
        *culprit = VQS_SETTING_estimator;
        return vqs_fail(err, VQS_ERR_JOB, "estimator: %s learns by the algebra of linear decoders; set model: linear",
                        vqs_estimator_get(s->estimator)->name);
    }
    if (s->probe_epochs.n > 0) {
        *culprit = VQS_SETTING_probe_epochs;
        return vqs_fail(err, VQS_ERR_JOB,
                        "probe_epochs: gradients are probed by the algebra of linear decoders; set model: linear, or "
                        "no probe_epochs");
    }
    return VQS_OK;
}

enum vqs_status vqs_settings_check(const struct vqs_settings *s, enum vqs_setting_id *culprit, struct vqs_error *err) {
    for (int id = 0; id < VQS_N_SETTINGS; id++) {
        if (!vqs_setting_in_range((enum vqs_setting_id)id, s)) {
            *culprit = (enum vqs_setting_id)id;
            return vqs_fail(err, VQS_ERR_JOB, "%s: out of range", vqs_setting_table[id].name);
        }
    }
    if (s->K > s->N) {
        *culprit = VQS_SETTING_K;
        return vqs_fail(err, VQS_ERR_JOB, "K: %d codes for N = %d training samples; K must be at most N", s->K, s->N);
    }
    if (s->d > s->D) {
        *culprit = VQS_SETTING_d;
        return vqs_fail(err, VQS_ERR_JOB, "d: the latent dimension is %d but the data has D = %d; d must be at most D",
                        s->d, s->D);
    }
    if (vqs_setting_used(VQS_SETTING_r, s) && s->r > s->D) {
        *culprit = VQS_SETTING_r;
        return vqs_fail(err, VQS_ERR_JOB, "r: a subspace of dimension %d does not fit into D = %d; r must be at most D",
                        s->r, s->D);
    }
    if (vqs_setting_used(VQS_SETTING_encoder, s) && s->encoder == VQS_ENCODER_IDENTITY && (s->d != s->D || s->bias)) {
        *culprit = VQS_SETTING_encoder;
        return vqs_fail(err, VQS_ERR_JOB, "encoder: identity means z = x; set d: %d (as D) and bias: false", s->D);
    }
    if (vqs_setting_used(VQS_SETTING_field_grid, s) && s->field_grid > 0 &&
        (s->encoder != VQS_ENCODER_IDENTITY || s->d != 2 || s->field_grid < 2)) {
        *culprit = VQS_SETTING_field_grid;
        return vqs_fail(
            err, VQS_ERR_JOB,
            "field_grid: gradients are mapped on the plane, on 2 points a side at least; set D: 2, d: 2 and "
            "encoder: identity, or field_grid: 0");
    }
    enum vqs_status status = check_codebooks(s, culprit, err);
    status = status ? status : check_epochs(VQS_SETTING_snapshots, s, &s->snapshots, culprit, err);
    status = status ? status : check_epochs(VQS_SETTING_probe_epochs, s, &s->probe_epochs, culprit, err);
    status = status ? status : check_data(s, culprit, err);
    status = status ? status : check_reconstructions(s, culprit, err);
    status = status ? status : check_conv(s, culprit, err);
    status = status ? status : check_layers(s, culprit, err);
    status = status ? status : vqs_learning_check(s, culprit, err);
    status = status ? status : vqs_care_check(s, culprit, err);
    return status ? status : vqs_schedule_check(s, culprit, err);
}
