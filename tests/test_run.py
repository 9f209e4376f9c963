"""Runs of the real program under mpirun: the same bits however it is run, and whatever stops it.

    test_run.py VQSWEEP SOURCE_FOLDER MPIRUN
"""
import os
import resource
import signal
import sys
import tempfile
import time
import unittest

from program import Program, own_lines

VQSWEEP, SOURCE, MPIRUN = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
SMOKE = os.path.join(SOURCE, "jobs", "smoke.yaml")
CORES = len(os.sched_getaffinity(0))

# Long enough to be stopped on the way: 80 trials of a fifth of a second.
LONG = """
name: long
fixed: {D: 32, d: 4, N: 8192, epochs: 700, gap_restarts: 0}
grid: {K: [32, 64], estimator: [ste, rotation]}
seeds: 1..20
"""


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.program = Program(VQSWEEP, MPIRUN, self.folder)
        with open(os.path.join(self.folder, "long.yaml"), "w", encoding="utf-8") as file:
            file.write(LONG)

    def path(self, name):
        return os.path.join(self.folder, name)

    def completes(self, *args, **how):
        end = self.program.run("run", *args, **how)
        self.assertEqual(end.returncode, 0, end.stderr)
        return end

    def start_and_wait_for_results(self, file, **how):
        """A run of the long job that has finished a few trials and is nowhere near its end."""
        before = self.program.counts(file).get("pending") if os.path.exists(self.path(file)) else None
        run = self.program.start("run", "long.yaml", "-o", file, **how)
        self.addCleanup(run.communicate)
        deadline = time.time() + 60
        while time.time() < deadline:
            now = self.program.counts(file).get("pending") if os.path.exists(self.path(file)) else None
            if now and now != (before or "80"):
                return run
            time.sleep(0.02)
        self.fail("no trial was finished in a minute")


class Profile(Case):
    def test_phases_add_up(self):
        end = self.completes(SMOKE, "-o", "a.h5", "--profile", "-q")
        lines = [line.rsplit(None, 3) for line in end.stdout.splitlines()]
        total = float(lines[0][-2])
        phases = [line for line in lines if line[-1].endswith("%")]
        self.assertGreater(len(phases), 10, end.stdout)
        self.assertAlmostEqual(sum(float(line[-3]) for line in phases), total, delta=0.02)
        self.assertAlmostEqual(sum(float(line[-1].rstrip("%")) for line in phases), 100, delta=1)

    def test_none_unless_asked_for(self):
        self.assertEqual(self.completes(SMOKE, "-o", "a.h5", "-q").stdout, "")


class SameBits(Case):
    def test_any_number_of_ranks_and_threads(self):
        self.completes(SMOKE, "-o", "plain.h5", "-q")
        expected = self.program.results("plain.h5")
        self.assertEqual(expected.count("digest="), 15)
        for ranks in 1, 2, 4:
            for threads, team in (1, 1), (2, 1), (2, 2), (4, 2):
                file = f"r{ranks}t{threads}m{team}.h5"
                self.completes(SMOKE, "-o", file, "--threads", threads, "--team", team, ranks=ranks)
                self.assertEqual(self.program.results(file), expected, file)

    def test_verify_agrees(self):
        self.completes(SMOKE, "-o", "a.h5")
        end = self.program.run("verify", "a.h5", "--sample", "15")
        self.assertEqual(end.returncode, 0, end.stderr)
        self.assertIn("15 digests right; 15 trials run again", end.stdout)


class Threads(Case):
    def hosts(self, *args, **how):
        end = self.completes(SMOKE, "-o", "t.h5", *args, **how)
        hosts = self.program.counts("t.h5")["hosts"]
        os.remove(self.path("t.h5"))
        return hosts, own_lines(end.stderr)

    @unittest.skipIf(CORES < 2, "one core only")
    def test_every_core_is_used_unless_bound_on_purpose(self):
        hosts, said = self.hosts()
        self.assertIn(f": 1 x {CORES} threads", hosts)
        self.assertEqual(said, [])
        hosts, said = self.hosts(ranks=1)
        self.assertIn(f": 1 x {CORES} threads", hosts)
        self.assertIn("by its default", said[0])
        hosts, said = self.hosts(ranks=1, options=["--bind-to", "none"])
        self.assertIn(f": 1 x {CORES} threads", hosts)
        self.assertEqual(said, [])
        hosts, said = self.hosts(ranks=1, options=["--bind-to", "core"])
        self.assertIn(": 1 x 1 threads", hosts)
        self.assertEqual(said, [])

    @unittest.skipIf(CORES != 2, "written for two cores")
    def test_two_ranks_share_two_cores(self):
        hosts, said = self.hosts(ranks=2)
        self.assertIn(": 2 x 1 threads", hosts)
        self.assertEqual(said, [])

    def test_too_many_threads_are_warned_of(self):
        _, said = self.hosts("--threads", CORES + 1)
        self.assertIn("may use only", said[0])
        self.assertIn("--bind-to none", said[0])


