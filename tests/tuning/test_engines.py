"""A search on several workers: a killed worker and a killed chief lose nothing, and change nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from keras_ser.splits import Protocol
from tests.cli.test_jobs import RECIPE

SPACE = "--space=optimizer.learning_rate=1e-3:1e-1:log"
SPEAKERS = Protocol("speakers", "k-fold", folds=2, validation=1)


def chief(out: Path, recipe: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "keras_ser.cli", "tune", str(recipe), "--out", str(out), "--deterministic", SPACE]
    command += ["--trials=3", "--jobs=2", "--epochs=6"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def children(pid: int) -> list[int]:
    """Processes that do the work of a chief."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == pid and "spawn_main" in (stat.parent / "cmdline").read_text():
                found.append(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def finished(out: Path) -> dict[Path, int]:
    return {path.relative_to(out): path.stat().st_mtime_ns for path in out.rglob("model.keras")}


def until(condition, process: subprocess.Popen) -> None:
    end = time.monotonic() + 240
    while not condition() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    assert condition(), process.communicate()


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_chief_change_nothing(tmp_path):
    """The settings, the scores and the best recipe are those of a search that nobody disturbed; what was finished stays."""
    recipe = tmp_path / "recipe.json"
    recipe.write_text(RECIPE.replace(protocols=(SPEAKERS,), seeds=(0,)).to_json())
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    first = chief(killed, recipe)
    until(lambda: list(killed.rglob("state.npz")), first)
    os.kill(children(first.pid)[0], signal.SIGKILL)
    until(lambda: len(finished(killed)) >= 2, first)
    first.kill()
    first.communicate()
    done = finished(killed)
    for out in (killed, calm):
        made = chief(out, recipe)
        _, errors = made.communicate(timeout=300)
        assert made.returncode == 0, errors
    assert 2 <= len(done) < len(finished(killed)) == 4 and done.items() <= finished(killed).items()
    tables = [pd.read_csv(next(out.glob("*-search-*/trials.csv"))) for out in (killed, calm)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert tables[0]["trial"].tolist() == list(range(4)) and tables[0]["failed"].isna().all()
    best = [next(out.glob("*-search-*/recipe.json")).read_text() for out in (killed, calm)]
    assert best[0] == best[1]
    assert "2 trials ran at the same time" in next(killed.glob("*-search-*/tuning.md")).read_text()
