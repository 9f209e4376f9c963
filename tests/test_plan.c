/* test_plan.c - from a job's text to numbered trials: expansion, identity, and every kind of bad job. */
#include "vqsweep/plan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *jobs_dir; /* where the shipped jobs are */

static enum vqs_status plan_text(const char *text, struct vqs_plan **plan, struct vqs_error *err) {
    return vqs_plan_create(text, strlen(text), "job.yaml", NULL, plan, err);
}

static struct vqs_plan *plan_of(const char *text) {
    struct vqs_plan *plan;
    struct vqs_error err = {0};
    ck_assert_msg(plan_text(text, &plan, &err) == VQS_OK, "%s", err.text);
    return plan;
}

/* The plan as "K=4 seed=1; K=4 seed=2; ..." of the named settings. */
static const char *listing(const struct vqs_plan *plan, const char *names) {
    static char text[4096];
    size_t length = 0;
    text[0] = '\0';
    for (size_t t = 0; t < vqs_plan_n_trials(plan); t++) {
        struct vqs_settings s;
        vqs_plan_trial_settings(plan, t, &s);
        char copy[128], *rest = copy, value[VQS_PATH_MAX];
        snprintf(copy, sizeof copy, "%s", names);
        length += (size_t)snprintf(text + length, sizeof text - length, "%s", t ? "; " : "");
        for (char *name, *space = ""; (name = strtok_r(rest, " ", &rest)); space = " ") {
            vqs_setting_print((enum vqs_setting_id)vqs_setting_find(name), &s, value, sizeof value);
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", space, value);
        }
        ck_assert_uint_lt(length, sizeof text);
    }
    return text;
}

/* ---- bad jobs -------------------------------------------------------------------------------------------------- */

#define HEAD "name: t\n" /* line 1 */

