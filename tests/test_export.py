#!/usr/bin/python3
"""`vqsweep export`: what it writes is the model of the trial, told by numpy alone.

    test_export.py VQSWEEP SOURCE_FOLDER VQSWEEP_FAULTY

Exits with 77, naming what is missing.
"""
import os
import re
import resource
import shutil
import sys
import tempfile
import unittest
import zipfile

VQSWEEP, SOURCE, FAULTY = map(os.path.abspath, sys.argv[1:4])
del sys.argv[1:4]
sys.path.insert(0, os.path.join(SOURCE, "analysis"))
try:
    import h5py
    import numpy
    import PIL.Image
    from vqsweep_model import Model
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

from program import ENVIRONMENT, Program

RANDOM = numpy.random.default_rng(5)
ROWS = RANDOM.normal(size=(400, 12)) @ RANDOM.normal(size=(12, 12)) + 2
PIXELS = (120 + 80 * numpy.sin(numpy.arange(96) / 7)[:, None] * numpy.cos(numpy.arange(96) / 5)
          + RANDOM.normal(0, 15, (96, 96))).clip(0, 255).astype("u1")
FIXED = "{N: 200, N_eval: 70, epochs: 3, batch: 64, lr: 0.01}"
NPY = "data: npy, path: rows.npy"
IMAGES = "data: images, path: a.png, colour: grey, patch: 4, patch_stride: 4, D: 16"
TEXT = "data: text, path: a.txt, alphabet: occurring, text_window: 3, D: 15"
MLP = "model: mlp, hidden: 20, hidden_layers: 2"
POINTS = [
    "decoder: tied", "bias: true", "estimator: kmeans, codebook_init: data", "codebook: ema", "codebook: affine",
    "codebook: simvq", "codebook: fsq, fsq_levels: 3, d: 2, K: 9", "codebook: lfq, d: 3, K: 8", "codebook: fixed",
    "levels: 3, groups: 2, bias: true", f"{NPY}, decoder: tied", f"{NPY}, value_scale: -2.5, bias: true",
    f"{NPY}, whiten: zca, levels: 2", f"{NPY}, whiten: pca, value_scale: 3, center: true, {MLP}",
    f"{IMAGES}, patch_mean: remove, bias: true", f"{IMAGES}, patch_mean: remove, whiten: zca, {MLP}, activation: relu",
    f"{MLP}, layer_norm: true", f"{MLP}, hidden_layers: 0", f"{MLP}, layer_norm: true, activation: relu, groups: 2",
    f"{MLP}, orthonormal: true, codebook: fsq, fsq_levels: 2, d: 3, K: 8", f"{TEXT}, {MLP}, loss: cross_entropy",
    f"{TEXT}, value_scale: 2", "estimator: rotation, levels: 2, groups: 4",
    f"{IMAGES}, model: conv, layer_norm: true", f"{IMAGES}, model: conv, whiten: zca, conv_kernel: 3, groups: 2",
    "model: conv, D: 108, conv_layers: 1, conv_stride: 3, conv_kernel: 5, activation: relu, d: 8"]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder, cls.program = folder.name, Program(VQSWEEP, None, folder.name)
        numpy.save(cls.path("rows.npy"), ROWS)
        PIL.Image.fromarray(PIXELS).save(cls.path("a.png"))
        with open(cls.path("a.txt"), "wb") as file:
            file.write(RANDOM.integers(97, 102, 500).astype("u1").tobytes())
        job = f"name: a\nfixed: {FIXED}\nseeds: [3]\nlist:\n"
        for point in POINTS:  # where a setting is named twice, the last holds
            settings = dict(pair.split(": ") for pair in f"D: 12, d: 4, K: 8, {point}".split(", "))
            job += f"  - {{{', '.join(': '.join(pair) for pair in settings.items())}}}\n"
        cls.run_job(job, "a.h5")

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def run_job(cls, job, output):
        with open(cls.path("job.yaml"), "w", encoding="utf-8") as file:
            file.write(job)
        ended = cls.program.run("run", "job.yaml", "-o", output, "-q")
        assert ended.returncode in (0, 3), ended.stderr

    def export(self, trial, output, file="a.h5", **more):
        ended = self.program.run("export", file, "--trial", trial, "-o", output, **more)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended

    def stored(self, name, trial, file="a.h5"):
        with h5py.File(self.path(file)) as results:
            return results[name][trial]


