/* data_csv.c - the reader of CSV, plain or gzipped: a pass to count and check, another for the samples asked for. */
#include "data_readers.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1 << 20 };

struct csv {
    const char *path;
    gzFile file; /* zlib reads plain files too */
    int label_columns;
    uint64_t next; /* the sample that the next line with numbers holds */
    long number;   /* of the last line read */
    z_off_t seen;  /* bytes of all lines read */
    char line[MAX_LINE];
    float values[VQS_MAX_COLUMNS];
};

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

/* The numbers of the line; *columns counts them. Between two there are blanks and at most one comma or semicolon: an
 * empty field is an error, or what follows it would move into another column. */
static enum vqs_status parse_line(struct csv *csv, int *columns, struct vqs_error *err) {
    *columns = 0;
    for (char *at = skip_blanks(csv->line); *at;) {
        char *end;
        double value = strtod(at, &end);
        if (end == at || (*end && !is_separator(*end)) || !isfinite(value) || fabs(value) > 1e30) {
            return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: column %d: '%.20s' is not a finite number", csv->path,
                            csv->number, *columns + 1, at);
        }
        if (*columns == VQS_MAX_COLUMNS) {
            return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: more than %d columns", csv->path, csv->number, VQS_MAX_COLUMNS);
        }
        csv->values[(*columns)++] = (float)value;
        at = skip_blanks(end);
        if (*at == ',' || *at == ';') {
            at = skip_blanks(at + 1);
        }
    }
    return VQS_OK;
}

/* The next line that is not blank. *found: false at the end of the file. */
static enum vqs_status next_line(struct csv *csv, bool *found, struct vqs_error *err) {
    do {
        *found = gzgets(csv->file, csv->line, MAX_LINE) != NULL;
        if (!*found) {
            return vqs_data_gz_check(csv->file, csv->path, err);
        }
        const size_t length = strlen(csv->line);
        csv->number++;
        csv->seen += (z_off_t)length;
        if (length == MAX_LINE - 1) {
            return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: a line of more than %d characters", csv->path, csv->number,
                            MAX_LINE);
        }
        if (csv->seen != gztell(csv->file)) { /* more was read than the text that is seen */
            return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: a zero byte; expected plain text", csv->path, csv->number);
        }
    } while (!*skip_blanks(csv->line));
    csv->next++;
    return VQS_OK;
}

/* One sample's columns, as many as the first has. */
static enum vqs_status check_columns(const struct csv *csv, int columns, int *D, struct vqs_error *err) {
    if (columns <= csv->label_columns) {
        return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: %d columns, of which label_columns takes %d and leaves none",
                        csv->path, csv->number, columns, csv->label_columns);
    }
    if (*D && columns - csv->label_columns != *D) {
        return vqs_fail(err, VQS_ERR_DATA, "%s:%ld: %d columns where the lines before have %d", csv->path, csv->number,
                        columns, *D + csv->label_columns);
    }
    *D = columns - csv->label_columns;
    return VQS_OK;
}

static void go_back(struct csv *csv) {
    gzrewind(csv->file);
    csv->next = 0;
    csv->number = 0;
    csv->seen = 0;
}

static enum vqs_status csv_open(const struct vqs_settings *s, struct vqs_source *source, struct vqs_error *err) {
    struct csv *csv = source->state = malloc(sizeof *csv);
    if (!csv) {
        return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory to read it", s->path);
    }
    csv->path = source->path;
    csv->file = NULL;
    csv->label_columns = s->label_columns;
    enum vqs_status status = vqs_data_stat(s->path, NULL, err);
    errno = 0;
    if (!status && !(csv->file = gzopen(s->path, "rb"))) {
        status = vqs_fail(err, VQS_ERR_DATA, "%s: cannot open: %s; expected a readable data file", s->path,
                          errno ? strerror(errno) : "out of memory");
    }
    if (status) {
        return status;
    }
    gzbuffer(csv->file, 1 << 17);
    go_back(csv);
    for (bool found = true; found && !status;) {
        int columns;
        status = next_line(csv, &found, err);
        if (!status && found && !(status = parse_line(csv, &columns, err))) {
            status = check_columns(csv, columns, &source->D, err);
        }
    }
    source->n = csv->next;
    if (!status && !source->n) {
        status = vqs_fail(err, VQS_ERR_DATA, "%s: no samples; expected lines of numbers", s->path);
    }
    snprintf(source->text, sizeof source->text, "CSV%s", gzdirect(csv->file) ? "" : ", gzipped");
    go_back(csv);
    return status;
}

static enum vqs_status csv_read(struct vqs_source *source, uint64_t first, size_t n, float *rows,
                                struct vqs_error *err) {
    struct csv *csv = source->state;
    const size_t D = (size_t)source->D;
    if (first < csv->next) {
        go_back(csv);
    }
    while (csv->next < first + n) {
        bool found;
        int columns = 0, D_before = source->D;
        enum vqs_status status = next_line(csv, &found, err);
        if (!status && found && csv->next > first) {
            status = parse_line(csv, &columns, err);
            status = status ? status : check_columns(csv, columns, &D_before, err);
            memcpy(rows + (csv->next - 1 - first) * D, csv->values, D * sizeof *rows);
        }
        if (!status && !found) {
            status = vqs_fail(err, VQS_ERR_DATA, "%s:%ld: the file has become shorter", csv->path, csv->number);
        }
        if (status) {
            return status;
        }
    }
    return VQS_OK;
}

static void csv_close(struct vqs_source *source) {
    struct csv *csv = source->state;
    if (csv && csv->file) {
        gzclose(csv->file);
    }
    free(csv);
}

const struct vqs_source_reader vqs_source_csv = {csv_open, csv_read, csv_close, NULL};
