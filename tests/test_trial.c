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
    "epochs=3 D=33 d=6 r=3 N=700 N_eval=90 batch=150 K=10 levels=3 bias=true snapshots=0,1 codebook_init=data",
    "epochs=2 D=20 d=8 r=8 N=300 K=5 levels=2 groups=8 estimator=diveq estimator_scope=each codebook_init=kmeans",
    "estimator=kmeans N=500 d=6 levels=2 groups=3 kmeans_restarts=2",
    "epochs=3 N=1000 batch=100 K=40 d=3 codebook=ema codebook_init=data revive=expire revive_period=7",
    "epochs=3 N=1000 batch=100 K=33 d=5 codebook=affine orthogonality=0.1 revive=expire revive_period=4",
    "epochs=3 N=1000 batch=100 K=33 d=4 groups=2 codebook=simvq orthogonality=0.1 update=alternating codebook_steps=2",
    "epochs=3 N=1000 batch=100 K=16 d=4 groups=2 codebook=fsq entropy_weight=0.1",
    "epochs=3 N=1000 batch=100 K=16 d=4 codebook=lfq entropy_weight=0.1 entropy_tau=0.5 beta_schedule=linear",
    "epochs=3 N=1000 batch=100 K=20 d=4 levels=2 entropy_weight=0.1 bias=true codebook_init=data revive=expire "
    "revive_period=5 beta_schedule=adaptive beta_period=3 beta_rate=1",
    "model=mlp epochs=3 D=65 d=5 r=3 hidden=40 N=1000 batch=300 K=33 gap_restarts=0 update=alternating",
    "model=mlp hidden_layers=2 layer_norm=true activation=relu orthonormal=true epochs=2 D=33 d=4 r=3 hidden=150 N=700 "
    "batch=600 K=20 levels=2 entropy_weight=0.1 codebook_init=data revive=expire revive_period=2 estimator=nsvq",
    "model=conv epochs=2 D=768 d=5 r=3 N=700 batch=600 K=20 layer_norm=true orthonormal=true orthonormal_layers=all",
    "model=conv conv_layers=1 conv_kernel=3 activation=relu epochs=2 D=81 conv_stride=3 d=4 r=3 N=300 batch=299 K=20 "
    "codebook_init=data estimator=nsvq levels=2",
    "model=mlp hidden_layers=0 epochs=2 D=20 d=4 N=300 K=9 batch=2000 codebook=fsq fsq_levels=3 groups=2 "
    "estimator=exact",
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

/* One codebook, and several of which the estimator sees the total or each. */
static const char *const structures[] = {"", "levels=3", "levels=2 groups=5 estimator_scope=each"};
enum { N_STRUCTURES = sizeof structures / sizeof structures[0] };

/* Digest of a short trial with row `i` of the estimators; 0 where there is no such trial. */
static uint64_t digest_of(int i, const char *structure, int team, const char *cpu_class) {
    struct vqs_record record = {0};
    struct vqs_trainer *trainer = trainer_of(team);
    struct vqs_settings s;
    enum vqs_setting_id culprit;
    char text[256];
    snprintf(text, sizeof text, "epochs=2 D=33 d=5 r=3 N=300 N_eval=40 batch=130 K=37 bias=true gap_restarts=0 %s",
             structure);
    settings_of(text, &s);
    s.estimator = i;
    if (vqs_settings_check(&s, &culprit, NULL) == VQS_OK) {
        ck_assert(vqs_trainer_run(trainer, &s, &record, NULL) == VQS_OK);
        ck_assert_str_eq(record.cpu_class, cpu_class);
        ck_assert(record.outcome == VQS_OUTCOME_COMPLETED);
    }
    const uint64_t digest = record.digest;
    vqs_trainer_destroy(trainer);
    vqs_record_destroy(&record);
    return digest;
}

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
    const char *before = getenv("VQSWEEP_CPU_CLASS"), *cpu_class = test_class(_i)->cpu_class;
    setenv("VQSWEEP_CPU_CLASS", cpu_class, 1);
    for (int i = 0; i < vqs_estimator_count() * N_STRUCTURES; i++) {
        const int estimator = i / N_STRUCTURES;
        const char *structure = structures[i % N_STRUCTURES];
        const uint64_t digest = digest_of(estimator, structure, 1, cpu_class);
        for (int team = 2; team <= 4 && digest; team++) {
            ck_assert_msg(digest_of(estimator, structure, team, cpu_class) == digest, "%s %s differs at team %d",
                          vqs_estimator_get(estimator)->name, structure, team);
        }
    }
    before ? setenv("VQSWEEP_CPU_CLASS", before, 1) : unsetenv("VQSWEEP_CPU_CLASS");
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

