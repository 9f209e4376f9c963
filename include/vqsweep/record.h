/* record.h - what one trial leaves behind: metrics, curves, codebook snapshots, arrays, and who ran it.
 *
 * The one rule: everything that is a function of the settings alone is under the digest; everything that is not (wall
 * time, rank, host, attempt) is outside. Two records of equal key must have equal digests, on any number of ranks and
 * threads of one CPU class.
 *
 * Life cycle: zero-initialise, vqs_record_reset for each trial, fill, vqs_record_seal (computes the digest),
 * vqs_record_pack to send or journal; vqs_record_unpack on the other side; vqs_record_destroy. Not thread-safe on one
 * object.
 */
#ifndef VQSWEEP_RECORD_H
#define VQSWEEP_RECORD_H

#include "vqsweep/base.h"

/* X(name, unit, long name, formula). `_train` is on the training samples, `_eval` on held-out samples; both with the
 * parameters after the last epoch. n_k is the number of samples of code k, p_k = n_k / sum n. Where there are
 * levels, q is the sum of their codes. */
#define VQS_METRIC_TABLE(X)                                                                                            \
    X(mse_train, "1", "reconstruction error, training", "sum |x - x^|^2 / (N D)")                                      \
    X(mse_eval, "1", "reconstruction error, held-out", "sum |x - x^|^2 / (N_eval D)")                                  \
    X(explained_variance_train, "1", "explained variance, training", "1 - mse_train / Var(x)")                         \
    X(explained_variance_eval, "1", "explained variance, held-out", "1 - mse_eval / Var(x)")                           \
    X(quantization_error_train, "1", "relative quantisation error, training", "E|z - q|^2 / tr Cov(z)")                \
    X(quantization_error_eval, "1", "relative quantisation error, held-out", "E|z - q|^2 / tr Cov(z)")                 \
    X(entropy_train, "nat", "entropy of code usage, training", "-sum p_k ln p_k, mean over codebooks")                 \
    X(entropy_eval, "nat", "entropy of code usage, held-out", "-sum p_k ln p_k, mean over codebooks")                  \
    X(perplexity_train, "codes", "perplexity of code usage, training", "exp(entropy_train)")                           \
    X(perplexity_eval, "codes", "perplexity of code usage, held-out", "exp(entropy_eval)")                             \
    X(dead_codes_train, "codes", "codes without a training sample", "#{k: n_k = 0}, of all codebooks")                 \
    X(dead_codes_eval, "codes", "codes without a held-out sample", "#{k: n_k = 0}, of all codebooks")                  \
    X(usage_train, "1", "share of codes in use, training", "1 - dead_codes_train / (K levels groups)")                 \
    X(usage_eval, "1", "share of codes in use, held-out", "1 - dead_codes_eval / (K levels groups)")                   \
    X(collapsed, "1", "codebook collapse (0 or 1)", "1 if dead_codes_train >= max(1, 0.1 K levels groups)")            \
    X(subspace_recovery, "1", "subspace recovery", "|W U|_F^2 / min(d, r)")                                            \
    X(principal_angle, "rad", "largest principal angle to the true subspace", "acos(smallest singular value of W U)")  \
    X(lloyd_gap, "1", "distortion over that of k-means on the same z, one codebook",                                   \
      "sum |z - q|^2 / sum |z - q_kmeans|^2, training")                                                                \
    X(u_zero_events, "1", "samples with |q - z| too small for a direction", "count over all training steps")           \
    X(row_flips, "1", "encoder rows that changed sign in a retraction", "count over all training steps")               \
    X(revived_codes, "codes", "codes out of use that became encoder outputs", "count over all training steps")         \
    X(psnr_eval, "dB", "peak signal-to-noise ratio, held-out", "10 log10(peak^2 / mse_eval)")                          \
    X(ssim_eval, "1", "structural similarity of patches, held-out",                                                    \
      "mean of (2 m m' + C1) (2 cov + C2) / ((m^2 + m'^2 + C1) (v + v' + C2)) over windows of x and x^ with means m, " \
      "variances v; C1 = (0.01 peak)^2, C2 = (0.03 peak)^2")                                                           \
    X(segmental_snr_eval, "dB", "segmental signal-to-noise ratio, held-out",                                           \
      "mean of 10 log10(|x|^2 / |x - x^|^2) over frames, each within -10 and 35")                                      \
    X(cross_entropy_train, "nat", "cross-entropy of a byte, training", "mean of -ln p over bytes")                     \
    X(cross_entropy_eval, "nat", "cross-entropy of a byte, held-out", "mean of -ln p over bytes")                      \
    X(bits_per_byte_eval, "bit", "cross-entropy of a byte, held-out", "cross_entropy_eval / ln 2")                     \
    X(bits_per_sample_eval, "bit", "rate of the codes of a sample, held-out",                                          \
      "-sum p_k log2 p_k, summed over codebooks")                                                                      \
    X(bits_per_value_eval, "bit", "rate of the codes, held-out", "bits_per_sample_eval / D")

