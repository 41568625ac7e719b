"""Wavelet shrinkage followed by an adaptive line enhancer."""

import functools
from collections.abc import Callable
from math import log, sqrt

import numpy as np

from keras_ser.audio.denoise.checks import check_rate, checked
from keras_ser.errors import UserError

# median |x| of a unit Gaussian
MEDIAN_DEVIATION = 0.6745


def wavelet_lms(
    waveform: np.ndarray,
    sample_rate: int = 16000,
    wavelet: str = "db8",
    levels: int | None = None,
    threshold: float = 0.3,
    quiet: float = 0.1,
    order: int = 16,
    delay: int = 1,
    memory: float = 0.97,
    gain: float = 0.01,
    smallest: float = 0.01,
    largest: float = 0.3,
) -> np.ndarray:
    """`wavelet_shrinkage`, then `line_enhancer` on what it leaves, as ASP-MTL's reference [26].

    The second stage costs more than it brings where the speech is louder than the noise: what no filter predicts of
    the voice is lost with the noise. `wavelet_shrinkage` is there alone as well.

    Args:
        waveform: (samples,), noisy speech.
        sample_rate: Hz.
        wavelet, levels, threshold, quiet: of `wavelet_shrinkage`.
        order, delay, memory, gain, smallest, largest: of `line_enhancer`.

    Returns:
        float32 (samples,).

    Raises:
        ValueError: as the two stages, or PyWavelets is not installed.
    """
    shrunk = wavelet_shrinkage(waveform, sample_rate, wavelet, levels, threshold, quiet)
    return line_enhancer(shrunk, order, delay, memory, gain, smallest, largest)


