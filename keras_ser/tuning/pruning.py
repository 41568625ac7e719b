"""The median rule, which stops trials before their last epoch."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.files import read_exact, write_json
from keras_ser.recipe import Recipe
from keras_ser.training.loop import monitored, smoothed
from keras_ser.training.run import stored

STOPPED = "stopped.json"
STARTUP = 5  # minimum number of finished trials (Optuna's default)
WARMUP = 0.2  # share of the epochs before a trial is judged


class Stopped(Exception):
    """Raised to stop a run after an epoch, when its best score so far is below the median of the others."""

    def __init__(self, epoch: int, score: float, kept: int, curve: Sequence[float]):
        super().__init__(epoch)
        self.epoch, self.score, self.kept, self.curve = epoch, score, kept, tuple(curve)


def curve(rows: Sequence[Mapping[str, Any]], recipe: Recipe) -> list[float]:
    """Return the best smoothed validation score up to each epoch; NaN before the first full window."""
    window = min(recipe.smoothing, recipe.epochs)
    values = [
        smoothed(rows[: i + 1], monitored(recipe), window) if i + 1 >= window else np.nan for i in range(len(rows))
    ]
    return np.fmax.accumulate(values).tolist() if values else []


def medians(curves: Sequence[Sequence[float]], epochs: int) -> list[float] | None:
    """Return the score that a trial must reach up to each epoch; None while there are too few others.

    Args:
        curves: curves of the complete trials; one ended by its patience stays at its best score.
        epochs: number of epochs of the trial.
    """
    found = [list(each) for each in curves if len(each)]
    if len(found) < STARTUP:
        return None
    whole = np.array([(each + [each[-1]] * epochs)[:epochs] for each in found])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # epochs in which no score is defined
        middle = np.nanmedian(whole, axis=0)
    middle[: int(np.ceil(WARMUP * epochs)) - 1] = np.nan
    middle[-1] = np.nan  # after its last epoch a trial is complete
    return middle.tolist()


def check(rows: Sequence[Mapping[str, Any]], recipe: Recipe, bar: Sequence[float]) -> None:
    """Raise `Stopped` if the last of `rows` is below the bar."""
    so_far = curve(rows, recipe)
    last = len(so_far) - 1
    if 0 <= last < len(bar) and so_far[last] < bar[last]:  # False if one of them is NaN
        raise Stopped(last + 1, so_far[last], so_far.index(so_far[last]) + 1, so_far)


def stopper(recipe: Recipe, target: Path, bar: Sequence[float], then: Callable[..., None] | None):
    """Return an `on_epoch` that raises `Stopped` for the run in `target`; epochs before an interruption count."""

    def on_epoch(stage: str, epoch: int, epochs: int, logs: Mapping[str, float]) -> None:
        if then:
            then(stage, epoch, epochs, logs)
        if stage == "model 1":
            return
        try:
            check(_rows(target, epoch), recipe, bar)
        except Stopped as stop:
            write_json(target / STOPPED, {"epoch": stop.epoch, "score": stop.score})
            raise

    return on_epoch


def check_stopped(recipe: Recipe, target: Path, bar: Sequence[float]) -> None:
    """Raise `Stopped` for a run that was stopped before and would be again; otherwise it continues from where it stopped."""
    if (target / STOPPED).exists():
        epoch = stored(target / STOPPED, lambda about: int(about["epoch"]))
        check(_rows(target, epoch), recipe, bar)
        (target / STOPPED).unlink()


def _rows(target: Path, epoch: int) -> list[dict[str, Any]]:
    return read_exact(target / "history.csv")[:epoch].to_dict("records")
