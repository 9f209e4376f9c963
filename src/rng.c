/* rng.c - element-wise access to the groups of random numbers that the kernels make. */
#include "vqsweep/rng.h"

#include <math.h>
#include <string.h>

#ifdef VQS_REAL_IS_DOUBLE
#define real_nextafter nextafter
#else
#define real_nextafter nextafterf
#endif

enum { GROUP = VQS_RNG_GROUP };

void vqs_rng_words(const struct vqs_stream *s, uint64_t first, size_t n, uint32_t *out) {
    while (n) {
        size_t offset = (size_t)(first % GROUP), whole = n / GROUP;
        if (offset == 0 && whole) {
            s->kernels->words(s->seed, s->purpose, s->stream, first / GROUP, whole, out);
            whole *= GROUP;
        } else { /* part of a group */
            uint32_t group[GROUP];
            s->kernels->words(s->seed, s->purpose, s->stream, first / GROUP, 1, group);
            whole = GROUP - offset < n ? GROUP - offset : n;
            memcpy(out, group + offset, whole * sizeof *out);
        }
        first += whole;
        out += whole;
        n -= whole;
    }
}

void vqs_rng_normal(const struct vqs_stream *s, uint64_t first, size_t n, vqs_real scale, vqs_real *out) {
    while (n) {
        size_t offset = (size_t)(first % GROUP), whole = n / GROUP;
        if (offset == 0 && whole) {
            s->kernels->normals(s->seed, s->purpose, s->stream, first / GROUP, whole, scale, out);
            whole *= GROUP;
        } else {
            vqs_real group[GROUP];
            s->kernels->normals(s->seed, s->purpose, s->stream, first / GROUP, 1, scale, group);
            whole = GROUP - offset < n ? GROUP - offset : n;
            memcpy(out, group + offset, whole * sizeof *out);
        }
        first += whole;
        out += whole;
        n -= whole;
    }
}

void vqs_rng_uniform(const struct vqs_stream *s, uint64_t first, size_t n, vqs_real low, vqs_real high,
                     vqs_real *out) {
    const vqs_real below_high = real_nextafter(high, low);
    uint32_t words[GROUP];
    for (size_t done = 0; done < n;) {
        size_t part = n - done < GROUP ? n - done : GROUP;
        vqs_rng_words(s, first + done, part, words);
        for (size_t i = 0; i < part; i++) { /* 24 bits, exact in float; the sum may still round up to `high` */
            const vqs_real x = low + (high - low) * ((vqs_real)(words[i] >> 8) * (vqs_real)(1.0 / 16777216.0));
            out[done + i] = x < high ? x : below_high;
        }
        done += part;
    }
}

double vqs_rng_unit(const struct vqs_stream *s, uint64_t index) {
    uint32_t word;
    vqs_rng_words(s, index, 1, &word);
    return (double)word / 4294967296.0;
}

void vqs_rng_permutation(const struct vqs_stream *s, uint32_t n, uint32_t *perm) {
    uint32_t words[16 * GROUP];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i % (16 * GROUP);
        if (at == 0) {
            uint32_t left = n - i;
            vqs_rng_words(s, i, left < 16 * GROUP ? (left + GROUP - 1) / GROUP * GROUP : 16 * GROUP, words);
        }
        /* the inside-out form: no separate pass to fill in 0..n-1 */
        uint32_t j = (uint32_t)(((uint64_t)words[at] * (i + 1)) >> 32);
        perm[i] = perm[j];
        perm[j] = i;
    }
}
