import numpy as np
import pytest
import tensorflow as tf

from keras_ser.layers import GradientReversal


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0, 2.5])
def test_sign_and_size_of_the_gradient(rate):
    """d/dx sum(w y^2) is 2 w x through the identity; through the reversal it is -rate times that."""
    rng = np.random.default_rng(0)
    x, w = tf.constant(rng.normal(size=(3, 5))), tf.constant(rng.normal(size=(3, 5)))
    layer = GradientReversal(rate, dtype="float64")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(w * y**2)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_allclose(tape.gradient(loss, x), -rate * 2 * w * x, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_rate_is_checked(rate):
    with pytest.raises(ValueError, match="`rate` must be at least 0 and finite. Received: rate="):
        GradientReversal(rate)
