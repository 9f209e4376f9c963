"""From trials to findings: declared contrasts, the seed study's claims, and a verdict on each.

A contrast compares two values of one setting over pairs of trials equal in all other settings. Pairs of one seed share
data and are averaged, so n counts seeds. A claim of the seed study is a set of contrasts and a rule for what they must
show. Planned is what the job declared before its first trial; all else is exploratory, and adjusted (Holm) apart.
"""
import re
from collections import namedtuple

import numpy
import pandas

import inference
import tables
from vqsweep_store import Contrast

ALPHA = 0.05
ENOUGH = 10  # seeds below which "no difference" is never concluded, however equal they look

# The smallest difference that counts as one, chosen for this report: "same" means that the interval lies within it.
# A share is of the first value's mean, or of K for counts of codes.
MARGINS = {"dead_codes_train": ("of K", 0.02), "entropy_train": ("", 0.05), "mse_train": ("share", 0.05),
           "subspace_recovery": ("share", 0.1), "lloyd_gap": ("", 0.05), "late_drift": ("share", 0.05)}

Result = namedtuple("Result", "contrast regime planned pairs lost first second comparison margin p_holm")
Claim = namedtuple("Claim", "name words rule study metric axis values")
Finding = namedtuple("Finding", "regime value verdict why planned result")

PAIR = tables.ESTIMATORS
REGIME = ["decoder", "codebook_init"]

# Rules: lower, higher: the second estimator's metric is so; same: within the margin; often: collapse in more than half
# of the runs of both; rarely: in fewer than one run of five of both.
CLAIMS = [
    Claim("alive", "With a large codebook, rotation leaves fewer codes dead.", "lower", "scaling", "dead_codes_train",
          "K", (32, 64)),
    Claim("entropy", "With a large codebook, rotation uses the codes more evenly (higher entropy).", "higher", "scaling",
          "entropy_train", "K", (32, 64)),
    Claim("small", "With a small codebook the two do not differ in dead codes.", "same", "scaling", "dead_codes_train",
          "K", (4, 8, 16)),
    Claim("reconstruction", "Both reconstruct equally well at every noise level.", "same", "noise", "mse_train", "sigma",
          (0.0, 0.1, 0.3)),
    Claim("clean", "On clean data rotation has the higher entropy.", "higher", "noise", "entropy_train", "sigma", (0.0,)),
    Claim("without", "Without commitment loss both collapse.", "often", "commitment", "collapsed", "beta", (0.0,)),
    Claim("weak", "With a weak commitment loss rotation leaves fewer codes dead.", "lower", "commitment",
          "dead_codes_train", "beta", (0.1,)),
    Claim("proper", "With a proper commitment loss neither collapses.", "rarely", "commitment", "collapsed", "beta",
          (0.25, 1.0)),
    Claim("recovery", "Both recover the true subspace equally well.", "same", "scaling", "subspace_recovery", "K",
          (4, 8, 16, 32, 64)),
    Claim("lloyd", "Rotation comes closer to what k-means reaches on the same encodings (Lloyd gap).", "lower", "scaling",
          "lloyd_gap", "K", (16, 32, 64)),
    Claim("stable", "Rotation's codebook moves less late in training (drift, last fifth of the epochs).", "lower",
          "scaling", "late_drift", "K", (16, 32, 64)),
]

# ---- contrasts -------------------------------------------------------------------------------------------------------


def matches(column, value):
    """Rows whose setting has this value, which may be a text from a job."""
    if column.dtype == object:
        return column == value
    number = {"true": 1.0, "false": 0.0}.get(value) if isinstance(value, str) else None
    return numpy.isclose(column.astype(float), float(value) if number is None else number, rtol=1e-12, atol=0)


def members(trials, study):
    return trials.loc[trials.attrs["studies"][study]]


def lost(rows, axis, values):
    """What keeps trials out of a comparison: "ste 1 failed, rotation 2 pending", or nothing."""
    return ", ".join(f"{value} {count} {status}" for value in values
                     for status in ("failed", "diverged", "pending")
                     if (count := int(numpy.sum(matches(rows[axis], value) & (rows.status == status)))))


