"""From the predictions table to sums per group, and from sums to metrics.

With n_ij clips of class i named j (pooled over folds), r_i = sum_j n_ij, c_j = sum_i n_ij and P the set of classes with
r_i > 0,

    accuracy (WA) = sum_i n_ii / sum_i r_i          recall_i = n_ii / r_i          UAR (UA) = mean over P of recall_i
    F1_i = 2 n_ii / (r_i + c_i)      macro F1 = mean over P of F1_i      weighted F1 = sum_i r_i F1_i / sum_i r_i

so a class that no clip has is left out. A bootstrap resample without a class that the table has is left out of the intervals of
UAR and macro F1, as where few speakers of either gender are drawn from: it would measure something else. Only where most
resamples are such, as where each speaker is a class, the class is left out of the resample instead. For continuous tasks, with
moments over all clips (variances divide by n),

    CCC = 2 cov(t, p) / (var t + var p + (mean t - mean p)^2)          RMSE = sqrt(mean (t - p)^2)

Reference: Lin, A concordance correlation coefficient to evaluate reproducibility, Biometrics 45 (1989).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation.bootstrap import resample
from keras_ser.evaluation.predictions import labelled, probability_columns
from keras_ser.tasks import Task

ALONE = "\x1f"  # begins the name of a clip's own group; no NUL, where pandas would end a name


@dataclass(frozen=True)
class Items:
    """The clips of one task and protocol, as arrays: truth and predictions are class indices or numbers."""

    truth: np.ndarray  # (clips,)
    predicted: np.ndarray  # (seeds, clips)
    ensemble: np.ndarray  # (1, clips)
    facts: pd.DataFrame  # (clips,) rows: fold, id, speaker, gender, group
    unit: str
    seeds: tuple[int, ...]
    incomplete: dict[int, tuple[tuple[int, ...], int]]
    partial: bool
    unlabelled: int

    def part(self, chosen: np.ndarray) -> "Items":
        """The chosen clips, (clips,) bool."""
        return replace(
            self,
            truth=self.truth[chosen],
            predicted=self.predicted[:, chosen],
            ensemble=self.ensemble[:, chosen],
            facts=self.facts[chosen],
        )


def metric_names(task: Task) -> tuple[str, ...]:
    """The metrics of a task, in the order in which they are reported."""
    if task.continuous:
        return ("ccc", "rmse")
    return ("accuracy", "uar", "macro_f1", "weighted_f1", *(f"recall/{label}" for label in task.labels))


def choose_stream(frame: pd.DataFrame, task: Task, stream: Mapping[str, str] | None = None) -> str | None:
    """The stream that the task is scored on: the one asked for, else the first row's that has a label of it.

    Raises:
        ValueError: the stream asked for is not in the table.
    """
    if stream and task.name in stream:
        if not (frame["stream"] == stream[task.name]).any():
            raise UserError(
                f"the stream for task {task.name!r} must be one of {', '.join(sorted(set(frame['stream'])))}. "
                f"Received: {stream[task.name]!r}."
            )
        return stream[task.name]
    streams = frame.loc[labelled(frame, task), "stream"]
    return None if streams.empty else streams.iloc[0]


def select(
    frame: pd.DataFrame, task: Task, protocol: str, stream: str, folds: Iterable[int] | None = None
) -> Items | None:
    """The labelled clips of the seeds that have every fold and clip; None if no clip has a label.

    A seed is complete when it has every (fold, clip) that any seed has, and every fold of `folds`. If none is, the
    fullest one is taken, and `partial` says so.
    """
    rows = frame[(frame["protocol"] == protocol) & (frame["stream"] == stream)]
    if not labelled(rows, task).any():
        return None
    keys = {seed: set(zip(part["fold"], part["id"], strict=True)) for seed, part in rows.groupby("seed")}
    wanted = set().union(*keys.values())
    wanted_folds = {fold for fold, _ in wanted} | set(folds or ())
    incomplete = {}
    for seed, own in keys.items():
        lacking = tuple(sorted(wanted_folds - {fold for fold, _ in own}))
        if lacking or own != wanted:
            incomplete[int(seed)] = (tuple(map(int, lacking)), len(wanted - own))
    complete = [seed for seed in keys if seed not in incomplete]
    partial = not complete
    if partial:
        fullest = max(keys.values(), key=len)  # the lowest seed wins a tie: groupby sorts
        complete = [seed for seed, own in keys.items() if own == fullest]
        incomplete = {seed: lack for seed, lack in incomplete.items() if seed not in complete}
    rows = rows[rows["seed"].isin(complete)].sort_values(["seed", "fold", "id"])
    unlabelled = int((~labelled(rows, task)).sum()) // len(complete)
    rows = rows[labelled(rows, task)]
    if rows.empty:
        return None
    seeds = len(complete)
    facts = rows.iloc[: len(rows) // seeds][["fold", "id", "speaker", "gender", "group"]].reset_index(drop=True)
    truth = rows[task.name].to_numpy()[: len(facts)]
    predicted = rows[f"{task.name}/prediction"].to_numpy()
    if task.continuous:
        predicted = predicted.reshape(seeds, len(facts))
        ensemble = predicted.mean(axis=0, keepdims=True)
    else:
        index = pd.Index(task.labels)
        truth, predicted = index.get_indexer(truth), index.get_indexer(predicted).reshape(seeds, len(facts))
        probabilities = rows[probability_columns(task)].to_numpy().reshape(seeds, len(facts), task.size)
        ensemble = probabilities.mean(axis=0).argmax(axis=-1)[None]
    facts, unit = _name_groups(facts)
    return Items(truth, predicted, ensemble, facts, unit, tuple(map(int, complete)), incomplete, partial, unlabelled)


def _name_groups(facts: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    alone = facts["group"] == ""
    # where speakers are a task's classes, their column holds "corpus/speaker"
    bare = facts["speaker"].str.rpartition("/")[2]
    named = "speakers" if ((facts["group"] == facts["speaker"]) | (facts["group"] == bare)).all() else "groups"
    unit = "clips" if alone.all() else named
    # A clip without a group is a group of its own; the mark keeps its name from meeting a real group's.
    names = [group or ALONE + clip for group, clip in zip(facts["group"], facts["id"], strict=True)]
    return facts.assign(group=pd.Series(names, index=facts.index, dtype=object)), unit


def tally(items: Items, predicted: np.ndarray, task: Task) -> np.ndarray:
    """Each group's sums.

    Args:
        items: the clips.
        predicted: (seeds, clips).
        task: classification: hits n_ii, true r_i and named c_i of each class; continuous: n, sums of t, p, tt, pp, tp
            and (t - p)^2, after the mean of t is taken off both (CCC does not see it, rounding does).

    Returns:
        (groups, seeds, 3, classes) or (groups, seeds, 7), groups in the order of their names.
    """
    names, group = np.unique(items.facts["group"].to_numpy(str), return_inverse=True)
    seeds, clips = predicted.shape
    if task.continuous:
        t = np.broadcast_to(items.truth - items.truth.mean(), predicted.shape)
        p = predicted - items.truth.mean()
        moments = np.stack([np.ones_like(p), t, p, t * t, p * p, t * p, (t - p) ** 2], axis=-1)
        sums = np.zeros((len(names), seeds, 7))
        np.add.at(sums, group, moments.swapaxes(0, 1))  # (clips, seeds, 7)
        return sums
    sums = np.zeros((len(names), seeds, 3, task.size))
    seed = np.repeat(np.arange(seeds), clips)
    group, truth, predicted = np.tile(group, seeds), np.tile(items.truth, seeds), predicted.ravel()
    np.add.at(sums, (group, seed, 0, truth), truth == predicted)
    np.add.at(sums, (group, seed, 1, truth), 1)
    np.add.at(sums, (group, seed, 2, predicted), 1)
    return sums


def measure(sums: np.ndarray, task: Task) -> np.ndarray:
    """Sums, (..., 3, classes) or (..., 7) -> metrics, (..., metrics) in the order of `metric_names`; NaN: undefined."""
    if task.continuous:
        n, t, p, tt, pp, tp, squares = np.moveaxis(sums, -1, 0)
        t, p = t / n, p / n
        spread = np.maximum(tt / n - t * t, 0) + np.maximum(pp / n - p * p, 0) + (t - p) ** 2
        return np.stack([ratio(2 * (tp / n - t * p), spread), np.sqrt(squares / n)], axis=-1)
    hits, true, named = np.moveaxis(sums, -2, 0)
    recall = ratio(hits, true)
    f1 = np.where(true > 0, ratio(2 * hits, true + named), np.nan)
    total = true.sum(axis=-1)
    accuracy = ratio(hits.sum(axis=-1), total)
    weighted = ratio(np.nansum(f1 * true, axis=-1), total)
    whole = np.stack([accuracy, _mean(recall), _mean(f1), weighted], axis=-1)
    return np.concatenate([whole, recall], axis=-1)


def measure_resamples(sums: np.ndarray, task: Task, resamples: int, seed: int) -> np.ndarray:
    """(resamples, seeds, metrics) of `tally`'s sums, (groups, seeds, ..); NaN: undefined, or lacking a class (see above)."""
    if task.continuous:
        return resample(sums, lambda drawn: measure(drawn, task), resamples, seed)
    there = sums[:, 0, 1].sum(axis=0) > 0  # (classes,)
    lacking = []

    def statistic(drawn: np.ndarray) -> np.ndarray:
        lacking.append((drawn[:, 0, 1][:, there] == 0).any(axis=1))
        return measure(drawn, task)

    found, lacks = resample(sums, statistic, resamples, seed), np.concatenate(lacking)
    if lacks.mean() < 0.5:
        found[lacks, :, 1:3] = np.nan  # UAR, macro F1
    return found


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below; NaN where below is 0."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0).sum(axis=-1), there.sum(axis=-1))
