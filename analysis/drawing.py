"""What all figures share: sizes, colours, panels, legends. Colours are Okabe and Ito's, which colour-blind readers tell
apart; marker and line style repeat them.
"""
from collections import namedtuple

import matplotlib

matplotlib.use("Agg")
import numpy  # noqa: E402
from matplotlib import pyplot  # noqa: E402

import views  # noqa: E402

Figure = namedtuple("Figure", "name title caption alt drawing")
Missing = namedtuple("Missing", "name title reason")

COLUMN, PAGE = 3.4, 7.0  # inches: one column of a paper, and two
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
                                                      "#000000")
KNOWN = {"ste": (BLUE, "o", "-"), "rotation": (VERMILION, "s", "--"), views.BASELINE: (BLACK, "x", ":"),
         "rotation_trick": (GREEN, "^", "-.")}
SPARE = [(BLUE, "o", "-"), (VERMILION, "s", "--"), (PURPLE, "D", "-"), (ORANGE, "v", "--"), (SKY, "P", "-."),
         (GREEN, "^", "-."), ("#7f7f7f", "*", ":"), ("#8c510a", "X", "-")]
STYLE = {"figure.figsize": (PAGE, PAGE / 2), "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8,
         "legend.fontsize": 7.5, "xtick.labelsize": 7, "ytick.labelsize": 7, "axes.spines.top": False,
         "axes.spines.right": False, "lines.linewidth": 1.2, "lines.markersize": 4, "legend.frameon": False,
         "figure.dpi": 100, "svg.hashsalt": "vqsweep", "axes.grid": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.5,
         "axes.axisbelow": True}
NARROW = {**STYLE, "figure.figsize": (COLUMN, COLUMN)}  # the same sizes of type, fewer panels side by side


def style(names):
    """{series: (colour, marker, line)}: known ones look the same in every report, the others take what is left."""
    looks = {name: KNOWN[name] for name in names if name in KNOWN}
    left = [look for look in SPARE if look[0] not in {colour for colour, *_ in looks.values()}] or SPARE
    for i, name in enumerate(n for n in names if n not in KNOWN):
        looks[name] = left[i % len(left)]
    return looks


def page_width():
    """Of the style in force: that of a page, or of one column."""
    return pyplot.rcParams["figure.figsize"][0]


def abreast():
    """Panels side by side at most."""
    return 4 if page_width() > COLUMN else 2


def canvas(columns, rows=1, width=PAGE, height=None):
    return pyplot.subplots(rows, columns, figsize=(min(width, page_width()), height or 0.35 + 1.75 * rows), squeeze=False,
                           layout="constrained")


def panel_grid(panels, rows, row_height=1.75):
    """(drawing, axes[row][panel]): panels side by side, or where they are many, each row broken into several lines."""
    columns = panels if panels <= abreast() else -(-panels // -(-panels // abreast()))
    lines = -(-panels // columns)
    drawing, axes = canvas(columns, rows * lines, height=0.35 + row_height * rows * lines)
    placed = axes.reshape(rows, lines * columns)
    for ax in placed[:, panels:].flat:
        ax.set_axis_off()
    return drawing, placed[:, :panels]


def first_in_line(ax):
    return ax.get_subplotspec().is_first_col()


def level_limits(row, low=None, high=None):
    """One scale for the panels of a row, numbers at the first of each line only."""
    low = min(ax.get_ylim()[0] for ax in row) if low is None else low
    high = max(ax.get_ylim()[1] for ax in row) if high is None else high
    pad = 0.03 * (high - low) if low != 0 and row[0].get_yscale() == "linear" else 0  # panels pad by their own range
    for ax in row:
        ax.set_ylim(low - pad, high + pad)
        ax.tick_params(labelleft=first_in_line(ax))


def label_rows(row, text):
    for ax in row:
        ax.set_ylabel(text if first_in_line(ax) else "")


def ticks(ax, values):
    """Values of a setting at 0, 1, 2, ...; not so many or long that they run into each other."""
    texts = [v if isinstance(v, str) else f"{v:g}" for v in values]
    room = 13 * ax.get_position().width * ax.figure.get_figwidth()  # characters, about
    step = max(1, -(-sum(len(t) + 2 for t in texts) // max(1, int(room))))
    ax.set_xticks(range(len(values)), [t if i % step == 0 else "" for i, t in enumerate(texts)])


def legend(drawing, axes):
    """Above the panels, each name once."""
    found = {}
    for ax in axes.flat:
        found.update({name: handle for handle, name in zip(*ax.get_legend_handles_labels())})
    drawing.legend(found.values(), found.keys(), loc="lower center", bbox_to_anchor=(0.5, 1.0),
                   ncol=min(abreast() + (abreast() == 2), max(1, len(found))))


def regime_title(level):
    return ", ".join(map(str, level)) if level else "all trials"


def name_panels(axes, levels):
    """The regime above its panel: once a column, or everywhere when a row takes several lines."""
    for row in axes if len(levels) > abreast() else axes[:1]:
        for ax, level in zip(row, levels):
            ax.set_title(regime_title(level) if len(levels) > 1 else "")


def heat(ax, grid, texts, x, y, diverging=True):
    """Values on a grid with their texts; x and y are (name, levels)."""
    finite = grid[numpy.isfinite(grid)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0, 1)
    most = max(abs(low), abs(high)) or 1
    limits = {"vmin": -most, "vmax": most, "cmap": "PuOr_r"} if diverging else {"vmin": low, "vmax": high, "cmap": "cividis"}
    image = ax.imshow(grid, aspect="auto", **limits)
    for (i, j), text in texts.items():
        red, green, blue, _ = image.cmap(image.norm(grid[i, j]))
        dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        ax.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    ax.set_xticks(range(len(x[1])), x[1])
    ax.set_yticks(range(len(y[1])), y[1])
    ax.set_xlabel(x[0])
    ax.set_ylabel(y[0])
    ax.grid(False)
    return image
