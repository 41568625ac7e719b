"""Read a UTF-8 text file, or raise an error that says what the file is instead."""

import os
import re
import stat
import zipfile
from collections.abc import Collection
from pathlib import Path

from keras_ser.corpora.corpus import CorpusError
from keras_ser.files import user_path

HEAD = 4096
NEWLINE = re.compile(rb"\r\n|\r|\n")
SAVE = "Save it as 'CSV UTF-8' (comma delimited) from the spreadsheet program."
UNPACK = "Unpack it, and give the file that is in it."
RAW = "Download the file itself, not the page that shows it."
# First bytes -> (what such a file is, what to do with it).
KINDS = {
    b"\x1f\x8b": ("a gzip archive", UNPACK),
    b"BZh": ("a bzip2 archive", UNPACK),
    b"\xfd7zXZ": ("an xz archive", UNPACK),
    b"\x28\xb5\x2f\xfd": ("a Zstandard archive", UNPACK),
    b"7z\xbc\xaf": ("a 7z archive", UNPACK),
    b"Rar!": ("a RAR archive", UNPACK),
    b"\xd0\xcf\x11\xe0": ("an old Office document (.xls)", SAVE),
    b"{\\rtf": ("a rich text document (.rtf)", SAVE),
    b"PAR1": ("a Parquet file", "Write it with `to_csv(.., index=False)`."),
    b"\x89HDF": ("an HDF5 file", "Write it with `to_csv(.., index=False)`."),
    b"\x80\x04": ("a Python pickle", "Write it with `to_csv(.., index=False)`."),
    b"\x80\x05": ("a Python pickle", "Write it with `to_csv(.., index=False)`."),
    b"SQLite": ("an SQLite database", "Export the table as CSV."),
    b"%PDF": ("a PDF document", "Give the table itself."),
    b"RIFF": ("a RIFF file (WAV, AVI), not text", "Give the table that names the recordings."),
    b"fLaC": ("a FLAC recording, not text", "Give the table that names the recordings."),
    b"OggS": ("an Ogg recording, not text", "Give the table that names the recordings."),
    b"ID3": ("an MP3 recording, not text", "Give the table that names the recordings."),
    b"version https://git-lfs": ("a Git LFS pointer", "Run `git lfs pull` to get the file that it stands for."),
    b"<": ("a web page or XML", RAW),
    b"{": ("JSON", "Write it as CSV, e.g. with `pandas.read_json(..).to_csv(.., index=False)`."),
    b"[": ("JSON", "Write it as CSV, e.g. with `pandas.read_json(..).to_csv(.., index=False)`."),
}
# UTF-32 first: its mark in little endian begins with that of UTF-16.
MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def read_text(path: str | Path, wanted: str, starts: Collection[str] = ()) -> str:
    """Return the text of a UTF-8 file, without the byte order mark and with its own line ends.

    Args:
        path: the file.
        wanted: beginning of error messages.
        starts: first characters that are valid here, although they also mark other kinds of files.

    Raises:
        CorpusError: there is no such file, or it is not UTF-8 text.
    """
    path = user_path(path)
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):  # a pipe or a device might never end
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise CorpusError(f"{wanted} Received: {path}, which is {kind}. Give the path of the file itself.")
        with path.open("rb") as file:
            head = file.read(HEAD)
            kind, way = _other_kind(path, head, starts)
            if kind:
                raise CorpusError(f"{wanted} Received: {path}, which is {kind}. {way}")
            raw = head + file.read()
    except OSError as error:
        raise CorpusError(f"{wanted} Received: {path} ({error.strerror}). Check the path.") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # not error.start alone: the decoder does not count the byte order mark
        at = error.start + 3 * raw.startswith(b"\xef\xbb\xbf")
        line = len(NEWLINE.findall(raw, 0, at)) + 1
        if _controls(head):
            raise CorpusError(
                f"{wanted} Received: {path}, which is a binary file. Give a table saved as text."
            ) from error
        word = re.split(rb"[,;\t\r\n]", raw[max(at - 40, 0) : at])[-1] + re.split(rb"[,;\t\r\n]", raw[at : at + 40])[0]
        western = word.decode("cp1252", "replace")
        guess = f"; as Windows' cp1252 it is {western!r}" if re.fullmatch(r"[\w .'/-]+", western) else ""
        raise CorpusError(
            f"{wanted} Received: {path}, which is not UTF-8 in line {line} ({word!r}{guess}). Save it as UTF-8 "
            "(Excel: 'CSV UTF-8'), or convert it with iconv -f ENCODING -t UTF-8."
        ) from error


def _controls(head: bytes) -> int:
    """Count the control characters that do not occur in text."""
    return sum(byte < 32 and byte not in b"\t\n\v\f\r\x1b" for byte in head)


def _other_kind(path: Path, head: bytes, starts: Collection[str]) -> tuple[str, str]:
    """Return (the kind of a file that is not UTF-8 text, a remedy), by its first bytes; ("", "") for text."""
    if head.startswith(b"PK\x03\x04"):
        return _packed(path)
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return f"{encoding} text", "Save it as UTF-8 (Excel: 'CSV UTF-8')."
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, (kind, way) in KINDS.items():
        if (head if start[0] > 127 else text).startswith(start) and start.decode("latin-1") not in starts:
            return kind, way
    # Delimiters, digits and Latin letters have a zero as the other byte of two.
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) > len(head) / 8 and min(even, odd) < max(even, odd) / 16:
        encoding = "UTF-16LE" if odd > even else "UTF-16BE"
        return "UTF-16 text without a byte order mark", f"Convert it with iconv -f {encoding} -t UTF-8."
    if _controls(head) > len(head) / 10:
        return "a binary file", "Give a table saved as text."
    return "", ""


def _packed(path: Path) -> tuple[str, str]:
    """Return the kind of a zip archive, a spreadsheet or a plain archive, and a remedy."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return "a damaged zip archive or spreadsheet", "Get it again."
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook (.xlsx)", SAVE
    if "mimetype" in names and "content.xml" in names:
        return "an OpenDocument file (.ods)", SAVE
    return "a zip archive", UNPACK
