"""Compilation of a recipe's network: losses, metrics, optimizers and schedules."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_ser.errors import UserError
from keras_ser.machine import replicas
from keras_ser.models.paper import Frames, Inputs, Label, Network, Output, Reconstruction, StreamNumber, build_network
from keras_ser.recipe import Recipe
from keras_ser.settings import OptimizerConfig


def build(recipe: Recipe, inputs: Inputs, steps: int = 1) -> tuple[Network, Any]:
    """Build and compile a recipe's network; return it and its scorer. See `build_network` and `compiled`."""
    network = build_network(recipe, inputs)
    return network, compiled(recipe, network, steps)


def check_optimizers(recipe: Recipe, network: Network) -> None:
    """Refuse several optimizers where they cannot train.

    Raises:
        UserError: the precision is mixed_float16, and the network has several optimizers whose losses it does not scale; it has
            several optimizers, and the backend is not TensorFlow.
    """
    import keras

    if not network.optimizers:
        return
    if recipe.precision == "mixed_float16" and not getattr(network.model, "scales_losses", False):
        raise UserError(
            f"{recipe.model!r} has optimizers of its own, whose gradients would underflow in float16: set "
            "precision=mixed_bfloat16, or scale its losses (`keras_ser.models.paper.Optimized`)."
        )
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"{recipe.model!r} with these settings has several optimizers, and trains on TensorFlow alone. Received: the backend "
            f"{keras.backend.backend()}."
        )


def compiled(recipe: Recipe, network: Network, steps: int = 1):
    """Compile a recipe's network for epochs of `steps` batches, and build its optimizers.

    Returns:
        The network's scorer, which shares its weights; see `keras_ser.models.whole_model.scorer`.

    Raises:
        UserError: see `check_optimizers`.
    """
    import keras

    check_optimizers(recipe, network)
    model, scaled = network.model, recipe.precision == "mixed_float16"
    alone, clip, unclipped = len(network.outputs) == 1, recipe.optimizer.clip_norm, recipe.optimizer
    if getattr(model, "clips_together", False):  # the gradients of all optimizers, in its own step
        model.clip_norm, unclipped = clip / replicas(), replace(recipe.optimizer, clip_norm=0.0)
    model.compile(
        optimizer=optimizer(unclipped, steps, recipe.epochs),
        loss={name: output.loss for name, output in network.outputs.items()},
        loss_weights={name: output.weight for name, output in network.outputs.items()},
        weighted_metrics={name: _metrics(name, output, alone) for name, output in network.outputs.items()},
        # XLA is several times slower than TensorFlow's plain graph for recurrent layers on CPU; JAX has no other graph
        jit_compile=keras.backend.backend() == "jax",
    )
    own: set[int] = set()
    model.frozen = list(network.frozen)
    if network.optimizers:
        model.optimizers = {}
    for name, part in network.optimizers.items():
        settings = part.settings or unclipped
        # the plateau's floor too, since it ends by the main optimizer's rate alone
        rates = {name: part.rate * getattr(settings, name) for name in ("learning_rate", "floor")}
        settings = replace(settings, **rates)
        own_optimizer = optimizer(settings, steps, recipe.epochs)
        if part.shared:  # whose weights decay with their own optimizer
            own_optimizer.exclude_from_weight_decay(var_list=list(part.shared))
        model.optimizers[name] = keras.optimizers.LossScaleOptimizer(own_optimizer) if scaled else own_optimizer
        model.optimizers[name].build([*part.shared, *part.variables])
        own |= {id(variable) for variable in part.variables}
    model.optimizer.build([variable for variable in model.trainable_variables if id(variable) not in own])
    _build_loss(network)
    return recipe_scorer(recipe, network)


def recipe_scorer(recipe: Recipe, network: Network):
    """Build the scorer of a recipe's network; see `keras_ser.models.whole_model.scorer`."""
    import keras

    from keras_ser.models.whole_model import scorer

    sampling = recipe.sampling
    segment = sampling.frames if sampling.kind == "segments" and not sampling.seconds else 0
    score = scorer(network, recipe.tasks, segment, stretched=bool(sampling.seconds))
    score.jit_compile = keras.backend.backend() == "jax"
    return score


