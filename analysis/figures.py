"""The figures of the report. Each function gives a Figure with a caption that states n and the data, or Missing with
the reason. What a figure shows of a study is decided in views.py; how figures look, in drawing.py.
"""
import os
import re
import textwrap

import numpy

import figures_plane
import figures_ranking
import inference
import report_tables
import study
import tables
import views
import vqsweep_store
from drawing import (BLACK, COLUMN, KNOWN, PAGE, VERMILION, Figure, Missing, abreast, canvas, heat, label_rows, legend,
                     level_limits, name_panels, panel_grid, regime_title, style, ticks)
from views import BASELINE, by_seed, has, of_panel, view

SHORT = {"dead_codes_train": "dead codes", "entropy_train": "entropy [nat]", "entropy_eval": "entropy, held-out [nat]",
         "mse_train": "reconstruction MSE", "mse_eval": "MSE, held-out", "lloyd_gap": "Lloyd gap",
         "subspace_recovery": "subspace recovery"}
PREFERRED_CURVES = ["loss_rec", "entropy", "dead_codes"]
MOST_EFFECTS = 60
SIGNIFICANT = {True: (VERMILION, "s"), False: (BLACK, "o")}


def label(trials, name):
    if name in SHORT:
        return SHORT[name]
    unit = trials.attrs["units"].get(name, "1")
    text = trials.attrs["long_names"].get(name, name).replace(", training", "")
    return text if unit in ("1", "codes") else f"{text} [{unit}]"


def wrapped(text):
    return textwrap.fill(text, 26)


def about(v, rest="", one_axis_value=None, together="Averaged by seed over"):
    """What data a figure shows: n, the study, what is fixed, what is averaged over, what is missing."""
    fixed = [f"{s} {v.rows[s].dropna().iloc[0]:g}" for s in tables.TITLE_SETTINGS
             if s in v.rows and s != v.axis and v.rows[s].nunique() == 1]
    if "path" in v.rows:
        fixed = [os.path.basename(p) for p in v.rows.path.unique() if p][:3] + fixed
    pooled = f" {together} {', '.join(v.pooled)}." if v.pooled else ""
    rows = v.rows if one_axis_value is None else v.rows[v.rows[v.axis] == one_axis_value]
    lost = [f"{count} {status}" for status in ("diverged", "failed", "pending")
            if (count := int(numpy.sum(rows.status == status)))]
    missing = f" Not in the figure, for they have no result: {', '.join(lost)} of {len(rows)} trials." if lost else ""
    seeds = f"n = {v.n} seed" + ("s" if v.n != 1 else "")
    return f"{rest} Data: study {v.study}, {seeds}; {', '.join(fixed)}.{pooled}{missing}".strip()


def chosen_series(trials, v):
    """The series that a figure of lines shows, and a sentence when these are not all."""
    names, everything = views.shown(trials, v), views.names(v)
    cut = "" if len(names) == len(everything) else (
        f" {len(names)} of {len(everything)} values of {v.series} are shown: the reference, declared ones and the best; the "
        "ranking has all.")
    return names, cut


# ---- means over an axis ----------------------------------------------------------------------------------------------


def over_axis(trials, name, metrics, seed_cells=()):
    """One metric a row, one regime a panel: mean and 95% interval over the axis, and the seed study's means."""
    v = view(trials, name)
    title = f"{name.capitalize()}: {' and '.join(label(trials, m) for m in metrics)} over {v.axis or 'an axis'}"
    if v.axis is None or v.rows[v.axis].nunique() < 2:
        return Missing(f"axis_{name}", title, f"study {name} has no numeric axis")
    if not metrics:
        return Missing(f"axis_{name}", title, f"study {name} has no metric with a value")
    drawing, axes = panel_grid(len(v.panels), len(metrics))
    names, cut = chosen_series(trials, v)
    looks, values = style(views.names(v)), sorted(v.rows[v.axis].dropna().unique())
    for row, metric in zip(axes, metrics):
        for ax, where in zip(row, v.panels.values()):
            rows = of_panel(v, where)
            for i, series in enumerate(names):
                shift = 0.06 * (i - (len(names) - 1) / 2)
                line_with_intervals(ax, rows[rows.series == series], v.axis, metric, values, looks[series], series, shift)
            seed_points(ax, seed_cells, name, metric, values)
            ax.set_xlabel(v.axis if metric == metrics[-1] else "")
        label_rows(row, wrapped(label(trials, metric)))
        level_limits(row)
    name_panels(axes, v.panels)
    drawing.canvas.draw()
    for ax in axes.flat:
        ticks(ax, values)
    legend(drawing, axes)
    seeds = " Crosses: the seed study's mean, with its SD (3 runs) in grey." if seed_cells else ""
    return Figure(f"axis_{name}", title, about(v, "Mean over seeds with 95% interval." + seeds + cut),
                  f"Lines over {v.axis}, a panel for each regime.", drawing)


