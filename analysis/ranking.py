"""Do the estimators rank on real data as on synthetic data? Asked of every study of data from files, in every file.

No job says so: which data a study has stands in its settings. A study of real data is held against the synthetic ones
(`data: subspace`, `plane2d`) that are most like it in all settings but those of the data, and compares the same values.

The rule. Two values are ordered in a study when Holm's p of their paired difference is at most 0.05, over all pairs,
metrics and studies asked here together, and it is at least 1% of their mean. The answer is
  no, or not entirely   when pairs are ordered in both studies but the other way round: no when they are at least as
                        many as those that agree,
  yes                   when no pair is reversed, at least half of all pairs are ordered in both, and the interval of
                        tau lies above 0,
  not decided           otherwise: where nothing tells the values apart, nothing tells the rankings apart.
Were the rankings the same, one of the two tests behind a reversed pair would be wrong about its sign: the chance of a
false "no" anywhere in a file is at most 5%. tests/test_ranking.py counts them.
"""
from collections import namedtuple
from itertools import combinations

import numpy
from scipy import stats

import inference
import study
import views

SYNTHETIC = ("subspace", "plane2d")
QUANTITIES = {"reconstruction": ["cross_entropy_eval", "mse_eval"],  # the first that a study has
              "use of the codes": ["perplexity_eval"]}
FEWEST = 3     # values that make a ranking
SMALL = 0.01   # of the mean of two values: no order
VERDICTS = ("yes", "not entirely", "no", "not decided")
SHARE = 0.5    # of all pairs, that "yes" wants ordered in both studies

# rows: completed trials, with the column `series`; compared: the setting that is; settings: {another: values it takes}
Source = namedtuple("Source", "name synthetic rows compared settings")
Side = namedtuple("Side", "source metric goodness ranks low high")
Agreement = namedtuple("Agreement", "tau interval ceiling")
Answer = namedtuple("Answer", "quantity compared real synthetic values n differs agreement alike reversed one_only "
                              "verdict")

# ---- statistics: arrays of a row a seed and a column a value, more is better -----------------------------------------


def signs(means, tie):
    """-1, 0 or 1 for each pair of columns: whether the first has more."""
    first, second = numpy.triu_indices(means.shape[-1], 1)
    gap = means[..., first] - means[..., second]
    return numpy.where(numpy.abs(gap) <= tie, 0.0, numpy.sign(gap))


def tie_of(x):
    return inference.TIE * numpy.abs(x).max()


def tau_b(x, y):
    """Kendall's tau-b of two arrays of signs of pairs; NaN where one has ties only."""
    with numpy.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(-1) / numpy.sqrt((x * x).sum(-1) * (y * y).sum(-1))


def agreement(x, y):
    """Tau-b of two rankings by means over the same seeds, its 95% bootstrap interval (seeds are drawn, all values and
    both studies with them), and an estimate of its ceiling: the tau to be expected were the true rankings one, by how
    often a pair keeps its order when seeds are drawn. Rankings cannot agree better than each agrees with itself."""
    ties = tie_of(x), tie_of(y)
    weights = inference.bootstrap_weights(len(x), inference.RESAMPLES)
    drawn = [signs(weights @ m, tie) for m, tie in zip((x, y), ties)]
    tau = tau_b(*(signs(m.mean(0), tie) for m, tie in zip((x, y), ties)))
    taus = tau_b(*drawn)
    taus = taus[numpy.isfinite(taus)]
    interval = inference.Interval(*map(float, numpy.quantile(taus, [0.025, 0.975]))) if len(taus) else inference.NONE
    kept = [numpy.abs(d.mean(0)) for d in drawn]
    return Agreement(float(tau), interval, float((kept[0] * kept[1]).mean()))


def ranks(x):
    """(rank, low, high) of each column, 1 is best, ties share; low and high hold 95% of bootstrap samples of seeds."""
    def rank(means):  # one more than the columns that have more, and half of those that have as much
        gap = means[..., None, :] - means[..., :, None]
        return 0.5 + (gap > tie_of(x)).sum(-1) + 0.5 * (numpy.abs(gap) <= tie_of(x)).sum(-1)
    drawn = rank(inference.bootstrap_weights(len(x), inference.RESAMPLES) @ x)
    return rank(x.mean(0)), *numpy.quantile(drawn, [0.025, 0.975], axis=0)


def pair_tests(x):
    """p of each pair of columns, by sign flips of its differences."""
    p = []
    for first, second in combinations(range(x.shape[1]), 2):
        d = x[:, first] - x[:, second]
        p.append(inference.sign_flip(numpy.where(numpy.abs(d) <= tie_of(x), 0.0, d))[0])
    return numpy.array(p)


def ordered(x, p):
    """The sign of each pair whose adjusted p and size say that there is one, else 0."""
    means = x.mean(0)
    first, second = numpy.triu_indices(len(means), 1)
    large = numpy.abs(means[first] - means[second]) >= SMALL * (numpy.abs(means[first]) + numpy.abs(means[second])) / 2
    return numpy.where((p <= study.ALPHA) & large, signs(means, tie_of(x)), 0.0)


def verdict(x, y, low):
    """By the rule above, of two arrays of ordered pairs and the lower end of tau's interval."""
    alike, turned = numpy.sum(x * y > 0), numpy.sum(x * y < 0)
    if turned:
        return "no" if turned >= alike else "not entirely"
    return "yes" if alike >= SHARE * len(x) and low > 0 else "not decided"


