/* isa_table.c - the kernels of one instruction set. */
#include "isa_kernels.h"

extern const struct vqs_estimator VQS_ISA_NAME(vqs_estimator_table)[];
extern const struct vqs_kernels VQS_ISA_NAME(vqs_kernels);

const struct vqs_kernels VQS_ISA_NAME(vqs_kernels) = {
    .cpu_class = VQS_ISA_TEXT,
    .estimators = VQS_ISA_NAME(vqs_estimator_table),
#define VQS_X(name) .name = KERNEL(name),
    VQS_KERNEL_LIST(VQS_X)
#undef VQS_X
};
