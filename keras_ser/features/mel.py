"""The mel scale, log-mel spectra, MFCC and their deltas, each from its definition."""

from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.framing import check_positive, frame_mask
from keras_ser.features.spectrogram import Spectrogram, decibels

BLOCK = 16  # mel filters that are multiplied at a time, as many as a vector of AVX-512 holds


def hz_to_mel(frequency: Any) -> Any:
    """The HTK mel scale, 1127 ln(1 + f / 700) (eq. 20 of the ASP-MTL paper, whose printed lg goes with 2595).

    Args:
        frequency: Hz.
    """
    return 1127.0 * np.log1p(np.asarray(frequency, np.float64) / 700.0)


def mel_to_hz(mel: Any) -> Any:
    """The inverse of `hz_to_mel`, in Hz."""
    return 700.0 * np.expm1(np.asarray(mel, np.float64) / 1127.0)


@lru_cache(maxsize=16)
def mel_filters(
    sample_rate: int = 16000,
    fft: int = 512,
    bins: int = 40,
    fmin: float = 20.0,
    fmax: float | None = None,
    area_normalised: bool = False,
) -> np.ndarray:
    """Triangles between bins + 2 frequencies equally spaced on the mel scale, with straight sides over Hz.

    Equals `librosa.filters.mel(htk=True, norm=None)`; with `area_normalised`, `norm="slaney"`.

    Args:
        sample_rate: Hz.
        fft: samples.
        bins: number of filters.
        fmin, fmax: Hz; `fmax` defaults to half the sample rate.
        area_normalised: each triangle has area 1 Hz instead of height 1.

    Returns:
        (fft // 2 + 1, bins) float32.

    Raises:
        ValueError: when the range is not 0 <= fmin < fmax <= sample_rate / 2, or a filter lies between two bins of
            the Fourier transform and would hold nothing.
    """
    check_positive(bins=bins)
    fmax = sample_rate / 2 if fmax is None else fmax
    if not 0 <= fmin < fmax <= sample_rate / 2:
        raise UserError(
            f"`fmin` and `fmax` must satisfy 0 <= fmin < fmax <= {sample_rate / 2:g} Hz (half the sample rate). "
            f"Received: fmin={fmin}, fmax={fmax}."
        )
    edges = mel_to_hz(np.linspace(hz_to_mel(fmin), hz_to_mel(fmax), bins + 2))  # (bins + 2,) Hz
    frequencies = np.arange(fft // 2 + 1)[:, None] * sample_rate / fft  # (fft // 2 + 1, 1) Hz
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequencies - lower) / (centre - lower)
    falling = (upper - frequencies) / (upper - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    empty = np.flatnonzero(filters.max(axis=0) == 0)
    if empty.size:
        raise UserError(
            f"every mel filter must cover a bin of the Fourier transform, and {empty.size} of {bins} do not, the first "
            f"at {centre[empty[0]]:.0f} Hz. Received: bins={bins}, fft={fft}. Take fewer bins or a longer fft."
        )
    if area_normalised:
        filters *= 2.0 / (upper - lower)
    return filters.astype(np.float32)


@lru_cache(maxsize=16)
def dct_matrix(bins: int, coefficients: int) -> np.ndarray:
    """The orthonormal DCT-II: sqrt(2 / bins) cos(pi k (n + 1/2) / bins), and sqrt(1 / bins) for k = 0.

    Args:
        bins: n, the input's width.
        coefficients: k, how many are kept, <= bins.

    Returns:
        (bins, coefficients) float32.

    Raises:
        ValueError: when more coefficients are asked for than there are bins.
    """
    check_positive(bins=bins, coefficients=coefficients)
    if coefficients > bins:
        raise UserError(f"`coefficients` must be at most `bins`. Received: coefficients={coefficients}, bins={bins}.")
    n, k = np.arange(bins)[:, None], np.arange(coefficients)[None, :]
    matrix = np.sqrt(2.0 / bins) * np.cos(np.pi * k * (n + 0.5) / bins)
    matrix[:, 0] /= np.sqrt(2.0)
    return matrix.astype(np.float32)


def mel_spectrogram(power: Any, filters: Any) -> Any:
    """(batch, frames, fft // 2 + 1) power and (fft // 2 + 1, bins) filters -> (batch, frames, bins) power."""
    if None in power.shape or not isinstance(filters, np.ndarray):
        return ops.matmul(power, ops.convert_to_tensor(filters, dtype="float32"))
    # Filters are zeros nearly everywhere: a compiler is sooner done with a few of them and the frequencies that these look at.
    found = []
    for first in range(0, filters.shape[1], BLOCK):
        block = filters[:, first : first + BLOCK]
        heard = np.flatnonzero(block.any(axis=1))
        heard = slice(heard.min(initial=len(block) - 1), heard.max(initial=0) + 1)
        found.append(ops.matmul(power[..., heard], ops.convert_to_tensor(block[heard], dtype="float32")))
    return ops.concatenate(found, axis=-1)


def mfcc(log_mel: Any, coefficients: int = 13) -> Any:
    """The first `coefficients` of the orthonormal DCT of a log-mel spectrum.

    Equals `librosa.feature.mfcc(S=.., norm="ortho", lifter=0)`.

    Args:
        log_mel: (batch, frames, bins) float32, static bins.
        coefficients: <= bins.

    Returns:
        (batch, frames, coefficients) float32.
    """
    return ops.matmul(log_mel, ops.convert_to_tensor(dct_matrix(log_mel.shape[-1], coefficients), dtype="float32"))


@lru_cache(maxsize=16)
def savitzky_golay(order: int, width: int = 9) -> np.ndarray:
    """Weights w with sum_k w[k] x[t + k - width // 2] = the derivative of degree `order` of the polynomial of that
    degree fitted by least squares around t.

    Returns:
        (width,) float64.
    """
    if order not in (1, 2) or width < 3 or width % 2 == 0:
        raise UserError(f"`order` must be 1 or 2 and `width` odd, at least 3. Received: order={order}, width={width}.")
    offsets = np.arange(width) - width // 2
    # The fit's coefficient of t^order times order! is the derivative at t = 0.
    return np.linalg.pinv(np.vander(offsets, order + 1, increasing=True))[order] * (1, 1, 2)[order]


def delta(features: Any, mask: Any, order: int = 1, width: int = 9) -> Any:
    """The derivative over frames by a Savitzky-Golay fit; beyond a clip's first and last valid frame they repeat.

    Equals `librosa.feature.delta(mode="nearest")` of each clip without its padding.

    Args:
        features: (batch, frames, bins) float.
        mask: (batch, frames) bool, right-padded.
        order: 1 for delta, 2 for delta-delta (a second derivative of its own fit, not the delta of a delta).
        width: frames, odd.

    Returns:
        (batch, frames, bins) float32, 0 where the mask is False.
    """
    half, x = width // 2, features
    last = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)  # (batch,)
    final = ops.take_along_axis(x, last[:, None, None], axis=1)  # (batch, 1, bins)
    x = ops.where(mask[..., None], x, final)
    x = ops.concatenate([x[:, :1]] * half + [x] + [final] * half, axis=1)
    total = fitted_derivative(x, order, width)
    return ops.where(mask[..., None], total, ops.zeros_like(total))


