"""Walk containers made of named and sized chunks, before a decoder that trusts the sizes reads them."""

import io
import os
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

MOST = 100_000  # chunks to walk; a file of empty chunks would take hours
HEAD = 24  # bytes of the longest chunk header


class DamagedError(Exception):
    """A container that contradicts itself; the message describes the fault, without naming the file."""


class Chunk(NamedTuple):
    """A chunk's name, the offset of its body and the body's size in bytes; -1: it extends to the end of the file."""

    name: bytes
    start: int
    size: int


class Layout(NamedTuple):
    """The arrangement of a container's chunks."""

    first: int  # offset of the first chunk in bytes
    # HEAD bytes -> name, bytes of the chunk's header, bytes of its body (-1: up to the end of the file)
    parse: Callable[[bytes], tuple[bytes, int, int]]
    align: int = 1  # chunks begin at multiples of this many bytes, counted from the first


def _box(head: bytes) -> tuple[bytes, int, int]:
    size, name = struct.unpack_from(">I4s", head)
    if size == 1:
        return name, 16, struct.unpack_from(">Q", head, 8)[0] - 16
    return name, 8, size - 8 if size else -1


LAYOUTS = {
    "WAV": Layout(12, lambda head: (head[:4], 8, struct.unpack_from("<I", head, 4)[0]), 2),
    "RIFX": Layout(12, lambda head: (head[:4], 8, struct.unpack_from(">I", head, 4)[0]), 2),
    "RF64": Layout(12, lambda head: (head[:4], 8, struct.unpack_from("<I", head, 4)[0]), 2),
    "AVI": Layout(0, lambda head: (head[:4], 8, struct.unpack_from("<I", head, 4)[0]), 2),
    "W64": Layout(40, lambda head: (head[:4], 24, struct.unpack_from("<Q", head, 16)[0] - 24), 8),
    "AIFF": Layout(12, lambda head: (head[:4], 8, struct.unpack_from(">I", head, 4)[0]), 2),
    "SVX": Layout(12, lambda head: (head[:4], 8, struct.unpack_from(">I", head, 4)[0]), 2),
    "CAF": Layout(8, lambda head: (head[:4], 12, struct.unpack_from(">q", head, 4)[0])),
    "VOC": Layout(26, lambda head: (head[:1], 4, int.from_bytes(head[1:4], "little"))),
    "MP4": Layout(0, _box),
    "ASF": Layout(0, lambda head: (head[:4], 24, struct.unpack_from("<Q", head, 16)[0] - 24)),
}
# Chunk names that show whether the padding byte after a chunk of odd size was omitted.
RIFF_NAMES = {
    name.encode() for name in ("fmt ", "data", "LIST", "fact", "bext", "cue ", "JUNK", "id3 ", "PEAK", "smpl", "iXML")
}


def length(raw: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return raw.seek(0, os.SEEK_END)


def walk_chunks(raw: BinaryIO, layout: Layout) -> Iterator[Chunk]:
    """Iterate over the chunks of an open file; the last one may promise more than the file holds.

    Raises DamagedError for a size below zero, or more than `MOST` chunks.
    """
    total, position = length(raw), layout.first
    for _ in range(MOST):
        raw.seek(position)
        head = raw.read(HEAD)
        if len(head) < 8:
            return
        try:
            name, own, size = layout.parse(head)
        except struct.error:  # the end of the file, or of the file's last chunk
            return
        if size < -1:
            raise DamagedError(f"its chunk {_shown(name)} has an impossible size")
        start = position + own
        yield Chunk(name, start, size)
        if size < 0:
            return
        position = start + size
        padding = -(position - layout.first) % layout.align
        # some writers omit the padding
        if padding and layout.first == 12:
            unpadded, padded = (_is_chunk(raw, position + more, layout, total) for more in (0, padding))
            padding = 0 if unpadded and not padded else padding
        position += padding
        if position >= total:
            return
    raise DamagedError(f"it holds more than {MOST} chunks")


def check_within(chunk: Chunk, total: int) -> None:
    """Raise DamagedError for a chunk that promises more than the file's `total` bytes."""
    if chunk.start + chunk.size > total:
        raise DamagedError(
            f"cut short: its header promises {chunk.size} bytes of {_shown(chunk.name)}, the file holds {total - chunk.start}"
        )


def _shown(name: bytes) -> str:
    text = name.decode("latin-1")
    return text.strip() if text.isascii() and text.isprintable() else repr(name)


def _is_chunk(raw: BinaryIO, position: int, layout: Layout, total: int) -> bool:
    """Return whether a chunk with a known name, or with a printable name and a size within the file, begins here."""
    raw.seek(position)
    head = raw.read(HEAD)
    if len(head) < 8:
        return False
    name, own, size = layout.parse(head)
    text = name.decode("latin-1")
    return name in RIFF_NAMES or (text.isascii() and text.isprintable() and position + own + size <= total)


class Spliced(io.RawIOBase):
    """The bytes `head`, then `size` bytes of the seekable file `raw` from `start`; closing it leaves `raw` open."""

    def __init__(self, head: bytes, raw: BinaryIO, start: int, size: int):
        self._head, self._raw, self._start = head, raw, start
        self._size, self._at = len(head) + size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        piece = self._head[self._at : self._at + wanted]
        if len(piece) < wanted:
            self._raw.seek(self._start + self._at + len(piece) - len(self._head))
            piece += self._raw.read(wanted - len(piece))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
