"""Peak memory where one recording is far longer than the others."""

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
    command = [sys.executable, "-m", "tests.training.long_clip", str(tmp_path), kind]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 700 < int(done.stdout.split()[-1]) < MOST
