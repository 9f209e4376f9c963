/* lloyd.c - k-means on encoded samples.
 *
 * Most samples keep their code from one iteration to the next, and in a large codebook most codes soon keep their
 * place. So the sums of a code's samples follow only those that change, and once few codes move, samples are compared
 * with those alone. Neither changes a result: sums are of integers, which have no order, and scores those of `assign`.
 */
#include "vqsweep/lloyd.h"

#include <math.h>
#include <string.h>

enum {
    T = VQS_TILE,
    SIDE = 8 /* tiles whose sums are taken side by side: each is a chain of additions */
};

/* The code of a sample that has none yet. */
static const uint32_t no_code = UINT32_MAX;

/* Below this sum |z|^2 no score leaves the range of `vqs_real`. */
static const double safe_squares = 1e37;

static size_t n_tiles(size_t n) {
    return (n + T - 1) / T;
}

static const vqs_real *tile_of(const struct vqs_lloyd_problem *p, size_t tile) {
    return p->z + tile * p->stride;
}

static int lanes_of(const struct vqs_lloyd_problem *p, size_t tile) {
    size_t left = p->n - tile * T;
    return left < T ? (int)left : T;
}

/* Bit l: lane l of the tile is a sample. */
static uint32_t samples_of(const struct vqs_lloyd_problem *p, size_t tile) {
    return UINT32_MAX >> (T - lanes_of(p, tile));
}

static void copy_sample(const struct vqs_lloyd_problem *p, size_t i, vqs_real *code) {
    const vqs_real *z = tile_of(p, i / T) + i % T;
    for (int c = 0; c < p->d; c++) {
        code[c] = z[c * T];
    }
}

void vqs_lloyd_carve(struct vqs_arena *arena, size_t n, int d, int K, struct vqs_lloyd_scratch *s) {
    const size_t tiles = n_tiles(n), codes = (size_t)K * (size_t)d;
    s->near = vqs_arena_take(arena, tiles * T, sizeof *s->near);
    s->near_sum = vqs_arena_take(arena, tiles, sizeof *s->near_sum);
    s->near_sum_fine = vqs_arena_take(arena, tiles, sizeof *s->near_sum_fine);
    s->nearer = vqs_arena_take(arena, tiles, sizeof *s->nearer);
    s->k = vqs_arena_take(arena, tiles * T, sizeof *s->k);
    s->best_k = vqs_arena_take(arena, tiles * T, sizeof *s->best_k);
    s->doubtful = vqs_arena_take(arena, n, sizeof *s->doubtful);
    s->codes = vqs_arena_take(arena, codes, sizeof *s->codes);
    s->before = vqs_arena_take(arena, codes, sizeof *s->before);
    s->moved_codes = vqs_arena_take(arena, codes, sizeof *s->moved_codes);
    s->packed = vqs_arena_take(arena, vqs_packed_codes(K) * (size_t)d, sizeof *s->packed);
    s->half_norm = vqs_arena_take(arena, vqs_packed_codes(K), sizeof *s->half_norm);
    s->sums = vqs_arena_take(arena, codes + (size_t)d, sizeof *s->sums);
    s->counts = vqs_arena_take(arena, (size_t)K + 1, sizeof *s->counts);
    s->moved = vqs_arena_take(arena, (size_t)K, sizeof *s->moved);
    s->is_moved = vqs_arena_take(arena, (size_t)K, sizeof *s->is_moved);
    s->is_touched = vqs_arena_take(arena, (size_t)K + 1, sizeof *s->is_touched);
    s->tile = vqs_arena_take(arena, (size_t)d * T, sizeof *s->tile);
}

/* ---- starts ---------------------------------------------------------------------------------------------------- */

/* The sums of the n tiles listed in s->nearer, in the order of their lanes: in `vqs_real`, to draw from, and in double,
 * to find what was drawn. */
