"""A step of a network with an optimizer for each part."""

import keras
import numpy as np
import pytest

from keras_ser.layers import CenterLoss
from keras_ser.losses import TrueClass
from keras_ser.models.parts import Parts

LABELS = np.array([0, 1, 1, 2])


def stepped(clip_norm: float):
    """The network after one step, and its features before it."""
    x = keras.Input((3,), name="x")
    first = keras.layers.Dense(5, kernel_initializer=keras.initializers.RandomNormal(seed=1))
    features = keras.layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(seed=2))(first(x))
    model = Parts({"x": x}, {"center": CenterLoss(3, rate=0.5, name="center")(features)})
    model.parts, model.clip_norm = {"first": first.trainable_variables}, clip_norm
    model.compile(keras.optimizers.SGD(0.1), {"center": TrueClass()}, run_eagerly=True)
    model.optimizers = {"first": keras.optimizers.SGD(0.05)}
    given = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    before = np.array(keras.Model(model.input, features)({"x": given}))
    model.train_on_batch({"x": given}, {"center": LABELS}, {"center": np.ones(4)})
    return model, before


@pytest.mark.parametrize("clip_norm", [0.0, 1e-4])
def test_clipping_leaves_the_centres_of_the_centre_loss(clip_norm):
    """They move by their own rate towards the features of their class: c - rate * sum(c - f) / (1 + n)."""
    model, features = stepped(clip_norm)
    of_class = [features[np.equal(LABELS, c)] for c in range(3)]
    expected = [0.5 * f.sum(axis=0) / (1 + len(f)) for f in of_class]
    np.testing.assert_allclose(model.get_layer("center").centers, expected, rtol=1e-5, atol=1e-8)
