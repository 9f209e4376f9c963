"""The data behind the part of the report that a reader explores: trials by columns, small enough for a page."""
import numpy

import study
import views

MOST_TRIALS = 20000
CIRCUMSTANCES = ["key", "digest", "host", "rank", "cpu_class", "code_version", "attempt", "wall_seconds", "message"]


def chosen(trials):
    """All trials, or of a large sweep those of the first seeds: pairs stay whole."""
    if len(trials) <= MOST_TRIALS:
        return trials
    seeds = numpy.sort(trials.seed.unique())
    each = max(1, len(trials) // len(seeds))
    kept = trials[trials.seed.isin(seeds[:max(1, MOST_TRIALS // each)])]
    return kept[:MOST_TRIALS]


def column(values):
    """Texts as an index into their distinct values; numbers to 6 digits, None for NaN."""
    if values.dtype == object:
        distinct, which = numpy.unique(values.astype(str), return_inverse=True)
        return {"values": distinct.tolist(), "index": which.tolist()}
    if values.dtype.kind in "iu":
        return {"numbers": values.tolist()}
    return {"numbers": [float(f"{x:.6g}") if numpy.isfinite(x) else None for x in values]}


def usual(trials, name):
    """What is shown of a study before the reader chooses."""
    v = views.view(trials, name)
    first, declared = views.reference(trials, v), views.declared_second(trials, v)
    metric = (views.metrics(trials, name, 1) or trials.attrs["metrics"])[0]
    found = {"metric": metric, "of": v.series, "x": v.axis, "by": "regime", "first": first,
             "second": next((s for s in declared + views.trained(v) if s != first), first)}
    return {what: choice for what, choice in found.items() if choice is not None}


def data(trials):
    kept = chosen(trials)
    settings = study.varying(trials, trials.attrs["settings"])
    metrics = [m for m in trials.attrs["metrics"] + ["late_drift"] if m in trials and trials[m].notna().any()]
    texts = [s for s in settings if trials[s].dtype == object and s != "estimator"][:3]
    kept = kept.copy()
    if len(texts) > 1:  # several settings as one axis; the baseline, which knows none, stays without
        kept["regime"] = kept[texts].agg(", ".join, axis=1).where((kept[texts] != "").all(axis=1), "")
        settings = ["regime", *settings]
    names = ["status", *settings, *metrics, *[c for c in CIRCUMSTANCES if c in trials]]
    position = {trial: i for i, trial in enumerate(kept.index)}
    return {"trials": kept.index.tolist(), "of": len(trials), "regime": texts, "settings": [s for s in settings if s != "seed"],
            "metrics": metrics, "columns": {name: column(kept[name].to_numpy()) for name in dict.fromkeys(names)},
            "studies": {name: [position[t] for t in members.tolist() if t in position]
                        for name, members in trials.attrs["studies"].items()},
            "usual": {name: usual(trials, name) for name in trials.attrs["studies"]},
            "labels": {m: {"name": trials.attrs["long_names"].get(m, m), "units": trials.attrs["units"].get(m, "1"),
                           "formula": trials.attrs["formulas"].get(m, "")} for m in metrics},
            "circumstances": [c for c in CIRCUMSTANCES if c in trials]}
