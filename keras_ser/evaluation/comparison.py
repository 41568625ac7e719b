"""Compare two runs on the same clips by a paired difference over groups and seeds (see `intervals`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from keras_ser.checks import listed
from keras_ser.errors import UserError
from keras_ser.evaluation.group_sums import (
    Items,
    degrees,
    left_out,
    metric_names,
    scored_streams,
    select,
    tally,
    without_interval,
)
from keras_ser.evaluation.intervals import (
    FEW_GROUPS,
    NO_INTERVAL,
    Jackknife,
    basis,
    holm,
    interval,
    p_value,
    seeds_known,
    variance,
)
from keras_ser.evaluation.predictions import check_predictions
from keras_ser.evaluation.tables import Cell, form_of
from keras_ser.tasks import Task


@dataclass(frozen=True)
class Comparison:
    """The difference of two runs' mean-over-seeds scores on the same clips.

    Args:
        protocol, task, stream, metric: what was compared.
        a, b: the two scores; `difference` is a - b.
        low, high: the ends of the difference's 95 % interval, or None.
        p: two-sided p value of "no difference", or None; `without_p` then gives the reason.
        groups: number of groups; `unit` is their kind ("speakers", "groups", "clips").
        clips: number of compared clips.
        basis: what the interval is taken over, in words.
        notes: notes on excluded seeds and on differing streams.
        without_p: why there is no p value; "" if there is one.
        p_holm: p value corrected for a table of comparisons (see `corrected`), or None.
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
    basis: str
    notes: tuple[str, ...]
    without_p: str = ""
    p_holm: float | None = None

    def cell(self) -> Cell:
        """Return the difference as a table cell."""
        return Cell(self.difference, self.low, self.high, self.clips, form=form_of(self.metric, "+"))

    def lines(self) -> list[str]:
        """Return a few lines for the terminal: percentage points, or plain numbers for CCC and RMSE."""
        cell, form = self.cell(), form_of(self.metric)
        found = f"{self.task} {self.metric}: {form(self.a)} - {form(self.b)} = {cell.form(self.difference)}"
        found += " points" if form.scale == 100 else ""
        found += f" {cell.interval()}" if self.low is not None else ""
        return [
            f"{found}, {self.tested}",
            f"{self.protocol}; {self.clips} clips, paired; {self.basis}",
            *self.notes,
        ]

    @property
    def tested(self) -> str:
        """Return the p value in words, corrected if it belongs to a table, or "no p" with the reason."""
        if self.p is None:
            return f"no p ({self.without_p})"
        name, p = ("p", self.p) if self.p_holm is None else ("p (Holm)", self.p_holm)
        return f"{name} < 0.001" if p < 0.001 else f"{name} = {p:.3f}"


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons of one table with p values corrected for their number (Holm)."""
    return [replace(c, p_holm=p) for c, p in zip(comparisons, holm([c.p for c in comparisons]), strict=True)]


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    task: Task,
    metric: str = "uar",
    *,
    protocol: str | None = None,
    deterministic: tuple[bool, bool] = (False, False),
) -> Comparison:
    """Compare two runs on the same clips: the difference of their means over seeds, paired by speaker.

    Variation that both runs share between speakers cancels; variation between initialisations does not (see `intervals`).
    With a single seed of a non-deterministic system, the interval is that of these networks alone and there is no p value.

    Args:
        a, b: predictions tables. Their seeds and the names of their streams may differ; their (protocol, fold, id) and
            truths may not.
        task: the task whose predictions are compared.
        metric: one of `metric_names(task)`: "ccc" or "rmse" for a continuous task.
        protocol: name of the protocol. Default: the only one that both tables have.
        deterministic: for each run, whether all seeds give the same model (`keras_ser.models.deterministic_model`).

    Raises:
        UserError: a table is invalid, the metric or protocol is unknown, or clips, truths or groups do not match.
    """
    names = metric_names(task)
    if metric not in names:
        raise UserError(f"`metric` of task {task.name!r} must be one of {', '.join(names)}. Received: {metric!r}.")
    a, b = check_predictions(a, [task]), check_predictions(b, [task])
    protocols = sorted(set(a["protocol"]) | set(b["protocol"]))
    if protocol is None:
        both = [name for name in a["protocol"].unique() if name in set(b["protocol"])]
        if not both:
            first, second = (", ".join(t["protocol"].unique()) for t in (a, b))
            raise UserError(f"the two must share a protocol. Received: {first} in the first, {second} in the second.")
        if len(both) > 1:
            raise UserError(f"the tables have several protocols: {', '.join(both)}. Choose one, --protocol {both[-1]}.")
        protocol = both[0]
    if protocol not in protocols:
        raise UserError(f"`protocol` must be one of {', '.join(protocols)}. Received: {protocol!r}.")
    streams = [scored_streams(t, task) for t in (a, b)]
    ours, theirs = (select(t, task, protocol, s) for t, s in zip((a, b), streams, strict=True))
    stream = " and ".join(dict.fromkeys(name for names in streams for name in names))
    if ours is None or theirs is None:
        empty = "the first" if ours is None else "the second"
        raise UserError(
            f"both tables need clips with a label of {task.name!r} in protocol {protocol!r}, stream {stream!r}. "
            f"Received: none in {empty}."
        )
    _check_pairs(ours, theirs, task, protocol, stream)
    column = names.index(metric)
    sums = [tally(items, items.predicted, task) for items in (ours, theirs)]
    systems = [left_out(s, task, known) for s, known in zip(sums, deterministic, strict=True)]
    systems = [s._replace(whole=s.whole[column], left_out=s.left_out[column]) for s in systems]
    first, second = (float(s.whole.mean()) for s in systems)
    groups = systems[0].groups
    low = high = p = None
    both = sums[0] if task.continuous else np.concatenate(sums, axis=1)  # what either of them predicts counts
    if groups >= FEW_GROUPS:
        spread = variance(*systems, degrees=degrees(both, task)[column])
        low, high = (None if np.isnan(end) else float(end) for end in interval(first - second, *spread))
        p = float(p_value(first - second, *spread))
    over = basis(groups, ours.unit.removesuffix("s"), _seeds(systems))
    if low is None and groups >= FEW_GROUPS:
        over = without_interval(both, task, ours.unit.removesuffix("s"))[column].replace("the score", "the difference")
    without = _without_p(systems, ours.unit)
    if p is None or np.isnan(p):
        without = without or over.removeprefix(NO_INTERVAL)
    p = None if without else p
    notes = []
    for name, items in (("first", ours), ("second", theirs)):
        if items.partial:
            folds = ", ".join(map(str, sorted(items.facts["fold"].unique())))
            notes.append(
                f"{name}: no seed is complete: seed {', '.join(map(str, items.seeds))}, fold {folds} is compared."
            )
        notes += [f"{name}: seed {s} is incomplete and left out." for s in items.incomplete]
    if streams[0] != streams[1]:
        first_on, second_on = (", ".join(map(repr, names)) for names in streams)
        notes.append(f"The first is scored on its stream {first_on}, the second on its stream {second_on}.")
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
        groups=groups,
        unit=ours.unit,
        clips=len(ours.truth),
        basis=over,
        notes=tuple(notes),
        without_p=without,
    )


def _without_p(systems: Sequence[Jackknife], unit: str) -> str:
    """Return why a p value cannot be given; "" if it can."""
    groups = systems[0].groups
    if unit == "clips":
        return "speakers are unknown, and clips of one speaker are not independent"
    if groups < FEW_GROUPS:
        counted = f"{groups} {unit.removesuffix('s') if groups == 1 else unit}"
        return f"{counted}: the smallest that an exact test can give is {2.0 ** (1 - groups):.2g}"
    if not seeds_known(*systems):
        few = min(system.seeds for system in systems if not system.deterministic)
        return f"{'one seed' if few == 1 else f'{few} seeds'}: the spread over initialisations is not known"
    return ""


def _seeds(systems: Sequence[Jackknife]) -> str:
    drawn = [str(system.seeds) for system in systems if not system.deterministic]
    if not drawn:
        return ""
    return f" and {' + '.join(drawn)} seeds" if seeds_known(*systems) else ", between these models alone"


def _check_pairs(ours: Items, theirs: Items, task: Task, protocol: str, stream: str) -> None:
    first, second = (list(zip(i.facts["fold"], i.facts["id"], strict=True)) for i in (ours, theirs))
    alone = sorted(set(first) ^ set(second))
    where = f"{task.name} under {protocol!r}, stream {stream!r}"
    if alone:
        clips = listed(f"fold {fold} {name}" for fold, name in alone)
        raise UserError(
            f"two runs are compared on the same clips ({where}). Received {len(alone)} that only one of them has: {clips}."
        )
    for what, x, y in (
        ("truth", ours.truth, theirs.truth),
        ("group", ours.facts["group"].to_numpy(), theirs.facts["group"].to_numpy()),
    ):
        bad = np.flatnonzero(x != y)
        if len(bad):
            clips = listed(f"fold {first[i][0]} {first[i][1]}" for i in bad)
            raise UserError(
                f"two runs are compared on clips of the same {what} ({where}). Received {len(bad)} that differ: {clips}."
            )
