"""The figures of the report. Each function gives a Figure with a caption that states n and the data, or Missing with
the reason. Colours are Okabe and Ito's, which colour-blind readers tell apart; marker and line style repeat them.
"""
import itertools
from collections import namedtuple

import matplotlib

matplotlib.use("Agg")
import numpy  # noqa: E402
from matplotlib import pyplot  # noqa: E402
from scipy import spatial  # noqa: E402

import inference  # noqa: E402
import report_tables  # noqa: E402
import study  # noqa: E402
import tables  # noqa: E402
import vqsweep_store  # noqa: E402

Figure = namedtuple("Figure", "name title caption alt drawing")
Missing = namedtuple("Missing", "name title reason")

COLUMN, PAGE = 3.4, 7.0  # inches: one column of a paper, and two
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
                                                      "#000000")
KNOWN = {"ste": (BLUE, "o", "-"), "rotation": (VERMILION, "s", "--"), "kmeans": (BLACK, "x", ":"),
         "rotation_trick": (GREEN, "^", "-."), "projector": (PURPLE, "D", "--")}
SPARE = [(ORANGE, "v", "-"), (SKY, "P", "--"), (GREEN, "<", ":"), (PURPLE, ">", "-."), (BLUE, "*", ":")]
STYLE = {"font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7.5, "xtick.labelsize": 7,
         "ytick.labelsize": 7, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.2,
         "lines.markersize": 4, "legend.frameon": False, "figure.dpi": 100, "svg.hashsalt": "vqsweep",
         "axes.grid": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.5, "axes.axisbelow": True}
MOST_PANELS = 6
SHORT = {"dead_codes_train": "dead codes", "entropy_train": "entropy [nat]", "entropy_eval": "entropy, held-out [nat]",
         "mse_train": "reconstruction MSE", "mse_eval": "MSE, held-out", "lloyd_gap": "Lloyd gap",
         "subspace_recovery": "subspace recovery"}


def style(names):
    """{estimator: (colour, marker, line)}, the same in every figure of a report."""
    spare = itertools.cycle(SPARE)
    return {name: KNOWN.get(name) or next(spare) for name in names}


def label(trials, name):
    if name in SHORT:
        return SHORT[name]
    unit = trials.attrs["units"].get(name, "1")
    text = trials.attrs["long_names"].get(name, name).replace(", training", "")
    return text if unit in ("1", "codes") else f"{text} [{unit}]"


def canvas(columns, rows=1, width=PAGE, height=None):
    drawing, axes = pyplot.subplots(rows, columns, figsize=(width, height or 0.35 + 1.75 * rows), squeeze=False,
                                    layout="constrained")
    return drawing, axes


# ---- what a study varies ---------------------------------------------------------------------------------------------

View = namedtuple("View", "study rows axis panels pooled n")


def view(trials, name):
    """How to draw a study: a numeric axis to the right, a panel for each regime, colours for estimators."""
    rows = study.members(trials, name)
    varies = [s for s in study.varying(rows, trials.attrs["settings"]) if s not in ("seed", "estimator")]
    numeric = [s for s in varies if rows[s].dtype != object]
    axis = tables.TABLES[name].axis if name in tables.TABLES else numeric[0] if numeric else None
    texts = [s for s in varies if rows[s].dtype == object]
    trained = rows[rows.estimator != "kmeans"]
    panels = [tuple(row) for row in trained[texts].drop_duplicates().to_numpy()][:MOST_PANELS] if texts else [()]
    pooled = [s for s in numeric if s != axis]
    return View(name, rows, axis, {level: dict(zip(texts, level)) for level in panels}, pooled, rows.seed.nunique())


def of_panel(v, where, with_kmeans=True):
    """A panel's trials that completed; the k-means baseline knows no regime and is in every one."""
    rows = v.rows[v.rows.status == "completed"]
    keep = numpy.ones(len(rows), bool)
    for name, value in where.items():
        keep &= (rows[name] == value).to_numpy()
    return rows[keep | ((rows.estimator == "kmeans").to_numpy() & with_kmeans)]


def estimators(rows):
    return list(dict.fromkeys(rows.estimator))


