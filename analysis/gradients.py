"""Maps of gradients and probes of their quality, where trials were probed (probe_epochs): read, measured, judged.

All estimators are asked on the same trained state, so they are compared within a trial, and n counts seeds.
"""
from collections import namedtuple

import numpy
import pandas

import inference
import study
import vqsweep_store
from vqsweep_store import Contrast

Field = namedtuple("Field", "trial epoch x y estimators gradient smoothed codes")

# what a probe measures, in words and in the order shown
QUANTITIES = {"bias": "how far the mean gradient is from the true one, in units of the true one's length: 0 is best",
              "std": "how much single gradients scatter about their mean, in the same unit: 0 is best",
              "cosine": "cosine of the angle between mean and true gradient: 1 points the right way, -1 the wrong one",
              "alignment": "squared cosine between the gradient and the line from a sample to its code"}
RANGE = {"bias": (0, numpy.inf), "std": (0, numpy.inf), "cosine": (-1, 1), "alignment": (0, 1)}
CLAIMS = [study.Claim("smooth", "Rotation gives smoother gradient fields near the borders of cells.", "lower", "fields",
                      "roughness", "epoch", ()),
          study.Claim("aligned", "At a border, rotation's gradients point more nearly where samples should move.", "higher",
                      "probes", "cosine_near", "epoch", ())]
MARGINS = {"roughness": 0.05, "cosine_near": 0.05}

# ---- reading ---------------------------------------------------------------------------------------------------------


def fields(path, trials, numbers=None):
    """The maps of a file, or of the trials of these numbers: a Field for each epoch whose codebook is known."""
    for found in vqsweep_store.arrays(path, "fields"):
        names = found.labels["estimator"]
        for number, values in zip(found.trials.tolist(), found.values):
            if numbers is not None and number not in numbers:
                continue
            t, codebooks = trials.loc[number], {s.epoch: s.codes for s in vqsweep_store.codebooks(path, number)}
            axis = numpy.linspace(-t.field_extent, t.field_extent, values.shape[2])  # /arrays has [..., y, x, component]
            for epoch, value in zip(epochs(t), values):
                known = [i for i, n in enumerate(names) if n != "smoothed" and numpy.isfinite(value[i]).any()]
                if epoch in codebooks:
                    yield Field(number, epoch, axis, axis, [names[i] for i in known], value[known],
                                value[names.index("smoothed")], codebooks[epoch])


def field_trials(path):
    return [t for found in vqsweep_store.arrays(path, "fields") for t in found.trials.tolist()]


def epochs(trial):
    return [int(e) for e in trial.probe_epochs.split(",")]


def probes(path, trials):
    """A row for each trial, epoch, estimator and region, a column for each quantity; empty where a file has none."""
    frames = [pandas.DataFrame(columns=["trial", "epoch", "estimator", "region"])]
    for found in vqsweep_store.arrays(path, "probes"):
        n = len(found.labels["quantity"])
        index = pandas.MultiIndex.from_product([found.trials, *(found.labels[d] for d in found.dims[1:-1])],
                                               names=found.dims[:-1])
        frame = pandas.DataFrame(found.values.reshape(-1, n), index, found.labels["quantity"]).reset_index()
        known = frame[found.labels["quantity"]].drop(columns="n_samples", errors="ignore").notna().any(axis=1)
        when = {t: epochs(trials.loc[t]) for t in found.trials}
        frame["epoch"] = [when[t][p] for t, p in zip(frame.trial, frame.probe)]
        frames.append(frame[known].drop(columns="probe"))
    return pandas.concat(frames[-1:] if len(frames) == 2 else frames, ignore_index=True)


# ---- measures --------------------------------------------------------------------------------------------------------


def cells(field):
    """Which code is nearest to each point of the grid."""
    points = numpy.stack(numpy.meshgrid(field.x, field.y), axis=-1)
    return ((points[:, :, None] - field.codes) ** 2).sum(-1).argmin(-1)


def roughness(field, gradient):
    """How far a gradient jumps between neighbouring points on two sides of a border, in units of its own size."""
    of, size = cells(field), numpy.sqrt(numpy.nanmean((gradient ** 2).sum(-1)))
    jumps = [numpy.linalg.norm(numpy.diff(gradient, axis=axis), axis=-1)[numpy.diff(of, axis=axis) != 0] for axis in (0, 1)]
    jumps = numpy.concatenate(jumps)
    return float(numpy.nanmean(jumps) / size) if size > 0 and len(jumps) else numpy.nan


def regimes(trials, numbers):
    """{(decoder, codebook start): trials} of these trials."""
    rows = trials.loc[[n for n in dict.fromkeys(numbers) if n in trials.index]]
    return dict(study.levels(rows, [s for s in study.REGIME if s in rows]))


def last_epochs(found):
    """Of each trial what its last epoch gave."""
    return found[found.epoch == found.groupby("trial").epoch.transform("max")]


def by_seed(found, trials, column):
    """A row a seed, a column an estimator: trials of one seed are averaged."""
    return found.assign(seed=trials.seed.reindex(found.trial).to_numpy()).pivot_table(
        index="seed", columns="estimator", values=column)


def interval(quantity, values):
    """95% interval of a mean, within what the quantity can be."""
    found = inference.mean_interval(values)
    return inference.Interval(*(float(numpy.clip(end, *RANGE[quantity])) for end in found))


def measured(path, trials):
    """{claim: a frame with trial, epoch, estimator and the claim's metric}."""
    rough = [(f.trial, f.epoch, e, roughness(f, g)) for f in fields(path, trials) for e, g in zip(f.estimators, f.gradient)]
    probed = probes(path, trials)
    near = probed[probed.region == "near"]
    return {CLAIMS[0]: pandas.DataFrame(rough, columns=["trial", "epoch", "estimator", "roughness"]),
            CLAIMS[1]: near.rename(columns={"cosine": "cosine_near"})}


def findings(trials, path):
    """{claim: Findings} of the seed study's claims on gradients, in each regime; only what the file can speak to."""
    found, results = {}, []
    for claim, frame in measured(path, trials).items():
        frame = last_epochs(frame) if len(frame) else frame
        for level, rows in regimes(trials, frame.trial).items():
            wide = by_seed(frame[frame.trial.isin(rows.index)], trials, claim.metric)
            if set(study.PAIR) <= set(wide):
                results.append(result(claim, frame, dict(zip(study.REGIME, level)), wide.dropna(subset=list(study.PAIR))))
                found.setdefault(claim, []).append(len(results) - 1)
    results = study.adjusted(results)
    return {claim: [study.Finding(r.regime, r.contrast.where["epoch"], *study.judge(claim, r), False, r)
                    for r in (results[i] for i in of)] for claim, of in found.items()}


def result(claim, frame, regime, wide):
    first, second = (wide[e].to_numpy() for e in study.PAIR)
    contrast = Contrast(claim.name, claim.study, claim.metric, "estimator", study.PAIR, {"epoch": int(frame.epoch.max())},
                        list(regime))
    return study.Result(contrast, regime, False, len(wide), "", first, second, inference.compare(first, second),
                        MARGINS[claim.metric], numpy.nan)
