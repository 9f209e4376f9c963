#!/usr/bin/python3
"""Makes a report of a result file: HTML that opens from disk, figures as SVG and PNG, tables as Markdown, CSV and LaTeX.

    analysis/report.py results/seed_study.h5 -o results/report
    analysis/report.py new.h5 old.h5 -o what_changed          compares two sweeps as well

DIR/report.html needs no network, and without JavaScript lacks only the part to explore. Exit codes: 2 usage, 4 no such
file or cannot write, 5 not a usable result file, 7 a Debian package is missing, 65 nothing to report (no study, or no
trial completed), 75 the run is unfinished (--preliminary reports what there is).
"""
import argparse
import base64
import io
import itertools
import json
import os
import sys

try:
    import jinja2
    import numpy
    import compare
    import explorer
    import drawing
    import figures
    import gradients
    import reconstructions
    import report_tables
    import study
    import summary
    import tables
    import tabulate
    import views
    import vqsweep_store
except ImportError as error:
    print(f"report.py: this Python ({sys.executable}) has no module {error.name}: "
          f"apt-get install python3-{error.name}, and run it with /usr/bin/python3", file=sys.stderr)
    sys.exit(7)

HERE = os.path.dirname(os.path.abspath(__file__))
MARKS = {"holds": "holds", "does not hold": "fails", "undecided": "open", "depends": "depends"}
LOOK = {"holds": "✓", "does not hold": "✗", "undecided": "?", "depends": "◐"}
PRINT_DPI = 200  # enough for print at column width, and quicker than 300


def check(path, trials, preliminary):
    """What keeps a file from being reported, as one line."""
    if not len(trials) or not any(len(members) for members in trials.attrs["studies"].values()):
        raise vqsweep_store.StoreError(f"{path}: nothing to report: the file has no study with trials", 65)
    pending = int(numpy.sum(trials.status == "pending"))
    if pending and not preliminary:
        raise vqsweep_store.StoreError(f"{path}: the run is unfinished: {pending} of {len(trials)} trials have not run "
                                       "yet; finish it, or give --preliminary", 75)
    if not (trials.status == "completed").any():
        raise vqsweep_store.StoreError(f"{path}: nothing to report: none of {len(trials)} trials completed", 65)


def analyse(path, trials):
    """Everything the template shows of one file, except figures."""
    planned = study.planned_results(trials)
    in_seed_study = [n for n in tables.TABLES if n in trials.attrs["studies"]]
    findings = study.findings(trials, planned) if in_seed_study else {}
    cells = study.seed_cells(trials) if in_seed_study else []
    exploratory = [] if findings else views.exploratory(trials)
    findings.update(gradients.findings(trials, path))
    head, sentences = (summary.of_seed_study(findings, cells) if in_seed_study and findings else
                       summary.of_contrasts(planned, exploratory))
    sentences += summary.casualties(trials)
    made = {"verdicts": report_tables.verdict_table(findings), "evidence": report_tables.evidence_table(findings),
            "agreement": report_tables.agreement_table(cells), "planned": report_tables.contrast_table(planned, True),
            "exploratory": report_tables.contrast_table(exploratory, False),
            "power": report_tables.power_table(planned or exploratory), "trials": report_tables.trials_table(trials),
            "failures": report_tables.messages_table(trials)}
    probed = gradients.last_epochs(gradients.probes(path, trials))
    if len(probed):
        made["probes"] = report_tables.probes_table(probed, trials)
    for name in in_seed_study:
        of_study = [c for c in cells if c.study == name]
        made[f"seed_{name}"] = report_tables.seed_table(of_study, name)
        made[f"collapse_{name}"] = report_tables.collapse_table(trials, name)
    for name in trials.attrs["studies"]:
        made[f"cells_{name}"] = report_tables.cells_table(trials, name)
        for metric in views.metrics(trials, name):
            made[f"ranking_{name}_{metric}"] = report_tables.ranking_table(trials, name, metric)
    made = {name: table for name, table in made.items() if table and table.rows}
    return {"headline": head, "sentences": sentences, "findings": findings, "planned": planned, "cells": cells,
            "exploratory": exploratory, "tables": made,
            "untested": summary.untested(findings) if in_seed_study else [],
            "rankings": [n for n in made if n.startswith("ranking_")]}


# ---- files -----------------------------------------------------------------------------------------------------------


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb" if isinstance(content, bytes) else "w", **({} if isinstance(content, bytes)
                                                                    else {"encoding": "utf-8"})) as file:
        file.write(content)


def write_tables(folder, made):
    for table in made.values():
        for ending, text in (("md", tabulate.to_markdown(table)), ("csv", tabulate.to_csv(table)),
                             ("tex", tabulate.to_latex(table))):
            write(f"{folder}/tables/{table.name}.{ending}", text)