def wavelet_shrinkage(
    waveform: np.ndarray,
    sample_rate: int = 16000,
    wavelet: str = "db8",
    levels: int | None = None,
    threshold: float = 0.3,
    quiet: float = 0.1,
) -> np.ndarray:
    """Soft threshold on all wavelet coefficients, for every level j (and the approximation) by the noise found in it.

        c_j <- sign(c_j) max(|c_j| - lambda_j, 0), lambda_j = threshold sigma_j sqrt(2 ln samples),
        sigma_j = median |c_j| / 0.6745 over the quiet stretches

    The references take the median over the whole signal and threshold = 1, the universal threshold. In speech, which
    fills more than half of the coefficients of its own bands, that median is the voice's, and little is left. So the
    level is cut into blocks of 0.1 s, sigma_j comes from the `quiet` quantile of their medians, and the threshold's
    default is what served the signal-to-noise ratio of EmoDB clips in four noises.

    Args:
        waveform: (samples,); a stretch of digital silence in it passes for the noise.
        sample_rate: Hz.
        wavelet: a discrete wavelet of PyWavelets.
        levels: at least 1; None = as many as leave the approximation what lies under about 125 Hz. Cut to what the
            length allows; a waveform too short for one level is returned as it is.
        threshold: not negative; 0 returns the input.
        quiet: in [0, 1]; 0.5 is close to the median over the whole signal.

    Returns:
        float32 (samples,).

    Raises:
        ValueError: arguments out of range, a waveform that is empty, not one-dimensional or not finite, or PyWavelets
            is not installed.

    Reference:
        D. Donoho, "De-noising by soft-thresholding", IEEE Trans. Information Theory 41 (1995); a sigma for each level:
        I. Johnstone, B. Silverman, "Wavelet threshold estimators for data with correlated noise", JRSS B 59 (1997).
    """
    x = checked("waveform", waveform)
    check_rate(sample_rate)
    levels = max(1, round(np.log2(sample_rate / 250))) if levels is None else levels
    if levels < 1 or not 0 <= threshold < np.inf or not 0 <= quiet <= 1:
        raise UserError(
            "expected levels >= 1, threshold >= 0 and 0 <= quiet <= 1. "
            f"Received: levels={levels}, threshold={threshold}, quiet={quiet}."
        )
    try:
        import pywt
    except ImportError as error:
        raise UserError('wavelets need PyWavelets: pip install "keras-ser[denoise]".') from error
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise UserError(f"`wavelet` must be a discrete wavelet of PyWavelets, like 'db8'. Received: {wavelet!r}.")
    levels = min(levels, pywt.dwt_max_level(x.size, wavelet))
    peak = np.abs(x).max()
    if levels == 0 or peak == 0:
        return x.astype(np.float32)
    coefficients = pywt.wavedec(x / peak, wavelet, mode="symmetric", level=levels)
    universal = sqrt(2 * log(x.size))
    for level, c in zip([levels, *range(levels, 0, -1)], coefficients, strict=True):
        block = max(1, round(0.1 * sample_rate / 2**level))
        whole = c[: c.size // block * block] if c.size >= block else c
        medians = np.median(np.abs(whole).reshape(-1, min(block, c.size)), axis=1)
        limit = threshold * universal * np.quantile(medians, quiet) / MEDIAN_DEVIATION
        c[:] = np.sign(c) * np.maximum(np.abs(c) - limit, 0.0)
    # The inverse of an odd length is a sample longer.
    shrunk = pywt.waverec(coefficients, wavelet, mode="symmetric")[: x.size]
    return (peak * shrunk).astype(np.float32)


def line_enhancer(
    waveform: np.ndarray,
    order: int = 16,
    delay: int = 1,
    memory: float = 0.97,
    gain: float = 0.01,
    smallest: float = 0.01,
    largest: float = 0.3,
) -> np.ndarray:
    """An adaptive line enhancer: what an LMS filter of variable step can predict of a signal from its past.

    With d the waveform, x(n) = [d(n - delay) .. d(n - delay - order + 1)], zeros before the beginning, and w(0) = 0:

        y(n) = w(n)^T x(n), the output
        e(n) = d(n) - y(n)
        w(n + 1) = w(n) + mu(n) e(n) x(n) / (delta + |x(n)|^2)
        mu(n + 1) = memory mu(n) + gain e(n)^2 / ((delta + |x(n)|^2) / order), kept in [smallest, largest]

    The step grows with the error, as in the reference; it is divided by the power of x, which makes it independent of
    the level and, for `largest` < 2, stable. delta = order times a hundredth of the waveform's mean square.

    Args:
        waveform: d, (samples,).
        order: taps, at least 1.
        delay: samples, at least 1; noise is removed where it is uncorrelated at this lag and beyond.
        memory: in [0, 1).
        gain: not negative; 0 with `smallest` = `largest` is the normalised LMS algorithm.
        smallest, largest: bounds of mu, 0 < smallest <= largest < 2; it starts at `largest`.

    Returns:
        y, float32 (samples,).

    Raises:
        ValueError: arguments out of range, or a waveform that is empty, not one-dimensional or not finite.

    Reference:
        R. Kwong, E. Johnston, "A variable step size LMS algorithm", IEEE Trans. Signal Processing 40 (1992).
        B. Widrow et al., "Adaptive noise cancelling: principles and applications", Proc. IEEE 63 (1975).
    """
    x = checked("waveform", waveform)
    if order < 1 or delay < 1:
        raise UserError(f"`order` and `delay` must be at least 1. Received: order={order}, delay={delay}.")
    if not (0 <= memory < 1 and 0 <= gain < np.inf and 0 < smallest <= largest < 2):
        raise UserError(
            "expected 0 <= memory < 1, gain >= 0 and 0 < smallest <= largest < 2. "
            f"Received: memory={memory}, gain={gain}, smallest={smallest}, largest={largest}."
        )
    peak = np.abs(x).max()
    if peak == 0:
        return x.astype(np.float32)
    return (peak * _compiled()(x / peak, order, delay, memory, gain, smallest, largest)).astype(np.float32)


def _recursion(d, order, delay, memory, gain, smallest, largest):
    """`line_enhancer` sample by sample, in a form that Numba compiles."""
    weights = np.zeros(order)
    predicted = np.zeros(d.size)
    floor = 0.01 * order * np.mean(d * d)
    step = largest
    for n in range(d.size):
        taps = min(order, max(0, n - delay + 1))
        power, y = floor, 0.0
        for k in range(taps):
            x = d[n - delay - k]
            power += x * x
            y += weights[k] * x
        error = d[n] - y
        scale = step * error / power
        for k in range(taps):
            weights[k] += scale * d[n - delay - k]
        predicted[n] = y
        step = min(max(memory * step + gain * order * error * error / power, smallest), largest)
    return predicted


@functools.cache
def _compiled() -> Callable[..., np.ndarray]:
    import numba  # a second to import

    return numba.njit(_recursion, cache=False)
