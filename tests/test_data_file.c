/* test_data_file.c - CSV and IDX files, good, bad and damaged, and the data sets made from them. */
#include "make_data.h"
#include "test_files.h"

#include <zlib.h>

/* ---- reading --------------------------------------------------------------------------------------------------- */

static void write_text(const char *path, const char *text) {
    scratch_write(path, text, strlen(text));
}

static void write_gzip(const char *path, const void *bytes, size_t size) {
    gzFile file = gzopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, bytes, (unsigned)size), (int)size);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

/* What a reader made of a file. */
struct reading {
    enum vqs_status status;
    float *values;
    size_t n;
    int D;
    struct vqs_error err;
};

/* All samples; or `only` that many of the first. */
static struct reading read_all(const struct vqs_settings *s, size_t only) {
    struct reading r = {0};
    struct vqs_source source;
    r.status = vqs_source_open(s, NULL, &source, &r.err);
    if (r.status) {
        return r;
    }
    r.n = only ? only : source.n;
    r.D = source.D;
    ck_assert_uint_ge(source.n, r.n);
    ck_assert_ptr_nonnull(r.values = malloc(r.n * (size_t)r.D * sizeof *r.values));
    r.status = vqs_source_read(&source, 0, r.n, r.values, &r.err);
    if (r.status) {
        free(r.values);
        r.values = NULL;
    }
    vqs_source_close(&source);
    return r;
}

static struct vqs_settings settings_of(enum vqs_data_kind data, const char *path) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    s.data = data;
    snprintf(s.path, sizeof s.path, "%s", path);
    return s;
}

static struct reading read_csv(const char *path, int label_columns, size_t only) {
    struct vqs_settings s = settings_of(VQS_DATA_CSV, path);
    s.label_columns = label_columns;
    return read_all(&s, only);
}

static struct reading read_idx(const char *path, size_t only) {
    const struct vqs_settings s = settings_of(VQS_DATA_IDX, path);
    return read_all(&s, only);
}

static void expect_values(struct reading r, size_t n, int D, const float *values) {
    ck_assert_msg(r.status == VQS_OK, "%s", r.err.text);
    ck_assert_uint_eq(r.n, n);
    ck_assert_int_eq(r.D, D);
    ck_assert_mem_eq(r.values, values, n * (size_t)D * sizeof *values);
    free(r.values);
}

/* A refusal is one line that begins with the file and has `text` in it; nothing is left to free. */
static void expect_refusal(struct reading r, const char *path, const char *text) {
    ck_assert_msg(r.status == VQS_ERR_DATA, "%s: status %d, expected a refusal with '%s'", path, r.status, text);
    ck_assert_int_eq(r.err.status, VQS_ERR_DATA);
    ck_assert_ptr_null(r.values);
    ck_assert_msg(!strncmp(r.err.text, path, strlen(path)) && strstr(r.err.text, text) && !strchr(r.err.text, '\n'),
                  "'%s' should name '%s' and '%s'", r.err.text, path, text);
}

/* ---- CSV ------------------------------------------------------------------------------------------------------- */

START_TEST(csv_of_every_style_is_read) {
    static const float values[] = {1, 2.5f, -3, 4, 5e-3f, 6};
    static const char *const texts[] = {"1,2.5,-3\n4,5e-3,6\n",
                                        "1;2.5;-3\n4;5e-3;6",
                                        "1 2.5 -3\n4\t5e-3   6\n",
                                        "1,2.5,-3\r\n4,5e-3,6\r\n",
                                        "\n  1 , 2.5 , -3 \n\n\n4,.005,+6\n\n",
                                        "1,2.5,-3,\n4,0.005,6.0,\n"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        write_text("a.csv", texts[i]);
        expect_values(read_csv("a.csv", 0, 0), 2, 3, values);
        write_gzip("a.csv.gz", texts[i], strlen(texts[i]));
        expect_values(read_csv("a.csv.gz", 0, 0), 2, 3, values);
        expect_values(read_csv("a.csv.gz", 0, 1), 1, 3, values);
    }
    static const float unlabelled[] = {1, 4};
    expect_values(read_csv("a.csv", 2, 0), 2, 1, unlabelled);
}
END_TEST

