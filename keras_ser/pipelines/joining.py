"""Join batches of several streams, and add masks to clips."""

import tensorflow as tf

from keras_ser.settings import mask_of


def join_streams(*streams):
    """Join batches (inputs, targets, weights) of K streams to one, padded to the longest."""
    xs, ys, ws = zip(*streams, strict=True)

    def joined(*values):
        longest = tf.reduce_max([tf.shape(value)[1] for value in values])
        gaps = [[[0, 0], [0, longest - tf.shape(value)[1]]] + [[0, 0]] * (len(value.shape) - 2) for value in values]
        return tf.concat([tf.pad(value, gap) for value, gap in zip(values, gaps, strict=True)], 0)

    x = {name: joined(*(x[name] for x in xs)) for name in xs[0]}
    y, w = ({name: tf.concat([each[name] for each in parts], 0) for name in parts[0]} for parts in (ys, ws))
    return x, y, w


def with_masks(x, extra):
    """Add a mask for each front end to a clip's features; all frames are valid."""
    sizes = {mask_of(name): tf.shape(value)[0] for name, value in reversed(x.items()) if "/" not in name}
    return {**x, **{mask: tf.ones([frames], tf.bool) for mask, frames in sizes.items()}}, extra
