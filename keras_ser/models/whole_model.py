"""Assembly of the whole model from a network on features: waveform and length in, probabilities out.

It contains every step from decoded audio to probabilities, so that the evaluated model is the served one:

    waveform -> extractor (front ends) -> scorer (network, softmax, mean over segments) -> {task: (batch, classes)}
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_ser.models.paper import Network, build_again
from keras_ser.settings import STRETCH, mask_of
from keras_ser.tasks import Task

FRONT, PREPARE = "front_ends", "prepare_"  # names of layers of an extractor


def extractor(frontend, further: Mapping[str, Any] | None = None, stretch: int = 0):
    """Build the front ends as a model: {"waveform": (batch, samples), "length": (batch,)} -> features and masks.

    Args:
        frontend: the main `keras_ser.features.Frontend`: {feature: (batch, frames, bins), "mask": (batch, frames)}.
        further: name -> another front end: {"name.feature": .., "name.mask": ..}.
        stretch: length in samples of the stretches into which clips are cut before the front ends; 0 = whole clips. With stretches
            the features are (batch * stretches, frames, bins), and "stretch" (batch, stretches) has the valid samples of each.
    """
    import keras

    from keras_ser.features import CutStretches

    given = waveform_inputs()
    waveform, length, found = given["waveform"], given["length"], {}
    if stretch:
        waveform, length, found[STRETCH] = CutStretches(stretch, name="stretches")(waveform, length)
    features = dict(frontend(waveform, length))
    for name, each in (further or {}).items():
        features |= {f"{name}.{feature}": value for feature, value in each(waveform, length).items()}
    return keras.Model(given, {**features, **found}, name="extractor")


def with_frozen(front, parts: Mapping[str, tuple[Any, Any]]):
    """Put frozen layers behind an `extractor`; their output replaces the features that they take.

    `parts` is {input: (prepare, layer)}, made by `keras_ser.models.paper.Frozen`; each takes a feature of a waveform's samples.
    """
    import keras

    given = waveform_inputs()
    features = dict(keras.Model(front.input, front.output, name=FRONT)(given))
    for name, (prepare, layer) in parts.items():
        x, mask, features[mask_of(name)] = prepare(features[name], mask=features[mask_of(name)])
        features[name] = layer(x, mask=mask)
    return keras.Model(given, features, name="extractor")


def frames_joined(extract) -> dict[str, float]:
    """Return feature -> hops of its front end between two frames of the frozen layer behind it; {} without `with_frozen`."""
    layers = {layer.name: layer for layer in extract.layers}
    prepared = {name.removeprefix(PREPARE): layer for name, layer in layers.items() if name.startswith(PREPARE)}
    return {name: layer.stride / layers[FRONT].output[name].shape[-1] for name, layer in prepared.items()}


def scorer(network: Network, tasks: Sequence[Task], segment: int = 0, stretched: bool = False):
    """Build a model from features to one row of probabilities per clip: the network with a softmax, averaged over segments.

    The softmax is part of the inner network, so that `inner_network` gives probabilities. Outputs and losses that only training
    needs are left out.

    Args:
        network: the network.
        tasks: the tasks to predict.
        segment: frames per segment, into which a clip is cut and over which it is averaged; 0 = the whole clip.
        stretched: whether the features are those of stretches; see `extractor`. Default False.
    """
    import keras

    made, kept = network.model, {name for name, output in network.outputs.items() if output.kept}
    inside = {name: value for name, value in made.output.items() if name in kept}
    for task in tasks:
        value = made.output[task.name]
        softmax = keras.layers.Softmax(dtype="float32", name=f"softmax_{task.name}")
        inside[task.name] = value if task.continuous else softmax(value)
    inner = keras.Model(made.input, inside, name=made.name)
    given = {}
    for name, value in made.input.items():
        # the number of frames that the network was built for; any number if the clip is cut into segments
        shape = (None, *value.shape[2:]) if segment else value.shape[1:]
        given[name] = keras.Input(shape, dtype=value.dtype, name=name)
    if stretched:
        given[STRETCH] = keras.Input((None,), dtype="int32", name=STRETCH)
    x, average = parts(given, list(made.input), segment)
    found = inner(x)
    scores = {task.name: average(found[task.name], f"mean_{task.name}") for task in tasks}
    return keras.Model(given, scores, name="scorer")


def parts(given: Mapping[str, Any], names: Sequence[str], segment: int = 0) -> tuple[dict[str, Any], Callable]:
    """Select a network's inputs `names`, cut into segments of `segment` frames (0 = uncut), with a function to average over them.

    Returns:
        ({input: tensor}, function), the function mapping (outputs (rows, units), layer's name) to (batch, units).
    """
    from keras_ser.features import AverageSegments, AverageStretches, Segment

    x = {name: given[name] for name in names}
    if STRETCH in given:
        return x, lambda outputs, name: AverageStretches(name=name)(outputs, given[STRETCH])
    if not segment:
        return x, lambda outputs, name: outputs
    masks = {mask_of(name) for name in names}
    for name in (name for name in names if name not in masks):
        mask = mask_of(name)
        x[name], x[mask] = Segment(segment, name=f"segments_{name}")(given[name], given[mask])
    return x, lambda outputs, name: AverageSegments(name=name)(outputs, x["mask"], given["mask"])


def assembled(extract, score, name: str):
    """Join front ends and scorer to one model: {"waveform": (batch, samples), "length": (batch,)} -> {task: (batch, classes)}.

    Flags that the extractor gives beside features (`keras_ser.models.model_flags`) are outputs as well.
    """
    import keras

    given = waveform_inputs()
    features = extract(given)
    outputs = dict(score({name: features[name] for name in score.input}))
    outputs |= {name: value for name, value in features.items() if len(value.shape) == 1}
    return keras.Model(given, outputs, name=name)


def embedder(whole, layer: str):
    """Build {"waveform", "length"} -> (batch, units): the output of the layer `layer` of a whole model, averaged over segments.

    An output (batch, positions, ..) is averaged over time as well, see `over_time`. `recipe_embedder` finds the layer of the
    embedding.
    """
    import keras

    given, network = waveform_inputs(), inner_network(whole)
    x, average = network_inputs(whole, given)
    output = network.get_layer(layer).output
    found = keras.Model(network.input, output, name="embedding")(x)
    found = over_time(found, x["mask"], network.input["mask"].shape[1]) if len(output.shape) > 2 else found
    return keras.Model(given, average(found, "mean_embedding"), name="embedder")


def over_time(x, mask, frames: int):
    """Average over time, each position weighted by its number of valid frames, so that padding does not count.

    Args:
        x: (batch, positions, ..), computed from equal parts of the frames, up to rounding.
        mask: (batch, frames) bool, the valid frames.
        frames: number of frames.

    Returns:
        (batch, units) float32; 0 without a valid frame.
    """
    from keras import ops

    positions = x.shape[1]
    ends = np.linspace(0, frames, positions + 1).round().astype("int32")
    counted = ops.pad(ops.cumsum(ops.cast(mask, "float32"), axis=1), [[0, 0], [1, 0]])
    weights = ops.diff(ops.take(counted, ends, axis=1), axis=1)[..., None]  # (batch, positions, 1)
    x = ops.reshape(ops.cast(x, "float32"), (-1, positions, math.prod(x.shape[2:])))
    return ops.sum(x * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)


def known_prior(whole, layer: str, label: int):
    """Rebuild a whole model with the posterior of the layer `layer` replaced by certainty of the class `label`."""
    import keras
    from keras import ops

    given, network = waveform_inputs(), inner_network(whole)
    x, average = network_inputs(whole, given)
    posterior = network.get_layer(layer).output
    certain = ops.zeros_like(keras.Model(network.input, posterior)(x)) + ops.one_hot(label, posterior.shape[-1])
    names = list(network.input)  # a list: Keras warns where a key is not its tensor's name
    inputs = [*(network.input[name] for name in names), posterior]
    found = keras.Model(inputs, dict(network.output))([*(x[name] for name in names), certain])
    return keras.Model(given, {name: average(value, f"mean_{name}") for name, value in found.items()})


def recipe_embedder(recipe, whole):
    """Build the `embedder` of a recipe's trained model for the embedding of its network."""
    network = network_again(recipe, whole)
    return embedder(whole, network.layer_of(network.embedding))


def network_again(recipe, whole) -> Network:
    """Rebuild the network of a recipe with the inputs of the trained model; its layers have the same names."""
    trained = inner_network(whole)
    inputs = {name: x.shape[1:] for name, x in trained.input.items() if len(x.shape) == 3}
    return build_again(recipe, inputs, trained)


def inner_network(whole):
    """Return the network on features inside a whole model; its outputs are probabilities."""
    import keras

    return next(layer for layer in whole.get_layer("scorer").layers if isinstance(layer, keras.Model))


def network_inputs(whole, given: Mapping[str, Any]) -> tuple[dict[str, Any], Callable]:
    """Compute the inputs of a whole model's network from {"waveform", "length"}, cut as in its scorer; see `parts`."""
    from keras_ser.features import Segment

    segment = next((layer.frames for layer in whole.get_layer("scorer").layers if isinstance(layer, Segment)), 0)
    return parts(whole.get_layer("extractor")(given), list(inner_network(whole).input), segment)


def waveform_inputs():
    import keras

    return {
        "waveform": keras.Input((None,), dtype="float32", name="waveform"),
        "length": keras.Input((), dtype="int32", name="length"),
    }
