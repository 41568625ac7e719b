"""Augmentation in training: tempo, mel warp, masks and gain on features, noise on waveforms, crops.

These are pure functions of a tensor and a `seed` (two integers, e.g. one from the run's seed and the epoch, the other the
example's number), in eager and graph mode: a seed always gives the same result, independent of the rest of the batch and of
parallel work. Changes of the time axis depend only on the seed and the number of frames, so features of one clip stay aligned
if they share a seed. With `probability` 0 every value is returned bit for bit.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_ser.audio import pad
from keras_ser.errors import UserError

# A number for each kind of draw, so that tempo, warp, masks .. of one seed are independent of each other.
_CROP, _TEMPO, _WARP, _TIME, _BINS, _GAIN, _NOISE = range(7)


def _draws(seed, kind: int, shape: Sequence[int]) -> tf.Tensor:
    """Draw float32 in [0, 1)."""
    return tf.random.stateless_uniform(shape, tf.random.experimental.stateless_fold_in(seed, kind))


def _between(draw, low, high) -> tf.Tensor:
    return low + draw * (high - low)


def crop(x, frames: int, seed) -> tf.Tensor:
    """Crop a random stretch of `frames` frames (samples) from x (frames, bins) or (samples,); shorter clips are unchanged."""
    x = tf.convert_to_tensor(x)
    spare = tf.maximum(tf.shape(x)[0] - frames, 0)
    draw = _draws(seed, _CROP, [])
    first = tf.minimum(tf.cast(draw * tf.cast(spare + 1, tf.float32), tf.int32), spare)
    return x[first : first + frames]


def tempo(x, seed, deviation: float = 0.2, probability: float = 0.7) -> tf.Tensor:
    """Resample the time axis of x (frames, bins) by exp(u), u ~ U(-deviation, deviation), without changing pitch.

    With n frames before and m = max(1, round(n exp(u))) after, frame j is read at j (n - 1) / (m - 1) by linear
    interpolation, so that the first and the last frame are kept. A deviation of 0.2 changes the duration by -18 % to +22 %.

    Args:
        x: (frames, bins) float.
        seed: integers (2,).
        deviation: largest change of the logarithm of the duration.
        probability: probability of any change.

    Returns:
        (m, bins).
    """
    draw = _draws(seed, _TEMPO, [2])
    n = tf.shape(x, tf.int64)[0]
    factor = tf.exp(_between(draw[1], -deviation, deviation))
    changed = tf.cast(tf.round(tf.cast(n, tf.float32) * factor), tf.int64)
    m = tf.maximum(tf.where(draw[0] < probability, changed, n), tf.minimum(n, 1))
    # Integers: float32 positions are off by a fraction of a frame after some minutes, and m = n must be exact.
    steps = tf.range(m) * (n - 1)
    parts = tf.maximum(m - 1, 1)
    below = steps // parts
    fraction = tf.cast(steps - below * parts, x.dtype) / tf.cast(parts, x.dtype)
    low = tf.gather(x, below)
    return low + fraction[:, None] * (tf.gather(x, tf.minimum(below + 1, n - 1)) - low)


def mel_warp(x, seed, scale: float = 0.06, shift: float = 4.0, probability: float = 0.7) -> tf.Tensor:
    """Stretch and shift the frequency axis of x (frames, bins), a spectrum, as by another vocal tract and pitch.

    Bin b is read at b exp(u) + v, u ~ U(-scale, scale), v ~ U(-shift, shift) bins, by linear interpolation; beyond the
    edges the edge's value is used.

    Args:
        x: (frames, bins) float, static bins.
        seed: integers (2,).
        scale: largest change of the logarithm of the frequency scale.
        shift: largest shift in bins.
        probability: probability of any change.

    Returns:
        (frames, bins).
    """
    draw = _draws(seed, _WARP, [3])
    on = tf.cast(draw[0] < probability, tf.float32)
    bins = x.shape[-1]
    grid = tf.range(bins, dtype=tf.float32)
    at = grid * tf.exp(on * _between(draw[1], -scale, scale)) + on * _between(draw[2], -shift, shift)
    at = tf.clip_by_value(at, 0.0, bins - 1.0)
    # Interpolate by a product with (bins, bins) weights, three times as fast as gathering along the last axis.
    weights = tf.nn.relu(1.0 - tf.abs(grid[:, None] - at))
    return tf.matmul(x, tf.cast(weights, x.dtype))


def _masked(seed, kind: int, size, masks: int, width: int, share: float, probability: float) -> tf.Tensor:
    """Draw a bool mask (size,): True within any of `masks` stretches, each of 0 to `width` (at most `share` of the size)."""
    draw = _draws(seed, kind, [2 * masks + 1])
    size = tf.cast(size, tf.float32)
    most = tf.minimum(float(width), tf.floor(share * size))
    widths = tf.floor(draw[1 : masks + 1] * (most + 1))
    widths *= tf.cast(draw[0] < probability, tf.float32)
    starts = tf.floor(draw[masks + 1 :] * (size - widths + 1))
    at = tf.range(size)[:, None]
    return tf.reduce_any((at >= starts) & (at < starts + widths), axis=1)


def mask_time(x, seed, masks: int = 1, width: int = 20, share: float = 0.2, probability: float = 0.7) -> tf.Tensor:
    """Apply SpecAugment's time masks: replace stretches of frames by the clip's mean of each bin.

    Args:
        x: (frames, bins).
        seed: integers (2,).
        masks: number of stretches; they may overlap.
        width: largest length in frames; lengths are uniform from 0.
        share: largest length as a share of the clip.
        probability: probability of any masking.

    Reference: Park et al., SpecAugment, Interspeech 2019.
    """
    masked = _masked(seed, _TIME, tf.shape(x)[0], masks, width, share, probability)
    return tf.where(masked[:, None], tf.reduce_mean(x, axis=0), x)


def mask_bins(x, seed, masks: int = 1, width: int = 8, share: float = 0.5, probability: float = 0.7) -> tf.Tensor:
    """Apply SpecAugment's frequency masks to neighbouring bins of a spectrum; the arguments are those of `mask_time`, for bins."""
    masked = _masked(seed, _BINS, tf.shape(x)[1], masks, width, share, probability)
    return tf.where(masked, tf.reduce_mean(x, axis=0), x)


