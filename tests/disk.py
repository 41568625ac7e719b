"""A disk that takes no more."""

import contextlib
from collections.abc import Iterator

import pytest


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
