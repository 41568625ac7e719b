"""Spans of SpecAugment: how many there are, how long they are, and where."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ser.models.wav2vec2.spec_augment import spans

LENGTHS = (50, 37, 20, 9, 4, 0)


def drawn(share, length, least, seed=0, size=50, lengths=LENGTHS, repeats=40):
    """(repeats, batch, size) bool."""
    random = keras.random.SeedGenerator(seed)
    given = ops.convert_to_tensor(np.array(lengths, "float32")[:, None])
    return np.stack([np.array(spans(given, size, share, length, least, random)) for _ in range(repeats)])


def runs(row) -> list[int]:
    """Lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


@pytest.mark.parametrize("share", [0.13, 0.97])
def test_spans_of_one_position_cover_their_share_and_only_real_positions(share):
    found = drawn(share, 1, 0, repeats=200)
    counts = found.sum(-1)  # (repeats, batch)
    for i, length in enumerate(LENGTHS):
        assert set(counts[:, i]) <= {int(share * length), min(int(share * length) + 1, length)}
        assert abs(counts[:, i].mean() - share * length) < 0.15
        assert not found[:, i, length:].any()
    # each position as often as the others
    assert np.abs(found[:, 0].mean(0) - share).max() < 0.2


def test_spans_have_their_length_and_no_more_start_than_have_room():
    found = drawn(0.9, 10, 0)
    for i, length in enumerate(LENGTHS):
        lengths = [n for row in found[:, i] for n in runs(row)]
        assert all(n >= 10 for n in lengths)
        assert bool(lengths) == (length >= 10)
        assert not found[:, i, length:].any()
        assert found[:, i].sum(-1).max() <= length // 10 * 10


def test_least_number_of_spans():
    found = drawn(0.0, 5, 2)
    assert not found[:, 4:].any()  # no room for a span of 5
    for row in found[:, :2].reshape(-1, 50):
        assert 6 <= row.sum() <= 10  # two starts differ
    assert not drawn(0.0, 5, 0).any()


def test_draws_differ_and_follow_the_seed():
    first, again, other = drawn(0.3, 4, 0, seed=1), drawn(0.3, 4, 0, seed=1), drawn(0.3, 4, 0, seed=2)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[0] != first[1]).any()


def test_spans_longer_than_the_axis_are_none():
    assert not drawn(0.9, 12, 2, size=8, lengths=(8, 3)).any()