static const struct {
    const char *text;
    int line;
    const char *part;
} bad[] = {
    /* the file as a whole */
    {"", 1, "empty"},
    {"# nothing but a comment\n", 1, "empty"},
    {"just words", 1, "not a mapping"},
    {"[1, 2]", 1, "not a mapping"},
    {"{}", 1, "empty"},
    {HEAD "grid: [1, 2\n", 3, "not valid YAML"},
    {HEAD "grid:\n\tK: [1]\n", 3, "not valid YAML"},
    {HEAD "\n\ngrid: \xff\xfe\n", 4, "not valid YAML"},
    {HEAD "grid: *nowhere\n", 2, "alias"},
    {HEAD "---\nname: u\n", 3, "second document"},
    {HEAD "---\n{", 4, "not valid YAML"},
    {"grid: {K: [4]}\n", 1, "name: is missing"},
    /* names and keys */
    {"name: a b\n", 1, "is no name"},
    {"name: ''\n", 1, "is no name"},
    {"name: [a]\n", 1, "is no name"},
    {"name: \"a\\0b\"\n", 1, "is no name"},
    {"name: ../up\n", 1, "is no name"},
    {HEAD "title: {a: b}\n", 2, "title: expected a text"},
    {HEAD "name: u\n", 2, "name: given twice, first at line 1"},
    {HEAD "grids: {K: [4]}\n", 2, "did you mean 'grid'?"},
    {HEAD "frobnicate: 1\n", 2, "unknown key; expected one of name, title, fixed, seeds"},
    {HEAD "[a, b]: 1\n", 2, "expected a name"},
    {HEAD "K: 16\n", 2, "under 'fixed'"},
    {HEAD "fixed: 3\n", 2, "fixed: is not a mapping"},
    {HEAD "fixed: {}\n", 2, "fixed: is empty"},
    {HEAD "fixed:\n  D: 8\n  sigmas: 1\n", 4, "did you mean 'sigma'?"},
    {HEAD "fixed:\n  k: 8\n", 3, "did you mean 'K'?"},
    {HEAD "fixed:\n  temperature: 8\n", 3, "temperature: unknown setting; 'vqsweep settings'"},
    {HEAD "fixed:\n  D: 8\n  K: 4\n  D: 9\n", 5, "D: given twice, first at line 3"},
    {HEAD "fixed: {[K]: 4}\n", 2, "expected the name of a setting"},
    {HEAD "fixed: {<<: {K: 4}}\n", 2, "<<: unknown setting"},
    /* values */
    {HEAD "fixed:\n  K: many\n", 3, "K: must be an integer from 1 to 65536, not 'many'"},
    {HEAD "fixed:\n  K: 1e3\n", 3, "not '1e3'"},
    {HEAD "fixed:\n  K: 0\n", 3, "from 1 to 65536"},
    {HEAD "fixed:\n  K:\n", 3, "not ''"},
    {HEAD "fixed: {K: [4, 8]}\n", 2, "not a list; an axis is"},
    {HEAD "fixed: {K: {a: 1}}\n", 2, "not a mapping"},
    {HEAD "fixed:\n  beta: .nan\n", 3, "beta: must be a number from 0"},
    {HEAD "fixed:\n  lr: -1\n", 3, "lr: must be"},
    {HEAD "fixed:\n  bias: maybe\n", 3, "true or false"},
    {HEAD "fixed:\n  path: \"a\\0b\"\n", 3, "not a text with a NUL"},
    {HEAD "fixed:\n  path: \"a\\nb\"\n", 3, "without control characters"},
    {HEAD "fixed:\n  snapshots: [0, ten]\n", 3, "ascending order"},
    {HEAD "fixed:\n  snapshots: [5, 1]\n", 3, "ascending order"},
    {HEAD "fixed:\n  snapshots: [[1]]\n", 3, "list of epochs"},
    {HEAD "fixed:\n  snapshots: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]\n", 3, "at most 15"},
    {HEAD "grid:\n  estimator:\n    - ste\n    - rotaton\n", 5, "one of ste, rotation"},
    /* axes */
    {HEAD "grid: {}\n", 2, "grid: is empty"},
    {HEAD "grid: [K]\n", 2, "grid: is not a mapping"},
    {HEAD "grid:\n  K: []\n", 3, "K: is empty"},
    {HEAD "grid:\n  K: 16\n", 3, "one value belongs under 'fixed'"},
    {HEAD "grid:\n  K: [[4], [8]]\n", 3, "K: expected one value"},
    {HEAD "grid:\n  K:\n  - 4\n  - 8\n  - 4\n", 6, "value 3 (K=4) gives the same trials as value 1 at line 4"},
    {HEAD "grid: {beta: [0.1, 0.10]}\n", 2, "same trials"},
    {HEAD "fixed: {K: 4}\ngrid: {K: [4, 8]}\n", 3, "K: also set at line 2"},
    {HEAD "zip: {K: [4, 8]}\ngrid: {K: [4, 8]}\n", 3, "K: also set at line 2"},
    {HEAD "seeds: 1..3\ngrid: {seed: [4, 8]}\n", 2, "seed: also set at line 3"},
    {HEAD "seeds: 1..3\nfixed: {seed: 4}\n", 2, "seed: also set at line 3"},
    {HEAD "seeds: 1..3\nfixed: {seed: 4}\nstudies: {a: {}}\n", 2, "seed: also set at line 3"},
    {HEAD "zip:\n  K: [4, 8]\n  lr: [1, 2, 3]\n", 4, "lr: 3 values, but K has 2"},
    {HEAD "zip:\n  K: [4, 8, 4]\n  lr: [1, 2, 1]\n", 3, "value 3 (K=4 lr=1)"},
    {HEAD "zip: {}\n", 2, "zip: is empty"},
    {HEAD "list: []\n", 2, "list: is empty"},
    {HEAD "list: {K: 4}\n", 2, "list: is not a list"},
    {HEAD "list: [4]\n", 2, "list: is not a mapping"},
    {HEAD "list:\n- {K: 4}\n- {}\n", 4, "list: is empty"},
    {HEAD "list:\n- {K: 4, K: 5}\n", 3, "K: given twice"},
    {HEAD "list:\n- {K: 4, lr: 1}\n- {K: 8}\n- {lr: 1, K: 4}\n", 5,
     "value 3 (lr=1 K=4) gives the same trials as value 1 at line 3"},
    {HEAD "list:\n- {lr: 1}\n- {K: 16}\n- {beta: 0.25}\n", 5, "same trials as value 2"}, /* both are the defaults */
    /* exclusions */
    {HEAD "grid: {K: [4]}\nexclude: {K: 4}\n", 3, "exclude: is not a list"},
    {HEAD "grid: {K: [4]}\nexclude: [{}]\n", 3, "exclude: is empty"},
    {HEAD "grid: {K: [4]}\nexclude: [{K: []}]\n", 3, "K: is empty"},
    {HEAD "grid: {K: [4]}\nexclude: [{K: {}}]\n", 3, "K: expected one value"},
    {HEAD "grid: {K: [4, 8]}\nexclude:\n- {K: 4}\n- {K: 5}\n", 5, "no point of the study matches"},
    {HEAD "grid: {K: [4, 8]}\nexclude: [{K: [4, 8]}]\n", 1, "leaves no trial"},
    /* seeds */
    {HEAD "seeds: 3..1\n", 2, "seeds: 3..1 is empty"},
    {HEAD "seeds: one\n", 2, "seeds are 1..100"},
    {HEAD "seeds: 1..\n", 2, "seeds are 1..100"},
    {HEAD "seeds: ..4\n", 2, "seeds are 1..100"},
    {HEAD "seeds: 1...4\n", 2, "seeds are 1..100"},
    {HEAD "seeds: -1..4\n", 2, "seeds are 1..100"},
    {HEAD "seeds: []\n", 2, "seeds: is empty"},
    {HEAD "seeds: {a: 1}\n", 2, "seeds: is not a list"},
    {HEAD "seeds: [1, 2, 1]\n", 2, "value 3 (seed=1)"},
    {HEAD "seeds: 18446744073709551616\n", 2, "seed: must be an integer"},
    /* studies */
    {HEAD "studies: {}\n", 2, "studies: is empty"},
    {HEAD "studies: [a]\n", 2, "studies: is not a mapping"},
    {HEAD "studies:\n  a:\n", 3, "a: is not a mapping"},
    {HEAD "studies:\n  a: {}\n  a: {}\n", 4, "two studies of this name, the first at line 3"},
    {HEAD "studies:\n  a b: {}\n", 3, "is no name"},
    {HEAD "studies:\n  a: {}\ngrid: {K: [4]}\n", 4, "grid: cannot stand beside 'studies'"},
    {HEAD "studies:\n  a:\n    name: b\n", 4, "unknown key; expected one of fixed, seeds, grid"},
    {HEAD "studies:\n  a:\n    fixed: {K: 4}\n    list: [{K: 4}, {K: 8}]\n", 5, "K: also set at line 4"},
    /* sense */
    {HEAD "fixed:\n  N: 32\ngrid:\n  K:\n  - 16\n  - 64\n", 7, "K: 64 codes for N = 32"},
    {HEAD "fixed:\n  K: 64\n  N: 32\n", 3, "K: 64 codes for N = 32"},
    {HEAD "fixed:\n  N: 8\n", 1, "K: 16 codes for N = 8"},
    {HEAD "fixed:\n  D: 4\nlist:\n- {d: 2}\n- lr: 1\n  d: 8\n", 7, "d: the latent dimension is 8"},
    {HEAD "zip:\n  D: [4, 8]\n  r: [2, 9]\n", 4, "r: a subspace of dimension 9"},
    {HEAD "fixed:\n  data: csv\n", 3, "path: FILE"},
    {HEAD "fixed:\n  epochs: 5\n  snapshots: [0, 6]\n", 4, "epoch 6 is past the last one"},
/* contrasts */
#define TWO  "grid: {estimator: [ste, rotation], K: [4, 8]}\ncontrasts:\n" /* lines 2 and 3 */
#define GOOD "name: a, metric: entropy_train, axis: estimator, values: [ste, rotation]"
    {HEAD TWO "- alive\n", 4, "contrasts: is not a mapping"},
    {HEAD TWO, 3, "contrasts: is not a list"},
    {HEAD TWO "- {}\n", 4, "contrasts: is empty"},
    {HEAD TWO "- {" GOOD ", wher: {K: 4}}\n", 4, "wher: not a key of a contrast"},
    {HEAD TWO "- {" GOOD ", name: b}\n", 4, "name: given twice"},
    {HEAD TWO "- {" GOOD "}\n- {" GOOD "}\n", 5, "a: two contrasts of this name, the first at line 4"},
    {HEAD TWO "- {name: a, axis: estimator, values: [ste, rotation]}\n", 4, "metric: is missing"},
    {HEAD TWO "- {name: a b, metric: entropy_train, axis: K, values: [4, 8]}\n", 4, "is no name"},
    {HEAD TWO "- name: a\n  metric: entropy_trian\n  axis: K\n  values: [4, 8]\n", 5, "did you mean 'entropy_train'?"},
    {HEAD TWO "- {name: a, metric: loss, axis: K, values: [4, 8]}\n", 4, "'vqsweep metrics'"},
    {HEAD TWO "- {name: a, metric: entropy_train, axis: k, values: [4, 8]}\n", 4, "axis: 'k' is no setting"},
    {HEAD TWO "- {name: a, metric: entropy_train, axis: seed, values: [4, 8]}\n", 4, "pairs are made by seed"},
    {HEAD TWO "- {name: a, metric: entropy_train, axis: K, values: 4}\n", 4, "values: is not a list"},
    {HEAD TWO "- {name: a, metric: entropy_train, axis: K, values: [4]}\n", 4,
     "values: 1 values; a contrast is of two"},
    {HEAD TWO "- {name: a, metric: entropy_train, axis: K, values: [4, 4]}\n", 4, "values: both are 4"},
    {HEAD TWO "- {name: a, metric: entropy_train, axis: K, values: [4, 16]}\n", 4, "K: study t has no trial of 16"},
    {HEAD TWO "- {name: a, metric: entropy_train, axis: K, values: [4, many]}\n", 4, "K: must be an integer"},
    {HEAD TWO "- {" GOOD ", where: {K: 16}}\n", 4, "K: study t has no trial of 16"},
    {HEAD TWO "- {" GOOD ", where: {D: 64}}\n", 4, "D: study t has no trial of 64"},
    {HEAD TWO "- {" GOOD ", where: [K]}\n", 4, "where: is not a mapping"},
    {HEAD TWO "- {" GOOD ", where: {estimator: ste}}\n", 4, "estimator: given twice"},
    {HEAD TWO "- {" GOOD ", where: {K: 4}, each: [K]}\n", 4, "each: K is given twice"},
    {HEAD TWO "- {" GOOD ", each: K}\n", 4, "each: is not a list"},
    {HEAD TWO "- {" GOOD ", effect: large}\n", 4, "effect: must be a number over 0, in the unit of the metric"},
    {HEAD TWO "- {" GOOD ", effect: -1}\n", 4, "effect: must be a number over 0"},
    {HEAD TWO "- {" GOOD ", effect: [1]}\n", 4, "effect: must be a number over 0"},
    {HEAD TWO "- {" GOOD ", study: u}\n", 4, "study: the job has no study 'u'"},
    {HEAD "studies: {a: {}, b: {}}\ncontrasts:\n- {" GOOD "}\n", 4, "study: is missing; the job has 2 studies"},
    {HEAD "studies:\n  a:\n    contrasts: []\n", 4, "unknown key"},
    /* size */
    {HEAD "seeds: 1..1000000000\n", 1, "t: asks for 1e+09 trials (seed 1000000000)"},
    {HEAD "seeds: 0..18446744073709551615\n", 1, "trials"},
    {HEAD "studies:\n  a: {seeds: 1..6000000}\n  b: {seeds: 1..6000000}\n", 4,
     "asks for 6e+06 trials (seed 6000000) and the studies above it for 6000000; a plan holds at most 10000000"},
};

