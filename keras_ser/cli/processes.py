"""Several runs trained at the same time: copies of a command, each of which takes the runs that no other process has taken."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

# set in the environment of a copy: train, and leave reports and further copies to the first process
WORKER = "KERAS_SER_WORKER"


def is_worker() -> bool:
    """Whether this process is such a copy."""
    return WORKER in os.environ


def share_cores(processes: int) -> None:
    """Give each of so many processes its share of the cores and no more GPU memory than it needs; before TensorFlow is imported."""
    cores = str(max(1, (os.cpu_count() or 1) // processes))
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, cores)
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


@contextlib.contextmanager
def workers(command: Sequence[str], count: int) -> Iterator[Callable[..., None]]:
    """Start copies of a command; when the block is left, those that still run are ended.

    What fails in them is noted in the experiments' folders, and what they leave undone, by this process.

    Args:
        command: the command line.
        count: how many copies.

    Yields:
        A function that waits until all of them have ended, and calls its argument every second.
    """
    env = {**os.environ, WORKER: "1"}
    copies = [
        subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(count)
    ]

    def wait(on_second: Callable[[], None] = lambda: None) -> None:
        while any(copy.poll() is None for copy in copies):
            on_second()
            time.sleep(1)

    try:
        yield wait
    finally:
        for copy in copies:
            copy.terminate()
            copy.wait()
