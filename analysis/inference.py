"""Statistics of paired comparisons: effect, interval, test, power. Arrays in, numbers out; knows nothing of files.

The unit is the seed. Two trials of equal seed share data, starting weights and batch order, so what is compared are
differences within a seed, and n is the number of seeds. tests/test_inference.py checks every function here against
scipy or by simulation.
"""
from collections import namedtuple
from functools import lru_cache

import numpy
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 10000
EXACT_FLIPS = 36      # up to so many differences, all 2^n signs are counted
RANDOM_FLIPS = 99999  # beyond, so many are drawn
TIE = 1e-9            # sums that differ by less than this share of the largest possible one are ties

Interval = namedtuple("Interval", "low high")
NONE = Interval(numpy.nan, numpy.nan)

# ---- intervals -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def bootstrap_weights(n, resamples):
    """The share of each of n observations in each bootstrap sample. Drawn once, so a report is the same every time."""
    draws = numpy.random.default_rng([20240229, n]).integers(0, n, (resamples, n))
    counts = numpy.zeros((resamples, n), dtype=numpy.float32)
    numpy.add.at(counts, (numpy.arange(resamples)[:, None], draws), 1)
    return counts / numpy.float32(n)


def _tail(n, confidence, expand):
    """The normal quantile of one tail. A bootstrap sample spreads by sqrt((n - 1)/n) too little and knows nothing of
    Student's t; `expand` widens by just that (Hesterberg 2015, the expanded percentile interval)."""
    tail = (1 - confidence) / 2
    return stats.t.ppf(tail, n - 1) * numpy.sqrt(n / (n - 1)) if expand else stats.norm.ppf(tail)


def _bca(estimate, replicates, jackknife, z):
    """Efron's bias-corrected and accelerated interval from bootstrap replicates and leave-one-out values."""
    scale = TIE * max(numpy.max(numpy.abs(replicates)), abs(estimate))
    below = numpy.mean(replicates < estimate - scale) + numpy.mean(numpy.abs(replicates - estimate) <= scale) / 2
    if not 0 < below < 1:
        return Interval(float(numpy.min(replicates)), float(numpy.max(replicates)))
    bias = stats.norm.ppf(below)
    away = jackknife.mean() - jackknife
    spread = numpy.sum(away ** 2)
    skew = numpy.sum(away ** 3) / (6 * spread ** 1.5) if spread > 0 else 0.0
    levels = []
    for tail in (z, -z):
        shifted = bias + tail
        levels.append(stats.norm.cdf(bias + shifted / (1 - skew * shifted)) if skew * shifted < 1 else float(tail > 0))
    return Interval(*(float(q) for q in numpy.quantile(replicates, levels)))


def bca_interval(values, confidence=CONFIDENCE, expand=True, resamples=RESAMPLES):
    """BCa bootstrap interval of a mean, of two values at least that are not all the same."""
    d, n = numpy.asarray(values, float), len(values)
    weights = bootstrap_weights(n, resamples if n <= 1000 else 1000)
    return _bca(d.mean(), weights @ d, (d.sum() - d) / (n - 1), _tail(n, confidence, expand))


def mean_interval(values, confidence=CONFIDENCE):
    """Interval of a mean: on each side the farther end of BCa's and Student's interval.

    BCa alone covers too little where tails are heavy, Student's where they are skewed: 91% and 92% at n = 30. The two
    together cover 93 to 97% there (normal, exponential, Student's t of 3, zero-inflated counts), and are longer by a
    tenth; of a lognormal with sigma 1, skewness 6, still only 92%. Of one value repeated the interval is that value:
    read `share_interval` beside it.
    """
    d = numpy.asarray(values, float)
    n = len(d)
    if n < 2:
        return NONE
    if numpy.ptp(d) <= TIE * numpy.max(numpy.abs(d)):
        return Interval(float(d[0]), float(d[0]))
    bca, reach = bca_interval(d, confidence), stats.t.ppf((1 - confidence) / 2, n - 1) * d.std(ddof=1) / numpy.sqrt(n)
    return Interval(min(bca.low, float(d.mean() + reach)), max(bca.high, float(d.mean() - reach)))


