"""Pre-emphasis: a first-order high-pass that lifts the upper half of a speech spectrum."""

from typing import Any

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.framing import float32, float_tensor


def preemphasis(waveform: Any, coefficient: float = 0.97) -> Any:
    """y[n] = x[n] - coefficient x[n - 1], started with x[-1] = x[0] as HTK and Kaldi do (librosa extrapolates).

    Args:
        waveform: (batch, samples) float.
        coefficient: in [0, 1); 0 hands the waveform on.

    Returns:
        (batch, samples) float32.
    """
    x = float_tensor(waveform)
    if not coefficient:
        return x
    return x - coefficient * ops.concatenate([x[:, :1], x[:, :-1]], axis=1)


@keras.saving.register_keras_serializable(package="keras_ser")
class PreEmphasis(keras.layers.Layer):
    """`preemphasis` as a layer: (batch, samples) -> (batch, samples), float32 whatever the dtype policy.

    Args:
        coefficient: in [0, 1). Default 0.97.

    Raises:
        ValueError: when `coefficient` is outside [0, 1).
    """

    def __init__(self, coefficient: float = 0.97, **kwargs):
        super().__init__(**float32(kwargs))
        if not 0 <= coefficient < 1:
            raise UserError(f"`coefficient` must be in [0, 1). Received: coefficient={coefficient}.")
        self.coefficient = coefficient

    def call(self, waveform):
        return preemphasis(waveform, self.coefficient)

    def compute_output_shape(self, waveform_shape):
        return waveform_shape

    def get_config(self):
        return {**super().get_config(), "coefficient": self.coefficient}
