/* Trials that are left and taken up again give the same bits; checkpoints that do not fit are refused. */
#include "checkpoint.h"
#include "vqsweep/kernels.h"

#include "make_record.h"
#include "settings_text.h"
#include "test_files.h"

enum { EPOCHS = 12 };

/* Leaves the trial after every `stride` epochs, by way of a file. */
struct leaver {
    struct vqs_checkpoint_tag tag;
    int stride;
    const char *path;
    enum vqs_status loaded;
    struct vqs_error err;
};

static bool resume(void *ctx, struct vqs_trial_state *state) {
    struct leaver *leaver = ctx;
    double seconds = 0;
    leaver->err = (struct vqs_error){0};
    leaver->loaded = vqs_checkpoint_load(leaver->path, &leaver->tag, state, &seconds, &leaver->err);
    ck_assert(leaver->loaded != VQS_OK || seconds == state->epoch);
    return leaver->loaded == VQS_OK;
}

static bool epoch(void *ctx, const struct vqs_trial_state *state) {
    const struct leaver *leaver = ctx;
    if (state->epoch % leaver->stride) {
        return true;
    }
    ck_assert_int_eq(vqs_checkpoint_save(leaver->path, &leaver->tag, state, state->epoch, NULL), VQS_OK);
    return false;
}

/* Over the first variant: whatever keeps a state of its own. Steps are 5 an epoch, so that periods end within epochs.
 */
static const char *const kept[] = {
    "codebook=ema",
    "model=mlp hidden=20 layer_norm=true orthonormal=true batch=200 codebook=ema revive=expire revive_period=3",
    "model=conv D=16 conv_layers=1 layer_norm=true orthonormal=true orthonormal_layers=encoder batch=200",
    "codebook=affine revive=expire revive_period=7",
    "codebook=simvq update=alternating codebook_steps=2",
    "codebook=fixed levels=2",
    "codebook=fsq fsq_levels=3 K=9 groups=2 entropy_weight=0.1",
    "codebook=ema revive=expire revive_period=7 beta_schedule=cosine",
    "beta_schedule=adaptive beta_period=7 beta_rate=1 orthogonality=0.1",
    "beta_schedule=replay beta_period=7 beta_rate=1 replay_estimator=rotation replay_seed=1 codebook=ema revive=expire "
    "revive_period=7",
};
enum { PLAIN = 12, VARIANTS = PLAIN + sizeof kept / sizeof kept[0] };

static struct vqs_settings settings_of_variant(int variant) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    s.D = 24;
    s.d = 4;
    s.K = 12;
    s.N = 300;
    s.N_eval = 64;
    s.batch = 64;
    s.epochs = EPOCHS;
    s.gap_restarts = 0;
    s.seed = 3;
    s.snapshots.n = 3;
    s.snapshots.at[0] = 0;
    s.snapshots.at[1] = 5;
    s.snapshots.at[2] = 8;
    if (variant >= PLAIN) {
        set_all(&s, kept[variant - PLAIN]);
        return s;
    }
    s.estimator = variant % 3; /* the first three of the table */
    s.bias = variant % 2;
    s.decoder = variant % 4 < 2 ? VQS_DECODER_FREE : VQS_DECODER_TIED;
    s.levels = 1 + variant % 2;
    s.groups = variant % 4 < 2 ? 1 : 2;
    return s;
}

static struct leaver leaver_of(const struct vqs_settings *s, int stride) {
    return (struct leaver){
        .tag = {vqs_settings_key(s), "1.2", vqs_kernels_cpu_class()}, .stride = stride, .path = "folder/trial"};
}

static enum vqs_status run(const struct vqs_settings *s, struct leaver *leaver, struct vqs_record *record) {
    struct vqs_trainer *trainer;
    ck_assert_int_eq(vqs_trainer_create(1, NULL, &trainer, NULL), VQS_OK);
    if (leaver) {
        vqs_trainer_set_hooks(trainer, &(struct vqs_trial_hooks){.ctx = leaver, .resume = resume, .epoch = epoch});
    }
    enum vqs_status status = vqs_trainer_run(trainer, s, record, NULL);
    vqs_trainer_destroy(trainer);
    return status;
}

/* _i: the variant */
START_TEST(a_trial_goes_on_to_the_same_bits) {
    const struct vqs_settings s = settings_of_variant(_i);
    struct vqs_record whole = {0}, pieced = {0};
    ck_assert_int_eq(run(&s, NULL, &whole), VQS_OK);
    for (int stride = 1; stride <= 5; stride += 2) {
        struct leaver leaver = leaver_of(&s, stride);
        int runs = 1;
        unlink(leaver.path);
        while (run(&s, &leaver, &pieced) == VQS_ERR_UNFINISHED) {
            runs++;
        }
        ck_assert_int_eq(runs, 1 + (EPOCHS - 1) / stride);
        ck_assert_int_eq(pieced.outcome, VQS_OUTCOME_COMPLETED);
        ck_assert_uint_eq(pieced.digest, whole.digest);
    }
    vqs_record_destroy(&whole);
    vqs_record_destroy(&pieced);
}
END_TEST

