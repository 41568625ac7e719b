"""Descriptors of a frame's energy and spectrum: one or two numbers each, or twelve pitch classes."""

from math import gcd
from typing import Any

import numpy as np
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.caching import cached_array
from keras_ser.features.framing import float_tensor, frame_count, frame_sums, pad_to_window
from keras_ser.features.spectrogram import root

BLOCKS, SHARE = 10, 0.9
A0 = 27.5  # Hz
# Guards divisions and logarithms. The value is pyAudioAnalysis's, since it determines the features of digital silence.
EPSILON = float(np.finfo(np.float64).eps)


def block_energies(waveform: Any, window: int = 400, hop: int = 160) -> Any:
    """Sum x^2 over equal blocks of each frame: (batch, samples) -> (batch, frames, BLOCKS) float32.

    A remainder at the end of the frame is ignored.
    """
    size = window // BLOCKS
    step = gcd(size, hop)
    sums = frame_sums(ops.square(pad_to_window(float_tensor(waveform), window)), size, step)
    # The remainder of the last frame holds further sums, at which no frame begins.
    span = (BLOCKS - 1) * size // step + 1
    sums = ops.extract_sequences(sums, span, hop // step)[..., :: size // step]
    return sums[:, : frame_count(ops.shape(waveform)[1], window, hop)]


def block_sums(energy: Any) -> Any:
    """Sum equal blocks, ignoring a remainder: (batch, frames, n) -> (batch, frames, BLOCKS), static n."""
    size = energy.shape[-1] // BLOCKS
    return ops.sum(ops.reshape(energy[..., : BLOCKS * size], (*ops.shape(energy)[:2], BLOCKS, size)), axis=-1)


def entropy(parts: Any, total: Any = None) -> Any:
    """Return the entropy -sum_j s_j lb s_j in bits, with s_j the shares of `parts` in `total`.

    Args:
        parts: (batch, frames, blocks), not negative.
        total: (batch, frames). Default: the sum of the parts.

    Returns:
        (batch, frames) in [0, lb blocks]; 0 for silence.
    """
    total = ops.sum(parts, axis=-1) if total is None else total
    shares = parts / (total[..., None] + EPSILON)
    return -ops.sum(shares * ops.log(shares + EPSILON), axis=-1) / float(np.log(2.0))


def centroid_and_spread(magnitude: Any, frequencies: Any) -> tuple[Any, Any]:
    """Return mean and standard deviation of the frequencies, weighted by the magnitude.

    Args:
        magnitude: (batch, frames, n).
        frequencies: (n,), in any unit.

    Returns:
        Centroid and spread, each (batch, frames) in the unit of the frequencies; 0 for silence.
    """
    frequencies = ops.convert_to_tensor(frequencies, dtype="float32")
    total = ops.sum(magnitude, axis=-1)
    total = ops.where(total > 0, total, ops.ones_like(total))
    centroid = ops.sum(magnitude * frequencies, axis=-1) / total
    variance = ops.sum(magnitude * ops.square(frequencies - centroid[..., None]), axis=-1) / total
    return centroid, root(variance)


def spectral_flux(magnitude: Any) -> Any:
    """Return the squared distance of the shares X_k / sum X from those of the previous frame; 0 for a clip's first frame.

    (batch, frames, n) -> (batch, frames) in [0, 2].
    """
    bins = magnitude.shape[-1]
    shares = magnitude / (ops.sum(magnitude, axis=-1, keepdims=True) + bins * EPSILON)
    return ops.pad(ops.sum(ops.square(shares[:, 1:] - shares[:, :-1]), axis=-1), ((0, 0), (1, 0)))


def rolloff_bin(power: Any) -> Any:
    """Return the first bin up to which (inclusive) more than `SHARE` of the power lies: (batch, frames, n) -> (batch, frames)."""
    threshold = SHARE * ops.sum(power, axis=-1, keepdims=True)
    below = ops.cumsum(power, axis=-1) + EPSILON <= threshold
    return ops.sum(ops.cast(below, "float32"), axis=-1)


def semitones(bins: int, sample_rate: int) -> np.ndarray:
    """Return the semitone above A0 (27.5 Hz) nearest to (k + 1) sample_rate / (2 bins) Hz, k = 0 .. bins - 1: (bins,) int."""
    return np.round(12 * np.log2((np.arange(bins) + 1) * sample_rate / (2 * bins) / A0)).astype(int)


@cached_array
def chroma_matrix(bins: int, sample_rate: int, compatible: bool = False) -> np.ndarray:
    """Return the weight of each bin k of a power spectrum, at (k + 1) sample_rate / (2 bins) Hz, in each pitch class A, A#, .. G#.

    The weight is 1 for the class of the nearest semitone and 0 for the others. With `compatible` it is that of pyAudioAnalysis:
    of the bins nearest to semitone s only the last one counts, divided by the number of bins that share the semitone of bin r,
    where r is the semitone of bin s.

    Returns:
        (bins, 12) float32.

    Raises:
        UserError: `compatible`, and a semitone is not less than the number of bins.
    """
    nearest = semitones(bins, sample_rate)
    if not compatible:
        return np.equal.outer(nearest % 12, np.arange(12)).astype(np.float32)
    if nearest.max() >= bins:
        raise UserError(
            f"pyAudioAnalysis's chroma needs a window of more than {2 * nearest.max()} samples at {sample_rate} Hz. "
            f"Received: a window of {bins} bins in half a spectrum. Take a longer window, or `compatible=False`."
        )
    sharing = np.array([np.sum(nearest == semitone) for semitone in nearest])
    kept = np.zeros((bins, bins))  # (semitone, bin); a negative semitone counts from the end
    for k, semitone in enumerate(nearest):
        kept[semitone] = 0.0
        kept[semitone, k] = 1.0
    kept /= sharing[nearest][:, None]
    folded = np.zeros((12, bins))
    np.add.at(folded, np.arange(bins) % 12, kept)
    return folded.T.astype(np.float32)


def chroma(power: Any, matrix: Any) -> Any:
    """Return the shares of the pitch classes: (batch, frames, n) power, (n, 12) matrix -> (batch, frames, 12); 0 for silence."""
    total = ops.sum(power, axis=-1, keepdims=True)
    parts = ops.matmul(power, ops.convert_to_tensor(matrix, dtype="float32"))
    return parts / ops.where(total > 0, total, ops.ones_like(total))
