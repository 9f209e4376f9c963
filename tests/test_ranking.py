#!/usr/bin/python3
"""analysis/ranking.py: verdicts on simulated seeds whose true rankings are known, how often they are wrong where there
is nothing to find, and which studies of a file are held against each other.
"""
import os
import sys
import tempfile
import unittest

try:
    import numpy
    import pandas
    from scipy import stats
    ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, ROOT + "/analysis")
    import inference
    import ranking
    import report
    import views
    import vqsweep_store
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
from program import Program  # noqa: E402

SEEDS = 20
NAMES = ["ste", "rotation", "nsvq", "sync", "exact"]
STEPS = numpy.arange(5)


def generator(key=3):
    return numpy.random.default_rng(key)


def draw(g, means, sd=1.0, n=SEEDS):
    """A table of a row a seed: what is shared by a seed is larger than what is not."""
    return 30 + g.normal(0, 3, (n, 1)) + numpy.asarray(means, float) + g.normal(0, sd, (n, len(means)))


def decide(x, y):
    p = [ranking.pair_tests(t) for t in (x, y)]
    adjusted = numpy.split(inference.holm(numpy.concatenate(p)), [len(p[0])])
    orders = [ranking.ordered(t, q) for t, q in zip((x, y), adjusted)]
    return ranking.verdict(*orders, ranking.agreement(x, y).interval.low)


class Statistics(unittest.TestCase):
    def test_tau_is_scipys_with_and_without_ties(self):
        for x, y in (([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]), ([1, 1, 2, 3, 3], [2, 1, 1, 1, 0]), ([1, 2, 3], [3, 2, 1])):
            signs = [ranking.signs(numpy.array(v, float), 0.0) for v in (x, y)]
            self.assertAlmostEqual(float(ranking.tau_b(*signs)), stats.kendalltau(x, y).statistic)
        self.assertTrue(numpy.isnan(ranking.tau_b(numpy.zeros(3), numpy.ones(3))))

    def test_rounding_is_no_order(self):
        x = draw(generator(), [0, 0, 5])
        x[:, 1] = x[:, 0] * (1 + 1e-13)
        y = draw(generator(4), [0, 3, 6])
        self.assertAlmostEqual(ranking.agreement(x, y).tau, stats.kendalltau([0, 0, 1], [0, 1, 2]).statistic)

    def test_ranks_are_scipys_and_their_ranges_widen_where_nothing_differs(self):
        x = draw(generator(), [9, 6, 3, 3, 0], 0.1)
        x[:, 3] = x[:, 2]
        rank, low, high = ranking.ranks(x)
        numpy.testing.assert_array_equal(rank, stats.rankdata(-x.mean(0)))
        numpy.testing.assert_array_equal([low, high], [rank, rank])
        _, low, high = ranking.ranks(draw(generator(), [0] * 5))
        self.assertTrue((high - low >= 2).all())

    def test_the_ceiling_is_the_tau_of_two_experiments_on_one_truth(self):
        g, truth = generator(), 0.4 * STEPS
        repeated = [float(ranking.tau_b(*(ranking.signs(draw(g, truth).mean(0), 0.0) for _ in range(2))))
                    for _ in range(400)]
        told = [ranking.agreement(draw(g, truth), draw(g, truth)).ceiling for _ in range(50)]
        print(f"tau of two experiments on one truth {numpy.mean(repeated):.2f}, ceiling estimated from two of them "
              f"{numpy.mean(told):.2f}")
        self.assertAlmostEqual(numpy.mean(told), numpy.mean(repeated), delta=0.1)

    def test_the_ceiling_is_as_low_as_the_worse_of_the_two(self):
        sharp, vague = draw(generator(), STEPS, 0.1), draw(generator(4), 0 * STEPS)
        for x, y in ((sharp, vague), (vague, sharp)):
            self.assertLess(ranking.agreement(x, y).ceiling, 0.75)

    def test_seeds_of_one_study_are_drawn_together(self):
        apart = ranking.agreement(draw(generator(), STEPS, 0.1), draw(generator(4), STEPS, 0.1))
        self.assertEqual((apart.tau, apart.interval, apart.ceiling), (1, (1, 1), 1))  # what a seed shares is no noise


