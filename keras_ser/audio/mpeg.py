"""Parse MPEG audio (MP3 and related) and ADTS (AAC) frame by frame: the stream's length, and whether its last frame is complete.

Decoders only estimate the length of a variable-rate stream without a Xing header; counting frames gives the exact length.
"""

import os
from typing import BinaryIO, NamedTuple

# kbit/s by (version 1 or lower, layer); the index 0 means "free format", whose frames do not state their size
RATES = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
HERTZ = (44100, 48000, 32000)
IN_A_ROW = 3  # frames that a stream must begin with, unless it ends earlier: the two bytes of one header occur anywhere
TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")


class Frame(NamedTuple):
    """A frame's header."""

    version: float  # 1, 2 or 2.5
    layer: int  # 1, 2, 3; 0 for ADTS
    rate: int  # Hz; 0 for ADTS
    size: int  # bytes, header included
    samples: int  # per channel
    mono: bool  # one channel


class Stream(NamedTuple):
    """Summary of a stream's frames."""

    first: int  # offset of the first frame in bytes
    frame: Frame  # the first frame
    tagged: bool  # whether the first frame is a Xing, Info or VBRI header instead of audio
    promised: int  # frames that this header promises; 0 if unknown
    frames: int  # whole frames of audio
    constant: bool  # whether all frames have the same bit rate
    lacking: int  # bytes missing from the last frame
    end: int  # offset after the last whole frame in bytes


def parse(head: bytes) -> Frame | None:
    """Parse a frame header from at least seven bytes (four in a stream's last frame); None if it is not one."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = 4 - (head[1] >> 1 & 3)
    if layer == 4:
        return _adts(head)
    version = {0: 2.5, 2: 2, 3: 1}.get(head[1] >> 3 & 3)
    index, hertz = head[2] >> 4, head[2] >> 2 & 3
    if version is None or index in (0, 15) or hertz == 3:
        return None
    rate = HERTZ[hertz] // {1: 1, 2: 2, 2.5: 4}[version]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 1 else 1152
    slot = 4 if layer == 1 else 1
    size = (samples // 8 * RATES[version == 1, layer][index] * 1000 // rate // slot + (head[2] >> 1 & 1)) * slot
    return Frame(version, layer, rate, size, samples, head[3] >> 6 == 3)


def _adts(head: bytes) -> Frame | None:
    if len(head) < 7 or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return None
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return Frame(2, 0, 0, size, 1024 * (1 + (head[6] & 3)), False) if size > 7 else None


def begin(raw: BinaryIO, start: int, within: int) -> tuple[int, Frame] | None:
    """Return offset and header of the first frame within `within` bytes of `start` that others of its kind follow."""
    total = raw.seek(0, os.SEEK_END)
    raw.seek(start)
    window = raw.read(within + 7)
    at = window.find(b"\xff", 0, within)
    while at >= 0:
        frame = parse(window[at : at + 7])
        if frame and _goes_on(raw, start + at, frame, total):
            return start + at, frame
        at = window.find(b"\xff", at + 1, within)
    return None


def _goes_on(raw: BinaryIO, position: int, frame: Frame, total: int) -> bool:
    for number in range(1, IN_A_ROW):
        position += frame.size
        # a short file ends here, within a frame or with a tag
        if number > 1 and total - position < 7:
            return True
        raw.seek(position)
        head = raw.read(7)
        other = parse(head)
        if other is None and number > 1 and head.startswith(TAGS):
            return True
        if other is None or (other.layer, other.version, other.rate) != (frame.layer, frame.version, frame.rate):
            return False
        frame = other
    return True


def walk(raw: BinaryIO, start: int) -> Stream | None:
    """Walk a stream frame by frame from `start`, the offset after the file's tags; None for no stream, or free format."""
    found = begin(raw, start, 65536)
    if found is None:
        return None
    total = raw.seek(0, os.SEEK_END)
    first, frame = found
    raw.seek(first)
    tagged, promised = _promise(raw.read(frame.size), frame)
    position, frames = first, -1 if tagged else 0
    end, lacking, sizes = first, 0, set()
    while total - position >= 4:
        raw.seek(position)
        head = raw.read(11)
        current = parse(head)
        if current is None or current.layer != frame.layer:
            if head.startswith(TAGS):
                break
            again = begin(raw, position + 1, 65536)
            if again is None:
                break
            position = again[0]
            continue
        if position + current.size > total:
            lacking = position + current.size - total
            break
        sizes.add(current.size)
        position = end = position + current.size
        frames += 1
    raw.seek(position)
    if not lacking and (rest := raw.read(4))[:1] == b"\xff" and len(rest) < 4:
        lacking = frame.size - len(rest)
    # frames may differ by a slot of padding
    constant = not sizes or max(sizes) - min(sizes) <= (4 if frame.layer == 1 else 1)
    return Stream(first, frame, tagged, promised, frames, constant, lacking, end)


def _promise(body: bytes, frame: Frame) -> tuple[bool, int]:
    """Return (whether a frame is a header instead of audio, the number of frames that it promises)."""
    at = _side(frame)
    if body[at : at + 4] in (b"Xing", b"Info"):
        return True, int.from_bytes(body[at + 8 : at + 12], "big") if body[at + 7] & 1 else 0
    if body[36:40] == b"VBRI":
        return True, int.from_bytes(body[50:54], "big")
    return False, 0


def _side(frame: Frame) -> int:
    """Return the offset of a Xing header in a frame of layer III: after the frame's own header and its side information."""
    return 4 + ((17 if frame.mono else 32) if frame.version == 1 else (9 if frame.mono else 17))


def xing(raw: BinaryIO, stream: Stream) -> bytes:
    """Build a frame that states how many frames follow, to be placed before the first one."""
    raw.seek(stream.first)
    head = bytearray(raw.read(4))
    at = _side(stream.frame)
    # no checksum, no padding; the lowest bit rate whose frames are long enough
    head[1] |= 1
    for index in range(1, 15):
        head[2] = index << 4 | head[2] & 0x0C
        size = parse(bytes(head) + b"\0\0\0").size
        if size >= at + 12:
            break
    body = bytes(head) + bytes(at - 4) + b"Xing" + (1).to_bytes(4, "big") + stream.frames.to_bytes(4, "big")
    return body.ljust(size, b"\0")
