"""A model that `vqsweep export` wrote, in numpy alone: copy this file to where the model is used.

    model = vqsweep_model.Model("model.npz")                # or .h5, with h5py
    x, patch_mean = model.prepare(samples)                  # [n][D], as they are in the data file
    numbers, q = model.quantize(model.encode(x))            # [n][level][group]
    again = model.restore(model.decode(q), patch_mean)

`model["contents"]` (of a .h5 the attributes long_name) says what each array is.
"""
import numpy


class Model:
    def __init__(self, path):
        if path.endswith(".h5"):
            import h5py  # pylint: disable=import-outside-toplevel
            with h5py.File(path) as file:
                self.arrays = {name: array[()] for name, array in file.items()}
        else:
            with numpy.load(path) as file:
                self.arrays = dict(file)
        text = numpy.asarray(self["settings"]).item().decode()
        self.settings = dict(line.partition("=")[::2] for line in text.splitlines())

    def __getitem__(self, name):
        return self.arrays[name]

    def layers(self, name, x):
        """The network `name`, encoder or decoder: its layers, and between them norm and activation."""
        for i in range(sum(f"{name}.{i}.W" in self.arrays for i in range(len(self.arrays)))):
            if i:
                x = self.hidden(f"{name}.{i - 1}", x)
            if f"{name}.{i}.window" in self.arrays:
                x = self.convolve(f"{name}.{i}", x)
            else:
                x = x @ self[f"{name}.{i}.W"].T + self[f"{name}.{i}.b"]
        return x

    def convolve(self, layer, x):
        """The convolution of images, channels last, or the one that is transposed, which adds windows to an image."""
        side, channels, size, stride = map(int, self[layer + ".window"])
        W, b = self[layer + ".W"], self[layer + ".b"]
        row = numpy.arange(side // stride)[:, None] * stride - (size - stride) // 2 + numpy.arange(size)
        at = (row[:, None, :, None] * side + row[:, None, :]).reshape(-1, size * size)  # [window][pixel]
        within = (row >= 0) & (row < side)
        within = (within[:, None, :, None] & within[:, None, :]).reshape(at.shape)
        if W.shape[1] == size * size * channels and len(b) == len(W):
            pixels = x.reshape(len(x), -1, channels)[:, numpy.where(within, at, 0)] * within[:, :, None]
            return (pixels.reshape(len(x), len(at), -1) @ W.T + b).reshape(len(x), -1)
        windows = (x.reshape(len(x), len(at), -1) @ W.T).reshape(len(x), *at.shape, channels)
        y = numpy.zeros((len(x), side * side, channels)) + b
        numpy.add.at(y, (slice(None), at[within]), windows[:, within])
        return y.reshape(len(x), -1)

    def hidden(self, layer, y):
        if layer + ".gain" in self.arrays:
            values = y.reshape(len(y), -1, len(self[layer + ".gain"]))  # of a pixel, in an image
            values = (values - values.mean(-1, keepdims=True)) / numpy.sqrt(values.var(-1, keepdims=True) + 1e-5)
            y = (values * self[layer + ".gain"] + self[layer + ".shift"]).reshape(y.shape)
        if self.settings["activation"] == "relu":
            return numpy.maximum(y, 0)
        return y * (1 + numpy.tanh(numpy.sqrt(2 / numpy.pi) * (y + 0.044715 * y**3))) / 2

    def encode(self, x):
        z = self.layers("encoder", x)
        return numpy.tanh(z) if self.settings.get("codebook") == "fsq" else z

    def quantize(self, z):
        """Which code of each level and group is nearest to what the levels before have left, and their sum."""
        levels, groups, _, width = self["codes"].shape
        numbers, q = numpy.zeros((len(z), levels, groups), int), numpy.zeros_like(z)
        for level, group in numpy.ndindex(levels, groups):
            codes, at = self["codes"][level, group], slice(group * width, (group + 1) * width)
            numbers[:, level, group] = ((codes**2).sum(1) - 2 * (z - q)[:, at] @ codes.T).argmin(1)
            q[:, at] += codes[numbers[:, level, group]]
        return numbers, q

    def decode(self, q):
        """x^, or with loss: cross_entropy the logits of each byte's classes, one byte after the other."""
        return self.layers("decoder", q)

    def prepare(self, samples):
        """What the model is given for samples as they are in the data file; and the mean of each that is taken off."""
        samples = numpy.asarray(samples, float)
        removed = self.settings.get("patch_mean") == "remove"
        patch_mean = samples.mean(1) if removed else numpy.zeros(len(samples))
        x = (samples - patch_mean[:, None]) * self["scale"] - self["mean"]
        return x @ self["whiten"].T if "whiten" in self.arrays else x, patch_mean

    def restore(self, x, patch_mean=0.0):
        """The way back."""
        x = x @ self["unwhiten"].T if "unwhiten" in self.arrays else x
        return (x + self["mean"]) / self["scale"] + numpy.reshape(patch_mean, (-1, 1))
