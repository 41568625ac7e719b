"""What one system gains over another, class by class: a paper's table beside the measured one, with a paired test."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation import markdown
from keras_ser.evaluation.comparison import Comparison, compare, corrected
from keras_ser.evaluation.intervals import basis, over_seeds
from keras_ser.evaluation.plots import metric_title
from keras_ser.evaluation.scores import Score
from keras_ser.evaluation.systems import FIGURES, system_scores
from keras_ser.files import write_figure, write_json, write_text
from keras_ser.tasks import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class GainReport:
    """A row a class ("recall/anger") and for accuracy and UAR; columns: both systems, the gain relative to the first.

    Args:
        title: the report's heading.
        tables: two systems' predictions tables over the same clips, the one to be gained over first.
        task: what is scored; protocol: under which split.
        paper: system -> {metric: a paper's figure, a fraction}.
        notes: sentences for the reader.
        unit: what a group is, see `DenoisingReport`.
    """

    title: str
    tables: Mapping[str, pd.DataFrame] = field(repr=False)
    task: Task
    protocol: str
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    unit: str = "speaker"

    def __post_init__(self):
        if len(self.tables) != 2:
            raise UserError(f"a gain is of one system over another. Received: {', '.join(self.tables) or 'none'}.")

    @property
    def metrics(self) -> list[str]:
        return [*(f"recall/{label}" for label in self.task.labels), "accuracy", "uar"]

    @functools.cached_property
    def scores(self) -> dict[str, dict[str, Score]]:
        """System -> metric -> score."""
        return {name: system_scores(table, self.task, self.protocol) for name, table in self.tables.items()}

    @functools.cached_property
    def differences(self) -> dict[str, Comparison]:
        """Metric -> the second system's score less the first one's, paired; p values corrected for all of them (Holm)."""
        first, second = self.tables.values()
        found = [compare(second, first, self.task, m, protocol=self.protocol) for m in self.metrics]
        return dict(zip(self.metrics, corrected(found), strict=True))

    def rows(self) -> list[list[str]]:
        """Header first."""
        a, b = self.tables
        first, second = self.scores.values()
        header = ["%"]
        for system in (a, b):
            header += [f"{system} (paper)"] * bool(self.paper) + [system]
        header += ["gain (paper)"] * bool(self.paper) + ["gain", "difference", "p (Holm)"]
        rows = [header]
        for metric in self.metrics:
            row = [metric_title(metric).removeprefix("recall ")]
            for system, found in ((a, first), (b, second)):
                if self.paper:
                    row.append(_plain(self.paper.get(system, {}).get(metric)))
                row.append(_shown(found[metric].value, found[metric].low, found[metric].high))
            if self.paper:
                row.append(_gain(self.paper.get(a, {}).get(metric), self.paper.get(b, {}).get(metric)))
            difference = self.differences[metric]
            row.append(_gain(first[metric].value, second[metric].value))
            row.append(_shown(difference.difference, difference.low, difference.high, "+"))
            known = difference.p_holm is not None and math.isfinite(difference.difference)
            row.append(f"{difference.p_holm:.3f}" if known else "–")
            rows.append(row)
        return rows

    def lines(self) -> list[str]:
        return [self.title, "", *markdown.aligned(self.rows()), "", *self._tests()]

    def _tests(self) -> list[str]:
        """What the column of differences is, and why a p is lacking."""
        whole = self.differences["uar"]
        said = [f"Difference: paired, {whole.basis}; p values corrected for their number (Holm)."]
        return said + ([f"No p: {whole.without_p}."] if whole.without_p else [])

    def to_markdown(self, pictures: Sequence[tuple[str, str]] = ()) -> str:
        first = next(iter(self.tables.values()))
        seeds = [len(scores["uar"].seeds) for scores in self.scores.values()]
        over = basis(first["group"].nunique(), self.unit, over_seeds(*seeds))
        text = [f"# {self.title}", "", *(f"- {note}" for note in self.notes)]
        text += [
            f"- {self.task.name}, protocol {self.protocol}, {first['id'].nunique()} clips; % [{over}]. The gain is relative.",
            *(f"- {line}" for line in self._tests()),
            "",
            markdown.table(self.rows()),
            "",
        ]
        for name, caption in pictures:
            text += [f"![{caption}]({name})", ""]
        return "\n".join(text)

    def figure(self) -> Figure:
        """Both systems, measured with intervals and as the paper has them, a group of marks each row."""
        from matplotlib.figure import Figure

        metrics = self.metrics
        figure = Figure(figsize=(7.0, 0.5 * len(metrics) + 1.4), layout="constrained")
        axes = figure.subplots()
        for system, colour, shift in zip(self.tables, ("#8c9bab", "#1b3a5c"), (-0.14, 0.14), strict=True):
            for y, metric in enumerate(metrics):
                score = self.scores[system][metric]
                if score.low is not None:
                    axes.plot([100 * score.low, 100 * score.high], [y + shift] * 2, color=colour, linewidth=1.8)
                told = {"label": system} if not y else {}
                axes.plot(100 * score.value, y + shift, "o", color=colour, markersize=6, **told)
                paper = self.paper.get(system, {}).get(metric)
                if paper is not None:
                    told = {"label": f"{system} (paper)"} if not y else {}
                    axes.plot(
                        100 * paper, y + shift, "*", color=colour, markersize=10, markeredgecolor="#c8500a", **told
                    )
        axes.set_yticks(range(len(metrics)), [metric_title(m).removeprefix("recall ") for m in metrics])
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        axes.set_xlabel(f"{self.task.name}: recall of each class, accuracy, UAR, %")
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        return figure

    def to_dict(self) -> dict[str, Any]:
        rows = []
        for metric, d in self.differences.items():
            measured = {
                system: {key: _finite(getattr(s[metric], key)) for key in ("value", "low", "high")}
                for system, s in self.scores.items()
            }
            paper = {system: self.paper.get(system, {}).get(metric) for system in self.tables}
            difference = {key: _finite(getattr(d, key)) for key in FIGURES[1:]}
            rows.append(
                {"metric": metric, "measured": measured, "paper": paper, **difference, "without_p": d.without_p}
            )
        return {"title": self.title, "notes": list(self.notes), "systems": list(self.tables), "rows": rows}

    def save(self, folder: str | PathLike[str], name: str) -> Path:
        """Write NAME.md, NAME.json and NAME.png; the predictions are the experiments' own."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{name}.json", self.to_dict())
        write_figure(folder / f"{name}.png", self.figure())
        write_text(folder / f"{name}.md", self.to_markdown([(f"{name}.png", "Scores with 95 % intervals")]))
        return folder / f"{name}.md"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _plain(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _shown(value: float, low: float | None, high: float | None, sign: str = "") -> str:
    if not math.isfinite(value):
        return "–"  # no clip of this class was tested
    text = f"{100 * value:{sign}.1f}"
    return f"{text} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]" if low is not None else text


def _gain(a: float | None, b: float | None) -> str:
    return f"{100 * (b - a) / a:+.1f}" if a and b is not None and math.isfinite(a) and math.isfinite(b) else ""
