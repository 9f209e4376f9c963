/* estimators.h - the table of gradient estimators: what the decoder sees in training, and what reaches z and the codes
 * from the reconstruction loss.
 *
 * The one rule: an estimator is one row, and nothing outside its row knows its name. The job parser takes its choices
 * from the table, the trainer calls `forward` and `backward` and gives what the row's needs ask for, the conformance
 * tests walk all rows unasked. To add one: write its functions, add its row in estimators.c, and, if it has parameters
 * of its own, add them to the table in settings.h.
 *
 * Notation (one sample): z the encoder output, q = c_k the nearest code, f what the decoder is given, g = dL_rec/df,
 * r = |q - z|, u = (q - z)/r. Where there are several codebooks (quantizer.h), a tile is that of one: z the residual it
 * quantises, in its group's components, g the gradient to what it gives; or that of all: q the sum of their codes.
 */
#ifndef VQSWEEP_ESTIMATORS_H
#define VQSWEEP_ESTIMATORS_H

#include "vqsweep/base.h"
#include "vqsweep/settings.h"

/* Samples in a tile. Vector lanes are samples: every array of a tile is [d][VQS_TILE]. */
#define VQS_TILE       32
#define VQS_MAX_PARAMS 4

/* What a row needs, gives or leaves out besides gz = backward(z, q, g). */
enum vqs_estimator_needs {
    VQS_NEEDS_NOISE = 1,     /* d standard normals a sample */
    VQS_NEEDS_CHOICES = 2,   /* chooses the code itself, in forward, and weighs all codes: K random words a sample */
    VQS_NEEDS_AT_Z = 4,      /* dL_rec/dz were z itself decoded */
    VQS_GIVES_VALUE = 8,     /* its forward pass gives the decoder an f that is no code */
    VQS_GIVES_CODES = 16,    /* its backward pass gives the chosen code a gradient */
    VQS_WITHOUT_LOSSES = 32, /* neither codebook loss nor commitment is added */
    VQS_NEEDS_SMOOTHED = 64  /* an estimate of the smoothed loss's gradient a sample; has a state that learns */
};

/* One tile of a batch. Lanes past the batch hold zeros and may be written freely. */
struct vqs_estimator_tile {
    const struct vqs_settings *settings;
    int d, K;
    vqs_real tau;          /* temperature of this step */
    const vqs_real *z;     /* [d][VQS_TILE] */
    const vqs_real *q;     /* [d][VQS_TILE] the chosen code; in forward not yet with NEEDS_CHOICES */
    uint32_t *k;           /* [VQS_TILE] its number: out of forward with NEEDS_CHOICES */
    vqs_real *f;           /* [d][VQS_TILE] what is decoded, out of forward with GIVES_VALUE; else q itself */
    const vqs_real *g;     /* [d][VQS_TILE] dL_rec/df */
    const vqs_real *at_z;  /* [d][VQS_TILE], with NEEDS_AT_Z */
    const vqs_real *noise; /* [d][VQS_TILE], with NEEDS_NOISE; the same in forward and backward */
    vqs_real *gz;          /* [d][VQS_TILE] out: gradient to z from the reconstruction loss */
    vqs_real *gq;          /* [d][VQS_TILE] out, with GIVES_CODES: gradient to the chosen code from it */
    vqs_real *zero;        /* [VQS_TILE] out, 0 before: 1 where u was set to 0 because |q - z| is too small */
    /* with NEEDS_CHOICES */
    const vqs_real *codes, *packed, *half_norm; /* [K][d], a row more may be read; and as kernels.h packs them */
    const uint32_t *words;                      /* [K][VQS_TILE] random */
    vqs_real *weights;                          /* [3][K][VQS_TILE] kept from forward to backward */
    vqs_real *gcodes;                           /* [K][d] gradient to all codes, added to by backward */
    /* with NEEDS_SMOOTHED */
    const vqs_real *learned;  /* the row's state */
    const vqs_real *smoothed; /* [d][VQS_TILE] an unbiased draw of the gradient of the smoothed loss */
    vqs_real *sums;           /* what the row learns from, added to by backward; NULL: it is not asked for */
};

struct vqs_kernels;

/* A state that a row learns from sums over batches, outside of the gradients. Sizes are in values. */
struct vqs_fitting {
    size_t (*n_sums)(const struct vqs_settings *settings);
    size_t (*size)(const struct vqs_settings *settings);
    void (*begin)(const struct vqs_settings *settings, vqs_real *state);
    /* After each step, by one thread: `sums` are those of the batch. */
    void (*learn)(const struct vqs_settings *settings, const struct vqs_kernels *kernels, const vqs_real *sums,
                  vqs_real *state);
};

struct vqs_estimator {
    const char *name;
    const char *value;    /* what the decoder is given in training; NULL: q, the nearest code */
    const char *formula;  /* gradient to z from the reconstruction loss */
    const char *to_codes; /* gradients to the codes from it; NULL: none */
    const char *source;
    const char *params[VQS_MAX_PARAMS]; /* names of the settings it reads, NULL-terminated if fewer */
    unsigned needs;                     /* enum vqs_estimator_needs, added up */
    /* Both pure, for any thread. forward is NULL where the decoder is given the nearest code; backward is NULL for the
     * k-means baseline, which is not trained by gradients. */
    void (*forward)(const struct vqs_estimator_tile *tile);
    void (*backward)(const struct vqs_estimator_tile *tile);
    const struct vqs_fitting *fitting; /* NULL: nothing is learned */
};

/* The table in the arithmetic of the portable kernels; names, formulas and order are the same in all (kernels.h). */
extern const struct vqs_estimator vqs_estimator_table_portable[];
/* Rows in the table. */
int vqs_estimator_count(void);
/* Row `i`. */
const struct vqs_estimator *vqs_estimator_get(int i);
/* The index of the row called `name`, or -1. */
int vqs_estimator_find(const char *name);

#endif
