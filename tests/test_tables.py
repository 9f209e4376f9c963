#!/usr/bin/python3
"""analysis/tables.py on small files with known values: numbers, rates, pairs, failures and bad input."""
import collections
import contextlib
import csv
import io
import os
import re
import subprocess
import sys
import tempfile
import unittest

try:
    import h5py
    import numpy
    import pandas  # noqa: F401  what is under test needs it
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT + "/analysis")
import tables  # noqa: E402
import vqsweep_store  # noqa: E402

METRICS = ["dead_codes_train", "entropy_train", "mse_train", "mse_eval", "explained_variance_train",
           "subspace_recovery", "collapsed"]
SETTINGS = {"data": "subspace", "path": "", "D": 128, "r": 2, "sigma": 0.1, "latent": "gaussian", "latent_scale": 1.0,
            "N": 4096, "d": 2, "decoder": "tied", "K": 16, "codebook_init": "uniform", "estimator": "ste",
            "beta": 0.25, "lr": 0.002, "epochs": 50, "seed": 1}

SEED_ROWS = """
scaling | 4 | 0.0 ± 0.0 | 0.0 ± 0.0 | 1.34 ± 0.06 | 1.37 ± 0.01 |
scaling | 8 | 0.0 ± 0.0 | 0.0 ± 0.0 | 2.00 ± 0.05 | 2.03 ± 0.01 |
scaling | 16 | 0.0 ± 0.0 | 0.0 ± 0.0 | 2.65 ± 0.02 | 2.64 ± 0.03 |
scaling | 32 | **5.7 ± 8.0** | **0.0 ± 0.0** | 2.93 ± 0.52 | **3.25 ± 0.07** |
scaling | 64 | **25.7 ± 18.2** | **3.0 ± 4.2** | 3.00 ± 0.62 | **3.77 ± 0.15** |
noise | 0.0 | 0.0156 ± 0.0003 | 0.0155 ± 0.0002 | 1.70 ± 0.67 | 2.17 ± 0.28 |
noise | 0.1 | 0.0254 ± 0.0002 | 0.0254 ± 0.0002 | 2.64 ± 0.04 | 2.60 ± 0.05 |
noise | 0.3 | 0.1045 ± 0.0001 | 0.1045 ± 0.0001 | 2.76 ± 0.00 | 2.77 ± 0.00 |
commitment | 0.0 | 15.0 ± 0.0 | 15.0 ± 0.0 | 2.76 |
commitment | 0.1 | **8.0 ± 5.7** | **3.7 ± 5.2** | 2.75 |
commitment | 0.25 | 0.0 ± 0.0 | 0.0 ± 0.0 | 2.75 |
commitment | 1.0 | 0.0 ± 0.0 | 0.0 ± 0.0 | 2.75 |
"""  # as they stand in the seed study


def trial(status="completed", dead=0.0, entropy=2.0, mse=0.0256, mse_eval=0.03, collapsed=0.0, **settings):
    metrics = [dead, entropy, mse, mse_eval, 0.25, 0.5, collapsed]
    if status != "completed":
        metrics = [numpy.nan] * len(metrics)
    return {**SETTINGS, **settings, "status": status, **dict(zip(METRICS, metrics))}


def kmeans(**settings):
    return trial(estimator="kmeans", decoder="", codebook_init="", beta=numpy.nan, lr=numpy.nan, epochs=numpy.nan,
                 **settings)


def write(path, trials, studies):
    with h5py.File(path, "w") as file:
        file.attrs["vqsweep_schema"] = vqsweep_store.SCHEMA
        file["trial"] = numpy.arange(len(trials))
        file["trial"].make_scale("trial")
        file["epoch"] = numpy.arange(len(trials))  # of the same length, and not a column
        file["epoch"].make_scale("epoch")
        for name in trials[0]:
            values = [t[name] for t in trials]
            file.create_dataset(name, data=values, dtype=h5py.string_dtype("utf-8", 16) if isinstance(values[0], str)
                                else None)
            file[name].dims[0].attach_scale(file["trial"])
            if name in METRICS:
                file[name].attrs["formula"] = "made up"
        for name, members in studies.items():
            file["studies/" + name] = numpy.array(members, dtype="u4")


Done = collections.namedtuple("Done", "returncode stdout stderr")


