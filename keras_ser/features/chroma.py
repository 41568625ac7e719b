"""The pitch classes in a power spectrum."""

from functools import lru_cache
from typing import Any

import numpy as np
from keras import ops

from keras_ser.errors import UserError

A0 = 27.5  # Hz


def semitones(bins: int, sample_rate: int) -> np.ndarray:
    """(bins,) int: the semitone over A0 (27.5 Hz) nearest to (k + 1) sample_rate / (2 bins), k = 0 .. bins - 1."""
    return np.round(12 * np.log2((np.arange(bins) + 1) * sample_rate / (2 * bins) / A0)).astype(int)


@lru_cache(maxsize=16)
def chroma_matrix(bins: int, sample_rate: int, compatible: bool = False) -> np.ndarray:
    """What each bin of a power spectrum adds to each of the 12 pitch classes A, A#, .. G#.

    1 for the class of the nearest semitone and 0 for the others. pyAudioAnalysis's keeps of all bins nearest to one
    semitone the last one only, and divides it by the number of bins that share the semitone of bin number s, where s
    is the semitone of the bin whose number is the semitone.

    Args:
        bins: of the spectrum, at (k + 1) sample_rate / (2 bins) Hz.
        sample_rate: Hz.
        compatible: pyAudioAnalysis's.

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
    """The pitch classes' parts of a frame's power.

    Args:
        power: (batch, frames, n) float32.
        matrix: (n, 12) of `chroma_matrix`.

    Returns:
        (batch, frames, 12) float32; 0 for silence.
    """
    total = ops.sum(power, axis=-1, keepdims=True)
    parts = ops.matmul(power, ops.convert_to_tensor(matrix, dtype="float32"))
    return parts / ops.where(total > 0, total, ops.ones_like(total))
