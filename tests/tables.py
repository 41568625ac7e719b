"""One row per public layer (or way to use it): what `checks` loops over. A public layer without a row is a red test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_ser import layers


def _sequence(*tail: int) -> Callable:
    return lambda rng, batch, frames: rng.normal(size=(batch, frames, *tail)).astype("float32")


def _vectors(width: int) -> Callable:
    return lambda rng, batch, frames: rng.normal(size=(batch, width)).astype("float32")


def _several(*makers: Callable) -> Callable:
    return lambda rng, batch, frames: [make(rng, batch, frames) for make in makers]


@dataclass(frozen=True)
class LayerRow:
    """How to make and feed one layer.

    Args:
        name: id of the row in the tests.
        layer: the class.
        inputs: (rng, batch, frames) -> the first argument of its call: an array or a list of arrays.
        args: arguments of its constructor.
        masked: whether its call takes `mask` (batch, frames).
        frames: whether its input has an axis of frames (axis 1); a vector (batch, width) beside it has none.
        identity: whether it puts out its inputs, and with them what stands in their padding.
    """

    name: str
    layer: type
    inputs: Callable[[np.random.Generator, int, int], Any]
    args: Mapping[str, Any] = field(default_factory=dict)
    masked: bool = False
    frames: bool = True
    identity: bool = False

    def make(self, **kwargs):
        return self.layer(**{**self.args, **kwargs})

    @property
    def random(self) -> bool:
        """Whether the layer draws anything in training."""
        return bool(self.args.get("dropout"))


SMALL_CONV = {"filters": (3, 4), "kernels": (5, 3), "pools": ((2, 2), (3, 2))}

LAYERS = [
    LayerRow("StackedLSTM", layers.StackedLSTM, _sequence(5), {"units": 4, "layers": 3}, masked=True),
    LayerRow(
        "StackedLSTM dropout", layers.StackedLSTM, _sequence(5), {"units": 4, "dropout": 0.3, "seed": 1}, masked=True
    ),
    LayerRow("LSTM", layers.LSTM, _sequence(5), {"units": 4, "return_sequences": True}),
    LayerRow("LayerWeighting", layers.LayerWeighting, _several(*3 * [_sequence(4)])),
    LayerRow("GradientReversal", layers.GradientReversal, _sequence(4), {"rate": 0.7}),
    LayerRow(
        "OrthogonalityLoss",
        layers.OrthogonalityLoss,
        _several(_sequence(4), _sequence(3), _sequence(5)),
        {"weight": 0.3},
        masked=True,
        identity=True,
    ),
    LayerRow(
        "OrthogonalityLoss letter",
        layers.OrthogonalityLoss,
        _several(_sequence(4), _sequence(3)),
        {"weight": 0.01, "normalize": False},
        masked=True,
        identity=True,
    ),
    LayerRow("CenterLoss", layers.CenterLoss, _vectors(5), {"classes": 3}, frames=False),
    LayerRow("CenterLoss slow", layers.CenterLoss, _vectors(5), {"classes": 2, "rate": 0.1}, frames=False),
    LayerRow(
        "CoAttention",
        layers.CoAttention,
        _several(_sequence(4), _vectors(3), _vectors(5)),
        {"frames": 9},
        masked=True,
    ),
    LayerRow(
        "CoAttention letter",
        layers.CoAttention,
        _several(_sequence(4), _vectors(6)),
        {"frames": 20, "normalize": False},
        masked=True,
    ),
    LayerRow("NLinear", layers.NLinear, _sequence(4), {"frames": 13, "steps": 3}, masked=True),
    LayerRow("NLinear shorter", layers.NLinear, _sequence(4), {"frames": 9, "steps": 15}, masked=True),
    LayerRow("DLinear", layers.DLinear, _sequence(4), {"frames": 13, "steps": 3}, masked=True),
    LayerRow("DLinear longer", layers.DLinear, _sequence(4), {"frames": 20, "steps": 2}, masked=True),
    LayerRow("FeatureAttention", layers.FeatureAttention, _vectors(5), frames=False),
    LayerRow("FeatureAttention scalar", layers.FeatureAttention, _vectors(5), {"scalar": True}, frames=False),
    LayerRow("MeanPooling", layers.MeanPooling, _sequence(5), masked=True),
    LayerRow("LogMeanPosterior", layers.LogMeanPosterior, _sequence(5), masked=True),
    LayerRow("StatisticsPooling", layers.StatisticsPooling, _sequence(5), masked=True),
    LayerRow("AttentionPooling", layers.AttentionPooling, _sequence(5), masked=True),
    LayerRow("MaskedBatchNormalization", layers.MaskedBatchNormalization, _sequence(6, 4), masked=True),
    LayerRow("ConvEncoder", layers.ConvEncoder, _sequence(7), {**SMALL_CONV}, masked=True),
    LayerRow(
        "ConvEncoder stride and dropout",
        layers.ConvEncoder,
        _sequence(7),
        {**SMALL_CONV, "stride": 3, "pool_first": True, "dropout": 0.3, "seed": 2},
        masked=True,
    ),
    LayerRow(
        "ConvEncoder channels",
        layers.ConvEncoder,
        _sequence(7, 2),
        {**SMALL_CONV, "keep_bins": True},
        masked=True,
    ),
]
