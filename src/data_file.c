/* data_file.c - readers of numeric files: CSV and IDX, plain or gzip (zlib reads both). */
#include "vqsweep/data.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MAX_COLUMNS = 65536, MAX_LINE = 1 << 20, MAX_AXES = 4 };
static const size_t max_values = (size_t)1 << 33;

/* A growing [n][D] matrix. */
struct matrix {
    float *values;
    size_t size, capacity;
};

static enum vqs_status matrix_push(struct matrix *m, float value, const char *path, struct vqs_error *err) {
    if (m->size == m->capacity) {
        size_t capacity = m->capacity ? 2 * m->capacity : 65536;
        float *grown = capacity <= max_values ? realloc(m->values, capacity * sizeof *grown) : NULL;
        if (!grown) {
            return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory for more than %zu values", path, m->size);
        }
        m->values = grown;
        m->capacity = capacity;
    }
    m->values[m->size++] = value;
    return VQS_OK;
}

static enum vqs_status open_file(const char *path, gzFile *file, struct vqs_error *err) {
    errno = 0;
    *file = gzopen(path, "rb");
    if (!*file) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: cannot open: %s; expected a readable data file", path,
                        errno ? strerror(errno) : "out of memory");
    }
    gzbuffer(*file, 1 << 17);
    return VQS_OK;
}

/* A read error that zlib saw (damaged or truncated gzip, a directory), as one line. */
static enum vqs_status check_stream(gzFile file, const char *path, struct vqs_error *err) {
    int code = Z_OK;
    const char *text = gzerror(file, &code);
    if (code == Z_OK || code == Z_STREAM_END) {
        return VQS_OK;
    }
    return vqs_fail(err, VQS_ERR_DATA, "%s: offset %ld: %s; expected a whole plain or gzip file", path,
                    (long)gztell(file), code == Z_ERRNO ? strerror(errno) : text);
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_separator(char c) {
    return c == ',' || c == ';' || is_blank(c);
}

static char *skip_blanks(char *at) {
    while (is_blank(*at)) {
        at++;
    }
    return at;
}

/* Append the numbers of one line to `m`; *columns counts them. Between two there are blanks and at most one comma or
 * semicolon: an empty field is an error, or what follows it would move into another column. */
static enum vqs_status parse_line(char *line, const char *path, long number, struct matrix *m, int *columns,
                                  struct vqs_error *err) {
    *columns = 0;
    for (char *at = skip_blanks(line); *at;) {
        char *end;
        double value = strtod(at, &end);
        if (end == at || (*end && !is_separator(*end)) || !isfinite(value) || fabs(value) > 1e30) {
            return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: column %d: '%.20s' is not a finite number", path, number,
                            *columns + 1, at);
        }
        if (++*columns > MAX_COLUMNS) {
            return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: more than %d columns", path, number, MAX_COLUMNS);
        }
        enum vqs_status status = matrix_push(m, (float)value, path, err);
        if (status) {
            return status;
        }
        at = skip_blanks(end);
        if (*at == ',' || *at == ';') {
            at = skip_blanks(at + 1);
        }
    }
    return VQS_OK;
}

static enum vqs_status csv_lines(gzFile file, const char *path, int label_columns, size_t limit, char *line,
                                 struct matrix *m, size_t *n, int *D, struct vqs_error *err) {
    enum vqs_status status = VQS_OK;
    z_off_t seen = 0;
    *n = 0;
    *D = 0;
    for (long number = 1; (!limit || *n < limit) && gzgets(file, line, MAX_LINE); number++) {
        const size_t length = strlen(line);
        if (length == MAX_LINE - 1) {
            return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: a line of more than %d characters", path, number, MAX_LINE);
        }
        seen += (z_off_t)length;
        if (seen != gztell(file)) { /* more was read than the text that is seen */
            return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: a zero byte; expected plain text", path, number);
        }
        int columns;
        status = parse_line(line, path, number, m, &columns, err);
        if (status) {
            return status;
        }
        if (columns == 0) {
            continue;
        }
        if (columns <= label_columns) {
            return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: %d columns, of which label_columns takes %d and leaves none",
                            path, number, columns, label_columns);
        }
        if (*n && columns - label_columns != *D) {
            return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: %d columns where the lines before have %d", path, number,
                            columns, *D + label_columns);
        }
        *D = columns - label_columns;
        m->size -= (size_t)label_columns;
        ++*n;
    }
    return check_stream(file, path, err);
}

enum vqs_status vqs_csv_read(const char *path, int label_columns, size_t limit, float **values, size_t *n, int *D,
                             struct vqs_error *err) {
    struct matrix m = {0};
    gzFile file = NULL;
    char *line = NULL;
    enum vqs_status status = open_file(path, &file, err);
    if (status) {
        goto done;
    }
    line = malloc(MAX_LINE);
    if (!line) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory to read it", path);
        goto done;
    }
    status = csv_lines(file, path, label_columns, limit, line, &m, n, D, err);
    if (!status && *n == 0) {
        status = vqs_fail(err, VQS_ERR_DATA, "%s: no samples; expected lines of numbers", path);
    }