enum vqs_metric {
#define VQS_X(name, unit, long_name, formula) VQS_METRIC_##name,
    VQS_METRIC_TABLE(VQS_X)
#undef VQS_X
        VQS_N_METRICS
};

/* X(name, unit, long name, formula): one value an epoch, from the training steps of that epoch. */
#define VQS_CURVE_TABLE(X)                                                                                             \
    X(loss, "1", "training loss",                                                                                          \
      "loss_rec + (1 + beta) loss_vq + penalties; without 1 or beta where there is no such loss")                      \
    X(loss_rec, "1", "reconstruction loss", "sum |x - x^|^2 / (B D), mean over the epoch's samples")                   \
    X(loss_vq, "1", "codebook loss, equal in value to the commitment loss", "sum |z - q|^2 / (B d), mean over samples, sum over levels") \
    X(entropy, "nat", "entropy of code usage over the epoch", "-sum p_k ln p_k, mean over codebooks")                  \
    X(dead_codes, "codes", "codes not chosen in the epoch", "#{k: n_k = 0}, of all codebooks")                         \
    X(code_drift, "1", "root mean square movement of a code over the epoch", "sqrt(sum_k |c_k - c_k'|^2 / (K levels groups))") \
    X(u_zero, "1", "samples with |q - z| too small for a direction", "count over the epoch")                           \
    X(beta, "1", "commitment weight", "beta of the epoch's last step")

enum vqs_curve {
#define VQS_X(name, unit, long_name, formula) VQS_CURVE_##name,
    VQS_CURVE_TABLE(VQS_X)
#undef VQS_X
        VQS_N_CURVES
};

/* X(name, unit, long name, formula, dimensions, the last varies fastest): what has more dimensions than a curve. A
 * record has at most one array of a kind, of any size along each dimension. */
#define VQS_ARRAY_TABLE(X)                                                                                             \
    X(level_metrics, "1", "metrics of each codebook of residual or product quantisation",                              \
      "that of the metric of this name, with the codes and the input of the one codebook", "codebook", "level_metric") \
    X(probes, "1", "gradient to z of each estimator on equal states, against that of the smoothed loss",               \
      "g* = grad E_eps L(Q(z + eps)); bias |mean g - g*| / |g*|, std of g / |g*|, cosine of mean g and g*, "           \
      "alignment cos^2(u, g), n_samples in the region, target_error: standard error of g* / |g*|",                     \
      "probe", "estimator", "region", "quantity")                                                                      \
    X(fields, "1", "gradient to z of each estimator on a grid of the plane",                                           \
      "mean g at z; under 'smoothed' grad E_eps L(Q(z + eps))", "snapshot", "estimator", "grid_y", "grid_x",           \
      "component")                                                                                                     \
    X(originals, "1", "held-out samples", "as in the file; of text the bytes", "sample", "element")                    \
    X(reconstructions, "1", "reconstructions of these samples",                                                        \
      "x^ in the units of the file, what was taken off each sample given back; of text the most probable bytes",       \
      "sample", "element")                                                                                             \
    X(places, "1", "where these samples are",                                                                          \
      "number of the file; row and column of a patch in its image; of others 2^20 row + column counts along the "      \
      "file; audio samples a second",                                                                                  \
      "sample", "place")                                                                                               \
    X(code_pictures, "1", "each code decoded by itself", "as reconstructions, with zeros for all other codebooks",     \
      "codebook", "code", "element")