START_TEST(a_bad_job_is_one_clear_line) {
    struct vqs_plan *plan = (struct vqs_plan *)&plan;
    struct vqs_error err = {0};
    char where[32];
    snprintf(where, sizeof where, "job.yaml:%d: ", bad[_i].line);
    ck_assert_msg(plan_text(bad[_i].text, &plan, &err) == VQS_ERR_JOB, "taken: %s", bad[_i].text);
    ck_assert_ptr_null(plan);
    ck_assert_msg(!strncmp(err.text, where, strlen(where)), "expected %s in '%s' for\n%s", where, err.text,
                  bad[_i].text);
    ck_assert_msg(strstr(err.text, bad[_i].part) != NULL, "expected '%s' in '%s'", bad[_i].part, err.text);
    ck_assert_ptr_null(strchr(err.text, '\n'));
}
END_TEST

START_TEST(a_thousand_million_trials_are_refused_at_once) {
    static const char text[] =
        HEAD "seeds: 1..1000\n"
             "grid:\n"
             "  K: [1,2,3,4,5,6,7,8,9,10]\n  r: [1,2,3,4,5,6,7,8,9,10]\n  d: [1,2,3,4,5,6,7,8,9,10]\n"
             "  sigma: [1,2,3,4,5,6,7,8,9,10]\n  beta: [1,2,3,4,5,6,7,8,9,10]\n"
             "  lr: [1,2,3,4,5,6,7,8,9,10]\n";
    struct vqs_plan *plan;
    struct vqs_error err = {0};
    double start = vqs_clock_seconds();
    ck_assert_int_eq(plan_text(text, &plan, &err), VQS_ERR_JOB);
    ck_assert_msg(strstr(err.text, "1e+09 trials (K 10 x r 10 x d 10 x sigma 10 x beta 10 x lr 10 x seed 1000)") !=
                      NULL,
                  "%s", err.text);
    ck_assert_double_lt(vqs_clock_seconds() - start, 0.1);
}
END_TEST

