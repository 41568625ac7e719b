"""What a file's header promises, where libsndfile takes a broken file for a shorter one."""

import os
import struct
from typing import BinaryIO

SLACK_SECONDS = 0.01  # label files round times: an `end` this far beyond the last sample means the last sample


def slack_samples(subtype: str) -> int:
    """How many samples a whole file of an encoding (libsndfile's name) may hold less than its header tells."""
    # the length of an MP3 without a Xing header is an estimate
    return 2 * 1152 if "MPEG" in subtype else 0


def promised_samples(raw: BinaryIO) -> int:
    """Samples that the header of an uncompressed WAV promises (libsndfile trims them to what is there), else 0."""
    if raw.read(4) != b"RIFF":
        return 0
    raw.seek(12)
    align = 0
    while len(head := raw.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            # Writers to a pipe can't go back to fill the size in: it stays 0, all ones, or about half of that (SoX).
            return size // align if align and size < 0x7FFFF000 else 0
        if name == b"fmt " and size >= 16:
            form = raw.read(16).ljust(16, b"\0")
            tag, align = struct.unpack("<H10xH2x", form)
            align = align if tag in (1, 3, 0xFFFE) else 0
            size -= 16
        raw.seek(size + size % 2, os.SEEK_CUR)
    return 0
