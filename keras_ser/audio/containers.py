"""The soundtracks of video containers, and codecs that libsndfile does not have, by PyAV (extra `video`)."""

import struct
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.audio.errors import AudioError

VIDEO = {".aac", ".avi", ".m4a", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wma", ".wmv"}


def open_container(path: Path) -> tuple[Any, Any, Any]:
    """PyAV, the open container, and its first audio stream.

    Raises:
        AudioError: PyAV is not installed; the file is not audio, or has no audio track.
    """
    try:
        import av
    except ImportError as error:
        raise AudioError(
            f"{path}: reading this format needs PyAV. Install it by: pip install keras-ser[video], "
            "or extract the audio as WAV."
        ) from error
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise AudioError(f"{path}: corrupt or not audio ({str(error).splitlines()[0]}).") from error
    if not container.streams.audio:
        container.close()
        raise AudioError(f"{path}: the file holds no audio track.")
    return av, container, container.streams.audio[0]


def read_container(path: Path, until: float | None = None) -> tuple[np.ndarray, int]:
    """The soundtrack, channels averaged.

    Args:
        path: the file.
        until: seconds; what lies further behind need not be decoded. None: everything.

    Returns:
        (samples,) at the soundtrack's own rate, and this rate in Hz.

    Raises:
        AudioError: as `open_container`; corrupt or cut short.
    """
    av, container, stream = open_container(path)
    _check_riff(path)
    pieces, decoded = [np.zeros(0, np.float32)], 0
    with container:
        # Only the sample format changes here; the rate is soxr's business.
        planar = av.AudioResampler(format="fltp")
        rate = stream.rate
        expected = float(stream.duration * stream.time_base) if stream.duration else 0.0
        wanted = None if until is None else round(until * rate)
        try:
            for frame in container.decode(stream):
                for piece in planar.resample(frame):
                    pieces.append(piece.to_ndarray().mean(axis=0))  # (channels, samples) -> (samples,)
                    decoded += pieces[-1].size
                if wanted is not None and decoded > wanted:
                    break
        except (av.FFmpegError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise AudioError(f"{path}: corrupt after {decoded / rate:.3f} s ({reason}).") from error
    whole = wanted is None or decoded <= wanted
    if whole and decoded < 0.9 * expected * rate:
        raise AudioError(
            f"{path}: cut short: the header promises {expected:.3f} s, {decoded / rate:.3f} s could be decoded."
        )
    return np.concatenate(pieces), rate


def _check_riff(path: Path) -> None:
    """FFmpeg reads half an .avi as a shorter one; its header knows better."""
    with path.open("rb") as raw:
        head = raw.read(8)
    promised = struct.unpack("<I", head[4:])[0] if head[:4] == b"RIFF" and len(head) == 8 else 0
    if path.stat().st_size < promised < 0xFFFFFF00:
        raise AudioError(f"{path}: cut short: the header promises {promised + 8} bytes.")
