/* record.c - records: memory, digest, packed form. */
#include "vqsweep/record.h"

#include <math.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* the state of a running hash lives on the stack */
#include <xxhash.h>

/* ---- memory ---------------------------------------------------------------------------------------------------- */

size_t vqs_array_values(int kind, const int32_t size[VQS_ARRAY_RANK]) {
    const char *const *dimension = vqs_array_table[kind].dimension;
    size_t n = size[0] != 0;
    for (int i = 0; n && dimension[i]; i++) {
        n = __builtin_mul_overflow(n, (size_t)size[i], &n) ? SIZE_MAX : n;
    }
    return n;
}

static bool array_fits(int kind, const int32_t *size) {
    const char *const *dimension = vqs_array_table[kind].dimension;
    for (int i = 0; i < VQS_ARRAY_RANK; i++) {
        const bool labelled = dimension[i] && vqs_dimension_label(dimension[i], 0);
        if ((dimension[i] ? size[i] < 1 : size[i] != 0) ||
            (labelled && !vqs_dimension_label(dimension[i], size[i] - 1))) {
            return false;
        }
    }
    return true;
}

enum { ARRAY_HEAD = 4 + 4 * VQS_ARRAY_RANK };

uint64_t vqs_record_bytes(const struct vqs_record_shape *shape) {
    const int32_t K = shape->K, d = shape->d;
    if (shape->n_epochs < 0 || shape->n_snapshots < 0 || K < 0 || d < 0 || (shape->n_snapshots > 0) != (K > 0) ||
        (K > 0) != (d > 0)) {
        return UINT64_MAX;
    }
    uint64_t size = 8 * (uint64_t)VQS_N_CURVES * (uint64_t)shape->n_epochs, part;
    if ((uint64_t)K * (uint64_t)d > UINT64_MAX / 16 ||
        __builtin_mul_overflow(8 + 4 * (uint64_t)K * ((uint64_t)d + 1), (uint64_t)shape->n_snapshots, &part) ||
        __builtin_add_overflow(size, part, &size)) {
        return UINT64_MAX;
    }
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        if (shape->array[kind][0] == 0) {
            continue;
        }
        if (!array_fits(kind, shape->array[kind]) ||
            __builtin_mul_overflow((uint64_t)vqs_array_values(kind, shape->array[kind]), 4, &part) ||
            __builtin_add_overflow(part, ARRAY_HEAD, &part) || __builtin_add_overflow(size, part, &size)) {
            return UINT64_MAX;
        }
    }
    return size;
}

/* Points curves, snapshots and arrays into `arena`, or only measures when it has no memory. */
static void carve(struct vqs_record *record, struct vqs_arena *arena, const struct vqs_record_shape *shape) {
    const size_t n = (size_t)shape->n_snapshots, K = (size_t)shape->K, d = (size_t)shape->d;
    record->curves = vqs_arena_take(arena, (size_t)shape->n_epochs, VQS_N_CURVES * sizeof(double));
    record->snapshots = vqs_arena_take(arena, n, sizeof(struct vqs_snapshot));
    size_t all_codes; /* K, d < 2^31 */
    if (__builtin_mul_overflow(K * d, n, &all_codes)) {
        all_codes = SIZE_MAX;
    }
    float *codes = vqs_arena_take(arena, all_codes, sizeof(float));
    uint32_t *usage = vqs_arena_take(arena, n * K, sizeof(uint32_t));
    for (size_t i = 0; record->snapshots && i < n; i++) {
        record->snapshots[i] =
            (struct vqs_snapshot){.K = shape->K, .d = shape->d, .codes = codes + i * K * d, .usage = usage + i * K};
    }
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        const size_t values = vqs_array_values(kind, shape->array[kind]);
        if (values) {
            record->arrays[kind].values = vqs_arena_take(arena, values, sizeof(float));
        }
    }
}