def fitted_derivative(x: Any, order: int = 1, width: int = 9) -> Any:
    """(batch, frames + width - 1, bins) -> (batch, frames, bins): a Savitzky-Golay fit over each `width` frames."""
    half, weights = width // 2, savitzky_golay(order, width)
    frames = ops.shape(x)[1] - 2 * half
    # The weights of degree 1 are odd, those of degree 2 even.
    sign = -1.0 if order == 1 else 1.0
    total = 0.0
    for k in range(1, half + 1):
        pair = x[:, half + k : half + k + frames] + sign * x[:, half - k : half - k + frames]
        total += float(weights[half + k]) * pair
    if order == 2:
        total += float(weights[half]) * x[:, half : half + frames]
    return total


def with_deltas(features: Any, mask: Any, deltas: int) -> Any:
    """(batch, frames, bins) -> (batch, frames, bins (1 + deltas)): the features, delta, delta-delta."""
    return ops.concatenate([features] + [delta(features, mask, order) for order in range(1, deltas + 1)], axis=-1)


@keras.saving.register_keras_serializable(package="keras_ser")
class LogMel(Spectrogram):
    """Log-mel spectrogram in decibels: (waveform, length) -> (batch, frames, bins), 0 beyond a clip's frames.

    Args:
        sample_rate: Hz. Default 16000.
        bins: mel filters. Default 40.
        fmin, fmax: Hz. Default 20 and half the sample rate.
        area_normalised: see `mel_filters`. Default False.
        **kwargs: `window`, `hop`, `fft`, `coefficient`, `window_shape` of `Spectrogram`.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        bins: int = 40,
        fmin: float = 20.0,
        fmax: float | None = None,
        area_normalised: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        mel_filters(sample_rate, self.fft, bins, fmin, fmax, area_normalised)
        self.sample_rate = sample_rate
        self.bins = bins
        self.fmin = fmin
        self.fmax = fmax
        self.area_normalised = area_normalised

    @property
    def width(self) -> int:
        return self.bins

    def features(self, waveform, length):
        filters = mel_filters(self.sample_rate, self.fft, self.bins, self.fmin, self.fmax, self.area_normalised)
        mel = mel_spectrogram(self.power(waveform, length), filters)
        return decibels(mel) if self.log else mel

    def get_config(self):
        return {
            **super().get_config(),
            "sample_rate": self.sample_rate,
            "bins": self.bins,
            "fmin": self.fmin,
            "fmax": self.fmax,
            "area_normalised": self.area_normalised,
        }


@keras.saving.register_keras_serializable(package="keras_ser")
class MFCC(LogMel):
    """MFCC with deltas: (waveform, length) -> (batch, frames, coefficients (1 + deltas)), 0 beyond a clip's frames.

    Args:
        coefficients: <= bins, the 0th included. Default 13.
        deltas: 0, 1 (delta) or 2 (delta and delta-delta). Default 2.
        **kwargs: those of `LogMel`.

    Raises:
        ValueError: on another number of deltas, or more coefficients than bins.
    """

    def __init__(self, coefficients: int = 13, deltas: int = 2, **kwargs):
        super().__init__(**kwargs)
        check_deltas(deltas)
        dct_matrix(self.bins, coefficients)
        self.coefficients = coefficients
        self.deltas = deltas

    @property
    def width(self) -> int:
        return self.coefficients * (1 + self.deltas)

    def features(self, waveform, length):
        static = mfcc(super().features(waveform, length), self.coefficients)
        mask = frame_mask(ops.shape(waveform)[1], length, self.window, self.hop)
        return with_deltas(static, mask, self.deltas)

    def get_config(self):
        return {**super().get_config(), "coefficients": self.coefficients, "deltas": self.deltas}


def check_deltas(deltas: int) -> None:
    """Raises ValueError unless `deltas` is 0, 1 or 2."""
    if deltas not in (0, 1, 2):
        raise UserError(f"`deltas` must be 0, 1 or 2. Received: deltas={deltas!r}.")
