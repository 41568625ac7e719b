"""Encoder of ASP-MTL: stacked LSTM layers with layer normalisation, fused by learned weights."""

import keras

from keras_ser.checks import check_least, check_share
from keras_ser.features.masking import zero_padding
from keras_ser.layers.layer_weighting import LayerWeighting
from keras_ser.layers.lstm import LSTM
from keras_ser.layers.masking import ExplicitMask

EPSILON = 1e-3  # eps of equation 5


@keras.saving.register_keras_serializable(package="keras_ser")
class StackedLSTM(ExplicitMask):
    """L LSTM layers with layer normalisation after each, fused by learned layer weights (ASP-MTL, equations 3-10).

        s_l,t = LN(LSTM(drop(s_l-1,t), s_l,t-1))                  (7), (8)
        LN(x) = gamma (x - mu) / sqrt(sigma^2 + eps) + beta       (3)-(6), mu and sigma^2 over the units of one frame
        S_t   = alpha [s_1,t .. s_L,t]^T                          (9), (10), `LayerWeighting`

    s_0 is the input, without dropout. The recurrence uses the LSTM's own state, not the normalised one, so that the layer remains
    a plain LSTM (and can use cuDNN).

    Args:
        units: width of each layer; an integer >= 1.
        layers: L, the number of LSTM layers; an integer >= 1. The output of a single layer is not weighted. Default 2.
        dropout: dropout rate between layers, applied to the normalised output; in [0, 1). Default 0.
        seed: seed of the dropout; an integer or None (default).

    Input shape: (batch, frames, bins); `mask` (batch, frames), right-padded.
    Output shape: (batch, frames, units), 0 where the mask is False.

    The mask is not passed to the LSTMs: they are causal, so that right padding cannot affect a real frame, and without a mask
    they can use the fast implementation.

    Raises:
        UserError: an argument is out of range.

    Reference:
        Liu and Zhang, *Design of Efficient Speech Emotion Recognition Based on Multi Task Learning*, IEEE Access.
    """

    dropped = ("bidirectional", "weighting", "epsilon", "use_cudnn")

    def __init__(
        self,
        units: int,
        layers: int = 2,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.keep(locals())
        check_least(self, 1, "units", "layers")
        check_share(self, "dropout")
        self.lstms, self.normalizations, self.dropouts = [], [], []
        for i in range(1, self.layers + 1):
            self.lstms.append(LSTM(self.units, return_sequences=True, dtype=self.dtype_policy, name=f"lstm_{i}"))
            self.normalizations.append(
                keras.layers.LayerNormalization(epsilon=EPSILON, dtype=self.dtype_policy, name=f"normalization_{i}")
            )
            if i < self.layers:
                # Layers with the same seed would drop the same units.
                layer_seed = None if self.seed is None else self.seed + i
                self.dropouts.append(
                    keras.layers.Dropout(dropout, seed=layer_seed, dtype=self.dtype_policy, name=f"dropout_{i}")
                )
        self.fusion = LayerWeighting(dtype=self.dtype_policy, name="weighting") if self.layers > 1 else None

    def build(self, input_shape):
        shape, fused = tuple(input_shape), self.compute_output_shape(input_shape)
        for i, (lstm, normalization) in enumerate(zip(self.lstms, self.normalizations, strict=True)):
            lstm.build(shape if i == 0 else fused)
            normalization.build(fused)
        for dropout in self.dropouts:
            dropout.build(fused)
        if self.fusion:
            self.fusion.build([fused] * self.layers)

    def call(self, x, mask=None, training=None):
        x = zero_padding(x, mask)
        sequences = []
        for i, (lstm, normalization) in enumerate(zip(self.lstms, self.normalizations, strict=True)):
            x = normalization(lstm(x, training=training))
            sequences.append(x)  # (batch, frames, units)
            if i < self.layers - 1:
                x = self.dropouts[i](x, training=training)
        fused = self.fusion(sequences) if self.fusion else sequences[-1]
        return zero_padding(fused, mask)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)
