"""An MLP on patches of photographs, beside the same model written in PyTorch.

    test_mlp_torch.py VQSWEEP [--long]

The peer shares the photographs and the settings with vqsweep, and nothing else: it cuts patches with Pillow, draws its
own samples, weights and batches, and its gradients are autograd's. Held-out errors, as medians over seeds, agree within 5%.
Times of a step are printed, not judged.
"""
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
try:
    import h5py
    import numpy
    import torch
    from PIL import Image
    import sklearn.datasets
except ImportError as missing:
    print(f"skipped: {missing.name} is missing; apt-get install python3-h5py python3-torch python3-pil python3-sklearn")
    sys.exit(77)

PATCH, d, K, HIDDEN, BATCH, N, N_EVAL, LR, BETA = 8, 16, 512, 256, 256, 6144, 2048, 1e-3, 0.25
D, TOLERANCE = PATCH * PATCH * 3, 0.05
JOB = """
name: photographs
fixed: {{data: images, path: {path}, patch: 8, D: 192, model: mlp, hidden: 256, d: 16, K: 512, N: 6144, N_eval: 2048,
        batch: 256, lr: 0.001, beta: 0.25, codebook_init: data, gap_restarts: 0}}
grid: {{epochs: [{few}, {epochs}]}}
seeds: 1..{seeds}
"""


def ours(vqsweep, folder, photographs, epochs, few, seeds):
    """Held-out errors of each seed; seconds of a step, by the difference of trials of few epochs and of many."""
    with open(f"{folder}/job.yaml", "w") as job:
        job.write(JOB.format(path=photographs, epochs=epochs, few=few, seeds=seeds))
    subprocess.run([vqsweep, "run", f"{folder}/job.yaml", "-o", f"{folder}/out.h5", "--threads", "1", "-q"], check=True)
    with h5py.File(f"{folder}/out.h5") as out:
        long = out["epochs"][:] == epochs
        mse, wall = out["mse_eval"][:], out["wall_seconds"][:]
    steps = (epochs - few) * (N // BATCH)
    return mse[long], numpy.median(wall[long] - wall[~long]) / steps


def patches_of(photographs):
    found = []
    for name in sorted(os.listdir(photographs)):
        pixels = numpy.asarray(Image.open(f"{photographs}/{name}").convert("RGB"), "f4") / 255
        rows, columns = pixels.shape[0] // PATCH, pixels.shape[1] // PATCH
        cut = pixels[:rows * PATCH, :columns * PATCH].reshape(rows, PATCH, columns, PATCH, 3)
        found.append(cut.transpose(0, 2, 1, 3, 4).reshape(-1, D))
    return numpy.concatenate(found)


def network(*widths):
    layers = []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        linear, last = torch.nn.Linear(a, b), i + 2 == len(widths)
        bound = ((3 if last else 6) / a) ** 0.5
        torch.nn.init.uniform_(linear.weight, -bound, bound)
        torch.nn.init.zeros_(linear.bias)
        layers += [linear] if last else [linear, torch.nn.GELU(approximate="tanh")]
    return torch.nn.Sequential(*layers)


def nearest(z, codes):
    return (codes.square().sum(1) - 2 * z @ codes.T).argmin(1)


def theirs(patches, epochs, seed):
    """Held-out error, and seconds of a step."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    chosen = torch.tensor(patches)[torch.randperm(len(patches))[:N + N_EVAL]]
    train, held_out = chosen[:N] - chosen[:N].mean(0), chosen[N:] - chosen[:N].mean(0)
    encoder, decoder = network(D, HIDDEN, d), network(d, HIDDEN, D)
    with torch.no_grad():
        codes = torch.nn.Parameter(encoder(train[torch.randperm(N)[:K]]))
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), codes], lr=LR)
    start = time.process_time()
    for _ in range(epochs):
        order = torch.randperm(N)
        for first in range(0, N, BATCH):
            x = train[order[first:first + BATCH]]
            z = encoder(x)
            q = codes[nearest(z.detach(), codes.detach())]
            losses = (z.detach() - q).square().mean() + BETA * (z - q.detach()).square().mean()
            loss = (decoder(z + (q - z).detach()) - x).square().mean() + losses
            adam.zero_grad()
            loss.backward()
            adam.step()
    seconds = (time.process_time() - start) / (epochs * (N // BATCH))
    with torch.no_grad():
        q = codes[nearest(encoder(held_out), codes)]
        return float((decoder(q) - held_out).square().mean()), seconds


def main(vqsweep, long):
    epochs, few, seeds = (30, 2, 10) if long else (12, 1, 6)
    photographs = os.path.join(os.path.dirname(sklearn.datasets.__file__), "images")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("china.jpg", "flower.jpg"):
            os.makedirs(f"{folder}/photographs", exist_ok=True)
            os.symlink(f"{photographs}/{name}", f"{folder}/photographs/{name}")
        mse, step = ours(vqsweep, folder, f"{folder}/photographs", epochs, few, seeds)
        patches = patches_of(f"{folder}/photographs")
    peer, peer_step = numpy.array([theirs(patches, epochs, seed) for seed in range(1, seeds + 1)]).T
    off = numpy.median(mse) / numpy.median(peer) - 1
    print(f"held-out error of {epochs} epochs, median of {seeds} seeds: vqsweep {numpy.median(mse):.6f} ({mse.min():.6f} to {mse.max():.6f}), "
          f"PyTorch {torch.__version__} {numpy.median(peer):.6f} ({peer.min():.6f} to {peer.max():.6f}), {off:+.1%}")
    print(f"a step on one thread: vqsweep {1e3 * step:.2f} ms by the wall, PyTorch {1e3 * numpy.median(peer_step):.2f} ms of "
          f"CPU, {numpy.median(peer_step) / step:.1f} times as much")
    return 0 if abs(off) < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--long" in sys.argv))
