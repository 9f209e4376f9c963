/* lloyd.h - k-means: the baseline, an initial codebook, and what the Lloyd gap is measured against.
 *
 * The one rule: it works on encoded samples in tiles ([tiles][d][VQS_TILE], kernels.h) and is a pure function of them
 * and of the stream it is given.
 *
 * k-means++ starts (Arthur, Vassilvitskii 2007), Lloyd's iteration (Lloyd 1982), the best of the restarts by distortion.
 * A code that loses all its samples stays where it is.
 */
#ifndef VQSWEEP_LLOYD_H
#define VQSWEEP_LLOYD_H

#include "vqsweep/rng.h"

struct vqs_lloyd_problem {
    const struct vqs_kernels *kernels;
    uint64_t seed;
    uint32_t codebook; /* its number: streams are of purpose VQS_RNG_KMEANS, 65536 codebook + restart */
    const vqs_real *z; /* tiles [d][VQS_TILE], lanes past n arbitrary but finite, */
    size_t stride;     /* values from one to the next */
    size_t n;
    int d, K;
    int restarts, iterations;
    double tolerance; /* stop a start once an iteration lowers the distortion by less than this share */
};

/* Bytes of scratch are taken from the arena (which may measure, base.h). */
struct vqs_lloyd_scratch {
    vqs_real *near;        /* [tiles][VQS_TILE] squared distance to the nearest centre so far, */
    vqs_real *near_sum;    /* [tiles] its sum over a tile */
    double *near_sum_fine; /* [tiles] taken in double */
    uint32_t *nearer;      /* [tiles] those that the newest centre is the nearest in */
    uint32_t *k, *best_k;  /* [tiles][VQS_TILE] codes of the samples, in the start in work and in the best one */
    uint32_t *doubtful;    /* [n] samples */
    vqs_real *codes, *before, *moved_codes; /* [K][d] now, before they were last moved, and those that this did move */
    vqs_real *packed, *half_norm;
    int64_t *sums;      /* [K + 1][d] of a code's samples */
    uint32_t *counts;   /* [K + 1] */
    bool *is_touched;   /* [K + 1] samples have come or gone since codes last moved */
    uint32_t *moved;    /* [K] the codes that did move */
    uint32_t *is_moved; /* [K] 1: is among them */
    vqs_real *tile;     /* [d][VQS_TILE] */
};
void vqs_lloyd_carve(struct vqs_arena *arena, size_t n, int d, int K, struct vqs_lloyd_scratch *scratch);

/* Best codebook found into codes [K][d]; returns its distortion sum |z - q|^2 over the n samples (NaN if z is not
 * finite). K <= n. */
double vqs_lloyd(const struct vqs_lloyd_problem *problem, struct vqs_lloyd_scratch *scratch, vqs_real *codes);

#endif
