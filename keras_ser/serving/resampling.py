"""Resample inside the graph, between any pair of rates, through the spectrum of the whole clip.

The clip is padded to a length that both rates divide and transformed; its spectrum is cut (or zero-padded) to the other length
and transformed back. The transition band is that of soxr's "VHQ", which resamples clips on ingest.
"""

import numpy as np
import tensorflow as tf

# Relative to the lower of the two Nyquist frequencies: where the gain of soxr's VHQ is one half, and the width of its transition
# (measured from its impulse responses, which follow 1/2 erfc((f - CENTRE) / (sqrt 2 WIDTH)) to 0.004 of full gain).
CENTRE, WIDTH = 0.9556, 0.0102
MARGIN = 20  # at least 1 / MARGIN seconds of silence keep the clip's end from wrapping around to its beginning


def resample(waveform, rate, target: int):
    """Resample a clip (samples,) from `rate` (an int tensor) to `target` Hz: (round(samples target / rate),), at least one."""
    rate = tf.cast(rate, tf.int64)
    result = tf.cond(rate == target, lambda: waveform, lambda: _by_spectrum(waveform, rate, target))
    return tf.ensure_shape(result, (None,))


def _by_spectrum(waveform, rate, target: int):
    samples = tf.size(waveform, tf.int64)
    divisor = _gcd(rate, tf.constant(target, tf.int64))
    up, down = target // divisor, rate // divisor
    blocks = _smooth((samples + rate // MARGIN + down - 1) // down)
    before, after = blocks * down, blocks * up
    spectrum = tf.signal.rfft(waveform, [tf.cast(before, tf.int32)])
    lower = tf.minimum(before, after)
    kept = lower // 2 + 1
    # frequency over the lower Nyquist frequency, of each bin
    frequency = tf.cast(tf.range(kept), tf.float32) * 2.0 / tf.cast(lower, tf.float32)
    gain = 0.5 * tf.math.erfc((frequency - CENTRE) / (np.sqrt(2.0) * WIDTH))
    spectrum = spectrum[:kept] * tf.cast(gain, tf.complex64)
    spectrum = tf.pad(spectrum, [[0, after // 2 + 1 - kept]])
    result = tf.signal.irfft(spectrum, [tf.cast(after, tf.int32)])
    scale = tf.cast(target, tf.float32) / tf.cast(rate, tf.float32)
    wanted = tf.maximum((samples * target * 2 + rate) // (2 * rate), 1)
    return result[:wanted] * scale


def _gcd(a, b):
    return tf.while_loop(lambda a, b: b > 0, lambda a, b: (b, a % b), (a, b))[0]


def _smooth(n):
    """Round up to a number of four significant bits: transforms are slow for lengths with large prime factors."""
    bits = tf.cast(tf.math.floor(tf.math.log(tf.cast(n, tf.float64)) / np.log(2.0)), tf.int64)
    step = tf.bitwise.left_shift(tf.constant(1, tf.int64), tf.maximum(bits - 3, 0))
    return (n + step - 1) // step * step
