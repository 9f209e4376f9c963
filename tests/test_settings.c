/* test_settings.c - the settings table, its text and the trial key. */
#include "vqsweep/estimators.h"
#include "vqsweep/settings.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static struct vqs_settings with(const char *assignments) {
    struct vqs_settings s;
    vqs_settings_default(&s);
    char copy[512], *rest = copy;
    snprintf(copy, sizeof copy, "%s", assignments);
    for (char *name; (name = strtok_r(rest, " ", &rest));) {
        char *value = strchr(name, '=');
        *value++ = '\0';
        struct vqs_error err = {0};
        int id = vqs_setting_find(name);
        ck_assert_msg(id >= 0, "%s", name);
        ck_assert_msg(vqs_setting_parse((enum vqs_setting_id)id, value, &s, &err) == VQS_OK, "%s", err.text);
    }
    return s;
}

START_TEST(table_is_consistent) {
    for (int id = 0; id < VQS_N_SETTINGS; id++) {
        const struct vqs_setting *row = &vqs_setting_table[id];
        ck_assert_int_eq(vqs_setting_find(row->name), id);
        ck_assert_msg((vqs_setting_choice((enum vqs_setting_id)id, 0) != NULL) == (row->kind == VQS_KIND_ENUM), "%s",
                      row->name);
        ck_assert_ptr_null(vqs_setting_choice((enum vqs_setting_id)id, -1));
        ck_assert_ptr_null(vqs_setting_choice((enum vqs_setting_id)id, 1000));
        ck_assert_msg(row->offset + vqs_setting_size((enum vqs_setting_id)id) <= sizeof(struct vqs_settings), "%s",
                      row->name);
    }
    ck_assert_int_eq(vqs_setting_find("nonsense"), -1);
    /* names of choices stand in the order of the enums */
    ck_assert_str_eq(vqs_setting_choice(VQS_SETTING_data, VQS_DATA_IDX), "idx");
    ck_assert_str_eq(vqs_setting_choice(VQS_SETTING_latent, VQS_LATENT_MIXTURE), "mixture");
    ck_assert_str_eq(vqs_setting_choice(VQS_SETTING_decoder, VQS_DECODER_TIED), "tied");
    ck_assert_str_eq(vqs_setting_choice(VQS_SETTING_retraction, VQS_RETRACTION_QR_RAW), "qr_raw");
    ck_assert_str_eq(vqs_setting_choice(VQS_SETTING_codebook_init, VQS_INIT_KMEANS), "kmeans");
    ck_assert_str_eq(vqs_setting_choice(VQS_SETTING_tau_schedule, VQS_TAU_COSINE), "cosine");
    for (int i = 0; i < vqs_estimator_count(); i++) {
        ck_assert_str_eq(vqs_setting_choice(VQS_SETTING_estimator, i), vqs_estimator_get(i)->name);
        for (int p = 0; p < VQS_MAX_PARAMS && vqs_estimator_get(i)->params[p]; p++) {
            ck_assert_int_ge(vqs_setting_find(vqs_estimator_get(i)->params[p]), 0);
        }
    }
}
END_TEST

START_TEST(defaults_pass_and_survive_text) {
    struct vqs_settings s, again;
    struct vqs_error err = {0};
    enum vqs_setting_id culprit;
    vqs_settings_default(&s);
    ck_assert_int_eq(vqs_settings_check(&s, &culprit, &err), VQS_OK);
    s = with(
        "data=csv path=some/file.csv label_columns=3 D=64 N=100000000 sigma=0.1 a=-1 b=1e-07 lr=0.30000000000000004 "
        "estimator=projector decoder=tied bias=true snapshots=0,1,10 seed=18446744073709551615");
    memset(&again, 0, sizeof again);
    for (int id = 0; id < VQS_N_SETTINGS; id++) { /* print, parse, compare */
        char text[VQS_PATH_MAX];
        int length = vqs_setting_print((enum vqs_setting_id)id, &s, text, sizeof text);
        ck_assert_int_eq(length, (int)strlen(text));
        ck_assert_msg(vqs_setting_parse((enum vqs_setting_id)id, text, &again, &err) == VQS_OK, "%s", err.text);
    }
    ck_assert_mem_eq(&s, &again, sizeof s);
    char cut[4];
    ck_assert_int_eq(vqs_setting_print(VQS_SETTING_path, &s, cut, sizeof cut), 13);
    ck_assert_str_eq(cut, "som");
}
END_TEST

