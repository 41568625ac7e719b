"""Short-time power spectra, in power or in decibels, and the pre-emphasis before them."""

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.signal
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.framing import check_positive, float_tensor, frame, pad_to_window

FLOOR = 1e-10


def decibels(power: Any) -> Any:
    """10 lg max(power, 1e-10): a fixed floor per value, nothing relative to a clip's or a batch's peak.

    Equals `librosa.power_to_db(power, ref=1, top_db=None)`.
    """
    return (10.0 / np.log(10.0)) * ops.log(ops.maximum(power, FLOOR))


def root(x: Any) -> Any:
    """The square root, with gradient 0 instead of infinity at 0, which digital silence reaches; 0 below 0."""
    positive = x > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, x, 1.0)), 0.0)


@lru_cache(maxsize=16)
def analysis_window(window: int, shape: str = "hamming") -> np.ndarray:
    """A periodic window, "hamming" or "hann": (window,) float32.

    Raises:
        UserError: on another shape.
    """
    if shape not in ("hamming", "hann"):
        raise UserError(f"`window_shape` must be 'hamming' or 'hann'. Received: window_shape={shape!r}.")
    return scipy.signal.get_window(shape, window).astype(np.float32)


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


def linear_bands(power: Any, bands: int) -> Any:
    """Mean power of bands of equal width (to a bin), without the bin at half the sample rate.

    Args:
        power: (batch, frames, fft // 2 + 1).
        bands: at most fft // 2.

    Returns:
        (batch, frames, bands).
    """
    bins = power.shape[-1] - 1
    band = np.arange(bins) * bands // bins  # of each bin
    share = np.equal.outer(band, np.arange(bands)) / np.bincount(band)
    return ops.matmul(power[..., :bins], share.astype("float32"))


def check_fft(window: int, fft: int) -> None:
    """Raise UserError when a window does not fit its Fourier transform."""
    check_positive(fft=fft)
    if fft < window:
        raise UserError(f"`fft` must be at least `window`. Received: fft={fft}, window={window}.")


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
