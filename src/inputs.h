/* inputs.h - the data files that a plan reads: which they are, what they hold, and how to know them again.
 *
 * Life cycle: vqs_inputs_list into a zeroed list, read it as an array of settings, vqs_bytes_destroy.
 */
#ifndef VQS_INPUTS_H
#define VQS_INPUTS_H

#include "provenance.h"
#include "vqsweep/plan.h"

/* The settings of one trial for each distinct data file, shape and number of samples, less what is done to samples
 * after they are read. Empty when no trial reads a file. */
enum vqs_status vqs_inputs_list(const struct vqs_plan *plan, struct vqs_bytes *list, struct vqs_error *err);
/* Opens them and prints a line for each. VQS_ERR_DATA: one that cannot be read, or does not have what is asked for. */
enum vqs_status vqs_inputs_print(const struct vqs_bytes *list, struct vqs_error *err);
/* Whether the data file of a trial is the one that is recorded in a result file as the item `data_files`. VQS_ERR_DATA:
 * it is another now, or cannot be read. */
enum vqs_status vqs_inputs_check(const struct vqs_settings *settings, const char *recorded, struct vqs_error *err);
/* Their sizes and hashes as the item `data_files`; none when the list is empty. Reads all of them. */
enum vqs_status vqs_inputs_add_provenance(const struct vqs_bytes *list, struct vqs_provenance *provenance,
                                          struct vqs_error *err);

#endif
