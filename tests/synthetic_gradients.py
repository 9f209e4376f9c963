"""A file of the real program whose maps and probes of gradients are replaced by ones with a known order of estimators."""
import os

import h5py
import numpy

from program import Program

NOISE = {"ste": 0.2, "rotation": 1.0, "exact": 0.0}  # how far from the true gradient; other estimators are left as they are
EPOCHS = [1, 4]
JOB = """name: plane
fixed: {D: 2, d: 2, encoder: identity, K: 5, N: 256, N_eval: 128, epochs: 4, snapshots: [1], probe_epochs: [1, 4],
  probe_pairs: 1024, probe_samples: 32, probe_error: 0.2, field_grid: 16}
grid: {codebook_init: [uniform, normal]}
seeds: 1..10
"""


def run(vqsweep, folder):
    with open(folder + "/plane.yaml", "w", encoding="utf-8") as file:
        file.write(JOB)
    done = Program(os.path.abspath(vqsweep), None, folder).run("run", "plane.yaml", "-o", "plane.h5", "-q")
    assert done.returncode == 0, done.stderr
    g = numpy.random.default_rng(5)
    with h5py.File(folder + "/plane.h5", "r+") as file:
        for name, group in file["arrays"].items():
            labels = list(group["estimator"].asstr()[:])
            value = group["value"][:]
            for estimator, noise in NOISE.items():
                at = labels.index(estimator)
                if name.startswith("fields"):
                    y, x = numpy.meshgrid(group["grid_y"][:], group["grid_x"][:], indexing="ij")
                    true = numpy.stack([x, 2 * y], -1)
                    value[:, :, labels.index("smoothed")] = true
                    value[:, :, at] = true + 20 * noise * g.normal(size=value[:, :, at].shape)
                else:
                    quantities = list(group["quantity"].asstr()[:])
                    value[:, :, at, :, quantities.index("cosine")] = 1 - noise * numpy.array([0.3, 0.5, 0]) \
                        + 0.001 * g.normal(size=(*value.shape[:2], 3))
            group["value"][:] = value
    return folder + "/plane.h5"
