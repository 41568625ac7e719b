"""Problems, padding and hashes of waveforms."""

import hashlib
from collections.abc import Sequence

import numpy as np

from keras_ser.audio.channels import survey

FAR_BEYOND = 10.0  # times full scale: mixes and filters exceed it by less, integers written as floats by more
SHORTEST_SECONDS = 0.025  # the window of the usual front end


def problems(waveform: np.ndarray, sample_rate: int) -> list[str]:
    """List the problems of a waveform; an empty list if there are none.

    Args:
        waveform: (samples,); or (samples, channels) as from `read_channels`, which are mixed as in `read`.
        sample_rate: Hz.

    Returns:
        Any of "empty"; "non-finite"; "silent channels", "cancelling channels" and "constant offset" (see `read`); "silent" (all
        samples are equal); "clipped" (runs of at least three samples at a rail of at least 0.99 of full scale, in total longer than
        0.1 % of the clip); "far beyond full scale" (a peak above `FAR_BEYOND`: floats in units of integers?); "shorter than one
        window" (`SHORTEST_SECONDS`).
    """
    waveform = np.asarray(waveform)
    if waveform.size == 0:
        return ["empty"]
    if not np.isfinite(waveform).all():
        return ["non-finite"] + (["shorter than one window"] if len(waveform) < SHORTEST_SECONDS * sample_rate else [])
    samples = waveform[:, None] if waveform.ndim == 1 else waveform
    mixing = survey([samples], sample_rate)
    mono = waveform if waveform.ndim == 1 else mixing(samples)
    levels = Levels()
    levels.add(mono)
    return [*mixing.problems, *levels.problems(sample_rate)]


class Levels:
    """The levels of a mix that is added piece by piece: (samples,) each, finite, not empty."""

    def __init__(self):
        self.size, self.high, self.low = 0, -np.inf, np.inf
        self._flat = [0, 0]  # samples inside runs at the highest and at the lowest rail
        self._end = np.zeros(0, np.float32)  # the last two samples

    def add(self, piece: np.ndarray) -> None:
        joined = np.concatenate([self._end, piece])
        rails = max(self.high, piece.max()), min(self.low, piece.min())
        for i, (before, rail) in enumerate(zip((self.high, self.low), rails, strict=True)):
            self._flat[i] = (self._flat[i] if rail == before else 0) + _flat(joined, rail)
        self.high, self.low = rails
        self.size, self._end = self.size + len(piece), joined[-2:]

    def problems(self, sample_rate: int) -> list[str]:
        """List the `problems` of all pieces together."""
        found = []
        if self.low == self.high:
            found.append("silent")
        # Clipping leaves runs at both of its rails; the rails of 16 bits are -1 and 32767/32768.
        elif sum(self._flat) > max(2, 1e-3 * self.size):
            found.append("clipped")
        if max(self.high, -self.low) > FAR_BEYOND:
            found.append("far beyond full scale")
        if self.size < SHORTEST_SECONDS * sample_rate:
            found.append("shorter than one window")
        return found


def pad(waveforms: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Stack waveforms (samples,) as a zero-padded array (batch, samples) float32, with their lengths (batch,) int32.

    Example:
        >>> padded, lengths = pad([[0.5, 0.25, 0.125], [1.0]])
        >>> padded.tolist(), lengths.tolist()
        ([[0.5, 0.25, 0.125], [1.0, 0.0, 0.0]], [3, 1])
    """
    lengths = np.array([len(x) for x in waveforms], np.int32)
    padded = np.zeros((len(waveforms), lengths.max()), np.float32)
    for row, x in zip(padded, waveforms, strict=True):
        row[: len(x)] = x
    return padded, lengths


def content_hash(waveform: np.ndarray) -> str:
    """Return the SHA-1 of the decoded samples: equal for copies of the same audio under any name or lossless format."""
    samples = np.ascontiguousarray(waveform, "<f4") + np.float32(0)  # -0.0 and 0.0 are the same sample
    return hashlib.sha1(samples.tobytes()).hexdigest()


def _flat(waveform: np.ndarray, rail: float) -> int:
    """Count the samples that are at a rail between two others that are."""
    if abs(rail) < 0.99:
        return 0
    at = waveform == rail
    return int((at[:-2] & at[1:-1] & at[2:]).sum())
