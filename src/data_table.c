/* data_table.c - the readers of tables, equal elements of one type, sample after sample: IDX, NPY, raw float32. */
#include "data_readers.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct element {
    char kind; /* 'u', 'i' or 'f': whole numbers without and with sign, IEEE 754 */
    int size;  /* bytes */
    bool big_endian;
};

struct table {
    struct vqs_data_file file;
    uint64_t start; /* offset of the first sample */
    struct element type;
    unsigned char *row; /* one sample as it stands in the file */
};

static double half_value(unsigned bits) {
    const int exponent = bits >> 10 & 31;
    const double fraction = bits & 1023, sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31) {
        return fraction > 0 ? NAN : sign * INFINITY;
    }
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static double element_value(struct element type, const unsigned char *p) {
    uint64_t word = 0;
    for (int i = 0; i < type.size; i++) {
        word |= (uint64_t)p[type.big_endian ? type.size - 1 - i : i] << (8 * i);
    }
    const uint32_t low = (uint32_t)word;
    const uint64_t sign = UINT64_C(1) << (8 * type.size - 1);
    float single;
    double value;
    switch (type.kind) {
    case 'u':
        return (double)word;
    case 'i':
        return (double)(int64_t)((word ^ sign) - sign);
    default:
        memcpy(&single, &low, sizeof single);
        memcpy(&value, &word, sizeof value);
        return type.size == 2 ? half_value(low) : type.size == 4 ? (double)single : value;
    }
}

static void table_close(struct vqs_source *source) {
    struct table *table = source->state;
    if (table) {
        vqs_data_file_close(&table->file);
        free(table->row);
        free(table);
    }
}

static enum vqs_status table_open(const struct vqs_settings *s, bool as_is, struct vqs_source *source,
                                  struct vqs_error *err) {
    struct table *table = source->state = calloc(1, sizeof *table);
    return table ? vqs_data_file_open(s->path, as_is, &table->file, err)
                 : vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory to read it", s->path);
}

/* After the header: n samples of D elements are to follow, and nothing else. */
static enum vqs_status table_check(struct vqs_source *source, uint64_t n, uint64_t D, const char *text,
                                   struct vqs_error *err) {
    struct table *table = source->state;
    const char *path = table->file.path;
    uint64_t row = D * (uint64_t)table->type.size, end;
    source->n = n;
    source->D = (int)D;
    snprintf(source->text, sizeof source->text, "%s of %d-bit %s%s", text, 8 * table->type.size,
             table->type.kind == 'f' ? "floats" : "integers", table->file.zipped ? ", gzipped" : "");
    if (__builtin_mul_overflow(n, row, &end) || __builtin_add_overflow(end, table->start, &end) || end > INT64_MAX) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: its header names %" PRIu64 " samples, more than a file can hold", path,
                        n);
    }
    enum vqs_status status = vqs_data_file_measure(&table->file, end, err);
    if (status) {
        return status;
    }
    if (table->file.size < end) {
        return vqs_fail(err, VQS_ERR_DATA,
                        "%s: offset %" PRIu64 ": ends in sample %" PRIu64 " of the %" PRIu64 " that its header names",
                        path, table->file.size, (table->file.size - table->start) / row + 1, n);
    }
    if (table->file.size > end) {
        return vqs_fail(err, VQS_ERR_DATA,
                        "%s: offset %" PRIu64 ": goes on after the %" PRIu64 " samples that its header names", path,
                        end, n);
    }
    table->row = malloc(row);
    return table->row ? VQS_OK : vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory for a sample", path);
}

static enum vqs_status table_read(struct vqs_source *source, uint64_t first, size_t n, float *rows,
                                  struct vqs_error *err) {
    struct table *table = source->state;
    const size_t D = (size_t)source->D, item = (size_t)table->type.size;
    for (size_t i = 0; i < n; i++) {
        const uint64_t at = table->start + (first + i) * D * item;
        enum vqs_status status = vqs_data_file_get(&table->file, at, table->row, D * item, err);
        if (status) {
            return status;
        }
        for (size_t j = 0; j < D; j++) {
            rows[i * D + j] = (float)element_value(table->type, table->row + j * item);
        }
    }
    return VQS_OK;
}

