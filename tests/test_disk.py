"""Disks that fill up and fail, memory that runs out: nothing written is harmed, and the run goes on or says how to.

    test_disk.py VQSWEEP VQSWEEP_FAULTY [--long | --mount]

With --mount the first meets a small file system of its own that fills up for real (root only, else exit code 77);
without, the second meets failures by faults.h.
"""
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from program import ENVIRONMENT, Program, own_lines

VQSWEEP, FAULTY = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
LONG, MOUNT = "--long" in sys.argv, "--mount" in sys.argv
SANE = {0, 3, 4, 6, 75}  # whatever fails; anything else is a crash

JOB = """
name: disk
fixed: {D: 16, N: 512, epochs: 40, gap_restarts: 0, snapshots: [0, 10, 20, 30]}
grid: {K: [8, 64]}
seeds: 1..10
"""
# Some seconds of trials, and some megabytes of records.
LARGE = JOB.replace("N: 512, epochs: 40", "N: 4096, epochs: 800").replace("1..10", "1..60")


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.program = Program(VQSWEEP, None, self.folder)
        self.faulty = Program(FAULTY, None, self.folder)
        with open(os.path.join(self.folder, "disk.yaml"), "w", encoding="utf-8") as file:
            file.write(JOB)

    def expect_the_same(self, file="a.h5", job="disk.yaml"):
        """The same command without failures ends with what an undisturbed run gives."""
        end = self.program.run("run", job, "-o", file, "-q")
        self.assertEqual(end.returncode, 0, end.stderr)
        expected = os.path.join(self.folder, "undisturbed.h5")
        if not os.path.exists(expected):
            self.assertEqual(self.program.run("run", job, "-o", expected, "-q").returncode, 0)
        self.assertEqual(self.program.results(file), self.program.results(expected))

    def fail(self, fault, *args):
        for name in os.listdir(self.folder):
            if name.startswith(("a.h5", "write.", "sync.", "rename.", "alloc.")):
                os.remove(os.path.join(self.folder, name))
        env = dict(ENVIRONMENT, VQS_FAULTS=fault, VQS_FAULTS_FOLDER=self.folder)
        end = self.faulty.run("run", "disk.yaml", "-o", "a.h5", *args, env=env)
        self.assertIn(end.returncode, SANE, f"{fault}: {end.returncode}\n{end.stderr}")
        self.assertTrue(end.returncode == 0 or own_lines(end.stderr), f"{fault}: exit code {end.returncode} without a word")
        return end


class OneFailure(Case):
    """Each single failure in turn is survived."""

    def each(self, point, numbers):
        hit = 0
        for n in numbers:
            end = self.fail(f"{point}={n}/1", "--threads", "1")
            hit += os.path.exists(os.path.join(self.folder, f"{point}.{n}"))
            if point != "alloc" and "cannot" in end.stderr and end.returncode != 0:
                self.assertIn(end.returncode, (4, 75), end.stderr)
            self.expect_the_same()
        self.assertGreater(hit, len(numbers) // 2, "the failures did not happen")

    def test_write(self):
        self.each("write", range(1, 400, 3 if LONG else 23))

    def test_sync(self):
        self.each("sync", [1, 2])

    def test_rename(self):
        self.each("rename", [1, 2, 3])

    def test_alloc(self):
        self.each("alloc", range(1, 700, 5 if LONG else 29))


class LastingFailure(Case):
    def test_a_full_disk_holds_up_the_run_until_its_time_is_over(self):
        end = self.fail("write=40", "--time-limit", "4", "--grace", "1")
        self.assertEqual(end.returncode, 75 if "warning" in end.stderr else 4, end.stderr)
        self.expect_the_same()

    def test_a_sync_that_fails_is_made_up_for(self):
        end = self.fail("sync=1/1")
        self.assertEqual(end.returncode, 0, end.stderr)
        self.expect_the_same()

    def test_a_file_that_cannot_be_put_in_place_leaves_the_journal(self):
        end = self.fail("rename=3")
        self.assertEqual(end.returncode, 75, end.stderr)
        self.assertIn("every result is in a.h5.journal", end.stderr)
        self.expect_the_same()


def mount(folder):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", folder], capture_output=True, check=False)
    return done.returncode == 0


class FullDisk(Case):
    """A file system of its own that something else fills, and empties again while the run waits."""

    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.folder, "disk")
        os.mkdir(self.disk)
        self.assertTrue(mount(self.disk))
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=False)
        with open(os.path.join(self.folder, "disk.yaml"), "w", encoding="utf-8") as file:
            file.write(LARGE)
        self.ballast = os.path.join(self.disk, "ballast")

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def start_and_fill(self, *args):
        run = self.program.start("run", "disk.yaml", "-o", "disk/a.h5", *args)
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(run.stderr))
        reader.start()
        self.addCleanup(reader.join)
        self.addCleanup(run.kill)
        while not os.path.exists(os.path.join(self.disk, "a.h5")):
            time.sleep(0.01)
        time.sleep(0.5)
        self.fill()
        deadline = time.time() + 60
        while not any("No space left" in line for line in lines):
            self.assertLess(time.time(), deadline, "the full disk was not noticed")
            self.assertIsNone(run.poll(), lines)
            time.sleep(0.05)
        return run, reader, lines

    def test_the_run_waits_and_goes_on(self):
        run, reader, lines = self.start_and_fill()
        time.sleep(2)
        self.assertIsNone(run.poll(), lines)
        os.remove(self.ballast)
        self.assertEqual(run.wait(timeout=90), 0, lines)
        reader.join()
        self.assertIn("can be written to again", "".join(lines))
        self.expect_the_same("disk/a.h5")

    def test_the_run_ends_unfinished_at_its_time_limit(self):
        run, reader, lines = self.start_and_fill("--time-limit", "5", "--grace", "1")
        self.assertEqual(run.wait(timeout=30), 75, lines)
        reader.join()
        self.assertIn("could not be kept", own_lines("".join(lines))[-1])
        os.remove(self.ballast)
        self.expect_the_same("disk/a.h5")

    def test_a_read_only_disk_at_the_start(self):
        subprocess.run(["mount", "-o", "remount,ro", self.disk], check=True)
        end = self.program.run("run", "disk.yaml", "-o", "disk/a.h5")
        self.assertEqual(end.returncode, 4, end.stderr)
        self.assertIn("Read-only file system", own_lines(end.stderr)[0])


def main():
    with tempfile.TemporaryDirectory() as folder:
        if MOUNT and not mount(folder):
            print("skipped: no right to mount a tmpfs (root has it)")
            sys.exit(77)
        if MOUNT:
            subprocess.run(["umount", "-l", folder], check=False)
    cases = ["FullDisk"] if MOUNT else ["OneFailure", "LastingFailure"]
    unittest.main(argv=sys.argv[:1] + cases)


if __name__ == "__main__":
    main()
