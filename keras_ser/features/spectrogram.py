"""Short-time power spectra, in power or in decibels."""

from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.framing import FrameLayer, check_positive, float_tensor, frame, mask_samples, pad_to_window
from keras_ser.features.preemphasis import preemphasis

FLOOR = 1e-10


def decibels(power: Any, floor: float = FLOOR) -> Any:
    """10 lg max(power, floor): a fixed floor per value, nothing relative to a clip's or a batch's peak.

    Equals `librosa.power_to_db(power, ref=1, amin=floor, top_db=None)`.
    """
    return (10.0 / np.log(10.0)) * ops.log(ops.maximum(power, floor))


def root(x: Any) -> Any:
    """The square root, with gradient 0 instead of infinity at 0, which digital silence reaches; 0 below 0."""
    positive = x > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, x, 1.0)), 0.0)


@lru_cache(maxsize=16)
def analysis_window(window: int, shape: str = "hamming") -> np.ndarray:
    """The periodic window a - (1 - a) cos(2 pi n / window): a = 0.54 for "hamming", 0.5 for "hann".

    Returns:
        (window,) float32.

    Raises:
        ValueError: on another shape.
    """
    try:
        a = {"hamming": 0.54, "hann": 0.5}[shape]
    except KeyError:
        raise UserError(f"`window_shape` must be 'hamming' or 'hann'. Received: window_shape={shape!r}.") from None
    return (a - (1 - a) * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)


def short_time_spectrum(
    waveform: Any, window: int = 400, hop: int = 160, fft: int = 512, window_shape: str = "hamming"
) -> tuple[Any, Any]:
    """STFT without centring: frame t starts at sample t hop and is zero-padded from `window` to `fft` samples.

    Args:
        waveform: (batch, samples) float.
        window, hop, fft: samples, window <= fft.
        window_shape: "hamming" or "hann", periodic.

    Returns:
        real and imaginary part, each (batch, frames, fft // 2 + 1) float32.
    """
    # Frames cut at full length under a window with zeros at its end: padding each frame would copy them all again.
    margin = fft - window
    x = ops.pad(pad_to_window(float_tensor(waveform), window), ((0, 0), (0, margin)))
    frames = frame(x, fft, hop) * np.pad(analysis_window(window, window_shape), (0, margin))  # (batch, frames, fft)
    return ops.rfft(frames, fft_length=fft)


def power_spectrogram(
    waveform: Any, window: int = 400, hop: int = 160, fft: int = 512, window_shape: str = "hamming"
) -> Any:
    """|STFT|^2 of `short_time_spectrum`, (batch, frames, fft // 2 + 1) float32.

    Equals `librosa.stft(center=False, win_length=window, n_fft=fft)` of the waveform with (fft - window) zeros split
    to both ends, since librosa puts the window in the middle of its frame; the phase differs, the power does not.
    """
    real, imaginary = short_time_spectrum(waveform, window, hop, fft, window_shape)
    return ops.square(real) + ops.square(imaginary)


@keras.saving.register_keras_serializable(package="keras_ser")
class Spectrogram(FrameLayer):
    """Power spectrogram of the pre-emphasised waveform in decibels: (waveform, length) -> (batch, frames, bins).

    Args:
        window, hop, fft: samples, window <= fft. Default 400, 160, 512.
        coefficient: of pre-emphasis; 0 for none. Default 0.97.
        window_shape: "hamming" (default) or "hann".
        log: decibels with the floor 1e-10 (default), or power.

    Raises:
        ValueError: when `fft` < `window`.
    """

    def __init__(
        self,
        window: int = 400,
        hop: int = 160,
        fft: int = 512,
        coefficient: float = 0.97,
        window_shape: str = "hamming",
        log: bool = True,
        **kwargs,
    ):
        super().__init__(window=window, hop=hop, **kwargs)
        check_fft(window, fft)
        analysis_window(window, window_shape)
        self.fft = fft
        self.coefficient = coefficient
        self.window_shape = window_shape
        self.log = log

    @property
    def width(self) -> int:
        return self.fft // 2 + 1

    def power(self, waveform, length):
        # Masked after pre-emphasis, which looks back only and leaves a value one sample beyond the clip.
        emphasised = mask_samples(preemphasis(waveform, self.coefficient), length)
        return power_spectrogram(emphasised, self.window, self.hop, self.fft, self.window_shape)

    def features(self, waveform, length):
        power = self.power(waveform, length)
        return decibels(power) if self.log else power

    def get_config(self):
        return {
            **super().get_config(),
            "fft": self.fft,
            "coefficient": self.coefficient,
            "window_shape": self.window_shape,
            "log": self.log,
        }


def check_fft(window: int, fft: int) -> None:
    """Raises ValueError when a window does not fit its Fourier transform."""
    check_positive(fft=fft)
    if fft < window:
        raise UserError(f"`fft` must be at least `window`. Received: fft={fft}, window={window}.")
