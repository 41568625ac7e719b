import keras
import numpy as np
import pytest

from keras_ser.layers import MaskedBatchNormalization


def random_layer(rng, channels, **kwargs):
    layer = MaskedBatchNormalization(**kwargs)
    layer.build((None, None, None, channels))
    layer.gamma.assign(rng.normal(size=channels))
    layer.beta.assign(rng.normal(size=channels))
    layer.moving_mean.assign(rng.normal(size=channels))
    layer.moving_variance.assign(rng.uniform(0.5, 2, size=channels))
    return layer


@pytest.mark.parametrize("offset", [0.0, 1e3, -1e4])
@pytest.mark.parametrize("tail", [(3,), (5, 3)])
def test_statistics_of_the_real_frames_however_far_from_0(tail, offset):
    """Against two passes in float64; E[x2] - E[x]2 in float32 is wrong by half at a mean of 1000."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(4, 7, *tail)) * [1, 2, 5] + [3, -1, 10] + offset).astype("float32")
    lengths = np.array([7, 4, 1, 2])
    mask = np.arange(7) < lengths[:, None]
    layer = random_layer(rng, 3, momentum=0.8)
    gamma, beta, mean, variance = (w.numpy() for w in layer.weights)
    real = np.concatenate([x[i, :length].reshape(-1, 3) for i, length in enumerate(lengths)]).astype("float64")
    dirty = np.where(mask.reshape(*mask.shape, *len(tail) * [1]), x, np.nan).astype("float32")
    found = layer(dirty, mask=mask, training=True).numpy()
    expected = (x - real.mean(0)) / np.sqrt(real.var(0) + 1e-3) * gamma + beta
    # a float32 sum holds the mean to a few 1e-7 of the offset
    np.testing.assert_allclose(found[mask], expected[mask], rtol=1e-4, atol=1e-4 + 3e-7 * abs(offset))
    assert not found[~mask].any()
    np.testing.assert_allclose(layer.moving_mean, 0.8 * mean + 0.2 * real.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.8 * variance + 0.2 * real.var(0), rtol=1e-4)


def test_a_batch_without_a_real_frame_leaves_the_moving_averages():
    rng = np.random.default_rng(4)
    layer = random_layer(rng, 3)
    before = layer.get_weights()
    x, mask = rng.normal(size=(2, 4, 5, 3)).astype("float32"), np.zeros((2, 4), bool)
    assert not layer(x, mask=mask, training=True).numpy().any()
    for weight, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_inference_uses_the_moving_averages_and_leaves_them():
    rng = np.random.default_rng(1)
    layer = random_layer(rng, 3)
    gamma, beta, mean, variance = before = [w.numpy() for w in layer.weights]
    x = rng.normal(size=(2, 4, 3)).astype("float32")
    expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    for weight, old in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_without_a_mask_it_is_keras_batch_normalization():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 4, 5, 2)).astype("float32")
    ours, theirs = random_layer(rng, 2), keras.layers.BatchNormalization(momentum=0.9)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
