"""What changed between two result files: jobs, trials, results, conclusions."""
from collections import namedtuple

import numpy

import inference
import report_tables
import study
from tabulate import Table

Changes = namedtuple("Changes", "sentences tables")
METRICS = ("mse_train", "mse_eval", "entropy_train", "dead_codes_train", "collapsed", "subspace_recovery", "lloyd_gap")
MOST_METRICS = 12


def files(path, new, other, old):
    both = new[["key", "digest", "status"]].reset_index().merge(old[["key", "digest", "status"]].reset_index(), on="key",
                                                                suffixes=("_new", "_old"))
    done = both[(both.status_new == "completed") & (both.status_old == "completed")]
    same = int(numpy.sum(done.digest_new == done.digest_old))
    sentences = [f"Compared with {other}: {len(both)} trials have the same settings in both files, {len(new) - len(both)} "
                 f"are only in {path} and {len(old) - len(both)} only in {other}.",
                 f"Of {len(done)} trials completed in both, {same} gave the same bits and {len(done) - same} did not."
                 if len(done) else "No trial was completed in both."]
    made = {"compare_jobs": job_table(new, old), "compare_results": result_table(new, old, done),
            "compare_contrasts": contrast_table(new, old)}
    return Changes(sentences, {name: table for name, table in made.items() if table.rows})


def job_table(new, old):
    """Settings, studies and provenance that are not the same."""
    rows = []
    for name in [s for s in new.attrs["settings"] if s in old]:
        sets = [sorted({str(v) for v in t[name].dropna() if str(v) != ""}) for t in (new, old)]
        if sets[0] != sets[1]:
            rows.append([f"setting {name}"] + [short(s) for s in sets])
    for kind in ("contrasts", "studies"):
        sets = [sorted({c.name for c in t.attrs[kind]} if kind == "contrasts" else t.attrs[kind]) for t in (new, old)]
        if sets[0] != sets[1]:
            rows.append([kind] + [short(s) for s in sets])
    for name in sorted(set(new.attrs["provenance"]) | set(old.attrs["provenance"])):
        texts = [str(t.attrs["provenance"].get(name, "–")) for t in (new, old)]
        if texts[0] != texts[1]:
            rows.append([f"provenance {name}"] + texts)
    return Table("compare_jobs", "What differs between the two sweeps.", "Values taken anywhere in the file.",
                 ["what", "this file", "the other"], rows)


def short(values):
    return ", ".join(values[:8]) + (f", ... ({len(values)})" if len(values) > 8 else "") or "–"


def result_table(new, old, done):
    """Paired by trial key, averaged by seed: the same settings under two versions, or on two machines."""
    rows = []
    both = [m for m in dict.fromkeys([*METRICS, *new.attrs["metrics"]]) if m in new and m in old]
    for metric in both[:MOST_METRICS]:
        x, y = old.loc[done.trial_old, metric].to_numpy(float), new.loc[done.trial_new, metric].to_numpy(float)
        keep = numpy.isfinite(x) & numpy.isfinite(y)
        equal = int(numpy.sum(numpy.abs(y - x)[keep] <= inference.TIE * numpy.maximum(numpy.abs(x), numpy.abs(y))[keep]))
        if not keep.any():
            continue
        seeds, which = numpy.unique(new.loc[done.trial_new, "seed"].to_numpy()[keep], return_inverse=True)
        means = [numpy.bincount(which, v[keep]) / numpy.bincount(which) for v in (x, y)]
        c = inference.compare(*means)
        rows.append([metric, str(int(keep.sum())), f"{equal}/{int(keep.sum())}", str(len(seeds)),
                     report_tables.signed(c.mean), report_tables.interval(c.interval), report_tables.p_value(c.p)])
    return Table("compare_results", "Results of the trials that both files hold.",
                 "This file less the other, over trials of equal settings; means are over seeds, with 95% interval, p by "
                 "sign flips and not adjusted.",
                 ["metric", "trials", "equal", "n seeds", "mean difference", "95% interval", "p"], rows)


def contrast_table(new, old):
    """Contrasts that both declare: do they still say the same?"""
    found = [{study.signature(r): r for r in study.planned_results(t)} for t in (new, old)]
    rows = []
    for signature, r in found[0].items():
        before = found[1].get(signature)
        if before is not None:
            rows.append([r.contrast.name, report_tables.regime(r.regime)]
                        + [t for x in (r, before) for t in (report_tables.signed(x.comparison.mean),
                                                            report_tables.interval(x.comparison.interval),
                                                            report_tables.p_value(x.p_holm), str(x.comparison.n))]
                        + ["yes" if (r.p_holm <= study.ALPHA) != (before.p_holm <= study.ALPHA)
                           or r.comparison.mean * before.comparison.mean < 0 else "no"])
    return Table("compare_contrasts", "Planned contrasts in both files.",
                 "Changed: another sign, or significant (Holm) in one file only.",
                 ["contrast", "regime", "this file", "95% interval", "p (Holm)", "n", "the other", "95% interval",
                  "p (Holm)", "n", "changed"], rows)
