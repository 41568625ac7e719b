"""Which files below a folder are audio."""

import os

import numpy as np
import pytest
import soundfile

from keras_ser.audio import AudioError, find_audio, read


def write(path, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), 0.1 * np.sin(np.arange(1600)), 16000, **more)
    return path


def test_named_files_and_all_below_folders(tmp_path):
    files = [write(tmp_path / "x" / name) for name in ("b.wav", "a.flac", "y/c.WAV")]
    (tmp_path / "x" / "notes.txt").write_text("no")
    (tmp_path / "x" / ".hidden.wav").write_text("no")
    write(tmp_path / "x" / ".cache" / "d.wav")
    found = find_audio([files[0], tmp_path / "x"])
    assert found.files == [files[0], *sorted(files)]
    assert found.skipped == [tmp_path / "x" / "notes.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="expected audio files below .*empty, found none"):
        find_audio([tmp_path / "empty"])
    with pytest.raises(ValueError, match="expected a file or a folder"):
        find_audio([tmp_path / "nowhere.wav"])


def test_unknown_endings_are_tried_by_content(tmp_path):
    audio = [
        write(tmp_path / "a.sph", format="NIST"),
        write(tmp_path / "b", format="FLAC"),
        write(tmp_path / "c.dat", format="WAV"),
    ]
    named = [
        tmp_path / "d.3gp",
        tmp_path / "e.mka",
        tmp_path / "f.raw",
    ]  # audio by name only: named as unusable when read
    for path in named:
        path.write_bytes(bytes(100))
    (tmp_path / "labels.csv").write_text("file,emotion\n")
    (tmp_path / "code.ts").write_text("export const x = 1\n")
    assert find_audio([tmp_path]) == (audio + named, [tmp_path / "code.ts", tmp_path / "labels.csv"])
    for path in named:
        with pytest.raises(AudioError, match="not audio"):
            read(path)


def test_folders_called_like_files_and_things_that_are_none(tmp_path):
    inner = write(tmp_path / "x.wav" / "a.wav")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    found = find_audio([tmp_path])
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    # a link to a recording that is not there, as git-annex leaves it, is no other file: reading it says what is missing
    assert found.files == [tmp_path / "gone.wav", inner]
    assert find_audio([tmp_path]).skipped == [tmp_path / "gone.txt", tmp_path / "pipe.wav"]
    with pytest.raises(AudioError, match="gone.wav"):
        read(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match="pipe.wav: expected a file. Received: a pipe or a device"):
        read(tmp_path / "pipe.wav")


def test_linked_folders_are_entered_once(tmp_path):
    one = write(tmp_path / "corpus" / "z" / "a.wav")
    far = write(tmp_path / "elsewhere" / "b.wav")
    (tmp_path / "corpus" / "again").symlink_to(tmp_path / "corpus" / "z")
    (tmp_path / "corpus" / "far").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "corpus")
    found = find_audio([tmp_path / "corpus"])
    assert found.files == [tmp_path / "corpus" / "far" / "b.wav", one]
    assert found.files[0].samefile(far)
