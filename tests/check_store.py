"""check_store.py TEST_STORE DIRECTORY VQSWEEP: a result file as h5py, xarray, netCDF4, ncdump, h5dump and show read it.

TEST_STORE --write FILE writes a small sweep to FILE and FILE.journal, and what they hold to FILE.tsv; this compares them
without any help from the program. Exits with 77, naming what is missing, where a module or a program is not installed."""

import math
import os
import shutil
import subprocess
import sys
import tempfile

missing = []
try:
    import h5py
except ImportError:
    missing.append("python3-h5py")
try:
    import h5netcdf  # noqa: F401, xarray's engine
    import xarray
except ImportError:
    missing.append("python3-xarray and python3-h5netcdf")
try:
    import numpy
    import pandas  # noqa: F401
    import xxhash  # noqa: F401
except ImportError:
    missing.append("python3-numpy, python3-pandas and python3-xxhash")
if not missing:
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "analysis"))
    import vqsweep_store



def expected_rows(path):
    """(columns, curves, codebooks, arrays, journal): {(name, trial): text}, {(name, trial, epoch): value},
    {(K, trial): [...]}, {(name, trial): values}, {trial: texts}"""
    columns, curves, codebooks, arrays, journal = {}, {}, {}, {}, {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            trial, name, *rest = line.rstrip("\n").split("\t")
            if name.startswith("curve_"):
                curves[name, int(trial), int(rest[1])] = float(rest[0])
            elif name == "code":  # of a snapshot
                K, epoch, code, usage, x, y = rest
                row = (int(epoch), int(code), int(usage), float(x), float(y))
                codebooks.setdefault((int(K), int(trial)), []).append(row)
            elif name == "array":
                arrays[rest[0], int(trial)] = [float(value) for value in rest[1:]]
            elif name == "journal":
                journal[int(trial)] = rest
            else:
                columns[name, int(trial)] = rest[0]
    return columns, curves, codebooks, arrays, journal


def same(found, text):
    """A value of the file against what the program printed; NaN and an empty text are both 'none'."""
    if isinstance(found, str):
        return found == text
    if text in ("", "nan", "-nan"):
        return math.isnan(found)
    return float(found) == float({"true": 1, "false": 0}.get(text, text))


def check_columns(dataset, columns):
    values = {}
    for (name, trial), text in columns.items():
        if name not in values:
            values[name] = dataset[name].values
            varies = pandas.Series(values[name]).nunique(dropna=False) > 1
            is_setting = "formula" not in dataset[name].attrs and name not in vqsweep_store.RUN_COLUMNS
            assert dataset[name].attrs.get("constant", 0) == (is_setting and not varies), f"{name}: is it constant?"
        found = values[name][trial]
        assert same(found, text), f"{name} of trial {trial}: {found!r}, not {text!r}"
    assert str(dataset["finished_at"].dtype).startswith("datetime64"), "finished_at is no time"
    frame = dataset[["K", "estimator", "status", "mse_eval"]].to_dataframe()
    assert len(frame.query("status == 'pending' and mse_eval != mse_eval")) > 0
    return len(values)


def check_curves(dataset, curves):
    for name in {key[0] for key in curves}:
        array = dataset[name]
        assert array.dims == ("trial", "epoch"), array.dims
        for trial in range(array.sizes["trial"]):
            for epoch in range(1, array.sizes["epoch"] + 1):
                found = float(array.sel(trial=trial, epoch=epoch))
                value = curves.get((name, trial, epoch), math.nan)
                assert found == value or math.isnan(found) and math.isnan(value), (name, trial, epoch, found, value)


def check_codebooks(path, codebooks):
    for K in {key[0] for key in codebooks}:
        group = xarray.open_dataset(path, engine="h5netcdf", group=f"codebooks/K{K}_d2").load()
        assert group["codes"].dims == ("snapshot", "code", "component")
        for trial in range(100):
            rows = []
            for s in group.where(group["trial"] == trial, drop=True)["snapshot"].values.astype(int):
                for k in range(K):
                    x, y = group["codes"].values[s, k]
                    rows.append((int(group["epoch"][s]), k, int(group["usage"][s, k]), float(x), float(y)))
            wanted = codebooks.get((K, trial), [])
            assert len(rows) == len(wanted), (K, trial, len(rows), len(wanted))
            for row, want in zip(rows, wanted):
                assert row[:3] == want[:3] and all(abs(a - b) < 1e-7 for a, b in zip(row, want)), (row, want)


def check_arrays(path, arrays):
    """By xarray with all labels, and by analysis/vqsweep_store.py."""
    seen = {}
    for name in {key[0] for key in arrays}:
        for group in vqsweep_store.arrays(path, name):
            shape = "x".join(str(n) for n in group.values.shape[1:])
            data = xarray.open_dataset(path, engine="h5netcdf", group=f"arrays/{name}_{shape}").load()
            assert data["value"].dims == ("row", *group.dims[1:]), data["value"].dims
            for dimension in group.dims[1:]:
                assert data[dimension].values.tolist() == group.labels[dimension], dimension
            assert numpy.array_equal(data["value"].values, group.values, equal_nan=True)
            assert data["trial"].values.tolist() == group.trials.tolist() == sorted(group.trials)
            seen.update({(name, trial): values.ravel() for trial, values in zip(group.trials, group.values)})
            if name == "probes":
                assert group.dims == ("trial", "probe", "estimator", "region", "quantity"), group.dims
                assert group.labels["estimator"][0] == "ste" and group.labels["estimator"][-1] == "smoothed"
                assert group.labels["region"] == ["all", "near", "far"] and group.labels["probe"][:2] == [0, 1]
    assert seen.keys() == arrays.keys() and len(seen) > 10
    for key, values in arrays.items():
        assert numpy.array_equal(seen[key], numpy.array(values, "f4"), equal_nan=True), key


def check_journal(path, journal):
    """The reader of a run that goes on finds what stands behind the arrays of a record."""
    trials = vqsweep_store.load(path)
    assert trials.attrs["live"] == len(journal) > 1
    for trial, (digest, metric, host, message) in journal.items():
        row = trials.loc[trial]
        found = row.digest, row.mse_train, row.host, row.message
        assert found == (digest, float(metric), host, message), (trial, found)


def check_h5py(path):
    """Every dimension has a name, every dataset says what it is, and the rest of the file is there."""
    with h5py.File(path) as file:
        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                assert "long_name" in item.attrs, f"{name} has no long_name"
                for dimension in [] if h5py.h5ds.is_scale(item.id) else item.dims:
                    assert len(dimension) == 1, f"{name} has a dimension without scale"
        file.visititems(visit)
        assert file.attrs["vqsweep_schema"] == 2 and file.attrs["title"] == "small"
        assert file["job/text"].asstr()[()].startswith("# \u00e0 la carte\nname: small\n")
        provenance = dict(file["provenance"].attrs)
        assert len(provenance.pop("plan_key")) == 16
        assert provenance == {"code_version": "1.2.3", "compiler": "gcc \u00e9", "hosts": ""}
        assert list(file["studies/baseline"][:]) == [0, 1, 2, 12, 13, 14]
        assert file["mse_eval"].attrs["formula"] and file["entropy_eval"].attrs["units"] == "nat"
        assert file["status"].asstr()[3] == "pending"


def check_program(name, arguments, words):
    if not shutil.which(name):
        print(f"check_store: {name} is not installed: not compared")
        return
    text = subprocess.run([name, *arguments], check=True, capture_output=True, text=True).stdout
    for word in words:
        assert word in text, f"{name} does not show {word!r}"
    assert "phony" not in text


def check_vqsweep(vqsweep, path):
    """The program's own view, and that arrays come along when it takes over a file and its journal."""
    check_program(vqsweep, ["show", path, "--trial", "7"],
                  ["array level_metrics: codebook 3, level_metric 6", "array fields: snapshot 3, estimator "])
    with tempfile.TemporaryDirectory() as folder:
        merged = folder + "/merged.h5"
        merge = subprocess.run([vqsweep, "merge", merged, path, "--allow-mixed"], capture_output=True, text=True)
        verify = subprocess.run([vqsweep, "verify", merged, "--sample", "0"], capture_output=True, text=True)
        assert "18 digests right" in verify.stdout, merge.stderr + verify.stderr


def main():
    test_store, directory, vqsweep = sys.argv[1:]
    if missing:
        print("SKIPPED check_store: not installed:", ", ".join(missing))
        return 77
    path = os.path.join(directory, "check_store.h5")
    subprocess.run([test_store, "--write", path], check=True, stdout=subprocess.DEVNULL)
    columns, curves, codebooks, arrays, journal = expected_rows(path + ".tsv")
    dataset = xarray.open_dataset(path, engine="h5netcdf").load()
    n = check_columns(dataset, columns)
    check_curves(dataset, curves)
    check_codebooks(path, codebooks)
    check_arrays(path, arrays)
    check_journal(path, journal)
    check_h5py(path)
    check_program("ncdump", [path], ["mse_eval(trial)", "curve_loss(trial, epoch)", "codes(snapshot, code, component)",
                                     "value(row, probe, estimator, region, quantity)"])
    check_vqsweep(vqsweep, path)
    check_program("h5dump", ["-H", path], ["curve_loss", "K4_d2"])
    print(f"check_store: {n} columns, {len(curves)} points of curves, {len(codebooks)} trials with codebooks, "
          f"{len(arrays)} arrays and {len(journal)} trials of the journal agree")
    for end in ("", ".tsv", ".journal"):
        os.unlink(path + end)
    return 0


if __name__ == "__main__":
    sys.exit(main())
