"""The files that bulk prediction is given: audio files, folders, and lists of both."""

import os
from collections.abc import Iterable
from pathlib import Path

from keras_ser.audio import find_audio
from keras_ser.errors import UserError
from keras_ser.files import user_path


def listed_files(paths: Iterable[str | os.PathLike]) -> tuple[list[Path], list[Path]]:
    """Like `keras_ser.audio.find_audio`; a .txt file is a list of audio files and folders, one per line.

    They are relative to the working folder, or to the home folder (~), and need not be UTF-8. Files named in a list are not
    checked here: a missing one fails on its own, without affecting the others. So does any other, unless all are missing.

    Raises:
        UserError: see `find_audio`; a list cannot be read, is not text, or names nothing.
    """
    files: list[Path] = []
    skipped: list[Path] = []
    paths = list(map(user_path, paths))
    some = any(map(os.path.exists, paths))
    for path in paths:
        is_list = path.suffix.lower() == ".txt" and not os.path.isdir(path)
        for named in _lines(path) if is_list else [path]:
            if (is_list and not os.path.isdir(named)) or (some and not os.path.exists(named)):
                files.append(named)
            else:
                found = find_audio([named])
                files += found.files
                skipped += found.skipped
    return list(dict.fromkeys(files)), list(dict.fromkeys(skipped))


def _lines(path: Path) -> list[Path]:
    """Return the paths in a list of files; spaces may be part of their names."""
    expected = "expected a list of files, one per line"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{expected}. Received: {path} ({error}).") from error
    if b"\0" in raw:
        raise UserError(f"{expected}, as plain text. Received: {path}, which is binary or UTF-16: save it as UTF-8.")
    lines = (line.rstrip("\r") for line in raw.decode("utf-8-sig", "surrogateescape").split("\n"))
    found = [user_path(line) for line in lines if line.strip()]
    if not found:
        raise UserError(f"{expected}. Received: {path}, which names none.")
    return found
