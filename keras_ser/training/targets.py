"""Training targets: target and weight of each output, per example or per frame."""

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_ser.errors import UserError
from keras_ser.models.paper import Frames, Label, Network, Reconstruction
from keras_ser.pipelines.streams import SOURCE
from keras_ser.recipe import Recipe
from keras_ser.settings import mask_of


def frame_targets(recipe: Recipe, network: Network) -> dict[str, Callable]:
    """Return the functions that compute targets per frame, by the names that the pipeline uses for them.

    Raises:
        UserError: the frames of such a target would differ from those of the features.
    """
    found = {name: output.target for name, output in network.outputs.items() if isinstance(output.target, Frames)}
    settings = recipe.frontend
    changed = settings.endpoint or settings.seconds or settings.normalize or recipe.sampling.seconds
    if found and (changed or not recipe.augment.off):
        raise UserError(
            f"{next(iter(found))!r} is learnt for the unmodified frames of the front end: it needs frontend.endpoint=false, "
            f"frontend.seconds=0, frontend.normalize=false, no sampling.seconds and no augmentation. Received: "
            f"endpoint={settings.endpoint}, seconds={settings.seconds}, normalize={settings.normalize}, "
            f"sampling.seconds={recipe.sampling.seconds}, {recipe.augment}."
        )
    return {f"target/{name}": target.compute for name, target in found.items()}


def targets_of(recipe: Recipe, network: Network) -> Callable:
    """Return a function from the pipeline's (x, y, w) and a seed to the network's inputs, targets and weights per output.

    In a control with shuffled labels, each example has the `Frames` of another example of its batch, from any stream. The distance
    between them is drawn from the seed, two integers that differ per batch, since a fixed distance would reveal the stream.
    """
    import tensorflow as tf

    standardised = standardised_as(network)

    def choose(x, y, w, seed):
        inputs = {name: value for name, value in x.items() if "/" not in name}
        found, weights = {}, {}
        for name, output in network.outputs.items():
            target = output.target
            if isinstance(target, Frames):
                values, valid = x[f"target/{name}"], tf.cast(x["mask"], tf.float32)
                if target.task in recipe.shuffle:
                    values, rolled = another(values, seed), another(valid, seed)
                    # an example alone in its batch has only its own frames, and gets weight 0
                    valid *= rolled * tf.cast(tf.shape(valid)[0] > 1, tf.float32)
                found[name], weights[name] = values, valid
            elif isinstance(target, Reconstruction):
                mask = x[mask_of(target.feature)]
                found[name] = standardised(target.feature, x[target.feature], mask)
                weights[name] = tf.cast(mask, tf.float32)
            else:
                key = target.task if isinstance(target, Label) else SOURCE
                found[name], weights[name] = y[key], w[key]
        return inputs, found, weights

    return choose


def standardised_as(network: Network) -> Callable[[str, Any, Any], Any]:
    """Return a function (feature, its values, its mask) -> values standardised as by the network's normalisation."""
    import tensorflow as tf

    scales = {}
    for names, layer in network.normalizations.items():
        ends = np.cumsum([0, *(network.model.input[name].shape[-1] for name in names)])
        mean, deviation = np.array(layer.mean), np.sqrt(np.array(layer.variance) + layer.epsilon)
        scales |= {n: (mean[a:b], deviation[a:b]) for n, a, b in zip(names, ends[:-1], ends[1:], strict=True)}

    def of(name, x, mask):
        mean, deviation = scales.get(name, (0.0, 1.0))
        return tf.where(mask[..., None], (x - mean) / deviation, 0.0)

    return of


def another(values, seed):
    """Roll (batch, ..) along the batch by 1 to batch - 1 places, drawn from `seed`, so that no example keeps its value."""
    import tensorflow as tf

    most = tf.maximum(tf.shape(values)[0], 2)
    return tf.roll(values, tf.random.stateless_uniform([], seed, 1, most, tf.int32), axis=0)


def spread_over(replicas: int):
    """Return a function that reorders a batch so that the part of each replica mixes the streams like the whole batch."""
    import tensorflow as tf

    def spread(x, y, w):
        if replicas == 1:
            return x, y, w
        order = tf.argsort(tf.range(tf.shape(next(iter(y.values())))[0]) % replicas, stable=True)
        # Keras averages its first batch over the replicas; the network converts to bool again
        x = {name: tf.cast(value, tf.float32) if value.dtype == tf.bool else value for name, value in x.items()}
        return tf.nest.map_structure(lambda value: tf.gather(value, order), (x, y, w))

    return spread
