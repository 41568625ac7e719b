"""Batches of evaluation, and long clips among short ones: every clip, in order, whatever it is batched with."""

import numpy as np
import pytest

from keras_ser.pipelines import sources
from keras_ser.pipelines.batching import BATCH_SECONDS
from keras_ser.pipelines.sources import Source, evaluation_batches
from keras_ser.recipe import Sampling
from tests.pipelines.numbered_clips import FRAME, NAMES, RATE, TRAIN, Clips, data, epochs_of, extract, source, whose


def test_evaluation_keeps_every_clip_in_order(cache, monkeypatch):
    monkeypatch.setattr(sources, "BATCH_CLIPS", 5)
    indices = [i for i in range(40) if i % 4 == 0] + [7, 3]
    found = list(evaluation_batches(source(cache, indices), extract, NAMES).as_numpy_iterator())
    assert [len(extra["index"]) for _, extra in found] == [5, 5, 2]
    assert [i for _, extra in found for i in extra["index"]] == sorted(indices)
    for x, extra in found:
        assert set(extra["mixed"]) == {0}
        assert [i for i, _ in whose(x)] == list(extra["index"])
        for row, i in enumerate(extra["index"]):
            n = len(cache.waves[i]) // FRAME
            assert x["mask"][row].tolist() == [True] * n + [False] * (x["mask"].shape[1] - n)
            for name, value in cache.features(i).items():
                np.testing.assert_allclose(x[name][row, :n], value, rtol=1e-6)
                assert not x[name][row, n:].any()


def test_a_long_clip_does_not_pad_the_others_in_evaluation(noisy):
    """Batches of bounded size, in order; that their numbers do not depend on the batch is tested below."""
    lengths = [len(wave) // FRAME for wave in noisy.cache.waves]
    lengths[21] = room = round(BATCH_SECONDS * RATE / FRAME)
    given = Source(**{**vars(noisy), "cache": Clips(lengths)})
    found = list(evaluation_batches(given, extract, NAMES).as_numpy_iterator())
    sides = [[i for i in TRAIN if i < 21], [21], [i for i in TRAIN if i > 21]]
    assert [extra["index"].tolist() for _, extra in found] == sides
    assert max(x["mask"].size for x, _ in found) <= room


@pytest.mark.parametrize("kind", ["whole", pytest.param("crop", marks=pytest.mark.slow)])
def test_a_long_clip_does_not_pad_the_others_in_training(kind, caplog):
    """It is cut to what a batch has room for: another stretch in each epoch, of all features alike, with its own label."""
    cache = Clips([9, 600, 5, 7, 8, 700, 3])
    training = data([source(cache, range(7))], Sampling(kind, frames=1000), 4, batch_frames=4 * 50)
    firsts = set()
    for epoch in epochs_of(training, 4):
        for x, y, w in epoch:
            assert x["mask"].size <= 4 * 50
            for row, (i, first) in enumerate(whose(x)):
                whole, n = cache.features(i), int(x["mask"][row].sum())
                assert n == min(50, len(whole["number"]))
                np.testing.assert_allclose(x["energy"][row, :n], whole["energy"][first : first + n], rtol=1e-6)
                values, weights = training.sources[0].labels["emotion"]
                assert (y["emotion"][row], w["emotion"][row]) == (values[i], weights[i])
                firsts.add((i, first))
    assert {i for i, first in firsts if first} == {1, 5} and len(firsts) > 5 + 4
    assert "2 of 7 clips are longer than the 50 frames that a batch of 4 has room for" in caplog.text


def test_evaluation_does_not_depend_on_the_batch(noisy, monkeypatch):
    def found(size):
        monkeypatch.setattr(sources, "BATCH_CLIPS", size)
        return [
            {name: value[row][mask] for name, value in x.items() if name != "mask"}
            for x, _ in evaluation_batches(noisy, extract, NAMES).as_numpy_iterator()
            for row, mask in enumerate(x["mask"])
        ]

    whole, parts = found(32), found(3)
    assert len(whole) == len(parts) == len(TRAIN)
    for a, b in zip(whole, parts, strict=True):
        for name in NAMES:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5, atol=1e-6)