def paired(rows, settings, contrast):
    """(number of pairs, one row a seed with columns first and second)."""
    sides = [rows[matches(rows[contrast.axis], v) & (rows.status == "completed")] for v in contrast.values]
    shared = [s for s in settings if s != contrast.axis and rows[s].nunique(dropna=False) > 1
              and not any((side[s].isna() | (side[s].astype(str) == "")).all() for side in sides)]
    shared = list(dict.fromkeys(shared + ["seed"]))
    both = sides[0][shared + [contrast.metric]].merge(sides[1][shared + [contrast.metric]], on=shared,
                                                      suffixes=("_first", "_second"))
    both = both.rename(columns={contrast.metric + s: s[1:] for s in ("_first", "_second")})
    both = both.dropna(subset=["first", "second"])
    return len(both), both.groupby("seed")[["first", "second"]].mean()


def levels(rows, names):
    """(values, rows) of each combination of these settings, in the order of the plan."""
    if not names:
        return [((), rows)]
    groups = rows.groupby(names if len(names) > 1 else names[0], sort=False, dropna=False)
    return [(level if isinstance(level, tuple) else (level,), group) for level, group in groups]


def margin_of(metric, rows, first_mean):
    kind, size = MARGINS.get(metric, ("share", 0.05))
    return size * {"": 1, "of K": rows.K.mean(), "share": abs(first_mean)}[kind]


def evaluate(trials, contrast, planned):
    """A Result for each combination of the settings under `each`, p not yet adjusted."""
    rows = members(trials, contrast.study)
    for name, value in contrast.where.items():
        rows = rows[matches(rows[name], value)]
    return evaluate_rows(rows, trials.attrs["settings"], contrast, planned)


def evaluate_rows(rows, settings, contrast, planned):
    """The same over these rows; pairs are equal in these settings, the axis apart."""
    either = matches(rows[contrast.axis], contrast.values[0]) | matches(rows[contrast.axis], contrast.values[1])
    for level, group in levels(rows[either], contrast.each):
        n_pairs, both = paired(group, settings, contrast)
        comparison = inference.compare(both["first"], both["second"])
        first = float(both["first"].mean()) if len(both) else numpy.nan
        yield Result(contrast, dict(zip(contrast.each, level)), planned, n_pairs,
                     lost(group, contrast.axis, contrast.values), both["first"].to_numpy(), both["second"].to_numpy(),
                     comparison, margin_of(contrast.metric, group, first), numpy.nan)


def adjusted(results):
    """The same results with Holm's p over all of them that have one."""
    found = [i for i, r in enumerate(results) if numpy.isfinite(r.comparison.p)]
    for i, p in zip(found, inference.holm([results[i].comparison.p for i in found])):
        results[i] = results[i]._replace(p_holm=float(p))
    return results


def usable(trials, contrast):
    """Whether the file can answer it: another job's file may lack the study or the column."""
    return (contrast.study in trials.attrs["studies"] and contrast.metric in trials.columns
            and {contrast.axis, *contrast.where, *contrast.each} <= set(trials.columns))


def declared_first(trials):
    """Whether the contrasts stood in the job before any result: not where results of another plan were taken over."""
    provenance = trials.attrs.get("provenance", {})
    return all(key == provenance.get("plan_key") for key in
               re.findall(r"\(plan ([0-9a-f]{16})\)", str(provenance.get("mixed_with", ""))))


def planned_results(trials):
    """Results of the declared contrasts; `planned` only if they were declared first."""
    first = declared_first(trials)
    return adjusted([r for c in trials.attrs["contrasts"] if usable(trials, c) for r in evaluate(trials, c, first)])


def varying(rows, settings):
    """Settings that take several values among the trials in which they have an effect."""
    return [s for s in settings if s in rows and rows[s][rows[s].astype(str) != ""].nunique() > 1]


# ---- the seed study's claims -----------------------------------------------------------------------------------------


