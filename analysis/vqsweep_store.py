"""Reads a vqsweep result file without vqsweep: h5py in, pandas or xarray out.

Every trial is a row; settings, metrics and circumstances are columns:

    >>> import vqsweep_store
    >>> trials = vqsweep_store.load(FILE)
    >>> cells = trials.groupby(["estimator", "K"]).dead_codes_train.agg(["count", "mean"])

Curves and codebooks are read when asked for, for the trials asked for:

    >>> one = trials.index[trials.status == "completed"][0]
    >>> loss = vqsweep_store.curve(FILE, "loss", [one])             # an array, a row a trial, a column an epoch
    >>> first, *_, last = vqsweep_store.codebooks(FILE, one)        # snapshots: epoch, codebook, codes, usage

Arrays of more dimensions (`vqsweep metrics` lists them) come by their shape, with the labels along each dimension:

    >>> for probes in vqsweep_store.arrays(FILE, "probes"):         # values[trial, probe, estimator, region, quantity]
    ...     bias = probes.values[..., probes.labels["quantity"].index("bias")]

And as a lazy xarray Dataset with units and long names, for selection over labelled dimensions:

    >>> sweep = vqsweep_store.dataset(FILE)
    >>> late = sweep.curve_entropy.isel(epoch=-1).mean("trial")

`load` of a run that still goes on adds from the journal what the file does not have yet. The layout of the file is
documented in include/vqsweep/store.h and in the file's own attributes. tests/test_store_reader.py runs these lines.
"""
import contextlib
import os
from collections import namedtuple

import h5py
import numpy
import pandas

import vqsweep_journal

SCHEMA = 2
# The columns that are neither settings nor metrics; metrics have a `formula`, settings have none.
RUN_COLUMNS = set("key status attempt rank host cpu_class code_version wall_seconds finished_at n_epochs n_snapshots "
                  "codebook_row digest message".split())
BLOCK = 1 << 16  # rows of text decoded at a time
FEW = 16         # a block with more distinct texts is decoded one by one

Snapshot = namedtuple("Snapshot", "epoch codebook codes usage")
Arrays = namedtuple("Arrays", "trials dims labels values")
Contrast = namedtuple("Contrast", "name study metric axis values where each effect", defaults=[None])


class StoreError(Exception):
    """The file cannot be used; one line that says why. `exit_code` is the one `vqsweep` itself would give."""

    def __init__(self, text, exit_code):
        super().__init__(text)
        self.exit_code = exit_code


@contextlib.contextmanager
def open_file(path):
    """The file as h5py sees it, once it is known to be a result of this schema."""
    if not os.path.exists(path):
        raise StoreError(f"{path}: no such file", 4)
    if not os.access(path, os.R_OK) or not os.path.isfile(path):
        raise StoreError(f"{path}: not a file that may be read", 4)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise StoreError(f"{path}: not a readable HDF5 file ({' '.join(str(error).split())})", 5) from error
    with file:
        schema = file.attrs.get("vqsweep_schema")
        if schema is None:
            raise StoreError(f"{path}: an HDF5 file, but not a result of vqsweep", 5)
        if schema != SCHEMA:
            raise StoreError(f"{path}: written in schema version {schema}; this reader knows version {SCHEMA}", 5)
        try:
            yield file
        except (OSError, KeyError) as error:
            raise StoreError(f"{path}: damaged or incomplete ({' '.join(str(error).split())})", 5) from error


def load(path, columns=None):
    """One row per planned trial, in the order of the plan; a column for every setting, metric and circumstance, or
    only for those named in `columns` and for status.

    A setting without effect in a trial is NaN, or "" where it is a text. `status` is pending, failed, completed or
    diverged; a metric that does not exist is NaN. `attrs` holds: `settings`, `metrics` and `curves` (names, in the
    order of the program's tables), `long_names`, `units` and `formulas` (by name), `studies` (the numbers of the trials
    of each), `contrasts` (what the job declared), `provenance`, `job` (its text), `file` (attributes of the file) and
    `live` (how many rows come from the journal of a run that goes on).
    """
    with open_file(path) as file:
        names = [n for n in _links(file) if isinstance(file[n], h5py.Dataset)]
        rows = [n for n in names if file[n].ndim == 1 and file[n].dims[0].values() == [file["trial"]]]
        metrics = [n for n in rows if "formula" in file[n].attrs]
        wanted = [n for n in rows if columns is None or n == "status" or n in columns]
        data = {name: _column(file[name]) for name in wanted}
        trials = pandas.DataFrame(data, index=pandas.Index(file["trial"][:], name="trial"), copy=False)
        texts = {kind: {n: _plain(file[n].attrs[kind]) for n in names if kind in file[n].attrs}
                 for kind in ("long_name", "units", "formula")}
        job = file["job/text"].asstr()[()] if "job/text" in file else ""
        trials.attrs.update(
            settings=[n for n in rows if n not in RUN_COLUMNS and n not in metrics], metrics=metrics,
            curves=[n[len("curve_"):] for n in names if n.startswith("curve_")],
            long_names=texts["long_name"], units=texts["units"], formulas=texts["formula"],
            studies={name: file["studies"][name][:] for name in _links(file["studies"])}, job=job,
            provenance={n: _plain(v) for n, v in file["provenance"].attrs.items()} if "provenance" in file else {},
            file={name: _plain(value) for name, value in file.attrs.items()}, live=0)
    trials.attrs["contrasts"] = _contrasts(path, job, list(trials.attrs["studies"]))
    _add_journal(path + ".journal", trials)
    return trials


