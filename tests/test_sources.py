#!/usr/bin/python3
"""Data of every kind, written and worked out again by other programs: numpy, h5py, scipy, Pillow.

    test_sources.py DUMP_DATA VQSWEEP

DUMP_DATA (dump_data.c) prints what the readers make of a file. Exits with 77, naming what is missing.
"""
import gzip
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

try:
    import h5py
    import numpy
    import PIL.Image
    import scipy.io.wavfile
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

DUMP, VQSWEEP = (os.path.abspath(path) for path in sys.argv[1:3])
del sys.argv[1:3]
RANDOM = numpy.random.default_rng(1)


def dump(what, **settings):
    return subprocess.run([DUMP, what, *(f"{name}={value}" for name, value in settings.items())],
                          capture_output=True, timeout=60, check=False)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)

    def source(self, **settings):
        """All samples of a source, and its description."""
        shown = dump("source", **settings)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        n, D, text = shown.stderr.decode().split(" ", 2)
        return numpy.frombuffer(shown.stdout, "<f4").reshape(int(n), int(D)), text

    def draw(self, n, n_eval, **settings):
        """Training samples, held-out samples, and the bytes that follow."""
        shown = dump("draw", N=n, N_eval=n_eval, **settings)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        size = 4 * (n + n_eval) * settings["D"]
        rows = numpy.frombuffer(shown.stdout[:size], "<f4").reshape(-1, settings["D"])
        return rows[:n], rows[n:], shown.stdout[size:]

    def places(self, n, n_eval, **settings):
        """File, row and column of each held-out sample."""
        shown = dump("places", N=n, N_eval=n_eval, **settings)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        return numpy.frombuffer(shown.stdout, "<u4").reshape(n_eval, 3)

    def refused(self, *parts, **settings):
        """One line that names every part, exit code 2."""
        shown = dump("source", **settings)
        line = shown.stderr.decode(errors="replace")
        self.assertEqual((shown.returncode, line.count("\n")), (2, 1), line)
        for part in parts:
            self.assertIn(part, line)

    def write(self, path, data):
        with open(path, "wb") as file:
            file.write(data)

    def cut(self, path, size, to=None):
        """The first `size` bytes of a file in another, whose name is returned."""
        to = to or "cut" + os.path.splitext(path)[1]
        with open(path, "rb") as file:
            self.write(to, file.read()[:size])
        return to


