"""Reads a vqsweep result file without vqsweep: h5py in, pandas out.

    import vqsweep_store
    trials = vqsweep_store.load("results/seed_study.h5")
    trials.groupby(["decoder", "estimator", "K"]).dead_codes_train.mean()

The layout of the file is documented in include/vqsweep/store.h and in the file's own attributes.
"""
import os

import h5py
import numpy
import pandas

SCHEMA = 1
# The columns that are neither settings nor metrics; metrics have a `formula`, settings have none.
RUN_COLUMNS = set("key status attempt rank host cpu_class code_version wall_seconds finished_at n_epochs n_snapshots "
                  "codebook_row digest message".split())


class StoreError(Exception):
    """The file cannot be used; one line that says why. `exit_code` is the one `vqsweep` itself would give."""

    def __init__(self, text, exit_code):
        super().__init__(text)
        self.exit_code = exit_code


def load(path):
    """One row per planned trial, in the order of the plan; a column for every setting, metric and circumstance.

    A setting without effect in a trial is NaN, or "" where it is a text. `status` is pending, failed, completed or
    diverged; a metric that does not exist is NaN. `attrs["settings"]` lists the columns that are settings,
    `attrs["studies"]` maps the name of each study to the numbers of its trials, `attrs["file"]` holds the attributes
    of the file.
    """
    if not os.path.exists(path):
        raise StoreError(f"{path}: no such file", 4)
    if not os.access(path, os.R_OK) or not os.path.isfile(path):
        raise StoreError(f"{path}: not a file that may be read", 4)
    try:
        with h5py.File(path, "r") as file:
            return _read(path, file)
    except OSError as error:
        raise StoreError(f"{path}: not a readable HDF5 file ({' '.join(str(error).split())})", 5) from error


def _read(path, file):
    schema = file.attrs.get("vqsweep_schema")
    if schema is None:
        raise StoreError(f"{path}: an HDF5 file, but not a result of vqsweep", 5)
    if schema != SCHEMA:
        raise StoreError(f"{path}: written in schema version {schema}; this reader knows version {SCHEMA}", 5)
    columns, settings = {}, []
    for name, data in file.items():
        if isinstance(data, h5py.Dataset) and data.ndim == 1 and data.dims[0].values() == [file["trial"]]:
            columns[name] = data.asstr()[:] if h5py.check_string_dtype(data.dtype) else data[:]
            if name not in RUN_COLUMNS and "formula" not in data.attrs:
                settings.append(name)
    trials = pandas.DataFrame(columns, index=pandas.Index(file["trial"][:], name="trial"))
    trials.attrs["settings"] = settings
    trials.attrs["studies"] = {name: data[:] for name, data in file["studies"].items()}
    trials.attrs["file"] = {name: _plain(value) for name, value in file.attrs.items()}
    return trials


def _plain(value):
    return value.item() if isinstance(value, numpy.generic) else value
