"""Clips that the tests of this package share."""

from pathlib import Path

import numpy as np
import soundfile

from keras_ser.features import Frontend


def speech(shared_data: Path, corpus: str, count: int) -> list[np.ndarray]:
    """`count` clips spread over a corpus of real recordings at 16 kHz, float32."""
    files = sorted((shared_data / corpus).rglob("*.flac"))
    assert len(files) >= count
    found = []
    for path in files[:: len(files) // count][:count]:
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == 16000
        found.append(samples)
    return found


def speech_like(rng: np.random.Generator, samples: int, f0: float = 140.0) -> np.ndarray:
    """Harmonics of a gliding pitch with syllables, over weak noise."""
    t = np.arange(samples) / 16000
    phase = 2 * np.pi * (f0 * t + 20 * t**2)
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * t + 0.3), 0, None)
    return (0.1 * voice * syllables + 1e-3 * rng.standard_normal(samples)).astype(np.float32)


def batch(clips: list[np.ndarray], extra: int = 0, fill: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Clips of different lengths -> (batch, samples) padded with `fill`, and lengths."""
    length = np.array([len(clip) for clip in clips], np.int32)
    waveform = np.full((len(clips), length.max() + extra), fill, np.float32)
    for row, clip in zip(waveform, clips, strict=True):
        row[: len(clip)] = clip
    return waveform, length


def found_by(waveform, length=None, **options) -> np.ndarray:
    """The one feature of a `Frontend` without pre-emphasis and endpoint detection: (batch, frames, bins)."""
    frontend = Frontend(**{"preemphasis": 0.0, "endpoint": False, **options})
    (name,) = frontend.features
    return np.asarray(frontend(waveform, length)[name])


def close_to_peak(ours, theirs, tolerance: float = 1e-5) -> None:
    """Asserts that two arrays of one shape differ by at most `tolerance` of the second's peak."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()
