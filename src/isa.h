/* isa.h - sources compiled once for each instruction set mark their public symbols with VQS_ISA_NAME(x): x_avx512 ...
 */
#ifndef VQS_ISA_H
#define VQS_ISA_H

#define VQS_PASTE_(a, b) a##_##b
#define VQS_PASTE(a, b)  VQS_PASTE_(a, b)
#define VQS_ISA_NAME(x)  VQS_PASTE(x, VQS_ISA)
#define VQS_STRING_(x)   #x
#define VQS_STRING(x)    VQS_STRING_(x)
#define VQS_ISA_TEXT     VQS_STRING(VQS_ISA)

#endif