def line_with_intervals(ax, group, axis, metric, values, look, name, shift):
    colour, marker, line = look
    if name == BASELINE and metric != "entropy_train" or group[metric].notna().sum() == 0:
        return
    x, mean, low, high = [], [], [], []
    cells = {a: by_seed(c, metric) for a, c in group.groupby(axis)} if group[axis].notna().any() else {}
    if not cells:  # what knows no such setting has one level for all
        cells = {value: by_seed(group, metric) for value in values}
    for value, cell in cells.items():
        if len(cell):
            interval = views.interval(metric, cell)
            x.append(values.index(value) + shift)
            mean.append(cell.mean())
            low.append(cell.mean() - interval.low if len(cell) > 1 else 0)
            high.append(interval.high - cell.mean() if len(cell) > 1 else 0)
    ax.errorbar(x, mean, numpy.maximum(0, [low, high]), color=colour, marker=marker, linestyle=line, label=name,
                capsize=2, elinewidth=0.9)


def seed_points(ax, cells, name, metric, values):
    """The seed study's two estimators, to the sides of each value."""
    found = {(c.value, c.estimator): c for c in cells if c.study == name and c.metric == metric}
    for (value, estimator), c in found.items():
        x = values.index(value) + (0.2 if estimator == tables.ESTIMATORS[1] else -0.2)
        ax.errorbar([x], [c.seed_mean], [c.seed_sd], color="#b0b0b0", ecolor="#b0b0b0", elinewidth=1.5, marker="x",
                    markeredgecolor=KNOWN[estimator][0], linestyle="none", zorder=1, label=f"{estimator}, seed study")


def over_codebooks(trials, name):
    """Metrics of each codebook of residual or product quantisation."""
    v = view(trials, name)
    title = f"{name.capitalize()}: each codebook by itself"
    families = {}
    for metric in trials.attrs["metrics"]:
        found = re.fullmatch(r"(.+)_codebook(\d+)", metric)
        if found and has(v.rows, metric):
            families.setdefault(found[1], []).append((int(found[2]), metric))
    if not families:
        return None
    families = dict(list(families.items())[:3])
    drawing, axes = panel_grid(len(v.panels), len(families))
    names, cut = chosen_series(trials, v)
    looks = style(views.names(v))
    for row, (family, levels) in zip(axes, families.items()):
        for ax, where in zip(row, v.panels.values()):
            rows = of_panel(v, where)
            for series in names:
                cells = [(n, by_seed(rows[rows.series == series], m)) for n, m in sorted(levels)]
                cells = [(n, cell, inference.mean_interval(cell)) for n, cell in cells if len(cell)]
                if cells:
                    colour, marker, line = looks[series]
                    bars = numpy.array([[c.mean() - i.low, i.high - c.mean()] for _, c, i in cells]).T
                    ax.errorbar([n for n, *_ in cells], [c.mean() for _, c, _ in cells], numpy.nan_to_num(bars),
                                color=colour, marker=marker, linestyle=line, label=series, capsize=2, elinewidth=0.9)
            ax.set_xticks([n for n, _ in sorted(levels)])
            ax.set_xlabel("codebook")
        label_rows(row, wrapped(family.replace("_", " ")))
        level_limits(row)
    name_panels(axes, v.panels)
    legend(drawing, axes)
    axis = f" Averaged over {v.axis}." if v.axis else ""
    return Figure(f"codebooks_{name}", title, about(v, "Mean over seeds with 95% interval." + axis + cut),
                  "Lines over codebooks, a panel for each regime.", drawing)


# ---- distributions, curves, usage ------------------------------------------------------------------------------------


