"""WAV files made byte by byte, so that they can be wrong in one place."""

import io
import struct

import numpy as np
import soundfile

EXTENSIBLE = 0xFFFE
GUID = bytes.fromhex("0000000010 00800000aa00389b71")  # what follows the format's tag in an extensible header


def chunk(name: bytes, contents: bytes, size: int | None = None) -> bytes:
    """A chunk with its pad byte; `size` is what its header says instead of the truth."""
    said = len(contents) if size is None else size
    return name + struct.pack("<I", said) + contents + b"\0" * (len(contents) % 2)


def form(tag: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16, align: int | None = None) -> bytes:
    align = channels * bits // 8 if align is None else align
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * align % 2**32, align, bits))


def extensible(tag: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16) -> bytes:
    align = channels * bits // 8
    head = struct.pack("<HHIIHH", EXTENSIBLE, channels, rate, rate * align, align, bits)
    return chunk(b"fmt ", head + struct.pack("<HHIH", 22, bits, 0, tag) + GUID)


def riff(*chunks: bytes) -> bytes:
    inside = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(inside) & 0xFFFFFFFF) + inside


def pcm16(waveform: np.ndarray) -> bytes:
    return np.round(np.asarray(waveform) * 32767).astype("<i2").tobytes()


def wav(waveform: np.ndarray, rate: int = 16000, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    """(samples,) or (samples, channels) as libsndfile writes it."""
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format=kind, subtype=subtype)
    return file.getvalue()


def read(contents: bytes) -> np.ndarray:
    """(samples,) float64, channels averaged, as libsndfile reads it."""
    return soundfile.read(io.BytesIO(contents), always_2d=True)[0].mean(axis=1)


def lying_list() -> bytes:
    """A whole WAV in whose LIST chunk a smaller chunk promises 4 GB: libsndfile searches it for ever."""
    return riff(
        form(), chunk(b"LIST", b"INFO" + struct.pack("<4sI", b"XXXX", 0xFFFFFFF8) + b"INFO"), chunk(b"data", bytes(4))
    )
