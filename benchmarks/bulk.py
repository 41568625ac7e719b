"""Bulk prediction: files per second and core with one and two processes, and peak memory over many short files.

What: `keras-ser predict EXPORT FOLDER --out DIR --shards N/OF` on WAV files of 0.5 to 2 s of noise, 16 kHz, by an export of
ASP-MTL in the paper's setting with random weights (`benchmarks/serving.py`). Each process is pinned to one core. The time counts
everything: the start of Python, the loading of the model, reading, predicting and writing Parquet.

    python benchmarks/bulk.py [--files 10000]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKER = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
from keras_ser.cli import main
code = main(sys.argv[2:])
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print("peak", int(line.split()[1]) / 2**20)
sys.exit(code)
"""


def write_files(folder: Path, count: int) -> None:
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        x = 0.1 * rng.standard_normal(int(16000 * rng.uniform(0.5, 2.0)))
        soundfile.write(folder / f"{number:06d}.wav", x, 16000)


def run(export: str, folder: Path, out: Path, processes: int) -> tuple[float, list[float]]:
    """Seconds of the whole, and the peak of each process in GiB."""
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    env |= {name: "1" for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")}
    start, running = time.perf_counter(), []
    for k in range(processes):
        command = ["predict", export, str(folder), "--out", str(out), "--shards", f"{k + 1}/{processes}"]
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(k), *command], env=env, stdout=subprocess.PIPE, text=True
            )
        )
    peaks = [float(each.communicate()[0].split("peak")[1]) for each in running]
    assert not any(each.returncode for each in running)
    return time.perf_counter() - start, peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10000)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from machine import busy_cores, say_if_busy
    from serving import random_run

    from keras_ser.serving import export

    busy = busy_cores()
    with tempfile.TemporaryDirectory() as work:
        root = Path(work)
        exported = str(export(random_run(root / "run"), root / "models", "bulk"))
        write_files(root / "clips", options.files)
        write_files(root / "few", options.files // 10)
        print(f"cores that others used before it: {busy:.1f}")
        print("| files | processes | s | files/s | files/s and core | peak of a process, GiB |")
        print("| --- | --- | --- | --- | --- | --- |")
        for folder, count, processes in (
            ("few", options.files // 10, 1),
            ("clips", options.files, 1),
            ("clips", options.files, 2),
        ):
            seconds, peaks = run(exported, root / folder, root / f"{folder}-{processes}", processes)
            print(
                f"| {count} | {processes} | {seconds:.1f} | {count / seconds:.0f} | {count / seconds / processes:.0f} "
                f"| {max(peaks):.2f} |",
                flush=True,
            )
    say_if_busy(busy)


if __name__ == "__main__":
    main()