/* What ste gives residuals cancels level by level, so that it does not matter what it sees; of its codes and those of
 * groups nothing reaches another codebook. */
START_TEST(ste_sees_the_total_as_it_sees_each) {
    struct vqs_record total = {0}, each = {0};
    struct vqs_trainer *trainer = trainer_of(1);
    struct vqs_settings s;
    settings_of("epochs=3 d=8 r=8 K=8 N=512 levels=3 groups=2 codebook_init=data", &s);
    ck_assert(vqs_trainer_run(trainer, &s, &total, NULL) == VQS_OK);
    set(&s, "estimator_scope", "each");
    ck_assert(vqs_trainer_run(trainer, &s, &each, NULL) == VQS_OK);
    ck_assert(total.key != each.key);
    ck_assert_mem_eq(total.curves, each.curves, VQS_N_CURVES * 3 * sizeof *total.curves);
    ck_assert_int_eq(total.n_snapshots, 6);
    ck_assert_mem_eq(total.snapshots[0].codes, each.snapshots[0].codes, 6 * 8 * 4 * sizeof(float));
    vqs_trainer_destroy(trainer);
    vqs_record_destroy(&total);
    vqs_record_destroy(&each);
}
END_TEST

/* Every epoch kept has a snapshot of each codebook, and every codebook its own figures. */
START_TEST(every_codebook_is_in_the_record) {
    struct vqs_record r = {0};
    struct vqs_trainer *trainer = trainer_of(1);
    struct vqs_settings s;
    settings_of("epochs=3 d=6 r=6 K=7 N=512 N_eval=100 levels=2 groups=3 snapshots=0,2", &s);
    ck_assert(vqs_trainer_run(trainer, &s, &r, NULL) == VQS_OK);
    ck_assert_int_eq(r.n_snapshots, 3 * 6);
    double dead = 0;
    for (int i = 0; i < r.n_snapshots; i++) {
        const struct vqs_snapshot *kept = &r.snapshots[i];
        uint32_t samples = 0;
        ck_assert(kept->epoch == (i < 6    ? 0
                                  : i < 12 ? 2
                                           : 3) &&
                  kept->codebook == i % 6 && kept->K == 7 && kept->d == 2);
        for (int k = 0; k < kept->K; k++) {
            samples += kept->usage[k];
            dead += i >= 12 && kept->usage[k] == 0;
        }
        ck_assert_uint_eq(samples, 512);
    }
    ck_assert_double_eq(r.metric[VQS_METRIC_dead_codes_train], dead);
    ck_assert(isnan(r.metric[VQS_METRIC_lloyd_gap]));
    const struct vqs_array *levels = &r.arrays[VQS_ARRAY_level_metrics];
    ck_assert(levels->size[0] == 6 && levels->size[1] == VQS_N_LEVEL_METRICS);
    double entropy = 0;
    for (int c = 0; c < 6; c++) {
        entropy += (double)levels->values[c * VQS_N_LEVEL_METRICS + VQS_LEVEL_METRIC_entropy_eval] / 6;
    }
    ck_assert_double_eq_tol(r.metric[VQS_METRIC_entropy_eval], entropy, 1e-6);
    settings_of("epochs=1 N=64", &s); /* one codebook has what it always had */
    ck_assert(vqs_trainer_run(trainer, &s, &r, NULL) == VQS_OK);
    ck_assert(r.n_snapshots == 1 && !r.arrays[VQS_ARRAY_level_metrics].values);
    vqs_trainer_destroy(trainer);
    vqs_record_destroy(&r);
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
    tcase_add_test(tests, ste_sees_the_total_as_it_sees_each);
    tcase_add_test(tests, every_codebook_is_in_the_record);
    tcase_add_loop_test(tests, reference_values, 0, sizeof reference / sizeof reference[0]);
    suite_add_tcase(suite, tests);
    return run_unforked(suite);
}
