"""Reading audio files: any format to mono float32 at one rate, or an error that names the file."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from keras_ser.audio.containers import VIDEO, open_container, read_container
from keras_ser.audio.errors import AudioError
from keras_ser.corpora.header import SLACK_SECONDS, promised_samples, slack_samples
from keras_ser.errors import UserError

SOUNDFILE = {f".{name.lower()}" for name in soundfile.available_formats()} | {".aif", ".oga", ".opus"}
UNIMPLEMENTED = 18  # libsndfile: a format it knows with a codec it does not have
LOUDEST = 2.0**32  # full scale is 1; floats may hold integers of 32 bits, and the squares of far larger ones overflow


@dataclass(frozen=True)
class Info:
    """What a file's header says.

    Args:
        sample_rate: Hz.
        channels: number of channels.
        seconds: duration; 0 where the header does not tell.
        subtype: libsndfile's name of the encoding ("PCM_16", "FLOAT", ..), or FFmpeg's codec ("aac").
    """

    sample_rate: int
    channels: int
    seconds: float
    subtype: str


def info(path: str | os.PathLike) -> Info:
    """Rate, channels and duration from the header, without decoding.

    Raises:
        AudioError: the file is missing, empty or not audio.
    """
    path = _existing(path)
    if path.suffix.lower() not in VIDEO:
        try:
            found = soundfile.info(_name(path))
            return Info(found.samplerate, found.channels, found.frames / found.samplerate, found.subtype)
        except soundfile.LibsndfileError as error:
            _raise_unless_foreign(path, error)
    av, container, stream = open_container(path)
    with container:
        if stream.duration:
            seconds = float(stream.duration * stream.time_base)
        else:
            seconds = (container.duration or 0) / av.time_base
        return Info(stream.rate, stream.channels, seconds, stream.codec_context.name)


def read(
    path: str | os.PathLike, sample_rate: int = 16000, start: float | None = None, end: float | None = None
) -> np.ndarray:
    """Reads a file, or a stretch of it, as mono at the rate asked for.

    libsndfile decodes what it can (WAV, FLAC, OGG, MP3, AIFF, ..), PyAV (extra `video`) the soundtracks of video
    containers and other codecs. Channels are averaged. Resampling is soxr's "VHQ"; a file of one sample gives one.

    Args:
        path: the file.
        sample_rate: Hz of the result.
        start, end: seconds within the file; None = from the beginning, to the end. An `end` up to 10 ms beyond the
            last sample is taken as the last sample.

    Returns:
        float32 (samples,), at least one sample, all finite; silence is not an error (see `problems`).

    Raises:
        AudioError: the file is missing, corrupt, cut short, without samples, or holds NaN or infinity; `start` or
            `end` lie outside; PyAV is needed and not installed.
    """
    path = _existing(path)
    if sample_rate < 1:
        raise UserError(f"`sample_rate` must be positive. Received: {sample_rate}.")
    if (start is not None and not start >= 0) or (end is not None and not end > (start or 0.0)):
        raise AudioError(f"{path}: expected 0 <= start < end. Received: start={start}, end={end}.")
    if path.suffix.lower() in VIDEO:
        waveform, rate = _read_foreign(path, start, end)
    else:
        with path.open("rb") as raw:
            promised = promised_samples(raw)
        try:
            with soundfile.SoundFile(_name(path)) as file:
                waveform, rate = _read_soundfile(path, file, promised, start, end)
        except soundfile.LibsndfileError as error:
            _raise_unless_foreign(path, error)
            waveform, rate = _read_foreign(path, start, end)
    _check_finite(path, waveform)
    if rate == sample_rate:
        return waveform
    resampled = soxr.resample(waveform, rate, sample_rate, quality="VHQ")
    # soxr rounds the length of a clip of one or two samples down to nothing.
    return resampled if resampled.size else waveform.mean(keepdims=True)


def blocks(path: str | os.PathLike, sample_rate: int = 16000, seconds: float = 30.0) -> Iterator[np.ndarray]:
    """Reads a file piece by piece, so that the memory does not grow with its length: together, what `read` gives.

    Soundtracks of video containers are decoded whole first.

    Args:
        path: the file.
        sample_rate: Hz of the result.
        seconds: of a piece, about.

    Yields:
        float32 (samples,), mono, all finite.

    Raises:
        AudioError: as `read`; damage is found where it lies, after the pieces before it.
    """
    path = _existing(path)
    foreign = path.suffix.lower() in VIDEO
    if not foreign:
        try:
            soundfile.info(_name(path))
        except soundfile.LibsndfileError as error:
            _raise_unless_foreign(path, error)
            foreign = True
    if foreign:
        whole, step = read(path, sample_rate), max(1, round(seconds * sample_rate))
        yield from (whole[start : start + step] for start in range(0, len(whole), step))
        return
    with path.open("rb") as raw:
        promised = promised_samples(raw)
    with soundfile.SoundFile(_name(path)) as file:
        rate, frames = file.samplerate, file.frames
        if promised > frames or frames <= 0:
            # the same words as `read`
            _read_soundfile(path, file, promised, None, None)
        resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="VHQ")
        done = 0
        while done < frames:
            wanted = min(frames - done, max(1, round(seconds * rate)))
            try:
                waveform = _decoded(path, file, wanted)
            except soundfile.LibsndfileError as error:
                raise AudioError(f"{path}: corrupt: {_reason(error)}, after {done / rate:.1f} s.") from error
            _check_finite(path, waveform)
            done += wanted
            piece = waveform if rate == sample_rate else resampler.resample_chunk(waveform, last=done >= frames)
            if piece.size:
                yield piece


def read_bytes(contents: BinaryIO) -> tuple[np.ndarray, int]:
    """An open file or `io.BytesIO` in any of libsndfile's formats -> (float32 (samples,), its own rate in Hz).

    Raises:
        AudioError: as `read`, naming "audio bytes".
    """
    name = Path("audio bytes")
    promised = promised_samples(contents)
    contents.seek(0)
    try:
        with soundfile.SoundFile(contents) as file:
            return _read_soundfile(name, file, promised, None, None)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{name}: not readable ({_reason(error)}).") from error


def find_audio(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """The files that are named, and all audio and video files below the folders that are named, sorted.

    Raises:
        ValueError: a path that is not there, or a folder without any.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            known = SOUNDFILE | VIDEO
            below = sorted(p for p in path.rglob("*") if p.suffix.lower() in known and not p.name.startswith("."))
            if not below:
                raise UserError(f"expected audio files below {path}, found none.")
            found += below
        elif not path.exists():
            raise UserError(f"expected a file or a folder. Received: {path}, where there is none.")
        else:
            found.append(path)
    return found


