import numpy as np
import pytest

from keras_ser.pipelines.batching import grouped, stream_sizes


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_full_and_within_their_room(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.choice([1, 2, 3, 40], int(rng.integers(1, 60)), p=[0.4, 0.3, 0.2, 0.1]).tolist()
    most, room = int(rng.integers(1, 9)), float(rng.integers(1, 50))
    found = list(grouped(sizes, float, most, room))
    assert sum(found, []) == sizes
    for group, following in zip(found, [*found[1:], None], strict=True):
        assert len(group) <= most and (len(group) == 1 or len(group) * max(group) <= room)
        if following:  # no group ends before it must
            assert len(group) == most or (len(group) + 1) * max(*group, following[0]) > room


def test_one_long_item_among_short_ones():
    assert list(grouped([2, 2, 600, 2, 2, 2], float, 3, 100)) == [[2, 2], [600], [2, 2, 2]]


def test_no_item():
    assert list(grouped([], float, 3, 100)) == []


def test_items_are_read_one_ahead():
    read = []
    groups = grouped((read.append(i) or i for i in range(1, 99)), lambda _: 1, 4, 100)
    assert next(groups) == [1, 2, 3, 4] and read == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("shares", "size", "expected"),
    [
        ((0.5, 0.5), 256, [128, 128]),
        ((1, 1, 1), 256, [85, 86, 85]),
        ((0.5, 0.5), 15, [8, 7]),
        ((3.0, 1.0), 8, [6, 2]),
        ((0.99, 0.01), 8, [8, 1]),
        ((1.0,), 7, [7]),
        ((1, 1, 1), 2, [1, 1, 1]),
    ],
)
def test_stream_sizes(shares, size, expected):
    assert stream_sizes(shares, size) == expected
