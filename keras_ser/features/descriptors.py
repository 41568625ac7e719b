"""Descriptors of a frame's energy and spectrum: one or two numbers each, or twelve pitch classes."""

from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.framing import float_tensor, frame_count, frame_sums, pad_to_window
from keras_ser.features.spectrogram import root

BLOCKS, SHARE = 10, 0.9
A0 = 27.5  # Hz
# Guards the divisions and logarithms; pyAudioAnalysis's, which shows where a clip holds digital silence.
EPSILON = float(np.finfo(np.float64).eps)


def block_energies(waveform: Any, window: int = 400, hop: int = 160, blocks: int = BLOCKS) -> Any:
    """(batch, samples) -> (batch, frames, blocks) float32: sum x^2 over equal blocks of each frame.

    A remainder at the frame's end is in no block.
    """
    size = window // blocks
    step = gcd(size, hop)
    sums = frame_sums(ops.square(pad_to_window(float_tensor(waveform), window)), size, step)
    # The last frame's remainder holds further sums, of which no frame begins.
    span = (blocks - 1) * size // step + 1
    sums = ops.extract_sequences(sums, span, hop // step)[..., :: size // step]
    return sums[:, : frame_count(ops.shape(waveform)[1], window, hop)]


def block_sums(energy: Any, blocks: int = BLOCKS) -> Any:
    """(batch, frames, n) -> (batch, frames, blocks), static n: the sums of equal blocks, without a remainder."""
    size = energy.shape[-1] // blocks
    return ops.sum(ops.reshape(energy[..., : blocks * size], (*ops.shape(energy)[:2], blocks, size)), axis=-1)


def entropy(parts: Any, total: Any = None) -> Any:
    """-sum_j s_j lb s_j, bits, of the shares s_j of `parts` in `total`.

    Args:
        parts: (batch, frames, blocks) of at least 0.
        total: (batch, frames). Default: the sum of the parts.

    Returns:
        (batch, frames) in [0, lb blocks]; 0 for silence.
    """
    total = ops.sum(parts, axis=-1) if total is None else total
    shares = parts / (total[..., None] + EPSILON)
    return -ops.sum(shares * ops.log(shares + EPSILON), axis=-1) / float(np.log(2.0))


def centroid_and_spread(magnitude: Any, frequencies: Any) -> tuple[Any, Any]:
    """Mean and deviation of (n,) `frequencies`, weighted by (batch, frames, n) `magnitude`.

    Returns:
        two (batch, frames) in the unit of the frequencies; 0 for silence.
    """
    frequencies = ops.convert_to_tensor(frequencies, dtype="float32")
    total = ops.sum(magnitude, axis=-1)
    total = ops.where(total > 0, total, ops.ones_like(total))
    centroid = ops.sum(magnitude * frequencies, axis=-1) / total
    variance = ops.sum(magnitude * ops.square(frequencies - centroid[..., None]), axis=-1) / total
    return centroid, root(variance)


def spectral_flux(magnitude: Any) -> Any:
    """(batch, frames, n) -> (batch, frames) in [0, 2]: squared distance of the shares X_k / sum X from the frame before's.

    It is 0 for a clip's first frame.
    """
    bins = magnitude.shape[-1]
    shares = magnitude / (ops.sum(magnitude, axis=-1, keepdims=True) + bins * EPSILON)
    return ops.pad(ops.sum(ops.square(shares[:, 1:] - shares[:, :-1]), axis=-1), ((0, 0), (1, 0)))


def rolloff_bin(power: Any, share: float = SHARE) -> Any:
    """(batch, frames, n) -> (batch, frames): the first bin up to and with which lies more than `share` of the power, or 0."""
    threshold = share * ops.sum(power, axis=-1, keepdims=True)
    below = ops.cumsum(power, axis=-1) + EPSILON <= threshold
    return ops.sum(ops.cast(below, "float32"), axis=-1)


def semitones(bins: int, sample_rate: int) -> np.ndarray:
    """(bins,) int: the semitone over A0 (27.5 Hz) nearest to (k + 1) sample_rate / (2 bins), k = 0 .. bins - 1."""
    return np.round(12 * np.log2((np.arange(bins) + 1) * sample_rate / (2 * bins) / A0)).astype(int)


@lru_cache(maxsize=16)
def chroma_matrix(bins: int, sample_rate: int, compatible: bool = False) -> np.ndarray:
    """What each of `bins` of a power spectrum, at (k + 1) sample_rate / (2 bins) Hz, adds to each pitch class A, A#, .. G#.

    1 for the class of the nearest semitone and 0 for the others. pyAudioAnalysis's (`compatible`) keeps of all bins nearest to one
    semitone the last one only, and divides it by the number of bins that share the semitone of bin number s, where s
    is the semitone of the bin whose number is the semitone.

    Returns:
        (bins, 12) float32.

    Raises:
        UserError: for a spectrum that pyAudioAnalysis's has no room for.
    """
    nearest = semitones(bins, sample_rate)
    if not compatible:
        return np.equal.outer(nearest % 12, np.arange(12)).astype(np.float32)
    if nearest.max() >= bins:
        raise UserError(
            f"pyAudioAnalysis's chroma needs a window of more than {2 * nearest.max()} samples at {sample_rate} Hz. "
            f"Received: a window of half a spectrum of {bins} bins. Take a longer window, or `compatible=False`."
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
    """(batch, frames, n) power, (n, 12) matrix -> (batch, frames, 12): the parts of the pitch classes; 0 for silence."""
    total = ops.sum(power, axis=-1, keepdims=True)
    parts = ops.matmul(power, ops.convert_to_tensor(matrix, dtype="float32"))
    return parts / ops.where(total > 0, total, ops.ones_like(total))
