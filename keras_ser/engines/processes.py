"""Local processes, each of which performs one piece of work at a time."""

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
    """Engine that performs work in local processes. If a process is killed, a new one restarts its work only.

    The processes end with their parent, however it ends. Their output is discarded, except the last line of a process that dies.
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
    """A process started on first use. A pool of several would break if any of them died."""

    def __init__(self):
        self.pool: ProcessPoolExecutor | None = None
        self.pid = 0
        self.ended = False
        self._errors: Any = None  # the file of its standard error
        self._lock = threading.Lock()

    def perform(self, *arguments: Any) -> Any:
        if self.pool is None:
            self._errors = tempfile.NamedTemporaryFile()  # noqa: SIM115, open as long as the process
            # fork is unsafe with TensorFlow's threads
            self.pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (self._errors.name,))
            self.pid = self.pool.submit(os.getpid).result()
        with self._lock:
            if self.ended:
                raise BrokenProcessPool("the engine ends.")
            performed = self.pool.submit(perform, *arguments)
        return performed.result()

    def reason(self) -> str:
        """Return why the process died, as far as known."""
        if not self.pid:
            return "it ended on start-up (the reason is above; a script needs `if __name__ == '__main__':`)"
        said = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        killed = "it was killed, or ran out of memory"
        return f"{killed}; its last line: {said[-1].rstrip('.')}" if said else killed

    def end(self) -> None:
        """Terminate running work and accept no more, also in a process that has not started yet."""
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
    """Initialise a new process."""
    # interrupts are handled by the parent, which ends this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for stream, file in ((1, os.devnull), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), stream)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
