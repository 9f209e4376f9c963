"""One writer, no surprises: leases, refusals, retries, stops by time and signal, shards, long trials.

    test_durable.py VQSWEEP SOURCE_FOLDER MPIRUN
"""
import functools
import os
import signal
import sys
import tempfile
import time
import unittest

from program import Program, own_lines

VQSWEEP, MPIRUN = os.path.abspath(sys.argv[1]), sys.argv[3]

SHORT = "name: short\nfixed: {D: 16, N: 256, epochs: 2, gap_restarts: 0}\ngrid: {K: [4, 8]}\nseeds: 1..4\n"
# Four trials.
LONG = "name: long\nfixed: {D: 64, d: 8, K: 128, N: 8192, epochs: %d, gap_restarts: 0}\nseeds: 1..4\n"


def long_job(seconds):
    """LONG, to take about so long on all cores of this machine."""
    return LONG % (seconds * epochs_a_second())


@functools.lru_cache(maxsize=None)
def epochs_a_second():
    epochs = 500
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "long.yaml"), "w", encoding="utf-8") as file:
            file.write(LONG % epochs)
        begin = time.time()
        Program(VQSWEEP, MPIRUN, folder).run("run", "long.yaml", "-o", "a.h5", "-q")
        return epochs / (time.time() - begin)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.program = Program(VQSWEEP, MPIRUN, self.folder)
        self.write("short.yaml", SHORT)
        self.write("long.yaml", long_job(8))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def ends(self, code, *args, **how):
        """Runs the program; its own lines on stderr."""
        end = self.program.run(*args, **how)
        self.assertEqual(end.returncode, code, end.stderr + end.stdout)
        return own_lines(end.stderr)

    def start_long(self, *args, **how):
        run = self.program.start("run", "long.yaml", "-o", "a.h5", *args, **how)
        self.addCleanup(run.communicate)
        self.addCleanup(run.kill)
        self.wait_for("a.h5")
        time.sleep(0.3)
        return run

    def wait_for(self, name):
        deadline = time.time() + 30
        while not os.path.exists(self.path(name)):
            self.assertLess(time.time(), deadline, name)
            time.sleep(0.02)


