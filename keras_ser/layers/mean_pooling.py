"""Pool a sequence by the mean of its real frames."""

import keras
from keras import ops

from keras_ser.layers.masking import ExplicitMask, lengths, zero_padding


@keras.saving.register_keras_serializable(package="keras_ser")
class MeanPooling(ExplicitMask):
    """Mean over the real frames, summed in float32; an example without any gives zeros.

        y_i = 1/T_i sum_t x_i,t

    Input shape: (batch, frames, units); `mask` (batch, frames).
    Output shape: (batch, units).
    """

    def call(self, x, mask=None):
        x = zero_padding(ops.cast(x, "float32"), mask)
        return ops.cast(ops.sum(x, axis=1) / lengths(x, mask), self.compute_dtype)  # (batch, units)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *input_shape[2:])