/* Multiplies an axis into n (the first) or D (the others). */
static enum vqs_status add_axis(const char *path, long offset, int axis, uint64_t length, uint64_t *n, uint64_t *D,
                                struct vqs_error *err) {
    if (axis == 0) {
        *n = length;
    } else {
        *D *= length <= VQS_MAX_COLUMNS ? length : VQS_MAX_COLUMNS + 1;
    }
    if (length == 0 || *D > VQS_MAX_COLUMNS) {
        return vqs_fail(err, VQS_ERR_DATA,
                        "%s: offset %ld: axis %d has %" PRIu64 " elements; expected 1 to %d a sample", path, offset,
                        axis, length, VQS_MAX_COLUMNS);
    }
    return VQS_OK;
}

/* ---- IDX ------------------------------------------------------------------------------------------------------- */

static struct element idx_type(unsigned code) {
    switch (code) {
    case 0x08:
        return (struct element){'u', 1, true};
    case 0x09:
        return (struct element){'i', 1, true};
    case 0x0B:
        return (struct element){'i', 2, true};
    case 0x0C:
        return (struct element){'i', 4, true};
    case 0x0D:
        return (struct element){'f', 4, true};
    case 0x0E:
        return (struct element){'f', 8, true};
    default:
        return (struct element){0};
    }
}

static enum vqs_status idx_open(const struct vqs_settings *s, struct vqs_source *source, struct vqs_error *err) {
    enum { MAX_AXES = 4 };
    unsigned char magic[4] = {0}, axis[4];
    uint64_t n = 0, D = 1;
    size_t got = 0;
    enum vqs_status status = table_open(s, false, source, err);
    struct table *table = source->state;
    if (!status) {
        status = vqs_data_file_read(&table->file, 0, magic, 4, &got, err);
    }
    if (status) {
        return status;
    }
    table->type = idx_type(magic[2]);
    if (got != 4 || magic[0] || magic[1] || !table->type.size || magic[3] < 1 || magic[3] > MAX_AXES) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: offset 0: not an IDX file; expected the bytes 0 0 TYPE AXES", s->path);
    }
    for (int i = 0; i < magic[3] && !status; i++) {
        status = vqs_data_file_get(&table->file, 4 + 4 * (uint64_t)i, axis, 4, err);
        if (!status) {
            const uint64_t length =
                (uint64_t)axis[0] << 24 | (uint64_t)axis[1] << 16 | (uint64_t)axis[2] << 8 | axis[3];
            status = add_axis(s->path, 4 + 4 * i, i, length, &n, &D, err);
        }
    }
    table->start = 4 + 4 * (uint64_t)magic[3];
    return status ? status : table_check(source, n, D, "IDX", err);
}

const struct vqs_source_reader vqs_source_idx = {idx_open, table_read, table_close, NULL};

/* ---- NPY: a Python dictionary in a fixed frame, then the elements ---------------------------------------------- */

/* What follows 'key': in the header, or NULL. */
static const char *npy_value(const char *header, const char *key) {
    const char *at = strstr(header, key);
    if (at) {
        at += strlen(key);
        at += strspn(at, " ");
        at = *at == ':' ? at + 1 + strspn(at + 1, " ") : NULL;
    }
    return at;
}

/* '<f4' and the like. */
static bool npy_type(const char *text, struct element *type) {
    char order, kind, quote;
    int size;
    if (!text || sscanf(text, "'%c%c%2d%c", &order, &kind, &size, &quote) != 4 || quote != '\'' || !order ||
        !strchr("<>|=", order)) {
        return false;
    }
    *type = (struct element){kind == 'b' ? 'u' : kind, size, order == '>'};
    const bool whole = size == 1 || size == 2 || size == 4 || size == 8;
    return whole && (kind == 'u' || kind == 'i' || (kind == 'f' && size > 1) || (kind == 'b' && size == 1));
}