def share_interval(k, n, confidence=CONFIDENCE):
    """Clopper and Pearson's exact interval of a probability of which k of n were seen."""
    if n == 0:
        return NONE
    tail = (1 - confidence) / 2
    return Interval(float(stats.beta.ppf(tail, k, n - k + 1)) if k > 0 else 0.0,
                    float(stats.beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0)


def cliffs_delta(x, y, confidence=CONFIDENCE):
    """P(y > x) - P(y < x) for one trial of each kind at random, and its interval over seeds, made like that of a mean.
    Where all comparisons come out alike there is nothing to resample: n of n pairs then bound the share of others."""
    x, y = numpy.asarray(x, float), numpy.asarray(y, float)
    n = len(x)
    if n < 2:
        return numpy.nan, NONE
    gap = y[None, :] - x[:, None]
    tie = TIE * max(numpy.max(numpy.abs(x)), numpy.max(numpy.abs(y)))
    order = numpy.where(numpy.abs(gap) <= tie, 0.0, numpy.sign(gap))
    delta = order.mean()
    if numpy.ptp(order) == 0:
        others = 1 - share_interval(n, n, confidence).low
        return float(delta), Interval(max(-1.0, delta - others * (1 + abs(delta))), min(1.0, delta + others * (1 + abs(delta))))
    if n > 1000:
        return float(delta), NONE
    weights = bootstrap_weights(n, RESAMPLES).astype(float)
    replicates = numpy.einsum("bi,bi->b", weights @ order, weights)
    without = (order.sum() - order.sum(0) - order.sum(1) + order.diagonal()) / (n - 1) ** 2
    bca = _bca(delta, replicates, without, _tail(n, confidence, True))
    reach = -stats.t.ppf((1 - confidence) / 2, n - 1) * numpy.sqrt((n - 1) * without.var())  # of the jackknife
    return float(delta), Interval(float(max(-1, min(bca.low, delta - reach))), float(min(1, max(bca.high, delta + reach))))


# ---- tests -----------------------------------------------------------------------------------------------------------


def _signed_sums(values):
    sums = numpy.zeros(1)
    for value in values:
        sums = numpy.concatenate([sums + value, sums - value])
    return sums


def sign_flip(differences):
    """(p, exact): two-sided test of "each difference is as likely to be negative" by its sum under all sign flips.

    Exact up to EXACT_FLIPS differences that are not 0: the sums of two halves meet in the middle, so 2^n signs take
    2^(n/2) steps. On differences of -1, 0, 1 this is McNemar's exact test.
    """
    d = numpy.asarray(differences, float)
    d = d[d != 0]
    if len(d) == 0:
        return 1.0, True
    observed = abs(d.sum()) - TIE * numpy.abs(d).sum()
    if observed <= 0:
        return 1.0, True
    if len(d) <= EXACT_FLIPS:
        first, second = _signed_sums(d[::2]), numpy.sort(_signed_sums(d[1::2]))
        reached = len(first) * len(second) - numpy.searchsorted(second, observed - first).sum()
        return min(1.0, 2 * float(reached) / 2.0 ** len(d)), True
    generator = numpy.random.default_rng([20240229, len(d)])
    reached, chunk = 0, max(1, 4_000_000 // len(d))
    for start in range(0, RANDOM_FLIPS, chunk):
        signs = generator.integers(0, 2, (min(chunk, RANDOM_FLIPS - start), len(d)), dtype=numpy.int8) * 2 - 1
        reached += numpy.sum(numpy.abs(signs @ d) >= observed)
    return float(1 + reached) / (1 + RANDOM_FLIPS), False


def mcnemar(only_first, only_second):
    """Exact two-sided p of a pair of binary outcomes: pairs in which only the first, or only the second, happened."""
    n = only_first + only_second
    return stats.binomtest(int(only_first), int(n)).pvalue if n else 1.0


def holm(p_values):
    """Holm's adjusted p, in the order given: all those below alpha may be rejected together at level alpha."""
    p = numpy.asarray(p_values, float)
    order = numpy.argsort(p)
    adjusted = numpy.empty(len(p))
    adjusted[order] = numpy.minimum(1, numpy.maximum.accumulate((len(p) - numpy.arange(len(p))) * p[order]))
    return adjusted


# ---- how much pairing helps, and how many seeds an effect needs ------------------------------------------------------


def pairing_gain(x, y):
    """Var x + Var y over Var(y - x): how many times as many seeds the same precision would need without pairs.
    Infinite where all differences are equal, NaN where there is no variance at all."""
    x, y = numpy.asarray(x, float), numpy.asarray(y, float)
    if len(x) < 2:
        return numpy.nan
    apart, paired = x.var(ddof=1) + y.var(ddof=1), (y - x).var(ddof=1)
    scale = (TIE * max(numpy.max(numpy.abs(x)), numpy.max(numpy.abs(y)))) ** 2
    if paired <= scale:
        return numpy.inf if apart > scale else numpy.nan
    return float(apart / paired)


def _power_of_t(n, ratio, alpha):
    limit, shift = stats.t.ppf(1 - alpha / 2, n - 1), ratio * numpy.sqrt(n)
    if shift > 40 * limit:  # where scipy's distribution may end the program
        return 1.0
    with numpy.errstate(divide="ignore", invalid="ignore"):  # far out scipy divides by a density of 0
        power = stats.nct.sf(limit, n - 1, shift) + stats.nct.cdf(-limit, n - 1, shift)
    return float(power) if numpy.isfinite(power) else float(shift > limit)


def fewest_pairs(alpha=0.05):
    """With fewer pairs the sign-flip test cannot reach alpha, however large the effect: its smallest p is 2^(1 - n)."""
    return int(numpy.ceil(1 - numpy.log2(alpha)))


def sd_limit(sd, n, confidence=0.8):
    """Upper confidence limit of a normal SD of which n values gave `sd`: a pilot's SD is itself uncertain."""
    return float(sd * numpy.sqrt((n - 1) / stats.chi2.ppf(1 - confidence, n - 1))) if n > 1 else numpy.nan


def seeds_needed(sd, effect, power=0.8, alpha=0.05, most=100000):
    """The fewest pairs with which a paired t test finds a mean difference `effect` when differences have SD `sd`; None
    beyond `most`. The sign-flip test needs about as many, and `fewest_pairs` at least."""
    if not effect:
        return None
    low = high = fewest_pairs(alpha)
    while high < most and _power_of_t(high, abs(effect) / sd if sd > 0 else numpy.inf, alpha) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power_of_t(middle, abs(effect) / sd, alpha) >= power else (middle, high)
    return high if high <= most else None


def detectable(sd, n, power=0.8, alpha=0.05):
    """The smallest mean difference that n pairs find with this power."""
    if n < 3 or not sd > 0:
        return numpy.nan
    low, high = 0.0, 10.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if _power_of_t(n, middle, alpha) >= power else (middle, high)
    return high * sd


def _rejected(m, share, alpha):
    """P(McNemar's exact test rejects | m discordant pairs, a share of them of the first kind), for an array of m."""
    k = stats.binom.ppf(alpha / 2, m, 0.5)
    k = numpy.where(stats.binom.cdf(k, m, 0.5) <= alpha / 2, k, k - 1)  # the largest k such that k against m - k rejects
    return numpy.where(k >= 0, stats.binom.cdf(k, m, share) + stats.binom.sf(m - k - 1, m, share), 0.0)


def mcnemar_power(n, p_first, p_second, alpha=0.05):
    """Exact power of McNemar's exact test with n pairs of independent outcomes of these two probabilities."""
    first, second = p_first * (1 - p_second), p_second * (1 - p_first)
    if first + second == 0:
        return 0.0
    m = numpy.arange(1, n + 1)
    return float(stats.binom.pmf(m, n, first + second) @ _rejected(m, first / (first + second), alpha))


def seeds_for_rates(p_first, p_second, power=0.8, alpha=0.05, most=400):
    """The fewest pairs with which McNemar's exact test tells two rates of collapse apart; None beyond `most`. Outcomes
    of a pair are taken as independent: pairs that agree more often need fewer seeds."""
    if mcnemar_power(most, p_first, p_second, alpha) < power:
        return None
    return next(n for n in range(4, most + 1) if mcnemar_power(n, p_first, p_second, alpha) >= power)


# ---- all of it for one comparison ------------------------------------------------------------------------------------

Comparison = namedtuple("Comparison", "n mean interval sd p exact delta delta_interval gain equal equal_interval")


def compare(x, y, equal=None):
    """y against x, paired by position: mean of y - x, its interval, p, Cliff's delta, gain by pairing. `equal` of the n
    pairs are equal: where nearly all are, that count and the exact interval of the share tell more than the mean."""
    x, y = numpy.asarray(x, float), numpy.asarray(y, float)
    d = y - x
    scale = TIE * max(numpy.max(numpy.abs(x)), numpy.max(numpy.abs(y))) if len(d) else 0
    d = numpy.where(numpy.abs(d) <= scale, 0.0, d)
    equal = int(numpy.sum(d == 0)) if equal is None else equal
    p, exact = sign_flip(d) if len(d) else (numpy.nan, True)
    delta, delta_interval = cliffs_delta(x, y)
    return Comparison(len(d), float(d.mean()) if len(d) else numpy.nan, mean_interval(d),
                      float(d.std(ddof=1)) if len(d) > 1 else numpy.nan, p, exact, delta, delta_interval,
                      pairing_gain(x, y), equal, share_interval(equal, len(d)))