enum vqs_status vqs_record_reset(struct vqs_record *record, const struct vqs_record_shape *shape,
                                 struct vqs_error *err) {
    struct vqs_arena memory = record->memory, measure = {0};
    memset(record, 0, sizeof *record);
    carve(record, &measure, shape);
    if (measure.used > memory.size) {
        vqs_arena_destroy(&memory);
        enum vqs_status status = vqs_arena_create(&memory, measure.used, err);
        if (status) {
            return status;
        }
    } else if (measure.used) {
        memset(memory.base, 0, measure.used);
    }
    memory.used = 0;
    carve(record, &memory, shape);
    record->memory = memory;
    record->n_epochs = shape->n_epochs;
    record->n_snapshots = shape->n_snapshots;
    for (int i = 0; i < VQS_N_METRICS; i++) {
        record->metric[i] = NAN;
    }
    for (size_t i = 0; i < (size_t)record->n_epochs * VQS_N_CURVES; i++) {
        record->curves[i] = NAN;
    }
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        struct vqs_array *array = &record->arrays[kind];
        const size_t n = vqs_array_values(kind, shape->array[kind]);
        memcpy(array->size, shape->array[kind], sizeof array->size);
        for (size_t i = 0; i < n; i++) {
            array->values[i] = NAN;
        }
    }
    return VQS_OK;
}

void vqs_record_destroy(struct vqs_record *record) {
    vqs_arena_destroy(&record->memory);
    memset(record, 0, sizeof *record);
}

/* ---- writing: one writer feeds either a digest or a buffer ----------------------------------------------------- */

struct sink {
    XXH3_state_t *hash;      /* where the bytes go: here, */
    struct vqs_bytes *bytes; /* or here */
    struct vqs_error *err;
    enum vqs_status status;
};

static void put(struct sink *sink, const void *data, size_t size) {
    if (sink->hash) {
        XXH3_64bits_update(sink->hash, data, size);
    } else if (!sink->status) {
        sink->status = vqs_bytes_append(sink->bytes, data, size, sink->err);
    }
}

static void store_u32(unsigned char *to, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        to[i] = (unsigned char)(value >> 8 * i);
    }
}

static void store_u64(unsigned char *to, uint64_t value) {
    store_u32(to, (uint32_t)value);
    store_u32(to + 4, (uint32_t)(value >> 32));
}

static void put_u32(struct sink *sink, uint32_t value) {
    unsigned char bytes[4];
    store_u32(bytes, value);
    put(sink, bytes, sizeof bytes);
}

static void put_u64(struct sink *sink, uint64_t value) {
    unsigned char bytes[8];
    store_u64(bytes, value);
    put(sink, bytes, sizeof bytes);
}

enum { RUN = 256 }; /* values converted at a time */

static void put_f64s(struct sink *sink, const double *values, size_t n) {
    unsigned char bytes[8 * RUN];
    for (size_t start = 0; start < n; start += RUN) {
        size_t count = n - start < RUN ? n - start : RUN;
        for (size_t i = 0; i < count; i++) {
            uint64_t bits = UINT64_C(0x7ff8000000000000);
            if (!isnan(values[start + i])) {
                memcpy(&bits, &values[start + i], sizeof bits);
            }
            store_u64(bytes + 8 * i, bits);
        }
        put(sink, bytes, 8 * count);
    }
}

static void put_f32s(struct sink *sink, const float *values, size_t n) {
    unsigned char bytes[4 * RUN];
    for (size_t start = 0; start < n; start += RUN) {
        size_t count = n - start < RUN ? n - start : RUN;
        for (size_t i = 0; i < count; i++) {
            uint32_t bits = UINT32_C(0x7fc00000);
            if (!isnan(values[start + i])) {
                memcpy(&bits, &values[start + i], sizeof bits);
            }
            store_u32(bytes + 4 * i, bits);
        }
        put(sink, bytes, 4 * count);
    }
}

