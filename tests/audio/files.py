"""Audio files of bytes, for what no library writes."""

import struct

import numpy as np


def riff(*chunks: tuple[bytes, bytes], pad: bool = True, order: str = "<") -> bytes:
    """A WAV of these chunks; of an odd size with a byte of padding, unless `pad` is off."""
    body = b"WAVE"
    for name, data in chunks:
        body += name + struct.pack(order + "I", len(data)) + data + (b"\0" if pad and len(data) % 2 else b"")
    return (b"RIFF" if order == "<" else b"RIFX") + struct.pack(order + "I", len(body)) + body


def form(rate: int = 16000, channels: int = 1) -> tuple[bytes, bytes]:
    """The "fmt " chunk of 16-bit samples."""
    return b"fmt ", struct.pack("<HHIIHH", 1, channels, rate, 2 * channels * rate, 2 * channels, 16)


def pcm(samples) -> bytes:
    """float (samples,) or (samples, channels) -> 16-bit little-endian bytes."""
    return np.rint(np.asarray(samples) * 32767).astype("<i2").tobytes()


def lying_list() -> bytes:
    """A whole WAV in whose LIST chunk a smaller chunk promises 4 GB: libsndfile searches it for ever."""
    lie = b"INFOXXXX" + struct.pack("<I", 0xFFFFFFF8) + b"INFO"
    return riff(form(), (b"LIST", lie), (b"data", bytes(4)))
