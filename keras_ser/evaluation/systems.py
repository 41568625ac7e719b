"""Several systems on the same clips: the scores of each, and paired differences."""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from keras_ser.evaluation.comparison import Comparison, compare, corrected
from keras_ser.evaluation.intervals import basis, over_seeds
from keras_ser.evaluation.scores import Score, TaskScores, score
from keras_ser.tasks import Task


@dataclass(frozen=True)
class Systems:
    """What each system scores under one protocol, and what one differs by from another."""

    # system -> its predictions table (see `predictions.py`), all over the same clips
    tables: Mapping[str, pd.DataFrame] = field(repr=False)
    task: Task  # what is scored; protocol: under which split
    protocol: str
    pairs: Sequence[tuple[str, str]] = ()  # (a, b): the differences a - b
    metrics: Sequence[str] = ("uar", "accuracy")  # to be shown
    deterministic: Collection[str] = ()  # the systems of which another seed would give the same model
    # what a group is: "speaker", "film", "session", or "none": each clip is one; items: what a row of a table is
    unit: str = "speaker"
    items: str = "clips"

    @functools.cached_property
    def results(self) -> dict[str, TaskScores]:
        """System -> everything that it scores."""
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
        """(a, b, a less b), metric by metric; their p values are corrected for all of them (Holm)."""
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

    def scale(self) -> str:
        """What the figures are of, in a sentence."""
        first = next(iter(self.tables.values()))
        mine = first[first["protocol"] == self.protocol]
        seeds = [len(result.seeds) for name, result in self.results.items() if name not in self.deterministic]
        over = basis(mine["group"].nunique(), self.unit, over_seeds(*seeds) if seeds else "")
        return f"{self.task.name}, protocol {self.protocol}, {mine['id'].nunique()} {self.items}; % [{over}]."
