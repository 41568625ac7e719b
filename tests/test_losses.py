import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from sklearn.metrics import log_loss, mean_squared_error

from keras_ser.losses import FrameSquaredError, SparseCrossentropy, SquaredError, TrueClass

LOSSES = [SparseCrossentropy(0.1), TrueClass(), SquaredError()]


def probabilities(rng, batch=9, classes=4):
    logits = rng.normal(scale=2, size=(batch, classes)).astype("float32")
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return logits, p.astype("float32"), rng.integers(0, classes, batch)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_crossentropy_against_scikit_learn(smoothing):
    """A smoothed label is a mixture of labels: (1 - e) of the true one and e / classes of each."""
    rng = np.random.default_rng(0)
    logits, p, y = probabilities(rng)
    weight = rng.uniform(0.1, 2, 9) * (rng.random(9) < 0.7)
    expected = (1 - smoothing) * log_loss(y, p, sample_weight=weight, labels=range(4))
    for c in range(4):
        same = np.full(9, c)
        expected += smoothing / 4 * log_loss(same, p, sample_weight=weight, labels=range(4))
    for labels, weights in ((y, weight), (y[:, None], weight[:, None]), (y.astype("float32"), weight)):
        found = SparseCrossentropy(smoothing)(labels, logits, sample_weight=weights)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gap", [0.0, 3.0, 70.0, 90.0, 200.0, 1e4, 1e6])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_crossentropy_has_its_gradient_at_any_gap_between_logits(gap, smoothing, dtype):
    """p - q; the loss is log(sum exp z) - q z, whose first term is the gap itself where it is large."""
    logits = tf.cast(tf.constant([[0.0, gap, -gap], [-gap, gap, gap]]), dtype)
    truth = np.array([0, 0])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = SparseCrossentropy(smoothing, reduction="sum")(truth, logits)
    z = np.asarray(tf.cast(logits, "float64"))
    q = (1 - smoothing) * np.eye(3)[truth] + smoothing / 3
    largest = z.max(1, keepdims=True)
    e = np.exp(z - largest)
    normaliser = largest[:, 0] + np.log(e.sum(1))
    np.testing.assert_allclose(loss, (normaliser - (q * z).sum(1)).sum(), rtol=1e-5)
    found = np.asarray(tf.cast(tape.gradient(loss, logits), "float64"))
    np.testing.assert_allclose(found, e / e.sum(1, keepdims=True) - q, atol=1e-6 if dtype == "float32" else 5e-3)


def test_true_class_is_indexing():
    rng = np.random.default_rng(1)
    values, y = rng.normal(size=(6, 5)).astype("float32"), rng.integers(0, 5, 6)
    weight = np.array([1.0, 0, 2, 1, 0, 3], "float32")
    expected = np.average(values[np.arange(6), y], weights=weight)
    np.testing.assert_allclose(TrueClass()(y, values, sample_weight=weight), expected, rtol=1e-5)


def test_squared_error_against_scikit_learn():
    rng = np.random.default_rng(2)
    x, y, weight = rng.normal(size=7), rng.normal(size=7), np.array([1.0, 0, 2, 1, 0, 3, 0.5])
    expected = mean_squared_error(x, y, sample_weight=weight)
    for predicted in (y, y[:, None]):
        np.testing.assert_allclose(SquaredError()(x, predicted, sample_weight=weight), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_missing_labels_neither_add_nor_count(loss):
    """Weight 0 equals leaving the example out; nothing but weight 0 is a loss of 0, not NaN."""
    rng = np.random.default_rng(4)
    wide = isinstance(loss, SparseCrossentropy | TrueClass)
    y = rng.integers(0, 3, 8).astype("float32") if wide else rng.normal(size=8).astype("float32")
    predicted = rng.normal(size=(8, 3 if wide else 1)).astype("float32")
    weight = np.array([1, 1, 0, 1, 0, 0, 1, 1], "float32")
    np.testing.assert_allclose(
        loss(y, predicted, sample_weight=weight), loss(y[weight > 0], predicted[weight > 0]), rtol=1e-5
    )
    assert float(loss(y, predicted, sample_weight=0 * weight)) == 0


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_losses_are_float32_and_survive_serialization(loss):
    rng = np.random.default_rng(5)
    wide = isinstance(loss, SparseCrossentropy | TrueClass)
    y = rng.integers(0, 3, 8) if wide else rng.normal(size=8).astype("float32")
    predicted = ops.cast(rng.normal(size=(8, 3 if wide else 1)), "bfloat16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert loss(y, predicted).dtype == "float32"
    np.testing.assert_array_equal(loss(y, predicted), again(y, predicted))
    np.testing.assert_allclose(loss(y, predicted), loss(y, ops.cast(predicted, "float32")), rtol=1e-6)


def test_smoothing_is_checked():
    with pytest.raises(ValueError, match=r"must be in \[0, 1\). Received: label_smoothing=1"):
        SparseCrossentropy(1)


def test_weights_of_bins_are_not_scaled(rng):
    """L_t = mean_k w_k (y_k - p_k)^2, whatever the mean of the weights."""
    y, w, p = rng.normal(size=(2, 3, 4)), rng.uniform(0, 5, (2, 3, 4)), rng.normal(size=(2, 3, 4))
    found = FrameSquaredError()(np.concatenate([y, w], -1).astype("float32"), p.astype("float32"))
    assert float(found) == pytest.approx((w * (y - p) ** 2).mean(), rel=1e-5)
