/* orthonormal.h - matrices with orthonormal rows, and how they are restored after a step: retractions.
 *
 * The one rule: a retraction moves the rows as little as it can and never flips one: bare library QR does (its R may
 * have negative diagonal entries), which ruins a free decoder. `qr_raw` keeps that flaw on purpose, as an ablation.
 *
 * A matrix is [d][ld] as in kernels.h, rows padded with zeros. Pure functions of their arguments; any thread.
 */
#ifndef VQSWEEP_ORTHONORMAL_H
#define VQSWEEP_ORTHONORMAL_H

#include "vqsweep/kernels.h"
#include "vqsweep/settings.h"

/* Orthonormal rows of an arbitrary matrix of full rank, first to last: QR with a
 * positive diagonal, which makes a Gaussian matrix Haar-distributed (Mezzadri 2007). */
void vqs_orthonormalize(const struct vqs_kernels *k, int d, size_t ld, vqs_real *W);

/* Scratch that vqs_retract wants, in values. */
size_t vqs_retract_scratch(enum vqs_retraction kind, int d, size_t ld);
/* Restore W W^T = I. `mgs`: modified Gram-Schmidt from the first row on, which is QR with a positive diagonal; `polar`:
 * the nearest orthonormal matrix (W W^T)^{-1/2} W by Newton-Schulz; `qr`: LAPACK's Householder QR with its signs mended;
 * `qr_raw`: without. Returns the number of rows that ended up pointing against where they were before. Rows that are not
 * finite stay so. */
int vqs_retract(const struct vqs_kernels *k, enum vqs_retraction kind, int d, size_t ld, vqs_real *W,
                vqs_real *scratch);

/* The same of W [rows][vqs_row_stride(cols)], of its rows or, where these are more, of its columns. */
void vqs_orthonormalize_either(const struct vqs_kernels *k, int rows, int cols, vqs_real *W, vqs_real *scratch);
size_t vqs_retract_either_scratch(enum vqs_retraction kind, int rows, int cols);
int vqs_retract_either(const struct vqs_kernels *k, enum vqs_retraction kind, int rows, int cols, vqs_real *W,
                       vqs_real *scratch);
#endif
