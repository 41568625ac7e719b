"""Identify a file by its content, whatever its suffix."""

import os
from typing import BinaryIO, NamedTuple

import soundfile

from keras_ser.audio.mpeg import first_frame

SOUNDFILE, PYAV = "libsndfile", "PyAV"
HEAD = 264  # bytes that identify a file; MPEG transport streams repeat their sign every 188
LFS_POINTER = b"version https://git-lfs"
# What downloads leave under an audio file's name: (first bytes in lower case, what it is).
NO_AUDIO = (
    (b"<!doctype", "a web page, perhaps of a download that failed"),
    (b"<html", "a web page, perhaps of a download that failed"),
    (b"<?xml", "an XML document"),
    (b"pk\3\4", "a zip archive: unpack it"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"rar!", "a RAR archive: unpack it"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (b"%pdf", "a PDF document"),
    (b"\x89png", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\0\5\x16\7", "what macOS keeps beside a file, without its audio"),
)


class Format(NamedTuple):
    """A kind of audio file, and the library that decodes it."""

    name: str
    decoder: str


# (name, decoder, {byte: what stands there})
SIGNS = (
    ("WAV", SOUNDFILE, {0: b"RIFF", 8: b"WAVE"}),
    ("RIFX", SOUNDFILE, {0: b"RIFX", 8: b"WAVE"}),
    ("RF64", SOUNDFILE, {0: b"RF64", 8: b"WAVE"}),
    ("RF64", SOUNDFILE, {0: b"BW64", 8: b"WAVE"}),
    ("W64", SOUNDFILE, {0: b"riff\x2e\x91\xcf\x11", 24: b"wave"}),
    ("AIFF", SOUNDFILE, {0: b"FORM", 8: b"AIF"}),
    ("SVX", SOUNDFILE, {0: b"FORM", 8: b"8SVX"}),
    ("SVX", SOUNDFILE, {0: b"FORM", 8: b"16SV"}),
    ("AU", SOUNDFILE, {0: b".snd"}),
    ("AU", SOUNDFILE, {0: b"dns."}),
    ("NIST SPHERE", SOUNDFILE, {0: b"NIST_1A\n"}),
    ("CAF", SOUNDFILE, {0: b"caff\0\1"}),
    ("VOC", SOUNDFILE, {0: b"Creative Voice File\x1a"}),
    ("FLAC", SOUNDFILE, {0: b"fLaC"}),
    ("Ogg", SOUNDFILE, {0: b"OggS\0"}),
    ("AVI", PYAV, {0: b"RIFF", 8: b"AVI "}),
    ("MP4", PYAV, {4: b"ftyp"}),
    ("MP4", PYAV, {4: b"moov"}),
    ("MP4", PYAV, {4: b"mdat"}),
    ("MP4", PYAV, {4: b"wide"}),
    ("MP4", PYAV, {4: b"skip"}),
    ("MP4", PYAV, {4: b"free"}),
    ("Matroska or WebM", PYAV, {0: b"\x1a\x45\xdf\xa3"}),
    ("ASF", PYAV, {0: b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"}),
    ("MPEG program stream", PYAV, {0: b"\0\0\1\xba"}),
    ("MPEG video", PYAV, {0: b"\0\0\1\xb3"}),
    ("MPEG transport stream", PYAV, {0: b"\x47", 188: b"\x47"}),
    ("FLV", PYAV, {0: b"FLV\1"}),
    ("AMR", PYAV, {0: b"#!AMR"}),
    ("Monkey's Audio", PYAV, {0: b"MAC ", 5: b"\x0f"}),
    ("WavPack", PYAV, {0: b"wvpk"}),
    ("True Audio", PYAV, {0: b"TTA1"}),
    ("Musepack", PYAV, {0: b"MPCK"}),
    ("Musepack", PYAV, {0: b"MP+\x07"}),
    ("Musepack", PYAV, {0: b"MP+\x17"}),
    ("Shorten", PYAV, {0: b"ajkg"}),
    ("NUT", PYAV, {0: b"nut/multimedia container"}),
    ("AC-3", PYAV, {0: b"\x0b\x77"}),
)
MPEG, AAC = Format("MPEG audio", SOUNDFILE), Format("AAC", PYAV)

# Suffixes of audio: a file with one of them that is not audio is an error, not another kind of file.
_OTHERS = (
    "3g2 3gp aac ac3 aif aifc amr ape asf avi bwf flv gsm m4a m4b m4v mka mkv mov mp2 mp4 mpc mpeg mpg mts nut oga ogv opus shn "
    "snd sph tta vox webm wma wmv wv"
)
ENDINGS = frozenset(f".{name.lower()}" for name in (*soundfile.available_formats(), *_OTHERS.split()))


def identify(raw: BinaryIO, ending: str = "") -> Format | None:
    """Return the format of an open file by its first bytes, or None.

    Where `ending` is that of MPEG audio, the first frame may lie behind other bytes.
    """
    raw.seek(0)
    start = after_tags(raw)
    raw.seek(start)
    head = raw.read(HEAD)
    for name, decoder, sign in SIGNS:
        if all(head[at : at + len(word)] == word for at, word in sign.items()) and _plausible(raw, head, name):
            return Format(name, decoder)
    found = first_frame(raw, start, 65536 if start or ending.lower() in (".mp2", ".mp3") else 1)
    if found is None:
        return None
    return AAC if found.layer == 0 else MPEG


def _plausible(raw: BinaryIO, head: bytes, name: str) -> bool:
    """Whether short signs, which a text may begin with, stand in a header that makes sense."""
    if name == "MP4":
        return head[4:8] == b"ftyp" or int.from_bytes(head[:4], "big") <= raw.seek(0, os.SEEK_END)
    if name == "AC-3":  # rate and size by tables of 3 and 38, version
        return len(head) > 5 and head[4] >> 6 < 3 and head[4] & 63 < 38 and head[5] >> 3 <= 10
    return True


def after_tags(raw: BinaryIO) -> int:
    """Byte behind the ID3 tags that an open file begins with."""
    start = 0
    while True:
        raw.seek(start)
        head = raw.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 127:
            return start
        # four times seven bits, and a footer of ten bytes where a flag says so
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        start += 10 + size + (10 if head[5] & 16 else 0)


def no_audio(raw: BinaryIO) -> str | None:
    """Name the kind of an open file that is known not to be audio."""
    raw.seek(0)
    head = raw.read(HEAD).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((what for sign, what in NO_AUDIO if head.startswith(sign)), None)


def is_lfs_pointer(raw: BinaryIO) -> bool:
    """Whether an open file is what Git LFS leaves where a download went without it: a few lines that name the file meant."""
    raw.seek(0, os.SEEK_END)
    # No pointer is longer than 1024 bytes: that is how Git LFS tells them apart.
    if raw.tell() > 1024:
        return False
    raw.seek(0)
    return raw.read(len(LFS_POINTER)) == LFS_POINTER