static void put_u32s(struct sink *sink, const uint32_t *values, size_t n) {
    unsigned char bytes[4 * RUN];
    for (size_t start = 0; start < n; start += RUN) {
        size_t count = n - start < RUN ? n - start : RUN;
        for (size_t i = 0; i < count; i++) {
            store_u32(bytes + 4 * i, values[start + i]);
        }
        put(sink, bytes, 4 * count);
    }
}

/* A text that fits one length byte: every text of a record is shorter than 256. */
static void put_text(struct sink *sink, const char *text, size_t capacity) {
    unsigned char length = (unsigned char)strnlen(text, capacity - 1);
    put(sink, &length, 1);
    put(sink, text, length);
}

static void put_result(struct sink *sink, const struct vqs_record *record) {
    const bool any = record->n_snapshots > 0;
    uint32_t n_arrays = 0;
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        n_arrays += record->arrays[kind].values != NULL;
    }
    put_u64(sink, record->key);
    put_u32(sink, record->outcome);
    put_u32(sink, (uint32_t)record->n_epochs);
    put_u32(sink, (uint32_t)record->n_snapshots);
    put_u32(sink, any ? (uint32_t)record->snapshots[0].K : 0);
    put_u32(sink, any ? (uint32_t)record->snapshots[0].d : 0);
    put_u32(sink, n_arrays);
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        if (record->arrays[kind].values) {
            put_u32(sink, vqs_array_tag(kind));
            for (int i = 0; i < VQS_ARRAY_RANK; i++) {
                put_u32(sink, (uint32_t)record->arrays[kind].size[i]);
            }
        }
    }
    put_f64s(sink, record->metric, VQS_N_METRICS);
    put_f64s(sink, record->curves, (size_t)record->n_epochs * VQS_N_CURVES);
    for (int i = 0; i < record->n_snapshots; i++) {
        const struct vqs_snapshot *s = &record->snapshots[i];
        put_u32(sink, (uint32_t)s->epoch);
        put_u32(sink, (uint32_t)s->codebook);
        put_f32s(sink, s->codes, (size_t)s->K * (size_t)s->d);
        put_u32s(sink, s->usage, (size_t)s->K);
    }
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) { /* one without values has none to put */
        const struct vqs_array *array = &record->arrays[kind];
        put_f32s(sink, array->values, vqs_array_values(kind, array->size));
    }
}

uint64_t vqs_record_digest(const struct vqs_record *record) {
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    put_result(&(struct sink){.hash = &hash}, record);
    return XXH3_64bits_digest(&hash);
}

void vqs_record_seal(struct vqs_record *record) {
    record->digest = vqs_record_digest(record);
}

enum { FORMAT_VERSION = 3, HEAD_SIZE = 44, RESULT_SIZE = 32 + 8 * VQS_N_METRICS }; /* without what has a shape */

/* Packed records carry no names: the order of both tables is part of the format. */
static uint32_t tables_hash(void) {
    static const char names[] =
#define VQS_X(name, unit, long_name, formula) #name ","
        VQS_METRIC_TABLE(VQS_X) ";" VQS_CURVE_TABLE(VQS_X)
#undef VQS_X
        ;
    return (uint32_t)XXH3_64bits(names, sizeof names - 1);
}

