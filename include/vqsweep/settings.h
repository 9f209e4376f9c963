/* settings.h - the settings of one trial: one table, from which everything else that knows a setting is derived.
 *
 * The one rule: a trial is a pure function of its settings. Whatever changes a result is a row of this table; whatever
 * is not a row (rank, thread, host, attempt) cannot change a result. The job parser, the columns of the store, the
 * trial key, `vqsweep settings` and the planner's checks all walk the table: a new setting is one new row.
 *
 * `struct vqs_settings` is plain data without pointers: it may be copied, compared field by field and sent as bytes
 * between ranks of one program.
 */
#ifndef VQSWEEP_SETTINGS_H
#define VQSWEEP_SETTINGS_H

#include "vqsweep/base.h"

/* Part of every trial key. Raised when the meaning of a setting, a default or the arithmetic of a trial changes. */
#define VQS_SETTINGS_VERSION 2

enum vqs_data_kind {
    VQS_DATA_SUBSPACE,
    VQS_DATA_CSV,
    VQS_DATA_IDX,
    VQS_DATA_PLANE2D,
    VQS_DATA_NPY,
    VQS_DATA_RAW,
    VQS_DATA_HDF5,
    VQS_DATA_IMAGES,
    VQS_DATA_AUDIO,
    VQS_DATA_TEXT
};
enum vqs_colour { VQS_COLOUR_RGB, VQS_COLOUR_GREY };
enum vqs_patch_mean { VQS_PATCH_MEAN_KEEP, VQS_PATCH_MEAN_REMOVE };
enum vqs_frame_window { VQS_FRAME_HANN, VQS_FRAME_RECTANGULAR };
enum vqs_audio_features { VQS_AUDIO_SAMPLES, VQS_AUDIO_LOG_MEL };
enum vqs_alphabet { VQS_ALPHABET_BYTES, VQS_ALPHABET_OCCURRING };
enum vqs_whiten { VQS_WHITEN_NONE, VQS_WHITEN_ZCA, VQS_WHITEN_PCA };
enum vqs_split { VQS_SPLIT_RANDOM, VQS_SPLIT_TAIL };
enum vqs_latent { VQS_LATENT_GAUSSIAN, VQS_LATENT_UNIFORM, VQS_LATENT_MIXTURE };
enum vqs_model_kind { VQS_MODEL_LINEAR, VQS_MODEL_MLP, VQS_MODEL_CONV };
enum vqs_orthonormal_layers { VQS_ORTHONORMAL_LAST, VQS_ORTHONORMAL_ENCODER, VQS_ORTHONORMAL_ALL };
enum vqs_activation { VQS_ACTIVATION_GELU, VQS_ACTIVATION_RELU };
enum vqs_loss { VQS_LOSS_MSE, VQS_LOSS_CROSS_ENTROPY };
enum vqs_encoder { VQS_ENCODER_LINEAR, VQS_ENCODER_IDENTITY };
enum vqs_decoder { VQS_DECODER_FREE, VQS_DECODER_TIED };
enum vqs_retraction { VQS_RETRACTION_MGS, VQS_RETRACTION_POLAR, VQS_RETRACTION_QR, VQS_RETRACTION_QR_RAW };
enum vqs_estimator_scope { VQS_SCOPE_TOTAL, VQS_SCOPE_EACH };
enum vqs_codebook_init { VQS_INIT_UNIFORM, VQS_INIT_NORMAL, VQS_INIT_DATA, VQS_INIT_KMEANS };
enum vqs_learning_kind { /* learning.h */
    VQS_LEARN_GRADIENT,
    VQS_LEARN_EMA,
    VQS_LEARN_AFFINE,
    VQS_LEARN_SIMVQ,
    VQS_LEARN_FIXED,
    VQS_LEARN_FSQ,
    VQS_LEARN_LFQ
};
enum vqs_update { VQS_UPDATE_JOINT, VQS_UPDATE_ALTERNATING };
enum vqs_revive { VQS_REVIVE_OFF, VQS_REVIVE_EXPIRE };
enum vqs_beta_schedule { /* schedule.h */
    VQS_BETA_CONSTANT,
    VQS_BETA_LINEAR,
    VQS_BETA_COSINE,
    VQS_BETA_ADAPTIVE,
    VQS_BETA_REPLAY
};
enum vqs_tau_schedule { VQS_TAU_CONSTANT, VQS_TAU_LINEAR, VQS_TAU_EXPONENTIAL, VQS_TAU_COSINE };

