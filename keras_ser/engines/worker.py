"""The worker side of engines: set up the process, then perform work."""

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
    """The environment that a worker takes over from the submitting process.

    Args:
        folder: the working directory, so that relative paths are the same in all workers.
        threads: number of threads of a worker, unless set by the environment.
        deterministic: whether TensorFlow's ops are deterministic.
        command: the command line of the submitting process, quoted for a shell.
    """

    folder: str
    threads: int = 1
    deterministic: bool = False
    command: str = ""

    @classmethod
    def here(cls, threads: int = 1, deterministic: bool = False) -> "Workplace":
        """Return the workplace of this process."""
        threads = next((int(os.environ[name]) for name in THREADS if os.environ.get(name, "").isdecimal()), threads)
        return cls(os.getcwd(), threads, deterministic, shlex.join(command_line()))


def must_see(path: Path | str) -> None:
    """Raise UserError if this worker cannot access a file or folder of the submitting process."""
    if not os.path.exists(path):
        raise UserError(f"{platform.node()} cannot access {path}: all workers need one file system and the same paths.")


def limit_threads(threads: int) -> None:
    """Limit TensorFlow's threads and let GPU memory grow on demand, unless the environment says otherwise; before its import."""
    for name in THREADS:
        os.environ.setdefault(name, str(threads))
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


@functools.cache
def _enter(workplace: Workplace) -> None:
    """Set up a process, once, before TensorFlow is imported."""
    must_see(workplace.folder)
    os.chdir(workplace.folder)
    os.environ[COMMAND] = workplace.command
    limit_threads(workplace.threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if workplace.deterministic:
        from keras_ser.training import deterministic

        deterministic()


# cached, since the same bytes come with every piece of work
_loaded = functools.lru_cache(maxsize=1)(pickle.loads)


def perform(workplace: Workplace, shared: bytes, work: bytes) -> Any:
    """Return function(shared, *arguments) for a pickled (function, arguments)."""
    _enter(workplace)
    function, arguments = pickle.loads(work)
    return function(_loaded(shared), *arguments)
