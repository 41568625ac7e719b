"""Convolutional encoder of log-mel features."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_ser.checks import check_blocks, check_least, check_share
from keras_ser.errors import UserError
from keras_ser.features.masking import expand, zero_padding
from keras_ser.layers.masked_batch_normalization import MaskedBatchNormalization
from keras_ser.layers.masking import ExplicitMask


@keras.saving.register_keras_serializable(package="keras_ser")
class ConvEncoder(ExplicitMask):
    """Blocks of convolution, batch normalisation, ReLU, max pooling and dropout, over frames and bins.

    Padding is set to 0 before every convolution, statistics are taken over real frames only, and a pooled frame is real if its
    first frame is. T > 0 real frames therefore become ceil(T / stride / pool ..) real ones, and their values do not depend
    on the padding that follows.

    Args:
        filters: number of channels of each block. Default (24, 48, 64, 96).
        kernels: size of each block's square kernel, in frames and bins. Default (5, 3, 3, 3).
        pools: (frames, bins) of each block's pooling; an incomplete last window is pooled as well. Default (2, 2) each.
        dropout: rate of the spatial dropout after each block, which drops whole channels of an example; in [0, 1). Default 0.
        stride: stride of the first convolution over frames; 2 halves the total cost. Default 1.
        pool_first: pool before the normalisation instead of after it: a different network, about a fifth cheaper.
            Default False.
        keep_bins: keep bins and channels as two axes, as input to another ConvEncoder. Default False.
        seed: seed of the dropout; an integer or None (default).

    Input shape: (batch, frames, bins) or (batch, frames, bins, channels), with bins and channels known; `mask` (batch,
        frames), right-padded.
    Output: (sequence, mask): (batch, frames', bins' channels), or (batch, frames', bins', channels) with `keep_bins`, 0
        where the mask is False; bool (batch, frames'), all True if no mask was given.

    Raises:
        UserError: `filters`, `kernels` and `pools` differ in length, an argument is out of range, or bins or channels are unknown.
    """

    dropped = ("average_bins", "momentum", "epsilon")

    def __init__(
        self,
        filters: Sequence[int] = (24, 48, 64, 96),
        kernels: Sequence[int] = (5, 3, 3, 3),
        pools: Sequence[tuple[int, int]] = ((2, 2), (2, 2), (2, 2), (2, 2)),
        dropout: float = 0.0,
        stride: int = 1,
        pool_first: bool = False,
        keep_bins: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        pools = tuple(map(tuple, pools))
        self.keep({**locals(), "filters": tuple(filters), "kernels": tuple(kernels)})
        check_blocks(self)
        check_least(self, 1, "stride")
        check_share(self, "dropout")
        self.convolutions, self.normalizations, self.dropouts = [], [], []
        for i, (channels, kernel) in enumerate(zip(self.filters, self.kernels, strict=True)):
            stepped = i == 0 and self.stride > 1
            self.convolutions.append(
                keras.layers.Conv2D(
                    channels,
                    kernel,
                    strides=(self.stride, 1) if stepped else 1,
                    padding="valid" if stepped else "same",
                    use_bias=False,
                    data_format="channels_last",
                    kernel_initializer="he_normal",
                    dtype=self.dtype_policy,
                    name=f"convolution_{i + 1}",
                )
            )
            self.normalizations.append(MaskedBatchNormalization(dtype=self.dtype_policy, name=f"normalization_{i + 1}"))
            # Blocks with the same seed would drop the same channels.
            block_seed = None if self.seed is None else self.seed + i
            # SpatialDropout2D, with the class name that stored models contain.
            self.dropouts.append(
                keras.layers.Dropout(
                    dropout,
                    noise_shape=(None, 1, 1, None),
                    seed=block_seed,
                    dtype=self.dtype_policy,
                    name=f"dropout_{i + 1}",
                )
            )

    def build(self, input_shape):
        bins, channels = input_shape[2], input_shape[3] if len(input_shape) == 4 else 1
        if bins is None or channels is None:
            raise UserError(f"the numbers of bins and channels must be known. Received: input shape {input_shape}.")
        for i, convolution in enumerate(self.convolutions):
            # `call` pads the first convolution if it has a stride.
            padding = self.kernels[0] - 1 if i == 0 and self.stride > 1 else 0
            convolution.build((None, None, bins + padding, channels))
            channels = self.filters[i]
            self.normalizations[i].build((None, None, bins, channels))
            bins = -(-bins // self.pools[i][1])

    def call(self, x, mask=None, training=None):
        x = zero_padding(x, mask)
        if len(x.shape) == 3:
            x = ops.expand_dims(x, axis=-1)  # (batch, frames, bins, 1)
        real = ops.ones_like(x[:, :, 0, 0], dtype="bool") if mask is None else ops.cast(mask, "bool")
        for i, pool in enumerate(self.pools):
            x = self._convolution(i, x)  # (batch, frames, bins, channels)
            if i == 0:
                real = real[:, :: self.stride]
            if self.pool_first:
                if mask is not None:
                    x = ops.where(expand(real, x), x, ops.cast(-1e4, x.dtype))
                x, real = _max_pool(x, pool), real[:, :: pool[0]]
                x = self.normalizations[i](x, mask=None if mask is None else real, training=training)
            else:
                x = self.normalizations[i](x, mask=None if mask is None else real, training=training)
                x, real = _max_pool(x, pool), real[:, :: pool[0]]
            # ReLU commutes with max pooling and is cheaper afterwards. It also hides the zeros of the padding where they
            # exceeded negative values.
            x = self.dropouts[i](ops.relu(x), training=training)
        if not self.keep_bins:
            x = ops.reshape(x, (ops.shape(x)[0], ops.shape(x)[1], x.shape[2] * x.shape[3]))
        return x, real

    def _convolution(self, i, x):
        if i == 0 and self.stride > 1:
            # With a stride, "same" would shift the grid depending on the number of frames, padding included.
            left, right = (self.kernels[0] - 1) // 2, self.kernels[0] // 2
            x = ops.pad(x, ((0, 0), (left, right), (left, right), (0, 0)))
        return self.convolutions[i](x)

    def compute_output_spec(self, x, mask=None, training=None):
        batch, frames, bins = x.shape[:3]
        steps = [(self.stride, 1), *self.pools]
        for step_frames, step_bins in steps:
            frames = None if frames is None else -(-frames // step_frames)
            bins = -(-bins // step_bins)
        channels = self.filters[-1]
        shape = (bins, channels) if self.keep_bins else (bins * channels,)
        return (
            keras.KerasTensor((batch, frames, *shape), dtype=self.compute_dtype),
            keras.KerasTensor((batch, frames), dtype="bool"),
        )


def _max_pool(x, pool):
    """Maximum over windows that start at multiples of `pool`, including an incomplete last one."""
    if pool == (1, 1):
        return x
    if max(pool) > 2:
        # "same" centres windows of 3 and more depending on the length, so that padding would shift the grid.
        x = ops.pad(x, ((0, 0), (0, pool[0] - 1), (0, pool[1] - 1), (0, 0)), constant_values=-1e4)
        return ops.max_pool(x, pool, strides=pool, padding="valid", data_format="channels_last")
    return ops.max_pool(x, pool, strides=pool, padding="same", data_format="channels_last")
