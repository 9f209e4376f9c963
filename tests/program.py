"""What the tests of the real program share: running it, and reading what it says."""
import collections
import os
import signal
import subprocess

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OMPI_MCA_rmaps_base_oversubscribe="1")
ENVIRONMENT.pop("OMPI_MCA_hwloc_base_binding_policy", None)  # the program's own choice of cores is under test
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

    def start(self, *args, ranks=0, options=(), **more):
        return subprocess.Popen(self.command(*args, ranks=ranks, options=options), cwd=self.cwd, env=ENVIRONMENT,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)

    def results(self, file):
        """What `show` says of each trial, its digest included: equal text means equal results."""
        shown = self.run("show", file)
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    def is_sound(self, file):
        """Whether `verify` finds every planned trial once, and every digest right."""
        return self.run("verify", file, "--sample", "0").returncode in (0, 3)

    def counts(self, file):
        """{"trials": 15, "completed": 14, ...} as `status` counts them."""
        lines = [line.split(None, 1) for line in self.run("status", file).stdout.splitlines()]
        return {line[0]: line[1] for line in lines}


def own_lines(stderr):
    """The program's lines; mpirun adds paragraphs of its own."""
    return [line for line in stderr.splitlines() if line.startswith("vqsweep: ")]


Process = collections.namedtuple("Process", "name parent")


def process_table():
    """{pid: Process} of all processes that can be seen and have not ended."""
    table = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state not in "ZX":
            table[pid] = Process(name, int(parent))
    return table


def below(root, table):
    """`root` and all that it started, directly or not."""
    found = [root]
    for pid in found:
        found += [child for child, process in table.items() if process.parent == pid]
    return found


def ranks_below(root, table):
    """{pid: MPI rank} of the vqsweep processes that `root` started under mpirun."""
    ranks = {}
    for pid in below(root, table):
        if pid in table and table[pid].name.startswith("vqsweep"):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    words = dict(word.split(b"=", 1) for word in file.read().split(b"\0") if b"=" in word)
            except OSError:
                continue
            ranks[pid] = int(words[b"OMPI_COMM_WORLD_RANK"])
    return ranks


def kill_below(root):
    """Ends `root`, a process of the test's own, and all that it started."""
    for pid in below(root, process_table()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
