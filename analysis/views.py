"""How to look at a study of any job: which setting runs along the axis, which one is compared, what makes a panel, which
metrics matter. Decided from what the job declared and what its trials vary; figures, tables and exploratory contrasts
all follow it. Nothing is drawn here.
"""
import fnmatch
from collections import Counter, namedtuple

import numpy

import inference
import study
import tables
from vqsweep_store import Contrast

MOST_PANELS = 6       # that a page has room for; settings beyond are pooled over, and captions say so
MOST_SERIES = 6       # that a reader tells apart in one panel
MOST_EXPLORED = 120   # contrasts made after the fact
BASELINE = "kmeans"   # knows neither regime nor training: it belongs to every panel

# Metrics that a report speaks of when the job does not say, the first that exist; * stands for anything.
USUAL = ["mse_eval", "psnr*", "ssim*", "segmental_snr*", "bits_per*", "entropy_eval", "dead_codes_train"]
SEED_METRICS = {"scaling": ["dead_codes_train", "entropy_train"], "noise": ["mse_train", "entropy_train"],
                "commitment": ["dead_codes_train", "entropy_train"]}
BETTER = {"lower": ["mse*", "cross_entropy*", "*error*", "dead_codes*", "collapsed*", "lloyd_gap*", "bits_per*", "loss*",
                    "late_drift", "*angle*", "*divergence*"],
          "higher": ["entropy*", "perplexity*", "usage*", "psnr*", "ssim*", "segmental_snr*", "explained_variance*",
                     "subspace_recovery*", "*accuracy*"]}
NOT_NEGATIVE = ["mse*", "dead_codes*", "entropy*", "perplexity*", "lloyd_gap*", "*drift", "subspace_recovery*", "bits_per*"]

# rows: the trials, with a column `series`; axis: a numeric setting or None; series: the setting that is compared, its
# values the lines of a panel; defines: it and the parameters in its labels; panels: {values: {setting: value}} of the
# text settings that make them; pooled: settings that are averaged over; n: seeds.
View = namedtuple("View", "study rows axis series defines panels pooled n")
Rank = namedtuple("Rank", "value done trials n mean interval result")


def has(trials, metric):
    return metric in trials and bool(trials[metric].notna().any())


def better(metric):
    """lower, higher, or None where it is not known which is better."""
    return next((way for way, names in BETTER.items() if any(fnmatch.fnmatch(metric, n) for n in names)), None)


def interval(metric, values):
    """95% interval of a mean, which for a metric that cannot be negative does not reach below 0."""
    found = inference.mean_interval(values)
    positive = any(fnmatch.fnmatch(metric, pattern) for pattern in NOT_NEGATIVE)
    return found._replace(low=max(0.0, found.low)) if positive and numpy.isfinite(found.low) else found


def metrics(trials, name, most=3):
    """What the job compares in this study comes first."""
    declared = [c.metric for c in trials.attrs["contrasts"] if c.study == name]
    usual = [m for pattern in USUAL for m in trials.attrs["metrics"] if fnmatch.fnmatch(m, pattern)]
    wanted = dict.fromkeys(SEED_METRICS.get(name, declared) + usual + trials.attrs["metrics"][:1])
    return [m for m in wanted if has(trials, m)][:most]


def series(trials, name):
    """The setting that is compared: by declared contrasts, else the estimator, else the first text that varies, unless
    the job compares numbers only."""
    rows = study.members(trials, name)
    texts = [s for s in study.varying(rows, trials.attrs["settings"]) if rows[s].dtype == object]
    declared = [c.axis for c in trials.attrs["contrasts"] if c.study == name and c.axis in rows]
    compared = Counter(axis for axis in declared if axis in texts).most_common(1)
    return compared[0][0] if compared else "estimator" if "estimator" in texts or declared or not texts else texts[0]


def view(trials, name):
    rows = study.members(trials, name)
    compared = series(trials, name)
    varies = [s for s in study.varying(rows, trials.attrs["settings"]) if s not in ("seed", compared)]
    parameters = [s for s in varies if parameter(rows, compared, s)]
    kept = rows.assign(series=labels(rows, compared, parameters))
    varies = [s for s in varies if s not in parameters]
    numeric = sorted((s for s in varies if rows[s].dtype != object), key=lambda s: -rows[s].nunique())
    axis = tables.TABLES[name].axis if name in tables.TABLES else numeric[0] if numeric else None
    trained, chosen = rows[rows.estimator != BASELINE], []
    for setting in (s for s in varies if rows[s].dtype == object):
        if len(trained[chosen + [setting]].drop_duplicates()) <= MOST_PANELS:
            chosen.append(setting)
    levels = [tuple(level) for level in trained[chosen].drop_duplicates().to_numpy()] if chosen else []
    pooled = [s for s in varies if s not in chosen and s != axis]
    return View(name, kept, axis, compared, [compared, *parameters],
                {level: dict(zip(chosen, level)) for level in levels or [()]}, pooled, rows.seed.nunique())


def parameter(rows, compared, setting):
    """Whether a setting belongs to some of the compared values only, such as the a and b of one estimator."""
    if rows[setting].dtype == object:
        return False
    used = rows[rows.estimator != BASELINE].groupby(compared)[setting].count()
    return bool((used == 0).any())


