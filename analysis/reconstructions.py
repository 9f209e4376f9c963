"""What becomes of held-out samples, to look at and to listen to: pictures, recordings, text, and codes decoded, of trials
that kept some (setting `reconstructions`). Of each study and kind of data one seed is shown: an illustration, not a sample.

An exhibit is plain data for reconstructions.html: the original, the same by each trial, the trials' codes.
"""
import base64
import functools
import io
from collections import namedtuple

import matplotlib.image
import numpy
import scipy.io.wavfile
import scipy.signal

import study
import views
import vqsweep_store
from drawing import BLUE, GREEN, PURPLE, VERMILION, Figure, canvas, legend

MOST_TRIALS = 12
MOST_CODEBOOKS, MOST_CODES, MOST_TEXTS, MOST_LINES = 4, 256, 64, 12  # codes as pictures, as text, as lines of a figure
MOST_SAMPLES = 6        # drawn as lines
MOST_DRAWN = 6          # trials in one figure
SHOWN_SECONDS = 4       # of a recording, in its figure
PLAYABLE = 8            # frames in one piece, on average, from which on there is something to hear
WIDTH, MOST_ROWS = 64, 16  # of text
GAP = 1                 # pixels between pictures that do not adjoin
DEAD = tuple(int(VERMILION[i:i + 2], 16) for i in (1, 3, 5))
FRAME = (208, 208, 208)
COLOURS = [BLUE, VERMILION, GREEN, PURPLE]

# figures: Later; pictures: Picture; sounds: Sound; text: blocks of lines (who, [(text, whether it is wrong)]); codes: Codes
Exhibit = namedtuple("Exhibit", "name title note figures pictures sounds text codes", defaults=[(), (), (), (), ()])
Picture = namedtuple("Picture", "name title alt width png")
Sound = namedtuple("Sound", "name title wav")
Later = namedtuple("Later", "name draw")  # a Figure that is drawn when its turn comes: many open ones take much memory
# Of one trial, as pictures, figures, or lines (text, share of the samples, whether that is 0).
Codes = namedtuple("Codes", "title note pictures lines figures", defaults=[(), (), ()])
# What one trial kept, in the units of its file; usage: training samples of each code, [codebook][code].
Kept = namedtuple("Kept", "number label trial x xhat places codes usage")


def exhibits(path, trials):
    """One for each study and data set of which a trial kept reconstructions."""
    found = []
    for name in trials.attrs["studies"]:
        v, settings = views.view(trials, name), trials.attrs["settings"]
        if "reconstructions" not in v.rows:
            return []
        rows = v.rows[(v.rows.reconstructions > 0) & (v.rows.status == "completed")]
        data = [s for s in settings[:settings.index("N_eval") + 1] if s in rows] + ["reconstructions"]
        for i, (_, group) in enumerate(rows.groupby(data, dropna=False, sort=False)):
            group = group[group.seed == group.seed.min()]
            kept = read(path, group[:MOST_TRIALS], [s for s in settings if s not in (*v.defines, "seed")])
            if kept:
                left = f" {len(group) - len(kept)} more trials are left out." if len(group) > len(kept) else ""
                found.append(exhibit(f"{name}_{i}" if i else name, f"Study {name}", kept, left))
    return found


def read(path, rows, settings):
    """What these trials kept, as far as it is in the file yet."""
    names, numbers = ["originals", "reconstructions", "places", "code_pictures"], list(rows.index)
    arrays = {name: vqsweep_store.array_of(path, name, numbers) for name in names}
    varies, kept = study.varying(rows, settings), []
    for t in rows.itertuples():
        if all(t.Index in arrays[name] for name in names):
            last = {s.codebook: s.usage for s in vqsweep_store.codebooks(path, t.Index)}  # the last one stays
            values = {s: plain(getattr(t, s)) for s in varies}
            label = ", ".join([t.series] + [f"{s} {value}" for s, value in values.items() if value])
            kept.append(Kept(t.Index, label, t, *(arrays[name][t.Index] for name in names),
                             numpy.array([last[c] for c in sorted(last)])))
    return kept


def plain(value):
    return value if isinstance(value, str) else "" if value != value else f"{value:g}"