# ---- which studies ---------------------------------------------------------------------------------------------------


def sources(trials):
    """Every kind of data in every study that compares enough values."""
    settings = trials.attrs["settings"]
    rest = settings[settings.index("d"):]  # the settings before d are those of the data
    found = []
    for name in trials.attrs["studies"]:
        v = views.view(trials, name)
        rows = v.rows[(v.rows.status == "completed") & (v.rows.series != views.BASELINE)]
        for data, of in rows.groupby("data", sort=False):
            if of.series.nunique() >= FEWEST:
                others = {s: set(of[s].dropna().astype(str)) - {""} for s in rest if s not in (*v.defines, "seed")}
                found.append(Source(name if rows.data.nunique() == 1 else f"{name}, {data}", data in SYNTHETIC, of,
                                    v.series, others))
    return found


def differing(real, synthetic):
    """Settings that have an effect on both sides, and not the same values."""
    both = [(s, real.settings[s], synthetic.settings.get(s)) for s in real.settings]
    return [s for s, x, y in both if x and y and x != y]


def matched(trials):
    """(real, synthetic) sources that are compared."""
    everything = sources(trials)
    for real in (s for s in everything if not s.synthetic):
        others = [s for s in everything if s.synthetic and s.compared == real.compared]
        fewest = min((len(differing(real, s)) for s in others), default=0)
        yield from ((real, s) for s in others if len(differing(real, s)) == fewest)


def goodness(trials, source, metric, values):
    """A DataFrame of a row a seed and a column a value, more is better: the mean over cells that completed with all."""
    rows = source.rows[source.rows.series.isin(values)]
    by_value = rows.groupby("series")
    across = [s for s in study.varying(rows, trials.attrs["settings"])
              if s != source.compared and not by_value[s].agg(lambda x: (x.isna() | (x.astype(str) == "")).any()).any()]
    cells = rows.pivot_table(index=list(dict.fromkeys(across + ["seed"])), columns="series", values=metric)
    sign = {"lower": -1, "higher": 1}[views.better(metric)]
    return sign * cells.reindex(columns=values).dropna().groupby("seed").mean()


# ---- answers ---------------------------------------------------------------------------------------------------------


def answers(trials):
    """An Answer for every quantity and pair of sources, the quantities in turn."""
    asked, p, pairs = [], {}, list(matched(trials))
    for quantity, metrics in QUANTITIES.items():
        for pair in pairs:
            chosen = [next((m for m in metrics if m in s.rows and s.rows[m].notna().any()), None) for s in pair]
            values = [v for v in dict.fromkeys(pair[0].rows.series) if (pair[1].rows.series == v).any()]
            if None in chosen or len(values) < FEWEST:
                continue
            x, y = (goodness(trials, s, m, values) for s, m in zip(pair, chosen))
            seeds = x.index.intersection(y.index)
            if len(seeds) < 2:
                continue
            tables = [t.loc[seeds].to_numpy() for t in (x, y)]
            keys = [(s.name, m, *values, *seeds) for s, m in zip(pair, chosen)]
            asked.append((quantity, pair, chosen, values, tables, keys))
            p.update({key: pair_tests(t) for key, t in zip(keys, tables) if key not in p})
    adjusted = inference.holm(numpy.concatenate(list(p.values()))) if p else []
    starts = dict(zip(p, numpy.cumsum([0] + [len(of) for of in p.values()])))
    return [answer(*of[:-1], [adjusted[starts[k]:starts[k] + len(p[k])] for k in of[-1]]) for of in asked]


def answer(quantity, pair, metrics, values, tables, p):
    orders = [ordered(t, q) for t, q in zip(tables, p)]
    agreed = agreement(*tables)
    names = list(combinations(values, 2))
    both = orders[0] * orders[1]
    turned = [names[i] if orders[0][i] > 0 else names[i][::-1] for i in numpy.flatnonzero(both < 0)]
    sides = [Side(s.name, m, t, *ranks(t)) for s, m, t in zip(pair, metrics, tables)]
    return Answer(quantity, pair[0].compared, *sides, values, len(tables[0]), differing(*pair), agreed,
                  int((both > 0).sum()), turned, int(((orders[0] != 0) ^ (orders[1] != 0)).sum()),
                  verdict(*orders, agreed.interval.low))


def question(found):
    compared = " and ".join(dict.fromkeys(a.compared for a in found))
    what = "estimators" if compared == "estimator" else f"values of {compared}"
    return f"Do the {what} rank on real data as on synthetic data?"


def sentences(found):
    """The answers in words, a sentence a quantity: "By reconstruction: yes on digits (23 of 23 pairs ...)"."""
    said = []
    for quantity in dict.fromkeys(a.quantity for a in found):
        by_verdict = {}
        for a in (a for a in found if a.quantity == quantity):
            both = a.alike + len(a.reversed)
            by_verdict.setdefault(a.verdict, []).append(f"{a.real.source} ({a.alike} of {both} pairs)")
        said.append(f"By {quantity}: "
                    + "; ".join(f"{v} on {', '.join(by_verdict[v])}" for v in VERDICTS if v in by_verdict) + ".")
    if not said:
        return []
    return [f"{question(found)} In brackets, how many of the pairs that are ordered on both agree. {' '.join(said)}"]
