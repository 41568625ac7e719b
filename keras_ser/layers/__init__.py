"""Layers built on `keras.ops` only, so that they run on every Keras backend. Each has a file of its own, except poolings and linear
maps over time.

Conventions of this package:

* A sequence is (batch, frames, units) or (batch, frames, bins); its `mask` is boolean (batch, frames), True where a
  frame is real, True...True False...False along the frames (padding on the right). It is passed by name as
  `mask`; Keras's implicit masks are not used. `mask=None` means that every frame is real.
* `ExplicitMask` is the base class of layers that take such a mask.
* Values where the mask is False have no effect (they may be NaN), and outputs there are 0: an example gives the same
  numbers alone, in a batch, and with more padding.
* Softmax, statistics and losses are float32 whatever the dtype policy; everything else follows the policy.
* A loss that needs no label is added by the layer that owns it (`OrthogonalityLoss`); one that needs a label is an
  output of the model and is compiled (`CenterLoss` with `keras_ser.losses.TrueClass`).
"""

from keras_ser.layers.center_loss import CenterLoss
from keras_ser.layers.co_attention import CoAttention
from keras_ser.layers.conv_encoder import ConvEncoder
from keras_ser.layers.feature_attention import FeatureAttention
from keras_ser.layers.gradient_reversal import GradientReversal
from keras_ser.layers.layer_weighting import LayerWeighting
from keras_ser.layers.linear_forecast import DLinear, NLinear
from keras_ser.layers.lstm import LSTM
from keras_ser.layers.masked_batch_normalization import MaskedBatchNormalization
from keras_ser.layers.masking import ExplicitMask
from keras_ser.layers.orthogonality_loss import OrthogonalityLoss
from keras_ser.layers.pooling import AttentionPooling, LogMeanPosterior, MeanPooling, StatisticsPooling
from keras_ser.layers.stacked_lstm import StackedLSTM

__all__ = [
    "AttentionPooling",
    "CenterLoss",
    "CoAttention",
    "ConvEncoder",
    "DLinear",
    "ExplicitMask",
    "FeatureAttention",
    "LSTM",
    "GradientReversal",
    "LayerWeighting",
    "LogMeanPosterior",
    "MaskedBatchNormalization",
    "MeanPooling",
    "NLinear",
    "OrthogonalityLoss",
    "StackedLSTM",
    "StatisticsPooling",
]