START_TEST(aliases_work_and_cannot_multiply) {
    struct vqs_plan *plan = plan_of("name: t\nstudies:\n"
                                    "  a: {grid: &g {K: [4, 8]}, fixed: {decoder: tied}}\n"
                                    "  b: {grid: *g}\n");
    ck_assert_str_eq(listing(plan, "K decoder"), "4 tied; 8 tied; 4 free; 8 free");
    vqs_plan_destroy(plan);
    /* 2000 exclusions, each the same list of 2000 values */
    struct vqs_bytes text = {0};
    char item[64];
    struct vqs_error err = {0};
    vqs_bytes_append(&text, "name: t\nexclude:\n- &p {K: [1", 28, NULL);
    for (int i = 2; i <= 2000; i++) {
        int n = snprintf(item, sizeof item, ",%d", i);
        vqs_bytes_append(&text, item, (size_t)n, NULL);
    }
    vqs_bytes_append(&text, "]}\n", 3, NULL);
    for (int i = 1; i < 2000; i++) {
        vqs_bytes_append(&text, "- *p\n", 5, NULL);
    }
    ck_assert_int_eq(vqs_plan_create((char *)text.data, text.size, "job.yaml", NULL, &plan, &err), VQS_ERR_JOB);
    ck_assert_msg(strstr(err.text, "more than 1000000 values") != NULL, "%s", err.text);
    vqs_bytes_destroy(&text);
    /* a list that holds itself */
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(plan_text("name: t\ngrid: {K: &k [4, *k]}\n", &plan, &err), VQS_ERR_JOB);
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(plan_text("name: t\nfixed: {snapshots: &s [1, *s]}\n", &plan, &err), VQS_ERR_JOB);
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(plan_text("&r\nname: t\nstudies: *r\n", &plan, &err), VQS_ERR_JOB);
}
END_TEST

START_TEST(a_long_file_name_keeps_line_and_reason) {
    char file[1000];
    memset(file, 'd', sizeof file);
    memcpy(file + sizeof file - 10, "/job.yaml", 10);
    struct vqs_plan *plan;
    struct vqs_error err = {0};
    ck_assert_int_eq(vqs_plan_create("name: t\nK: 4\n", 13, file, NULL, &plan, &err), VQS_ERR_JOB);
    ck_assert_ptr_nonnull(strstr(err.text, "/job.yaml:2: K: a setting cannot stand here"));
}
END_TEST

