"""Is run A better than run B on the same clips? A paired bootstrap over groups."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation.bootstrap import FEW_GROUPS, RESAMPLES, interval, p_value
from keras_ser.evaluation.measures import Items, choose_stream, measure, measure_resamples, metric_names, select, tally
from keras_ser.evaluation.predictions import check_predictions
from keras_ser.tasks import Task


@dataclass(frozen=True)
class Comparison:
    """The difference of two runs' mean-over-seeds scores on the same clips.

    Args:
        protocol, task, stream, metric: what was compared.
        a, b: the two scores; `difference` is a - b.
        low, high: the ends of the difference's 95 % interval; None with one group.
        p: two-sided bootstrap p of "no difference" (`p_value`); None with one group.
        groups: how many were drawn; `unit` says of what ("speakers", "groups", "clips").
        clips: how many were compared.
        seeds_a, seeds_b: the complete seeds of each run.
        notes: what was left out.
    """

    protocol: str
    task: str
    stream: str
    metric: str
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    p: float | None
    groups: int
    unit: str
    clips: int
    seeds_a: tuple[int, ...]
    seeds_b: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def too_narrow(self) -> bool:
        return self.groups < FEW_GROUPS

    def lines(self) -> list[str]:
        """A few lines for the terminal: percent points, or plain numbers for CCC and RMSE."""
        scale, digits, what = (1, 3, "") if self.metric in ("ccc", "rmse") else (100, 1, " points")

        def shown(value: float, sign: str = "") -> str:
            return f"{scale * value:{sign}.{digits}f}"

        found = f"{self.task} {self.metric}: {shown(self.a)} - {shown(self.b)} = {shown(self.difference, '+')}{what}"
        if self.low is not None:
            found += f", 95 % interval [{shown(self.low, '+')}, {shown(self.high, '+')}], p = {self.p:.3f}"
        narrow = ": likely too narrow" if self.too_narrow else ""
        drawn = f"{self.protocol}; {self.clips} clips, paired over {self.groups} {self.unit}{narrow}"
        return [found, drawn, *self.notes]


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    task: Task,
    metric: str = "uar",
    *,
    protocol: str | None = None,
    stream: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two runs, clip by clip, over the same draws of speakers.

    In every resample the same speakers are drawn for both, and the mean over seeds is taken for each, so what the
    speakers share cancels out.

    Args:
        a, b: predictions tables. Their seeds and the names of their streams may differ; their (protocol, fold, id) and
            truths may not.
        task: what is compared.
        metric: one of `metric_names(task)`: "ccc" or "rmse" for a continuous task.
        protocol: default: the only one there is.
        stream: default: in each table the first row's that has a label of the task, which is what it was scored on.
        resamples, seed: of the bootstrap.

    Raises:
        ValueError: a bad table, an unknown metric or protocol, or clips, truths or groups that do not match.
    """
    names = metric_names(task)
    if metric not in names:
        raise UserError(f"`metric` of task {task.name!r} must be one of {', '.join(names)}. Received: {metric!r}.")
    a, b = check_predictions(a, [task]), check_predictions(b, [task])
    protocols = sorted(set(a["protocol"]) | set(b["protocol"]))
    if protocol is None and len(protocols) == 1:
        protocol = protocols[0]
    if protocol not in protocols:
        raise UserError(f"`protocol` must be one of {', '.join(protocols)}. Received: {protocol!r}.")
    asked = None if stream is None else {task.name: stream}
    streams = [choose_stream(t, task, asked) for t in (a, b)]
    ours, theirs = (None if s is None else select(t, task, protocol, s) for t, s in zip((a, b), streams, strict=True))
    stream = " and ".join(dict.fromkeys(filter(None, streams)))
    if ours is None or theirs is None:
        empty = "the first" if ours is None else "the second"
        raise UserError(
            f"both tables need clips with a label of {task.name!r} in protocol {protocol!r}, stream {stream!r}. "
            f"Received: none in {empty}."
        )
    _check_pairs(ours, theirs, task, protocol, stream)
    cut, column = len(ours.seeds), names.index(metric)

    sums = tally(ours, np.concatenate([ours.predicted, theirs.predicted]), task)
    values = measure(sums.sum(axis=0), task)[:, column]
    first, second = float(values[:cut].mean()), float(values[cut:].mean())
    low = high = p = None
    if len(sums) > 1:
        drawn = measure_resamples(sums, task, resamples, seed)[..., column]  # (resamples, seeds)
        samples = (drawn[:, :cut].mean(axis=1) - drawn[:, cut:].mean(axis=1))[:, None]
        (low,), (high,) = (tuple(map(float, ends)) for ends in interval(samples))
        p = p_value(samples[:, 0])
    notes = [
        f"{name}: seed {s} is incomplete and left out."
        for name, items in (("first", ours), ("second", theirs))
        for s in items.incomplete
    ]
    if streams[0] != streams[1]:
        notes.append(f"The first is scored on its stream {streams[0]!r}, the second on its stream {streams[1]!r}.")
    if ours.unit == "clips":
        notes.append("No speakers or groups are known: the interval resamples clips, likely too narrow.")
    elif len(sums) < FEW_GROUPS:
        notes.append(f"The interval resamples {len(sums)} {ours.unit}: likely too narrow (under {FEW_GROUPS}).")
    if min(len(ours.seeds), len(theirs.seeds)) < 3:
        counts = f"{len(ours.seeds)} and {len(theirs.seeds)} seed(s)"
        notes.append(f"{counts}: the interval knows nothing of the luck of an initialisation, which may be larger.")
    return Comparison(
        protocol=protocol,
        task=task.name,
        stream=stream,
        metric=metric,
        a=first,
        b=second,
        difference=first - second,
        low=low,
        high=high,
        p=p,
        groups=len(sums),
        unit=ours.unit,
        clips=len(ours.truth),
        seeds_a=ours.seeds,
        seeds_b=theirs.seeds,
        notes=tuple(notes),
    )


def _check_pairs(ours: Items, theirs: Items, task: Task, protocol: str, stream: str) -> None:
    first, second = (list(zip(i.facts["fold"], i.facts["id"], strict=True)) for i in (ours, theirs))
    alone = sorted(set(first) ^ set(second))
    where = f"{task.name} under {protocol!r}, stream {stream!r}"
    if alone:
        listed = ", ".join(f"fold {fold} {name}" for fold, name in alone[:10])
        raise UserError(
            f"two runs compare on the same clips ({where}). Received {len(alone)} that only one of them has: {listed}."
        )
    for what, x, y in (
        ("truth", ours.truth, theirs.truth),
        ("group", ours.facts["group"].to_numpy(), theirs.facts["group"].to_numpy()),
    ):
        bad = np.flatnonzero(x != y)
        if len(bad):
            listed = ", ".join(f"fold {first[i][0]} {first[i][1]}" for i in bad[:10])
            raise UserError(
                f"two runs compare on clips of the same {what} ({where}). Received {len(bad)} that differ: {listed}."
            )
