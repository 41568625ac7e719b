"""What a worker does: take its place, then perform work after work."""

import functools
import os
import pickle
import platform
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.errors import UserError
from keras_ser.training.provenance import COMMAND, command_line

THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True)
class Workplace:
    """What a worker needs of the process that asks it.

    Args:
        folder: the working directory; relative paths mean the same in all workers.
        threads: of a worker, where the environment does not say otherwise.
        deterministic: whether TensorFlow's ops are.
        command: its command line, quoted for a shell.
    """

    folder: str
    threads: int = 1
    deterministic: bool = False
    command: str = ""

    @classmethod
    def here(cls, threads: int = 1, deterministic: bool = False) -> "Workplace":
        """This process's own."""
        threads = next((int(os.environ[name]) for name in THREADS if os.environ.get(name, "").isdecimal()), threads)
        return cls(os.getcwd(), threads, deterministic, shlex.join(command_line()))


def must_see(path: Path | str) -> None:
    """Raises a UserError where this worker does not see a file or a folder of the process that asks it."""
    if not os.path.exists(path):
        raise UserError(f"{platform.node()} does not see {path}: all workers need one file system and the same paths.")


@functools.cache
def _enter(workplace: Workplace) -> None:
    """Once a process, before TensorFlow is imported."""
    must_see(workplace.folder)
    os.chdir(workplace.folder)
    os.environ[COMMAND] = workplace.command
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
