"""Pre-emphasis: a first-order high-pass that lifts the upper half of a speech spectrum."""

from typing import Any

from keras import ops

from keras_ser.features.framing import float_tensor


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
