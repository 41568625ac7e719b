"""Wavelet shrinkage followed by an adaptive line enhancer."""

import functools
from collections.abc import Callable
from math import log, sqrt

import numpy as np

from keras_ser.audio.denoise.subtraction import check_rate, checked
from keras_ser.errors import UserError

MEDIAN_DEVIATION = 0.6745  # median |x| of a unit Gaussian
WAVELET = "db8"
LOWEST = 125.0  # Hz, approximate upper limit of the approximation band
THRESHOLD = 0.3  # share of the universal threshold
QUIET = 0.1  # quantile of the blocks' levels that is taken as the noise level
ORDER, DELAY = 16, 1  # taps, samples
MEMORY, GAIN = 0.97, 0.01  # of the step size
SMALLEST, LARGEST = 0.01, 0.3  # step sizes


def wavelet_lms(waveform: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
    """Denoise a waveform (samples,) by `wavelet_shrinkage`, then `line_enhancer`, as in ASP-MTL's reference [26].

    If the speech is louder than the noise, the second stage costs more than it gains, since it loses the unpredictable part of the
    voice; call `wavelet_shrinkage` alone.
    """
    return line_enhancer(wavelet_shrinkage(waveform, sample_rate))


def wavelet_shrinkage(waveform: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
    """Soft-threshold all wavelet coefficients of a waveform, each level j (and the approximation) by its own noise estimate.

        c_j <- sign(c_j) max(|c_j| - lambda_j, 0), lambda_j = THRESHOLD sigma_j sqrt(2 ln samples),
        sigma_j = median |c_j| / 0.6745 over the quiet stretches

    The references take the median over the whole signal and the universal threshold, THRESHOLD = 1. Speech fills more than half of
    the coefficients in its own bands, so that this median measures the voice and little of it is left. Therefore each level is cut
    into blocks of 0.1 s, sigma_j comes from the QUIET quantile of their medians, and THRESHOLD is the value that gave the best
    signal-to-noise ratio on EmoDB clips in four noises. Digital silence counts as noise; a waveform too short for one level is
    returned unchanged.

    Args:
        waveform: (samples,), real.
        sample_rate: Hz.

    Returns:
        float32 (samples,).

    Raises:
        UserError: PyWavelets is not installed, or the waveform is empty, not one-dimensional or not finite.

    Reference:
        D. Donoho, "De-noising by soft-thresholding", IEEE Trans. Information Theory 41 (1995); a sigma for each level:
        I. Johnstone, B. Silverman, "Wavelet threshold estimators for data with correlated noise", JRSS B 59 (1997).
    """
    x = checked("waveform", waveform)
    check_rate(sample_rate)
    try:
        import pywt
    except ImportError as error:
        raise UserError('wavelets need PyWavelets: pip install "keras-ser[denoise]".') from error
    levels = min(max(1, round(np.log2(sample_rate / 2 / LOWEST))), pywt.dwt_max_level(x.size, WAVELET))
    peak = np.abs(x).max()
    if levels == 0 or peak == 0:
        return x.astype(np.float32)
    coefficients = pywt.wavedec(x / peak, WAVELET, mode="symmetric", level=levels)
    universal = sqrt(2 * log(x.size))
    for level, c in zip([levels, *range(levels, 0, -1)], coefficients, strict=True):
        block = max(1, round(0.1 * sample_rate / 2**level))
        whole = c[: c.size // block * block] if c.size >= block else c
        medians = np.median(np.abs(whole).reshape(-1, min(block, c.size)), axis=1)
        limit = THRESHOLD * universal * np.quantile(medians, QUIET) / MEDIAN_DEVIATION
        c[:] = np.sign(c) * np.maximum(
            np.abs(c) - limit, 0.0
        )  # `pywt.threshold` divides by the zeros of digital silence
    # For an odd length the inverse is one sample longer.
    shrunk = pywt.waverec(coefficients, WAVELET, mode="symmetric")[: x.size]
    return (peak * shrunk).astype(np.float32)


def line_enhancer(waveform: np.ndarray) -> np.ndarray:
    """Predict a waveform d, (samples,), from its past by an LMS filter with a variable step: an adaptive line enhancer.

    With x(n) = [d(n - DELAY) .. d(n - DELAY - ORDER + 1)], zeros before the beginning, and w(0) = 0:

        y(n) = w(n)^T x(n), the output
        e(n) = d(n) - y(n)
        w(n + 1) = w(n) + mu(n) e(n) x(n) / (delta + |x(n)|^2)
        mu(n + 1) = MEMORY mu(n) + GAIN e(n)^2 / ((delta + |x(n)|^2) / ORDER), kept in [SMALLEST, LARGEST]

    The step grows with the error, as in the reference. It is divided by the power of x, which makes it independent of
    the level and, for LARGEST < 2, stable. mu starts at LARGEST; delta is 0.01 ORDER times the waveform's mean square.

    Reference:
        R. Kwong, E. Johnston, "A variable step size LMS algorithm", IEEE Trans. Signal Processing 40 (1992).
        B. Widrow et al., "Adaptive noise cancelling: principles and applications", Proc. IEEE 63 (1975).
    """
    x = checked("waveform", waveform)
    peak = np.abs(x).max()
    if peak == 0:
        return x.astype(np.float32)
    return (peak * _compiled()(x / peak)).astype(np.float32)


def _recursion(d):
    """Run `line_enhancer` sample by sample, in a form that Numba compiles."""
    weights = np.zeros(ORDER)
    predicted = np.zeros(d.size)
    floor = 0.01 * ORDER * np.mean(d * d)
    step = LARGEST
    for n in range(d.size):
        taps = min(ORDER, max(0, n - DELAY + 1))
        power, y = floor, 0.0
        for k in range(taps):
            x = d[n - DELAY - k]
            power += x * x
            y += weights[k] * x
        error = d[n] - y
        scale = step * error / power
        for k in range(taps):
            weights[k] += scale * d[n - DELAY - k]
        predicted[n] = y
        step = min(max(MEMORY * step + GAIN * ORDER * error * error / power, SMALLEST), LARGEST)
    return predicted


@functools.cache
def _compiled() -> Callable[..., np.ndarray]:
    import numba  # takes a second

    return numba.njit(_recursion, cache=False)
