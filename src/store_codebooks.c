/* store_codebooks.c - the codebooks of a result file, written shape by shape. */
#include "store_codebooks.h"

#include "store_common.h"

#include <stdlib.h>
#include <string.h>

enum { CODEBOOK_CHUNK = 1 << 15 }; /* bytes, about: a shape may have few snapshots, and a chunk is stored whole */

/* The codebooks of one shape: a group, and the snapshots not yet written. */
enum { SNAPSHOT, CODES, USAGE, TRIAL, EPOCH, CODEBOOK, N_PARTS };
struct vqs_codebooks_shape {
    int K, d;
    hid_t part[N_PARTS];
    size_t room, filled;      /* snapshots in the buffers */
    int64_t written;          /* snapshots in the file */
    float *codes;             /* [room][K][d] */
    uint32_t *usage;          /* [room][K] */
    int64_t *number[N_PARTS]; /* [room], of SNAPSHOT, TRIAL, EPOCH, CODEBOOK */
    struct vqs_arena memory;
};

/* The parts of a shape's group besides codes and usage: numbers along `snapshot`. */
static const struct {
    int part;
    const char *name, *long_name;
} shape_numbers[] = {{SNAPSHOT, "snapshot", "row of this group"},
                     {TRIAL, "trial", "trial the codebook is of, ascending"},
                     {EPOCH, "epoch", "end of which epoch, 0: before training"},
                     {CODEBOOK, "codebook", "number of the codebook: level * groups + group"}};
enum { N_NUMBERS = sizeof shape_numbers / sizeof shape_numbers[0] };

static enum vqs_status make_shape_sets(struct vqs_codebooks *books, struct vqs_codebooks_shape *s) {
    const hsize_t room = s->room, K = (hsize_t)s->K, d = (hsize_t)s->d;
    char name[VQS_GROUP_NAME];
    hid_t group, code, component;
    vqs_codebook_group(s->K, s->d, name);
    TRY(vqs_hdf5_make_group(books->out, name, &group));
    TRY(vqs_hdf5_make_scale(books->out, group, "code", "code", 0, K, &code));
    TRY(vqs_hdf5_make_scale(books->out, group, "component", "component of a code", 0, d, &component));
    for (int i = 0; i < N_NUMBERS; i++) {
        const int part = shape_numbers[i].part;
        const struct vqs_hdf5_spec spec = {.parent = group,
                                           .name = shape_numbers[i].name,
                                           .long_name = shape_numbers[i].long_name,
                                           .type = H5T_STD_I64LE,
                                           .chunk = {room},
                                           .grows = true,
                                           .compress = true,
                                           .scale = {part == SNAPSHOT ? 0 : s->part[SNAPSHOT]}};
        TRY(vqs_hdf5_make_dataset(books->out, &spec, &s->part[part]));
    }
    const struct vqs_hdf5_spec codes = {.parent = group,
                                        .name = "codes",
                                        .unit = "1",
                                        .long_name = "codebook",
                                        .type = H5T_IEEE_F32LE,
                                        .size = {0, K, d},
                                        .chunk = {room, K, d},
                                        .grows = true,
                                        .scale = {s->part[SNAPSHOT], code, component}};
    const struct vqs_hdf5_spec usage = {.parent = group,
                                        .name = "usage",
                                        .unit = "samples",
                                        .long_name = "training samples of each code",
                                        .formula = "n_k",
                                        .type = H5T_STD_U32LE,
                                        .size = {0, K},
                                        .chunk = {room, K},
                                        .grows = true,
                                        .compress = true,
                                        .scale = {s->part[SNAPSHOT], code}};
    TRY(vqs_hdf5_make_dataset(books->out, &codes, &s->part[CODES]));
    return vqs_hdf5_make_dataset(books->out, &usage, &s->part[USAGE]);
}

static void carve_shape(struct vqs_codebooks_shape *s) {
    s->codes = vqs_arena_take(&s->memory, s->room * (size_t)s->K * (size_t)s->d, sizeof *s->codes);
    s->usage = vqs_arena_take(&s->memory, s->room * (size_t)s->K, sizeof *s->usage);
    for (int i = 0; i < N_NUMBERS; i++) {
        s->number[shape_numbers[i].part] = vqs_arena_take(&s->memory, s->room, sizeof(int64_t));
    }
}

