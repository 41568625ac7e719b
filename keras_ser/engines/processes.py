"""Several processes on this machine, each of which does one piece of work at a time."""

import contextlib
import multiprocessing
import os
import queue
import signal
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from keras_ser.engines.engine import TRIES, WorkerDied, Workers
from keras_ser.engines.worker import Workplace, perform


class Processes(Workers):
    """Performs work in processes; one that is killed costs its own work alone, which a new one begins again.

    They end with the process that started them, whatever ends that. Their output is dropped, but for the last line of one that
    dies.
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
                    reason = process.reason()
                    process.close()
                    if process.ended:
                        raise
            raise WorkerDied(f"its process died {TRIES} times: {reason}.")
        finally:
            self._free.put(process)

    def end(self) -> None:
        for process in self._all:
            process.end()

    def close(self) -> None:
        for process in self._all:
            process.close()


class _Process:
    """A process that is started when it is first needed. A pool of several would end with any of them."""

    def __init__(self):
        self.pool: ProcessPoolExecutor | None = None
        self.pid = 0
        self.ended = False
        self._errors: Any = None  # the file of its standard error
        self._lock = threading.Lock()

    def perform(self, *arguments: Any) -> Any:
        if self.pool is None:
            self._errors = tempfile.NamedTemporaryFile()  # noqa: SIM115, open as long as the process
            # fork and TensorFlow's threads do not go together
            self.pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (self._errors.name,))
            self.pid = self.pool.submit(os.getpid).result()
        with self._lock:
            if self.ended:
                raise BrokenProcessPool("the engine ends.")
            performed = self.pool.submit(perform, *arguments)
        return performed.result()

    def reason(self) -> str:
        """Why it died, as far as that is known."""
        if not self.pid:
            return "it ended as it started (the reason is above; a script needs `if __name__ == '__main__':`)"
        said = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        killed = "it was killed, or the memory does not suffice"
        return f"{killed}, or as its last line says: {said[-1].rstrip('.')}" if said else killed

    def end(self) -> None:
        """End the work under way, and begin none any more; a process that is not up yet gets none."""
        with self._lock:
            self.ended = True
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown()
            self._errors.close()
        self.pool, self.pid = None, 0


def _begin(errors: str) -> None:
    """First of all in a new process."""
    # an interrupt concerns the process that started this one, and which ends it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for stream, file in ((1, os.devnull), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), stream)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
