"""Maps of gradients and probes of their quality, where a file has them: read, measured, judged.

All estimators are asked on the same trained state, so they are compared within a trial, and n counts seeds. The layout,
which only the three functions under Reading know (n trials that have them, E estimators, G x G points of a grid in the plane of z):

    /fields/trial [n], epoch [n, epochs], estimator [E], grid [n, 2, G] (x, then y)
    /fields/gz [n, epochs, E, G, G, 2]        mean gradient to z at (x[j], y[i]), stored at [..., i, j, :]
    /fields/smoothed [n, epochs, G, G, 2]     gradient of the smoothed loss there: what an estimator is after
    /fields/codes [n, epochs, K, 2]
    /probes/trial [n], epoch [n, P], estimator [E], region [3] (all, near and far from borders), quantity [Q]
    /probes/value [n, P, E, 3, Q]

Names may be a dataset or an attribute of the group.
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
CLAIMS = [study.Claim("smooth", "Rotation gives smoother gradient fields near the borders of cells.", "lower", "fields",
                      "roughness", "epoch", ()),
          study.Claim("aligned", "At a border, rotation's gradients point more nearly where samples should move.", "higher",
                      "probes", "cosine_near", "epoch", ())]
MARGINS = {"roughness": 0.05, "cosine_near": 0.05}

# ---- reading ---------------------------------------------------------------------------------------------------------


def fields(path, trials=None):
    """The maps of a file, or of these trials, one at a time: they are large."""
    with vqsweep_store.open_file(path) as file:
        group = file.get("fields")
        if group is None:
            return
        estimators = names(group, "estimator")
        for i, trial in enumerate(group["trial"][:]):
            if trials is not None and trial not in trials:
                continue
            for j, epoch in enumerate(group["epoch"][i]):
                codes = group["codes"][i, j]
                yield Field(int(trial), int(epoch), *group["grid"][i], estimators, group["gz"][i, j],
                            group["smoothed"][i, j], codes[numpy.isfinite(codes).all(1)])


def field_trials(path):
    with vqsweep_store.open_file(path) as file:
        return file["fields/trial"][:].tolist() if "fields" in file else []


def probes(path):
    """A row for each trial, epoch, estimator and region, a column for each quantity; empty where a file has none."""
    with vqsweep_store.open_file(path) as file:
        group = file.get("probes")
        if group is None:
            return pandas.DataFrame(columns=["trial", "epoch", "estimator", "region"])
        value, epoch = group["value"][:], group["epoch"][:]
        estimators, regions, quantities = (names(group, kind) for kind in ("estimator", "region", "quantity"))
        index = pandas.MultiIndex.from_product([range(len(value)), range(epoch.shape[1]), estimators, regions])
        found = pandas.DataFrame(value.reshape(-1, len(quantities)), columns=quantities)
        at, when = index.get_level_values(0), index.get_level_values(1)
        found.insert(0, "trial", group["trial"][:][at])
        found.insert(1, "epoch", epoch[at, when])
        found.insert(2, "estimator", index.get_level_values(2))
        found.insert(3, "region", index.get_level_values(3))
        return found


def names(group, kind):
    raw = group[kind][:] if kind in group else numpy.atleast_1d(group.attrs[kind])
    return [n.decode() if isinstance(n, bytes) else str(n) for n in raw]


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


def measured(path):
    """{claim: a frame with trial, epoch, estimator and the claim's metric}."""
    rough = [(f.trial, f.epoch, e, roughness(f, g)) for f in fields(path) for e, g in zip(f.estimators, f.gradient)]
    probed = probes(path)
    near = probed[probed.region == "near"]
    return {CLAIMS[0]: pandas.DataFrame(rough, columns=["trial", "epoch", "estimator", "roughness"]),
            CLAIMS[1]: near.rename(columns={"cosine": "cosine_near"})}


def findings(trials, path):
    """{claim: Findings} of the seed study's claims on gradients, in each regime; only what the file can speak to."""
    found, results = {}, []
    for claim, frame in measured(path).items():
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
