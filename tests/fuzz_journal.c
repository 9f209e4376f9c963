/* fuzz_journal.c - the journal's reader, and the records in it. */
#include "fuzz.h"
#include "vqsweep/journal.h"

#include <stdlib.h>
#include <unistd.h>

void fuzz_one(const uint8_t *data, size_t size) {
    struct vqs_journal_index index;
    struct vqs_bytes scratch = {0};
    struct vqs_record record = {0};
    struct vqs_journal *journal;
    const char *path = fuzz_file(data, size);
    if (vqs_journal_index_open(path, &index, NULL) == VQS_OK) {
        for (size_t i = 0; i < index.n_entries; i++) {
            vqs_journal_read(&index, &index.entries[i], &scratch, &record, NULL);
        }
        vqs_journal_index_close(&index);
    }
    if (vqs_journal_reopen(path, &journal, NULL) == VQS_OK) {
        vqs_journal_close(journal, NULL);
    }
    vqs_record_unpack(&record, data, size, NULL); /* without the frames' checksums in the way */
    vqs_record_destroy(&record);
    vqs_bytes_destroy(&scratch);
}

void fuzz_seeds(void (*take)(const void *data, size_t size)) {
    char path[] = "/tmp/vqsweep-fuzz-XXXXXX";
    struct vqs_journal_header header = {.plan_key = 7, .code_version = "1.2", .seeds = "1..3"};
    struct vqs_journal *journal;
    struct vqs_record record = {0};
    struct vqs_bytes packed = {0};
    fuzz_must(mkstemp(path) >= 0);
    unlink(path);
    fuzz_must(vqs_bytes_append(&header.job, "name: a\n", 8, NULL) == VQS_OK);
    fuzz_must(vqs_journal_create(path, &header, &journal, NULL) == VQS_OK);
    for (int i = 0; i < 5; i++) {
        const struct vqs_record_shape shape = {
            i, i % 3, i % 3 ? 2 : 0, i % 3 ? 1 : 0, {[VQS_ARRAY_probes] = {i % 2 ? i : 0, i % 2, i % 2, i % 2}}};
        fuzz_must(vqs_record_reset(&record, &shape, NULL) == VQS_OK);
        record.key = (uint64_t)i + 1;
        record.outcome = VQS_OUTCOME_COMPLETED;
        vqs_record_seal(&record);
        packed.size = 0;
        fuzz_must(vqs_record_pack(&record, &packed, NULL) == VQS_OK);
        fuzz_must(vqs_journal_append(journal, packed.data, packed.size, NULL) == VQS_OK);
    }
    fuzz_must(vqs_journal_close(journal, NULL) == VQS_OK);
    take(packed.data, packed.size);
    fuzz_take_file(path, take);
    unlink(path);
    vqs_bytes_destroy(&packed);
    vqs_journal_header_destroy(&header);
    vqs_record_destroy(&record);
}
