/* fileio.h - what journal and store share: text and files put in place whole. Not public. */
#ifndef VQS_FILEIO_H
#define VQS_FILEIO_H

#include "vqsweep/base.h"

/* "PATH.tmp.PID": where a file is built before vqs_file_publish. Owned by the caller; NULL: out of memory. */
char *vqs_file_temporary(const char *path);
/* Makes the finished file `temporary` durable and puts it at `path`, replacing what is there: fsync, rename, fsync of
 * the directory. On failure VQS_ERR_IO; `temporary` may still be there and is the caller's to unlink. */
enum vqs_status vqs_file_publish(const char *temporary, const char *path, struct vqs_error *err);
/* VQS_ERR_USAGE where no file can be put in place: a file is renamed over what is there, which is to be a file, too; a
 * link would be lost, and not lead anywhere new. */
enum vqs_status vqs_file_check_place(const char *path, struct vqs_error *err);
/* Makes every directory on the way to `path`. */
enum vqs_status vqs_file_make_directories(const char *path, struct vqs_error *err);
/* Removes what killed runs left beside `path`: temporaries of it and of what is kept beside it (PATH.journal). Only the
 * one writer of `path` may do this. */
void vqs_file_sweep(const char *path);

#endif
