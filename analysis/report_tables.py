"""The tables of the report, each from findings to texts. What is computed, and how, is in study.py and inference.py."""
import numpy
import pandas

import gradients
import inference
import ranking
import study
import tables
import views
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
    low, high = i
    if not numpy.isfinite(low):
        return "–"
    return "[0, 0]" if low == high == 0 else f"[{low + 0.0:.{digits}g}, {high + 0.0:.{digits}g}]"


def p_value(p):
    return "–" if not numpy.isfinite(p) else "<0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def regime(where):
    """"free, normal, K 16": texts speak for themselves, numbers need their names."""
    return ", ".join(v if isinstance(v, str) else f"{name} {number(v)}" for name, v in where.items()
                     if v != "" and v == v) or "all"


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
               "Intervals: the wider of BCa bootstrap and Student's t. p: sign-flip test, exact up to 36 differences; of a "
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
    """What pairing gained, and how many seeds an effect needs, the declared one or the margin, from the spread here."""
    rows, family = [], sum(numpy.isfinite(r.comparison.p) for r in results)
    for r in results[:MOST_ROWS]:
        c, needed, effect = r.comparison, ["–", "–"], r.contrast.effect or r.margin
        if c.n > 2 and c.sd and effect:
            needed = [inference.seeds_needed(c.sd, effect),
                      inference.seeds_needed(inference.sd_limit(c.sd, c.n), effect, alpha=study.ALPHA / family)]
            needed = [str(n) if n else ">100000" for n in needed]
        rows.append([r.contrast.name, r.contrast.metric, regime(r.regime), str(c.n), number(c.gain), number(c.sd),
                     number(inference.detectable(c.sd, c.n)) if c.n > 2 and c.sd else "–",
                     number(effect) + (" (declared)" if r.contrast.effect else ""), *needed])
    return Table("power", "What pairing gained, and how many seeds are needed: this file as a pilot.",
                 "Gain: how many times as many seeds the same precision would need without pairing (∞: all differences "
                 "are equal). Detectable: the smallest mean difference that n seeds find with 80% power at 5%, by a "
                 "paired t test with the SD seen here. Seeds needed: to find the effect, the contrast's if "
                 "it declares one and else the margin, with 80% power, if it were the only comparison and this SD the true "
                 "one; to be safe: in this family of "
                 f"{family} (at 5%/{family}), with the SD at its upper 80% limit, for a pilot's SD is itself uncertain.",
                 ["contrast", "metric", "regime", "n seeds", "gain", "SD of differences", "detectable", "effect",
                  "seeds needed", "to be safe"], rows)


def ranking_table(trials, name, metric):
    """Every value of what a study compares, against the reference."""
    v = views.view(trials, name)
    first, rows = views.reference(trials, v), []
    if len(views.trained(v)) < 3:
        return None
    for place, r in enumerate(views.ranking(trials, v, metric), 1):
        texts = ["–"] * 5
        if r.result and r.result.comparison.n:
            c = r.result.comparison
            texts = [f"{signed(c.mean)} {interval(c.interval)}", p_value(c.p), p_value(r.result.p_holm), number(c.delta, 2),
                     f"{r.result.pairs} ({c.n})"]
        elif r.value == first:
            texts[0] = "reference"
        rows.append([str(place), r.value, f"{r.done}/{r.trials}", f"{number(r.mean, 4)} {interval(r.interval)}", *texts])
    way = views.better(metric)
    others = [s for where in v.panels.values() for s in where] + [v.axis] * bool(v.axis) + v.pooled
    over = f" Averaged over {', '.join(dict.fromkeys(others))} within a seed." if others else ""
    order = f"{way} is better" if way else "it is not known whether higher or lower is better: lowest first"
    return Table(f"ranking_{name}_{metric}", f"Study {name}: every {v.series} by {metric}.",
                 f"Ranked by the difference to {first}, paired by seed over trials equal in all other settings ({order}); "
                 "means are of all completed trials, and mislead where some of the hard ones were lost. 95% intervals, p by "
                 "sign flips, Holm's over this table. Exploratory, unless a contrast was declared." + over,
                 ["", v.series, "completed", metric, f"less {first}", "p", "p (Holm)", "Cliff's delta", "pairs (seeds)"], rows)


