/* cmd_tables.c - `vqsweep estimators`, `settings`, `metrics`, `version`: the tables, printed. */
#include "cli.h"
#include "provenance.h"
#include "vqsweep/estimators.h"
#include "vqsweep/settings.h"

#include <stdio.h>
#include <string.h>

/* name (parameter = default, ...) */
static void print_head(const struct vqs_estimator *row, const struct vqs_settings *defaults) {
    printf("%s", row->name);
    for (int p = 0; p < VQS_MAX_PARAMS && row->params[p]; p++) {
        char value[VQS_PATH_MAX];
        vqs_setting_print((enum vqs_setting_id)vqs_setting_find(row->params[p]), defaults, value, sizeof value);
        printf("%s%s = %s", p ? ", " : " (", row->params[p], value);
    }
    printf("%s\n", row->params[0] ? ")" : "");
}

static void print_line(const char *what, const char *text) {
    if (text) {
        printf("    %-8s %s\n", what, text);
    }
}

enum vqs_status vqs_cmd_estimators(const struct vqs_cli *cli, struct vqs_error *err) {
    (void)cli;
    (void)err;
    struct vqs_settings defaults;
    vqs_settings_default(&defaults);
    printf("What the decoder is given in training, if not q, and what reaches z and the codes from the loss of\n"
           "reconstruction. To this come commitment (z) and codebook loss (code k), where nothing else is said.\n"
           "In evaluation every sample gets its nearest code.\n\n"
           "  z  encoder output       q = c_k  its nearest code     g = dL_rec/df, f what the decoder is given\n"
           "  u = (q - z)/|q - z|     zh = z/|z|, qh = q/|q|        a_j = c_j.g, J(p) a = p (a - p.a)\n\n");
    for (int i = 0; i < vqs_estimator_count(); i++) {
        const struct vqs_estimator *row = vqs_estimator_get(i);
        print_head(row, &defaults);
        print_line("decoder", row->value);
        print_line("z", row->formula);
        print_line("codes", row->to_codes);
        print_line("losses", row->needs & VQS_WITHOUT_LOSSES ? "reconstruction alone" : NULL);
        print_line("source", row->source);
    }
    return VQS_OK;
}

/* "a, b or c" of a choice, "0 to 10" of a number. */
static void print_values(const struct vqs_setting *row, enum vqs_setting_id id, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    switch (row->kind) {
    case VQS_KIND_ENUM:
        if (id == VQS_SETTING_estimator) { /* too many for a line */
            snprintf(text, size, "those of vqsweep estimators");
            break;
        }
        for (int i = 0; vqs_setting_choice(id, i) && used < size; i++) {
            used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", vqs_setting_choice(id, i));
        }
        break;
    case VQS_KIND_INT:
    case VQS_KIND_REAL:
        snprintf(text, size, "%.10g to %.10g", row->low, row->high);
        break;
    case VQS_KIND_BOOL:
        snprintf(text, size, "true or false");
        break;
    case VQS_KIND_EPOCHS:
        snprintf(text, size, "a list of at most %d epochs", VQS_MAX_SNAPSHOTS);
        break;
    case VQS_KIND_SEED:
        snprintf(text, size, "a whole number");
        break;
    case VQS_KIND_TEXT:
        snprintf(text, size, "a path");
        break;
    }
}

