"""Whole machines lose power in the middle of a run: pretend ones, in network namespaces, under a real mpirun.

    fault_hosts.py VQSWEEP SOURCE_FOLDER MPIRUN

Needs root and the right to make network namespaces; otherwise it is skipped (exit code 77).
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest

from program import ENVIRONMENT, Program, kill_below

VQSWEEP, SOURCE, MPIRUN = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
TESTS = os.path.join(SOURCE, "tests")

JOB = """
name: hosts
fixed: {D: 32, d: 4, N: 8192, epochs: 600, gap_restarts: 0}
grid: {K: [32, 64], estimator: [ste, rotation]}
seeds: 1..60
"""


class Hosts:
    """n1, n2, n3, for as long as the test runs."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="vqh")
        self.environment = dict(os.environ, PRETEND_HOSTS=self.folder)
        self.network = self.call("up", "3").stdout.strip()

    def call(self, *words):
        # no pipe: a machine's own processes would hold it open
        with tempfile.TemporaryFile("w+") as out:
            end = subprocess.run(["bash", os.path.join(TESTS, "pretend_hosts.sh"), *words], env=self.environment,
                                 stdout=out, stderr=subprocess.STDOUT, timeout=60, check=False)
            out.seek(0)
            end.stdout = out.read()
        if end.returncode:
            raise OSError(end.stdout)
        return end


class PoweredOff(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="vqs")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.program = Program(VQSWEEP, MPIRUN, cls.folder)
        with open(os.path.join(cls.folder, "job.yaml"), "w", encoding="utf-8") as file:
            file.write(JOB)
        end = cls.program.run("run", "job.yaml", "-o", "expected.h5", "-q")
        assert end.returncode == 0, end.stderr
        cls.expected = cls.program.results("expected.h5")

    def start(self, file):
        agent = "bash " + os.path.join(TESTS, "pretend_hosts.sh")
        environment = dict(ENVIRONMENT, PRETEND_HOSTS=HOSTS.folder, VQSWEEP=VQSWEEP, MPIRUN=MPIRUN,
                           VQSWEEP_START_LIMIT="30", VQSWEEP_STALE="15", VQSWEEP_PART="3", TMPDIR=self.folder)
        launch = ["--host", "n1:1,n2:1,n3:1", "-n", "3", "--bind-to", "none", "--mca", "plm_rsh_agent", agent,
                  "--mca", "oob_tcp_if_include", HOSTS.network, "--mca", "btl_tcp_if_include", HOSTS.network,
                  "--mca", "btl", "self,tcp", "-x", "PRETEND_HOSTS"]
        log = open(os.path.join(self.folder, file + ".log"), "w", encoding="utf-8")
        self.addCleanup(log.close)
        return subprocess.Popen(["bash", os.path.join(SOURCE, "cluster", "run.sh"), *launch, "--", "job.yaml", "-o",
                                 file, "--threads", "1", "--silence", "4"],
                                cwd=self.folder, env=environment, stdout=log, stderr=log)

    def wait_for_results(self, file, run, least):
        until = time.monotonic() + 60
        while time.monotonic() < until and run.poll() is None:
            if os.path.exists(os.path.join(self.folder, file)):
                if int(self.program.counts(file).get("completed", 0)) >= least:
                    return
            time.sleep(0.2)
        self.fail(f"no {least} results in a minute: {self.log(file)}")

    def log(self, file):
        with open(os.path.join(self.folder, file + ".log"), encoding="utf-8") as log:
            return log.read()

    def lose(self, host, file, word):
        """The run of `file` loses a host; seconds until `word` is said of it, and until the right end."""
        run = self.start(file)
        self.wait_for_results(file, run, 10)
        HOSTS.call("off", host)
        off = time.monotonic()
        noticed = None
        try:
            while run.poll() is None and time.monotonic() < off + 200:
                if noticed is None and word in self.log(file):
                    noticed = time.monotonic() - off
                    if host == "n1":
                        HOSTS.call("on", host)
                time.sleep(0.1)
            ended = time.monotonic() - off
            self.assertEqual(run.poll(), 0, self.log(file))
        finally:
            kill_below(run.pid)
            run.wait()
            if host != "n1":
                HOSTS.call("on", host)
        self.assertIsNotNone(noticed, self.log(file))
        self.assertEqual(self.program.results(file), self.expected)
        print(f"{host} off: noticed after {noticed:.0f} s, complete after {ended:.0f} s", flush=True)

    def test_a_host_of_workers(self):
        self.lose("n3", "worker.h5", "rank 2 is lost")
        self.assertNotIn("starting it again", self.log("worker.h5"))

    def test_the_host_of_rank_0(self):
        self.lose("n1", "master.h5", "starting it again")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("needs root for network namespaces")
        sys.exit(77)
    try:
        HOSTS = Hosts()
    except OSError as error:
        print(f"cannot make pretend hosts: {error}")
        sys.exit(77)
    try:
        unittest.main(argv=sys.argv[:1])
    finally:
        HOSTS.call("down")