def agreement_of_rankings(answers):
    """Real data against synthetic data: does what is compared rank alike?"""
    rows, last = [], None
    for a in answers:
        rows += [None] if last not in (None, a.quantity) else []
        last = a.quantity
        rows.append([a.quantity, a.real.source + (f" (another {', '.join(a.differs)})" if a.differs else ""),
                     a.synthetic.source, a.verdict, f"{number(a.agreement.tau, 2)} {interval(a.agreement.interval, 2)}",
                     number(a.agreement.ceiling, 2), str(a.alike), str(len(a.reversed)), str(a.one_only),
                     str(len(a.values) * (len(a.values) - 1) // 2), str(a.n)])
    return Table("real_data", "Rankings on real data and on synthetic data.",
                 f"Two are ordered on some data when Holm's p of their difference, paired by seed, is at most {study.ALPHA} "
                 f"(over all pairs of this table) and it is at least {100 * ranking.SMALL:g}% of their mean. Not entirely: "
                 "pairs are ordered on both kinds of data and the other way round; no: at least as many as agree. Yes: no "
                 f"such pair, at least {100 * ranking.SHARE:g}% of all pairs ordered on both, and tau's interval above 0. Not "
                 "decided: neither. Tau: Kendall's tau-b of the rankings by mean, with 95% bootstrap interval over seeds; "
                 "ceiling: the tau to be expected from so many seeds were both rankings truly one (an estimate).",
                 ["by", "real data", "synthetic data", "verdict", "tau-b", "ceiling", "agree", "reversed", "on one only",
                  "all pairs", "n seeds"], rows)


def reversed_pairs_table(answers):
    rows = [[a.quantity, a.real.source, a.synthetic.source, ", ".join(f"{x} before {y}" for x, y in a.reversed)]
            for a in answers if a.reversed]
    return Table("reversed_pairs", "Pairs that are ordered on both kinds of data, and the other way round.",
                 "In their order on real data.", ["by", "real data", "synthetic data", "pairs"], rows)


def ranks_table(answers, quantity):
    """The rank of each value on each kind of data."""
    sides = {(s.source, *a.values): (s, a.values) for a in answers if a.quantity == quantity for s in (a.real, a.synthetic)}
    values = list(dict.fromkeys(v for _, of in sides.values() for v in of))
    rows = [[v] + [f"{number(s.ranks[of.index(v)])} {interval((s.low[of.index(v)], s.high[of.index(v)]))}"
                   if v in of else "–" for s, of in sides.values()] for v in values]
    return Table(f"ranks_{quantity.replace(' ', '_')}", f"Ranks by {quantity}.",
                 "1 is best; by the mean over seeds, with the range of 95% of the bootstrap samples of seeds. By " +
                 ", ".join(f"{m} on {', '.join(s.source for s, _ in sides.values() if s.metric == m)}"
                           for m in dict.fromkeys(s.metric for s, _ in sides.values())) + ".",
                 ["", *(s.source for s, _ in sides.values())], rows)


def probes_table(probed, trials):
    """Quality of the gradients at the last probe of each trial, by regime, estimator and region."""
    rows, quantities = [], [q for q in gradients.QUANTITIES if q in probed and probed[q].notna().any()]
    for level, of in gradients.regimes(trials, probed.trial).items():
        here = probed[probed.trial.isin(of.index)]
        for estimator in dict.fromkeys(here.estimator):
            for region in dict.fromkeys(here.region):
                cell = here[(here.estimator == estimator) & (here.region == region)]
                values = [gradients.by_seed(cell, trials, q).get(estimator, pandas.Series(dtype=float)).dropna()
                          for q in quantities]
                rows.append([", ".join(level) or "all", estimator, region, str(max(map(len, values), default=0))]
                            + [f"{number(x.mean())} {interval(gradients.interval(q, x))}" if len(x) else "–"
                               for q, x in zip(quantities, values)])
    return Table("probes", "Quality of the gradients, by region.",
                 "All estimators on the same trained state, against the gradient of the smoothed loss; mean over n seeds with "
                 "95% interval. " + "; ".join(f"{q}: {gradients.QUANTITIES[q]}" for q in quantities) + ".",
                 ["regime", "estimator", "region", "n seeds", *quantities], rows)


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


def messages_table(trials):
    """Why trials failed."""
    failed = trials[trials.status == "failed"]
    found = failed.groupby("message", sort=False) if len(failed) else []
    rows = [[text or "no reason recorded", str(len(group)), ", ".join(map(str, group.index[:5]))] for text, group in found]
    return Table("failures", "Why trials failed.", "Given with the first trials; `vqsweep show FILE --trial N` shows one.",
                 ["message", "trials", "such as"], rows[:MOST_ROWS])


def cells_table(trials, name):
    """Any study: every cell, mean and interval over its trials."""
    members = study.members(trials, name)
    axes = [s for s in study.varying(members, trials.attrs["settings"]) if s != "seed"] or ["estimator"]
    metrics = views.metrics(trials, name, 5)
    metrics += [m for m in ("collapsed",) if views.has(trials, m) and m not in metrics]
    rows, cells = [], study.levels(members.sort_values(axes, kind="stable"), axes)
    for level, group in cells[:MOST_ROWS]:
        done = group[group.status == "completed"]
        texts = [rate(done[m].dropna()) if m == "collapsed" else spread_or_mean(m, done[m].dropna()) for m in metrics]
        rows.append([v or "–" if isinstance(v, str) else number(v, 6) for v in level]
                    + [f"{len(done)}/{len(group)}"] + texts)
    cut = f" The first {MOST_ROWS} of {len(cells)} cells are shown." if len(cells) > MOST_ROWS else ""
    return Table(f"cells_{name}", f"Study {name}: every cell.",
                 "n: completed of planned trials. Means with 95% intervals; counts that are mostly zero as how many "
                 "are, and median (range) of the others; collapse as k/n with its exact interval." + cut,
                 [*axes, "n", *metrics], rows)


def spread_or_mean(metric, values):
    if metric.startswith("dead_codes") and (values == 0).any():
        return spread(values)
    return f"{number(values.mean(), 4)} {interval(views.interval(metric, values))}" if len(values) else "–"
