"""Caveats on a task's scores, in words: what the intervals are taken over, why one is missing, and what was left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from keras_ser.checks import listed
from keras_ser.evaluation.group_sums import ALONE, Items
from keras_ser.evaluation.intervals import FEW_GROUPS, NO_INTERVAL, SEED_DEGREES, basis, over_seeds
from keras_ser.evaluation.tables import short_title

if TYPE_CHECKING:
    from keras_ser.evaluation.scores import TaskScores


def notes(result: TaskScores, items: Items, folds: Iterable[int] | None) -> tuple[str, ...]:
    """Return the caveats on a task's figures, first what the intervals are taken over.

    Args:
        result: the scores.
        items: the scored clips.
        folds: the folds of a complete seed, if known.
    """
    seeds = "" if result.deterministic else over_seeds(len(items.seeds))
    if result.repeats != 1 and (result.deterministic or len(items.seeds) <= SEED_DEGREES):
        seeds = f", of these {len(result.folds) * len(items.seeds)} models"
    said = basis(result.groups, items.unit.removesuffix("s"), seeds)
    found = [f"{said[0].upper()}{said[1:]}."]
    if len(items.seeds) <= SEED_DEGREES and not result.deterministic:
        counted = "One seed" if len(items.seeds) == 1 else f"{len(items.seeds)} seeds"
        found.append(
            f"{counted}: intervals do not include the spread over initialisations, which takes three to estimate."
        )
    reasons: dict[str, list[str]] = {}
    for s in result.scores if result.groups >= FEW_GROUPS else ():
        if s.without:
            reasons.setdefault(s.without.removeprefix(NO_INTERVAL), []).append(short_title(s.metric))
    if reasons:
        found.append(f"No interval (–): {'; '.join(f'{listed(m)} ({why})' for why, m in reasons.items())}.")
    alone = items.facts.loc[items.facts["group"].str.startswith(ALONE), "id"].nunique()
    if alone and items.unit != "clips":
        found.append(f"{alone} clips have no group; each forms its own.")
    if items.partial:
        lacking = sorted(set(folds or ()) - set(result.folds))
        lack = f" Missing folds: {_joined(lacking)}." if lacking else ""
        found.append(f"No seed is complete: scored on seed {_joined(items.seeds)}, fold {_joined(result.folds)}.{lack}")
    for seed, (lacking, clips) in items.incomplete.items():
        lack = f"fold {_joined(lacking)} missing" if lacking else "clips missing"
        found.append(f"Seed {seed} is incomplete and left out: {lack} ({clips} clips).")
    if result.unlabelled:
        found.append(f"{result.unlabelled} clips without a label are left out.")
    if result.absent_altogether:
        found.append(f"No clip is {listed(result.absent_altogether)}: left out of UAR.")
    for label, where in result.absent.items():
        found.append(f"{label} is absent from {len(where)} of {len(result.folds)} folds ({_joined(where)}).")
    return tuple(found)


def _joined(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
