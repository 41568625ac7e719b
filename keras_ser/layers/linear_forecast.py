"""NLinear and DLinear: linear maps over time, one for all units of a sequence."""

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.layers.masking import ExplicitMask, first_frames

KERNEL = 25  # frames of DLinear's moving average


class _TimeMap(ExplicitMask):
    """A layer of `steps` frames, each a linear map of the first `frames` frames."""

    def __init__(self, frames: int, steps: int, **kwargs):
        super().__init__(**kwargs)
        if frames < 1 or steps < 1:
            raise UserError(f"`frames` and `steps` must be >= 1. Received: frames={frames}, steps={steps}.")
        self.keep(locals())

    def add_map(self, name: str):
        """Kernel (frames, steps) and bias (steps,)."""
        kernel = self.add_weight((self.frames, self.steps), initializer="glorot_uniform", name=f"{name}_kernel")
        return kernel, self.add_weight((self.steps,), initializer="zeros", name=f"{name}_bias")

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.steps, input_shape[-1])


@keras.saving.register_keras_serializable(package="keras_ser")
class NLinear(_TimeMap):
    """Take off the last frame, map linearly over time, put the frame back.

        y = W^T (x - x_last) + b + x_last

    W (frames, steps) is the same for all units. The last frame is an example's last real one, and padding counts as that frame,
    that is as 0 in front of W: the map of a shorter example is W's first rows. Frames beyond `frames` are left out.

    Args:
        frames: of the input, an integer >= 1.
        steps: frames of the output, an integer >= 1; all of them are real.

    Input shape: (batch, frames, units); `mask` (batch, frames).
    Output shape: (batch, steps, units).

    Raises:
        UserError: an argument out of its range.

    Reference:
        Zeng et al., *Are Transformers Effective for Time Series Forecasting?*, AAAI 2023.
    """

    def build(self, input_shape):
        self.kernel, self.bias = self.add_map("linear")

    def call(self, x, mask=None):
        x, mask = first_frames(x, mask, self.frames)
        last = last_frame(x, mask)  # (batch, 1, units)
        rest = ops.where(ops.expand_dims(mask, axis=-1), x - last, ops.zeros((), dtype=x.dtype))
        return mapped(rest, self.kernel, self.bias) + last


@keras.saving.register_keras_serializable(package="keras_ser")
class DLinear(_TimeMap):
    """Split into a moving average and the rest, map each linearly over time, and add.

        m_t = 1/25 sum_{k=-12..12} x_t+k,    y = W_m^T m + b_m + W_r^T (x - m) + b_r

    Before the first and after the last real frame x repeats that frame (`series_decomp` of the authors' code). The maps (frames,
    steps) are the same for all units; padding is 0 in front of them. The average is float32. Frames beyond `frames` are left out.

    Args:
        frames: of the input, an integer >= 1.
        steps: frames of the output, an integer >= 1; all of them are real.

    Input shape: (batch, frames, units); `mask` (batch, frames).
    Output shape: (batch, steps, units).

    Raises:
        UserError: an argument out of its range.

    Reference:
        Zeng et al., *Are Transformers Effective for Time Series Forecasting?*, AAAI 2023.
    """

    def build(self, input_shape):
        self.trend_kernel, self.trend_bias = self.add_map("trend")
        self.rest_kernel, self.rest_bias = self.add_map("rest")

    def call(self, x, mask=None):
        x, mask = first_frames(x, mask, self.frames)
        real = ops.expand_dims(mask, axis=-1)
        x = ops.cast(x, "float32")
        last = last_frame(x, mask)
        around = KERNEL // 2
        padded = ops.concatenate([x[:, :1]] * around + [ops.where(real, x, last)] + [last] * around, axis=1)
        mean = ops.average_pool(padded, KERNEL, strides=1, padding="valid", data_format="channels_last")
        mean = ops.where(real, mean, 0.0)
        mean, rest = (ops.cast(each, self.compute_dtype) for each in (mean, x - mean))
        return mapped(mean, self.trend_kernel, self.trend_bias) + mapped(rest, self.rest_kernel, self.rest_bias)


def mapped(x, kernel, bias):
    """(batch, frames, units), (frames, steps), (steps,) -> (batch, steps, units)."""
    return ops.einsum("bfu,fs->bsu", x, kernel) + ops.expand_dims(bias, axis=-1)


def last_frame(x, mask):
    """The last real frame, (batch, 1, units); the first where none is real."""
    index = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)
    return ops.take_along_axis(x, index[:, None, None], axis=1)
