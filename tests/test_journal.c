/* test_journal.c - the journal: round trip, every kind of damage, hostile bytes, failing disks. */
#include "vqsweep/journal.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "make_record.h"
#include "test_files.h"

enum { N = 9, HEAD = 24 };
static const char job_text[] = "name: test\nseeds: 1..3\n";

/* A journal of records 1..n in scratch file "j"; boundaries[i] is where record i starts, boundaries[n] the end. */
static const char *write_journal(int n, size_t *boundaries) {
    const char *path = "j";
    struct vqs_journal_header header = {.plan_key = 77, .code_version = "1.2.3"};
    struct vqs_journal *journal;
    struct vqs_record record = {0};
    struct vqs_bytes packed = {0};
    unlink(path);
    ck_assert_int_eq(vqs_bytes_append(&header.job, job_text, sizeof job_text - 1, NULL), VQS_OK);
    ck_assert_int_eq(vqs_journal_create(path, &header, &journal, NULL), VQS_OK);
    for (int i = 0; i < n; i++) {
        boundaries[i] = scratch_size(path);
        make_record(&record, (uint64_t)i + 1, i, i % 3, 2, 1);
        packed.size = 0;
        ck_assert_int_eq(vqs_record_pack(&record, &packed, NULL), VQS_OK);
        ck_assert_int_eq(vqs_journal_append(journal, packed.data, packed.size, NULL), VQS_OK);
    }
    ck_assert_int_eq(vqs_journal_close(journal, NULL), VQS_OK);
    boundaries[n] = scratch_size(path);
    vqs_journal_header_destroy(&header);
    vqs_bytes_destroy(&packed);
    vqs_record_destroy(&record);
    return path;
}

/* Whether the index has record `seed`, and if so that it reads back to the bit. */
static bool has_record(const struct vqs_journal_index *index, int seed) {
    struct vqs_record expected = {0}, got = {0};
    struct vqs_bytes scratch = {0};
    make_record(&expected, (uint64_t)seed, seed - 1, (seed - 1) % 3, 2, 1);
    const struct vqs_journal_entry *entry = vqs_journal_find(index, expected.key);
    if (entry) {
        struct vqs_error err = {0};
        ck_assert_msg(vqs_journal_read(index, entry, &scratch, &got, &err) == VQS_OK, "%s", err.text);
        assert_same_record(&expected, &got);
        ck_assert_uint_eq(entry->attempt, expected.attempt);
        ck_assert_int_eq(entry->outcome, expected.outcome);
    }
    vqs_bytes_destroy(&scratch);
    vqs_record_destroy(&expected);
    vqs_record_destroy(&got);
    return entry != NULL;
}

/* Opens the index and checks that it holds exactly records 1..n less `lost`. */
static void check_journal(const char *path, int n, int lost, struct vqs_journal_index *index) {
    struct vqs_error err = {0};
    ck_assert_msg(vqs_journal_index_open(path, index, &err) == VQS_OK, "%s", err.text);
    for (int i = 1; i <= n; i++) {
        ck_assert_msg(has_record(index, i) == (i != lost), "record %d", i);
    }
    ck_assert_uint_eq(index->n_entries, (size_t)(n - (lost > 0)));
}

START_TEST(round_trip) {
    size_t boundaries[N + 1];
    const char *path = write_journal(N, boundaries);
    struct vqs_journal_index index;
    check_journal(path, N, 0, &index);
    ck_assert_uint_eq(index.header.plan_key, 77);
    ck_assert_str_eq(index.header.code_version, "1.2.3");
    ck_assert_uint_eq(index.header.job.size, sizeof job_text - 1);
    ck_assert_mem_eq(index.header.job.data, job_text, sizeof job_text - 1);
    ck_assert_uint_eq(index.n_damaged + index.n_duplicates + index.torn_bytes + index.damaged_bytes, 0);
    ck_assert_ptr_null(vqs_journal_find(&index, 12345));
    for (size_t i = 0; i <= N; i++) {
        ck_assert_uint_eq(boundaries[i] % 8, 0);
    }
    vqs_journal_index_close(&index);
    vqs_journal_index_close(&index);
}
END_TEST

