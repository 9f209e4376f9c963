"""Every bad command line and bad job through the real program: the exit code, and exactly one line that says why.

    test_cli.py VQSWEEP SOURCE_FOLDER
"""
import os
import subprocess
import sys
import tempfile
import unittest

from program import Program

VQSWEEP, SOURCE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
SMOKE = os.path.join(SOURCE, "jobs", "smoke.yaml")


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.program = Program(VQSWEEP, None, self.folder)

    def refused(self, args, *fragments, code=2):
        """One line on stderr with these fragments in it, nothing on stdout, nothing written."""
        before = sorted(os.listdir(self.folder))
        end = self.program.run(*args)
        lines = end.stderr.splitlines()
        self.assertEqual((end.returncode, len(lines)), (code, 1), (args, end.stderr))
        self.assertTrue(lines[0].startswith("vqsweep: "), lines[0])
        for fragment in fragments:
            self.assertIn(fragment, lines[0], args)
        self.assertEqual(end.stdout, "", args)
        self.assertEqual(sorted(os.listdir(self.folder)), before, args)

    def write(self, text, name="job.yaml"):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)
        return name

    def test_bad_command_lines(self):
        for args, *fragments in (
                ([], "no command", "--help"),
                (["fly"], "no command 'fly'"),
                (["help", "fly"], "no command 'fly'"),
                (["run"], "needs a JOB", "run --help"),
                (["run", SMOKE, "other"], "'other'"),
                (["run", SMOKE, "--fly"], "no option '--fly'"),
                (["run", SMOKE, "-x"], "no option '-x'"),
                (["run", SMOKE, "-qx"], "no option '-x'"),
                (["run", SMOKE, "--quiet=3"], "--quiet=3"),
                (["run", SMOKE, "--threads"], "'--threads' needs a value"),
                (["run", SMOKE, "-o"], "'-o' needs a value"),
                (["run", SMOKE, "-o", ""], "--output", "empty"),
                (["run", SMOKE, "--threads", "0"], "--threads", "1 to 4096", "'0'"),
                (["run", SMOKE, "--threads", "two"], "--threads", "'two'"),
                (["run", SMOKE, "--threads", "2x"], "'2x'"),
                (["run", SMOKE, "--threads", "99999999999999999999"], "1 to 4096"),
                (["run", SMOKE, "--threads", "2", "--team", "3"], "--team"),
                (["run", SMOKE, "--prefetch", "-1"], "--prefetch"),
                (["run", SMOKE, "--seeds", "often"], "--seeds"),
                (["plan", SMOKE, "--seeds", "9..1"], "--seeds"),
                (["plan", SMOKE, "-o", "x.h5"], "no option '-o'"),
                (["plan"], "needs a JOB"),
                (["show"], "needs a FILE"),
                (["show", "x.h5", "--trial", "-1"], "--trial"),
                (["verify"], "needs a FILE"),
                (["verify", "x.h5", "--sample", "many"], "--sample"),
                (["settings", "beta"], "'beta'"),
                (["version", "-q"], "no option '-q'")):
            self.refused(args, *fragments)

    def test_bad_jobs(self):
        for text, line, *fragments in (
                ("", None),
                ("name: [\n", None),
                ("name: a\nfixed: {K: 8, speed: 3}\n", 2, "speed"),
                ("name: a\nfixed:\n  beta: often\n", 3, "beta", "'often'"),
                ("name: a\nfixed:\n  K: 0\n", 3, "K"),
                ("name: a\nfixed: {N: 10, K: 11, D: 4}\n", None, "K"),
                ("name: a\ngrid: {K: []}\n", 2, "K"),
                ("name: a\nlist: [{K: 4}, {K: 4}]\n", 2),
                ("name: a\nseeds: 1..1000000000\n", 1, "trials"),
                ("name: a\ngrid: {estimator: [ste, steel]}\n", 2, "steel")):
            job = self.write(text)
            where = f"job.yaml:{line}:" if line else "job.yaml"
            self.refused(["plan", job], where, *fragments)
            self.refused(["run", job], where, *fragments)

    def test_files_that_are_not_there_or_not_ours(self):
        self.refused(["run", "none.yaml"], "none.yaml", "No such file")
        self.refused(["run", "."], "Is a directory")
        self.refused(["plan", "none.yaml"], "No such file")
        other = self.write("not HDF5\n", "other.h5")
        for command in "status", "show", "verify":
            self.refused([command, "none.h5"], "none.h5", code=4)
            self.refused([command, other], "other.h5", code=5)
        self.refused(["run", SMOKE, "-o", other], "other.h5", code=5)
        job = self.write("name: a\nfixed: {data: csv, path: none.csv, D: 4, N: 20, N_eval: 10, K: 4}\n")
        self.refused(["run", job], "none.csv")

    def test_places_that_cannot_be_written(self):
        blocker = self.write("a file\n", "file")
        self.refused(["run", SMOKE, "-o", blocker + "/x.h5"], "file", code=4)
        self.refused(["run", SMOKE, "-o", "/proc/none/x.h5"], "/proc/none", code=4)

    def test_help_and_tables(self):
        for args, *fragments in (
                (["--help"], "run JOB", "verify FILE", "help COMMAND"),
                (["help"], "run JOB"),
                (["help", "run"], "--threads", "mpirun", "75"),
                (["run", "--help"], "--threads"),
                (["run", "-h", "--fly"], "--threads"),
                (["--version"], "compiler", "mpi", "hdf5", "openblas_kernel", "cpu_class"),
                (["version"], "compiler"),
                (["estimators"], "ste", "rotation_trick", "projector (a = 1, b = 0)", "u (v.g) to code k", "kmeans"),
                (["settings"], "beta", "commitment weight", "codebook_init"),
                (["metrics"], "lloyd_gap", "code_drift"),
                (["plan", SMOKE], "study    estimators: 6 trials", "memory", "core-seconds"),
                (["plan", SMOKE, "--seeds", "1..3"], "study    estimators: 18 trials")):
            end = self.program.run(*args)
            self.assertEqual((end.returncode, end.stderr), (0, ""), args)
            for fragment in fragments:
                self.assertIn(fragment, end.stdout, args)
            self.assertNotIn("(null)", end.stdout, args)  # a table without a row that the program has

    def test_output_that_cannot_be_printed(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            end = subprocess.run([VQSWEEP, "settings"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual((end.returncode, end.stderr.count("\n")), (4, 1), end.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
