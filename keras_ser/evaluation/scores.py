"""Scores of one task under one protocol: point, interval, seeds, confusion, per gender and per speaker.

`measures.py` has the equations.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from keras_ser.errors import UnknownKeyError
from keras_ser.evaluation.bootstrap import FEW_GROUPS, RESAMPLES, interval, resample
from keras_ser.evaluation.measures import (
    ALONE,
    Items,
    choose_stream,
    measure,
    measure_resamples,
    metric_names,
    ratio,
    select,
    tally,
)
from keras_ser.evaluation.predictions import check_predictions
from keras_ser.tasks import Task

MANY_CLASSES = 32  # over this many, the cells of the confusion matrix get no intervals and no picture


@dataclass(frozen=True)
class Score:
    """One metric of one task.

    Args:
        metric: "accuracy", "uar", "macro_f1", "weighted_f1", "recall/<label>", "ccc" or "rmse".
        value: the mean over `seeds`; NaN where it is undefined.
        low, high: the ends of the 95 % interval of `value`; None where none can be had.
        seeds: the score of each seed, pooled over its folds.
        chance: what always naming the commonest class (or, continuous, the mean) scores.
        paper: the figure a paper prints, in the unit of `value`.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    seeds: tuple[float, ...]
    chance: float | None = None
    paper: float | None = None

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds (dividing by seeds - 1); None for a single seed."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else None

    @property
    def minimum(self) -> float:
        return min(self.seeds)

    @property
    def maximum(self) -> float:
        return max(self.seeds)