def about(trials, v, rest=""):
    """What data a figure shows: n, the study, what is fixed."""
    fixed = ", ".join(f"{s} {v.rows[s].iloc[0]:g}" for s in tables.TITLE_SETTINGS
                      if s in v.rows and s != v.axis and v.rows[s].nunique() == 1)
    pooled = f" Pooled over {', '.join(v.pooled)}." if v.pooled else ""
    missing = int(numpy.sum(v.rows.status != "completed"))
    lost = f" {missing} trials without a result are not shown." if missing else ""
    return f"{rest} Data: study {v.study}, n = {v.n} seeds; {fixed}.{pooled}{lost}".strip()


def regime_title(level):
    return ", ".join(level) if level else "all trials"


# ---- means over an axis ----------------------------------------------------------------------------------------------


def over_axis(trials, name, metrics, seed_cells=()):
    """One metric a row, one regime a panel: mean and 95% interval over the axis, and the seed study's means."""
    v = view(trials, name)
    title = f"{name.capitalize()}: {' and '.join(label(trials, m) for m in metrics)} over {v.axis or 'an axis'}"
    if v.axis is None or v.rows[v.axis].nunique() < 2:
        return Missing(f"axis_{name}", title, f"study {name} has no numeric axis")
    drawing, axes = canvas(len(v.panels), len(metrics))
    looks = style(estimators(v.rows))
    values = sorted(v.rows[v.axis].dropna().unique())
    for which, (row, metric) in enumerate(zip(axes, metrics)):
        for ax, (level, where) in zip(row, v.panels.items()):
            rows = of_panel(v, where)
            for i, (estimator, group) in enumerate(rows.groupby("estimator", sort=False)):
                line_with_intervals(ax, group, v.axis, metric, values, looks[estimator], estimator, i - 1)
            seed_points(ax, seed_cells, name, metric, values)
            ax.set_xticks(range(len(values)), [f"{x:g}" for x in values])
            ax.set_title(regime_title(level) if which == 0 else "")
            ax.set_xlabel(v.axis if which == len(metrics) - 1 else "")
        row[0].set_ylabel(label(trials, metric))
        level_limits(row)
    legend(drawing, axes)
    seeds = " Crosses with grey bars: the seed study's mean ± SD (3 runs)." if seed_cells else ""
    caption = about(trials, v, "Mean over seeds and BCa 95% interval." + seeds)
    return Figure(f"axis_{name}", title, caption, f"Lines over {v.axis}, a panel for each regime.", drawing)


def line_with_intervals(ax, group, axis, metric, values, look, name, shift):
    colour, marker, line = look
    if name == "kmeans" and metric != "entropy_train" or group[metric].notna().sum() == 0:
        return
    x, mean, low, high = [], [], [], []
    cells = {a: c[metric].dropna() for a, c in group.groupby(axis)} if group[axis].notna().any() else {}
    if not cells:  # k-means knows no beta: one level for all
        cells = {value: group[metric].dropna() for value in values}
    for value, cell in cells.items():
        if len(cell):
            interval = inference.mean_interval(cell)
            x.append(values.index(value) + 0.06 * shift)
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
                    markeredgecolor=KNOWN[estimator][0], linestyle="none", zorder=1)


def level_limits(row):
    low, high = min(ax.get_ylim()[0] for ax in row), max(ax.get_ylim()[1] for ax in row)
    pad = 0.03 * (high - low) if low != 0 and row[0].get_yscale() == "linear" else 0  # panels pad by their own range
    for ax in row:
        ax.set_ylim(low - pad, high + pad)
        ax.tick_params(labelleft=ax is row[0])


def legend(drawing, axes):
    """Above the panels, each name once."""
    found = {}
    for ax in axes.flat:
        found.update({name: handle for handle, name in zip(*ax.get_legend_handles_labels())})
    drawing.legend(found.values(), found.keys(), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=max(1, len(found)))


# ---- distributions, curves, usage ------------------------------------------------------------------------------------


