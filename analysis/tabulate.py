"""A table of texts, and its four forms: HTML, Markdown, CSV, LaTeX."""
import csv
import html
import io
from collections import namedtuple

# name: of its files; note: what n is, what the signs mean; rows: lists of texts, None for a gap
Table = namedtuple("Table", "name title note header rows")

LATEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
         "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$",
         "<": r"$<$", ">": r"$>$", "−": r"$-$", "≠": r"$\neq$", "≈": r"$\approx$", "–": "--", "σ": r"$\sigma$",
         "β": r"$\beta$", "∞": r"$\infty$", "×": r"$\times$"}


def numeric(table, column):
    """Whether a column is set to the right: most of its texts begin with a digit or a sign."""
    texts = [row[column] for row in table.rows if row and row[column]]
    return sum(text[0] in "+-−0123456789<" for text in texts) > len(texts) / 2


def rows_of(table):
    return [row for row in table.rows if row]


def to_markdown(table):
    def line(cells):
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
    rule = ["---:" if numeric(table, i) else "---" for i in range(len(table.header))]
    return "\n".join([f"**{table.title}**", "", line(table.header), line(rule)]
                     + [line(row) for row in rows_of(table)] + ["", table.note, ""])


def to_csv(table):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows(rows_of(table))
    return out.getvalue()


def _latex(text):
    return "".join(LATEX.get(c, c) for c in text)


def to_latex(table):
    columns = "".join("r" if numeric(table, i) else "l" for i in range(len(table.header)))
    lines = [r"\begin{table}", rf"\caption{{{_latex(table.title)} {_latex(table.note)}}}", rf"\label{{tab:{table.name}}}",
             rf"\begin{{tabular}}{{{columns}}}", r"\hline", " & ".join(map(_latex, table.header)) + r" \\", r"\hline"]
    for row in table.rows:
        lines.append(" & ".join(map(_latex, row)) + r" \\" if row else r"\hline")
    return "\n".join(lines + [r"\hline", r"\end{tabular}", r"\end{table}", ""])


def to_html(table, marks=None):
    """`marks` maps a text to the class of its cell: words carry the meaning, colour only repeats it."""
    marks = marks or {}
    right = [numeric(table, i) for i in range(len(table.header))]
    lines = [f'<table id="table-{table.name}"><caption>{html.escape(table.title)}</caption>', "<thead><tr>"]
    lines += [f'<th scope="col"{" class=num" if r else ""}>{html.escape(h)}</th>' for h, r in zip(table.header, right)]
    lines.append("</tr></thead><tbody>")
    gap = False
    for row in table.rows:
        if row is None:
            gap = True
            continue
        cells = []
        for i, cell in enumerate(row):
            wraps = "long" if len(cell) > 26 else ""
            classes = " ".join(filter(None, ["num" if right[i] else wraps, marks.get(cell, "")]))
            tag = 'th scope="row"' if i == 0 else "td"
            cells.append(f'<{tag}{f" class=%s" % repr(classes) if classes else ""}>{html.escape(cell)}</{tag[:2]}>')
        lines.append(f'<tr{" class=gap" if gap else ""}>{"".join(cells)}</tr>')
        gap = False
    return "\n".join(lines + ["</tbody></table>", f'<p class="note">{html.escape(table.note)}</p>'])
