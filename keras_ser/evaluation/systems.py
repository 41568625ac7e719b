"""Several systems on the same clips: one table of scores with intervals and a paper's column, and paired differences."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from keras_ser.evaluation import markdown
from keras_ser.evaluation.comparison import Comparison, compare, corrected
from keras_ser.evaluation.intervals import basis, over_seeds
from keras_ser.evaluation.plots import NAMES
from keras_ser.evaluation.report import report
from keras_ser.evaluation.scores import Score, TaskScores
from keras_ser.files import write_figure, write_json, write_text
from keras_ser.tasks import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FIGURES = ("metric", "difference", "low", "high", "p", "p_holm")  # of a comparison, in a report's JSON
PAIRED = "Paired differences [95 % CI], with p values corrected for their number (Holm):"


@dataclass(frozen=True)
class SystemsReport:
    """What each system scores, and what one differs by from another.

    Args:
        title: the report's heading.
        tables: system -> its predictions table (see `predictions.py`), all over the same clips.
        about: system -> what it is.
        task: what is scored; protocol: under which split.
        paper: system -> {metric: a paper's figure, a fraction}.
        pairs: (a, b): the differences a - b to be shown.
        metrics: to be shown.
        notes: sentences for the reader.
        unit: what a group is, see `DenoisingReport`; items: what one row of a table is.
        deterministic: the systems of which another seed would give the same model.
    """

    title: str
    tables: Mapping[str, pd.DataFrame] = field(repr=False)
    about: Mapping[str, str]
    task: Task
    protocol: str
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pairs: Sequence[tuple[str, str]] = ()
    metrics: Sequence[str] = ("accuracy", "uar")
    notes: Sequence[str] = ()
    unit: str = "speaker"
    items: str = "clips"
    deterministic: Collection[str] = ()

    @functools.cached_property
    def scores(self) -> dict[str, dict[str, Score]]:
        """System -> metric -> score."""
        return {
            name: system_scores(table, self.task, self.protocol, name in self.deterministic)
            for name, table in self.tables.items()
        }

    @functools.cached_property
    def differences(self) -> list[tuple[str, str, Comparison]]:
        """(a, b, a less b), metric by metric; their p values are corrected for all of them (Holm)."""
        pairs = [(a, b, metric) for metric in self.metrics for a, b in self.pairs]
        found = corrected(
            [
                compare(
                    self.tables[a],
                    self.tables[b],
                    self.task,
                    metric,
                    protocol=self.protocol,
                    deterministic=(a in self.deterministic, b in self.deterministic),
                )
                for a, b, metric in pairs
            ]
        )
        return [(a, b, comparison) for (a, b, _), comparison in zip(pairs, found, strict=True)]

    def rows(self) -> list[list[str]]:
        header = ["system"]
        for metric in self.metrics:
            header += [f"{NAMES[metric]} (paper)"] if any(metric in p for p in self.paper.values()) else []
            header += [NAMES[metric]]
        rows = [header]
        for system in self.tables:
            found, row = self.scores[system], [system]
            for metric in self.metrics:
                if f"{NAMES[metric]} (paper)" in header:
                    figure = self.paper.get(system, {}).get(metric)
                    row.append("" if figure is None else f"{100 * figure:.2f}")
                row.append(shown(found[metric]))
            rows.append(row)
        return rows

    def verdicts(self) -> list[str]:
        return [f"{a} - {b}: {c.lines()[0]}" for a, b, c in self.differences]

    def scale(self) -> str:
        """What the figures are of, in a sentence."""
        first = next(iter(self.tables.values()))
        mine = first[first["protocol"] == self.protocol]
        seeds = [
            len(self.scores[name][self.metrics[0]].seeds) for name in self.tables if name not in self.deterministic
        ]
        over = basis(mine["group"].nunique(), self.unit, over_seeds(*seeds) if seeds else "")
        return f"{self.task.name}, protocol {self.protocol}, {mine['id'].nunique()} {self.items}; % [{over}]."

    def lines(self) -> list[str]:
        return [self.title, "", *markdown.aligned(self.rows()), "", *self.verdicts()]

    def to_markdown(self, pictures: Sequence[tuple[str, str]] = ()) -> str:
        text = [f"# {self.title}", "", *(f"- {note}" for note in self.notes)]
        text += [
            f"- {self.scale()}",
            "",
            markdown.table(self.rows()),
            "",
            PAIRED,
            "",
            *(f"- {line}" for line in self.verdicts()),
            "",
            markdown.table([["system", "what"], *([name, self.about[name]] for name in self.tables)], left=2),
            "",
        ]
        for name, caption in pictures:
            text += [f"![{caption}]({name})", ""]
        return "\n".join(text)

    def figure(self) -> Figure:
        """Dot and whisker, a panel for each metric."""
        from matplotlib.figure import Figure

        systems = list(self.tables)
        figure = Figure(figsize=(3.6 * len(self.metrics) + 1.6, 0.42 * len(systems) + 1.3), layout="constrained")
        axes = figure.subplots(1, len(self.metrics), sharey=True, squeeze=False)[0]
        for axis, metric in zip(axes, self.metrics, strict=True):
            told = "measured, 95 % interval" if axis is axes[0] else None
            for y, system in enumerate(systems):
                score = self.scores[system][metric]
                if score.low is not None:
                    axis.plot([100 * score.low, 100 * score.high], [y, y], color="#1b3a5c", linewidth=1.6)
                axis.plot(100 * score.value, y, "o", color="#1b3a5c", label=told if not y else None)
                figure_of_paper = self.paper.get(system, {}).get(metric)
                if figure_of_paper is not None:
                    axis.plot(100 * figure_of_paper, y, "*", color="#c8500a", markersize=10)
            axis.set_title(f"{NAMES[metric]}, %", fontsize=10)
            axis.set_yticks(range(len(systems)), systems)
            axis.grid(axis="x", alpha=0.3)
        axes[0].invert_yaxis()
        if self.paper:
            axes[-1].plot([], [], "*", color="#c8500a", markersize=10, label="paper")
            figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
        return figure

    def to_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "notes": list(self.notes),
            "paper": {name: dict(figures) for name, figures in self.paper.items()},
            "systems": {
                name: {
                    metric: {"value": s.value, "low": s.low, "high": s.high, "seeds": list(s.seeds)}
                    for metric, s in self.scores[name].items()
                    if metric in self.metrics
                }
                for name in self.tables
            },
            "differences": [
                {"a": a, "b": b, **{key: getattr(c, key) for key in FIGURES}, "without_p": c.without_p}
                for a, b, c in self.differences
            ],
        }

    def save(self, folder: str | PathLike[str], name: str) -> Path:
        """Write NAME.md, NAME.json and NAME.png; the predictions are the experiments' own."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{name}.json", self.to_dict())
        write_figure(folder / f"{name}.png", self.figure())
        write_text(folder / f"{name}.md", self.to_markdown([(f"{name}.png", "Scores with 95 % intervals")]))
        return folder / f"{name}.md"


def system_result(table: pd.DataFrame, task: Task, protocol: str, deterministic: bool = False) -> TaskScores:
    """One task in a predictions table, under one protocol; `deterministic` as in `score`."""
    made = report(table, [task], title="", protocols={protocol: {}}, deterministic=deterministic)
    return made.result(protocol, task.name)


def system_scores(table: pd.DataFrame, task: Task, protocol: str, deterministic: bool = False) -> dict[str, Score]:
    """Metric -> score of one task in a predictions table, under one protocol."""
    return {score.metric: score for score in system_result(table, task, protocol, deterministic).scores}


def shown(score: Score) -> str:
    """61.2 ± 0.8 [58.1, 64.0]: percent, spread over seeds where there are several, 95 % interval."""
    text = f"{100 * score.value:.1f}"
    if len(score.seeds) > 1:
        text += f" ± {100 * (score.std or 0):.1f}"
    return text if score.low is None else f"{text} [{100 * score.low:.1f}, {100 * score.high:.1f}]"
