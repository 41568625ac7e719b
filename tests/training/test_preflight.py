"""What is refused, or warned of, before anything is trained: the backend, and a precision that this machine lacks."""

import warnings
from types import SimpleNamespace

import pytest

from keras_ser.errors import UserError
from keras_ser.models import aae_mtl
from keras_ser.pipelines.augmentation import Augment
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Sampling
from keras_ser.training import preflight
from keras_ser.training.inference import forward
from keras_ser.training.network import build
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


def test_several_optimizers_train_at_any_rate_above_the_plateaus_floor():
    """A phase's rate may be below it: the plateau ends by the main optimizer's."""
    config = aae_mtl.Config(filters=(2, 2, 2), head_filters=2, dense=(3, 3), alpha=0.05, adversary=0.05)
    plateau = OptimizerConfig("sgd", 1e-4, momentum=0.0, schedule="plateau", factor=0.5)
    recipe = tiny.SINGLE.replace(
        model="aae_mtl",
        config=config,
        frontend=FrontendConfig(("linear_bands",), bins=32),
        sampling=Sampling("segments", frames=64, hop=64, balance=False),
        augment=Augment(),
        optimizer=plateau,
        patience=1,
    )
    network, _ = build(recipe, {"linear_bands": (64, 32)})
    rates = {name: float(each.learning_rate.numpy()) for name, each in network.model.optimizers.items()}
    assert rates["reconstruct"] == pytest.approx(5e-6) and rates["regularise"] == pytest.approx(5e-6)


def test_float16_is_refused_before_training_where_optimizers_do_not_scale_their_losses(monkeypatch):
    recipe = tiny.SINGLE.replace(precision="mixed_float16", name="unscaled")
    network = SimpleNamespace(optimizers={"own": None}, model=SimpleNamespace(), outputs={})
    monkeypatch.setattr(preflight, "build_network", lambda *given: network)
    monkeypatch.setattr(preflight, "recipe_scorer", lambda *given: None)
    with pytest.raises(UserError, match="optimizers of its own, whose gradients would underflow in float16"):
        preflight.check_network(recipe)


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
