"""Several systems on the same clips: their scores and paired differences."""

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from keras_ser.evaluation.comparison import Comparison, compare, corrected
from keras_ser.evaluation.intervals import basis, over_seeds
from keras_ser.evaluation.scores import Score, TaskScores, score
from keras_ser.evaluation.tables import Cell, Table, form_of, metric_title
from keras_ser.tasks import Task


def over_all_labels(
    tables: Mapping[str, pd.DataFrame], tasks: Mapping[str, Task]
) -> tuple[dict[str, pd.DataFrame], Task]:
    """Return predictions tables and a task with the labels of all systems.

    Systems with other auxiliary corpora know other identities; an identity that a system does not know has probability 0.

    Args:
        tables: system -> its predictions.
        tasks: system -> its form of the same task.
    """
    first, *_ = tasks.values()
    labels = tuple(dict.fromkeys(label for task in tasks.values() for label in task.labels))
    every = replace(first, labels=labels) if labels != first.labels else first
    found = {}
    for name, table in tables.items():
        lacking = [f"{first.name}/{label}" for label in every.labels if label not in tasks[name].labels]
        # NaN where a clip has no prediction
        zeros = {column: 0 * table[f"{first.name}/{tasks[name].labels[0]}"] for column in lacking}
        found[name] = pd.concat([table, pd.DataFrame(zeros)], axis=1) if lacking else table
    return found, every


@dataclass(frozen=True)
class Systems:
    """The scores of several systems under one protocol, and their paired differences."""

    # system -> its predictions table (see `predictions.py`), all over the same clips
    tables: Mapping[str, pd.DataFrame] = field(repr=False)
    task: Task  # the scored task; protocol: name of the split
    protocol: str
    pairs: Sequence[tuple[str, str]] = ()  # (a, b): the differences a - b
    metrics: Sequence[str] = ("uar", "accuracy")  # the metrics to show
    deterministic: Collection[str] = ()  # the systems whose seeds all give the same model
    # kind of the groups: "speaker", "film", "session", or "none" (each clip is one); items: kind of the rows
    unit: str = "speaker"
    items: str = "clips"

    @functools.cached_property
    def results(self) -> dict[str, TaskScores]:
        """System -> all its scores."""
        return {
            name: score(table, self.task, self.protocol, deterministic=name in self.deterministic)
            for name, table in self.tables.items()
        }

    @functools.cached_property
    def scores(self) -> dict[str, dict[str, Score]]:
        """System -> metric -> score."""
        return {name: {s.metric: s for s in result.scores} for name, result in self.results.items()}

    @functools.cached_property
    def differences(self) -> list[tuple[str, str, Comparison]]:
        """(a, b, a - b) for each metric; p values are corrected for the number of all comparisons (Holm)."""
        asked = [(a, b, metric) for metric in self.metrics for a, b in self.pairs]
        found = [
            compare(
                self.tables[a],
                self.tables[b],
                self.task,
                metric,
                protocol=self.protocol,
                deterministic=(a in self.deterministic, b in self.deterministic),
            )
            for a, b, metric in asked
        ]
        return [(a, b, made) for (a, b, _), made in zip(asked, corrected(found), strict=True)]

    def speaker_means(self, paper: Mapping[str, Mapping[str, float]]) -> Table:
        """Return a table of means over the test speakers, beside the paper's scores (system -> metric -> score)."""
        rows = []
        for system in dict.fromkeys([*self.results, *paper]):
            cells = [Cell(math.nan, paper=paper.get(system, {}).get(m), form=form_of(m)) for m in self.metrics]
            if system in self.results:
                values = [self.results[system].speaker_mean(metric) for metric in self.metrics]
                cells = [replace(cell, value=value) for cell, value in zip(cells, values, strict=True)]
            rows.append([system, *cells])
        title = f"Mean over the test speakers of {self.protocol}, % (the other tables: over all clips)"
        return Table(title, ["system", *map(metric_title, self.metrics)], rows)

    def scale(self) -> str:
        """A sentence on the numbers of classes and clips, the spread over seeds, and the intervals."""
        seeds = [len(result.seeds) for name, result in self.results.items() if name not in self.deterministic]
        result = next(iter(self.results.values()))
        unit = "clip" if result.unit == "clips" else self.unit
        over = basis(result.groups, unit, over_seeds(*seeds) if seeds else "")
        shown = [found[metric] for found in self.scores.values() for metric in self.metrics if metric in found]
        if all(each.low is None for each in shown):
            over = next((each.without for each in shown if each.without), over)
        spread = " ± sample standard deviation over the seeds, in the same folds" if max(seeds, default=1) > 1 else ""
        task = f"{self.task.name} ({len(self.task.labels)} classes)" if self.task.labels else self.task.name
        return f"{task}, protocol {self.protocol}, {result.clips} {self.items}; %{spread} [{over}]."
