"""VGGVox for emotion and speaker identity: a convolutional network on a spectrogram, shared by all tasks (hard sharing).

| layer | support | filters | stride | out (bins x frames) |
| --- | --- | --- | --- | --- |
| conv1 | 7x7 | 96 | 2x2 | 254x198 |
| mpool1 | 3x3 | | 2x2 | 126x99 |
| conv2 | 5x5 | 256 | 2x2 | 62x49 |
| mpool2 | 3x3 | | 2x2 | 30x24 |
| conv3, conv4, conv5 | 3x3 | 256 | 1x1 | 30x24 |
| mpool5 | 5x3 | | 3x2 | 9x11 |
| fc6 | 9x1 | 4096 | 1x1 | 1x11 |
| apool6 | 1x11 | | | 1x1 |
| fc7 | 1x1 | 1024 | | 1x1 |
| one dense softmax per task | | | | |

Batch normalisation and ReLU follow conv1 to fc7. conv1 to conv5 are padded by 1 on every side. The pools are not padded, except for
one column on the right of mpool1, which the table's widths 99, 49, 24 require. The loss is the sum of the tasks'
cross-entropies (eq. 2), each times the task's weight (the paper: 1).

Reference:
    Nagrani, Chung and Zisserman, *VoxCeleb: a large-scale speaker identification dataset*, Interspeech 2017 (the network).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_ser.checks import check_least, check_share
from keras_ser.errors import UserError
from keras_ser.models.paper import Inputs, Network, given
from keras_ser.settings import mask_of
from keras_ser.tasks import Task
from keras_ser.values import settle


@dataclass(frozen=True)
class Config:
    """Settings of VGGVox; the defaults are the paper's.

    Args:
        filters: number of channels of conv1 to conv5.
        fc6, fc7: widths of the two dense layers; fc6 covers all bins of a frame, fc7 takes the mean over the frames.
        momentum: momentum of the moving averages of batch normalisation, in [0, 1).
        dropout: rate before the outputs, in [0, 1) (paper: none).
    """

    filters: tuple[int, ...] = (96, 256, 256, 256, 256)
    fc6: int = 4096
    fc7: int = 1024
    momentum: float = 0.9
    dropout: float = 0.0

    def __post_init__(self):
        settle(self)
        if len(self.filters) != 5:
            raise UserError(f"`filters` must be five numbers of channels. Received: filters={self.filters}.")
        check_least(self, 1, "filters", "fc6", "fc7")
        check_share(self, "momentum", "dropout")


def build(config: Config, inputs: Inputs, tasks: Sequence[Task], **_: Any) -> Network:
    """Build the network from a spectrogram to logits; its loss is the sum of the tasks' cross-entropies (eq. 2).

    Args:
        config: the settings.
        inputs: {feature: (frames, bins)}, one feature; the paper's: (400, 512).
        tasks: one output each, (batch, classes) logits. The embedding is fc7, (batch, 1024), before its ReLU, which could set it
            to 0.

    Returns:
        Network.

    Raises:
        UserError: clips differ in length, there are several features, or the spectrogram is too small for the pools.
    """
    import keras

    from keras_ser.features import FeatureNormalization
    from keras_ser.models.heads import head, task_outputs

    _check(inputs)
    ((name, (frames, bins)),) = inputs.items()

    def conv(x, filters, size, stride, padding, name):
        if padding:
            x = keras.layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
        x = keras.layers.Conv2D(filters, size, stride, use_bias=False, name=name)(x)
        x = keras.layers.BatchNormalization(momentum=config.momentum, epsilon=1e-5, name=f"{name}_norm")(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def pool(x, size, stride, name):
        return keras.layers.MaxPooling2D(size, stride, name=name)(x)

    inside = given(inputs)
    normalization = FeatureNormalization(name="normalization")
    x = normalization(inside[name], inside[mask_of(name)])
    x = keras.layers.Permute((2, 1), name="bins_first")(x)
    x = keras.layers.Reshape((bins, frames, 1), name="image")(x)
    x = conv(x, config.filters[0], 7, 2, 1, "conv1")
    # after ReLU, a column of zeros does not change a maximum
    x = keras.layers.ZeroPadding2D(((0, 0), (0, 1)), name="mpool1_pad")(x)
    x = pool(x, 3, 2, "mpool1")
    x = conv(x, config.filters[1], 5, 2, 1, "conv2")
    x = pool(x, 3, 2, "mpool2")
    for i in (2, 3, 4):
        x = conv(x, config.filters[i], 3, 1, 1, f"conv{i + 1}")
    x = pool(x, (5, 3), (3, 2), "mpool5")
    x = conv(x, config.fc6, (x.shape[1], 1), 1, 0, "fc6")
    x = keras.layers.GlobalAveragePooling2D(name="apool6")(x)
    x = keras.layers.Dense(config.fc7, use_bias=False, name="fc7")(x)
    embedding = keras.layers.BatchNormalization(momentum=config.momentum, epsilon=1e-5, name="fc7_norm")(x)
    x = keras.layers.ReLU(name="fc7_relu")(embedding)
    model = keras.Model(inside, {task.name: head(x, task, 0, config.dropout) for task in tasks}, name="vggvox")
    return Network(model, task_outputs(tasks), embedding, {(name,): normalization})


def _check(inputs: Inputs) -> None:
    """Refuse inputs that the network cannot be built for; see `build`."""
    if len(inputs) != 1:
        raise UserError(f"this network takes one feature, a spectrogram. Received: {', '.join(inputs)}.")
    ((frames, bins),) = inputs.values()
    if frames is None:
        raise UserError(
            "this network takes clips of one length: set frontend.seconds (the paper: 4), frontend.endpoint=false, "
            "sampling.kind=whole and no augment.tempo."
        )
    if after_pools(bins, 0) < 1 or after_pools(frames, 1) < 1:
        raise UserError(f"a spectrogram of {bins} bins and {frames} frames is too small for five poolings.")


def after_pools(size: int, extra: int) -> int:
    """Return the output size of mpool5 for `size` bins (extra 0: support 5, stride 3) or frames (extra 1: 3, 2); < 1 = empty."""
    size = (size + 2 - 7) // 2 + 1
    size = (size + extra - 3) // 2 + 1
    size = (size + 2 - 5) // 2 + 1
    size = (size - 3) // 2 + 1
    return (size - 3) // 2 + 1 if extra else (size - 5) // 3 + 1
