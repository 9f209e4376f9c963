"""What the tests of the real program share: running it, and reading what it says."""
import os
import subprocess

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OMPI_MCA_rmaps_base_oversubscribe="1")
ENVIRONMENT.pop("OPENBLAS_CORETYPE", None)  # it is warned of, which is not what these tests count


class Program:
    """The program at `path`, run in the folder `cwd`."""

    def __init__(self, path, mpirun, cwd):
        self.path, self.mpirun, self.cwd = path, mpirun, cwd

    def command(self, *args, ranks=0, options=()):
        launcher = [self.mpirun, "-n", str(ranks), *options] if ranks else []
        return [*launcher, self.path, *map(str, args)]

    def run(self, *args, ranks=0, options=(), **more):
        """Runs to the end; the result has returncode, stdout, stderr. ranks=0: without mpirun."""
        more.setdefault("env", ENVIRONMENT)
        return subprocess.run(self.command(*args, ranks=ranks, options=options), cwd=self.cwd, capture_output=True,
                              text=True, timeout=120, check=False, **more)

    def start(self, *args, ranks=0, options=()):
        return subprocess.Popen(self.command(*args, ranks=ranks, options=options), cwd=self.cwd, env=ENVIRONMENT,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def results(self, file):
        """What `show` says of each trial, its digest included: equal text means equal results."""
        shown = self.run("show", file)
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    def counts(self, file):
        """{"trials": 15, "completed": 14, ...} as `status` counts them."""
        lines = [line.split(None, 1) for line in self.run("status", file).stdout.splitlines()]
        return {line[0]: line[1] for line in lines}


def own_lines(stderr):
    """The program's lines; mpirun adds paragraphs of its own."""
    return [line for line in stderr.splitlines() if line.startswith("vqsweep: ")]
