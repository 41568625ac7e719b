"""NLinear and DLinear: linear maps over time, shared by all units of a sequence."""

import keras
from keras import ops

from keras_ser.checks import check_least
from keras_ser.layers.masking import ExplicitMask, first_frames

KERNEL = 25  # frames of DLinear's moving average


class _TimeMap(ExplicitMask):
    """Base layer that maps the first `frames` frames linearly to `steps` frames."""

    def __init__(self, frames: int, steps: int, **kwargs):
        super().__init__(**kwargs)
        self.keep(locals())
        check_least(self, 1, "frames", "steps")

    def add_map(self, name: str):
        """Add a kernel (frames, steps) and a bias (steps,)."""
        kernel = self.add_weight((self.frames, self.steps), initializer="glorot_uniform", name=f"{name}_kernel")
        return kernel, self.add_weight((self.steps,), initializer="zeros", name=f"{name}_bias")

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.steps, input_shape[-1])


@keras.saving.register_keras_serializable(package="keras_ser")
class NLinear(_TimeMap):
    """Linear map over time of a sequence relative to its last frame.

        y = W^T (x - x_last) + b + x_last

    W (frames, steps) is shared by all units. x_last is the last real frame of an example. Padding is treated as a repetition of
    that frame, so it enters W as 0: a shorter example uses only the first rows of W. Frames beyond `frames` are ignored.

    Args:
        frames: number of input frames; an integer >= 1.
        steps: number of output frames, all of them real; an integer >= 1.

    Input shape: (batch, frames, units); `mask` (batch, frames).
    Output shape: (batch, steps, units).

    Raises:
        UserError: an argument is out of range.

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
    """Sum of two linear maps over time, one of the moving average of a sequence and one of the remainder.

        m_t = 1/25 sum_{k=-12..12} x_t+k,    y = W_m^T m + b_m + W_r^T (x - m) + b_r

    Outside the real frames, x repeats the first or the last of them (`series_decomp` of the authors' code). The maps W_m and W_r
    (frames, steps) are shared by all units; padding enters them as 0. The average is float32. Frames beyond `frames` are ignored.

    Args:
        frames: number of input frames; an integer >= 1.
        steps: number of output frames, all of them real; an integer >= 1.

    Input shape: (batch, frames, units); `mask` (batch, frames).
    Output shape: (batch, steps, units).

    Raises:
        UserError: an argument is out of range.

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
    """Return the last real frame of each example, (batch, 1, units), or the first where none is real."""
    index = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)
    return ops.take_along_axis(x, index[:, None, None], axis=1)