START_TEST(create_refuses_what_exists) {
    size_t boundaries[2];
    const char *path = write_journal(1, boundaries);
    struct vqs_journal *journal;
    struct vqs_error err = {0};
    ck_assert_int_eq(vqs_journal_create(path, &(struct vqs_journal_header){0}, &journal, &err), VQS_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "exists"));
    ck_assert_uint_eq(scratch_size(path), boundaries[1]);
    ck_assert_int_eq(vqs_journal_close(NULL, NULL), VQS_OK);
}
END_TEST

START_TEST(open_errors) {
    struct vqs_journal *journal;
    struct vqs_journal_index index;
    struct vqs_error err = {0};
    ck_assert_int_eq(vqs_journal_create("/no/such/place/j", &(struct vqs_journal_header){0}, &journal, &err),
                     VQS_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "No such file"));
    ck_assert_int_eq(vqs_journal_reopen("absent", &journal, NULL), VQS_ERR_IO);
    ck_assert_int_eq(vqs_journal_index_open("absent", &index, NULL), VQS_ERR_IO);
    ck_assert_int_eq(vqs_journal_index_open("/", &index, NULL), VQS_ERR_IO); /* opens, does not read */
    const char *path = "text";
    scratch_write(path, "certainly not a journal, though long enough", 40);
    ck_assert_int_eq(vqs_journal_index_open(path, &index, NULL), VQS_ERR_STORE);
    ck_assert_int_eq(vqs_journal_reopen(path, &journal, NULL), VQS_ERR_STORE);
    ck_assert_uint_eq(scratch_size(path), 40); /* not cut */
    scratch_write(path, "", 0);
    ck_assert_int_eq(vqs_journal_index_open(path, &index, NULL), VQS_ERR_STORE);
}
END_TEST

/* Cut anywhere in the last frame: only that one is lost, and appending goes on. */
START_TEST(torn_tail_at_every_byte) {
    size_t boundaries[N + 1], size;
    const char *path = write_journal(N, boundaries);
    unsigned char *whole = scratch_read(path, &size);
    for (size_t cut = boundaries[N - 1]; cut < boundaries[N]; cut++) {
        struct vqs_journal_index index;
        struct vqs_journal *journal;
        scratch_write(path, whole, cut);
        check_journal(path, N - 1, 0, &index);
        ck_assert_uint_eq(index.torn_bytes, cut - boundaries[N - 1]);
        ck_assert_uint_eq(index.n_damaged, 0);
        vqs_journal_index_close(&index);
        ck_assert_int_eq(vqs_journal_reopen(path, &journal, NULL), VQS_OK);
        ck_assert_uint_eq(scratch_size(path), boundaries[N - 1]);
        const size_t payload = whole[boundaries[N - 1] + 8] + 256u * whole[boundaries[N - 1] + 9];
        ck_assert_int_eq(vqs_journal_append(journal, whole + boundaries[N - 1] + HEAD, payload, NULL), VQS_OK);
        ck_assert_int_eq(vqs_journal_close(journal, NULL), VQS_OK);
        size_t again_size;
        unsigned char *again = scratch_read(path, &again_size);
        ck_assert_uint_eq(again_size, size);
        ck_assert_mem_eq(again, whole, size);
        free(again);
    }
    free(whole);
}
END_TEST

/* One byte flipped anywhere in a middle frame: only that one is lost, whether in magic, length, kind, checksum or
 * payload. In the padding nothing is. */
START_TEST(flipped_byte_anywhere) {
    size_t boundaries[N + 1], size;
    const char *path = write_journal(N, boundaries);
    unsigned char *bytes = scratch_read(path, &size);
    const size_t start = boundaries[3], payload = bytes[start + 8] + 256u * bytes[start + 9];
    for (size_t at = start; at < boundaries[4]; at++) {
        const bool padding = at >= start + HEAD + payload;
        struct vqs_journal_index index;
        bytes[at] ^= 0x10;
        scratch_write(path, bytes, size);
        check_journal(path, N, padding ? 0 : 4, &index);
        ck_assert_uint_eq(index.n_damaged, !padding);
        ck_assert_uint_eq(index.damaged_bytes, padding ? 0 : boundaries[4] - start);
        ck_assert_uint_eq(index.torn_bytes, 0);
        vqs_journal_index_close(&index);
        bytes[at] ^= 0x10;
    }
    free(bytes);
}
END_TEST