/* Epochs at which the codebook is kept, besides the last one. Ascending, no duplicates. 0 is the initial codebook. */
#define VQS_MAX_SNAPSHOTS 15
struct vqs_epochs {
    int32_t n;
    int32_t at[VQS_MAX_SNAPSHOTS];
};

#define VQS_PATH_MAX 256

/* When a setting has an effect. One that has none is left out of the trial's key and reads as missing in the store. */
enum vqs_when {
    VQS_ALWAYS,
    VQS_WHEN_SUBSPACE, /* data: subspace */
    VQS_WHEN_DRAWN,    /* data: subspace or plane2d */
    VQS_WHEN_MIXTURE,  /* the same with latent: mixture */
    VQS_WHEN_FILE,     /* data read from a file */
    VQS_WHEN_CSV,      /* data: csv */
    VQS_WHEN_HDF5,     /* data: hdf5 */
    VQS_WHEN_IMAGES,   /* data: images */
    VQS_WHEN_AUDIO,    /* data: audio */
    VQS_WHEN_LOG_MEL,  /* data: audio with audio_features: log_mel */
    VQS_WHEN_TEXT,     /* data: text */
    VQS_WHEN_WHITENED, /* data read from a file and whitened */
    VQS_WHEN_TRAINED,  /* trained by gradients: every estimator but the k-means baseline */
    VQS_WHEN_SEVERAL,  /* trained, and more than one codebook */
    VQS_WHEN_LINEAR,   /* model: linear, trained */
    VQS_WHEN_LAYERS,   /* model: mlp or conv, trained */
    VQS_WHEN_MLP,      /* model: mlp, trained */
    VQS_WHEN_CONV,     /* model: conv, trained */
    VQS_WHEN_ORTHONORMAL, /* model: mlp or conv with orthonormal: true, trained */
    VQS_WHEN_RETRACTED, /* the same, or encoder: linear in the linear model */
    VQS_WHEN_PROBED,   /* trained, with probe_epochs */
    VQS_WHEN_FIELD,    /* probed, with field_grid over 0 */
    VQS_WHEN_PLACED,   /* trained, and the codes are no grid: neither fsq nor lfq */
    VQS_WHEN_NORMAL,   /* codebook_init: normal */
    VQS_WHEN_KMEANS,   /* estimator: kmeans or codebook_init: kmeans */
    VQS_WHEN_LOSSES,   /* trained with a commitment: not by an estimator without losses, nor by fsq */
    VQS_WHEN_EMA,      /* codebook: ema */
    VQS_WHEN_FSQ,      /* codebook: fsq */
    VQS_WHEN_TURNS,    /* update: alternating */
    VQS_WHEN_REVIVED,  /* revive: expire */
    VQS_WHEN_SOFT,     /* entropy_weight above 0 */
    VQS_WHEN_ANNEALED, /* beta_schedule: linear or cosine */
    VQS_WHEN_ADAPTIVE, /* beta_schedule: adaptive or replay */
    VQS_WHEN_REPLAY,   /* beta_schedule: replay */
    VQS_WHEN_PARAM,    /* the trial's estimator, or the one replayed, declares a parameter of this name */
    VQS_WHEN_TAU_MOVES /* the same, and tau_schedule: not constant */
};

/* X(KIND, C type, name, default, low, high, when, unit, long name)
 * KIND is INT (int32_t), REAL (double), BOOL (int32_t), ENUM (int32_t, an index into the setting's choices),
 * TEXT (char[VQS_PATH_MAX]), EPOCHS or SEED (uint64_t). low and high are inclusive and ignored for BOOL, ENUM, TEXT,
 * EPOCHS. Names are those of the mathematics: D, d, r, K, N as in the literature. The rows that decide the data set
 * come first, to N_eval. */
