"""Reading what an experiment's folder holds: a damaged file is one line that names it, and the way out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from keras_ser.errors import UserError
from keras_ser.evaluation import read_predictions
from keras_ser.experiment.jobs import Job
from keras_ser.recipe import Recipe
from keras_ser.training import Data, RunError
from keras_ser.training.run import as_object, stored

EXPERIMENT, RECIPE, PREDICTIONS = "experiment.json", "recipe.json", "predictions.csv"
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)
Value = TypeVar("Value")


def stored_recipe(folder: Path) -> Recipe:
    """The recipe of an experiment, with all protocols and seeds that were asked for so far.

    Raises:
        RunError: its file is missing or damaged.
    """
    again = "Remove it and run the recipe again, which writes it again; finished runs are kept"
    return stored(folder / RECIPE, Recipe.from_dict, again)


def stored_facts(folder: Path) -> dict[str, Any]:
    """experiment.json: where the corpus lay, and how it was read.

    Raises:
        RunError: the file is missing or damaged.
    """

    def read(data: Any) -> dict[str, Any]:
        found = as_object(data)
        texts = [found[name] for name in ("root", "noise_root") if name in found]
        if not all(isinstance(text, str) for text in texts) or not isinstance(found.get("options", {}), dict):
            raise UserError("expected texts as root and noise_root, and an object as options.")
        return found

    return stored(
        folder / EXPERIMENT, read, f"Replace it by a copy, or name another --out; the runs in {folder} stay as they are"
    )


def finished(folder: Path, job: Job) -> bool:
    """Whether a job of an experiment is trained and tested."""
    return (folder / job.folder / PREDICTIONS).exists()


def finished_runs(folder: Path) -> int:
    """How many runs of an experiment are finished, of whatever protocols, folds and seeds."""
    return sum(1 for _ in folder.glob(f"*/fold-*/{PREDICTIONS}"))


def run_predictions(folder: Path, job: Job, data: Data) -> pd.DataFrame:
    """The predictions of a finished job.

    Args:
        folder: of the experiment.

    Raises:
        RunError: the file is damaged, or lacks clips of the test side.
    """
    path = folder / job.folder / PREDICTIONS

    def read() -> pd.DataFrame:
        table = read_predictions(path)
        lacking = sorted(set(job.split.test) - set(data.cache.dropped) - set(table["id"]))
        if lacking:
            raise ValueError(f"{len(lacking)} of {len(job.split.test)} test clips are missing, the first {lacking[0]}")
        return table

    return read_or_refuse(path, read, "Remove it and run the recipe again: the trained model predicts again")


def read_or_refuse(path: Path, read: Callable[[], Value], way_out: str) -> Value:
    """`read()`, with a RunError in place of whatever a damaged file makes it raise."""
    try:
        return read()
    except DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"{path} is damaged: {reason.rstrip('.')}. {way_out}.") from error
