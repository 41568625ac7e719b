"""Several processes on this machine, each of which does one piece of work at a time."""

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from keras_ser.engines.engine import TRIES, WorkerDied, Workers
from keras_ser.engines.worker import Workplace, perform


class Processes(Workers):
    """Performs work in processes; one that is killed costs its own work alone, which a new one begins again.

    They end with the process that started them, whatever ends that. Their output is dropped.
    """

    def __init__(self, jobs: int, workplace: Workplace, shared: Any):
        super().__init__(jobs, workplace, shared)
        self._free: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._all = [_Process() for _ in range(jobs)]
        for process in self._all:
            self._free.put(process)

    def perform(self, work: bytes) -> Any:
        process = self._free.get()
        try:
            for _ in range(TRIES):
                try:
                    return process.perform(self.workplace, self.shared, work)
                except BrokenProcessPool:
                    process.close()
                    if self.ending:
                        raise
            raise WorkerDied(f"its process died {TRIES} times: it was killed, or the memory does not suffice.")
        finally:
            self._free.put(process)

    def end(self) -> None:
        for process in self._all:
            process.kill()

    def close(self) -> None:
        for process in self._all:
            process.close()


class _Process:
    """A process that is started when it is first needed. A pool of several would end with any of them."""

    def __init__(self):
        self.pool: ProcessPoolExecutor | None = None
        self.pid = 0

    def perform(self, *arguments: Any) -> Any:
        if self.pool is None:
            # fork and TensorFlow's threads do not go together
            self.pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)
            self.pid = self.pool.submit(os.getpid).result()
        return self.pool.submit(perform, *arguments).result()

    def kill(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown()
        self.pool, self.pid = None, 0


def _begin() -> None:
    """First of all in a new process."""
    # an interrupt concerns the process that started this one, and which ends it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
