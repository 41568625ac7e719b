"""Compare a file with the sizes in its container before it is decoded, and replace a header that the decoder would misread.

libsndfile reads half a file as a shorter one and follows sizes beyond the end of the file; FFmpeg decodes what it finds.
"""

import io
import struct
from collections.abc import Callable
from typing import BinaryIO

from keras_ser.audio import mpeg
from keras_ser.audio.chunks import LAYOUTS, Chunk, DamagedError, Spliced, check_within, length, walk_chunks
from keras_ser.audio.formats import AAC, MPEG, Format, after_tags

# A program that writes to a pipe can't go back to fill in a size: it stays 0, (nearly) all ones, or half of that.
PIPED = 0x7FFFF000
FULL = 0xFFFFFFFF
OGG_PAGE = 27 + 255 + 255 * 255  # bytes of the longest page


def checked(raw: BinaryIO, kind: Format) -> BinaryIO | None:
    """Return the stream for libsndfile to read instead of an open file, or None for the file itself.

    Raises DamagedError if the file is cut short, or its sizes contradict each other.
    """
    try:
        return CHECKS[kind.name](raw, kind.name) if kind.name in CHECKS else None
    except (struct.error, IndexError) as error:
        raise DamagedError("its header is cut short") from error


def _wav(raw: BinaryIO, name: str) -> BinaryIO | None:
    total = length(raw)
    order = ">" if name == "RIFX" else "<"
    found: dict[bytes, Chunk] = {}
    others = False
    for chunk in walk_chunks(raw, LAYOUTS[name]):
        if chunk.name == b"data":
            found[b"data"] = chunk
            if chunk.size >= PIPED or chunk.size == 0:
                # what follows is not checked, so the decoder must not see it
                others = others or chunk.start + chunk.size < total
                break
            continue
        if b"data" not in found:
            check_within(chunk, total)
        if chunk.name == b"LIST" and chunk.size >= 12:
            # libsndfile would follow it for ever; later inner chunks are not checked, since padding often misplaces them by a byte
            (inner,) = struct.unpack_from(order + "I", _body(raw, chunk, 12), 8)
            if inner > chunk.size - 12:
                raise DamagedError(f"corrupt: its LIST chunk of {chunk.size} bytes contains one of {inner}")
        others = others or chunk.name not in (b"fmt ", b"fact", b"ds64")
        found.setdefault(chunk.name, chunk)
    if b"fmt " not in found or b"data" not in found:
        raise DamagedError("its header is cut short: it has no chunk of samples")
    form = _body(raw, found[b"fmt "], 65536)
    align = struct.unpack_from(order + "H", form, 12)[0]
    start, promised = found[b"data"].start, found[b"data"].size
    if name == "RF64" and promised == FULL and b"ds64" in found:
        promised = struct.unpack_from("<Q", _body(raw, found[b"ds64"], 28), 8)[0]
    elif promised >= PIPED and name != "RF64" and promised > total - start:
        promised = total - start
    elif promised == 0:
        raw.seek(4)
        written = struct.unpack(order + "I", raw.read(4))[0]
        # if the file size was filled in and reaches beyond this chunk, the chunk is empty and others follow
        promised = 0 if start < written + 8 < PIPED else total - start
    there = min(promised, total - start)
    if promised // max(align, 1) > there // max(align, 1):
        raise _cut(promised, there)
    if not others:
        return None
    fact = _chunk(order, b"fact", _body(raw, found[b"fact"], 64)) if b"fact" in found else b""
    head = _chunk(order, b"fmt ", form) + fact
    if there + len(head) + 12 < PIPED:
        riff = b"RIFX" if name == "RIFX" else b"RIFF"
        head = riff + struct.pack(order + "I", 4 + len(head) + 8 + there) + b"WAVE" + head + b"data"
        head += struct.pack(order + "I", there)
    else:
        sizes = struct.pack("<QQQI", 4 + 36 + len(head) + 8 + there, there, there // max(align, 1), 0)
        full = struct.pack("<I", FULL)
        head = b"".join([b"RF64", full, b"WAVE", _chunk("<", b"ds64", sizes), head, b"data", full])
    return Spliced(head, raw, start, there)


def _chunk(order: str, name: bytes, body: bytes) -> bytes:
    return name + struct.pack(order + "I", len(body)) + body + b"\0" * (len(body) % 2)


def _body(raw: BinaryIO, chunk: Chunk, most: int) -> bytes:
    raw.seek(chunk.start)
    return raw.read(min(chunk.size, most))


def _within(*names: bytes, all_of_them: bool = False) -> Callable:
    """Return a check that the chunks with these names (or all) lie within the file, and that at least one of them exists."""

    def check(raw: BinaryIO, name: str) -> None:
        total, seen = length(raw), False
        for chunk in walk_chunks(raw, LAYOUTS[name]):
            wanted = chunk.name in names
            if all_of_them or wanted or not seen:
                check_within(chunk, total)
            seen = seen or wanted
        if not seen:
            raise DamagedError(f"cut short: it has no chunk {' or '.join(repr(n.decode('latin-1')) for n in names)}")

    return check


def _whole(counts: Callable[[bytes], bool]) -> Callable:
    """Return a check that all chunks before the first whose name does not count lie within the file; 0 and piped sizes pass."""

    def check(raw: BinaryIO, name: str) -> None:
        total = length(raw)
        for chunk in walk_chunks(raw, LAYOUTS[name]):
            if not counts(chunk.name):
                return
            if 0 < chunk.size < PIPED:
                check_within(chunk, total)

    return check


def _aiff(raw: BinaryIO, name: str) -> None:
    total = length(raw)
    common = samples = None
    for chunk in walk_chunks(raw, LAYOUTS[name]):
        if samples is None:
            check_within(chunk, total)
        common = _body(raw, chunk, 26) if chunk.name == b"COMM" else common
        samples = chunk if chunk.name == b"SSND" else samples
    if common is None or samples is None:
        raise DamagedError("cut short: it has no chunk of samples")
    channels, frames, bits = struct.unpack_from(">HIH", common)
    plain = len(common) < 22 or common[18:22] in (b"NONE", b"twos", b"sowt")
    promised = frames * channels * -(-bits // 8) if plain else 0
    if promised > samples.size - 8:
        raise _cut(promised, samples.size - 8)


def _au(raw: BinaryIO, name: str) -> None:
    raw.seek(0)
    head = raw.read(24)
    start, size, _, _, channels = struct.unpack((">" if head[:4] == b".snd" else "<") + "5I", head[4:])
    there = length(raw) - start
    if size != FULL and size - max(channels, 1) >= there:
        raise _cut(size, there)


def _nist(raw: BinaryIO, name: str) -> None:
    raw.seek(0)
    head = raw.read(16).decode("latin-1").split()
    start = int(head[1]) if len(head) > 1 and head[1].isdigit() else 1024
    raw.seek(0)
    fields = {}
    for line in raw.read(min(start, 65536)).decode("latin-1").splitlines()[2:]:
        words = line.split(None, 2)
        if len(words) == 3:
            fields[words[0]] = words[2].strip()
    sizes = [fields.get(key, "") for key in ("sample_count", "sample_n_bytes")]
    if "embedded" in fields.get("sample_coding", "") or not all(size.isdigit() for size in sizes):
        return
    channels = fields.get("channel_count", "1")
    promised = int(sizes[0]) * int(sizes[1]) * (int(channels) if channels.isdigit() else 1)
    there = length(raw) - start
    if promised > there:
        raise _cut(promised, there)


def _ogg(raw: BinaryIO, name: str) -> None:
    """Check that the last page is complete and marks the end of the stream."""
    total = length(raw)
    first = max(0, total - 2 * OGG_PAGE)
    raw.seek(first)
    tail = raw.read()
    at = len(tail)
    while (at := tail.rfind(b"OggS\0", 0, at)) >= 0:
        head = tail[at : at + 27]
        table = tail[at + 27 : at + 27 + (head[26] if len(head) == 27 else 0)]
        if len(head) < 27 or len(table) < head[26] or at + 27 + len(table) + sum(table) > len(tail):
            raise DamagedError("cut short: its last page ends beyond the file")
        if head[5] & 4:
            return
        raise DamagedError("cut short: its last page does not end the stream")
    raise DamagedError("corrupt: it does not end with an Ogg page")


def _mpeg(raw: BinaryIO, name: str) -> BinaryIO | None:
    stream = mpeg.walk(raw, after_tags(raw))
    if stream is None:
        return None
    if stream.lacking:
        raise DamagedError(f"cut short: its last frame lacks {stream.lacking} bytes")
    if stream.promised > stream.frames + 1:
        raise DamagedError(f"cut short: its header promises {stream.promised} frames, the file holds {stream.frames}")
    # libsndfile's estimate is right for a constant bit rate with at most a tag of 128 bytes at the end
    if stream.promised or stream.frame.layer != 3 or (stream.constant and length(raw) - stream.end <= 128):
        return None
    return Spliced(mpeg.xing(raw, stream), raw, stream.first, stream.end - stream.first)


def _matroska(raw: BinaryIO, name: str) -> None:
    """Check that the segment is complete, if its size was filled in."""
    raw.seek(0)
    head = io.BytesIO(raw.read(4096))
    for wanted in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        if head.read(4) != wanted:
            return
        first = head.read(1)[0]
        more = 8 - first.bit_length()
        if more > 7:
            return
        size = int.from_bytes(bytes([first & (0x7F >> more)]) + head.read(more), "big")
        if size == (1 << 7 * (more + 1)) - 1:  # unknown: written while recording
            return
        if wanted != b"\x18\x53\x80\x67":
            head.seek(size, io.SEEK_CUR)
        elif head.tell() + size > length(raw):
            raise _cut(size, length(raw) - head.tell())


def _cut(promised: int, there: int) -> DamagedError:
    return DamagedError(f"cut short: its header promises {promised} bytes of samples, the file holds {max(0, there)}")


CHECKS = {
    "WAV": _wav,
    "RIFX": _wav,
    "RF64": _wav,
    "W64": _within(b"data"),
    "AIFF": _aiff,
    "SVX": _within(b"BODY"),
    "CAF": _within(b"data"),
    "VOC": _whole(lambda name: name != b"\0"),
    "AU": _au,
    "NIST SPHERE": _nist,
    "Ogg": _ogg,
    "AVI": _whole(lambda name: name == b"RIFF"),  # a long file has several
    "MP4": _within(b"moov", all_of_them=True),
    "ASF": _within(b"\x36\x26\xb2\x75"),
    "Matroska or WebM": _matroska,
    MPEG.name: _mpeg,
    AAC.name: _mpeg,
}
