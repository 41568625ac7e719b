"""What the audio of a corpus tells about its clips: hashes of the decoded samples, and which clips are the same.

Files are read by `keras_ser.audio`, as in training.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from keras_ser.audio import AudioError, info, read_channels
from keras_ser.corpora.corpus import Corpus, Utterance


def content_hash(path: str | Path, start: float | None = None, end: float | None = None) -> str:
    """SHA-256 of the decoded samples, the rate and the number of channels: the same for a .wav and its .flac.

    Args:
        path: an audio file, or a video with a soundtrack.
        start, end: seconds; None = from the beginning, to the end.

    Raises:
        AudioError: as `keras_ser.audio.read_channels`.
    """
    return digest(*read_channels(path, start, end))


def digest(samples: np.ndarray, rate: int) -> str:
    """SHA-256 of samples (samples, channels), their rate and the number of channels."""
    told = f"{rate} {samples.shape[1]} ".encode()
    return hashlib.sha256(told + np.ascontiguousarray(samples, dtype="<f4").tobytes()).hexdigest()


def duplicates(corpus: Corpus, progress: Callable[[Iterable], Iterable] | None = None) -> list[tuple[str, ...]]:
    """Ids of utterances whose audio is the same sample by sample, in groups of two or more, by id.

    Only utterances of equal length are decoded, and those whose length their header does not tell. Files that cannot be read, and
    empty ones, are no one's duplicates.

    Args:
        corpus: what to look through.
        progress: wraps the sequence of utterances, e.g. `rich.progress.track`.
    """
    lengths: dict[tuple, list[Utterance]] = {}
    utterances = corpus.utterances
    for utterance in progress(utterances) if progress else utterances:
        try:
            key = _length(corpus.file(utterance), utterance.start, utterance.end)
        except AudioError:
            continue
        lengths.setdefault(key, []).append(utterance)
    found: dict[str, list[str]] = {}
    for group in lengths.values():
        for utterance in group if len(group) > 1 else ():
            try:
                key = content_hash(corpus.file(utterance), utterance.start, utterance.end)
            except AudioError:
                continue
            found.setdefault(key, []).append(utterance.id)
    return same(found)


def _length(path: Path, start: float | None, end: float | None) -> tuple[int, int, int]:
    """(samples, rate, channels) of a stretch of a file."""
    about = info(path)
    if not about.samples:
        samples, rate = read_channels(path, start, end)
        return len(samples), rate, samples.shape[1]
    first = round((start or 0.0) * about.sample_rate)
    last = about.samples if end is None else min(round(end * about.sample_rate), about.samples)
    return last - first, about.sample_rate, about.channels


def same(found: Mapping[str, list[str]]) -> list[tuple[str, ...]]:
    """Hash -> ids, as the groups of two ids or more."""
    return sorted(tuple(sorted(ids)) for ids in found.values() if len(ids) > 1)
