"""The tables of the report, each from findings to texts. What is computed, and how, is in study.py and inference.py."""
import numpy

import inference
import study
import tables
from tabulate import Table

SIGN = {"agrees": "=", "agrees (wide)": "≈", "differs": "≠", "no data": "?"}
MOST_ROWS = 240


def number(x, digits=3):
    """Short, without an exponent where there can be none; never -0."""
    if x is None or not numpy.isfinite(x):
        return "∞" if x is not None and x == numpy.inf else "–"
    return f"{x + 0.0:.{digits}g}" if x else "0"


def signed(x, digits=3):
    return "–" if not numpy.isfinite(x) else "0" if x == 0 else f"{x:+.{digits}g}"


def interval(i, digits=3):
    if not numpy.isfinite(i.low):
        return "–"
    return "[0, 0]" if i.low == i.high == 0 else f"[{i.low + 0.0:.{digits}g}, {i.high + 0.0:.{digits}g}]"


def p_value(p):
    return "–" if not numpy.isfinite(p) else "<0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def regime(where):
    return ", ".join(str(number(v) if isinstance(v, (int, float)) else v) for v in where.values() if v != "") or "all"


def rate(values):
    """"17/30 [0.37, 0.75]": collapse is all or nothing, so a rate with its exact interval."""
    k, n = int(numpy.sum(values)), len(values)
    return f"{k}/{n} {interval(inference.share_interval(k, n), 2)}" if n else "–"


def spread(values):
    """Counts that are mostly zero: how many are, and median and range of the others."""
    if not len(values):
        return "–"
    some = values[values > 0]
    text = f"0 in {len(values) - len(some)}/{len(values)}"
    return text + (f"; else {number(numpy.median(some))} ({number(some.min())}–{number(some.max())})" if len(some) else "")


def what(contrast):
    """Where a contrast was looked at: "K 32", with the regime in a column of its own."""
    return ", ".join(f"{k} {number(float(v)) if _is_number(v) else v}" for k, v in contrast.where.items()) or "all"


def _is_number(text):
    try:
        float(text)
        return True
    except ValueError:
        return False


# ---- the seed study --------------------------------------------------------------------------------------------------


def seed_table(cells, name):
    """One of the seed study's tables, ours beside it: a row for each value and regime, a sign for each cell."""
    table = tables.TABLES[name]
    metrics = list(dict.fromkeys(c.metric for c in cells))
    columns = {c.metric: c for panel in table.panels.values() for c in panel}
    pairs = [(m, e) for m in metrics for e in tables.ESTIMATORS]
    rows = []
    for value in dict.fromkeys(c.value for c in cells):
        here = [c for c in cells if c.value == value]
        found = {(c.decoder, c.init, c.metric, c.estimator): c for c in here}
        seed = {(c.metric, c.estimator): c for c in here}
        rows += [None, [f"{value:g}", "seed study, n 3"]
                 + [tables.plus_minus(seed[k].seed_mean, columns[k[0]].decimals, seed[k].seed_sd) if k in seed else "–"
                    for k in pairs]]
        for decoder, init in dict.fromkeys((c.decoder, c.init) for c in here):
            texts = []
            for metric, estimator in pairs:
                c = found.get((decoder, init, metric, estimator))
                texts.append("–" if c is None else SIGN[c.agreement] + " " + tables.plus_minus(
                    c.mean, columns[metric].decimals, c.sd) if c.n else "?")
            n = {c.n for c in here if (c.decoder, c.init) == (decoder, init)}
            rows.append([f"{value:g}", f"{decoder}, {init}, n {'–'.join(map(str, sorted({min(n), max(n)})))}"] + texts)
    header = [table.axis, "regime"] + [f"{columns[m].header}, {e}" for m, e in pairs]
    return Table(f"seed_{name}", f"{table.title}: ours beside the seed study's.",
                 "Mean ± population SD over n seeds; regime: decoder, codebook initialisation. = agrees with the seed "
                 "study's cell within both uncertainties (95% Welch interval of the difference, rounding allowed for), "
                 "≈ agrees only because three runs leave an interval wider than half of all possible values, "
                 "≠ differs.", header, rows[1:])


def agreement_table(cells):
    rows = []
    for (decoder, init), counts in study.agreement_counts(cells).items():
        n = sum(counts.values())
        agree, wide = counts.get("agrees", 0), counts.get("agrees (wide)", 0)
        rows.append([f"{decoder}, {init}", f"{agree + wide}/{n}", str(wide), str(counts.get("differs", 0)),
                     str(counts.get("no data", 0))])
    return Table("agreement", "How many of the seed study's cells each regime reproduces.",
                 "A cell is a mean that the seed study reported (one metric, one estimator, one value of an axis; n 3). "
                 "Agreement by width alone is counted in both of the first two columns.",
                 ["decoder, initialisation", "cells that agree", "of these by width alone", "differ", "no data"], rows)


