"""Memory: one recording far longer than the others, and many epochs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST = 3500  # MB, of which TensorFlow and the front end's graph take 700


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "segments"])
def test_a_recording_of_ten_minutes_among_short_ones(kind, tmp_path):
    """On every side: training, validation and test; padded to it, a batch of whole clips alone would take over 20 GB."""
    assert 700 < int(printed("long_clip", tmp_path, kind)[-1]) < MOST


@pytest.mark.slow
def test_three_phases_with_an_optimizer_each_hold_no_more_after_many_epochs(tmp_path):
    """In MB, after each of 60 epochs; the first ten trace and fill pools."""
    held = [float(line) for line in printed("resume", tmp_path, "adversarial/run@60")]
    assert len(held) == 60 and max(held[10:]) - held[9] < 16, held


def printed(module: str, *arguments) -> list[str]:
    """The lines of a program of this package."""
    command = [sys.executable, "-m", f"tests.training.{module}", *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()