def _build_loss(network: Network) -> None:
    """Create the variables that track the loss, which Keras would create in the first step and then retrace it."""
    y_pred, y, w = {}, {}, {}
    for name, output in network.outputs.items():
        value = network.model.output[name]
        y_pred[name] = np.full([size or 1 for size in value.shape], 1 / value.shape[-1], "float32")
        shape = {Frames: (1, 1, getattr(output.target, "values", 0)), Reconstruction: y_pred[name].shape}
        y[name] = np.zeros(shape.get(type(output.target), 1), "float32")
        w[name] = np.ones(y[name].shape[:2], "float32")
    network.model.compute_loss(y=y, y_pred=y_pred, sample_weight=w)
    network.model.reset_metrics()


def _metrics(name: str, output: Output, alone: bool) -> list:
    """Return the metrics of an output, named so that any network logs <output>_accuracy and <output>_loss."""
    import keras

    # Keras prefixes metrics with the output's name only if there are several outputs; with one it logs only the total loss
    if not alone:
        return list(output.metrics)
    renamed = [type(m).from_config({**m.get_config(), "name": f"{name}_{m.name}"}) for m in output.metrics]
    return [*renamed, keras.metrics.MeanMetricWrapper(output.loss.call, name=f"{name}_loss")]


def priors(network: Network, recipe: Recipe, sources: Sequence) -> dict[str, float]:
    """Return the share of the most frequent training class for each class output that is not a task's, e.g. an adversary.

    It is the baseline for the logged accuracy of that output. All clips count equally, independently of their segments.
    """
    tasks, found = {task.name: task for task in recipe.tasks}, {}
    for name, output in network.outputs.items():
        if not output.metrics:
            continue
        if isinstance(output.target, StreamNumber):
            shares = [source.share for source in sources]
        elif (
            isinstance(output.target, Label) and output.target.task != name and not tasks[output.target.task].continuous
        ):
            shares = np.sum([_shares(source, tasks[output.target.task]) for source in sources], axis=0)
        else:
            continue
        found[name] = float(np.max(shares) / np.sum(shares))
    return found


def _shares(source, task) -> np.ndarray:
    """Return the share of a batch that each class of a task gets from one stream, (classes,)."""
    if task.name in source.mixed:
        counts = np.bincount(source.mixed[task.name], minlength=task.size)
    else:
        values, weights = source.labels[task.name]
        counts = np.bincount(values[source.indices], weights[source.indices] > 0, minlength=task.size)
    return source.share * counts / max(counts.sum(), 1)


def optimizer(settings: OptimizerConfig, steps: int, epochs: int):
    """Make an optimizer with a schedule over `epochs` epochs of `steps` batches."""
    import keras

    from keras_ser.training.optimizers import CoupledSGD

    rate = settings.learning_rate
    if settings.schedule == "cosine":
        # the rate must fall: the last epoch is kept because it ends at 0
        warmup = min(int(settings.warmup_epochs * steps), steps * epochs // 2)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=rate / 10 if warmup else rate,
            decay_steps=max(1, steps * epochs - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    elif settings.schedule == "step":
        rates = [rate * settings.factor**k for k in range(len(settings.steps) + 1)]
        # Keras uses the next value after the boundary, and counts steps from 0
        ends = [epoch * steps - 1 for epoch in settings.steps]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)
    kinds = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "sgd": CoupledSGD}
    options: dict[str, Any] = {"learning_rate": rate}
    if settings.weight_decay or settings.name == "adamw":  # whose default is not 0
        options["decay" if settings.name == "sgd" else "weight_decay"] = settings.weight_decay
    if settings.clip_norm:
        # gradients are clipped on each device, where losses are divided by the number of devices
        options["global_clipnorm"] = settings.clip_norm / replicas()
    if settings.name == "sgd":
        options["momentum"] = settings.momentum
    return kinds[settings.name](**options)