class Verdicts(unittest.TestCase):
    def counted(self, name, first, second, sd=1.0, repetitions=100):
        g = generator(8)
        found = [decide(draw(g, first, sd), draw(g, second, sd)) for _ in range(repetitions)]
        counts = {v: found.count(v) for v in ranking.VERDICTS}
        print(f"{name}: {', '.join(f'{v} {n}' for v, n in counts.items())} of {repetitions}")
        return counts

    def test_known_rankings(self):
        self.assertGreaterEqual(self.counted("the same ranking", 3 * STEPS, 2 * STEPS)["yes"], 95)
        self.assertGreaterEqual(self.counted("the reverse", 3 * STEPS, -2 * STEPS)["no"], 95)
        two_turned = self.counted("two of ten pairs turned", 3 * STEPS, [3, 0, 6, 12, 9])
        self.assertGreaterEqual(two_turned["not entirely"], 95)

    def test_nothing_to_find_is_not_decided(self):
        flat = numpy.zeros(5)
        for name, first, second in (("no differences", flat, flat), ("differences on one side only", 3 * STEPS, flat)):
            counts = self.counted(name, first, second, repetitions=200)
            wrong = 200 - counts["not decided"]
            self.assertGreater(stats.binomtest(wrong, 200, 0.05, alternative="greater").pvalue, 0.001)
        counts = self.counted("tiny differences, turned, that seeds tell apart", 0.02 * STEPS, -0.02 * STEPS, 0.002)
        self.assertEqual(counts["not decided"], 100)  # less than 1% of the mean

    def test_one_ranking_of_near_ties_is_seldom_called_another(self):
        close = [0, 0.6, 1.2, 6, 9]
        counts = self.counted("one ranking, half of it near ties", close, close, repetitions=200)
        wrong = counts["no"] + counts["not entirely"]
        self.assertGreater(stats.binomtest(wrong, 200, 0.05, alternative="greater").pvalue, 0.001)

    def test_the_rule(self):
        def of(alike, turned, low=0.1):  # ten pairs, all ordered on one side
            return ranking.verdict(numpy.ones(10), numpy.repeat([1, -1, 0], [alike, turned, 10 - alike - turned]), low)
        self.assertEqual([of(5, 0), of(4, 0), of(10, 0, 0.0), of(9, 1), of(3, 3), of(0, 1), of(0, 0)],
                         ["yes", "not decided", "not decided", "not entirely", "no", "no", "not decided"])

    def test_few_seeds_decide_nothing(self):
        g = generator()
        self.assertEqual(decide(draw(g, 3 * STEPS, 0.1, n=5), draw(g, -3 * STEPS, 0.1, n=5)), "not decided")

    def test_equal_values_are_ties(self):
        x = numpy.repeat(draw(generator(), [0]), 5, axis=1)
        self.assertEqual(decide(x, x), "not decided")


def trials(studies):
    """A frame as the reader gives it, of {study: (settings, {estimator: mean of mse_eval})}."""
    g, rows, members = generator(), [], {}
    for name, (settings, means) in studies.items():
        start = len(rows)
        for seed in range(1, SEEDS + 1):
            shared = g.normal(100, 3)
            rows += [{"data": "subspace", "D": 8, "d": 2, "model": "linear", "loss": "mse", **settings, "estimator": e,
                      "seed": seed, "status": "completed", "mse_eval": shared + m + g.normal()}
                     for e, m in means.items()]
        members[name] = numpy.arange(start, len(rows))
    frame = pandas.DataFrame(rows)
    frame["reconstructions"] = numpy.where(frame.data == "subspace", numpy.nan, 0)  # a setting of data from files only
    frame.attrs.update(settings=["data", "D", "d", "reconstructions", "model", "estimator", "loss", "seed"],
                       metrics=["mse_eval"], studies=members, contrasts=[])
    return frame


