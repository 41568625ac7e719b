"""Whole models written by earlier versions load, answer as they did, and serve as model 1 of a cascade."""

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ser.features
import keras_ser.layers
import keras_ser.models.aspmtl.cascade  # noqa: F401
from keras_ser.models.aspmtl.cascade import drop_extractor
from keras_ser.models.whole_model import inner_network
from tests.models.wholes import SEGMENT, run_model

STORED = Path(__file__).parent / "stored"


@pytest.fixture(scope="module")
def answers():
    with np.load(STORED / "answers.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", ["frame_level", "cascade"])
def test_stored_whole_models_answer_as_they_did(name, answers):
    model = keras.saving.load_model(STORED / f"{name}.keras", compile=False)
    found = run_model(model, answers["waveform"], answers["length"])
    assert {f"{name}:{output}" for output in found} == {key for key in answers if key.startswith(f"{name}:")}
    for output, value in found.items():
        np.testing.assert_allclose(value, answers[f"{name}:{output}"], atol=1e-5)


def test_a_stored_model_1_still_gives_probabilities_to_drop_by(answers):
    model = keras.saving.load_model(STORED / "frame_level.keras", compile=False)
    noise = inner_network(model).output["noise"]
    layer = keras.Model(inner_network(model).input, noise)
    frames, bins = 6, {"log_mel": 7, "energy": 1}
    x = {key: np.random.default_rng(0).normal(size=(3, frames, n)).astype("float32") for key, n in bins.items()}
    found = np.asarray(layer({**x, "mask": np.ones((3, frames), bool)}))
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    left = run_model(drop_extractor(model, SEGMENT), answers["waveform"], answers["length"])
    assert left["mask"].any(axis=1).all(), "of every clip at least the least noisy segment stays"