class Stopped(Case):
    """However a run is stopped, the same command goes on, and what comes out is what an undisturbed run gives."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        program = Program(VQSWEEP, MPIRUN, folder.name)
        with open(os.path.join(folder.name, "long.yaml"), "w", encoding="utf-8") as file:
            file.write(LONG)
        assert program.run("run", "long.yaml", "-o", "a.h5", "-q").returncode == 0
        cls.expected = program.results("a.h5")

    def finish(self, file="a.h5", ranks=2):
        self.assertTrue(os.path.exists(self.path(file + ".journal")))
        done = int(self.program.counts(file)["completed"])
        self.assertGreater(done, 0)
        self.assertLess(done, 80)
        end = self.completes("long.yaml", "-o", file, ranks=ranks)
        self.assertIn(f"going on: {done} of 80", end.stderr)
        self.assertEqual(self.program.results(file), self.expected)
        self.assertEqual(sorted(os.listdir(self.folder)), [file, "long.yaml"])  # no journal, no temporary

    def test_signals_without_mpirun(self):
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGUSR1:
            run = self.start_and_wait_for_results("a.h5")
            run.send_signal(number)
            _, said = run.communicate(timeout=60)
            self.assertEqual(run.returncode, 75, said)
            self.assertIn("run the same command again", own_lines(said)[-1])
        self.finish()

    def test_usr1_under_mpirun(self):
        run = self.start_and_wait_for_results("a.h5", ranks=2)
        run.send_signal(signal.SIGUSR1)
        _, said = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 75, said)
        self.finish(ranks=1)

    def test_ctrl_c_under_mpirun(self):
        run = self.start_and_wait_for_results("a.h5", ranks=2)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)  # mpirun's exit code is its own
        self.assertNotEqual(run.returncode, 0)
        self.finish()

    def test_kill_9(self):
        for _ in range(3):
            run = self.start_and_wait_for_results("a.h5")
            run.kill()
            run.communicate(timeout=60)
        self.finish()

    def test_a_second_signal_does_not_wait(self):
        with open(self.path("long.yaml"), "w", encoding="utf-8") as file:
            file.write("name: long\nfixed: {D: 256, d: 64, K: 4096, N: 65536, epochs: 1000}\n")
        run = self.program.start("run", "long.yaml", "-o", "a.h5", "--grace", "1h")
        while not os.path.exists(self.path("a.h5")):
            time.sleep(0.02)
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        time.sleep(1)
        self.assertIsNone(run.poll())
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=10)
        self.assertEqual(run.returncode, 75, said)
        self.assertIn("stopped at once", own_lines(said)[-1])

    def test_a_lost_journal_is_made_up_for_by_the_file(self):
        run = self.start_and_wait_for_results("a.h5")
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)
        os.remove(self.path("a.h5.journal"))
        end = self.completes("long.yaml", "-o", "a.h5", ranks=2)
        self.assertIn("going on:", end.stderr)
        self.assertEqual(self.program.results("a.h5"), self.expected)


class Failing(Case):
    def test_a_trial_without_memory_fails_and_the_others_do_not(self):
        with open(self.path("job.yaml"), "w", encoding="utf-8") as file:
            file.write("name: big\nfixed: {D: 512, epochs: 1, gap_restarts: 0}\ngrid: {N: [1000, 4000000]}\n")

        def little_memory():  # the large trial's data alone take 8 GB
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

        for again in False, True:
            end = self.program.run("run", "job.yaml", "-o", "a.h5", preexec_fn=little_memory)
            self.assertEqual(end.returncode, 3, end.stderr)
            self.assertIn("1 of 2 trials failed: 1 (", own_lines(end.stderr)[-1])
            self.assertIn("attempt 3", self.program.run("show", "a.h5", "--trial", "1").stdout)
            self.assertEqual("attempt 3: " in end.stderr, not again)  # by then it is given up
        self.assertEqual(self.program.run("status", "a.h5").returncode, 3)
        self.assertEqual(self.program.run("verify", "a.h5").returncode, 3)
        self.assertTrue(os.path.exists(self.path("a.h5.journal")))


class Refused(Case):
    def one_line(self, code, *fragments, args, **how):
        end = self.program.run("run", *args, **how)
        lines = own_lines(end.stderr)
        self.assertEqual((end.returncode, len(lines)), (code, 1), end.stderr)
        for fragment in fragments:
            self.assertIn(fragment, lines[0])

    def test_nothing_to_do(self):
        self.completes(SMOKE, "-o", "a.h5")
        before = os.stat(self.path("a.h5")).st_mtime_ns
        end = self.completes(SMOKE, "-o", "a.h5")
        self.assertEqual(len(own_lines(end.stderr)), 1)
        self.assertIn("15 of 15 trials are in a.h5", end.stderr)
        self.assertEqual(os.stat(self.path("a.h5")).st_mtime_ns, before)

    def test_a_file_of_another_plan(self):
        self.completes(SMOKE, "-o", "a.h5", ranks=2)
        with open(self.path("a.h5"), "rb") as file:
            before = file.read()
        self.one_line(5, "another plan", "-o", args=[SMOKE, "-o", "a.h5", "--seeds", "1..2"], ranks=2)
        with open(self.path("a.h5"), "rb") as file:
            self.assertEqual(file.read(), before)

    def test_a_journal_of_another_plan(self):
        run = self.start_and_wait_for_results("a.h5")
        run.kill()
        run.communicate(timeout=60)
        os.remove(self.path("a.h5"))
        self.one_line(5, "a.h5.journal", "another plan", args=[SMOKE, "-o", "a.h5"])
        self.assertFalse(os.path.exists(self.path("a.h5")))

    def test_errors_are_said_once_by_all_ranks_together(self):
        self.one_line(2, "no option '--fly'", args=[SMOKE, "--fly"], ranks=2)
        self.one_line(2, "none.yaml", args=["none.yaml"], ranks=4)
        self.one_line(2, "--team", args=[SMOKE, "--threads", "1", "--team", "2"], ranks=2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