def run(path, *arguments):
    """In this process, because starting one takes longer than any test; test_the_script_itself starts one."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = tables.main([path, *arguments])
    return Done(code, out.getvalue(), err.getvalue())


def rows(path, **wanted):
    done = run(path, "--format", "csv")
    assert done.returncode == 0, done.stderr
    return [row for row in csv.DictReader(io.StringIO(done.stdout))
            if all(row[name] == str(value) for name, value in wanted.items())]


class Tables(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = folder.name + "/made_up.h5"

    def store(self, trials, **studies):
        write(self.path, trials, studies or {"scaling": range(len(trials))})

    def one(self, **wanted):
        found = rows(self.path, **wanted)
        self.assertEqual(len(found), 1, found)
        return found[0]

    def test_mean_population_sd_and_rate_of_collapse(self):
        self.store([trial(seed=1, dead=0, K=32), trial(seed=2, dead=0, K=32), trial(seed=3, dead=17, K=32, collapsed=1)])
        ours = self.one(source="vqsweep", metric="dead_codes_train", estimator="ste", value=32)
        self.assertEqual(ours["n"], "3")
        self.assertAlmostEqual(float(ours["mean"]), 17 / 3)
        self.assertAlmostEqual(float(ours["sd"]), 17 * 2 ** 0.5 / 3)  # population SD of (0, 0, 17)
        text = run(self.path).stdout
        self.assertRegex(text, r"tied, uniform +5\.7 ± 8\.0 +- +1/3 ")  # the same cell that the seed reports
        self.assertRegex(text, r"32  seed study +5\.7 ± 8\.0 +0\.0 ± 0\.0 +- ")

    def test_load(self):
        self.store([trial(K=4), kmeans(K=8, entropy=1.5)])
        trials = vqsweep_store.load(self.path)
        self.assertEqual(sorted(trials.columns), sorted([*SETTINGS, "status", *METRICS]))
        self.assertEqual((trials.K.tolist(), trials.decoder.tolist()), ([4, 8], ["tied", ""]))
        self.assertEqual(trials.entropy_train[1], 1.5)
        self.assertEqual(sorted(trials.attrs["settings"]), sorted(SETTINGS))
        self.assertEqual(trials.attrs["studies"]["scaling"].tolist(), [0, 1])
        self.assertEqual(trials.attrs["file"]["vqsweep_schema"], vqsweep_store.SCHEMA)

    def test_each_regime_is_a_cell(self):
        self.store([trial(decoder=d, codebook_init=i, entropy=n) for n, (d, i) in
                    enumerate([("tied", "uniform"), ("tied", "normal"), ("free", "uniform"), ("free", "normal")])])
        for n, (d, i) in enumerate([("tied", "uniform"), ("tied", "normal"), ("free", "uniform"), ("free", "normal")]):
            cell = self.one(decoder=d, codebook_init=i, metric="entropy_train", estimator="ste", source="vqsweep")
            self.assertEqual((cell["n"], float(cell["mean"])), ("1", n))

    def test_pairs(self):
        self.store([trial(seed=1, entropy=2.0), trial(seed=2, entropy=2.0), trial(seed=3, entropy=2.0),
                    trial(seed=4, entropy=9.0),  # no partner
                    trial(seed=3, entropy=2.0005, estimator="rotation"),  # equal to 3 digits
                    trial(seed=2, entropy=2.1, estimator="rotation"),
                    trial(seed=1, entropy=2.3, estimator="rotation")])
        pair = self.one(estimator="rotation - ste", metric="entropy_train")
        self.assertEqual((pair["n"], pair["equal"]), ("3", "1"))
        self.assertAlmostEqual(float(pair["mean"]), 0.4005 / 3)
        differences = [0.3, 0.1, 0.0005]
        self.assertAlmostEqual(float(pair["se"]), numpy.std(differences, ddof=1) / 3 ** 0.5)
        dead = self.one(estimator="rotation - ste", metric="dead_codes_train")
        self.assertEqual((dead["equal"], float(dead["mean"])), ("3", 0))
        self.assertRegex(run(self.path).stdout, r"tied, uniform +3 +\+0\.00 ± 0\.00 +3/3 +\+0\.134 ± 0\.088 +1/3 ")

    def test_kmeans_of_the_same_data(self):
        self.store([trial(sigma=0.1), trial(sigma=0.3), kmeans(sigma=0.1, entropy=2.75),
                    kmeans(sigma=0.3, entropy=1.5), kmeans(sigma=0.1, entropy=9, seed=2)], noise=[0, 1])
        for sigma, entropy in ((0.1, 2.75), (0.3, 1.5)):
            cell = self.one(source="vqsweep", estimator="kmeans", value=sigma)
            self.assertEqual((cell["n"], float(cell["mean"])), ("1", entropy))

    def test_failures_are_counted_and_shown(self):
        self.store([trial(seed=1), trial(seed=2, status="failed"), trial(seed=3, status="diverged"),
                    trial(seed=4, status="pending"), trial(seed=1, estimator="rotation")])
        cell = self.one(source="vqsweep", estimator="ste", metric="entropy_train")
        self.assertEqual([cell[s] for s in ("n", "failed", "diverged", "pending")], ["1"] * 4)
        done = run(self.path)
        self.assertEqual(done.returncode, 0)
        self.assertIn("5 trials: 2 completed, 1 failed, 1 diverged, 1 pending.", done.stdout)
        self.assertIn("UNFINISHED: 1 of 5 trials", done.stdout)
        self.assertIn("Not in the numbers of K 16, tied, uniform: ste 1 failed, ste 1 diverged, ste 1 pending.", done.stdout)

    def test_nothing_completed(self):
        self.store([trial(seed=1, status="pending"), trial(seed=1, status="pending", estimator="rotation")])
        done = run(self.path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("UNFINISHED: 2 of 2", done.stdout)
        self.assertEqual(run(self.path, "--format", "csv").returncode, 0)

    def test_pooling_is_said(self):
        self.store([trial(lr=0.002), trial(lr=0.004)])
        self.assertIn("Every cell pools over lr.", run(self.path).stdout)

    def test_the_seeds_figures(self):
        self.store([trial(K=k) for k in (4, 8, 16, 32, 64)] + [trial(sigma=s) for s in (0.0, 0.3)]
                   + [trial(beta=b) for b in (0.0, 0.1, 1.0)],
                   scaling=range(5), noise=[2, 5, 6], commitment=[2, 7, 8, 9])
        printed = {}
        for row in rows(self.path, source="seed"):
            cell = printed.setdefault((row["table"], float(row["value"])), [])
            cell += [float(row["mean"])] + ([float(row["sd"])] if row["sd"] else [])
        for study, value, *figures in re.findall(r"(\S+) \| (\S+) \| (.*)", SEED_ROWS):
            expected = [float(x) for x in re.findall(r"[\d.]+", figures[0])]
            self.assertEqual(printed.pop((study, float(value))), expected)
        self.assertEqual(printed, {})
        text = run(self.path).stdout
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 120)
        for title in ("Scaling: codes.", "Noise robustness: reconstruction.", "Commitment: codes."):
            self.assertIn(title, text)
        only = run(self.path, "--table", "noise", "--format", "markdown").stdout
        self.assertIn("| 0.1 | seed study | 3 | 3 | 0.0254 ± 0.0002 | 0.0254 ± 0.0002 | - | - |", only)
        self.assertNotIn("Scaling", only)

    def test_bad_input_gets_one_line(self):
        def refused(code, pattern, *arguments):
            done = run(self.path, *arguments)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (code, "", 1), done.stderr)
            self.assertRegex(done.stderr, pattern)
        refused(4, "made_up.h5: no such file")
        os.mkdir(self.path)
        refused(4, "not a file")
        os.rmdir(self.path)
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("name: seed_study\n" * 100)
        refused(5, "not a readable HDF5 file")
        h5py.File(self.path, "w").close()
        refused(5, "not a result of vqsweep")
        with h5py.File(self.path, "w") as file:
            file.attrs["vqsweep_schema"] = 99
        refused(5, "schema version 99; this reader knows version 2")
        self.store([trial()], other=[0])
        refused(5, "no study called scaling or noise or commitment; it has: other")
        refused(5, "no study called noise; it has: other", "--table", "noise")

    def test_the_script_itself(self):
        self.store([trial()])
        for arguments, code in (([self.path], 0), (["/nowhere.h5"], 4), ([], 2), ([self.path, "--table", "x"], 2)):
            done = subprocess.run([ROOT + "/analysis/tables.py", *arguments], capture_output=True, text=True)
            self.assertEqual((done.returncode, bool(done.stdout)), (code, code == 0), done.stderr)

    def test_missing_module_gets_one_line(self):
        hidden = os.path.dirname(self.path)
        with open(hidden + "/h5py.py", "w", encoding="utf-8") as file:
            file.write("raise ModuleNotFoundError('hidden', name='h5py')\n")
        done = subprocess.run(["/usr/bin/python3", ROOT + "/analysis/tables.py", self.path], capture_output=True,
                              text=True, env={"PYTHONPATH": hidden})
        self.assertEqual((done.returncode, done.stderr.count("\n")), (7, 1), done.stderr)
        self.assertIn("apt-get install python3-h5py, and run it with /usr/bin/python3", done.stderr)


if __name__ == "__main__":
    unittest.main()
