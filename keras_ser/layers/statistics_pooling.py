"""Pool a sequence by the mean and standard deviation of its real frames."""

import keras
from keras import ops

from keras_ser.layers.masking import ExplicitMask, lengths, zero_padding

EPSILON = 1e-5  # keeps the gradient finite where a unit is constant


@keras.saving.register_keras_serializable(package="keras_ser")
class StatisticsPooling(ExplicitMask):
    """Mean and standard deviation over the real frames, side by side, computed in float32.

        mu    = 1/T sum_t x_t
        sigma = sqrt(1/T sum_t (x_t - mu)^2 + epsilon)
        y     = [mu, sigma]

    An example without a real frame gives zeros and sqrt(epsilon).

    Input shape: (batch, frames, units); `mask` (batch, frames).
    Output shape: (batch, 2 units).

    Reference:
        Snyder et al., *X-vectors: Robust DNN Embeddings for Speaker Recognition*, ICASSP 2018.
    """

    dropped = ("epsilon",)

    def call(self, x, mask=None):
        x = zero_padding(ops.cast(x, "float32"), mask)
        count = lengths(x, mask)  # (batch, 1)
        mean = ops.sum(x, axis=1) / count  # (batch, units)
        # two passes: the difference of two large numbers would lose the small one
        apart = zero_padding(x - ops.expand_dims(mean, axis=1), mask)
        deviation = ops.sqrt(ops.sum(ops.square(apart), axis=1) / count + EPSILON)
        return ops.cast(ops.concatenate([mean, deviation], axis=-1), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * input_shape[-1])
