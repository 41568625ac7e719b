"""Pool a sequence by a learned weighting of its real frames."""

import keras
from keras import ops

from keras_ser.layers.masking import ExplicitMask, expand, zero_padding


@keras.saving.register_keras_serializable(package="keras_ser")
class AttentionPooling(ExplicitMask):
    """Mean of the real frames under learned weights (softmax over the frames, float32).

        e_t = v^T x_t
        a_t = exp(e_t) / sum_t' exp(e_t'),  t' over the real frames
        y   = sum_t a_t x_t

    An example without a real frame gives zeros.

    Input shape: (batch, frames, width); `mask` (batch, frames).
    Output shape: (batch, width).

    Reference:
        Mirsamadi et al., *Automatic Speech Emotion Recognition Using Recurrent Neural Networks with Local Attention*,
        ICASSP 2017.
    """

    dropped = ("units",)

    def build(self, input_shape):
        self.vector = self.add_weight(shape=(input_shape[-1], 1), initializer="glorot_uniform", name="vector")

    def call(self, x, mask=None):
        x = zero_padding(x, mask)
        scores = ops.cast(ops.matmul(x, self.vector), "float32")  # (batch, frames, 1)
        if mask is not None:
            scores = ops.where(expand(mask, x), scores, -1e9)
        weights = zero_padding(ops.exp(scores - ops.max(scores, axis=1, keepdims=True)), mask)
        # The largest real weight is 1, so that the bound acts only where no frame is real.
        weights = weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 0.5)
        pooled = ops.sum(weights * ops.cast(x, "float32"), axis=1)
        return ops.cast(pooled, self.compute_dtype)  # (batch, width)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])