START_TEST(reals_print_in_the_fewest_digits) {
    static const char *const texts[] = {"0",     "0.1",  "0.25", "0.002", "1e-08", "0.30000000000000004",
                                        "1e+06", "-1.5", "0.999"};
    char text[64];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct vqs_settings s;
        vqs_settings_default(&s);
        s.a = strtod(texts[i], NULL);
        vqs_setting_print(VQS_SETTING_a, &s, text, sizeof text);
        ck_assert_str_eq(text, texts[i]);
    }
    /* whatever the file spells, one value is one text and one key */
    struct vqs_settings plain = with("beta=0.1 sigma=0"), spelt = with("beta=1.00e-1 sigma=-0.0");
    ck_assert_mem_eq(&plain, &spelt, sizeof plain);
}
END_TEST

static const struct {
    const char *name, *text;
} refused[] = {
    {"K", ""},
    {"K", "0"},
    {"K", "65537"},
    {"K", "1e3"},
    {"K", "16.0"},
    {"K", "016"},
    {"K", "+16"},
    {"K", " 16"},
    {"K", "16 "},
    {"K", "0x10"},
    {"K", "1_000"},
    {"K", "99999999999"},
    {"K", "4294967312"},
    {"K", "sixteen"},
    {"K", "-4"},
    {"beta", ""},
    {"beta", "often"},
    {"beta", "nan"},
    {"beta", "inf"},
    {"beta", "-inf"},
    {"beta", "0x1p3"},
    {"beta", "1e999"},
    {"beta", "-0.1"},
    {"beta", "0.1.2"},
    {"beta", "1e"},
    {"beta", "0.1 "},
    {"beta", "--1"},
    {"beta", "e"},
    {"beta", "1e-400"},
    {"bias", "yes"},
    {"bias", "1"},
    {"bias", "True"},
    {"estimator", ""},
    {"estimator", "st"},
    {"estimator", "ste2"},
    {"decoder", "STE"},
    {"snapshots", "1,"},
    {"snapshots", ","},
    {"snapshots", "2,1"},
    {"snapshots", "1,1"},
    {"snapshots", "-1"},
    {"snapshots", "1,x"},
    {"snapshots", "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"},
    {"seed", "-1"},
    {"seed", "1.0"},
    {"seed", "18446744073709551616"},
    {"path", "two\nlines"},
};

START_TEST(bad_values_are_refused_and_leave_nothing) {
    struct vqs_settings s, before;
    struct vqs_error err = {0};
    enum vqs_setting_id id = (enum vqs_setting_id)vqs_setting_find(refused[_i].name);
    vqs_settings_default(&s);
    before = s;
    ck_assert_msg(vqs_setting_parse(id, refused[_i].text, &s, &err) == VQS_ERR_JOB, "%s: '%s' was taken",
                  refused[_i].name, refused[_i].text);
    ck_assert_mem_eq(&s, &before, sizeof s);
    ck_assert_int_eq(strncmp(err.text, refused[_i].name, strlen(refused[_i].name)), 0);
    ck_assert_ptr_nonnull(strstr(err.text, ": must be "));
}
END_TEST

START_TEST(a_path_too_long_is_refused) {
    struct vqs_settings s;
    struct vqs_error err = {0};
    char path[VQS_PATH_MAX + 1];
    vqs_settings_default(&s);
    memset(path, 'x', sizeof path);
    path[VQS_PATH_MAX] = '\0';
    ck_assert_int_eq(vqs_setting_parse(VQS_SETTING_path, path, &s, &err), VQS_ERR_JOB);
    path[VQS_PATH_MAX - 1] = '\0';
    ck_assert_int_eq(vqs_setting_parse(VQS_SETTING_path, path, &s, NULL), VQS_OK);
}
END_TEST