done:
    free(line);
    if (file) {
        gzclose(file);
    }
    if (status) {
        free(m.values);
        m.values = NULL;
    }
    *values = m.values;
    return status;
}

/* ---- IDX --------------------------------------------------------------------------------------------------------- */

static uint32_t big_endian_32(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Bytes of an element type, 0 for an unknown one. */
static size_t idx_element_size(unsigned type) {
    switch (type) {
    case 0x08: /* uint8 */
    case 0x09: /* int8 */
        return 1;
    case 0x0B: /* int16 */
        return 2;
    case 0x0C: /* int32 */
    case 0x0D: /* float */
        return 4;
    case 0x0E: /* double */
        return 8;
    default:
        return 0;
    }
}

static double idx_element(unsigned type, const unsigned char *p) {
    uint64_t word;
    switch (type) {
    case 0x08:
        return p[0];
    case 0x09:
        return (int8_t)p[0];
    case 0x0B:
        return (int16_t)(uint16_t)(p[0] << 8 | p[1]);
    case 0x0C:
        return (int32_t)big_endian_32(p);
    case 0x0D: {
        uint32_t bits = big_endian_32(p);
        float value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    default:
        word = (uint64_t)big_endian_32(p) << 32 | big_endian_32(p + 4);
        double value;
        memcpy(&value, &word, sizeof value);
        return value;
    }
}

struct idx_header {
    unsigned type;
    size_t n, D;
};

static enum vqs_status idx_read_header(gzFile file, const char *path, struct idx_header *h, struct vqs_error *err) {
    unsigned char magic[4], axis[4];
    if (gzread(file, magic, 4) != 4 || magic[0] || magic[1] || !idx_element_size(magic[2]) || magic[3] < 1 ||
        magic[3] > MAX_AXES) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: offset 0: not an IDX file; expected the bytes 0 0 TYPE AXES", path);
    }
    h->type = magic[2];
    h->D = 1;
    for (int i = 0; i < magic[3]; i++) {
        if (gzread(file, axis, 4) != 4) {
            return vqs_fail(err, VQS_ERR_DATA, "%s: offset %d: the header ends early", path, 4 + 4 * i);
        }
        size_t length = big_endian_32(axis);
        if (i == 0) {
            h->n = length;
        } else {
            h->D *= length <= MAX_COLUMNS ? length : MAX_COLUMNS + 1;
        }
        if (length == 0 || h->D > MAX_COLUMNS) {
            return vqs_fail(err, VQS_ERR_DATA, "%s: offset %d: axis %d has %zu elements; expected 1 to %d a sample",
                            path, 4 + 4 * i, i, length, MAX_COLUMNS);
        }
    }
    return VQS_OK;
}

static enum vqs_status idx_samples(gzFile file, const char *path, size_t limit, unsigned char *row, struct matrix *m,
                                   const struct idx_header *h, size_t *n, struct vqs_error *err) {
    const size_t item = idx_element_size(h->type), bytes = h->D * item;
    for (*n = 0; *n < h->n && (!limit || *n < limit); ++*n) {
        if (gzread(file, row, (unsigned)bytes) != (int)bytes) {
            enum vqs_status status = check_stream(file, path, err);
            return status ? status
                          : vqs_fail(err, VQS_ERR_DATA, "%s: ends in sample %zu of the %zu that its header names", path,
                                     *n + 1, h->n);
        }
        for (size_t j = 0; j < h->D; j++) {
            double value = idx_element(h->type, row + j * item);
            if (!isfinite(value) || fabs(value) > 1e30) {
                return vqs_fail(err, VQS_ERR_DATA, "%s: sample %zu, value %zu is not a finite number", path, *n + 1,
                                j + 1);
            }
            enum vqs_status status = matrix_push(m, (float)value, path, err);
            if (status) {
                return status;
            }
        }
    }
    if (*n == h->n && gzread(file, row, 1) == 1) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: goes on after the %zu samples that its header names", path, h->n);
    }
    return check_stream(file, path, err); /* a gzip file's checksum stands at its end */
}

enum vqs_status vqs_idx_read(const char *path, size_t limit, float **values, size_t *n, int *D, struct vqs_error *err) {
    struct matrix m = {0};
    struct idx_header header = {0};
    unsigned char *row = NULL;
    gzFile file = NULL;
    enum vqs_status status = open_file(path, &file, err);
    if (!status) {
        status = idx_read_header(file, path, &header, err);
    }
    if (!status && !(row = malloc(header.D * idx_element_size(header.type)))) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory for a sample of %zu values", path, header.D);
    }
    if (!status) {
        status = idx_samples(file, path, limit, row, &m, &header, n, err);
        *D = (int)header.D;
    }
    free(row);
    if (file) {
        gzclose(file);
    }
    if (status) {
        free(m.values);
        m.values = NULL;
    }
    *values = m.values;
    return status;
}