#define VQS_SETTINGS_TABLE(X)                                                                                          \
    X(ENUM, data, VQS_DATA_SUBSPACE, 0, 0, VQS_ALWAYS, "1", "source of the data")                                      \
    X(TEXT, path, 0, 0, 0, VQS_WHEN_FILE, "1", "data file; for images and audio also a folder, or a .txt of paths")    \
    X(TEXT, dataset, 0, 0, 0, VQS_WHEN_HDF5, "1", "path of the dataset within the file")                               \
    X(INT, label_columns, 0, 0, 1024, VQS_WHEN_CSV, "1", "trailing columns of a row that are not data")                \
    X(INT, patch, 8, 1, 64, VQS_WHEN_IMAGES, "pixels", "width and height of a patch")                                  \
    X(INT, patch_stride, 8, 1, 65536, VQS_WHEN_IMAGES, "pixels", "from one patch of an image to the next")             \
    X(ENUM, colour, VQS_COLOUR_RGB, 0, 0, VQS_WHEN_IMAGES, "1", "channels of a patch")                                 \
    X(ENUM, patch_mean, VQS_PATCH_MEAN_KEEP, 0, 0, VQS_WHEN_IMAGES, "1", "whether each patch keeps its own mean")      \
    X(INT, frame, 256, 2, 65536, VQS_WHEN_AUDIO, "1", "audio samples of a frame")                                      \
    X(INT, hop, 128, 1, 1000000, VQS_WHEN_AUDIO, "1", "audio samples from one frame to the next")                      \
    X(ENUM, frame_window, VQS_FRAME_HANN, 0, 0, VQS_WHEN_AUDIO, "1", "weights of the samples of a frame")              \
    X(ENUM, audio_features, VQS_AUDIO_SAMPLES, 0, 0, VQS_WHEN_AUDIO, "1", "what stands for a frame")                   \
    X(INT, n_mels, 40, 1, 512, VQS_WHEN_LOG_MEL, "1", "bands of the mel scale")                                        \
    X(INT, text_window, 8, 1, 4096, VQS_WHEN_TEXT, "1", "bytes of a sample, each one-hot")                             \
    X(INT, text_stride, 1, 1, 1000000, VQS_WHEN_TEXT, "1", "bytes from one sample to the next")                        \
    X(ENUM, alphabet, VQS_ALPHABET_BYTES, 0, 0, VQS_WHEN_TEXT, "1", "classes of a byte: all 256, or those that occur") \
    X(REAL, value_scale, 1.0, -1e9, 1e9, VQS_WHEN_FILE, "1", "factor on every value read")                             \
    X(BOOL, center, 1, 0, 1, VQS_WHEN_FILE, "1", "subtract the training mean")                                         \
    X(ENUM, whiten, VQS_WHITEN_NONE, 0, 0, VQS_WHEN_FILE, "1", "whitening by the training covariance")                 \
    X(REAL, whiten_epsilon, 0.01, 1e-12, 1e12, VQS_WHEN_WHITENED, "1", "added to the variances before whitening")      \
    X(ENUM, split, VQS_SPLIT_RANDOM, 0, 0, VQS_WHEN_FILE, "1", "which samples are held out; tail: the file's last")    \
    X(INT, D, 128, 1, 4096, VQS_ALWAYS, "1", "input dimension")                                                        \
    X(INT, r, 2, 1, 4096, VQS_WHEN_SUBSPACE, "1", "true subspace dimension")                                           \
    X(REAL, sigma, 0.1, 0.0, 1e6, VQS_WHEN_DRAWN, "1", "standard deviation of the noise")                           \
    X(ENUM, latent, VQS_LATENT_GAUSSIAN, 0, 0, VQS_WHEN_DRAWN, "1", "distribution of the true latent")              \
    X(REAL, latent_scale, 1.0, 0.0, 1e6, VQS_WHEN_DRAWN, "1", "scale of the true latent")                           \
    X(INT, mixture_centres, 8, 1, 65536, VQS_WHEN_MIXTURE, "1", "centres of the latent mixture")                       \
    X(REAL, mixture_spread, 0.1, 0.0, 1e6, VQS_WHEN_MIXTURE, "1", "standard deviation within a mixture component")     \
    X(INT, N, 4096, 1, 100000000, VQS_ALWAYS, "samples", "training samples")                                           \
    X(INT, N_eval, 4096, 1, 100000000, VQS_ALWAYS, "samples", "held-out samples")                                      \
    X(REAL, peak, 0.0, 0.0, 1e9, VQS_WHEN_FILE, "1", "largest difference of values, for PSNR; 0: known of images only") \
    X(INT, d, 2, 1, 512, VQS_ALWAYS, "1", "latent dimension")                                                          \
    X(ENUM, model, VQS_MODEL_LINEAR, 0, 0, VQS_WHEN_TRAINED, "1", "encoder and decoder: linear, or layers of networks") \
    X(ENUM, encoder, VQS_ENCODER_LINEAR, 0, 0, VQS_WHEN_LINEAR, "1", "encoder: learned rows, or z = x")                \
    X(ENUM, decoder, VQS_DECODER_FREE, 0, 0, VQS_WHEN_LINEAR, "1", "decoder")                                          \
    X(BOOL, bias, 0, 0, 1, VQS_WHEN_LINEAR, "1", "biases in encoder and decoder; layers have them")                    \
    X(INT, hidden_layers, 1, 0, 8, VQS_WHEN_MLP, "1", "hidden layers of the encoder, and of the decoder")              \
    X(INT, hidden, 256, 1, 8192, VQS_WHEN_MLP, "1", "width of a hidden layer")                                         \
    X(INT, conv_layers, 2, 1, 4, VQS_WHEN_CONV, "1", "convolutions of the encoder, and transposed ones of the decoder") \
    X(INT, conv_channels, 16, 16, 512, VQS_WHEN_CONV, "1", "channels after the first; each next one has twice as many") \
    X(INT, conv_kernel, 4, 1, 9, VQS_WHEN_CONV, "pixels", "width and height of a convolution's window")                \
    X(INT, conv_stride, 2, 1, 8, VQS_WHEN_CONV, "pixels", "from one window to the next; divides the image's side")     \
    X(ENUM, activation, VQS_ACTIVATION_GELU, 0, 0, VQS_WHEN_LAYERS, "1", "activation of hidden layers")                \
    X(BOOL, layer_norm, 0, 0, 1, VQS_WHEN_LAYERS, "1", "layer norm before each activation; of a pixel's channels")     \
    X(BOOL, orthonormal, 0, 0, 1, VQS_WHEN_LAYERS, "1", "rows of the encoder's last layer are kept orthonormal")       \
    X(ENUM, orthonormal_layers, VQS_ORTHONORMAL_LAST, 0, 0, VQS_WHEN_ORTHONORMAL, "1", "of which layers")              \
    X(ENUM, loss, VQS_LOSS_MSE, 0, 0, VQS_WHEN_LAYERS, "1", "loss of the reconstruction; cross_entropy: of text")      \
    X(ENUM, retraction, VQS_RETRACTION_MGS, 0, 0, VQS_WHEN_RETRACTED, "1", "how rows are kept orthonormal")            \
    X(INT, K, 16, 1, 65536, VQS_ALWAYS, "codes", "codebook size")                                                      \
    X(INT, levels, 1, 1, 16, VQS_ALWAYS, "1", "levels of residual quantisation")                                       \
    X(INT, groups, 1, 1, 512, VQS_ALWAYS, "1", "groups of components with a codebook each, in every level")            \
    X(ENUM, codebook, VQS_LEARN_GRADIENT, 0, 0, VQS_WHEN_TRAINED, "1", "how codes are learned, or what they are")      \
    X(REAL, ema_decay, 0.99, 0.0, 0.999999, VQS_WHEN_EMA, "1", "decay of sums over a code's samples")                  \
    X(REAL, ema_eps, 1e-5, 1e-12, 1.0, VQS_WHEN_EMA, "samples", "Laplace smoothing of a code's samples")               \
    X(INT, fsq_levels, 4, 2, 65536, VQS_WHEN_FSQ, "1", "values of a component; K is that ^ (d / groups)")              \
    X(ENUM, update, VQS_UPDATE_JOINT, 0, 0, VQS_WHEN_TRAINED, "1", "whether codes and the rest are trained in turn")   \
    X(INT, codebook_steps, 1, 1, 1000, VQS_WHEN_TURNS, "steps", "steps of the codes before one of the rest")     \
    X(ENUM, codebook_init, VQS_INIT_UNIFORM, 0, 0, VQS_WHEN_PLACED, "1", "initial codebook")                            \
    X(REAL, codebook_scale, 1.0, 0.0, 1e6, VQS_WHEN_NORMAL, "1", "standard deviation of the initial codebook")         \
    X(ENUM, revive, VQS_REVIVE_OFF, 0, 0, VQS_WHEN_TRAINED, "1", "whether codes out of use become encoder outputs")    \
    X(REAL, revive_threshold, 0.01, 0.0, 1.0, VQS_WHEN_REVIVED, "1", "share of batches below which a code is revived") \
    X(INT, revive_period, 100, 1, 1000000, VQS_WHEN_REVIVED, "steps", "steps from one revival to the next")            \
    X(REAL, orthogonality, 0.0, 0.0, 1e6, VQS_WHEN_TRAINED, "1", "weight of the orthogonality penalty on codes")       \
    X(REAL, entropy_weight, 0.0, 0.0, 1e6, VQS_WHEN_TRAINED, "1", "weight of the entropy penalty on soft codes")       \
    X(REAL, entropy_tau, 1.0, 1e-6, 1e6, VQS_WHEN_SOFT, "1", "temperature of soft codes")                              \
    X(ENUM, estimator, 0, 0, 0, VQS_ALWAYS, "1", "gradient estimator, or the k-means baseline")                        \
    X(ENUM, estimator_scope, VQS_SCOPE_TOTAL, 0, 0, VQS_WHEN_SEVERAL, "1",                                             \
      "what the estimator sees: all codebooks' sum, or each one")                                                      \
    X(REAL, a, 1.0, -1e6, 1e6, VQS_WHEN_PARAM, "1", "projector: weight along u")                                       \
    X(REAL, b, 0.0, -1e6, 1e6, VQS_WHEN_PARAM, "1", "projector: weight across u")                                      \
    X(REAL, kappa, 0.0, 0.0, 1e6, VQS_WHEN_PARAM, "1", "scaled: divisor of the gradient; 0 stands for d")              \
    X(BOOL, times_d, 1, 0, 1, VQS_WHEN_PARAM, "1", "random_direction: times d, which keeps the mean")                  \
    X(REAL, diveq_sigma, 1e-3, 0.0, 1e6, VQS_WHEN_PARAM, "1", "diveq: standard deviation of its noise")                \
    X(REAL, nu, 1.0, -1e6, 1e6, VQS_WHEN_PARAM, "1", "sync: share of the gradient that codes get")                     \
    X(REAL, learned_h, 0.5, 1e-6, 1e6, VQS_WHEN_PARAM, "1",                                                           \
      "smoothing of the loss that a projection is fitted to, in units of sqrt(E|z - q|^2 / d)")                         \
    X(REAL, learned_decay, 0.99, 0.0, 0.999999, VQS_WHEN_PARAM, "1", "decay of the means a projection is fitted to")   \
    X(INT, learned_rank, 1, 1, 512, VQS_WHEN_PARAM, "1", "rank of a learned subspace")                                 \
    X(REAL, logit_scale, 1.0, 0.0, 1e6, VQS_WHEN_PARAM, "1", "logits are -logit_scale |z - c_j|^2")                    \
    X(REAL, tau, 1.0, 1e-3, 1e3, VQS_WHEN_PARAM, "1", "temperature, of the first step")                                \
    X(ENUM, tau_schedule, VQS_TAU_EXPONENTIAL, 0, 0, VQS_WHEN_PARAM, "1", "how tau goes to tau_end")                   \
    X(REAL, tau_end, 0.0625, 1e-3, 1e3, VQS_WHEN_TAU_MOVES, "1", "temperature of the last step")                       \
    X(REAL, beta, 0.25, 0.0, 1e6, VQS_WHEN_LOSSES, "1", "commitment weight, the first one of a schedule")           \
    X(ENUM, beta_schedule, VQS_BETA_CONSTANT, 0, 0, VQS_WHEN_TRAINED, "1", "how the commitment weight moves")          \
    X(REAL, beta_end, 1.0, 0.0, 1e6, VQS_WHEN_ANNEALED, "1", "commitment weight of the last step")                     \
    X(REAL, beta_rate, 0.01, 0.0, 1e3, VQS_WHEN_ADAPTIVE, "1", "move of log beta for a utilisation wrong by 1")        \
    X(REAL, beta_target, 0.9, 0.0, 1.0, VQS_WHEN_ADAPTIVE, "1", "utilisation e^H / K wanted")                          \
    X(INT, beta_period, 50, 1, 4000, VQS_WHEN_ADAPTIVE, "steps", "steps from one move of beta to the next")            \
    X(REAL, beta_min, 0.001, 1e-9, 1e6, VQS_WHEN_ADAPTIVE, "1", "least commitment weight")                             \
    X(REAL, beta_max, 10.0, 1e-9, 1e6, VQS_WHEN_ADAPTIVE, "1", "largest commitment weight")                            \
    X(ENUM, replay_estimator, 0, 0, 0, VQS_WHEN_REPLAY, "1", "estimator of the trial whose beta is replayed")          \
    X(INT, replay_seed, 0, 0, 1000000000, VQS_WHEN_REPLAY, "1", "added to the seed of the trial that is replayed")     \
    X(REAL, lr, 0.002, 0.0, 1e30, VQS_WHEN_TRAINED, "1", "Adam's learning rate")                                       \
    X(REAL, adam_beta1, 0.9, 0.0, 0.999999, VQS_WHEN_TRAINED, "1", "Adam's decay of the first moment")                 \
    X(REAL, adam_beta2, 0.999, 0.0, 0.99999999, VQS_WHEN_TRAINED, "1", "Adam's decay of the second moment")            \
    X(REAL, adam_eps, 1e-8, 0.0, 1.0, VQS_WHEN_TRAINED, "1", "Adam's epsilon")                                         \
    X(INT, batch, 256, 1, 1048576, VQS_WHEN_TRAINED, "samples", "batch size")                                          \
    X(INT, epochs, 50, 1, 100000, VQS_WHEN_TRAINED, "epochs", "epochs trained")                                        \
    X(EPOCHS, snapshots, 0, 0, 0, VQS_WHEN_TRAINED, "epochs", "epochs whose codebook is kept besides the last")        \
    X(EPOCHS, probe_epochs, 0, 0, 0, VQS_WHEN_TRAINED, "epochs", "epochs after which gradients are probed")            \
    X(INT, probe_samples, 256, 1, 1000000, VQS_WHEN_PROBED, "samples", "held-out samples of a probe")                  \
    X(REAL, probe_h, 0.5, 1e-6, 1e6, VQS_WHEN_PROBED, "1", "smoothing of the loss, in units of sqrt(E|z - q|^2 / d)")   \
    X(REAL, probe_error, 0.01, 1e-6, 1.0, VQS_WHEN_PROBED, "1", "standard error of the smoothed gradient to stop at")  \
    X(INT, probe_pairs, 65536, 1024, 100000000, VQS_WHEN_PROBED, "1", "most antithetic pairs of draws a point")        \
    X(INT, field_grid, 0, 0, 256, VQS_WHEN_PROBED, "points", "side of the grid that gradients are mapped on, 0: none") \
    X(REAL, field_extent, 3.0, 1e-6, 1e6, VQS_WHEN_FIELD, "1", "half the width of that grid")                          \
    X(INT, reconstructions, 0, 0, 4096, VQS_WHEN_FILE, "samples", "held-out samples kept with their reconstructions")  \
    X(INT, kmeans_restarts, 10, 1, 1000, VQS_WHEN_KMEANS, "1", "k-means++ starts, the best is kept")                   \
    X(INT, kmeans_iterations, 100, 1, 100000, VQS_WHEN_KMEANS, "1", "most Lloyd iterations a start")                   \
    X(INT, gap_restarts, 1, 0, 1000, VQS_ALWAYS, "1", "k-means starts behind lloyd_gap, 0 leaves it out")              \
    X(SEED, seed, 1, 0, 0, VQS_ALWAYS, "1", "seed of every random number of the trial")

