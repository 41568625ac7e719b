"""What a worker does: take its place, then perform work after work."""

import functools
import os
import pickle
import platform
from dataclasses import dataclass
from typing import Any

from keras_ser.errors import UserError

THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True)
class Workplace:
    """What a worker needs of the process that asks it.

    Args:
        folder: the working directory; relative paths mean the same in all workers.
        threads: of a worker, where the environment does not say otherwise.
        deterministic: whether TensorFlow's ops are.
    """

    folder: str
    threads: int = 1
    deterministic: bool = False

    @classmethod
    def here(cls, threads: int = 1, deterministic: bool = False) -> "Workplace":
        """This process's own."""
        threads = next((int(os.environ[name]) for name in THREADS if os.environ.get(name, "").isdecimal()), threads)
        return cls(os.getcwd(), threads, deterministic)


@functools.cache
def _enter(workplace: Workplace) -> None:
    """Once a process, before TensorFlow is imported."""
    try:
        os.chdir(workplace.folder)
    except OSError as error:
        raise UserError(
            f"{platform.node()} does not see {workplace.folder}: all workers need the same paths."
        ) from error
    for name in THREADS:
        os.environ.setdefault(name, str(workplace.threads))
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if workplace.deterministic:
        from keras_ser.training import deterministic

        deterministic()


# the same bytes come with every work
_loaded = functools.lru_cache(maxsize=1)(pickle.loads)


def perform(workplace: Workplace, shared: bytes, work: bytes) -> Any:
    """function(shared, *arguments) of a pickled (function, arguments)."""
    _enter(workplace)
    function, arguments = pickle.loads(work)
    return function(_loaded(shared), *arguments)
