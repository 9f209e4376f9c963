/* data_list.c - a file, the files of a folder, or those that a .txt lists; and what tells them from others. */
#include "data_readers.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <xxhash.h>

enum { MAX_FILES = 10000000, MAX_PATH = 4096 };

void vqs_file_list_destroy(struct vqs_file_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        free(list->paths[i]);
    }
    free(list->paths);
    memset(list, 0, sizeof *list);
}

/* Appends FOLDER/NAME, or NAME if it stands by itself. `folder` is of so many bytes, with its slash. */
static enum vqs_status add(struct vqs_file_list *list, const char *folder, size_t length, const char *name,
                           struct vqs_error *err) {
    if ((list->n & (list->n - 1)) == 0) { /* a power of two, which is full */
        char **grown = list->n < MAX_FILES ? realloc(list->paths, (list->n ? 2 * list->n : 1) * sizeof *grown) : NULL;
        if (!grown) {
            return vqs_fail(err, VQS_ERR_MEMORY, "%.*s: no memory for more than %zu files", (int)length, folder,
                            list->n);
        }
        list->paths = grown;
    }
    const size_t kept = name[0] == '/' ? 0 : length;
    char *path = malloc(kept + strlen(name) + 1);
    if (!path) {
        return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory for its path", name);
    }
    memcpy(path, folder, kept);
    strcpy(path + kept, name);
    list->paths[list->n++] = path;
    return VQS_OK;
}

/* Whether the name ends in one of ".a .b", in either case. */
static bool ends_in(const char *name, const char *endings) {
    for (const char *at = endings; *at; at += strspn(at, " ")) {
        const size_t length = strcspn(at, " "), size = strlen(name);
        if (size > length && !strncasecmp(name + size - length, at, length)) {
            return true;
        }
        at += length;
    }
    return false;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum vqs_status list_folder(const char *path, const char *endings, struct vqs_file_list *list,
                                   struct vqs_error *err) {
    char folder[VQS_PATH_MAX + 1];
    const size_t length = (size_t)snprintf(folder, sizeof folder, "%s/", path);
    DIR *entries = opendir(path);
    if (!entries) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: cannot open: %s; expected a readable folder", path, strerror(errno));
    }
    enum vqs_status status = VQS_OK;
    for (struct dirent *entry; !status && (entry = readdir(entries));) {
        if (entry->d_name[0] != '.' && ends_in(entry->d_name, endings)) {
            status = add(list, folder, length, entry->d_name, err);
        }
    }
    closedir(entries);
    if (!status && !list->n) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: no file in it ends in one of %s", path, endings);
    }
    qsort(list->paths, list->n, sizeof *list->paths, by_bytes);
    return status;
}

static enum vqs_status list_lines(const char *path, struct vqs_file_list *list, struct vqs_error *err) {
    const char *slash = strrchr(path, '/');
    char line[MAX_PATH];
    FILE *file = fopen(path, "r");
    if (!file) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: cannot open: %s; expected a list of files", path, strerror(errno));
    }
    enum vqs_status status = VQS_OK;
    for (long number = 1; !status && fgets(line, sizeof line, file); number++) {
        if (strlen(line) == MAX_PATH - 1) {
            status = vqs_fail(err, VQS_ERR_DATA, "%s:%ld: a line of more than %d characters; expected a path", path,
                              number, MAX_PATH - 2);
        }
        line[strcspn(line, "\r\n")] = 0;
        if (!status && line[0]) {
            status = add(list, path, slash ? (size_t)(slash + 1 - path) : 0, line, err);
        }
    }
    fclose(file);
    if (!status && !list->n) {
        status = vqs_fail(err, VQS_ERR_DATA, "%s: lists no file; expected a path a line", path);
    }
    return status;
}

enum vqs_status vqs_file_list_make(const char *path, const char *endings, struct vqs_file_list *list,
                                   struct vqs_error *err) {
    struct stat status;
    if (endings && !stat(path, &status) && S_ISDIR(status.st_mode)) {
        return list_folder(path, endings, list, err);
    }
    const enum vqs_status result = vqs_data_stat(path, NULL, err);
    if (result) {
        return result;
    }
    return endings && ends_in(path, ".txt") ? list_lines(path, list, err) : add(list, path, 0, path, err);
}

size_t vqs_file_list_find(const uint64_t *first, size_t n_files, uint64_t sample) {
    size_t low = 0, high = n_files; /* first[low] <= sample < first[high] */
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        *(first[middle] <= sample ? &low : &high) = middle;
    }
    return low;
}

/* ---- fingerprints ---------------------------------------------------------------------------------------------- */

static enum vqs_status hash_file(const char *path, uint64_t *size, uint64_t *hash, struct vqs_error *err) {
    unsigned char block[1 << 16];
    struct vqs_data_file file = {0};
    XXH3_state_t *state = XXH3_createState();
    enum vqs_status status = state ? vqs_data_file_open(path, true, &file, err)
                                   : vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory to read it", path);
    *size = 0;
    if (!status) {
        XXH3_64bits_reset(state);
        for (size_t got = 1; got && !status; *size += got) {
            status = vqs_data_file_read(&file, *size, block, sizeof block, &got, err);
            XXH3_64bits_update(state, block, got);
        }
        *hash = XXH3_64bits_digest(state);
    }
    vqs_data_file_close(&file);
    XXH3_freeState(state);
    return status;
}

enum vqs_status vqs_source_fingerprint(const struct vqs_settings *s, char *text, size_t size, struct vqs_error *err) {
    struct vqs_file_list list = {0};
    uint64_t total = 0, hash = 0;
    enum vqs_status status = vqs_file_list_make(s->path, vqs_source_endings(s), &list, err);
    for (size_t i = 0; i < list.n && !status; i++) {
        uint64_t of_one[3] = {hash};
        status = hash_file(list.paths[i], &of_one[1], &of_one[2], err);
        total += of_one[1];
        hash = i ? XXH3_64bits(of_one, sizeof of_one) : of_one[2];
    }
    snprintf(text, size, "%zu file%s, %" PRIu64 " bytes, XXH3 %016" PRIx64, list.n, list.n == 1 ? "" : "s", total,
             hash);
    vqs_file_list_destroy(&list);
    return status;
}