#define VQS_CTYPE_INT int32_t
#define VQS_CTYPE_REAL double
#define VQS_CTYPE_BOOL int32_t
#define VQS_CTYPE_ENUM int32_t
#define VQS_CTYPE_EPOCHS struct vqs_epochs
#define VQS_CTYPE_SEED uint64_t
typedef char vqs_text[VQS_PATH_MAX];
#define VQS_CTYPE_TEXT vqs_text

struct vqs_settings {
#define VQS_X(KIND, name, def, lo, hi, when, unit, long_name) VQS_CTYPE_##KIND name;
    VQS_SETTINGS_TABLE(VQS_X)
#undef VQS_X
};

/* Codebooks of a trial, and components of one of their codes (quantizer.h). */
static inline int vqs_n_codebooks(const struct vqs_settings *s) {
    return s->levels * s->groups;
}
static inline int vqs_code_width(const struct vqs_settings *s) {
    return s->d / s->groups;
}

/* What a reconstruction's loss is the mean over, in a sample: its values, or the bytes of a text. */
static inline int vqs_loss_terms(const struct vqs_settings *s) {
    return s->model == VQS_MODEL_MLP && s->loss == VQS_LOSS_CROSS_ENTROPY ? s->text_window : s->D;
}

/* What is shown of a sample (reconstructions): its values, or the bytes of a text. */
static inline int vqs_shown_values(const struct vqs_settings *s) {
    return s->data == VQS_DATA_TEXT ? s->text_window : s->D;
}

