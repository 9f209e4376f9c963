"""The report's first lines: what the file says, in words. Every number in them comes from findings and tables."""
import numpy

import gradients
import inference
import report_tables
import study
import views

CONTEXT = ("A vector quantiser passes no gradient to its encoder, so training puts a surrogate in its place: ste, the usual "
           "straight-through one, or rotation, which the seed study claimed to be better.")


def of_seed_study(findings, cells):
    """(headline, sentences) about the seed study's claims."""
    main = next(iter(findings))
    headline = {"alive": {"does not hold": "Rotation does not keep more of the codebook alive.",
                          "holds": "Rotation keeps more of the codebook alive.",
                          "depends": "Whether rotation keeps more of the codebook alive depends on the regime.",
                          "undecided": "Whether rotation keeps more of the codebook alive is undecided."}}.get(
        main.name, {}).get(study.overall(findings[main]), f"{main.words[:-1]}: {study.overall(findings[main])}.")
    sentences = [s for s in (CONTEXT, same_estimator(findings), strongest(findings[main], against=True),
                             strongest(findings[main], against=False), counts(findings), reproduced(cells),
                             reach([f.result for of in findings.values() for f in of])) if s]
    return headline, sentences


def same_estimator(findings):
    """Decoders under which all pairs of all cells are equal."""
    found = [f for claim, of in findings.items() if claim in study.CLAIMS for f in of]  # what was trained
    same = [d for d in dict.fromkeys(f.regime["decoder"] for f in found)
            if all(f.result.comparison.equal == f.result.comparison.n > 0 for f in found if f.regime["decoder"] == d)]
    if not same:
        return None
    n = max(f.result.comparison.n for f in found)
    return (f"With a {' or '.join(same)} decoder ste and rotation gave the same values in every pair of trials (n = {n} "
            "seeds a cell). That is algebra, not chance: the gradient then already points along the direction onto which "
            "rotation projects it." if same == ["tied"] else
            f"With a {' or '.join(same)} decoder all pairs of trials were equal (n = {n} seeds a cell).")


def strongest(found, against):
    """The largest difference in the main claim's cells that Holm's p supports, against the claim or for it."""
    wanted = "the opposite" if against else "differs as claimed"
    chosen = [f for f in found if f.why == wanted]
    if not chosen:
        return None
    f = max(chosen, key=lambda f: abs(f.result.comparison.mean))
    c, where = f.result.comparison, report_tables.regime(f.regime)
    axis = next(iter(f.result.contrast.where))
    more = "more" if c.mean > 0 else "fewer"
    others = f" ({len(chosen)} such cells in all)" if len(chosen) > 1 else ""
    return (f"The largest difference {'against' if against else 'in favour of'} the claim: with decoder and "
            f"initialisation {where}, at {axis} {f.value:g}, rotation left {abs(c.mean):.1f} codes {more} dead than ste, "
            f"95% interval {report_tables.interval(c.interval)}, Holm's p {report_tables.p_value(f.result.p_holm)}, "
            f"n = {c.n} seeds{others}.")


def effect(claim, found):
    """The cell that speaks loudest, with effect and interval; of a claim on collapse, the range of the rates."""
    if claim.rule in ("often", "rarely"):
        rates = [values.mean() for f in found for values in (f.result.first, f.result.second) if len(values)]
        if not rates:
            return ""
        low, high = f"{100 * min(rates):.0f}%", f"{100 * max(rates):.0f}%"
        return f"Rate of collapse: {low} in every cell." if low == high else f"Rates of collapse: {low} to {high}."
    found = [f for f in found if f.result.comparison.n]
    if not found:
        return ""
    f = max(found, key=lambda f: (abs(f.result.comparison.delta) if numpy.isfinite(f.result.comparison.delta) else 0,
                                  abs(f.result.comparison.mean)))
    c = f.result.comparison
    if c.mean == 0:
        return "No difference in any cell."
    return (f"Largest effect, at {claim.axis} {f.value:g}, {report_tables.regime(f.regime)}: {claim.metric} is "
            f"{report_tables.number(f.result.first.mean())} with ste and differs by "
            f"{report_tables.signed(c.mean)} {report_tables.interval(c.interval)} with rotation; Holm's p "
            f"{report_tables.p_value(f.result.p_holm)}, n = {c.n} seeds, Cliff's delta {c.delta:.2f}.")


def margins():
    words = {"of K": " of K", "share": " of the mean of ste", "": ""}
    return ", ".join([f"{name} {size:g}{words[kind]}" for name, (kind, size) in study.MARGINS.items()]
                     + [f"{name} {size:g}" for name, size in gradients.MARGINS.items()])


def untested(findings):
    """Claims of the seed study that need what this file does not have."""
    return [f"{claim.words[:-1]}: this file holds no maps of gradients." for claim in gradients.CLAIMS if claim not in findings]


