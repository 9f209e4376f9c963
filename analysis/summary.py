"""The report's first lines: what the file says, in words. Every number in them comes from findings and tables."""
import numpy

import report_tables
import study

WORDS = {"holds": "holds in every regime", "depends": "holds in some regimes only", "does not hold": "does not hold",
         "undecided": "is undecided"}


def of_seed_study(findings, cells):
    """(headline, sentences) about the seed study's claims."""
    main = next(iter(findings))
    headline = {"alive": {"does not hold": "Rotation does not keep more of the codebook alive.",
                          "holds": "Rotation keeps more of the codebook alive.",
                          "depends": "Whether rotation keeps more of the codebook alive depends on the regime.",
                          "undecided": "Whether rotation keeps more of the codebook alive is undecided."}}.get(
        main.name, {}).get(study.overall(findings[main]), f"{main.words[:-1]}: {study.overall(findings[main])}.")
    sentences = [s for s in (same_estimator(findings), strongest(findings[main], against=True),
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


def counts(findings):
    verdicts = [study.overall(found) for found in findings.values()]
    parts = [f"{verdicts.count(v)} {text}" for v, text in
             (("holds", "hold in every regime"), ("depends", "hold in some regimes only"),
              ("does not hold", "hold in none"), ("undecided", "are undecided")) if v in verdicts]
    return f"Of {len(verdicts)} claims of the seed study that this file can test, {', '.join(parts)}."


def reproduced(cells):
    of = study.agreement_counts(cells)
    if not of:
        return None
    (decoder, init), best = next(iter(of.items()))
    n, wide = sum(best.values()), best.get("agrees (wide)", 0)
    return (f"The seed study's own figures are met best with decoder {decoder} and initialisation {init}: "
            f"{best.get('agrees', 0) + wide} of {n} cells agree within both uncertainties, {wide} of them only because "
            "three runs leave room for almost anything. Its runs were three a cell, which no test can tell from chance.")


def of_contrasts(planned):
    """(headline, sentences) for any other job."""
    tested = [r for r in planned if numpy.isfinite(r.p_holm)]
    if not tested:
        return "No planned comparison.", ["The job declares no contrasts, or none has a pair of completed trials yet. "
                                          "Whatever differs below was found by looking: it is exploratory."]
    found = [r for r in tested if r.p_holm <= study.ALPHA]
    sentences = [f"{len(found)} of {len(tested)} planned comparisons show a difference (Holm's p at most {study.ALPHA})."]
    for r in sorted(found, key=lambda r: r.p_holm)[:5]:
        c = r.comparison
        sentences.append(f"{r.contrast.name} ({report_tables.regime(r.regime)}): {r.contrast.metric} differs by "
                         f"{report_tables.signed(c.mean)} {report_tables.interval(c.interval)} from {r.contrast.values[0]} "
                         f"to {r.contrast.values[1]}, n = {c.n} seeds.")
    return ("A planned comparison shows a difference." if len(found) == 1 else
            f"{len(found)} planned comparisons show a difference." if found else
            "No planned comparison shows a difference."), sentences
