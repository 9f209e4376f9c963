/* test_trial.c - whole trials in float: the same bits whoever runs them, identities, and an independent program's
 * values. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing.h"
#include "vqsweep/estimators.h"
#include "vqsweep/kernels.h"
#include "vqsweep/train.h"

static void set(struct vqs_settings *s, const char *name, const char *value) {
    struct vqs_error err = {0};
    const int id = vqs_setting_find(name);
    ck_assert_int_ge(id, 0);
    ck_assert_msg(vqs_setting_parse((enum vqs_setting_id)id, value, s, &err) == VQS_OK, "%s", err.text);
}

/* "name=value name=value ..." over the defaults. */
static void settings_of(const char *text, struct vqs_settings *s) {
    char copy[512], *save = NULL;
    vqs_settings_default(s);
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *equals = strchr(word, '=');
        *equals = 0;
        set(s, word, equals + 1);
    }
}

static struct vqs_trainer *trainer_of(int team) {
    struct vqs_trainer *trainer = NULL;
    ck_assert(vqs_trainer_create(team, NULL, &trainer, NULL) == VQS_OK);
    return trainer;
}

static const char *const trials[] = {
    "epochs=3",
    "epochs=3 decoder=tied estimator=rotation K=64 snapshots=0,2",
    "epochs=3 D=65 d=5 r=3 N=1000 batch=100 K=33 bias=true estimator=rotation_trick codebook_init=data",
    "epochs=2 D=100 d=16 r=8 N=777 N_eval=300 K=300 estimator=projector a=0.5 b=0.2 codebook_init=kmeans "
    "kmeans_restarts=2 retraction=polar",
    "epochs=2 D=16 d=16 r=8 N=300 K=5 decoder=tied bias=true retraction=qr latent=mixture",
    "epochs=2 D=1 d=1 r=1 N=40 K=1 batch=7",
    "epochs=4 lr=1e30 bias=true snapshots=1",
    "estimator=kmeans N=1000 kmeans_restarts=3 d=3",
};
enum { N_TRIALS = sizeof trials / sizeof trials[0] };

START_TEST(same_bits_for_any_team_and_history) {
    struct vqs_record record = {0};
    uint64_t digest[N_TRIALS];
    for (int team = 1; team <= 4; team++) {
        struct vqs_trainer *shared = trainer_of(team);
        for (int i = 0; i < N_TRIALS; i++) { /* in this order with one trainer: each has another's leavings */
            struct vqs_settings s;
            settings_of(trials[i], &s);
            ck_assert(vqs_trainer_run(shared, &s, &record, NULL) == VQS_OK);
            if (team == 1) {
                struct vqs_trainer *fresh = trainer_of(1);
                digest[i] = record.digest;
                ck_assert(vqs_trainer_run(fresh, &s, &record, NULL) == VQS_OK);
                vqs_trainer_destroy(fresh);
            }
            ck_assert_msg(record.digest == digest[i], "'%s' differs at team %d", trials[i], team);
            ck_assert(record.digest == vqs_record_digest(&record));
        }
        vqs_trainer_destroy(shared);
    }
    vqs_record_destroy(&record);
}
END_TEST

/* Every row, in every class of CPU: batches of several tiles with a short one, an odd number of codes. */
START_TEST(every_estimator_has_the_same_bits_for_any_team) {
    struct vqs_record record = {0};
    const char *before = getenv("VQSWEEP_CPU_CLASS"), *cpu_class = test_class(_i)->cpu_class;
    setenv("VQSWEEP_CPU_CLASS", cpu_class, 1);
    for (int i = 0; i < vqs_estimator_count(); i++) {
        uint64_t digest = 0;
        for (int team = 1; team <= 4; team++) {
            struct vqs_trainer *trainer = trainer_of(team);
            struct vqs_settings s;
            settings_of("epochs=2 D=33 d=5 r=3 N=300 N_eval=40 batch=130 K=37 bias=true gap_restarts=0", &s);
            s.estimator = i;
            ck_assert(vqs_trainer_run(trainer, &s, &record, NULL) == VQS_OK);
            ck_assert_str_eq(record.cpu_class, cpu_class);
            ck_assert(record.outcome == VQS_OUTCOME_COMPLETED);
            ck_assert_msg(team == 1 || record.digest == digest, "%s differs at team %d", vqs_estimator_get(i)->name, team);
            digest = record.digest;
            vqs_trainer_destroy(trainer);
        }
    }
    before ? setenv("VQSWEEP_CPU_CLASS", before, 1) : unsetenv("VQSWEEP_CPU_CLASS");
    vqs_record_destroy(&record);
}
END_TEST

