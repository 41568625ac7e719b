import keras
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


def test_one_step_moves_both_sides_of_the_game_apart():
    """The discriminator after the layer descends its loss, the encoder before it ascends the same loss."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(64, 4)), rng.normal(size=(64, 1))
    encoder, head = rng.normal(size=(4, 3)), rng.normal(size=(3, 1))

    def weights_after_a_step(*between):
        layers = [keras.layers.Dense(3, use_bias=False), *between, keras.layers.Dense(1, use_bias=False)]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.set_weights([encoder, head])
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        model.fit(x, y, batch_size=64, epochs=1, verbose=0)
        return model.get_weights()

    plain, reversed_ = weights_after_a_step(), weights_after_a_step(GradientReversal(0.5))
    np.testing.assert_allclose(plain[1], reversed_[1], atol=1e-6)
    np.testing.assert_allclose(reversed_[0] - encoder, -0.5 * (plain[0] - encoder), atol=1e-5)


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_rate_is_checked(rate):
    with pytest.raises(ValueError, match="`rate` must be a finite number >= 0. Received: rate="):
        GradientReversal(rate)
