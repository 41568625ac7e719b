"""Scores of one task under one protocol: values, intervals, seeds, confusion, per gender and per speaker.

`group_sums.py` has the equations.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from keras_ser import metrics
from keras_ser.errors import UnknownKeyError
from keras_ser.evaluation import caveats, group_sums
from keras_ser.evaluation.group_sums import Items, degrees, metric_names, tally, without_interval
from keras_ser.evaluation.intervals import FEW_GROUPS, interval, jackknife, variance
from keras_ser.evaluation.predictions import check_predictions
from keras_ser.evaluation.tables import Cell, form_of
from keras_ser.tasks import Task

MANY_CLASSES = 32  # with more classes, the confusion matrix has no intervals and no picture


@dataclass(frozen=True)
class Score:
    """One metric of one task.

    Args:
        metric: "accuracy", "uar", "macro_f1", "weighted_f1", "recall/<label>", "ccc" or "rmse".
        value: the mean over `seeds`; NaN if undefined.
        low, high: the ends of the 95 % interval of `value` (see `intervals`), or None.
        seeds: the score of each seed, pooled over its folds.
        chance: the chance level of UAR and CCC (see `group_sums.chance`), else None.
        paper: a paper's published score, in the unit of `value`.
        without: why a defined score has no interval; "" if it has one, or none was asked for.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    seeds: tuple[float, ...]
    chance: float | None = None
    paper: float | None = None
    without: str = ""

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds (dividing by seeds - 1); None for a single seed."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else None

    def cell(self, spread: bool = True) -> Cell:
        """Return the score as a table cell; with `spread` including the standard deviation over seeds."""
        std = self.std if spread else None
        return Cell(self.value, self.low, self.high, std=std, paper=self.paper, form=form_of(self.metric))


@dataclass(frozen=True, eq=False)
class Confusion:
    """Rows: true class, columns: predicted class, both in the order of `labels`."""

    labels: tuple[str, ...]  # the classes
    counts: np.ndarray  # (classes, classes), clips summed over folds and seeds
    # (classes, classes), shares of the row, equal for the sum and the mean over seeds. NaN in an empty row
    share: np.ndarray
    # low, high: (classes, classes), the ends of the share's 95 % interval; None with few groups or many classes, NaN
    # where undefined
    low: np.ndarray | None
    high: np.ndarray | None

    def cells(self) -> list[list[Cell]]:
        """Return the shares as table cells, (classes, classes)."""
        k = range(len(self.labels))
        ends = [[[None if end is None else _known(end[i][j]) for j in k] for i in k] for end in (self.low, self.high)]
        return [[Cell(self.share[i][j], ends[0][i][j], ends[1][i][j]) for j in k] for i in k]


