"""Read audio files of any format as mono float32 at one rate, or raise an error that names the file.

Training, `corpus check`, `predict` and the demo page all use this reader. Files are identified by content, the sizes in their
containers are compared with the file before decoding (`integrity`), and decoders have a time limit (`stream`).
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from keras_ser.audio.channels import Mixing, survey
from keras_ser.audio.formats import SOUNDFILE
from keras_ser.audio.header import AudioError, Info, span
from keras_ser.audio.stream import PIECE_SECONDS, by_soundfile, identified, open_stream, words
from keras_ser.audio.waveforms import Levels
from keras_ser.errors import UserError

LOUDEST = 2.0**32  # full scale is 1; floats may hold 32-bit integers, and the squares of far larger values overflow
KEPT_BYTES = 2**28  # the largest soundtrack that is kept for reading its next segment


def info(path: str | os.PathLike) -> Info:
    """Return sample rate, channels and duration from the header, without decoding.

    Raises:
        AudioError: the file is missing, empty, cut short or not audio.
    """
    with closing(open_stream(_existing(path), ahead=1)) as pieces:
        return next(pieces)


def duration(path: str | os.PathLike) -> float:
    """Return the duration of a file in seconds; the file is decoded only if its header does not state it.

    Raises:
        AudioError: the errors of `info`, and if the file is decoded those of `read_channels`.
    """
    if seconds := info(path).seconds:
        return seconds
    samples, rate = read_channels(path)
    return len(samples) / rate


def read_channels(
    path: str | os.PathLike, start: float | None = None, end: float | None = None
) -> tuple[np.ndarray, int]:
    """Read a file, or a part of it, like `read`, but without mixing and resampling.

    Returns:
        float32 (samples, channels), at least one sample, all finite; and the file's own sample rate in Hz.
    """
    path = _existing(path)
    if (start is not None and not start >= 0) or (end is not None and not end > (start or 0.0)):
        raise AudioError(f"{path}: expected 0 <= start < end. Received: start={start}, end={end}.")
    samples, rate = _cut(path, start, end)
    check_finite(path, samples)
    return samples, rate


def read(
    path: str | os.PathLike, sample_rate: int = 16000, start: float | None = None, end: float | None = None
) -> np.ndarray:
    """Read a file, or a part of it, as mono at a given sample rate.

    libsndfile decodes the formats it supports (WAV, FLAC, Ogg, MP3, AIFF, ..), PyAV (extra `video`) the soundtracks of video
    containers and other codecs. The format is identified by the file's first bytes, not its name. Resampling is soxr's "VHQ"; even
    a file of one sample gives one.

    Channels are averaged. Silent channels, whose peak is 80 dB or more below that of the loudest (an unused track), are left out.
    If channels cancel each other, so that the average loses more than 20 dB of their mean energy, the first one is used alone. A
    constant offset of more than 0.01 of full scale is subtracted. `problems` reports all three.

    Args:
        path: the file.
        sample_rate: sample rate of the result, Hz.
        start, end: seconds within the file; None = from the beginning, to the end. An `end` up to 10 ms beyond the
            last sample is taken as the last sample.

    Returns:
        float32 (samples,), at least one sample, all finite; silence is not an error (see `problems`).

    Raises:
        AudioError: the file is missing, corrupt, cut short, without samples or of an unknown format, or holds NaN or infinity;
            `start` or `end` lies outside it; or PyAV is needed and not installed.
        UserError: `sample_rate` is less than 1.
    """
    return _read(path, sample_rate, start, end)[0]


def read_with_problems(
    path: str | os.PathLike,
    sample_rate: int = 16000,
    start: float | None = None,
    end: float | None = None,
    reader: Callable[..., tuple[np.ndarray, int]] = read_channels,
) -> tuple[np.ndarray, list[str]]:
    """Return the waveform of `read` and its `problems`.

    Args:
        path, sample_rate, start, end: see `read`.
        reader: function that decodes the file, with the arguments and results of `read_channels`.

    Returns:
        The waveform, float32 (samples,), and its problems.
    """
    levels = Levels()
    waveform, mixing, rate = _read(path, sample_rate, start, end, reader, levels)
    return waveform, [*mixing.problems, *levels.problems(rate)]


def _read(
    path: str | os.PathLike,
    sample_rate: int,
    start: float | None,
    end: float | None,
    reader: Callable[..., tuple[np.ndarray, int]] = read_channels,
    levels: Levels | None = None,
) -> tuple[np.ndarray, Mixing, int]:
    """Return the waveform, how its channels were mixed, and the file's rate, at which the mix is added to `levels`."""
    if sample_rate < 1:
        raise UserError(f"`sample_rate` must be positive. Received: {sample_rate}.")
    samples, rate = reader(path, start, end)
    mixing = survey([samples], rate)
    waveform = mixing(samples)
    if levels:
        levels.add(waveform)  # resampling breaks the runs that clipping leaves
    if rate != sample_rate:
        resampled = soxr.resample(waveform, rate, sample_rate, quality="VHQ")
        # soxr rounds the length of a clip of one or two samples down to 0.
        waveform = resampled if resampled.size else waveform.mean(keepdims=True)
    return waveform, mixing, rate


