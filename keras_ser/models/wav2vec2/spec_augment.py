"""SpecAugment: random spans of an axis to mask in training."""

import keras
from keras import ops


def spans(lengths, size, share: float, length: int, least: int, random: keras.random.SeedGenerator):
    """Draw random spans with distinct starts, which may overlap.

        n = floor(share L / length + u), at least `least`,    u uniform in [0, 1): L positions hold n spans

    n is at most the number of positions at which a whole span fits: 0 if `length` exceeds L.

    Args:
        lengths: L of each example, float32 (batch, 1).
        size: length of the axis, including padding.
        share: share of the positions to mask if spans did not overlap.
        length: positions per span.
        least: minimum number of spans per example.
        random: seed generator.

    Returns:
        bool (batch, size), True in a span.
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
    ended = ops.pad(begun, ((0, 0), (length, 0)))[:, : ops.shape(begun)[1]]  # the count `length` positions earlier
    return begun - ended > 0.5
