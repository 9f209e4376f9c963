#!/usr/bin/python3
"""Prints the seed study's three tables from a result file, beside the figures the seed study reported.

    analysis/tables.py results/seed_study.h5 [--format text|markdown|csv] [--table scaling|noise|commitment]

A cell is one value of the table's axis under one regime (decoder, codebook initialisation). Exit codes are those of
vqsweep: 2 usage, 4 no such file, 5 not a usable result file, 7 a Debian package is missing.
"""
import argparse
import csv
import signal
import sys
from collections import namedtuple

try:
    import numpy
    import vqsweep_store
except ImportError as error:
    print(f"tables.py: this Python ({sys.executable}) has no module {error.name}: "
          f"apt-get install python3-{error.name}, and run it with /usr/bin/python3", file=sys.stderr)
    sys.exit(7)

ESTIMATORS = ("ste", "rotation")
EQUAL = 0.0005  # two values are equal to 3 digits when they differ by less than this share of the larger

# ---- what the seed study reported: mean and population SD over seeds 1, 2, 3 (SEED_STUDY.md) ----------------------------
# Each is (ste, rotation); k-means is one value. Held-out errors and rates of collapse were not reported.

SEED_N = 3
SEED_SCALING = {  # K
    4: {"dead_codes_train": ((0.0, 0.0), (0.0, 0.0)), "entropy_train": ((1.34, 0.06), (1.37, 0.01))},
    8: {"dead_codes_train": ((0.0, 0.0), (0.0, 0.0)), "entropy_train": ((2.00, 0.05), (2.03, 0.01))},
    16: {"dead_codes_train": ((0.0, 0.0), (0.0, 0.0)), "entropy_train": ((2.65, 0.02), (2.64, 0.03))},
    32: {"dead_codes_train": ((5.7, 8.0), (0.0, 0.0)), "entropy_train": ((2.93, 0.52), (3.25, 0.07))},
    64: {"dead_codes_train": ((25.7, 18.2), (3.0, 4.2)), "entropy_train": ((3.00, 0.62), (3.77, 0.15))},
}
SEED_NOISE = {  # sigma
    0.0: {"mse_train": ((0.0156, 0.0003), (0.0155, 0.0002)), "entropy_train": ((1.70, 0.67), (2.17, 0.28))},
    0.1: {"mse_train": ((0.0254, 0.0002), (0.0254, 0.0002)), "entropy_train": ((2.64, 0.04), (2.60, 0.05))},
    0.3: {"mse_train": ((0.1045, 0.0001), (0.1045, 0.0001)), "entropy_train": ((2.76, 0.00), (2.77, 0.00))},
}
SEED_COMMITMENT = {  # beta
    0.0: {"dead_codes_train": ((15.0, 0.0), (15.0, 0.0)), "kmeans": 2.76},
    0.1: {"dead_codes_train": ((8.0, 5.7), (3.7, 5.2)), "kmeans": 2.75},
    0.25: {"dead_codes_train": ((0.0, 0.0), (0.0, 0.0)), "kmeans": 2.75},
    1.0: {"dead_codes_train": ((0.0, 0.0), (0.0, 0.0)), "kmeans": 2.75},
}

# ---- the tables ------------------------------------------------------------------------------------------------------
# A table is wide, so it is shown in panels. A column stands for one metric under both estimators; `n` counts completed
# trials, `collapsed` is k/n, `kmeans` the entropy of the k-means baseline on the same data, K and seeds.

Column = namedtuple("Column", "metric header decimals sd")
Table = namedtuple("Table", "title axis seed panels")

N = Column("n", "trials", 0, False)
DEAD = Column("dead_codes_train", "dead codes", 1, True)
ENTROPY = Column("entropy_train", "entropy, nat", 2, True)
COLLAPSED = Column("collapsed", "collapsed k/n", 0, False)
KMEANS = Column("kmeans", "k-means", 2, True)
MSE = Column("mse_train", "reconstruction MSE", 4, True)
MSE_HELD_OUT = Column("mse_eval", "MSE, held-out samples", 4, True)
EXPLAINED = Column("explained_variance_train", "expl. variance", 3, False)
RECOVERY = Column("subspace_recovery", "subspace recov.", 2, False)

