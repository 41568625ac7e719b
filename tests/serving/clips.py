"""Clips that the export's own checks do not use."""

import numpy as np

from tests.wavs import read, wav

RATE = 16000


def spoken(rng, seconds: float, rate: int = RATE) -> np.ndarray:
    """(samples,): syllables of a gliding voice, different in each clip, over some noise."""
    t = np.arange(max(1, round(seconds * rate))) / rate
    phase = 2 * np.pi * (rng.uniform(90, 300) * t + rng.uniform(-20, 20) * t**2)
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 9))
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(1, 5) * t + rng.uniform(0, 6)), 0, None)
    return rng.uniform(0.03, 0.25) * voice * syllables + rng.uniform(1e-4, 1e-2) * rng.standard_normal(len(t))


def files(waveforms, rate: int = RATE, subtype: str = "PCM_16") -> list[bytes]:
    return [wav(np.clip(x, -0.999, 0.999), rate, subtype) for x in waveforms]


def batch(contents: list[bytes], padding: float = 0.0) -> dict[str, np.ndarray]:
    """{"waveform" (batch, samples), "length" (batch,)} of files at the model's rate, read by libsndfile."""
    waveforms = [read(x) for x in contents]
    length = np.array([len(x) for x in waveforms], "int32")
    padded = np.full((len(length), length.max()), padding, "float32")
    for row, x in zip(padded, waveforms, strict=True):
        row[: len(x)] = x
    return {"waveform": padded, "length": length}
