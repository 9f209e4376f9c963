/* rng.h - counter-based random numbers: Philox4x32-10 (Salmon et al. 2011), through Random123.
 *
 * The one rule: a number is a pure function of (seed, purpose, stream, index). It is never keyed by estimator, rank,
 * thread or attempt, so two trials of equal seed see the same data, initial weights and batch order (common random
 * numbers), and every comparison between them is paired.
 *
 * There is no state: a stream is three numbers, copied freely. Key = seed; counter = (index of block, purpose, stream).
 * Element i of a stream stands in group i / 64, component (i % 64) / 16 of block 16 (i / 64) + i % 16, which lets any
 * vector width produce the same order.
 */
#ifndef VQSWEEP_RNG_H
#define VQSWEEP_RNG_H

#include "vqsweep/kernels.h"

enum vqs_purpose {
    VQS_RNG_DATA = 1,      /* basis, latents, mixture, choice of samples of a file */
    VQS_RNG_NOISE = 2,     /* e of x = U s + sigma e */
    VQS_RNG_ENCODER = 3,   /* initial W */
    VQS_RNG_DECODER = 4,   /* initial V */
    VQS_RNG_CODEBOOK = 5,  /* initial codes; where they are samples, stream = codebook */
    VQS_RNG_BATCHES = 6,   /* order of samples; stream = epoch */
    VQS_RNG_ESTIMATOR = 7, /* an estimator's own noise; stream = step */
    VQS_RNG_KMEANS = 8,     /* k-means++; stream = 65536 codebook + restart */
    VQS_RNG_EVALUATION = 9, /* held-out latents; noise of held-out samples */
    VQS_RNG_PROBE = 10,     /* smoothing of the loss; stream = probe */
    VQS_RNG_REVIVAL = 11    /* where in the batch revived codes come from; stream = step, index = codebook */
};

struct vqs_stream {
    const struct vqs_kernels *kernels;
    uint64_t seed;
    uint32_t purpose, stream;
};

/* Elements [first, first + n) of the stream, as standard normals times `scale` (Box-Muller), uniforms in [low, high),
 * or 32-bit words. */
void vqs_rng_normal(const struct vqs_stream *s, uint64_t first, size_t n, vqs_real scale, vqs_real *out);
void vqs_rng_uniform(const struct vqs_stream *s, uint64_t first, size_t n, vqs_real low, vqs_real high, vqs_real *out);
void vqs_rng_words(const struct vqs_stream *s, uint64_t first, size_t n, uint32_t *out);
/* Element `index` as a double in [0, 1). */
double vqs_rng_unit(const struct vqs_stream *s, uint64_t index);
/* A random permutation of 0..n-1 (Fisher-Yates over the stream's first n words; bounds by multiplication, whose bias is
 * below n / 2^32). */
void vqs_rng_permutation(const struct vqs_stream *s, uint32_t n, uint32_t *perm);

#endif