def verdict_table(findings):
    rows = []
    for claim, found in findings.items():
        rows.append([claim.words, study.overall(found)] + [where(found, v) for v in
                                                           ("holds", "does not hold", "undecided")])
    return Table("verdicts", "The seed study's claims.",
                 "Regimes are decoder, codebook initialisation; in brackets the values of the axis. Holds, does not hold: "
                 f"the 95% interval and Holm's p (at {study.ALPHA}) say so; undecided: neither. The unit is the seed. "
                 "Details of every cell are in the table of evidence.",
                 ["claim", "verdict", "holds in", "does not hold in", "undecided in"], rows)


def where(found, verdict):
    """"tied, uniform (K 32, 64); free, normal (K 64)", or "everywhere"."""
    chosen = [f for f in found if f.verdict == verdict]
    if len(chosen) == len(found) and found:
        return "every regime"
    parts = []
    for of in dict.fromkeys(regime(f.regime) for f in chosen):
        axis = next(iter(found[0].result.contrast.where))
        everything = [f.value for f in found if regime(f.regime) == of]
        values = [f.value for f in chosen if regime(f.regime) == of]
        parts.append(of if len(values) == len(everything) else f"{of} ({axis} {', '.join(f'{v:g}' for v in values)})")
    return "; ".join(parts)


def evidence_table(findings):
    rows = []
    for claim, found in findings.items():
        rows.append(None)
        for f in found:
            rows.append([claim.words, f"{claim.axis} {f.value:g}", regime(f.regime), f.verdict, f.why]
                        + effect(f.result) + ["planned" if f.planned else "exploratory", f.result.lost or "none"])
    return Table("evidence", "The evidence for each verdict.", EFFECT_NOTE,
                 ["claim", "at", "regime", "verdict", "because"] + EFFECT + ["status", "not in the numbers"], rows[1:])


# ---- contrasts -------------------------------------------------------------------------------------------------------

EFFECT = ["n seeds", "first", "second", "difference", "95% interval", "p", "p (Holm)", "Cliff's delta", "equal pairs"]
EFFECT_NOTE = ("Rotation less ste, or the second value of a contrast less the first, paired by seed; n counts seeds. "
               "Intervals: BCa bootstrap, widened for small n. p: sign-flip test, exact up to 36 differences; of a "
               "binary outcome it is McNemar's. Holm's p holds over all planned contrasts together, and over all "
               "exploratory ones together. Where all pairs are equal, the bootstrap has nothing to resample: of 30 "
               "equal pairs it follows, with 95% confidence, that at least 88% of all pairs are equal.")


def effect(result):
    c = result.comparison
    means = [number(x.mean(), 4) if len(x) else "–" for x in (result.first, result.second)]
    if result.contrast.metric == "collapsed":
        means = [rate(x) for x in (result.first, result.second)]
    return [str(c.n), *means, signed(c.mean), interval(c.interval), p_value(c.p), p_value(result.p_holm),
            number(c.delta, 2), f"{c.equal}/{c.n}"]


def contrast_table(results, planned):
    rows = [[r.contrast.name, r.contrast.metric, what(r.contrast), regime(r.regime),
             f"{r.contrast.values[1]} − {r.contrast.values[0]}"] + effect(r) + [r.lost or "none"]
            for r in results[:MOST_ROWS]]
    first = all(r.planned for r in results)
    title = ("Exploratory contrasts: chosen after the fact." if not planned else
             "Planned contrasts: declared in the job, on record before the first trial." if first else
             "Declared contrasts: they may be younger than some results.")
    cut = f" The first {MOST_ROWS} of {len(results)} are shown." if len(results) > MOST_ROWS else ""
    return Table("planned" if planned else "exploratory", title, EFFECT_NOTE + cut,
                 ["contrast", "metric", "at", "regime", "difference of"] + EFFECT + ["not in the numbers"], rows)


def power_table(results):
    """What pairing gained, and how many seeds an effect of the margin's size needs, from the spread seen here."""
    rows = []
    for r in results[:MOST_ROWS]:
        c = r.comparison
        needed = inference.seeds_needed(c.sd, r.margin) if c.n > 2 and r.margin else None
        rows.append([r.contrast.name, r.contrast.metric, regime(r.regime), str(c.n), number(c.gain), number(c.sd),
                     number(inference.detectable(c.sd, c.n)) if c.n > 2 and c.sd else "–", number(r.margin),
                     "–" if not c.sd else str(needed) if needed else ">100000"])
    return Table("power", "What pairing gained, and how many seeds are needed.",
                 "Gain: how many times as many seeds the same precision would need without pairing (∞: all differences "
                 "are equal). Detectable: the smallest mean difference that n seeds find with 80% power at 5%, by a "
                 "paired t test with the SD seen here. Seeds needed: to find a difference of the size of the margin.",
                 ["contrast", "metric", "regime", "n seeds", "gain", "SD of differences", "detectable", "margin",
                  "seeds needed"], rows)


