"""Contract between a paper and the rest of the package: what a module in `keras_ser.models` builds.

A paper is a module with `Config` (frozen; defaults: the paper's values) and `build(config, inputs, tasks, ..) -> Network`. The
`Network` states what each output learns, which layers standardise the inputs, which tensor is the embedding, and which optimizers
train it, so that training, evaluation and export do not depend on the names of outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_ser.errors import UserError
from keras_ser.models import model_module
from keras_ser.settings import OptimizerConfig, mask_of
from keras_ser.tasks import Task

Inputs = Mapping[str, tuple[int | None, int]]  # feature -> (frames, bins); frames is None if clips differ in length


@dataclass(frozen=True)
class Label:
    """Target: the label of a task, with the weight of the label, 0 if it is missing."""

    task: str


@dataclass(frozen=True)
class StreamNumber:
    """Target: the number of the stream that an example came from."""


@dataclass(frozen=True)
class Reconstruction:
    """Target: an input of the network, standardised by `Network.normalizations`; valid frames have weight 1, padding 0.

    Args:
        feature: name of the input, (batch, frames, bins).
    """

    feature: str


@dataclass(frozen=True)
class Frames:
    """Target: values per frame, computed from the waveform with and without the mixed-in noise; padding has weight 0.

    Args:
        compute: {"waveform", "clean": (batch, samples), "length": (batch,)} -> (batch, frames, values), on the frames of the main
            front end.
        values: number of values per frame.
        task: the task to which the values belong: a control that shuffles the labels of this task takes the values of another
            example.
    """

    compute: Callable[[Mapping[str, Any]], Any]
    values: int
    task: str = ""


Target = Label | StreamNumber | Reconstruction | Frames


@dataclass(frozen=True)
class Output:
    """Target and loss of one of the network's outputs.

    Args:
        target: what the output is compared with.
        loss: a keras.losses.Loss.
        weight: weight of the loss in the sum. Default 1.
        metrics: keras.metrics.Metric objects, logged as <output>_<name of the metric>.
        kept: keep the output in the trained model beside those of the tasks, for later use. Default False.
    """

    target: Target
    loss: Any
    weight: float = 1.0
    metrics: tuple = ()
    kept: bool = False


@dataclass(frozen=True)
class Optimized:
    """Variables and settings of a further optimizer.

    Under mixed_float16 it is a `keras.optimizers.LossScaleOptimizer`: a model with `scales_losses = True` promises that its
    `train_step` passes every loss through the `scale_loss` of the optimizer that gets its gradients, within the tape. Others are
    refused with that precision.

    Args:
        variables: trainable variables that only this optimizer trains; `Model.optimizer` has the remaining ones.
        settings: settings of the optimizer. Default None, those of the recipe's optimizer.
        shared: trainable variables of other optimizers that this one trains as well.
        rate: factor on the learning rate. Default 1.
    """

    variables: Sequence[Any]
    settings: OptimizerConfig | None = None
    shared: Sequence[Any] = ()
    rate: float = 1.0


@dataclass(frozen=True)
class Network:
    """A network and all that training, evaluation and export need to know about it.

    Args:
        model: keras.Model on features: {input: (batch, frames, bins), mask: (batch, frames)} -> {output: ..}. Each task has
            an output of its name, (batch, classes) logits or (batch, 1). The model may define its own `train_step`,
            which finds the further optimizers in the attribute `optimizers`.
        outputs: target and loss of each output of the model.
        embedding: tensor (batch, units), the output of a layer, used by verification, probes and plots.
        normalizations: names of inputs, in the order in which they are joined -> their `FeatureNormalization`.
        optimizers: further optimizers, by name.
        priors: task -> tensor (batch, classes), the posterior of an auxiliary task from which another task's output is computed; a
            report also shows the results with the true label in its place (side information).
        views: name -> further tensor (batch, ..), the output of a layer before the tasks' outputs, that a report shows in
            two dimensions, coloured by the tasks. With more than two axes, the second is time, in positions of as many frames each,
            and the mean over the valid frames is shown. A `Reconstruction` is shown beside its input.
        initialise: loads pretrained weights; called once before training. Default None, random weights.
        frozen: variables that never change after `build` and `initialise`, so that training states do not store them.
    """

    model: Any
    outputs: Mapping[str, Output]
    embedding: Any
    normalizations: Mapping[tuple[str, ...], Any] = field(default_factory=dict)
    optimizers: Mapping[str, Optimized] = field(default_factory=dict)
    priors: Mapping[str, Any] = field(default_factory=dict)
    views: Mapping[str, Any] = field(default_factory=dict)
    initialise: Callable[[], None] | None = None
    frozen: Sequence[Any] = ()

    def layer_of(self, tensor: Any) -> str:
        """Return the name of the layer whose output is a tensor of the model."""
        import keras

        return keras.Model(self.model.input, tensor).layers[-1].name

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuse a task without an output of its own, because its name is used for another output."""
        for task in tasks:
            if task.name not in self.outputs or self.outputs[task.name].target != Label(task.name):
                raise UserError(
                    f"a task cannot be called {task.name!r}: the network has an output of that name. Give it another name, and "
                    f"name its column: column={task.column!r}."
                )


