#!/usr/bin/python3
"""analysis/report.py on a small seed study by the real program, and its verdicts on data whose truth is known.

    test_report.py VQSWEEP
"""
import contextlib
import csv
import html.parser
import io
import itertools
import os
import re
import shutil
import sys
import tempfile
import unittest
import unittest.mock

try:
    import h5py
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401
    import numpy
    import pandas
    import yaml  # noqa: F401
    from scipy import stats
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

VQSWEEP = os.path.abspath(sys.argv.pop(1))
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT + "/analysis")
import gradients  # noqa: E402
import inference  # noqa: E402
import report  # noqa: E402
import small_study  # noqa: E402
import study  # noqa: E402
import synthetic_gradients  # noqa: E402
import tabulate  # noqa: E402
import vqsweep_store  # noqa: E402


def setUpModule():
    global BOX, FILE
    BOX = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(BOX.cleanup)
    FILE = small_study.run(VQSWEEP, BOX.name)
    report.PRINT_DPI = 60  # a fifth of the time


def run(*arguments):
    """(exit code, stdout, stderr), in this process: importing matplotlib takes longer than most tests."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = report.main(list(arguments))
        except SystemExit as stop:
            code = stop.code
    return code, out.getvalue(), err.getvalue()


def run_without_figures(*arguments):
    with unittest.mock.patch.object(report.figures, "all_figures", lambda *_: []):
        return run(*arguments)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Page(html.parser.HTMLParser):
    """What the tests ask of a page: its text, its outside references, images without a description."""

    def __init__(self, text):
        super().__init__()
        self.words, self.outside, self.undescribed, self.heads, self.open = [], [], 0, [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.open.append(tag)
        for name in ("src", "href"):
            if not attributes.get(name, "#").startswith(("#", "data:")):
                self.outside.append(attributes[name])
        self.undescribed += tag == "img" and not attributes.get("alt")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data)
            if self.open and self.open[-1] == "h1":
                self.heads.append(data)

    def text(self):
        return " ".join(" ".join(self.words).split())


class Whole(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = BOX.name + "/report"
        code, out, err = run(FILE, "-o", cls.folder)
        assert (code, err) == (0, ""), err
        assert out.strip() == cls.folder + "/report.html"
        cls.html = read(cls.folder + "/report.html")
        cls.page = Page(cls.html)

    def rows(self, name):
        return list(csv.DictReader(io.StringIO(read(f"{self.folder}/tables/{name}.csv"))))

    def test_the_page_stands_alone_and_leads_with_the_answer(self):
        self.assertEqual(self.page.outside, [])
        self.assertNotRegex(self.html, r"(?:src|href)=.https?:|@import|url\(")
        self.assertEqual(len(self.page.heads), 1)
        self.assertIn("codebook alive", self.page.heads[0])
        self.assertEqual(self.page.undescribed, 0)
        text = self.page.text()
        self.assertIn("With a tied decoder ste and rotation gave the same values in every pair", text)
        self.assertRegex(text, r"Of 11 claims of the seed study that this file can test")
        self.assertRegex(text, r"\d+ of 40 cells agree within both uncertainties")
        self.assertIn("Gradient fields around the Voronoi cells is left out", text)
        self.assertNotIn("Reconstructions", text)

    def test_every_claim_has_a_verdict_with_effect_and_regimes(self):
        verdicts = {r["claim"]: r["verdict"] for r in self.rows("verdicts")}
        self.assertEqual(list(verdicts), [c.words for c in study.CLAIMS])
        self.assertLessEqual(set(verdicts.values()), {"holds", "depends", "does not hold", "undecided"})
        for row in self.rows("evidence"):
            if row["regime"].startswith("tied"):
                self.assertEqual((row["difference"], row["equal pairs"]), ("0", f"{row['n seeds']}/{row['n seeds']}"))
        self.assertEqual(self.html.count('class="verdict"'), 11 + 2)  # two need maps of gradients

    def test_every_figure_is_there_twice_and_says_n(self):
        names = sorted(os.listdir(self.folder + "/figures"))
        self.assertGreaterEqual(len(names), 2 * 15)
        for name in [n[:-4] for n in names if n.endswith(".svg")]:
            self.assertIn(name + ".png", names)
        for caption in re.findall(r"<figcaption>(.*?)</figcaption>", self.html, re.S):
            self.assertRegex(caption, r"n = 10 seeds|one trial a panel")
            self.assertIn("Data:", caption)

    def test_tables_are_the_same_in_all_three_forms(self):
        for name in ("verdicts", "planned", "seed_scaling", "collapse_commitment", "power", "trials", "agreement"):
            rows = self.rows(name)
            self.assertTrue(rows, name)
            markdown, latex = (read(f"{self.folder}/tables/{name}.{e}") for e in ("md", "tex"))
            self.assertEqual(sum(line.startswith("| ") for line in markdown.splitlines()), len(rows) + 2, name)
            self.assertEqual(latex.count(r" \\"), len(rows) + 1, name)

    def test_a_planned_contrast_is_what_scipy_gives(self):
        row = next(r for r in self.rows("planned") if r["contrast"] == "entropy_K64" and r["regime"] == "free, normal")
        t = vqsweep_store.load(FILE)
        t = t[(t.K == 64) & (t.decoder == "free") & (t.codebook_init == "normal") & (t.sigma == 0.1) & (t.beta == 0.25)]
        of = {e: t[t.estimator == e].set_index("seed").entropy_train for e in ("ste", "rotation")}
        d = (of["rotation"] - of["ste"]).to_numpy()
        self.assertEqual(row["n seeds"], "10")
        self.assertAlmostEqual(float(row["difference"]), d.mean(), delta=abs(d.mean()) / 100)
        p = stats.permutation_test((d,), numpy.mean, permutation_type="samples", n_resamples=numpy.inf).pvalue
        self.assertAlmostEqual(float(row["p"].strip("<")), p, delta=1e-4)
        self.assertEqual(len(self.rows("planned")), 40)

    def test_agreement_counts_the_cells(self):
        for row in self.rows("agreement"):
            agree, n = map(int, row["cells that agree"].split("/"))
            self.assertEqual((n, agree + int(row["differ"]) + int(row["no data"])), (40, 40))
            marks = "".join(c for name in ("scaling", "noise", "commitment") for r in self.rows(f"seed_{name}")
                            if r["regime"].startswith(row["decoder, initialisation"]) for c in r.values())
            self.assertEqual(marks.count("=") + marks.count("≈"), agree)

    def test_a_second_report_is_the_same(self):
        drawn = report.figures.all_figures
        again = BOX.name + "/again"
        with unittest.mock.patch.object(report.figures, "all_figures", lambda *a: itertools.islice(drawn(*a), 2)):
            self.assertEqual(run(FILE, "-o", again)[0], 0)
        for name in ("tables/evidence.csv", "tables/planned.tex", "figures/axis_scaling.svg"):
            self.assertEqual(read(f"{self.folder}/{name}"), read(f"{again}/{name}"))

    def test_failures_are_counted(self):
        path = BOX.name + "/failures.h5"
        shutil.copy(FILE, path)
        trials = vqsweep_store.load(path)
        chosen = trials.index[(trials.estimator == "rotation") & (trials.K == 64)][:3]
        with h5py.File(path, "r+") as file:
            for trial, status in zip(chosen, ("failed", "diverged", "failed")):
                file["status"][trial] = status.encode()
                for metric in trials.attrs["metrics"]:
                    file[metric][trial] = numpy.nan
        folder = BOX.name + "/failures"
        self.assertEqual(run_without_figures(path, "-o", folder)[0], 0)
        self.assertIn("2 of 870 trials failed and have no result", Page(read(folder + "/report.html")).text())
        lost = {r["not in the numbers"] for r in csv.DictReader(io.StringIO(read(folder + "/tables/evidence.csv")))}
        self.assertTrue(any("rotation" in text and "failed" in text for text in lost), lost)


class Input(unittest.TestCase):
    def refused(self, code, pattern, *arguments):
        got, out, err = run(*arguments)
        self.assertEqual((got, out, err.count("\n")), (code, "", 1), err)
        self.assertRegex(err, pattern)

    def changed(self, name, change):
        path = f"{BOX.name}/{name}.h5"
        shutil.copy(FILE, path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    def test_bad_input_gets_one_clear_line(self):
        folder = BOX.name + "/never"
        self.refused(4, "no such file", BOX.name + "/nowhere.h5", "-o", folder)
        with open(BOX.name + "/text.h5", "w", encoding="utf-8") as file:
            file.write("name: seed_study\n" * 100)
        self.refused(5, "not a readable HDF5 file", BOX.name + "/text.h5", "-o", folder)
        h5py.File(BOX.name + "/other.h5", "w").close()
        self.refused(5, "not a result of vqsweep", BOX.name + "/other.h5", "-o", folder)
        self.refused(5, "schema version 99", self.changed("future", lambda f: f.attrs.modify("vqsweep_schema", 99)), "-o",
                     folder)

        def pend(file):
            file["status"][5:] = b"pending"
        unfinished = self.changed("unfinished", pend)
        self.refused(75, "865 of 870 trials have not run yet; finish it, or give --preliminary", unfinished, "-o", folder)

        def fail(file):
            file["status"][:] = b"failed"
        self.refused(65, "none of 870 trials completed", self.changed("failed", fail), "-o", folder)

        def empty(file):
            for name in list(file["studies"]):
                del file["studies"][name]
            file["job/text"][()] = b"name: nothing\n"
        self.refused(65, "no study with trials", self.changed("empty", empty), "-o", folder)
        self.assertFalse(os.path.exists(folder))
        self.refused(4, "Not a directory", FILE, "-o", BOX.name + "/text.h5/below")
        self.assertEqual(run(FILE)[0], 2)

    def test_an_unfinished_run_can_be_looked_at(self):
        def pend(file):
            file["status"][600:] = b"pending"
        path, folder = self.changed("half", pend), BOX.name + "/half"
        self.assertEqual(run_without_figures(path, "-o", folder, "--preliminary")[0], 0)
        self.assertIn("Unfinished: 270 of 870 trials have not run yet", Page(read(folder + "/report.html")).text())

    def test_contrasts_younger_than_results_are_not_called_planned(self):
        def mix(file):
            file["provenance"].attrs["mixed_with"] = "0.1.0 (plan 0123456789abcdef)"
        path, folder = self.changed("mixed", mix), BOX.name + "/mixed"
        self.assertEqual(run_without_figures(path, "-o", folder)[0], 0)
        self.assertIn("they may have been chosen after the fact", Page(read(folder + "/report.html")).text())
        rows = csv.DictReader(io.StringIO(read(folder + "/tables/evidence.csv")))
        self.assertEqual({row["status"] for row in rows}, {"exploratory"})

    def test_two_files(self):
        def shift(file):
            file["mse_train"][:] = file["mse_train"][:] + 0.001
            file["digest"][0] = b"0123456789abcdef"
        other, folder = self.changed("shifted", shift), BOX.name + "/compared"
        self.assertEqual(run_without_figures(FILE, other, "-o", folder)[0], 0)
        self.assertIn("Of 870 trials completed in both, 869 gave the same bits and 1 did not.",
                      Page(read(folder + "/report.html")).text())
        row = next(r for r in csv.DictReader(io.StringIO(read(folder + "/tables/compare_results.csv")))
                   if r["metric"] == "mse_train")
        self.assertEqual((row["trials"], row["equal"], row["mean difference"]), ("870", "0/870", "-0.001"))


class AnyJob(unittest.TestCase):
    """Jobs that are not the seed study."""

    def report(self, name, job, change=None):
        """(text of the page, {table: rows}, {figure: caption}) of a job's report; `change` may alter the file first."""
        path, folder = f"{BOX.name}/{name}.h5", f"{BOX.name}/{name}"
        with open(folder + ".yaml", "w", encoding="utf-8") as file:
            file.write(f"name: {name}\nfixed: {{D: 16, r: 2, N: 256, N_eval: 64, epochs: 4, snapshots: [0]}}\n{job}")
        done = small_study.Program(VQSWEEP, None, BOX.name).run("run", name + ".yaml", "-o", path, "-q")
        self.assertEqual(done.returncode, 0, done.stderr)
        if change:
            with h5py.File(path, "r+", track_order=True) as file:
                change(file)
        self.assertEqual(run(path, "-o", folder)[::2], (0, ""))
        rows = {n[:-4]: list(csv.DictReader(io.StringIO(read(f"{folder}/tables/{n}"))))
                for n in os.listdir(folder + "/tables") if n.endswith(".csv")}
        captions = dict(line.split(": ", 1) for line in read(folder + "/figures/captions.txt").splitlines() if line)
        self.assertEqual({n[:-4] for n in os.listdir(folder + "/figures") if n.endswith(".png")}, set(captions))
        return Page(read(folder + "/report.html")).text(), rows, captions

    def test_planned_contrasts_come_first(self):
        text, rows, captions = self.report("planned", (
            "grid: {estimator: [ste, rotation_trick], lr: [0.002, 0.05]}\nseeds: 1..8\ncontrasts:\n"
            "- {name: rate, metric: mse_train, axis: lr, values: [0.002, 0.05], each: [estimator]}\n"))
        self.assertRegex(text, r"^2 of 2 planned comparisons show a difference. .*mse_train is (lower \(better\)|higher \(worse\)) "
                               r"with lr 0.05 than with 0.002, at (ste|rotation_trick): ")
        self.assertEqual([r["regime"] for r in rows["planned"]], ["ste", "rotation_trick"])
        self.assertEqual({r["contrast"] for r in rows["exploratory"]}, {"rotation_trick", "lr"})
        self.assertIn("reconstruction MSE", captions["axis_planned"])  # what was declared is what is drawn
        self.assertNotIn("ranking_planned", captions)  # two need no ranking

    def test_many_estimators_and_their_parameters_are_ranked(self):
        def add_metrics(file):  # as other kinds of data may have them
            n = len(file["trial"])
            del file["psnr_eval"]  # not a number in all of them
            made = file.create_dataset("psnr_eval", data=numpy.arange(n) % 7, dtype="f8")
            made.dims[0].attach_scale(file["trial"])
            made.attrs.update(formula="made up", units="dB", long_name="signal to noise")
        text, rows, captions = self.report("ranked", (
            "list: [{estimator: ste}, {estimator: rotation}, {estimator: rotation_trick}, {estimator: kmeans},\n"
            "  {estimator: projector, a: 1, b: 0.5}, {estimator: projector, a: 0, b: 1}]\n"
            "grid: {beta: [0.1, 0.25], codebook_init: [uniform, data]}\nseeds: 1..6\n"), add_metrics)
        ranks = rows["ranking_ranked_mse_eval"]
        self.assertEqual({r["estimator"] for r in ranks}, {"ste", "rotation", "rotation_trick", "kmeans",
                                                           "projector (a 1, b 0.5)", "projector (a 0, b 1)"})
        self.assertEqual([r["less ste"] for r in ranks if r["estimator"] == "ste"], ["reference"])
        t = vqsweep_store.load(BOX.name + "/ranked.h5")
        mean = t.assign(a=t.a.fillna(-1)).groupby(["estimator", "a", "seed"]).mse_eval.mean()
        of = {r["estimator"]: r for r in ranks}
        for r, key in ((of["rotation"], ("rotation", -1)), (of["projector (a 0, b 1)"], ("projector", 0.0))):
            d = (mean[key] - mean["ste", -1]).to_numpy()
            p = stats.permutation_test((d,), numpy.mean, permutation_type="samples", n_resamples=numpy.inf).pvalue
            self.assertAlmostEqual(float(r["less ste"].split()[0]), d.mean(), delta=abs(d.mean()) / 100)
            self.assertAlmostEqual(float(r["p"]), p, delta=0.005)
            self.assertEqual(r["pairs (seeds)"], "24 (6)")
        signs = [float(r["less ste"].split()[0].replace("reference", "0")) for r in ranks]
        self.assertEqual(signs, sorted(signs))  # the best, which has the lowest error, first
        self.assertIn("ranking_ranked_psnr_eval", rows)
        self.assertIn("Averaged by seed over codebook_init, beta", captions["ranking_ranked"])

    def test_lost_trials_and_a_single_seed(self):
        def fail(file):
            rows = numpy.flatnonzero((file["lr"][:] < 1) & (file["estimator"].asstr()[:] == "rotation"))[:2]
            for trial in rows:
                file["status"][trial], file["message"][trial] = b"failed", b"out of memory"
        text, rows, captions = self.report("lost", (
            "grid: {estimator: [ste, rotation], lr: [0.002, 1.0e+30], decoder: [tied, free], K: [4, 8]}\nseeds: [1]\n"), fail)
        self.assertRegex(text, "^Too few seeds to show any difference.")
        self.assertIn("8 of 16 trials diverged: a loss left the range of numbers. All with lr 1e+30 did.", text)
        self.assertEqual([(r["message"], r["trials"]) for r in rows["failures"]], [("out of memory", "2")])
        self.assertIn("8 diverged, 2 failed of 16 trials", captions["axis_lost"])

    def test_codebooks_of_residual_quantisation_are_shown_apart(self):
        _, _, captions = self.report("residual", "grid: {levels: [1, 3], estimator: [ste, rotation]}\nseeds: 1..2\n")
        self.assertIn("each codebook by itself", captions["codebooks_residual"])
        path = BOX.name + "/residual.h5"
        trials = study.with_codebook_metrics(vqsweep_store.load(path), vqsweep_store.arrays(path, "level_metrics"))
        of = trials[(trials.levels == 3)].iloc[0]
        counts = [s.usage for s in vqsweep_store.codebooks(path, of.name) if s.epoch == of.epochs]
        self.assertEqual([of[f"dead_codes_train_codebook{c}"] for c in range(3)], [(u == 0).sum() for u in counts])

    def test_a_job_without_anything_to_compare(self):
        text, rows, _ = self.report("kmeans", "grid: {estimator: [kmeans], K: [4, 8], d: [2, 3]}\nseeds: 1..3\n")
        self.assertRegex(text, "^Too few seeds")
        self.assertEqual({r["difference of"] for r in rows["exploratory"]}, {"3 − 2"})
        text, rows, captions = self.report("single", "seeds: [1]\n")
        self.assertRegex(text, "^Nothing can be compared yet.")
        self.assertEqual([r["n"] for r in rows["cells_single"]], ["1/1"])
        self.assertIn("curves_single", captions)