START_TEST(header_damage_is_refused) {
    size_t boundaries[N + 1], size;
    const char *path = write_journal(N, boundaries);
    unsigned char *bytes = scratch_read(path, &size);
    for (size_t at = 0; at < HEAD + 16 + 5 + sizeof job_text - 1; at++) {
        struct vqs_journal_index index;
        struct vqs_journal *journal;
        bytes[at] ^= 1;
        scratch_write(path, bytes, size);
        ck_assert_int_eq(vqs_journal_index_open(path, &index, NULL), VQS_ERR_STORE);
        ck_assert_int_eq(vqs_journal_reopen(path, &journal, NULL), VQS_ERR_STORE);
        ck_assert_uint_eq(scratch_size(path), size);
        bytes[at] ^= 1;
    }
    free(bytes);
}
END_TEST

/* A stretch overwritten by zeros, as a crash of the machine leaves it, and one where bytes are missing. */
START_TEST(zero_block_and_missing_bytes) {
    size_t boundaries[N + 1], size;
    const char *path = write_journal(N, boundaries);
    unsigned char *bytes = scratch_read(path, &size);
    struct vqs_journal_index index;
    memset(bytes + boundaries[4] - 5, 0, 10); /* the end of 4 (at least its padding) and the magic of 5 */
    memset(bytes + boundaries[4], 0, boundaries[5] - boundaries[4]);
    scratch_write(path, bytes, size);
    ck_assert_int_eq(vqs_journal_index_open(path, &index, NULL), VQS_OK);
    ck_assert(!has_record(&index, 5) && has_record(&index, 6) && has_record(&index, 3));
    ck_assert_uint_eq(index.n_damaged, 1);
    vqs_journal_index_close(&index);
    /* now those bytes gone altogether, less 3: frames no longer start at multiples of 8 */
    memmove(bytes + boundaries[4] + 3, bytes + boundaries[5], size - boundaries[5]);
    scratch_write(path, bytes, size - (boundaries[5] - boundaries[4]) + 3);
    ck_assert_int_eq(vqs_journal_index_open(path, &index, NULL), VQS_OK);
    for (int i = 6; i <= N; i++) {
        ck_assert(has_record(&index, i));
    }
    vqs_journal_index_close(&index);
    free(bytes);
}
END_TEST

/* Damage wider than the reader's window, ending beside a false start. */
START_TEST(long_damage) {
    size_t boundaries[N + 1], size;
    const char *path = write_journal(N, boundaries);
    unsigned char *bytes = scratch_read(path, &size);
    const size_t gap = 3000001;
    unsigned char *wide = calloc(1, size + gap);
    ck_assert_ptr_nonnull(wide);
    memcpy(wide, bytes, boundaries[4]);
    memset(wide + boundaries[4], bytes[0], gap); /* nothing but the first byte of a magic */
    memcpy(wide + boundaries[4] + gap - 8, bytes, 8);
    memcpy(wide + boundaries[4] + gap, bytes + boundaries[4], size - boundaries[4]);
    scratch_write(path, wide, size + gap);
    struct vqs_journal_index index;
    check_journal(path, N, 0, &index);
    ck_assert_uint_eq(index.n_damaged, 1);
    ck_assert_uint_eq(index.damaged_bytes, gap);
    vqs_journal_index_close(&index);
    free(wide);
    free(bytes);
}
END_TEST

