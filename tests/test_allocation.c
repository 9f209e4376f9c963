/* test_allocation.c - nothing is allocated in the step loop: a trial of many epochs asks for memory as often as one of
 * two. The program is linked with calls for memory led through the counters below. */
#include "testing.h"
#include "vqsweep/train.h"

static long calls;

#define COUNTED(type, name, parameters, arguments)                                                                     \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters {                                                                                    \
        calls++;                                                                                                       \
        return __real_##name arguments;                                                                                \
    }
COUNTED(void *, malloc, (size_t size), (size))
COUNTED(void *, calloc, (size_t n, size_t size), (n, size))
COUNTED(void *, realloc, (void *memory, size_t size), (memory, size))
COUNTED(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
COUNTED(int, posix_memalign, (void **memory, size_t alignment, size_t size), (memory, alignment, size))

/* Calls of a trial, by a trainer and with a record that have room from an earlier one. */
static long calls_of(int estimator, enum vqs_model_kind model, int epochs) {
    struct vqs_trainer *trainer = NULL;
    struct vqs_record record = {0};
    struct vqs_settings s;
    long spent = 0;
    vqs_settings_default(&s);
    s.estimator = estimator;
    s.model = model;
    s.D = 48;
    s.layer_norm = s.orthonormal = 1;
    s.orthonormal_layers = VQS_ORTHONORMAL_ALL;
    s.epochs = epochs;
    s.N = 200;
    s.N_eval = 40;
    s.batch = 90;
    ck_assert(vqs_trainer_create(1, NULL, &trainer, NULL) == VQS_OK);
    for (int run = 0; run < 2; run++) {
        const long before = calls;
        ck_assert(vqs_trainer_run(trainer, &s, &record, NULL) == VQS_OK);
        spent = calls - before;
    }
    vqs_trainer_destroy(trainer);
    vqs_record_destroy(&record);
    return spent;
}

START_TEST(steps_allocate_nothing) {
    ck_assert_int_gt(calls, 0); /* they are counted */
    for (int e = 0; e < vqs_estimator_count(); e++) {
        const long few = calls_of(e, VQS_MODEL_LINEAR, 2), many = calls_of(e, VQS_MODEL_LINEAR, 20);
        ck_assert_msg(few == many, "%s: %ld calls for memory in 2 epochs, %ld in 20", vqs_estimator_get(e)->name, few,
                      many);
    }
    for (int model = VQS_MODEL_MLP; model <= VQS_MODEL_CONV; model++) {
        const long few = calls_of(0, model, 2), many = calls_of(0, model, 20);
        ck_assert_msg(few == many, "%s: %ld calls for memory in 2 epochs, %ld in 20",
                      vqs_setting_choice(VQS_SETTING_model, model), few, many);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("allocation");
    TCase *tests = tcase_create("every estimator");
    tcase_add_test(tests, steps_allocate_nothing);
    suite_add_tcase(suite, tests);
    free(malloc(1));
    return run_unforked(suite);
}