static const struct {
    const char *settings;
    enum vqs_setting_id culprit;
    const char *part;
} inconsistent[] = {
    {"K=64 N=32", VQS_SETTING_K, "64 codes for N = 32"},
    {"d=9 D=8", VQS_SETTING_d, "at most D"},
    {"r=9 D=8", VQS_SETTING_r, "at most D"},
    {"data=csv", VQS_SETTING_data, "path"},
    {"data=idx", VQS_SETTING_data, "path"},
    {"data=hdf5 path=x", VQS_SETTING_data, "dataset"},
    {"data=images path=x patch=8 D=64", VQS_SETTING_D, "must be 192 with patches of 8 x 8 in 3 channels, not 64"},
    {"data=images path=x patch=64 colour=grey D=64", VQS_SETTING_D, "must be 4096"},
    {"data=audio path=x frame=200 D=64", VQS_SETTING_D, "must be 200 with frame: 200"},
    {"data=audio path=x audio_features=log_mel n_mels=20 D=64", VQS_SETTING_D, "must be 20 with n_mels: 20"},
    {"data=text path=x text_window=2 D=64", VQS_SETTING_D, "must be 512 with text_window: 2"},
    {"data=csv path=x value_scale=0", VQS_SETTING_value_scale, "a factor other than 0"},
    {"data=csv path=x center=false whiten=pca", VQS_SETTING_whiten, "needs center: true"},
    {"data=csv path=x N_eval=9 reconstructions=10", VQS_SETTING_reconstructions, "at most N_eval"},
    {"data=csv path=x D=4096 K=16384 N=16384 levels=2 reconstructions=1", VQS_SETTING_reconstructions,
     "32768 codes of 4096 values are kept too, and all values may be 67108864"},
    {"epochs=10 snapshots=1,11", VQS_SETTING_snapshots, "epoch 11"},
    {"K=64 N=32 estimator=kmeans", VQS_SETTING_K, "64 codes"},
    {"d=8 groups=3", VQS_SETTING_groups, "3 groups of equal width do not make d = 8"},
    {"d=8 groups=16 estimator=kmeans", VQS_SETTING_groups, "groups must divide d"},
    {"model=mlp orthonormal=true d=16 hidden=8", VQS_SETTING_orthonormal, "d = 16 rows of the 8 values"},
    {"model=conv D=100 d=65 conv_stride=5 conv_kernel=5 conv_layers=1 orthonormal=true", VQS_SETTING_orthonormal,
     "d = 65 rows of the 64 values"},
    {"model=conv data=text path=x text_window=1 D=256", VQS_SETTING_model, "not of data: text"},
    {"model=conv data=images path=x D=192 whiten=pca", VQS_SETTING_whiten, "use whiten: zca"},
    {"model=conv D=128", VQS_SETTING_D, "p x p or p x p x 3, not 128"},
    {"model=conv D=64 conv_channels=24", VQS_SETTING_conv_channels, "a multiple of 16, not 24"},
    {"model=conv D=64 conv_kernel=1", VQS_SETTING_conv_kernel, "windows of 1 pixels"},
    {"model=conv D=192 conv_layers=4", VQS_SETTING_conv_layers, "divides by 16, not of 8 pixels"},
    {"model=conv D=192 estimator=projector_learned", VQS_SETTING_estimator, "set model: linear"},
    {"model=mlp loss=cross_entropy", VQS_SETTING_loss, "use data: text"},
    {"model=mlp estimator=projector_learned", VQS_SETTING_estimator, "set model: linear"},
    {"model=mlp probe_epochs=1", VQS_SETTING_probe_epochs, "set model: linear"},
    {"levels=2 estimator=gumbel_st", VQS_SETTING_estimator_scope, "set estimator_scope: each"},
    {"levels=2 estimator=exact estimator_scope=each", VQS_SETTING_estimator_scope, "set estimator_scope: total"},
    {"groups=2 probe_epochs=1", VQS_SETTING_probe_epochs, "levels: 1 and groups: 1"},
    {"codebook=fsq K=10 d=3", VQS_SETTING_K, "K must be 64"},
    {"codebook=fsq fsq_levels=3 K=16 d=4 groups=2", VQS_SETTING_K, "K must be 9"},
    {"codebook=lfq K=16 d=3", VQS_SETTING_K, "K must be 8"},
    {"codebook=lfq K=16 d=512 D=512", VQS_SETTING_K, "more groups"},
    {"codebook=fsq levels=2", VQS_SETTING_levels, "levels must be 1"},
    {"codebook=fixed revive=expire", VQS_SETTING_revive, "gradient, ema or affine"},
    {"codebook=simvq revive=expire", VQS_SETTING_revive, "revive: off"},
    {"codebook=fsq revive=expire", VQS_SETTING_revive, "revive: off"},
    {"codebook=ema orthogonality=0.1", VQS_SETTING_orthogonality, "must be 0"},
    {"codebook=ema update=alternating", VQS_SETTING_update, "update: joint"},
    {"codebook=fixed update=alternating", VQS_SETTING_update, "update: joint"},
    {"codebook=fsq probe_epochs=1", VQS_SETTING_probe_epochs, "another codebook"},
    {"codebook=fsq beta_schedule=linear", VQS_SETTING_beta_schedule, "codebook: fsq"},
    {"estimator=nsvq beta_schedule=adaptive", VQS_SETTING_beta_schedule, "estimator: nsvq"},
    {"beta_schedule=replay replay_estimator=diveq", VQS_SETTING_replay_estimator, "such as ste"},
    {"beta_schedule=adaptive beta=0", VQS_SETTING_beta, "beta_min"},
    {"beta_schedule=replay beta=20", VQS_SETTING_beta, "beta_max"},
    {"beta_schedule=replay replay_estimator=kmeans", VQS_SETTING_replay_estimator, "such as ste"},
};