/* ---- expansion ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text, *names, *trials;
} expansion[] = {
    {HEAD, "K seed", "16 1"},
    {HEAD "grid: {K: [4, 8], lr: [1, 2]}", "K lr", "4 1; 4 2; 8 1; 8 2"},
    {HEAD "grid: {lr: [1, 2], K: [4, 8]}", "K lr", "4 1; 8 1; 4 2; 8 2"},
    {HEAD "seeds: 5..7", "seed", "5; 6; 7"},
    {HEAD "seeds: 9", "seed", "9"},
    {HEAD "seeds: [9, 3, 18446744073709551615]", "seed", "9; 3; 18446744073709551615"},
    {HEAD "grid: {K: [4, 8]}\nseeds: 1..2", "K seed", "4 1; 4 2; 8 1; 8 2"},
    {HEAD "seeds: 1..2\ngrid: {K: [4, 8]}", "K seed", "4 1; 4 2; 8 1; 8 2"}, /* wherever it stands */
    {HEAD "grid: {seed: [4, 8]}", "seed", "4; 8"},
    {HEAD "zip: {lr: [1, 2], batch: [8, 16]}", "lr batch", "1 8; 2 16"},
    {HEAD "list:\n- {estimator: ste}\n- {estimator: projector, a: -1}\n", "estimator a", "ste 1; projector -1"},
    {HEAD "grid: {K: [4, 8]}\nzip: {lr: [1, 2], beta: [3, 4]}\nlist: [{D: 16}, {D: 32}]", "D lr beta K",
     "16 1 3 4; 16 1 3 8; 16 2 4 4; 16 2 4 8; 32 1 3 4; 32 1 3 8; 32 2 4 4; 32 2 4 8"},
    {HEAD "grid: {snapshots: [[0, 1], [], 3]}", "snapshots", "0,1; ; 3"},
    {HEAD "fixed: {snapshots: '0,4', bias: true, path: ünï}", "snapshots bias path", "0,4 true ünï"},
    {HEAD "grid: {K: [4, 8], d: [1, 2]}\nexclude: [{K: 4, d: 1}]", "K d", "4 2; 8 1; 8 2"},
    {HEAD "grid: {K: [4, 8], d: [1, 2]}\nexclude: [{K: 4}, {d: [2, 3]}]", "K d", "8 1"},
    {HEAD "grid: {K: [4, 8]}\nseeds: 1..3\nexclude: [{K: 8, seed: [2, 3]}]", "K seed", "4 1; 4 2; 4 3; 8 1"},
    {HEAD "grid: {snapshots: [[0, 1], [2]]}\nexclude: [{snapshots: [0, 1]}]", "snapshots", "2"},
    {HEAD "grid: {beta: [0.5, 0.25]}\nexclude: [{beta: 5.0e-1, K: 16}]", "beta", "0.25"}, /* a default matches too */
    {HEAD "fixed: {K: 4, D: 8}\nstudies:\n  a: {}\n  b: {fixed: {K: 5}}\n  c: {grid: {K: [6, 7]}}", "K D",
     "4 8; 5 8; 6 8; 7 8"},
    {HEAD "seeds: 1..2\nstudies:\n  a: {}\n  b: {seeds: 2..3}\n  c: {seeds: [9]}", "seed", "1; 2; 3; 9"},
    {HEAD "grid: {estimator: [ste, kmeans], beta: [0.5, 1]}", "estimator beta", "ste 0.5; ste 1; kmeans 0.5"},
};

START_TEST(the_expansion_is_the_documented_one) {
    struct vqs_plan *plan = plan_of(expansion[_i].text);
    ck_assert_str_eq(listing(plan, expansion[_i].names), expansion[_i].trials);
    for (size_t t = 0; t < vqs_plan_n_trials(plan); t++) { /* the key is that of the settings handed out */
        struct vqs_settings s;
        vqs_plan_trial_settings(plan, t, &s);
        ck_assert_uint_eq(vqs_plan_trial_key(plan, t), vqs_settings_key(&s));
    }
    vqs_plan_destroy(plan);
}
END_TEST

START_TEST(studies_share_trials) {
    struct vqs_plan *plan = plan_of("name: t\n"
                                    "title: three studies\n"
                                    "seeds: 1..2\n"
                                    "studies:\n"
                                    "  sizes: {grid: {K: [8, 16]}}\n"
                                    "  noise: {grid: {sigma: [0.1, 0.3]}}\n"
                                    "  again: {list: [{K: 16, sigma: 0.3}]}\n");
    ck_assert_str_eq(vqs_plan_name(plan), "t");
    ck_assert_str_eq(vqs_plan_title(plan), "three studies");
    ck_assert_str_eq(listing(plan, "K sigma seed"), "8 0.1 1; 8 0.1 2; 16 0.1 1; 16 0.1 2; 16 0.3 1; 16 0.3 2");
    static const bool in_sizes[] = {1, 1, 1, 1, 0, 0}, in_noise[] = {0, 0, 1, 1, 1, 1}, in_again[] = {0, 0, 0, 0, 1, 1};
    for (size_t t = 0; t < 6; t++) {
        ck_assert_int_eq(vqs_plan_in_study(plan, t, 0), in_sizes[t]);
        ck_assert_int_eq(vqs_plan_in_study(plan, t, 1), in_noise[t]);
        ck_assert_int_eq(vqs_plan_in_study(plan, t, 2), in_again[t]);
        ck_assert_int_eq(vqs_plan_trial_line(plan, t), t < 4 ? 5 : 6);
    }
    ck_assert_int_eq(vqs_plan_n_studies(plan), 3);
    ck_assert_str_eq(vqs_plan_study_name(plan, 1), "noise");
    ck_assert_uint_eq(vqs_plan_study_size(plan, 0), 4);
    ck_assert_uint_eq(vqs_plan_study_size(plan, 1), 4);
    ck_assert_uint_eq(vqs_plan_study_size(plan, 2), 2);
    vqs_plan_destroy(plan);
}
END_TEST