# ---- collapse, and what became of the trials -------------------------------------------------------------------------


def collapse_table(trials, name):
    """Rates of collapse with exact intervals, McNemar's test, and the spread of dead codes."""
    table, rows = tables.TABLES[name], []
    for cell in tables.cells(trials, name, table.axis):
        ste, rotation = tables.pairs(cell, "collapsed", trials.attrs["settings"])
        only = int(numpy.sum((ste > 0) & (rotation == 0))), int(numpy.sum((ste == 0) & (rotation > 0)))
        values = {e: {m: tables.values(cell, m, e) for m in ("collapsed", "dead_codes_train")} for e in tables.ESTIMATORS}
        rows.append([f"{cell.value:g}", f"{cell.decoder}, {cell.init}"]
                    + [rate(values[e]["collapsed"]) for e in tables.ESTIMATORS]
                    + [f"{only[0]}, {only[1]}", p_value(inference.mcnemar(*only)) if len(ste) else "–",
                       seeds_to_tell(*(values[e]["collapsed"] for e in tables.ESTIMATORS))]
                    + [spread(values[e]["dead_codes_train"]) for e in tables.ESTIMATORS])
    return Table(f"collapse_{name}", f"{table.title}: collapse as a yes or no, and dead codes.",
                 "k/n trials collapsed (a tenth of the codes dead, and at least one), with the exact Clopper-Pearson "
                 "95% interval. Discordant: seeds in which ste alone, rotation alone collapsed; p: McNemar's exact test, "
                 "not adjusted. Seeds needed: to tell these two rates apart with 80% power, if pairs were independent. "
                 "Dead codes: in how many trials there are none, else median (range).",
                 [table.axis, "regime", "collapsed, ste", "collapsed, rotation", "discordant", "p", "seeds needed",
                  "dead codes, ste", "dead codes, rotation"], rows)


def seeds_to_tell(first, second):
    if not len(first) or not len(second) or first.mean() == second.mean():
        return "–"
    return str(inference.seeds_for_rates(first.mean(), second.mean()) or ">400")


def trials_table(trials):
    rows = []
    for name in trials.attrs["studies"]:
        members = study.members(trials, name)
        for estimator, group in members.groupby("estimator", sort=False):
            counts = [str(int(numpy.sum(group.status == s))) for s in ("completed", "diverged", "failed", "pending")]
            rows.append([name, estimator, str(len(group)), str(group.seed.nunique())] + counts)
    return Table("trials", "What became of the trials.",
                 "A trial that several studies ask for is counted in each. Diverged is a result: a loss left the range of "
                 "numbers, and the trial has no metrics. Failed trials have no result; the file says why.",
                 ["study", "estimator", "trials", "seeds", "completed", "diverged", "failed", "pending"], rows)


def cells_table(trials, name, metrics=("mse_eval", "entropy_eval", "dead_codes_train", "collapsed")):
    """Any study: every cell, mean and interval over its trials."""
    members = study.members(trials, name)
    axes = [s for s in study.varying(members, trials.attrs["settings"]) if s != "seed"] or ["estimator"]
    metrics = [m for m in metrics if m in trials]
    rows = []
    for level, group in study.levels(members.sort_values(axes, kind="stable"), axes):
        done = group[group.status == "completed"]
        texts = [rate(done[m].dropna()) if m == "collapsed" else spread_or_mean(m, done[m].dropna()) for m in metrics]
        rows.append([number(v, 6) if isinstance(v, (int, float)) else str(v) or "–" for v in level]
                    + [f"{len(done)}/{len(group)}"] + texts)
    cut = f" The first {MOST_ROWS} of {len(rows)} cells are shown." if len(rows) > MOST_ROWS else ""
    return Table(f"cells_{name}", f"Study {name}: every cell.",
                 "n: completed of planned trials. Means with BCa 95% intervals; counts that are mostly zero as how many "
                 "are, and median (range) of the others; collapse as k/n with its exact interval." + cut,
                 [*axes, "n", *metrics], rows[:MOST_ROWS])


def spread_or_mean(metric, values):
    if metric.startswith("dead_codes") and (values == 0).any():
        return spread(values)
    return f"{number(values.mean(), 4)} {interval(inference.mean_interval(values))}" if len(values) else "–"
