"""Batch normalisation over real frames only."""

import keras
from keras import ops

from keras_ser.checks import check_share
from keras_ser.features.masking import zero_padding
from keras_ser.layers.masking import ExplicitMask


@keras.saving.register_keras_serializable(package="keras_ser")
class MaskedBatchNormalization(ExplicitMask):
    """Batch normalisation over the real frames, computed in float32; padding becomes 0.

        y = gamma (x - mu) / sqrt(sigma^2 + eps) + beta

    mu and sigma^2 are per channel: in training the statistics of the batch over real frames (and all bins), otherwise their
    moving averages. The variance is computed in two passes, as the mean square of x - mu, which avoids cancellation where
    mu is large compared with sigma. A batch without a real frame does not change the moving averages.

    `keras.layers.BatchNormalization` also takes a mask, but one over every axis except the channels. It does not zero
    the padding, and a batch without a real frame pulls its moving averages towards 0.

    Args:
        momentum: fraction of the old moving average that a training step keeps; in [0, 1). Default 0.9, since a run on a
            small corpus has few steps.
        epsilon: eps, added to the variance. Default 1e-3.

    Input shape: (batch, frames, ..., channels), e.g. (batch, frames, bins, channels); `mask` (batch, frames).
    Output shape: that of the input.

    Raises:
        UserError: `momentum` is outside [0, 1).

    Reference:
        Ioffe and Szegedy, *Batch Normalization*, ICML 2015.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.keep(locals())
        check_share(self, "momentum")

    def build(self, input_shape):
        each = {"shape": (input_shape[-1],), "dtype": "float32", "autocast": False}
        self.gamma = self.add_weight(initializer="ones", name="gamma", **each)
        self.beta = self.add_weight(initializer="zeros", name="beta", **each)
        moving = {**each, "trainable": False, "aggregation": "mean"}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **moving)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **moving)

    def call(self, x, mask=None, training=None):
        x = zero_padding(ops.cast(x, "float32"), mask)
        axes, train = tuple(range(len(x.shape) - 1)), training and self.trainable
        real = zero_padding(ops.ones_like(x[..., :1]), mask)  # (batch, frames, 1.., 1)
        count = ops.maximum(ops.sum(real), 1.0)
        mean = ops.sum(x, axes) / count if train else self.moving_mean
        # Not x scale + (beta - mean scale), the difference of two large numbers where the mean is large.
        apart = (x - mean) * real
        variance = ops.sum(ops.square(apart), axes) / count if train else self.moving_variance
        if train:
            keep = ops.where(ops.any(real > 0), self.momentum, 1.0)
            self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
            self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        y = apart * (self.gamma * ops.rsqrt(variance + self.epsilon)) + self.beta * real
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape
