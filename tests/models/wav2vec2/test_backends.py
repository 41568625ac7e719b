"""The layer gives the same outputs and gradients on every Keras backend, as `tests/layers/test_backends.py` has it."""

import numpy as np
import pytest

from tests.layers.test_backends import numbers_on
from tests.models.wav2vec2.backend_numbers import numbers


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_numbers_are_those_of_tensorflow(backend, tmp_path):
    found = numbers_on(backend, "tests.models.wav2vec2.backend_numbers", tmp_path / "numbers.npz")
    reference = numbers()
    assert set(found) == set(reference)
    assert len(reference) > 100
    for name, value in reference.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(
            found[name] / scale, value / scale, rtol=1e-4, atol=5e-5, err_msg=f"{backend}: {name}"
        )
