/* test_audit.c - each kind of trouble with a set-up gets its line with the remedy, and a good set-up gets none. */
#include "audit.h"

#include "test_files.h"

#include <errno.h>
#include <math.h>

enum { RANKS = 3 };

/* Two ranks of a node of 8 cores, and one of another node, all in order. */
static struct vqs_audit_facts facts[RANKS];
static struct vqs_audit_disk disk;

static void set_up(void) {
    unsetenv("OPENBLAS_CORETYPE");
    for (int r = 0; r < RANKS; r++) {
        facts[r] = (struct vqs_audit_facts){.threads = 4,
                                            .slots = 4,
                                            .bound = 8,
                                            .allowed = 8,
                                            .cores = 8,
                                            .threads_on_node = r < 2 ? 8 : 4,
                                            .openblas_threads = 1,
                                            .openblas_parallel = 1,
                                            .clock_ahead = 0.01 * r};
        strcpy(facts[r].host, r < 2 ? "one" : "two");
        strcpy(facts[r].cpu_class, "avx512");
        strcpy(facts[r].openblas, "SkylakeX");
    }
    disk = (struct vqs_audit_disk){.folder = "results/", .room = 5e9, .needed = 4e9, .sync_seconds = 0.01};
}

/* What is said of the facts, in all; one line, or none. */
static const char *said(void) {
    static char text[4096];
    text[0] = 0;
    FILE *out = fmemopen(text, sizeof text, "w");
    ck_assert_ptr_nonnull(out);
    vqs_audit_say(out, facts, RANKS, &disk, false);
    fclose(out);
    const char *end = strchr(text, '\n');
    ck_assert_msg(!end || !end[1], "more than one line: %s", text);
    return text;
}

#define EXPECT_SAID(words) ck_assert_msg(strstr(said(), words), "said: %s", said())

START_TEST(what_is_in_order_is_not_mentioned) {
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(cores) {
    facts[1].allowed = 1;
    EXPECT_SAID("rank 1 on one has 4 threads but may use only 1 cores; give mpirun --bind-to none, or --map-by "
                "slot:PE=4 (under SLURM sbatch --cpus-per-task=4)");
    facts[1].allowed = 8;
    facts[2].threads_on_node = 9;
    EXPECT_SAID("9 threads on the 8 cores of two");
    facts[2].threads_on_node = 8;
    facts[0].bound = 1;
    EXPECT_SAID("mpirun bound each rank to 1 of 8 cores by its default");
}
END_TEST

START_TEST(openblas) {
    facts[2].openblas_threads = 8;
    EXPECT_SAID("OpenBLAS (pthread) of rank 2 on two insists on 8 threads; export OPENBLAS_NUM_THREADS=1");
    facts[2].openblas_threads = 1;
    setenv("OPENBLAS_CORETYPE", "Haswell", 1);
    EXPECT_SAID("OPENBLAS_CORETYPE=Haswell chooses OpenBLAS's kernel (SkylakeX); unset it");
}
END_TEST

START_TEST(classes_of_cpu) {
    strcpy(facts[2].cpu_class, "avx2");
    EXPECT_SAID("rank 0 on one is of CPU class avx512, rank 2 on two of avx2");
    EXPECT_SAID("sbatch --constraint");
}
END_TEST

START_TEST(clocks) {
    facts[2].clock_ahead = 3600;
    EXPECT_SAID("the clock of two is 3600 s ahead of that of one; ");
    EXPECT_SAID("mend NTP there, or leave it out (sbatch --exclude=two)");
    facts[2].clock_ahead = -90;
    EXPECT_SAID("the clock of two is 90 s behind that of one; ");
    facts[2].clock_ahead = 1.9;
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(room) {
    disk.room = 3.2e9;
    EXPECT_SAID("results/ has room for 3200 MB and the results may take 4000 MB; make room, or give -o another place");
    disk.room = INFINITY; /* not known */
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(syncs) {
    disk.sync_seconds = 1.25;
    EXPECT_SAID("results/: a sync takes 1.2 s there");
    disk.sync_seconds = -1;
    disk.sync_error = EIO;
    EXPECT_SAID("results/: a file there cannot be synced: Input/output error; ");
}
END_TEST

START_TEST(a_disk_is_looked_at_where_the_output_will_be) {
    ck_assert(mkdir("place", 0777) == 0);
    vqs_audit_look_at_disk("place/a.h5", 1e30, &disk);
    ck_assert_str_eq(disk.folder, "place/");
    ck_assert(disk.room > 0 && disk.room < 1e30 && disk.needed > 1e29);
    ck_assert(disk.sync_seconds >= 0 && !disk.sync_error);
    EXPECT_SAID("place/ has room for ");
    ck_assert_msg(rmdir("place") == 0, "the probe is still there");
    vqs_audit_look_at_disk("a.h5", 0, &disk);
    ck_assert_str_eq(disk.folder, "./");
    vqs_audit_look_at_disk("place/a.h5", 0, &disk); /* it is gone */
    ck_assert_int_eq(disk.sync_error, ENOENT);
    EXPECT_SAID("place/: a file there cannot be synced: No such file or directory");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("audit");
    TCase *tc = tcase_create("audit");
    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, what_is_in_order_is_not_mentioned);
    tcase_add_test(tc, cores);
    tcase_add_test(tc, openblas);
    tcase_add_test(tc, classes_of_cpu);
    tcase_add_test(tc, clocks);
    tcase_add_test(tc, room);
    tcase_add_test(tc, syncs);
    tcase_add_test(tc, a_disk_is_looked_at_where_the_output_will_be);
    suite_add_tcase(suite, tc);
    return run_in_scratch(suite);
}