class Tables(Case):
    def test_npy_of_every_type(self):
        values = RANDOM.integers(-100, 100, (7, 2, 3))
        for order in "<>":
            for kind in ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "b1"]:
                array = (abs(values) if kind[0] == "u" else values * 0.37 if kind[0] == "f" else values)
                array = array.astype(order + kind)
                numpy.save("a.npy", array)
                read, text = self.source(data="npy", path="a.npy", D=6)
                numpy.testing.assert_array_equal(read, array.astype("f4").reshape(7, 6), order + kind)
                self.assertIn(f"NPY of {8 * int(kind[1])}-bit", text)

    def test_npy_of_other_shapes_and_packed(self):
        vector = RANDOM.normal(size=9)
        numpy.save("v.npy", vector)
        numpy.testing.assert_array_equal(self.source(data="npy", path="v.npy", D=1)[0][:, 0], vector.astype("f4"))
        with gzip.open("v.npy.gz", "wb") as file:
            numpy.save(file, vector.reshape(3, 3))
        read, text = self.source(data="npy", path="v.npy.gz", D=3)
        numpy.testing.assert_array_equal(read.ravel(), vector.astype("f4"))
        self.assertIn("gzipped", text)
        with open("v2.npy", "wb") as file:
            numpy.lib.format.write_array(file, vector.reshape(3, 3), version=(2, 0))
        numpy.testing.assert_array_equal(self.source(data="npy", path="v2.npy", D=3)[0].ravel(), vector.astype("f4"))

    def test_npy_half_precision_is_exact(self):
        bits = numpy.arange(65536, dtype="<u2")
        finite = bits.view("<f2")[numpy.isfinite(bits.view("<f2"))]
        numpy.save("h.npy", finite)
        read, _ = self.source(data="npy", path="h.npy", D=1)
        numpy.testing.assert_array_equal(read[:, 0].view("u4"), finite.astype("f4").view("u4"))

    def test_bad_npy(self):
        numpy.save("a.npy", numpy.ones((5, 4), "f4"))
        size = os.path.getsize("a.npy")
        for kept, part in [(0, "not an NPY"), (11, "not an NPY"), (60, "ends early"), (size - 1, "ends in sample 5 of"),
                           (size - 33, "ends in sample 3 of")]:
            self.refused("cut.npy: offset", part, data="npy", path=self.cut("a.npy", kept), D=4)
        with open("a.npy", "ab") as file:
            file.write(b"x")
        self.refused("a.npy: offset 208: goes on after the 5 samples", data="npy", path="a.npy", D=4)
        cases = [(numpy.array([[1, numpy.nan]]), 2, "sample 1, value 2 is not a finite number"),
                 (numpy.ones((2, 2), order="F"), 2, "Fortran order"), (numpy.array(["a"]), 1, "no type"),
                 (numpy.ones(3, "c8"), 1, "no type"), (numpy.array([{}]), 1, "no type"),
                 (numpy.zeros((0, 3)), 3, "axis 0 has 0"), (numpy.array(5.0), 1, "no shape"),
                 (numpy.zeros((2, 70000)), 1, "axis 1 has 70000")]
        for array, D, part in cases:
            numpy.save("b.npy", array)
            self.refused("b.npy", part, data="npy", path="b.npy", D=D)
        head = b"\x93NUMPY\x01\x00\x76\x00"
        for shape in [b"(99999999999999999999, 2)", b"(4611686018427387904, 4)", b"(1", b"1", b"(-1, 2)"]:
            text = b"{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + b", }"
            self.write("c.npy", head + text.ljust(0x75) + b"\n")
            self.refused("c.npy", data="npy", path="c.npy", D=2)
        self.write("d.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff")
        self.refused("d.npy: offset 8: a header of 4294967295 bytes", data="npy", path="d.npy", D=2)

    def test_raw(self):
        values = RANDOM.normal(size=(6, 5)).astype("<f4")
        values.tofile("a.bin")
        numpy.testing.assert_array_equal(self.source(data="raw", path="a.bin", D=5)[0], values)
        self.write("gz.bin", b"\x1f\x8b\x08\x00" * 5)  # floats that start like gzip
        self.assertEqual(self.source(data="raw", path="gz.bin", D=5)[0].shape, (1, 5))
        self.refused("a.bin: 120 bytes are no whole number of samples of 4 x D = 28", data="raw", path="a.bin", D=7)
        self.write("empty.bin", b"")
        self.refused("empty.bin: 0 bytes", data="raw", path="empty.bin", D=7)
        os.mkfifo("pipe")
        self.refused("pipe: not a file; expected a regular file", data="raw", path="pipe", D=7)

    def test_a_file_far_larger_than_memory(self):
        """256 GiB of zeros, of which only the samples drawn are read and kept."""
        with open("big.bin", "wb") as file:
            file.truncate(1 << 38)
        with subprocess.Popen([DUMP, "draw", "data=raw", "path=big.bin", "D=64", "N=30000", "N_eval=10000"],
                              stdout=subprocess.PIPE) as process:
            size = len(process.stdout.read())
            _, code, used = os.wait4(process.pid, 0)
            process.returncode = code
        self.assertEqual((code, size), (0, 4 * 64 * 40000))
        self.assertLess(used.ru_maxrss, 200 * 1024)  # KiB

    def test_hdf5(self):
        values = RANDOM.integers(-9, 9, (11, 2, 4))
        with h5py.File("a.h5", "w") as file:
            for kind in ["<f4", ">f8", "<i2", ">i8", "u1"]:
                file["g/" + kind] = abs(values).astype(kind)
            file.create_dataset("packed", data=values, chunks=(3, 1, 4), compression="gzip", dtype="i4")
            file["nan"] = numpy.array([[1.0, numpy.nan]])
            file["text"] = "a text"
            file["scalar"] = 1.0
            file["none"] = numpy.zeros((0, 4))
            file["wide"] = numpy.zeros((1, 300, 300), "u1")
        for kind in ["<f4", ">f8", "<i2", ">i8", "u1"]:
            read, text = self.source(data="hdf5", path="a.h5", dataset="g/" + kind, D=8)
            numpy.testing.assert_array_equal(read, abs(values).reshape(11, 8))
            self.assertIn(f"g/{kind}", text)
        numpy.testing.assert_array_equal(self.source(data="hdf5", path="a.h5", dataset="packed", D=8)[0],
                                         values.reshape(11, 8))
        for name, part in [("nan", "sample 1, value 2 is not"), ("text", "expected integers or floats"),
                           ("scalar", "expected integers or floats"), ("none", "0 samples"), ("wide", "more than"),
                           ("g", "cannot be opened"), ("nowhere", "cannot be opened")]:
            self.refused("a.h5", part, data="hdf5", path="a.h5", dataset=name, D=2)
        self.refused("cut.h5: cannot be opened", data="hdf5", path=self.cut("a.h5", 700), dataset="packed", D=8)