class Gradients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = synthetic_gradients.run(VQSWEEP, BOX.name)
        cls.trials = vqsweep_store.load(cls.path)

    def test_fields_and_probes_are_read_as_they_lie(self):
        field = list(gradients.fields(self.path, self.trials, [2]))[-1]
        self.assertEqual((field.trial, field.epoch, field.x[0], field.y[-1]), (2, 4, -3, 3))
        numpy.testing.assert_array_equal(field.smoothed[3, 5], [5, 6])  # a row is a y
        numpy.testing.assert_array_equal(field.codes, vqsweep_store.codebooks(self.path, 2)[-1].codes)
        numpy.testing.assert_array_equal(field.gradient[field.estimators.index("exact")], field.smoothed)
        self.assertNotIn("kmeans", field.estimators)  # which has no gradient
        probed = gradients.probes(self.path, self.trials)
        with h5py.File(self.path) as file:
            group = next(g for name, g in file["arrays"].items() if name.startswith("probes"))
            value, quantities = group["value"][7, 1, 1, 2], group["quantity"].asstr()[:]
        row = probed[(probed.trial == 7) & (probed.epoch == 4) & (probed.estimator == "rotation") & (probed.region == "far")]
        numpy.testing.assert_array_equal(row[list(quantities)].to_numpy(), [value])
        self.assertEqual(len(gradients.probes(FILE, None)) + len(list(gradients.fields(FILE, None))), 0)

    def test_roughness_by_hand(self):
        x = numpy.linspace(-1, 1, 10)
        field = gradients.Field(0, 1, x, x, ["a"], None, None, numpy.array([[-0.5, 0], [0.5, 0]]))
        flips = numpy.zeros((10, 10, 2))
        flips[..., 0] = numpy.where(x > 0, 1, -1)
        self.assertAlmostEqual(gradients.roughness(field, flips), 2)
        self.assertAlmostEqual(gradients.roughness(field, flips.transpose(1, 0, 2)), 0)  # it jumps elsewhere
        self.assertTrue(numpy.isnan(gradients.roughness(field, 0 * flips)))

    def test_the_claims_on_gradients_get_verdicts(self):
        found = gradients.findings(self.trials, self.path)
        self.assertEqual(list(found), gradients.CLAIMS)
        for claim, of in found.items():
            self.assertEqual([f.regime for f in of], [dict(zip(study.REGIME, ("free", i))) for i in ("uniform", "normal")])
            self.assertEqual({(f.why, f.result.comparison.n, f.value) for f in of}, {("the opposite", 10, 4)}, claim.name)
        self.assertEqual(report.summary.untested(found), [])

    def test_the_report_shows_them(self):
        folder = BOX.name + "/plane"
        self.assertEqual(run(self.path, "-o", folder, "--column")[::2], (0, ""))
        captions = read(folder + "/figures/captions.txt")
        for name in ("fields_free_uniform", "fields_free_normal", "probes_free_uniform", "probes_free_normal"):
            self.assertRegex(captions, rf"(?m)^{name}: .* Data: ")
            with open(f"{folder}/figures/{name}.svg", encoding="utf-8") as file:
                width = float(re.search(r'<svg[^>]* width="([0-9.]+)pt"', file.read())[1])
            self.assertLess(width / 72, 3.7)  # one column of a paper
        table = csv.DictReader(io.StringIO(read(folder + "/tables/probes.csv")))
        row = next(r for r in table if (r["regime"], r["estimator"], r["region"]) == ("free, normal", "rotation", "near"))
        self.assertEqual((row["n seeds"], row["cosine"].split()[0]), ("10", "0.5"))
        self.assertIn("does not hold", Page(read(folder + "/report.html")).text())