def distributions(trials, name, metric):
    """Every seed as a dot, the two estimators of a seed joined: what means hide."""
    v = view(trials, name)
    title = f"{name.capitalize()}: {label(trials, metric)}, every seed"
    names = [e for e in estimators(v.rows) if e != "kmeans"][:4]
    if not names:
        return Missing(f"seeds_{name}", title, f"study {name} trains nothing")
    values = sorted(v.rows[v.axis].dropna().unique())[-3:] if v.axis else [None]
    drawing, axes = canvas(len(v.panels), height=2.3)
    looks = style(estimators(v.rows))
    for ax, (level, where) in zip(axes[0], v.panels.items()):
        rows = of_panel(v, where, with_kmeans=False)
        for i, value in enumerate(values):
            cell = rows if value is None else rows[rows[v.axis] == value]
            wide = cell.pivot_table(index="seed", columns="estimator", values=metric).reindex(columns=names)
            width = 0.6 / max(1, len(names))
            x = i + (numpy.arange(len(names)) - (len(names) - 1) / 2) * width
            ax.plot(x, wide.to_numpy().T, color="#c8c8c8", linewidth=0.4, zorder=1)
            for j, estimator in enumerate(names):
                colour, marker, _ = looks[estimator]
                jitter = 0.25 * width * (numpy.arange(len(wide)) / max(1, len(wide) - 1) - 0.5)
                ax.plot(x[j] + jitter, wide[estimator], marker, color=colour, markersize=2.5, alpha=0.7, linestyle="none",
                        label=estimator if i == 0 else None)
        ax.set_xticks(range(len(values)), ["" if x is None else f"{x:g}" for x in values])
        ax.set_title(regime_title(level))
        ax.set_xlabel(v.axis or "")
    axes[0][0].set_ylabel(label(trials, metric))
    level_limits(axes[0])
    legend(drawing, axes)
    return Figure(f"seeds_{name}", title, about(trials, v, "A dot is a trial; a line joins the trials of one seed."),
                  "Dots for trials by estimator, joined by seed.", drawing)


def one_cell(v, value=None):
    """(value, its rows): the largest value of the axis unless named."""
    if v.axis is None:
        return None, v.rows
    values = sorted(v.rows[v.axis].dropna().unique())
    value = value if value in values else values[-1]
    return value, v.rows[(v.rows[v.axis] == value)]


def curves(trials, path, name, wanted=("loss_rec", "entropy", "dead_codes")):
    """Median over seeds and the band of the middle 80%."""
    v = view(trials, name)
    value, rows = one_cell(v, 32)
    title = f"Training: {', '.join(wanted)} by epoch" + (f" at {v.axis} {value:g}" if v.axis else "")
    wanted = [c for c in wanted if c in trials.attrs["curves"]]
    drawing, axes = canvas(len(v.panels), len(wanted), height=0.4 + 1.35 * len(wanted))
    looks = style(estimators(v.rows))
    for (level, where), column in zip(v.panels.items(), range(len(v.panels))):
        done = of_panel(v._replace(rows=rows), where, with_kmeans=False)
        done = done[done.n_epochs > 0]
        for estimator, group in done.groupby("estimator", sort=False):
            colour, _, line = looks[estimator]
            for row, curve in zip(axes, wanted):
                y = vqsweep_store.curve(path, curve, group.index)
                epoch = numpy.arange(1, y.shape[1] + 1)
                shown = numpy.isfinite(y).any(0)
                low, middle, high = numpy.nanquantile(y[:, shown], [0.1, 0.5, 0.9], axis=0)
                row[column].fill_between(epoch[shown], low, high, color=colour, alpha=0.15, linewidth=0)
                row[column].plot(epoch[shown], middle, color=colour, linestyle=line, label=estimator)
        axes[0][column].set_title(regime_title(level))
        axes[-1][column].set_xlabel("epoch")
    for row, curve in zip(axes, wanted):
        row[0].set_ylabel(curve.replace("_", " "))
        level_limits(row)
    legend(drawing, axes)
    return Figure(f"curves_{name}", title, about(trials, v, "Line: median over seeds; band: from the 10th to the 90th "
                                                 "percentile. Where lines coincide the dashed one lies on the other."),
                  "Training curves with bands, a panel for each regime.", drawing)


def one_codebook(rows):
    """Which trials have a single codebook: their codes can be shown side by side."""
    return rows.levels * rows.groups == 1


