"""Several systems under several protocols: what a paper's protocol promises beside what a clean one keeps."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ser.evaluation import markdown
from keras_ser.evaluation.plots import NAMES, confusions
from keras_ser.evaluation.scores import TaskScores
from keras_ser.evaluation.systems import PAIRED, SystemsReport, shown, system_result
from keras_ser.files import write_figure, write_json, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ProtocolsReport:
    """The same systems under one protocol after another, side by side.

    Args:
        title: the report's heading.
        reports: one a protocol, of the same systems, task, metrics and paper's figures; the paper's own protocol first.
        described: protocol -> what it is, in words.
        confused: the system whose confusion is shown; None = none.
        paper_confusion: what a paper prints of it, (classes, classes), fractions of the true class (row).
        notes: sentences for the reader.
    """

    title: str
    reports: Sequence[SystemsReport]
    described: Mapping[str, str]
    confused: str | None = None
    paper_confusion: Sequence[Sequence[float]] = ()
    notes: Sequence[str] = ()

    @property
    def systems(self) -> list[str]:
        return list(self.reports[0].tables)

    @functools.cached_property
    def confusion(self) -> dict[str, TaskScores]:
        """Protocol -> the scores of the system whose confusion is shown."""
        if self.confused is None:
            return {}
        return {
            r.protocol: system_result(r.tables[self.confused], r.task, r.protocol, self.confused in r.deterministic)
            for r in self.reports
        }

    def rows(self, metric: str) -> list[list[str]]:
        """Header first: a row a system, a column a protocol; of several also the first less the last."""
        paper = self.reports[0].paper
        told = any(metric in figures for figures in paper.values())
        header = [f"{NAMES[metric]}, %", *(["paper"] if told else []), *(r.protocol for r in self.reports)]
        rows = [header + (["first - last"] if len(self.reports) > 1 else [])]
        for system in self.systems:
            figure = paper.get(system, {}).get(metric)
            row = [system, *([f"{100 * figure:.2f}" if figure is not None else ""] if told else [])]
            found = [report.scores[system][metric] for report in self.reports]
            row += [shown(score) for score in found]
            if len(found) > 1:
                row.append(f"{100 * (found[0].value - found[-1].value):+.1f}")
            rows.append(row)
        return rows

    def confusion_rows(self) -> list[list[str]]:
        """Header first: a row a true class and source, a column a named class; % of the true class."""
        labels = self.reports[0].task.labels
        rows = [["true", "", *labels]]
        for i, label in enumerate(labels):
            if self.paper_confusion:
                rows.append([label, "paper", *(f"{100 * share:.2f}" for share in self.paper_confusion[i])])
            for protocol, result in self.confusion.items():
                matrix = result.confusion
                cells = ["–" if math.isnan(share) else f"{100 * share:.1f}" for share in matrix.share[i]]
                if matrix.low is not None:
                    ends = zip(cells, matrix.low[i], matrix.high[i], strict=True)
                    cells = [c if math.isnan(a) else f"{c} [{100 * a:.1f}, {100 * b:.1f}]" for c, a, b in ends]
                rows.append([label, protocol, *cells])
        return rows

    def lines(self) -> list[str]:
        text = [self.title]
        for metric in self.reports[0].metrics:
            text += ["", *markdown.aligned(self.rows(metric))]
        for report in self.reports:
            text += ["", f"protocol {report.protocol}: {self.described[report.protocol]}", f"  {report.scale()}"]
            text += [f"  {line}" for line in report.verdicts()]
        if self.confused:
            text += ["", f"confusion of {self.confused}, % of the true class", ""]
            text += markdown.aligned(self.confusion_rows(), left=2)
        return [*text, "", *self.notes]

    def to_markdown(self, pictures: Sequence[tuple[str, str]] = ()) -> str:
        first = self.reports[0]
        text = [f"# {self.title}", "", *(f"- {note}" for note in self.notes)]
        text += [f"- {self.described[report.protocol]}: {report.scale()}" for report in self.reports]
        for metric in first.metrics:
            text += ["", markdown.table(self.rows(metric))]
        text += ["", "The protocols test other clips: the difference between their columns is plain, not paired."]
        for report in self.reports:
            text += ["", f"## {report.protocol}", "", PAIRED, ""]
            text += [f"- {line}" for line in report.verdicts()]
        if self.confused:
            text += ["", f"## Confusion of {self.confused}", "", "% of the true class [95 % interval].", ""]
            text += [markdown.table(self.confusion_rows(), left=2)]
        text += ["", "## Systems", "", markdown.table([["system", "what"], *self._about()], left=2), ""]
        for name, caption in pictures:
            text += [f"![{caption}]({name})", ""]
        return "\n".join(text)

    def _about(self) -> list[list[str]]:
        return [[name, self.reports[0].about[name]] for name in self.systems]

    def figure(self) -> Figure:
        """Dot and whisker, a panel for each metric, a mark for each protocol."""
        from matplotlib.figure import Figure

        first = self.reports[0]
        figure = Figure(
            figsize=(3.8 * len(first.metrics) + 1.6, 0.2 * len(self.systems) * (len(self.reports) + 1) + 1.5),
            layout="constrained",
        )
        axes = figure.subplots(1, len(first.metrics), sharey=True, squeeze=False)[0]
        marks = [("o", "#c8500a"), ("s", "#1b3a5c"), ("^", "#5b8c5a"), ("D", "#8c9bab")]
        for axis, metric in zip(axes, first.metrics, strict=True):
            for k, (report, (marker, colour)) in enumerate(zip(self.reports, marks * 9, strict=False)):
                for i, system in enumerate(self.systems):
                    score, y = report.scores[system][metric], i + 0.24 * (k - (len(self.reports) - 1) / 2)
                    if score.low is not None:
                        axis.plot([100 * score.low, 100 * score.high], [y, y], color=colour, linewidth=1.6)
                    label = report.protocol if axis is axes[0] and not i else None
                    axis.plot(100 * score.value, y, marker, color=colour, markersize=5, label=label)
            for i, system in enumerate(self.systems):
                known = first.paper.get(system, {}).get(metric)
                if known is not None:
                    axis.plot(100 * known, i, "*", color="black", markersize=10)
            axis.set_title(f"{NAMES[metric]}, %", fontsize=10)
            axis.set_yticks(range(len(self.systems)), self.systems)
            axis.grid(axis="x", alpha=0.3)
        axes[0].invert_yaxis()
        if first.paper:
            axes[0].plot([], [], "*", color="black", markersize=10, label="paper, its own corpus", linestyle="")
        figure.legend(loc="outside lower center", ncols=len(self.reports) + 1, frameon=False, fontsize=8)
        return figure

    def confusion_figure(self) -> Figure:
        """The paper's matrix and that of each protocol."""
        shares: dict[str, Any] = {"paper": self.paper_confusion} if self.paper_confusion else {}
        shares |= {protocol: result.confusion.share for protocol, result in self.confusion.items()}
        return confusions(self.reports[0].task.labels, shares)

    def to_dict(self) -> dict[str, Any]:
        told = {
            "title": self.title,
            "notes": list(self.notes),
            "protocols": {report.protocol: report.to_dict() for report in self.reports},
        }
        if self.confused:
            told["confusion"] = {
                "system": self.confused,
                "labels": list(self.reports[0].task.labels),
                "paper": [list(row) for row in self.paper_confusion],
                **{
                    protocol: [[None if math.isnan(share) else share for share in row] for row in r.confusion.share]
                    for protocol, r in self.confusion.items()
                },
            }
        return told

    def save(self, folder: str | PathLike[str], name: str) -> Path:
        """Write NAME.md, NAME.json, NAME.png and, of one system, NAME-confusion.png."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{name}.json", self.to_dict())
        pictures = [(f"{name}.png", "Scores with 95 % intervals", self.figure())]
        if self.confused:
            pictures.append((f"{name}-confusion.png", f"Confusion of {self.confused}", self.confusion_figure()))
        for file, _, figure in pictures:
            write_figure(folder / file, figure)
        write_text(folder / f"{name}.md", self.to_markdown([(file, caption) for file, caption, _ in pictures]))
        return folder / f"{name}.md"