START_TEST(all_of_64_studies_are_told_apart_and_65_refused) {
    char text[4096];
    struct vqs_plan *plan;
    struct vqs_error err = {0};
    for (int n = 64; n <= 65; n++) {
        size_t length = (size_t)snprintf(text, sizeof text, "name: t\nstudies:\n");
        for (int s = 0; s < n; s++) {
            length += (size_t)snprintf(text + length, sizeof text - length, "  s%d: {fixed: {K: %d}}\n", s, s / 2 + 1);
        }
        ck_assert_int_eq(plan_text(text, &plan, &err), n == 64 ? VQS_OK : VQS_ERR_JOB);
        if (n == 64) {
            ck_assert_uint_eq(vqs_plan_n_trials(plan), 32);
            ck_assert(vqs_plan_in_study(plan, 31, 63) && vqs_plan_in_study(plan, 31, 62));
            ck_assert(!vqs_plan_in_study(plan, 31, 61) && !vqs_plan_in_study(plan, 30, 63));
            vqs_plan_destroy(plan);
        }
    }
    ck_assert_msg(strstr(err.text, "job.yaml:3: studies: 65 studies; a job holds at most 64") != NULL, "%s", err.text);
}
END_TEST

START_TEST(points_that_differ_without_effect_are_merged_and_counted) {
    struct vqs_plan *plan =
        plan_of(HEAD "grid: {estimator: [ste, kmeans], decoder: [tied, free], beta: [0.1, 0.2, 0.3]}\n"
                     "seeds: 1..10\n");
    ck_assert_uint_eq(vqs_plan_n_trials(plan), 70);
    ck_assert_uint_eq(vqs_plan_study_size(plan, 0), 70);
    ck_assert_uint_eq(vqs_plan_study_merged(plan, 0), 50);
    vqs_plan_destroy(plan);
}
END_TEST

START_TEST(axes_are_told_to_people) {
    struct vqs_plan *plan = plan_of(HEAD "grid: {K: [4, 8], snapshots: [[0, 1], []]}\n"
                                         "zip: {lr: [0.1, 0.2], batch: [8, 16]}\n"
                                         "list: [{estimator: ste}, {estimator: projector, a: 0.5}]\n"
                                         "seeds: 1..30\n");
    static const char *const axes[] = {"list: estimator=ste, estimator=projector a=0.5", "lr, batch: 0.1 8, 0.2 16",
                                       "K: 4, 8", "snapshots: 0,1, ", "seed: 1..30"};
    for (int i = 0; i < 5; i++) {
        ck_assert_str_eq(vqs_plan_study_axis(plan, 0, i), axes[i]);
    }
    ck_assert_ptr_null(vqs_plan_study_axis(plan, 0, 5));
    vqs_plan_destroy(plan);

    char text[4096];
    size_t length = (size_t)snprintf(text, sizeof text, HEAD "grid: {K: [1");
    for (int i = 2; i <= 200; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, ", %d", i);
    }
    snprintf(text + length, sizeof text - length, "]}\n");
    plan = plan_of(text);
    const char *axis = vqs_plan_study_axis(plan, 0, 0);
    ck_assert_uint_gt(strlen(axis), 200);
    ck_assert_str_eq(axis + strlen(axis) - 18, ", ... (200 values)");
    vqs_plan_destroy(plan);
}
END_TEST

START_TEST(contrasts_are_told_and_part_of_the_plans_key) {
#define STUDIES                                                                                                        \
    "name: t\nseeds: 1..2\nstudies: {a: {grid: {K: [4, 8], estimator: [rotation, ste]}}, b: {list: [{K: 4}, {lr: "     \
    "1}]}}\n"
    struct vqs_plan *bare = plan_of(STUDIES);
    struct vqs_plan *plan =
        plan_of(STUDIES "contrasts:\n"
                        "- {name: alive, study: a, metric: dead_codes_train, axis: estimator,\n"
                        "   values: [ste, rotation], where: {K: 8, D: 128}, each: [decoder, beta], effect: 2.5}\n"
                        "- {study: b, name: b, metric: mse_eval, axis: lr, values: [0.002, 1.0]}\n");
    static const char lines[] =
        "alive: dead_codes_train in a, estimator rotation - ste, K=8, D=128, each decoder, beta, effect 2.5\n"
        "b: mse_eval in b, lr 1 - 0.002\n";
    size_t size;
    const char *text = vqs_plan_contrasts(plan, &size);
    ck_assert_uint_eq(size, strlen(lines));
    ck_assert_msg(!memcmp(text, lines, size), "%.*s", (int)size, text);
    ck_assert_uint_ne(vqs_plan_key(plan), vqs_plan_key(bare));
    ck_assert_uint_eq(vqs_plan_trial_key(plan, 3), vqs_plan_trial_key(bare, 3));
    vqs_plan_contrasts(bare, &size);
    ck_assert_uint_eq(size, 0);
    vqs_plan_destroy(bare);
    vqs_plan_destroy(plan);
}
END_TEST

