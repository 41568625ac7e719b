"""A disk that takes no more, folders that cannot be written, and a process that is killed while it writes."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keras_ser import files


class Killed(BaseException):
    """Raised where a process would be killed."""


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """In the body, no file of this process can grow beyond so many bytes; the error of the system is EFBIG."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def killed_after(writes: int) -> Iterator[None]:
    """The body is killed where it would write a file after so many."""
    left, whole = [writes], files.write_whole

    def write(*given) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        whole(*given)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(files, "write_whole", write)
        yield


CLOSED: list[Path] = []  # by `read_only`
HOOKS: list = []
CHANGES = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "os.utime",
    "os.chmod",
    "os.link",
    "os.symlink",
)


def _refuse(event: str, given: tuple) -> None:
    if CLOSED and (event in CHANGES or (event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))):
        paths = [
            Path(os.path.abspath(os.fsdecode(path)))
            for path in given[:2]
            if isinstance(path, str | bytes | os.PathLike)
        ]
        for path in paths:
            if any(path.is_relative_to(folder) for folder in CLOSED):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


@contextlib.contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """In the body, Python changes nothing in these folders, also as root, whom permissions do not stop."""
    if _refuse not in HOOKS:
        HOOKS.append(_refuse)
        sys.addaudithook(_refuse)  # for good
    CLOSED.extend(folder.resolve() for folder in folders)
    try:
        yield
    finally:
        CLOSED.clear()