enum vqs_status vqs_record_pack(const struct vqs_record *record, struct vqs_bytes *bytes, struct vqs_error *err) {
    for (int i = 1; i < record->n_snapshots; i++) {
        if (record->snapshots[i].K != record->snapshots[0].K || record->snapshots[i].d != record->snapshots[0].d) {
            return vqs_fail(err, VQS_ERR_INTERNAL, "trial %u has codebook snapshots of different shapes",
                            (unsigned)record->trial);
        }
    }
    struct sink sink = {.bytes = bytes, .err = err};
    put_u32(&sink, FORMAT_VERSION);
    put_u32(&sink, tables_hash());
    put_u64(&sink, record->digest);
    put_u32(&sink, record->trial);
    put_u32(&sink, record->attempt);
    put_u32(&sink, (uint32_t)record->rank);
    put_f64s(&sink, &record->wall_seconds, 1);
    put_f64s(&sink, &record->finished_at, 1);
    put_result(&sink, record);
    put_text(&sink, record->host, sizeof record->host);
    put_text(&sink, record->cpu_class, sizeof record->cpu_class);
    put_text(&sink, record->code_version, sizeof record->code_version);
    put_text(&sink, record->message, sizeof record->message);
    return sink.status;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static uint32_t load_u32(const unsigned char *from) {
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static uint64_t load_u64(const unsigned char *from) {
    return load_u32(from) | (uint64_t)load_u32(from + 4) << 32;
}

/* Each take moves the cursor past what it read. Sizes are checked before the first one. */
static uint32_t take_u32(const unsigned char **at) {
    uint32_t value = load_u32(*at);
    *at += 4;
    return value;
}

static uint64_t take_u64(const unsigned char **at) {
    uint64_t value = load_u64(*at);
    *at += 8;
    return value;
}

static void take_f64s(const unsigned char **at, double *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = take_u64(at);
        memcpy(&values[i], &bits, sizeof bits);
    }
}

static void take_f32s(const unsigned char **at, float *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = take_u32(at);
        memcpy(&values[i], &bits, sizeof bits);
    }
}

static bool take_text(const unsigned char **at, const unsigned char *end, char *text, size_t capacity) {
    size_t length = *at < end ? *(*at)++ : SIZE_MAX;
    if (length >= capacity || length > (size_t)(end - *at) || memchr(*at, 0, length)) {
        return false;
    }
    memcpy(text, *at, length);
    text[length] = '\0';
    *at += length;
    return true;
}

enum vqs_status vqs_record_peek(const void *data, size_t size, struct vqs_record_head *head, struct vqs_error *err) {
    const unsigned char *at = data;
    if (size < HEAD_SIZE + RESULT_SIZE) {
        return vqs_fail(err, VQS_ERR_STORE, "a packed record of %zu bytes is too short", size);
    }
    uint32_t version = take_u32(&at), tables = take_u32(&at);
    if (version != FORMAT_VERSION || tables != tables_hash()) {
        return vqs_fail(err, VQS_ERR_STORE, "a packed record of another version of vqsweep (format %u, ours is %d)",
                        (unsigned)version, FORMAT_VERSION);
    }
    head->digest = take_u64(&at);
    head->trial = take_u32(&at);
    head->attempt = take_u32(&at);
    at = (const unsigned char *)data + HEAD_SIZE;
    head->key = take_u64(&at);
    uint32_t outcome = take_u32(&at);
    if (outcome > VQS_OUTCOME_DIVERGED) {
        return vqs_fail(err, VQS_ERR_STORE, "a packed record has no valid outcome (%u)", (unsigned)outcome);
    }
    head->outcome = (enum vqs_outcome)outcome;
    return VQS_OK;
}

/* The kind of a packed array, after `kind` in the table; VQS_N_ARRAYS: none of ours, or out of order. */
static int find_kind(uint32_t tag, int kind) {
    do {
        kind++;
    } while (kind < VQS_N_ARRAYS && vqs_array_tag(kind) != tag);
    return kind;
}

/* Reads the sizes of `n` arrays; the bytes must be there. */
static enum vqs_status take_arrays(const unsigned char **at, uint32_t n, struct vqs_record_shape *shape,
                                   struct vqs_error *err) {
    for (int kind = -1; n > 0; n--) {
        kind = find_kind(take_u32(at), kind);
        if (kind == VQS_N_ARRAYS) {
            return vqs_fail(err, VQS_ERR_STORE, "a packed record with an array of another version of vqsweep");
        }
        for (int i = 0; i < VQS_ARRAY_RANK; i++) {
            shape->array[kind][i] = (int32_t)take_u32(at);
        }
        if (!array_fits(kind, shape->array[kind])) {
            return vqs_fail(err, VQS_ERR_STORE, "a packed record with an array '%s' of impossible size",
                            vqs_array_table[kind].quantity.name);
        }
    }
    return VQS_OK;
}

