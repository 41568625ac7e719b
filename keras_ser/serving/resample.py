"""Resampling inside the graph: any pair of rates, by the spectrum of the whole clip.

The clip is padded to a length that both rates divide, transformed, its spectrum cut (or filled up with zeros) to the other
length, and transformed back. The transition band is that of soxr's "VHQ", by which clips are resampled on ingest.
"""

import numpy as np
import tensorflow as tf

# Of the lower of the two Nyquist frequencies: where soxr's VHQ passes half, and how wide it falls there (measured from
# its impulse responses, which follow 1/2 erfc((f - CENTRE) / (sqrt 2 WIDTH)) to 0.004 of full gain).
CENTRE, WIDTH = 0.9556, 0.0102
MARGIN = 20  # parts of a second of silence between the clip's end and, round the circle, its beginning


def resample(waveform, rate, target: int):
    """A clip at another rate.

    Args:
        waveform: (samples,) float32, at least one.
        rate: () int, Hz, known when it runs.
        target: Hz.

    Returns:
        (round(samples target / rate),) float32, at least one; the waveform itself where the rates are equal.
    """
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
    """The next number of at most four significant bits from n on: transforms are slow where a length has large prime factors."""
    bits = tf.cast(tf.math.floor(tf.math.log(tf.cast(n, tf.float64)) / np.log(2.0)), tf.int64)
    step = tf.bitwise.left_shift(tf.constant(1, tf.int64), tf.maximum(bits - 3, 0))
    return (n + step - 1) // step * step
