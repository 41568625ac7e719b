"""A recipe's network, compiled: losses, metrics, optimizer and schedule."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ser.models import MODELS
from keras_ser.recipe import Recipe
from keras_ser.tasks import Task


def build(recipe: Recipe, inputs: Mapping[str, int], steps: int = 1, frames: int | None = None):
    """The recipe's network, compiled, and its scorer (the same weights; see `keras_ser.models.whole.scorer`).

    Args:
        recipe: names model, tasks, streams and optimizer.
        inputs: feature name -> bins.
        steps: optimizer steps of an epoch, for the schedule.
        frames: of every clip, where the front end makes them equal.
    """
    from keras_ser.models.whole import scorer

    module = importlib.import_module(MODELS[recipe.model])
    network = module.build(recipe.config, inputs, recipe.tasks, streams=len(recipe.streams), frames=frames)
    losses, weights = module.losses(recipe.config, recipe.tasks)
    network.compile(
        optimizer=optimizer(recipe, steps),
        loss={name: losses[name] for name in network.output},
        loss_weights={name: weights[name] for name in network.output},
        weighted_metrics={name: _metrics(recipe, network, name, losses[name]) for name in network.output},
        # XLA is several times slower than the plain graph for recurrent layers on CPU
        jit_compile=False,
    )
    _build_loss(network)
    score = scorer(network, recipe.tasks, recipe.sampling.frames if recipe.sampling.kind == "segments" else 0)
    score.jit_compile = False
    return network, score


def _build_loss(network) -> None:
    """Make the variables that count the loss. Keras makes them in its first step, and then has to trace that step again."""
    y_pred, y, w = {}, {}, {}
    for name, output in network.output.items():
        y_pred[name] = np.full([size or 1 for size in output.shape], 1 / output.shape[-1], "float32")
        y[name] = np.zeros((1, 1, 2 * output.shape[-1]) if name == "gain" else 1, "float32")
        w[name] = np.ones(y[name].shape[:2], "float32")
    network.compute_loss(y=y, y_pred=y_pred, sample_weight=w)
    network.reset_metrics()


def _metrics(recipe: Recipe, network, name: str, loss) -> list:
    """What is logged of an output beside its loss, so that it is called <output>_accuracy and <output>_loss in any network."""
    import keras

    # Keras puts the output's name before its own only where there are several outputs, and else logs the total alone
    alone = len(network.output) == 1
    found = []
    if name != "gain" and not _continuous(recipe.tasks, name):
        found.append(keras.metrics.SparseCategoricalAccuracy(name=f"{name}_accuracy" if alone else "accuracy"))
    if alone:
        found.append(keras.metrics.MeanMetricWrapper(loss.call, name=f"{name}_loss"))
    return found


def _continuous(tasks: Sequence[Task], name: str) -> bool:
    return any(task.name == name and task.continuous for task in tasks)


def optimizer(recipe: Recipe, steps: int):
    """The recipe's optimizer, its schedule over `steps` x epochs."""
    import keras

    from keras_ser.training.optimizers import CoupledSGD

    settings = recipe.optimizer
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        warmup = int(settings.warmup_epochs * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=rate / 10 if warmup else rate,
            decay_steps=max(1, steps * recipe.epochs - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    elif settings.schedule == "step":
        rates = [rate * settings.factor**k for k in range(len(settings.steps) + 1)]
        # Keras takes the next value after the boundary, and counts steps from 0
        ends = [epoch * steps - 1 for epoch in settings.steps]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)
    kinds = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "sgd": CoupledSGD}
    options: dict[str, Any] = {"learning_rate": rate}
    if settings.weight_decay:
        options["decay" if settings.name == "sgd" else "weight_decay"] = settings.weight_decay
    if settings.clip_norm:
        options["global_clipnorm"] = settings.clip_norm
    if settings.name == "sgd":
        options["momentum"] = settings.momentum
    return kinds[settings.name](**options)
