/* inputs.c - the data files that a plan reads. */
#include "inputs.h"

#include "vqsweep/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static size_t list_size(const struct vqs_bytes *list) {
    return list->size / sizeof(struct vqs_settings);
}

static const struct vqs_settings *list_get(const struct vqs_bytes *list, size_t i) {
    return (const struct vqs_settings *)(const void *)list->data + i;
}

enum vqs_status vqs_inputs_list(const struct vqs_plan *plan, struct vqs_bytes *list, struct vqs_error *err) {
    enum vqs_status status = VQS_OK;
    for (size_t t = 0; t < vqs_plan_n_trials(plan) && status == VQS_OK; t++) {
        struct vqs_settings settings;
        vqs_plan_trial_settings(plan, t, &settings);
        if (!vqs_setting_used(VQS_SETTING_path, &settings)) {
            continue;
        }
        settings.seed = 0;
        settings.patch_mean = VQS_PATCH_MEAN_KEEP;
        settings.value_scale = 1;
        settings.center = 1;
        settings.whiten = VQS_WHITEN_NONE;
        const uint64_t key = vqs_settings_data_key(&settings);
        size_t i = 0;
        while (i < list_size(list) && vqs_settings_data_key(list_get(list, i)) != key) {
            i++;
        }
        if (i == list_size(list)) {
            status = vqs_bytes_append(list, &settings, sizeof settings, err);
        }
    }
    return status;
}

enum vqs_status vqs_inputs_print(const struct vqs_bytes *list, struct vqs_error *err) {
    enum vqs_status status = VQS_OK;
    for (size_t i = 0; i < list_size(list) && status == VQS_OK; i++) {
        const struct vqs_settings *s = list_get(list, i);
        struct vqs_source source;
        status = vqs_source_open(s, &vqs_source_hdf5, &source, err);
        if (status == VQS_OK) {
            printf("%sdata     %s: %s: %" PRIu64 " samples of %d values, of which a trial draws %" PRId64 "\n",
                   i ? "" : "\n", s->path, source.text, source.n, source.D, (int64_t)s->N + s->N_eval);
            status = vqs_source_check(&source, s, err);
            vqs_source_close(&source);
        }
    }
    return status;
}

/* Whether an earlier entry names the same files. */
static bool seen_before(const struct vqs_bytes *list, size_t i) {
    for (size_t j = 0; j < i; j++) {
        if (list_get(list, j)->data == list_get(list, i)->data &&
            !strcmp(list_get(list, j)->path, list_get(list, i)->path)) {
            return true;
        }
    }
    return false;
}

/* "PATH: what is in it" */
enum { ITEM = VQS_PATH_MAX + 130 };
static enum vqs_status describe(const struct vqs_settings *s, char item[ITEM], struct vqs_error *err) {
    char what[120];
    const enum vqs_status status = vqs_source_fingerprint(s, what, sizeof what, err);
    if (!status) {
        snprintf(item, ITEM, "%s: %s", s->path, what);
    }
    return status;
}

enum vqs_status vqs_inputs_check(const struct vqs_settings *s, const char *recorded, struct vqs_error *err) {
    char item[ITEM];
    const enum vqs_status status = describe(s, item, err);
    if (status) {
        return status;
    }
    for (const char *at = recorded; (at = strstr(at, item)); at++) { /* whole, between separators */
        const char *end = at + strlen(item);
        if ((at == recorded || (at - recorded >= 2 && !strncmp(at - 2, "; ", 2))) && (!*end || *end == ';')) {
            return VQS_OK;
        }
    }
    return vqs_fail(err, VQS_ERR_DATA, "%s; the trial was of other data, recorded as %s", item, recorded);
}

enum vqs_status vqs_inputs_add_provenance(const struct vqs_bytes *list, struct vqs_provenance *provenance,
                                          struct vqs_error *err) {
    struct vqs_bytes text = {0};
    enum vqs_status status = VQS_OK;
    for (size_t i = 0; i < list_size(list) && status == VQS_OK; i++) {
        const struct vqs_settings *s = list_get(list, i);
        char item[ITEM];
        if (!seen_before(list, i) && (status = describe(s, item, err)) == VQS_OK) {
            status = vqs_bytes_append(&text, "; ", text.size ? 2 : 0, err);
            status = status ? status : vqs_bytes_append(&text, item, strlen(item), err);
        }
    }
    if (status == VQS_OK && text.size) {
        vqs_provenance_add(provenance, "data_files", "%.*s", (int)text.size, (const char *)text.data);
    }
    vqs_bytes_destroy(&text);
    return status;
}
