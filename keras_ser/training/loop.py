"""The training loop: train, validate and save in each epoch, until the epochs or the patience end."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from keras_ser import metrics
from keras_ser.errors import DivergenceError, UserError
from keras_ser.files import write_table
from keras_ser.pipelines.sources import Source
from keras_ser.recipe import Recipe
from keras_ser.settings import of_stream
from keras_ser.tasks import Task
from keras_ser.training import state
from keras_ser.training.inference import OnEpoch, gathered
from keras_ser.training.optimizers import learning_rate

SCORES = ("_uar", "_accuracy", "_ccc")  # better when larger


def train_epochs(
    recipe: Recipe,
    batches: Callable,
    steps: int,
    network,
    validate: Callable[[], dict[str, float]] | None,
    out: Path,
    seed: int,
    stage: str,
    on_epoch: OnEpoch | None = None,
    where: str = "",
) -> dict[str, Any]:
    """Train a compiled network with built optimizers, and restore the weights of the kept epoch.

    Args:
        recipe: its epochs, patience and monitor are used.
        batches: function from the number of the first epoch to a tf.data.Dataset of (x, y, w) up to the last epoch.
        steps: batches per epoch.
        network: keras.Model.
        validate: returns the scores of the current network, see `side_scores`; None = no validation set.
        out: the run's folder (state.npz, history.csv, tensorboard/).
        seed: seed of the run, for history.json and errors.
        stage: name of the model, for progress and errors.
        on_epoch: see `OnEpoch`.
        where: protocol and fold, for errors.

    Returns:
        The contents of history.json: "seed", "monitor" (None if no epoch was selected), "best_epoch" (the kept one), "steps" per
        epoch, and "epochs", a dict of logs for each.

    Raises:
        DivergenceError: the loss or a weight is not finite.
        RunError: state.npz is damaged, or belongs to another network.
        UserError: `recipe.monitor` is not a validation score that is better when larger.
    """
    import tensorflow as tf

    path = out / "state.npz"
    rows, best = state.restore(path, network)
    with contextlib.closing(tf.summary.create_file_writer(str(out / "tensorboard"))) as writer:

        def write(rows: list[dict], best: dict[str, Any]) -> None:
            write_table(out / "history.csv", pd.DataFrame(rows), na_rep="nan", lineterminator="\r\n")
            logs = {name: value for name, value in rows[-1].items() if name != "epoch"}
            with writer.as_default(step=len(rows)):
                for name, value in logs.items():
                    tf.summary.scalar(name, value)
            writer.flush()
            # the state last, so that an epoch finished in it is in every file
            state.save(path, network, rows, best)
            if on_epoch:
                main = f"{recipe.tasks[0].name}_"
                ordered = sorted(logs, key=lambda name: not name.startswith((main, f"val_{main}")))
                on_epoch(stage, len(rows), recipe.epochs, {name: logs[name] for name in ordered})

        kept = EpochEnd(recipe, steps, validate, rows, best, write, f"{stage}, {where}seed {seed}")
        kept.set_model(network)
        if len(rows) < recipe.epochs and not kept.patience_ended:
            network.fit(
                batches(len(rows)),
                initial_epoch=len(rows),
                epochs=recipe.epochs,
                steps_per_epoch=steps,
                verbose=0,
                shuffle=False,
                callbacks=[kept],
            )
    for variable, value in zip(state.members(network), kept.best["weights"], strict=True):
        variable.assign(value)
    monitor = monitored(recipe) if kept.chooses else None
    return {"seed": seed, "monitor": monitor, "best_epoch": kept.best["epoch"], "steps": steps, "epochs": rows}


class EpochEnd(keras.callbacks.Callback):
    """Callback after each epoch: check for NaN, validate, keep the best weights, write, stop when the patience ends.

    Args:
        recipe, steps, validate: see `train_epochs`.
        rows: the logs of the epochs so far; extended in place.
        best: "value" (smoothed), "epoch" and "weights" of the best epoch so far, or None.
        write: called with rows and best.
        what: name of the run in errors.
    """

    def __init__(
        self, recipe: Recipe, steps: int, validate, rows: list[dict], best: dict[str, Any] | None, write, what: str
    ):
        super().__init__()
        self.recipe, self.steps, self.validate, self.rows, self.best = recipe, steps, validate, rows, best
        self.write, self.what = write, what
        self.chooses = validate is not None and not recipe.keeps_last

    @property
    def patience_ended(self) -> bool:
        if self.plateau:
            # the rate is float32: a rate that equals the floor may be stored as a smaller number
            return learning_rate(self.model.optimizer) < self.recipe.optimizer.floor * (1 - 1e-6)
        return self._waited_enough()

    @property
    def plateau(self) -> bool:
        return self.recipe.optimizer.schedule == "plateau"

    def _waited_enough(self) -> bool:
        """Return whether the patience has passed since the best epoch, or since it was restored."""
        if not (self.recipe.patience and self.chooses and self.best):
            return False
        rates = [row.get("learning_rate", 0.0) for row in self.rows]
        # the rate falls after the epoch at whose end the best one was restored
        restored = [i for i in range(1, len(rates)) if self.plateau and rates[i] < rates[i - 1]]
        waited = self.rows[-1]["epoch"] - max([self.best["epoch"], *restored])
        return waited >= self.recipe.patience and waited * self.steps >= self.recipe.patience_steps

    def _restore(self) -> None:
        """Restore the best epoch and lower the learning rate of every optimizer.

        Random generators go on: dropout and noise must not repeat the draws of the epochs that have failed.
        """
        for variable, value in zip(state.members(self.model), self.best["weights"], strict=True):
            if variable.name != "seed_generator_state":
                variable.assign(value)
        for optimizer in state.optimizers(self.model).values():
            optimizer.learning_rate = learning_rate(optimizer) * self.recipe.optimizer.factor

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        # ReLU and max pooling may hide NaN: weights can be NaN although the loss is finite
        if not (math.isfinite(row["loss"]) and all(np.isfinite(v).all() for v in state.values(self.model.weights))):
            raise DivergenceError(
                f"{self.what}: the loss is {row['loss']} in epoch {epoch + 1}, or a weight is not finite. "
                "Lower optimizer.learning_rate, set optimizer.clip_norm, or use precision=float32."
            )
        for name, optimizer in state.optimizers(self.model).items():
            row[f"{name}_learning_rate".removeprefix("optimizer_").removeprefix("optimizers/")] = learning_rate(
                optimizer
            )
        if self.validate:
            row |= {f"val_{name}": value for name, value in self.validate().items()}
            check_monitor(monitored(self.recipe), row)
        self.rows.append(row)
        value = float(epoch)
        if self.chooses:
            window = min(self.recipe.smoothing, self.recipe.epochs)
            whole = len(self.rows) >= window
            value = smoothed(self.rows, monitored(self.recipe), window) if whole else math.nan
        # a score may be undefined (NaN), e.g. the CCC of a constant, or the mean of too few epochs
        if self.best is None or value > self.best["value"] or math.isnan(self.best["value"]):
            self.best = {"value": value, "epoch": epoch + 1, "weights": state.values(state.members(self.model))}
        if self.plateau and self._waited_enough():
            self._restore()
        self.write(self.rows, self.best)
        self.model.stop_training = self.patience_ended


def monitored(recipe: Recipe) -> str:
    """Return the name of the logged score that selects the epoch, or the setting of a baseline."""
    main = recipe.tasks[0]
    return recipe.monitor or f"val_{main.name}_{'ccc' if main.continuous else 'uar'}"


def smoothed(rows: Sequence[Mapping[str, Any]], name: str, epochs: int) -> float:
    """Return the mean of a score over the last `epochs`, ignoring undefined values; NaN unless at least half are defined."""
    last = [row[name] for row in rows[-epochs:]]
    found = [value for value in last if not math.isnan(value)]
    return float(np.mean(found)) if found and len(found) >= len(last) / 2 else math.nan


def check_monitor(monitor: str, logs: Mapping[str, float]) -> None:
    """Refuse, by a UserError, a `monitor` that is not a validation score that is better when larger."""
    scores = [name for name in logs if name.startswith("val_") and name.endswith(SCORES)]
    if monitor not in scores:
        raise UserError(
            f"`monitor` must be a score of labelled validation clips: {', '.join(scores) or 'none'}. "
            f"Received: {monitor!r}."
        )


def side_scores(score, sides: Sequence[tuple[Source, Any]], tasks: Sequence[Task]) -> dict[str, float]:
    """Score a side clip by clip: <task>_uar, _accuracy and _loss of classes, _ccc and _rmse of a continuous task.

    Args:
        score: features -> {task: probabilities}.
        sides: (source, batches) of each stream of the recipe's own corpus; tasks with labels from streams are scored on all of
            them, other tasks on the first.
        tasks: the tasks to score.
    """
    logs: dict[str, float] = {}
    truth: dict[str, list] = {task.name: [] for task in tasks}
    for source, batches in sides:
        found, extra = gathered((score(x), extra) for x, extra in batches)
        for task in tasks:
            if of_stream(task) or source is sides[0][0]:
                values, weights = source.targets(task.name, extra["index"], extra["mixed"])
                kept = weights > 0
                truth[task.name].append((values[kept], found[task.name][kept].astype("float32")))
    for task in tasks:
        if not truth[task.name] or not sum(len(v) for v, _ in truth[task.name]):
            continue
        values = np.concatenate([v for v, _ in truth[task.name]])
        predicted = np.concatenate([p for _, p in truth[task.name]])
        if task.continuous:
            total = metrics.sums(values, predicted)
            logs[f"{task.name}_ccc"] = float(metrics.ccc(total))
            logs[f"{task.name}_rmse"] = float(metrics.rmse(total))
            continue
        matrix = metrics.confusion(values, predicted.argmax(-1), task.size)
        logs[f"{task.name}_uar"] = float(metrics.uar(matrix))
        logs[f"{task.name}_accuracy"] = float(metrics.accuracy(matrix))
        likelihood = predicted[np.arange(len(values)), values]
        logs[f"{task.name}_loss"] = float(-np.log(np.maximum(likelihood, 1e-7)).mean())
    return logs