def exhibit(name, title, kept, left):
    t = kept[0].trial
    make = (of_images if t.data == "images" else of_text if t.data == "text" else of_log_mel
            if t.data == "audio" and t.audio_features == "log_mel" else of_recording if t.data == "audio" else of_vectors)
    made = make(name, kept)
    where = f" Data: {t.path}, trials {', '.join(str(k.number) for k in kept)}, seed {t.seed}.{left}"
    return made._replace(name=name, title=f"{title}: {made.title}", note=made.note + where)


# ---- pictures --------------------------------------------------------------------------------------------------------


def of_images(name, kept):
    t, x = kept[0].trial, kept[0].x
    size, places = int(t.patch), kept[0].places[:, :3].astype(int)
    stride = int(t.patch_stride)
    whole = stride <= size and adjoin(places)

    def arranged(values):
        patches = values.reshape(len(values), size, size, -1)
        return mosaic(patches, places, stride) if whole else tiles(patches)
    peak = t.peak / abs(t.value_scale) if t.peak > 0 else 1
    note = (f"{len(x)} held-out patches of {size} x {size} pixels, "
            + ("put together as they lie in the image." if whole else "from anywhere in the images."))
    if t.patch_mean == "remove":
        note += (" Each patch's own mean, which no code carries, is given back to its reconstruction; codes are shown about "
                 "grey.")
    grey = 0.5 if t.patch_mean == "remove" else 0
    return Exhibit(name, "images", note, pictures=beside(name, kept, arranged, decibels(peak)),
                   codes=[code_pictures(name, k, lambda v: v.reshape(-1, size, size, v.shape[-1] // size**2) + grey)
                          for k in kept])


def of_vectors(name, kept):
    """Samples of no known kind: small pictures where they could be squares, else lines."""
    x, side = kept[0].x, int(round(kept[0].x.shape[1] ** 0.5))
    low, high = float(x.min()), float(x.max())
    if side * side != x.shape[1] or side < 3:
        return Exhibit(name, "samples", f"The first of {len(x)} held-out samples.",
                       figures=[Later(name, lambda: curves_figure(name, kept, "value"))],
                       codes=[code_curves(name, k) for k in kept])

    def squares(values):
        return (values.reshape(-1, side, side, 1) - low) / (high - low or 1)
    note = (f"{len(x)} held-out samples of {x.shape[1]} values, drawn as {side} x {side} pixels from {low:.4g} (black) to "
            f"{high:.4g} (white), which is the peak of PSNR too.")
    return Exhibit(name, "samples", note, pictures=beside(name, kept, lambda v: tiles(squares(v)), decibels(high - low)),
                   codes=[code_pictures(name, k, squares) for k in kept])


def beside(name, kept, arranged, quality):
    """The original and the same by each trial, as pictures."""
    first = arranged(kept[0].x)
    return [picture(f"{name}_original", "Original", "The held-out samples themselves.", first)] + [
        picture(f"{name}_trial{k.number}", f"{k.label}: {quality(k.x, k.xhat)}", f"The same samples as {k.label} "
                f"reconstructs them, {quality(k.x, k.xhat)}.", arranged(k.xhat)) for k in kept]


def decibels(peak):
    def psnr(x, xhat):
        error = numpy.mean((x.astype(float) - xhat) ** 2)
        return ("without error" if error == 0 else f"mean square error {error:.3g}" if peak <= 0 else
                f"PSNR {10 * numpy.log10(peak ** 2 / error):.2f} dB")
    return psnr


def adjoin(places):
    """Whether the patches of each image fill at least half of the rectangle around them."""
    files = [places[places[:, 0] == f, 1:] for f in numpy.unique(places[:, 0])]
    return all(2 * len(at) >= numpy.prod(numpy.ptp(at, axis=0) + 1) and len(at) > 1 for at in files)


def mosaic(patches, places, stride):
    """Patches where they lie in their images, one image below the other; where patches overlap, their mean. White: none."""
    n, size, _, channels = patches.shape
    parts = []
    for f in numpy.unique(places[:, 0]):
        chosen = places[:, 0] == f
        at = (places[chosen, 1:] - places[chosen, 1:].min(0)) * stride
        total = numpy.zeros((*(at.max(0) + size), channels))
        count = numpy.zeros((*total.shape[:2], 1))
        for (top, left), patch in zip(at, patches[chosen]):
            total[top:top + size, left:left + size] += patch
            count[top:top + size, left:left + size] += 1
        parts.append(numpy.where(count > 0, total / numpy.maximum(count, 1), 1))
    width = max(part.shape[1] for part in parts)
    return numpy.concatenate([numpy.pad(part, ((0, 4 * GAP), (0, width - part.shape[1]), (0, 0)), constant_values=1)
                              for part in parts])[:-4 * GAP]


def tiles(patches, frames=None):
    """Pictures side by side in rows, each in a frame of white, or of a colour of its own."""
    n, height, width, channels = patches.shape
    columns = int(numpy.ceil((1.5 * n) ** 0.5))
    rows = -(-n // columns)
    out = numpy.ones((rows, columns, height + 2 * GAP, width + 2 * GAP, 3))
    for i in range(n):
        cell = out[i // columns, i % columns]
        if frames is not None:
            cell[:] = numpy.array(frames[i]) / 255
        cell[GAP:-GAP, GAP:-GAP] = patches[i]
    return out.transpose(0, 2, 1, 3, 4).reshape(rows * (height + 2 * GAP), columns * (width + 2 * GAP), 3)


def picture(name, title, alt, values, width=290):
    """Of values 0 to 1, pixel by pixel; small ones are shown larger, about `width` wide, each pixel a square."""
    pixels = numpy.clip(numpy.round(255 * numpy.nan_to_num(values)), 0, 255).astype("u1")
    out = io.BytesIO()
    matplotlib.image.imsave(out, numpy.broadcast_to(pixels, (*pixels.shape[:2], 3)), format="png",
                            metadata={"Software": None})
    return Picture(name, title, alt, pixels.shape[1] * max(1, round(width / pixels.shape[1])), out.getvalue())


# ---- codes -----------------------------------------------------------------------------------------------------------


def by_usage(k, most):
    """(codebook, numbers of its codes from the most used one on, their shares of samples), of the first codebooks."""
    for c in range(min(len(k.codes), MOST_CODEBOOKS)):
        usage = k.usage[c].astype(float)
        order = numpy.argsort(-usage, kind="stable")[:most]
        yield c, order, usage[order] / max(1.0, usage.sum())


def about_codes(k, most):
    books, K = k.usage.shape
    words = [f"{K} codes, the most used first; {int((k.usage == 0).sum())} without a training sample, in orange."]
    if books > 1:
        words = [f"{books} codebooks of " + words[0], "Each code is decoded with zeros for all other codebooks."]
    if K > most:
        words.append(f"{most} are shown.")
    if books > MOST_CODEBOOKS:
        words.append(f"The first {MOST_CODEBOOKS} codebooks are shown.")
    return " ".join(words)


def title_of(k, c):
    return f"{k.label}: codebook {c}" if len(k.codes) > 1 else f"{k.label}: codebook"


def code_pictures(name, k, squares):
    shown = []
    for c, order, shares in by_usage(k, MOST_CODES):
        frames = [FRAME if share > 0 else DEAD for share in shares]
        alt = f"{len(order)} codes as pictures, the most used first, {int((shares == 0).sum())} without a sample."
        shown.append(picture(f"{name}_trial{k.number}_codebook{c}", title_of(k, c), alt,
                             tiles(squares(k.codes[c][order]), frames), 400))
    return Codes(k.label, about_codes(k, MOST_CODES), pictures=shown)


def code_curves(name, k, x=None, label="Value after value"):
    figures_of = []
    for c, *rest in by_usage(k, MOST_LINES):
        one = f"{name}_trial{k.number}_codebook{c}"
        figures_of.append(Later(one, functools.partial(draw_codes, one, k, c, *rest, x, label)))
    return Codes(k.label, about_codes(k, MOST_LINES), figures=figures_of)


def draw_codes(name, k, c, order, shares, x, label):
    """The most used codes as lines."""
    drawing, axes = canvas(4, -(-len(order) // 4), height=0.3 + 1.0 * -(-len(order) // 4))
    for ax in list(axes.flat)[len(order):]:
        ax.set_axis_off()
    for ax, j, share in zip(axes.flat, order, shares):
        ax.plot(numpy.arange(k.codes.shape[2]) if x is None else x, k.codes[c][j], linewidth=0.8,
                color=BLUE if share > 0 else VERMILION)
        ax.set_title(f"{100 * share:.1f}%", fontsize=7)
        ax.tick_params(labelsize=6)
    return Figure(f"reconstructions_{name}", title_of(k, c),
                  f"The {len(order)} codes used most, decoded; above each its share of the training samples. {label}.",
                  "Lines, a panel for each code.", drawing)


# ---- lines -----------------------------------------------------------------------------------------------------------


def curves_figure(name, kept, label, x=None):
    """The first samples as lines, a panel each, the reconstructions over the original."""
    n = min(MOST_SAMPLES, len(kept[0].x))
    drawing, axes = canvas(min(3, n), -(-n // 3), height=0.5 + 1.4 * -(-n // 3))
    x = numpy.arange(kept[0].x.shape[1]) if x is None else x
    for ax in list(axes.flat)[n:]:
        ax.set_axis_off()
    for i, ax in enumerate(axes.flat[:n]):
        ax.plot(x, kept[0].x[i], color="#b0b0b0", linewidth=2.5, label="original")
        for k, colour in zip(kept, COLOURS):
            ax.plot(x, k.xhat[i], color=colour, linewidth=0.8, label=k.label)
    legend(drawing, axes)
    drawing.supxlabel(label, fontsize=8)
    return Figure(f"reconstructions_{name}", "Samples and reconstructions",
                  f"{n} held-out samples, a panel each." + not_drawn(kept, len(COLOURS)), "Lines, a panel a sample.", drawing)


def not_drawn(kept, most=MOST_DRAWN):
    return f" {len(kept) - most} more trials are not drawn." if len(kept) > most else ""


# ---- recordings ------------------------------------------------------------------------------------------------------


def pieces(places):
    """Slices of samples that follow on each other in one file."""
    at = places[:, 1].astype(numpy.int64) * 2**20 + places[:, 2].astype(numpy.int64)
    breaks = numpy.flatnonzero((numpy.diff(at) != 1) | (numpy.diff(places[:, 0]) != 0)) + 1
    edges = [0, *breaks.tolist(), len(places)]
    return [slice(a, b) for a, b in zip(edges, edges[1:])]


def joined(frames, hop, hann):
    """The recording that frames, `hop` apart and weighted by their window, are of: their sum over that of the weights,
    which at the ends, where hardly any weight lies, is not taken as less than a quarter."""
    n, size = frames.shape
    window = 0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(size) / size) if hann else numpy.ones(size)
    total = numpy.zeros((n - 1) * hop + size)
    weight = numpy.zeros_like(total)
    for i, frame in enumerate(frames):
        total[i * hop:i * hop + size] += frame
        weight[i * hop:i * hop + size] += window
    return total / numpy.maximum(weight, 0.25)


def of_recording(name, kept):
    t, places = kept[0].trial, kept[0].places
    rate, hop, size = float(places[0, 3]), int(t.hop), int(t.frame)
    parts = pieces(places)
    milliseconds = 1000 * numpy.arange(size) / rate
    codes = [code_curves(name, k, milliseconds, "Time in ms") for k in kept]
    if hop > size or len(places) / len(parts) < PLAYABLE:
        return Exhibit(name, "audio frames", f"Frames of {size} audio samples from anywhere in the recordings: split: tail, "
                       "with a hop no longer than a frame, keeps a piece that can be played.",
                       figures=[Later(name, lambda: curves_figure(name, kept, "ms", milliseconds))], codes=codes)
    silence = numpy.zeros(int(0.1 * rate))
    whole = {}
    for who, frames in [("original", kept[0].x), *((k.number, k.xhat) for k in kept)]:
        found = [joined(frames[part].astype(float), hop, t.frame_window == "hann") for part in parts]
        whole[who] = numpy.concatenate([piece for p in found for piece in (p, silence)][:-1])
    loudest = max(1.0, numpy.abs(whole["original"]).max())  # of WAV of floats; else 1
    sounds = [Sound(f"{name}_original", "Original", wav(whole["original"] / loudest, rate))]
    for k in kept:
        signal, noise = numpy.sum(whole["original"] ** 2), numpy.sum((whole["original"] - whole[k.number]) ** 2)
        snr = 10 * numpy.log10(signal / noise) if signal * noise > 0 else numpy.nan if noise > 0 else numpy.inf
        sounds.append(Sound(f"{name}_trial{k.number}", f"{k.label}: SNR {snr:.2f} dB", wav(whole[k.number] / loudest, rate)))
    note = (f"{len(places)} held-out frames in {len(parts)} piece{'s' * (len(parts) > 1)}, put together: {size} audio "
            f"samples each, {hop} apart, at {rate:g} Hz.")
    waves = [("Original", whole["original"])] + [(s.title, whole[k.number]) for s, k in zip(sounds[1:], kept)]
    return Exhibit(name, "recordings", note, figures=[Later(name, lambda: spectrograms(name, waves, rate))], sounds=sounds,
                   codes=codes)


def wav(wave, rate):
    out = io.BytesIO()
    scipy.io.wavfile.write(out, int(rate), numpy.round(32767 * numpy.clip(wave, -1, 1)).astype("<i2"))
    return out.getvalue()


def spectrograms(name, waves, rate):
    shown, n = waves[:1 + MOST_DRAWN], int(SHOWN_SECONDS * rate)
    drawing, axes = canvas(2, len(shown), height=0.4 + 1.1 * len(shown))
    size = int(2 ** numpy.clip(numpy.round(numpy.log2(0.02 * rate)), 4, 12))
    size = min(size, len(shown[0][1]))
    top = None
    for (title, wave), (left, right) in zip(shown, axes):
        wave = wave[:n]
        seconds = numpy.arange(len(wave)) / rate
        left.plot(seconds, wave, linewidth=0.4, color=BLUE)
        left.set_title(title)
        frequency, time, power = scipy.signal.spectrogram(wave, rate, nperseg=size, noverlap=size // 2)
        decibel = 10 * numpy.log10(numpy.maximum(power, 1e-20))
        top = decibel.max() if top is None else top
        image = right.pcolormesh(time, frequency / 1000, decibel, vmin=top - 80, vmax=top, cmap="magma", shading="nearest",
                                 rasterized=True)
        right.set_ylabel("kHz")
        right.grid(False)
        left.set_xlim(0, seconds[-1])
        right.set_xlim(0, seconds[-1])
        left.set_ylim(-1.05 * numpy.abs(shown[0][1]).max(), 1.05 * numpy.abs(shown[0][1]).max())
    for ax in axes[-1]:
        ax.set_xlabel("s")
    drawing.colorbar(image, ax=axes[:, 1], label="dB", aspect=40)
    cut = f" The first {SHOWN_SECONDS} s." if len(shown[0][1]) > n else ""
    return Figure(f"reconstructions_{name}", "Waveforms and spectrograms",
                  f"Left: the wave; right: its spectrum over time, in windows of {size} samples, on one scale.{cut}"
                  + not_drawn(waves[1:]),
                  "A waveform and a spectrogram for the original and for each trial.", drawing)


def of_log_mel(name, kept):
    """Spectra over time, as pictures only: what they were made of cannot be had back."""
    return Exhibit(name, "log-mel spectra", f"{len(kept[0].x)} held-out frames of {int(kept[0].trial.n_mels)} bands.",
                   figures=[Later(name, lambda: bands(name, kept))],
                   codes=[code_curves(name, k, label="Bands from low to high") for k in kept])


def bands(name, kept):
    parts = pieces(kept[0].places)
    few = 2 * len(parts) < len(kept[0].x)
    shown = [("Original", kept[0].x)] + [(f"{k.label}: root mean square error "
                                          f"{numpy.sqrt(numpy.mean((k.x - k.xhat) ** 2)):.3g} nat", k.xhat)
                                         for k in kept[:MOST_DRAWN]]
    drawing, axes = canvas(1, len(shown), height=0.4 + 1.0 * len(shown))
    low, high = numpy.quantile(kept[0].x, [0.001, 0.999])
    for (title, values), (ax,) in zip(shown, axes):
        image = ax.imshow(values.T, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="magma", interpolation="nearest")
        ax.set_title(title)
        ax.set_ylabel("band")
        ax.grid(False)
        for part in parts[1:] if few else []:
            ax.axvline(part.start - 0.5, color="white", linewidth=0.5)
    axes[-1, 0].set_xlabel("frame")
    drawing.colorbar(image, ax=axes[:, 0], label="ln energy", aspect=40)
    broken = "" if len(parts) == 1 else " White lines: they do not follow on each other there." if few else (
        " Most do not follow on each other.")
    return Figure(f"reconstructions_{name}", "Log-mel spectra", "Held-out frames side by side, all on one scale."
                  + broken + not_drawn(kept), "Log-mel spectra of the original and of each trial.", drawing)


# ---- text ------------------------------------------------------------------------------------------------------------


def readable(values):
    """One character for each byte: what cannot be seen or is not ASCII has a sign."""
    signs = {None: "|", 10: "⏎", 9: "⇥"}
    return "".join(signs.get(b) or (chr(int(b)) if 32 <= b < 127 else "·") for b in values)


def of_text(name, kept):
    t, places = kept[0].trial, kept[0].places
    window, stride = int(t.text_window), int(t.text_stride)
    parts = pieces(places)
    if stride > window:
        parts = [slice(i, i + 1) for i in range(len(places))]
    together, wide = len(parts) < len(places), max(8, *(len(k.label) for k in kept))

    def joint(samples):
        """All pieces: of each window what is new in it, and the rest of a piece's last; between pieces None."""
        of_pieces = [[*samples[part][:-1, :stride].ravel(), *samples[part][-1]] for part in parts]
        return [b for piece in of_pieces for b in [*piece, None]][:-1]
    x = joint(kept[0].x)
    rows = [("original".ljust(wide), x)] + [(k.label.ljust(wide), joint(k.xhat)) for k in kept]
    text = [[(who, marked(found[at:at + WIDTH], x[at:at + WIDTH])) for who, found in rows] for at in range(0, len(x), WIDTH)]
    wrong = [f"{k.label}: {100 * numpy.mean(k.x != k.xhat):.1f}%" for k in kept]
    more = f" The first {MOST_ROWS} lines of {len(text)}." if len(text) > MOST_ROWS else ""
    note = (f"{len(places)} held-out windows of {window} bytes, "
            + ("put together as they follow on each other." if together else "from anywhere in the text.")
            + f" Marked: wrong bytes. ⏎: end of line, ⇥: tab, ·: not ASCII, |: a gap.{more} Wrong bytes, of all that were "
            + f"kept: {', '.join(wrong)}.")
    return Exhibit(name, "text", note, text=text[:MOST_ROWS], codes=[code_texts(k) for k in kept])


def marked(found, right):
    """The text in segments, (what, whether it is wrong)."""
    wrong = numpy.array(found) != numpy.array(right)
    edges = [0, *(numpy.flatnonzero(numpy.diff(wrong)) + 1).tolist(), len(found)]
    return [(readable(found[a:b]), bool(wrong[a])) for a, b in zip(edges, edges[1:])]


def code_texts(k):
    lines = [(readable(k.codes[c][j]), f"{100 * share:.2f}%", share == 0) for c, order, shares in by_usage(k, MOST_TEXTS)
             for j, share in zip(order, shares)]
    return Codes(k.label, about_codes(k, MOST_TEXTS) + " Its most probable bytes, and its share of the training samples.",
                 lines=lines)


# ---- files and page --------------------------------------------------------------------------------------------------


def files(shown):
    """(name of the file, bytes) of all pictures and recordings of these exhibits."""
    for e in shown:
        for p in [*e.pictures, *(p for codes in e.codes for p in codes.pictures)]:
            yield f"{p.name}.png", p.png
        for s in e.sounds:
            yield f"{s.name}.wav", s.wav


def figures(shown):
    """All figures of these exhibits, drawn one by one."""
    for e in shown:
        for later in [*e.figures, *(f for codes in e.codes for f in codes.figures)]:
            yield later.draw()


def embedded(content):
    return base64.b64encode(content).decode()