/* What the record holds so far is part of the state, its arrays too. */
START_TEST(a_state_keeps_curves_arrays_and_snapshots) {
    struct vqs_record left = {0}, found = {0};
    const struct vqs_checkpoint_tag tag = {7, "1.2", "none"};
    double seconds;
    make_record(&left, (1 << VQS_N_ARRAYS) - 1, EPOCHS, 3, 4, 2);
    struct vqs_trial_state state = {.epoch = 5, .n_snapshots = 2, .record = &left};
    ck_assert_int_eq(vqs_checkpoint_save("kept/trial", &tag, &state, 1, NULL), VQS_OK);
    make_record(&found, (1 << VQS_N_ARRAYS) - 1, EPOCHS, 3, 4, 2);
    memset(found.curves, 0, EPOCHS * sizeof *found.curves);
    memset(found.snapshots[1].codes, 0, 8 * sizeof(float));
    found.snapshots[1].codebook += 3;
    for (int kind = 0; kind < VQS_N_ARRAYS; kind++) {
        found.arrays[kind].values[vqs_array_values(kind, found.arrays[kind].size) - 1] = 0;
    }
    state = (struct vqs_trial_state){.record = &found};
    ck_assert_int_eq(vqs_checkpoint_load("kept/trial", &tag, &state, &seconds, NULL), VQS_OK);
    ck_assert_int_eq(state.n_snapshots, 2);
    assert_same_record(&left, &found);
    ck_assert_int_eq(unlink("kept/trial"), 0);
    ck_assert_int_eq(rmdir("kept"), 0);
    vqs_record_destroy(&left);
    vqs_record_destroy(&found);
}
END_TEST

/* Each way in which a checkpoint can be wrong is named, and the trial then begins anew, to the same bits. */
START_TEST(a_checkpoint_that_does_not_fit_is_refused) {
    static const char *const faults[] = {"damaged", "damaged",       "not a checkpoint", "another version",
                                         "class",   "another trial", "not a checkpoint"};
    const struct vqs_settings s = settings_of_variant(0);
    struct vqs_record whole = {0}, record = {0};
    struct leaver leaver = leaver_of(&s, 4);
    size_t size;
    ck_assert_int_eq(run(&s, NULL, &whole), VQS_OK);
    unlink(leaver.path);
    ck_assert_int_eq(run(&s, &leaver, &record), VQS_ERR_UNFINISHED);
    unsigned char *bytes = scratch_read(leaver.path, &size);
    bytes[size / 2] ^= _i == 0;
    bytes[3] ^= _i == 2;
    scratch_write(leaver.path, bytes, _i == 1 ? size - 1 : _i == 6 ? 0 : size);
    leaver.stride = EPOCHS;
    leaver.tag.code_version = _i == 3 ? "1.3" : "1.2";
    leaver.tag.cpu_class = _i == 4 ? "none" : leaver.tag.cpu_class;
    leaver.tag.key += _i == 5;
    ck_assert_int_eq(run(&s, &leaver, &record), VQS_OK);
    ck_assert_int_eq(leaver.loaded, VQS_ERR_STORE);
    ck_assert_msg(strstr(leaver.err.text, faults[_i]) != NULL, "%s", leaver.err.text);
    ck_assert_uint_eq(record.digest, whole.digest);
    free(bytes);
    vqs_record_destroy(&whole);
    vqs_record_destroy(&record);
}
END_TEST

static bool keep_odd(void *ctx, uint32_t trial, uint64_t key) {
    (void)ctx;
    ck_assert_uint_eq(key, 0xabc);
    return trial % 2;
}

START_TEST(sweeping_keeps_what_is_of_use) {
    ck_assert_int_eq(mkdir("swept", 0777), 0);
    for (uint32_t t = 0; t < 4; t++) {
        char *path = vqs_checkpoint_path("swept", t, 0xabc);
        scratch_write(path, "x", 1);
        free(path);
    }
    scratch_write("swept/other", "x", 1);
    vqs_checkpoint_sweep("swept", keep_odd, NULL);
    for (uint32_t t = 0; t < 4; t++) {
        char *path = vqs_checkpoint_path("swept", t, 0xabc);
        ck_assert_int_eq(access(path, F_OK) == 0, t % 2);
        unlink(path);
        free(path);
    }
    ck_assert_int_eq(unlink("swept/other"), 0);
    ck_assert_int_eq(rmdir("swept"), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("checkpoint");
    TCase *tc = tcase_create("checkpoint");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_trial_goes_on_to_the_same_bits, 0, VARIANTS);
    tcase_add_test(tc, a_state_keeps_curves_arrays_and_snapshots);
    tcase_add_loop_test(tc, a_checkpoint_that_does_not_fit_is_refused, 0, 7);
    tcase_add_test(tc, sweeping_keeps_what_is_of_use);
    suite_add_tcase(suite, tc);
    return run_in_scratch(suite);
}