/* What is read in any order is what is read in a row. */
START_TEST(ranges_are_read_in_any_order) {
    char text[4000];
    size_t size = 0;
    for (int i = 0; i < 50; i++) {
        size += (size_t)sprintf(text + size, "%s%d,%d\n", i % 7 ? "" : "\n", i, -i);
    }
    scratch_write("order.csv", text, size);
    write_gzip("order.csv.gz", text, size);
    static const struct {
        uint64_t first;
        size_t n;
    } ranges[] = {{0, 3}, {3, 1}, {10, 4}, {49, 1}, {2, 5}, {2, 1}, {0, 50}};
    for (int zipped = 0; zipped < 2; zipped++) {
        const struct vqs_settings s = settings_of(VQS_DATA_CSV, zipped ? "order.csv.gz" : "order.csv");
        struct vqs_source source;
        float rows[100];
        ck_assert_int_eq(vqs_source_open(&s, NULL, &source, NULL), VQS_OK);
        ck_assert_uint_eq(source.n, 50);
        for (size_t r = 0; r < COUNT_OF(ranges); r++) {
            ck_assert_int_eq(vqs_source_read(&source, ranges[r].first, ranges[r].n, rows, NULL), VQS_OK);
            for (size_t i = 0; i < ranges[r].n; i++) {
                const float number = (float)(ranges[r].first + i);
                ck_assert(rows[2 * i] == number && rows[2 * i + 1] == -number);
            }
        }
        vqs_source_close(&source);
    }
}
END_TEST

START_TEST(long_csv_is_read) {
    enum { N = 5000, D = 30 };
    static char text[N * D * 8];
    static float values[N * D];
    size_t size = 0;
    for (int i = 0; i < N * D; i++) {
        values[i] = (float)(i % 9973) / 16;
        size += (size_t)sprintf(text + size, "%.9g%c", (double)values[i], i % D == D - 1 ? '\n' : ',');
    }
    scratch_write("long.csv", text, size);
    expect_values(read_csv("long.csv", 0, 0), N, D, values);
}
END_TEST