TABLES = {
    "scaling": Table("Scaling", "K", SEED_SCALING, {"codes": (DEAD, COLLAPSED, ENTROPY, KMEANS)}),
    "noise": Table("Noise robustness", "sigma", SEED_NOISE,
                   {"reconstruction": (N, MSE, MSE_HELD_OUT),
                    "codes and encoder": (ENTROPY, KMEANS, COLLAPSED, EXPLAINED, RECOVERY)}),
    "commitment": Table("Commitment", "beta", SEED_COMMITMENT, {"codes": (DEAD, COLLAPSED, ENTROPY, KMEANS)}),
}
PAIRED = (DEAD, ENTROPY, MSE)  # decimals + 1 are shown

# Settings that decide the data and the size of the codebook: what a k-means baseline shares with a cell.
KMEANS_KEYS = ["data", "path", "D", "r", "sigma", "latent", "latent_scale", "N", "d", "K", "seed"]
# Settings named in a title when the whole study shares them.
TITLE_SETTINGS = ["K", "sigma", "beta", "D", "r", "d", "N", "epochs"]

# ---- from trials to cells --------------------------------------------------------------------------------------------

# One value of the axis under one regime: `of` maps an estimator to its trials, whatever became of them.
Cell = namedtuple("Cell", "value decoder init of kmeans")


def key(trials, names):
    """A text for each trial, equal for trials of equal settings `names`; missing is equal to missing."""
    return trials[names].astype(str).agg("|".join, axis=1)


def completed(trials):
    return trials[trials.status == "completed"]


def cells(trials, study, axis):
    """The cells of a study, by value of its axis; regimes in the order of the plan."""
    kmeans = completed(trials[trials.estimator == "kmeans"])
    kmeans_key = key(kmeans, KMEANS_KEYS)
    ours = trials.loc[trials.attrs["studies"][study]]
    ours = ours[ours.estimator.isin(ESTIMATORS)]
    result = []
    for (value, decoder, init), cell in ours.groupby([axis, "decoder", "codebook_init"], sort=False, dropna=False):
        baseline = kmeans[kmeans_key.isin(key(cell, KMEANS_KEYS))]
        result.append(Cell(value, decoder, init, {e: cell[cell.estimator == e] for e in ESTIMATORS}, baseline))
    return sorted(result, key=lambda cell: cell.value)


def values(cell, metric, estimator):
    """The metric of the cell's completed trials; of the baseline's entropy where `metric` is kmeans."""
    if metric == "kmeans":
        return cell.kmeans.entropy_train.to_numpy(float)
    return completed(cell.of[estimator])[metric].to_numpy(float)


def pairs(cell, metric, settings):
    """Arrays (ste, rotation) over the pairs of completed trials whose settings differ in the estimator alone."""
    shared = [name for name in settings if name != "estimator"]
    ste, rotation = (completed(cell.of[e]) for e in ESTIMATORS)
    ste, rotation = (t[metric].set_axis(key(t, shared)).astype(float) for t in (ste, rotation))
    both = ste.index.intersection(rotation.index)
    return ste[both].to_numpy(), rotation[both].to_numpy()


def count_equal(x, y):
    return int(numpy.sum(numpy.abs(x - y) <= EQUAL * numpy.maximum(numpy.abs(x), numpy.abs(y))))


def standard_error(x):
    return numpy.std(x, ddof=1) / numpy.sqrt(len(x)) if len(x) > 1 else numpy.nan


def missing(cell):
    """What keeps trials of a cell out of its numbers: "ste 1 failed, rotation 2 pending", or nothing."""
    return ", ".join(f"{e} {numpy.sum(cell.of[e].status == status)} {status}" for e in ESTIMATORS
                     for status in ("failed", "diverged", "pending") if (cell.of[e].status == status).any())


# ---- from cells to texts ---------------------------------------------------------------------------------------------


def number(x, decimals, sign=""):
    return f"{round(float(x), decimals) + 0.0:{sign}.{decimals}f}" if numpy.isfinite(x) else "-"  # no -0.00


def plus_minus(x, decimals, spread, sign=""):
    return f"{number(x, decimals, sign)} ± {number(spread, decimals)}"


def ours_text(cell, column, estimator):
    x = values(cell, column.metric if column.metric != "n" else "mse_train", estimator)
    if column.metric == "n":
        return str(len(x))
    if len(x) == 0:
        return "-"
    if column.metric == "collapsed":
        return f"{numpy.sum(x):.0f}/{len(x)}"
    return plus_minus(x.mean(), column.decimals, x.std()) if column.sd else number(x.mean(), column.decimals)


