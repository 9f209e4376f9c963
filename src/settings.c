/* settings.c - the settings table as data: defaults, ranges, text, keys. */
#include "vqsweep/settings.h"

#include "vqsweep/estimators.h"
#include "vqsweep/learning.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

const struct vqs_setting vqs_setting_table[VQS_N_SETTINGS] = {
#define VQS_X(KIND, name, def, lo, hi, when, unit, long_name)                                                          \
    {#name, VQS_KIND_##KIND, offsetof(struct vqs_settings, name), lo, hi, when, unit, long_name},
    VQS_SETTINGS_TABLE(VQS_X)
#undef VQS_X
};

static const size_t kind_size[] = {
    [VQS_KIND_INT] = sizeof(int32_t),   [VQS_KIND_REAL] = sizeof(double),
    [VQS_KIND_BOOL] = sizeof(int32_t),  [VQS_KIND_ENUM] = sizeof(int32_t),
    [VQS_KIND_TEXT] = sizeof(vqs_text), [VQS_KIND_EPOCHS] = sizeof(struct vqs_epochs),
    [VQS_KIND_SEED] = sizeof(uint64_t),
};

size_t vqs_setting_size(enum vqs_setting_id id) {
    return kind_size[vqs_setting_table[id].kind];
}

static const void *field_of(enum vqs_setting_id id, const struct vqs_settings *s) {
    return (const char *)s + vqs_setting_table[id].offset;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

const char *vqs_setting_choice(enum vqs_setting_id id, int i) {
    static const char *const data[] = {"subspace", "csv",  "idx",    "plane2d", "npy",
                                       "raw",      "hdf5", "images", "audio",   "text"};
    static const char *const colour[] = {"rgb", "grey"};
    static const char *const patch_mean[] = {"keep", "remove"};
    static const char *const frame_window[] = {"hann", "rectangular"};
    static const char *const audio_features[] = {"samples", "log_mel"};
    static const char *const alphabet[] = {"bytes", "occurring"};
    static const char *const whiten[] = {"none", "zca", "pca"};
    static const char *const split[] = {"random", "tail"};
    static const char *const latent[] = {"gaussian", "uniform", "mixture"};
    static const char *const model[] = {"linear", "mlp", "conv"};
    static const char *const activation[] = {"gelu", "relu"};
    static const char *const orthonormal_layers[] = {"last", "encoder", "all"};
    static const char *const loss[] = {"mse", "cross_entropy"};
    static const char *const encoder[] = {"linear", "identity"};
    static const char *const decoder[] = {"free", "tied"};
    static const char *const retraction[] = {"mgs", "polar", "qr", "qr_raw"};
    static const char *const estimator_scope[] = {"total", "each"};
    static const char *const codebook_init[] = {"uniform", "normal", "data", "kmeans"};
    static const char *const tau_schedule[] = {"constant", "linear", "exponential", "cosine"};
    static const char *const codebook[] = {"gradient", "ema", "affine", "simvq", "fixed", "fsq", "lfq"};
    static const char *const update[] = {"joint", "alternating"};
    static const char *const revive[] = {"off", "expire"};
    static const char *const beta_schedule[] = {"constant", "linear", "cosine", "adaptive", "replay"};
    if (i < 0) {
        return NULL;
    }
    switch (id) {
    case VQS_SETTING_data:
        return i < COUNT(data) ? data[i] : NULL;
    case VQS_SETTING_colour:
        return i < COUNT(colour) ? colour[i] : NULL;
    case VQS_SETTING_patch_mean:
        return i < COUNT(patch_mean) ? patch_mean[i] : NULL;
    case VQS_SETTING_frame_window:
        return i < COUNT(frame_window) ? frame_window[i] : NULL;
    case VQS_SETTING_audio_features:
        return i < COUNT(audio_features) ? audio_features[i] : NULL;
    case VQS_SETTING_alphabet:
        return i < COUNT(alphabet) ? alphabet[i] : NULL;
    case VQS_SETTING_whiten:
        return i < COUNT(whiten) ? whiten[i] : NULL;
    case VQS_SETTING_split:
        return i < COUNT(split) ? split[i] : NULL;
    case VQS_SETTING_latent:
        return i < COUNT(latent) ? latent[i] : NULL;
    case VQS_SETTING_model:
        return i < COUNT(model) ? model[i] : NULL;
    case VQS_SETTING_activation:
        return i < COUNT(activation) ? activation[i] : NULL;
    case VQS_SETTING_orthonormal_layers:
        return i < COUNT(orthonormal_layers) ? orthonormal_layers[i] : NULL;
    case VQS_SETTING_loss:
        return i < COUNT(loss) ? loss[i] : NULL;
    case VQS_SETTING_encoder:
        return i < COUNT(encoder) ? encoder[i] : NULL;
    case VQS_SETTING_decoder:
        return i < COUNT(decoder) ? decoder[i] : NULL;
    case VQS_SETTING_retraction:
        return i < COUNT(retraction) ? retraction[i] : NULL;
    case VQS_SETTING_codebook_init:
        return i < COUNT(codebook_init) ? codebook_init[i] : NULL;
    case VQS_SETTING_estimator_scope:
        return i < COUNT(estimator_scope) ? estimator_scope[i] : NULL;
    case VQS_SETTING_tau_schedule:
        return i < COUNT(tau_schedule) ? tau_schedule[i] : NULL;
    case VQS_SETTING_codebook:
        return i < COUNT(codebook) ? codebook[i] : NULL;
    case VQS_SETTING_update:
        return i < COUNT(update) ? update[i] : NULL;
    case VQS_SETTING_revive:
        return i < COUNT(revive) ? revive[i] : NULL;
    case VQS_SETTING_beta_schedule:
        return i < COUNT(beta_schedule) ? beta_schedule[i] : NULL;
    case VQS_SETTING_estimator:
    case VQS_SETTING_replay_estimator:
        return i < vqs_estimator_count() ? vqs_estimator_get(i)->name : NULL;
    default:
        return NULL;
    }
}

int vqs_setting_find(const char *name) {
    for (int id = 0; id < VQS_N_SETTINGS; id++) {
        if (!strcmp(vqs_setting_table[id].name, name)) {
            return id;
        }
    }
    return -1;
}

static bool estimator_has_param(const struct vqs_estimator *estimator, const char *name) {
    for (int i = 0; i < VQS_MAX_PARAMS && estimator->params[i]; i++) {
        if (!strcmp(estimator->params[i], name)) {
            return true;
        }
    }
    return false;
}

static bool is_drawn(const struct vqs_settings *s) {
    return s->data == VQS_DATA_SUBSPACE || s->data == VQS_DATA_PLANE2D;
}

bool vqs_setting_used(enum vqs_setting_id id, const struct vqs_settings *s) {
    const struct vqs_estimator *estimator = vqs_estimator_get(s->estimator);
    const bool trained = estimator->backward != NULL, layers = trained && s->model != VQS_MODEL_LINEAR;
    const bool placed = trained && !vqs_learning_is_grid((enum vqs_learning_kind)s->codebook);
    const bool losses = trained && !(estimator->needs & VQS_WITHOUT_LOSSES) && s->codebook != VQS_LEARN_FSQ;
    const bool replay = losses && s->beta_schedule == VQS_BETA_REPLAY;
    const bool param =
        estimator_has_param(estimator, vqs_setting_table[id].name) ||
        (replay && estimator_has_param(vqs_estimator_get(s->replay_estimator), vqs_setting_table[id].name));
    switch (vqs_setting_table[id].when) {
    case VQS_ALWAYS:
        return true;
    case VQS_WHEN_SUBSPACE:
        return s->data == VQS_DATA_SUBSPACE;
    case VQS_WHEN_DRAWN:
        return is_drawn(s);
    case VQS_WHEN_MIXTURE:
        return is_drawn(s) && s->latent == VQS_LATENT_MIXTURE;
    case VQS_WHEN_FILE:
        return !is_drawn(s);
    case VQS_WHEN_CSV:
        return s->data == VQS_DATA_CSV;
    case VQS_WHEN_HDF5:
        return s->data == VQS_DATA_HDF5;
    case VQS_WHEN_IMAGES:
        return s->data == VQS_DATA_IMAGES;
    case VQS_WHEN_AUDIO:
        return s->data == VQS_DATA_AUDIO;
    case VQS_WHEN_LOG_MEL:
        return s->data == VQS_DATA_AUDIO && s->audio_features == VQS_AUDIO_LOG_MEL;
    case VQS_WHEN_TEXT:
        return s->data == VQS_DATA_TEXT;
    case VQS_WHEN_WHITENED:
        return !is_drawn(s) && s->whiten != VQS_WHITEN_NONE;
    case VQS_WHEN_TRAINED:
        return trained;
    case VQS_WHEN_SEVERAL:
        return trained && vqs_n_codebooks(s) > 1;
    case VQS_WHEN_LINEAR:
        return trained && s->model == VQS_MODEL_LINEAR;
    case VQS_WHEN_LAYERS:
        return layers;
    case VQS_WHEN_MLP:
        return trained && s->model == VQS_MODEL_MLP;
    case VQS_WHEN_CONV:
        return trained && s->model == VQS_MODEL_CONV;
    case VQS_WHEN_ORTHONORMAL:
        return layers && s->orthonormal;
    case VQS_WHEN_RETRACTED:
        return trained && (layers ? s->orthonormal : s->encoder == VQS_ENCODER_LINEAR);
    case VQS_WHEN_PROBED:
        return trained && s->probe_epochs.n > 0;
    case VQS_WHEN_FIELD:
        return trained && s->probe_epochs.n > 0 && s->field_grid > 0;
    case VQS_WHEN_NORMAL:
        return placed && s->codebook_init == VQS_INIT_NORMAL;
    case VQS_WHEN_KMEANS:
        return !trained || (placed && s->codebook_init == VQS_INIT_KMEANS);
    case VQS_WHEN_PLACED:
        return placed;
    case VQS_WHEN_LOSSES:
        return losses;
    case VQS_WHEN_EMA:
        return trained && s->codebook == VQS_LEARN_EMA;
    case VQS_WHEN_FSQ:
        return trained && s->codebook == VQS_LEARN_FSQ;
    case VQS_WHEN_TURNS:
        return trained && s->update == VQS_UPDATE_ALTERNATING;
    case VQS_WHEN_REVIVED:
        return trained && s->revive == VQS_REVIVE_EXPIRE;
    case VQS_WHEN_SOFT:
        return trained && s->entropy_weight > 0;
    case VQS_WHEN_ANNEALED:
        return losses && (s->beta_schedule == VQS_BETA_LINEAR || s->beta_schedule == VQS_BETA_COSINE);
    case VQS_WHEN_ADAPTIVE:
        return replay || (losses && s->beta_schedule == VQS_BETA_ADAPTIVE);
    case VQS_WHEN_REPLAY:
        return replay;
    case VQS_WHEN_PARAM:
        return param;
    case VQS_WHEN_TAU_MOVES:
        return param && s->tau_schedule != VQS_TAU_CONSTANT;
    }
    return false;
}

/* ---- defaults and ranges --------------------------------------------------------------------------------------- */

#define DEFAULT_INT(name, def)    s->name = def;
#define DEFAULT_REAL(name, def)   s->name = def;
#define DEFAULT_BOOL(name, def)   s->name = def;
#define DEFAULT_ENUM(name, def)   s->name = def;
#define DEFAULT_SEED(name, def)   s->name = def;
#define DEFAULT_TEXT(name, def)   /* empty */
#define DEFAULT_EPOCHS(name, def) /* none */

void vqs_settings_default(struct vqs_settings *s) {
    memset(s, 0, sizeof *s);
#define VQS_X(KIND, name, def, lo, hi, when, unit, long_name) DEFAULT_##KIND(name, def)
    VQS_SETTINGS_TABLE(VQS_X)
#undef VQS_X
}

static bool epochs_ascend(const struct vqs_epochs *epochs) {
    if (epochs->n < 0 || epochs->n > VQS_MAX_SNAPSHOTS) {
        return false;
    }
    for (int i = 0; i < epochs->n; i++) {
        if (epochs->at[i] < 0 || (i > 0 && epochs->at[i] <= epochs->at[i - 1])) {
            return false;
        }
    }
    return true;
}

bool vqs_setting_in_range(enum vqs_setting_id id, const struct vqs_settings *s) {
    const struct vqs_setting *row = &vqs_setting_table[id];
    const void *field = field_of(id, s);
    switch (row->kind) {
    case VQS_KIND_INT:
        return *(const int32_t *)field >= row->low && *(const int32_t *)field <= row->high;
    case VQS_KIND_REAL: /* false for NaN */
        return *(const double *)field >= row->low && *(const double *)field <= row->high;
    case VQS_KIND_BOOL:
        return *(const int32_t *)field == 0 || *(const int32_t *)field == 1;
    case VQS_KIND_ENUM:
        return vqs_setting_choice(id, *(const int32_t *)field) != NULL;
    case VQS_KIND_TEXT:
        return memchr(field, 0, VQS_PATH_MAX) != NULL;
    case VQS_KIND_EPOCHS:
        return epochs_ascend(field);
    case VQS_KIND_SEED:
        return true;
    }
    return false;
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

static int print_real(double value, char *text, size_t size) {
    char shortest[40];
    int length = 0;
    for (int digits = 1; digits <= 17; digits++) {
        length = snprintf(shortest, sizeof shortest, "%.*g", digits, value);
        if (strtod(shortest, NULL) == value) {
            break;
        }
    }
    snprintf(text, size, "%s", shortest);
    return length;
}

static int print_epochs(const struct vqs_epochs *epochs, char *text, size_t size) {
    char list[VQS_MAX_SNAPSHOTS * 12 + 1] = "";
    int length = 0;
    for (int i = 0; i < epochs->n && i < VQS_MAX_SNAPSHOTS; i++) {
        length += snprintf(list + length, sizeof list - (size_t)length, "%s%" PRId32, i ? "," : "", epochs->at[i]);
    }
    snprintf(text, size, "%s", list);
    return length;
}

int vqs_setting_print(enum vqs_setting_id id, const struct vqs_settings *s, char *text, size_t size) {
    const void *field = field_of(id, s);
    switch (vqs_setting_table[id].kind) {
    case VQS_KIND_INT:
        return snprintf(text, size, "%" PRId32, *(const int32_t *)field);
    case VQS_KIND_REAL:
        return print_real(*(const double *)field, text, size);
    case VQS_KIND_BOOL:
        return snprintf(text, size, "%s", *(const int32_t *)field ? "true" : "false");
    case VQS_KIND_ENUM:
        return snprintf(text, size, "%s", vqs_setting_choice(id, *(const int32_t *)field));
    case VQS_KIND_TEXT:
        return snprintf(text, size, "%s", (const char *)field);
    case VQS_KIND_EPOCHS:
        return print_epochs(field, text, size);
    case VQS_KIND_SEED:
        return snprintf(text, size, "%" PRIu64, *(const uint64_t *)field);
    }
    return 0;
}

/* An integer is read only as it would be printed: no sign on zero, no leading zeros (octal in YAML 1.1), no 1e5. */
static bool read_int(const char *text, int32_t *value) {
    char back[24];
    errno = 0;
    long read = strtol(text, NULL, 10);
    snprintf(back, sizeof back, "%ld", read);
    *value = (int32_t)read;
    return errno == 0 && read >= INT32_MIN && read <= INT32_MAX && !strcmp(back, text);
}

static bool read_seed(const char *text, uint64_t *value) {
    char back[24];
    errno = 0;
    *value = strtoull(text, NULL, 10);
    snprintf(back, sizeof back, "%" PRIu64, *value);
    return errno == 0 && !strcmp(back, text);
}

static bool read_real(const char *text, double *value) {
    char *end;
    if (!*text || text[strspn(text, "0123456789+-.eE")]) { /* strtod would take inf, nan, 0x10 and blanks too */
        return false;
    }
    errno = 0;
    *value = strtod(text, &end) + 0.0; /* -0 becomes 0: one value, one text, one key */
    return errno == 0 && !*end;
}

static bool read_epochs(const char *text, struct vqs_epochs *epochs) {
    memset(epochs, 0, sizeof *epochs);
    while (*text) {
        char item[16];
        size_t length = strcspn(text, ",");
        if (epochs->n == VQS_MAX_SNAPSHOTS || length >= sizeof item) {
            return false;
        }
        memcpy(item, text, length);
        item[length] = '\0';
        text += length;
        if (*text == ',' && !*++text) { /* a comma asks for another number */
            return false;
        }
        if (!read_int(item, &epochs->at[epochs->n++])) {
            return false;
        }
    }
    return epochs_ascend(epochs);
}

static bool read_text(const char *text, vqs_text value) {
    size_t length = strlen(text);
    memset(value, 0, VQS_PATH_MAX);
    if (length >= VQS_PATH_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) { /* a line break would make the key's text ambiguous */
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            return false;
        }
    }
    memcpy(value, text, length);
    return true;
}

static bool read_choice(enum vqs_setting_id id, const char *text, int32_t *value) {
    const char *choice;
    for (*value = 0; (choice = vqs_setting_choice(id, *value)); ++*value) {
        if (!strcmp(choice, text)) {
            return true;
        }
    }
    return false;
}

/* What a setting accepts, for messages. */
static void describe(enum vqs_setting_id id, char *text, size_t size) {
    const struct vqs_setting *row = &vqs_setting_table[id];
    const char *choice;
    switch (row->kind) {
    case VQS_KIND_INT:
        snprintf(text, size, "an integer from %.0f to %.0f", row->low, row->high);
        return;
    case VQS_KIND_REAL:
        snprintf(text, size, "a number from %g to %g", row->low, row->high);
        return;
    case VQS_KIND_BOOL:
        snprintf(text, size, "true or false");
        return;
    case VQS_KIND_ENUM:
        for (int i = 0, length = 0; (choice = vqs_setting_choice(id, i)) && length < (int)size; i++) {
            length += snprintf(text + length, size - (size_t)length, "%s%s", i ? ", " : "one of ", choice);
        }
        return;
    case VQS_KIND_TEXT:
        snprintf(text, size, "a text of at most %d bytes without control characters", VQS_PATH_MAX - 1);
        return;
    case VQS_KIND_EPOCHS:
        snprintf(text, size, "at most %d epochs in ascending order, such as [0, 1, 10]", VQS_MAX_SNAPSHOTS);
        return;
    case VQS_KIND_SEED:
        snprintf(text, size, "an integer from 0 to %" PRIu64, UINT64_MAX);
        return;
    }
}

static bool read_setting(enum vqs_setting_id id, const char *text, void *field) {
    switch (vqs_setting_table[id].kind) {
    case VQS_KIND_INT:
        return read_int(text, field);
    case VQS_KIND_REAL:
        return read_real(text, field);
    case VQS_KIND_BOOL:
        *(int32_t *)field = !strcmp(text, "true");
        return *(int32_t *)field || !strcmp(text, "false");
    case VQS_KIND_ENUM:
        return read_choice(id, text, field);
    case VQS_KIND_TEXT:
        return read_text(text, field);
    case VQS_KIND_EPOCHS:
        return read_epochs(text, field);
    case VQS_KIND_SEED:
        return read_seed(text, field);
    }
    return false;
}

enum vqs_status vqs_setting_parse(enum vqs_setting_id id, const char *text, struct vqs_settings *s,
                                  struct vqs_error *err) {
    struct vqs_settings changed = *s; /* so that a refused value leaves nothing behind */
    if (!read_setting(id, text, (char *)&changed + vqs_setting_table[id].offset) || !vqs_setting_in_range(id, &changed)) {
        char expected[240];
        describe(id, expected, sizeof expected);
        return vqs_fail(err, VQS_ERR_JOB, "%s: must be %s, not '%.60s'", vqs_setting_table[id].name, expected, text);
    }
    *s = changed;
    return VQS_OK;
}

/* ---- keys ------------------------------------------------------------------------------------------------------ */

void vqs_keyer_init(struct vqs_keyer *keyer) {
    memset(keyer, 0, sizeof *keyer);
    vqs_settings_default(&keyer->defaults);
    for (int id = 0; id < VQS_N_SETTINGS; id++) { /* insertion sort by name */
        int at = id;
        for (; at > 0 && strcmp(vqs_setting_table[id].name, vqs_setting_table[keyer->order[at - 1]].name) < 0; at--) {
            keyer->order[at] = keyer->order[at - 1];
        }
        keyer->order[at] = (enum vqs_setting_id)id;
    }
}

/* "name=value\n" of one setting, rendered again only when the value is not the one rendered last. */
static void refresh_line(struct vqs_keyer *keyer, enum vqs_setting_id id, const struct vqs_settings *s) {
    void *last = (char *)&keyer->last + vqs_setting_table[id].offset;
    const void *now = field_of(id, s);
    if (keyer->length[id] && !memcmp(last, now, vqs_setting_size(id))) {
        return;
    }
    memcpy(last, now, vqs_setting_size(id));
    char value[VQS_PATH_MAX];
    vqs_setting_print(id, s, value, sizeof value);
    keyer->length[id] = (size_t)snprintf(keyer->line[id], VQS_KEY_LINE, "%s=%s\n", vqs_setting_table[id].name, value);
}

static bool decides_data(enum vqs_setting_id id) {
    return id <= VQS_SETTING_N_eval || id == VQS_SETTING_seed;
}

static uint64_t hash_lines(struct vqs_keyer *keyer, const struct vqs_settings *s, const char *what, bool data_only) {
    char text[64 + VQS_N_SETTINGS * VQS_KEY_LINE];
    size_t size = (size_t)snprintf(text, 64, "vqsweep %s %d\n", what, VQS_SETTINGS_VERSION);
    for (int i = 0; i < VQS_N_SETTINGS; i++) {
        enum vqs_setting_id id = keyer->order[i];
        const bool is_default = !memcmp(field_of(id, s), field_of(id, &keyer->defaults), vqs_setting_size(id));
        if (is_default || (data_only && !decides_data(id)) || !vqs_setting_used(id, s)) {
            continue;
        }
        refresh_line(keyer, id, s);
        memcpy(text + size, keyer->line[id], keyer->length[id]);
        size += keyer->length[id];
    }
    return XXH3_64bits(text, size);
}

uint64_t vqs_keyer_key(struct vqs_keyer *keyer, const struct vqs_settings *s) {
    return hash_lines(keyer, s, "settings", false);
}

uint64_t vqs_settings_key(const struct vqs_settings *s) {
    struct vqs_keyer keyer;
    vqs_keyer_init(&keyer);
    return hash_lines(&keyer, s, "settings", false);
}

uint64_t vqs_settings_data_key(const struct vqs_settings *s) {
    struct vqs_keyer keyer;
    vqs_keyer_init(&keyer);
    return hash_lines(&keyer, s, "data", true);
}