def usage(trials, path, name):
    """Shares of samples by rank of the code: how even the codebook is used at the end."""
    v = view(trials, name)
    value, rows = one_cell(v, 32)
    title = "Code usage at the last epoch" + (f", {v.axis} {value:g}" if v.axis else "")
    if not (rows.n_snapshots > 0).any():
        return Missing("usage", title, "no codebook snapshots are stored")
    drawing, axes = canvas(len(v.panels), height=2.1)
    looks = style(estimators(v.rows))
    with vqsweep_store.open_file(path) as file:
        for ax, (level, where) in zip(axes[0], v.panels.items()):
            for estimator, group in of_panel(v._replace(rows=rows), where).groupby("estimator", sort=False):
                group = group[(group.n_snapshots > 0) & (group.codebook_row >= 0) & (group.K == group.K.iloc[0]) &
                              one_codebook(group)][:60]
                counts = [file[f"codebooks/K{t.K}_d{t.d}/usage"][int(t.codebook_row + t.n_snapshots - 1)]
                          for t in group.itertuples()]
                if counts:
                    share = numpy.sort(numpy.array(counts, float), 1)[:, ::-1]
                    share /= share.sum(1, keepdims=True)
                    colour, _, line = looks[estimator]
                    ax.step(numpy.arange(1, share.shape[1] + 1), share.mean(0), where="mid", color=colour,
                            linestyle=line, label=estimator)
                    ax.axhline(1 / share.shape[1], color="#a0a0a0", linewidth=0.5)
            ax.set_title(regime_title(level))
            ax.set_xlabel("rank of the code")
            ax.set_yscale("symlog", linthresh=1e-3)
            ax.set_ylim(bottom=0)
    axes[0][0].set_ylabel("share of samples")
    level_limits(axes[0])
    legend(drawing, axes)
    return Figure("usage", title, about(trials, v, "Codes of each trial sorted by use, mean share at each rank. Grey: "
                                        "perfectly even use. Dead codes are the ranks at 0."),
                  "Steps of code usage by rank, a panel for each regime.", drawing)


# ---- two metrics, two axes -------------------------------------------------------------------------------------------


def scatter(trials, name, x, y, file_name):
    v = view(trials, name)
    drawing, axes = canvas(len(v.panels), height=2.2)
    looks = style(estimators(v.rows))
    for ax, (level, where) in zip(axes[0], v.panels.items()):
        for estimator, group in of_panel(v, where).groupby("estimator", sort=False):
            colour, marker, _ = looks[estimator]
            ax.plot(group[x], group[y], marker, color=colour, markersize=2.5, alpha=0.5, linestyle="none",
                    label=estimator, rasterized=True)
        ax.set_title(regime_title(level))
        ax.set_xlabel(label(trials, x))
    axes[0][0].set_ylabel(label(trials, y))
    level_limits(axes[0])
    low, high = min(ax.get_xlim()[0] for ax in axes[0]), max(ax.get_xlim()[1] for ax in axes[0])
    for ax in axes[0]:
        ax.set_xlim(low, high)
    legend(drawing, axes)
    title = f"{label(trials, y)} against {label(trials, x)}"
    return Figure(file_name, title[0].upper() + title[1:],
                  about(trials, v, f"A dot is a trial; all values of {v.axis} together."),
                  "Scatter of trials, a panel for each regime.", drawing)


def heat_map(trials, name, metric, axes_pair=None):
    """Mean paired difference over two axes; stars where an unadjusted sign-flip test gives p <= 0.05."""
    v = view(trials, name)
    names = [e for e in estimators(v.rows) if e != "kmeans"][:2]
    if len(names) < 2 or v.axis is None:
        return Missing(f"heat_{name}", f"{name.capitalize()}: interaction of axis and regime",
                       f"study {name} has no two estimators, or no numeric axis")
    title = f"Interaction: {label(trials, metric)}, {names[1]} less {names[0]}, over {v.axis} and regime"
    values = sorted(v.rows[v.axis].dropna().unique())
    grid, texts = numpy.full((len(v.panels), len(values)), numpy.nan), {}
    for i, where in enumerate(v.panels.values()):
        rows = of_panel(v, where, with_kmeans=False)
        for j, value in enumerate(values):
            wide = rows[rows[v.axis] == value].pivot_table(index="seed", columns="estimator", values=metric)
            if set(names) <= set(wide):
                d = (wide[names[1]] - wide[names[0]]).dropna()
                grid[i, j] = d.mean()
                star = "*" if len(d) and inference.sign_flip(d)[0] <= 0.05 else ""
                texts[i, j] = report_tables.signed(round(d.mean(), 6), 2) + star
    drawing, axes = canvas(1, width=COLUMN + 1, height=0.8 + 0.35 * len(v.panels))
    ax, most = axes[0][0], numpy.nanmax(numpy.abs(grid)) or 1
    image = ax.imshow(grid, cmap="PuOr_r", vmin=-most, vmax=most, aspect="auto")
    for (i, j), text in texts.items():
        ax.text(j, i, text, ha="center", va="center", fontsize=7,
                color="white" if abs(grid[i, j]) > 0.7 * most else "black")
    ax.set_xticks(range(len(values)), [f"{x:g}" for x in values])
    ax.set_yticks(range(len(v.panels)), [regime_title(level) for level in v.panels])
    ax.set_xlabel(v.axis)
    ax.grid(False)
    drawing.colorbar(image, ax=ax, label=f"{names[1]} − {names[0]}")
    return Figure(f"heat_{name}", title, about(trials, v, "Mean paired difference; * p ≤ 0.05 by sign flips, not adjusted: "
                                               "exploratory."), "Heat map of differences.", drawing)


