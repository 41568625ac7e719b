"""Mix channels to one: find which are live, whether they cancel, and their constant offset."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

SILENT_CHANNELS, CANCELLING, CONSTANT_OFFSET = "silent channels", "cancelling channels", "constant offset"

SILENT_DB = -80.0  # a channel this far under the loudest one is silent
CANCELLED_DB = -20.0  # a mix this far under its channels' mean energy has lost the signal
OFFSET = 0.01  # of full scale; the clips of EmoDB, RAVDESS, CREMA-D, ASED, LibriSpeech and SLR45 stay under 0.007
FRAME_SECONDS = 0.1  # an offset is the mean of every frame; the mean of low-pitched sounds comes and goes
STEADY, FEWEST = 3.0, 3  # how far above its spread over the frames an offset lies; and of how many frames


@dataclass(frozen=True)
class Mixing:
    """How the channels of a recording are mixed to one."""

    channels: int  # number of channels
    live: tuple[int, ...]  # indices of the channels that are averaged
    offset: float = 0.0  # subtracted from each sample of the average; 0 = none
    problems: tuple[str, ...] = ()  # any of "silent channels", "cancelling channels", "constant offset"

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """float32 (samples, channels) -> float32 (samples,)."""
        if len(self.live) < samples.shape[1]:
            samples = samples[:, self.live]
        if samples.shape[1] == 1:
            mono = np.ascontiguousarray(samples[:, 0])
        else:
            mono = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
        return (mono - np.float64(self.offset)).astype(np.float32) if self.offset else mono


@dataclass
class Survey:
    """Accumulate what `mixing` needs from the pieces of a recording of `sample_rate` Hz."""

    sample_rate: int
    _low: np.ndarray | None = field(default=None, repr=False)
    _high: np.ndarray | None = field(default=None, repr=False)
    _count: int = 0
    _sum: np.ndarray | float = 0.0  # (channels,)
    _products: np.ndarray | float = 0.0  # (channels, channels)
    _means: list[np.ndarray] = field(default_factory=list, repr=False)  # (frames, channels) each

    def add(self, samples: np.ndarray) -> None:
        """Add a piece, float32 (samples, channels), all finite; offsets are measured in its whole frames."""
        low, high = samples.min(axis=0), samples.max(axis=0)
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)
        self._count += len(samples)
        self._sum = self._sum + samples.sum(axis=0, dtype=np.float64)
        if samples.shape[1] > 1:
            exact = samples.astype(np.float64)
            self._products = self._products + exact.T @ exact
        size = max(1, round(FRAME_SECONDS * self.sample_rate))
        frames = len(samples) // size
        if frames:
            cut = samples[: frames * size].reshape(frames, size, -1)
            self._means.append(cut.mean(axis=1, dtype=np.float64))

    def mixing(self) -> Mixing:
        """Decide how to mix the channels, once all pieces are added.

        The mix is the mean of the live channels: those whose peak (about their middle, so that an offset is none) is not more
        than 80 dB under the loudest one's. Where it has lost more than 20 dB of the channels' mean energy, it is the first live
        channel alone. A constant offset of more than 0.01 of full scale is subtracted.
        """
        channels = len(self._low)
        peaks = self._high.astype(np.float64) - self._low
        live = np.flatnonzero(peaks > peaks.max() * 10 ** (SILENT_DB / 20))
        problems = []
        if 0 < live.size < channels:
            problems.append(SILENT_CHANNELS)
        live = live if live.size else np.arange(channels)
        mean = self._sum / self._count  # (channels,)
        if live.size > 1:
            # (live, live): energies about the mean
            energy = (self._products / self._count - np.outer(mean, mean))[np.ix_(live, live)]
            if energy.mean() < energy.trace() / live.size * 10 ** (CANCELLED_DB / 10):
                problems.append(CANCELLING)
                live = live[:1]
        offset = self._offset(mean[live].mean(), live) if peaks.max() else 0.0
        if offset:
            problems.append(CONSTANT_OFFSET)
        return Mixing(channels, tuple(map(int, live)), offset, tuple(problems))

    def _offset(self, mean: float, live: np.ndarray) -> float:
        if abs(mean) <= OFFSET or not self._means:
            return 0.0
        means = np.concatenate(self._means)[:, live].mean(axis=1)  # (frames,)
        return float(mean) if len(means) >= FEWEST and abs(mean) > STEADY * means.std() else 0.0


def survey(pieces: Iterable[np.ndarray], sample_rate: int) -> Mixing:
    """`Survey.mixing` of a recording's pieces, float32 (samples, channels) each."""
    seen = Survey(sample_rate)
    for samples in pieces:
        seen.add(samples)
    return seen.mixing()