START_TEST(the_command_line_can_replace_seeds) {
    static const char text[] = "name: t\nseeds: 1..3\nstudies:\n  a: {exclude: [{seed: 2}]}\n  b: {seeds: [7]}\n";
    struct vqs_plan *plan;
    struct vqs_error err = {0};
    struct vqs_plan_overrides overrides = {"4..5"};
    ck_assert_int_eq(vqs_plan_create(text, sizeof text - 1, "job.yaml", &overrides, &plan, &err), VQS_OK);
    ck_assert_str_eq(listing(plan, "seed"), "4; 5");
    vqs_plan_destroy(plan);
    overrides.seeds = NULL;
    ck_assert_int_eq(vqs_plan_create(text, sizeof text - 1, "job.yaml", &overrides, &plan, &err), VQS_OK);
    ck_assert_str_eq(listing(plan, "seed"), "1; 3; 7");
    vqs_plan_destroy(plan);

    static const char *const wrong[] = {"", "x", "5..4", "1..2..3", "1,2", "-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        overrides.seeds = wrong[i];
        memset(&err, 0, sizeof err);
        ck_assert_int_eq(vqs_plan_create(text, sizeof text - 1, "job.yaml", &overrides, &plan, &err), VQS_ERR_USAGE);
        ck_assert_msg(!strncmp(err.text, "--seeds: ", 9), "%s", err.text);
    }
    static const char axis[] = "name: t\ngrid: {seed: [1, 2]}\n";
    overrides.seeds = "1..2";
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(vqs_plan_create(axis, sizeof axis - 1, "job.yaml", &overrides, &plan, &err), VQS_ERR_USAGE);
    ck_assert_msg(strstr(err.text, "--seeds: seed: also set at line 2") != NULL, "%s", err.text);
}
END_TEST

/* ---- identity -------------------------------------------------------------------------------------------------- */

START_TEST(a_trial_keeps_its_key_wherever_it_is_asked_for) {
    struct vqs_plan *a = plan_of(HEAD "fixed: {D: 64, K: 32, estimator: rotation, a: 0.7, lr: 0.01, seed: 3}\n");
    struct vqs_plan *b =
        plan_of("name: other\nseeds: 3\nstudies:\n  s:\n    list: [{lr: 1.0e-2, estimator: rotation}]\n"
                "    zip: {K: [32], D: [64]}\n    fixed: {mixture_centres: 5}\n");
    ck_assert_uint_eq(vqs_plan_trial_key(a, 0), vqs_plan_trial_key(b, 0));
    ck_assert_uint_eq(vqs_plan_key(a), vqs_plan_key(b));
    vqs_plan_destroy(a);
    vqs_plan_destroy(b);
}
END_TEST

START_TEST(the_plan_key_sees_order_trials_and_memberships) {
    static const char *const different[] = {
        HEAD "grid: {K: [4, 8]}",
        HEAD "grid: {K: [8, 4]}",
        HEAD "grid: {K: [4, 9]}",
        HEAD "grid: {K: [4, 8, 9]}",
        HEAD "studies: {a: {grid: {K: [4, 8]}}, b: {fixed: {K: 8}}}",
        HEAD "studies: {a: {grid: {K: [4, 8]}}, b: {fixed: {K: 4}}}",
    };
    uint64_t keys[6];
    for (int i = 0; i < 6; i++) {
        struct vqs_plan *plan = plan_of(different[i]);
        keys[i] = vqs_plan_key(plan);
        vqs_plan_destroy(plan);
        for (int j = 0; j < i; j++) {
            ck_assert_uint_ne(keys[i], keys[j]);
        }
    }
}
END_TEST

/* ---- size ------------------------------------------------------------------------------------------------------ */

START_TEST(a_hundred_thousand_trials_are_planned_quickly) {
    double start = vqs_clock_seconds();
    struct vqs_plan *plan =
        plan_of(HEAD "grid: {K: [4, 8, 16, 32, 64], sigma: [0, 0.1, 0.2, 0.3], estimator: [ste, rotation]}\n"
                     "seeds: 1..2500\n");
    double seconds = vqs_clock_seconds() - start;
    ck_assert_uint_eq(vqs_plan_n_trials(plan), 100000);
    struct vqs_settings s;
    vqs_plan_trial_settings(plan, 99999, &s);
    ck_assert(s.K == 64 && s.sigma == 0.3 && s.seed == 2500);
    ck_assert_double_lt(seconds, 5.0); /* 0.1 s; the bound is for sanitised builds on busy machines */
    vqs_plan_destroy(plan);
}
END_TEST

/* ---- the shipped jobs ------------------------------------------------------------------------------------------ */

static struct vqs_bytes read_job(const char *name) {
    char path[1024], block[4096];
    struct vqs_bytes text = {0};
    snprintf(path, sizeof path, "%s/%s", jobs_dir, name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;) {
        ck_assert_int_eq(vqs_bytes_append(&text, block, n, NULL), VQS_OK);
    }
    fclose(file);
    return text;
}

