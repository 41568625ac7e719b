"""What shares a batch: so many clips that the longest does not pad the others beyond all memory, and all streams' examples."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import tensorflow as tf

from keras_ser.settings import mask_of

BATCH_CLIPS = 32
BATCH_SECONDS = 1200.0
TRAINING_SECONDS = 7200.0
"""Padded seconds of a training batch: 64 clips of 112 s, 256 clips of 28 s."""

Item = TypeVar("Item")


def grouped(items: Iterable[Item], size: Callable[[Item], float], most: int, room: float) -> Iterator[list[Item]]:
    """Consecutive items in lists of at most `most` whose padded size, their number times the largest `size`, is at most `room`.

    A larger item stands alone; a generator is read one item ahead.
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
    """Examples of each stream in a batch: at least one, and together `batch_size` where that can be."""
    ends = np.round(np.cumsum(shares) / sum(shares) * batch_size).astype(int)
    return [max(1, int(n)) for n in np.diff(ends, prepend=0)]


def join_streams(*streams):
    """Batches of K streams -> one, padded to the longest."""
    xs, ys, ws = zip(*streams, strict=True)

    def joined(*values):
        longest = tf.reduce_max([tf.shape(value)[1] for value in values])
        gaps = [[[0, 0], [0, longest - tf.shape(value)[1]]] + [[0, 0]] * (len(value.shape) - 2) for value in values]
        return tf.concat([tf.pad(value, gap) for value, gap in zip(values, gaps, strict=True)], 0)

    x = {name: joined(*(x[name] for x in xs)) for name in xs[0]}
    y, w = ({name: tf.concat([each[name] for each in parts], 0) for name in parts[0]} for parts in (ys, ws))
    return x, y, w


def with_masks(x, extra):
    """A clip's features with a mask for each front end: every frame is valid."""
    sizes = {mask_of(name): tf.shape(value)[0] for name, value in reversed(x.items()) if "/" not in name}
    return {**x, **{mask: tf.ones([frames], tf.bool) for mask, frames in sizes.items()}}, extra
