"""Which runs an experiment consists of, and where each of them lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from keras_ser.errors import UserError
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol, Split, check_split
from keras_ser.training import Data, Run, predict
from keras_ser.training.fit import check_choice

UNITS = ("speaker", "film", "session", "origin")


@dataclass(frozen=True)
class Job:
    """One run to be trained: a fold of a protocol, with a seed; `recipe` is the recipe's name."""

    recipe: str
    protocol: Protocol
    split: Split
    seed: int

    @property
    def folder(self) -> str:
        return f"{self.protocol.name}/fold-{self.split.fold:02d}-seed-{self.seed}"


def experiment_folder(recipe: Recipe, out: Path | str = "saved_models") -> Path:
    return Path(out) / f"{recipe.name}-{recipe.hash}"


def jobs(recipe: Recipe, data: Data, folds: Sequence[int] | None = None) -> list[Job]:
    """All runs of a recipe, seed by seed, so that each seed is complete as early as can be.

    Args:
        folds: numbers of the folds to run (default: all).

    Raises:
        ValueError: a fold that no protocol has.
    """
    main = recipe.tasks[0]
    stratify = None if main.continuous else main.column
    splits = {
        protocol.name: protocol.splits(data.corpus, hashes=data.cache.hashes, stratify=stratify)
        for protocol in recipe.protocols
    }
    numbers = {split.fold for found in splits.values() for split in found}
    strays = sorted(set(folds or ()) - numbers)
    if strays:
        told = "; ".join(f"{name}: 0 to {len(found) - 1}" for name, found in splits.items())
        raise UserError(f"there is no fold {strays[0]}. There are, {told}.")
    return [
        Job(recipe.name, protocol, split, seed)
        for seed in recipe.seeds
        for protocol in recipe.protocols
        for split in splits[protocol.name]
        if folds is None or split.fold in folds
    ]


def check_jobs(recipe: Recipe, data: Data, folds: Sequence[int] | None = None) -> None:
    """Refuse, before hours of training, what the last run would be refused for.

    Raises:
        LeakageError: a split that leaks.
        ValueError: what can't be trained, or chosen.
    """
    auxiliary = [waveforms.hashes for _, waveforms in data.auxiliary.values()]
    for split in {(job.protocol.name, job.split.fold): job.split for job in jobs(recipe, data, folds)}.values():
        check_split(split, data.corpus, data.cache.hashes, auxiliary)
        check_choice(recipe, data, split)


def unit(data: Data) -> str:
    """What the intervals are over: the first of speaker, film, session, origin (the recording that a window was cut from) that
    every utterance names; "none" = the clips themselves."""
    for column in UNITS:
        if all(u.column(column) is not None for u in data.corpus):
            return column
    return "none"


def tested(run: Run, data: Data, protocol: str) -> pd.DataFrame:
    """A run's predictions of its test side, as `keras_ser.evaluation` takes them."""
    table = predict(run.model(), run.recipe, data, run.split, seed=run.seed, group=unit(data))
    for name, value in (("seed", run.seed), ("fold", run.split.fold), ("protocol", protocol)):
        table.insert(0, name, value)
    return table
