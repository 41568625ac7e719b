"""Graphs are traced in the first epoch, and none after it."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.recipe import OptimizerConfig, Sampling
from keras_ser.training import build, fit
from tests.training import graphs, tiny

EPOCHS = {"epochs": 4, "patience": 0}
RECIPES = {
    "crops of three tasks, noises drawn anew": tiny.EVERYTHING.replace(sampling=Sampling("crop", frames=40), **EPOCHS),
    "whole clips in a schedule": tiny.EVERYTHING.replace(config=tiny.LSTM, sampling=Sampling("whole"), **EPOCHS),
    "stretches": tiny.STRETCHED.replace(streams=(tiny.NOISY,), **EPOCHS),
    "frame targets": tiny.MASKED.replace(**EPOCHS),
}


def test_a_second_shape_is_a_second_graph(monkeypatch):
    traced, double = graphs.watch(monkeypatch), tf.function(lambda x: 2 * x)
    for size, number in ((1, 1), (2, 2), (2, 2)):
        double(tf.zeros([size]))
        assert len(traced) == number


def test_a_step_is_traced_once(monkeypatch):
    """Keras traces it a second time where variables that track several losses are made in the first."""
    network, _ = build(
        tiny.TRAINED.replace(optimizer=OptimizerConfig("sgd", 0.1)), {"log_mel": (30, 8), "energy": (30, 1)}
    )
    x = {"log_mel": np.zeros((4, 30, 8), "float32"), "energy": np.zeros((4, 30, 1), "float32")}
    y = {name: np.zeros(4, "int32") for name in network.outputs}
    w = {name: np.ones(4, "float32") for name in network.outputs}
    batches = tf.data.Dataset.from_tensors(({**x, "mask": np.ones((4, 30), bool)}, y, w)).repeat()
    traced = graphs.watch(monkeypatch)
    network.model.fit(batches, steps_per_epoch=2, verbose=0, shuffle=False)
    assert traced and len(set(traced)) == len(traced)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_no_graph_is_traced_after_the_first_epoch(data, split, tmp_path, monkeypatch, name):
    """Segments are in test_fit."""
    traced, counts = graphs.watch(monkeypatch), []
    recipe = RECIPES[name].for_corpus(data.corpus)
    fit(recipe, data, split, tmp_path, on_epoch=lambda *_: counts.append(len(traced)))
    assert len(counts) == EPOCHS["epochs"] and counts[0] > 10
    assert traced[counts[0] : counts[-1]] == []