def forest(results):
    """Cliff's delta of each contrast with its interval: effects of different units on one scale."""
    results = [r for r in results if numpy.isfinite(r.comparison.delta)][:60]
    title = "Effects of the planned contrasts on one scale"
    if not results:
        return Missing("forest", title, "the job declares no contrasts, or none has results yet")
    drawing, axes = canvas(1, width=PAGE * 0.8, height=0.7 + 0.145 * len(results))
    ax = axes[0][0]
    for i, r in enumerate(results):
        c = r.comparison
        colour = BLACK if r.p_holm > study.ALPHA else VERMILION
        ax.plot([c.delta_interval.low, c.delta_interval.high], [i, i], color=colour, linewidth=1.2)
        ax.plot(c.delta, i, "o" if r.p_holm > study.ALPHA else "s", color=colour, markersize=3)
    ax.axvline(0, color="#808080", linewidth=0.7)
    ax.set_yticks(range(len(results)), [f"{r.contrast.name}: {report_tables.regime(r.regime)}" for r in results], fontsize=6)
    ax.set_ylim(len(results) - 0.5, -0.5)
    ax.set_xlim(-1.05, 1.05)
    ax.set_xlabel("Cliff's delta")
    ns = sorted({r.comparison.n for r in results})
    return Figure("forest", title, "Cliff's delta (the second value of the contrast against the first; 1: always larger) "
                  "with BCa 95% interval. Orange squares: Holm's p ≤ 0.05; black dots: not. Data: the planned contrasts, "
                  f"n = {'–'.join(map(str, sorted({ns[0], ns[-1]})))} seeds.", "Forest plot of effects.", drawing)


# ---- the plane -------------------------------------------------------------------------------------------------------


def trajectories(trials, path, name):
    """A codebook of the plane at its snapshots, and the Voronoi cells of the last."""
    v = view(trials, name)
    title = "Codebooks in the plane: trajectories and final Voronoi cells"
    rows = v.rows[(v.rows.status == "completed") & (v.rows.d == 2) & (v.rows.n_snapshots > 1) & one_codebook(v.rows)]
    if not len(rows):
        return Missing("trajectories", title, "no trial has codebook snapshots of dimension 2")
    chosen = 16 if (rows.K == 16).any() else int(rows.K.max())
    rows = rows[(rows.K == chosen) & (rows.seed == rows.seed.min())]
    names = [e for e in estimators(rows) if e != "kmeans"][:2]
    drawing, axes = canvas(len(v.panels), len(names), height=0.3 + 1.75 * len(names))
    for column, (level, where) in enumerate(v.panels.items()):
        found = of_panel(v._replace(rows=rows), where, with_kmeans=False)
        for row, estimator in zip(axes, names):
            ax, trial = row[column], found.index[found.estimator == estimator]
            ax.set_title(f"{regime_title(level)}: {estimator}")
            if len(trial):
                draw_codes(ax, vqsweep_store.codebooks(path, trial[0]))
    seed = rows.seed.iloc[0]
    return Figure("trajectories", title, f"Lines: paths of the codes through the stored epochs, from the start (grey dot) "
                  f"to the end (blue: in use, orange cross: dead); thin lines: Voronoi cells at the end. Data: study "
                  f"{name}, K {chosen}, one trial a panel, seed {seed}: an illustration, not a sample.",
                  "Paths of codes and Voronoi cells in the plane.", drawing)


def draw_codes(ax, snapshots):
    path = numpy.array([s.codes for s in snapshots])
    last, used = path[-1], snapshots[-1].usage > 0
    ax.plot(path[:, :, 0], path[:, :, 1], color="#909090", linewidth=0.7)
    ax.plot(path[0, :, 0], path[0, :, 1], ".", color="#909090", markersize=2.5)
    ax.plot(last[used, 0], last[used, 1], "o", color=BLUE, markersize=3)
    ax.plot(last[~used, 0], last[~used, 1], "x", color=VERMILION, markersize=4)
    centre, reach = last.mean(0), 1.15 * max(1e-6, numpy.abs(path - last.mean(0)).max())
    if len(numpy.unique(last, axis=0)) > 3:
        far = centre + 20 * reach * numpy.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])  # so that every cell is closed
        cells = spatial.Voronoi(numpy.vstack([last, far]), qhull_options="Qbb Qc Qz QJ")
        for a, b in cells.ridge_vertices:
            if a >= 0 and b >= 0:
                ax.plot(*cells.vertices[[a, b]].T, color="#c8a060", linewidth=0.4)
    ax.set_xlim(centre[0] - reach, centre[0] + reach)
    ax.set_ylim(centre[1] - reach, centre[1] + reach)
    ax.set_aspect("equal")


def gradient_fields(path):
    """Maps of a gradient probe: group /maps, a subgroup for each map with points (point, 2), gradient (point, 2),
    codes (K, 2) and, where measured, alignment (point); attributes trial, estimator, epoch."""
    title = "Gradient fields around the Voronoi cells"
    with vqsweep_store.open_file(path) as file:
        maps = list(file["maps"].values()) if "maps" in file else []
        if not maps:
            return Missing("fields", title, "the file holds no maps of gradients (group /maps); the claims on gradient "
                                            "fields and boundary alignment are not tested here")
        maps = maps[:MOST_PANELS]
        drawing, axes = canvas(min(3, len(maps)), -(-len(maps) // 3), height=0.3 + 2.3 * -(-len(maps) // 3))
        for ax, field in zip(axes.flat, maps):
            points, gradient, codes = (field[n][:] for n in ("points", "gradient", "codes"))
            coloured = field["alignment"][:] if "alignment" in field else numpy.linalg.norm(gradient, axis=1)
            arrows = ax.quiver(*points.T, *gradient.T, coloured, cmap="viridis", angles="xy", width=0.004)
            ax.plot(*codes.T, "o", color=VERMILION, markersize=3)
            ax.set_title(str(field.attrs.get("estimator", field.name)))
            ax.set_aspect("equal")
        drawing.colorbar(arrows, ax=list(axes.flat), label="boundary alignment" if "alignment" in field else "|gradient|")
        return Figure("fields", title, f"Arrows: the gradient an estimator gives at a point; dots: codes. Data: {len(maps)} "
                      "maps of the file, one trial each.", "Arrow fields around codes.", drawing)


# ---- all of them -----------------------------------------------------------------------------------------------------

SEED_METRICS = {"scaling": ["dead_codes_train", "entropy_train"], "noise": ["mse_train", "entropy_train"],
                "commitment": ["dead_codes_train", "entropy_train"]}


def of_study(trials, path, name, seed_cells):
    """What every study gets, the first of a report more than the others."""
    metrics = [m for m in SEED_METRICS.get(name, ["mse_eval", "entropy_eval"]) if trials[m].notna().any()]
    yield over_axis(trials, name, metrics, [c for c in seed_cells if c.study == name])
    yield heat_map(trials, name, metrics[0])
    yield distributions(trials, name, metrics[0])


def all_figures(trials, path, planned, seed_cells):
    """Figures and what is missing, in the order of the report."""
    names = [n for n in trials.attrs["studies"] if (study.members(trials, n).status == "completed").any()]
    if not names:
        return
    with matplotlib.rc_context(STYLE):
        for name in names[:4]:
            yield from of_study(trials, path, name, seed_cells)
        yield forest(planned)
        first = names[0]
        yield curves(trials, path, first)
        yield usage(trials, path, first)
        yield scatter(trials, first, "dead_codes_train", "entropy_train", "entropy_dead")
        if trials.lloyd_gap.notna().any():
            yield over_axis(trials, first, ["lloyd_gap"])._replace(name="lloyd")
        if trials.subspace_recovery.notna().any():
            yield scatter(trials, names[min(1, len(names) - 1)], "mse_train", "subspace_recovery", "recovery")
        yield trajectories(trials, path, first)
        yield gradient_fields(path)