/* Of one key: a finished record before failed ones; the first finished; the last failed. */
START_TEST(duplicates) {
    static const struct {
        enum vqs_outcome outcome[3];
        uint32_t chosen; /* attempt */
    } cases[] = {
        {{VQS_OUTCOME_FAILED, VQS_OUTCOME_FAILED, VQS_OUTCOME_FAILED}, 3},
        {{VQS_OUTCOME_FAILED, VQS_OUTCOME_COMPLETED, VQS_OUTCOME_FAILED}, 2},
        {{VQS_OUTCOME_FAILED, VQS_OUTCOME_DIVERGED, VQS_OUTCOME_COMPLETED}, 2},
        {{VQS_OUTCOME_COMPLETED, VQS_OUTCOME_COMPLETED, VQS_OUTCOME_COMPLETED}, 1},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        size_t boundaries[3];
        const char *path = write_journal(2, boundaries);
        struct vqs_journal *journal;
        struct vqs_record record = {0};
        struct vqs_bytes packed = {0};
        struct vqs_journal_index index;
        ck_assert_int_eq(vqs_journal_reopen(path, &journal, NULL), VQS_OK);
        for (uint32_t attempt = 1; attempt <= 3; attempt++) {
            make_record(&record, 50, 2, 0, 0, 0);
            record.outcome = cases[c].outcome[attempt - 1];
            record.attempt = attempt;
            packed.size = 0;
            ck_assert_int_eq(vqs_record_pack(&record, &packed, NULL), VQS_OK);
            ck_assert_int_eq(vqs_journal_append(journal, packed.data, packed.size, NULL), VQS_OK);
        }
        ck_assert_int_eq(vqs_journal_close(journal, NULL), VQS_OK);
        ck_assert_int_eq(vqs_journal_index_open(path, &index, NULL), VQS_OK);
        ck_assert_uint_eq(index.n_entries, 3);
        ck_assert_uint_eq(index.n_duplicates, 2);
        ck_assert_uint_eq(vqs_journal_find(&index, record.key)->attempt, cases[c].chosen);
        vqs_journal_index_close(&index);
        vqs_bytes_destroy(&packed);
        vqs_record_destroy(&record);
    }
}
END_TEST

/* A reader of a growing journal sees whole frames only, and what it indexed stays readable. */
START_TEST(reading_while_writing) {
    size_t boundaries[N + 1];
    const char *path = write_journal(N, boundaries);
    struct vqs_journal_index index;
    struct vqs_journal *journal;
    struct vqs_record record = {0};
    struct vqs_bytes packed = {0};
    check_journal(path, N, 0, &index);
    ck_assert_int_eq(vqs_journal_reopen(path, &journal, NULL), VQS_OK);
    make_record(&record, 99, 3, 0, 0, 0);
    ck_assert_int_eq(vqs_record_pack(&record, &packed, NULL), VQS_OK);
    ck_assert_int_eq(vqs_journal_append(journal, packed.data, packed.size, NULL), VQS_OK);
    ck_assert_int_eq(vqs_journal_sync(journal, NULL), VQS_OK);
    ck_assert(has_record(&index, 3));
    vqs_journal_index_close(&index);
    ck_assert_int_eq(vqs_journal_index_open(path, &index, NULL), VQS_OK);
    ck_assert_ptr_nonnull(vqs_journal_find(&index, record.key));
    vqs_journal_index_close(&index);
    ck_assert_int_eq(vqs_journal_close(journal, NULL), VQS_OK);
    vqs_bytes_destroy(&packed);
    vqs_record_destroy(&record);
}
END_TEST

/* A record that changes under an open index is noticed. */
START_TEST(changed_after_indexing) {
    size_t boundaries[N + 1], size;
    const char *path = write_journal(N, boundaries);
    struct vqs_journal_index index;
    struct vqs_record record = {0};
    struct vqs_bytes scratch = {0};
    ck_assert_int_eq(vqs_journal_index_open(path, &index, NULL), VQS_OK);
    unsigned char *bytes = scratch_read(path, &size);
    bytes[index.entries[0].offset + 50] ^= 1;
    scratch_write(path, bytes, size);
    ck_assert_int_eq(vqs_journal_read(&index, &index.entries[0], &scratch, &record, NULL), VQS_ERR_STORE);
    scratch_write(path, bytes, 10);
    ck_assert_int_eq(vqs_journal_read(&index, &index.entries[1], &scratch, &record, NULL), VQS_ERR_STORE);
    vqs_journal_index_close(&index);
    vqs_bytes_destroy(&scratch);
    vqs_record_destroy(&record);
    free(bytes);
}
END_TEST

/* The disk fills up in the middle of an append: one line, the file as before, and the append works once there is room.
 */
