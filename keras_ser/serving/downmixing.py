"""Mix channels to one inside the graph, as `keras_ser.audio.channels` does offline."""

import tensorflow as tf

from keras_ser.audio.channels import CANCELLED_DB, FEWEST, FRAME_SECONDS, OFFSET, SILENT_DB, STEADY


def downmix(samples, rate):
    """Average the live channels of (samples, channels) at `rate` Hz and subtract a constant offset: (samples,).

    See `keras_ser.audio.channels.Survey.mixing`.
    """
    exact = tf.cast(samples, tf.float64)
    peaks = tf.reduce_max(exact, axis=0) - tf.reduce_min(exact, axis=0)  # (channels,)
    loudest = tf.reduce_max(peaks)
    live = peaks > loudest * 10 ** (SILENT_DB / 20)
    live = tf.cast(live | ~tf.reduce_any(live), tf.float64)
    # the energy of the mix is the mean over all pairs of live channels
    energy = tf.math.reduce_variance(_mean(exact, live))
    energies = tf.reduce_sum(tf.math.reduce_variance(exact, axis=0) * live) / tf.reduce_sum(live)
    cancelled = (tf.reduce_sum(live) > 1) & (energy < energies * 10 ** (CANCELLED_DB / 10))
    first = tf.one_hot(tf.argmax(live), tf.size(live), dtype=tf.float64)
    mix = tf.cast(_mean(exact, tf.where(cancelled, first, live)), tf.float32)
    offset = tf.where(loudest > 0, _offset(tf.cast(mix, tf.float64), rate), 0.0)
    return tf.cast(tf.cast(mix, tf.float64) - offset, tf.float32)


def _mean(samples, weights):
    """(samples, channels) -> (samples,)."""
    return tf.linalg.matvec(samples, weights) / tf.reduce_sum(weights)


def _offset(mix, rate):
    """The constant offset of (samples,); 0 where its mean is small or varies over time."""
    size = tf.maximum(1, tf.cast(tf.round(FRAME_SECONDS * tf.cast(rate, tf.float64)), tf.int32))
    count = tf.size(mix) // size
    frames = tf.reshape(mix[: count * size], [count, size])
    mean, spread = tf.reduce_mean(mix), tf.math.reduce_std(tf.reduce_mean(frames, axis=1))
    steady = (count >= FEWEST) & (tf.abs(mean) > OFFSET) & (tf.abs(mean) > STEADY * spread)
    return tf.where(steady, mean, 0.0)
