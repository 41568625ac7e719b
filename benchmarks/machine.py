"""The machine: whether anything else is running (a ratio taken on cores that others use says little), clean processes, times."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def busy_cores(seconds: float = 2.0) -> float:
    """How many cores other processes kept busy during the last `seconds`; the load average where /proc/stat is missing."""

    def idle() -> float:
        with open("/proc/stat") as file:
            return sum(map(int, file.readline().split()[4:6])) / os.sysconf("SC_CLK_TCK")

    try:
        before, start = idle(), time.perf_counter()
        time.sleep(seconds)
        return max(0.0, (os.cpu_count() or 1) - (idle() - before) / (time.perf_counter() - start))
    except OSError:
        return os.getloadavg()[0]


def say_if_busy(busy: float) -> None:
    """Say that times are not valid if others used the machine (see `busy_cores`)."""
    if busy > 0.2:
        print("NOT VALID: other processes were using this machine's cores.")


def parser_of_steps(
    description: str, rounds: int, steps: int, batch: int, workers: Sequence[str]
) -> argparse.ArgumentParser:
    """Make the parser of a benchmark of steps against PyTorch: its options with these defaults; `workers`: see `worker`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter with PyTorch (default: this)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=rounds, help="processes of each kind and framework")
    parser.add_argument("--steps", type=int, default=steps, help="timed steps of each process")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--worker", choices=workers, help=argparse.SUPPRESS)
    return parser


def limit_tensorflow(threads: int) -> None:
    """Import TensorFlow with so many threads."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


WARM_UP = 2


def timed(steps: int, step: Callable[[], object], warm_up: int = WARM_UP) -> dict:
    """Seconds of each of so many steps, after those of the `warm_up`, and the process's peak in GiB."""
    seconds = []
    for _ in range(warm_up + steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds[warm_up:], "peak": peak()}


def in_turns(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Side -> the median of its seconds; sides take turns."""
    taken = {side: [] for side in sides}
    for _ in range(repeats):
        for side, run in sides.items():
            start = time.perf_counter()
            run()
            taken[side].append(time.perf_counter() - start)
    return {side: statistics.median(seconds) for side, seconds in taken.items()}


def peak() -> float:
    """The most GiB that this process has held: its own, whereas `ru_maxrss` starts at what its parent had."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 2**20


def worker(python: str, script: str, name: str, threads: int):
    """What a benchmark prints, as JSON on its last line, when it is run again as `--worker NAME` in a process of its own."""
    root = Path(script).resolve().parents[1]
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": str(threads), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [python, script, *sys.argv[1:], "--worker", name], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"the {name} process failed: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
