import numpy as np
import tensorflow as tf

from keras_ser.features import pack


def test_equals_numpy(rng):
    x = rng.standard_normal((6, 23, 3)).astype(np.float32)
    other = rng.standard_normal((6, 23, 1)).astype(np.float32)
    keep = rng.random((6, 23)) < np.array([[0.0], [0.1], [0.4], [0.6], [0.9], [1.0]])
    packed, mask = pack({"x": x, "other": other}, keep)
    np.testing.assert_array_equal(mask, np.arange(23) < keep.sum(1, keepdims=True))
    for name, features in (("x", x), ("other", other)):
        for row in range(6):
            n = keep[row].sum()
            np.testing.assert_array_equal(packed[name][row, :n], features[row, keep[row]])
            assert not np.asarray(packed[name][row, n:]).any()


def test_what_is_dropped_may_be_anything(rng):
    x = rng.standard_normal((2, 9, 2)).astype(np.float32)
    keep = rng.random((2, 9)) < 0.5
    packed, mask = pack(np.where(keep[..., None], x, np.nan).astype(np.float32), keep)
    assert np.isfinite(packed).all()
    np.testing.assert_array_equal(np.asarray(packed)[np.asarray(mask)], x[keep])


def test_gradient_goes_to_what_is_kept(rng):
    x = tf.constant(rng.standard_normal((3, 11, 2)), tf.float32)
    keep = rng.random((3, 11)) < 0.5
    weights = rng.standard_normal((3, 11, 2)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(pack(x, keep)[0] * weights)
    gradient = tape.gradient(total, x).numpy()
    for row in range(3):
        np.testing.assert_array_equal(gradient[row, keep[row]], weights[row, : keep[row].sum()])
        assert not gradient[row, ~keep[row]].any()