class Files(unittest.TestCase):
    UP, DOWN = dict(zip(NAMES, 3.0 * STEPS)), dict(zip(NAMES, -3.0 * STEPS))

    def test_like_is_held_against_like(self):
        found = ranking.answers(trials({
            "photographs": ({"data": "images"}, {**self.UP, "kmeans": -9.0}),
            "deep": ({"data": "images", "model": "mlp"}, self.UP),
            "letters": ({"data": "text", "model": "mlp", "loss": "cross_entropy"}, self.UP),
            "few": ({"data": "audio"}, {"ste": 0, "rotation": 1}),
            "synthetic": ({"D": 128}, {**self.UP, "kmeans": -9.0}), "synthetic_deep": ({"model": "mlp"}, self.DOWN)}))
        said = [(a.real.source, a.synthetic.source, a.differs, a.verdict) for a in found]
        self.assertEqual(said, [("photographs", "synthetic", [], "yes"), ("deep", "synthetic_deep", [], "no"),
                                ("letters", "synthetic_deep", ["loss"], "no")])
        self.assertEqual(found[0].values, NAMES)  # k-means is no estimator
        self.assertEqual(list(found[0].real.ranks), [1, 2, 3, 4, 5])  # a lower error is better
        self.assertIn(("ste", "exact"), found[1].reversed)
        self.assertIn("yes on photographs (10 of 10 pairs)", ranking.sentences(found)[0])

    def test_what_is_better_is_known_of_every_metric_asked_for(self):
        known = {m: views.better(m) for metrics in ranking.QUANTITIES.values() for m in metrics}
        self.assertEqual(known, {"cross_entropy_eval": "lower", "mse_eval": "lower", "perplexity_eval": "higher"})

    def test_files_without_the_question(self):
        for studies in ({"a": ({"data": "images"}, self.UP)}, {"a": ({}, self.UP)}):
            self.assertEqual(ranking.sentences(ranking.answers(trials(studies))), [])

    def test_a_trial_that_is_missing_takes_its_seed_along(self):
        made = trials({"real": ({"data": "images"}, self.UP), "synthetic": ({}, self.UP)})
        made.loc[(made.data == "images") & (made.seed == 3) & (made.estimator == "sync"), "status"] = "diverged"
        self.assertEqual([a.n for a in ranking.answers(made)], [SEEDS - 1])

    def test_two_kinds_of_data_within_a_study(self):
        made = trials({"a": ({"data": "images"}, self.UP), "b": ({}, self.UP)})
        made.attrs["studies"] = {"both": numpy.arange(len(made))}
        self.assertEqual([(a.real.source, a.synthetic.source, a.verdict) for a in ranking.answers(made)],
                         [("both, images", "both, subspace", "yes")])

    @unittest.skipUnless(len(sys.argv) > 1, "wants the program")
    def test_the_report_of_a_real_run(self):
        with tempfile.TemporaryDirectory() as folder:
            numpy.save(folder + "/real.npy", generator().exponential(1, (400, 8)))
            with open(folder + "/job.yaml", "w", encoding="utf-8") as file:
                file.write("name: job\nfixed: {D: 8, d: 2, K: 8, N: 256, N_eval: 128, epochs: 3}\nseeds: 1..8\n"
                           "studies:\n"
                           "  real: {fixed: {data: npy, path: real.npy}, grid: {estimator: [ste, rotation, nsvq]}}\n"
                           "  drawn: {fixed: {r: 2}, grid: {estimator: [ste, rotation, nsvq]}}\n")
            done = Program(os.path.abspath(sys.argv[1]), None, folder).run("run", "job.yaml", "-o", "job.h5", "-q")
            self.assertEqual(done.returncode, 0, done.stderr)
            found = ranking.answers(vqsweep_store.load(folder + "/job.h5"))
            self.assertEqual([(a.quantity, a.real.source, a.n) for a in found],
                             [(q, "real", 8) for q in ranking.QUANTITIES])
            self.assertEqual(report.main([folder + "/job.h5", "-o", folder + "/report"]), 0)
            with open(folder + "/report/report.html", encoding="utf-8") as file:
                page = file.read()
            for text in ("Do the estimators rank on real data as on synthetic data?", 'id="table-real_data"',
                         'id="table-ranks_use_of_the_codes"', 'id="figure-real_data"'):
                self.assertIn(text, page)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
