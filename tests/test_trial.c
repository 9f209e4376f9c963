/* test_trial.c - whole trials in float: the same bits whoever runs them, identities, and an independent program's
 * values. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "settings_text.h"
#include "testing.h"
#include "vqsweep/estimators.h"
#include "vqsweep/kernels.h"
#include "vqsweep/train.h"

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
    "epochs=3 N=1000 batch=100 K=40 d=3 codebook=ema codebook_init=data revive=expire revive_period=7",
    "epochs=3 N=1000 batch=100 K=33 d=5 codebook=affine orthogonality=0.1 revive=expire revive_period=4",
    "epochs=3 N=1000 batch=100 K=33 d=4 groups=2 codebook=simvq orthogonality=0.1 update=alternating codebook_steps=2",
    "epochs=3 N=1000 batch=100 K=16 d=4 groups=2 codebook=fsq entropy_weight=0.1",
    "epochs=3 N=1000 batch=100 K=16 d=4 codebook=lfq entropy_weight=0.1 entropy_tau=0.5 beta_schedule=linear",
    "epochs=3 N=1000 batch=100 K=20 d=4 levels=2 entropy_weight=0.1 bias=true codebook_init=data revive=expire "
    "revive_period=5 beta_schedule=adaptive beta_period=3 beta_rate=1",
    "epochs=3 N=1000 batch=100 K=20 beta_schedule=replay beta_period=3 beta_rate=1 replay_estimator=rotation "
    "replay_seed=5 codebook=ema",
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

/* Every phase gets something booked by some kind of trial, and the results do not show it. */
START_TEST(a_profile_books_every_phase_and_changes_no_bit) {
    struct vqs_record record = {0};
    struct vqs_profile sum = {0};
    for (int team = 1; team <= 2; team++) {
        for (int i = 0; i < N_TRIALS; i++) {
            struct vqs_settings s;
            struct vqs_profile profiles[2] = {{{0}, 0}};
            struct vqs_trainer *trainer = trainer_of(team);
            settings_of(trials[i], &s);
            ck_assert(vqs_trainer_run(trainer, &s, &record, NULL) == VQS_OK);
            const uint64_t digest = record.digest;
            vqs_trainer_set_profiles(trainer, profiles);
            ck_assert(vqs_trainer_run(trainer, &s, &record, NULL) == VQS_OK);
            ck_assert_uint_eq(record.digest, digest);
            vqs_trainer_destroy(trainer);
            for (int member = 0; member < team; member++) {
                vqs_profile_add(&profiles[member], &sum);
            }
        }
    }
    for (int phase = 0; phase < VQS_N_PHASES; phase++) {
        ck_assert_msg(sum.seconds[phase] > 0, "nothing is booked to '%s'", vqs_profile_text((enum vqs_phase)phase));
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
    tcase_add_test(tests, a_profile_books_every_phase_and_changes_no_bit);
    tcase_add_loop_test(tests, every_estimator_has_the_same_bits_for_any_team, 0, test_class_count());
    tcase_add_test(tests, divergence_is_an_outcome);
    tcase_add_test(tests, a_failure_is_a_record);
    tcase_add_test(tests, tied_makes_rotation_and_ste_the_same);
    tcase_add_loop_test(tests, reference_values, 0, sizeof reference / sizeof reference[0]);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
