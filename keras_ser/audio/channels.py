"""Mix channels to one: find which are live, whether they cancel, and their constant offset."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

SILENT_CHANNELS, CANCELLING, CONSTANT_OFFSET = "silent channels", "cancelling channels", "constant offset"

SILENT_DB = -80.0  # a channel this far below the loudest one is silent
CANCELLED_DB = -20.0  # a mix this far below its channels' mean energy has lost the signal
OFFSET = 0.01  # of full scale; the clips of EmoDB, RAVDESS, CREMA-D, ASED, LibriSpeech and SLR45 stay under 0.007
FRAME_SECONDS = 0.1  # an offset shifts the mean of every frame, low-pitched sounds only that of some
STEADY, FEWEST = 3.0, 3  # least ratio of an offset to the spread of the frames' means, and least number of frames


@dataclass(frozen=True)
class Mixing:
    """The way to mix the channels of a recording to one."""

    channels: int  # number of channels
    live: tuple[int, ...]  # indices of the channels that are averaged
    offset: float = 0.0  # subtracted from each sample of the average; 0 = none
    problems: tuple[str, ...] = ()  # any of "silent channels", "cancelling channels", "constant offset"

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Mix float32 (samples, channels) to float32 (samples,)."""
        if len(self.live) < samples.shape[1]:
            samples = samples[:, self.live]
        if samples.shape[1] == 1:
            mono = np.ascontiguousarray(samples[:, 0])
        else:
            mono = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
        return (mono - np.float64(self.offset)).astype(np.float32) if self.offset else mono


def survey(pieces: Iterable[np.ndarray], sample_rate: int) -> Mixing:
    """Decide how to mix the channels of a recording.

    The mix is the mean of the live channels: those whose peak-to-peak range is less than 80 dB below the largest one. If that mean
    loses more than 20 dB of the channels' mean energy, the mix is the first live channel alone. A constant offset of more than
    0.01 of full scale is subtracted; it must be steady over the whole frames (0.1 s) of each piece.

    Args:
        pieces: the recording in pieces, float32 (samples, channels) each, all finite.
        sample_rate: Hz.
    """
    size = max(1, round(FRAME_SECONDS * sample_rate))
    low, high, count, total, products, frames = np.inf, -np.inf, 0, 0.0, 0.0, []
    for samples in pieces:
        low, high = np.minimum(low, samples.min(axis=0)), np.maximum(high, samples.max(axis=0))
        count += len(samples)
        total = total + samples.sum(axis=0, dtype=np.float64)
        if samples.shape[1] > 1:
            exact = samples.astype(np.float64)
            products = products + exact.T @ exact
        if whole := len(samples) // size:
            cut = samples[: whole * size].reshape(whole, size, -1)
            frames.append(cut.mean(axis=1, dtype=np.float64))  # (frames, channels)
    peaks = high.astype(np.float64) - low
    live = np.flatnonzero(peaks > peaks.max() * 10 ** (SILENT_DB / 20))
    problems = [SILENT_CHANNELS] if 0 < live.size < peaks.size else []
    live = live if live.size else np.arange(peaks.size)
    mean = total / count  # (channels,)
    if live.size > 1:
        # (live, live): energies about the mean
        energy = (products / count - np.outer(mean, mean))[np.ix_(live, live)]
        if energy.mean() < energy.trace() / live.size * 10 ** (CANCELLED_DB / 10):
            problems.append(CANCELLING)
            live = live[:1]
    offset = _offset(mean[live].mean(), frames, live) if peaks.max() else 0.0
    problems += [CONSTANT_OFFSET] if offset else []
    return Mixing(peaks.size, tuple(map(int, live)), offset, tuple(problems))


def _offset(mean: float, frames: list[np.ndarray], live: np.ndarray) -> float:
    """Return the constant offset of the mix; 0 if its mean is small or varies over time."""
    if abs(mean) <= OFFSET or not frames:
        return 0.0
    means = np.concatenate(frames)[:, live].mean(axis=1)  # (frames,)
    return float(mean) if len(means) >= FEWEST and abs(mean) > STEADY * means.std() else 0.0
