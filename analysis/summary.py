"""The report's first lines: what the file says, in words. Every number in them comes from findings and tables."""
import numpy

import report_tables
import study

CONTEXT = ("A vector quantiser passes no gradient to its encoder, so training puts a surrogate in its place: ste, the usual "
           "straight-through one, or rotation, which the seed study claimed to be better.")
NEEDS_MAPS = ["Rotation gives smoother gradient fields near the borders of cells: this file holds no maps of gradients.",
              "Rotation's gradients point where samples should move at a border: this file holds no maps of gradients."]


def of_seed_study(findings, cells):
    """(headline, sentences) about the seed study's claims."""
    main = next(iter(findings))
    headline = {"alive": {"does not hold": "Rotation does not keep more of the codebook alive.",
                          "holds": "Rotation keeps more of the codebook alive.",
                          "depends": "Whether rotation keeps more of the codebook alive depends on the regime.",
                          "undecided": "Whether rotation keeps more of the codebook alive is undecided."}}.get(
        main.name, {}).get(study.overall(findings[main]), f"{main.words[:-1]}: {study.overall(findings[main])}.")
    sentences = [s for s in (CONTEXT, same_estimator(findings), strongest(findings[main], against=True),
                             strongest(findings[main], against=False), counts(findings), reproduced(cells)) if s]
    return headline, sentences


def same_estimator(findings):
    """Decoders under which all pairs of all cells are equal."""
    found = [f for of in findings.values() for f in of]
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
    return (f"Largest effect, at {claim.axis} {f.value:g}, {report_tables.regime(f.regime)}: "
            f"{report_tables.signed(c.mean)} {report_tables.interval(c.interval)} in {claim.metric} (ste "
            f"{report_tables.number(f.result.first.mean())}, n = {c.n}), Cliff's delta {c.delta:.2f}.")


def margins():
    return ", ".join(f"{name} {size:g}" + {"of K": " of K", "share": " of the mean of ste", "": ""}[kind]
                     for name, (kind, size) in study.MARGINS.items())


def untested(drawn):
    """Claims of the seed study that need what this file does not have."""
    return [] if any(f.get("name") == "fields" for f in drawn) else NEEDS_MAPS


def counts(findings):
    verdicts = [study.overall(found) for found in findings.values()]
    of = {v: verdicts.count(v) for v in ("holds", "depends", "does not hold", "undecided")}
    return (f"Of {len(verdicts)} claims of the seed study that this file can test, those that hold in every regime: "
            f"{of['holds']}; in some regimes: {of['depends']}; in none, failing in at least one: {of['does not hold']}; "
            f"undecided: {of['undecided']}.")


def reproduced(cells):
    of = study.agreement_counts(cells)
    if not of:
        return None
    (decoder, init), best = next(iter(of.items()))
    n, wide = sum(best.values()), best.get("agrees (wide)", 0)
    return (f"The seed study's own figures are met best with decoder {decoder} and initialisation {init}: "
            f"{best.get('agrees', 0) + wide} of {n} cells agree within both uncertainties, {wide} of them only because "
            "three runs leave room for almost anything. With three runs a cell no test of its differences reaches p < 0.1.")


def of_contrasts(planned):
    """(headline, sentences) for any other job."""
    tested = [r for r in planned if numpy.isfinite(r.p_holm)]
    if not tested:
        return "No planned comparison.", ["The job declares no contrasts, or none has a pair of completed trials yet. "
                                          "Whatever differs below was found by looking: it is exploratory."]
    found = [r for r in tested if r.p_holm <= study.ALPHA]
    kind = "planned" if all(r.planned for r in tested) else "declared"
    sentences = [f"{len(found)} of {len(tested)} {kind} comparisons show a difference (Holm's p at most {study.ALPHA})."]
    for r in sorted(found, key=lambda r: r.p_holm)[:5]:
        c = r.comparison
        sentences.append(f"{r.contrast.name} ({report_tables.regime(r.regime)}): {r.contrast.metric} differs by "
                         f"{report_tables.signed(c.mean)} {report_tables.interval(c.interval)} from {r.contrast.values[0]} "
                         f"to {r.contrast.values[1]}, n = {c.n} seeds.")
    return (f"A {kind} comparison shows a difference." if len(found) == 1 else
            f"{len(found)} {kind} comparisons show a difference." if found else
            f"No {kind} comparison shows a difference."), sentences