def counts(findings):
    verdicts = [study.overall(found) for found in findings.values()]
    of = {v: verdicts.count(v) for v in ("holds", "depends", "does not hold", "undecided")}
    return (f"Of {len(verdicts)} claims of the seed study that this file can test, those that hold in every regime: "
            f"{of['holds']}; in some regimes: {of['depends']}; in none, failing in at least one: {of['does not hold']}; "
            f"undecided: {of['undecided']}.")


def reach(results):
    """Says so when there are too few seeds for any p to become small enough."""
    tested = [r for r in results if numpy.isfinite(r.p_holm)]
    families = [[r for r in tested if r.planned], [r for r in tested if not r.planned]]
    for family in [f for f in families if f]:
        n, needed = max(r.comparison.n for r in family), inference.fewest_pairs(study.ALPHA / len(family))
        if n < needed:
            kind = "planned" if family[0].planned else "exploratory"
            return (f"With {n} seed{'s' * (n != 1)} none of the {len(family)} {kind} comparisons can reach Holm's p of "
                    f"{study.ALPHA}, however large the difference: that takes {needed} seeds.")
    return None


def reproduced(cells):
    of = study.agreement_counts(cells)
    if not of:
        return None
    (decoder, init), best = next(iter(of.items()))
    n, wide = sum(best.values()), best.get("agrees (wide)", 0)
    return (f"The seed study's own figures are met best with decoder {decoder} and initialisation {init}: "
            f"{best.get('agrees', 0) + wide} of {n} cells agree within both uncertainties, {wide} of them only because "
            "three runs leave room for almost anything. With three runs a cell no test of its differences reaches p < 0.1.")


def of_contrasts(planned, exploratory):
    """(headline, sentences) for any other job: what was planned is answered first."""
    tested = [r for r in planned if numpy.isfinite(r.p_holm)] or [r for r in exploratory if numpy.isfinite(r.p_holm)]
    if not tested:
        return "Nothing can be compared yet.", [
            "The job declares no contrasts that have a pair of completed trials, and no study has two values to compare. The "
            "figures and cells below are all there is."]
    kind = "planned" if all(r.planned for r in tested) else "declared" if planned else "exploratory"
    found = sorted((r for r in tested if r.p_holm <= study.ALPHA), key=lambda r: (r.p_holm, -abs(r.comparison.delta)))
    sentences = [f"{len(found)} of {len(tested)} {kind} comparisons show a difference (Holm's p at most {study.ALPHA})."]
    if kind == "exploratory":
        sentences.append("The job declared no contrasts: what differs was found by looking, and wants to be tested on other "
                         "seeds.")
    several = len({r.contrast.study for r in tested}) > 1
    sentences += [(f"In {r.contrast.study}, " if several else "") + difference(r) for r in found[:5]]
    if len(found) > 5:
        sentences.append(f"The other {len(found) - 5} are in the table of comparisons.")
    too_few = reach(tested)
    sentences += [too_few] if too_few else []
    if too_few and not found:
        return "Too few seeds to show any difference.", sentences[1:]
    of = f"{kind} comparison"
    return (f"One {of} shows a difference." if len(found) == 1 else f"{len(found)} of {len(tested)} {of}s show a difference."
            if found else f"No {of} shows a difference."), sentences


def difference(r):
    """"dead_codes_train is higher with codebook_init data than with uniform, by 1.25 [0.42, 2.2] (4.2 with uniform)"."""
    c, (first, second) = r.comparison, r.contrast.values
    axis = "" if r.contrast.axis in ("series", "estimator") else r.contrast.axis + " "
    where = [t for t in (report_tables.what(r.contrast), report_tables.regime(r.regime)) if t != "all"]
    way = "higher" if c.mean > 0 else "lower"
    good = views.better(r.contrast.metric)
    good = f" ({'better' if good == way else 'worse'})" if good else ""
    at = f", at {', '.join(where)}" if where else ""
    return (f"{r.contrast.metric} is {way}{good} with {axis}{second} than with {first}{at}: "
            f"{report_tables.signed(c.mean)} {report_tables.interval(c.interval)}, from "
            f"{report_tables.number(r.first.mean())}; Holm's p {report_tables.p_value(r.p_holm)}, n = {c.n} seeds.")


def casualties(trials):
    """Which settings diverged or failed altogether, or how many trials did."""
    sentences = []
    for status, words in (("diverged", "diverged: a loss left the range of numbers"), ("failed", "failed and have no result")):
        bad = trials.status == status
        if not bad.any():
            continue
        where = []
        for name in [s for s in study.varying(trials, trials.attrs["settings"]) if s != "seed"]:
            share = bad.groupby(trials[name]).mean()
            where += [f"{name} {value:g}" if trials[name].dtype != object else f"{name} {value}"
                      for value, x in share.items() if x == 1 and len(share) > 1 and value != ""]
        always = f" All with {', '.join(where[:4])} did." if where else ""
        sentences.append(f"{int(bad.sum())} of {len(trials)} trials {words}.{always} The tables count them where "
                         "they are missing.")
    return sentences