def distributions(trials, name, metric):
    """Every seed as a dot, the trials of a seed joined: what means hide."""
    v = view(trials, name)
    title = f"{name.capitalize()}: {label(trials, metric)}, every seed"
    names, cut = chosen_series(trials, v)
    names = [s for s in names if s != BASELINE]
    if not names:
        return Missing(f"seeds_{name}", title, f"study {name} trains nothing")
    values = sorted(v.rows[v.axis].dropna().unique()) if v.axis else [None]
    cut += f" The {3} largest of {len(values)} values of {v.axis} are shown." if len(values) > 3 else ""
    values = values[-3:]
    drawing, axes = panel_grid(len(v.panels), 1, 2.0)
    looks = style(views.names(v))
    for ax, where in zip(axes[0], v.panels.values()):
        rows = of_panel(v, where, with_baseline=False)
        for i, value in enumerate(values):
            cell = rows if value is None else rows[rows[v.axis] == value]
            wide = cell.pivot_table(index="seed", columns="series", values=metric).reindex(columns=names)
            width = 0.6 / max(1, len(names))
            x = i + (numpy.arange(len(names)) - (len(names) - 1) / 2) * width
            jitter = 0.25 * width * (numpy.arange(len(wide)) / max(1, len(wide) - 1) - 0.5)
            ax.plot(x[:, None] + jitter, wide.to_numpy().T, color="#c8c8c8", linewidth=0.4, zorder=1)
            for j, series in enumerate(names):
                colour, marker, _ = looks[series]
                ax.plot(x[j] + jitter, wide[series], marker, color=colour, markersize=2.5, alpha=0.7, linestyle="none",
                        label=series if i == 0 else None)
        ax.set_xticks(range(len(values)), ["" if x is None else f"{x:g}" for x in values])
        ax.set_xlabel(v.axis or "")
    name_panels(axes, v.panels)
    label_rows(axes[0], wrapped(label(trials, metric)))
    level_limits(axes[0])
    legend(drawing, axes)
    return Figure(f"seeds_{name}", title, about(v, "A dot is a seed; a thin line joins its trials." + cut),
                  f"Dots by {v.series}, joined by seed.", drawing)


def one_cell(v, value=None):
    """(value, its rows): the largest value of the axis unless named, that any trial completed."""
    if v.axis is None:
        return None, v.rows
    values = sorted(v.rows[v.axis][(v.rows.status == "completed") & v.rows[v.axis].notna()].unique())
    value = value if value in values else values[-1]
    return value, v.rows[v.rows[v.axis] == value]


def curves(trials, path, name):
    """Median over seeds and the band of the middle 80%."""
    v = view(trials, name)
    value, rows = one_cell(v, 32)
    known = trials.attrs["curves"]
    wanted = ([c for c in PREFERRED_CURVES if c in known] + [c for c in known if c not in PREFERRED_CURVES])[:3]
    at = f" at {v.axis} {value:g}" if v.axis else ""
    title = f"Training: {', '.join(c.replace('_', ' ') for c in wanted)} by epoch{at}"
    done = rows[(rows.status == "completed") & (rows.n_epochs > 0) & (rows.series != BASELINE)]
    read = {c: vqsweep_store.curve(path, c, done.index) for c in wanted}
    wanted = [c for c in wanted if numpy.isfinite(read[c]).any()]
    if not wanted:
        return Missing(f"curves_{name}", title, "no trial has training curves in the file yet")
    drawing, axes = panel_grid(len(v.panels), len(wanted), 1.4)
    names, cut = chosen_series(trials, v)
    looks = style(views.names(v))
    for column, where in enumerate(v.panels.values()):
        here = of_panel(v._replace(rows=done), where)
        for series in [s for s in names if (here.series == s).any()]:
            here_is = done.index.isin(here.index[here.series == series])
            for row, curve in zip(axes, wanted):
                band(row[column], read[curve][here_is], looks[series], series)
        axes[-1][column].set_xlabel("epoch")
    name_panels(axes, v.panels)
    for row, curve in zip(axes, wanted):
        label_rows(row, textwrap.fill(label(trials, "curve_" + curve), 18))
        level_limits(row)
    legend(drawing, axes)
    text = ("Line: median over trials; band: from the 10th to the 90th percentile. Where lines coincide the dashed one lies "
            "on the other.")
    return Figure(f"curves_{name}", title, about(v, text + cut, value, "All together:"),
                  "Training curves with bands, a panel for each regime.", drawing)


