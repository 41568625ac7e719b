"""The contract between a paper and everything else: what a module in `keras_ser.models` builds.

A paper is a module with `Config` (frozen; defaults: the paper's values) and `build(config, inputs, tasks, ..) -> Network`. The
`Network` says by value what each output learns, which layers standardise the inputs, what a clip is compared by, and which
optimizers train it, so that training, evaluation and export know no output by its name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_ser.errors import UserError
from keras_ser.models import model_module
from keras_ser.settings import OptimizerConfig, mask_of
from keras_ser.tasks import Task


@dataclass(frozen=True)
class Label:
    """The label of a task. An example weighs what its label weighs: 0 where it is missing."""

    task: str


@dataclass(frozen=True)
class StreamNumber:
    """The number of the stream that an example came from."""


@dataclass(frozen=True)
class Reconstruction:
    """One of the network's inputs, standardised as `Network.normalizations` does; a valid frame weighs 1, padding 0.

    Args:
        feature: name of the input, (batch, frames, bins).
    """

    feature: str


@dataclass(frozen=True)
class Frames:
    """Values of every frame, computed from the waveform before and after noise was mixed in; padding weighs 0.

    Args:
        compute: {"waveform", "clean": (batch, samples), "length": (batch,)} -> (batch, frames, values), the frames of the main
            front end.
        values: of a frame.
        task: The task that the values are labels of: a control in which the labels of that task are shuffled takes the
            values of another example.
    """

    compute: Callable[[Mapping[str, Any]], Any]
    values: int
    task: str = ""


Target = Label | StreamNumber | Reconstruction | Frames


@dataclass(frozen=True)
class Output:
    """What one of the network's outputs learns.

    Args:
        target: what it is compared with.
        loss: a keras.losses.Loss.
        weight: of the loss in the sum.
        metrics: keras.metrics.Metric, logged as <output>_<name of the metric>.
        kept: Keep the output in the trained model, beside those of the tasks, for what is made of it later.
    """

    target: Target
    loss: Any
    weight: float = 1.0
    metrics: tuple = ()
    kept: bool = False


@dataclass(frozen=True)
class Optimized:
    """What a further optimizer trains.

    Args:
        variables: the trainable variables that are its own; `Model.optimizer` has all the others.
        shared: trainable variables of other optimizers that it trains as well.
        rate: multiplies the learning rate.
        settings: None = those of the recipe's optimizer.
    """

    variables: Sequence[Any]
    settings: OptimizerConfig | None = None
    shared: Sequence[Any] = ()
    rate: float = 1.0


@dataclass(frozen=True)
class Network:
    """A network and everything that training, evaluation and export have to know of it.

    Args:
        model: keras.Model on features: {input: (batch, frames, bins), mask: (batch, frames)} -> {output: ..}. Each task has
            an output of its name, (batch, classes) logits or (batch, 1). The model may have a `train_step` of its own,
            and finds the optimizers of `optimizers` in its attribute `optimizers`.
        outputs: what each output of the model learns.
        embedding: the tensor of the model that verification, probes and plots look at, (batch, units): the output of a layer.
        normalizations: names of inputs, in the order in which they are joined -> the `FeatureNormalization` that sees them.
        optimizers: further optimizers by name.
        priors: task -> tensor (batch, classes), the posterior of an auxiliary task that another task's output is computed from; a
            report also shows what comes out where the true label stands in its place (side information).
        views: name -> a further tensor, (batch, ..), the output of a layer on the way to the tasks' outputs, that a report shows in
            two dimensions, coloured by the tasks. A `Reconstruction` is shown beside its input.
        frozen: variables that `initialise` sets and nothing changes, so that no state of a training holds them.
        initialise: loads pretrained weights; called once, before a training begins. None = the weights are drawn.
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

    @property
    def embedding_layer(self) -> str:
        """Name of the layer that puts out the embedding."""
        return self.layer(self.embedding)

    def layer(self, tensor: Any) -> str:
        """Name of the layer that puts out a tensor of the model."""
        import keras

        return keras.Model(self.model.input, tensor).layers[-1].name

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuse a task without an output of its own, since the network uses its name for something else."""
        for task in tasks:
            if task.name not in self.outputs or self.outputs[task.name].target != Label(task.name):
                raise UserError(
                    f"a task cannot be called {task.name!r}: the network has an output of that name. Give it another name, and "
                    f"name its column: column={task.column!r}."
                )


@dataclass(frozen=True)
class Flag:
    """What a trained model says of a clip beside the tasks' answers, True or False.

    Args:
        report: sentence of a report; {count} of {clips} have the flag.
        warning: of an answer that has it.
    """

    report: str
    warning: str


def build_network(recipe: Any, inputs: Mapping[str, tuple[int | None, int]]) -> Network:
    """The network of a recipe, built and checked; `inputs` are name -> (frames, bins), frames None = of any number.

    Raises:
        UserError: settings, inputs or tasks that the model cannot be built with.
    """
    made = model_module(recipe.model).build(
        recipe.config, inputs, recipe.tasks, streams=len(recipe.streams), frontend=recipe.frontend
    )
    made.check(recipe.tasks)
    return made


def given(inputs: Mapping[str, tuple[int | None, int]]) -> dict[str, Any]:
    """The Keras inputs of a network: one for each feature, then one for each mask."""
    import keras

    found = {name: keras.Input(shape, name=name) for name, shape in inputs.items()}
    for name, (frames, _) in inputs.items():
        if mask_of(name) not in found:
            found[mask_of(name)] = keras.Input((frames,), dtype="bool", name=mask_of(name))
    return found


def joined(inputs: Mapping[str, Any], names: Sequence[str]):
    """Features of one front end (else a UserError), joined along their bins: (batch, frames, bins of all)."""
    import keras

    if len({mask_of(name) for name in names}) > 1:
        raise UserError(f"this network takes features of one front end. Received: {', '.join(names)}.")
    x = [inputs[name] for name in names]
    return keras.layers.Concatenate(name="features", dtype="float32")(x) if len(x) > 1 else x[0]