enum vqs_array_kind {
#define VQS_X(name, unit, long_name, formula, ...) VQS_ARRAY_##name,
    VQS_ARRAY_TABLE(VQS_X)
#undef VQS_X
        VQS_N_ARRAYS
};

/* X(label): what the indices along a dimension stand for. Dimensions not here are numbered from 0, but for `estimator`:
 * the names of the estimators in the order of their table, and "smoothed". */
#define VQS_LEVEL_METRIC_LABELS(X)                                                                                     \
    X(entropy_train)                                                                                                   \
    X(entropy_eval)                                                                                                    \
    X(dead_codes_train)                                                                                                \
    X(dead_codes_eval)                                                                                                 \
    X(quantization_error_train)                                                                                        \
    X(quantization_error_eval)
#define VQS_REGION_LABELS(X)    X(all) X(near) X(far) /* of all cells, near to their boundaries, far from them */
#define VQS_QUANTITY_LABELS(X)  X(bias) X(std) X(cosine) X(alignment) X(n_samples) X(target_error)
#define VQS_COMPONENT_LABELS(X) X(x) X(y)
#define VQS_PLACE_LABELS(X)     X(file) X(row) X(column) X(rate)

#define VQS_X(label) VQS_LEVEL_METRIC_##label,
enum vqs_level_metric { VQS_LEVEL_METRIC_LABELS(VQS_X) VQS_N_LEVEL_METRICS };
#undef VQS_X
#define VQS_X(label) VQS_REGION_##label,
enum vqs_region { VQS_REGION_LABELS(VQS_X) VQS_N_REGIONS };
#undef VQS_X
#define VQS_X(label) VQS_QUANTITY_##label,
enum vqs_probe_quantity { VQS_QUANTITY_LABELS(VQS_X) VQS_N_QUANTITIES };
#undef VQS_X
#define VQS_X(label) VQS_PLACE_##label,
enum vqs_place_label { VQS_PLACE_LABELS(VQS_X) VQS_N_PLACES };
#undef VQS_X

/* One row of a table as data. */
struct vqs_quantity {
    const char *name, *unit, *long_name, *formula;
};
extern const struct vqs_quantity vqs_metric_table[VQS_N_METRICS];
extern const struct vqs_quantity vqs_curve_table[VQS_N_CURVES];

enum { VQS_ARRAY_RANK = 5 };
struct vqs_array_row {
    struct vqs_quantity quantity;
    const char *dimension[VQS_ARRAY_RANK + 1]; /* names; NULL after the last */
};
extern const struct vqs_array_row vqs_array_table[VQS_N_ARRAYS];

/* What index `i` along a dimension stands for; NULL past the last, and always where the dimension is numbered. */
const char *vqs_dimension_label(const char *dimension, int i);
/* Values in an array of this kind and size; 0 in none, SIZE_MAX: too many. */
size_t vqs_array_values(int kind, const int32_t size[VQS_ARRAY_RANK]);
/* A hash of the names of a kind, its dimensions and their labels: tells an array of a program with other labels from
 * one of ours. */
uint32_t vqs_array_tag(int kind);

/* What became of a trial. A diverged trial is a result; a failed one is not. */
enum vqs_outcome {
    VQS_OUTCOME_FAILED,    /* no result: `message` says why */
    VQS_OUTCOME_COMPLETED, /* trained to the last epoch */
    VQS_OUTCOME_DIVERGED   /* a loss or parameter became non-finite; metrics are NaN from there on */
};
/* "failed", "completed", "diverged". */
const char *vqs_outcome_text(enum vqs_outcome outcome);

/* One codebook at the end of an epoch (0: before training), of each number from 0 in turn. All snapshots of a record
 * have the same shape; their codes stand one after the other in memory, and so do their usages. */
struct vqs_snapshot {
    int32_t epoch;
    int32_t codebook; /* its number: level * groups + group */
    int32_t K, d;     /* d: components of a code, the trial's d / groups */
    float *codes;    /* [K][d], owned by the record */
    uint32_t *usage; /* [K], training samples of each code under the parameters of that moment, owned */
};

/* An array of a record. */
struct vqs_array {
    int32_t size[VQS_ARRAY_RANK]; /* 0 past the kind's dimensions; along labels at most as many as there are */
    float *values;                /* owned by the record; NULL, and all sizes 0: it has no array of this kind */
};

