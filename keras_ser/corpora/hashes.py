"""Compare a download with a published list of its files: missing, different and extra files.

Two kinds of list are read, both in UTF-8:

* a table separated by tabs, with a header that names the columns `path`, `sha256` and optionally `bytes`;
* the output of `sha256sum`: `<64 hexadecimal digits>  <path>`.

Paths are relative to the corpus's folder, a folder in it, or the one above.
"""

import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from keras_ser.audio.formats import is_lfs_pointer
from keras_ser.checks import listed
from keras_ser.corpora.corpus import CorpusError
from keras_ser.corpora.layout import AUDIO, VIDEO, entries
from keras_ser.corpora.named_files import NamedFiles
from keras_ser.corpora.plain_text import read_text
from keras_ser.errors import UserError
from keras_ser.files import user_path
from keras_ser.progress import track

SHA256 = re.compile(r"[0-9a-fA-F]{64}")
SUM = re.compile(rf"({SHA256.pattern})[ \t]+\*?(.+)")


class Listed(NamedTuple):
    """One file of a list; `bytes` is None if the list has no sizes."""

    path: PurePosixPath
    sha256: str
    bytes: int | None = None


@dataclass(frozen=True)
class HashReport:
    """The findings of `verify`; paths are relative to `root`, as in the list."""

    root: str  # the folder that the list's paths start from
    listing: str  # the list
    files: int  # number of listed files
    agree: int  # number of files with the listed size and hash
    missing: tuple[str, ...] = ()  # listed files not found in any format
    differ: tuple[str, ...] = ()  # files with another size or hash, and the difference
    pointers: tuple[str, ...] = ()  # Git LFS pointers in place of a file
    # listed files found in another format (.flac for .wav), whose hash cannot be compared
    not_comparable: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()  # unlisted audio files, or files of a listed kind, in the folders of listed ones

    @property
    def ok(self) -> bool:
        """True if every listed file agrees and there are no extra files."""
        return self.agree == self.files and not self.extra

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as plain values, for JSON."""
        return asdict(self) | {"ok": self.ok}

    def lines(self) -> list[str]:
        """Return the report as lines for a terminal."""
        kinds = {
            "missing": self.missing,
            "differ": self.differ,
            "a Git LFS pointer, not audio: run `git lfs pull`": self.pointers,
            "not comparable, in another format": self.not_comparable,
            "extra": self.extra,
        }
        said = [f"{self.listing}: {self.agree} of {self.files} listed files agree with those under {self.root}"]
        said += [f"{kind} ({len(cases)}): {listed(cases)}" for kind, cases in kinds.items() if cases]
        said.append("hashes ok" if self.ok else "hashes not ok: not every file is the listed one")
        return said


def read_list(path: str | Path) -> tuple[Listed, ...]:
    """Read the files of a list, in its order.

    Raises:
        CorpusError: the list cannot be read, or is empty; a line (the message has its number) is in neither format, leads out of
            the folder, or repeats a file.
    """
    path = user_path(path)
    wanted = "expected a list of files and their SHA-256 in UTF-8."
    text = read_text(path, wanted)
    # Not splitlines, which also splits at characters that a file name may contain.
    rows = [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not rows:
        raise CorpusError(f"{wanted} Received: {path}, which is empty.")
    columns = [cell.strip().lower() for cell in rows[0][1].split("\t")]
    table = {"path", "sha256"} <= set(columns)
    found: dict[PurePosixPath, Listed] = {}
    for number, line in rows[1:] if table else rows:
        try:
            file = _row(line, columns) if table else _sum(line)
            if file.path in found:
                raise UserError("each file once")
        except UserError as error:
            raise CorpusError(f"{path.name}, line {number}: expected {error}. Received: {line[:100]!r}.") from error
        found[file.path] = file
    if not found:
        raise CorpusError(f"{wanted} Received: {path}, which has a header and no files.")
    return tuple(found.values())


def _row(line: str, columns: list[str]) -> Listed:
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) != len(columns):
        raise UserError(f"{len(columns)} fields separated by tabs, as in the header ({', '.join(columns)})")
    row = dict(zip(columns, cells, strict=True))
    if not SHA256.fullmatch(row["sha256"]):
        raise UserError("a sha256 of 64 hexadecimal digits")
    if "bytes" in row and not re.fullmatch(r"[0-9]+", row["bytes"]):
        raise UserError("a whole number of bytes")
    return Listed(_relative(row["path"]), row["sha256"].lower(), int(row["bytes"]) if "bytes" in row else None)


def _sum(line: str) -> Listed:
    match = SUM.fullmatch(line)
    if not match:
        raise UserError(
            "'<64 hexadecimal digits>  <path>' as sha256sum writes it, or a first line that names the columns path, "
            "bytes and sha256, separated by tabs"
        )
    return Listed(_relative(match[2]), match[1].lower())


def _relative(text: str) -> PurePosixPath:
    path = PurePosixPath(PureWindowsPath(text).as_posix())
    if not path.name or ".." in path.parts or path.is_absolute() or PureWindowsPath(text).drive:
        raise UserError("a path within the folder")
    return path


def _another_format(names: NamedFiles, path: PurePosixPath) -> str | None:
    """Return the same recording in another format, or None."""
    kinds = (*AUDIO, *VIDEO) if path.suffix.lower() in (*AUDIO, *VIDEO) else ()
    return next((place for kind in kinds if (place := names.find(str(path.with_suffix(kind))))), None)


def _base(root: Path, files: tuple[Listed, ...]) -> NamedFiles:
    """Return the folder that the list's paths are relative to: the root, else a folder in it or the one above."""
    folders = [path for path in (root, *entries(root), root.resolve().parent) if path.is_dir()]
    for names in map(NamedFiles, folders):
        if any(names.find(str(file.path)) or _another_format(names, file.path) for file in files):
            return names
    return NamedFiles(root)


