#!/usr/bin/python3
"""What a report shows of reconstructions, on small files whose content is known, run by the real program.

    test_reconstructions.py VQSWEEP
"""
import base64
import contextlib
import html
import io
import os
import re
import sys
import tempfile
import unittest
import unittest.mock

try:
    import h5py  # noqa: F401
    import jinja2  # noqa: F401
    import matplotlib.image
    import numpy
    import scipy.io.wavfile
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

VQSWEEP = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT + "/analysis")
import reconstructions  # noqa: E402
import report  # noqa: E402
import vqsweep_store  # noqa: E402
from program import Program  # noqa: E402

TEXT = b"<script>alert('x')</script> & <b>\"bold\"</b>\n\t\xc3\xa9 <i> " * 30
JOB = """
name: shown
fixed: {epochs: 3, N: 60, d: 4, K: 8, reconstructions: 20, N_eval: 20}
seeds: [3, 4]
studies:
  image:
    fixed: {data: images, path: whole.png, patch: 4, patch_stride: 4, D: 48, split: tail, N_eval: 48,
            reconstructions: 48}
    grid: {estimator: [ste, rotation], K: [4, 16]}
  overlap:
    fixed: {data: images, path: whole.png, patch: 6, patch_stride: 3, colour: grey, D: 36, split: tail, whiten: zca,
            patch_mean: remove}
    grid: {estimator: [ste, kmeans]}
  patches: {fixed: {data: images, path: whole.png, patch: 4, patch_stride: 4, D: 48, patch_mean: remove}}
  squares: {fixed: {data: npy, path: squares.npy, D: 16, levels: 2}}
  lines: {fixed: {data: npy, path: lines.npy, D: 10}}
  sound: {fixed: {data: audio, path: sounds, frame: 64, hop: 32, D: 64, split: tail}, grid: {estimator: [ste, kmeans]}}
  frames: {fixed: {data: audio, path: sounds, frame: 64, hop: 32, D: 64}}
  mel: {fixed: {data: audio, path: sounds, frame: 64, hop: 32, audio_features: log_mel, n_mels: 5, D: 5, split: tail}}
  text:
    fixed: {data: text, path: "<b>.txt", text_window: 3, text_stride: 2, D: 768, split: tail, model: mlp, hidden: 16,
            loss: cross_entropy}
    grid: {estimator: [ste, rotation]}
  words: {fixed: {data: text, path: "<b>.txt", text_window: 3, D: 768}}
  nothing: {fixed: {data: npy, path: lines.npy, D: 10, reconstructions: 0}}
  drawn: {fixed: {D: 8}}
"""


def setUpModule():
    global BOX, IMAGE, WAVE, TRIALS, HTML
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    BOX = folder.name
    random = numpy.random.default_rng(2)
    IMAGE = random.integers(0, 256, (48, 40, 3), "u1")
    matplotlib.image.imsave(BOX + "/whole.png", IMAGE)
    numpy.save(BOX + "/squares.npy", random.uniform(-3, 9, (100, 16)).astype("f4"))
    numpy.save(BOX + "/lines.npy", random.normal(size=(100, 10)).astype("f4"))
    os.mkdir(BOX + "/sounds")
    WAVE = random.integers(-9000, 9000, 3000).astype("i2")
    scipy.io.wavfile.write(BOX + "/sounds/a.wav", 8000, WAVE[:1000])
    scipy.io.wavfile.write(BOX + "/sounds/b.wav", 8000, WAVE)
    for path, content in (("<b>.txt", TEXT), ("job.yaml", JOB.encode())):
        with open(f"{BOX}/{path}", "wb") as file:
            file.write(content)
    done = Program(VQSWEEP, None, BOX).run("run", "job.yaml", "-o", "shown.h5", "-q")
    assert done.returncode == 0, done.stderr
    report.PRINT_DPI = 40
    with unittest.mock.patch.object(report.figures, "all_figures", lambda *_: []):
        with contextlib.redirect_stdout(io.StringIO()):
            assert report.main([BOX + "/shown.h5", "-o", BOX + "/report"]) == 0
    TRIALS = vqsweep_store.load(BOX + "/shown.h5")
    with open(BOX + "/report/report.html", encoding="utf-8") as file:
        HTML = file.read()


def trial(study, **settings):
    """The number of a study's trial of the seed that is shown."""
    rows = TRIALS.loc[TRIALS.attrs["studies"][study]]
    for name, value in {"seed": 3, **settings}.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.index[0]


def kept(name, number):
    return vqsweep_store.array_of(BOX + "/shown.h5", name, [number])[number]


def pixels(name):
    return numpy.round(255 * matplotlib.image.imread(f"{BOX}/report/reconstructions/{name}.png")[..., :3]).astype(int)


def section(title):
    """The page's part below this heading of the section."""
    return re.search(rf"<h3>Study {title}</h3>(.*?)(?=<h3>|</section>)", HTML, re.DOTALL)[1]


