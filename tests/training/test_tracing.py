"""Graphs are traced in the first epoch, and none after it."""

import pytest
import tensorflow as tf

from keras_ser.recipe import Sampling
from keras_ser.training import fit
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


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_no_graph_is_traced_after_the_first_epoch(data, split, tmp_path, monkeypatch, name):
    """Segments are in test_fit."""
    traced, counts = graphs.watch(monkeypatch), []
    recipe = RECIPES[name].for_corpus(data.corpus)
    fit(recipe, data, split, tmp_path, on_epoch=lambda *_: counts.append(len(traced)))
    assert len(counts) == EPOCHS["epochs"] and counts[0] > 10
    assert traced[counts[0] : counts[-1]] == []
