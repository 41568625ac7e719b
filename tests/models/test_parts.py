"""A step of a network with an optimizer for each part."""

import keras
import numpy as np
import pytest

from keras_ser.layers import CenterLoss
from keras_ser.losses import TrueClass
from keras_ser.models.parts import Parts

LABELS = np.array([0, 1, 1, 2])


RATES = {"first": 0.05, "features": 0.1}


def stepped(clip_norm: float):
    """The network after one step, its features before it, and the gradients that moved its dense layers."""
    x = keras.Input((3,), name="x")
    first = keras.layers.Dense(5, kernel_initializer=keras.initializers.RandomNormal(seed=1), name="first")
    last = keras.layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(seed=2), name="features")
    features = last(first(x))
    model = Parts({"x": x}, {"center": CenterLoss(3, rate=0.5, name="center")(features)})
    model.parts, model.clip_norm = {"first": first.trainable_variables}, clip_norm
    model.compile(keras.optimizers.SGD(RATES["features"]), {"center": TrueClass()}, run_eagerly=True)
    model.optimizers = {"first": keras.optimizers.SGD(RATES["first"])}
    given = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    seen = np.array(keras.Model(model.input, features)({"x": given}))
    before = {layer.name: layer.get_weights() for layer in (first, last)}
    model.train_on_batch({"x": given}, {"center": LABELS}, {"center": np.ones(4)})
    moves = [
        (old - new) / RATES[layer.name]
        for layer in (first, last)
        for old, new in zip(before[layer.name], layer.get_weights(), strict=True)
    ]
    return model, seen, np.concatenate([move.ravel() for move in moves])


@pytest.mark.parametrize("clip_norm", [0.0, 1e-4])
def test_clipping_leaves_the_centres_of_the_centre_loss(clip_norm):
    """They move by their own rate towards the features of their class: c - rate * sum(c - f) / (1 + n)."""
    model, features, gradient = stepped(clip_norm)
    assert (np.linalg.norm(gradient) == pytest.approx(clip_norm, rel=1e-2)) == (clip_norm > 0)
    of_class = [features[np.equal(LABELS, c)] for c in range(3)]
    expected = [0.5 * f.sum(axis=0) / (1 + len(f)) for f in of_class]
    np.testing.assert_allclose(model.get_layer("center").centers, expected, rtol=1e-5, atol=1e-8)
