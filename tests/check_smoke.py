"""A smoke run under mpirun, checked through h5py: what a reader who does not know vqsweep finds in the file.

    check_smoke.py VQSWEEP SOURCE_FOLDER MPIRUN
"""
import os
import shutil
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}; apt-get install python3-h5py")
    sys.exit(77)

from program import Program

VQSWEEP, SOURCE, MPIRUN = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
SMOKE = os.path.join(SOURCE, "jobs", "smoke.yaml")


def check_contents(path):
    with h5py.File(path, "r") as file, open(SMOKE, "rb") as job:
        n = file["trial"].shape[0]
        assert n == 15, n
        status = list(file["status"].asstr()[:])
        assert status.count("completed") == 14 and status.count("diverged") == 1, status
        assert set(file["rank"][:]) <= {0, 1}
        assert len(set(file["digest"].asstr()[:])) == n and len(set(file["key"].asstr()[:])) == n
        assert bytes(file["job/text"][()]) == job.read()
        trained = np.isfinite(file["mse_eval"][:])
        assert trained.sum() == 14 and (file["mse_eval"][:][trained] > 0).all()
        assert file["curve_loss"].shape == (n, 3)
        codes, usage = file["codebooks/K8_d2/codes"], file["codebooks/K8_d2/usage"]
        assert codes.shape[1:] == (8, 2) and codes.shape[0] == usage.shape[0] == int(file["n_snapshots"][:].sum())
        items = file["provenance"].attrs
        for name in ("code_version", "plan_key", "compiler", "compiler_flags", "mpi", "hdf5", "openblas",
                     "openblas_kernel", "openblas_parallel", "cpu", "cpu_features", "cpu_class", "hosts", "ranks",
                     "slots", "team", "launcher", "command", "started_at"):
            assert items[name], name
        assert int(items["ranks"]) == 2 and "mpirun" in items["launcher"], dict(items)
        assert items["command"].endswith("-o a.h5 " + SMOKE), items["command"]


def check_tampering(program, folder):
    """`verify` sees one changed number."""
    shutil.copy(os.path.join(folder, "a.h5"), os.path.join(folder, "b.h5"))
    with h5py.File(os.path.join(folder, "b.h5"), "r+") as file:
        file["mse_eval"][3] += 1e-9
    end = program.run("verify", "b.h5", "--sample", "0")
    assert end.returncode == 5 and "trial 3" in end.stderr and end.stderr.count("\n") == 1, end.stderr
    with h5py.File(os.path.join(folder, "b.h5"), "r+") as file:
        file["key"][3] = file["key"][4]
    end = program.run("verify", "b.h5")
    assert end.returncode == 5 and "trial 3 has key" in end.stderr, end.stderr


def main():
    with tempfile.TemporaryDirectory() as folder:
        program = Program(VQSWEEP, MPIRUN, folder)
        end = program.run("run", "-o", "a.h5", SMOKE, ranks=2)
        assert end.returncode == 0, end.stderr
        check_contents(os.path.join(folder, "a.h5"))
        end = program.run("verify", "a.h5", ranks=2)
        assert end.returncode == 0 and end.stdout.count("sound") == 1, end.stdout + end.stderr
        check_tampering(program, folder)


main()
