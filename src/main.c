/* main.c - the command line: which command, its help, its exit code. */
#include "cli.h"
#include "node.h"
#include "supervisor.h"

#include <stdio.h>
#include <string.h>

static const struct vqs_command commands[] = {
    {"run", "JOB", "ostmplgcifPMeuaTq", "run every trial of a job and gather the results in one file",
     "Trials run on all cores this rank may use, and on those of every rank under mpirun. The same command again goes\n"
     "on where an earlier run stopped, and says so when nothing is left to do. Finished trials are kept in\n"
     "FILE.h5.journal until all are there. Ctrl-C, SIGTERM, SIGUSR1 and the time limit stop the run: trials that end\n"
     "within the grace are finished, longer ones are saved and go on next time (a second signal does not wait).\n"
     "Another run of the same file is refused while this one lasts.\n\n"
     "  vqsweep run jobs/smoke.yaml                          on this machine\n"
     "  mpirun vqsweep run jobs/seed_study.yaml              on as many ranks as mpirun has slots\n"
     "  mpirun -n 2 vqsweep run jobs/seed_study.yaml --seeds 1..10 -o ten.h5\n"
     "  mpirun -n 1 --bind-to none vqsweep run JOB --threads 8 --team 4     two trials at a time, four threads each\n\n"
     "Exit code: 0 complete, 2 bad job or command line, 3 some trials failed, 4 the disk, 5 the file is of another "
     "job\n"
     "or version, 8 another run writes it, 75 unfinished (run it again).",
     vqs_cmd_run},
    {"merge", "OUT IN...", "Mq", "put the files of several runs of one plan, such as its shards, into one",
     "OUT is written whole, and may hold some of the trials already; the inputs are left as they are.\n\n"
     "  vqsweep run JOB --shard 1/2 -o one.h5; vqsweep run JOB --shard 2/2 -o two.h5\n"
     "  vqsweep merge all.h5 one.h5 two.h5\n\n"
     "Exit code: 0 complete, 5 an input is of another plan or version, 75 some trials are still pending.",
     vqs_cmd_merge},
    {"plan", "JOB", "sF", "show what a job would run: axes, trials, memory, cost",
     "Nothing is run or written.\n\n"
     "  vqsweep plan jobs/seed_study.yaml\n"
     "  vqsweep plan jobs/seed_study.yaml --seeds 1..100\n"
     "  vqsweep plan jobs/seed_study.yaml --figures          for scripts: trials=..., core_seconds=...",
     vqs_cmd_plan},
    {"status", "FILE", "", "count the trials of a result file, also while a run writes it",
     "  vqsweep status results/seed_study.h5\n\n"
     "Exit code: 0 all done, 3 some trials failed, 75 some are pending.",
     vqs_cmd_status},
    {"show", "FILE", "n", "show the results: a line a trial, or one trial in full",
     "  vqsweep show results/seed_study.h5\n"
     "  vqsweep show results/seed_study.h5 --trial 17        settings, metrics, curves, codebook",
     vqs_cmd_show},
    {"verify", "FILE", "r", "check a result file against its own job, digests and trainer",
     "The plan is made anew from the job in the file, and every planned trial must be there once. Every digest is\n"
     "computed anew from the stored data. Some random trials are run again and compared bit for bit, if they came\n"
     "from a CPU of this class.\n\n"
     "  vqsweep verify results/seed_study.h5\n"
     "  vqsweep verify results/seed_study.h5 --sample 20\n\n"
     "Exit code: 0 sound, 5 not, 75 sound so far but some trials are pending.",
     vqs_cmd_verify},
    {"export", "FILE", "noq", "write the model of one trial to a file for other programs, .npz or .h5",
     "The trial is run again, and its digest must be that of its record. The file holds weights, codes, how samples\n"
     "were prepared and the way back, settings, metrics and the held-out samples; README.md has a reader.\n\n"
     "  vqsweep export results/seed_study.h5 --trial 17 -o model.npz\n\n"
     "Exit code: 0 written, 2 no such trial, or its data are others now, 4 the disk, 5 the trial does not repeat.",
     vqs_cmd_export},
    {"estimators", NULL, "", "list the gradient estimators", "  vqsweep estimators", vqs_cmd_estimators},
    {"settings", NULL, "", "list the settings of a trial, with default and range", "  vqsweep settings",
     vqs_cmd_settings},
    {"metrics", NULL, "", "list the metrics and curves of a record, with formula and unit", "  vqsweep metrics",
     vqs_cmd_metrics},
    {"version", NULL, "", "say what was built, with what, and what it runs on", "  vqsweep --version", vqs_cmd_version},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const struct vqs_command *find_command(const char *name) {
    for (int i = 0; i < N_COMMANDS; i++) {
        if (!strcmp(commands[i].name, name)) {
            return &commands[i];
        }
    }
    return NULL;
}

static void print_overview(void) {
    printf("vqsweep: sweeps of vector-quantisation trials over MPI ranks, into one HDF5 file\n\nCommands:\n");
    for (int i = 0; i < N_COMMANDS; i++) {
        char left[32];
        snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].operand ? commands[i].operand : "");
        printf("  %-14s %s\n", left, commands[i].summary);
    }
    printf("\nHelp for one of them, with examples: vqsweep help COMMAND. To begin with: vqsweep run jobs/smoke.yaml\n");
}

/* help [COMMAND] */
static enum vqs_status help(int argc, char **argv, struct vqs_error *err) {
    const struct vqs_command *command = argc > 2 ? find_command(argv[2]) : NULL;
    if (argc > 2 && !command) {
        return vqs_fail(err, VQS_ERR_USAGE, "there is no command '%s'; see vqsweep --help", argv[2]);
    }
    if (command) {
        vqs_cli_help(command);
    } else {
        print_overview();
    }
    return VQS_OK;
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c) {
    return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, c);
}

static enum vqs_status dispatch(int argc, char **argv, struct vqs_error *err) {
    if (argc < 2) {
        return vqs_fail(err, VQS_ERR_USAGE, "no command given; see vqsweep --help");
    }
    if (is_one_of(argv[1], "help", "--help", "-h")) {
        return help(argc, argv, err);
    }
    const struct vqs_command *command =
        find_command(is_one_of(argv[1], "version", "--version", "-V") ? "version" : argv[1]);
    if (!command) {
        return vqs_fail(err, VQS_ERR_USAGE, "there is no command '%s'; see vqsweep --help", argv[1]);
    }
    struct vqs_cli cli;
    bool wants_help;
    enum vqs_status status = vqs_cli_parse(command, argc, argv, &cli, &wants_help, err);
    if (status == VQS_OK && wants_help) {
        vqs_cli_help(command);
    } else if (status == VQS_OK && (command->run == vqs_cmd_run || vqs_node_speaks())) {
        status = command->run(&cli, err);
    }
    return status;
}

int main(int argc, char **argv) {
    struct vqs_error err = {0};
    enum vqs_status status = dispatch(argc, argv, &err);
    if (status == VQS_ERR_USAGE && vqs_node_speaks()) { /* it never came to a run, and never will */
        vqs_supervisor_end(status, false);
    }
    return vqs_cli_conclude(status, &err);
}