def seed_text(seed, column, i):
    if column.metric == "n":
        return str(SEED_N)
    if column.metric not in seed:
        return "-"
    if column.metric == "kmeans":
        return number(seed["kmeans"], column.decimals)
    return plus_minus(seed[column.metric][i][0], column.decimals, seed[column.metric][i][1])


def panel(table, found, columns):
    """(groups, header, rows): groups are (text, columns spanned); a row is a list of texts, None is a gap."""
    groups, header = [("", 2)], [table.axis, "regime"]
    for c in columns:
        names = ("entropy",) if c.metric == "kmeans" else ESTIMATORS
        groups.append((c.header, len(names)))
        header += names
    rows, last = [], None
    for cell in found:
        shown = f"{cell.value:g}" if cell.value != last else ""
        if shown:
            rows.append(None)
            if cell.value in table.seed:
                texts = [seed_text(table.seed[cell.value], c, i) for c in columns
                         for i in range(1 if c.metric == "kmeans" else 2)]
                rows.append([shown, "seed study"] + texts)
                shown = ""
        last = cell.value
        texts = [ours_text(cell, c, e) for c in columns for e in (ESTIMATORS[:1] if c.metric == "kmeans" else ESTIMATORS)]
        rows.append([shown, f"{cell.decoder}, {cell.init}"] + texts)
    return groups, header, rows[1:]


def paired_panel(table, found, settings):
    groups, header = [("", 3)], [table.axis, "regime", "pairs"]
    for c in PAIRED:
        groups.append((c.header, 2))
        header += ["rotation - ste", "equal"]
    rows, last = [], None
    for cell in found:
        if cell.value != last:
            rows.append(None)
        row = [f"{cell.value:g}" if cell.value != last else "", f"{cell.decoder}, {cell.init}"]
        last = cell.value
        for c in PAIRED:
            x, y = pairs(cell, c.metric, settings)
            if c is PAIRED[0]:
                row.append(str(len(x)))
            row.append(plus_minus((y - x).mean(), c.decimals + 1, standard_error(y - x), "+") if len(x) else "-")
            row.append(f"{count_equal(x, y)}/{len(x)}")
        rows.append(row)
    return groups, header, rows[1:]


def print_text(groups, header, rows):
    width = [max(len(row[i]) for row in [header] + [r for r in rows if r]) for i in range(len(header))]
    spans, first = [], 0
    for text, span in groups:  # a group's heading may be wider than its columns
        spans.append(range(first, first + span))
        first += span
        width[first - 1] += max(0, len(text) - sum(width[i] for i in spans[-1]) - 2 * (span - 1))

    def show(row):
        print("    ".join("  ".join(row[i].ljust(width[i]) if i == 1 else row[i].rjust(width[i]) for i in span)
                          for span in spans).rstrip())
    print("    ".join(text.center(sum(width[i] for i in span) + 2 * (len(span) - 1))
                      for (text, _), span in zip(groups, spans)).rstrip())
    show(header)
    print("-" * (sum(width) + 2 * (len(width) - 1) + 2 * (len(groups) - 1)))
    for row in rows:
        show(row) if row else print()
    print()


def print_markdown(groups, header, rows):
    full = [text for text, span in groups for _ in range(span)]
    names = [f"{group}: {name}" if group else name for group, name in zip(full, header)]
    print("| " + " | ".join(names) + " |")
    print("|" + "|".join(" --- " if i == 1 else " ---: " for i in range(len(names))) + "|")
    for row in rows:
        if row:
            print("| " + " | ".join(row) + " |")
    print()


def print_tables(trials, names, markdown):
    show = print_markdown if markdown else print_text
    bold = (lambda text: f"**{text}**") if markdown else str
    for name in names:
        table = TABLES[name]
        found = cells(trials, name, table.axis)
        study = trials.loc[trials.attrs["studies"][name]]
        study = study[study.estimator.isin(ESTIMATORS)]
        fixed = ", ".join(f"{s} {study[s].iloc[0]:g}" for s in TITLE_SETTINGS if study[s].nunique() == 1)
        for what, columns in table.panels.items():
            print(bold(f"{table.title}: {what}. {table.axis} varies; {fixed}."), end="\n\n")
            show(*panel(table, found, columns))
        print(bold(f"{table.title}: rotation against ste, paired by seed. Mean difference ± standard error."), end="\n\n")
        show(*paired_panel(table, found, trials.attrs["settings"]))
        for cell in found:
            if missing(cell):
                print(f"Not in the numbers of {table.axis} {cell.value:g}, {cell.decoder}, {cell.init}: {missing(cell)}.")
        pooled = [s for s in trials.attrs["settings"] if study[s].nunique() > 1
                  and s not in (table.axis, "decoder", "codebook_init", "estimator", "seed")]
        if pooled:
            print(f"Every cell pools over {', '.join(pooled)}.")
        print()


