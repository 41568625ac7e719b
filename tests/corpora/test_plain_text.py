import gzip
import io
import os
import pickle
import time
import zipfile

import numpy as np
import pytest
import soundfile

from keras_ser.corpora import CorpusError
from keras_ser.corpora.plain_text import read_text

TEXT = "file,speaker,emotion\nc0.wav,Zo\u00eb,anger\nc1.wav,ben,fear\n"


def archive(**members) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, data in members.items():
            packed.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return file.getvalue()


def recording(kind: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(800), 8000, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_utf8_text_is_read_as_it_is(encoding, newline, tmp_path):
    text = TEXT.replace("\n", newline)
    (tmp_path / "t").write_bytes(text.encode(encoding))
    assert read_text(tmp_path / "t", "") == text


OTHERS = {
    "gzip": (gzip.compress(TEXT.encode()), "a gzip archive. Unpack it"),
    "zip": (archive(a_dot_csv=TEXT), "a zip archive. Unpack it"),
    "xlsx": (archive(xl__workbook_dot_xml="x"), r"an Excel workbook \(.xlsx\). Save it as 'CSV UTF-8'"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"an old Office document \(.xls\). Save it as"),
    "wav": (recording("WAV"), "a RIFF file .*not text. Give the table"),
    "pickle": (pickle.dumps({"file": "c0.wav"}), "a Python pickle. Write it with `to_csv"),
    "json": (b'\n [{"file": "c0.wav"}]', "JSON. Write it as CSV"),
    "html": (b"\xef\xbb\xbf\n<!DOCTYPE html>", "a web page or XML. Download the file itself"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "a Git LFS pointer. Run `git lfs pull`",
    ),
    "noise": (b"\x80" + np.random.default_rng(0).bytes(5000), "a binary file"),
    "utf-16": (TEXT.encode("utf-16"), "UTF-16 text. Save it as UTF-8"),
    "utf-16-le": (TEXT.encode("utf-16-le"), "UTF-16 text without a byte order mark. .* -f UTF-16LE"),
    "chinese utf-16": (
        ("file,speaker\n" + "a.wav,\u738b\u5c0f\u82b3\n" * 9).encode("utf-16-le"),
        "UTF-16 text without",
    ),
    "utf-32": (TEXT.encode("utf-32"), "UTF-32 text. Save it as UTF-8"),
    "cp1252": (
        TEXT.encode("cp1252"),
        r"not UTF-8 in line 2 \(b'Zo\\xeb'; as Windows' cp1252 it is 'Zo\u00eb'\). Save it as UTF-8",
    ),
    "mark, cp1252": (b"\xef\xbb\xbf" + TEXT.encode("cp1252"), r"not UTF-8 in line 2 \(b'Zo"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_kinds_of_files_are_named_with_a_remedy(kind, tmp_path):
    data, message = OTHERS[kind]
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(CorpusError, match=rf"x: expected a table. Received: .*t.csv, which is {message}") as caught:
        read_text(tmp_path / "t.csv", "x: expected a table.")
    assert "\n" not in str(caught.value)


def test_what_is_not_a_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    begin = time.monotonic()
    for name, message in {
        "": "is a folder",
        "pipe": "not a regular file",
        "none.csv": "No such file",
        "x" * 300: "name too long",
    }.items():
        with pytest.raises(CorpusError, match=message):
            read_text(tmp_path / name, "")
    with pytest.raises(CorpusError, match="not a regular file"):
        read_text("/dev/zero", "")
    assert time.monotonic() - begin < 5
