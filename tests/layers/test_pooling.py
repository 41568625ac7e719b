"""Poolings against loops over frames, SciPy and NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, logsumexp, softmax

from keras_ser.layers import AttentionPooling, LogMeanPosterior, MeanPooling, StatisticsPooling


def test_mean_over_real_frames():
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(size=(4, 6, 3)).astype("float32"), [6, 2, 1, 0]
    found = MeanPooling()(x, mask=np.arange(6) < np.array(lengths)[:, None]).numpy()
    for i, length in enumerate(lengths[:3]):
        np.testing.assert_allclose(found[i], x[i, :length].astype("float64").mean(0), atol=1e-6)
    assert not found[3].any()
    np.testing.assert_allclose(MeanPooling()(x), x.mean(1), atol=1e-6)


def test_a_long_clip_does_not_overflow_float16():
    x = np.random.default_rng(1).uniform(50, 100, size=(1, 3000, 2)).astype("float16")
    found = MeanPooling(dtype="mixed_float16")(x)
    assert found.dtype == "float16"
    np.testing.assert_allclose(found, x.astype("float64").mean(1), rtol=2e-3)


def test_mean_and_deviation_of_real_frames():
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(3, 2, size=(4, 6, 3)).astype("float32"), [6, 2, 1, 0]
    mask = np.arange(6) < np.array(lengths)[:, None]
    found = StatisticsPooling()(np.where(mask[..., None], x, np.nan), mask=mask).numpy()
    for i, length in enumerate(lengths[:3]):
        real = x[i, :length].astype("float64")
        np.testing.assert_allclose(found[i, :3], real.mean(0), rtol=1e-5)
        np.testing.assert_allclose(found[i, 3:], np.sqrt(real.var(0) + 1e-5), rtol=1e-4)
    np.testing.assert_allclose(found[3], [0, 0, 0] + [np.sqrt(1e-5)] * 3, atol=1e-7)


def test_a_large_mean_does_not_drown_the_deviation():
    x = np.random.default_rng(1).normal(1000, 1, size=(1, 500, 2)).astype("float32")
    found = StatisticsPooling()(x).numpy()[0, 2:]
    np.testing.assert_allclose(found, x.astype("float64").std(1)[0], rtol=1e-3)


def oracle(x, layer):
    """One example (frames, width), frame by frame."""
    v = layer.vector.numpy().astype("float64")[:, 0]
    scores = []
    for frame in x.astype("float64"):
        scores.append(np.exp(frame @ v))
    return sum(score * frame for score, frame in zip(scores, x, strict=True)) / sum(scores)


def test_attention_against_a_loop_over_frames():
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(size=(4, 6, 5)).astype("float32"), [6, 2, 1, 0]
    layer = AttentionPooling()
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    found = layer(x, mask=np.arange(6) < np.array(lengths)[:, None]).numpy()
    for i, length in enumerate(lengths[:3]):
        np.testing.assert_allclose(found[i], oracle(x[i, :length], layer), atol=1e-5)
    assert not found[3].any(), "an example without a real frame"
    np.testing.assert_allclose(layer(x)[1], oracle(x[1], layer), atol=1e-5)


def test_large_attention_scores_stay_finite():
    x = np.random.default_rng(1).normal(size=(2, 6, 3)).astype("float32") * 300
    layer = AttentionPooling()
    layer.build(x.shape)
    layer.vector.assign([[5.0], [-7.0], [3.0]])
    winner = (x @ np.array([5.0, -7.0, 3.0])).argmax(1)
    for mask in (None, np.ones((2, 6), bool)):
        np.testing.assert_allclose(layer(x, mask=mask), x[[0, 1], winner], rtol=1e-5)


def test_softmax_of_it_is_the_mean_posterior_of_the_real_frames():
    rng = np.random.default_rng(0)
    x, lengths = 3 * rng.normal(size=(4, 6, 3)).astype("float32"), [6, 2, 1, 0]
    mask = np.arange(6) < np.array(lengths)[:, None]
    found = LogMeanPosterior()(np.where(mask[..., None], x, np.nan).astype("float32"), mask=mask).numpy()
    for i, length in enumerate(lengths[:3]):
        mean = softmax(x[i, :length].astype("float64"), axis=-1).mean(0)
        np.testing.assert_allclose(np.exp(found[i].astype("float64")), mean, atol=1e-6)
    assert not found[3].any()
    whole = softmax(x.astype("float64"), axis=-1).mean(1)
    np.testing.assert_allclose(softmax(LogMeanPosterior()(x).numpy(), axis=-1), whole, atol=1e-6)


def test_gradient_where_every_posterior_underflows():
    """d/dx of -y_0 is r_t (p_t - [0]), r_t being frame t's share of the class's posterior, with gaps of hundreds."""
    x = np.array([[[0.0, 300.0], [0.0, 301.0], [5.0, 5.0]]], "float32")
    mask = np.array([[True, True, False]])
    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = -LogMeanPosterior()(given, mask=mask)[0, 0]
    log_p = log_softmax(x[0, :2].astype("float64"), axis=-1)
    np.testing.assert_allclose(loss, -(logsumexp(log_p[:, 0]) - np.log(2)), rtol=1e-6)
    share = softmax(log_p[:, 0])[:, None]
    expected = np.concatenate([share * (np.exp(log_p) - [1, 0]), np.zeros((1, 2))])
    np.testing.assert_allclose(tape.gradient(loss, given)[0], expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 5, 4), (2, 0, 4)])
def test_attention_over_nothing(shape):
    """An empty batch, and examples without a frame."""
    found = AttentionPooling()(np.zeros(shape, "float32"))
    assert found.shape == (shape[0], 4) and not np.any(found)


def test_the_mean_of_no_frames_is_zero():
    assert not np.asarray(MeanPooling()(np.zeros((2, 0, 3), "float32"))).any()
