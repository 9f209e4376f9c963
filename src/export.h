/* export.h - a trained model as a list of named arrays, and that list as a file, for programs that know nothing of this
 * one: `vqsweep export`.
 *
 * The one rule: what is exported stands in one list; the formats only write it down. An array of it has a name, a
 * shape, contiguous values and a line on what it means. README.md shows how to use them, in ten lines of Python.
 *
 *   NAME.npz   what numpy.savez writes: a .zip of .npy files, not compressed; the lines are in one more, `contents`
 *   NAME.h5    HDF5: a dataset each, with its line as the attribute long_name
 *
 * Life cycle: a zeroed struct vqs_export, vqs_export_model and vqs_export_outcome into it, vqs_export_write,
 * vqs_export_destroy.
 */
#ifndef VQS_EXPORT_H
#define VQS_EXPORT_H

#include "vqsweep/model.h"
#include "vqsweep/record.h"

enum { VQS_EXPORT_RANK = 4 };
enum vqs_export_type { VQS_EXPORT_F32, VQS_EXPORT_F64, VQS_EXPORT_U64, VQS_EXPORT_U8, VQS_EXPORT_TEXT };

struct vqs_export_array {
    char name[48];
    const char *meaning;
    enum vqs_export_type type;
    int rank;                     /* 0: one value; a text is one, too */
    size_t size[VQS_EXPORT_RANK]; /* along each axis; of a text, its bytes are size[0] */
    void *values;                 /* owned */
};
/* Of its values. */
size_t vqs_export_bytes(const struct vqs_export_array *array);

struct vqs_export {
    struct vqs_export_array *arrays;
    size_t n, capacity;
    bool short_of_memory; /* something is missing in the list, which is then not written */
};
void vqs_export_destroy(struct vqs_export *list);

/* The settings, the encoder, the codes, the decoder, how samples were prepared, and the held-out ones. */
void vqs_export_model(const struct vqs_settings *settings, const struct vqs_model *model,
                      const struct vqs_dataset *data, struct vqs_export *list);
/* The metrics and the digest of the record that the model left. */
void vqs_export_outcome(const struct vqs_record *record, struct vqs_export *list);

/* Refuses a name that ends in neither .npz nor .h5, a file that is there already, and a place where none can be
 * written; makes the folders on the way. */
enum vqs_status vqs_export_check_place(const char *path, struct vqs_error *err);
/* Puts the file in place whole. VQS_ERR_MEMORY, VQS_ERR_IO. */
enum vqs_status vqs_export_write(const struct vqs_export *list, const char *path, struct vqs_error *err);

#endif
