#!/usr/bin/python3
"""analysis/inference.py against scipy where it has the function, and by simulation of data whose effect is known.

VQSWEEP_LONG=1 adds skewed data to the simulations.
"""
import os
import sys
import unittest

try:
    import numpy
    from scipy import stats
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT + "/analysis")
import inference  # noqa: E402

LONG = bool(os.environ.get("VQSWEEP_LONG"))
REPETITIONS = 1000


def generator(key=7):
    return numpy.random.default_rng(key)


class Oracles(unittest.TestCase):
    def test_bca_is_scipys_without_the_widening(self):
        for key, draw in enumerate((lambda g: g.normal(1, 2, 30), lambda g: g.exponential(1, 25),
                                    lambda g: g.poisson(0.8, 40))):
            d = draw(generator(key)).astype(float)
            ours = inference.bca_interval(d, expand=False)
            theirs = stats.bootstrap((d,), numpy.mean, n_resamples=20000, method="BCa",
                                     random_state=generator(1)).confidence_interval
            close = max(0.03 * (theirs.high - theirs.low), 1.01 / len(d))  # both draw at random; counts step by 1/n
            self.assertLess(abs(ours.low - theirs.low), close)
            self.assertLess(abs(ours.high - theirs.high), close)
            wide, t = inference.mean_interval(d), stats.t.interval(0.95, len(d) - 1, d.mean(), stats.sem(d))
            expanded = inference.bca_interval(d)
            self.assertTrue(expanded.low <= ours.low < ours.high <= expanded.high and expanded != ours)
            self.assertAlmostEqual(wide.low, min(t[0], expanded.low))
            self.assertAlmostEqual(wide.high, max(t[1], expanded.high))

    def test_sign_flips_are_counted_as_scipy_counts_them(self):
        g = generator()
        for d in (g.normal(0.5, 1, 12), g.integers(-3, 6, 13).astype(float), numpy.array([0, 0, 1, 2, -1.5]),
                  numpy.array([0.1, 0.2, -0.3, 0.1, -0.1])):
            theirs = stats.permutation_test((d,), numpy.mean, permutation_type="samples", n_resamples=numpy.inf)
            ours = inference.sign_flip(d)
            self.assertTrue(ours[1])
            self.assertAlmostEqual(ours[0], theirs.pvalue, places=12)

    def test_random_sign_flips_agree_with_exact_ones(self):
        d = generator().normal(0.35, 1, 34)
        exact, kept = inference.sign_flip(d)[0], inference.EXACT_FLIPS
        self.addCleanup(setattr, inference, "EXACT_FLIPS", kept)
        inference.EXACT_FLIPS = 10
        drawn, is_exact = inference.sign_flip(d)
        self.assertFalse(is_exact)
        self.assertLess(abs(drawn - exact), 5 * numpy.sqrt(exact / inference.RANDOM_FLIPS) + 1e-5)

    def test_mcnemar_is_binomial_and_sign_flips_of_outcomes(self):
        for b, c in ((0, 0), (0, 6), (2, 9), (5, 5), (11, 3)):
            expected = stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1
            self.assertAlmostEqual(inference.mcnemar(b, c), expected)
            outcomes = numpy.array([-1.0] * b + [1.0] * c + [0.0] * 7)
            self.assertAlmostEqual(inference.sign_flip(outcomes)[0], expected, places=12)

    def test_clopper_and_pearson(self):
        for k, n in ((0, 30), (30, 30), (1, 3), (17, 30)):
            theirs = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
            self.assertAlmostEqual(inference.share_interval(k, n).low, theirs.low)
            self.assertAlmostEqual(inference.share_interval(k, n).high, theirs.high)
        self.assertTrue(numpy.isnan(inference.share_interval(0, 0).low))

    def test_cliffs_delta_is_mann_whitneys_u(self):
        g = generator()
        x, y = g.poisson(2, 30).astype(float), g.poisson(3, 30).astype(float)
        u = stats.mannwhitneyu(y, x).statistic
        delta, interval = inference.cliffs_delta(x, y)
        self.assertAlmostEqual(delta, 2 * u / 900 - 1)
        self.assertTrue(interval.low < delta < interval.high)
        self.assertEqual(inference.cliffs_delta([1, 2], [3, 4])[0], 1)
        rest = stats.binomtest(0, 10).proportion_ci(0.95, method="exact").high  # nothing seen is not nothing
        numpy.testing.assert_allclose(inference.cliffs_delta(range(10), range(20, 30))[1], [1 - 2 * rest, 1])
        numpy.testing.assert_allclose(inference.cliffs_delta([1] * 10, [1] * 10)[1], [-rest, rest])

    def test_holm_by_hand(self):
        numpy.testing.assert_allclose(inference.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
        numpy.testing.assert_allclose(inference.holm([0.9, 0.8]), [1, 1])
        self.assertEqual(len(inference.holm([])), 0)

    def test_seeds_needed_is_cohens_table(self):
        self.assertEqual(inference.seeds_needed(1, 0.5), 34)  # a paired t test at 80% and a two-sided 5%
        self.assertEqual(inference.seeds_needed(1, 0.2), 199)
        self.assertEqual(inference.seeds_needed(1, 0.8), 15)
        self.assertIsNone(inference.seeds_needed(1, 0))
        self.assertIsNone(inference.seeds_needed(1, 1e-9))
        for sd in (0, 1e-13, 1):  # an effect beyond all measure: five pairs cannot reach 5% by sign flips
            self.assertEqual(inference.seeds_needed(sd, 1e9), 6)
            self.assertEqual(inference.sign_flip(numpy.ones(6))[0], 2 ** -5)
        self.assertEqual(inference.seeds_needed(0, 1, alpha=0.05 / 40), 11)
        self.assertAlmostEqual(inference.detectable(2, 34), 2 * 0.495, places=2)

    def test_the_limit_of_a_pilots_sd_is_passed_as_often_as_it_says(self):
        g = generator()
        limits = [inference.sd_limit(g.normal(0, 2, 10).std(ddof=1), 10) for _ in range(2000)]
        self.assertAlmostEqual(numpy.mean(numpy.array(limits) >= 2), 0.8, delta=0.03)

    def test_power_of_mcnemar_by_simulation(self):
        g, n, p, q = generator(), 30, 1 / 3, 1 / 20
        first, second = g.random((4000, n)) < p, g.random((4000, n)) < q
        found = [inference.mcnemar(b, c) <= 0.05 for b, c in zip(numpy.sum(first & ~second, 1),
                                                                 numpy.sum(second & ~first, 1))]
        self.assertAlmostEqual(inference.mcnemar_power(n, p, q), numpy.mean(found), delta=0.03)
        needed = inference.seeds_for_rates(p, q)
        self.assertGreaterEqual(inference.mcnemar_power(needed, p, q), 0.8)
        self.assertEqual(needed, 34)


class Simulations(unittest.TestCase):
    def coverage(self, name, draw, effect, n=30, least=0.93):
        g, hits = generator(11), 0
        for _ in range(REPETITIONS):
            interval = inference.mean_interval(draw(g, n))
            hits += interval.low <= effect <= interval.high
        print(f"coverage of the 95% interval, n = {n}, {name}: {100 * hits / REPETITIONS:.1f}%")
        self.assertTrue(least <= hits / REPETITIONS <= 0.97, (name, hits))

    def test_coverage_of_a_paired_difference(self):
        def paired(g, n):  # what trials look like: a large part shared by the seed, an effect of 0.3
            shared = g.normal(0, 3, n)
            return (shared + 0.3 + g.normal(0, 1, n)) - (shared + g.normal(0, 0.5, n))
        self.coverage("normal", paired, 0.3)

    def test_coverage_of_zero_inflated_counts(self):
        self.coverage("zero-inflated counts", lambda g, n: g.binomial(1, 0.3, n) * g.poisson(4, n), 1.2)

    def test_coverage_of_skewed_and_heavy_tailed_data(self):
        self.coverage("lognormal", lambda g, n: g.lognormal(0, 0.5, n), numpy.exp(0.125))
        self.coverage("exponential", lambda g, n: g.exponential(1, n), 1.0)
        self.coverage("Student's t of 3", lambda g, n: g.standard_t(3, n), 0.0)

    @unittest.skipUnless(LONG, "VQSWEEP_LONG=1")
    def test_coverage_of_few_seeds_and_of_hard_cases(self):
        self.coverage("normal", lambda g, n: g.normal(0, 1, n), 0.0, n=10)
        self.coverage("lognormal", lambda g, n: g.lognormal(0, 0.5, n), numpy.exp(0.125), n=10)
        self.coverage("counts, a fifth not zero", lambda g, n: g.binomial(1, 0.2, n) * g.poisson(8, n), 1.6)
        # a skewness of 6: what no interval of 30 values does justice to
        self.coverage("lognormal, sigma 1", lambda g, n: g.lognormal(0, 1, n), numpy.exp(0.5), least=0.90)

    def test_coverage_of_cliffs_delta(self):
        g, truth = generator(12), 2 * stats.norm.cdf(0.5 ** 0.5) - 1  # normal, one SD apart, correlated by the seed
        for n in (6, 20):
            hits = 0
            for _ in range(REPETITIONS // 4):
                shared = g.normal(0, 0.8, n)
                interval = inference.cliffs_delta(shared + g.normal(0, 0.6, n), shared + g.normal(1, 0.6, n))[1]
                hits += interval.low <= truth <= interval.high
            print(f"coverage of the 95% interval of Cliff's delta, n = {n}: {400 * hits / REPETITIONS:.1f}%")
            self.assertGreaterEqual(4 * hits / REPETITIONS, 0.92)

    def false_positives(self, name, draw, n=14):
        g = generator(5)
        found = sum(inference.sign_flip(draw(g, n))[0] <= 0.05 for _ in range(REPETITIONS))
        print(f"false positives of the sign-flip test at 5%, n = {n}, {name}: {100 * found / REPETITIONS:.1f}%")
        self.assertGreater(stats.binomtest(found, REPETITIONS, 0.05, alternative="greater").pvalue, 0.001)

    def test_false_positives_stay_within_the_bound(self):
        self.false_positives("normal", lambda g, n: g.normal(0, 1, n))
        self.false_positives("heavy tails", lambda g, n: g.standard_t(2, n))
        self.false_positives("zero-inflated counts", lambda g, n: g.binomial(1, 0.4, n) * g.integers(-3, 4, n))

    def test_false_positives_of_a_family_after_holm(self):
        g, found = generator(6), 0
        for _ in range(300):
            p = [inference.sign_flip(g.normal(0, 1, 10))[0] for _ in range(8)]
            found += (inference.holm(p) <= 0.05).any()
        print(f"families of 8 with any false positive after Holm: {100 * found / 300:.1f}%")
        self.assertGreater(stats.binomtest(int(found), 300, 0.05, alternative="greater").pvalue, 0.001)

    def test_pairing_gain(self):
        g = generator()
        shared = g.normal(0, 3, 20000)
        x, y = shared + g.normal(0, 1, 20000), shared + g.normal(0, 1, 20000)
        self.assertAlmostEqual(inference.pairing_gain(x, y), 10, delta=0.5)  # (10 + 10) / 2
        self.assertEqual(inference.pairing_gain(x[:9], x[:9] + 1), numpy.inf)
        self.assertTrue(numpy.isnan(inference.pairing_gain([0, 0], [0, 0])))


class Degenerate(unittest.TestCase):
    def test_equal_differences_and_too_few(self):
        same = inference.compare([1.0, 2, 3], [1.0, 2, 3])
        self.assertEqual((same.n, same.mean, same.interval, same.p, same.equal), (3, 0, (0, 0), 1, 3))
        self.assertGreater(same.equal_interval.low, 0.29)  # three equal pairs say little
        one = inference.compare([1.0], [2.0])
        self.assertTrue(numpy.isnan(one.interval.low) and numpy.isnan(one.sd) and one.mean == 1)
        none = inference.compare([], [])
        self.assertEqual(none.n, 0)
        self.assertTrue(numpy.isnan(none.mean) and numpy.isnan(none.p))

    def test_rounding_is_no_difference(self):
        x = numpy.array([0.1, 0.2, 0.3]) * 1e3
        self.assertEqual(inference.compare(x, x * (1 + 1e-13)).equal, 3)


if __name__ == "__main__":
    unittest.main()
