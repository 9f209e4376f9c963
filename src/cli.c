/* cli.c - options: one table, a parser, and their help. */
#include "cli.h"
#include "node.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum kind { TEXT, INT, INT_OR_AUTO, INT64, FLAG, DURATION, SHARD };

struct option_row {
    char letter;
    const char *name, *argument, *help;
    enum kind kind;
    size_t offset; /* in struct vqs_cli */
    int64_t low, high;
};

static const struct option_row options[] = {
    {'o', "output", "FILE", "file to write (default of run: results/NAME.h5, NAME being the job's)", TEXT,
     offsetof(struct vqs_cli, output), 0, 0},
    {'s', "seeds", "A..B", "seeds in place of every 'seeds' of the job", TEXT, offsetof(struct vqs_cli, seeds), 0, 0},
    {'t', "threads", "N", "threads of a rank (default: its share of the machine's cores)", INT,
     offsetof(struct vqs_cli, threads), 1, 4096},
    {'m', "team", "M", "threads that share one trial, or auto: as the run is expected to end soonest (default: auto)",
     INT_OR_AUTO, offsetof(struct vqs_cli, team), 1, 4096},
    {'p', "prefetch", "N", "trials kept waiting at a rank, more if they are short (default: 4)", INT,
     offsetof(struct vqs_cli, prefetch), 0, 100000},
    {'l', "time-limit", "TIME", "stop in time for this: 90s, 12h, H:MM:SS, D-HH:MM:SS (default: SLURM's, if any)",
     DURATION, offsetof(struct vqs_cli, time_limit), 1, INT32_MAX},
    {'g', "grace", "TIME", "time for stopping: trials that end within it are finished (default: 60s)", DURATION,
     offsetof(struct vqs_cli, grace), 0, INT32_MAX},
    {'c', "trial-checkpoint", "TIME", "save a trial that runs longer than this, so often (default: 5m)", DURATION,
     offsetof(struct vqs_cli, trial_checkpoint), 0, INT32_MAX},
    {'i', "shard", "I/N", "only every N-th trial, from the I-th on; vqsweep merge puts the files together", SHARD,
     offsetof(struct vqs_cli, shard), 1, 100000},
    {'f', "retry-failed", NULL, "try failed trials again, also those given up", FLAG,
     offsetof(struct vqs_cli, retry_failed), 0, 0},
    {'P', "only-pending", NULL, "leave failed trials alone", FLAG, offsetof(struct vqs_cli, only_pending), 0, 0},
    {'M', "allow-mixed", NULL, "take over results of another job or version, and record that", FLAG,
     offsetof(struct vqs_cli, allow_mixed), 0, 0},
    {'F', "figures", NULL, "only figures for scripts, NAME=VALUE a line", FLAG, offsetof(struct vqs_cli, figures), 0,
     0},
    {'e', "silence", "SECONDS",
     "a rank that is silent for this long is lost, and its trials go elsewhere (default: 30)", INT,
     offsetof(struct vqs_cli, silence), 1, 1000000},
    {'u', "stall", "SECONDS",
     "a trial is stuck when it shows no progress for this long, and for 20 times its expected time (default: 60)", INT,
     offsetof(struct vqs_cli, stall), 1, 1000000},
    {'a', "attempts", "N",
     "attempts at a trial that fails, is stuck or loses its rank, before it is given up (default: 3)", INT,
     offsetof(struct vqs_cli, attempts), 1, 1000},
    {'T', "profile", NULL, "print where the time of the trials on rank 0 went", FLAG, offsetof(struct vqs_cli, profile),
     0, 0},
    {'q', "quiet", NULL, "no progress, notices or summary; warnings and errors are still printed", FLAG,
     offsetof(struct vqs_cli, quiet), 0, 0},
    {'n', "trial", "N", "the number of one trial, from 0", INT64, offsetof(struct vqs_cli, trial), 0, UINT32_MAX},
    {'r', "sample", "N", "trials to run again and compare bit for bit (default: 3)", INT64,
     offsetof(struct vqs_cli, sample), 0, UINT32_MAX},
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static const struct option_row *find_option(int letter) {
    for (int i = 0; i < N_OPTIONS; i++) {
        if (options[i].letter == letter) {
            return &options[i];
        }
    }
    return NULL;
}

/* "90", "90s", "15m", "12h", "2d", "MM:SS", "H:MM:SS", "D-HH:MM:SS" in seconds; -1: none of these. */
static int64_t parse_duration(const char *text) {
    static const struct {
        char letter;
        int seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    long long days = 0, a = 0, b = 0, c = 0;
    int end = 0;
    if (strspn(text, "0123456789:-smhd") != strlen(text) || strlen(text) > 16 || text[0] == '-') {
        return -1;
    }
    if (sscanf(text, "%lld-%lld:%2lld:%2lld%n", &days, &a, &b, &c, &end) == 4 && !text[end]) {
        return ((days * 24 + a) * 60 + b) * 60 + c;
    }
    if (sscanf(text, "%lld:%2lld:%2lld%n", &a, &b, &c, &end) == 3 && !text[end]) {
        return (a * 60 + b) * 60 + c;
    }
    if (sscanf(text, "%lld:%2lld%n", &a, &b, &end) == 2 && !text[end]) {
        return a * 60 + b;
    }
    if (sscanf(text, "%lld%n", &a, &end) != 1 || a > INT32_MAX) {
        return -1;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (text[end] == units[i].letter && !text[end + 1]) {
            return a * units[i].seconds;
        }
    }
    return text[end] ? -1 : a;
}

static enum vqs_status set_duration(const struct option_row *row, const char *text, int64_t *seconds,
                                    struct vqs_error *err) {
    *seconds = parse_duration(text);
    return *seconds >= row->low && *seconds <= row->high
               ? VQS_OK
               : vqs_fail(err, VQS_ERR_USAGE,
                          "--%s: must be a time such as 90s, 15m, 12h, 2d, H:MM:SS or D-HH:MM:SS, not '%s'", row->name,
                          text);
}

static enum vqs_status set_shard(const struct option_row *row, const char *text, int64_t shard[2],
                                 struct vqs_error *err) {
    long long i, n;
    int end = 0;
    if (sscanf(text, "%6lld/%6lld%n", &i, &n, &end) != 2 || text[end] || i < 1 || n < i || n > row->high) {
        return vqs_fail(err, VQS_ERR_USAGE, "--%s: must be I/N with 1 <= I <= N <= %lld, such as 2/8, not '%s'",
                        row->name, (long long)row->high, text);
    }
    shard[0] = i;
    shard[1] = n;
    return VQS_OK;
}

static enum vqs_status set_option(const struct option_row *row, const char *text, struct vqs_cli *cli,
                                  struct vqs_error *err) {
    void *field = (char *)cli + row->offset;
    if (row->kind == FLAG) {
        *(bool *)field = true;
        return VQS_OK;
    }
    if (row->kind == TEXT) {
        *(const char **)field = text;
        return *text ? VQS_OK : vqs_fail(err, VQS_ERR_USAGE, "--%s: needs a value, not an empty one", row->name);
    }
    if (row->kind == DURATION) {
        return set_duration(row, text, field, err);
    }
    if (row->kind == SHARD) {
        return set_shard(row, text, field, err);
    }
    if (row->kind == INT_OR_AUTO && !strcmp(text, "auto")) {
        *(int *)field = 0;
        return VQS_OK;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < row->low || value > row->high) {
        return vqs_fail(err, VQS_ERR_USAGE, "--%s: must be a whole number from %lld to %lld%s, not '%s'", row->name,
                        (long long)row->low, (long long)row->high, row->kind == INT_OR_AUTO ? " or auto" : "", text);
    }
    if (row->kind == INT || row->kind == INT_OR_AUTO) {
        *(int *)field = (int)value;
    } else {
        *(int64_t *)field = value;
    }
    return VQS_OK;
}

/* What getopt_long wants: the command's own options, -h and the end. `letters` starts with ':' so that it tells a
 * missing value from an unknown option. */
static void build_tables(const struct vqs_command *command, char letters[2 * N_OPTIONS + 4],
                         struct option table[N_OPTIONS + 2]) {
    int n = 0;
    letters[n++] = ':';
    letters[n++] = 'h';
    int k = 0;
    for (const char *letter = command->options; *letter; letter++) {
        const struct option_row *row = find_option(*letter);
        letters[n++] = *letter;
        if (row->argument) {
            letters[n++] = ':';
        }
        table[k++] = (struct option){row->name, row->argument ? required_argument : no_argument, NULL, *letter};
    }
    letters[n] = 0;
    table[k++] = (struct option){"help", no_argument, NULL, 'h'};
    table[k] = (struct option){0};
}

enum vqs_status vqs_cli_parse(const struct vqs_command *command, int argc, char **argv, struct vqs_cli *cli, bool *help,
                              struct vqs_error *err) {
    char letters[2 * N_OPTIONS + 4];
    struct option table[N_OPTIONS + 2];
    build_tables(command, letters, table);
    *cli = (struct vqs_cli){.prefetch = 4,
                            .trial = -1,
                            .sample = 3,
                            .grace = 60,
                            .trial_checkpoint = 300,
                            .shard = {1, 1},
                            .silence = 30,
                            .stall = 60,
                            .attempts = 3};
    for (int i = 0; i < argc; i++) { /* before getopt moves operands to the end */
        size_t used = strlen(cli->command);
        snprintf(cli->command + used, sizeof cli->command - used, "%s%s", i ? " " : "", argv[i]);
    }
    *help = false;
    char **rest = argv + 1; /* getopt takes the command's name for the program's */
    int n = argc - 1, letter;
    opterr = 0;
    while ((letter = getopt_long(n, rest, letters, table, NULL)) != -1) {
        char unknown[3] = {'-', (char)optopt, 0}; /* a letter among several leaves optind where it was */
        const char *word = letter == '?' && optopt && !find_option(optopt) ? unknown : rest[optind - 1];
        if (letter == 'h') {
            *help = true;
            return VQS_OK;
        }
        if (letter == ':') {
            return vqs_fail(err, VQS_ERR_USAGE, "'%s' needs a value; see vqsweep %s --help", word, command->name);
        }
        if (letter == '?') {
            return vqs_fail(err, VQS_ERR_USAGE, "%s takes no option '%s'; see vqsweep %s --help", command->name, word,
                            command->name);
        }
        enum vqs_status status = set_option(find_option(letter), optarg, cli, err);
        if (status != VQS_OK) {
            return status;
        }
    }
    const bool several = command->operand && strstr(command->operand, "...");
    const int given = n - optind, wanted = !command->operand ? 0 : several ? 2 : 1;
    if (given < wanted) {
        return vqs_fail(err, VQS_ERR_USAGE, "%s needs a %s; see vqsweep %s --help", command->name, command->operand,
                        command->name);
    }
    if (given > wanted && !several) {
        return vqs_fail(err, VQS_ERR_USAGE, "%s does not know what to do with '%s'; see vqsweep %s --help",
                        command->name, rest[optind + wanted], command->name);
    }
    if (wanted) {
        cli->file = rest[optind];
        cli->more = rest + optind + 1;
        cli->n_more = given - 1;
    }
    return VQS_OK;
}

void vqs_cli_help(const struct vqs_command *command) {
    printf("vqsweep %s%s%s%s: %s\n\n%s\n", command->name, command->operand ? " " : "",
           command->operand ? command->operand : "", *command->options ? " [OPTIONS]" : "", command->summary,
           command->details);
    if (*command->options) {
        printf("\nOptions:\n");
    }
    for (const char *letter = command->options; *letter; letter++) {
        const struct option_row *row = find_option(*letter);
        char left[64];
        snprintf(left, sizeof left, "-%c, --%s%s%s", row->letter, row->name, row->argument ? " " : "",
                 row->argument ? row->argument : "");
        printf("  %-24s %s\n", left, row->help);
    }
}

int vqs_cli_conclude(enum vqs_status status, struct vqs_error *err) {
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == VQS_OK) {
        status = vqs_fail(err, VQS_ERR_IO, "cannot write to standard output");
    }
    /* All ranks agree on the status. One says it and gives the code: mpirun ends all others as soon as one rank leaves
     * with a code, and would cut the speaker short. */
    if (!vqs_node_speaks()) {
        return 0;
    }
    if (status != VQS_OK && err->text[0]) {
        fprintf(stderr, "vqsweep: %s\n", err->text);
    }
    return vqs_status_exit_code(status);
}

enum vqs_status vqs_cli_read_job(const char *path, struct vqs_bytes *text, struct vqs_error *err) {
    enum { MOST = 64 << 20 }; /* a job is written by hand */
    struct stat info;
    char block[65536];
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &info) != 0 || S_ISDIR(info.st_mode)) {
        vqs_fail(err, VQS_ERR_JOB, "%s: cannot read the job: %s", path, strerror(file ? EISDIR : errno));
        if (file) {
            fclose(file);
        }
        return VQS_ERR_JOB;
    }
    enum vqs_status status = VQS_OK;
    for (size_t n; status == VQS_OK && (n = fread(block, 1, sizeof block, file)) > 0;) {
        status = text->size + n > MOST
                     ? vqs_fail(err, VQS_ERR_JOB, "%s: larger than %d MiB, this is no job", path, MOST >> 20)
                     : vqs_bytes_append(text, block, n, err);
    }
    if (status == VQS_OK && ferror(file)) {
        status = vqs_fail(err, VQS_ERR_JOB, "%s: cannot read the job: %s", path, strerror(errno));
    }
    fclose(file);
    return status;
}
