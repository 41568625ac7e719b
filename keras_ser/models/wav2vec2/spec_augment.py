"""SpecAugment: spans of an axis that are masked in training."""

import keras
from keras import ops


def spans(lengths, size, share: float, length: int, least: int, random: keras.random.SeedGenerator):
    """Where random spans lie, which start at different places and may overlap.

        n = floor(share L / length + u), at least `least`,    u uniform in [0, 1): L positions hold n spans

    No more spans start than there are places where a whole one fits: none where `length` is over L.

    Args:
        lengths: L of each example, float32 (batch, 1).
        size: positions of the axis, padding included.
        share: of the positions to mask if no spans overlapped.
        length: positions of a span.
        least: number of spans of each example.
        random: draws them.

    Returns:
        bool (batch, size).
    """
    batch = ops.shape(lengths)[0]
    at = ops.cast(ops.expand_dims(ops.arange(size), axis=0), "float32")  # (1, size)
    places = ops.maximum(lengths - (length - 1), 0.0)  # (batch, 1)
    count = ops.floor(share * lengths / length + keras.random.uniform((batch, 1), seed=random))
    count = ops.maximum(count, float(least))
    count = ops.minimum(count, ops.minimum(places, ops.floor(lengths / length)))
    drawn = ops.where(at < places, keras.random.uniform((batch, size), seed=random), 2.0)
    rank = ops.argsort(ops.argsort(drawn, axis=-1), axis=-1)  # of each place among all
    starts = ops.cast(ops.cast(rank, "float32") < count, "float32")
    begun = ops.cumsum(starts, axis=-1)
    ended = ops.pad(begun, ((0, 0), (length, 0)))[:, : ops.shape(begun)[1]]  # as it was `length` positions ago
    return begun - ended > 0.5
