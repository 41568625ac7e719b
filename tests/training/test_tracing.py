"""Graphs are traced in the first epoch, and none after it."""

import pytest
import tensorflow as tf

from keras_ser.recipe import Sampling
from keras_ser.training import fit
from tests.training import tiny

EPOCHS = {"epochs": 4, "patience": 0}
RECIPES = {
    "segments": tiny.TRAINED.replace(**EPOCHS),
    "crops of three tasks, noises drawn anew": tiny.EVERYTHING.replace(sampling=Sampling("crop", frames=40), **EPOCHS),
    "whole clips in a schedule": tiny.EVERYTHING.replace(config=tiny.LSTM, sampling=Sampling("whole"), **EPOCHS),
    "stretches": tiny.STRETCHED.replace(streams=(tiny.NOISY,), **EPOCHS),
    "frame targets": tiny.MASKED.replace(**EPOCHS),
}


@pytest.fixture
def graphs(monkeypatch):
    """Names of the graphs that are traced: of functions, data sets, branches and loops."""
    made, make = [], tf.__internal__.FuncGraph.__init__

    def init(self, name, *given, **named):
        made.append(name)
        make(self, name, *given, **named)

    monkeypatch.setattr(tf.__internal__.FuncGraph, "__init__", init)
    return made


def test_a_second_shape_is_a_second_graph(graphs):
    double = tf.function(lambda x: 2 * x)
    for size, number in ((1, 1), (2, 2), (2, 2)):
        double(tf.zeros([size]))
        assert len(graphs) == number


@pytest.mark.parametrize(
    "name",
    [*list(RECIPES)[:1], *(pytest.param(name, marks=pytest.mark.slow) for name in list(RECIPES)[1:])],
)
def test_no_graph_is_traced_after_the_first_epoch(data, split, tmp_path, graphs, name):
    counts = []
    recipe = RECIPES[name].for_corpus(data.corpus)
    fit(recipe, data, split, tmp_path, on_epoch=lambda *_: counts.append(len(graphs)))
    assert len(counts) == EPOCHS["epochs"] and counts[0] > 10
    assert graphs[counts[0] : counts[-1]] == []
