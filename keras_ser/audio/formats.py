"""Identify a file by its content, whatever its suffix."""

import os
import re
from typing import BinaryIO, NamedTuple

import soundfile

from keras_ser.audio import mpeg

SOUNDFILE, PYAV = "libsndfile", "PyAV"
HEAD = 264  # bytes that identify a file; MPEG transport streams repeat their sign every 188
LFS_POINTER = b"version https://git-lfs"
# Other content that downloads leave under an audio file's name: (first bytes in lower case, description).
NO_AUDIO = (
    (b"<!doctype", "a web page, perhaps from a failed download"),
    (b"<html", "a web page, perhaps from a failed download"),
    (b"<?xml", "an XML document"),
    (b"pk\3\4", "a zip archive: unpack it"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"rar!", "a RAR archive: unpack it"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (b"%pdf", "a PDF document"),
    (b"\x89png", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\0\5\x16\7", "macOS metadata of a file, without its audio"),
)


class Format(NamedTuple):
    """A kind of audio file, and the library that decodes it."""

    name: str
    decoder: str


# The first bytes of each format, by the library that decodes it.
SIGNS = {
    SOUNDFILE: {
        "WAV": rb"RIFF....WAVE",
        "RIFX": rb"RIFX....WAVE",
        "RF64": rb"(RF64|BW64)....WAVE",
        "W64": rb"riff\x2e\x91\xcf\x11.{16}wave",
        "AIFF": rb"FORM....AIF",
        "SVX": rb"FORM....(8SVX|16SV)",
        "AU": rb"\.snd|dns\.",
        "NIST SPHERE": rb"NIST_1A\n",
        "CAF": rb"caff\0\x01",
        "VOC": rb"Creative Voice File\x1a",
        "FLAC": rb"fLaC",
        "Ogg": rb"OggS\0",
    },
    PYAV: {
        "AVI": rb"RIFF....AVI ",
        "MP4": rb"....(ftyp|moov|mdat|wide|skip|free)",
        "Matroska or WebM": rb"\x1a\x45\xdf\xa3",
        "ASF": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        "MPEG program stream": rb"\x00\x00\x01\xba",
        "MPEG video": rb"\x00\x00\x01\xb3",
        "MPEG transport stream": rb"\x47.{187}\x47",
        "FLV": rb"FLV\x01",
        "AMR": rb"#!AMR",
        "Monkey's Audio": rb"MAC .\x0f",
        "WavPack": rb"wvpk",
        "True Audio": rb"TTA1",
        "Musepack": rb"MPCK|MP\+[\x07\x17]",
        "Shorten": rb"ajkg",
        "NUT": rb"nut/multimedia container",
        "AC-3": rb"\x0b\x77",
    },
}
MPEG, AAC = Format("MPEG audio", SOUNDFILE), Format("AAC", PYAV)

# Audio suffixes: a file that has one and is not audio is an error, not another kind of file.
_OTHERS = (
    "3g2 3gp aac ac3 aif aifc amr ape asf avi bwf flv gsm m4a m4b m4v mka mkv mov mp2 mp4 mpc mpeg mpg mts nut oga ogv opus shn "
    "snd sph tta vox webm wma wmv wv"
)
ENDINGS = frozenset(f".{name.lower()}" for name in (*soundfile.available_formats(), *_OTHERS.split()))


def identify(raw: BinaryIO, ending: str = "") -> Format | None:
    """Return the format of an open file by its first bytes, or None.

    If `ending` is ".mp2" or ".mp3", other bytes may precede the first frame.
    """
    raw.seek(0)
    start = after_tags(raw)
    raw.seek(start)
    head = raw.read(HEAD)
    for decoder, signs in SIGNS.items():
        for name, sign in signs.items():
            if re.match(sign, head, re.DOTALL) and _plausible(raw, head, name):
                return Format(name, decoder)
    found = mpeg.begin(raw, start, 65536 if start or ending.lower() in (".mp2", ".mp3") else 1)
    if found is None:
        return None
    return AAC if found[1].layer == 0 else MPEG


def _plausible(raw: BinaryIO, head: bytes, name: str) -> bool:
    """Return whether a short sign, which text may begin with as well, stands in a valid header."""
    if name == "MP4":
        return head[4:8] == b"ftyp" or int.from_bytes(head[:4], "big") <= raw.seek(0, os.SEEK_END)
    if name == "AC-3":  # indices of rate (3) and frame size (38), version
        return len(head) > 5 and head[4] >> 6 < 3 and head[4] & 63 < 38 and head[5] >> 3 <= 10
    return True


def after_tags(raw: BinaryIO) -> int:
    """Return the offset in bytes after the ID3 tags that an open file begins with."""
    start = 0
    while True:
        raw.seek(start)
        head = raw.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 127:
            return start
        # four groups of seven bits, and a footer of ten bytes if its flag is set
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        start += 10 + size + (10 if head[5] & 16 else 0)


def no_audio(raw: BinaryIO) -> str | None:
    """Return a description of an open file that is known not to be audio, else None."""
    raw.seek(0)
    head = raw.read(HEAD).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((what for sign, what in NO_AUDIO if head.startswith(sign)), None)


def is_lfs_pointer(raw: BinaryIO) -> bool:
    """Return whether an open file is a Git LFS pointer: a few lines of text in place of a file that was not downloaded."""
    # Git LFS itself recognises pointers by this limit: none is longer than 1024 bytes.
    if raw.seek(0, os.SEEK_END) > 1024:
        return False
    raw.seek(0)
    return raw.read(len(LFS_POINTER)) == LFS_POINTER