/* (3, 4) and the like. */
static enum vqs_status npy_shape(const char *path, const char *header, uint64_t *n, uint64_t *D,
                                 struct vqs_error *err) {
    const char *at = npy_value(header, "'shape'");
    enum vqs_status status = VQS_OK;
    int axes = 0;
    *D = 1;
    for (at = at && *at == '(' ? at + 1 : ""; *at >= '0' && *at <= '9' && !status; axes++) {
        char *end;
        const uint64_t length = strtoull(at, &end, 10);
        status = add_axis(path, 10, axes, length, n, D, err);
        at = end + strspn(end, ", ");
    }
    if (!status && (!axes || *at != ')')) {
        status = vqs_fail(err, VQS_ERR_DATA,
                          "%s: offset 10: no shape of one or more axes; expected an array of samples", path);
    }
    return status;
}

static enum vqs_status npy_open(const struct vqs_settings *s, struct vqs_source *source, struct vqs_error *err) {
    enum { MAX_HEADER = 65535 };
    unsigned char head[12] = {0};
    uint64_t n = 0, D = 1;
    size_t got = 0;
    enum vqs_status status = table_open(s, false, source, err);
    struct table *table = source->state;
    if (!status) {
        status = vqs_data_file_read(&table->file, 0, head, sizeof head, &got, err);
    }
    if (status) {
        return status;
    }
    if (got < sizeof head || memcmp(head, "\x93NUMPY", 6) || head[6] < 1 || head[6] > 3) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: offset 0: not an NPY file; expected \\x93NUMPY and version 1 to 3",
                        s->path);
    }
    const uint64_t from = head[6] == 1 ? 10 : 12;
    const size_t size =
        head[8] | (size_t)head[9] << 8 | (head[6] > 1 ? (size_t)head[10] << 16 | (size_t)head[11] << 24 : 0);
    char *header = size <= MAX_HEADER ? calloc(1, size + 1) : NULL;
    if (!header) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: offset 8: a header of %zu bytes; expected at most %d", s->path, size,
                        MAX_HEADER);
    }
    status = vqs_data_file_get(&table->file, from, header, size, err);
    table->start = from + size;
    const char *order = npy_value(header, "'fortran_order'");
    if (!status && !npy_type(npy_value(header, "'descr'"), &table->type)) {
        status = vqs_fail(err, VQS_ERR_DATA,
                          "%s: offset %d: elements of no type that is read here; expected integers, "
                          "floats or booleans of 1 to 8 bytes",
                          s->path, (int)from);
    }
    if (!status) {
        status = npy_shape(s->path, header, &n, &D, err);
    }
    if (!status && (!order || strncmp(order, "False", 5)) && D > 1) {
        status = vqs_fail(err, VQS_ERR_DATA, "%s: offset %d: in Fortran order; save numpy.ascontiguousarray of it",
                          s->path, (int)from);
    }
    free(header);
    return status ? status : table_check(source, n, D, "NPY", err);
}

const struct vqs_source_reader vqs_source_npy = {npy_open, table_read, table_close, NULL};

/* ---- raw: little-endian float32 -------------------------------------------------------------------------------- */

static enum vqs_status raw_open(const struct vqs_settings *s, struct vqs_source *source, struct vqs_error *err) {
    enum vqs_status status = table_open(s, true, source, err);
    struct table *table = source->state;
    if (status) {
        return status;
    }
    table->type = (struct element){'f', 4, false};
    const uint64_t row = 4 * (uint64_t)s->D, n = table->file.size / row;
    if (n == 0 || table->file.size % row) {
        return vqs_fail(err, VQS_ERR_DATA,
                        "%s: %" PRIu64 " bytes are no whole number of samples of 4 x D = %" PRIu64
                        " bytes; set the right D",
                        s->path, table->file.size, row);
    }
    return table_check(source, n, (uint64_t)s->D, "raw file", err);
}

const struct vqs_source_reader vqs_source_raw = {raw_open, table_read, table_close, NULL};