/* The shape K x d, made when it is first asked for. */
static enum vqs_status find_shape(struct vqs_codebooks *books, int K, int d, struct vqs_codebooks_shape **out) {
    for (size_t i = 0; i < books->n_shapes; i++) {
        if (books->shapes[i].K == K && books->shapes[i].d == d) {
            *out = &books->shapes[i];
            return VQS_OK;
        }
    }
    struct vqs_codebooks_shape *grown = realloc(books->shapes, (books->n_shapes + 1) * sizeof *grown);
    if (!grown) {
        return vqs_fail(books->out->err, VQS_ERR_MEMORY, "cannot allocate %zu shapes of codebooks",
                        books->n_shapes + 1);
    }
    books->shapes = grown;
    struct vqs_codebooks_shape *s = *out = &books->shapes[books->n_shapes];
    const size_t bytes = (size_t)K * (size_t)d * sizeof(float);
    *s = (struct vqs_codebooks_shape){.K = K, .d = d, .room = bytes < CODEBOOK_CHUNK ? CODEBOOK_CHUNK / bytes : 1};
    carve_shape(s);
    TRY(vqs_arena_create(&s->memory, s->memory.used, books->out->err));
    carve_shape(s);
    books->n_shapes++;
    return make_shape_sets(books, s);
}

static enum vqs_status flush_shape(struct vqs_codebooks *books, struct vqs_codebooks_shape *s) {
    const size_t start = (size_t)s->written, n = s->filled;
    if (n == 0) {
        return VQS_OK;
    }
    TRY(vqs_hdf5_write_rows(books->out, s->part[CODES], H5T_NATIVE_FLOAT, start, n, s->codes, "codebooks"));
    TRY(vqs_hdf5_write_rows(books->out, s->part[USAGE], H5T_NATIVE_UINT32, start, n, s->usage, "codebooks"));
    for (int i = 0; i < N_NUMBERS; i++) {
        const int part = shape_numbers[i].part;
        TRY(vqs_hdf5_write_rows(books->out, s->part[part], H5T_NATIVE_INT64, start, n, s->number[part], "codebooks"));
    }
    s->written += (int64_t)n;
    s->filled = 0;
    return VQS_OK;
}

enum vqs_status vqs_codebooks_begin(struct vqs_codebooks *books) {
    hid_t group;
    return vqs_hdf5_make_group(books->out, "codebooks", &group);
}

enum vqs_status vqs_codebooks_add(struct vqs_codebooks *books, size_t trial, const struct vqs_record *record,
                                  int64_t *row) {
    struct vqs_codebooks_shape *s = NULL;
    if (record->n_snapshots > 0) {
        TRY(find_shape(books, record->snapshots[0].K, record->snapshots[0].d, &s));
        *row = s->written + (int64_t)s->filled;
    }
    for (int i = 0; i < record->n_snapshots; i++) {
        const struct vqs_snapshot *snapshot = &record->snapshots[i];
        const size_t K = (size_t)s->K, d = (size_t)s->d;
        memcpy(s->codes + s->filled * K * d, snapshot->codes, K * d * sizeof(float));
        memcpy(s->usage + s->filled * K, snapshot->usage, K * sizeof(uint32_t));
        s->number[SNAPSHOT][s->filled] = s->written + (int64_t)s->filled;
        s->number[TRIAL][s->filled] = (int64_t)trial;
        s->number[EPOCH][s->filled] = snapshot->epoch;
        s->number[CODEBOOK][s->filled] = snapshot->codebook;
        if (++s->filled == s->room) {
            TRY(flush_shape(books, s));
        }
    }
    return VQS_OK;
}

enum vqs_status vqs_codebooks_flush(struct vqs_codebooks *books) {
    enum vqs_status status = VQS_OK;
    for (size_t i = 0; !status && i < books->n_shapes; i++) {
        status = flush_shape(books, &books->shapes[i]);
    }
    return status;
}

void vqs_codebooks_destroy(struct vqs_codebooks *books) {
    for (size_t i = 0; i < books->n_shapes; i++) {
        vqs_arena_destroy(&books->shapes[i].memory);
    }
    free(books->shapes);
}
