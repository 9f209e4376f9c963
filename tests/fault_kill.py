"""kill -9 of rank 0, of a worker or of mpirun at random instants, many times: nothing finished is lost, every file can
be read, and the final results are those of an undisturbed run, to the bit.

    fault_kill.py VQSWEEP SOURCE_FOLDER MPIRUN KILLS [SEED]

Half of the runs are under cluster/run.sh, which goes on or starts again by itself; half under plain mpirun, which ends
a job when one rank dies, and is then started again from here. Prints a table.
"""
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from program import ENVIRONMENT, Program, below, process_table, ranks_below

VQSWEEP, SOURCE, MPIRUN = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
KILLS, SEED = int(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 1
RANKS, TRIALS = 3, 240

JOB = """
name: killed
fixed: {D: 32, d: 4, N: 8192, epochs: 60, gap_restarts: 0}
grid: {K: [32, 64], estimator: [ste, rotation]}
seeds: 1..60
"""
VICTIMS = "rank 0", "a worker", "mpirun"


def victims(root):
    """The processes of a run that may be killed, {what: [pid]}; `root` is run.sh's process, or mpirun's."""
    table = process_table()
    ranks = ranks_below(root, table)
    found = {"mpirun": [pid for pid in below(root, table) if pid in table and table[pid].name.startswith("mpirun")],
             "rank 0": [pid for pid, rank in ranks.items() if rank == 0],
             "a worker": [pid for pid, rank in ranks.items() if rank > 0]}
    return {what: pids for what, pids in found.items() if pids}


class Campaign:
    def __init__(self, folder):
        self.folder, self.random = folder, random.Random(SEED)
        self.program = Program(VQSWEEP, MPIRUN, folder)
        self.environment = dict(ENVIRONMENT, VQSWEEP=VQSWEEP, MPIRUN=MPIRUN, VQSWEEP_START_LIMIT="10",
                                VQSWEEP_PART="3", TMPDIR=folder)
        self.kills, self.lost, self.unreadable = (collections.Counter() for _ in range(3))
        self.wrong = self.runs = 0
        with open(os.path.join(folder, "job.yaml"), "w", encoding="utf-8") as file:
            file.write(JOB)

    def start(self, file, supervised):
        run = ["job.yaml", "-o", file, "-q", "--threads", "1", "--silence", "2"]
        launch = ["-n", str(RANKS), "--bind-to", "none"]
        command = (["bash", os.path.join(SOURCE, "cluster", "run.sh"), *launch, "--", *run] if supervised else
                   [MPIRUN, *launch, VQSWEEP, "run", *run])
        with open(os.path.join(self.folder, "log"), "a", encoding="utf-8") as log:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)

    def done(self, file):
        """Trials that have a result, as `status` reads them; None when it cannot."""
        if not os.path.exists(os.path.join(self.folder, file)):
            return 0
        end = self.program.run("status", file)
        counts = dict(line.split(None, 1) for line in end.stdout.splitlines())
        return int(counts["completed"]) if end.returncode in (0, 3, 75) and "completed" in counts else None

    def kill_one(self, file, root):
        """Kills somebody of the run, and sees what became of the file. Nobody may be there yet, or any more."""
        found = victims(root)
        if not found:
            return
        what = min(found, key=lambda name: (self.kills[name], self.random.random()))
        before = self.done(file)
        try:
            os.kill(self.random.choice(found[what]), signal.SIGKILL)
        except ProcessLookupError:
            return
        after = self.done(file)
        self.kills[what] += 1
        self.unreadable[what] += before is None or after is None
        self.lost[what] += max(0, (before or 0) - (after or 0)) if after is not None else 0

    def run_once(self, expected):
        """One job to its end, whatever it takes."""
        file, supervised = f"r{self.runs}.h5", self.runs % 2 == 0
        self.runs += 1
        while True:
            run = self.start(file, supervised)
            while run.poll() is None:
                time.sleep(self.random.uniform(0, 3))
                if sum(self.kills.values()) < KILLS and run.poll() is None:
                    self.kill_one(file, run.pid)
            if run.returncode == 0 and self.done(file) == TRIALS:
                break
        self.wrong += self.program.results(file) != expected or not self.program.is_sound(file)
        for name in os.listdir(self.folder):
            if name.startswith(file):
                os.remove(os.path.join(self.folder, name))

    def table(self):
        lines = ["| killed with -9 | kills | finished trials lost | unreadable files |", "| --- | ---: | ---: | ---: |"]
        lines += [f"| {what} | {self.kills[what]} | {self.lost[what]} | {self.unreadable[what]} |" for what in VICTIMS]
        lines += [f"| together | {sum(self.kills.values())} | {sum(self.lost.values())} | "
                  f"{sum(self.unreadable.values())} |"]
        return "\n".join(lines)


def main():
    folder = tempfile.mkdtemp(prefix="vqs")
    campaign = Campaign(folder)
    undisturbed = campaign.program.run("run", "job.yaml", "-o", "expected.h5", "-q")
    assert undisturbed.returncode == 0, undisturbed.stderr
    expected = campaign.program.results("expected.h5")
    begun = time.monotonic()
    while sum(campaign.kills.values()) < KILLS:
        campaign.run_once(expected)
    print(campaign.table())
    print(f"{campaign.runs} runs of {TRIALS} trials on {RANKS} ranks in {time.monotonic() - begun:.0f} s; final files "
          f"that differ from the undisturbed one: {campaign.wrong}")
    failed = campaign.wrong + sum(campaign.lost.values()) + sum(campaign.unreadable.values())
    if failed:
        print(f"left as it is for a look: {folder}")
    else:
        shutil.rmtree(folder)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
