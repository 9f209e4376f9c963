"""The first 20 steps of estimators against their papers.

    test_trajectories.py EXPORT_TRIAL

export_trial gives data, initial values, the order of the samples and the random words; here the model is trained anew,
with the estimators as their authors publish them: a forward pass with `detach`, and a gradient that somebody else works
out. By PyTorch's autograd where it is installed, and in any case in NumPy by complex steps, in which `detach` is the
real part. Losses of every step and the codebook after the last agree to 1e-4.
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench"))
os.environ.setdefault("OMP_NUM_THREADS", "1")
try:
    import numpy
    from peers import read_problem
except ImportError:
    print("skipped: python3-numpy is not installed")
    sys.exit(77)
try:
    import torch
except ImportError:
    torch = None

STEPS, TOLERANCE, TILE, TAU, SCALE = 20, 1e-4, 32, 1.3, 2.0
TRIAL = dict(D=12, d=4, r=4, K=9, N=96, batch=96, epochs=STEPS, lr=0.01, codebook_init="data", seed=3, gap_restarts=0)


class Complex:
    """Gradients by a step of 1e-40 i along each parameter."""
    name, exp, log, sqrt = "NumPy, complex steps", numpy.exp, numpy.log, numpy.sqrt

    @staticmethod
    def constant(a):
        return a

    @staticmethod
    def detach(a):
        return a.real

    @staticmethod
    def gradients(loss, parameters):
        found = []
        for i, parameter in enumerate(parameters):
            gradient = numpy.empty_like(parameter)
            for at in numpy.ndindex(parameter.shape):
                moved = [p.astype(complex) for p in parameters]
                moved[i][at] += 1e-40j
                gradient[at] = loss(*moved).imag / 1e-40
            found.append(gradient)
        return found


class Autograd:
    """Gradients by PyTorch."""
    if torch:
        name, exp, log, sqrt = f"PyTorch {torch.__version__}", torch.exp, torch.log, torch.sqrt

    @staticmethod
    def constant(a):
        return torch.tensor(a)

    @staticmethod
    def detach(a):
        return a.detach()

    @staticmethod
    def gradients(loss, parameters):
        leaves = [torch.tensor(p, requires_grad=True) for p in parameters]
        loss(*leaves).backward()
        return [leaf.grad.numpy() for leaf in leaves]


def dot(a, b):
    return (a * b).sum(-1)[..., None]


def softmax(xp, logits):
    exps = xp.exp(logits)
    return exps / exps.sum(-1)[..., None]


def rotation_trick(xp, z, codes, chosen, noise):
    """Fifty et al. 2024: q = sg(|q|/|z| R) z, R the rotation from z to q."""
    q = chosen @ codes
    source, target = z / xp.sqrt(dot(z, z)), q / xp.sqrt(dot(q, q))
    w = source + target
    w = xp.detach(w / xp.sqrt(dot(w, w)))
    rotated = z - 2 * dot(z, w) * w + 2 * dot(z, xp.detach(source)) * xp.detach(target)
    return rotated * xp.detach(xp.sqrt(dot(q, q)) / xp.sqrt(dot(z, z)))


def logits_of(z, codes):
    return -SCALE * ((z[:, None, :] - codes[None, :, :]) ** 2).sum(-1)


def gumbel_st(xp, z, codes, chosen, noise):
    """Jang et al. 2017, hard: one_hot - sg(y) + y."""
    y = softmax(xp, (logits_of(z, codes) + noise) / TAU)
    return (chosen - xp.detach(y) + y) @ codes


def reinmax(xp, z, codes, chosen, noise):
    """Liu et al. 2023, their algorithm 2."""
    logits = logits_of(z, codes)
    pi_0 = softmax(xp, logits)
    pi_1 = (chosen + xp.detach(softmax(xp, logits / TAU))) / 2
    pi_1 = softmax(xp, xp.detach(xp.log(pi_1) - logits) + logits)
    pi_2 = 2 * pi_1 - pi_0 / 2
    return (pi_2 - xp.detach(pi_2) + chosen) @ codes


ESTIMATORS = {"rotation_trick": rotation_trick, "gumbel_st": gumbel_st, "reinmax": reinmax}


def choose(name, z, codes, noise):
    """One-hot rows: the nearest code, or the one with the largest logit after noise."""
    scores = logits_of(z, codes)
    scores = scores + noise if name != "rotation_trick" else scores
    return numpy.eye(len(codes))[scores.argmax(1)]


def train(xp, name, problem, words):
    """Losses (rec, vq) of every step, and the last codes."""
    parameters = [a.astype(float) for a in (problem.W, problem.V, problem.codes)]
    moment1, moment2 = ([numpy.zeros_like(p) for p in parameters] for _ in range(2))
    losses = []
    for step in range(STEPS):
        x = problem.x[problem.order[step]].astype(float)
        noise = -numpy.log(-numpy.log(((words[step] >> 9) + 0.5) / 2 ** 23))
        z0 = x @ parameters[0].T
        chosen = choose(name, z0, parameters[2], noise)
        code0 = chosen @ parameters[2]
        x, z0, chosen, noise, code0 = map(xp.constant, (x, z0, chosen, noise, code0))

        def loss(W, V, codes):
            z = x @ W.T
            f = ESTIMATORS[name](xp, z, codes, chosen, noise)
            commitment, codebook = ((z - code0) ** 2).mean(), ((z0 - chosen @ codes) ** 2).mean()
            return ((x - f @ V) ** 2).mean() + codebook + problem.beta * commitment

        rec = float(((x - code0 @ xp.constant(parameters[1])) ** 2).mean())
        losses.append((rec, float(((z0 - code0) ** 2).mean())))
        for p, g, m, v in zip(parameters, xp.gradients(loss, parameters), moment1, moment2):
            m += (1 - problem.beta1) * (g - m)
            v += (1 - problem.beta2) * (g * g - v)
            rate = TRIAL["lr"] / (1 - problem.beta1 ** (step + 1))
            p -= rate * m / (numpy.sqrt(v / (1 - problem.beta2 ** (step + 1))) + problem.eps)
        q, r = numpy.linalg.qr(parameters[0].T)  # Gram-Schmidt, where r's diagonal is positive
        parameters[0] = (q * numpy.sign(numpy.diag(r))).T
    return numpy.array(losses), parameters[2]


def read(path, chooses):
    """The trial, the last codes, and the words of each step as [sample][code]."""
    problem = read_problem(path)
    n, codes = STEPS * TRIAL["N"] * problem.K if chooses else 0, problem.codes
    with open(path, "rb") as file:
        tail = file.read()[-4 * (codes.size + n):]
    words = numpy.zeros((STEPS, TRIAL["N"], problem.K), "u4")
    if chooses:
        tiles = numpy.frombuffer(tail, "u4")[codes.size:].reshape(STEPS, TRIAL["N"] // TILE, problem.K, TILE)
        words = tiles.transpose(0, 1, 3, 2).reshape(words.shape)
    return problem, numpy.frombuffer(tail, "f4")[:codes.size].reshape(codes.shape), words


def check(xp, name, problem, codes, words):
    losses, last = train(xp, name, problem, words)
    ours = numpy.stack([problem.loss_rec, problem.loss_vq], 1)
    off = numpy.abs(losses / ours - 1).max(), numpy.linalg.norm(last - codes) / numpy.linalg.norm(codes)
    good = max(off) < TOLERANCE
    moved = numpy.linalg.norm(codes - problem.codes) / numpy.linalg.norm(codes)
    print(f"{name}, {xp.name}: losses of {STEPS} steps within {off[0]:.1e}, codes within {off[1]:.1e} after they moved "
          f"by {moved:.2f}{'' if good else ', WRONG'}")
    return good


def main(export_trial):
    backends = [Complex] + ([Autograd] if torch else [])
    if not torch:
        print("PyTorch: skipped, python3-torch is not installed")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for name in ESTIMATORS:
            path = f"{folder}/{name}"
            settings = dict(TRIAL, estimator=name, logit_scale=SCALE, tau=TAU, tau_schedule="constant")
            subprocess.run([export_trial, path] + [f"{k}={v}" for k, v in settings.items()], check=True)
            problem, codes, words = read(path, name != "rotation_trick")
            for xp in backends:
                good &= check(xp, name, problem, codes, words)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