class Lease(Case):
    def test_a_second_run_is_refused_and_the_first_goes_on(self):
        run = self.start_long()
        said = self.ends(8, "run", "long.yaml", "-o", "a.h5")
        self.assertEqual(len(said), 1)
        self.assertIn(f"process {run.pid} on ", said[0])
        self.assertIn("another run writes it", said[0])
        self.assertIn(f"process {run.pid} on ", self.program.run("status", "a.h5").stdout)
        self.assertIsNone(run.poll())
        self.assertTrue(os.path.exists(self.path("a.h5.lease")))

    def test_the_lease_goes_with_the_run(self):
        self.ends(0, "run", "short.yaml", "-o", "a.h5")
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.h5", "long.yaml", "short.yaml"])

    def test_a_killed_run_holds_nothing_up(self):
        run = self.start_long()
        run.kill()
        run.communicate()
        self.assertIn("interrupted", self.program.run("status", "a.h5").stdout)
        begin = time.time()
        self.ends(75, "run", "long.yaml", "-o", "a.h5", "--time-limit", "1")
        self.assertLess(time.time() - begin, 10)

    def leave_lease(self, age, **words):
        """A lease such as another machine leaves."""
        mine = dict(host="other", process="1", started="1", boot="b", space="pid:[1]", token="t")
        mine.update(words)
        self.write("a.h5.lease", "vqsweep lease\n" + "".join(f"{name} {value}\n" for name, value in mine.items()))
        then = time.time() - age
        os.utime(self.path("a.h5.lease"), (then, then))

    def test_another_machines_lease_is_stale_after_a_minute(self):
        self.leave_lease(61)
        self.ends(0, "run", "short.yaml", "-o", "a.h5")

    def test_a_lease_from_before_a_reboot_is_stale(self):
        self.leave_lease(15, host=os.uname().nodename)
        begin = time.time()
        self.ends(0, "run", "short.yaml", "-o", "a.h5")
        self.assertLess(time.time() - begin, 10)

    def test_a_number_used_again_is_not_the_same_process(self):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        here = dict(boot=boot, space=os.readlink("/proc/self/ns/pid"), host=os.uname().nodename, process=os.getpid())
        with open("/proc/self/stat", encoding="ascii") as file:
            started = file.read().rsplit(")", 1)[1].split()[19]
        self.leave_lease(0, **here, started=int(started) + 1)
        self.ends(0, "run", "short.yaml", "-o", "a.h5")
        self.leave_lease(1000, **here, started=started)
        self.ends(8, "run", "short.yaml", "-o", "a.h5")

    def test_a_young_lease_of_another_machine_is_watched(self):
        self.leave_lease(55)
        run = self.program.start("run", "short.yaml", "-o", "a.h5")
        time.sleep(2.5)
        self.assertIsNone(run.poll())  # it waits ...
        os.utime(self.path("a.h5.lease"))  # ... until that machine shows that it lives
        _, said = run.communicate(timeout=10)
        self.assertEqual(run.returncode, 8, said)
        self.leave_lease(57)
        said = self.ends(0, "run", "short.yaml", "-o", "a.h5")  # or has been silent for a minute
        self.assertIn("waiting up to", said[0])

    def test_a_lease_of_the_future_is_not_waited_for_until_then(self):
        self.leave_lease(-3600)
        run = self.program.start("run", "short.yaml", "-o", "a.h5")
        self.assertIn("waiting up to 60 s to see whether process 1 on other", run.stderr.readline())
        then = time.time() - 61
        os.utime(self.path("a.h5.lease"), (then, then))
        _, said = run.communicate(timeout=10)
        self.assertEqual(run.returncode, 0, said)

    def test_a_run_that_was_taken_for_dead_stops_writing(self):
        self.write("long.yaml", long_job(20))  # surely longer than the 5 s to its next look at the lease
        run = self.start_long()
        self.leave_lease(0)
        _, said = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 8, said)
        self.assertIn("took this run for dead", own_lines(said)[-1])
        self.assertIn("token t", self.read("a.h5.lease"))


class Places(Case):
    """What cannot be a result file, or is something else's, is left alone, with one line that says what to do."""

    def refused(self, code, words, path, **how):
        said = self.ends(code, "run", "short.yaml", "-o", path, **how)
        self.assertEqual(len(said), 1, said)
        self.assertIn(words, said[0])
        self.assertIn("by -o", said[0])

    def test_no_file(self):
        os.mkdir(self.path("folder"))
        os.symlink("elsewhere.h5", self.path("link.h5"))
        self.refused(2, "folder: is a directory", "folder")
        self.refused(2, "new/: is a directory", "new/")
        self.refused(2, "link.h5: is a symbolic link", "link.h5")
        self.refused(2, "/dev/null: is no regular file", "/dev/null")
        self.assertEqual(sorted(os.listdir(self.folder)), ["folder", "link.h5", "long.yaml", "short.yaml"])

    def test_no_place(self):
        self.refused(4, "short.yaml/a.h5.lease: cannot write", "short.yaml/a.h5")
        os.mkdir(self.path("a.h5.lease"))
        os.utime(self.path("a.h5.lease"), (1, 1))
        said = self.ends(4, "run", "short.yaml", "-o", "a.h5")
        self.assertIn("a.h5.lease: cannot replace what is there: Is a directory", said[-1])

    def test_another_file(self):
        self.refused(5, "short.yaml: not an HDF5 file", "short.yaml")
        self.write("a.h5.journal", "precious")
        self.refused(5, "a.h5.journal: not a vqsweep journal", "a.h5")
        self.assertEqual((self.read("short.yaml"), self.read("a.h5.journal")), (SHORT, "precious"))