enum vqs_status vqs_cmd_settings(const struct vqs_cli *cli, struct vqs_error *err) {
    (void)cli;
    (void)err;
    struct vqs_settings defaults;
    vqs_settings_default(&defaults);
    printf("%-18s %-10s %-50s %s\n", "setting", "default", "values", "meaning [unit], and when it has an effect");
    for (int id = 0; id < VQS_N_SETTINGS; id++) {
        static const char *const when[] = {
            [VQS_ALWAYS] = "",
            [VQS_WHEN_SUBSPACE] = " (data: subspace)",
            [VQS_WHEN_DRAWN] = " (data: subspace or plane2d)",
            [VQS_WHEN_MIXTURE] = " (the same with latent: mixture)",
            [VQS_WHEN_FILE] = " (data read from a file)",
            [VQS_WHEN_CSV] = " (data: csv)",
            [VQS_WHEN_HDF5] = " (data: hdf5)",
            [VQS_WHEN_IMAGES] = " (data: images)",
            [VQS_WHEN_AUDIO] = " (data: audio)",
            [VQS_WHEN_LOG_MEL] = " (data: audio, audio_features: log_mel)",
            [VQS_WHEN_TEXT] = " (data: text)",
            [VQS_WHEN_WHITENED] = " (the same with whiten: zca or pca)",
            [VQS_WHEN_TRAINED] = " (all estimators but kmeans)",
            [VQS_WHEN_LINEAR] = " (model: linear)",
            [VQS_WHEN_LAYERS] = " (model: mlp or conv)",
            [VQS_WHEN_MLP] = " (model: mlp)",
            [VQS_WHEN_CONV] = " (model: conv)",
            [VQS_WHEN_ORTHONORMAL] = " (orthonormal: true)",
            [VQS_WHEN_RETRACTED] = " (learned encoder rows that are kept orthonormal)",
            [VQS_WHEN_PROBED] = " (with probe_epochs)",
            [VQS_WHEN_FIELD] = " (with probe_epochs and field_grid)",
            [VQS_WHEN_NORMAL] = " (codebook_init: normal)",
            [VQS_WHEN_KMEANS] = " (estimator or codebook_init: kmeans)",
            [VQS_WHEN_SEVERAL] = " (more than one codebook)",
            [VQS_WHEN_PLACED] = " (all estimators but kmeans; not codebook: fsq, lfq)",
            [VQS_WHEN_EMA] = " (codebook: ema)",
            [VQS_WHEN_FSQ] = " (codebook: fsq)",
            [VQS_WHEN_TURNS] = " (update: alternating)",
            [VQS_WHEN_REVIVED] = " (revive: expire)",
            [VQS_WHEN_SOFT] = " (entropy_weight > 0)",
            [VQS_WHEN_LOSSES] = " (estimators with codebook loss and commitment; not codebook: fsq)",
            [VQS_WHEN_ANNEALED] = " (beta_schedule: linear, cosine)",
            [VQS_WHEN_ADAPTIVE] = " (beta_schedule: adaptive, replay)",
            [VQS_WHEN_REPLAY] = " (beta_schedule: replay)",
            [VQS_WHEN_PARAM] = " (estimators that take it)",
            [VQS_WHEN_TAU_MOVES] = " (estimators that take it; not tau_schedule: constant)",
        };
        const struct vqs_setting *row = &vqs_setting_table[id];
        char value[VQS_PATH_MAX + 1], values[256];
        vqs_setting_print((enum vqs_setting_id)id, &defaults, value, sizeof value);
        print_values(row, (enum vqs_setting_id)id, values, sizeof values);
        bool plain = !strcmp(row->unit, "1");
        printf("%-18s %-10s %-50s %s%s%s%s%s\n", row->name, value[0] ? value : "-", values, row->long_name,
               plain ? "" : " [", plain ? "" : row->unit, plain ? "" : "]", when[row->when]);
    }
    return VQS_OK;
}

static void print_quantities(const struct vqs_quantity *table, int n) {
    for (int i = 0; i < n; i++) {
        printf("  %-26s %-6s %-56s %s\n", table[i].name, table[i].unit, table[i].long_name, table[i].formula);
    }
}

static void print_dimensions(const char *const *dimension) {
    for (int i = 0; dimension[i]; i++) {
        const char *label = vqs_dimension_label(dimension[i], 0);
        printf("    %-24s %s", dimension[i], label ? label : "0, 1, ...");
        for (int k = 1; label && (label = vqs_dimension_label(dimension[i], k)); k++) {
            printf(", %s", label);
        }
        puts("");
    }
}

enum vqs_status vqs_cmd_metrics(const struct vqs_cli *cli, struct vqs_error *err) {
    (void)cli;
    (void)err;
    printf("Metrics, after the last epoch:\n");
    print_quantities(vqs_metric_table, VQS_N_METRICS);
    printf("\nCurves, one value an epoch:\n");
    print_quantities(vqs_curve_table, VQS_N_CURVES);
    printf("\nArrays, of trials that have them, by their dimensions:\n");
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        const struct vqs_quantity *quantity = &vqs_array_table[kind].quantity;
        printf("  %-26s %-6s %s\n    %s\n", quantity->name, quantity->unit, quantity->long_name, quantity->formula);
        print_dimensions(vqs_array_table[kind].dimension);
    }
    return VQS_OK;
}

enum vqs_status vqs_cmd_version(const struct vqs_cli *cli, struct vqs_error *err) {
    (void)cli;
    struct vqs_provenance provenance = {0};
    vqs_provenance_add_build(&provenance);
    printf("%s\n", vqs_program_version());
    for (size_t i = 0; i < provenance.n; i++) {
        if (strcmp(provenance.items[i].name, "code_version")) {
            printf("  %-18s %s\n", provenance.items[i].name, provenance.items[i].value);
        }
    }
    enum vqs_status status = provenance.short_of_memory ? vqs_fail(err, VQS_ERR_MEMORY, "out of memory") : VQS_OK;
    vqs_provenance_destroy(&provenance);
    return status;
}
