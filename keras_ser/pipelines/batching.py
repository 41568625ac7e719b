"""Choose the number of clips in a batch such that its padded size is bounded. No TensorFlow."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

BATCH_CLIPS = 32
BATCH_SECONDS = 1200.0
TRAINING_SECONDS = 7200.0
"""Padded seconds of a training batch: 64 clips of 112 s, 256 clips of 28 s."""

Item = TypeVar("Item")


def grouped(items: Iterable[Item], size: Callable[[Item], float], most: int, room: float) -> Iterator[list[Item]]:
    """Group consecutive items into lists of at most `most` items and a padded size (number times largest `size`) up to `room`.

    A larger item forms its own list; a generator is read one item ahead.
    """
    group: list[Item] = []
    largest = 0.0
    for item in items:
        largest = max(largest, size(item))
        if group and (len(group) == most or (len(group) + 1) * largest > room):
            yield group
            group, largest = [], size(item)
        group.append(item)
    if group:
        yield group


def stream_sizes(shares: Sequence[float], batch_size: int) -> list[int]:
    """Return the number of examples of each stream in a batch: at least one, and `batch_size` in total if possible."""
    ends = np.round(np.cumsum(shares) / sum(shares) * batch_size).astype(int)
    return [max(1, int(n)) for n in np.diff(ends, prepend=0)]