enum vqs_setting_kind {
    VQS_KIND_INT,
    VQS_KIND_REAL,
    VQS_KIND_BOOL,
    VQS_KIND_ENUM,
    VQS_KIND_TEXT,
    VQS_KIND_EPOCHS,
    VQS_KIND_SEED
};

/* Index of every setting in the table. */
enum vqs_setting_id {
#define VQS_X(KIND, name, def, lo, hi, when, unit, long_name) VQS_SETTING_##name,
    VQS_SETTINGS_TABLE(VQS_X)
#undef VQS_X
        VQS_N_SETTINGS
};

/* One row of the table as data. */
struct vqs_setting {
    const char *name;
    enum vqs_setting_kind kind;
    size_t offset; /* of the field in struct vqs_settings */
    double low, high;
    enum vqs_when when;
    const char *unit, *long_name;
};

extern const struct vqs_setting vqs_setting_table[VQS_N_SETTINGS];

/* Bytes of the setting's field. */
size_t vqs_setting_size(enum vqs_setting_id id);
/* The name of choice `i` of an ENUM setting, NULL past the last. The choices of `estimator` are the estimator table. */
const char *vqs_setting_choice(enum vqs_setting_id id, int i);
/* The index of the setting called `name`, or -1. */
int vqs_setting_find(const char *name);
/* Whether the setting has an effect in a trial with these settings. */
bool vqs_setting_used(enum vqs_setting_id id, const struct vqs_settings *settings);
/* Whether its value alone can be: within its range, one of its choices. */
bool vqs_setting_in_range(enum vqs_setting_id id, const struct vqs_settings *settings);

