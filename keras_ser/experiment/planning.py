"""The runs that an experiment consists of, and their folders."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from keras_ser.corpora import Corpus
from keras_ser.errors import UserError
from keras_ser.experiment.stored import EXPERIMENT, finished, run_folder
from keras_ser.recipe import Recipe
from keras_ser.splits import Protocol, Split, check_split
from keras_ser.training import Data, Run, predict
from keras_ser.training.owner import is_of
from keras_ser.training.preflight import check_choice, check_trainable
from keras_ser.training.transfer import check_start

UNITS = ("speaker", "film", "session", "origin")


@dataclass(frozen=True)
class Job:
    """A run to be trained: a fold of a protocol, with a seed; `recipe` is the recipe's name."""

    recipe: str
    protocol: Protocol
    split: Split
    seed: int

    @property
    def folder(self) -> str:
        return run_folder(self.protocol.name, self.split.fold, self.seed)


def experiment_folder(recipe: Recipe, out: Path | str = "saved_models") -> Path:
    """Return the folder of a recipe's experiment: OUT/NAME-HASH, or OUT/NAME-* of an earlier version with another hash."""
    folder = Path(out) / f"{recipe.name}-{recipe.hash}"
    if folder.exists() or not folder.parent.is_dir():
        return folder
    named = re.compile(rf"{re.escape(recipe.name)}-[0-9a-f]{{8}}")
    found = (path for path in sorted(folder.parent.iterdir()) if named.fullmatch(path.name))
    return next((path for path in found if (path / EXPERIMENT).exists() and is_of(path, recipe)), folder)


def jobs(recipe: Recipe, data: Data, folds: Sequence[int] | None = None) -> list[Job]:
    """Return all runs of a recipe, ordered by seed, so that each seed is complete as early as possible.

    Args:
        folds: numbers of the folds to run (default: all).

    Raises:
        ValueError: no protocol has one of the folds.
    """
    return _jobs(recipe, data.corpus, data.cache.hashes, folds)


def job_names(recipe: Recipe, corpus: Corpus, folds: Sequence[int] | None = None) -> list[str]:
    """Return the folders of `jobs`, in the same order, before anything is decoded."""
    return [job.folder for job in _jobs(recipe, corpus, {}, folds)]


def _jobs(recipe: Recipe, corpus: Corpus, hashes: Mapping[str, str], folds: Sequence[int] | None) -> list[Job]:
    splits = _splits(recipe, corpus, hashes, folds)
    return [
        Job(recipe.name, protocol, split, seed)
        for seed in recipe.seeds
        for protocol in recipe.protocols
        for split in splits[protocol.name]
    ]


def _splits(
    recipe: Recipe, corpus: Corpus, hashes: Mapping[str, str], folds: Sequence[int] | None
) -> dict[str, list[Split]]:
    """Return protocol -> the splits of the requested folds."""
    main = recipe.tasks[0]
    stratify = main.strata
    splits = {protocol.name: protocol.splits(corpus, hashes=hashes, stratify=stratify) for protocol in recipe.protocols}
    numbers = {split.fold for found in splits.values() for split in found}
    strays = sorted(set(folds or ()) - numbers)
    if strays:
        told = "; ".join(f"{name}: 0 to {len(found) - 1}" for name, found in splits.items())
        raise UserError(f"there is no fold {strays[0]}. There are, {told}.")
    return {name: [s for s in found if folds is None or s.fold in folds] for name, found in splits.items()}


def any_left(recipe: Recipe, corpus: Corpus, folds: Sequence[int] | None, folder: Path | None) -> bool:
    """Return whether a run is left to train in the experiment's folder; if none is, files of pretrained weights are not needed."""
    every = _jobs(recipe, corpus, {}, folds) if folder and folder.exists() else []
    return not every or not all(finished(folder, job) for job in every)


def check_jobs(
    recipe: Recipe,
    data: Data,
    folds: Sequence[int] | None = None,
    initial: Path | str | None = None,
    folder: Path | None = None,
) -> None:
    """Check every run of a recipe before the first is trained.

    Args:
        initial: folder of the run that provides the initial weights.
        folder: the experiment's folder. If all runs are finished, the network is not checked.

    Raises:
        LeakageError: a split leaks, or `initial` has heard what it tests.
        UserError: a run cannot be trained, or its epoch cannot be selected.
    """
    if any_left(recipe, data.corpus, folds, folder):
        check_trainable(recipe, data.auxiliary, data.noise_root)
    check_splits(recipe, data.corpus, folds, initial, data.cache.hashes, data.others, data.readable)


def check_splits(
    recipe: Recipe,
    corpus: Corpus,
    folds: Sequence[int] | None = None,
    initial: Path | str | None = None,
    hashes: Mapping[str, str] | None = None,
    auxiliary: Sequence[tuple[Corpus, Mapping[str, str]]] = (),
    readable: Corpus | None = None,
) -> None:
    """Check the splits of a recipe's runs. Nothing needs to be decoded; copies of a clip are found by their hashes alone.

    Args:
        initial: folder of the run that provides the initial weights.
        hashes, auxiliary: see `keras_ser.splits.check_split`.
        readable: the corpus without clips that cannot be read. Default: the corpus.

    Raises:
        LeakageError, UserError: see `check_jobs` and `keras_ser.training.transfer.check_start`.
    """
    for splits in _splits(recipe, corpus, hashes or {}, folds).values():
        if initial:
            check_start(recipe, initial, corpus, splits, hashes)
        for split in splits:
            check_split(split, corpus, hashes, auxiliary)
            check_choice(recipe, corpus if readable is None else readable, split)


def by_validity(protocols: Iterable[Protocol]) -> tuple[Protocol, ...]:
    """Sort protocols: the last one does not select on the test set, keeps windows of a clip together, and speakers (or else
    another column) apart, if any does."""
    return tuple(
        sorted(
            protocols, key=lambda p: (not p.chosen_on_test, p.together, not p.speaker_dependent, bool(p.columns_apart))
        )
    )


def unit(data: Data) -> str:
    """Return the unit of the intervals: the first of speaker, film, session, origin (the recording that a window was cut from)
    that every utterance has; "none" = the clips themselves."""
    for column in UNITS:
        if all(u.column(column) is not None for u in data.corpus):
            return column
    return "none"


def tested(run: Run, data: Data, protocol: str) -> pd.DataFrame:
    """Return a run's predictions of its test set as a table for `keras_ser.evaluation`."""
    table = predict(run.model(), run.recipe, data, run.split, group=unit(data))
    for name, value in (("seed", run.seed), ("fold", run.split.fold), ("protocol", protocol)):
        table.insert(0, name, value)
    return table