START_TEST(inconsistent_settings_name_the_culprit) {
    struct vqs_settings s = with(inconsistent[_i].settings);
    struct vqs_error err = {0};
    enum vqs_setting_id culprit = VQS_N_SETTINGS;
    ck_assert_int_eq(vqs_settings_check(&s, &culprit, &err), VQS_ERR_JOB);
    ck_assert_int_eq(culprit, inconsistent[_i].culprit);
    ck_assert_msg(strstr(err.text, inconsistent[_i].part) != NULL, "%s", err.text);
}
END_TEST

START_TEST(what_has_no_effect_is_not_checked_for_sense) {
    static const char *const fine[] = {"data=csv path=x r=9 D=8",
                                       "data=text path=x alphabet=occurring text_window=2 D=64",
                                       "data=images path=x patch=8 D=192 n_mels=20",
                                       "center=false whiten=pca",
                                       "model=conv D=3 d=3 conv_layers=1 conv_stride=1 conv_kernel=9",
                                       "model=conv D=3072 conv_layers=4 conv_kernel=3",
                                       "model=conv estimator=kmeans D=128",
                                       "N_eval=9 reconstructions=10",
                                       "estimator=kmeans epochs=1 snapshots=5",
                                       "K=32 N=32",
                                       "d=8 D=8 r=8",
                                       "epochs=5 snapshots=0,5",
                                       "batch=4096 N=100",
                                       "estimator=gumbel_st",
                                       "estimator=exact estimator_scope=each",
                                       "d=6 levels=16 groups=6 estimator=kmeans probe_epochs=1",
                                       "codebook=fsq beta=0 codebook_init=kmeans",
                                       "codebook=lfq K=64 d=6 entropy_weight=1 beta_schedule=cosine",
                                       "codebook=fixed entropy_weight=1 levels=2",
                                       "estimator=kmeans codebook=fsq K=10 revive=expire beta_schedule=replay"};
    enum vqs_setting_id culprit;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        struct vqs_settings s = with(fine[i]);
        struct vqs_error err = {0};
        ck_assert_msg(vqs_settings_check(&s, &culprit, &err) == VQS_OK, "%s: %s", fine[i], err.text);
    }
}
END_TEST

