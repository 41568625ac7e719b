"""Each layer gives the same outputs and gradients on every Keras backend.

A backend runs in a process of its own, by the interpreter that KERAS_SER_BACKENDS_PYTHON names, or else by this one.
"""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.layers.backend_numbers import numbers

PYTHON = os.environ.get("KERAS_SER_BACKENDS_PYTHON", sys.executable)
ROOT = Path(__file__).parents[2]


def numbers_on(backend: str, module: str, file: Path, *more: Path | str):
    """What a module of tests that is a program puts into a file, run with a backend and further arguments."""
    if subprocess.run([PYTHON, "-c", f"import {backend}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{backend} is not installed for {PYTHON}: pip install '.[backends]'")
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [PYTHON, "-m", module, file, *more]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(file)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_numbers_are_those_of_tensorflow(backend, tmp_path):
    found = numbers_on(backend, "tests.layers.backend_numbers", tmp_path / "numbers.npz")
    assert keras.backend.backend() == "tensorflow"
    reference = numbers()
    assert set(found) == set(reference)
    for name, value in reference.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=2e-5, err_msg=f"{backend}: {name}")
