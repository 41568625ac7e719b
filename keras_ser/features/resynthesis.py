"""Ratio masks, and waveforms from gains in time and frequency."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.configured import FeatureLayer
from keras_ser.features.framing import (
    check_counts,
    float_tensor,
    frame_count,
    frame_mask,
    mask_samples,
    valid_lengths,
)
from keras_ser.features.spectrogram import analysis_window, check_fft, power_spectrogram, short_time_spectrum

RECOVERED = 1e-3  # least power of overlapping windows at a sample, relative to the largest


def ideal_ratio_mask(
    clean: Any,
    noisy: Any,
    length: Any = None,
    window: int = 400,
    hop: int = 160,
    fft: int = 512,
    window_shape: str = "hamming",
    exponent: float = 0.5,
) -> Any:
    """Return the ideal ratio mask, the share of speech in every bin:

        IRM(t, k) = (|S|^2 / (|S|^2 + |N|^2))^exponent, N = Y - S

    It is 1 where no noise was mixed in, digital silence included.

    Args:
        clean: s, (batch, samples).
        noisy: y = s + n, of the same shape.
        length: (batch,) int, valid samples; None = all.
        window, hop, fft, window_shape: parameters of the spectra, see `short_time_spectrum`.
        exponent: 0.5 (the usual) for amplitudes; 1 gives the Wiener gain, whose squared error is lower.

    Returns:
        (batch, frames, fft // 2 + 1) float32 in [0, 1].

    Reference:
        Y. Wang, A. Narayanan, D. Wang, "On training targets for supervised speech separation", IEEE/ACM TASLP 22
        (2014), eq. 6.
    """
    length = valid_lengths(clean, length)
    clean = mask_samples(clean, length)
    noise = mask_samples(noisy, length) - clean
    speech, noise = (power_spectrogram(x, window, hop, fft, window_shape) for x in (clean, noise))
    total = speech + noise
    share = ops.where(total > 0, speech / ops.where(total > 0, total, 1.0), 1.0)
    return share**exponent


def loudness_weights(
    waveform: Any,
    length: Any = None,
    window: int = 400,
    hop: int = 160,
    fft: int = 512,
    window_shape: str = "hamming",
    exponent: float = 1.0,
) -> Any:
    """Return weights for the error of a gain in each bin: |Y|^exponent divided by its mean over the clip.

    Args:
        waveform: y, (batch, samples).
        length: (batch,) int, valid samples; None = all.
        window, hop, fft, window_shape: parameters of the spectra, see `short_time_spectrum`.
        exponent: 0 weights all bins equally, 2 like the squared error of the waveform.

    Returns:
        (batch, frames, fft // 2 + 1) float32, with mean 1 over a clip's frames and 0 beyond them; all 1 if a clip is silent.
    """
    length = valid_lengths(waveform, length)
    y = mask_samples(waveform, length)
    power = power_spectrogram(y, window, hop, fft, window_shape)
    mask = frame_mask(ops.shape(y)[1], length, window, hop)[..., None]
    loud = ops.where(mask, power ** (exponent / 2), 0.0)
    frames = ops.sum(ops.cast(mask, "float32"), axis=(1, 2), keepdims=True)
    mean = ops.sum(loud, axis=(1, 2), keepdims=True) / (frames * power.shape[-1])
    return ops.where(mask, ops.where(mean > 0, loud / ops.where(mean > 0, mean, 1.0), 1.0), 0.0)


def apply_gain(
    waveform: Any,
    length: Any,
    gain: Any,
    window: int = 400,
    hop: int = 160,
    fft: int = 512,
    window_shape: str = "hamming",
) -> Any:
    """Apply a gain to every frame and bin, keep the waveform's own phase, and resynthesise a waveform.

        s^ = sum_t w_t F^-1[g_t F[w_t y]] / sum_t w_t^2

    If the gain is 1 everywhere, the output is the input. The frames are those of the front end, and further ones
    that overlap the clip's beginning and end and use the gain of its first and last frame.

    Args:
        waveform: y, (batch, samples) float.
        length: (batch,) int, valid samples; None = all.
        gain: g, (batch, frames, fft // 2 + 1), frame t starting at sample t hop; ignored beyond a
            clip's own frames.
        window, hop, fft, window_shape: parameters of the spectra, see `short_time_spectrum`.

    Returns:
        s^, (batch, samples) float32, 0 beyond `length`.
    """
    length = valid_lengths(waveform, length)
    batch, samples = ops.shape(waveform)[0], ops.shape(waveform)[1]
    lead = -(-(window - hop) // hop)  # frames that begin before the clip
    count = lead + (samples + hop - 1) // hop
    x = mask_samples(waveform, length)
    # one window more than the last frame needs, so that the padding is a static number
    x = ops.pad(x, ((0, 0), (lead * hop, window)))
    real, imaginary = short_time_spectrum(x, window, hop, fft, window_shape)
    real, imaginary = real[:, :count], imaginary[:, :count]

    last = frame_count(length, window, hop) - 1  # (batch,)
    own = ops.maximum(ops.arange(count, dtype="int32") - lead, 0)
    own = ops.minimum(own[None, :], ops.cast(last, "int32")[:, None])  # (batch, count)
    rows = ops.reshape(own + ops.arange(batch, dtype="int32")[:, None] * ops.shape(gain)[1], (-1,))
    bins = fft // 2 + 1
    g = ops.take(ops.reshape(float_tensor(gain), (-1, bins)), rows, axis=0)
    g = ops.reshape(g, (batch, -1, bins))

    frames = ops.irfft((real * g, imaginary * g), fft_length=fft)[..., :window]  # (batch, count, window)
    added = overlap_add(frames * synthesis_window(window, hop, window_shape), hop)
    return mask_samples(added[:, lead * hop : lead * hop + samples], length)


def synthesis_window(window: int, hop: int, window_shape: str = "hamming") -> np.ndarray:
    """Return w_n / sum_t w_{n + t hop}^2, (window,), with which windowed frames add up to the original waveform.

    Raises:
        UserError: samples where all windows are nearly 0, since they cannot be recovered.
    """
    shape = analysis_window(window, window_shape).astype(np.float64)
    power = np.bincount(np.arange(window) % hop, shape**2, hop)  # the same at every sample that all its frames cover
    if power.min() < RECOVERED * power.max():
        raise UserError(
            f"{window_shape} windows of {window} samples every {hop} are nearly 0 at some samples, which cannot be recovered. "
            "Use a smaller `hop`."
        )
    return (shape / power[np.arange(window) % hop]).astype(np.float32)


def overlap_add(frames: Any, hop: int) -> Any:
    """Sum frames that begin `hop` samples apart; static window.

    (batch, frames, window) -> (batch, (frames - 1) hop + window, rounded up to a multiple of `hop`).
    """
    window = frames.shape[-1]
    parts = -(-window // hop)
    x = ops.pad(frames, ((0, 0), (0, 0), (0, parts * hop - window)))
    total: Any = 0
    for part in range(parts):
        piece = x[..., part * hop : (part + 1) * hop]  # (batch, frames, hop)
        total = total + ops.pad(piece, ((0, 0), (part, parts - 1 - part), (0, 0)))
    return ops.reshape(total, (ops.shape(frames)[0], -1))


@keras.saving.register_keras_serializable(package="keras_ser")
class ApplyGain(FeatureLayer):
    """`apply_gain` as a layer: (waveform, length, gain) -> waveform (batch, samples), float32.

    Args:
        window, hop, fft: samples, hop <= window <= fft.
        window_shape: "hamming" or "hann".

    Raises:
        UserError: a window that is longer than `fft`, a hop that is longer than the window, or see `synthesis_window`.
    """

    def __init__(self, window: int = 400, hop: int = 160, fft: int = 512, window_shape: str = "hamming", **kwargs):
        super().__init__(**kwargs)
        check_counts(window=window, hop=hop)
        check_fft(window, fft)
        if hop > window:
            raise UserError(f"`hop` must be at most `window`. Received: hop={hop}, window={window}.")
        synthesis_window(window, hop, window_shape)
        self.keep(locals())

    def call(self, waveform, length, gain):
        return apply_gain(waveform, length, gain, self.window, self.hop, self.fft, self.window_shape)

    def compute_output_shape(self, waveform_shape, length_shape=None, gain_shape=None):
        return waveform_shape
