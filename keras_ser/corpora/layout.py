"""Locate a corpus on disk: its root, its audio files in a fixed order, and errors for missing ones.

Hidden files (macOS leaves `._name.wav` beside `name.wav`) are ignored everywhere.
"""

import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from keras_ser.checks import listed
from keras_ser.corpora.corpus import CorpusError
from keras_ser.files import user_path, visible_files

# Suffixes of the corpora's own files; the first takes precedence if a recording exists in both formats.
AUDIO = (".wav", ".flac")
VIDEO = (".avi", ".mp4")  # suffixes of the corpora's own videos, whose soundtrack needs PyAV (the extra `video`)


def entries(folder: Path) -> list[Path]:
    """List the visible contents of a folder, by name."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def existing_folder(root: str | Path, name: str, expected: str) -> Path:
    """Return `root` as a Path, or raise CorpusError if it is missing, a file, unreadable or empty.

    The message contains `name`, the corpus, and `expected`, the expected contents of the root.
    """
    root = user_path(root)
    wanted = f"{name}: expected a folder with {expected}."
    try:
        if not root.exists():
            raise CorpusError(f"{wanted} Received: {root}, which does not exist. Check the path.")
        if not root.is_dir():
            raise CorpusError(f"{wanted} Received: {root}, which is a file. Give the folder it is in.")
        if not entries(root):
            raise CorpusError(f"{wanted} Received: {root}, which is empty. Unpack the corpus there first.")
    except OSError as error:
        raise CorpusError(f"{wanted} Received: {root}, which cannot be read ({error.strerror}).") from error
    return root


def locate(
    root: str | Path, name: str, expected: str, holds: Callable[[Path], bool], inner: Iterable[str] = ()
) -> Path:
    """Return the folder that holds the corpus: `root` itself, or the only folder in it that does.

    Args:
        root, name, expected: see `existing_folder`; the root may be one level too high.
        holds: returns whether a folder is the root of the corpus.
        inner: names of folders within the corpus that are accepted as `root` (one level too low).

    Raises:
        CorpusError: the errors of `existing_folder`; no folder holds the corpus, or several do.
    """
    root = existing_folder(root, name, expected)
    if holds(root):
        return root
    found = [path for path in entries(root) if path.is_dir() and holds(path)]
    if len(found) > 1:
        raise CorpusError(
            f"{name}: expected one folder with {expected}. "
            f"Received: {root}, which holds {listed(path.name for path in found)}. Name one of them."
        )
    real = root.resolve()
    if not found and real.name in inner and holds(real.parent):
        return real.parent
    if not found:
        raise wrong_corpus(root, name, expected)
    return found[0]


def wrong_corpus(root: Path, name: str, expected: str) -> CorpusError:
    """Return the error for a folder that holds something else."""
    return CorpusError(
        f"{name}: expected {expected} under the root. Received: {root}, which holds "
        f"{listed(path.name for path in entries(root))}. Give the folder of {name} as it was unpacked."
    )


def audio_files(folder: Path, suffixes: Iterable[str] = AUDIO) -> dict[str, Path]:
    """Return stem -> file, sorted by stem, for the files of a folder (not of its sub-folders) with one of the suffixes.

    If a recording exists in several formats, the first of `suffixes` takes precedence.
    """
    rank = {suffix: place for place, suffix in enumerate(suffixes)}
    files = [path for path in entries(folder) if path.suffix.lower() in rank and path.is_file()]
    found: dict[str, Path] = {}
    for path in sorted(files, key=lambda path: (path.stem, rank[path.suffix.lower()])):
        found.setdefault(path.stem, path)
    return found


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the visible files with one of the suffixes in a folder and its sub-folders, sorted."""
    return [path for path in visible_files(folder) if path.suffix.lower() in suffixes]


def strays_below(folder: Path, files: Iterable[Path], suffixes: Collection[str] = AUDIO) -> list[str]:
    """Return the audio files in a folder and its sub-folders that are not among those read, in none of their formats."""
    read = {path.with_suffix("") for path in files}
    found = files_below(folder, suffixes) if folder.is_dir() else ()
    return [path.relative_to(folder.parent).as_posix() for path in found if path.with_suffix("") not in read]


def holds_named(folder: Path, pattern: re.Pattern) -> bool:
    """Return whether a folder exists and holds an audio file with a stem that matches."""
    return folder.is_dir() and any(pattern.fullmatch(stem) for stem in audio_files(folder))


def matched_files(folder: Path, pattern: re.Pattern, name: str, expected: str) -> dict[str, tuple[Path, re.Match]]:
    """Return stem -> (file, match of its stem) for the `audio_files` of a folder; raise CorpusError for stems without a match.

    Audio files in sub-folders belong to another source, too.
    """
    found = {stem: (path, pattern.fullmatch(stem)) for stem, path in audio_files(folder).items()}
    strays = [path.name for path, match in found.values() if not match]
    strays += strays_below(folder, (path for path, _ in found.values()))
    if strays:
        raise unknown_names(name, strays, expected)
    return found


def unknown_names(name: str, names: Iterable[str], expected: str) -> CorpusError:
    """Return the error for audio files with names that do not belong to the corpus."""
    return CorpusError(
        f"{name}: expected audio files named like {expected}. Received: {listed(names)}. "
        "Move files from other sources out of the corpus."
    )
