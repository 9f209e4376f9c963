/* store_common.h - what the writer and the reader of a result file both know: its columns and names. Not public. */
#ifndef VQS_STORE_COMMON_H
#define VQS_STORE_COMMON_H

#include "vqsweep/record.h"
#include "vqsweep/settings.h"

#include <hdf5.h>

/* A row of the file, less the settings. A column is one 1-D dataset. */
struct vqs_row {
    struct vqs_record record;
    bool done;            /* false: pending */
    int64_t codebook_row; /* where its snapshots start in their group; -1: it has none */
};

/* X(name, KIND, field of struct vqs_row, unit, long name): the columns that are neither settings nor metrics. */
#define VQS_RUN_TABLE(X)                                                                                               \
    X(key, HEX, record.key, "1", "trial key, a hash of the settings that have an effect")                              \
    X(status, STATUS, record.outcome, "1", "pending, failed, completed or diverged")                                   \
    X(attempt, U32, record.attempt, "1", "which attempt left this row, 0 while pending")                               \
    X(rank, I32, record.rank, "1", "MPI rank that ran the trial, -1 while pending")                                    \
    X(host, TEXT, record.host, "1", "machine that ran the trial")                                                      \
    X(cpu_class, TEXT, record.cpu_class, "1", "kernels used; results are equal to the bit within a class")             \
    X(code_version, TEXT, record.code_version, "1", "version of the program that ran the trial")                       \
    X(wall_seconds, F64, record.wall_seconds, "s", "wall time of the trial")                                           \
    X(finished_at, F64, record.finished_at, "seconds since 1970-01-01 00:00:00", "when the trial ended, UTC")          \
    X(n_epochs, I32, record.n_epochs, "epochs", "epochs in the curves of the trial")                                   \
    X(n_snapshots, I32, record.n_snapshots, "1", "codebook snapshots of the trial")                                    \
    X(codebook_row, I64, codebook_row, "1", "first row of the trial in its group of codebooks, -1 if none")            \
    X(digest, HEX, record.digest, "1", "hash of key, outcome, metrics, curves and codebooks (record.h)")               \
    X(message, TEXT, record.message, "1", "why the trial failed")

enum {
#define VQS_X(name, kind, field, unit, long_name) VQS_RUN_##name,
    VQS_RUN_TABLE(VQS_X)
#undef VQS_X
        VQS_N_RUN
};

/* All columns in the order of the file: settings, run, metrics. */
enum { VQS_FIRST_RUN = VQS_N_SETTINGS, VQS_FIRST_METRIC = VQS_FIRST_RUN + VQS_N_RUN };
enum { VQS_N_COLUMNS = VQS_FIRST_METRIC + VQS_N_METRICS };

enum vqs_cell { VQS_CELL_INT, VQS_CELL_UINT, VQS_CELL_REAL, VQS_CELL_TEXT }; /* int64, uint64, double, UTF-8 */

struct vqs_column {
    const char *name, *unit, *long_name, *formula; /* formula: metrics only */
    enum vqs_cell cell;
    size_t width; /* bytes of a cell in memory; a text ends with NUL within it */
};

struct vqs_column vqs_column_get(int i);
/* What a value is to HDF5, in memory and in the file. Closed by the caller. */
hid_t vqs_column_type(const struct vqs_column *column);

/* Column i = VQS_FIRST_RUN + run of a row, into a zeroed cell and back; false when the cell holds no such value. */
void vqs_run_store(int run, const struct vqs_row *row, void *cell);
bool vqs_run_load(int run, const void *cell, struct vqs_row *row);

/* "codebooks/K16_d2" */
enum { VQS_GROUP_NAME = 48 };
void vqs_codebook_group(int K, int d, char name[VQS_GROUP_NAME]);

/* Bytes that are not UTF-8 (a text cut within a character, a foreign file name) become '?': one such byte would keep a
 * reader from a whole column. */
void vqs_mend_utf8(char *text);

#endif
