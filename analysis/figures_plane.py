"""Figures of codebooks and gradients: usage, codes that move through the plane, fields of gradients, their quality."""
import numpy
from matplotlib.colors import LinearSegmentedColormap
from scipy import spatial

import gradients as measures
import views
import vqsweep_store
from drawing import (BLUE, VERMILION, Figure, Missing, abreast, canvas, first_in_line, legend, panel_grid,
                     regime_title)
from views import BASELINE, of_panel, view

MOST_SAMPLED = 60  # codebooks behind a mean
ARROWS = 15        # a side of a field
MOST_FIELDS, MOST_REGIMES = 15, 6
RIGHT_OR_WRONG = LinearSegmentedColormap.from_list("right_or_wrong", [VERMILION, "#909090", BLUE])
FIELDS = "Gradient fields around the Voronoi cells"
PROBES = "Quality of the gradients, near and far from borders"

# ---- codebooks -------------------------------------------------------------------------------------------------------


def shares(path, trials):
    """Shares of samples of the last snapshot of each trial, the most used code first; a row a trial."""
    found = []
    with vqsweep_store.open_file(path) as file:
        for t in trials[:MOST_SAMPLED].itertuples():
            group = file[f"codebooks/K{t.K}_d{t.d // t.groups}"]
            rows = slice(int(t.codebook_row), int(t.codebook_row + t.n_snapshots))
            epochs = group["epoch"][rows]
            counts = group["usage"][rows][epochs == epochs.max()].astype(float).ravel()  # of all codebooks
            found.append(numpy.sort(counts)[::-1] / max(1.0, counts.sum()))
    return numpy.array(found)


def trajectories(trials, path, name):
    """A codebook of the plane at its snapshots, and the Voronoi cells of the last."""
    v = view(trials, name)
    title = "Codebooks in the plane: trajectories and final Voronoi cells"
    rows = v.rows[(v.rows.status == "completed") & (v.rows.d == 2) & (v.rows.n_snapshots > 1) & (v.rows.codebook_row >= 0)
                  & (v.rows.series != BASELINE) & (v.rows.levels * v.rows.groups == 1)]
    if not len(rows):
        return Missing("trajectories", title, "no trial has several snapshots of one codebook of dimension 2")
    chosen = 16 if (rows.K == 16).any() else int(rows.K.max())
    rows = rows[rows.K == chosen]
    rows = rows[rows.seed == rows.seed.min()]
    if v.axis and v.axis != "K":
        rows = rows[rows[v.axis] == rows[v.axis].median()] if (rows[v.axis] == rows[v.axis].median()).any() else rows
    series = [s for s in views.shown(trials, v) if (rows.series == s).any()][:3]
    panels = [p for p in v.panels.items() if len(of_panel(v._replace(rows=rows), p[1]))][:4]
    narrow = abreast() < len(panels)  # then the regimes stand below each other
    drawing, axes = canvas(*((len(series), len(panels)) if narrow else (len(panels), len(series))))
    for column, (level, where) in zip(axes if narrow else axes.T, panels):
        found = of_panel(v._replace(rows=rows), where)
        for ax, name_of in zip(column, series):
            trial = found.index[found.series == name_of]
            ax.set_title(f"{regime_title(level)}: {name_of}" if level else name_of)
            if len(trial):
                draw_codes(ax, vqsweep_store.codebooks(path, trial[0]))
            else:
                ax.set_axis_off()
    return Figure("trajectories", title, f"Lines: paths of the codes through the stored epochs, from the start (grey dot) "
                  f"to the end (blue: in use, orange cross: dead); thin lines: Voronoi cells at the end. Data: study "
                  f"{name}, K {chosen}, one trial a panel, seed {rows.seed.iloc[0]}: an illustration, not a sample.",
                  "Paths of codes and Voronoi cells in the plane.", drawing)


