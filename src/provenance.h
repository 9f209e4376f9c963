/* provenance.h - where results come from: what was built, what it runs on, how it was started.
 *
 * Life cycle: zero-initialise, add, read `items`, vqs_provenance_destroy. When memory runs out, items are left out and
 * `short_of_memory` says so.
 */
#ifndef VQS_PROVENANCE_H
#define VQS_PROVENANCE_H

#include "vqsweep/store.h"

struct vqs_provenance {
    struct vqs_provenance_item *items; /* texts owned */
    size_t n, capacity;
    bool short_of_memory;
};

/* "0.1.0+g0123456789": of the source this program was built from. */
const char *vqs_code_version(void);
/* "vqsweep 0.1.0+g0123456789" */
const char *vqs_program_version(void);

void vqs_provenance_add(struct vqs_provenance *provenance, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The build and the machine: code version, compiler, MPI, HDF5, OpenBLAS, CPU. Works before MPI_Init. */
void vqs_provenance_add_build(struct vqs_provenance *provenance);
void vqs_provenance_destroy(struct vqs_provenance *provenance);

#endif