static const struct {
    const char *file, *seeds;
    size_t trials;
} shipped[] = {
    /* K x 8, sigma x 8, beta x 8 with one point in common to all three, and 7 k-means points: 87 a seed */
    {"seed_study.yaml", NULL, 30 * 87},
    {"seed_study.yaml", "1..10", 870},
    {"smoke.yaml", NULL, 15},
    /* estimators x lr on each kind of data, k-means without lr where the model is linear; two to look at */
    {"images.yaml", NULL, 20 * (4 * (8 * 2 + 1) + 2 * 8 * 2) + 2},
    {"audio.yaml", NULL, 20 * (3 * (8 * 2 + 1) + 2 * 8 * 2) + 2},
    {"text.yaml", NULL, 20 * 3 * 8 + 2},
};

START_TEST(shipped_jobs_have_the_trials_they_promise) {
    struct vqs_bytes text = read_job(shipped[_i].file);
    struct vqs_plan_overrides overrides = {shipped[_i].seeds};
    struct vqs_plan *plan;
    struct vqs_error err = {0};
    ck_assert_msg(vqs_plan_create((char *)text.data, text.size, shipped[_i].file, &overrides, &plan, &err) == VQS_OK,
                  "%s", err.text);
    ck_assert_uint_eq(vqs_plan_n_trials(plan), shipped[_i].trials);
    vqs_plan_destroy(plan);
    vqs_bytes_destroy(&text);
}
END_TEST

/* ---- damaged jobs ---------------------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state) { /* xorshift */
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* One to four small damages: a byte changed, a stretch removed or doubled, the end cut off. */
static void damage(struct vqs_bytes *text, uint32_t *random) {
    static const char favourites[] = "{}[]:,&*-#'\"\n\t .0123456789eE|>!%@\\\xff";
    for (uint32_t n = 1 + next_random(random) % 4; n > 0 && text->size > 8; n--) {
        size_t at = next_random(random) % text->size, length = next_random(random) % 64;
        length = length < text->size - at ? length : text->size - at - 1;
        switch (next_random(random) % 8) {
        case 0:
            text->size = at;
            break;
        case 1:
            memmove(text->data + at, text->data + at + length, text->size - at - length);
            text->size -= length;
            break;
        case 2:
            memmove(text->data + at, text->data + next_random(random) % (text->size - length), length);
            break;
        case 3:
            text->data[at] = (unsigned char)next_random(random);
            break;
        default:
            text->data[at] = (unsigned char)favourites[next_random(random) % (sizeof favourites - 1)];
        }
    }
}

START_TEST(damaged_jobs_fail_cleanly) {
    struct vqs_bytes original = read_job(shipped[_i].file);
    uint32_t random = 2463534242u + (uint32_t)_i;
    int failed = 0;
    for (int round = 0; round < 1500; round++) {
        struct vqs_bytes text = {0};
        struct vqs_plan *plan;
        struct vqs_error err = {0};
        ck_assert_int_eq(vqs_bytes_append(&text, original.data, original.size, NULL), VQS_OK);
        damage(&text, &random);
        enum vqs_status status = vqs_plan_create((char *)text.data, text.size, "job.yaml", NULL, &plan, &err);
        if (status != VQS_OK) {
            int line = 0, end = 0;
            failed++;
            ck_assert_int_eq(status, VQS_ERR_JOB);
            ck_assert_msg(sscanf(err.text, "job.yaml:%d: %n", &line, &end) == 1 && end > 0 && line > 0, "%s", err.text);
            ck_assert_msg(err.text[end] != '\0' && !strchr(err.text, '\n'), "%s", err.text);
        }
        vqs_plan_destroy(plan);
        vqs_bytes_destroy(&text);
    }
    ck_assert_int_gt(failed, 500); /* the damage reaches something */
    vqs_bytes_destroy(&original);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: test_plan JOBS_FOLDER\n");
        return 2;
    }
    jobs_dir = argv[1];
    Suite *suite = suite_create("plan");
    TCase *refusals = tcase_create("refusals"), *trials = tcase_create("trials"), *jobs = tcase_create("jobs");
    tcase_add_loop_test(refusals, a_bad_job_is_one_clear_line, 0, ROWS(bad));
    tcase_add_test(refusals, a_thousand_million_trials_are_refused_at_once);
    tcase_add_test(refusals, aliases_work_and_cannot_multiply);
    tcase_add_test(refusals, a_long_file_name_keeps_line_and_reason);
    tcase_add_loop_test(trials, the_expansion_is_the_documented_one, 0, ROWS(expansion));
    tcase_add_test(trials, studies_share_trials);
    tcase_add_test(trials, all_of_64_studies_are_told_apart_and_65_refused);
    tcase_add_test(trials, points_that_differ_without_effect_are_merged_and_counted);
    tcase_add_test(trials, axes_are_told_to_people);
    tcase_add_test(trials, contrasts_are_told_and_part_of_the_plans_key);
    tcase_add_test(trials, the_command_line_can_replace_seeds);
    tcase_add_test(trials, a_trial_keeps_its_key_wherever_it_is_asked_for);
    tcase_add_test(trials, the_plan_key_sees_order_trials_and_memberships);
    tcase_add_test(trials, a_hundred_thousand_trials_are_planned_quickly);
    tcase_add_loop_test(jobs, shipped_jobs_have_the_trials_they_promise, 0, ROWS(shipped));
    tcase_add_loop_test(jobs, damaged_jobs_fail_cleanly, 1, ROWS(shipped));
    suite_add_tcase(suite, refusals);
    suite_add_tcase(suite, trials);
    suite_add_tcase(suite, jobs);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