START_TEST(divergence_is_an_outcome) {
    struct vqs_settings s;
    struct vqs_record record = {0};
    struct vqs_trainer *trainer = trainer_of(2);
    settings_of("epochs=5 lr=1e30 snapshots=0,3", &s);
    ck_assert(vqs_trainer_run(trainer, &s, &record, NULL) == VQS_OK);
    ck_assert(record.outcome == VQS_OUTCOME_DIVERGED);
    ck_assert(isnan(record.metric[VQS_METRIC_mse_train]) && isnan(record.metric[VQS_METRIC_entropy_eval]));
    ck_assert_int_eq(record.n_epochs, 5);
    ck_assert(isnan(record.curves[4])); /* the last epoch was not reached */
    ck_assert_int_eq(record.n_snapshots, 1);
    ck_assert_int_eq(record.snapshots[0].epoch, 0);
    vqs_trainer_destroy(trainer);
    vqs_record_destroy(&record);
}
END_TEST

START_TEST(a_failure_is_a_record) {
    struct vqs_settings s;
    struct vqs_record record = {0};
    struct vqs_error err = {0};
    struct vqs_trainer *trainer = trainer_of(1);
    settings_of("data=csv path=no/such/file.csv", &s);
    ck_assert(vqs_trainer_run(trainer, &s, &record, &err) == VQS_ERR_DATA);
    ck_assert(record.outcome == VQS_OUTCOME_FAILED && strstr(record.message, "no/such/file.csv"));
    ck_assert(record.key == vqs_settings_key(&s) && record.n_epochs == 0 && record.n_snapshots == 0);
    vqs_trainer_destroy(trainer);
    vqs_record_destroy(&record);
}
END_TEST

/* MATH.md: with a tied decoder and no bias g is parallel to u, so rotation and ste are one estimator up to rounding. */
START_TEST(tied_makes_rotation_and_ste_the_same) {
    struct vqs_record ste = {0}, rotation = {0};
    struct vqs_trainer *trainer = trainer_of(1);
    for (int seed = 1; seed <= 5; seed++) {
        struct vqs_settings s;
        settings_of("decoder=tied epochs=4 N=1024 lr=0.001", &s);
        s.seed = (uint64_t)seed;
        ck_assert(vqs_trainer_run(trainer, &s, &ste, NULL) == VQS_OK);
        set(&s, "estimator", "rotation");
        ck_assert(vqs_trainer_run(trainer, &s, &rotation, NULL) == VQS_OK);
        ck_assert(ste.digest != rotation.digest); /* two computations, not one */
        for (int i = 0; i < 2 * s.epochs; i++) {  /* the first curves: loss, loss_rec */
            ck_assert_double_eq_tol(ste.curves[i], rotation.curves[i], 1e-5 * fabs(ste.curves[i]));
        }
    }
    vqs_trainer_destroy(trainer);
    vqs_record_destroy(&ste);
    vqs_record_destroy(&rotation);
}
END_TEST

/* Mean training error over seeds 1..10 at K = 16, beta = 0.25, uniform codes, as another program found it. */
static const struct {
    const char *decoder, *sigma;
    double mse;
} reference[] = {{"tied", "0.1", 0.0256}, {"tied", "0.3", 0.1044}, {"free", "0.1", 0.0126}, {"free", "0.3", 0.0949}};

START_TEST(reference_values) {
    struct vqs_record record = {0};
    struct vqs_trainer *trainer = trainer_of(1);
    struct vqs_settings s;
    double mean = 0;
    vqs_settings_default(&s);
    set(&s, "decoder", reference[_i].decoder);
    set(&s, "sigma", reference[_i].sigma);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        s.seed = seed;
        ck_assert(vqs_trainer_run(trainer, &s, &record, NULL) == VQS_OK);
        mean += record.metric[VQS_METRIC_mse_train] / 10;
    }
    ck_assert_double_eq_tol(mean, reference[_i].mse, 0.0004);
    vqs_trainer_destroy(trainer);
    vqs_record_destroy(&record);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trial");
    TCase *tests = tcase_create("trials");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, same_bits_for_any_team_and_history);
    tcase_add_loop_test(tests, every_estimator_has_the_same_bits_for_any_team, 0, test_class_count());
    tcase_add_test(tests, divergence_is_an_outcome);
    tcase_add_test(tests, a_failure_is_a_record);
    tcase_add_test(tests, tied_makes_rotation_and_ste_the_same);
    tcase_add_loop_test(tests, reference_values, 0, sizeof reference / sizeof reference[0]);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
