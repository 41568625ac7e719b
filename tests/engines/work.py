"""What the workers of tests do."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from keras_ser.errors import DivergenceError
from keras_ser.training.provenance import made_by


def add(shared: int, number: int) -> tuple[int, str, str]:
    return shared + number, os.getcwd(), os.environ["TF_NUM_INTRAOP_THREADS"]


def made(shared: int) -> str:
    return made_by()["command"]


def die(shared: int, tries: Path, times: int) -> int:
    """Die so often, then return how often this was begun."""
    begun = len(list(tries.iterdir()))
    (tries / str(begun)).touch()
    if begun < times:
        print("no room on the device.\n", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return begun + 1


def diverge(shared: int) -> None:
    raise DivergenceError("the loss is nan.")


def sleep(shared: int, pid: Path) -> None:
    pid.with_suffix(".part").write_text(str(os.getpid()))
    pid.with_suffix(".part").rename(pid)
    time.sleep(600)


def appeared(path: Path, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return path.exists()


def gone(pid: int, seconds: float = 30) -> bool:
    """Whether a process ends in time; one that nobody has waited for yet has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


class Named:
    """Rows of files, as `keras_ser.serving.bulk.RayRows` makes them."""

    def __init__(self, model: str):
        pass

    def __call__(self, batch):
        return {"row": [json.dumps({"file": json.loads(str(file))[1]}) for file in batch["file"]]}


class Dying(Named):
    def __call__(self, batch):
        raise DivergenceError("the loss is nan.")