def verify(root: str | Path, listing: str | Path, progress: bool = False) -> HashReport:
    """Compare the files under a folder with a list of sizes and SHA-256.

    Args:
        root: the folder.
        listing: the list, see the module.
        progress: show a progress bar on a terminal.

    Raises:
        CorpusError: the errors of `read_list`; `root` is not a folder.
    """
    files = read_list(listing)
    root = user_path(root)
    if not root.is_dir():
        raise CorpusError(
            f"expected the folder that {Path(listing).name} describes. Received: {root}, which is not a folder."
        )
    names = _base(root, files)
    found: dict[str, list[str]] = {kind: [] for kind in ("missing", "differ", "pointers", "not_comparable")}
    agree, seen = 0, set()
    for file in track(files, "hashing", shown=progress):
        place = names.find(str(file.path))
        if place is None:
            other = _another_format(names, file.path)
            found["not_comparable" if other else "missing"].append(str(file.path))
            seen.add(other)
            continue
        seen.add(place)
        kind, what = _compare(names.folder / place, file)
        if kind:
            found[kind].append(f"{file.path}{what}")
        else:
            agree += 1
    kinds = {*AUDIO, *(file.path.suffix.lower() for file in files)}
    itself = user_path(listing).resolve()
    folders = [folder for folder in sorted({names.folder / file.path.parent for file in files}) if folder.is_dir()]
    extra = [
        place
        for path in (path for folder in folders for path in entries(folder))
        if (place := path.relative_to(names.folder).as_posix()) not in seen
        and path.suffix.lower() in kinds
        and path.is_file()
        and path.resolve() != itself
    ]
    return HashReport(
        root=str(names.folder),
        listing=Path(listing).name,
        files=len(files),
        agree=agree,
        extra=tuple(extra),
        **{kind: tuple(cases) for kind, cases in found.items()},
    )


def _compare(path: Path, file: Listed) -> tuple[str, str]:
    """Return (kind of difference or "", its description); the size, which is cheap, is compared before the hash."""
    try:
        size = path.stat().st_size
        with path.open("rb") as opened:
            if is_lfs_pointer(opened):
                return "pointers", ""
            if file.bytes is not None and size != file.bytes:
                return "differ", f" ({size} bytes, listed {file.bytes})"
            opened.seek(0)
            agrees = hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
    except OSError as error:
        return "differ", f" (cannot be read: {error.strerror})"
    return ("", "") if agrees else ("differ", " (another sha256)")
