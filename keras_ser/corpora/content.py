"""The audio of a corpus as it lies on disk: decoded without resampling, hashed by what is heard, compared.

This is for checking, not for training: `keras_ser.audio` reads what a model hears.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance
from keras_ser.corpora.header import SLACK_SECONDS, promised_samples, slack_samples
from keras_ser.corpora.layout import VIDEO, is_lfs_pointer


class Probe(NamedTuple):
    """What a file's header says."""

    seconds: float
    sample_rate: int
    channels: int


def probe(path: str | Path) -> Probe:
    """Length, rate and channels of an audio file, or of a video's soundtrack, without decoding it where possible.

    Raises:
        CorpusError: the file cannot be read, or PyAV is missing for a video.
    """
    path = Path(path)
    if path.suffix.lower() in VIDEO:
        samples, rate = _video(path)
        return Probe(len(samples) / rate, rate, samples.shape[1])
    try:
        about = soundfile.info(path)
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    return Probe(about.frames / about.samplerate, about.samplerate, about.channels)


def decode(path: str | Path, start: float | None = None, end: float | None = None) -> tuple[np.ndarray, int]:
    """float32 (samples, channels) of a stretch of a file, as recorded, and the sample rate in Hz.

    Args:
        path: an audio file, or a video with a soundtrack.
        start, end: seconds; None = from the beginning, to the end.

    Raises:
        CorpusError: the file cannot be read, or PyAV is missing for a video.
    """
    path = Path(path)
    if path.suffix.lower() in VIDEO:
        samples, rate = _video(path)
        first, last = _frames(start, end, rate)
        return samples[first:last], rate
    try:
        with path.open("rb") as raw:
            promised = promised_samples(raw)
        with soundfile.SoundFile(path) as file:
            first, last = _frames(start, end, file.samplerate)
            if file.frames and (first >= file.frames or (last or 0) > file.frames + SLACK_SECONDS * file.samplerate):
                raise CorpusError(
                    f"expected times within {file.frames / file.samplerate:.3f} s of {path.name}. Received: start={start}, "
                    f"end={end}. Correct them."
                )
            file.seek(min(first, file.frames))
            count = max(0, (file.frames if last is None else min(last, file.frames)) - first)
            samples = file.read(count, dtype="float32", always_2d=True)
            lacking = promised > file.frames or len(samples) + slack_samples(file.subtype) < count
            if lacking:
                raise CorpusError(
                    f"expected {max(promised, count)} samples. Received: {path.name}, which breaks off after "
                    f"{min(file.frames, first + len(samples))}. Copy it again from the corpus."
                )
            return samples, file.samplerate
    except CorpusError:
        raise
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from error


def _frames(start: float | None, end: float | None, rate: int) -> tuple[int, int | None]:
    return round((start or 0.0) * rate), None if end is None else round(end * rate)


def _unreadable(path: Path, error: Exception) -> CorpusError:
    if is_lfs_pointer(path):
        return CorpusError(
            f"expected an audio file. Received: {path.name}, a Git LFS pointer, not audio. Run `git lfs pull`."
        )
    reason = str(error).splitlines()[-1] if str(error) else type(error).__name__
    return CorpusError(f"expected an audio file. Received: {path.name} ({reason}). Copy it again from the corpus.")


# One recording is often cut into many segments, one after the other; one decoded video is kept.
def _video(path: Path) -> tuple[np.ndarray, int]:
    """float32 (samples, channels) of a video's soundtrack, and its rate."""
    try:
        return _soundtrack(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise _unreadable(path, error) from error


@lru_cache(maxsize=1)
def _soundtrack(path: Path, changed: int) -> tuple[np.ndarray, int]:
    try:
        import av
    except ImportError as error:
        raise CorpusError(
            f"the soundtrack of {path.name} needs PyAV, which is not installed. Run `pip install keras-ser[video]`, or "
            "extract the sound beforehand: ffmpeg -i x.avi -vn x.wav."
        ) from error
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise CorpusError(f"expected a soundtrack. Received: {path.name}, which has none.")
            stream = container.streams.audio[0]
            layout, rate = stream.layout.name, stream.rate
            # One format for every codec: planar float32, at the stream's own rate and channels.
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
            parts = [part.to_ndarray() for frame in container.decode(stream) for part in resampler.resample(frame)]
            parts += [part.to_ndarray() for part in resampler.resample(None)]
            channels = stream.channels
    except CorpusError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    samples = np.concatenate(parts, axis=1).T if parts else np.zeros((0, channels), np.float32)
    return np.ascontiguousarray(samples, dtype=np.float32), rate


def content_hash(path: str | Path, start: float | None = None, end: float | None = None) -> str:
    """SHA-256 of the decoded samples, the rate and the number of channels: the same for a .wav and its .flac.

    Args:
        path: an audio file, or a video with a soundtrack.
        start, end: seconds; None = from the beginning, to the end.

    Raises:
        CorpusError: as `decode`.
    """
    return digest(*decode(path, start, end))


def digest(samples: np.ndarray, rate: int) -> str:
    """SHA-256 of samples (samples, channels), their rate and the number of channels."""
    told = f"{rate} {samples.shape[1]} ".encode()
    return hashlib.sha256(told + np.ascontiguousarray(samples, dtype="<f4").tobytes()).hexdigest()


def duplicates(corpus: Corpus, progress: Callable[[Iterable], Iterable] | None = None) -> list[tuple[str, ...]]:
    """Ids of utterances whose audio is the same sample by sample, in groups of two or more, by id.

    Only utterances of equal length are decoded. Files that cannot be read, and empty ones, are no one's duplicates.

    Args:
        corpus: what to look through.
        progress: wraps the sequence of utterances, e.g. `rich.progress.track`.
    """
    lengths: dict[tuple, list[Utterance]] = {}
    utterances = corpus.utterances
    for utterance in progress(utterances) if progress else utterances:
        try:
            about = probe(corpus.file(utterance))
        except CorpusError:
            continue
        first, last = _frames(utterance.start, utterance.end, about.sample_rate)
        total = round(about.seconds * about.sample_rate)
        count = max(0, (total if last is None else min(last, total)) - first)
        if count:
            lengths.setdefault((count, about.sample_rate, about.channels), []).append(utterance)
    found: dict[str, list[str]] = {}
    for group in lengths.values():
        for utterance in group if len(group) > 1 else ():
            try:
                key = content_hash(corpus.file(utterance), utterance.start, utterance.end)
            except CorpusError:
                continue
            found.setdefault(key, []).append(utterance.id)
    return same(found)


def same(found: Mapping[str, list[str]]) -> list[tuple[str, ...]]:
    """Hash -> ids, as the groups of two ids or more."""
    return sorted(tuple(sorted(ids)) for ids in found.values() if len(ids) > 1)
