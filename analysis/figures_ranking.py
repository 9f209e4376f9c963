"""The figure of real data against synthetic data: a line a value, from its rank on one to its rank on the other."""
import ranking
from drawing import Figure, label_rows, legend, panel_grid, style

APART = 0.025  # of a panel, from the bar of one value to that of the next


def slopes(answers):
    """A panel for each pair of studies, a row of panels for each quantity."""
    if not answers:
        return None
    quantities = list(dict.fromkeys(a.quantity for a in answers))
    of = {q: [a for a in answers if a.quantity == q] for q in quantities}
    looks = style(list(dict.fromkeys(v for a in answers for v in a.values)))
    most = max(map(len, of.values()))
    drawing, axes = panel_grid(most, len(quantities), 2.0)
    for row, quantity in zip(axes, quantities):
        for ax in row[len(of[quantity]):]:
            ax.set_axis_off()
        for ax, answer in zip(row, of[quantity]):
            panel(ax, answer, looks)
        label_rows(row, f"rank by {quantity}")
    legend(drawing, axes)
    ns = sorted({a.n for a in answers})
    return Figure("real_data", ranking.question(answers), "Rank by the mean over seeds on synthetic data (left) and on "
                  "real data (right), 1 is best; bars hold 95% of the bootstrap samples of seeds. A panel is headed by its "
                  f"verdict. n = {'–'.join(map(str, sorted({ns[0], ns[-1]})))} seeds.",
                  "Lines between ranks, a panel for each kind of real data.", drawing)


def panel(ax, answer, looks):
    sides = (answer.synthetic, answer.real)
    for i, value in enumerate(answer.values):
        colour, marker, line = looks[value]
        shift = APART * (i - (len(answer.values) - 1) / 2)
        at = [shift, 1 + shift]
        ax.plot(at, [s.ranks[i] for s in sides], line, marker=marker, color=colour, label=value)
        for x, s in zip(at, sides):
            ax.plot([x, x], [s.low[i], s.high[i]], color=colour, linewidth=0.8, alpha=0.7)
    ax.set_xticks([0, 1], [s.source for s in sides], fontsize=6)
    ax.set_xlim(-0.25, 1.25)
    ax.set_ylim(len(answer.values) + 0.4, 0.6)
    ax.set_yticks(range(1, len(answer.values) + 1))
    ax.set_title(answer.verdict)
