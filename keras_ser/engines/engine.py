"""The interface of engines: work is submitted, and performed in this process or by workers."""

import pickle
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from keras_ser.engines.worker import Workplace
from keras_ser.errors import UserError

TRIES = 3  # maximum number of attempts at work whose workers die


class WorkerDied(UserError):
    """Raised if the workers of a piece of work died `TRIES` times."""


class Engine(Protocol):
    """See `keras_ser.engines`. `jobs` is the number of pieces of work performed at the same time."""

    jobs: int

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future: ...

    def __enter__(self) -> "Engine": ...

    def __exit__(self, kind, error, trace) -> None: ...


class Sequential:
    """Engine that performs work in this process on submission; `submit` raises its exceptions."""

    jobs = 1

    def __init__(self, shared: Any):
        self.shared = shared

    def __enter__(self) -> "Sequential":
        return self

    def __exit__(self, kind, error, trace) -> None:
        return

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        future = Future()
        future.set_result(function(self.shared, *arguments))
        return future


class Workers:
    """Base class of engines with workers, each fed by its own thread; subclasses define how.

    Args:
        jobs: number of workers.
        workplace: the environment of the workers.
        shared: the first argument of all work, pickled once.
    """

    def __init__(self, jobs: int, workplace: Workplace, shared: Any):
        self.jobs, self.workplace = jobs, workplace
        self.shared = pickle.dumps(shared)
        self.ending = False
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="engine")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.ending = kind is not None
        if self.ending:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self.end()
        self._threads.shutdown()
        self.close()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        return self._threads.submit(self.perform, pickle.dumps((function, arguments)))

    def perform(self, work: bytes) -> Any:
        """Have the work done, in a thread, retrying if a worker dies, and return its result."""
        raise NotImplementedError

    def end(self) -> None:
        """Terminate running work."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the workers, once no work is running."""
        raise NotImplementedError
