"""Maps and probes of gradients made up in the layout of analysis/gradients.py, with a known order of estimators."""
import h5py
import numpy

ESTIMATORS = ["ste", "rotation", "exact"]
NOISE = {"ste": 0.2, "rotation": 1.0, "exact": 0.0}  # how far from the true gradient
QUANTITIES = ["bias", "std", "cosine", "alignment", "n_samples", "target_error"]
SIDE, EPOCHS = 24, [1, 12]


def add(path, K=16):
    """For the trials of ste with this K at sigma 0.1 and beta 0.25, which are of all seeds and regimes."""
    g = numpy.random.default_rng(5)
    with h5py.File(path, "r+") as file:
        text = {name: file[name].asstr()[:] for name in ("estimator", "status")}
        wanted = (text["estimator"] == "ste") & (text["status"] == "completed") & (file["K"][:] == K) \
            & (file["sigma"][:] == 0.1) & (file["beta"][:] == 0.25)
        trials = numpy.flatnonzero(wanted)
        n = len(trials)
        axis = numpy.linspace(-1, 1, SIDE, dtype="f4")
        codes = g.uniform(-0.8, 0.8, (n, len(EPOCHS), K, 2)).astype("f4")
        codes[:, :, -1] = numpy.nan  # a code that is not there
        true = numpy.broadcast_to(numpy.stack(numpy.meshgrid(axis, 2 * axis), -1), (n, len(EPOCHS), SIDE, SIDE, 2))
        fields = file.create_group("fields")
        fields["trial"], fields["epoch"] = trials, numpy.tile(EPOCHS, (n, 1))
        fields["grid"] = numpy.broadcast_to(axis, (n, 2, SIDE))
        fields.attrs["estimator"] = ESTIMATORS
        fields["smoothed"], fields["codes"] = true, codes
        fields["gz"] = numpy.stack([true + NOISE[e] * g.normal(size=true.shape) for e in ESTIMATORS], 2).astype("f4")
        probes = file.create_group("probes")
        probes["trial"], probes["epoch"] = trials, numpy.tile(EPOCHS, (n, 1))
        for name, values in (("estimator", ESTIMATORS), ("region", ["all", "near", "far"]), ("quantity", QUANTITIES)):
            probes[name] = numpy.array(values, dtype=h5py.string_dtype())
        value = g.normal(0, 0.01, (n, len(EPOCHS), len(ESTIMATORS), 3, len(QUANTITIES)))
        for i, e in enumerate(ESTIMATORS):
            for j, near in enumerate((0.5, 1.0, 0.0)):
                noise = NOISE[e] * near
                value[:, :, i, j] += [noise, 1 - noise / 2, 1 - noise / 2, 0.5, 1000, 0.009]
        probes["value"] = value
    return trials
