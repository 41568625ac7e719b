"""Each network gives the same outputs on every Keras backend, and is built without TensorFlow; see `tests.layers.test_backends`."""

import json

import keras
import numpy as np
import pytest

from keras_ser.training.preflight import frontends, input_shapes
from tests.layers.test_backends import numbers_on
from tests.models.backend_numbers import numbers, recipes


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_numbers_are_those_of_tensorflow(backend, tmp_path):
    shapes = {name: input_shapes(recipe, frontends(recipe)) for name, recipe in recipes().items()}
    (tmp_path / "shapes.json").write_text(json.dumps(shapes))
    found = numbers_on(backend, "tests.models.backend_numbers", tmp_path / "numbers.npz", tmp_path / "shapes.json")
    assert keras.backend.backend() == "tensorflow"
    reference = numbers(shapes)
    assert set(found) == set(reference)
    for name, value in reference.items():
        assert np.ptp(value, axis=0).max() > 1e-3, f"{name}: the same for every clip"
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4, err_msg=f"{backend}: {name}")
