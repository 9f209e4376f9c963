/* test_files.h - a directory of its own for a check program, and whole files read and written.
 * Tests name their files without a directory. */
#ifndef TEST_FILES_H
#define TEST_FILES_H

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static inline size_t scratch_size(const char *path) {
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    return (size_t)status.st_size;
}

static inline unsigned char *scratch_read(const char *path, size_t *size) {
    *size = scratch_size(path);
    unsigned char *bytes = malloc(*size + !*size);
    FILE *file = fopen(path, "rb");
    ck_assert(bytes && file);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static inline void scratch_write(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

/* Runs the suite where we are. Returns the program's exit code. */
static inline int run_here(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* Runs the suite in a new directory, which is removed with the files in it. */
static inline int run_in_scratch(Suite *suite) {
    char directory[] = "/tmp/vqsweep-test-XXXXXX";
    if (!mkdtemp(directory) || chdir(directory)) {
        perror("scratch directory");
        return 1;
    }
    int result = run_here(suite);
    DIR *files = opendir(".");
    for (struct dirent *entry; files && (entry = readdir(files));) {
        unlink(entry->d_name); /* "." and ".." refuse */
    }
    closedir(files);
    rmdir(directory);
    return result;
}

#endif
