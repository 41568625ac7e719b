"""Sums per group of the predictions table, and the metrics computed from them (see `keras_ser.metrics`).

In scores without one group (`keras_ser.evaluation.intervals`), a class that occurs in that group alone would be missing from UAR
and macro F1, which would then measure something else. If most groups have a class to themselves, e.g. if each speaker is a class,
UAR is a mean over groups and keeps its interval. Otherwise UAR and macro F1 have no interval. Nor has macro F1 if a class without
true clips is predicted for one group alone, since macro F1 also counts classes that are only predicted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from keras_ser import metrics
from keras_ser.checks import listed
from keras_ser.evaluation.intervals import FEW_GROUPS, NO_INTERVAL, Jackknife, basis, jackknife
from keras_ser.evaluation.predictions import labelled, probability_columns
from keras_ser.settings import of_stream
from keras_ser.tasks import Task

ALONE = "\x1f"  # prefix of the group name of a clip without a group; not NUL, which truncates names in pandas


@dataclass(frozen=True)
class Items:
    """The clips of one task and protocol as arrays; truth and predictions are class indices or numbers."""

    truth: np.ndarray  # (clips,)
    predicted: np.ndarray  # (seeds, clips)
    ensemble: np.ndarray  # (1, clips)
    facts: pd.DataFrame  # (clips,) rows: fold, id, stream, speaker, gender, group
    unit: str
    seeds: tuple[int, ...]
    incomplete: dict[int, tuple[tuple[int, ...], int]]
    partial: bool
    unlabelled: int

    def part(self, chosen: np.ndarray) -> "Items":
        """Return the clips selected by a mask, (clips,) bool."""
        return replace(
            self,
            truth=self.truth[chosen],
            predicted=self.predicted[:, chosen],
            ensemble=self.ensemble[:, chosen],
            facts=self.facts[chosen],
        )


def metric_names(task: Task) -> tuple[str, ...]:
    """Return the names of a task's metrics in the order in which they are reported."""
    if task.continuous:
        return ("ccc", "rmse")
    return ("accuracy", "uar", "macro_f1", "weighted_f1", *(f"recall/{label}" for label in task.labels))


def scored_streams(frame: pd.DataFrame, task: Task) -> tuple[str, ...]:
    """Return the streams on which the task is scored: that of the first row with a label of the task.

    These are all of them if the labels come from the stream: alone, each has some of the classes.
    """
    streams = tuple(dict.fromkeys(frame.loc[labelled(frame, task), "stream"]))
    return streams if of_stream(task) else streams[:1]


def select(
    frame: pd.DataFrame, task: Task, protocol: str, streams: Sequence[str], folds: Iterable[int] | None = None
) -> Items | None:
    """Select the labelled clips of the complete seeds; return None if no clip has a label.

    A seed is complete if it has every (fold, clip) of any seed, and every fold of `folds`. If no seed is complete, the
    fullest one is used and `partial` is set.
    """
    rows = frame[(frame["protocol"] == protocol) & frame["stream"].isin(streams)]
    if not labelled(rows, task).any():
        return None
    keys = {
        seed: set(zip(part["fold"], part["id"], part["stream"], strict=True)) for seed, part in rows.groupby("seed")
    }
    wanted = set().union(*keys.values())
    wanted_folds = {fold for fold, *_ in wanted} | set(folds or ())
    incomplete = {}
    for seed, own in keys.items():
        lacking = tuple(sorted(wanted_folds - {fold for fold, *_ in own}))
        if lacking or own != wanted:
            incomplete[int(seed)] = (tuple(map(int, lacking)), len(wanted - own))
    complete = [seed for seed in keys if seed not in incomplete]
    partial = not complete
    if partial:
        fullest = max(keys.values(), key=len)  # the lowest seed wins a tie: groupby sorts
        complete = [seed for seed, own in keys.items() if own == fullest]
        incomplete = {seed: lack for seed, lack in incomplete.items() if seed not in complete}
    rows = rows[rows["seed"].isin(complete)].sort_values(["seed", "fold", "id", "stream"])
    unlabelled = rows.loc[~labelled(rows, task), "id"].nunique()
    rows = rows[labelled(rows, task)]
    if rows.empty:
        return None
    seeds = len(complete)
    facts = rows.iloc[: len(rows) // seeds][["fold", "id", "stream", "speaker", "gender", "group"]].reset_index(
        drop=True
    )
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
    # A clip without a group forms its own group; the prefix prevents a clash with the name of a real group.
    names = [group or ALONE + clip for group, clip in zip(facts["group"], facts["id"], strict=True)]
    return facts.assign(group=pd.Series(names, index=facts.index, dtype=object)), unit