def captions(title):
    return re.findall(r"<figcaption>(.*?)</figcaption>", section(title))


class Pictures(unittest.TestCase):
    def test_patches_lie_where_they_are_in_the_image(self):
        expected = IMAGE[28:].astype(int)  # the last 48 patches of 10 a row
        expected[:4, :8] = 255
        numpy.testing.assert_array_equal(pixels("image_original"), expected)

    def test_what_each_trial_makes_of_them_stands_beside_with_its_psnr(self):
        self.assertEqual(captions("image: images")[0], "Original")
        for i, (estimator, K) in enumerate([("ste", 4), ("ste", 16), ("rotation", 4), ("rotation", 16)]):
            number = trial("image", estimator=estimator, K=K)
            self.assertEqual(captions("image: images")[1 + i],
                             f"{estimator}, K {K}: PSNR {TRIALS.psnr_eval[number]:.2f} dB")
            shown = pixels(f"image_trial{number}")[-4:, -4:].ravel()  # the last patch
            numpy.testing.assert_allclose(shown, 255 * numpy.clip(kept("reconstructions", number)[-1], 0, 1), atol=0.501)

    def test_overlapping_patches_come_back_from_whitening_as_one_picture(self):
        red, green, blue = IMAGE.astype(int).transpose(2, 0, 1)
        grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
        expected = grey[39:48, :39]  # 12 patches a row, the last 20; two pixels at the edges belong to no patch
        shown = pixels("overlap_original")
        known = numpy.ones_like(expected, bool)
        known[:3, :12] = False
        self.assertLessEqual(abs(shown[known] - expected[known][:, None]).max(), 1)
        self.assertTrue((shown[~known] == 255).all())
        self.assertIn("mean, which no code carries", section("overlap: images"))

    def test_patches_from_anywhere_are_apart(self):
        shown = pixels("patches_original")
        self.assertEqual(shown.shape, (4 * 6, 6 * 6, 3))
        for i, (_, row, column, rate) in enumerate(kept("places", trial("patches"))):
            self.assertTrue(numpy.isnan(rate))
            top, left = 6 * (i // 6) + 1, 6 * (i % 6) + 1
            expected = IMAGE[int(4 * row):int(4 * row) + 4, int(4 * column):int(4 * column) + 4].astype(int)
            self.assertLessEqual(abs(shown[top:top + 4, left:left + 4] - expected).max(), 1)  # less a mean and back
            self.assertTrue((shown[top - 1, left - 1:left + 5] == 255).all())
        psnr = TRIALS.psnr_eval[trial("patches")]  # a patch's own mean, given back, adds no error
        self.assertEqual(captions("patches: images")[1], f"ste: PSNR {psnr:.2f} dB")

    def test_codes_are_shown_by_usage_the_dead_in_orange(self):
        number = trial("image", estimator="ste", K=16)
        usage = vqsweep_store.codebooks(BOX + "/shown.h5", number)[-1].usage
        order = numpy.argsort(-usage.astype(int), kind="stable")
        shown = pixels(f"image_trial{number}_codebook0")
        self.assertIn(f"16 codes, the most used first; {(usage == 0).sum()} without a training sample", section("image: images"))
        for i, j in enumerate(order):
            top, left = 6 * (i // 5), 6 * (i % 5)
            code = kept("code_pictures", number)[0, j].reshape(4, 4, 3)
            numpy.testing.assert_allclose(shown[top + 1:top + 5, left + 1:left + 5], 255 * numpy.clip(code, 0, 1), atol=0.501)
            self.assertEqual(tuple(shown[top, left]), reconstructions.FRAME if usage[j] else reconstructions.DEAD)

    def test_samples_that_may_be_squares_and_others(self):
        values = kept("originals", trial("squares"))
        low, high = values.min(), values.max()
        expected = 255 * (values[0].reshape(4, 4) - low) / (high - low)
        numpy.testing.assert_allclose(pixels("squares_original")[1:5, 1:5, 0], expected, atol=0.51)
        self.assertIn("drawn as 4 x 4 pixels", section("squares: samples"))
        for name in (f"squares_trial{trial('squares')}_codebook1.png", ):
            self.assertTrue(os.path.exists(f"{BOX}/report/reconstructions/{name}"))
        for name in ("lines", "frames", "mel", "sound", f"lines_trial{trial('lines')}_codebook0"):
            self.assertTrue(os.path.exists(f"{BOX}/report/figures/reconstructions_{name}.svg"), name)
            self.assertIn(f'id="figure-reconstructions_{name}"', HTML)

    def test_only_what_was_kept_and_one_seed(self):
        self.assertEqual(re.findall(r"<h3>Study (\w+): ", HTML), ["image", "overlap", "patches", "squares", "lines", "sound",
                                                                  "frames", "mel", "text", "words"])
        self.assertEqual(HTML.count(", seed 3."), 10)


class Recordings(unittest.TestCase):
    def test_frames_are_put_together_to_what_they_are_of(self):
        rate, wave = scipy.io.wavfile.read(f"{BOX}/report/reconstructions/sound_original.wav")
        self.assertEqual(rate, 8000)
        source = WAVE[72 * 32:91 * 32 + 64]  # of 92 frames the last 20
        self.assertEqual(len(wave), len(source))
        self.assertLessEqual(abs(wave[11:-11].astype(int) - source[11:-11]).max(), 1)
        for estimator in ("ste", "kmeans"):
            number = trial("sound", estimator=estimator)
            _, heard = scipy.io.wavfile.read(f"{BOX}/report/reconstructions/sound_trial{number}.wav")
            known = slice(11, -11)
            snr = 10 * numpy.log10((wave[known].astype(float) ** 2).sum()
                                   / ((wave[known].astype(float) - heard[known]) ** 2).sum())
            found = float(re.search(rf">{estimator}: SNR (-?[0-9.]+) dB<", section("sound: recordings"))[1])
            self.assertAlmostEqual(found, snr, delta=0.2)

    def test_they_can_be_played_from_the_page(self):
        sounds = re.findall(r'<audio controls preload="none" aria-labelledby="([^"]+)" src="data:audio/wav;base64,([^"]+)"', HTML)
        self.assertEqual([s[0] for s in sounds][:1], ["sound-sound_original"])
        self.assertEqual(len(sounds), 3)
        for name, content in sounds:
            self.assertIn(f'id="{name}"', HTML)
            with open(f"{BOX}/report/reconstructions/{name[len('sound-'):]}.wav", "rb") as file:
                self.assertEqual(file.read(), base64.b64decode(content))

    def test_frames_from_anywhere_are_not_played(self):
        self.assertNotIn("<audio", section("frames: audio frames"))
        self.assertIn("split: tail", section("frames: audio frames"))

    def test_joining_undoes_any_window(self):
        wave = numpy.sin(numpy.arange(400) / 7)
        for size, hop, hann in [(40, 10, True), (40, 13, False), (40, 40, False)]:
            window = 0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(size) / size) if hann else 1
            frames = numpy.array([window * wave[at:at + size] for at in range(0, 400 - size + 1, hop)])
            joined = reconstructions.joined(frames, hop, hann)
            numpy.testing.assert_allclose(joined[7:-7], wave[:len(joined)][7:-7], atol=1e-9)


class Texts(unittest.TestCase):
    def rows(self, title):
        """[(who, what of it is shown, characters marked as wrong)] of the lines of a study."""
        found = []
        for block in re.findall(r"<pre>(.*?)</pre>", section(title), re.DOTALL):
            for who, text in re.findall(r'<span class="who">(.*?)  </span>(.*)', block):
                wrong = sum(len(html.unescape(m)) for m in re.findall(r"<mark>(.*?)</mark>", text))
                found.append((who.strip(), html.unescape(re.sub(r"</?mark>", "", text)), wrong))
        return found

    def test_text_is_escaped_and_whole(self):
        last = len(TEXT) - 3 - (len(TEXT) - 3) % 2  # where the last window begins
        expected = TEXT[last - 38:last + 3].decode("latin1").replace("\n", "⏎").replace("\t", "⇥")
        expected = re.sub("[^ -~⏎⇥]", "·", expected)
        rows = self.rows("text: text")
        self.assertEqual([who for who, _, _ in rows], ["original", "ste", "rotation"])
        self.assertEqual(rows[0][1:], (expected, 0))
        self.assertNotRegex(section("text: text"), r"<script|<b>|<i>|alert\('")

    def test_wrong_bytes_are_marked_and_counted(self):
        for who, text, wrong in self.rows("text: text")[1:]:
            number = trial("text", estimator=who)
            x, xhat = kept("originals", number), kept("reconstructions", number)
            new = numpy.concatenate([(x != xhat)[:-1, :2].ravel(), (x != xhat)[-1]])
            self.assertEqual((len(text), wrong), (41, new.sum()))
            self.assertIn(f"{who}: {100 * (x != xhat).mean():.1f}%", section("text: text"))

    def test_windows_from_anywhere_are_apart(self):
        rows = self.rows("words: text")
        shown = "".join(text for who, text, _ in rows if who == "original")
        self.assertGreater(shown.count("|"), 5)
        self.assertIn("from anywhere in the text", section("words: text"))


class Page(unittest.TestCase):
    def test_it_stands_alone_and_every_picture_is_described(self):
        shown = HTML[HTML.index('<section id="reconstructions">'):HTML.index('<section id="figures">')]
        self.assertGreater(len(re.findall("<img", shown)), 20)
        self.assertEqual(len(re.findall("<img", shown)), len(re.findall(r'<img (?:style="[^"]*" )?alt="[^"]{9}', shown)))
        self.assertEqual(set(re.findall(r'src="(.{5})', shown)), {"data:"})
        self.assertIn('<a href="#reconstructions">', HTML)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