@dataclass(frozen=True)
class Subset:
    """The scores of one gender's or one speaker's clips; `absent` lists the classes that do not occur in them."""

    value: str
    clips: int
    groups: int
    scores: tuple[Score, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class TaskScores:
    """Everything measured for one task under one protocol."""

    protocol: str  # protocol, task, labels, streams: what was scored; `labels` is empty for a continuous task
    task: str
    labels: tuple[str, ...]
    streams: tuple[str, ...]
    unit: str  # what the intervals are taken over: "speakers", "groups" or "clips" (no groups are known)
    groups: int  # number of these units
    speakers: int  # speakers, clips: numbers scored; `unlabelled`: number of clips without a label
    clips: int
    unlabelled: int
    # folds, seeds: those that were scored; `deterministic`: all seeds give the same model
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    deterministic: bool
    repeats: int  # number of folds of a seed that predict each clip, all of them on another corpus; 0 = it differs
    # seed -> (missing folds, number of missing clips) of the excluded seeds
    incomplete: dict[int, tuple[tuple[int, ...], int]]
    # class -> the folds from which it is absent; `absent_altogether`: the classes absent from all folds
    absent: dict[str, tuple[int, ...]]
    absent_altogether: tuple[str, ...]
    # scores of the mean over seeds. `ensemble`: scores of the probabilities averaged over seeds (empty with one seed)
    scores: tuple[Score, ...]
    ensemble: tuple[Score, ...]
    confusion: Confusion | None  # None for a continuous task
    # by_gender, by_speaker: the same scores on a part of the clips (no intervals by speaker)
    by_gender: tuple[Subset, ...]
    by_speaker: tuple[Subset, ...]
    notes: tuple[str, ...]  # caveats on these figures

    @property
    def summed(self) -> str:
        """Over which models the clips of `confusion` are summed: ", summed over 3 seeds"; "" if each counts once."""
        if self.repeats == 1:
            return f", summed over {len(self.seeds)} seeds" if len(self.seeds) > 1 else ""
        if self.repeats:
            return f", summed over {self.repeats * len(self.seeds)} runs"
        return f", summed over folds{' and seeds' if len(self.seeds) > 1 else ''}"

    def speaker_mean(self, metric: str) -> float:
        """Return the mean of a metric over the known speakers, each counting once; NaN if there are none."""
        named = [part for part in self.by_speaker if part.value]  # "" is the clips without a speaker
        found = [score.value for part in named for score in part.scores if score.metric == metric]
        return float(np.mean(found or [np.nan]))

    def __getitem__(self, metric: str) -> Score:
        for item in self.scores:
            if item.metric == metric:
                return item
        raise UnknownKeyError(f"expected one of {', '.join(s.metric for s in self.scores)}. Received: {metric!r}.")


def uar_or_ccc(rows: pd.DataFrame, task: Task) -> float:
    """Return the UAR over the classes that occur, or the CCC, of rows of a predictions table; NaN without labelled rows."""
    truth, predicted = rows[task.name], rows[f"{task.name}/prediction"]
    if task.continuous:
        return float(metrics.ccc(metrics.sums(truth, predicted)))
    truth, predicted = (pd.Index(task.labels).get_indexer(side) for side in (truth, predicted))
    return float(metrics.uar(metrics.confusion(truth, predicted, task.size)))


def _scores(
    items: Items, predicted: np.ndarray, task: Task, deterministic: bool, intervals: bool = True
) -> tuple[Score, ...]:
    """Score `predicted`, (seeds, clips)."""
    sums, names = tally(items, predicted, task), metric_names(task)
    found = group_sums.left_out(sums, task, deterministic)
    values = found.whole.mean(axis=-1)
    low = high = np.full(len(names), np.nan)
    if intervals and len(sums) >= FEW_GROUPS:
        spread = variance(found, degrees=degrees(sums, task))
        ends = [interval(v, *each, group_sums.scale(m)) for m, v, *each in zip(names, values, *spread, strict=True)]
        low, high = np.array(ends).T
    missing = without_interval(sums, task, items.unit.removesuffix("s")) if intervals else [""] * len(names)
    classes = 0 if task.continuous else len(np.unique(items.truth))
    return tuple(
        Score(
            name,
            float(v),
            _known(a),
            _known(b),
            tuple(map(float, seeds)),
            group_sums.chance(name, classes),
            without=why if np.isnan(a) and not np.isnan(v) else "",
        )
        for name, v, a, b, seeds, why in zip(names, values, low, high, found.whole, missing, strict=True)
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _confusion(items: Items, task: Task, deterministic: bool) -> Confusion:
    k = task.size
    cell = items.truth * k + items.predicted  # (seeds, clips)
    counts = np.bincount(cell.ravel(), minlength=k * k).reshape(k, k)
    low = high = None
    names, group = np.unique(items.facts["group"].to_numpy(str), return_inverse=True)
    if len(names) >= FEW_GROUPS and k <= MANY_CLASSES:
        free = degrees(tally(items, items.predicted, task), task)[-k:]  # the degrees of freedom of the row's recall
        ends = np.full((2, k, k), np.nan)
        for i in range(k):  # row by row, since without speakers there are as many groups as clips
            mine = items.truth == i
            cells = np.zeros((len(names), len(cell), k))
            for seed, own in enumerate(items.predicted):
                np.add.at(cells, (group[mine], seed, own[mine]), 1)
            found = jackknife(cells, _shares, deterministic)
            ends[:, i] = interval(found.whole.mean(axis=-1), *variance(found, degrees=free[i]), "logit")
        low, high = ends
    return Confusion(task.labels, counts, _shares(counts), low, high)


def _shares(counts: np.ndarray) -> np.ndarray:
    return metrics.ratio(counts, counts.sum(axis=-1, keepdims=True))


def _absent(items: Items, task: Task) -> tuple[str, ...]:
    there = set(items.truth.tolist()) if not task.continuous else set()
    return tuple(label for i, label in enumerate(task.labels) if i not in there)


def _subsets(items: Items, column: str, task: Task, deterministic: bool, intervals: bool = True) -> tuple[Subset, ...]:
    values = items.facts[column].to_numpy(str)
    found = []
    for value in sorted(set(values.tolist())):
        part = items.part(values == value)
        scores = _scores(part, part.predicted, task, deterministic, intervals)
        groups = part.facts["group"].nunique()
        found.append(Subset(value, part.facts["id"].nunique(), groups, scores, _absent(part, task)))
    return tuple(found) if any(s.value for s in found) else ()


def score(
    predictions: pd.DataFrame,
    task: Task,
    protocol: str,
    *,
    folds: Iterable[int] | None = None,
    paper: Mapping[str, float] | None = None,
    deterministic: bool = False,
    checked: bool = False,
) -> TaskScores | None:
    """Score one task under one protocol, on its `scored_streams`; return None if no clip has a label.

    Args:
        predictions: the predictions table.
        task: the task to score.
        protocol: name of the protocol to score.
        folds: the folds of a complete seed. Default: those of any seed.
        paper: metric -> a paper's score, in the unit of the score.
        deterministic: whether all seeds give the same model (`keras_ser.models.deterministic_model`).
        checked: whether the table was returned by `check_predictions`.

    Raises:
        UserError: the table is invalid (see `check_predictions`).
    """
    frame = predictions if checked else check_predictions(predictions, [task])
    streams = group_sums.scored_streams(frame, task)
    items = group_sums.select(frame, task, protocol, streams, folds)
    if items is None:
        return None
    scores = _scores(items, items.predicted, task, deterministic)
    scores = tuple(replace(s, paper=(paper or {}).get(s.metric)) for s in scores)
    several = len(items.seeds) > 1
    present = {}
    for fold, part in items.facts.groupby("fold"):
        present[int(fold)] = set(items.truth[part.index].tolist()) if not task.continuous else set()
    altogether = _absent(items, task)
    absent = {
        label: tuple(fold for fold, there in present.items() if i not in there)
        for i, label in enumerate(task.labels)
        if label not in altogether
    }
    repeats = set(map(int, items.facts.groupby(["id", "stream"]).size()))
    result = TaskScores(
        protocol=protocol,
        task=task.name,
        labels=task.labels,
        streams=streams,
        unit=items.unit,
        groups=items.facts["group"].nunique(),
        speakers=items.facts.loc[items.facts["speaker"] != "", "speaker"].nunique(),
        clips=items.facts["id"].nunique(),  # of which each fold may predict all, on another corpus
        unlabelled=items.unlabelled,
        folds=tuple(present),
        seeds=items.seeds,
        deterministic=deterministic,
        repeats=repeats.pop() if len(repeats) == 1 else 0,
        incomplete=items.incomplete,
        absent={label: where for label, where in absent.items() if where},
        absent_altogether=altogether,
        scores=scores,
        ensemble=_scores(items, items.ensemble, task, deterministic) if several else (),
        confusion=None if task.continuous else _confusion(items, task, deterministic),
        by_gender=_subsets(items, "gender", task, deterministic),
        by_speaker=_subsets(items, "speaker", task, deterministic, intervals=False),
        notes=(),
    )
    return replace(result, notes=caveats.notes(result, items, folds))
