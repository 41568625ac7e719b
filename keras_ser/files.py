"""Files written whole, and locks between processes. No TensorFlow.

A kill, a crash or a full disk leaves the old file or the new one, never half of it.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ser.errors import DiskError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TEMPORARY = ".part."  # in the names of half-written files, which a killed process leaves behind
STALE_SECONDS = 3600  # a half-written file that has not grown for so long is a left-over

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
}
REFUSED = {errno.EACCES: "permission denied", errno.EPERM: "permission denied", errno.EROFS: "the disk is read-only"}


def user_cache() -> Path:
    """The folder of what can be made again: KERAS_SER_CACHE, else keras_ser below XDG_CACHE_HOME or ~/.cache."""
    own, shared = os.environ.get("KERAS_SER_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own).expanduser() if own else (Path(shared) if shared else Path.home() / ".cache") / "keras_ser"


def waveform_cache(out: Path | str, asked: str | None = None) -> Path:
    """Where the decoded corpora of the experiments in OUT lie: where it is asked for, in OUT/cache as of earlier versions where
    that is there, or in the user's cache folder."""
    if asked:
        return Path(asked).expanduser()
    return Path(out) / "cache" if (Path(out) / "cache").is_dir() else user_cache() / "waveforms"


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file of the same suffix, then put it in place.

    Args:
        path: the file; its folder must exist.
        write: called with the temporary path, which is unique to this call, in the same folder.

    Raises:
        DiskError: the disk is full or read-only, or the folder may not be written. The old file stays.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}{TEMPORARY}{path.name}")
    try:
        write(temporary)
        # some file systems report a full disk only here, and a power cut must not leave an empty file
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
    """The error to report where a disk takes no more; None where `error` is about something else.

    Args:
        error: what was raised. TensorFlow and HDF5 give the cause in words alone.
        path: what was to be written, if that is known.
        more: further error numbers and what they mean, where `error` can only come from writing.
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
    return DiskError(
        f"{what}. All files written before are whole and are kept. {way_out}, or name another folder, and run the command again."
    )


def remove_parts(folder: Path, older: float = STALE_SECONDS) -> None:
    """Delete the half-written files of killed processes in a folder, last written `older` seconds ago or earlier.

    0 only where no other process can be writing.
    """
    for path in folder.glob(f".*{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime >= older:
                path.unlink()


@contextlib.contextmanager
def lock(path: Path, wait: bool | float = True) -> Iterator[bool]:
    """Keep other processes and threads away from a file or folder.

    The lock is the file `.NAME.lock` beside it. It ends with its process, whatever ends that; the empty file stays.

    Args:
        path: what to lock; it need not exist, and its parent folder is made.
        wait: wait until nobody else holds the lock; a number of seconds: no longer than that.

    Yields:
        Whether the lock is held: False only where `wait` is over and another process or thread holds it.

    Raises:
        DiskError: the lock file cannot be written.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
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
    """UTF-8, with a line's end behind it."""
    write_whole(path, lambda temporary: temporary.write_text(text.rstrip("\n") + "\n", encoding="utf-8"))


def write_json(path: Path, value: Any, allow_nan: bool = False) -> None:
    """JSON as the standard has it; or, where `allow_nan`, as Python reads and writes it.

    Raises:
        ValueError: a number that is not finite, unless they are allowed.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=allow_nan, ensure_ascii=False))


def write_table(path: Path, table: pd.DataFrame, **options: Any) -> None:
    """CSV without an index, packed where `path` ends in .gz; `options` are those of `DataFrame.to_csv`."""
    given = {"index": False, "lineterminator": "\n", "encoding": "utf-8", **options}

    def write(temporary: Path) -> None:
        if path.suffix != ".gz":
            table.to_csv(temporary, **given)
            return
        # without a name and a time in its header, one table is one file
        with open(temporary, "wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            table.to_csv(packed, **given)

    write_whole(path, write)


def write_figure(path: Path, figure: Figure) -> None:
    """PNG, PDF or SVG, by the ending; the same figure gives the same bytes of PNG."""
    metadata = {"Software": None} if path.suffix.lower() == ".png" else None
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=130, metadata=metadata))
