"""Pool a sequence of logits to the logits of its mean posterior."""

import keras
from keras import ops

from keras_ser.layers.masking import ExplicitMask, expand, lengths, zero_padding


@keras.saving.register_keras_serializable(package="keras_ser")
class LogMeanPosterior(ExplicitMask):
    """Logarithm of the mean of the real frames' posteriors, float32 inside.

        y = log(1/T sum_t softmax(x_t)),    so that softmax(y) is the mean posterior

    It is computed from logarithms throughout, so that its gradient does not vanish where every posterior underflows. An
    example without a real frame gives zeros.

    Input shape: logits (batch, frames, classes); `mask` (batch, frames).
    Output shape: (batch, classes).
    """

    def call(self, x, mask=None):
        log_p = ops.log_softmax(zero_padding(ops.cast(x, "float32"), mask), axis=-1)
        if mask is not None:
            log_p = ops.where(expand(mask, x), log_p, -1e9)
        y = ops.logsumexp(log_p, axis=1) - ops.log(lengths(x, mask))  # (batch, classes)
        if mask is not None:
            y = ops.where(ops.any(mask, axis=1, keepdims=True), y, 0.0)
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *input_shape[2:])