static void sum_tiles(size_t n, struct vqs_lloyd_scratch *s) {
    for (size_t first = 0; first < n; first += SIDE) {
        const vqs_real *near[SIDE];
        vqs_real sum[SIDE] = {0};
        double fine[SIDE] = {0};
        for (size_t t = 0; t < SIDE; t++) {
            near[t] = s->near + (size_t)s->nearer[first + t < n ? first + t : n - 1] * T;
        }
        for (int l = 0; l < T; l++) {
            for (int t = 0; t < SIDE; t++) {
                sum[t] += near[t][l];
                fine[t] += (double)near[t][l];
            }
        }
        for (size_t t = 0; t < SIDE && first + t < n; t++) {
            s->near_sum[s->nearer[first + t]] = sum[t];
            s->near_sum_fine[s->nearer[first + t]] = fine[t];
        }
    }
}

/* The sum of all squared distances. */
static double total_of(const struct vqs_lloyd_problem *p, const struct vqs_lloyd_scratch *s) {
    double total = 0;
    for (size_t tile = 0; tile < n_tiles(p->n); tile++) {
        total += (double)s->near_sum[tile];
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
static size_t pick(const struct vqs_lloyd_problem *p, const struct vqs_lloyd_scratch *s, double target) {
    double before = 0;
    for (size_t tile = 0; tile < n_tiles(p->n); tile++) {
        if (before + s->near_sum_fine[tile] > target) {
            const int l = pick_in_tile(s->near + tile * T, before, target);
            if (l >= 0) {
                return tile * T + (size_t)l;
            }
        }
        before += s->near_sum_fine[tile];
    }
    size_t last = p->n - 1; /* rounding left a little over */
    while (last > 0 && !(s->near[last] > 0)) {
        last--;
    }
    return last;
}

/* k-means++: each centre is a sample drawn with probability proportional to its squared distance to those before. */
static void seed_codes(const struct vqs_lloyd_problem *p, uint32_t restart, struct vqs_lloyd_scratch *s) {
    const struct vqs_stream draws = {p->kernels, p->seed, VQS_RNG_KMEANS, p->codebook << 16 | restart};
    const size_t tiles = n_tiles(p->n);
    for (size_t i = 0; i < tiles * T; i++) { /* lanes past the last sample are 0, and stay the nearest */
        s->near[i] = i < p->n ? (vqs_real)1e30 : 0;
    }
    copy_sample(p, (size_t)(vqs_rng_unit(&draws, 0) * (double)p->n), s->codes);
    for (int j = 1; j < p->K; j++) {
        const vqs_real *newest = s->codes + (size_t)(j - 1) * (size_t)p->d;
        sum_tiles(p->kernels->nearer(p->d, tiles, p->stride, newest, p->z, s->near, s->nearer), s);
        const double target = vqs_rng_unit(&draws, (uint64_t)j) * total_of(p, s);
        copy_sample(p, pick(p, s, target), s->codes + (size_t)j * (size_t)p->d);
    }
}

/* ---- iterations ------------------------------------------------------------------------------------------------ */

/* What all starts share. */
struct run {
    const struct vqs_lloyd_problem *p;
    struct vqs_lloyd_scratch *s;
    double z_squares;      /* sum |z|^2 */
    double unit, per_unit; /* of s->sums, a power of 2, and 1 / unit */
};

/* Sample i goes to code `to`. */
static void reassign(const struct run *r, size_t i, uint32_t to) {
    struct vqs_lloyd_scratch *s = r->s;
    const size_t d = (size_t)r->p->d, K = (size_t)r->p->K;
    const vqs_real *z = tile_of(r->p, i / T) + i % T;
    const size_t from = s->k[i] == no_code ? K : s->k[i]; /* what comes from nowhere is taken from a spare code */
    int64_t *gains = s->sums + to * d, *loses = s->sums + from * d;
    for (size_t c = 0; c < d; c++) {
        const int64_t value = (int64_t)((double)z[c * T] * r->per_unit);
        gains[c] += value;
        loses[c] -= value;
    }
    s->counts[to]++;
    s->counts[from]--;
    s->is_touched[to] = s->is_touched[from] = true;
    s->k[i] = to;
}

/* The samples of a tile go to the codes k. */
static void reassign_tile(const struct run *r, size_t tile, const uint32_t k[T]) {
    uint32_t left = r->p->kernels->differ(r->s->k + tile * T, k) & samples_of(r->p, tile);
    for (; left; left &= left - 1) {
        const int l = __builtin_ctz(left);
        reassign(r, tile * T + (size_t)l, k[l]);
    }
}

/* Every sample to the nearest of all codes. */
static void assign_all(const struct run *r) {
    const struct vqs_lloyd_problem *p = r->p;
    struct vqs_lloyd_scratch *s = r->s;
    p->kernels->pack_codes(p->K, p->d, s->codes, s->packed, s->half_norm);
    for (size_t tile = 0; tile < n_tiles(p->n); tile++) {
        uint32_t k[T];
        p->kernels->assign(p->K, p->d, s->packed, s->half_norm, tile_of(p, tile), k);
        reassign_tile(r, tile, k);
    }
}

/* The same for the n samples listed in s->doubtful. */
static void assign_doubtful(const struct run *r, size_t n) {
    const struct vqs_lloyd_problem *p = r->p;
    struct vqs_lloyd_scratch *s = r->s;
    p->kernels->pack_codes(p->K, p->d, s->codes, s->packed, s->half_norm);
    for (size_t first = 0; first < n; first += T) {
        const size_t lanes = n - first < T ? n - first : T;
        uint32_t k[T];
        for (size_t l = 0; l < T; l++) {
            const size_t i = s->doubtful[first + (l < lanes ? l : 0)];
            for (int c = 0; c < p->d; c++) {
                s->tile[(size_t)c * T + l] = tile_of(p, i / T)[(size_t)c * T + i % T];
            }
        }
        p->kernels->assign(p->K, p->d, s->packed, s->half_norm, s->tile, k);
        for (size_t l = 0; l < lanes; l++) {
            if (k[l] != s->k[s->doubtful[first + l]]) {
                reassign(r, s->doubtful[first + l], k[l]);
            }
        }
    }
}

/* Whether assign_moved is the quicker way, and a right one. */
static bool few_moved(const struct run *r, int moved) {
    const int spared = (r->p->K - moved) * (r->p->d + 3); /* operations a sample, about */
    return moved <= r->p->K / 2 && spared > 250 && r->z_squares < safe_squares;
}

/* What assign_all does, where only the n codes listed in s->moved have moved, from s->before. */
static void assign_moved(const struct run *r, int n) {
    const struct vqs_lloyd_problem *p = r->p;
    struct vqs_lloyd_scratch *s = r->s;
    const size_t d = (size_t)p->d;
    size_t doubtful = 0;
    if (n == 0) {
        return;
    }
    for (int m = 0; m < n; m++) {
        memcpy(s->moved_codes + (size_t)m * d, s->codes + s->moved[m] * d, d * sizeof *s->codes);
    }
    p->kernels->pack_codes(n, p->d, s->moved_codes, s->packed, s->half_norm);
    for (size_t tile = 0; tile < n_tiles(p->n); tile++) {
        const vqs_real *z = tile_of(p, tile);
        vqs_real own[T], best[T];
        uint32_t k[T];
        p->kernels->lookup(p->d, s->before, s->k + tile * T, s->tile);
        p->kernels->score(p->d, s->tile, z, own);
        p->kernels->assign(n, p->d, s->packed, s->half_norm, z, k);
        p->kernels->lookup(p->d, s->moved_codes, k, s->tile);
        p->kernels->score(p->d, s->tile, z, best);
        uint32_t left = p->kernels->choose(own, best, s->k + tile * T, s->moved, s->is_moved, k);
        left &= samples_of(p, tile);
        reassign_tile(r, tile, k);
        for (; left; left &= left - 1) {
            s->doubtful[doubtful++] = (uint32_t)(tile * T) + (uint32_t)__builtin_ctz(left);
        }
    }
    assign_doubtful(r, doubtful);
}

/* The distortion of the samples' codes well enough to compare, as sum |z|^2 - 2 sum_k c_k . s_k + sum_k n_k |c_k|^2
 * with s_k the sum of a code's samples. */
static double compare_distortion(const struct run *r) {
    const struct vqs_lloyd_scratch *s = r->s;
    const size_t d = (size_t)r->p->d;
    double distortion = r->z_squares;
    for (size_t j = 0; j < (size_t)r->p->K; j++) {
        double share = 0;
        for (size_t c = j * d; c < (j + 1) * d; c++) {
            const double code = (double)s->codes[c];
            share += code * (s->counts[j] * code - 2 * ((double)s->sums[c] * r->unit));
        }
        distortion += share;
    }
    return distortion;
}

/* Codes become the means of their samples. Lists in s->moved those that this moves, from s->before; returns how many.
 */
static int move_codes(const struct run *r) {
    struct vqs_lloyd_scratch *s = r->s;
    const size_t d = (size_t)r->p->d;
    int n = 0;
    memcpy(s->before, s->codes, (size_t)r->p->K * d * sizeof *s->codes);
    for (size_t j = 0; j < (size_t)r->p->K; j++) {
        bool moved = false;
        for (size_t c = j * d; s->is_touched[j] && s->counts[j] && c < (j + 1) * d; c++) {
            s->codes[c] = (vqs_real)((double)s->sums[c] * r->unit / s->counts[j]);
            moved |= s->codes[c] != s->before[c];
        }
        s->is_touched[j] = false;
        s->is_moved[j] = moved;
        if (moved) {
            s->moved[n++] = (uint32_t)j;
        }
    }
    return n;
}

/* One start, from the codes in scratch to those that it ends with. Returns their distortion. */
static double iterate(const struct run *r) {
    const struct vqs_lloyd_problem *p = r->p;
    struct vqs_lloyd_scratch *s = r->s;
    const size_t K = (size_t)p->K;
    for (size_t i = 0; i < n_tiles(p->n) * T; i++) {
        s->k[i] = i < p->n ? no_code : 0;
    }
    memset(s->sums, 0, (K + 1) * (size_t)p->d * sizeof *s->sums);
    memset(s->counts, 0, (K + 1) * sizeof *s->counts);
    memset(s->is_touched, 0, (K + 1) * sizeof *s->is_touched);
    assign_all(r);
    double distortion = compare_distortion(r);
    for (int i = 0; i < p->iterations; i++) {
        const double before = distortion;
        const int moved = move_codes(r);
        if (few_moved(r, moved)) {
            assign_moved(r, moved);
        } else {
            assign_all(r);
        }
        distortion = compare_distortion(r);
        if (!(before - distortion > p->tolerance * before)) {
            break;
        }
    }
    return distortion;
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

/* sum |z - q|^2 from its definition, q being the codes k, or 0 without. */
static double distortion_of(const struct vqs_lloyd_problem *p, const vqs_real *codes, const uint32_t *k, vqs_real *q) {
    double sum = 0;
    memset(q, 0, (size_t)p->d * T * sizeof *q);
    for (size_t tile = 0; tile < n_tiles(p->n); tile++) {
        if (k) {
            p->kernels->lookup(p->d, codes, k + tile * T, q);
        }
        sum += p->kernels->distance(lanes_of(p, tile), p->d, tile_of(p, tile), q);
    }
    return sum;
}

double vqs_lloyd(const struct vqs_lloyd_problem *p, struct vqs_lloyd_scratch *s, vqs_real *codes) {
    struct run r = {.p = p, .s = s, .z_squares = distortion_of(p, NULL, NULL, s->tile)};
    int above = 0; /* 2^above is more than any sum of z, by Cauchy and Schwarz */
    frexp(sqrt((double)p->n * r.z_squares), &above);
    r.unit = ldexp(1, above - 62);
    r.per_unit = ldexp(1, 62 - above);
    double best = INFINITY;
    for (int restart = 0; restart < p->restarts; restart++) {
        seed_codes(p, (uint32_t)restart, s);
        const double distortion = isfinite(r.z_squares) ? iterate(&r) : NAN;
        if (restart == 0 || distortion < best) {
            best = distortion;
            memcpy(codes, s->codes, (size_t)p->K * (size_t)p->d * sizeof *codes);
            memcpy(s->best_k, s->k, n_tiles(p->n) * T * sizeof *s->k);
        }
    }
    return isfinite(best) ? distortion_of(p, codes, s->best_k, s->tile) : NAN;
}