@dataclass(frozen=True)
class Confusion:
    """Rows are true classes, columns named ones, in the order of `labels`.

    Args:
        labels: the classes.
        counts: (classes, classes), clips summed over folds and seeds.
        share: (classes, classes), of the row; the same for the sum and the mean over seeds. NaN in an empty row.
        low, high: (classes, classes), the ends of the share's 95 % interval; None with one group or many classes.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    share: tuple[tuple[float, ...], ...]
    low: tuple[tuple[float, ...], ...] | None
    high: tuple[tuple[float, ...], ...] | None


@dataclass(frozen=True)
class Subset:
    """The scores of one gender's or one speaker's clips; `absent` are the classes that none of them has."""

    value: str
    clips: int
    groups: int
    scores: tuple[Score, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class TaskScores:
    """Everything measured for one task under one protocol.

    Args:
        protocol, task, labels, stream: what was scored; `labels` is empty for a continuous task.
        unit: what the bootstrap draws: "speakers", "groups" or "clips" (no groups are known).
        groups: how many of them; `too_narrow` where there are under 20.
        speakers, clips: how many were scored; `unlabelled` clips had no label.
        folds, seeds: those that were scored.
        incomplete: seed -> (missing folds, number of missing clips), the seeds that were left out.
        absent: class -> the folds that it is absent from; `absent_altogether`: the classes left out everywhere.
        scores: of the mean over seeds. `ensemble`: of the probabilities averaged over seeds (empty with one seed).
        confusion: None for a continuous task.
        by_gender, by_speaker: the same scores on a part of the clips (no intervals by speaker).
        notes: what a reader must know about these figures.
    """

    protocol: str
    task: str
    labels: tuple[str, ...]
    stream: str
    unit: str
    groups: int
    speakers: int
    clips: int
    unlabelled: int
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    incomplete: dict[int, tuple[tuple[int, ...], int]]
    absent: dict[str, tuple[int, ...]]
    absent_altogether: tuple[str, ...]
    scores: tuple[Score, ...]
    ensemble: tuple[Score, ...]
    confusion: Confusion | None
    by_gender: tuple[Subset, ...]
    by_speaker: tuple[Subset, ...]
    notes: tuple[str, ...]

    @property
    def too_narrow(self) -> bool:
        return self.groups < FEW_GROUPS

    def __getitem__(self, metric: str) -> Score:
        for item in self.scores:
            if item.metric == metric:
                return item
        raise UnknownKeyError(f"expected one of {', '.join(s.metric for s in self.scores)}. Received: {metric!r}.")


def _scores(items: Items, predicted: np.ndarray, task: Task, resamples: int, seed: int) -> tuple[Score, ...]:
    """The scores of `predicted` (seeds, clips); `resamples` 0 leaves out the intervals."""
    sums = tally(items, predicted, task)
    per_seed = measure(sums.sum(axis=0), task)  # (seeds, metrics)
    low = high = np.full(per_seed.shape[1], np.nan)
    if resamples and len(sums) > 1:
        low, high = interval(measure_resamples(sums, task, resamples, seed).mean(axis=1))
    if task.continuous:
        chance = np.array([0.0, items.truth.std()])
    else:
        commonest = np.full((1, len(items.truth)), np.bincount(items.truth, minlength=task.size).argmax())
        chance = measure(tally(items, commonest, task).sum(axis=0), task)[0]
        chance[4:] = np.nan  # of one class it would be 0 or 1
    return tuple(
        Score(name, float(v.mean()), _known(a), _known(b), tuple(map(float, v)), _known(c))
        for name, v, a, b, c in zip(metric_names(task), per_seed.T, low, high, chance, strict=True)
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _confusion(items: Items, task: Task, resamples: int, seed: int) -> Confusion:
    names, group = np.unique(items.facts["group"].to_numpy(str), return_inverse=True)
    k = task.size
    cell = items.truth * k + items.predicted  # (seeds, clips)
    counts = np.bincount(cell.ravel(), minlength=k * k).reshape(k, k)
    low = high = None
    if len(names) > 1 and k <= MANY_CLASSES:
        cells = np.zeros((len(names), k * k))
        np.add.at(cells, (np.broadcast_to(group, cell.shape), cell), 1)
        low, high = interval(
            resample(cells, lambda s: _shares(s.reshape(-1, k, k)).reshape(-1, k * k), resamples, seed)
        )
        low, high = _table(low.reshape(k, k), float), _table(high.reshape(k, k), float)
    return Confusion(task.labels, _table(counts, int), _table(_shares(counts), float), low, high)


def _shares(counts: np.ndarray) -> np.ndarray:
    total = np.broadcast_to(counts.sum(axis=-1, keepdims=True), counts.shape)
    return ratio(counts.astype(np.float64), total)


def _table(values: np.ndarray, kind: type) -> tuple[tuple, ...]:
    return tuple(tuple(kind(v) for v in row) for row in values)


def _absent(items: Items, task: Task) -> tuple[str, ...]:
    there = set(items.truth.tolist()) if not task.continuous else set()
    return tuple(label for i, label in enumerate(task.labels) if i not in there)


def _subsets(items: Items, column: str, task: Task, resamples: int, seed: int) -> tuple[Subset, ...]:
    values = items.facts[column].to_numpy(str)
    found = []
    for value in sorted(set(values.tolist())):
        part = items.part(values == value)
        scores = _scores(part, part.predicted, task, resamples, seed)
        groups = part.facts["group"].nunique()
        found.append(Subset(value, len(part.truth), groups, scores, _absent(part, task)))
    return tuple(found) if any(s.value for s in found) else ()


def score(
    predictions: pd.DataFrame,
    task: Task,
    protocol: str,
    *,
    stream: str | None = None,
    folds: Iterable[int] | None = None,
    paper: Mapping[str, float] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    checked: bool = False,
) -> TaskScores | None:
    """Score one task under one protocol.

    Args:
        predictions: the predictions table.
        task: what is scored.
        protocol: whose rows are scored.
        stream: whose rows are scored; default: the first row's that has a label of the task.
        folds: the folds that a complete seed has; default: those that any seed has.
        paper: metric -> a paper's figure, in the unit of the score.
        resamples, seed: of the bootstrap.
        checked: the table comes from `check_predictions`.

    Returns:
        The scores; None if no clip has a label.

    Raises:
        ValueError: a bad table (`check_predictions`), or a stream that it does not hold.
    """
    frame = predictions if checked else check_predictions(predictions, [task])
    stream = choose_stream(frame, task, None if stream is None else {task.name: stream})
    items = None if stream is None else select(frame, task, protocol, stream, folds)
    if items is None:
        return None
    scores = _scores(items, items.predicted, task, resamples, seed)
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
    result = TaskScores(
        protocol=protocol,
        task=task.name,
        labels=task.labels,
        stream=stream,
        unit=items.unit,
        groups=items.facts["group"].nunique(),
        speakers=items.facts.loc[items.facts["speaker"] != "", "speaker"].nunique(),
        clips=len(items.truth),
        unlabelled=items.unlabelled,
        folds=tuple(present),
        seeds=items.seeds,
        incomplete=items.incomplete,
        absent={label: where for label, where in absent.items() if where},
        absent_altogether=altogether,
        scores=scores,
        ensemble=_scores(items, items.ensemble, task, resamples, seed) if several else (),
        confusion=None if task.continuous else _confusion(items, task, resamples, seed),
        by_gender=_subsets(items, "gender", task, resamples, seed),
        by_speaker=_subsets(items, "speaker", task, 0, seed),
        notes=(),
    )
    return replace(result, notes=_notes(result, items, folds))


def _notes(result: TaskScores, items: Items, folds: Iterable[int] | None) -> tuple[str, ...]:
    notes = []
    if items.unit == "clips":
        notes.append(f"No speakers or groups are known: intervals resample {result.groups} clips, likely too narrow.")
    elif result.groups == 1:
        notes.append(f"Only one of the {items.unit} to resample: no interval.")
    elif result.too_narrow:
        notes.append(f"Intervals resample {result.groups} {items.unit}: likely too narrow (under {FEW_GROUPS}).")
    else:
        notes.append(f"Intervals resample {result.groups} {items.unit}.")
    alone = int(items.facts["group"].str.startswith(ALONE).sum())
    if alone and items.unit != "clips":
        notes.append(f"{alone} clips name no group; each is resampled as a group of its own.")
    if items.partial:
        lacking = sorted(set(folds or ()) - set(result.folds))
        lack = f" Missing folds: {_listed(lacking)}." if lacking else ""
        notes.append(f"No seed is complete: scored on seed {_listed(items.seeds)}, fold {_listed(result.folds)}.{lack}")
    for seed, (lacking, clips) in items.incomplete.items():
        lack = f"fold {_listed(lacking)} missing" if lacking else "clips missing"
        notes.append(f"Seed {seed} is incomplete and left out: {lack} ({clips} clips).")
    if len(items.seeds) < 3:
        notes.append(f"Spread over {len(items.seeds)} seed(s); it takes at least 3 to say anything.")
        notes.append("Intervals over speakers know nothing of the luck of an initialisation, which may be larger.")
    if result.unlabelled:
        notes.append(f"{result.unlabelled} clips without a label are left out.")
    for label in result.absent_altogether:
        notes.append(f"No clip is {label}: left out of UAR and macro F1.")
    for label, where in result.absent.items():
        notes.append(f"{label} is absent from {len(where)} of {len(result.folds)} folds ({_listed(where)}).")
    return tuple(notes)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
