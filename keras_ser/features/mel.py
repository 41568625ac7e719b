"""Log-mel spectra with librosa's filters, MFCC and their deltas."""

import warnings
from typing import Any

import numpy as np
import scipy.fft
import scipy.signal
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.caching import cached_array
from keras_ser.features.framing import check_counts
from keras_ser.features.masking import zero_padding

WIDTH = 9  # frames of the fit whose derivative is a delta, odd; librosa's default
BLOCK = 16  # mel filters that are multiplied at a time: as many as an AVX-512 vector holds


@cached_array
def mel_filters(
    sample_rate: int = 16000,
    fft: int = 512,
    bins: int = 40,
    fmin: float = 20.0,
    fmax: float | None = None,
    area_normalised: bool = False,
) -> np.ndarray:
    """Return librosa's triangular filters on the HTK mel scale, 1127 ln(1 + f / 700) = 2595 lg(1 + f / 700) (eq. 20 of ASP-MTL).

    Args:
        sample_rate: Hz.
        fft: length of the Fourier transform, samples.
        bins: number of filters.
        fmin, fmax: Hz; `fmax` defaults to half the sample rate.
        area_normalised: scale each triangle to area 1 Hz (librosa's norm "slaney") instead of height 1.

    Returns:
        (fft // 2 + 1, bins) float32.

    Raises:
        UserError: the range is not 0 <= fmin < fmax <= sample_rate / 2, or a filter lies between two bins of
            the Fourier transform and would be empty.
    """
    check_counts(bins=bins)
    fmax = sample_rate / 2 if fmax is None else fmax
    if not 0 <= fmin < fmax <= sample_rate / 2:
        raise UserError(
            f"`fmin` and `fmax` must satisfy 0 <= fmin < fmax <= {sample_rate / 2:g} Hz (half the sample rate). "
            f"Received: fmin={fmin}, fmax={fmax}."
        )
    import librosa  # takes a quarter of a second

    range_hz = {"fmin": fmin, "fmax": fmax, "htk": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa warns of empty filters
        filters = librosa.filters.mel(
            sr=sample_rate, n_fft=fft, n_mels=bins, norm="slaney" if area_normalised else None, **range_hz
        )
    empty = np.flatnonzero(filters.max(axis=1) == 0)
    if empty.size:
        at = librosa.mel_frequencies(bins + 2, **range_hz)[empty[0] + 1]
        raise UserError(
            f"every mel filter must cover a bin of the Fourier transform; {empty.size} of {bins} do not, the first "
            f"at {at:.0f} Hz. Received: bins={bins}, fft={fft}. Take fewer bins or a longer fft."
        )
    return np.ascontiguousarray(filters.T)


@cached_array
def dct_matrix(bins: int, coefficients: int) -> np.ndarray:
    """Return the orthonormal DCT-II: sqrt(2 / bins) cos(pi k (n + 1/2) / bins), and sqrt(1 / bins) for k = 0.

    Args:
        bins: width of the input, n = 0 .. bins - 1.
        coefficients: number of coefficients k to keep, <= bins.

    Returns:
        (bins, coefficients) float32.

    Raises:
        UserError: more coefficients than bins.
    """
    check_counts(bins=bins, coefficients=coefficients)
    if coefficients > bins:
        raise UserError(f"`coefficients` must be at most `bins`. Received: coefficients={coefficients}, bins={bins}.")
    return scipy.fft.dct(np.eye(bins), norm="ortho")[:, :coefficients].astype(np.float32)


def mel_spectrogram(power: Any, filters: Any) -> Any:
    """Apply (fft // 2 + 1, bins) filters to power: (batch, frames, fft // 2 + 1) -> (batch, frames, bins)."""
    if None in power.shape or not isinstance(filters, np.ndarray):
        return ops.matmul(power, ops.convert_to_tensor(filters, dtype="float32"))
    # Filters are mostly zeros: XLA is faster on a few filters at a time and only the frequencies that they cover.
    found = []
    for first in range(0, filters.shape[1], BLOCK):
        block = filters[:, first : first + BLOCK]
        covered = np.flatnonzero(block.any(axis=1))
        covered = slice(covered.min(initial=len(block) - 1), covered.max(initial=0) + 1)
        found.append(ops.matmul(power[..., covered], ops.convert_to_tensor(block[covered], dtype="float32")))
    return ops.concatenate(found, axis=-1)


def mfcc(log_mel: Any, coefficients: int = 13) -> Any:
    """Return the first coefficients of the orthonormal DCT of a log-mel spectrum.

    Equals `librosa.feature.mfcc(S=.., norm="ortho", lifter=0)`.

    Args:
        log_mel: (batch, frames, bins) float32, static bins.
        coefficients: number of coefficients, <= bins.

    Returns:
        (batch, frames, coefficients) float32.
    """
    return ops.matmul(log_mel, ops.convert_to_tensor(dct_matrix(log_mel.shape[-1], coefficients), dtype="float32"))


def delta(features: Any, mask: Any, order: int = 1) -> Any:
    """Return the derivative over frames by a Savitzky-Golay fit; a clip's first and last valid frame are repeated beyond its ends.

    Equals `librosa.feature.delta(mode="nearest")` of each clip without its padding.

    Args:
        features: (batch, frames, bins) float.
        mask: (batch, frames) bool, right-padded.
        order: 1 for delta, 2 for delta-delta (the second derivative of a fit of degree 2, not the delta of a delta).

    Returns:
        (batch, frames, bins) float32, 0 where the mask is False.

    Raises:
        UserError: another order.
    """
    half, x = WIDTH // 2, features
    last = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)  # (batch,)
    final = ops.take_along_axis(x, last[:, None, None], axis=1)  # (batch, 1, bins)
    x = ops.where(mask[..., None], x, final)
    x = ops.concatenate([x[:, :1]] * half + [x] + [final] * half, axis=1)
    return zero_padding(fitted_derivative(x, order), mask)


def fitted_derivative(x: Any, order: int = 1) -> Any:
    """Return the derivative of a Savitzky-Golay fit over each `WIDTH` frames.

    (batch, frames + WIDTH - 1, bins) -> (batch, frames, bins); `order` is that of the derivative, and the degree of the fit.
    """
    if order not in (1, 2):
        raise UserError(f"`order` must be 1 (delta) or 2 (delta-delta). Received: order={order}.")
    half, weights = WIDTH // 2, scipy.signal.savgol_coeffs(WIDTH, order, deriv=order, use="dot")
    frames = ops.shape(x)[1] - 2 * half
    # The weights are antisymmetric for degree 1 and symmetric for degree 2.
    sign = -1.0 if order == 1 else 1.0
    total = 0.0
    for k in range(1, half + 1):
        pair = x[:, half + k : half + k + frames] + sign * x[:, half - k : half - k + frames]
        total += float(weights[half + k]) * pair
    if order == 2:
        total += float(weights[half]) * x[:, half : half + frames]
    return total


def with_deltas(features: Any, mask: Any, deltas: int) -> Any:
    """Append delta and delta-delta to the features: (batch, frames, bins) -> (batch, frames, bins (1 + deltas))."""
    return ops.concatenate([features] + [delta(features, mask, order) for order in range(1, deltas + 1)], axis=-1)