/* All defaults. Padding is zeroed, so that equal settings are equal bytes. */
void vqs_settings_default(struct vqs_settings *settings);

/* Checks what no single row can: K > N, d > D, groups of unequal width, an estimator that cannot be applied in the
 * scope asked for, a file kind without a path, a D that is not what patches, frames or windows have, a snapshot past
 * the last epoch, a range left by a caller that set fields directly. On failure returns VQS_ERR_JOB with a text "KEY:
 * what is wrong; what was expected", and *culprit is the setting to point at. The caller prefixes file and line. */
enum vqs_status vqs_settings_check(const struct vqs_settings *settings, enum vqs_setting_id *culprit,
                                   struct vqs_error *err);

/* One setting's value as text ("0.25", "ste", "1,10,50"), at most size-1 characters; reals in the fewest digits that
 * read back to the same double. Returns the length snprintf would. */
int vqs_setting_print(enum vqs_setting_id id, const struct vqs_settings *settings, char *text, size_t size);
/* Sets one setting from text, checking type, range and choices. On failure VQS_ERR_JOB, a text such as
 * "beta: must be a number from 0 to 1e+06, not 'often'", and *settings as it was. The caller prefixes file and line. */
enum vqs_status vqs_setting_parse(enum vqs_setting_id id, const char *text, struct vqs_settings *settings,
                                  struct vqs_error *err);