struct vqs_record {
    /* under the digest */
    uint64_t key;
    enum vqs_outcome outcome;
    double metric[VQS_N_METRICS]; /* NaN where undefined */
    int32_t n_epochs;             /* 0 for the k-means baseline */
    double *curves;               /* [VQS_N_CURVES][n_epochs], owned */
    int32_t n_snapshots;
    struct vqs_snapshot *snapshots; /* owned */
    struct vqs_array arrays[VQS_N_ARRAYS];
    uint64_t digest;
    /* outside the digest */
    uint32_t trial;        /* number in the plan */
    uint32_t attempt;      /* 1 for the first */
    int32_t rank;          /* MPI rank that ran it */
    double wall_seconds;   /* of the trial on its rank */
    double finished_at;    /* seconds since 1970, UTC */
    char host[64];
    char cpu_class[16];    /* kernel path: "avx512", "avx2", "portable" */
    char code_version[64]; /* of the program that ran it */
    char message[240];     /* why it failed, or empty */
    struct vqs_arena memory; /* what curves, snapshots and arrays point into; kept from one trial to the next */
};

/* How much a record has room for. All 0: an empty one. */
struct vqs_record_shape {
    int32_t n_epochs;
    int32_t n_snapshots, K, d;                   /* each snapshot K x d */
    int32_t array[VQS_N_ARRAYS][VQS_ARRAY_RANK]; /* sizes as in struct vqs_array */
};
/* Bytes of all that has a shape, packed; UINT64_MAX: too many, or no shape of a record. */
uint64_t vqs_record_bytes(const struct vqs_record_shape *shape);

/* Empties the record, to the shape: metrics, curves and arrays become NaN, all else 0 or empty. Reuses memory it
 * already owns. VQS_ERR_MEMORY leaves it without curves, snapshots and arrays. */
enum vqs_status vqs_record_reset(struct vqs_record *record, const struct vqs_record_shape *shape,
                                 struct vqs_error *err);
void vqs_record_destroy(struct vqs_record *record);

/* The digest of what the record holds now: XXH3-64 of the result section below. vqs_record_seal stores it. */
uint64_t vqs_record_digest(const struct vqs_record *record);
void vqs_record_seal(struct vqs_record *record);

/* The packed form, of the journal and of messages. Little-endian; f64 and f32 are IEEE 754 with every NaN written as
 * the same one; a text is its length in one byte and then its bytes.
 *   head    u32 format version | u32 hash of the names of metrics and curves | u64 digest | u32 trial | u32 attempt |
 *           i32 rank | f64 wall_seconds | f64 finished_at
 *   result  u64 key | u32 outcome | i32 n_epochs | i32 n_snapshots | i32 K | i32 d | u32 n_arrays |
 *           n_arrays x (u32 tag | i32 size[VQS_ARRAY_RANK]), in the order of the table |
 *           f64 metric[VQS_N_METRICS] | f64 curves[VQS_N_CURVES][n_epochs] |
 *           n_snapshots x (i32 epoch | i32 codebook | f32 codes[K][d] | u32 usage[K]) | f32 values of each array
 *   texts   host | cpu_class | code_version | message
 * The second word of the head tells a record of a program with other metrics or curves from one of ours, the tag does
 * so for an array. */

/* Appends the packed record to `bytes`. */
enum vqs_status vqs_record_pack(const struct vqs_record *record, struct vqs_bytes *bytes, struct vqs_error *err);
/* Reads a record of exactly `size` bytes. Hostile input gives VQS_ERR_STORE, never a crash or an allocation much larger
 * than `size`; what is left in `record` is then unspecified but may be reset or destroyed.
 * The digest is the packed one: compare with vqs_record_digest to check. */
enum vqs_status vqs_record_unpack(struct vqs_record *record, const void *data, size_t size, struct vqs_error *err);

/* What tells packed records apart, without unpacking the rest. */
struct vqs_record_head {
    uint64_t key, digest;
    uint32_t trial, attempt;
    enum vqs_outcome outcome;
};
enum vqs_status vqs_record_peek(const void *data, size_t size, struct vqs_record_head *head, struct vqs_error *err);

#endif
