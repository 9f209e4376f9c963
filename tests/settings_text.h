/* settings_text.h - settings written as "name=value name=value ...". */
#ifndef SETTINGS_TEXT_H
#define SETTINGS_TEXT_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "vqsweep/settings.h"

static inline void set(struct vqs_settings *s, const char *name, const char *value) {
    struct vqs_error err = {0};
    const int id = vqs_setting_find(name);
    ck_assert_msg(id >= 0, "%s", name);
    ck_assert_msg(vqs_setting_parse((enum vqs_setting_id)id, value, s, &err) == VQS_OK, "%s", err.text);
}

/* Changes what the text names. */
static inline void set_all(struct vqs_settings *s, const char *text) {
    char copy[512], *save = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *equals = strchr(word, '=');
        *equals = 0;
        set(s, word, equals + 1);
    }
}

/* The text over the defaults. */
static inline void settings_of(const char *text, struct vqs_settings *s) {
    vqs_settings_default(s);
    set_all(s, text);
}

#endif