def labels(rows, compared, parameters):
    """The compared value of each trial, with the parameters that only it has: "projector (a 1, b 0)"."""
    texts = rows[compared].astype(str) if rows[compared].dtype == object else rows[compared].map("{:g}".format)
    for setting in parameters:
        with_it = rows[setting].notna()
        texts = texts.where(~with_it, texts + f", {setting} " + rows[setting].map("{:g}".format))
    texts = texts.str.replace(", ", " (", n=1) + numpy.where(texts.str.contains(", "), ")", "")
    return texts.where(rows.estimator != BASELINE, BASELINE)


def of_panel(v, where, with_baseline=True):
    """A panel's trials that completed; the k-means baseline is in every one."""
    rows = v.rows[v.rows.status == "completed"]
    keep = numpy.ones(len(rows), bool)
    for name, value in where.items():
        keep &= (rows[name] == value).to_numpy()
    return rows[keep | (rows.series == BASELINE).to_numpy()] if with_baseline else rows[keep & (rows.series != BASELINE)]


def by_seed(rows, metric):
    """One value a seed, for trials of one seed are not independent."""
    return rows.groupby("seed")[metric].mean().dropna()


def names(v):
    """The values compared, in the order of the plan, the baseline of k-means last."""
    return sorted(dict.fromkeys(v.rows.series), key=lambda s: s == BASELINE)


def trained(v):
    return [s for s in names(v) if s != BASELINE]


def reference(trials, v):
    """What the others are compared with: the first value of a declared contrast, else ste, else the first."""
    declared = [c.values[0] for c in trials.attrs["contrasts"] if c.study == v.study and c.axis == v.series]
    return next((s for s in declared + ["ste"] if s in trained(v)), names(v)[0])


def declared_second(trials, v):
    return [c.values[1] for c in trials.attrs["contrasts"] if c.study == v.study and c.axis == v.series]


def shown(trials, v):
    """Of many values those that fit into a panel: the reference, what the job compares, then the best."""
    everything = names(v)
    if len(everything) <= MOST_SERIES:
        return everything
    declared = [s for s in declared_second(trials, v) if s in everything]
    best = [r.value for m in metrics(trials, v.study, 1) for r in ranking(trials, v, m)]
    first = list(dict.fromkeys([reference(trials, v), *declared, *best]))[:MOST_SERIES]
    return [s for s in everything if s in first]


# ---- comparisons that nobody declared --------------------------------------------------------------------------------


def exploratory(trials):
    """What every study is looked at for: each value compared against the reference, and the ends of the axis; in every
    cell if these are not too many, else pooled over more."""
    results, studies = [], list(trials.attrs["studies"])
    for name in studies:
        v = view(trials, name)
        first, panels = reference(trials, v), list(next(iter(v.panels.values())))
        pairs = [("series", first, s) for s in trained(v) if s != first]
        ends = sorted(v.rows[v.axis].dropna().unique()) if v.axis else []
        pairs += [(v.axis, f"{ends[0]:.15g}", f"{ends[-1]:.15g}")] if len(ends) > 1 else []
        room = MOST_EXPLORED / len(studies) / max(1, 3 * len(pairs))
        for axis, one, other in pairs:
            along = [v.axis] if axis == "series" and v.axis else ["series"] if axis != "series" else []
            cells = [[*panels, *along, *v.pooled], [*panels, *along], panels, []]
            each = next(c for c in cells if number_of_cells(v, c) <= room or not c)
            for metric in metrics(trials, name):
                results += compare(trials, v, Contrast(other if axis == "series" else axis, name, metric, axis, (one, other),
                                                       {}, each))
    return study.adjusted(results)


def number_of_cells(v, each):
    rows = v.rows[v.rows.series != BASELINE] if trained(v) else v.rows
    return len(rows[each].drop_duplicates()) if each else 1


def compare(trials, v, contrast):
    """Results of a contrast on this view's trials, whose axis may be `series`."""
    settings = [s for s in trials.attrs["settings"] if contrast.axis != "series" or s not in v.defines]
    rows = v.rows if contrast.axis == "series" or not trained(v) else v.rows[v.rows.series != BASELINE]
    return list(study.evaluate_rows(rows, settings, contrast, False))


def ranking(trials, v, metric):
    """Every value compared with the reference, over all pairs of equal settings; the best first where it is known what
    is better. Ranked by the paired difference, not by the mean: who lost the hard cells would have the better mean."""
    first, found = reference(trials, v), []
    for value in names(v):
        rows = v.rows[v.rows.series == value]
        done = rows[rows.status == "completed"]
        means = by_seed(done, metric)
        result = None if value == first else compare(trials, v, Contrast(value, v.study, metric, "series", (first, value),
                                                                         {}, []))[0]
        found.append(Rank(value, len(done), len(rows), len(means), float(means.mean()) if len(means) else numpy.nan,
                          interval(metric, means), result))
    tested = study.adjusted([r.result for r in found if r.result])
    found = [r._replace(result=tested.pop(0)) if r.result else r for r in found]
    sign = -1 if better(metric) == "higher" else 1
    return sorted(found, key=lambda r: numpy.nan_to_num(sign * (r.result.comparison.mean if r.result else 0.0),
                                                        nan=numpy.inf))
