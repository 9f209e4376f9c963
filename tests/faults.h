/* faults.h - failures on purpose, in a program made for that: vqsweep_faulty.
 *
 * The one rule: what users run has no trace of this. vqsweep_faulty is linked from the very objects of vqsweep, and the
 * linker (--wrap) puts the functions of faults.c between the program and what it calls.
 *
 * VQS_FAULTS in the environment says what goes wrong: words POINT=N[@RANK][/TIMES], separated by spaces.
 *   crash=7        the trial of seed 7 crashes its process
 *   fail=7/2       the trial of seed 7 finds no memory, the first two times it is run (in whatever processes)
 *   hang=7/2       the trial of seed 7 never ends, the first two times
 *   exit=40@1      rank 1 leaves, without a word, instead of sending its 40th message
 *   write=5        the 5th write to a journal, result file or checkpoint finds the disk full, and so do all after it
 *   sync=2/1       the 2nd sync of a journal fails, once
 *   rename=3       the 3rd file to be put in place is not, and none after it
 *   alloc=100/1    the 100th allocation of the program's own code gets no memory, once
 * Without @RANK it holds on every rank. TIMES are counted in the folder VQS_FAULTS_FOLDER; without TIMES a numbered
 * point is always hit, and a counted one (the N-th call in a process) from the N-th call on.
 *
 * A new point is a wrapper in faults.c, its function in FAULTS_WRAPPED of tests/list_fault.cmake, and a line above.
 */
#ifndef VQS_TESTS_FAULTS_H
#define VQS_TESTS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether what `number` names is to go wrong at `point`, now and on this rank. Allocates nothing. */
bool faults_hit(const char *point, uint64_t number);
/* The same for calls that are counted: `*calls` is the caller's count of them, raised here. */
bool faults_hit_call(const char *point, _Atomic uint64_t *calls);

#endif
