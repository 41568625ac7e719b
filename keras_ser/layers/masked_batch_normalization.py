"""Batch normalisation whose statistics see real frames only."""

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.layers.masking import ExplicitMask, expand, zero_padding


@keras.saving.register_keras_serializable(package="keras_ser")
class MaskedBatchNormalization(ExplicitMask):
    """Batch normalisation over the real frames, float32 inside; padding is put out as 0.

        y = gamma (x - mu) / sqrt(sigma^2 + eps) + beta

    mu and sigma^2 are per channel: in training those of the batch, over real frames (and all bins), and moving
    averages of them otherwise. `keras.layers.BatchNormalization` takes a mask too, but one over every axis except the
    channels, and at more passes over the data.

    Args:
        momentum: share of the old moving average that a training step keeps; in [0, 1). Default 0.9, since a run on a
            small corpus has few steps.
        epsilon: eps. Default 1e-3.

    Input shape: (batch, frames, ..., channels), e.g. (batch, frames, bins, channels); `mask` (batch, frames).
    Output shape: that of the input.

    Raises:
        ValueError: a `momentum` out of [0, 1).

    Reference:
        Ioffe and Szegedy, *Batch Normalization*, ICML 2015.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= momentum < 1:
            raise UserError(f"`momentum` must be in [0, 1). Received: momentum={momentum}.")
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma", autocast=False)
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta", autocast=False)
        moving = {"shape": shape, "trainable": False, "autocast": False, "aggregation": "mean"}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **moving)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **moving)

    def call(self, x, mask=None, training=None):
        x = zero_padding(ops.cast(x, "float32"), mask)
        if training and self.trainable:
            mean, variance = self._moments(x, mask)
            keep = self.momentum
            self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
            self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        shift = self.beta - mean * scale  # (channels,)
        if mask is not None:
            # x is 0 in the padding already, so that masking this small tensor saves a pass over the large one.
            shift = ops.cast(expand(mask, x), "float32") * shift  # (batch, frames, 1.., channels)
        return ops.cast(x * scale + shift, self.compute_dtype)

    def _moments(self, x, mask):
        axes = tuple(range(len(x.shape) - 1))
        if mask is None:
            mean, square = ops.mean(x, axes), ops.mean(ops.square(x), axes)
        else:
            count = ops.sum(ops.cast(mask, "float32"))
            for size in x.shape[2:-1]:
                count = count * size
            count = ops.maximum(count, 1.0)
            mean, square = ops.sum(x, axes) / count, ops.sum(ops.square(x), axes) / count
        return mean, ops.maximum(square - ops.square(mean), 0.0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}
