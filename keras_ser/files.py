"""Atomic writes and locks between processes. No TensorFlow.

After a kill, a crash or a full disk, either the old or the new file is there, never a partial one.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import re
import shutil
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ser.errors import DiskError, UserError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TEMPORARY = ".part."  # part of the names of partial files, which a killed process leaves behind
STALE_SECONDS = 3600  # a partial file that has not been written to for this long is a left-over

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
}
REFUSED = {errno.EACCES: "permission denied", errno.EPERM: "permission denied", errno.EROFS: "the disk is read-only"}


def user_path(path: str | os.PathLike) -> Path:
    """Return a path with ~ as the home folder; the ~ of an unknown user stays, and is then a folder that does not exist.

    Raises:
        UserError: it is not a path.
    """
    if not isinstance(path, str | os.PathLike):
        raise UserError(f"expected a path. Received: {path!r}.")
    return Path(os.path.expanduser(path))


def user_cache() -> Path:
    """Return the cache folder: KERAS_SER_CACHE, or else keras_ser in XDG_CACHE_HOME or ~/.cache.

    Raises:
        UserError: the user has no home folder, and neither variable is set.
    """
    own, shared = os.environ.get("KERAS_SER_CACHE"), os.environ.get("XDG_CACHE_HOME")
    try:
        return user_path(own) if own else (Path(shared) if shared else Path.home() / ".cache") / "keras_ser"
    except RuntimeError as error:
        raise UserError(
            "expected a home folder, in which the cache lies. Received: none. Set the environment variable KERAS_SER_CACHE to a "
            "folder for it."
        ) from error


def waveform_cache(out: Path | str, asked: str | None = None) -> Path:
    """Return the folder of the decoded corpora of the experiments in `out`.

    It is `asked` if given, else OUT/cache (the place in earlier versions) if it exists, else a folder in the user's cache.
    """
    if asked:
        return user_path(asked)
    return Path(out) / "cache" if (Path(out) / "cache").is_dir() else user_cache() / "waveforms"


def make_folder(folder: Path) -> None:
    """Create a folder and its parents where they are missing.

    Raises:
        DiskError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder, {error.errno: str(error.strerror).lower(), **REFUSED}) from error


def refusal(folder: Path) -> str:
    """Return why no file can be written to a folder, which is created if it is missing; "" if one can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def visible_files(folder: Path) -> list[Path]:
    """Return the files in a folder and its sub-folders, sorted, without hidden ones and those in hidden folders."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def printable(text: str | os.PathLike) -> str:
    """Return a path, or a text that names one, with the bytes that are not UTF-8 as escapes, in every output.

    Example:
        >>> printable(os.fsdecode(b"caf\\xe9.wav"))
        'caf\\\\xe9.wav'
    """
    return re.sub("[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", os.fsdecode(text))


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file atomically: `write` fills a temporary file, which then replaces `path`.

    Args:
        path: the file; its folder must exist.
        write: called with the temporary path, which is in the same folder, unique to this call, and ends in the name of `path`.

    Raises:
        DiskError: the disk is full or read-only, or the folder is not writable. The old file stays.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}{TEMPORARY}{path.name}")
    try:
        write(temporary)
        # some file systems report a full disk only here; after a power cut the file must not be empty
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except Exception as error:
        told = disk_error(error, path, REFUSED)
        if told is None:
            raise
        raise told from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def disk_error(error: BaseException, path: Path | None, more: dict[int, str] | None = None) -> DiskError | None:
    """Return the `DiskError` for a failed write, or None if `error` has another cause.

    Args:
        error: the exception. TensorFlow and HDF5 state the cause in the message only.
        path: the file to be written, or None if unknown.
        more: further error numbers and their meaning, for an `error` that can only come from writing.
    """
    reasons = {**FULL, **(more or {})}
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        number = next((known for known in reasons if os.strerror(known) in str(error)), None)
    reason = reasons.get(number)
    if reason is None:
        return None
    what = f"{path.parent}: cannot write {path.name}, {reason}" if path else f"cannot write, {reason} ({error})"
    way_out = "Free some space" if number in FULL else "Make the folder writable"
    other = "name another folder"
    with contextlib.suppress(UserError):
        if path and path.is_relative_to(user_cache()):
            also = "; in training also --cache" if path.is_relative_to(user_cache() / "waveforms") else ""
            other += f" (environment variable KERAS_SER_CACHE{also})"
    return DiskError(
        f"{what}. All files written before are whole and are kept. {way_out}, or {other}, and run the command again."
    )


def remove_parts(folder: Path, older: float = STALE_SECONDS) -> None:
    """Delete the partial files and folders of killed processes in a folder, last written at least `older` seconds ago.

    Pass 0 only if no other process can be writing.
    """
    for path in folder.glob(f".*{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - max(each.stat().st_mtime for each in (path, *path.rglob("*"))) >= older:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def lock(path: Path, wait: bool | float = True) -> Iterator[bool]:
    """Lock a file or folder against other processes and threads.

    The lock is the file `.NAME.lock` beside it. It is released when the process ends, for whatever reason; the empty file stays.

    Args:
        path: file or folder to lock; it need not exist. Its parent folder is created.
        wait: True to wait until the lock is free, or the longest wait in seconds. Default True.

    Yields:
        True if the lock was acquired; False if `wait` ended while another process or thread held it.

    Raises:
        DiskError: the lock file cannot be written.
    """
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    file = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        file.acquire(timeout=-1 if wait is True else float(wait))
        held = True
    except Timeout:
        held = False
    except OSError as error:
        told = disk_error(error, Path(file.lock_file), REFUSED)
        if told is None:
            raise
        raise told from error
    try:
        yield held
    finally:
        if held:
            file.release()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text that ends in a single newline."""
    write_whole(path, lambda temporary: temporary.write_text(text.rstrip("\n") + "\n", encoding="utf-8"))


def write_json(path: Path, value: Any, allow_nan: bool = False) -> None:
    """Write standard JSON, or with `allow_nan` also NaN and infinities, as Python does.

    Raises:
        ValueError: a number is not finite and `allow_nan` is False.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=allow_nan, ensure_ascii=False))


def write_table(path: Path, table: pd.DataFrame, **options: Any) -> None:
    """Write a table as CSV without its index, compressed if `path` ends in .gz; `options` are those of `DataFrame.to_csv`."""
    given = {"index": False, "lineterminator": "\n", "encoding": "utf-8", **options}

    def write(temporary: Path) -> None:
        if path.suffix != ".gz":
            table.to_csv(temporary, **given)
            return
        # no name and no time in the header, so that equal tables give equal files
        with open(temporary, "wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            table.to_csv(packed, **given)

    write_whole(path, write)


def read_exact(path: Path, **options: Any) -> pd.DataFrame:
    """Read what `write_table` wrote, every float as it was; `options` are those of `pandas.read_csv`."""
    import pandas as pd

    # pandas reads floats exactly by default since 3.1, which deprecates the option
    exact = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    return pd.read_csv(path, **({} if exact else {"float_precision": "round_trip"}), **options)


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, PDF or SVG, by the suffix; equal figures give equal PNG files."""
    metadata = {"Software": None} if path.suffix.lower() == ".png" else None
    with warnings.catch_warnings():
        # labels in a script that the font lacks are drawn as boxes; a warning for each sign says no more
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        write_whole(path, lambda temporary: figure.savefig(temporary, dpi=130, metadata=metadata))
