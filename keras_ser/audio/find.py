"""Find audio files below folders, by content and by name."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from keras_ser.audio.formats import ENDINGS, identify
from keras_ser.errors import UserError
from keras_ser.files import user_path


class AudioFiles(NamedTuple):
    """Result of `find_audio`."""

    files: list[Path]  # audio by content or name, including broken files, so that they are reported
    skipped: list[Path]  # files that are not audio by content or name, and folders that cannot be read


def find_audio(paths: Iterable[str | os.PathLike], keep_missing: bool = False) -> AudioFiles:
    """Return the named files, and all audio and video files below the named folders, sorted.

    Links are followed; a folder reached by several links is searched once. Hidden files and folders are skipped. With
    `keep_missing`, paths that do not exist are among the files, so that reading them fails, unless no path exists.

    Raises:
        UserError: a path is empty or does not exist, or a folder has no audio.
    """
    paths = list(paths)
    keep_missing = keep_missing and any(name != "" and os.path.exists(user_path(name)) for name in paths)
    files: list[Path] = []
    skipped: list[Path] = []
    for name in paths:
        if name == "":
            raise UserError("expected a file or a folder. Received: an empty name.")
        path = user_path(name)
        if os.path.isdir(path):  # which is False, not an error, for a name that no file can have
            below = sorted(_below(path, skipped))
            audio = [file for file in below if _is_audio(file)]
            skipped += [file for file in below if file not in set(audio)]
            if not audio:
                raise UserError(f"expected audio files below {path}, found none.")
            files += audio
        elif not os.path.exists(path) and not keep_missing:
            way = ". Standard input is not read: write it to a file first" if name == "-" else ""
            raise UserError(f"expected a file or a folder. Received: {path}, which does not exist{way}.")
        else:
            files.append(path)
    return AudioFiles(files, sorted(set(skipped)))


def _below(root: Path, skipped: list[Path]) -> Iterator[Path]:
    """Yield the files below a folder; links to folders are followed last, so that real paths are listed where possible."""
    seen: set[tuple[int, int]] = set()
    folders, links = [root], []
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except OSError:
            skipped.append(folder)
            continue
        for path in entries:
            if path.is_dir():
                (links if path.is_symlink() else folders).append(path)
            elif path.is_file():
                yield path
            elif path.is_symlink() and path.suffix.lower() in ENDINGS:
                yield path  # a link to a recording that is missing, which reading reports
            else:  # another link to nothing, a pipe, a device
                skipped.append(path)


def _is_audio(path: Path) -> bool:
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        with path.open("rb") as raw:
            return identify(raw) is not None
    except OSError:
        return False