class Models(Case):
    def test_every_model_repeats_its_error(self):
        for trial, point in enumerate(POINTS):
            with self.subTest(point):
                self.export(trial, f"{trial}.npz")
                model = Model(self.path(f"{trial}.npz"))
                x = model["held_out"]
                _, q = model.quantize(model.encode(x))
                out = model.decode(q)
                name, error = "mse_eval", ((out - x) ** 2).mean()
                if "cross_entropy" in point:
                    logits = out.reshape(len(x), 3, -1)
                    right = numpy.take_along_axis(logits, model["held_out_classes"][:, :, None].astype(int), 2)[:, :, 0]
                    name, error = "cross_entropy_eval", (numpy.log(numpy.exp(logits).sum(2)) - right).mean()
                self.assertEqual(model["metric." + name], self.stored(name, trial))
                self.assertAlmostEqual(error / self.stored(name, trial), 1, delta=1e-5)
                self.assertEqual(model["digest"].item().decode(), self.stored("digest", trial).decode())
                self.assertNotIn("nan", " ".join(str(a) for key, a in model.arrays.items() if key.startswith("metric")))

    def test_settings_are_those_of_the_trial(self):
        self.export(9, "s.npz")
        settings = Model(self.path("s.npz")).settings
        self.assertEqual((settings["levels"], settings["groups"], settings["lr"], settings["estimator"]),
                         ("3", "2", "0.01", "ste"))
        self.assertNotIn("hidden", settings)  # has no effect in it

    def test_samples_and_the_way_back(self):
        """Held-out samples are those of the file by their numbers, prepared; restored they are what was in the file."""
        patches = PIXELS.reshape(24, 4, 24, 4).swapaxes(1, 2).reshape(-1, 16) / 255
        for trial, point in enumerate(POINTS):
            source = ROWS if NPY in point else patches if IMAGES in point else None
            if source is None:
                continue
            with self.subTest(point):
                self.export(trial, "w.npz")
                model = Model(self.path("w.npz"))
                os.unlink(self.path("w.npz"))
                samples = source[model["held_out_number"].astype(int)]
                x, patch_mean = model.prepare(samples)
                numpy.testing.assert_allclose(x, model["held_out"], atol=1e-4)
                restored = model.restore(model["held_out"], model.arrays.get("held_out_patch_mean", 0))
                numpy.testing.assert_allclose(restored, samples, atol=1e-5)
                numpy.testing.assert_allclose(model.restore(x, patch_mean), samples, atol=1e-9)

    def test_text_is_told_by_its_classes(self):
        trial = next(i for i, point in enumerate(POINTS) if "cross_entropy" in point)
        self.export(trial, "t.npz")
        model = Model(self.path("t.npz"))
        with open(self.path("a.txt"), "rb") as file:
            text = file.read()
        for number, classes in zip(model["held_out_number"].astype(int), model["held_out_classes"]):
            self.assertEqual(bytes(model["symbols"][classes]), text[number:number + 3])

    def test_formats_hold_the_same(self):
        for trial in (13, 20):
            self.export(trial, "f.npz")
            self.export(trial, "f.h5")
            one, two = Model(self.path("f.npz")), Model(self.path("f.h5"))
            contents = dict(line.split(": ", 1) for line in one.arrays.pop("contents").item().decode().splitlines())
            self.assertEqual(set(one.arrays), set(two.arrays))
            self.assertEqual(list(contents), list(one.arrays))
            with h5py.File(self.path("f.h5")) as file:
                self.assertEqual({name: file[name].attrs["long_name"] for name in file}, contents)
            for name, array in one.arrays.items():
                numpy.testing.assert_array_equal(array, two[name], name)
                self.assertEqual((array.dtype, array.shape),
                                 (numpy.asarray(two[name]).dtype, numpy.asarray(two[name]).shape), name)
            os.unlink(self.path("f.npz"))
            os.unlink(self.path("f.h5"))

    def test_npz_is_a_sound_zip_and_the_same_every_time(self):
        files = []
        for name in ("one.npz", "two.npz"):
            self.export(16, name)
            with zipfile.ZipFile(self.path(name)) as file:
                self.assertIsNone(file.testzip())
                self.assertTrue(all(member.endswith(".npy") for member in file.namelist()))
            with open(self.path(name), "rb") as file:
                files.append(file.read())
        self.assertEqual(*files)

    def test_readme(self):
        """Its ten lines, as they stand there."""
        with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as file:
            lines = re.search(r"\n((    .*\n)*    m = dict\(numpy.load.*\n(    .*\n)*)", file.read())[1]
        code = "\n".join(line[4:] for line in lines.splitlines())
        self.assertLessEqual(len(code.splitlines()), 10)
        for trial in (0, 1, 9, 12):
            self.export(trial, f"model{trial}.npz")
            names = {}
            exec(code.replace('"model.npz"', repr(self.path(f"model{trial}.npz"))), names)  # pylint: disable=exec-used
            self.assertAlmostEqual(names["mse"] / self.stored("mse_eval", trial), 1, delta=1e-5)