/* Reads the shape of a record of `size` bytes; nothing is allocated for one that they cannot hold. The cursor goes from
 * n_epochs to the metrics. */
static enum vqs_status take_shape(const unsigned char **at, size_t size, struct vqs_record_shape *shape,
                                  struct vqs_error *err) {
    memset(shape, 0, sizeof *shape);
    shape->n_epochs = (int32_t)take_u32(at);
    shape->n_snapshots = (int32_t)take_u32(at);
    shape->K = (int32_t)take_u32(at);
    shape->d = (int32_t)take_u32(at);
    const size_t room = size - HEAD_SIZE - RESULT_SIZE;
    const uint32_t n_arrays = take_u32(at);
    if (n_arrays > room / ARRAY_HEAD) {
        return vqs_fail(err, VQS_ERR_STORE, "a packed record of %zu bytes cannot hold %u arrays", size, n_arrays);
    }
    enum vqs_status status = take_arrays(at, n_arrays, shape, err);
    if (!status && vqs_record_bytes(shape) > room) {
        status = vqs_fail(err, VQS_ERR_STORE,
                          "a packed record of %zu bytes cannot hold %d epochs, %d snapshots of %d x %d and %u arrays",
                          size, (int)shape->n_epochs, (int)shape->n_snapshots, (int)shape->K, (int)shape->d, n_arrays);
    }
    return status;
}

enum vqs_status vqs_record_unpack(struct vqs_record *record, const void *data, size_t size, struct vqs_error *err) {
    struct vqs_record_head head;
    struct vqs_record_shape shape;
    const unsigned char *const end = (const unsigned char *)data + size;
    const unsigned char *at = (const unsigned char *)data + HEAD_SIZE + 12; /* past key and outcome */
    enum vqs_status status = vqs_record_peek(data, size, &head, err);
    status = status ? status : take_shape(&at, size, &shape, err);
    status = status ? status : vqs_record_reset(record, &shape, err);
    if (status) {
        return status;
    }
    record->key = head.key;
    record->digest = head.digest;
    record->trial = head.trial;
    record->attempt = head.attempt;
    record->outcome = head.outcome;
    take_f64s(&at, record->metric, VQS_N_METRICS);
    take_f64s(&at, record->curves, (size_t)record->n_epochs * VQS_N_CURVES);
    for (int i = 0; i < record->n_snapshots; i++) {
        struct vqs_snapshot *s = &record->snapshots[i];
        s->epoch = (int32_t)take_u32(&at);
        s->codebook = (int32_t)take_u32(&at);
        take_f32s(&at, s->codes, (size_t)s->K * (size_t)s->d);
        for (int k = 0; k < s->K; k++) {
            s->usage[k] = take_u32(&at);
        }
    }
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        struct vqs_array *array = &record->arrays[kind];
        take_f32s(&at, array->values, vqs_array_values(kind, array->size));
    }
    if (!take_text(&at, end, record->host, sizeof record->host) ||
        !take_text(&at, end, record->cpu_class, sizeof record->cpu_class) ||
        !take_text(&at, end, record->code_version, sizeof record->code_version) ||
        !take_text(&at, end, record->message, sizeof record->message) || at != end) {
        return vqs_fail(err, VQS_ERR_STORE, "a packed record of %zu bytes is malformed at its end", size);
    }
    at = (const unsigned char *)data + HEAD_SIZE - 20;
    record->rank = (int32_t)take_u32(&at);
    take_f64s(&at, &record->wall_seconds, 1);
    take_f64s(&at, &record->finished_at, 1);
    return VQS_OK;
}
