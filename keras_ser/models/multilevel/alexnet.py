"""AlexNet's features, in torchvision's form, with weights from a safetensors file.

| layer | kernel | stride | padding | channels |
| --- | --- | --- | --- | --- |
| conv 0 | 11 | 4 | 2 | 64 |
| pool | 3 | 2 | | |
| conv 3 | 5 | 1 | 2 | 192 |
| pool | 3 | 2 | | |
| conv 6, 8, 10 | 3 | 1 | 1 | 384, 256, 256 |
| pool | 3 | 2 | | |
| adaptive average pooling | to 6 x 6 | | | |

ReLU follows each convolution. The layers are numbered as in torchvision's `features`.

Reference:
    Krizhevsky, *One weird trick for parallelizing convolutional neural networks*, 2014.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ser.features.configured import Configured, FeatureLayer
from keras_ser.features.masking import zero_padding
from keras_ser.layers.masking import ExplicitMask
from keras_ser.models.multilevel.weights import KERNELS, alexnet_weights

GRID = 6
POOLED = (0, 3, 10)  # torchvision's numbers of the convolutions before a pool


def features(image, filters: Sequence[int], file: str = "") -> tuple[Any, Callable | None]:
    """Map (batch, height, width, 3) to (batch, 6, 6, channels); also return a function that loads weights from `file`, or None."""
    x, convolutions = image, {}
    for (number, kernel), channels in zip(KERNELS.items(), filters, strict=True):
        stride = 1 if number else 4
        if stride > 1:  # Keras's "same" would shift the grid
            x = keras.layers.ZeroPadding2D(2, name=f"alexnet_{number}_pad")(x)
        padding = "valid" if stride > 1 else "same"
        convolutions[number] = keras.layers.Conv2D(
            channels,
            kernel,
            stride,
            padding,
            activation="relu",
            kernel_initializer="he_uniform",
            name=f"alexnet_{number}",
        )
        x = convolutions[number](x)
        if number in POOLED:
            x = keras.layers.MaxPooling2D(3, 2, name=f"alexnet_{number}_pool")(x)
    x = AdaptiveMeanPooling(GRID, name="alexnet_grid")(x)

    def load() -> None:
        for number, weights in alexnet_weights(file, filters).items():
            convolutions[number].set_weights(weights)

    return x, load if file else None


@keras.saving.register_keras_serializable(package="keras_ser")
class SpectrogramImage(FeatureLayer, ExplicitMask):
    """Convert a spectrogram to an image of three equal channels with low frequencies at the bottom, resized bilinearly.

    Args:
        size: height and width of the image, in pixels.

    Input shape: (batch, frames, bins); `mask` (batch, frames).
    Output shape: (batch, height, width, 3).
    """

    def __init__(self, size: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.size = tuple(size)

    def call(self, x, mask=None):
        x = ops.flip(ops.transpose(zero_padding(x, mask), (0, 2, 1)), axis=1)  # (batch, bins, frames)
        x = ops.image.resize(ops.expand_dims(x, -1), self.size, "bilinear", data_format="channels_last")
        return ops.repeat(x, 3, axis=-1)


@keras.saving.register_keras_serializable(package="keras_ser")
class AdaptiveMeanPooling(Configured):
    """Mean over each cell of a grid on the image; cell i covers rows floor(i n / size) to ceil((i + 1) n / size) of n.

    It replaces `keras.layers.AdaptiveAveragePooling2D`, which the oldest supported Keras does not have.

    Args:
        size: number of rows and of columns of the grid.

    Input shape: (batch, height, width, channels), height and width known. Output shape: (batch, size, size, channels).
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.keep(locals())

    def call(self, x):
        rows, columns = (ops.convert_to_tensor(cells(n, self.size), dtype=x.dtype) for n in x.shape[1:3])
        return ops.einsum("bhwc,ih,jw->bijc", x, rows, columns)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.size, self.size, input_shape[-1])


def cells(length: int, size: int) -> np.ndarray:
    """Return the weight of each row in each cell, (size, length); see `AdaptiveMeanPooling`."""
    found = np.zeros((size, length), "float32")
    for i in range(size):
        first, end = i * length // size, -(-(i + 1) * length // size)
        found[i, first:end] = 1 / (end - first)
    return found
