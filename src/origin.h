/* origin.h - whether what is on disk came from this job and this program, and what differs if not.
 *
 * The one rule: results of different jobs or programs are not mixed unless that was asked for, and a person who is
 * refused is told which settings or versions differ. */
#ifndef VQS_ORIGIN_H
#define VQS_ORIGIN_H

#include "vqsweep/plan.h"

/* What a file or journal says of where it comes from. Borrowed. */
struct vqs_origin {
    const char *path;
    uint64_t plan_key;
    const char *code_version;
    const char *seeds; /* given in place of the job's; NULL or empty: none */
    const char *job;
    size_t job_size;
};

/* VQS_OK: of this plan and program. VQS_ERR_STORE: with what differs and how to mend that. */
enum vqs_status vqs_origin_check(const struct vqs_origin *origin, const struct vqs_plan *plan, struct vqs_error *err);

#endif
