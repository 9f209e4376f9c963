"""What the peers share: problems, timing, and the check that they train as vqsweep does.

    peer_NAME.py [--seconds S] D,d,K,B...      time a step of each form on each shape, one key=value line each
    peer_NAME.py --check FILE                  train the trial that export_trial wrote, and compare the loss curves

A form is a class: FORM(problem, trials) trains that many copies of a model side by side; `epoch(order)` runs one epoch
over the samples in that order (None: an order of its own) and returns the sums over the samples of |x - x^|^2 and
|z - q|^2, of each copy.
"""
import math
import os
import sys
import time
from types import SimpleNamespace

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")

try:
    import numpy
except ImportError:
    print("numpy is not installed", file=sys.stderr)
    sys.exit(77)

N = 4096  # samples, the default of vqsweep
STEP = dict(beta=0.25, lr=0.002, beta1=0.9, beta2=0.999, eps=1e-8)  # and the other defaults
TOLERANCE = 2e-4  # of an epoch's losses: float rounding moves single samples from one code to another


def make_problem(D, d, K, B):
    """Random data of true dimension d with noise, and initial values of the right sizes."""
    rng = numpy.random.default_rng(1)
    basis = numpy.linalg.qr(rng.standard_normal((D, d)))[0]
    x = rng.standard_normal((N, d)) @ basis.T + 0.1 * rng.standard_normal((N, D))
    W = numpy.linalg.qr(rng.standard_normal((D, d)))[0].T
    V = rng.uniform(-1, 1, (d, D)) / math.sqrt(d)  # V^T: both matrices are [d][D]
    codes = x[:K] @ W.T
    arrays = {name: numpy.ascontiguousarray(a, numpy.float32) for name, a in
              dict(x=x, W=W, V=V, codes=codes).items()}
    return SimpleNamespace(D=D, d=d, K=K, B=B, **arrays, **STEP)


def read_problem(path):
    """A trial of vqsweep: a line "D d K B N epochs", then x, W, V^T, codes, the order of each epoch, two curves."""
    with open(path, "rb") as file:
        D, d, K, B, n, epochs = map(int, file.readline().split())

        def take(dtype, *shape):
            return numpy.fromfile(file, dtype, math.prod(shape)).reshape(shape)

        arrays = dict(x=take("f4", n, D), W=take("f4", d, D), V=take("f4", d, D), codes=take("f4", K, d),
                      order=take("u4", epochs, n).astype("i8"), loss_rec=take("f8", epochs), loss_vq=take("f8", epochs))
    return SimpleNamespace(D=D, d=d, K=K, B=B, **arrays, **STEP)


def steps(problem):
    return -(-len(problem.x) // problem.B)


def check(name, form, trials, problem):
    """The form's curves beside vqsweep's. Returns whether they agree."""
    model, errors = form(problem, trials), []
    for epoch, order in enumerate(problem.order):
        rec, vq = model.epoch(order)
        for sums, size, curve in (rec, problem.D, problem.loss_rec), (vq, problem.d, problem.loss_vq):
            losses = numpy.atleast_1d(sums) / (len(order) * size)
            errors.append(numpy.max(numpy.abs(losses / curve[epoch] - 1)))
    worst = numpy.max(errors)  # NaN if any is
    good = bool(worst < TOLERANCE)
    print(f"{name} x {trials}: losses of {len(problem.order)} epochs within {worst:.1e} of vqsweep's"
          f"{'' if good else ', WRONG'}")
    return good


def measure(name, form, trials, shape, problem, seconds):
    model = form(problem, trials)
    model.epoch(None)
    wall, cpu, epochs = time.perf_counter(), time.process_time(), 0
    while epochs == 0 or time.process_time() - cpu < seconds:
        model.epoch(None)
        epochs += 1
    count = 1e-6 * epochs * steps(problem) * trials
    print(f"bench=peer peer={name} row={shape} trials={trials} us={(time.perf_counter() - wall) / count:.3f} "
          f"cpu_us={(time.process_time() - cpu) / count:.3f}", flush=True)


def main(forms):
    """`forms`: (name, class, copies side by side) of each form."""
    arguments = sys.argv[1:]
    if len(arguments) == 2 and arguments[0] == "--check":
        problem = read_problem(arguments[1])
        return 0 if all([check(name, form, trials, problem) for name, form, trials in forms]) else 1
    seconds = 0.3
    if arguments[:1] == ["--seconds"]:
        seconds, arguments = float(arguments[1]), arguments[2:]
    for shape in arguments:
        problem = make_problem(*map(int, shape.split(",")))
        for name, form, trials in forms:
            measure(name, form, trials, shape, problem, seconds)
    return 0
