"""The seed study made small enough for a test, run by the real program."""
import os

from program import Program

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def job(folder):
    """Its job: all studies and contrasts of the shipped one, on fewer samples and epochs."""
    with open(ROOT + "/jobs/seed_study.yaml", encoding="utf-8") as file:
        text = file.read()
    for what, instead in (("N: 4096", "N: 1024"), ("N_eval: 4096", "N_eval: 512"), ("epochs: 50", "epochs: 12")):
        assert what in text
        text = text.replace(what, instead)
    with open(folder + "/study.yaml", "w", encoding="utf-8") as file:
        file.write(text)
    return folder + "/study.yaml"


def run(vqsweep, folder, name="study.h5", seeds="1..10"):
    path = f"{folder}/{name}"
    done = Program(os.path.abspath(vqsweep), None, folder).run("run", job(folder), "--seeds", seeds, "-o", path, "-q")
    assert done.returncode == 0, done.stderr
    return path