START_TEST(fields_set_directly_are_checked_too) {
    enum vqs_setting_id culprit;
    struct vqs_settings s = with("");
    s.beta = NAN;
    ck_assert_int_eq(vqs_settings_check(&s, &culprit, NULL), VQS_ERR_JOB);
    ck_assert_int_eq(culprit, VQS_SETTING_beta);
    s = with("");
    s.estimator = vqs_estimator_count();
    ck_assert_int_eq(vqs_settings_check(&s, &culprit, NULL), VQS_ERR_JOB);
    ck_assert_int_eq(culprit, VQS_SETTING_estimator);
    s = with("");
    memset(s.path, 'x', sizeof s.path);
    ck_assert_int_eq(vqs_settings_check(&s, &culprit, NULL), VQS_ERR_JOB);
    ck_assert_int_eq(culprit, VQS_SETTING_path);
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------------------------ */

/* Golden: a key that changes here makes every stored result of the past unfindable. If the meaning of settings changed,
 * raise VQS_SETTINGS_VERSION and take the new values; otherwise find out what changed. */
static const struct {
    const char *settings;
    uint64_t key, data_key;
} golden[] = {
    {"", 0x65f410c6044b8c20, 0x2daa0b7172676136},
    {"estimator=rotation K=64 sigma=0.3 seed=7", 0x4dcbde1c54d320f4, 0x7ac4b2070e5925d3},
    {"estimator=projector a=-1 b=1 decoder=tied snapshots=0,1,10", 0x47a995e80facfebe, 0x2daa0b7172676136},
    {"estimator=kmeans K=8", 0x952ec50f3159f8ca, 0x2daa0b7172676136},
    {"data=csv path=digits.csv.gz label_columns=1 value_scale=0.0625 D=64", 0x33dbcbe319714051, 0x76c18ef01915a114},
};

START_TEST(keys_are_pinned) {
    struct vqs_settings s = with(golden[_i].settings);
    ck_assert_msg(vqs_settings_key(&s) == golden[_i].key && vqs_settings_data_key(&s) == golden[_i].data_key,
                  "'%s' has keys 0x%016llx, 0x%016llx", golden[_i].settings, (unsigned long long)vqs_settings_key(&s),
                  (unsigned long long)vqs_settings_data_key(&s));
}
END_TEST

START_TEST(the_key_is_the_hash_of_the_documented_text) {
    static const char canonical[] = "vqsweep settings 2\nD=64\nK=8\ndata=idx\nestimator=kmeans\npath=x.gz\n"
                                    "value_scale=0.25\n";
    static const char data[] = "vqsweep data 2\nD=64\ndata=idx\npath=x.gz\nvalue_scale=0.25\n";
    struct vqs_settings s = with("data=idx path=x.gz value_scale=0.25 D=64 K=8 estimator=kmeans");
    ck_assert_uint_eq(vqs_settings_key(&s), XXH3_64bits(canonical, sizeof canonical - 1));
    ck_assert_uint_eq(vqs_settings_data_key(&s), XXH3_64bits(data, sizeof data - 1));
}
END_TEST

/* Changes one setting from `base` to `base change` and says whether the key changed. */
static bool key_changes(const char *base, const char *change) {
    char both[512];
    snprintf(both, sizeof both, "%s %s", base, change);
    struct vqs_settings a = with(base), b = with(both);
    ck_assert_int_ne(memcmp(&a, &b, sizeof a), 0);
    return vqs_settings_key(&a) != vqs_settings_key(&b);
}

START_TEST(the_key_holds_what_has_an_effect_and_nothing_else) {
    ck_assert(key_changes("", "beta=0.5"));
    ck_assert(!key_changes("estimator=kmeans", "beta=0.5"));
    ck_assert(!key_changes("estimator=kmeans", "decoder=tied"));
    ck_assert(!key_changes("estimator=kmeans", "codebook_init=normal"));
    ck_assert(key_changes("estimator=kmeans", "kmeans_restarts=3"));
    ck_assert(!key_changes("", "kmeans_restarts=3"));
    ck_assert(key_changes("codebook_init=kmeans", "kmeans_restarts=3"));
    ck_assert(!key_changes("", "a=0.5"));
    ck_assert(!key_changes("estimator=rotation", "b=0.5"));
    ck_assert(key_changes("estimator=projector", "a=0.5"));
    ck_assert(!key_changes("estimator=nsvq", "beta=0.5"));
    ck_assert(key_changes("estimator=gumbel_st", "beta=0.5"));
    ck_assert(!key_changes("", "tau_schedule=constant"));
    ck_assert(key_changes("estimator=gumbel_st", "tau_schedule=constant"));
    ck_assert(key_changes("estimator=gumbel_st", "tau_end=0.5"));
    ck_assert(!key_changes("estimator=gumbel_st tau_schedule=constant", "tau_end=0.5"));
    ck_assert(!key_changes("", "codebook_scale=2"));
    ck_assert(key_changes("codebook_init=normal", "codebook_scale=2"));
    ck_assert(!key_changes("codebook_init=normal estimator=kmeans", "codebook_scale=2"));
    ck_assert(!key_changes("", "mixture_centres=3"));
    ck_assert(key_changes("latent=mixture", "mixture_centres=3"));
    ck_assert(!key_changes("data=csv path=x latent=mixture", "mixture_centres=3"));
    ck_assert(!key_changes("", "path=x"));
    ck_assert(key_changes("data=csv path=x", "path=y"));
    ck_assert(!key_changes("data=idx path=x", "label_columns=1"));
    ck_assert(!key_changes("data=csv path=x", "sigma=3"));
    ck_assert(!key_changes("model=mlp", "decoder=tied"));
    ck_assert(!key_changes("", "hidden=3"));
    ck_assert(key_changes("model=mlp", "hidden=3"));
    ck_assert(!key_changes("model=mlp", "retraction=polar"));
    ck_assert(key_changes("model=mlp orthonormal=true", "retraction=polar"));
    ck_assert(!key_changes("model=mlp", "orthonormal_layers=all"));
    ck_assert(key_changes("model=mlp orthonormal=true", "orthonormal_layers=all"));
    ck_assert(!key_changes("model=mlp", "conv_channels=32"));
    ck_assert(key_changes("model=conv", "conv_channels=32"));
    ck_assert(!key_changes("model=conv", "hidden=3"));
    ck_assert(key_changes("model=conv", "activation=relu"));
    ck_assert(!key_changes("", "estimator_scope=each"));
    ck_assert(!key_changes("levels=2 estimator=kmeans", "estimator_scope=each"));
    ck_assert(key_changes("levels=2", "estimator_scope=each"));
    ck_assert(key_changes("groups=2", "estimator_scope=each"));
    ck_assert(key_changes("", "codebook=ema"));
    ck_assert(!key_changes("", "ema_decay=0.5"));
    ck_assert(key_changes("codebook=ema", "ema_decay=0.5"));
    ck_assert(!key_changes("codebook=fsq", "codebook_init=kmeans kmeans_restarts=3"));
    ck_assert(!key_changes("codebook=fsq", "beta=0.5"));
    ck_assert(!key_changes("", "beta_end=0.5"));
    ck_assert(key_changes("beta_schedule=cosine", "beta_end=0.5"));
    ck_assert(!key_changes("beta_schedule=adaptive", "replay_seed=1"));
    ck_assert(key_changes("beta_schedule=replay", "replay_seed=1"));
    ck_assert(!key_changes("beta_schedule=replay", "a=0.5"));
    ck_assert(key_changes("beta_schedule=replay replay_estimator=projector", "a=0.5"));
    ck_assert(!key_changes("estimator=kmeans", "codebook=ema revive=expire entropy_weight=1"));
    ck_assert(key_changes("", "seed=2"));
    ck_assert(key_changes("", "snapshots=0"));
}
END_TEST

START_TEST(the_data_key_holds_the_data_alone) {
    struct vqs_settings a = with("sigma=0.3"), b = with("sigma=0.3 estimator=rotation K=4 beta=1 d=1"),
                        c = with("sigma=0.3 seed=2"), d = with("sigma=0.3 N_eval=8");
    ck_assert_uint_eq(vqs_settings_data_key(&a), vqs_settings_data_key(&b));
    ck_assert_uint_ne(vqs_settings_data_key(&a), vqs_settings_data_key(&c));
    ck_assert_uint_ne(vqs_settings_data_key(&a), vqs_settings_data_key(&d));
    ck_assert_uint_ne(vqs_settings_data_key(&a), vqs_settings_key(&a));
}
END_TEST

START_TEST(the_keyer_agrees_with_the_key) {
    static const char *const sequence[] = {"",
                                           "K=4",
                                           "K=4 seed=3",
                                           "estimator=kmeans",
                                           "estimator=projector a=2",
                                           "estimator=projector a=3",
                                           "",
                                           "data=csv path=a",
                                           "data=csv path=ab",
                                           "beta=0"};
    struct vqs_keyer keyer;
    vqs_keyer_init(&keyer);
    for (size_t i = 0; i < sizeof sequence / sizeof *sequence; i++) {
        struct vqs_settings s = with(sequence[i]);
        ck_assert_uint_eq(vqs_keyer_key(&keyer, &s), vqs_settings_key(&s));
    }
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void) {
    Suite *suite = suite_create("settings");
    TCase *values = tcase_create("values"), *keys = tcase_create("keys");
    tcase_add_test(values, table_is_consistent);
    tcase_add_test(values, defaults_pass_and_survive_text);
    tcase_add_test(values, reals_print_in_the_fewest_digits);
    tcase_add_loop_test(values, bad_values_are_refused_and_leave_nothing, 0, ROWS(refused));
    tcase_add_test(values, a_path_too_long_is_refused);
    tcase_add_loop_test(values, inconsistent_settings_name_the_culprit, 0, ROWS(inconsistent));
    tcase_add_test(values, what_has_no_effect_is_not_checked_for_sense);
    tcase_add_test(values, fields_set_directly_are_checked_too);
    tcase_add_loop_test(keys, keys_are_pinned, 0, ROWS(golden));
    tcase_add_test(keys, the_key_is_the_hash_of_the_documented_text);
    tcase_add_test(keys, the_key_holds_what_has_an_effect_and_nothing_else);
    tcase_add_test(keys, the_data_key_holds_the_data_alone);
    tcase_add_test(keys, the_keyer_agrees_with_the_key);
    suite_add_tcase(suite, values);
    suite_add_tcase(suite, keys);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