class Verdicts(unittest.TestCase):
    """Made-up trials of one cell, so that the truth is known."""

    @staticmethod
    def findings(ste, rotation, claim=0, contrasts=()):
        n, claim = len(ste), study.CLAIMS[claim]
        value = claim.values[0]
        rows = [{"estimator": e, "seed": s, "decoder": "free", "codebook_init": "normal", "K": 32, "sigma": 0.1,
                 "beta": 0.25, claim.axis: value, "status": "completed", "n_epochs": 1, claim.metric: y[s]}
                for e, y in (("ste", ste), ("rotation", rotation)) for s in range(n)]
        trials = pandas.DataFrame(rows)
        trials.attrs.update(settings=["estimator", "seed", "decoder", "codebook_init", "K", "sigma", "beta"],
                            studies={claim.study: numpy.arange(2 * n)}, contrasts=list(contrasts))
        return study.findings(trials, study.planned_results(trials))[claim][0]

    def test_known_answers(self):
        g = numpy.random.default_rng(2)
        base = g.poisson(6, 30).astype(float)
        fewer = self.findings(base, numpy.maximum(0, base - 1 - g.poisson(1, 30)))
        self.assertEqual((fewer.verdict, fewer.why), ("holds", "differs as claimed"))
        more = self.findings(base, base + 1 + g.poisson(1, 30))
        self.assertEqual((more.verdict, more.why), ("does not hold", "the opposite"))
        equal = self.findings(base, base)
        self.assertEqual((equal.verdict, equal.why), ("does not hold", "equal"))
        noisy = self.findings(base, g.permutation(base))
        self.assertEqual(noisy.verdict, "undecided")
        few = self.findings(base[:3], base[:3])  # three equal pairs show nothing
        self.assertEqual(few.verdict, "undecided")

    def test_rates_are_judged_by_exact_intervals(self):
        often, rarely = 5, 7
        always, never = numpy.ones(30), numpy.zeros(30)
        self.assertEqual(self.findings(always, always, often).verdict, "holds")
        self.assertEqual(self.findings(never, never, often).verdict, "does not hold")
        self.assertEqual(self.findings(never, never, rarely).verdict, "holds")
        self.assertEqual(self.findings(always, never, rarely).verdict, "does not hold")
        self.assertEqual(self.findings(never[:3], never[:3], rarely).verdict, "undecided")

    def test_a_claim_that_is_false_is_rarely_held(self):
        g, held = numpy.random.default_rng(3), 0
        for _ in range(200):
            shared = g.normal(0, 1, 12)
            held += self.findings(shared + g.normal(0, 5, 12), shared + g.normal(0, 5, 12)).verdict == "holds"
        print(f"verdict 'holds' where there is no difference: {held / 2:.1f}%")
        self.assertGreater(stats.binomtest(held, 200, 0.025, alternative="greater").pvalue, 0.001)

    def test_agreement_with_a_reported_cell(self):
        x = numpy.random.default_rng(4).normal(2.70, 0.01, 30)
        self.assertEqual(study.agreement(x, 2.65, 0.02, 0.01, 2.77), "agrees")
        self.assertEqual(study.agreement(x, 2.00, 0.05, 0.01, 2.77), "differs")
        self.assertEqual(study.agreement(x, 1.70, 0.67, 0.01, 2.77), "agrees (wide)")
        self.assertEqual(study.agreement(numpy.zeros(30), 0.0, 0.0, 0.1, 16), "agrees")

    def test_pairs_of_one_seed_are_averaged(self):
        rows = [{"estimator": e, "seed": s, "lr": lr, "status": "completed", "m": s + lr + (e == "b"), "K": 4}
                for e in "ab" for s in range(4) for lr in (0.1, 0.2)]
        trials = pandas.DataFrame(rows)
        trials.attrs.update(settings=["estimator", "seed", "lr", "K"], studies={"t": numpy.arange(16)})
        contrast = vqsweep_store.Contrast("x", "t", "m", "estimator", ("a", "b"), {}, [])
        result = next(study.evaluate(trials, contrast, True))
        self.assertEqual((result.pairs, result.comparison.n, result.comparison.mean), (8, 4, 1))


