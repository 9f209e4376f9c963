/* estimators.h - the table of gradient estimators: what reaches z from the reconstruction loss.
 *
 * The one rule: an estimator is one row, and nothing outside its row knows its name. The job parser takes its choices
 * from the table, the trainer calls `backward`, the conformance tests walk all rows unasked. To add one: write its
 * backward, add its row in estimators.c, and, if it has parameters of its own, add them to the table in settings.h.
 *
 * Notation (one sample): z the encoder output, q = c_k the nearest code, g = dL_rec/dq, r = |q - z|, u = (q - z)/r.
 */
#ifndef VQSWEEP_ESTIMATORS_H
#define VQSWEEP_ESTIMATORS_H

#include "vqsweep/base.h"
#include "vqsweep/settings.h"

/* Samples in a tile. Vector lanes are samples: every array of a tile is [d][VQS_TILE]. */
#define VQS_TILE 32
#define VQS_MAX_PARAMS 4

/* One tile of a batch. Lanes past the batch hold zeros and may be written freely. */
struct vqs_estimator_tile {
    const struct vqs_settings *settings;
    int d;
    const vqs_real *z, *q, *g; /* [d][VQS_TILE] */
    vqs_real *gz;              /* [d][VQS_TILE] out: gradient to z from the reconstruction loss */
    vqs_real *zero;            /* [VQS_TILE] out: 1 where u was set to 0 because |q - z| is too small, else 0 */
};

struct vqs_estimator {
    const char *name;
    const char *formula; /* gradient to z */
    const char *source;
    const char *params[VQS_MAX_PARAMS]; /* names of the settings it reads, NULL-terminated if fewer */
    /* NULL for the k-means baseline, which is not trained by gradients. Pure; any thread. */
    void (*backward)(const struct vqs_estimator_tile *tile);
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
