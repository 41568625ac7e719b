"""Frozen pretrained layers between front ends and network: their output for each clip is computed once, and kept on disk."""

import logging
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.audio.waveforms import content_hash
from keras_ser.errors import DiskError
from keras_ser.files import refusal
from keras_ser.models.paper import Frozen
from keras_ser.recipe import Recipe
from keras_ser.settings import mask_of
from keras_ser.training.inference import forward

LOG = logging.getLogger(__name__)
FOLDER = "embeddings"  # in the folder of the waveform cache
NOT_KEPT = "{}: the frames of pretrained layers are not kept, and are computed by each run."


def kept_on_disk(recipe: Recipe) -> bool:
    """Return whether each clip gives the same examples in every epoch and run: no noise, and no random stretch of it."""
    return not recipe.frontend.seconds and not any(stream.noises for stream in recipe.streams)


def remembered(
    front: Callable, parts: Mapping[str, Frozen], layers: Mapping[str, tuple[Any, Any]], folder: Path | None
) -> Callable:
    """Return a function of {"waveform", "length"}: the features of `front`, with those of frozen layers from disk.

    In a tf.data pipeline the frozen layers are computed by Keras's device, as in training, not by the pipeline's CPU.

    Args:
        front: features of the front ends alone, from `forward`.
        parts: input -> its frozen layers.
        layers: input -> (prepare, layer), made by them.
        folder: folder of the files; None = keep nothing.
    """
    import tensorflow as tf

    tables = {name: table(part, layers[name][1], folder) for name, part in parts.items()}

    def features(given):
        found = dict(front(given))
        for name, read in tables.items():
            x, mask, found[mask_of(name)] = layers[name][0](found[name], mask=found[mask_of(name)])
            lengths, frames = (tf.math.count_nonzero(m, axis=1, dtype=tf.int32) for m in (mask, found[mask_of(name)]))
            # TensorFlow never forgets a function that it calls: it must not keep the layer
            output = tf.numpy_function(_weakly(read), [x, lengths, frames], tf.float32)
            found[name] = tf.ensure_shape(output, (None, *parts[name].shape))
        return found

    return features


def _weakly(function: Callable) -> Callable:
    """Return a function that calls another one without keeping it alive."""
    kept = weakref.ref(function)
    return lambda *given: kept()(*given)


def table(part: Frozen, layer: Any, folder: Path | None) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Return a function that gives a frozen layer's output: read from disk, else computed, one example at a time, and stored.

    Its arguments are x (batch, steps), and the number of valid steps and of valid frames of each row, (batch,). It returns float32
    (batch, frames, units), 0 in padding.
    """
    import keras

    cache = part.cache(layer, folder) if folder else None
    if cache and (why := refusal(cache.folder)):
        LOG.warning("%s", NOT_KEPT.format(f"{cache.folder} can't be written ({why})"))
        cache = None
    x, mask = keras.Input((None,), name="x"), keras.Input((None,), dtype="bool", name="mask")
    compute = forward(keras.Model({"x": x, "mask": mask}, layer(x, mask=mask)))

    def kept(values: np.ndarray, length: int, frames: int) -> np.ndarray:
        nonlocal cache
        name = content_hash(values[:length]) if cache else ""
        found = cache.get(name) if cache else None
        if found is None:
            mask = np.arange(len(values)) < length
            found = np.asarray(compute({"x": values[None], "mask": mask[None]}))[0, :frames]
            try:
                found = cache.put(name, found) if cache else found
            except DiskError as error:  # from here TensorFlow would make a page of it, and nothing is lost
                LOG.warning("%s", NOT_KEPT.format(error))
                cache = None
        return found

    def read(x: np.ndarray, lengths: np.ndarray, frames: np.ndarray) -> np.ndarray:
        found = np.zeros((len(x), *part.shape), "float32")
        for row, values, length, valid in zip(found, x, lengths, frames, strict=True):
            if valid:
                row[:valid] = kept(values, length, valid)
        return found

    return read
