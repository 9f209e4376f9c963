/* fuzz.h - foreign bytes into a reader: what tests/fuzz_*.c have in common.
 *
 * The one rule: whatever the bytes, the reader returns a status; it neither crashes nor hangs, nor takes memory out of
 * proportion. A target has two functions: fuzz_one reads some bytes, fuzz_seeds makes good ones to start from.
 *
 * A target is linked with fuzz_replay.c, which reads the seeds, a fixed number of mutations of them and any files named
 * on the command line (ctest does this), or, by clang with -DVQS_FUZZ=ON, with libFuzzer, which searches:
 *     CC=clang cmake -B build/fuzz -DVQS_FUZZ=ON -DVQS_SANITIZE=ON && cmake --build build/fuzz --parallel
 *     mkdir corpus; build/fuzz/tests/fuzz_journal --seeds corpus; build/fuzz/tests/search_journal corpus
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void fuzz_one(const uint8_t *data, size_t size);
void fuzz_seeds(void (*take)(const void *data, size_t size));

/* Ends the program when a seed cannot be made. */
void fuzz_must(bool good);
/* The bytes as a file; the path is the same each time. */
const char *fuzz_file(const uint8_t *data, size_t size);
/* Takes the file at `path` as a seed. */
void fuzz_take_file(const char *path, void (*take)(const void *data, size_t size));

#endif
