import os
import unicodedata

import pytest

from keras_ser.corpora.named_files import NamedFiles

NFC, NFD = (unicodedata.normalize(form, "jos\u00e9.wav") for form in ("NFC", "NFD"))


def folder_with(tmp_path, *names):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return NamedFiles(tmp_path)


@pytest.mark.parametrize(
    "asked, there",
    [
        (NFC, NFD),
        (NFD, NFC),
        ("a.wav", "A.WAV"),
        ("a.wav", "a\u200b.wav"),
        ("a\u200b.wav", "a.wav"),
        ("a b.wav", "a\u00a0b.wav"),
        ("a.wav", " a.wav"),
        ("sub/dir/a.wav", "Sub/DIR/A.wav"),
        ("sub\\a.wav", "SUB/a.wav"),
        ("./x/../sub/a.wav", "Sub/a.wav"),
    ],
)
def test_the_one_file_spelled_alike_is_found_under_its_name_on_disk(asked, there, tmp_path):
    (tmp_path / "x").mkdir()
    names = folder_with(tmp_path, there, "b.wav", "Sub2/b.wav")
    assert names.find(asked) == there
    assert names.respelled == {asked: there}


@pytest.mark.parametrize("asked, found", [("a.wav", "a.wav"), ("./a.wav", "a.wav"), ("s\\b.wav", "s/b.wav")])
def test_the_exact_name_comes_first(asked, found, tmp_path):
    names = folder_with(tmp_path, "a.wav", "A.wav", "a\u200b.wav", "s/b.wav", "S/b.wav")
    assert names.find(asked) == found and not names.respelled


def test_a_folder_of_another_case_that_lacks_the_file_does_not_hide_it(tmp_path):
    names = folder_with(tmp_path, "audio/b.wav", "Audio/a.wav")
    assert names.find("audio/a.wav") == "Audio/a.wav"


@pytest.mark.parametrize(
    "asked, reason",
    [
        ("DUP.wav", r"there are 'Dup.wav' and 'dup.wav', which differ by case: write one exactly"),
        (NFC.upper(), r"there are 'jose\u0301.wav' and 'josé.wav', which differ by composed or combined characters"),
        ("only.wav", "there is 'only.flac'"),
        ("only", "there is 'only.flac'"),
        ("folder", "a folder"),
        (".", "a folder"),
        ("dangling.wav", "a link to a file that does not exist"),
        ("archive.zip/a.wav", "'archive.zip' is a file, not a folder: unpack archives"),
        ("https://x.org/a.wav", "an address: download the file"),
        ("file:///a.wav", "an address"),
        ("~/a.wav", "'~' is not expanded"),
        ("x" * 300 + ".wav", "a name of 304 bytes, where file systems take 255"),
        ("\u738b" * 90 + ".wav", "a name of 274 bytes"),
        ("a/" * 3000 + "x.wav", "a path of 6005 bytes"),
        ("none.wav", ""),
    ],
)
def test_why_a_file_is_not_found(asked, reason, tmp_path):
    names = folder_with(tmp_path, "dup.wav", "Dup.wav", NFC, NFD, "only.flac", "folder/x", "archive.zip")
    (tmp_path / "dangling.wav").symlink_to("gone")
    assert names.find(asked) is None
    assert names.reason(asked).startswith(reason) and bool(reason) == bool(names.reason(asked))


def test_a_name_on_disk_that_is_not_utf8_is_spelled_out(tmp_path):
    """No report can hold such a name."""
    with open(os.fsencode(tmp_path) + b"/caf\xe9.wav", "wb"):
        pass
    names = NamedFiles(tmp_path)
    assert names.find("caf\u00e9.wav") is None
    assert names.reason("caf\u00e9.wav") == r"there is 'caf\udce9.wav', whose name is not UTF-8: rename it"


@pytest.mark.parametrize("name", ["\ud800.wav", "a\udc80.wav", "a\0b.wav"])
def test_names_that_no_file_can_have_are_not_found(name, tmp_path):
    names = folder_with(tmp_path, "a.wav")
    assert names.find(name) is None
    assert ("not UTF-8" in names.reason(name)) == ("\0" not in name)
