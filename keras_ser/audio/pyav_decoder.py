"""Decode soundtracks of video containers, and codecs that libsndfile lacks, with PyAV (extra `video`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.audio.header import AudioError, Info, check_rate, span

NEEDED = "needs PyAV"  # in the message where it is not installed
LACKING = 0.1  # share of its promised duration that a soundtrack may lack: containers round, and codecs delay


def soundtrack(
    path: Path, name: str, start: float | None, end: float | None, seconds: float
) -> Iterator[Info | np.ndarray]:
    """Decode a file's first audio track: yield an `Info`, then float32 (samples, channels) pieces at the file's own rate.

    Args:
        path: the file.
        name: name of its format, for messages.
        start, end: seconds; nothing after `end` is decoded.
        seconds: approximate duration of a piece.

    Raises:
        AudioError: PyAV is not installed; the file has no audio track, is corrupt or cut short; `start` or `end` lies outside.
    """
    av, container, stream = _open(path, name)
    with container:
        rate = stream.rate
        check_rate(path, rate)
        if stream.duration:
            promised = float(stream.duration * stream.time_base)
        else:
            promised = (container.duration or 0) / av.time_base
        yield Info(rate, stream.channels, promised, stream.codec_context.name)
        first = 0 if start is None else round(start * rate)
        last = None if end is None else max(round(end * rate), first + 1)
        # Only the sample format changes here; soxr changes the rate.
        planar = av.AudioResampler(format="fltp")
        waiting: list[np.ndarray] = []
        held = decoded = 0
        try:
            for frame in container.decode(stream):
                for part in planar.resample(frame):
                    samples = part.to_ndarray().T  # (samples, channels)
                    wanted = samples[max(0, first - decoded) : None if last is None else max(0, last - decoded)]
                    decoded += len(samples)
                    held += len(wanted)
                    waiting.append(wanted)
                if held >= seconds * rate:
                    yield np.ascontiguousarray(np.concatenate(waiting), np.float32)
                    waiting, held = [], 0
                if last is not None and decoded > last:
                    break
        except (av.FFmpegError, ValueError) as error:
            raise AudioError(f"{path}: corrupt after {decoded / max(rate, 1):.3f} s ({_reason(error)}).") from error
    if (last is None or decoded <= last) and decoded < (1 - LACKING) * promised * rate and name not in ESTIMATED:
        raise AudioError(
            f"{path}: cut short: the header promises {promised:.3f} s, {decoded / rate:.3f} s could be decoded."
        )
    span(path, decoded, rate, start, end)
    if held:
        yield np.ascontiguousarray(np.concatenate(waiting), np.float32)


# Streams whose duration FFmpeg estimates from their bit rate; `integrity` counts the frames of the first two.
ESTIMATED = ("AAC", "MPEG audio", "AC-3", "AMR", "MPEG program stream", "MPEG transport stream", "MPEG video")


def _open(path: Path, name: str) -> tuple[Any, Any, Any]:
    """Return PyAV, the open container, and its first audio stream."""
    try:
        import av
    except ImportError as error:
        raise AudioError(
            f"{path}: reading {name} {NEEDED}. Install it with: pip install keras-ser[video], or extract the audio as WAV: "
            f"ffmpeg -i {path.name} -vn {path.stem}{'-audio' * (path.suffix.lower() == '.wav')}.wav."
        ) from error
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioError(f"{path}: corrupt or not audio ({name}: {_reason(error)}).") from error
    if not container.streams.audio:
        container.close()
        raise AudioError(f"{path}: the file holds no audio track ({name}).")
    stream = container.streams.audio[0]
    if stream.codec_context is None or not stream.rate:
        container.close()
        raise AudioError(f"{path}: corrupt, or in a codec that FFmpeg does not support ({name}).")
    return av, container, stream


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
