"""A disk that takes no more, and a process that is killed while it writes."""

import contextlib
from collections.abc import Iterator

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