class Images(Case):
    def patches(self, pixels, p, stride):
        """[n][p * p * channels], row by row, 0 to 1."""
        height, width = pixels.shape[:2]
        return numpy.array([pixels[y:y + p, x:x + p].ravel() for y in range(0, height - p + 1, stride)
                            for x in range(0, width - p + 1, stride)]).astype("f4") / numpy.float32(255)

    def picture(self, height, width):
        """Smooth, so that JPEG keeps it."""
        y, x = numpy.mgrid[:height, :width]
        return numpy.stack([120 + 80 * numpy.sin(x / 7 + c) * numpy.cos(y / (5 + c)) for c in range(3)], 2).astype("u1")

    def test_png_and_jpeg_as_pillow_reads_them(self):
        pixels = self.picture(30, 41)
        PIL.Image.fromarray(pixels).save("a.png")
        PIL.Image.fromarray(pixels).save("a.jpg", quality=90, subsampling=0)
        PIL.Image.fromarray(pixels).save("p.jpg", quality=90, subsampling=0, progressive=True)
        PIL.Image.fromarray(pixels[:, :, 0]).save("g.png")
        PIL.Image.fromarray(pixels[:, :, 0]).save("g.jpg")
        PIL.Image.fromarray(pixels).quantize(50).save("palette.png")
        for name in ["a.png", "a.jpg", "p.jpg", "g.png", "g.jpg", "palette.png"]:
            image = PIL.Image.open(name)
            for p, stride in [(8, 8), (5, 3), (30, 11)]:
                read, _ = self.source(data="images", path=name, patch=p, patch_stride=stride, D=3 * p * p)
                expected = self.patches(numpy.asarray(image.convert("RGB")), p, stride)
                numpy.testing.assert_array_equal(read, expected, name)
            read, text = self.source(data="images", path=name, patch=4, patch_stride=4, colour="grey", D=16)
            grey = self.patches(numpy.asarray(image.convert("RGB").convert("L")), 4, 4)
            numpy.testing.assert_array_equal(read, grey, name)
            self.assertIn("1 image, patches of 4 x 4 x 1, 4 apart", text)

    def test_patch_mean(self):
        PIL.Image.fromarray(self.picture(20, 20)).save("a.png")
        kept, _ = self.source(data="images", path="a.png", patch=6, D=108)
        *parts, _ = self.draw(2, 2, data="images", path="a.png", patch=6, patch_mean="remove", D=108, center="false")
        removed = numpy.concatenate(parts)
        order = [abs(kept - kept.mean(1, dtype="f8", keepdims=True) - patch).max(1).argmin() for patch in removed]
        self.assertEqual(sorted(order), [0, 1, 2, 3])
        expected = kept[order] - kept[order].mean(1, dtype="f8", keepdims=True)
        numpy.testing.assert_allclose(removed, expected, atol=1e-7)

    def test_folder_and_list(self):
        os.mkdir("folder")
        pictures = {"b.png": self.picture(9, 8), "a.PNG": self.picture(8, 17), "c.jpeg": self.picture(8, 8)}
        for name, pixels in pictures.items():
            PIL.Image.fromarray(pixels).save("folder/" + name)
        self.write("folder/notes.txt", b"not an image")
        self.write("folder/.hidden.png", b"not an image")
        shape = {"data": "images", "patch": 8, "patch_stride": 1, "D": 192}
        each = {name: self.source(path="folder/" + name, **shape)[0] for name in pictures}
        read, text = self.source(path="folder", **shape)
        numpy.testing.assert_array_equal(read, numpy.concatenate([each[name] for name in sorted(pictures)]))
        self.assertIn("3 images", text)
        self.write("folder/list.txt", f"b.png\n\n{os.getcwd()}/folder/a.PNG\r\n".encode())
        numpy.testing.assert_array_equal(self.source(path="folder/list.txt", **shape)[0],
                                         numpy.concatenate([each["b.png"], each["a.PNG"]]))
        os.mkdir("empty")
        self.refused("empty: no file in it ends in one of .png", path="empty", **shape)
        self.write("none.txt", b"\n")
        self.refused("none.txt: lists no file", path="none.txt", **shape)
        self.write("long.txt", b"\n" + b"x" * 5000)
        self.refused("long.txt:2: a line of more than 4094 characters", path="long.txt", **shape)
        self.write("lost.txt", b"nowhere.png\n")
        self.refused("nowhere.png: cannot open", path="lost.txt", **shape)

    def test_bad_images(self):
        pixels = RANDOM.integers(0, 255, (40, 40, 3)).astype("u1")
        for name, options in [("a.png", {}), ("a.jpg", {}), ("p.jpg", {"progressive": True})]:
            PIL.Image.fromarray(pixels).save(name, **options)
            size = os.path.getsize(name)
            for kept in [0, 1, 7, 20, size // 3, size // 2, size - size // 8]:
                self.refused("cut.", data="images", path=self.cut(name, kept), patch=8, D=192)
        self.refused("a.png: 40 x 40 pixels are less than a patch of 41 x 41", data="images", path="a.png", patch=41,
                     colour="grey", D=1681)
        PIL.Image.fromarray(pixels).convert("CMYK").save("cmyk.jpg")
        self.refused("cmyk.jpg", "conversion", data="images", path="cmyk.jpg", D=192)
        PIL.Image.fromarray(pixels).save("a.gif")
        self.refused("a.gif: offset 0: neither a PNG nor a JPEG", data="images", path="a.gif", D=192)

    def test_headers_that_promise_too_much(self):
        """Each claims gigabytes of pixels in a few bytes."""
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
        self.write("a.png", b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
        self.refused("a.png: an image of 60000 x 60000; expected 1 to 134217728 pixels", data="images", path="a.png",
                     D=192)
        PIL.Image.fromarray(self.picture(16, 16)).save("a.jpg")
        with open("a.jpg", "rb") as file:
            data = bytearray(file.read())
        at = data.index(b"\xff\xc0") + 5
        data[at:at + 4] = struct.pack(">HH", 65000, 65000)
        self.write("b.jpg", data)
        self.refused("b.jpg: an image of 65000 x 65000", data="images", path="b.jpg", D=192)


def flac(samples, rate):
    """A FLAC file of 16-bit mono samples, in verbatim subframes (RFC 9639)."""
    def crc(data, width, polynomial):
        value = 0
        for byte in data:
            value ^= byte << (width - 8)
            for _ in range(8):
                value = (value << 1) ^ (polynomial if value >> (width - 1) else 0)
                value &= (1 << width) - 1
        return value
    size = 192
    assert len(samples) % size == 0
    info = struct.pack(">HH6xQ16x", size, size, rate << 44 | 15 << 36 | len(samples))
    out = b"fLaC\x80" + struct.pack(">I", len(info))[1:] + info
    for number in range(len(samples) // size):
        head = bytes([0xff, 0xf8, 0x10, 0x08, number])  # blocks of 192, rate and mono as above, 16 bits
        frame = head + bytes([crc(head, 8, 0x07), 0x02])  # verbatim
        frame += samples[number * size:(number + 1) * size].astype(">i2").tobytes()
        out += frame + struct.pack(">H", crc(frame, 16, 0x8005))
    return out


class Audio(Case):
    def sound(self, n, rate=8000):
        t = numpy.arange(n) / rate
        return (9000 * numpy.sin(2 * numpy.pi * (200 + 300 * t) * t) + RANDOM.normal(size=n) * 900).astype("i2")

    def frames(self, samples, length, hop):
        return numpy.array([samples[at:at + length] for at in range(0, len(samples) - length + 1, hop)])

    def test_frames(self):
        samples = self.sound(1920)
        scipy.io.wavfile.write("a.wav", 8000, samples)
        self.write("a.flac", flac(samples, 8000))
        scipy.io.wavfile.write("f.wav", 8000, (samples / 32768).astype("f4"))
        hann = 0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(100) / 100)
        for name in ["a.wav", "a.flac", "f.wav"]:
            for window, weights in [("rectangular", 1), ("hann", hann)]:
                read, text = self.source(data="audio", path=name, frame=100, hop=37, frame_window=window, D=100)
                expected = self.frames(samples / 32768, 100, 37) * weights
                numpy.testing.assert_allclose(read, expected, atol=1e-7, err_msg=name)
                self.assertIn("1 recording at 8000 Hz, frames of 100, 37 apart", text)

    def test_channels_are_averaged(self):
        stereo = numpy.stack([self.sound(400), self.sound(400)], 1)
        scipy.io.wavfile.write("a.wav", 8000, stereo)
        read, _ = self.source(data="audio", path="a.wav", frame=50, hop=50, frame_window="rectangular", D=50)
        numpy.testing.assert_allclose(read.ravel(), stereo.mean(1) / 32768, atol=1e-7)

    def log_mel(self, frames, rate, n_mels):
        """By numpy's transform, band by band."""
        n_fft = 1 << (frames.shape[1] - 1).bit_length()
        power = abs(numpy.fft.rfft(frames, n_fft)) ** 2
        mel = 2595 * numpy.log10(1 + numpy.arange(n_fft // 2 + 1) * rate / n_fft / 700)
        edges = numpy.linspace(0, 2595 * numpy.log10(1 + rate / 2 / 700), n_mels + 2)
        bands = [numpy.interp(mel, edges[b:b + 3], [0, 1, 0]) for b in range(n_mels)]
        return numpy.log(numpy.maximum(power @ numpy.transpose(bands), 1e-10))

    def test_log_mel(self):
        for rate, frame, n_mels in [(8000, 256, 20), (8000, 200, 13), (16000, 1024, 64), (22050, 64, 1)]:
            samples = self.sound(4000, rate)
            samples[1000:3000] = 0  # silence: the floor of the logarithm
            scipy.io.wavfile.write("a.wav", rate, samples)
            read, text = self.source(data="audio", path="a.wav", frame=frame, hop=160, audio_features="log_mel",
                                     n_mels=n_mels, D=n_mels)
            hann = 0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(frame) / frame)
            expected = self.log_mel(self.frames(samples / 32768, frame, 160) * hann, rate, n_mels)
            numpy.testing.assert_allclose(read, expected, atol=2e-5)
            self.assertIn("log-mel", text)
        self.refused("band 1 of n_mels = 40 is narrower", data="audio", path="a.wav", frame=64,
                     audio_features="log_mel", D=40)

    def test_folder(self):
        os.mkdir("folder")
        sounds = {name: self.sound(n) for name, n in [("b.wav", 300), ("a.wav", 205), ("c.wav", 100)]}
        for name, samples in sounds.items():
            scipy.io.wavfile.write("folder/" + name, 8000, samples)
        shape = {"data": "audio", "frame": 100, "hop": 50, "frame_window": "rectangular", "D": 100}
        read, _ = self.source(path="folder", **shape)
        expected = numpy.concatenate([self.frames(sounds[name] / 32768, 100, 50) for name in sorted(sounds)])
        numpy.testing.assert_allclose(read, expected, atol=1e-7)
        scipy.io.wavfile.write("folder/d.wav", 8001, self.sound(300))
        self.refused("d.wav: 8001 audio samples a second, but the files before have 8000", path="folder", **shape)

    def test_bad_recordings(self):
        shape = {"data": "audio", "frame": 100, "D": 100}
        samples = self.sound(1920)
        scipy.io.wavfile.write("a.wav", 8000, samples)
        self.write("a.flac", flac(samples, 8000))
        for name in ["a.wav", "a.flac"]:
            size = os.path.getsize(name)
            for kept in [0, 3, 20, 43, size // 2, size - 1]:
                self.refused("cut.", path=self.cut(name, kept), **shape)
        scipy.io.wavfile.write("short.wav", 8000, samples[:99])
        self.refused("short.wav: 99 audio samples at 8000 Hz; expected at least a frame of 100", path="short.wav",
                     **shape)
        bad = (samples / 32768).astype("f4")
        bad[700] = numpy.nan
        scipy.io.wavfile.write("nan.wav", 8000, bad)
        self.refused("nan.wav: audio sample 700 is not a finite number", path="nan.wav", **shape)
        self.write("text.wav", b"no sound" * 100)
        self.refused("text.wav: offset 0: neither a WAV nor a FLAC", path="text.wav", **shape)
        self.write("head.wav", b"RIFF\x28\0\0\0WAVE" + b"no sound" * 5)
        self.refused("head.wav", "expected a WAV or FLAC", path="head.wav", **shape)


class Text(Case):
    TEXT = b"to be, or not to be\n\x00\xff" * 20

    def one_hot(self, alphabet, window, stride):
        classes = numpy.searchsorted(alphabet, numpy.frombuffer(self.TEXT, "u1"))
        rows = [classes[at:at + window] for at in range(0, len(classes) - window + 1, stride)]
        return numpy.eye(len(alphabet))[rows].reshape(len(rows), -1), numpy.array(rows)

    def test_windows(self):
        self.write("a.txt", self.TEXT)
        with gzip.open("a.txt.gz", "wb") as file:
            file.write(self.TEXT)
        occurring = numpy.unique(numpy.frombuffer(self.TEXT, "u1"))
        for name in ["a.txt", "a.txt.gz"]:
            for kind, alphabet in [("bytes", numpy.arange(256)), ("occurring", occurring)]:
                for window, stride in [(1, 1), (5, 1), (7, 4)]:
                    read, text = self.source(data="text", path=name, alphabet=kind, text_window=window,
                                             text_stride=stride, D=window * len(alphabet))
                    numpy.testing.assert_array_equal(read, self.one_hot(alphabet, window, stride)[0])
                    self.assertIn(f"{len(alphabet)} classes", text)

    def test_classes_are_those_of_the_samples(self):
        self.write("a.txt", self.TEXT)
        for scale in [1, -2.5]:
            train, held_out, classes = self.draw(50, 20, data="text", path="a.txt", text_window=4, D=1024,
                                                 value_scale=scale, center="false")
            rows = numpy.concatenate([train, held_out]).reshape(70, 4, 256) / scale
            numpy.testing.assert_array_equal(rows.argmax(2), numpy.frombuffer(classes, "u1").reshape(70, 4))
            numpy.testing.assert_array_equal(rows.sum(2), 1)

    def test_bad_texts(self):
        self.write("short.txt", b"ab")
        self.refused("short.txt: 2 bytes are less than one window", data="text", path="short.txt", text_window=3, D=768)
        self.write("empty.txt", b"")
        self.refused("empty.txt: 0 bytes", data="text", path="empty.txt", text_window=1, D=256)
        self.refused("nowhere: cannot open: No such file", data="text", path="nowhere", text_window=1, D=256)
        self.refused("Is a directory", data="text", path=".", text_window=1, D=256)


class Draws(Case):
    def numbered(self, n):
        numpy.save("n.npy", numpy.arange(n, dtype="f4"))
        return {"data": "npy", "path": "n.npy", "D": 1, "center": "false"}

    def test_parts_are_disjoint_and_the_same_every_time(self):
        settings = self.numbered(1000)
        train, held_out, _ = self.draw(600, 400, **settings)
        self.assertEqual(set(numpy.concatenate([train, held_out]).ravel()), set(range(1000)))  # all of it, once
        for _ in range(2):
            again = self.draw(600, 400, **settings)
            numpy.testing.assert_array_equal(again[0], train)
            numpy.testing.assert_array_equal(again[1], held_out)
        self.assertFalse(numpy.array_equal(self.draw(600, 400, seed=2, **settings)[0], train))
        few, _, _ = self.draw(10, 1, **settings)
        numpy.testing.assert_array_equal(few, train[:10])  # the first draws do not depend on how many follow

    def test_the_tail_is_held_out_in_order(self):
        settings = self.numbered(1000) | {"split": "tail"}
        train, held_out, _ = self.draw(700, 300, **settings)
        numpy.testing.assert_array_equal(held_out.ravel(), numpy.arange(700, 1000))
        self.assertEqual(set(train.ravel()), set(range(700)))
        self.assertFalse((numpy.diff(train.ravel()) == 1).all())  # it is shuffled
        other, held_out, _ = self.draw(50, 300, seed=2, **settings)
        numpy.testing.assert_array_equal(held_out.ravel(), numpy.arange(700, 1000))
        self.assertFalse(numpy.array_equal(other, train[:50]))
        numpy.testing.assert_array_equal(self.places(50, 300, **settings)[:, 2], numpy.arange(700, 1000))

    def test_the_tail_shares_no_content_with_training(self):
        """Each byte, pixel and audio sample says where it is."""
        self.write("a.txt", bytes(range(1, 201)))
        for window, stride in [(5, 1), (5, 2), (4, 4), (3, 9)]:
            n = (200 - window) // stride + 1
            reach = (window - 1) // stride
            settings = {"data": "text", "path": "a.txt", "text_window": window, "text_stride": stride, "D": 256 * window}
            _, _, classes = self.draw(n - 7 - reach, 7, split="tail", **settings)
            rows = numpy.frombuffer(classes, "u1").reshape(-1, window)
            self.assertEqual(rows[-7:, 0].tolist(), (1 + stride * numpy.arange(n - 7, n)).tolist())
            self.assertLess(rows[:-7].max(), rows[-7:].min())
            self.assertFalse(set(rows[:-7].ravel()) & set(rows[-7:].ravel()))
            shown = dump("draw", N=n - 7 - reach + 1, N_eval=7, split="tail", **settings)
            self.assertEqual(shown.returncode, 2)
            self.assertIn(b"with those left out by split: tail" if reach else b"samples, but N + N_eval", shown.stderr)
        os.mkdir("photos")
        image = numpy.arange(12 * 15).reshape(12, 15).astype("u1")
        PIL.Image.fromarray(image).save("photos/b.png")
        PIL.Image.fromarray(image[:4, :4]).save("photos/a.png")
        settings = {"data": "images", "path": "photos", "patch": 4, "D": 16, "colour": "grey", "center": "false",
                    "split": "tail"}
        train, held_out, _ = self.draw(15, 9, patch_stride=2, value_scale=255, **settings)
        self.assertFalse({*train.round().ravel()} & {*held_out.round().ravel()})  # 6 across, reach 7 of 31 patches
        self.assertEqual(held_out[0, 0].round(), image[6, 6])
        expected = [(1, 3, 3), (1, 3, 4), (1, 3, 5), *((1, 4, column) for column in range(6))]
        self.assertEqual(self.places(15, 9, patch_stride=2, **settings).tolist(), [list(place) for place in expected])
        self.assertEqual(self.places(1, 7, patch_stride=4, **settings)[[0, -1]].tolist(), [[1, 0, 2], [1, 2, 2]])
        os.mkdir("sounds")
        for name, n in [("a", 900), ("b", 1000)]:
            scipy.io.wavfile.write(f"sounds/{name}.wav", 8000, (numpy.arange(n) + len(name)).astype("i2"))
        settings = {"data": "audio", "path": "sounds", "frame": 100, "hop": 40, "D": 100, "split": "tail"}
        self.assertEqual(self.places(10, 25, **settings)[[0, 1, 2, -1]].tolist(),
                         [[0, 0, 19], [0, 0, 20], [1, 0, 0], [1, 0, 22]])
        train, held_out, _ = self.draw(17, 25, frame_window="rectangular", value_scale=32768, center="false", **settings)
        self.assertEqual(sorted(train[:, 0].round()), [1 + 40 * i for i in range(17)])
        self.assertEqual(held_out[:3, 0].round().tolist(), [761, 801, 1])

    def test_every_choice_is_as_likely(self):
        """Where 3 of 7 samples go, over 350 seeds: chi-square of 18 degrees of freedom, 99.9999% of it below 61."""
        settings = self.numbered(7)
        counts = numpy.zeros((3, 7))
        for seed in range(350):
            train, held_out, _ = self.draw(2, 1, seed=seed, **settings)
            for place, sample in enumerate([*train.ravel(), *held_out.ravel()]):
                counts[place, int(sample)] += 1
        self.assertLess(((counts - 50) ** 2 / 50).sum(), 60)

    def test_the_way_back(self):
        """Of each sample drawn, restored, against what the source gives for that sample."""
        y, x = numpy.mgrid[:60, :60]
        PIL.Image.fromarray((120 + 80 * numpy.sin(x / 7) * numpy.cos(y / 5) + x).astype("u1")).save("a.png")
        numpy.save("a.npy", RANDOM.normal(size=(100, 16)) @ RANDOM.normal(size=(16, 16)) + 3)
        self.write("a.txt", RANDOM.integers(0, 4, 400).astype("u1").tobytes())
        kinds = [{"data": "npy", "path": "a.npy"},
                 {"data": "text", "path": "a.txt", "alphabet": "occurring", "text_window": 4},
                 {"data": "images", "path": "a.png", "patch": 4, "patch_stride": 4, "colour": "grey"}]
        kinds.append({**kinds[2], "patch_mean": "remove"})
        for kind in kinds:
            values, _ = self.source(D=16, **kind)
            for more in [{"center": "false"}, {}, {"value_scale": -2.5, "center": "false"}, {"value_scale": 7},
                         {"whiten": "zca"}, {"whiten": "pca", "value_scale": 3},
                         {"whiten": "zca", "whiten_epsilon": 1e-4}]:
                settings = dict(kind, D=16, N=70, N_eval=20, **more)
                shown = dump("restore", **settings)
                self.assertEqual(shown.returncode, 0, shown.stderr)
                restored = numpy.frombuffer(shown.stdout[:4 * 90 * 16], "<f4").reshape(90, 16)
                numbers = numpy.frombuffer(shown.stdout[4 * 90 * 16:], "<u8").astype(int)
                self.assertEqual(len(set(numbers)), 90)
                numpy.testing.assert_allclose(restored, values[numbers], rtol=0, atol=4e-7 * abs(values).max(),
                                              err_msg=str(settings))

    def test_whitening_against_numpy(self):
        values = RANDOM.normal(size=(400, 6)) @ RANDOM.normal(size=(6, 6)) + 3
        numpy.save("w.npy", values)
        settings = {"data": "npy", "path": "w.npy", "D": 6}
        plain = self.draw(300, 100, center="false", **settings)
        for epsilon in [1e-9, 0.5]:
            centred = [part - plain[0].mean(0, dtype="f8") for part in plain[:2]]
            variances, axes = numpy.linalg.eigh(centred[0].T @ centred[0] / 300)
            zca = axes @ numpy.diag((variances + epsilon) ** -0.5) @ axes.T
            axes = axes[:, ::-1] * numpy.sign(axes[abs(axes).argmax(0), range(6)])[::-1]
            pca = numpy.diag((variances[::-1] + epsilon) ** -0.5) @ axes.T
            for kind, matrix in [("zca", zca), ("pca", pca)]:
                train, held_out, _ = self.draw(300, 100, whiten=kind, whiten_epsilon=epsilon, **settings)
                numpy.testing.assert_allclose(train, centred[0] @ matrix.T, atol=2e-4)
                numpy.testing.assert_allclose(held_out, centred[1] @ matrix.T, atol=2e-4)
        train, _, _ = self.draw(300, 100, whiten="zca", whiten_epsilon=1e-9, **settings)
        numpy.testing.assert_allclose(numpy.cov(train.T, bias=True), numpy.eye(6), atol=1e-4)


class Program(Case):
    def run_program(self, *words):
        return subprocess.run([VQSWEEP, *words], capture_output=True, text=True, timeout=60, check=False)

    def job(self, more=""):
        with open("job.yaml", "w", encoding="utf-8") as file:
            file.write("name: a\nfixed: {data: hdf5, path: a.h5, dataset: x, D: 8, d: 2, N: 64, N_eval: 32, K: 4, "
                       f"epochs: 2{more}}}\nseeds: 1..2\n")

    def test_plan_run_verify_and_a_changed_file(self):
        values = RANDOM.normal(size=(200, 8))
        with h5py.File("a.h5", "w") as file:
            file["x"] = values
        self.job()
        shown = self.run_program("plan", "job.yaml")
        self.assertIn("a.h5: HDF5 dataset x of 64-bit floats: 200 samples of 8 values, of which a trial draws 96",
                      shown.stdout)
        self.assertEqual(self.run_program("run", "job.yaml", "-o", "o.h5", "--threads", "2", "-q").returncode, 0)
        shown = self.run_program("verify", "o.h5")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        with h5py.File("o.h5") as file:
            recorded = file["provenance"].attrs["data_files"]
        self.assertIn(f"a.h5: 1 file, {os.path.getsize('a.h5')} bytes, XXH3 ", recorded)
        with h5py.File("a.h5", "w") as file:
            file["x"] = values + 1
        self.assertEqual(self.run_program("run", "job.yaml", "-o", "other.h5", "-q").returncode, 0)
        for command in [["run", "job.yaml", "-o", "o.h5"], ["merge", "m.h5", "o.h5", "other.h5"]]:
            shown = self.run_program(*command)
            self.assertEqual(shown.returncode, 5, shown.stderr)
            self.assertIn("the data files were others", shown.stderr)

    def test_what_does_not_fit_ends_plan_and_run(self):
        with h5py.File("a.h5", "w") as file:
            file["x"] = numpy.zeros((90, 8))
        for more, part in [("", "a.h5: 90 samples, but N + N_eval is 96"),
                           (", whiten: zca, center: false", "job.yaml:2: whiten: needs center: true")]:
            self.job(more)
            for command in [["plan", "job.yaml"], ["run", "job.yaml", "-o", "o.h5"]]:
                shown = self.run_program(*command)
                self.assertEqual((shown.returncode, shown.stderr.count("\n")), (2, 1), shown.stderr)
                self.assertIn(part, shown.stderr)
        self.assertFalse(os.path.exists("o.h5"))


if __name__ == "__main__":
    unittest.main()
