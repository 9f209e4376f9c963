#!/usr/bin/python3
"""analysis/vqsweep_store.py on files of the real program: its examples, a run that goes on, a million trials.

    test_store_reader.py VQSWEEP

VQSWEEP_LONG=1 adds the million trials, which take a minute to make up.
"""
import doctest
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import h5py
    import numpy
    import pandas  # noqa: F401
    import xarray  # noqa: F401
    import h5netcdf  # noqa: F401
    import xxhash  # noqa: F401
    import yaml  # noqa: F401
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

VQSWEEP = os.path.abspath(sys.argv.pop(1))
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT + "/analysis")
import small_study  # noqa: E402
import study  # noqa: E402
import vqsweep_journal  # noqa: E402
import vqsweep_store  # noqa: E402
from program import Program  # noqa: E402

LONG = bool(os.environ.get("VQSWEEP_LONG"))
MILLION = 1_000_000


def setUpModule():
    global FOLDER, FILE
    FOLDER = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(FOLDER.cleanup)
    FILE = small_study.run(VQSWEEP, FOLDER.name, seeds="1..2")


class Reader(unittest.TestCase):
    def test_the_examples_run(self):
        results = doctest.testmod(vqsweep_store, extraglobs={"FILE": FILE})
        self.assertEqual(results.failed, 0)
        self.assertGreaterEqual(results.attempted, 6)

    def test_what_load_tells_of_the_file(self):
        trials = vqsweep_store.load(FILE)
        self.assertEqual(len(trials), 2 * 87)
        self.assertEqual(trials.attrs["metrics"][:2], ["mse_train", "mse_eval"])
        self.assertEqual(trials.attrs["settings"][0], "data")
        self.assertEqual(list(trials.attrs["studies"]), ["scaling", "noise", "commitment"])
        self.assertEqual(trials.attrs["units"]["entropy_train"], "nat")
        self.assertIn("n_k", trials.attrs["formulas"]["dead_codes_train"])
        first = trials.attrs["contrasts"][0]
        self.assertEqual((first.name, first.values, first.where, first.each),
                         ("dead_codes_K32", ("ste", "rotation"), {"K": "32"}, ["decoder", "codebook_init"]))
        some = vqsweep_store.load(FILE, columns=["K", "mse_eval"])
        self.assertEqual(sorted(some.columns), ["K", "mse_eval", "status"])

    def test_curves_and_codebooks_are_those_of_the_trial(self):
        trials = vqsweep_store.load(FILE)
        chosen = trials.index[trials.estimator == "rotation"][[5, 0, 3]]
        loss = vqsweep_store.curve(FILE, "loss", chosen)
        with h5py.File(FILE) as file:
            for row, trial in zip(loss, chosen):
                numpy.testing.assert_array_equal(row, file["curve_loss"][trial])
        snapshots = vqsweep_store.codebooks(FILE, chosen[0])
        self.assertEqual([s.epoch for s in snapshots], [0, 1, 10, 12])
        self.assertEqual(snapshots[-1].codes.shape, (trials.K[chosen[0]], 2))
        self.assertEqual(int((snapshots[-1].usage == 0).sum()), trials.dead_codes_train[chosen[0]])
        self.assertEqual(vqsweep_store.curve(FILE, "loss", []).shape, (0, 12))

    def test_a_file_cut_short_is_one_clear_line(self):
        cut = FOLDER.name + "/cut.h5"
        with open(FILE, "rb") as whole, open(cut, "wb") as file:
            file.write(whole.read()[:200000])
        with self.assertRaises(vqsweep_store.StoreError) as caught:
            vqsweep_store.load(cut)
        self.assertEqual(caught.exception.exit_code, 5)
        self.assertNotIn("\n", str(caught.exception))


