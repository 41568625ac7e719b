"""The encoder of ASP-MTL: stacked LSTM layers, each normalised, fused by learned weights."""

import keras

from keras_ser.errors import UserError
from keras_ser.layers.layer_weighting import LayerWeighting
from keras_ser.layers.masking import ExplicitMask, zero_padding


@keras.saving.register_keras_serializable(package="keras_ser")
class StackedLSTM(ExplicitMask):
    """L LSTM layers with layer normalisation after each, fused by learned layer weights (ASP-MTL, equations 3-10).

        s_l,t = LN(LSTM(drop(s_l-1,t), s_l,t-1))                  (7), (8)
        LN(x) = gamma (x - mu) / sqrt(sigma^2 + eps) + beta       (3)-(6), mu and sigma^2 over the units of one frame
        S_t   = alpha [s_1,t .. s_L,t]^T                          (9), (10), `LayerWeighting`

    s_0 is the input, without dropout. The recurrence runs over the LSTM's own state, not the normalised one, so that the layer
    stays a plain LSTM (and can use cuDNN).

    Args:
        units: width of each layer (of each direction); an integer >= 1.
        layers: L, the number of LSTM layers; an integer >= 1. Default 2.
        dropout: share of a layer's normalised output that is dropped before the next layer in training; in [0, 1). Default 0.
        bidirectional: also run backward and concatenate both: 2 `units` wide. Default False.
        weighting: True fuses all layers (equations 9-10); False, or one layer, returns the last one.
        epsilon: eps of equation 5. Default 1e-3.
        use_cudnn: True, False or "auto", as in `keras.layers.LSTM`. A model that is traced for export on a machine
            with a GPU needs False.
        seed: of the dropout; an integer or None.

    Input shape: (batch, frames, bins); `mask` (batch, frames), right-padded.
    Output shape: (batch, frames, units), or 2 units when bidirectional; 0 where the mask is False.

    The forward direction is never given the mask: an LSTM is causal, so padding on the right cannot reach a real
    frame, and the fast path stays open. The backward direction needs it.

    Raises:
        UserError: an argument out of its range.

    Reference:
        Liu and Zhang, *Design of Efficient Speech Emotion Recognition Based on Multi Task Learning*, IEEE Access.
    """

    def __init__(
        self,
        units: int,
        layers: int = 2,
        dropout: float = 0.0,
        bidirectional: bool = False,
        weighting: bool = True,
        epsilon: float = 1e-3,
        use_cudnn: bool | str = "auto",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if units < 1 or layers < 1:
            raise UserError(f"`units` and `layers` must be >= 1. Received: units={units}, layers={layers}.")
        if not 0 <= dropout < 1:
            raise UserError(f"`dropout` must be in [0, 1). Received: dropout={dropout}.")
        if use_cudnn not in (True, False, "auto"):
            raise UserError(f"`use_cudnn` must be True, False or 'auto'. Received: use_cudnn={use_cudnn!r}.")
        self.units = units
        self.layers = layers
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.weighting = weighting
        self.epsilon = epsilon
        self.use_cudnn = use_cudnn
        self.seed = seed

        self.lstms, self.normalizations, self.dropouts, copied = [], [], [], []
        for i in range(1, layers + 1):
            lstm = keras.layers.LSTM(
                units, return_sequences=True, use_cudnn=use_cudnn, dtype=self.dtype_policy, name=f"lstm_{i}"
            )
            if bidirectional:
                copied.append(lstm)
                lstm = keras.layers.Bidirectional(lstm, dtype=self.dtype_policy, name=f"lstm_{i}")
            self.lstms.append(lstm)
            self.normalizations.append(
                keras.layers.LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy, name=f"normalization_{i}")
            )
            if i < layers:
                # Two layers with one seed would drop the same units.
                layer_seed = None if seed is None else seed + i
                self.dropouts.append(
                    keras.layers.Dropout(dropout, seed=layer_seed, dtype=self.dtype_policy, name=f"dropout_{i}")
                )
        # `Bidirectional` copies what it is given. While a file is loaded, Keras knows objects by their addresses: the next layer
        # would get the address of one that is gone, and be taken for it. A function is no state to track.
        self._keep = lambda: copied
        fused = weighting and layers > 1
        self.fusion = LayerWeighting(dtype=self.dtype_policy, name="weighting") if fused else None

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
            x = normalization(lstm(x, mask=mask if self.bidirectional else None, training=training))
            sequences.append(x)  # (batch, frames, units)
            if i < self.layers - 1:
                x = self.dropouts[i](x, training=training)
        fused = self.fusion(sequences) if self.fusion else sequences[-1]
        return zero_padding(fused, mask)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units * (2 if self.bidirectional else 1))

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "layers": self.layers,
            "dropout": self.dropout,
            "bidirectional": self.bidirectional,
            "weighting": self.weighting,
            "epsilon": self.epsilon,
            "use_cudnn": self.use_cudnn,
            "seed": self.seed,
        }
