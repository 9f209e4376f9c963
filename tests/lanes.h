/* lanes.h - what the tests of kernels on tiles share: shapes, and samples moved to other lanes. */
#ifndef LANES_H
#define LANES_H

#include "testing.h"
#include "vqsweep/estimators.h"

enum { T = VQS_TILE };

/* Latent dimensions on both sides of every vector width, and those that kernels are instantiated for. */
static const int latents[] = {1, 2, 3, 4, 5, 8, 16, 17, 32, 64, 100};

/* A rearrangement of the lanes. */
static inline void draw_lanes(uint64_t *state, int lanes[T]) {
    for (int l = 0; l < T; l++) {
        const int other = (int)(test_random(state) % (unsigned)(l + 1));
        lanes[l] = lanes[other];
        lanes[other] = l;
    }
}

/* out[i][lanes[l]] = in[i][l]; the caller frees it. */
static inline vqs_real *move_lanes(int d, const int lanes[T], const vqs_real *in) {
    vqs_real *out = test_reals((size_t)d * T);
    for (int i = 0; i < d; i++) {
        for (int l = 0; l < T; l++) {
            out[i * T + lanes[l]] = in[i * T + l];
        }
    }
    return out;
}

#endif
