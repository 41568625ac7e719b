"""Frozen pretrained layers between front ends and network: their output for each clip is computed once, and kept on disk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.audio.waveforms import content_hash
from keras_ser.models.paper import Frozen
from keras_ser.models.wav2vec2.embeddings import EmbeddingCache
from keras_ser.recipe import Recipe
from keras_ser.settings import mask_of
from keras_ser.training.inference import forward

FOLDER = "embeddings"  # in the folder of the waveform cache


def kept_on_disk(recipe: Recipe) -> bool:
    """Return whether each clip gives the same examples in every epoch and run: no noise, and no random stretch of it."""
    return not recipe.frontend.seconds and not any(stream.noises for stream in recipe.streams)


def remembered(
    front: Callable, parts: Mapping[str, Frozen], layers: Mapping[str, tuple[Any, Any]], folder: Path
) -> Callable:
    """Return a function of {"waveform", "length"}: the features of `front`, with those of frozen layers from disk.

    Args:
        front: features of the front ends alone, from `forward`.
        parts: input -> its frozen layers.
        layers: input -> (prepare, layer), made by them.
        folder: folder of the files, FOLDER/KEY-float32/HASH.npy by the key of the layers and the hash of their input.
    """
    import tensorflow as tf

    # a function: `numpy_function` calls methods without their object
    tables = {name: table(part, layers[name][1], folder) for name, part in parts.items()}

    def features(given):
        found = dict(front(given))
        for name, read in tables.items():
            x, mask, found[mask_of(name)] = layers[name][0](found[name], mask=found[mask_of(name)])
            lengths, frames = (tf.math.count_nonzero(m, axis=1, dtype=tf.int32) for m in (mask, found[mask_of(name)]))
            output = tf.numpy_function(read, [x, lengths, frames], tf.float32)
            found[name] = tf.ensure_shape(output, (None, *parts[name].shape))
        return found

    return features


def table(part: Frozen, layer: Any, folder: Path) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Return a function that gives a frozen layer's output: read from disk, else computed, one example at a time, and stored.

    Its arguments are x (batch, steps), and the number of valid steps and of valid frames of each row, (batch,). It returns float32
    (batch, frames, units), 0 in padding.
    """
    import keras

    cache = EmbeddingCache(folder, part.key(layer))
    x, mask = keras.Input((None,), name="x"), keras.Input((None,), dtype="bool", name="mask")
    compute = forward(keras.Model({"x": x, "mask": mask}, layer(x, mask=mask)))

    def kept(values: np.ndarray, length: int, frames: int) -> np.ndarray:
        name = content_hash(values[:length])
        found = cache.get(name)
        if found is None:
            mask = np.arange(len(values)) < length
            output = compute({"x": values[None], "mask": mask[None]})
            found = cache.put(name, np.asarray(output)[0, :frames])
        return found

    def read(x: np.ndarray, lengths: np.ndarray, frames: np.ndarray) -> np.ndarray:
        found = np.zeros((len(x), *part.shape), "float32")
        for row, values, length, valid in zip(found, x, lengths, frames, strict=True):
            if valid:
                row[:valid] = kept(values, length, valid)
        return found

    return read
