/* record_tables.c - the tables of a record as data, and the labels of its arrays' dimensions. */
#include "vqsweep/estimators.h"
#include "vqsweep/record.h"

#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* the state of a running hash lives on the stack */
#include <xxhash.h>

#define VQS_X(name, unit, long_name, formula) {#name, unit, long_name, formula},
const struct vqs_quantity vqs_metric_table[VQS_N_METRICS] = {VQS_METRIC_TABLE(VQS_X)};
const struct vqs_quantity vqs_curve_table[VQS_N_CURVES] = {VQS_CURVE_TABLE(VQS_X)};
#undef VQS_X

#define VQS_X(name, unit, long_name, formula, ...) {{#name, unit, long_name, formula}, {__VA_ARGS__}},
const struct vqs_array_row vqs_array_table[VQS_N_ARRAYS] = {VQS_ARRAY_TABLE(VQS_X)};
#undef VQS_X

const char *vqs_outcome_text(enum vqs_outcome outcome) {
    static const char *const texts[] = {"failed", "completed", "diverged"};
    return (unsigned)outcome <= VQS_OUTCOME_DIVERGED ? texts[outcome] : "unknown";
}

/* ---- labels ---------------------------------------------------------------------------------------------------- */

enum { MOST_LABELS = 8 };
#define VQS_X(label) #label,
static const struct {
    const char *dimension, *label[MOST_LABELS + 1]; /* NULL after the last */
} labelled[] = {{"level_metric", {VQS_LEVEL_METRIC_LABELS(VQS_X)}},
                {"region", {VQS_REGION_LABELS(VQS_X)}},
                {"quantity", {VQS_QUANTITY_LABELS(VQS_X)}},
                {"component", {VQS_COMPONENT_LABELS(VQS_X)}},
                {"place", {VQS_PLACE_LABELS(VQS_X)}}};
#undef VQS_X

const char *vqs_dimension_label(const char *dimension, int i) {
    if (!strcmp(dimension, "estimator")) {
        const int n = vqs_estimator_count();
        return i < n ? vqs_estimator_get(i)->name : i == n ? "smoothed" : NULL;
    }
    for (size_t k = 0; k < sizeof labelled / sizeof labelled[0]; k++) {
        if (!strcmp(dimension, labelled[k].dimension)) {
            return i < MOST_LABELS ? labelled[k].label[i] : NULL;
        }
    }
    return NULL;
}

uint32_t vqs_array_tag(int kind) {
    const struct vqs_array_row *row = &vqs_array_table[kind];
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    XXH3_64bits_update(&hash, row->quantity.name, strlen(row->quantity.name));
    for (int i = 0; row->dimension[i]; i++) {
        const char *label = row->dimension[i];
        for (int k = 0; label; label = vqs_dimension_label(row->dimension[i], k++)) {
            XXH3_64bits_update(&hash, label, strlen(label) + 1);
        }
        XXH3_64bits_update(&hash, ";", 1);
    }
    return (uint32_t)XXH3_64bits_digest(&hash);
}
