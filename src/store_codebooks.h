/* store_codebooks.h - the codebook snapshots of a result file that is being written: a group for each shape. Not
 * public.
 *
 * The one rule: trials come in ascending order, so a trial's snapshots stand side by side.
 *
 * Life cycle: a struct with `out` set; vqs_codebooks_begin, _add for every record, _flush, _destroy (always). */
#ifndef VQS_STORE_CODEBOOKS_H
#define VQS_STORE_CODEBOOKS_H

#include "store_hdf5.h"
#include "vqsweep/record.h"

struct vqs_codebooks {
    struct vqs_hdf5 *out;
    struct vqs_codebooks_shape *shapes;
    size_t n_shapes;
};

enum vqs_status vqs_codebooks_begin(struct vqs_codebooks *books);
/* *row: where the record's snapshots start in their group; unchanged when it has none. */
enum vqs_status vqs_codebooks_add(struct vqs_codebooks *books, size_t trial, const struct vqs_record *record,
                                  int64_t *row);
enum vqs_status vqs_codebooks_flush(struct vqs_codebooks *books);
void vqs_codebooks_destroy(struct vqs_codebooks *books);

#endif
