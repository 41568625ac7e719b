"""A time limit for decoders: C libraries may loop forever on a damaged file."""

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import soundfile

from keras_ser.audio.errors import AudioError

SECONDS = 60.0  # to open a file, or to decode a minute of it: a hundred times what slow formats take
T = TypeVar("T")


def limited(path: Path, work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own and abandon it after `SECONDS`.

    The caller waits in Python, where an interrupt (Ctrl+C) reaches it. An abandoned thread runs until the process ends, without
    keeping it alive. A child process would also survive a decoder that crashes, but costs seconds of imports per
    reading thread and a pipe for all samples; `sizes` keeps known causes of crashes from the decoders.

    Raises:
        AudioError: it took longer than `SECONDS`.
        BaseException: what `work` raises.
    """
    found: list[T] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name=f"decoding {path.name}", daemon=True).start()
    try:
        # not `join`, after whose interrupt a thread counts as ended
        done.wait(SECONDS)
    finally:
        if not done.is_set():
            _keep_loaded()
    if raised:
        raise raised[0]
    if not found:
        raise AudioError(f"{path}: corrupt: it could not be decoded within {SECONDS:g} s.")
    return found[0]


def _keep_loaded() -> None:
    """Keep libsndfile loaded at exit, since an abandoned thread may still run in it."""
    library = getattr(soundfile, "_snd", None)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