def _existing(path: str | os.PathLike) -> Path:
    path = Path(path)
    try:
        found = path.stat()
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise AudioError(f"{path}: no such file.") from error
    except OSError as error:
        raise AudioError(f"{path}: can't be opened ({error.strerror}).") from error
    if found.st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes).")
    return path


def _name(path: Path) -> str | bytes:
    """What libsndfile is to open: where names are bytes, any of them, be it text or not."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def _reason(error: soundfile.LibsndfileError) -> str:
    if error.code == 7:  # what libmpg123 makes of any file it can't parse: "File does not exist or ..."
        return "no valid MPEG audio in it"
    return error.error_string.strip().rstrip(".")


def _raise_unless_foreign(path: Path, error: soundfile.LibsndfileError) -> None:
    """Passes only where FFmpeg may do better: it finds "audio" in random bytes, so corrupt files must not reach it."""
    if path.suffix.lower() in SOUNDFILE and error.code != UNIMPLEMENTED:
        raise AudioError(f"{path}: corrupt or not audio ({_reason(error)}).") from error


def _span(path: Path, frames: int, rate: int, start: float | None, end: float | None) -> tuple[int, int]:
    """Seconds -> (first sample, one past the last); checks that they lie within the file."""
    if frames <= 0:
        raise AudioError(f"{path}: the file holds no samples.")
    first = 0 if start is None else round(start * rate)
    last = frames if end is None else round(end * rate)
    if first >= frames or last > frames + SLACK_SECONDS * rate:
        raise AudioError(f"{path}: expected times within {frames / rate:.3f} s. Received: start={start}, end={end}.")
    return first, max(min(last, frames), first + 1)


def _read_foreign(path: Path, start: float | None, end: float | None) -> tuple[np.ndarray, int]:
    waveform, rate = read_container(path, until=None if end is None else end + SLACK_SECONDS)
    first, last = _span(path, len(waveform), rate, start, end)
    return np.ascontiguousarray(waveform[first:last], np.float32), rate


def _read_soundfile(path: Path, file: soundfile.SoundFile, promised: int, start: float | None, end: float | None):
    rate, frames = file.samplerate, file.frames
    if promised > frames:
        raise AudioError(f"{path}: cut short: the header promises {promised} samples, the file holds {frames}.")
    first, last = _span(path, frames, rate, start, end)
    if first:
        file.seek(first)
    return _decoded(path, file, last - first), rate


def _decoded(path: Path, file: soundfile.SoundFile, wanted: int) -> np.ndarray:
    """The next samples of an open file, channels averaged: float32 (samples,)."""
    # libsndfile returns what it could decode, and the rest of a damaged file is missing without an error.
    waveform = file.read(wanted, dtype="float32", always_2d=True)  # (samples, channels)
    if len(waveform) + slack_samples(file.subtype) < wanted or not len(waveform):
        raise AudioError(f"{path}: cut short or corrupt: {wanted} samples expected, {len(waveform)} decoded.")
    mono = waveform[:, 0] if waveform.shape[1] == 1 else waveform.mean(axis=1, dtype=np.float64).astype(np.float32)
    return np.ascontiguousarray(mono)


def _check_finite(path: Path, waveform: np.ndarray) -> None:
    # a comparison with NaN is False
    if count := int(waveform.size - (np.abs(waveform) <= LOUDEST).sum()):
        raise AudioError(
            f"{path}: {count} of {waveform.size} samples are NaN or infinite, or beyond {LOUDEST:.0e} of full scale."
        )
