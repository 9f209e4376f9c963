/* cli.h - the commands and their options.
 *
 * The one rule: one table of commands, one table of options; parsing, error messages and help are derived from both. A
 * command does its work and returns a status with a line of text; main prints that line and turns it into an exit code.
 */
#ifndef VQS_CLI_H
#define VQS_CLI_H

#include "vqsweep/base.h"

/* What was given on the command line. Texts are borrowed from argv. */
struct vqs_cli {
    const char *file; /* the job or the result file */
    char **more;      /* what follows it, for a command that takes several */
    int n_more;
    const char *output, *seeds;
    int threads, team, prefetch;  /* threads 0: as many as there are cores; team 0: as is best */
    int silence, stall, attempts; /* of ranks and trials that are not waited for any longer */
    int64_t trial;                /* -1: none */
    int64_t sample;
    bool quiet;
    int64_t time_limit;       /* seconds; 0: none */
    int64_t grace;            /* seconds a stopping run may take */
    int64_t trial_checkpoint; /* seconds between a trial's checkpoints */
    int64_t shard[2];         /* i of n, from 1 */
    bool allow_mixed, retry_failed, only_pending, figures, profile;
    char command[2048]; /* the whole command line, for the record */
};

struct vqs_command {
    const char *name;
    const char *operand; /* "JOB", "FILE", "OUT IN..."; NULL: takes none */
    const char *options; /* letters of the options it takes */
    const char *summary; /* a line */
    const char *details; /* paragraphs and examples */
    enum vqs_status (*run)(const struct vqs_cli *cli, struct vqs_error *err);
};

/* Parses what follows the command's name, argv[2] and on. *help is set when help was asked for. VQS_ERR_USAGE. */
enum vqs_status vqs_cli_parse(const struct vqs_command *command, int argc, char **argv, struct vqs_cli *cli, bool *help,
                              struct vqs_error *err);
/* The last words of the program: prints the error, if any, and returns the exit code. */
int vqs_cli_conclude(enum vqs_status status, struct vqs_error *err);
/* Prints the help of a command to stdout. */
void vqs_cli_help(const struct vqs_command *command);

/* The commands, each in its room: cmd_run.c, cmd_merge.c, cmd_plan.c, cmd_inspect.c, cmd_verify.c, cmd_export.c,
 * cmd_tables.c */
enum vqs_status vqs_cmd_run(const struct vqs_cli *cli, struct vqs_error *err);
enum vqs_status vqs_cmd_merge(const struct vqs_cli *cli, struct vqs_error *err);
enum vqs_status vqs_cmd_plan(const struct vqs_cli *cli, struct vqs_error *err);
enum vqs_status vqs_cmd_status(const struct vqs_cli *cli, struct vqs_error *err);
enum vqs_status vqs_cmd_show(const struct vqs_cli *cli, struct vqs_error *err);
enum vqs_status vqs_cmd_verify(const struct vqs_cli *cli, struct vqs_error *err);
enum vqs_status vqs_cmd_export(const struct vqs_cli *cli, struct vqs_error *err);
enum vqs_status vqs_cmd_estimators(const struct vqs_cli *cli, struct vqs_error *err);
enum vqs_status vqs_cmd_settings(const struct vqs_cli *cli, struct vqs_error *err);
enum vqs_status vqs_cmd_metrics(const struct vqs_cli *cli, struct vqs_error *err);
enum vqs_status vqs_cmd_version(const struct vqs_cli *cli, struct vqs_error *err);

/* A whole job file. VQS_ERR_JOB when it cannot be read. */
enum vqs_status vqs_cli_read_job(const char *path, struct vqs_bytes *text, struct vqs_error *err);

#endif
