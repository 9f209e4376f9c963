/* store_common.c - columns of a result file. */
#include "store_common.h"

#include "store_hdf5.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- run columns ----------------------------------------------------------------------------------------------- */

enum kind { KIND_HEX, KIND_STATUS, KIND_U32, KIND_I32, KIND_I64, KIND_F64, KIND_TEXT };

static const struct run_column {
    const char *name;
    enum kind kind;
    size_t offset, size; /* of the field in struct vqs_row */
    const char *unit, *long_name;
} run_table[VQS_N_RUN] = {
#define VQS_X(name, kind, field, unit, long_name)                                                                      \
    {#name, KIND_##kind, offsetof(struct vqs_row, field), sizeof((struct vqs_row *)0)->field, unit, long_name},
    VQS_RUN_TABLE(VQS_X)
#undef VQS_X
};

enum { HEX_SIZE = sizeof "0123456789abcdef", STATUS_SIZE = sizeof "completed" };

static struct vqs_column run_column(int run) {
    const struct run_column *from = &run_table[run];
    struct vqs_column column = {from->name, from->unit, from->long_name, NULL, VQS_CELL_INT, 8};
    switch (from->kind) {
    case KIND_HEX:
    case KIND_STATUS:
    case KIND_TEXT:
        column.cell = VQS_CELL_TEXT;
        column.width = from->kind == KIND_HEX ? HEX_SIZE : from->kind == KIND_STATUS ? STATUS_SIZE : from->size;
        break;
    case KIND_F64:
        column.cell = VQS_CELL_REAL;
        break;
    case KIND_U32:
    case KIND_I32:
    case KIND_I64:
        break;
    }
    return column;
}

void vqs_run_store(int run, const struct vqs_row *row, void *cell) {
    const struct run_column *column = &run_table[run];
    const void *field = (const char *)row + column->offset;
    int64_t integer = 0;
    switch (column->kind) {
    case KIND_HEX:
        snprintf(cell, HEX_SIZE, "%016" PRIx64, *(const uint64_t *)field);
        return;
    case KIND_STATUS:
        snprintf(cell, STATUS_SIZE, "%s", row->done ? vqs_outcome_text(row->record.outcome) : "pending");
        return;
    case KIND_TEXT:
        memcpy(cell, field, strnlen(field, column->size - 1));
        return;
    case KIND_F64:
        memcpy(cell, field, sizeof(double));
        return;
    case KIND_U32:
        integer = *(const uint32_t *)field;
        break;
    case KIND_I32:
        integer = *(const int32_t *)field;
        break;
    case KIND_I64:
        integer = *(const int64_t *)field;
        break;
    }
    memcpy(cell, &integer, sizeof integer);
}

static bool load_hex(const char *cell, uint64_t *value) {
    *value = strtoull(cell, NULL, 16);
    return strlen(cell) == HEX_SIZE - 1 && strspn(cell, "0123456789abcdef") == HEX_SIZE - 1;
}

static bool load_status(const char *cell, struct vqs_row *row) {
    row->done = strcmp(cell, "pending") != 0;
    if (!row->done) {
        return true;
    }
    for (int outcome = VQS_OUTCOME_FAILED; outcome <= VQS_OUTCOME_DIVERGED; outcome++) {
        if (!strcmp(cell, vqs_outcome_text((enum vqs_outcome)outcome))) {
            row->record.outcome = (enum vqs_outcome)outcome;
            return true;
        }
    }
    return false;
}

bool vqs_run_load(int run, const void *cell, struct vqs_row *row) {
    const struct run_column *column = &run_table[run];
    void *field = (char *)row + column->offset;
    int64_t integer = 0;
    switch (column->kind) {
    case KIND_HEX:
        return load_hex(cell, field);
    case KIND_STATUS:
        return load_status(cell, row);
    case KIND_TEXT:
        memcpy(field, cell, column->size);
        return true;
    case KIND_F64:
        memcpy(field, cell, sizeof(double));
        return true;
    case KIND_U32:
        memcpy(&integer, cell, sizeof integer);
        *(uint32_t *)field = (uint32_t)integer;
        return integer >= 0 && integer <= UINT32_MAX;
    case KIND_I32:
        memcpy(&integer, cell, sizeof integer);
        *(int32_t *)field = (int32_t)integer;
        return integer >= INT32_MIN && integer <= INT32_MAX;
    case KIND_I64:
        memcpy(field, cell, sizeof integer);
        return true;
    }
    return false;
}

/* ---- all columns ----------------------------------------------------------------------------------------------- */

/* Room for any choice of an ENUM setting. */
static size_t choice_size(enum vqs_setting_id id) {
    size_t size = 1;
    const char *choice;
    for (int i = 0; (choice = vqs_setting_choice(id, i)); i++) {
        size = strlen(choice) + 1 > size ? strlen(choice) + 1 : size;
    }
    return size;
}

/* A number that can be without effect is a double, so that NaN can say so to every reader. */
static struct vqs_column setting_column(enum vqs_setting_id id) {
    const struct vqs_setting *from = &vqs_setting_table[id];
    struct vqs_column column = {from->name, from->unit, from->long_name, NULL, VQS_CELL_REAL, 8};
    switch (from->kind) {
    case VQS_KIND_INT:
    case VQS_KIND_BOOL:
        column.cell = from->when == VQS_ALWAYS ? VQS_CELL_INT : VQS_CELL_REAL;
        break;
    case VQS_KIND_SEED:
        column.cell = VQS_CELL_UINT;
        break;
    case VQS_KIND_REAL:
        break;
    case VQS_KIND_ENUM:
        column.cell = VQS_CELL_TEXT;
        column.width = choice_size(id);
        break;
    case VQS_KIND_TEXT:
        column.cell = VQS_CELL_TEXT;
        column.width = VQS_PATH_MAX;
        break;
    case VQS_KIND_EPOCHS:
        column.cell = VQS_CELL_TEXT;
        column.width = VQS_MAX_SNAPSHOTS * sizeof "2147483647";
        break;
    }
    return column;
}

struct vqs_column vqs_column_get(int i) {
    if (i < VQS_FIRST_RUN) {
        return setting_column((enum vqs_setting_id)i);
    }
    if (i < VQS_FIRST_METRIC) {
        return run_column(i - VQS_FIRST_RUN);
    }
    const struct vqs_quantity *metric = &vqs_metric_table[i - VQS_FIRST_METRIC];
    return (struct vqs_column){metric->name, metric->unit, metric->long_name, metric->formula, VQS_CELL_REAL, 8};
}

hid_t vqs_column_type(const struct vqs_column *column) {
    switch (column->cell) {
    case VQS_CELL_INT:
        return H5Tcopy(H5T_NATIVE_INT64);
    case VQS_CELL_UINT:
        return H5Tcopy(H5T_NATIVE_UINT64);
    case VQS_CELL_REAL:
        return H5Tcopy(H5T_NATIVE_DOUBLE);
    case VQS_CELL_TEXT:
        break;
    }
    return vqs_text_type();
}

void vqs_codebook_group(int K, int d, char name[VQS_GROUP_NAME]) {
    snprintf(name, VQS_GROUP_NAME, "codebooks/K%d_d%d", K, d);
}

void vqs_mend_utf8(char *cell) {
    unsigned char *text = (unsigned char *)cell;
    const size_t size = strlen(cell);
    for (size_t i = 0; i < size;) {
        const unsigned char c = text[i];
        size_t length = c < 0x80                ? 1
                        : c >= 0xc2 && c < 0xe0 ? 2
                        : c >= 0xe0 && c < 0xf0 ? 3
                        : c >= 0xf0 && c < 0xf5 ? 4
                                                : 0;
        bool good = length && length <= size - i;
        for (size_t k = 1; good && k < length; k++) {
            good = (text[i + k] & 0xc0) == 0x80;
        }
        /* too long forms, surrogates, past U+10FFFF */
        good = good && !(c == 0xe0 && text[i + 1] < 0xa0) && !(c == 0xed && text[i + 1] > 0x9f) &&
               !(c == 0xf0 && text[i + 1] < 0x90) && !(c == 0xf4 && text[i + 1] > 0x8f);
        if (!good) {
            text[i] = '?';
        }
        i += good ? length : 1;
    }
}
