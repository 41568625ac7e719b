"""Run a command, reporting a user's mistake as one line on standard error and an exit code instead of a traceback."""

import contextlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_ser.errors import UserError
from keras_ser.files import disk_error, printable

INTERRUPTED = 130
LONGEST = 1000  # maximum number of characters of a message, since it may quote any input
BACKENDS = ("jax", "jaxlib", "torch", "openvino")  # of Keras, besides TensorFlow
_asked = threading.Event()


def check_interrupt() -> None:
    """Raise KeyboardInterrupt if an earlier one was lost."""
    if _asked.is_set():
        raise KeyboardInterrupt


def _interrupt(number, frame) -> None:
    # Python drops an exception that is raised while a destructor runs, as TensorFlow's often do: remember the request
    _asked.set()
    raise KeyboardInterrupt


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show the warnings that this package gives as one line on standard error."""
    plain = warnings.showwarning

    def show(message, category, filename, lineno, file=None, line=None) -> None:
        if file is None and category.__module__.split(".")[0] == "keras_ser":
            print(f"keras-ser: warning: {message}", file=sys.stderr)
        else:
            plain(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = plain


def _of_backend(error: Exception) -> UserError | None:
    """Return the error for a Keras that could not be imported with its backend, which KERAS_BACKEND or its own settings name."""
    missing = isinstance(error, ImportError) and (error.name or "").split(".")[0] in BACKENDS
    if "keras" in sys.modules or not (missing or "Unable to import backend" in str(error)):
        return None
    backend = os.environ.get("KERAS_BACKEND", "another backend")
    return UserError(f"expected KERAS_BACKEND=tensorflow, which this command requires. Received: {backend} ({error}).")


def _stopped(message: str | Callable[[], str]) -> int:
    print(message() if callable(message) else message, file=sys.stderr)
    return INTERRUPTED


def guarded(action: Callable[[], int | None], interrupted: str | Callable[[], str] = "interrupted") -> int:
    """Run a command; report mistakes and full disks in one line with exit code 2 (KERAS_SER_TRACEBACK=1 shows the traceback).

    Args:
        action: The command; its return value is the exit code, None means 0.
        interrupted: Message for an interrupt by the user (exit code 130), or a function that returns it then.
    """
    # hide TensorFlow's start-up lines
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow's retracing warning does not apply to many models in one process
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    _asked.clear()
    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, _interrupt)
    try:
        with _warnings_as_lines():
            return action() or 0
    except KeyboardInterrupt:
        return _stopped(interrupted)
    except BrokenPipeError:
        return 0
    except Exception as error:
        if _asked.is_set():  # TensorFlow may convert an interrupt to an error of its own
            return _stopped(interrupted)
        error = _of_backend(error) or error
        if not isinstance(error, UserError):
            error = disk_error(error, Path(error.filename) if getattr(error, "filename", None) else None) or error
        if not isinstance(error, (UserError, OSError)) or os.environ.get("KERAS_SER_TRACEBACK"):
            raise
        text = printable(" ".join(str(error).split()))
        print(
            f"keras-ser: error: {text if len(text) <= LONGEST else text[:700] + ' .. ' + text[-250:]}", file=sys.stderr
        )
        return 2
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