class Live(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = folder.name + "/live.h5"
        program = Program(VQSWEEP, None, folder.name)
        running = subprocess.Popen(program.command("run", small_study.job(folder.name), "--seeds", "1..40", "-o",
                                                   self.path, "-q"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(running.wait)
        for _ in range(600):
            if os.path.exists(self.path + ".journal") and os.path.getsize(self.path + ".journal") > 200000:
                break
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)  # nothing is tidied up: the file holds no result, the journal holds some
        running.wait()

    def test_the_journal_fills_in_what_the_file_lacks(self):
        with h5py.File(self.path) as file:
            self.assertEqual(set(file["status"].asstr()[:]), {"pending"})
        live, whole = vqsweep_store.load(self.path), vqsweep_store.load(FILE)
        self.assertGreater(live.attrs["live"], 10)
        done = live[live.status == "completed"]
        self.assertEqual(len(done), live.attrs["live"])
        both = done.reset_index().merge(whole.reset_index(), on="key", suffixes=("", "_whole"))
        for name in ("mse_train", "entropy_eval", "lloyd_gap", "digest", "n_epochs", "cpu_class", "host"):
            numpy.testing.assert_array_equal(both[name], both[name + "_whole"], err_msg=name)
        self.assertTrue((done.wall_seconds > 0).all() and (done.n_snapshots > 0).all())

    def test_damage_costs_a_record_and_not_the_journal(self):
        whole = vqsweep_store.load(self.path).attrs["live"]
        journal = self.path + ".journal"
        with open(journal, "r+b") as file:
            content = file.read()
            middle = content.find(vqsweep_journal.MAGIC, len(content) // 2)
            file.seek(middle + 100)
            file.write(b"damage")
            file.truncate(len(content) - 11)
        self.assertEqual(vqsweep_store.load(self.path).attrs["live"], whole - 2)
        with open(journal, "wb") as file:
            file.write(b"not a journal")
        self.assertEqual(vqsweep_store.load(self.path).attrs["live"], 0)

    def test_a_run_is_not_resumed_with_other_contrasts(self):
        folder = os.path.dirname(self.path)
        with open(folder + "/study.yaml", encoding="utf-8") as file:
            text = file.read()
        with open(folder + "/study.yaml", "w", encoding="utf-8") as file:
            file.write(text.replace("name: dead_codes_K32", "name: thought_of_later"))
        done = Program(VQSWEEP, None, folder).run("run", folder + "/study.yaml", "--seeds", "1..40", "-o", self.path, "-q")
        self.assertEqual(done.returncode, 5)
        self.assertIn("other contrasts", done.stderr)
        mixed = Program(VQSWEEP, None, folder).run("run", folder + "/study.yaml", "--seeds", "1..40", "-o", self.path,
                                                   "-q", "--allow-mixed")
        self.assertEqual(mixed.returncode, 0, mixed.stderr)
        self.assertFalse(study.declared_first(vqsweep_store.load(self.path)))  # it may be done, and shows

    def test_records_of_another_version_are_refused(self):
        with self.assertRaises(vqsweep_journal.JournalError):
            vqsweep_journal.records(self.path + ".journal", ["mse_train"], ["loss"])


@unittest.skipUnless(LONG, "VQSWEEP_LONG=1")
class Million(unittest.TestCase):
    def test_a_million_trials_take_as_long_as_plain_reading_and_bounded_memory(self):
        path = FOLDER.name + "/million.h5"
        with h5py.File(FILE) as small, h5py.File(path, "w", track_order=True) as large:
            self.enlarge(small, large)
        code = ("import h5py, resource, sys, time; sys.path.insert(0, sys.argv[1]); import vqsweep_store;"
                "t = time.process_time();"
                "trials = vqsweep_store.load(sys.argv[2]); s = time.process_time() - t;"
                "assert len(trials) == 1000000 and trials.K.max() == 64;"
                "columns, gb = trials.shape[1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6; del trials;"
                "file = h5py.File(sys.argv[2]); t = time.process_time();"
                "n = sum(len(file[c][:]) for c in file if isinstance(file[c], h5py.Dataset));"
                "print(s, time.process_time() - t, columns, gb)")
        done = subprocess.run(["/usr/bin/python3", "-c", code, ROOT + "/analysis", path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        seconds, plain, columns, gigabytes = map(float, done.stdout.split())
        print(f"a million trials of {columns:.0f} columns loaded in {seconds:.1f} s of one core, at most {gigabytes:.2f} GB; "
              f"h5py reads the file in {plain:.1f} s")
        self.assertLess(seconds, 1.2 * plain)  # a machine may be busy: what h5py itself takes is the measure
        self.assertLess(gigabytes, 0.5 + 0.012 * columns)  # 12 bytes a value

    @staticmethod
    def enlarge(small, large):
        """The rows of a small file over and over, with keys, digests and metrics all different, as in a real sweep."""
        g = numpy.random.default_rng(1)
        for name, value in small.attrs.items():
            large.attrs[name] = value
        large["trial"] = numpy.arange(MILLION)
        large["trial"].make_scale("trial")
        rows = numpy.arange(MILLION) % len(small["trial"])
        for name, data in small.items():
            if not isinstance(data, h5py.Dataset) or data.ndim != 1 or name in ("trial", "epoch"):
                continue
            values = data[:][rows]
            if name in ("key", "digest"):
                values = numpy.array([b"%016x" % x for x in g.integers(0, 1 << 62, MILLION)], dtype="S16")
            elif "formula" in data.attrs:
                values = values * g.random(MILLION)
            made = large.create_dataset(name, data=values, dtype=data.dtype, chunks=data.chunks, compression="gzip",
                                        compression_opts=1, shuffle=True)
            made.dims[0].attach_scale(large["trial"])
            for attribute in ("long_name", "units", "formula", "constant"):
                if attribute in data.attrs and not (attribute == "constant" and "formula" in data.attrs):
                    made.attrs[attribute] = data.attrs[attribute]
        large["studies/scaling"] = numpy.arange(MILLION, dtype="u4")


if __name__ == "__main__":
    unittest.main()
