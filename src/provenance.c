/* provenance.c - facts about the build, the libraries and the CPU. */
#include "provenance.h"

#include "vqs_version.h"
#include "vqsweep/kernels.h"

#include <cblas.h>
#include <ctype.h>
#include <hdf5.h>
#include <mpi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *vqs_code_version(void) {
    return VQS_CODE_VERSION;
}

const char *vqs_program_version(void) {
    return "vqsweep " VQS_CODE_VERSION;
}

void vqs_provenance_add(struct vqs_provenance *provenance, const char *name, const char *format, ...) {
    if (provenance->n == provenance->capacity) {
        size_t capacity = provenance->capacity ? 2 * provenance->capacity : 32;
        struct vqs_provenance_item *items = realloc(provenance->items, capacity * sizeof *items);
        if (!items) {
            provenance->short_of_memory = true;
            return;
        }
        provenance->items = items;
        provenance->capacity = capacity;
    }
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *value = malloc((size_t)length + 1), *copy = strdup(name);
    if (value && copy) {
        vsnprintf(value, (size_t)length + 1, format, again);
        provenance->items[provenance->n++] = (struct vqs_provenance_item){copy, value};
    } else {
        provenance->short_of_memory = true;
        free(value);
        free(copy);
    }
    va_end(again);
    va_end(args);
}

void vqs_provenance_destroy(struct vqs_provenance *provenance) {
    for (size_t i = 0; i < provenance->n; i++) {
        free((char *)provenance->items[i].name);
        free((char *)provenance->items[i].value);
    }
    free(provenance->items);
    memset(provenance, 0, sizeof *provenance);
}

/* The value of the first line of /proc/cpuinfo called `name`, or "unknown". */
static void cpu_info(const char *name, char *value, size_t size) {
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[8192];
    snprintf(value, size, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (colon && !strncmp(line, name, strlen(name)) && isspace((unsigned char)line[strlen(name)])) {
            line[strcspn(line, "\n")] = 0;
            snprintf(value, size, "%s", colon + 1 + strspn(colon + 1, " "));
            break;
        }
    }
    if (file) {
        fclose(file);
    }
}

/* Of the CPU's features, those that decide how fast arithmetic can be. */
static void cpu_features(char *out, size_t size) {
    static const char *const wanted[] = {
        "sse4_2",   "avx",         "avx2",        "fma",         "f16c",     "avx512f", "avx512dq", "avx512bw",
        "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "asimd",   "sve",      "sve2"};
    char have[8192];
    cpu_info("flags", have, sizeof have);
    if (!strcmp(have, "unknown")) {
        cpu_info("Features", have, sizeof have);
    }
    size_t used = 0;
    out[0] = 0;
    for (char *save, *word = strtok_r(have, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            if (!strcmp(word, wanted[i]) && used < size) {
                used += (size_t)snprintf(out + used, size - used, "%s%s", used ? " " : "", word);
            }
        }
    }
}

void vqs_provenance_add_build(struct vqs_provenance *p) {
    static const char *const parallel[] = {"serial", "pthread", "openmp"};
    vqs_provenance_add(p, "code_version", "%s", VQS_CODE_VERSION);
#ifdef __clang__
    vqs_provenance_add(p, "compiler", "%s", __VERSION__);
#else
    vqs_provenance_add(p, "compiler", "gcc %s", __VERSION__);
#endif
    vqs_provenance_add(p, "compiler_flags", "%s", VQS_BUILD_FLAGS);

    char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    MPI_Get_library_version(mpi, &length);
    mpi[strcspn(mpi, "\n")] = 0;
    vqs_provenance_add(p, "mpi", "%s", mpi);

    unsigned major, minor, release;
    H5get_libversion(&major, &minor, &release);
    vqs_provenance_add(p, "hdf5", "%u.%u.%u", major, minor, release);

    int how = openblas_get_parallel();
    vqs_provenance_add(p, "openblas", "%s", openblas_get_config());
    vqs_provenance_add(p, "openblas_kernel", "%s", openblas_get_corename());
    vqs_provenance_add(p, "openblas_parallel", "%s", how >= 0 && how < 3 ? parallel[how] : "unknown");
    const char *coretype = getenv("OPENBLAS_CORETYPE");
    if (coretype) {
        vqs_provenance_add(p, "OPENBLAS_CORETYPE", "%s", coretype);
    }

    char text[512];
    cpu_info("model name", text, sizeof text);
    vqs_provenance_add(p, "cpu", "%s", text);
    cpu_features(text, sizeof text);
    vqs_provenance_add(p, "cpu_features", "%s", text);
    vqs_provenance_add(p, "cpu_class", "%s", vqs_kernels_cpu_class());
}