def write_figures(folder, drawn):
    """Saves them and gives what the template needs: the SVG itself, so that the page stands alone."""
    shown, captions = [], []
    for figure in drawn:
        if isinstance(figure, drawing.Missing):
            shown.append({"title": figure.title, "missing": figure.reason})
            continue
        images = {}
        for ending in ("svg", "png"):
            out = io.BytesIO()
            figure.drawing.savefig(out, format=ending, dpi=PRINT_DPI, bbox_inches="tight",
                                   metadata={"Date": None} if ending == "svg" else None)
            images[ending] = out.getvalue()
            write(f"{folder}/figures/{figure.name}.{ending}", images[ending])
        drawing.pyplot.close(figure.drawing)
        captions.append(f"{figure.name}: {figure.title}. {figure.caption}\n")
        shown.append({"name": figure.name, "title": figure.title, "caption": figure.caption, "alt": figure.alt,
                      "inches": round(float(figure.drawing.get_figwidth()), 2),
                      "svg": base64.b64encode(images["svg"]).decode()})
    write(f"{folder}/figures/captions.txt", "\n".join(captions))
    return shown


def is_exhibited(shown):
    return shown.get("name", "").startswith("reconstructions_")


def page(**content):
    """The template filled in; style, script and data are part of the page."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["embedded"] = reconstructions.embedded
    environment.filters["table"] = lambda table: jinja2.utils.markupsafe.Markup(tabulate.to_html(table, MARKS))

    def read(name):
        with open(f"{HERE}/{name}", encoding="utf-8") as file:
            return jinja2.utils.markupsafe.Markup(file.read())
    return environment.get_template("report.html").render(style=read("report.css"), script=read("report.js"),
                                                          marks=MARKS, look=LOOK, **content)


def make(path, other, folder, preliminary, narrow=False):
    trials = study.with_late_drift(vqsweep_store.load(path), lambda name, of: vqsweep_store.curve(path, name, of))
    check(path, trials, preliminary)
    trials = study.with_codebook_metrics(trials, vqsweep_store.arrays(path, "level_metrics"))
    found = analyse(path, trials)
    changes = None
    if other:
        changes = compare.files(path, trials, other, vqsweep_store.load(other))
        found["tables"].update(changes.tables)
    write_tables(folder, found["tables"])
    with drawing.matplotlib.rc_context(drawing.NARROW if narrow else drawing.STYLE):  # savefig lays out anew
        exhibits = reconstructions.exhibits(path, trials)
        drawn = write_figures(folder, itertools.chain(
            figures.all_figures(trials, path, found["planned"] or found["exploratory"], found["cells"]),
            reconstructions.figures(exhibits)))
    for name, content in reconstructions.files(exhibits):
        write(f"{folder}/reconstructions/{name}", content)
    counts = {s: int(numpy.sum(trials.status == s)) for s in ("completed", "diverged", "failed", "pending")}
    data = json.dumps(explorer.data(trials), separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    write(f"{folder}/report.html", page(
        title=trials.attrs["file"].get("title") or os.path.basename(path), file=os.path.basename(path),
        attributes=trials.attrs["file"], provenance=trials.attrs["provenance"], job=trials.attrs["job"],
        counts=counts, declared_first=study.declared_first(trials), n=len(trials),
        seeds=int(trials.seed.nunique()), live=trials.attrs["live"],
        overall=study.overall, where=report_tables.where,
        effect=summary.effect, margins=summary.margins(), changes=changes, exhibits=exhibits,
        figures=[f for f in drawn if not is_exhibited(f)],
        exhibited={f["name"]: f for f in drawn if is_exhibited(f)},
        data=jinja2.utils.markupsafe.Markup(data), **found))
    return counts


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", metavar="FILE", help="result file of `vqsweep run`")
    parser.add_argument("other", metavar="FILE2", nargs="?", help="an earlier one: what changed between the two")
    parser.add_argument("-o", metavar="DIR", dest="folder", required=True, help="where the report goes")
    parser.add_argument("--preliminary", action="store_true", help="also of a run that is not finished")
    parser.add_argument("--column", action="store_true", help="figures for one column of a paper, not for a page")
    arguments = parser.parse_args(arguments)
    try:
        make(arguments.file, arguments.other, arguments.folder, arguments.preliminary, arguments.column)
    except vqsweep_store.StoreError as error:
        print(f"report.py: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"report.py: {error.filename or arguments.folder}: {error.strerror or error}", file=sys.stderr)
        return 4
    print(f"{arguments.folder}/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
