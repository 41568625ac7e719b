"""When a run is called underfit or overfit.

A run is called *underfit* if

* its epochs ended while the training and validation scores were still rising,
* patience or its last epoch ended it while the training score was still rising below `KNOWN`,
* its learning rate had fallen to 0, the training score is below `SHORT` and had risen by `ROSE` over the last half of the epochs
  (while the rate falls every score rises to the last epoch, so that the two rules above do not apply),
* the training score is below `KNOWN` and `FAR` below what it reached in another epoch of the run,
* the training score is `FAR` below what other runs of the recipe reach,
* the training score is nearer to chance than to 1,
* or there are fewer than `FEW` epochs, too few to judge their course, and the training score is below `KNOWN`;

and *overfit* if the validation score had fallen by `FELL` before the kept epoch. Curves are compared by means over fifths of the
epochs; the kept epoch is compared with another one by means over at most `AROUND` epochs around each, so that the verdict hardly
depends on how long the run went on after it. A cascade has learned if both of its models have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ser.evaluation.tables import form_of
from keras_ser.models import is_baseline
from keras_ser.recipe import Recipe
from keras_ser.tasks import Task

RISING = 0.01  # minimum rise of a score from the fourth fifth of the epochs to the last
KNOWN = 0.9  # training scores above this may still rise
FAR = 0.1
FELL = 0.05
SHORT = KNOWN - FAR  # a schedule that ended at a training score above this was long enough
ROSE = 0.05
HALF = 0.5  # fraction of the way from chance to 1
FEW = 5
AROUND = 5


def fault_of(recipe: Recipe, about: Mapping[str, Any], task: Task, training: float, validation: Sequence[float]) -> str:
    """Return "underfit: ..", "overfit: .." or "".

    Args:
        recipe: the recipe that was trained.
        about: contents of the run's history.json.
        task: the task whose score selects the epoch.
        training: its score on the training set at the kept epoch.
        validation: its validation score of each epoch; NaN if unavailable.
    """
    rows, kept = about["epochs"], about["best_epoch"]
    if not rows:
        return ""
    form = form_of("ccc" if task.continuous else "uar")
    # the training set that is scored holds the recipe's own corpus alone; speakers of others are "CORPUS/SPEAKER"
    others = tuple(f"{stream.corpus}/" for stream in recipe.streams if stream.corpus)
    own = [label for label in task.labels if not (task.identity and label.startswith(others))]
    chance = 0.0 if task.continuous else 1 / len(own)
    if training < chance + HALF * (1 - chance):
        return (
            f"underfit: {form(training)} on the training set, nearer to chance ({form(chance)}) than to a perfect score"
        )
    if is_baseline(recipe):  # whose rows are settings
        return ""
    if len(rows) < FEW and training < KNOWN:
        steps = len(rows) * about.get("steps", 0)
        return f"underfit: {len(rows)} epochs, {steps} steps, with {form(training)} on the training set"
    curve = [row.get(f"{task.name}_{'ccc' if task.continuous else 'accuracy'}", math.nan) for row in rows]
    rising, ended = _rise(curve) > RISING, len(rows) >= recipe.epochs
    annealed = ended and recipe.optimizer.schedule == "cosine"
    if ended and not annealed and rising and _rise(validation) > RISING:
        return f"underfit: both scores were still rising when its {len(rows)} epochs ended"
    near = _around(curve)
    if training < KNOWN and np.nanmax(near, initial=-math.inf) - near[kept - 1] > FAR:
        highest = int(np.nanargmax(near))
        when = "later" if highest >= kept else f"before, at epoch {highest + 1}"
        said = f"around which training had {form(near[kept - 1])}, and {form(near[highest])} {when}"
        return f"underfit: kept at epoch {kept} of {len(rows)}, {said}"
    if rising and training < KNOWN and not annealed:
        what, steps = "its epochs" if ended else "patience", len(rows) * about["steps"]
        return f"underfit: {what} ended it at {steps} steps, when the training set had {form(training)} and was still rising"
    smooth = _smooth(curve)
    if annealed and training < SHORT and smooth[-1] - smooth[(len(rows) - 1) // 2] > ROSE:
        steps = len(rows) * about.get("steps", 0)
        return f"underfit: the learning rate had fallen to 0 after {steps} steps, with {form(training)} on the training set"
    smooth = _smooth(validation)
    smooth[: max(1, len(rows) // 5) - 1] = math.nan  # fewer epochs than a fifth: their best would be the luck of one
    best = int(np.nanargmax(smooth[:kept])) if np.isfinite(smooth[:kept]).any() else kept - 1
    if smooth[best] - smooth[kept - 1] > FELL:
        return f"overfit: validation fell from {form(smooth[best])} at epoch {best + 1} to {form(smooth[kept - 1])} at the kept one"
    return ""


def _smooth(curve: Sequence[float]) -> np.ndarray:
    """Return means over a fifth of the epochs, ending at each epoch."""
    width = max(1, len(curve) // 5)
    return np.array([mean_of_known(curve[max(0, i + 1 - width) : i + 1]) for i in range(len(curve))])


def _around(curve: Sequence[float]) -> np.ndarray:
    """Return means over a tenth of the epochs, at most `AROUND` // 2, before and after each epoch, and itself."""
    half = min(len(curve) // 10, AROUND // 2)
    return np.array([mean_of_known(curve[max(0, i - half) : i + half + 1]) for i in range(len(curve))])


def _rise(curve: Sequence[float]) -> float:
    """Return how much the last fifth of a curve is above the fifth before; NaN if it is too short."""
    width = max(1, len(curve) // 5)
    return (
        mean_of_known(curve[-width:]) - mean_of_known(curve[-2 * width : -width])
        if len(curve) > 2 * width
        else math.nan
    )


def mean_of_known(part: Sequence[float]) -> float:
    """Return the mean of the values that are not NaN."""
    known = [value for value in part if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan
