/* profile.c - time by phases of a trial. */
#include "vqsweep/profile.h"

void vqs_profile_start(struct vqs_profile *p) {
    if (p) {
        p->last = vqs_clock_seconds();
    }
}

void vqs_profile_book(struct vqs_profile *p, enum vqs_phase phase) {
    const double now = vqs_clock_seconds();
    p->seconds[phase] += now - p->last;
    p->last = now;
}

void vqs_profile_add(const struct vqs_profile *p, struct vqs_profile *sum) {
    for (int i = 0; i < VQS_N_PHASES; i++) {
        sum->seconds[i] += p->seconds[i];
    }
}

const char *vqs_profile_text(enum vqs_phase phase) {
    static const char *const texts[] = {
#define VQS_X(symbol, text) text,
        VQS_PROFILE_TABLE(VQS_X)
#undef VQS_X
    };
    return texts[phase];
}
