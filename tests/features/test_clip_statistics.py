import keras
import numpy as np
import pytest

from keras_ser.features import ClipStatistics, clip_statistics


@pytest.mark.parametrize("deviation", [False, True])
def test_equal_numpy(rng, deviation):
    x = (rng.standard_normal((4, 13, 5)) * [1, 10, 0.1, 3, 2] + [0, 100, 5, -3, 1]).astype(np.float32)
    x[:, :, 4] = 1.7
    frames = np.array([13, 1, 6, 9])
    mask = np.arange(13) < frames[:, None]
    x[~mask] = np.nan
    found = np.asarray(ClipStatistics(deviation)(x, mask))
    assert found.shape == (4, 10)
    for row, clip, n in zip(found, x.astype(np.float64), frames, strict=True):
        spread = (np.std if deviation else np.var)(clip[:n], axis=0)
        np.testing.assert_allclose(row, np.concatenate([clip[:n].mean(axis=0), spread]), rtol=1e-4, atol=1e-5)
    whole = np.asarray(clip_statistics(x[:1], deviation=deviation))
    np.testing.assert_array_equal(whole, found[:1])


def test_of_no_frames_are_zero(rng):
    x = rng.standard_normal((2, 4, 3)).astype(np.float32)
    assert not np.asarray(clip_statistics(x, np.zeros((2, 4), bool))).any()


def test_of_a_masked_layer(rng):
    """A Keras mask is taken as the mask, and ends there."""
    x = rng.standard_normal((2, 6, 3)).astype(np.float32)
    x[0, 4:] = 0
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, ClipStatistics()(keras.layers.Masking()(inputs)))
    mask = np.array([[True] * 4 + [False] * 2, [True] * 6])
    np.testing.assert_allclose(model(x), clip_statistics(x, mask), atol=1e-6)
    assert getattr(model.output, "_keras_mask", None) is None


@pytest.mark.parametrize("deviation", [False, True])
def test_gradients_are_finite_where_a_bin_does_not_vary(rng, deviation):
    tf = pytest.importorskip("tensorflow")
    x = rng.standard_normal((2, 7, 3)).astype(np.float32)
    x[0, :, 1] = 0.5
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = clip_statistics(x, np.arange(7) < [[7], [1]], deviation) * np.arange(1, 7, dtype=np.float32)
    found = tape.gradient(y, x).numpy()
    assert np.isfinite(found).all() and found[0].all(axis=0)[[0, 2]].all()
    assert not found[1, 1:].any()
