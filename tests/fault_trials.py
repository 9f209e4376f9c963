"""Trials that hang or crash, ranks that leave, stop or fall silent: the run goes on, and what can be done is done, to the
same bits as in an undisturbed run.

    fault_trials.py VQSWEEP_FAULTY SOURCE_FOLDER MPIRUN
"""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from program import ENVIRONMENT, Program, kill_below, process_table, ranks_below

FAULTY, SOURCE, MPIRUN = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
TRIALS = 60

# Trial t has the seed t + 1, by which faults.h names it.
JOB = """
name: faulty
fixed: {K: 64, D: 32, d: 4, N: 8192, epochs: %d, gap_restarts: 0}
seeds: 1..60
"""


class Case(unittest.TestCase):
    epochs = 120

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="vqs")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.program = Program(FAULTY, MPIRUN, cls.folder)
        with open(os.path.join(cls.folder, "job.yaml"), "w", encoding="utf-8") as file:
            file.write(JOB % cls.epochs)
        end = cls.program.run("run", "job.yaml", "-o", "expected.h5", "-q")
        assert end.returncode == 0, end.stderr
        cls.expected = cls.program.results("expected.h5").splitlines()

    def start(self, ranks, *options, faults="", supervised=False):
        self.file = self.id().rsplit(".", 1)[1] + ".h5"
        self.log = os.path.join(self.folder, self.file + ".log")
        environment = dict(ENVIRONMENT, VQS_FAULTS=faults, VQS_FAULTS_FOLDER=self.folder, VQSWEEP=FAULTY, MPIRUN=MPIRUN,
                           VQSWEEP_START_LIMIT="30", VQSWEEP_PART="3", TMPDIR=self.folder)
        launch = ["-n", str(ranks), "--bind-to", "none"]
        run = ["job.yaml", "-o", self.file, "--threads", "1", *options]
        command = (["bash", os.path.join(SOURCE, "cluster", "run.sh"), *launch, "--", *run] if supervised else
                   [MPIRUN, "--enable-recovery", *launch, FAULTY, "run", *run])
        with open(self.log, "w", encoding="utf-8") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(kill_below, process.pid)
        return process

    def said(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def ends(self, run, code, within=90):
        try:
            self.assertEqual(run.wait(within), code, self.said())
        except subprocess.TimeoutExpired:
            self.fail(f"still there after {within} s: {self.said()}")

    def has_results(self, failed=()):
        """Every trial has the undisturbed run's result, but for those that were to fail."""
        self.assertTrue(self.program.is_sound(self.file))
        shown = self.program.results(self.file).splitlines()
        self.assertEqual(len(shown), TRIALS)
        for trial, (line, expected) in enumerate(zip(shown, self.expected)):
            if trial in failed:
                self.assertIn(" failed ", line)
            else:
                self.assertEqual(line, expected)

    def rank(self, run, number):
        """The process of a rank, once a few trials are done."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            done = os.path.exists(os.path.join(self.folder, self.file)) and self.program.counts(self.file)
            if done and int(done["completed"]) > 2:
                return next(pid for pid, rank in ranks_below(run.pid, process_table()).items() if rank == number)
            time.sleep(0.05)
        return self.fail(f"no trial in a minute: {self.said()}")


class Trials(Case):
    def test_one_that_hangs_once_is_tried_elsewhere(self):
        run = self.start(2, "--stall", "2", faults="hang=7/1")
        self.ends(run, 0)
        self.assertIn("trial 6, attempt 1: stuck on rank", self.said())
        self.has_results()
        self.assertIn("attempt 2", self.program.run("show", self.file, "--trial", "6").stdout)

    def test_one_that_crashes_its_rank_once_is_tried_elsewhere(self):
        run = self.start(3, "--silence", "2", faults="crash=7/1", supervised=True)
        self.ends(run, 0)
        self.has_results()

    def test_one_that_always_hangs_is_given_up(self):
        run = self.start(2, "--stall", "2", "--attempts", "2", faults="hang=7", supervised=True)
        self.ends(run, 3)
        self.assertIn("trial 6, attempt 2: stuck on rank", self.said())
        self.assertIn("1 of 60 trials failed: 6 (", self.said())
        self.has_results(failed=[6])

    def test_one_that_always_crashes_its_rank_is_given_up(self):
        run = self.start(3, "--silence", "2", faults="crash=7", supervised=True)
        self.ends(run, 3)
        self.assertIn("trial 6, attempt 3: lost with rank", self.said())
        self.assertIn("1 of 60 trials failed: 6 (", self.said())
        self.has_results(failed=[6])
        end = self.program.run("run", "job.yaml", "-o", self.file, "--retry-failed")
        self.assertEqual(end.returncode, 0, end.stderr)
        self.has_results()

    def test_one_that_always_crashes_the_only_rank_is_given_up_and_what_ran_beside_it_is_not(self):
        run = self.start(1, "--threads", "4", faults="crash=7", supervised=True)
        self.ends(run, 3)
        self.assertIn("trial 6, attempt 3: rank 0 died while it was running there", self.said())
        self.assertIn("1 of 60 trials failed: 6 (", self.said())
        self.has_results(failed=[6])
        self.assertFalse(os.path.exists(os.path.join(self.folder, self.file + ".begun")))

    def test_one_that_fails_is_tried_again_in_the_same_run(self):
        run = self.start(2, faults="fail=7/2")
        self.ends(run, 0)
        self.assertIn("trial 6, attempt 2: out of memory on purpose; it is tried again", self.said())
        self.has_results()
        self.assertIn("attempt 3", self.program.run("show", self.file, "--trial", "6").stdout)

    def test_one_that_always_fails_is_given_up(self):
        run = self.start(2, "--attempts", "2", faults="fail=7", supervised=True)
        self.ends(run, 3)
        self.assertIn("1 of 60 trials failed: 6 (out of memory on purpose)", self.said())
        self.has_results(failed=[6])
        end = self.program.run("run", "job.yaml", "-o", self.file, "--attempts", "2")
        self.assertEqual(end.returncode, 3, end.stderr)
        self.assertIn("6 (given up before", end.stderr)
        self.has_results(failed=[6])


class Ranks(Case):
    def test_one_that_leaves(self):
        run = self.start(3, "--silence", "2", faults="exit=5@1")
        self.ends(run, 0)
        self.assertIn("rank 1 is lost", self.said())
        self.has_results()

    def test_one_that_falls_silent_and_comes_back(self):
        run = self.start(2, "--silence", "1")
        worker = self.rank(run, 1)
        os.kill(worker, signal.SIGSTOP)
        while "rank 1 is lost" not in self.said():
            self.assertIsNone(run.poll())
            time.sleep(0.05)
        os.kill(worker, signal.SIGCONT)
        self.ends(run, 0)
        self.assertIn("rank 1 is back", self.said())
        self.has_results()

    def test_workers_leave_when_rank_0_is_gone(self):
        run = self.start(3)
        os.kill(self.rank(run, 0), signal.SIGKILL)
        run.wait(10)
        self.assertEqual(self.program.run("run", "job.yaml", "-o", self.file).returncode, 0)
        self.has_results()

    def test_workers_leave_when_rank_0_falls_silent(self):
        run = self.start(3, "--silence", "1", supervised=True)
        master, workers = self.rank(run, 0), [self.rank(run, 1), self.rank(run, 2)]
        os.kill(master, signal.SIGSTOP)
        until = time.monotonic() + 15
        while any(worker in process_table() for worker in workers):
            self.assertLess(time.monotonic(), until)
            time.sleep(0.1)
        os.kill(master, signal.SIGCONT)
        self.ends(run, 0)
        self.has_results()


class Supervisor(Case):
    epochs = 2000  # long enough to be stopped on the way, whatever else the machine does

    def test_a_stop_is_passed_on(self):
        run = self.start(2, supervised=True)
        self.rank(run, 0)
        run.send_signal(signal.SIGTERM)
        self.ends(run, 75)
        self.assertIn("run the same command again", self.said())
        run = self.start(2, supervised=True)
        self.ends(run, 0)
        self.assertIn("going on:", self.said())
        self.has_results()

    def test_a_bad_command_line_is_not_tried_again(self):
        run = self.start(2, "--fly", supervised=True)
        self.ends(run, 2)
        self.assertNotIn("starting it again", self.said())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