class Refusals(Case):
    def refused(self, code, *parts, trial=0, output="r.npz", file="a.h5", **more):
        before = sorted(os.listdir(self.folder))
        words = [*(["--trial", trial] if trial is not None else []), *(["-o", output] if output else [])]
        ended = self.program.run("export", file, *words, **more)
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr.count("\n")), (code, "", 1), ended.stderr)
        for part in parts:
            self.assertIn(part, ended.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_trials(self):
        self.refused(2, f"trials 0 to {len(POINTS) - 1}, not {len(POINTS)}", trial=len(POINTS))
        self.refused(2, "--trial", trial="x")
        self.refused(2, "needs the number of a trial, --trial N", trial=None)
        self.refused(2, "needs a file to write, -o", output=None)
        self.refused(5, "job.yaml: not an HDF5 file", file="job.yaml")
        self.refused(4, "nowhere.h5: cannot open: No such file", file="nowhere.h5")

    def test_trials_without_a_model(self):
        self.run_job("name: d\nfixed: {D: 8, d: 2, K: 4, N: 100, N_eval: 20, epochs: 3, lr: 1e30}\n", "d.h5")
        self.refused(2, "trial 0 of d.h5 is diverged and left no model", file="d.h5")
        self.tamper("status", 0, "pending")
        self.refused(2, "trial 0 of tampered.h5 is pending and left no model", file="tampered.h5")
        self.tamper("status", 0, "failed")
        self.refused(2, "trial 0 of tampered.h5 is failed and left no model", file="tampered.h5")

    def test_places(self):
        os.makedirs(self.path("folder.npz"))
        os.symlink("elsewhere.npz", self.path("link.npz"))
        with open(self.path("there.h5"), "wb") as file:
            file.write(b"precious")
        self.refused(2, "folder.npz: is a directory", output="folder.npz")
        self.refused(2, "link.npz: is a symbolic link", output="link.npz")
        self.refused(2, "new/: can be written as .npz or .h5", output="new/")
        self.refused(2, "model.pt: can be written as .npz or .h5", output="model.pt")
        self.refused(2, ".npz: can be written as .npz or .h5", output=".npz")
        self.refused(2, "a.h5: is there already; remove it", output="a.h5")
        self.refused(2, "there.h5: is there already; remove it", output="there.h5")
        self.refused(4, "job.yaml", output="job.yaml/m.npz")
        for output in ("m.npz", "m.h5"):  # a disk that takes no more than 5000 bytes
            limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))  # noqa: E731
            self.refused(4, output + ": cannot write", "File too large", output=output, preexec_fn=limit,
                         restore_signals=False)
        self.export(0, "sub/folder/m.npz")
        self.assertEqual(os.listdir(self.path("sub/folder")), ["m.npz"])

    def test_faults(self):
        """No memory for one allocation, no way to put the file in place: one line and no file, or all of it."""
        faulty, whole = Program(FAULTY, None, self.folder), []
        for output in ("n.npz", "n.h5"):
            for fault in ["rename=1/1", *(f"alloc={n}/1" for n in range(3, 400, 7))]:
                with tempfile.TemporaryDirectory() as count:
                    ended = faulty.run("export", "a.h5", "--trial", 16, "-o", output, "-q",
                                       env=dict(ENVIRONMENT, VQS_FAULTS=fault, VQS_FAULTS_FOLDER=count))
                    hit = os.listdir(count)
                left = [name for name in os.listdir(self.folder) if name.startswith(output)]
                if ended.returncode == 0:
                    self.assertEqual(left, [output], fault)
                    whole.append(os.path.getsize(self.path(output)))
                    os.unlink(self.path(output))
                else:
                    self.assertEqual((ended.stderr.count("\n"), left), (1, []), (fault, ended.stderr))
                if not hit:
                    break
            self.assertGreater(int(fault[6:-2]), 50)
        self.assertEqual(len(set(whole)), 2, whole)

    def test_data_that_have_changed(self):
        trial = next(i for i, point in enumerate(POINTS) if NPY in point)
        try:
            numpy.save(self.path("rows.npy"), ROWS + 1)
            self.refused(2, "rows.npy: 1 file", "the trial was of other data", trial=trial)
            os.unlink(self.path("rows.npy"))
            self.refused(2, "rows.npy", "No such file", trial=trial)
        finally:
            numpy.save(self.path("rows.npy"), ROWS)
        self.export(trial, "again.npz")

    def test_another_digest(self):
        """A record that this program does not repeat; on another class of CPU it is compared by its error."""
        self.tamper("digest", 0, "0123456789abcdef")
        self.refused(5, "trial 0, run again, has digest", "not 0123456789abcdef", file="tampered.h5")
        with h5py.File(self.path("a.h5")) as file:
            own = file["cpu_class"][0].decode()
        other = dict(ENVIRONMENT, VQSWEEP_CPU_CLASS="portable" if own != "portable" else "avx2")
        ended = self.export(1, "other.npz", env=other)
        self.assertRegex(ended.stderr, r"^vqsweep: warning: trial 1 has other bits on this machine: mse_eval is "
                         r"[\d.e-]+ here \(.*\) and [\d.e-]+ where it ran \(.*\)\n$")
        model = Model(self.path("other.npz"))
        _, q = model.quantize(model.encode(model["held_out"]))
        self.assertAlmostEqual(((model.decode(q) - model["held_out"]) ** 2).mean() / model["metric.mse_eval"], 1,
                               delta=1e-5)

    def tamper(self, name, trial, value):
        shutil.copy(self.path("a.h5"), self.path("tampered.h5"))
        with h5py.File(self.path("tampered.h5"), "r+") as file:
            file[name][trial] = value


unittest.main()
