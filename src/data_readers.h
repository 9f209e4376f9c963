/* data_readers.h - what the readers of the core share: files read at an offset, lists of files. Not public. */
#ifndef VQS_DATA_READERS_H
#define VQS_DATA_READERS_H

#include "vqsweep/source.h"

#include <stdio.h>
#include <zlib.h>

enum { VQS_MAX_COLUMNS = 65536 }; /* values of a sample that are read at all */

extern const struct vqs_source_reader vqs_source_csv, vqs_source_idx, vqs_source_npy, vqs_source_raw, vqs_source_images,
    vqs_source_audio, vqs_source_text;

/* ---- data_file.c: one file ------------------------------------------------------------------------------------- */

/* Refuses what is no regular file (a pipe would be waited for). `size` may be NULL. */
enum vqs_status vqs_data_stat(const char *path, uint64_t *size, struct vqs_error *err);

/* A file, plain or gzipped, read at any offset; forward is cheap. Zeroed: not open. */
struct vqs_data_file {
    const char *path; /* borrowed */
    FILE *plain;      /* one of these two */
    gzFile zipped;
    uint64_t size; /* bytes, of a gzipped file unpacked; UINT64_MAX: not known yet */
};
/* Opens for reading; a file that starts like gzip is unpacked, unless `as_is`. */
enum vqs_status vqs_data_file_open(const char *path, bool as_is, struct vqs_data_file *file, struct vqs_error *err);
void vqs_data_file_close(struct vqs_data_file *file);
/* Finds file->size. Of a gzipped file it reads all, checks the checksum, and gives up after more than `most` bytes. */
enum vqs_status vqs_data_file_measure(struct vqs_data_file *file, uint64_t most, struct vqs_error *err);
/* Up to `size` bytes from an offset; *got is less at the end of the file. */
enum vqs_status vqs_data_file_read(struct vqs_data_file *file, uint64_t offset, void *bytes, size_t size, size_t *got,
                                   struct vqs_error *err);
/* Exactly so many. */
enum vqs_status vqs_data_file_get(struct vqs_data_file *file, uint64_t offset, void *bytes, size_t size,
                                  struct vqs_error *err);
/* A read error that zlib saw (damaged or cut gzip), as one line. */
enum vqs_status vqs_data_gz_check(gzFile file, const char *path, struct vqs_error *err);

/* ---- source.c -------------------------------------------------------------------------------------------------- */

/* Of the files that a folder is searched for, ".png .jpg .jpeg"; NULL where only a single file is read. */
const char *vqs_source_endings(const struct vqs_settings *settings);

/* ---- data_list.c: a file, the files of a folder, or those that a .txt lists ------------------------------------ */

struct vqs_file_list {
    char **paths; /* owned */
    size_t n;
};
/* `endings`: those taken from a folder, as ".png .jpg". In a folder's files the order is that of their names' bytes. A
 * list has one path a line, from the list's own folder on. Without `endings` the path is a single file. */
enum vqs_status vqs_file_list_make(const char *path, const char *endings, struct vqs_file_list *list,
                                   struct vqs_error *err);
void vqs_file_list_destroy(struct vqs_file_list *list);

/* A sample's file in a list: first[f] is the first sample of file f, first[n_files] their number. */
size_t vqs_file_list_find(const uint64_t *first, size_t n_files, uint64_t sample);

#endif
