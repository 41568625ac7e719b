"""A limit of time for decoders: libraries in C, in which a damaged file may keep a thread for ever."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from keras_ser.audio.errors import AudioError

SECONDS = 60.0  # to open a file, or to decode a minute of it: a hundred times what slow formats take
T = TypeVar("T")


def limited(path: Path, work: Callable[[], T]) -> T:
    """Does `work` in a thread of its own and gives it up when its time is over.

    The caller waits in Python, where an interrupt (Ctrl+C) reaches it. An abandoned thread runs until the process ends, and does
    not keep the process from ending. A child process would also survive a decoder that crashes, but costs seconds of imports per
    reading thread and a pipe for all samples; `sizes` keeps known causes of crashes from the decoders.

    Args:
        path: the file, for the message.
        work: takes nothing.

    Raises:
        AudioError: it took longer than `SECONDS`.
        BaseException: what `work` raises.
    """
    found: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name=f"decoding {path.name}", daemon=True)
    thread.start()
    thread.join(SECONDS)
    if thread.is_alive():
        raise AudioError(f"{path}: corrupt: it could not be decoded within {SECONDS:g} s.")
    if raised:
        raise raised[0]
    return found[0]
