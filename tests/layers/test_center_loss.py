"""The centres' update against NumPy, written out, inside plain Keras `fit`."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_ser.errors import UserError
from keras_ser.layers import CenterLoss
from keras_ser.losses import TrueClass

CLASSES, UNITS = 4, 3


def updated(centers, features, labels, weight, rate=0.5):
    """Wen et al., eq. 3 and 4, example by example."""
    found = centers.astype("float64")
    for c in range(len(centers)):
        own = [f for f, y, w in zip(features.astype("float64"), labels, weight, strict=True) if y == c and w > 0]
        delta = sum((centers[c] - f for f in own), np.zeros(centers.shape[1])) / (1 + len(own))
        found[c] -= rate * delta
    return found


def compiled(optimizer, loss_weight=1.0, rate=0.5, **options):
    inputs = keras.Input((UNITS,))
    layer = CenterLoss(CLASSES, rate, name="centre", **options)
    model = keras.Model(inputs, layer(inputs))
    model.compile(optimizer, TrueClass(), loss_weights=[loss_weight], jit_compile=False)
    return model, layer


def values(layer):
    return keras.ops.convert_to_numpy(layer.centers)


@pytest.fixture
def batch(rng):
    features, labels = rng.normal(size=(6, UNITS)).astype("float32"), np.array([0, 2, 1, 1, 2, 0])
    return features, labels, np.array([1.0, 1, 0, 0.3, 0, 2.5], "float32"), rng.normal(size=(CLASSES, UNITS))


def one_step(model, features, labels, weight):
    return model.fit(features, labels, sample_weight=weight, batch_size=len(labels), epochs=1, verbose=0).history


@pytest.mark.parametrize("loss_weight", [1.0, 0.01])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.9, momentum=0.9),
        lambda: keras.optimizers.AdamW(0.1, weight_decay=0.3, global_clipnorm=1e-3),
    ],
    ids=["sgd", "adamw"],
)
def test_centres_move_by_the_papers_rule_whatever_optimizer_and_loss_weight(batch, optimizer, loss_weight):
    features, labels, weight, centers = batch
    model, layer = compiled(optimizer(), loss_weight, rate=0.4)
    layer.centers.assign(centers)
    for _ in range(2):
        centers = updated(centers, features, labels, weight, 0.4)
        one_step(model, features, labels, weight)
        np.testing.assert_allclose(values(layer), centers, atol=1e-6)


def test_centres_converge_to_the_means_of_their_classes(rng):
    means = rng.normal(size=(CLASSES, UNITS)) * 3
    labels = rng.permutation(np.repeat(np.arange(CLASSES - 1), (20, 50, 90)))  # of the last class there is no example
    features = (means[labels] + rng.normal(size=(len(labels), UNITS))).astype("float32")
    model, layer = compiled(keras.optimizers.SGD(0.0))
    layer.centers.assign(means[::-1])
    model.fit(features, labels, batch_size=len(labels), epochs=50, verbose=0)
    expected = [features[labels == c].mean(axis=0) for c in range(CLASSES - 1)]
    np.testing.assert_allclose(values(layer), [*expected, means[0]], atol=1e-4)


def test_loss_is_half_the_squared_distance_over_labelled_examples(batch):
    features, labels, weight, centers = batch
    model, layer = compiled("sgd")
    layer.centers.assign(centers)
    each = 0.5 * ((features - centers[labels]) ** 2).sum(-1)
    np.testing.assert_allclose(
        one_step(model, features, labels, weight)["loss"], (weight * each).sum() / weight.sum(), rtol=1e-5
    )


def test_absent_classes_and_examples_without_weight_leave_their_centres(batch):
    features, labels, weight, centers = batch
    model, layer = compiled(keras.optimizers.Adam(0.1, weight_decay=0.1))
    layer.centers.assign(centers)
    one_step(model, features, labels, np.where(labels == 1, 0.0, weight))
    np.testing.assert_array_equal(values(layer)[[1, 3]], centers.astype("float32")[[1, 3]])
    assert (values(layer)[[0, 2]] != centers.astype("float32")[[0, 2]]).any(axis=1).all()
    before = values(layer)
    one_step(model, features, labels, np.zeros(6, "float32"))
    np.testing.assert_array_equal(values(layer), before)


def test_features_descend_the_loss(rng):
    """Their gradient is (f - c_y) / n, through the layer before."""
    x, labels = rng.normal(size=(5, UNITS)).astype("float32"), np.array([0, 3, 1, 1, 3])
    centers, kernel = rng.normal(size=(CLASSES, UNITS)), rng.normal(size=(UNITS, UNITS))
    inputs = keras.Input((UNITS,))
    dense, layer = keras.layers.Dense(UNITS, use_bias=False), CenterLoss(CLASSES)
    model = keras.Model(inputs, layer(dense(inputs)))
    dense.kernel.assign(kernel)
    layer.centers.assign(centers)
    model.compile(keras.optimizers.SGD(0.3), TrueClass(), jit_compile=False)
    one_step(model, x, labels, np.ones(5, "float32"))
    expected = kernel - 0.3 * x.T @ (x @ kernel - centers[labels]) / 5
    np.testing.assert_allclose(keras.ops.convert_to_numpy(dense.kernel), expected, atol=1e-5)


def test_inference_and_evaluation_leave_the_centres(batch):
    features, labels, weight, centers = batch
    model, layer = compiled("sgd")
    layer.centers.assign(centers)
    before = values(layer)
    model.predict(features, verbose=0)
    model.evaluate(features, labels, sample_weight=weight, verbose=0)
    model(features, training=True)
    np.testing.assert_array_equal(values(layer), before)


def test_a_saved_model_goes_on_as_the_one_that_was_not(batch, tmp_path):
    features, labels, weight, centers = batch
    model, layer = compiled("adam")
    layer.centers.assign(centers)
    one_step(model, features, labels, weight)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, again):
        one_step(each, features, labels, weight)
    np.testing.assert_array_equal(values(again.get_layer("centre")), values(layer))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_centres_are_float32_under_mixed_precision(batch, policy):
    """And move by the same rule, whatever the loss is scaled by."""
    features, labels, weight, centers = batch
    model, layer = compiled(keras.optimizers.Adam(0.1), dtype=policy)
    if policy == "mixed_float16":
        model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1)), TrueClass(), jit_compile=False)
    layer.centers.assign(centers)
    one_step(model, features, labels, weight)
    assert layer.centers.dtype == "float32" and model.output.dtype == "float32"
    rounded = keras.ops.convert_to_numpy(
        keras.ops.cast(keras.ops.cast(features, layer.compute_dtype), "float32")
    )  # what the layer is given
    np.testing.assert_allclose(values(layer), updated(centers, rounded, labels, weight), atol=1e-6)


def test_distances_are_float32_under_mixed_precision():
    features = (np.random.default_rng(3).normal(size=(2, 4)) * 300).astype("float16")
    found = CenterLoss(2, dtype="mixed_float16")(features)
    assert found.dtype == "float32"
    assert np.isfinite(found.numpy()).all() and found.numpy().max() > np.finfo("float16").max


@pytest.mark.parametrize(("arguments", "name"), [((0,), "classes"), ((3, 0.0), "rate"), ((3, 1.5), "rate")])
def test_bad_arguments(arguments, name):
    with pytest.raises(UserError, match=f"`{name}` must be"):
        CenterLoss(*arguments)


@pytest.mark.parametrize("shape", [(4,), (2, 5, 4)])
def test_other_inputs_are_refused(shape):
    with pytest.raises(UserError, match="expected features .batch, units."):
        CenterLoss(3).build(shape)


MIRRORED = """
import sys
import keras
import numpy as np
import tensorflow as tf
from keras_ser.layers import CenterLoss
from keras_ser.losses import TrueClass

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    inputs = keras.Input((3,))
    layer = CenterLoss(2)
    model = keras.Model(inputs, layer(inputs))
    model.compile("adam", TrueClass(), jit_compile=False)
given = np.load(sys.argv[1])
model.fit(given["x"], given["y"], batch_size=8, epochs=2, verbose=0, shuffle=False)
np.savez(sys.argv[2], *(np.array(part) for part in layer.centers.value.values))
"""


@pytest.mark.slow
def test_centres_of_two_replicas_are_one(rng, tmp_path):
    """The mean of what each makes of its own half of the batch."""
    x, y = rng.normal(size=(8, 3)).astype("float32"), np.array([0, 1, 1, 1, 0, 0, 1, 0])
    np.savez(tmp_path / "given.npz", x=x, y=y)
    command = [sys.executable, "-c", MIRRORED, str(tmp_path / "given.npz"), str(tmp_path / "found.npz")]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    centers, everyone = np.zeros((2, 3)), np.ones(4)
    for _ in range(2):
        halves = [updated(centers, x[half], y[half], everyone) for half in (slice(4), slice(4, 8))]
        centers = np.mean(halves, axis=0)
    with np.load(tmp_path / "found.npz") as found:
        assert len(found.files) == 2
        for name in found.files:
            np.testing.assert_allclose(found[name], centers, atol=1e-6)