class Terminal(Case):
    def test_a_hangup_stops_the_run_in_order(self):
        run = self.start_long("--grace", "1")
        run.send_signal(signal.SIGHUP)
        _, said = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 75, said)

    def test_nohup_is_respected(self):
        run = self.start_long(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        run.send_signal(signal.SIGHUP)
        time.sleep(1)
        self.assertIsNone(run.poll())

    def test_nobody_has_to_listen(self):
        run = self.start_long("--time-limit", "2", "--grace", "1")
        run.stderr.close()
        run.stdout.close()
        self.assertEqual(run.wait(30), 75)
        run.stderr = run.stdout = None  # for the clean-up


class Mixing(Case):
    def test_what_differs_is_said(self):
        self.ends(0, "run", "short.yaml", "-o", "a.h5")
        self.write("short.yaml", SHORT.replace("[4, 8]", "[4, 16]"))
        said = self.ends(5, "run", "short.yaml", "-o", "a.h5")
        self.assertEqual(len(said), 1)
        self.assertIn("another plan (of 8 trials, not 8; K: 8 only there, 16 only here)", said[0])
        said = self.ends(5, "run", "short.yaml", "-o", "a.h5", "--seeds", "1..2")
        self.assertIn("seed: 3 only there", said[0])

    def test_a_larger_job_takes_over_what_a_smaller_one_did(self):
        self.ends(0, "run", "short.yaml", "-o", "a.h5")
        before = self.program.results("a.h5")
        self.write("short.yaml", SHORT.replace("[4, 8]", "[4, 8, 16]"))
        self.ends(5, "run", "short.yaml", "-o", "a.h5")
        self.ends(0, "run", "short.yaml", "-o", "a.h5", "--allow-mixed")
        self.ends(0, "run", "short.yaml", "-o", "b.h5")
        self.assertEqual(self.program.results("a.h5"), self.program.results("b.h5"))
        self.assertIn("(plan ", self.program.counts("a.h5")["mixed_with"])
        self.assertTrue(set(digests(before)) < set(digests(self.program.results("a.h5"))))
        self.ends(0, "run", "short.yaml", "-o", "a.h5")  # now it is of this job

    def test_nothing_is_dropped(self):
        self.ends(0, "run", "short.yaml", "-o", "a.h5")
        before = self.program.results("a.h5")
        said = self.ends(5, "run", "short.yaml", "-o", "a.h5", "--allow-mixed", "--seeds", "1..2")
        self.assertIn("4 results that this job does not ask for", said[0])
        self.assertEqual(self.program.results("a.h5"), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.h5", "long.yaml", "short.yaml"])


def digests(shown):
    return [line.rsplit("digest=", 1)[1] for line in shown.splitlines()]


class Shards(Case):
    def test_merged_shards_are_the_whole(self):
        for i in 1, 2, 3:
            self.ends(0, "run", "short.yaml", "-o", f"{i}.h5", "--shard", f"{i}/3", "-q")
            self.assertEqual(self.program.run("status", f"{i}.h5").returncode, 0)
        said = self.ends(75, "merge", "all.h5", "1.h5", "3.h5")
        self.assertIn("5 of 8 trials", said[0])
        self.ends(0, "merge", "all.h5", "1.h5", "2.h5")
        self.ends(0, "run", "short.yaml", "-o", "whole.h5", "-q")
        self.assertEqual(self.program.results("all.h5"), self.program.results("whole.h5"))
        self.ends(0, "verify", "all.h5")
        self.assertFalse(os.path.exists(self.path("all.h5.journal")))

    def test_inputs_of_another_plan_are_refused(self):
        self.ends(0, "run", "short.yaml", "-o", "1.h5", "-q")
        self.ends(0, "run", "short.yaml", "-o", "2.h5", "-q", "--seeds", "1..2")
        self.assertIn("2.h5: holds another plan", self.ends(5, "merge", "all.h5", "1.h5", "2.h5")[0])
        self.assertIn("both written and read", self.ends(2, "merge", "1.h5", "1.h5")[0])
        self.ends(2, "merge", "all.h5")

    def test_bad_shards(self):
        for shard in "0/2", "3/2", "1", "1/2/3", "x":
            self.assertIn("must be I/N", self.ends(2, "run", "short.yaml", "--shard", shard)[0])


class Stops(Case):
    """Long trials: left within the grace, taken up again, to the same bits."""

    def finish(self, **how):
        self.ends(0, "run", "long.yaml", "-o", "a.h5", "-q", **how)
        self.ends(0, "run", "long.yaml", "-o", "b.h5", "-q")
        self.assertEqual(self.program.results("a.h5"), self.program.results("b.h5"))
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.h5", "b.h5", "long.yaml", "short.yaml"])

    def test_the_time_limit_is_kept(self):
        self.write("long.yaml", long_job(18))  # surely not done after two runs of three seconds
        for ranks in 0, 2:
            begin = time.time()
            said = self.ends(75, "run", "long.yaml", "-o", "a.h5", "--time-limit", "3", "--grace", "2", ranks=ranks)
            self.assertLess(time.time() - begin, 20)  # far less than all trials take on a machine this busy
            self.assertIn("run the same command again", said[-1])
            self.assertTrue(os.listdir(self.path("a.h5.trials")))
        self.finish()

    def test_the_batch_systems_limit_is_kept(self):
        os.environ["SLURM_JOB_END_TIME"] = str(int(time.time()) + 4)
        self.addCleanup(os.environ.pop, "SLURM_JOB_END_TIME")
        begin = time.time()
        end = self.program.run("run", "long.yaml", "-o", "a.h5", env=dict(os.environ))
        self.assertEqual(end.returncode, 75, end.stderr)
        self.assertLess(time.time() - begin, 30)

    def test_a_signal_leaves_what_takes_too_long(self):
        run = self.start_long("--grace", "1")
        run.send_signal(signal.SIGUSR1)
        begin = time.time()
        _, said = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 75, said)
        self.assertLess(time.time() - begin, 20)
        self.assertTrue(os.listdir(self.path("a.h5.trials")))
        self.finish(ranks=2)

    def saved(self):
        """When each trial was saved last."""
        folder = self.path("a.h5.trials")
        names = [name for name in os.listdir(folder) if ".tmp" not in name] if os.path.exists(folder) else []
        return {name: os.stat(os.path.join(folder, name)).st_mtime_ns for name in names}

    def test_kill_9_costs_at_most_the_interval_and_is_not_held_against_trials_that_get_on(self):
        for _ in range(2):
            before, until = self.saved(), time.time() + 60
            run = self.start_long("--trial-checkpoint", "1", "--threads", "1")
            while time.time() < until and self.saved() in (before, {}):
                time.sleep(0.05)
            run.kill()
            _, said = run.communicate()
            self.assertNotIn("rank 0 died", said)
        self.assertTrue(self.saved())
        self.finish()

    def test_a_stop_that_ends_in_kill_9_is_not_held_against_what_ran(self):
        run = self.start_long("--grace", "60")
        run.send_signal(signal.SIGTERM)
        while "trials that end within" not in run.stderr.readline():
            self.assertIsNone(run.poll())
        time.sleep(0.3)
        run.kill()
        run.wait()
        said = self.ends(75, "run", "long.yaml", "-o", "a.h5", "--time-limit", "1")
        self.assertNotIn("rank 0 died", "".join(said))

    def test_bad_times(self):
        for text in "", "x", "1x", "1:2:3:4", "-1", "0":
            self.ends(2, "run", "long.yaml", "--time-limit", text)


class Failing(Case):
    """A data file that goes away makes trials fail."""

    def setUp(self):
        super().setUp()
        self.write("job.yaml", "name: big\nfixed: {D: 512, epochs: 1, gap_restarts: 0}\ngrid: {N: [1000, 4000000]}\n")

    def attempt(self, code, *args):
        def little_memory():
            import resource
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

        end = self.program.run("run", "job.yaml", "-o", "a.h5", *args, preexec_fn=little_memory)
        self.assertEqual(end.returncode, code, end.stderr)
        shown = self.program.run("show", "a.h5", "--trial", "1").stdout
        return int(shown.split("attempt ")[1].split(",")[0])

    def test_failed_trials_are_tried_again_up_to_a_point(self):
        self.assertEqual(self.attempt(3, "--attempts", "2"), 2)
        self.assertEqual(self.attempt(3, "--only-pending"), 2)
        self.assertEqual(self.attempt(3), 3)
        self.assertEqual(self.attempt(3), 3)  # given up
        self.assertEqual(self.attempt(3, "--retry-failed"), 6)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