def print_csv(trials, names):
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow("table axis value decoder codebook_init source estimator metric n mean sd se equal".split()
                 + ["failed", "diverged", "pending"])
    for name in names:
        table = TABLES[name]
        columns = [c for columns in table.panels.values() for c in columns if c.metric not in ("n", "kmeans")]
        found = cells(trials, name, table.axis)
        for value in dict.fromkeys(cell.value for cell in found):
            for metric, seed in table.seed.get(value, {}).items():
                if metric == "kmeans":
                    out.writerow([name, table.axis, value, "", "", "seed", "kmeans", "entropy_train", "", seed] + [""] * 6)
                    continue
                for e, (mean, sd) in zip(ESTIMATORS, seed[:2]):
                    out.writerow([name, table.axis, value, "", "", "seed", e, metric, SEED_N, mean, sd] + [""] * 5)
        for cell in found:
            where = [name, table.axis, cell.value, cell.decoder, cell.init, "vqsweep"]
            x = values(cell, "kmeans", None)
            out.writerow(where + ["kmeans", "entropy_train"] + moments(x) + [""] * 5)
            for c in columns:
                for e in ESTIMATORS:
                    lost = [numpy.sum(cell.of[e].status == s) for s in ("failed", "diverged", "pending")]
                    out.writerow(where + [e, c.metric] + moments(values(cell, c.metric, e)) + ["", ""] + lost)
            for c in PAIRED:
                x, y = pairs(cell, c.metric, trials.attrs["settings"])
                mean, se = moments(y - x)[1], standard_error(y - x)
                out.writerow(where + ["rotation - ste", c.metric, len(x), mean, "", se, count_equal(x, y), "", "", ""])


def moments(x):
    return [len(x), x.mean(), x.std()] if len(x) else [0, "", ""]


# ---- the program -----------------------------------------------------------------------------------------------------


def print_head(path, trials):
    counts = [(numpy.sum(trials.status == s), s) for s in ("completed", "failed", "diverged", "pending")]
    print(f"{path}: {len(trials)} trials: " + ", ".join(f"{n} {s}" for n, s in counts) + ".")
    if counts[-1][0]:
        print(f"UNFINISHED: {counts[-1][0]} of {len(trials)} trials have not run yet; every figure below is preliminary.")
    print()


def print_legend():
    print("regime: decoder, codebook initialisation. Training samples unless a heading says otherwise. Mean ± population")
    print("standard deviation over completed trials, as in the seed study; it had n = 3 and reported no rates of collapse.")
    print("collapsed k/n: trials with at least a tenth of the codes dead. k-means: the baseline's entropy on the same data.")
    print(f"equal: pairs that differ by at most {EQUAL:g} of the larger value, that is, equal to 3 digits.")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", metavar="FILE", help="result file of `vqsweep run`")
    parser.add_argument("--format", choices=["text", "markdown", "csv"], default="text")
    parser.add_argument("--table", choices=list(TABLES), help="this one only")
    arguments = parser.parse_args(arguments)
    try:
        trials = vqsweep_store.load(arguments.file)
        studies = trials.attrs["studies"]
        wanted = [arguments.table] if arguments.table else list(TABLES)
        names = [name for name in wanted if name in studies]
        if not names:
            raise vqsweep_store.StoreError(f"{arguments.file}: no study called {' or '.join(wanted)}; it has: "
                                           f"{', '.join(studies)}", 5)
    except vqsweep_store.StoreError as error:
        print(f"tables.py: {error}", file=sys.stderr)
        return error.exit_code
    if arguments.format == "csv":
        print_csv(trials, names)
        return 0
    print_head(arguments.file, trials)
    print_tables(trials, names, arguments.format == "markdown")
    print_legend()
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `tables.py FILE | head` ends quietly
    sys.exit(main(sys.argv[1:]))