START_TEST(disk_full) {
    size_t boundaries[N + 1];
    const char *path = write_journal(N, boundaries);
    struct vqs_record record = {0};
    struct vqs_bytes packed = {0};
    struct vqs_journal *journal;
    struct vqs_journal_index index;
    struct vqs_error err = {0};
    struct rlimit limit;
    make_record(&record, N + 1, N, N % 3, 2, 1);
    ck_assert_int_eq(vqs_record_pack(&record, &packed, NULL), VQS_OK);
    ck_assert_int_eq(vqs_journal_reopen(path, &journal, NULL), VQS_OK);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    for (size_t room = 0; room < 60; room += 7) {
        struct rlimit tight = {.rlim_cur = boundaries[N] + room, .rlim_max = limit.rlim_max};
        err.status = VQS_OK;
        /* no ck_assert under the limit: check reports through a file, which the limit would cut short too */
        int tightened = setrlimit(RLIMIT_FSIZE, &tight);
        enum vqs_status status = vqs_journal_append(journal, packed.data, packed.size, &err);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ck_assert_int_eq(tightened, 0);
        ck_assert_int_eq(status, VQS_ERR_IO);
        ck_assert_ptr_nonnull(strstr(err.text, path));
        ck_assert_ptr_nonnull(strstr(err.text, "cannot append"));
        ck_assert_uint_eq(scratch_size(path), boundaries[N]);
    }
    ck_assert_int_eq(vqs_journal_append(journal, packed.data, packed.size, NULL), VQS_OK);
    ck_assert_int_eq(vqs_journal_close(journal, NULL), VQS_OK);
    check_journal(path, N + 1, 0, &index);
    vqs_journal_index_close(&index);
    vqs_bytes_destroy(&packed);
    vqs_record_destroy(&record);
}
END_TEST

/* Anything may stand in the file: an error or an index whose entries can be read, never a crash. */
START_TEST(hostile_bytes) {
    size_t boundaries[N + 1], size;
    const char *path = write_journal(N, boundaries);
    unsigned char *bytes = scratch_read(path, &size), *mutant = malloc(size);
    ck_assert_ptr_nonnull(mutant);
    uint64_t state = 2;
    for (int round = 0; round < 3000; round++) {
        memcpy(mutant, bytes, size);
        for (int i = 0; i < 1 + round % 8; i++) { /* anywhere, or in a frame's head */
            size_t at = test_random(&state) % size;
            at = round % 2 ? at : boundaries[at % N] + test_random(&state) % HEAD;
            mutant[at] = (unsigned char)(test_random(&state) % 3 ? test_random(&state) : 255);
        }
        const size_t from = test_random(&state) % size, to = test_random(&state) % size;
        if (round % 5 == 0) { /* a stretch moved elsewhere */
            memmove(mutant + to, bytes + from, size - (from > to ? from : to));
        }
        scratch_write(path, mutant, round % 7 ? size : test_random(&state) % size);
        struct vqs_journal_index index;
        if (vqs_journal_index_open(path, &index, NULL) == VQS_OK) {
            struct vqs_bytes scratch = {0};
            struct vqs_record record = {0};
            for (size_t i = 0; i < index.n_entries; i++) {
                (void)vqs_journal_read(&index, &index.entries[i], &scratch, &record, NULL);
            }
            vqs_bytes_destroy(&scratch);
            vqs_record_destroy(&record);
            vqs_journal_index_close(&index);
        }
        struct vqs_journal *journal;
        if (vqs_journal_reopen(path, &journal, NULL) == VQS_OK) {
            ck_assert_int_eq(vqs_journal_close(journal, NULL), VQS_OK);
        }
    }
    free(bytes);
    free(mutant);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("journal");
    TCase *tc = tcase_create("journal");
    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, round_trip);
    tcase_add_test(tc, create_refuses_what_exists);
    tcase_add_test(tc, open_errors);
    tcase_add_test(tc, torn_tail_at_every_byte);
    tcase_add_test(tc, flipped_byte_anywhere);
    tcase_add_test(tc, header_damage_is_refused);
    tcase_add_test(tc, zero_block_and_missing_bytes);
    tcase_add_test(tc, long_damage);
    tcase_add_test(tc, duplicates);
    tcase_add_test(tc, reading_while_writing);
    tcase_add_test(tc, changed_after_indexing);
    tcase_add_test(tc, disk_full);
    tcase_add_test(tc, hostile_bytes);
    return run_in_scratch(suite);
}