START_TEST(bad_csv_is_refused) {
    static const struct {
        const char *content, *text;
        int label_columns;
    } cases[] = {
        {"", "no samples", 0},
        {"\n\n \n", "no samples", 0},
        {"1,2\n3\n", ":2: 1 columns where the lines before have 2", 0},
        {"1,2\n\n3,4,5\n", ":3: 3 columns", 0},
        {"1,2,3\n4,5,6,7\n", ":2: 4 columns where the lines before have 3", 1},
        {"a,b\n1,2\n", ":1: column 1: 'a,b", 0},
        {"1,2\n3,x\n", ":2: column 2: 'x", 0},
        {"1,2\n3,4x\n", ":2: column 2: '4x", 0},
        {"1,nan\n", ":1: column 2: 'nan", 0},
        {"1,2\ninf,2\n", ":2: column 1: 'inf", 0},
        {"1,1e31\n", ":1: column 2", 0},
        {"1,1e999\n", ":1: column 2", 0},
        {"1,2\n3,,4\n", ":2: column 2", 0},
        {"1,,2\n3,,4\n", ":1: column 2", 0},
        {",1,2\n3,4,5\n", ":1: column 1", 0},
        {"1,2\n", ":1: 2 columns, of which label_columns takes 2", 2},
        {"1,2\n", ":1: 2 columns, of which label_columns takes 5", 5},
        {"\xEF\xBB\xBF"
         "1,2\n",
         ":1: column 1", 0},
        {"\"1\",2\n", ":1: column 1", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_text("bad.csv", cases[i].content);
        expect_refusal(read_csv("bad.csv", cases[i].label_columns, 0), "bad.csv", cases[i].text);
    }
    expect_refusal(read_csv("none.csv", 0, 0), "none.csv", "No such file");
    expect_refusal(read_csv(".", 0, 0), ".", "Is a directory");
}
END_TEST

START_TEST(csv_with_a_zero_byte_is_refused) {
    static const char wide[] = "1\0,\0002\0\n\0003\0,\0004\0\n\0"; /* as an editor saves UTF-16 */
    static const char last[] = "1,2\n3,4\0005";
    scratch_write("wide.csv", wide, sizeof wide - 1);
    expect_refusal(read_csv("wide.csv", 0, 0), "wide.csv", ":1: ");
    scratch_write("last.csv", last, sizeof last - 1);
    expect_refusal(read_csv("last.csv", 0, 0), "last.csv", ":2: ");
}
END_TEST

START_TEST(csv_out_of_bounds_is_refused) {
    static char text[1 << 21];
    memset(text, ' ', sizeof text);
    text[0] = '1';
    scratch_write("line.csv", text, sizeof text);
    expect_refusal(read_csv("line.csv", 0, 0), "line.csv", ":1: a line of more than");
    for (int i = 0; i < 70000; i++) {
        memcpy(text + 2 * i, "1,", 2);
    }
    scratch_write("columns.csv", text, 140000);
    expect_refusal(read_csv("columns.csv", 0, 0), "columns.csv", ":1: more than 65536 columns");
}
END_TEST

/* A gzip file cut anywhere is refused, though whole lines come out of it first. */
START_TEST(cut_gzip_is_refused) {
    char text[4000] = "";
    uint64_t state = 1;
    size_t size = 0;
    for (int i = 0; i < 300; i++) {
        size += (size_t)sprintf(text + size, "%.4f,%d\n", test_uniform(&state), i);
    }
    write_gzip("cut.csv.gz", text, size);
    unsigned char *bytes = scratch_read("cut.csv.gz", &size);
    for (size_t cut = 20; cut < size; cut += 37) {
        scratch_write("cut.csv.gz", bytes, cut);
        expect_refusal(read_csv("cut.csv.gz", 0, 0), "cut.csv.gz", "");
    }
    scratch_write("cut.csv.gz", bytes, size - 1);
    expect_refusal(read_csv("cut.csv.gz", 0, 0), "cut.csv.gz", "offset");
    free(bytes);
}
END_TEST

/* ---- IDX ------------------------------------------------------------------------------------------------------- */

/* Header of [2][3] elements of a type. */
#define IDX_2_3(type) 0, 0, type, 2, 0, 0, 0, 2, 0, 0, 0, 3

START_TEST(idx_of_every_type_is_read) {
    static const unsigned char u8[] = {IDX_2_3(0x08), 0, 1, 255, 3, 4, 5};
    static const unsigned char i8[] = {IDX_2_3(0x09), 0, 1, 0xff, 3, 0x80, 5};
    static const unsigned char i16[] = {IDX_2_3(0x0B), 0, 0, 0, 1, 0xff, 0xff, 1, 0, 0x80, 0, 0, 5};
    static const unsigned char i32[] = {IDX_2_3(0x0C), 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0,
                                        0x80,          0, 0, 0, 0, 0, 0, 5};
    static const unsigned char f32[] = {IDX_2_3(0x0D), 0, 0, 0, 0,    0x3f, 0x80, 0, 0, 0xbf, 0x80, 0, 0,
                                        0x40,          0, 0, 0, 0x3e, 0x80, 0,    0, 0, 0,    0,    0};
    static const unsigned char f64[] = {0, 0, 0x0E, 1, 0,    0, 0, 2, 0x3f, 0xf0, 0, 0,
                                        0, 0, 0,    0, 0xc0, 4, 0, 0, 0,    0,    0, 0};
    static const unsigned char axes[] = {0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};
    static const struct {
        const unsigned char *bytes;
        size_t size, n;
        int D;
        float values[6];
    } cases[] = {
        {u8, sizeof u8, 2, 3, {0, 1, 255, 3, 4, 5}},
        {i8, sizeof i8, 2, 3, {0, 1, -1, 3, -128, 5}},
        {i16, sizeof i16, 2, 3, {0, 1, -1, 256, -32768, 5}},
        {i32, sizeof i32, 2, 3, {0, 1, -1, 256, -2147483648.0f, 5}},
        {f32, sizeof f32, 2, 3, {0, 1, -1, 2, 0.25f, 0}},
        {f64, sizeof f64, 2, 1, {1, -2.5f}},
        {axes, sizeof axes, 1, 6, {1, 2, 3, 4, 5, 6}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        scratch_write("a.idx", cases[i].bytes, cases[i].size);
        expect_values(read_idx("a.idx", 0), cases[i].n, cases[i].D, cases[i].values);
        write_gzip("a.idx.gz", cases[i].bytes, cases[i].size);
        expect_values(read_idx("a.idx.gz", 0), cases[i].n, cases[i].D, cases[i].values);
        expect_values(read_idx("a.idx.gz", 1), 1, cases[i].D, cases[i].values);
    }
}
END_TEST

START_TEST(bad_idx_is_refused) {
    static const struct {
        unsigned char bytes[40];
        size_t size;
        const char *text;
    } cases[] = {
        {{0}, 0, "offset 0: not an IDX file"},
        {{0, 0, 8}, 3, "offset 0: not an IDX file"},
        {{1, 0, 8, 1, 0, 0, 0, 1, 5}, 9, "offset 0: not an IDX file"},
        {{0, 7, 8, 1, 0, 0, 0, 1, 5}, 9, "offset 0: not an IDX file"},
        {{0, 0, 0x0A, 1, 0, 0, 0, 1, 5}, 9, "offset 0: not an IDX file"},
        {{0, 0, 8, 0, 5}, 5, "offset 0: not an IDX file"},
        {{0, 0, 8, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 5}, 25, "offset 0: not an IDX file"},
        {{0, 0, 8, 2, 0, 0, 0, 1, 0, 0}, 10, "offset 10: the file ends early"},
        {{0, 0, 8, 1, 0, 0, 0, 0}, 8, "offset 4: axis 0 has 0 elements"},
        {{0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 0}, 12, "offset 8: axis 1 has 0 elements"},
        {{0, 0, 8, 2, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 1}, 13, "offset 8: axis 1"},
        {{0, 0, 8, 4, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1}, 21, "offset 12: axis 2"},
        {{0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff, 1, 2}, 10, "ends in sample 3 of the 4294967295"},
        {{0, 0, 0x0C, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0}, 15, "ends in sample 2 of the 2"},
        {{0, 0, 8, 1, 0, 0, 0, 2, 1, 2, 3}, 11, "goes on after the 2 samples"},
        {{0, 0, 0x0D, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0x7f, 0x80, 0, 0}, 16, "sample 2, value 1 is not a finite number"},
        {{0, 0, 0x0E, 1, 0, 0, 0, 1, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0}, 16, "sample 1, value 1 is not a finite number"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        scratch_write("bad.idx", cases[i].bytes, cases[i].size);
        expect_refusal(read_idx("bad.idx", 0), "bad.idx", cases[i].text);
    }
    expect_refusal(read_idx("none.idx", 0), "none.idx", "No such file");
    expect_refusal(read_idx(".", 0), ".", "");
    static const unsigned char whole[] = {IDX_2_3(0x08), 0, 1, 255, 3, 4, 5};
    write_gzip("cut.idx.gz", whole, sizeof whole);
    size_t size;
    unsigned char *bytes = scratch_read("cut.idx.gz", &size);
    scratch_write("cut.idx.gz", bytes, size - 3);
    expect_refusal(read_idx("cut.idx.gz", 0), "cut.idx.gz", "offset");
    free(bytes);
}
END_TEST

/* ---- damaged files --------------------------------------------------------------------------------------------- */

/* Changes, removes or repeats some bytes. */
static size_t damage(uint64_t *state, unsigned char *bytes, size_t size) {
    for (uint64_t n = 1 + test_random(state) % 3; n; n--) {
        const size_t at = test_random(state) % size, length = 1 + test_random(state) % (size - at);
        switch (test_random(state) % 4) {
        case 0:
            bytes[at] = (unsigned char)test_random(state);
            break;
        case 1:
            bytes[at] ^= (unsigned char)(1 << test_random(state) % 8);
            break;
        case 2: /* cut out, but leave something */
            memmove(bytes + at, bytes + at + length - 1, size - at - length + 1);
            size -= length - 1;
            break;
        default:
            memmove(bytes + at, bytes + test_random(state) % (at + 1), length);
        }
    }
    return size;
}

/* Either whole finite samples or one line of refusal. */
static void expect_orderly(struct reading r, const char *path) {
    if (r.status != VQS_OK) {
        expect_refusal(r, path, "");
        return;
    }
    ck_assert(r.n > 0 && r.D > 0);
    for (size_t i = 0; i < r.n * (size_t)r.D; i++) {
        if (!isfinite(r.values[i])) {
            ck_abort_msg("value %zu is %g", i, (double)r.values[i]);
        }
    }
    free(r.values);
}

START_TEST(damaged_files_are_read_or_refused) {
    static const char csv[] = "1.5,2,-3e-2\n4,5,6\n\n7;8;9\n10 11 12\r\n";
    static const unsigned char idx[] = {IDX_2_3(0x0C), 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0,
                                        0x80,          0, 0, 0, 0, 0, 0, 5};
    unsigned char bytes[200];
    uint64_t state = 3;
    write_gzip("whole.gz", csv, sizeof csv - 1);
    size_t zipped_size;
    unsigned char *zipped = scratch_read("whole.gz", &zipped_size);
    ck_assert_uint_lt(zipped_size, sizeof bytes);
    for (int i = 0; i < 700; i++) {
        memcpy(bytes, csv, sizeof csv - 1);
        scratch_write("d.csv", bytes, damage(&state, bytes, sizeof csv - 1));
        expect_orderly(read_csv("d.csv", i % 3, 0), "d.csv");
        memcpy(bytes, idx, sizeof idx);
        scratch_write("d.idx", bytes, damage(&state, bytes, sizeof idx));
        expect_orderly(read_idx("d.idx", 0), "d.idx");
        memcpy(bytes, zipped, zipped_size);
        scratch_write("d.gz", bytes, damage(&state, bytes, zipped_size));
        expect_orderly(read_csv("d.gz", 0, 0), "d.gz");
    }
    free(zipped);
}
END_TEST

/* ---- data sets from files -------------------------------------------------------------------------------------- */

/* 40 samples of 3 values: sample number i, i^2 and 1000 + i, which name the sample. */
static struct vqs_settings write_numbered(void) {
    char text[2000];
    size_t size = 0;
    for (int i = 0; i < 40; i++) {
        size += (size_t)sprintf(text + size, "%d,%d,%d,7\n", i, i * i, 1000 + i);
    }
    scratch_write("numbered.csv", text, size);
    struct vqs_settings s = settings_of(VQS_DATA_CSV, "numbered.csv");
    s.label_columns = 1;
    s.D = 3;
    s.N = 25;
    s.N_eval = 10;
    s.K = 4;
    s.center = 0;
    return s;
}

START_TEST(a_files_samples_are_dealt_once) {
    use_class(_i);
    struct vqs_settings s = write_numbered();
    struct vqs_dataset *data = create(&s);
    bool seen[40] = {false};
    int in_place = 0;
    for (size_t i = 0; i < 35; i++) {
        const struct vqs_samples *part = i < 25 ? &data->train : &data->eval;
        const size_t at = i < 25 ? i : i - 25;
        const int number = (int)element(data, part, at, 0);
        ck_assert(number >= 0 && number < 40 && !seen[number]);
        seen[number] = true;
        in_place += (size_t)number == i;
        ck_assert(element(data, part, at, 1) == number * number && element(data, part, at, 2) == 1000 + number);
        for (size_t j = 3; j < data->ld; j++) {
            ck_assert(part->x[at * data->ld + j] == 0);
        }
    }
    ck_assert_int_lt(in_place, 10);
    ck_assert_int_eq(data->r, 0);
    s.seed = 2;
    struct vqs_dataset *other = create(&s);
    ck_assert(!same_samples(data, other, 25, 10));
    vqs_dataset_destroy(data), vqs_dataset_destroy(other);
}
END_TEST

/* Held-out samples must not leak into what training sees: the mean is that of the training samples. */
START_TEST(centring_uses_the_training_mean_alone) {
    use_class(_i);
    struct vqs_settings s = write_numbered();
    s.value_scale = 0.5;
    struct vqs_dataset *plain = create(&s);
    s.center = 1;
    struct vqs_dataset *centred = create(&s);
    for (int j = 0; j < 3; j++) {
        double mean = 0;
        for (size_t i = 0; i < 25; i++) {
            mean += element(plain, &plain->train, i, j) / 25;
        }
        for (size_t i = 0; i < 25; i++) {
            ck_assert_double_eq_tol(element(centred, &centred->train, i, j), element(plain, &plain->train, i, j) - mean,
                                    2 * REAL_EPS * fabs(mean));
        }
        for (size_t i = 0; i < 10; i++) {
            ck_assert_double_eq_tol(element(centred, &centred->eval, i, j), element(plain, &plain->eval, i, j) - mean,
                                    2 * REAL_EPS * fabs(mean));
        }
    }
    ck_assert_double_eq_tol(element(plain, &plain->train, 0, 2) - element(plain, &plain->train, 0, 0), 500, 1e-9);
    vqs_dataset_destroy(plain), vqs_dataset_destroy(centred);
}
END_TEST

/* Values far from zero: their variance is not the small difference of two large sums. */
START_TEST(variance_survives_a_large_mean) {
    use_class(_i);
    char text[30000];
    size_t size = 0;
    uint64_t state = 9;
    for (int i = 0; i < 1000; i++) {
        size += (size_t)sprintf(text + size, "%.3f,%.3f\n", 5000 + test_normal(&state), -3000 + test_normal(&state));
    }
    scratch_write("far.csv", text, size);
    struct vqs_settings s = write_numbered();
    snprintf(s.path, sizeof s.path, "far.csv");
    s.label_columns = 0;
    s.D = 2;
    s.N = 700;
    s.N_eval = 300;
    struct vqs_dataset *data = create(&s);
    check_summary(data, &data->train);
    check_summary(data, &data->eval);
    vqs_dataset_destroy(data);
}
END_TEST

START_TEST(a_file_that_does_not_fit_is_refused) {
    static const struct {
        int label_columns, D, N;
        const char *text;
    } cases[] = {
        {0, 3, 25, "numbered.csv: 4 values a sample, but D is 3; set D: 4 or the right label_columns"},
        {1, 3, 31, "numbered.csv: 40 samples, but N + N_eval is 41; lower N or N_eval"},
        {4, 3, 25, "numbered.csv:1: 4 columns, of which label_columns takes 4"},
    };
    struct vqs_settings s = write_numbered();
    struct vqs_dataset *data = create(&s);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct vqs_error err = {0};
        s.label_columns = cases[i].label_columns;
        s.D = cases[i].D;
        s.N = cases[i].N;
        vqs_dataset_destroy(data);
        ck_assert_int_eq(vqs_dataset_create(&s, NULL, &data, &err), VQS_ERR_DATA);
        ck_assert_ptr_null(data);
        ck_assert_msg(!strncmp(err.text, cases[i].text, strlen(cases[i].text)), "%s", err.text);
    }
}
END_TEST

int main(void) {
    const int classes = test_class_count();
    Suite *suite = suite_create("data_file");
    TCase *tests = tcase_create("data_file");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, csv_of_every_style_is_read);
    tcase_add_test(tests, ranges_are_read_in_any_order);
    tcase_add_test(tests, long_csv_is_read);
    tcase_add_test(tests, bad_csv_is_refused);
    tcase_add_test(tests, csv_with_a_zero_byte_is_refused);
    tcase_add_test(tests, csv_out_of_bounds_is_refused);
    tcase_add_test(tests, cut_gzip_is_refused);
    tcase_add_test(tests, idx_of_every_type_is_read);
    tcase_add_test(tests, bad_idx_is_refused);
    tcase_add_test(tests, damaged_files_are_read_or_refused);
    tcase_add_loop_test(tests, a_files_samples_are_dealt_once, 0, classes);
    tcase_add_loop_test(tests, centring_uses_the_training_mean_alone, 0, classes);
    tcase_add_loop_test(tests, variance_survives_a_large_mean, 0, classes);
    tcase_add_test(tests, a_file_that_does_not_fit_is_refused);
    suite_add_tcase(suite, tests);
    return run_in_scratch(suite);
}