def draw_codes(ax, snapshots):
    snapshots = [s for s in snapshots if s.codebook == 0]
    path = numpy.array([s.codes for s in snapshots])
    last, used = path[-1], snapshots[-1].usage > 0
    ax.plot(path[:, :, 0], path[:, :, 1], color="#909090", linewidth=0.7)
    ax.plot(path[0, :, 0], path[0, :, 1], ".", color="#909090", markersize=2.5)
    ax.plot(last[used, 0], last[used, 1], "o", color=BLUE, markersize=3)
    ax.plot(last[~used, 0], last[~used, 1], "x", color=VERMILION, markersize=4)
    centre, reach = last.mean(0), 1.15 * max(1e-6, numpy.abs(path - last.mean(0)).max())
    draw_borders(ax, last, centre, reach)
    ax.set_xlim(centre[0] - reach, centre[0] + reach)
    ax.set_ylim(centre[1] - reach, centre[1] + reach)
    ax.set_aspect("equal")


def draw_borders(ax, codes, centre, reach, colour="#c8a060", width=0.4):
    codes = numpy.unique(codes, axis=0)
    if len(codes) < 2:
        return
    far = centre + 20 * reach * numpy.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])  # so that every cell is closed
    found = spatial.Voronoi(numpy.vstack([codes, far]), qhull_options="Qbb Qc Qz QJ")
    for a, b in found.ridge_vertices:
        if a >= 0 and b >= 0:
            ax.plot(*found.vertices[[a, b]].T, color=colour, linewidth=width)


# ---- gradients -------------------------------------------------------------------------------------------------------


def gradients(trials, path):
    """Fields of one trial a regime, and what the probes say of all trials."""
    numbers = measures.field_trials(path)
    if not len(numbers):
        yield Missing("fields", FIELDS, "the file holds no maps of gradients (job settings probe_epochs, field_grid)")
    for level, rows in list(measures.regimes(trials, numbers).items())[:MOST_REGIMES]:
        one = rows.sort_values("seed", kind="stable").index[0]
        yield field_figure(trials, list(measures.fields(path, trials, [one]))[-1], level)
    probed = measures.last_epochs(measures.probes(path, trials))
    if not len(probed):
        yield Missing("probes", PROBES, "the file holds no probes of gradients (job setting probe_epochs)")
    for level, rows in list(measures.regimes(trials, probed.trial).items())[:MOST_REGIMES]:
        yield probe_figure(trials, probed[probed.trial.isin(rows.index)], level)