def tally(items: Items, predicted: np.ndarray, task: Task) -> np.ndarray:
    """Return each group's sums of `predicted`, (seeds, clips): (groups, seeds, 3, classes) `metrics.margins`, sorted by group.

    For a continuous task, return (groups, seeds, 6) `metrics.moments`, with the mean of the truth subtracted from both (the scores
    are unaffected, rounding errors are smaller).
    """
    names, group = np.unique(items.facts["group"].to_numpy(str), return_inverse=True)
    seeds, clips = predicted.shape
    if task.continuous:
        centre = items.truth.mean()
        moments = metrics.moments(np.broadcast_to(items.truth - centre, predicted.shape), predicted - centre)
        sums = np.zeros((len(names), seeds, 6))
        np.add.at(sums, group, moments.swapaxes(0, 1))  # (clips, seeds, 6)
        return sums
    sums = np.zeros((len(names), seeds, 3, task.size))
    seed = np.repeat(np.arange(seeds), clips)
    group, truth, predicted = np.tile(group, seeds), np.tile(items.truth, seeds), predicted.ravel()
    np.add.at(sums, (group, seed, 0, truth), truth == predicted)
    np.add.at(sums, (group, seed, 1, truth), 1)
    np.add.at(sums, (group, seed, 2, predicted), 1)
    return sums


def measure(sums: np.ndarray, task: Task) -> np.ndarray:
    """Compute metrics (..., metrics) in the order of `metric_names` from sums (..., 3, classes) or (..., 6); NaN = undefined."""
    if task.continuous:
        return np.stack([metrics.ccc(sums), metrics.rmse(sums)], axis=-1)
    found = metrics.classification(sums)
    whole = np.stack([found.accuracy, found.uar, found.macro_f1, found.weighted_f1], axis=-1)
    return np.concatenate([whole, found.recall], axis=-1)


def scale(metric: str) -> str:
    """Return the scale on which a metric's interval is symmetric; see `intervals.interval`."""
    return {"ccc": "z", "rmse": "log"}.get(metric, "logit")


def chance(metric: str, classes: int) -> float | None:
    """Return the chance level of a metric: 1 / (number of classes in the truth) for UAR, 0 for CCC, None for others.

    If one class alone is in the truth, UAR has no chance level: naming always that class would score 100 %, any other 0 %. The
    chance level of other metrics depends on the most frequent class in training, which is not known here.
    """
    return {"uar": 1 / classes if classes > 1 else None, "ccc": 0.0}.get(metric)


def left_out(sums: np.ndarray, task: Task, deterministic: bool = False) -> Jackknife:
    """Compute the metrics of `tally`'s sums, of all groups and without each group; metrics come first."""
    return jackknife(sums, lambda drawn: measure(drawn, task), deterministic)


def degrees(sums: np.ndarray, task: Task) -> np.ndarray:
    """Compute df_G of each metric (see `intervals`) from `tally`'s sums, (metrics,); NaN = no interval.

    For the recall of class i, df_G = h_i - 1, where h_i groups have clips of the class. UAR and macro F1 use Satterthwaite's
    (sum_i 1 / h_i)^2 / sum_i (1 / h_i^2 / (h_i - 1)), at most G - 1, with variances of the recalls proportional to 1 / h_i.
    """
    groups = len(sums)
    most = groups - 1 if groups >= FEW_GROUPS else np.nan
    if task.continuous:
        return np.full(2, most, np.float64)
    there = sums[:, 0, 1] > 0  # (groups, classes)
    holders = there.sum(axis=0).astype(np.float64)
    recalls = np.where(holders >= FEW_GROUPS, holders - 1, np.nan)
    present, single = holders[holders > 0], holders == 1
    if not single.any():
        over_classes = min(most, (1 / present).sum() ** 2 / (1 / present**2 / (present - 1)).sum())
    else:
        over_classes = most if there[:, single].any(axis=1).mean() >= 0.5 else np.nan
    macro_f1 = np.nan if _predicted_alone(sums).any() else over_classes
    return np.array([most, over_classes, macro_f1, most, *recalls])


def _predicted_alone(sums: np.ndarray) -> np.ndarray:
    """Return for each class whether no clip is of it, and some seed predicts it for the clips of one group alone, (classes,)."""
    return ~sums[:, 0, 1].any(axis=0) & ((sums[:, :, 2] > 0).sum(axis=0) == 1).any(axis=0)


def without_interval(sums: np.ndarray, task: Task, unit: str) -> list[str]:
    """Say of each metric why it would have no interval, from `tally`'s sums: too few groups (a `unit` each), or no spread."""
    names = metric_names(task)
    if len(sums) < FEW_GROUPS:
        return [basis(len(sums), unit)] * len(names)
    if task.continuous:
        return [f"{NO_INTERVAL}the score does not vary over the {unit}s"] * len(names)
    holders = (sums[:, 0, 1] > 0).sum(axis=0)
    alone = [label for label, count in zip(task.labels, holders, strict=True) if count == 1]
    predicted = [label for label, wrong in zip(task.labels, _predicted_alone(sums), strict=True) if wrong]
    found = []
    for name, known in zip(names, ~np.isnan(degrees(sums, task)), strict=True):
        why = f"the score does not vary over the {unit}s"
        if name.startswith("recall/") and not known:
            count = int(holders[task.labels.index(name.removeprefix("recall/"))])
            why = f"{count} {unit}{'s' * (count != 1)} with such clips, and {FEW_GROUPS} are needed"
        elif not known and alone:
            why = f"{listed(alone, 5)} occur{'s' * (len(alone) == 1)} with one {unit} only"
        elif not known:
            are = "is" if len(predicted) == 1 else "are"
            why = f"{listed(predicted, 5)}, of which there is no clip, {are} predicted for one {unit} only"
        found.append(NO_INTERVAL + why)
    return found