def with_late_drift(trials, read_curve):
    """Adds the column late_drift: mean code drift over the last fifth of a trial's epochs. `read_curve` gives an array
    of the curve for a list of trials."""
    done = trials.index[(trials.status == "completed") & (trials.n_epochs > 0)]
    if "code_drift" not in trials.attrs["curves"] or not len(done):
        return trials
    drift, last = read_curve("code_drift", done), trials.n_epochs[done].to_numpy()[:, None]
    epoch = numpy.arange(1, drift.shape[1] + 1)
    late = (epoch > last - numpy.maximum(1, last // 5)) & (epoch <= last)
    trials.attrs["long_names"]["late_drift"] = "code drift, mean of the last fifth of the epochs"
    return with_columns(trials, {"late_drift": pandas.Series(numpy.where(late, drift, 0).sum(1) / late.sum(1), done)})


def with_columns(trials, columns):
    """The same trials with these columns beside the others: what is written into a wide frame one by one is slow."""
    joined = trials.join(pandas.DataFrame(columns, trials.index))
    joined.attrs = trials.attrs
    return joined


def with_codebook_metrics(trials, arrays):
    """Adds a column for each metric of each codebook of residual or product quantisation: entropy_train_codebook0, ..."""
    columns = {}
    for found in arrays:
        for c in found.labels["codebook"]:
            for i, metric in enumerate(found.labels["level_metric"]):
                column = columns.setdefault(f"{metric}_codebook{c}", pandas.Series(numpy.nan, trials.index))
                column[found.trials] = found.values[:, c, i]
    trials.attrs["metrics"] += list(columns)
    return with_columns(trials, columns)


def claim_results(trials, planned):
    """{claim name: Results of its cells}; those that were declared are taken from `planned`."""
    declared = {signature(r): r for r in planned}
    found, fresh = {}, []
    for claim in CLAIMS:
        for value in claim.values:
            contrast = Contrast(claim.name, claim.study, claim.metric, "estimator", PAIR, {claim.axis: value}, REGIME)
            if not usable(trials, contrast) or not matches(members(trials, claim.study)[claim.axis], value).any():
                continue
            for result in evaluate(trials, contrast, False):
                known = declared.get(signature(result))
                found.setdefault(claim.name, []).append(known)
                if known is None:
                    fresh.append((claim.name, len(found[claim.name]) - 1, result))
    for (name, i, _), result in zip(fresh, adjusted([result for *_, result in fresh])):
        found[name][i] = result
    return found


def signature(result):
    """Equal for results of the same comparison, whatever it is called."""
    c = result.contrast
    where = {**{k: _number(v) for k, v in c.where.items()}, **{k: _number(v) for k, v in result.regime.items()}}
    return c.study, c.metric, c.axis, tuple(map(str, c.values)), tuple(sorted(where.items(), key=str))


def _number(value):
    try:
        return float(value)
    except ValueError:
        return value


def judge(claim, result):
    """(verdict, why) of one cell: holds, does not hold or undecided."""
    c = result.comparison
    if c.n == 0:
        return "undecided", "no pair of completed trials"
    if claim.rule in ("often", "rarely"):
        return judge_rates(claim.rule, result)
    low, high = c.interval
    inside = c.n >= ENOUGH and -result.margin < low and high < result.margin
    if claim.rule == "same":
        if inside:
            return "holds", ("equal" if c.equal == c.n else "differs, by less than the margin"
                             if result.p_holm <= ALPHA else "no difference beyond the margin")
        if result.p_holm <= ALPHA and (low >= result.margin or high <= -result.margin):
            return "does not hold", "differs by more than the margin"
        return "undecided", "the interval reaches across the margin"
    if inside:
        return "does not hold", "equal" if c.equal == c.n else "no difference beyond the margin"
    if result.p_holm <= ALPHA:
        claimed = c.mean < 0 if claim.rule == "lower" else c.mean > 0
        return ("holds", "differs as claimed") if claimed else ("does not hold", "the opposite")
    return "undecided", "neither a difference nor its absence is shown"


def judge_rates(rule, result):
    limit, rates = (0.5 if rule == "often" else 0.2), []
    for values in (result.first, result.second):
        low, high = inference.share_interval(int(values.sum()), len(values))
        rates.append("above" if low > limit else "below" if high < limit else "unclear")
    wanted = "above" if rule == "often" else "below"
    if rates == [wanted, wanted]:
        return "holds", f"both rates are {wanted} {limit:g}"
    if any(rate not in (wanted, "unclear") for rate in rates):
        return "does not hold", f"a rate is {'below' if wanted == 'above' else 'above'} {limit:g}"
    return "undecided", f"an interval reaches across {limit:g}"


def findings(trials, planned):
    """{claim: Findings}, for claims this file can speak to."""
    results = claim_results(trials, planned)
    return {claim: [Finding(r.regime, _number(r.contrast.where[claim.axis]), *judge(claim, r), r.planned, r)
                    for r in results[claim.name]] for claim in CLAIMS if claim.name in results}


def overall(found):
    """One word for a claim: holds, does not hold, undecided, or depends."""
    verdicts = {f.verdict for f in found}
    if len(verdicts) == 1:
        return verdicts.pop()
    return "depends" if "holds" in verdicts else "does not hold" if "does not hold" in verdicts else "undecided"


# ---- agreement with the seed study's cells ---------------------------------------------------------------------------

Cell = namedtuple("Cell", "study axis value decoder init estimator metric n mean sd seed_mean seed_sd agreement")


def agreement(x, seed_mean, seed_sd, unit, largest):
    """agrees, differs or tells nothing: whether the difference of two means is within its 95% interval (Welch), the
    seed's rounding allowed for. With 3 runs that interval may be wider than half of what the metric can be at all."""
    seed_variance = max(seed_sd, unit / 2) ** 2 / (tables.SEED_N - 1)  # of the mean; the seed gives population SDs
    ours = x.var(ddof=1) / len(x) if len(x) > 1 else numpy.nan
    freedom = (ours + seed_variance) ** 2 / (ours ** 2 / (len(x) - 1) + seed_variance ** 2 / (tables.SEED_N - 1))
    reach = inference.stats.t.ppf(1 - ALPHA / 2, freedom) * numpy.sqrt(ours + seed_variance) + unit / 2
    if not numpy.isfinite(reach):
        return "no data"
    if abs(x.mean() - seed_mean) > reach:
        return "differs"
    return "agrees" if reach <= largest / 2 else "agrees (wide)"


def seed_cells(trials):
    """Every cell that the seed study reported, in every regime of this file."""
    found = []
    for name, table in tables.TABLES.items():
        if name not in trials.attrs["studies"]:
            continue
        columns = {c.metric: c for panel in table.panels.values() for c in panel}
        for cell in tables.cells(trials, name, table.axis):
            for metric, reported in table.seed.get(cell.value, {}).items():
                if metric == "kmeans":
                    continue
                K = float(cell.of[PAIR[0]].K.iloc[0]) if len(cell.of[PAIR[0]]) else 1.0
                largest = {"dead_codes_train": K, "entropy_train": numpy.log(K)}.get(metric, numpy.inf)
                for estimator, (mean, sd) in zip(PAIR, reported):
                    x = tables.values(cell, metric, estimator)
                    verdict = agreement(x, mean, sd, 10.0 ** -columns[metric].decimals, largest) if len(x) else "no data"
                    found.append(Cell(name, table.axis, cell.value, cell.decoder, cell.init, estimator, metric, len(x),
                                      x.mean() if len(x) else numpy.nan, x.std() if len(x) else numpy.nan, mean, sd,
                                      verdict))
    return found


def agreement_counts(cells):
    """{(decoder, init): {agreement: count}}, best regime first."""
    counts = {}
    for cell in cells:
        of = counts.setdefault((cell.decoder, cell.init), {})
        of[cell.agreement] = of.get(cell.agreement, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1].get("agrees", 0) - item[1].get("agrees (wide)", 0)))
