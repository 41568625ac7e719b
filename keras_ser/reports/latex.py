"""Render the tables of a report in LaTeX, using the package booktabs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from keras_ser.evaluation.tables import Table

if TYPE_CHECKING:
    from keras_ser.reports.report import Report

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "–": "--",
    **{c: "\\" + c for c in "&%$#_{}"},
}


def to_latex(report: Report) -> str:
    r"""Return every table as a `table` with its caption in the report; requires \usepackage{booktabs}."""
    parts, heading, before = [f"% {' '.join(report.title.split())}", r"% \usepackage{booktabs}"], "", ""
    summary = [table for table in report.summary if not any(table is section for section in report.sections)]
    for section in (*summary, *report.sections):
        if isinstance(section, str):
            for line in section.splitlines():
                if line.startswith("#"):
                    heading, before = line.lstrip("# "), ""
                elif line.endswith(":"):
                    before = line.rstrip(":")
            continue
        if not section.rows:
            continue
        if section.title:
            heading = section.title
        caption = ": ".join(part for part in (heading or report.title, before) if part)
        parts.append(_table(section, caption))
        before = ""
    return "\n\n".join(parts) + "\n"


def _table(table: Table, caption: str) -> str:
    header, *rows = [[escaped(cell) for cell in row] for row in table.text()]
    columns = "l" * table.labels + "r" * (len(header) - table.labels)
    lines = [
        r"\begin{table}",
        rf"\caption{{{escaped(caption)}}}",
        r"\centering",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
    ]
    for row in (header, *rows):
        if row[0].startswith(("[", "*")):  # \\ or the preceding rule would read it as an argument
            row[0] = "{}" + row[0]
    lines += [" & ".join(header) + r" \\", r"\midrule", *(" & ".join(row) + r" \\" for row in rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def escaped(text: str) -> str:
    """Escape text for LaTeX; a hyphen before a digit becomes a minus sign."""
    text = "".join(SPECIAL.get(c, c) for c in " ".join(text.split()))
    return re.sub(r"(?<![\w.])-(?=\d)", "$-$", text)
