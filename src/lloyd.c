/* lloyd.c - k-means on encoded samples. */
#include "vqsweep/lloyd.h"

#include <math.h>
#include <string.h>

enum {
    T = VQS_TILE,
    SIDE = 8 /* tiles whose sums are taken side by side: each is a chain of additions */
};

static size_t n_tiles(size_t n) {
    return (n + T - 1) / T;
}

/* Distances are summed by SIDE tiles at a time: those past the last sample are 0, and stay the least. */
static size_t n_summed(size_t n) {
    return (n_tiles(n) + SIDE - 1) / SIDE * SIDE * T;
}

static const vqs_real *tile_of(const struct vqs_lloyd_problem *p, size_t tile) {
    return p->z + tile * p->stride;
}

static int lanes_of(const struct vqs_lloyd_problem *p, size_t tile) {
    size_t left = p->n - tile * T;
    return left < T ? (int)left : T;
}

static void copy_sample(const struct vqs_lloyd_problem *p, size_t i, vqs_real *code) {
    const vqs_real *z = tile_of(p, i / T) + i % T;
    for (int c = 0; c < p->d; c++) {
        code[c] = z[c * T];
    }
}

void vqs_lloyd_carve(struct vqs_arena *arena, size_t n, int d, int K, struct vqs_lloyd_scratch *s) {
    size_t codes = (size_t)K * (size_t)d;
    s->near = vqs_arena_take(arena, n_summed(n), sizeof *s->near);
    s->codes = vqs_arena_take(arena, codes, sizeof *s->codes);
    s->packed = vqs_arena_take(arena, vqs_packed_codes(K) * (size_t)d, sizeof *s->packed);
    s->half_norm = vqs_arena_take(arena, vqs_packed_codes(K), sizeof *s->half_norm);
    s->sums = vqs_arena_take(arena, codes, sizeof *s->sums);
    s->counts = vqs_arena_take(arena, (size_t)K, sizeof *s->counts);
}

/* The sum of each of SIDE tiles, in `vqs_real`, in the order of its lanes. */
static void sum_tiles(const vqs_real *near, vqs_real sum[SIDE]) {
    for (int t = 0; t < SIDE; t++) {
        sum[t] = 0;
    }
    for (int l = 0; l < T; l++) {
        for (int t = 0; t < SIDE; t++) {
            sum[t] += near[t * T + l];
        }
    }
}

/* The same in double. */
static void sum_tiles_finely(const vqs_real *near, double sum[SIDE]) {
    for (int t = 0; t < SIDE; t++) {
        sum[t] = 0;
    }
    for (int l = 0; l < T; l++) {
        for (int t = 0; t < SIDE; t++) {
            sum[t] += (double)near[t * T + l];
        }
    }
}

/* The sum of all squared distances. */
static double total_of(const struct vqs_lloyd_problem *p, const vqs_real *near) {
    double total = 0;
    for (size_t tile = 0; tile < n_tiles(p->n); tile += SIDE) {
        vqs_real sum[SIDE];
        sum_tiles(near + tile * T, sum);
        for (int t = 0; t < SIDE; t++) {
            total += (double)sum[t];
        }
    }
    return total;
}

/* The first sample of a tile at which the sum passes `target`; -1: none. */
static int pick_in_tile(const vqs_real *near, double sum, double target) {
    for (int l = 0; l < T; l++) {
        sum += (double)near[l];
        if (near[l] > 0 && sum > target) {
            return l;
        }
    }
    return -1;
}

/* The sample at which the running sum of squared distances passes `target`; zero distances are passed over. */
static size_t pick(const struct vqs_lloyd_problem *p, const vqs_real *near, double target) {
    double before = 0;
    for (size_t tile = 0; tile < n_tiles(p->n); tile += SIDE) {
        double sum[SIDE];
        sum_tiles_finely(near + tile * T, sum);
        for (size_t t = 0; t < SIDE; t++) {
            if (before + sum[t] > target) {
                const int l = pick_in_tile(near + (tile + t) * T, before, target);
                if (l >= 0) {
                    return (tile + t) * T + (size_t)l;
                }
            }
            before += sum[t];
        }
    }
    size_t last = p->n - 1; /* rounding left a little over */
    while (last > 0 && !(near[last] > 0)) {
        last--;
    }
    return last;
}