def band(ax, y, look, name):
    colour, _, line = look
    epoch, seen = numpy.arange(1, y.shape[1] + 1), numpy.isfinite(y).any(0)
    if seen.any():
        low, middle, high = numpy.nanquantile(y[:, seen], [0.1, 0.5, 0.9], axis=0)
        ax.fill_between(epoch[seen], low, high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(epoch[seen], middle, color=colour, linestyle=line, label=name)


def usage(trials, path, name):
    """Shares of samples by rank of the code: how even the codebook is used at the end."""
    v = view(trials, name)
    value, rows = one_cell(v, 32)
    title = "Code usage at the last epoch" + (f", {v.axis} {value:g}" if v.axis else "")
    rows = rows[(rows.n_snapshots > 0) & (rows.codebook_row >= 0) & (rows.status == "completed")]
    if not len(rows):
        return Missing("usage", title, "no codebook snapshots are stored")
    drawing, axes = panel_grid(len(v.panels), 1, 2.0)
    names, cut = chosen_series(trials, v)
    looks = style(views.names(v))
    for ax, where in zip(axes[0], v.panels.values()):
        here = of_panel(v._replace(rows=rows), where)
        for series in [s for s in names if (here.series == s).any()]:
            group = here[here.series == series]
            codes = group.K * group.levels * group.groups
            shares = figures_plane.shares(path, group[codes == codes.iloc[0]])
            colour, _, line = looks[series]
            ax.step(numpy.arange(1, shares.shape[1] + 1), shares.mean(0), where="mid", color=colour, linestyle=line,
                    label=series)
            ax.axhline(1 / shares.shape[1], color="#a0a0a0", linewidth=0.5)
        ax.set_xlabel("rank of the code")
        ax.set_yscale("symlog", linthresh=1e-3)
        ax.set_ylim(bottom=0)
    name_panels(axes, v.panels)
    label_rows(axes[0], "share of samples")
    level_limits(axes[0])
    legend(drawing, axes)
    text = ("Codes of each trial sorted by use, mean share at each rank. Grey: perfectly even use. Dead codes are the ranks "
            "at 0.")
    return Figure("usage", title, about(v, text + cut, value, "All together:"),
                  "Steps of code usage by rank, a panel for each regime.", drawing)


# ---- two metrics, two axes -------------------------------------------------------------------------------------------


def scatter(trials, name, x, y, file_name):
    v = view(trials, name)
    title = f"{label(trials, y)} against {label(trials, x)}"
    title = title[0].upper() + title[1:]
    if not has(v.rows, x) or not has(v.rows, y):
        return Missing(file_name, title, f"no trial of study {name} has both")
    drawing, axes = panel_grid(len(v.panels), 1, 2.0)
    names, cut = chosen_series(trials, v)
    looks = style(views.names(v))
    for ax, where in zip(axes[0], v.panels.values()):
        rows = of_panel(v, where)
        for series in names:
            colour, marker, _ = looks[series]
            group = rows[rows.series == series]
            ax.plot(group[x], group[y], marker, color=colour, markersize=2.5, alpha=0.5, linestyle="none", label=series,
                    rasterized=True)
        ax.set_xlabel(label(trials, x))
    name_panels(axes, v.panels)
    label_rows(axes[0], wrapped(label(trials, y)))
    level_limits(axes[0])
    low, high = min(ax.get_xlim()[0] for ax in axes[0]), max(ax.get_xlim()[1] for ax in axes[0])
    for ax in axes[0]:
        ax.set_xlim(low, high)
    legend(drawing, axes)
    every = f"; all values of {', '.join([v.axis, *v.pooled])} together" if v.axis else ""
    return Figure(file_name, title, about(v._replace(pooled=[]), f"A dot is a trial{every}." + cut),
                  "Scatter of trials, a panel for each regime.", drawing)


def heat_map(trials, name, metric, down="regime"):
    """Over the axis and another setting, or the regime: the mean paired difference of two series, with stars where an
    unadjusted sign-flip test gives p <= 0.05; of a single series the mean itself."""
    v = view(trials, name)
    names = [s for s in views.shown(trials, v) if s != BASELINE]
    first = views.reference(trials, v)
    second = next((s for s in views.declared_second(trials, v) + names if s != first and s in names), None)
    what = f"{label(trials, metric)}, {second} less {first}," if second else f"mean {label(trials, metric)}"
    title = f"Interaction: {what} over {v.axis or 'an axis'} and {down}"
    if v.axis is None:
        return Missing(f"heat_{name}_{down}", title, f"study {name} has no numeric axis")
    values, levels = sorted(v.rows[v.axis].dropna().unique()), levels_of(v, down)
    grid, texts = numpy.full((len(levels), len(values)), numpy.nan), {}
    for i, rows in enumerate(levels.values()):
        for j, value in enumerate(values):
            wide = rows[rows[v.axis] == value].pivot_table(index="seed", columns="series", values=metric)
            if {first, second} - {None} <= set(wide):
                d = ((wide[second] - wide[first]) if second else wide[first]).dropna()
                star = "*" if second and len(d) and inference.sign_flip(d)[0] <= study.ALPHA else ""
                grid[i, j] = d.mean() if len(d) else numpy.nan
                texts[i, j] = (report_tables.signed(round(d.mean(), 6), 2) if second else report_tables.number(d.mean())) + star
    if down != "regime" and numpy.isfinite(grid).any(1).sum() < 2:
        return None  # nothing to interact
    if not numpy.isfinite(grid).any():
        return Missing(f"heat_{name}_{down}", title, "no cell has a value")
    drawing, axes = canvas(1, width=COLUMN + 1.6, height=0.8 + 0.35 * len(levels))
    x, y = (v.axis, [f"{a:g}" for a in values]), ("" if down == "regime" else down, list(levels))
    image = heat(axes[0][0], grid, {k: t for k, t in texts.items() if numpy.isfinite(grid[k])}, x, y, bool(second))
    drawing.colorbar(image, ax=axes[0][0], label=f"{second} − {first}" if second else "mean")
    text = (f"Mean difference paired by seed; * p ≤ {study.ALPHA} by sign flips, not adjusted: exploratory." if second
            else "Mean over seeds.")
    rest = [s for s in (*v.pooled, *(p for p in next(iter(v.panels.values())) if down != "regime")) if s != down]
    return Figure(f"heat_{name}_{down}", title, about(v._replace(pooled=rest), text), "Heat map.", drawing)


def levels_of(v, down):
    """{text: completed trials} of each level of a setting, or of each regime."""
    if down == "regime":
        return {regime_title(level): of_panel(v, where, with_baseline=False) for level, where in v.panels.items()}
    rows = of_panel(v, {}, with_baseline=False)
    return {f"{x:g}": rows[rows[down] == x] for x in sorted(rows[down].dropna().unique())[:12]}


# ---- effects ---------------------------------------------------------------------------------------------------------


def forest(results):
    """Cliff's delta of each contrast with its interval: effects of different units on one scale."""
    found = [r for r in results if numpy.isfinite(r.comparison.delta)]
    kind = "planned" if all(r.planned for r in found) else "exploratory" if not any(r.planned for r in found) else "declared"
    title = f"Effects of the {kind} contrasts on one scale"
    if not found:
        return Missing("forest", "Effects on one scale", "no contrast has a pair of completed trials")
    if kind == "exploratory":
        found = sorted(found, key=lambda r: (r.p_holm, -abs(r.comparison.delta)))
    results = found[:MOST_EFFECTS if kind != "exploratory" else MOST_EFFECTS // 2]
    drawing, axes = canvas(1, width=PAGE * 0.9, height=0.7 + 0.145 * len(results))
    ax = axes[0][0]
    for i, r in enumerate(results):
        c, (colour, marker) = r.comparison, SIGNIFICANT[bool(r.p_holm <= study.ALPHA)]
        ax.plot([c.delta_interval.low, c.delta_interval.high], [i, i], color=colour, linewidth=1.2)
        ax.plot(c.delta, i, marker, color=colour, markersize=3)
    ax.axvline(0, color="#808080", linewidth=0.7)
    ax.set_yticks(range(len(results)), [effect_name(r) for r in results], fontsize=6)
    ax.set_ylim(len(results) - 0.5, -0.5)
    ax.set_xlim(-1.05, 1.05)
    ax.set_xlabel("Cliff's delta")
    ns = sorted({r.comparison.n for r in results})
    cut = f" The first {len(results)} of {len(found)} are shown." if len(found) > len(results) else ""
    return Figure("forest", title, "Cliff's delta (the second value of the contrast against the first; 1: always larger) "
                  "with 95% interval. Orange squares: Holm's p ≤ 0.05; black dots: not." + cut + f" Data: the {kind} "
                  f"contrasts, n = {'–'.join(map(str, sorted({ns[0], ns[-1]})))} seeds.", "Forest plot of effects.", drawing)


def effect_name(r):
    metric = "" if r.contrast.metric in r.contrast.name or r.planned else f", {r.contrast.metric}"
    return f"{r.contrast.name}{metric}: {report_tables.regime(r.regime)}"


def ranking(trials, name, metrics):
    """Every value compared with the reference, the best first; one metric a panel."""
    v = view(trials, name)
    if len(views.trained(v)) < 3:
        return None
    first = views.reference(trials, v)
    drawing, axes = panel_grid(*((len(metrics), 1) if abreast() > 2 else (1, len(metrics))),
                               0.6 + 0.17 * len(views.names(v)))
    for ax, metric in zip(axes.flat, metrics):
        ranks = [r for r in views.ranking(trials, v, metric) if r.value != BASELINE]
        for i, r in enumerate(ranks):
            if r.result and r.result.comparison.n:
                c, (colour, marker) = r.result.comparison, SIGNIFICANT[bool(r.result.p_holm <= study.ALPHA)]
                ax.plot(c.interval, [i, i], color=colour)
                ax.plot(c.mean, i, marker, color=colour, markersize=3)
        ax.axvline(0, color="#808080", linewidth=0.7)
        ax.set_yticks(range(len(ranks)), [r.value + " (reference)" * (r.value == first) for r in ranks], fontsize=6.5)
        ax.set_ylim(len(ranks) - 0.5, -0.5)
        way = views.better(metric)
        ax.set_xlabel(wrapped(f"{label(trials, metric)}, less {first}") + (f"\n({way} is better)" if way else ""))
        ax.locator_params(axis="x", nbins=4)
    text = (f"Mean difference to {first}, paired by seed over trials of otherwise equal settings, with 95% interval. Orange "
            "squares: Holm's p ≤ 0.05 within a panel; black dots: not.")
    everything = [s for where in v.panels.values() for s in where] + [v.axis] * bool(v.axis) + v.pooled
    return Figure(f"ranking_{name}", f"{name.capitalize()}: every {v.series} against {first}, the best first",
                  about(v._replace(pooled=list(dict.fromkeys(everything))), text),
                  "Dots with intervals, a row for each value.", drawing)


# ---- all of them -----------------------------------------------------------------------------------------------------


def of_study(trials, path, name, seed_cells):
    """What every study gets."""
    v, metrics = view(trials, name), views.metrics(trials, name, 2)
    yield over_axis(trials, name, metrics, [c for c in seed_cells if c.study == name])
    if not metrics:
        return
    yield ranking(trials, name, metrics)
    if v.axis is None or len(v.panels) > 1:
        yield heat_map(trials, name, metrics[0])
    for other in [s for s in v.pooled if v.rows[s].dtype != object][:2]:
        yield heat_map(trials, name, metrics[0], other)
    yield distributions(trials, name, metrics[0])
    yield over_codebooks(trials, name)


def of_all(trials, path, contrasts, seed_cells, answers):
    yield figures_ranking.slopes(answers)
    names = [n for n in trials.attrs["studies"] if (study.members(trials, n).status == "completed").any()]
    for name in names[:4]:
        yield from of_study(trials, path, name, seed_cells)
    yield forest(contrasts)
    trained = next((n for n in names if (view(trials, n).rows.series != BASELINE).any()), None)
    if trained:
        yield curves(trials, path, trained)
    first = trained or names[0]
    yield usage(trials, path, first)
    yield scatter(trials, first, "dead_codes_train", "entropy_train", "entropy_dead")
    if has(trials, "lloyd_gap"):
        yield over_axis(trials, first, ["lloyd_gap"])._replace(name="lloyd")
    if has(trials, "subspace_recovery"):
        yield scatter(trials, names[min(1, len(names) - 1)], "mse_train", "subspace_recovery", "recovery")
    yield figures_plane.trajectories(trials, path, first)
    yield from figures_plane.gradients(trials, path)


def all_figures(trials, path, contrasts, seed_cells, answers):
    """Figures and what is missing, in the order of the report."""
    return (figure for figure in of_all(trials, path, contrasts, seed_cells, answers) if figure is not None)
