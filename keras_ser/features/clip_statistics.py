"""Mean and variance of a clip's frames."""

from typing import Any

import keras
from keras import ops

from keras_ser.features.framing import float32
from keras_ser.features.spectrogram import root


def clip_statistics(x: Any, mask: Any = None, deviation: bool = False) -> Any:
    """Mean and variance of each bin over a clip's valid frames, the means first.

    The variance is over all frames (no degree of freedom taken off): 0 for a clip of one frame.

    Args:
        x: (batch, frames, bins) float.
        mask: (batch, frames) bool; what stands where it is False does not matter. Default: all True.
        deviation: the standard deviation in place of the variance.

    Returns:
        (batch, 2 bins) float32; 0 for a clip without valid frames.
    """
    x = ops.cast(ops.convert_to_tensor(x), "float32")
    valid = ops.ones_like(x[..., :1], dtype="bool") if mask is None else ops.cast(mask, "bool")[..., None]
    count = ops.maximum(ops.sum(ops.cast(valid, "float32"), axis=1, keepdims=True), 1.0)  # (batch, 1, 1)
    mean = ops.sum(ops.where(valid, x, 0.0), axis=1, keepdims=True) / count  # (batch, 1, bins)
    spread = ops.sum(ops.square(ops.where(valid, x - mean, 0.0)), axis=1) / count[:, 0]  # (batch, bins)
    return ops.concatenate([mean[:, 0], root(spread) if deviation else spread], axis=-1)


@keras.saving.register_keras_serializable(package="keras_ser")
class ClipStatistics(keras.layers.Layer):
    """`clip_statistics`: mean and variance over a clip's valid frames; float32 whatever the dtype policy.

    Of `ShortTerm` they are the 68 numbers that MT-A-DNN reads.

    Args:
        deviation: the standard deviation in place of the variance (as pyAudioAnalysis has it). Default False.

    Input shape:
        x (batch, frames, bins) float, mask (batch, frames) bool (default: all True).

    Output shape:
        (batch, 2 bins) float32, the means first.
    """

    def __init__(self, deviation: bool = False, **kwargs):
        super().__init__(**float32(kwargs))
        self.deviation = deviation

    def call(self, x, mask=None):
        return clip_statistics(x, mask, self.deviation)

    def compute_mask(self, x, mask=None):
        return None

    def compute_output_shape(self, x_shape, mask_shape=None):
        return (x_shape[0], 2 * x_shape[-1])

    def get_config(self):
        return {**super().get_config(), "deviation": self.deviation}