def field_figure(trials, field, level):
    names = ["true (smoothed)", *field.estimators][:1 + MOST_FIELDS]
    lines = -(-len(names) // abreast())
    drawing, axes = canvas(min(abreast(), len(names)), lines, height=0.5 + 1.9 * lines)
    step = -(-len(field.x) // ARROWS)
    x, y = field.x[::step], field.y[::step]
    true = field.smoothed[::step, ::step]
    centre = numpy.array([field.x.mean(), field.y.mean()])
    reach = max(numpy.ptp(field.x), numpy.ptp(field.y)) / 2
    for ax, name, gradient in zip(axes.flat, names, [field.smoothed, *field.gradient]):
        g = gradient[::step, ::step].astype(float)
        length = numpy.linalg.norm(g, axis=-1)
        size = numpy.nanquantile(length, 0.95) or 1.0
        scaled = -g / size * numpy.minimum(1, size / numpy.maximum(length, 1e-300))[..., None]  # none longer than its place
        arrows = ax.quiver(x, y, scaled[..., 0], scaled[..., 1], cosine(g, true), cmap=RIGHT_OR_WRONG, clim=(-1, 1),
                           pivot="middle", angles="xy", scale=len(x) * 0.9, width=0.006, headwidth=4)
        draw_borders(ax, field.codes, centre, reach, "#404040", 0.7)
        ax.plot(*field.codes.T, "o", color="black", markersize=2.5)
        ax.set_title(f"{name}\nroughness {measures.roughness(field, gradient):.2g}", fontsize=7)
        ax.set_xlim(field.x[0], field.x[-1])
        ax.set_ylim(field.y[0], field.y[-1])
        ax.set_aspect("equal")
        ax.tick_params(labelsize=6)
        ax.grid(False)
    for ax in list(axes.flat)[len(names):]:
        ax.set_axis_off()
    drawing.colorbar(arrows, ax=list(axes.flat), label="cosine with the true direction", location="bottom", shrink=0.6,
                     aspect=30)
    where, t = regime_title(level), trials.loc[field.trial]
    return Figure("fields_" + "_".join(map(str, level)), f"{FIELDS}: {where}",
                  "Arrows: where each estimator pushes an encoding (against its mean gradient), long where it pushes hard, "
                  "each panel on its own scale; blue: the right way, grey: across it, orange: the wrong way. Dots: codes; "
                  "lines: borders of their cells. The true direction is that of the smoothed loss. Roughness: how far the "
                  "gradient jumps across a border from one point of the grid to the next, in units of its own size. Data: "
                  f"trial {field.trial} (seed {t.seed}, K {t.K}), epoch {field.epoch}, one trial a panel: an illustration, "
                  "not a sample.", "Arrow fields around codes, a panel each.", drawing)


def cosine(a, b):
    product = numpy.linalg.norm(a, axis=-1) * numpy.linalg.norm(b, axis=-1)
    with numpy.errstate(invalid="ignore", divide="ignore"):
        return numpy.nan_to_num((a * b).sum(-1) / product)


def probe_figure(trials, probed, level):
    """A panel a quantity, a row an estimator: near borders and far from them, with intervals over seeds."""
    quantities = [q for q in measures.QUANTITIES if q in probed and probed[q].notna().any()]
    names = list(dict.fromkeys(probed.estimator))
    drawing, axes = panel_grid(len(quantities), 1, 0.6 + 0.22 * len(names))
    looks = {"near": (VERMILION, "s", -0.15), "far": (BLUE, "o", 0.15)}
    for ax, quantity in zip(axes[0], quantities):
        for region, (colour, marker, shift) in looks.items():
            wide = measures.by_seed(probed[probed.region == region], trials, quantity)
            for i, name in enumerate(names):
                cell = wide[name].dropna() if name in wide else []
                if len(cell):
                    ax.plot(measures.interval(quantity, cell), [i + shift] * 2, color=colour)
                    ax.plot(cell.mean(), i + shift, marker, color=colour, markersize=3, label=f"{region} from borders"
                            if region == "far" else "near borders")
        if quantity in ("bias", "std") and probed[quantity].max() > 100 * probed[quantity][probed[quantity] > 0].median():
            ax.set_xscale("symlog", linthresh=probed[quantity].max() / 1000)
        ax.set_yticks(range(len(names)), names if first_in_line(ax) else [""] * len(names))
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlabel(quantity)
        best = {"bias": 0, "std": 0, "cosine": 1}.get(quantity)
        if best is not None and ax.get_xscale() == "linear":
            ax.axvline(best, color="#808080", linewidth=0.7)
    legend(drawing, axes)
    n = trials.seed.reindex(probed.trial.unique()).nunique()
    error = probed["target_error"].max() if "target_error" in probed else numpy.nan
    known = f" The true gradient is known to {100 * error:.2g}% or better." if numpy.isfinite(error) else ""
    words = "; ".join(f"{q}: {measures.QUANTITIES[q]}" for q in quantities)
    return Figure("probes_" + "_".join(map(str, level)), f"{PROBES}: {regime_title(level)}",
                  f"All estimators on the same trained state, against the gradient of the smoothed loss. {words}. Mean over "
                  f"seeds with 95% interval.{known} Data: {probed.trial.nunique()} trials at their last probe, n = {n} seeds.",
                  "Dots with intervals, a row for each estimator.", drawing)