class LargeSweeps(unittest.TestCase):
    def test_the_page_holds_whole_seeds_of_a_large_sweep(self):
        trials = pandas.DataFrame({"seed": numpy.repeat(numpy.arange(3000), 20), "estimator": ["ste", "rotation"] * 30000})
        kept = report.explorer.chosen(trials)
        self.assertEqual(len(kept), report.explorer.MOST_TRIALS)
        self.assertEqual(set(kept.groupby("seed").size()), {20})
        self.assertEqual(len(report.explorer.chosen(trials[:100])), 100)


class Forms(unittest.TestCase):
    def test_awkward_texts(self):
        table = tabulate.Table("t", "a_b & c", "50% | <x>", ["a|b", "n"], [["<i>", "1"], None, ["x_y", "-2"]])
        self.assertIn(r"| a\|b | n |", tabulate.to_markdown(table))
        self.assertIn(r"x\_y & -2 \\", tabulate.to_latex(table))
        self.assertIn(r"a\_b \& c", tabulate.to_latex(table))
        self.assertIn("&lt;i&gt;", tabulate.to_html(table))
        self.assertEqual(list(csv.reader(io.StringIO(tabulate.to_csv(table)))), [["a|b", "n"], ["<i>", "1"], ["x_y", "-2"]])

    def test_share_of_equal_pairs_in_the_notes_is_right(self):
        self.assertAlmostEqual(inference.share_interval(30, 30).low, 0.88, places=2)


if __name__ == "__main__":
    unittest.main()