/* The trial key: XXH3-64 of the canonical text, which is "vqsweep settings VERSION\n" and then "name=value\n" for each
 * used setting that is not at its default, in order of name. Independent of the order of the table, of the job, of unused
 * settings, and of settings that are new and at their default: results of older versions are found again. */
uint64_t vqs_settings_key(const struct vqs_settings *settings);
/* The same over the settings that decide the data set (data, its parameters, D, N, N_eval, seed): trials of equal data
 * key see the same samples. */
uint64_t vqs_settings_data_key(const struct vqs_settings *settings);

/* Keys of many settings at a time: the text of a setting is rendered again only when its value has changed since the
 * last call. Plain data, owned by the caller, some 10 kB. */
#define VQS_KEY_LINE (VQS_PATH_MAX + 32)
struct vqs_keyer {
    enum vqs_setting_id order[VQS_N_SETTINGS]; /* by name */
    struct vqs_settings defaults, last;
    size_t length[VQS_N_SETTINGS]; /* of the line; 0 before the first use */
    char line[VQS_N_SETTINGS][VQS_KEY_LINE];
};
void vqs_keyer_init(struct vqs_keyer *keyer);
/* Equal to vqs_settings_key(settings). */
uint64_t vqs_keyer_key(struct vqs_keyer *keyer, const struct vqs_settings *settings);

#endif