def blocks(
    path: str | os.PathLike,
    sample_rate: int = 16000,
    seconds: float = 30.0,
    mixed: tuple[Mixing, int] | None = None,
    levels: Levels | None = None,
) -> Iterator[np.ndarray]:
    """Yield a file in float32 (samples,) pieces of about `seconds` each, in bounded memory; joined they equal the result of `read`.

    The file is decoded twice, since the mixing of its channels depends on the whole file, but once if `mixed`, the result of
    `mixing_of`, is given; `levels` are those of the mix at the file's own rate. The errors of `read` are raised before the first
    piece.
    """
    path = _existing(path)
    mixing, rate = mixed or mixing_of(path)
    resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="VHQ")
    pieces = open_stream(path, seconds=seconds)
    next(pieces)
    waiting, found = next(pieces), False
    while waiting is not None:
        following = next(pieces, None)
        waveform = mixing(waiting)
        if levels:
            levels.add(waveform)
        if rate != sample_rate:
            waveform = resampler.resample_chunk(waveform, last=following is None)
        if waveform.size:
            yield waveform
            found = True
        waiting = following
    if not found:  # one or two samples, of which soxr leaves none
        yield read(path, sample_rate)


def mixing_of(path: str | os.PathLike) -> tuple[Mixing, int]:
    """Return how `read` mixes the channels of a whole file, and the file's sample rate in Hz; memory is bounded."""
    path = _existing(path)
    pieces = open_stream(path)
    rate = next(pieces).sample_rate

    def sound() -> Iterator[np.ndarray]:
        for samples in pieces:
            check_finite(path, samples)
            yield samples

    return survey(sound(), rate), rate


def read_bytes(contents: BinaryIO) -> tuple[np.ndarray, int]:
    """Read an open file or `io.BytesIO` in any of libsndfile's formats; raises the errors of `read`.

    Returns:
        The mix, float32 (samples,), and its own sample rate in Hz.
    """
    name = Path("audio bytes")
    pieces = by_soundfile(name, contents, identified(name, contents), None, None, PIECE_SECONDS)
    try:
        rate, samples = next(pieces).sample_rate, np.concatenate(list(pieces))
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{name}: not readable ({words(error)}).") from error
    return survey([samples], rate)(samples), rate


def _existing(path: str | os.PathLike) -> Path:
    path = Path(path)
    try:
        found = path.stat()
        # opening a pipe would wait for its other end
        piped = not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode)
        if not piped:
            path.open("rb").close()
    except (FileNotFoundError, ValueError) as error:  # ValueError: a null character in the name
        raise AudioError(f"{path}: no such file.", "missing") from error
    except OSError as error:
        raise AudioError(f"{path}: can't be opened ({error.strerror}).") from error
    if piped:
        raise AudioError(f"{path}: expected a file. Received: a pipe or a device; write its contents to a file first.")
    if found.st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes).", "empty")
    return path


_kept: tuple[tuple, np.ndarray, int] | None = None  # the last soundtrack of which a part was read


def _cut(path: Path, start: float | None, end: float | None) -> tuple[np.ndarray, int]:
    """See `read_channels`. Recordings are often read segment by segment, so the last decoded soundtrack is kept."""
    global _kept
    found = path.stat()
    key = (path, found.st_mtime_ns, found.st_size)
    kept = _kept
    if kept is not None and kept[0] == key:
        first, last = span(path, len(kept[1]), kept[2], start, end)
        return kept[1][first:last], kept[2]
    with path.open("rb") as raw:
        kind = identified(path, raw)
    part = kind.decoder == SOUNDFILE or (start is None and end is None)
    pieces = open_stream(path, *((start, end) if part else (None, None)))
    rate, samples = next(pieces).sample_rate, list(pieces)
    whole = samples[0] if len(samples) == 1 else np.concatenate(samples)
    if part:
        return whole, rate
    if whole.nbytes <= KEPT_BYTES:
        _kept = (key, whole, rate)
    first, last = span(path, len(whole), rate, start, end)
    return whole[first:last], rate


def check_finite(path: Path, samples: np.ndarray) -> None:
    """Raise an AudioError that names `path` for samples that are NaN, infinite or beyond `LOUDEST`."""
    # comparisons with NaN are False
    wrong = ~(np.abs(samples) <= LOUDEST)
    if wrong.any():
        raise AudioError(
            f"{path}: {int(wrong.any(axis=-1).sum())} of {len(samples)} samples are NaN or infinite, or beyond {LOUDEST:.0e} of "
            "full scale.",
            "non-finite",
        )
