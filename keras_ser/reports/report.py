"""The `Report`: results printed in a few lines and written with every detail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from keras_ser.errors import UnknownKeyError
from keras_ser.evaluation.scores import TaskScores
from keras_ser.evaluation.tables import Table
from keras_ser.files import make_folder, write_figure, write_json, write_table, write_text
from keras_ser.reports.html import to_html
from keras_ser.reports.latex import to_latex
from keras_ser.reports.render import markdown, strict_json, terminal

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Picture(NamedTuple):
    """A plot that is drawn when the report is saved."""

    file: str
    caption: str
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class Report:
    """Results, and the predictions from which every score can be recomputed.

    Args:
        title: the heading.
        summary: the tables for the terminal.
        sections: Markdown text and tables, in the order of the report.
        data: the numbers with full precision, for JSON.
        caution: one line for the terminal, on what a reader must know before trusting the scores.
        missing: sentences on missing runs, shown first; the first of them precedes `caution`.
        head: paragraphs that follow `missing`.
        notes: further sentences.
        figures: the plots.
        predictions: the table that everything is computed from; written to `csv`, if given.
        results: for a run or an experiment, the scores of each protocol and task.
        name: base name of the files: NAME.md, NAME.json.
    """

    title: str
    summary: Sequence[Table]
    sections: Sequence[str | Table]
    data: Mapping[str, Any] = field(default_factory=dict)
    caution: str = ""
    missing: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    figures: Sequence[Picture] = ()
    predictions: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    results: tuple[TaskScores, ...] = ()
    name: str = "report"
    csv: str = ""

    def result(self, protocol: str, task: str) -> TaskScores:
        """Return the scores of one task under one protocol; raise UnknownKeyError if it was not scored."""
        for result in self.results:
            if (result.protocol, result.task) == (protocol, task):
                return result
        there = ", ".join(f"({r.protocol}, {r.task})" for r in self.results)
        raise UnknownKeyError(f"expected a scored protocol and task: {there}. Received: ({protocol}, {task}).")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for strict JSON; NaN and infinity become None."""
        return strict_json({"title": self.title, **self.data})

    def lines(self) -> list[str]:
        """Return the summary for the terminal."""
        lines = [self.title]
        for table in self.summary:
            lines += ["", *([table.title] if table.title else []), *terminal(table)]
        caution = " ".join(filter(None, [*self.missing[:1], self.caution]))
        return lines + (["", f"Caution: {caution}"] if caution else [])

    def to_markdown(self) -> str:
        """Return the full report in Markdown."""
        blocks = [f"# {self.title}", _bullets(self.missing), *self.head, _bullets(self.notes)]
        for section in self.sections:
            if isinstance(section, Table):
                blocks += [f"## {section.title}" if section.title else "", markdown(section) if section.rows else ""]
            else:
                blocks.append(section)
        blocks += [f"![{caption}]({file})" for file, caption, _ in self.figures]
        return "\n\n".join(block for block in blocks if block) + "\n"

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write NAME.md (whose path is returned), NAME.html, NAME.tex, NAME.json, the table and the plots.

        The folder is created if it does not exist.
        """
        folder = Path(folder)
        make_folder(folder)
        if self.csv:
            write_table(folder / self.csv, self.predictions)
        write_json(folder / f"{self.name}.json", self.to_dict())
        for file, _, draw in self.figures:
            write_figure(folder / file, draw())
        pictures = {file: (folder / file).read_bytes() for file, *_ in self.figures}
        write_text(folder / f"{self.name}.html", to_html(self, pictures))
        write_text(folder / f"{self.name}.tex", to_latex(self))
        write_text(folder / f"{self.name}.md", self.to_markdown())
        return folder / f"{self.name}.md"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
