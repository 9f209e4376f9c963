#!/usr/bin/python3
"""The report in a headless Chromium: what a reader sees, clicks, hovers and types.

    test_report_browser.py VQSWEEP [SCREENSHOT_FOLDER]
"""
import os
import subprocess
import sys
import tempfile
import unittest

import browser

if browser.missing():
    print(f"skipped: no {browser.missing()}; apt-get install chromium chromium-driver")
    sys.exit(77)

VQSWEEP = os.path.abspath(sys.argv.pop(1))
PICTURES = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
import small_study  # noqa: E402


def setUpModule():
    global PAGE
    box = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(box.cleanup)
    made = subprocess.run([ROOT + "/analysis/report.py", small_study.run(VQSWEEP, box.name, seeds="1..4"), "-o",
                           box.name + "/report"], capture_output=True, text=True)
    if made.returncode == 7:
        raise unittest.SkipTest(made.stderr)
    assert made.returncode == 0, made.stderr
    PAGE = box.name + "/report/report.html"


def picture(view, name):
    if PICTURES:
        os.makedirs(PICTURES, exist_ok=True)
        view.screenshot(f"{PICTURES}/{name}.png")


class Reader(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.view = browser.Browser()
        cls.addClassCleanup(cls.view.close)

    def setUp(self):
        self.view.open(PAGE)

    def marks(self):
        return self.view.js("return document.querySelectorAll('#chart circle, #chart path').length")

    def table(self):
        return self.view.js("return [...document.querySelectorAll('#shown tr')].map("
                            "r => [...r.children].map(c => c.textContent))")

    def choose(self, **choices):
        for name, value in choices.items():
            self.view.choose("#choose-" + name, value)

    def test_the_answer_is_what_one_sees_first(self):
        picture(self.view, "top")
        self.assertIn("codebook alive", self.view.text("h1"))
        top = self.view.js("return [...document.querySelectorAll('#headline, #answer, .claims')].map("
                           "e => e.getBoundingClientRect().top)")
        self.assertEqual(top, sorted(top))
        self.assertLess(top[-1], 700)  # the verdicts begin on the first screen
        self.assertEqual(len(self.view.js("return [...document.querySelectorAll('.verdict')].map(e => e.textContent)")), 13)
        self.assertFalse(self.view.js("return document.documentElement.scrollWidth > window.innerWidth"))
        self.assertEqual(self.view.errors(), [])

    def test_every_link_leads_somewhere_and_every_picture_loads(self):
        self.assertEqual(self.view.js("return [...document.querySelectorAll('nav a')].filter("
                                      "a => !document.querySelector(a.getAttribute('href'))).length"), 0)
        self.assertEqual(self.view.js("return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"), 0)
        self.assertGreater(self.view.js("return document.images.length"), 10)

    def test_choices_change_what_is_shown(self):
        self.assertEqual(self.view.js("return document.getElementById('choose-metric').value"), "dead_codes_train")
        first = self.table()
        self.assertEqual(len(first) - 1, 4 * 5 * 3)  # regimes, values of K, estimators with the baseline
        picture(self.view, "page")
        self.choose(metric="mse_eval")
        self.assertNotEqual(self.table(), first)
        self.choose(study="noise", by="decoder", x="sigma")
        self.assertEqual(self.table()[0][1], "sigma")
        self.assertEqual({r[0] for r in self.table()[1:]}, {"decoder tied", "decoder free"})
        self.assertIn("pools over codebook_init", self.view.text("#scope"))
        self.assertEqual(self.view.errors(), [])

    def test_paired_differences_and_heat_map(self):
        self.choose(show="paired differences", metric="entropy_train")
        self.view.js("document.getElementById('explore').scrollIntoView()")
        picture(self.view, "differences")
        rows = self.table()[1:]
        self.assertEqual({r[2] for r in rows}, {"rotation − ste"})
        self.assertEqual({r[4] for r in rows if r[0].startswith("tied")}, {"0"})  # the same estimator
        self.assertTrue(any(r[4] != "0" for r in rows if r[0].startswith("free")))
        self.choose(second="ste", first="rotation")
        self.assertEqual({r[2] for r in self.table()[1:]}, {"ste − rotation"})
        self.choose(show="heat map of differences")
        picture(self.view, "heat")
        self.assertEqual(self.view.js("return document.querySelectorAll('#chart rect').length"), 4 * 5)
        self.assertEqual(self.view.errors(), [])

    def test_the_keyboard_reaches_a_trial(self):
        self.view.js("document.getElementById('chart').focus()")
        self.view.press("right", "right")
        self.assertRegex(self.view.text("#detail"), r"^trial \d+ \(completed\): .*estimator .*seed .*digest [0-9a-f]{16}")
        one = self.view.text("#detail")
        self.view.press("left")
        self.assertNotEqual(self.view.text("#detail"), one)
        self.view.press("end")
        self.assertEqual(self.view.js("return document.querySelectorAll('#chart .chosen').length"), 1)
        self.assertEqual(self.view.js("return document.getElementById('detail').getAttribute('aria-live')"), "polite")

    def test_tab_goes_through_all_choices(self):
        self.view.js("document.getElementById('choose-study').focus()")
        seen = [self.view.js("return document.activeElement.id")]
        for _ in range(6):
            self.view.press("tab")
            seen.append(self.view.js("return document.activeElement.id"))
        self.assertEqual(seen, ["choose-study", "choose-show", "choose-metric", "choose-of", "choose-x", "choose-by", "chart"])

    def test_pointing_at_a_mark_names_its_trial(self):
        self.view.js("document.getElementById('chart').scrollIntoView({block: 'center'})")
        x, y = self.view.js("const b = document.querySelector('#chart circle').getBoundingClientRect();"
                            "return [b.x + b.width / 2, b.y + b.height / 2]")
        self.view.hover(x, y)
        self.assertRegex(self.view.text("#detail"), r"^trial \d+ \(completed\)")

    def test_names_for_a_screen_reader(self):
        unnamed = self.view.js("return [...document.querySelectorAll('#controls select')].filter("
                               "s => !s.labels.length || !s.labels[0].textContent.trim()).length")
        self.assertEqual(unnamed, 0)
        self.assertRegex(self.view.js("return document.getElementById('chart').getAttribute('aria-label')"),
                         "values of dead_codes_train .* over K, study scaling, \\d+ marks")
        self.assertEqual(self.view.js("return document.documentElement.lang"), "en")
        self.assertEqual(self.view.js("return document.querySelectorAll('h1').length"), 1)
        self.assertEqual(self.view.js("return [...document.querySelectorAll('[role=region]')].filter("
                                      "r => !r.getAttribute('aria-label')).length"), 0)

    def test_details_open(self):
        self.view.click("#claims summary")
        self.assertTrue(self.view.js("return document.querySelector('#table-evidence').offsetHeight > 0"))


class WithoutJavaScript(unittest.TestCase):
    def test_the_static_part_stands(self):
        view = browser.Browser(javascript=False)
        self.addCleanup(view.close)
        view.open(PAGE)
        self.assertIn("codebook alive", view.text("h1"))
        self.assertIn("This part needs JavaScript", view.text("#explore"))
        view.click("#claims summary")
        self.assertIn("equal", view.text("#table-evidence"))


class Narrow(unittest.TestCase):
    def test_a_small_window_needs_no_sideways_scrolling(self):
        view = browser.Browser(width=500, height=900)
        self.addCleanup(view.close)
        view.open(PAGE)
        picture(view, "narrow")
        self.assertFalse(view.js("return document.documentElement.scrollWidth > window.innerWidth"))


if __name__ == "__main__":
    unittest.main()
