"""Spectral subtraction and its noise estimates."""

import functools

import numpy as np

from keras_ser.errors import UserError

WINDOW_SECONDS, HOP_SECONDS = 0.032, 0.008
SMOOTHING_SECONDS, SEARCH_SECONDS = 0.15, 1.5  # of `minimum_statistics`; cut to the length of the clip


def spectral_subtraction(
    waveform: np.ndarray,
    sample_rate: int = 16000,
    alpha: float = 2.0,
    beta: float = 0.5,
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """Denoise a waveform by spectral subtraction with a power exponent and a noise correction.

        |S(t, k)|^alpha = max(|Y(t, k)|^alpha - beta |N(t, k)|^alpha, 0), with the phase of Y

    Y is the short-time spectrum under the square root of a Hann window (32 ms every 8 ms). The same window weights the frames in
    the overlap-add, which is divided by the sum of the squared windows, so that beta = 0 returns the input.

    |N|^alpha is

    * the mean over the frames of `noise`, if given; else
    * the mean over the frames of the pause before the speech (see `leading_pause`), if it lasts at least 0.1 s; else
    * the estimate of `minimum_statistics`.

    alpha = 2 subtracts powers, alpha = 1 magnitudes. With alpha = 2, a bin that contains only Gaussian noise keeps e^-beta of its
    power, a little less after the overlap-add: with beta = 0.5 the signal-to-noise ratio rises by at most about 2.5 dB. A larger
    beta removes more noise, and more of the voice.

    Args:
        waveform: (samples,), real.
        sample_rate: Hz.
        alpha: exponent, > 0.
        beta: weight of the noise estimate, >= 0.
        noise: (samples,), noise alone at the same sample rate and level, at least 32 ms. Default: estimated from the waveform.

    Returns:
        float32 (samples,).

    Raises:
        UserError: a waveform or parameter outside these bounds.

    Reference:
        M. Berouti, R. Schwartz, J. Makhoul, "Enhancement of speech corrupted by acoustic noise", ICASSP 1979, for the
        exponent and the factor; their spectral floor is 0 here, as in ASP-MTL's reference [27].
    """
    x = checked("waveform", waveform)
    check_rate(sample_rate)
    window, hop = round(WINDOW_SECONDS * sample_rate), round(HOP_SECONDS * sample_rate)
    if not (np.isfinite(alpha) and alpha > 0 and np.isfinite(beta) and beta >= 0):
        raise UserError(f"expected alpha > 0 and beta >= 0. Received: alpha={alpha}, beta={beta}.")
    if hop < 1:
        raise UserError(f"`sample_rate` must be at least {0.5 / HOP_SECONDS:g} Hz. Received: {sample_rate}.")
    if noise is not None and len(noise := checked("noise", noise)) < window:
        raise UserError(f"`noise` must have at least {window} samples, one window. Received: {len(noise)}.")
    peak = np.abs(x).max()
    if x.size < window or peak == 0:
        return x.astype(np.float32)
    x = x / peak
    if noise is None:
        pause = leading_pause(x, sample_rate)
        noise = x[:pause] if pause >= max(window, 0.1 * sample_rate) else None
    else:
        noise = noise / peak

    # A window of zeros on either side, so that as many frames cover the first and the last sample as any other.
    rest = -(x.size + window) % hop
    spectrum = _spectra(np.pad(x, (window, window + rest)), window, hop)  # (frames, bins)
    magnitude = np.abs(spectrum)
    if noise is None:
        # Only frames that lie entirely within the waveform: the zeros around it are not a pause.
        inner = minimum_statistics(np.abs(_spectra(x, window, hop)) ** alpha, sample_rate, window, hop, alpha)
        first = -(-window // hop)
        nearest = np.clip(np.arange(len(spectrum)) - first, 0, len(inner) - 1)
        estimate = inner[nearest]
    else:
        estimate = np.mean(np.abs(_spectra(noise, window, hop)) ** alpha, axis=0)
    power = magnitude**alpha
    share = np.divide(np.maximum(power - beta * estimate, 0.0), power, out=np.zeros_like(power), where=power > 0)
    clean = _overlap_add(spectrum * share ** (1 / alpha), window, hop)[window : window + x.size]
    return (peak * clean).astype(np.float32)


def leading_pause(waveform: np.ndarray, sample_rate: int = 16000) -> int:
    """Return the number of samples before the speech in a waveform (samples,), by the front end's endpoint detection.

    This is the part of `keras_ser.features.detect_endpoints` that finds the beginning in a waveform of full scale, with its default
    thresholds, on frames of 25 ms every 10 ms: from the first frame whose energy exceeds half of the range between floor and peak
    (in dB), back through frames above a quarter of it, back through at most 25 unvoiced frames with many zero crossings,
    and 5 frames more. The pause is the part that the frames before this cover. It is 0 if the clip starts with speech, or if
    speech and pause cannot be told apart.
    """
    window, hop = round(0.025 * sample_rate), round(0.01 * sample_rate)
    if len(waveform) < window:
        return 0
    x = np.asarray(waveform, float)
    frames = np.lib.stride_tricks.sliding_window_view(x, window)[::hop]  # (frames, window)
    energy = 10 * np.log10(np.maximum(np.mean(frames**2, axis=1), 1e-10))
    crossings = np.mean(np.diff(frames < -1e-5, axis=1), axis=1) * (window - 1) / window
    peak, quiet = energy.max(), np.sort(energy)[int(np.float32(0.1) * np.float32(len(energy) - 1))]
    floor = max(quiet, peak - 60.0)
    if peak - floor < 6.0:
        return 0
    first = int(np.argmax(energy > floor + 0.5 * (peak - floor)))
    while first and energy[first - 1] > floor + 0.25 * (peak - floor):
        first -= 1
    still = crossings[energy <= quiet]
    rough = crossings > max(still.mean() + 2 * still.std(), 0.25)
    last = max(0, first - 25)
    while first > last and rough[first - 1]:
        first -= 1
    first = max(0, first - 5)
    return (first - 1) * hop + window if first else 0


def minimum_statistics(power: np.ndarray, sample_rate: int, window: int, hop: int, alpha: float = 2.0) -> np.ndarray:
    """Estimate the mean of |N|^alpha in each bin by the minimum of |Y|^alpha over time.

        N(t, k) = B min over 1.5 s around t of P(t, k), P the mean of |Y(t, k)|^alpha over 0.15 s

    The method relies on pauses of the speech in every bin. B corrects the bias of the minimum, which lies below the mean; it is
    measured on white noise. Unlike in the reference, the smoothing, the window and B do not vary with t and k, and the window
    looks ahead.

    Args:
        power: |Y|^alpha, (frames, bins).
        sample_rate: Hz.
        window, hop: samples.
        alpha: exponent of `power`.

    Returns:
        (frames, bins).

    Reference:
        R. Martin, "Noise power spectral density estimation based on optimal smoothing and minimum statistics", IEEE
        Trans. Speech and Audio Processing 9 (2001).
    """
    frames = len(power)
    smoothing = min(frames, max(1, round(SMOOTHING_SECONDS * sample_rate / hop)))
    search = min(frames - smoothing + 1, max(1, round(SEARCH_SECONDS * sample_rate / hop)))
    minimum = _minimum(power, smoothing, search)
    middle = np.arange(frames) - (smoothing + search - 1) // 2
    return minimum[np.clip(middle, 0, len(minimum) - 1)] * _bias(window, hop, alpha, smoothing, search)


def _window(window: int) -> np.ndarray:
    """Return the square root of the periodic Hann window."""
    return np.sin(np.pi * np.arange(window) / window)


def _spectra(x: np.ndarray, window: int, hop: int) -> np.ndarray:
    """(samples,) -> (frames, bins) complex."""
    frames = np.lib.stride_tricks.sliding_window_view(x, window)[::hop]
    return np.fft.rfft(frames * _window(window), axis=1)


def _overlap_add(spectra: np.ndarray, window: int, hop: int) -> np.ndarray:
    """(frames, bins) complex -> (samples,), the inverse of `_spectra` wherever a window is not 0."""
    shape = _window(window)
    frames = np.fft.irfft(spectra, window, axis=1) * shape
    total, weight = np.zeros((2, (len(frames) - 1) * hop + window))
    for t, frame in enumerate(frames):
        total[t * hop : t * hop + window] += frame
        weight[t * hop : t * hop + window] += shape**2
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)


def _minimum(power: np.ndarray, smoothing: int, search: int) -> np.ndarray:
    """Return the minimum over `search` of the means over `smoothing` frames: (frames - smoothing - search + 2, bins)."""
    from scipy.ndimage import minimum_filter1d

    total = np.cumsum(np.pad(power, ((1, 0), (0, 0))), axis=0)
    # Rounding may make differences of sums negative.
    means = np.maximum(total[smoothing:] - total[:-smoothing], 0.0) / smoothing
    first = search // 2
    return minimum_filter1d(means, search, axis=0, mode="nearest")[first : first + len(means) - search + 1]


@functools.lru_cache(maxsize=64)
def _bias(window: int, hop: int, alpha: float, smoothing: int, search: int) -> float:
    """Return the ratio of the mean of |N|^alpha to the mean of its minimum, for white noise."""
    if search == 1:
        return 1.0
    frames = smoothing + search + 500
    noise = np.random.default_rng(0).standard_normal((frames - 1) * hop + window)
    power = np.abs(_spectra(noise, window, hop)[:, 1:-1]) ** alpha
    return float(power.mean() / _minimum(power, smoothing, search).mean())


def checked(name: str, waveform: np.ndarray) -> np.ndarray:
    """Return the waveform as float64, or raise UserError."""
    x = np.asarray(waveform)
    if x.ndim != 1 or x.size == 0 or x.dtype.kind not in "fi":
        raise UserError(f"`{name}` must be real samples in one dimension. Received: {x.dtype} {x.shape}.")
    x = x.astype(np.float64)
    if bad := int(x.size - (np.abs(x) <= np.finfo(np.float32).max).sum()):
        raise UserError(f"`{name}` must be finite. Received: {bad} of {x.size} samples are NaN or infinite.")
    return x


def check_rate(sample_rate: int) -> None:
    if sample_rate < 1:
        raise UserError(f"`sample_rate` must be positive. Received: {sample_rate}.")