def curve(path, name, trials):
    """The curve `name` of these trials: an array, a row a trial and a column an epoch, NaN past a trial's last epoch."""
    with open_file(path) as file:
        data = file["curve_" + name]
        wanted = numpy.asarray(trials)
        if not len(wanted):
            return numpy.empty((0, data.shape[1]))
        order = numpy.argsort(wanted)
        found = numpy.empty((len(wanted), data.shape[1]))
        for start in range(wanted.min(), wanted.max() + 1, BLOCK):  # blocks, not single rows: h5py is slow at those
            rows = order[(wanted[order] >= start) & (wanted[order] < start + BLOCK)]
            if len(rows):
                found[rows] = data[start:start + BLOCK][wanted[rows] - start]
        return found


def codebooks(path, trial):
    """The codebook snapshots of a trial, by epoch and number of the codebook; an empty list while there are none."""
    with open_file(path) as file:
        row, n = int(file["codebook_row"][trial]), int(file["n_snapshots"][trial])
        if row < 0 or n == 0:
            return []
        group = file[f"codebooks/K{file['K'][trial]}_d{file['d'][trial] // file['groups'][trial]}"]
        return [Snapshot(int(group["epoch"][i]), int(group["codebook"][i]), group["codes"][i], group["usage"][i])
                for i in range(row, row + n)]


def arrays(path, name):
    """The arrays called `name` of all trials that have one: a list, an Arrays for each shape there is. `values` is an
    array over `dims`, the first of which is "trial"; `trials` are the trials along it, `labels` those of each other
    dimension, by its name: texts, or numbers from 0."""
    found = []
    with open_file(path) as file:
        for group in (file["arrays"][n] for n in _links(file["arrays"]) if n.rpartition("_")[0] == name):
            scales = {d[0].name.rpartition("/")[2]: d[0] for d in list(group["value"].dims)[1:]}
            labels = {n: _column(scale).tolist() for n, scale in scales.items()}
            found.append(Arrays(group["trial"][:], ("trial", *labels), labels, group["value"][:]))
    return found


def array_of(path, name, trials):
    """The array called `name` of each of these trials that has one: {trial: values}. Reads no others, unlike arrays()."""
    found = {}
    with open_file(path) as file:
        for group in (file["arrays"][n] for n in _links(file["arrays"]) if n.rpartition("_")[0] == name):
            for row in numpy.flatnonzero(numpy.isin(group["trial"][:], trials)).tolist():
                found[int(group["trial"][row])] = group["value"][row]
    return found


def dataset(path):
    """The file as an xarray Dataset, read lazily; close it when done."""
    import xarray  # takes long to import, and not everyone has it
    with open_file(path):
        pass
    return xarray.open_dataset(path, engine="h5netcdf")


# ---- pieces ----------------------------------------------------------------------------------------------------------


def _links(group):
    """Names in the order in which they were created, which is that of the program's tables."""
    opened = h5py.h5g.open(group.id, b".")  # must outlive its links
    return sorted(group, key=lambda name: opened.links.get_info(name.encode()).corder)


def _column(data):
    if data.attrs.get("constant") and len(data):  # one value in all rows, as most settings of a sweep are
        first = _column_of(data[:1])
        return numpy.full(len(data), first[0], dtype=first.dtype)
    return _column_of(data)


def _column_of(data):
    if not h5py.check_string_dtype(data.dtype):
        return data[:]
    column = numpy.empty(len(data), dtype=object)
    for start in range(0, len(data), BLOCK):
        block, here = data[start:start + BLOCK], column[start:start + BLOCK]
        left = numpy.ones(len(block), bool)
        for _ in range(FEW):  # a text that occurs often is decoded and kept once
            first = block[left.argmax()]
            same = block == first
            here[same] = first.decode()
            left &= ~same
            if not left.any():
                break
        else:
            here[:] = [text.decode() for text in block.tolist()]
    return column


def _contrasts(path, job, studies):
    """The declared contrasts as the program checked them; values are texts, as in the job."""
    if "contrasts" not in job:
        return []
    try:
        import yaml
    except ImportError as error:
        raise StoreError(f"{path}: its job declares contrasts, and reading them needs the module yaml: "
                         "apt-get install python3-yaml", 7) from error
    declared = yaml.load(job, yaml.BaseLoader).get("contrasts", [])
    if declared and not studies:
        raise StoreError(f"{path}: declares contrasts, but has no study", 5)
    return [Contrast(c["name"], c.get("study", studies[0]), c["metric"], c["axis"], tuple(c["values"]),
                     dict(c.get("where", {})), list(c.get("each", [])),
                     float(c["effect"]) if "effect" in c else None) for c in declared]


def _add_journal(path, trials):
    """Fills in the trials that ended after the file was written."""
    if not os.path.exists(path):
        return
    pending = numpy.flatnonzero(~trials.status.isin(["completed", "diverged"]))
    try:
        found = vqsweep_journal.records(path, trials.attrs["metrics"], trials.attrs["curves"]) if len(pending) else {}
    except FileNotFoundError:  # the run has ended this moment, and its file with it is another one: load again
        return
    except ImportError as error:
        raise StoreError(f"{path}: reading a run that goes on needs the module {error.name}: "
                         f"apt-get install python3-{error.name}", 7) from error
    except (vqsweep_journal.JournalError, ValueError) as error:
        raise StoreError(str(error), 5) from error
    records = [found[t] for t in pending if t in found]
    if not records:
        return
    rows = trials.index[[r.trial for r in records]]
    for name in RUN_COLUMNS & set(trials.columns) - {"codebook_row"}:
        trials.loc[rows, name] = [getattr(r, name) for r in records]
    for i, name in enumerate(trials.attrs["metrics"]):
        if name in trials.columns:
            trials.loc[rows, name] = [r.metrics[i] for r in records]
    trials.attrs["live"] = len(records)


def _plain(value):
    return value.item() if isinstance(value, numpy.generic) else value
