/* kernels.c - chooses among the instruction sets that kernels_isa.c was compiled for. */
#include "vqsweep/kernels.h"

#include <stdlib.h>
#include <string.h>

extern const struct vqs_kernels vqs_kernels_portable;
#if defined(__x86_64__)
extern const struct vqs_kernels vqs_kernels_avx2, vqs_kernels_avx512;

static bool cpu_has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}

static bool cpu_has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

static bool cpu_has_all(void) {
    return true;
}

static const struct {
    const struct vqs_kernels *kernels;
    bool (*supported)(void);
} classes[] = { /* best first */
#if defined(__x86_64__)
    {&vqs_kernels_avx512, cpu_has_avx512},
    {&vqs_kernels_avx2, cpu_has_avx2},
#endif
    {&vqs_kernels_portable, cpu_has_all},
};

enum { N_CLASSES = sizeof classes / sizeof classes[0] };

const struct vqs_kernels *vqs_kernels_for(const char *cpu_class) {
    for (int i = 0; i < N_CLASSES; i++) {
        if (!strcmp(classes[i].kernels->cpu_class, cpu_class)) {
            return classes[i].supported() ? classes[i].kernels : NULL;
        }
    }
    return NULL;
}

const struct vqs_kernels *vqs_kernels_get(void) {
    const char *wanted = getenv("VQSWEEP_CPU_CLASS");
    const struct vqs_kernels *kernels = wanted ? vqs_kernels_for(wanted) : NULL;
    for (int i = 0; !kernels; i++) {
        kernels = classes[i].supported() ? classes[i].kernels : NULL;
    }
    return kernels;
}

const char *vqs_kernels_class(int i) {
    return i < N_CLASSES ? classes[i].kernels->cpu_class : NULL;
}

const char *vqs_kernels_cpu_class(void) {
    return vqs_kernels_get()->cpu_class;
}
