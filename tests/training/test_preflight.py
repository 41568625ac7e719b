"""What is refused, or warned of, before anything is trained: the backend, and a precision that this machine lacks."""

import warnings

import pytest

from keras_ser.errors import UserError
from keras_ser.training import preflight
from keras_ser.training.inference import forward
from keras_ser.training.run import Run
from tests.training import tiny


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_are_refused_in_training_and_in_inference(backend, tmp_path, monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: backend)
    (tmp_path / "model.keras").touch()
    run = Run(tmp_path, tiny.TRAINED, None, 0, {})
    for refused in (lambda: preflight.check_trainable(tiny.TRAINED), lambda: forward(object()), run.model):
        with pytest.raises(UserError, match=f" requires KERAS_BACKEND=tensorflow. Received: {backend}.$"):
            refused()


@pytest.mark.parametrize(
    ("gpu", "precision", "count"),
    [(False, "mixed_float16", 1), (True, "mixed_float16", 0), (False, "mixed_bfloat16", 0)],
)
def test_float16_without_a_gpu_is_warned_of_once(gpu, precision, count, monkeypatch):
    monkeypatch.setattr(preflight, "has_gpu", lambda: gpu)
    monkeypatch.setattr(preflight, "_WARNED", set())
    recipe = tiny.SINGLE.replace(precision=precision)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        preflight.check_trainable(recipe)
        preflight.check_trainable(recipe.replace(epochs=7))
    told = [str(each.message) for each in caught if each.category is preflight.PrecisionWarning]
    assert len(told) == count and all("use mixed_bfloat16 or float32 instead" in text for text in told)
