"""Pool a sequence by a learned weighting of its real frames."""

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.layers.masking import ExplicitMask, expand, zero_padding


@keras.saving.register_keras_serializable(package="keras_ser")
class AttentionPooling(ExplicitMask):
    """Mean of the real frames under learned weights (softmax over the frames, float32).

        e_t = v^T x_t                       units=None
        e_t = v^T tanh(W x_t + b)           units=n, W (n, width)
        a_t = exp(e_t) / sum_t' exp(e_t'),  t' over the real frames
        y   = sum_t a_t x_t

    An example without a real frame gives zeros.

    Args:
        units: width of the hidden layer that scores a frame; an integer >= 1, or None for a plain linear score
            (default).

    Input shape: (batch, frames, width); `mask` (batch, frames).
    Output shape: (batch, width).

    Raises:
        UserError: `units` under 1.

    Reference:
        Mirsamadi et al., *Automatic Speech Emotion Recognition Using Recurrent Neural Networks with Local Attention*,
        ICASSP 2017 (units=None); Bahdanau et al., ICLR 2015 (the hidden layer).
    """

    def __init__(self, units: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if units is not None and units < 1:
            raise UserError(f"`units` must be None or >= 1. Received: units={units}.")
        self.units = units

    def build(self, input_shape):
        width = input_shape[-1]
        if self.units:
            self.kernel = self.add_weight(shape=(width, self.units), initializer="glorot_uniform", name="kernel")
            self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.vector = self.add_weight(shape=(self.units or width, 1), initializer="glorot_uniform", name="vector")

    def call(self, x, mask=None):
        x = zero_padding(x, mask)
        hidden = ops.tanh(ops.matmul(x, self.kernel) + self.bias) if self.units else x
        scores = ops.cast(ops.matmul(hidden, self.vector), "float32")  # (batch, frames, 1)
        if mask is not None:
            scores = ops.where(expand(mask, x), scores, -1e9)
        weights = zero_padding(ops.exp(scores - ops.max(scores, axis=1, keepdims=True)), mask)
        # The largest real weight is 1, so that the bound acts only where no frame is real.
        weights = weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 0.5)
        pooled = ops.sum(weights * ops.cast(x, "float32"), axis=1)
        return ops.cast(pooled, self.compute_dtype)  # (batch, width)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "units": self.units}
