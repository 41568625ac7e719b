"""A file is what its first bytes say, whatever its name ends in."""

import io

import numpy as np
import pytest
import soundfile

from keras_ser.audio import AudioError, info, read
from keras_ser.audio.formats import identify
from tests.audio.test_integrity import encode

NAMES = [
    ("WAV", "WAV", "PCM_16"),
    ("RF64", "RF64", "PCM_16"),
    ("W64", "W64", "PCM_16"),
    ("AIFF", "AIFF", "PCM_16"),
    ("AU", "AU", "PCM_16"),
    ("NIST SPHERE", "NIST", "PCM_16"),
    ("CAF", "CAF", "PCM_16"),
    ("SVX", "SVX", "PCM_16"),
    ("VOC", "VOC", "PCM_16"),
    ("FLAC", "FLAC", "PCM_16"),
    ("Ogg", "OGG", "VORBIS"),
    ("MPEG audio", "MP3", "MPEG_LAYER_III"),
]


@pytest.mark.parametrize(("name", "kind", "subtype"), NAMES)
@pytest.mark.parametrize("ending", [".wav", ".mp3", ""])
def test_any_name_is_read_as_what_the_file_is(tmp_path, speechlike, name, kind, subtype, ending):
    path, right = tmp_path / f"a{ending}", tmp_path / "b"
    for file in (path, right):
        soundfile.write(str(file), speechlike, 16000, format=kind, subtype=subtype)
    with path.open("rb") as raw:
        assert identify(raw).name == name
    np.testing.assert_array_equal(read(path), read(right))
    assert info(path).subtype == subtype


def test_a_format_that_needs_pyav_is_named(tmp_path, speechlike, monkeypatch):
    path = encode(tmp_path / "a.wav", speechlike, "webm", "libopus")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(
        AudioError, match=r"a.wav: reading Matroska or WebM needs PyAV.*keras-ser\[video\].*-i a.wav -vn a-audio.wav"
    ):
        read(path)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_mp3_behind_tags_and_other_bytes(tmp_path, speechlike, rate):
    """ID3 (of 1000 bytes, a footer, and a second one), and zeros."""
    path = tmp_path / "a.mp3"
    soundfile.write(path, speechlike, rate)
    whole, contents = read(path, rate), path.read_bytes()
    tag = b"ID3\3\0\0\0\0\7\x68" + bytes(1000)
    for before in (tag, tag + tag, bytes(300)):
        path.write_bytes(before + contents)
        np.testing.assert_allclose(read(path, rate), whole, atol=1e-6)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"RIFF",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"The free software is here, and mdat is a word.",
        b"MAC addresses of the lab",
        b"file,speaker,emotion\na.wav,a,anger\n",
        b"\xff\xfb\x90\x00" + bytes(4000),
        b"\x0b\x77\xff\xff\xff\xff\xff",
        "ÿûþ latin text".encode("latin-1"),
    ],
)
def test_what_is_not_audio(contents):
    assert identify(io.BytesIO(contents)) is None


def test_files_without_a_header_are_named(tmp_path, rng):
    for name, contents in (("a.raw", bytes(32000)), ("b.vox", rng.bytes(9000)), ("c.gsm", rng.bytes(990))):
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(AudioError, match=f"{name}: corrupt or not audio .unknown format; .*ffmpeg -f s16le"):
            read(tmp_path / name)
    (tmp_path / "d.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(AudioError, match="d.wav: a Git LFS pointer, not audio. Run `git lfs pull`"):
        read(tmp_path / "d.wav")


@pytest.mark.parametrize(
    ("contents", "what"),
    [
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>404 Not Found</html>", "a web page"),
        (b"<HTML><body>Sign in</body></HTML>", "a web page"),
        (b"PK\3\4" + bytes(200), "a zip archive: unpack it"),
        (b"%PDF-1.7\n" + bytes(2000), "a PDF document"),
        (b"\xff\xd8\xff\xe0" + bytes(2000), "a JPEG picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG picture"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "macOS metadata"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, contents, what):
    (tmp_path / "a.wav").write_bytes(contents)
    with pytest.raises(AudioError, match=f"a.wav: corrupt or not audio .{what}"):
        read(tmp_path / "a.wav")
