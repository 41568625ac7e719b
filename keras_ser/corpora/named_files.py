"""Find the file that a table names, even if its name is spelt differently on disk."""

import os
import posixpath
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from keras_ser.corpora.spelling import comparable, difference, quoted

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LONGEST_BYTES, _LONGEST_PATH_BYTES = 255, 4095  # of a name and of a path, in the file systems in use


class NamedFiles:
    """Finder of files under a folder by names that a person or another system wrote.

    A name may differ from that on disk by case, spaces, invisible characters or Unicode normalisation (as in archives that were
    moved between macOS, Windows and Linux), if it matches only one file; `respelled` maps such names to those on disk.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.respelled: dict[str, str] = {}
        self._listed: dict[str, dict[str, list[str]]] = {}

    def find(self, text: str) -> str | None:
        """Return the path on disk, relative to the folder, normalised, in POSIX style; None if no file or several match."""
        if not _utf8(text):
            return None
        options = (text, PureWindowsPath(text).as_posix())
        found = next((option for option in options if option and _is_file(self.folder / option)), None)
        if found is not None:
            return self._plain(found)
        alike = self._alike(text)
        if len(alike) != 1 or not _utf8(alike[0]):
            return None
        self.respelled[text] = self._plain(alike[0])
        return self.respelled[text]

    def _plain(self, found: str) -> str:
        plain = posixpath.normpath(found)
        return plain if _is_file(self.folder / plain) else found  # with a link in the path, ".." may lead elsewhere

    def reason(self, text: str) -> str:
        """Explain why `find` returned None, with a remedy if there is one; "" if the reason is unknown."""
        path = PurePosixPath(PureWindowsPath(text).as_posix())
        if _ADDRESS.match(text):
            return "an address: download the file, and unpack archives"
        if not _utf8(text):
            return "a name that is not UTF-8: rename the file"
        place = self.folder / path
        sizes = [len(os.fsencode(part)) for part in path.parts]
        longest = max(sizes, default=0)  # "." has no parts
        if longest > _LONGEST_BYTES:
            return f"a name of {longest} bytes, where file systems take {_LONGEST_BYTES}: rename it"
        if sum(sizes) + len(sizes) > _LONGEST_PATH_BYTES:
            return f"a path of {sum(sizes) + len(sizes) - 1} bytes, where systems take {_LONGEST_PATH_BYTES}"
        alike = self._alike(text)
        if len(alike) == 1:
            return f"there is {quoted(alike[0])}, whose name is not UTF-8: rename it"
        if alike:
            names = " and ".join(quoted(name) for name in alike[:3])
            return f"there are {names}, which differ by {difference(alike[:3])}: write one exactly"
        if place.is_symlink():
            return "a link to a file that does not exist"
        if place.is_dir():
            return "a folder"
        file = next((parent for parent in path.parents if _is_file(self.folder / parent)), None)
        if file is not None:
            return f"{quoted(str(file))} is a file, not a folder: unpack archives"
        if text.startswith("~"):
            return "'~' is not expanded"
        names, stems = self._names(place.parent), (_stem(path.name), comparable(path.name))
        other = next((names[name][0] for name in names if _stem(name) in stems), None)
        return f"there is {quoted(other)}" if other else ""

    def _alike(self, text: str) -> list[str]:
        """Return the files, relative to the folder, with paths that are spelt alike."""
        found = [""]
        for part in PurePosixPath(PureWindowsPath(text).as_posix()).parts:
            if part == "..":
                found = [posixpath.join(place, part) for place in found]
                continue
            found = [
                posixpath.join(place, name)
                for place in found
                for name in self._names(self.folder / place).get(comparable(part), ())
            ]
        return [place for place in found if _is_file(self.folder / place)]

    def _names(self, folder: Path) -> dict[str, list[str]]:
        """Return the names in a folder by their comparable form; empty if it cannot be listed."""
        key = str(folder)
        if key not in self._listed:
            names: dict[str, list[str]] = {}
            try:
                for name in sorted(os.listdir(folder)):
                    key_name = name if _utf8(name) else os.fsencode(name).decode("cp1252", "replace")
                    names.setdefault(comparable(key_name), []).append(name)
            except (OSError, ValueError):
                pass
            self._listed[key] = names
        return self._listed[key]


def _stem(name: str) -> str:
    return comparable(PurePosixPath(name).stem)


def _utf8(name: str) -> bool:
    """Return False for a name with bytes in another encoding, which no report could contain."""
    return not any("\ud800" <= c <= "\udfff" for c in name)


def _is_file(path: Path) -> bool:
    """Return whether the file exists; False also for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name or a path that is too long, a NUL
        return False
