"""A command of this checkout against the same command of another one (an older commit), taking turns in one run.

    git worktree add OLDER d7ab6df
    python benchmarks/against.py OLDER --repeats 3 -- recipes/aspmtl_afew.py --quiet

Prints the medians of wall time and of CPU time (user and system, with all child processes) and their ratios: under 1, this checkout
is faster. `--out` is added, a new folder for each run; the demo corpus is written once before.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def run(checkout: Path, command: list[str]) -> tuple[float, float]:
    """(wall, CPU) seconds of one run of a checkout's script."""
    with tempfile.TemporaryDirectory() as out:
        env = {**os.environ, "PYTHONPATH": str(checkout)}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        line = [sys.executable, str(checkout / command[0]), *command[1:], "--out", out]
        subprocess.run(line, env=env, cwd=out, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="another checkout")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("command", nargs="+", metavar="SCRIPT", help="of the checkouts, and its options, after --")
    options = parser.parse_args()
    checkouts = {"this": HERE, "other": options.other.resolve()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in checkouts}
    for checkout in checkouts.values():  # what is written once, such as the demo corpus
        run(checkout, [*options.command, "--epochs", "1"])
    for _ in range(options.repeats):
        for name, checkout in checkouts.items():
            found[name].append(run(checkout, options.command))
            print(name, *(f"{value:.1f} s" for value in found[name][-1]), flush=True)
    for k, what in enumerate(("wall", "CPU")):
        this, other = (statistics.median(row[k] for row in found[name]) for name in checkouts)
        print(f"{what}: {this:.1f} s / {other:.1f} s = {this / other:.2f}")


if __name__ == "__main__":
    main()
