"""Networks of layers on patches of photographs, beside the same models written in PyTorch.

    test_mlp_torch.py VQSWEEP [--long]

The peer shares the photographs and the settings with vqsweep, and nothing else: it cuts patches with Pillow, draws its
own samples, weights and batches, and its gradients are autograd's. Held-out errors, as medians over seeds, agree
within 5%; of the convolutional model in the short run, where codes are still coming into use and seeds differ by as much,
within 10%. Times of a step are printed, not judged.
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

PATCH, d, K, BATCH, N, N_EVAL, LR, BETA = 8, 16, 512, 256, 6144, 2048, 1e-3, 0.25
D = PATCH * PATCH * 3
JOB = """
name: photographs
fixed: {{data: images, path: {path}, patch: 8, D: 192, {model}, d: 16, K: 512, N: 6144, N_eval: 2048,
        batch: 256, lr: 0.001, beta: 0.25, codebook_init: data, gap_restarts: 0}}
grid: {{epochs: [{few}, {epochs}]}}
seeds: 1..{seeds}
"""


def ours(vqsweep, folder, photographs, model, epochs, few, seeds):
    """Held-out errors of each seed; seconds of a step, by the difference of trials of few epochs and of many."""
    with open(f"{folder}/job.yaml", "w") as job:
        job.write(JOB.format(path=photographs, model=model, epochs=epochs, few=few, seeds=seeds))
    subprocess.run([vqsweep, "run", f"{folder}/job.yaml", "-o", f"{folder}/out.h5", "--threads", "1", "-q"], check=True)
    with h5py.File(f"{folder}/out.h5") as out:
        long = out["epochs"][:] == epochs
        error, wall = out["mse_eval"][:], out["wall_seconds"][:]
    steps = (epochs - few) * (N // BATCH)
    return error[long], numpy.median(wall[long] - wall[~long]) / steps


def patches_of(photographs):
    found = []
    for name in sorted(os.listdir(photographs)):
        pixels = numpy.asarray(Image.open(f"{photographs}/{name}").convert("RGB"), "f4") / 255
        rows, columns = pixels.shape[0] // PATCH, pixels.shape[1] // PATCH
        cut = pixels[:rows * PATCH, :columns * PATCH].reshape(rows, PATCH, columns, PATCH, 3)
        found.append(cut.transpose(0, 2, 1, 3, 4).reshape(-1, D))
    return numpy.concatenate(found)


def initialised(layer, inputs, last=False):
    bound = ((3 if last else 6) / inputs) ** 0.5
    torch.nn.init.uniform_(layer.weight, -bound, bound)
    torch.nn.init.zeros_(layer.bias)
    return [layer] if last else [layer, torch.nn.GELU(approximate="tanh")]


def dense(inputs, outputs, last=False):
    return initialised(torch.nn.Linear(inputs, outputs), inputs, last)


def mlp():
    return (torch.nn.Sequential(*dense(D, 256), *dense(256, d, last=True)),
            torch.nn.Sequential(*dense(d, 256), *dense(256, D, last=True)))


class ToImage(torch.nn.Module):
    def forward(self, x):
        return x.reshape(-1, PATCH, PATCH, 3).permute(0, 3, 1, 2)


class FromImage(torch.nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1).reshape(-1, D)


def conv():
    """Windows of 4 x 4, 2 apart: a transposed convolution's output has a quarter of them, of each channel."""
    encoder = [ToImage(), *initialised(torch.nn.Conv2d(3, 16, 4, 2, 1), 3 * 16),
               *initialised(torch.nn.Conv2d(16, 32, 4, 2, 1), 16 * 16), torch.nn.Flatten(), *dense(128, d, last=True)]
    decoder = [*dense(d, 128), torch.nn.Unflatten(1, (32, 2, 2)),
               *initialised(torch.nn.ConvTranspose2d(32, 16, 4, 2, 1), 32 * 4),
               *initialised(torch.nn.ConvTranspose2d(16, 3, 4, 2, 1), 16 * 4, last=True), FromImage()]
    return torch.nn.Sequential(*encoder), torch.nn.Sequential(*decoder)


MODELS = {"model: mlp, hidden: 256": mlp, "model: conv": conv}


def nearest(z, codes):
    return (codes.square().sum(1) - 2 * z @ codes.T).argmin(1)


def theirs(patches, model, epochs, seed):
    """Held-out error, and seconds of a step."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    chosen = torch.tensor(patches)[torch.randperm(len(patches))[:N + N_EVAL]]
    train, held_out = chosen[:N] - chosen[:N].mean(0), chosen[N:] - chosen[:N].mean(0)
    encoder, decoder = model()
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


def compare(vqsweep, folder, patches, model, epochs, few, seeds):
    """How far our held-out error is off theirs."""
    error, step = ours(vqsweep, folder, f"{folder}/photographs", model, epochs, few, seeds)
    peer, peer_step = numpy.array([theirs(patches, MODELS[model], epochs, seed) for seed in range(1, seeds + 1)]).T
    off = numpy.median(error) / numpy.median(peer) - 1
    print(f"{model}: held-out error of {epochs} epochs, median of {seeds} seeds: vqsweep {numpy.median(error):.6f} "
          f"({error.min():.6f} to {error.max():.6f}), PyTorch {torch.__version__} {numpy.median(peer):.6f} "
          f"({peer.min():.6f} to {peer.max():.6f}), {off:+.1%}")
    print(f"a step on one thread: vqsweep {1e3 * step:.2f} ms by the wall, PyTorch {1e3 * numpy.median(peer_step):.2f} ms of "
          f"CPU, {numpy.median(peer_step) / step:.1f} times as much", flush=True)
    return off


def main(vqsweep, long):
    epochs, few, seeds = (30, 2, 10) if long else (12, 1, 6)
    photographs = os.path.join(os.path.dirname(sklearn.datasets.__file__), "images")
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/photographs")
        for name in ("china.jpg", "flower.jpg"):
            os.symlink(f"{photographs}/{name}", f"{folder}/photographs/{name}")
        patches = patches_of(f"{folder}/photographs")
        wrong = []
        for i, model in enumerate(MODELS):
            os.makedirs(f"{folder}/{i}")
            os.symlink(f"{folder}/photographs", f"{folder}/{i}/photographs")
            off = compare(vqsweep, f"{folder}/{i}", patches, model, epochs, few, seeds)
            wrong.append(abs(off) > (0.05 if long or MODELS[model] is mlp else 0.1))
    return 1 if any(wrong) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--long" in sys.argv))
