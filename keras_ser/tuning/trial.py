"""One setting of a search, and its scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.checks import counted
from keras_ser.evaluation.learning import Learning, learning_table
from keras_ser.evaluation.tables import UNDEFINED
from keras_ser.models import is_baseline
from keras_ser.recipe import Recipe
from keras_ser.training.provenance import MADE, stored_made

TRAINING = ("optimizer steps", "training", "verdict")  # columns of `learning_table`


def width(tried: Recipe) -> int:
    """Return the number of epochs, up to the kept one, over which a trial's score is the mean."""
    return 1 if is_baseline(tried) or tried.keeps_last else min(tried.smoothing, tried.epochs)


@dataclass(frozen=True)
class Trial:
    """One setting."""

    number: int  # 0 = the unchanged recipe
    values: Mapping[str, Any]  # searched key -> value
    scores: tuple[float, ...] = ()  # of the kept epochs, one for each fold and seed; empty if training diverged
    epochs: tuple[int, ...] = ()  # the kept epochs
    failed: str = ""  # why it has no score
    again: bool = False  # whether the next search retries it, since the setting was not the reason
    late: bool = False  # whether it was scored after the method had been told that it failed
    stopped: int = 0  # the epoch after which its first run was stopped early; 0 = not stopped
    learned: tuple[Learning, ...] = ()  # the verdicts on its runs that were trained to their end

    @property
    def score(self) -> float:
        return float(np.mean(self.scores)) if self.scores else float("nan")

    @property
    def training(self) -> list[str]:
        """The cells of the columns `TRAINING`."""
        if not self.learned:
            return [UNDEFINED] * len(TRAINING)
        header, row = learning_table({"": self.learned}, {}).text()
        return [row[header.index(name)] for name in TRAINING]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Trial":
        """Return the trial of an entry of trials.json."""
        learned = (Learning(**{**run, "remarks": tuple(run["remarks"])}) for run in row.get("learned", ()))
        lists = {"scores": tuple(row["scores"]), "epochs": tuple(row["epochs"]), "learned": tuple(learned)}
        return cls(**{**row, **lists})


def tried(trials: Mapping[int, Trial]) -> str:
    """Return the number of trials, in words; the unchanged recipe, number 0, is none of them."""
    number = sum(each > 0 for each in trials)
    return counted(number, "trial") + " and the unchanged recipe" * (number < len(trials))


def made_in(folder: Path) -> list[dict[str, Any]]:
    """Return what `keras_ser.training.provenance.made_by` said of each run of a search; of an unfinished one, its commit alone."""
    return [made for file in sorted((folder / "runs").rglob(MADE)) if (made := stored_made(file))]
