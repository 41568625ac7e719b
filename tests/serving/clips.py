"""Clips that the gate has not seen."""

from pathlib import Path

import numpy as np
import soundfile

from tests.serving.wavs import read, wav

RATE = 16000


def spoken(rng, seconds: float, rate: int = RATE) -> np.ndarray:
    """(samples,): syllables of a gliding voice, each clip another, over some noise."""
    t = np.arange(max(1, round(seconds * rate))) / rate
    phase = 2 * np.pi * (rng.uniform(90, 300) * t + rng.uniform(-20, 20) * t**2)
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 9))
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(1, 5) * t + rng.uniform(0, 6)), 0, None)
    return rng.uniform(0.03, 0.25) * voice * syllables + rng.uniform(1e-4, 1e-2) * rng.standard_normal(len(t))


def recorded(shared_data: Path, count: int) -> list[np.ndarray]:
    """`count` real recordings at 16 kHz, spread over EmoDB."""
    files = sorted((shared_data / "emodb" / "wav").glob("*.flac"))
    assert len(files) >= count
    return [soundfile.read(path)[0] for path in files[5 :: len(files) // count][:count]]


def files(waveforms, rate: int = RATE, subtype: str = "PCM_16") -> list[bytes]:
    return [wav(np.clip(x, -0.999, 0.999), rate, subtype) for x in waveforms]


def batch(contents: list[bytes]) -> dict[str, np.ndarray]:
    """{"waveform" (batch, samples), "length" (batch,)} of files at the model's rate, read by libsndfile."""
    waveforms = [read(x) for x in contents]
    length = np.array([len(x) for x in waveforms], "int32")
    padded = np.zeros((len(length), length.max()), "float32")
    for row, x in zip(padded, waveforms, strict=True):
        row[: len(x)] = x
    return {"waveform": padded, "length": length}
