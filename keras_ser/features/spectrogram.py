"""Short-time power spectra, as power or in decibels, and pre-emphasis."""

from typing import Any

import numpy as np
import scipy.signal
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.caching import cached_array
from keras_ser.features.framing import check_clips, check_counts, float_tensor, frame, pad_to_window

FLOOR = 1e-10


def decibels(power: Any) -> Any:
    """Convert power to decibels, 10 lg max(power, 1e-10): the floor is fixed, not relative to the peak of a clip or batch.

    Equals `librosa.power_to_db(power, ref=1, top_db=None)`.
    """
    return (10.0 / np.log(10.0)) * ops.log(ops.maximum(power, FLOOR))


def root(x: Any) -> Any:
    """Return the square root, 0 for negative values; its gradient at 0 (digital silence) is 0 instead of infinite."""
    positive = x > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, x, 1.0)), 0.0)


@cached_array
def analysis_window(window: int, shape: str = "hamming") -> np.ndarray:
    """Return a periodic window, "hamming" or "hann": (window,) float32.

    Raises:
        UserError: another shape.
    """
    if shape not in ("hamming", "hann"):
        raise UserError(f"`window_shape` must be 'hamming' or 'hann'. Received: window_shape={shape!r}.")
    return scipy.signal.get_window(shape, window).astype(np.float32)


def short_time_spectrum(
    waveform: Any, window: int = 400, hop: int = 160, fft: int = 512, window_shape: str = "hamming"
) -> tuple[Any, Any]:
    """Compute the STFT without centring: frame t starts at sample t hop and is zero-padded from `window` to `fft` samples.

    Args:
        waveform: (batch, samples) float.
        window, hop, fft: samples, window <= fft.
        window_shape: "hamming" or "hann", periodic.

    Returns:
        Real and imaginary part, each (batch, frames, fft // 2 + 1) float32.
    """
    # Cut frames of `fft` samples and pad the window with zeros instead: padding each frame would copy them all again.
    margin = fft - window
    x = ops.pad(pad_to_window(float_tensor(waveform), window), ((0, 0), (0, margin)))
    frames = frame(x, fft, hop) * np.pad(analysis_window(window, window_shape), (0, margin))  # (batch, frames, fft)
    return ops.rfft(frames, fft_length=fft)


def power_spectrogram(
    waveform: Any, window: int = 400, hop: int = 160, fft: int = 512, window_shape: str = "hamming"
) -> Any:
    """Return |STFT|^2 of `short_time_spectrum`, (batch, frames, fft // 2 + 1) float32; the arguments are the same.

    Equals |`librosa.stft(center=False, win_length=window, n_fft=fft)`|^2 of the waveform with fft - window zeros, half of them at
    either end, since librosa centres the window in its frame; the phase differs.
    """
    real, imaginary = short_time_spectrum(waveform, window, hop, fft, window_shape)
    return ops.square(real) + ops.square(imaginary)


def linear_bands(power: Any, bands: int) -> Any:
    """Return the mean power of bands of equal width (to one bin), without the bin at half the sample rate.

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
    """Raise UserError if the window is longer than the Fourier transform."""
    check_counts(fft=fft)
    if fft < window:
        raise UserError(f"`fft` must be at least `window`. Received: fft={fft}, window={window}.")


def preemphasis(waveform: Any, coefficient: float = 0.97) -> Any:
    """Apply pre-emphasis, y[n] = x[n] - coefficient x[n - 1], with x[-1] = x[0] as in HTK and Kaldi (librosa extrapolates).

    Args:
        waveform: (batch, samples) float.
        coefficient: in [0, 1); 0 returns the waveform unchanged.

    Returns:
        (batch, samples) float32.
    """
    check_clips(waveform)
    x = float_tensor(waveform)
    if not coefficient:
        return x
    return x - coefficient * ops.concatenate([x[:, :1], x[:, :-1]], axis=1)
