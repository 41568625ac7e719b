"""The layer gives the same outputs and gradients on every Keras backend, as `tests/layers/test_backends.py` has it."""

import os
import subprocess

import numpy as np
import pytest

from tests.layers.test_backends import PYTHON, ROOT
from tests.models.wav2vec2.backend_numbers import numbers


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_numbers_are_those_of_tensorflow(backend, tmp_path):
    if subprocess.run([PYTHON, "-c", f"import {backend}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{backend} is not installed for {PYTHON}: pip install '.[backends]'")
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [PYTHON, "-m", "tests.models.wav2vec2.backend_numbers", str(tmp_path / "numbers.npz")]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found, reference = np.load(tmp_path / "numbers.npz"), numbers()
    assert set(found) == set(reference)
    assert len(reference) > 100
    for name, value in reference.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(
            found[name] / scale, value / scale, rtol=1e-4, atol=5e-5, err_msg=f"{backend}: {name}"
        )
