"""Decode files piece by piece with libsndfile or PyAV, after comparing them with the sizes in their containers.

Decoders have a time limit, since C libraries may loop forever on a damaged file.
"""

import ctypes
import io
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import soundfile

from keras_ser.audio.chunks import DamagedError
from keras_ser.audio.formats import MPEG, SOUNDFILE, Format, identify, is_lfs_pointer, no_audio
from keras_ser.audio.header import AudioError, Info, check_rate, span
from keras_ser.audio.integrity import checked
from keras_ser.audio.pyav_decoder import soundtrack

UNIMPLEMENTED = (4, 18)  # error codes of libsndfile for a known format with a codec that it lacks
UNNAMED = Format("", SOUNDFILE)  # not identified by its first bytes
PIECE_SECONDS = 60.0  # decoded at a time
UNKNOWN = 2**62  # samples that libsndfile reports for a FLAC file whose header gives no length
MPEG_SLACK = 2 * 1152  # samples that decoders drop at the ends of MPEG audio, beyond what its header says
# A frame of MPEG audio may begin in earlier frames ("bit reservoir"), which libmpg123 does not decode again after a seek.
MPEG_LEAD_SECONDS = 1.0

LIMIT_SECONDS = 60.0  # to open a file, or to decode a minute of it: a hundred times as long as slow formats take
T = TypeVar("T")


class UnsuitedError(AudioError):
    """An undamaged file that soundfile cannot read."""


def open_stream(
    path: Path, start: float | None = None, end: float | None = None, seconds: float = PIECE_SECONDS, ahead: int = 3
) -> Iterator:
    """Yield an `Info`, then float32 (samples, channels) pieces, none of them empty.

    Args:
        path, start, end: as in `keras_ser.audio.read`; the file must exist.
        seconds: approximate duration of a piece.
        ahead: number of steps that share one time limit; a clip of one piece takes three.
    """
    steps = _unlimited(path, start, end, seconds)
    found: list = []
    while len(found) in (0, ahead):
        found = limited(path, lambda: list(itertools.islice(steps, ahead)))
        if not found:
            return
        yield from found


def _unlimited(path: Path, start: float | None, end: float | None, seconds: float) -> Iterator:
    with path.open("rb") as raw:
        kind = identified(path, raw)
        if kind.decoder == SOUNDFILE:
            try:
                yield from by_soundfile(path, raw, kind, start, end, seconds)
                return
            except UnsuitedError:
                pass
            except soundfile.LibsndfileError as error:
                # libsndfile rejects some complete Opus streams; `integrity` has checked that the stream is complete
                if error.code not in UNIMPLEMENTED and kind.name != "Ogg":
                    raise AudioError(f"{path}: corrupt or not audio ({_reason(error, kind)}).") from error
        else:
            _checked(path, raw, kind)
    yield from soundtrack(path, kind.name, start, end, seconds)


def identified(path: Path, raw: BinaryIO) -> Format:
    """Return the format of an open file; unknown formats are left to libsndfile."""
    kind = identify(raw, path.suffix)
    if kind is not None:
        return kind
    if is_lfs_pointer(raw):
        raise AudioError(f"{path}: a Git LFS pointer, not audio. Run `git lfs pull`.")
    if what := no_audio(raw):
        raise AudioError(f"{path}: corrupt or not audio ({what}).")
    # libsndfile knows some rare formats; FFmpeg finds "audio" in random bytes, so they must not reach it
    return UNNAMED


def _checked(path: Path, raw: BinaryIO, kind: Format) -> BinaryIO | None:
    try:
        return checked(raw, kind)
    except DamagedError as error:
        raise AudioError(f"{path}: {error} ({kind.name}).") from error


def by_soundfile(
    path: Path, raw: BinaryIO, kind: Format, start: float | None, end: float | None, seconds: float
) -> Iterator:
    source = _checked(path, raw, kind)
    if source is None:
        source = raw if isinstance(raw, io.BytesIO) else _descriptor(path, raw, kind)
    if not isinstance(source, (int, str, bytes)):
        source.seek(0)
    with soundfile.SoundFile(source) as file:
        rate, frames = file.samplerate, file.frames
        check_rate(path, rate)
        if frames >= UNKNOWN:
            raise UnsuitedError(f"{path}: its header does not state its length, and PyAV is needed to read it.")
        yield Info(rate, file.channels, frames / rate, file.subtype, 0 if "MPEG" in file.subtype else frames)
        first, last = span(path, frames, rate, start, end)
        lead = round(MPEG_LEAD_SECONDS * rate) if "MPEG" in file.subtype else 0
        wanted, done, step = last - first, 0, max(1, round(seconds * rate))
        while done < wanted:
            early = min(lead, first + done)
            if early or (first and not done):  # soundfile itself seeks after each piece
                file.seek(first + done - early)
            size = early + min(step, wanted - done)
            samples = file.read(size, dtype="float32", always_2d=True)[early:]  # (samples, channels)
            done += len(samples)
            if len(samples):
                yield samples
            # libsndfile returns what it could decode; the rest of a damaged file is missing without an error.
            if len(samples) < step:
                break
        slack = MPEG_SLACK if "MPEG" in file.subtype else 0
        if done + slack < wanted or not done:
            raise AudioError(f"{path}: cut short or corrupt: {wanted} samples expected, {done} decoded.")


def _descriptor(path: Path, raw: BinaryIO, kind: Format) -> int | str | bytes:
    """Return what libsndfile opens: a descriptor, which it closes. Given a name, it and soundfile would trust the suffix."""
    if kind == MPEG and path.suffix.lower() in (".mp2", ".mp3"):  # only by name are frames after other bytes found
        return os.fsencode(path) if os.name == "posix" else str(path)
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def _reason(error: soundfile.LibsndfileError, kind: Format) -> str:
    if kind == UNNAMED:
        return "unknown format; add a header to raw samples: ffmpeg -f s16le -ar 16000 -ac 1 -i x.raw x.wav"
    return f"{kind.name}: {words(error)}"


def words(error: soundfile.LibsndfileError) -> str:
    """Return libsndfile's reason."""
    if error.code == 7:  # libmpg123's message for any file that it can't parse: "File does not exist or ..."
        return "no valid MPEG audio in it"
    return error.error_string.strip().rstrip(".")


def limited(path: Path, work: Callable[[], T]) -> T:
    """Run `work` in its own thread and abandon it after `LIMIT_SECONDS`.

    The caller waits in Python, where an interrupt (Ctrl+C) reaches it. An abandoned thread runs until the process ends, without
    keeping it alive. A child process would also contain a crash of the decoder, but would cost seconds of imports per
    reading thread and a pipe for all samples; `integrity` keeps known causes of crashes from the decoders.

    Raises:
        AudioError: it took longer than `LIMIT_SECONDS`.
        BaseException: any exception of `work`.
    """
    found: list[T] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name=f"decoding {path.name}", daemon=True).start()
    try:
        # not `join`: once it is interrupted, the thread counts as ended
        done.wait(LIMIT_SECONDS)
    finally:
        if not done.is_set():
            _keep_loaded()
    if raised:
        raise raised[0]
    if not found:
        raise AudioError(f"{path}: corrupt: it could not be decoded within {LIMIT_SECONDS:g} s.")
    return found[0]


def _keep_loaded() -> None:
    """Keep libsndfile loaded at exit, since an abandoned thread may still run in it."""
    library = getattr(soundfile, "_snd", None)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