def gain(x, seed, deviation: float, probability: float = 0.7) -> tf.Tensor:
    """Change the loudness: add one constant u ~ U(-deviation, deviation) to all values of x (frames, bins), a logarithmic feature.

    The unit of `deviation` is that of x: 1 is 1 dB in features in decibels.
    """
    draw = _draws(seed, _GAIN, [2])
    change = tf.where(draw[0] < probability, _between(draw[1], -deviation, deviation), 0.0)
    return x + tf.cast(change, x.dtype)


def stack_bank(noises: Sequence[np.ndarray]) -> tuple[tf.Tensor, tf.Tensor]:
    """Stack noises (samples,) of different lengths for `mix_noise`.

    Returns:
        The noises, float32 (types, samples), zero-padded, and their lengths, int32 (types,).

    Raises:
        UserError: no noise at all, or one without samples.
    """
    lengths = [len(noise) for noise in noises]
    if not lengths or min(lengths) == 0:
        raise UserError(f"`noises` must hold at least one noise, none of them empty. Received lengths: {lengths}.")
    padded, lengths = pad(noises)
    return tf.constant(padded), tf.constant(lengths)


def mix_noise(waveform, length, bank, bank_lengths, snr: Sequence[float], seed) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix a random noise into each clip of a batch, from a random start and at a random signal-to-noise ratio from a list.

    y = s + g n with g = sqrt(sum s^2 / (10^(snr/10) sum n^2)) over the clip's samples, so that the SNR of eq. 23 (ASP-MTL) is the
    one drawn. A noise that is shorter than the clip is looped. The noise of a clip is y - s.

    Args:
        waveform: s, float32 (batch, samples).
        length: int32 (batch,), valid samples of each clip; the samples beyond are returned unchanged.
        bank, bank_lengths: float32 (types, noise samples) and int32 (types,), from `stack_bank`.
        snr: dB, at least one value.
        seed: integers (batch, 2), so that a clip's draws do not depend on its place in the batch.

    Returns:
        y, float32 (batch, samples), and the noise's row in the bank, int32 (batch,). If a clip, or the stretch of its noise,
        is silent, nothing is mixed in.
    """
    if not len(snr):
        raise UserError("`snr` must hold at least one value in dB. Received none.")
    draw = tf.map_fn(lambda row: _draws(row, _NOISE, [3]), seed, fn_output_signature=tf.TensorSpec([3], tf.float32))
    kind = _index(draw[:, 0], tf.shape(bank)[0])  # (batch,)
    spans = tf.gather(bank_lengths, kind)
    # a longer noise is not looped: its end and beginning would make a click
    starts = _index(draw[:, 1], tf.where(spans >= length, spans - length + 1, spans))
    ratio = tf.gather(tf.constant(snr, tf.float32), _index(draw[:, 2], len(snr)))

    samples, flat = tf.shape(waveform)[1], tf.reshape(bank, [-1])
    noise = tf.map_fn(
        lambda row: _looped(flat[row[0] : row[0] + row[1]], row[2], samples),
        (kind * tf.shape(bank)[1], spans, starts),
        fn_output_signature=tf.TensorSpec([waveform.shape[1]], tf.float32),
    )  # (batch, samples)
    inside = tf.sequence_mask(length, samples)
    noise = tf.where(inside, noise, 0.0)
    speech = tf.where(inside, waveform, 0.0)
    power = tf.reduce_sum(noise**2, axis=1)
    level = tf.reduce_sum(speech**2, axis=1) * 10.0 ** (-ratio / 10)
    scale = tf.sqrt(tf.math.divide_no_nan(level, power))
    return waveform + scale[:, None] * noise, kind


def _looped(noise, start, samples) -> tf.Tensor:
    """Return `samples` samples of a looped noise from `start`."""
    # Slices of a vector are several times as fast as gathering sample by sample.
    first = noise[start : start + samples]
    rest = samples - tf.shape(first)[0]
    rounds = tf.tile(noise, [-(-rest // tf.shape(noise)[0])])
    return tf.concat([first, rounds[:rest]], 0)


def _index(draw, count) -> tf.Tensor:
    """Map [0, 1) evenly to 0 .. count - 1."""
    # (1 - 2^-24) count may round to count.
    count = tf.convert_to_tensor(count)
    return tf.minimum(tf.cast(draw * tf.cast(count, tf.float32), tf.int32), count - 1)
