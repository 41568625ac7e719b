"""Zero-crossing rate, short-time energy, and pitch by YIN."""

from math import ceil, floor
from typing import Any

import numpy as np
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.framing import (
    check_counts,
    float_tensor,
    frame,
    frame_count,
    frame_sums,
    pad_to_window,
    sums_of_changes,
)
from keras_ser.features.spectrogram import decibels

# As in librosa.zero_crossings with this threshold: smaller values count as zero, and zero as positive. It is a third of the
# smallest step of 16 bits, and -100 dB, the floor of `decibels`: only residues of resampled digital silence are smaller.
ZERO = 1e-5
# Frames of a clip that `yin` processes at a time; the largest static number of frames that it processes at once instead.
BLOCK, MOST_FRAMES = 64, 320
THRESHOLD = 0.1  # of YIN's d'


def zero_crossing_rate(waveform: Any, window: int = 400, hop: int = 160) -> Any:
    """Return the number of sign changes between neighbours within each frame, divided by the frame's samples.

    Equals `librosa.feature.zero_crossing_rate(center=False, threshold=1e-5)`: samples below -100 dB are silence.

    Args:
        waveform: (batch, samples) float.
        window, hop: samples.

    Returns:
        (batch, frames) float32 in [0, 1).
    """
    negative = pad_to_window(float_tensor(waveform), window) < -ZERO
    changes = ops.cast(ops.not_equal(negative[:, 1:], negative[:, :-1]), "float32")
    return sums_of_changes(changes, window, hop) / window


def short_time_energy(waveform: Any, window: int = 400, hop: int = 160) -> Any:
    """Return the mean square of each frame in decibels re full scale 1, with the floor of `decibels`.

    Args:
        waveform: (batch, samples) float.
        window, hop: samples.

    Returns:
        (batch, frames) float32, at least -100.
    """
    return decibels(frame_sums(ops.square(float_tensor(waveform)), window, hop) / window)


def yin_lags(sample_rate: int, fmin: float, fmax: float) -> tuple[int, int]:
    """Return the shortest and the longest period that `yin` searches, in samples."""
    return floor(sample_rate / fmax), ceil(sample_rate / fmin)


def yin_span(sample_rate: int, fmin: float) -> int:
    """Return the number of samples, centred on a frame, that `yin` uses: four times the longest period."""
    return 4 * ceil(sample_rate / fmin)


def autocorrelation(frames: Any, lags: int) -> Any:
    """Return r(tau) = sum_j x[j] x[j + tau], tau = 0 .. lags < span, by Fourier transform; x is 0 beyond the frame.

    (batch, frames, span) -> (batch, frames, lags + 1) float32.
    """
    size = fast_size(frames.shape[-1] + lags)
    real, imaginary = ops.rfft(frames, fft_length=size)
    power = ops.square(real) + ops.square(imaginary)
    return ops.irfft((power, ops.zeros_like(power)), fft_length=size)[..., : lags + 1]


def yin(
    waveform: Any,
    sample_rate: int = 16000,
    window: int = 400,
    hop: int = 160,
    fmin: float = 65.0,
    fmax: float = 500.0,
) -> tuple[Any, Any]:
    """Estimate pitch by YIN, and the aperiodicity of each frame at the estimated period.

    With x the `yin_span` samples around a frame's centre t hop + window / 2, zero-padded beyond the clip, minus their mean:

        d(tau)  = sum_{j < span} (x[j] - x[j + tau])^2, x[j] = 0 for j >= span            (eq. 6)
        d'(tau) = d(tau) / ((1 / tau) sum_{i = 1 .. tau} d(i))                             (eq. 8)
        period  = the first dip of d' under 0.1, else its deepest point, refined by a parabola
        aperiodicity = sum_{j < span - tau} (x[j] - x[j + tau])^2 / sum_{j < span - tau} (x[j]^2 + x[j + tau]^2)

    Zeros beyond the span, as in `librosa.yin` since 0.11, increase d with tau and thus favour the shortest of several
    periods; the paper (and earlier librosa) compares a fixed number of samples. The aperiodicity only uses samples
    inside the span: it is 0 for a periodic signal of any pitch, and 1 for silence and where d' has no dip.

    Args:
        waveform: (batch, samples) float, 0 beyond each clip.
        sample_rate: Hz.
        window, hop: samples; they place the frames as those of the other features.
        fmin, fmax: range of the search, Hz.

    Returns:
        f0 (batch, frames) float32 in [fmin, fmax], Hz, even if unvoiced; and aperiodicity (batch, frames) float32 in [0, 1].

    Reference:
        A. de Cheveigne, H. Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 111 (2002).
    """
    shortest, longest = yin_lags(sample_rate, fmin, fmax)
    span = yin_span(sample_rate, fmin)
    x = pad_to_window(float_tensor(waveform), window)
    count = frame_count(ops.shape(x)[1], window, hop)
    left, skip = max(span // 2 - window // 2, 0), max(window // 2 - span // 2, 0)
    x = ops.pad(x, ((0, 0), (left, span)))[:, skip:]
    arguments = (sample_rate, shortest, longest, fmin, fmax)
    if isinstance(count, int) and count <= MOST_FRAMES:
        return yin_of_frames(frame(x, span, hop)[:, :count], *arguments)

    # (batch, blocks, samples): a frame's `span` is far longer than its hop, so frames are cut for a few blocks at a time only
    x = ops.pad(x, ((0, 0), (0, BLOCK * hop)))
    x = frame(x, (BLOCK - 1) * hop + span, BLOCK * hop)[:, : -(-count // BLOCK)]
    blocks = ops.shape(x)[1]

    def block(samples):
        return ops.stack([pair[0] for pair in yin_of_frames(frame(samples[None], span, hop), *arguments)], axis=-1)

    found = ops.map(block, ops.reshape(x, (-1, x.shape[-1])))  # (batch blocks, BLOCK, 2)
    found = ops.reshape(found, (-1, blocks * BLOCK, 2))[:, :count]
    return found[..., 0], found[..., 1]


def yin_of_frames(x: Any, sample_rate: int, shortest: int, longest: int, fmin: float, fmax: float) -> tuple[Any, Any]:
    """Run `yin` on frames (batch, frames, span); `shortest` and `longest` are periods in samples."""
    # One lag more, so that the longest period has a neighbour on either side.
    lags = longest + 1
    x = x - ops.mean(x, axis=-1, keepdims=True)
    correlation = autocorrelation(x, lags)[..., 1:]  # (batch, frames, lags) for tau = 1 .. lags
    square = ops.square(x)
    energy = ops.sum(square, axis=-1, keepdims=True)
    head = ops.cumsum(square[..., :lags], axis=-1)
    # Covers the rounding error of float32: d' of silence becomes 1 instead of a ratio of rounding errors.
    nothing = 1e-6 * energy + 1e-9
    difference = ops.maximum(2.0 * (energy - correlation) - head, 0.0)
    mean = ops.cumsum(difference, axis=-1) / np.arange(1, lags + 1, dtype=np.float32)
    curve = (difference + nothing) / (mean + nothing)

    low, here, high = (curve[..., i : i + longest - shortest + 1] for i in (shortest - 2, shortest - 1, shortest))
    dip = ops.logical_and(ops.logical_and(here < low, here <= high), here < THRESHOLD)
    first = ops.argmax(ops.cast(dip, "float32"), axis=-1)
    chosen = ops.cast(ops.where(ops.any(dip, axis=-1), first, ops.argmin(here, axis=-1)), "int32")
    at = ops.cast(ops.equal(ops.arange(longest - shortest + 1, dtype="int32"), chosen[..., None]), "float32")

    def pick(values):
        return ops.sum(values * at, axis=-1)  # (batch, frames)

    low, here, high = pick(low), pick(here), pick(high)
    bend, slope = low + high - 2.0 * here, (low - high) / 2.0
    inside = ops.abs(slope) < ops.abs(bend)
    shift = ops.where(inside, slope / ops.where(inside, bend, ops.ones_like(bend)), ops.zeros_like(bend))
    f0 = ops.clip(sample_rate / (ops.cast(chosen, "float32") + float(shortest) + shift), fmin, fmax)

    # The energy of the overlap at the chosen lag: twice the total, minus the samples before its start and after its end.
    lag = chosen[..., None] + shortest
    outside = ops.arange(lags, dtype="int32") < lag
    ends = square[..., :lags] + ops.flip(square[..., -lags:], axis=-1)
    overlap = 2.0 * energy[..., 0] - ops.sum(ops.where(outside, ends, 0.0), axis=-1)
    agreement = 2.0 * pick(correlation[..., shortest - 1 : longest])
    nothing = nothing[..., 0]
    aperiodicity = ops.clip((overlap - agreement + nothing) / (overlap + nothing), 0.0, 1.0)
    # At an end of the range, the minimum of d' may be no dip but the slope of one outside, e.g. of low rumble at short lags.
    return f0, ops.where(ops.logical_and(here <= low, here <= high), aperiodicity, 1.0)


def fast_size(least: int) -> int:
    """Return the smallest of 2^a, 3 2^a and 5 2^a that is at least `least`: lengths at which Fourier transforms are fast."""
    power = 1 << max(least - 1, 1).bit_length()
    return next(size for size in (power * 5 // 8, power * 3 // 4, power) if size >= least)


def pitch_features(f0: Any, aperiodicity: Any, reference: float, voicing: float = 0.3) -> Any:
    """Convert pitch to inputs of a network.

    Args:
        f0: (batch, frames) Hz.
        aperiodicity: (batch, frames) in [0, 1].
        reference: Hz.
        voicing: a frame is voiced if its aperiodicity is below this.

    Returns:
        (batch, frames, 2) float32: log2(f0 / reference) in octaves where voiced, else 0; and 1 - aperiodicity.
    """
    octaves = ops.log(f0 / reference) / float(np.log(2.0))
    voiced = aperiodicity < voicing
    return ops.stack([ops.where(voiced, octaves, ops.zeros_like(octaves)), 1.0 - aperiodicity], axis=-1)


def check_pitch(sample_rate: int, fmin: float, fmax: float) -> None:
    """Raise UserError for a range in which `yin` cannot search."""
    check_counts(sample_rate=sample_rate)
    if not 0 < fmin < fmax <= sample_rate / 4:
        raise UserError(
            f"the pitch range must satisfy 0 < fmin < fmax <= {sample_rate / 4:g} Hz (a quarter of the sample rate). "
            f"Received: fmin={fmin}, fmax={fmax}."
        )
