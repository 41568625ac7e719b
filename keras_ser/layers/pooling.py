"""Pooling of the real frames of a sequence to a vector."""

import keras
from keras import ops

from keras_ser.features.masking import expand, lengths, masked_moments, zero_padding
from keras_ser.layers.masking import ExplicitMask, masked_softmax

EPSILON = 1e-5  # keeps the gradient of a deviation finite where a unit is constant


@keras.saving.register_keras_serializable(package="keras_ser")
class MeanPooling(ExplicitMask):
    """Mean over the real frames, computed in float32; an example without a real frame gives zeros.

        y_i = 1/T_i sum_t x_i,t

    Input shape: (batch, frames, units); `mask` (batch, frames).
    Output shape: (batch, units).
    """

    def call(self, x, mask=None):
        x = zero_padding(ops.cast(x, "float32"), mask)
        return ops.cast(ops.sum(x, axis=1) / lengths(x, mask), self.compute_dtype)  # (batch, units)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *input_shape[2:])


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
        mean, variance, _ = masked_moments(ops.cast(x, "float32"), mask)
        pooled = ops.concatenate([mean, ops.sqrt(variance + EPSILON)], axis=-1)  # (batch, 1, 2 units)
        return ops.cast(ops.squeeze(pooled, axis=1), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * input_shape[-1])


@keras.saving.register_keras_serializable(package="keras_ser")
class AttentionPooling(ExplicitMask):
    """Mean of the real frames with learned weights (softmax over the frames, in float32).

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
        pooled = ops.sum(masked_softmax(scores, mask) * ops.cast(x, "float32"), axis=1)
        return ops.cast(pooled, self.compute_dtype)  # (batch, width)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable(package="keras_ser")
class LogMeanPosterior(ExplicitMask):
    """Logarithm of the mean of the real frames' posteriors, computed in float32.

        y = log(1/T sum_t softmax(x_t)),    so that softmax(y) is the mean posterior

    The computation stays in the log domain, so that the gradient does not vanish where every posterior underflows. An
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
