"""Outputs of the papers' networks (`tests.models.papers`), on the backend of KERAS_BACKEND: into an .npz file. No TensorFlow."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_ser.models.paper import build_network
from keras_ser.recipe import Recipe
from keras_ser.settings import mask_of
from tests.models.papers import NETWORKS
from tests.models.rows import randomized

FRAMES, SHORT = 16, 11
# one network of each kind: JAX compiles each of their operations (wav2vec 2.0 has a test of its own)
KINDS = ("aspmtl-lstm", "aspmtl-conv", "attention_dnn", "vggvox", "aae", "multilevel-all")


def recipes() -> dict[str, Recipe]:
    """Name -> recipe, of short segments, since recurrent layers are slow."""
    return {
        name: recipe.replace(sampling=replace(recipe.sampling, frames=FRAMES, hop=FRAMES))
        if recipe.sampling.kind == "segments"
        else recipe
        for name, recipe in NETWORKS.items()
        if name in KINDS
    }


def numbers(shapes: Mapping[str, Mapping[str, tuple]]) -> dict[str, np.ndarray]:
    """Return outputs and embedding of each network; `shapes`: name -> input -> (frames, bins)."""
    found = {}
    for name, recipe in recipes().items():
        network = build_network(recipe, {key: tuple(shape) for key, shape in shapes[name].items()})
        for weight in randomized(network.model).trainable_weights:
            if len(weight.shape) > 1:
                weight.assign(2 * weight / np.sqrt(np.prod(weight.shape[:-1])))
        rng, x = np.random.default_rng(7), {}
        for feature, (frames, bins) in shapes[name].items():
            x[feature] = rng.normal(size=(3, frames or FRAMES, bins)).astype("float32")
            mask = np.ones(x[feature].shape[:2], bool)
            mask[1, SHORT:] = frames == 1
            x[mask_of(feature)] = mask
        both = keras.Model(network.model.input, {**network.model.output, "embedding": network.embedding})
        x = {key: ops.convert_to_tensor(value) for key, value in x.items() if key in network.model.input}
        for key, value in both(x, training=False).items():
            found[f"{name}: {key}"] = ops.convert_to_numpy(value)
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **numbers(json.loads(Path(sys.argv[2]).read_text())))
