"""Engines: work is submitted, and performed here or by workers."""

import pickle
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from keras_ser.engines.worker import Workplace
from keras_ser.errors import UserError

TRIES = 3  # so often is the work of workers that die begun


class WorkerDied(UserError):
    """The workers that did a piece of work died, `TRIES` times."""


class Engine(Protocol):
    """See `keras_ser.engines`. `jobs` is how many pieces of work are performed at the same time."""

    jobs: int

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future: ...

    def __enter__(self) -> "Engine": ...

    def __exit__(self, kind, error, trace) -> None: ...


class Sequential:
    """Performs work in this process, when it is submitted; exceptions are raised by `submit`."""

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
    """A thread for each worker hands it its work; how, is up to the subclass.

    Args:
        jobs: how many workers.
        workplace: theirs.
        shared: the first argument of all work; pickled once.
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
        """In a thread: have the work done, again where a worker died, and return its result."""
        raise NotImplementedError

    def end(self) -> None:
        """End the work under way."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is under way any more: let the workers go."""
        raise NotImplementedError