/* k-means++: each centre is a sample drawn with probability proportional to its squared distance to those before. */
static void seed_codes(const struct vqs_lloyd_problem *p, uint32_t restart, struct vqs_lloyd_scratch *s) {
    const struct vqs_stream draws = {p->kernels, p->seed, VQS_RNG_KMEANS, p->codebook << 16 | restart};
    for (size_t i = 0; i < n_summed(p->n); i++) {
        s->near[i] = i < p->n ? (vqs_real)1e30 : 0;
    }
    copy_sample(p, (size_t)(vqs_rng_unit(&draws, 0) * (double)p->n), s->codes);
    for (int j = 1; j < p->K; j++) {
        const vqs_real *newest = s->codes + (size_t)(j - 1) * (size_t)p->d;
        for (size_t tile = 0; tile < n_tiles(p->n); tile++) {
            p->kernels->nearer(p->d, newest, tile_of(p, tile), s->near + tile * T);
        }
        const double target = vqs_rng_unit(&draws, (uint64_t)j) * total_of(p, s->near);
        copy_sample(p, pick(p, s->near, target), s->codes + (size_t)j * (size_t)p->d);
    }
}

/* Assign all samples to the codes; sums and counts of each code. Returns the distortion well enough to compare, as
 * sum |z|^2 - 2 sum_k c_k . s_k + sum_k n_k |c_k|^2 with s_k the sum of a code's samples, in double. */
static double assign_all(const struct vqs_lloyd_problem *p, double z_squares, struct vqs_lloyd_scratch *s) {
    const size_t d = (size_t)p->d;
    p->kernels->pack_codes(p->K, p->d, s->codes, s->packed, s->half_norm);
    memset(s->sums, 0, (size_t)p->K * d * sizeof *s->sums);
    memset(s->counts, 0, (size_t)p->K * sizeof *s->counts);
    for (size_t tile = 0; tile < n_tiles(p->n); tile++) {
        const vqs_real *z = tile_of(p, tile);
        uint32_t k[T];
        p->kernels->assign(p->K, p->d, s->packed, s->half_norm, z, k);
        const int lanes = lanes_of(p, tile);
        for (int l = 0; l < lanes; l++) {
            s->counts[k[l]]++;
        }
        p->kernels->sum_by_code(lanes, p->d, k, z, s->sums);
    }
    double distortion = z_squares;
    for (size_t j = 0; j < (size_t)p->K; j++) {
        for (size_t c = 0; c < d; c++) {
            const double code = (double)s->codes[j * d + c];
            distortion += code * (s->counts[j] * code - 2 * s->sums[j * d + c]);
        }
    }
    return distortion;
}

static double sum_of_squares(const struct vqs_lloyd_problem *p) {
    double sum = 0;
    for (size_t tile = 0; tile < n_tiles(p->n); tile++) {
        const vqs_real *z = tile_of(p, tile);
        const int lanes = lanes_of(p, tile);
        for (int c = 0; c < p->d; c++) {
            for (int l = 0; l < lanes; l++) {
                sum += (double)z[c * T + l] * (double)z[c * T + l];
            }
        }
    }
    return sum;
}

static void move_codes(const struct vqs_lloyd_problem *p, struct vqs_lloyd_scratch *s) {
    for (int j = 0; j < p->K; j++) {
        for (int c = 0; s->counts[j] && c < p->d; c++) {
            size_t i = (size_t)j * (size_t)p->d + (size_t)c;
            s->codes[i] = (vqs_real)(s->sums[i] / s->counts[j]);
        }
    }
}

/* sum |z - q|^2 from its definition, for the codes in scratch. */
static double distortion_of(const struct vqs_lloyd_problem *p, struct vqs_lloyd_scratch *s) {
    double sum = 0;
    p->kernels->pack_codes(p->K, p->d, s->codes, s->packed, s->half_norm);
    for (size_t tile = 0; tile < n_tiles(p->n); tile++) {
        const vqs_real *z = tile_of(p, tile);
        uint32_t k[T];
        p->kernels->assign(p->K, p->d, s->packed, s->half_norm, z, k);
        const int lanes = lanes_of(p, tile);
        for (int l = 0; l < lanes; l++) {
            for (int c = 0; c < p->d; c++) {
                const double e = (double)z[c * T + l] - (double)s->codes[k[l] * (size_t)p->d + (size_t)c];
                sum += e * e;
            }
        }
    }
    return sum;
}

double vqs_lloyd(const struct vqs_lloyd_problem *p, struct vqs_lloyd_scratch *s, vqs_real *codes) {
    const double z_squares = sum_of_squares(p);
    double best = INFINITY;
    for (int restart = 0; restart < p->restarts; restart++) {
        seed_codes(p, (uint32_t)restart, s);
        double distortion = assign_all(p, z_squares, s);
        for (int i = 0; i < p->iterations; i++) {
            double before = distortion;
            move_codes(p, s);
            distortion = assign_all(p, z_squares, s);
            if (!(before - distortion > p->tolerance * before)) {
                break;
            }
        }
        if (restart == 0 || distortion < best) {
            best = distortion;
            memcpy(codes, s->codes, (size_t)p->K * (size_t)p->d * sizeof *codes);
        }
    }
    memcpy(s->codes, codes, (size_t)p->K * (size_t)p->d * sizeof *codes);
    return isfinite(best) ? distortion_of(p, s) : NAN;
}