@dataclass(frozen=True)
class Frozen:
    """Frozen pretrained layers between a front end and the network. Their output replaces the front end's feature.

    A module `models.X` names them by a function `frozen(config, inputs) -> {input: Frozen}`, `inputs` as for `build_network`.
    Training computes the output once for each clip, and keeps it on disk, unless noise or a random stretch changes the clip.

    Args:
        shape: (frames, units) of the output.
        prepare: name -> a layer of that name, (waveform (batch, frames, hop), mask=) -> (x (batch, samples), mask of x, mask of
            the output's frames), with the clip's samples first in x. Its attribute `stride`: samples from one of these frames to
            the next.
        load: makes the layer (x, mask=) -> (batch, frames, units), with its pretrained weights.
        cache: (loaded layer, folder) -> what keeps its output in files below the folder: `folder`, get(hash of a clip) -> (frames,
            units) or None, put(hash, array) -> the array as `get` will give it.
    """

    shape: tuple[int, int]
    prepare: Callable[[str], Any]
    load: Callable[[], Any]
    cache: Callable[[Any, Path], Any]


@dataclass(frozen=True)
class Flag:
    """A boolean output of a trained model about a clip, beside the predictions of the tasks.

    Args:
        report: sentence for a report; {count} of {clips} have the flag.
        warning: warning for a prediction with the flag.
    """

    report: str
    warning: str


def frozen_parts(recipe: Any, inputs: Inputs) -> Mapping[str, Frozen]:
    """Return the `Frozen` layers of a recipe: {} for most models. `inputs` are the front ends' features."""
    return getattr(model_module(recipe.model), "frozen", lambda config, inputs: {})(recipe.config, inputs)


def build_network(recipe: Any, inputs: Inputs) -> Network:
    """Build and check the network of a recipe.

    Args:
        recipe: the recipe.
        inputs: name -> (frames, bins), with frames None for any number.

    Raises:
        UserError: the model cannot be built with these settings, inputs or tasks.
    """
    made = model_module(recipe.model).build(
        recipe.config, inputs, recipe.tasks, streams=len(recipe.streams), frontend=recipe.frontend
    )
    made.check(recipe.tasks)
    return made


_TRAINED: ContextVar[Any] = ContextVar("trained", default=None)


def build_again(recipe: Any, inputs: Inputs, trained: Any) -> Network:
    """Build the network of a recipe again, like its trained Keras model, without files of pretrained weights (`trained_layer`)."""
    token = _TRAINED.set(trained)
    try:
        return build_network(recipe, inputs)
    finally:
        _TRAINED.reset(token)


def trained_layer(name: str):
    """Return the layer of the model that `build_again` follows, so that its pretrained files are not needed; None elsewhere."""
    trained = _TRAINED.get()
    return None if trained is None else next((layer for layer in trained.layers if layer.name == name), None)


def given(inputs: Inputs) -> dict[str, Any]:
    """Make the Keras inputs of a network: one for each feature, then one for each mask."""
    import keras

    found = {name: keras.Input(shape, name=name) for name, shape in inputs.items()}
    for name, (frames, _) in inputs.items():
        if mask_of(name) not in found:
            found[mask_of(name)] = keras.Input((frames,), dtype="bool", name=mask_of(name))
    return found


def joined(inputs: Mapping[str, Any], names: Sequence[str]):
    """Concatenate features of one front end (else a UserError) along their bins: (batch, frames, total bins)."""
    import keras

    if len({mask_of(name) for name in names}) > 1:
        raise UserError(f"this network takes features of one front end. Received: {', '.join(names)}.")
    x = [inputs[name] for name in names]
    return keras.layers.Concatenate(name="features", dtype="float32")(x) if len(x) > 1 else x[0]
