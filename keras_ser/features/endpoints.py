"""Endpoint detection: which frames are speech, by short-time energy and zero-crossing rate with a double threshold."""

from typing import Any

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.framing import float32

# Levels closer than this (dB) hold no speech and pauses to tell apart.
LEAST_RANGE = 6.0


def detect_endpoints(
    energy: Any,
    crossings: Any,
    mask: Any,
    high: float = 0.5,
    low: float = 0.25,
    percentile: float = 0.1,
    dynamic: float = 60.0,
    unvoiced: float = 0.25,
    limit: int = 25,
    hangover: int = 5,
) -> Any:
    """The frames to keep, each clip by itself.

    With peak and floor the loudest and the `percentile` quietest level of the clip (the floor at least peak - dynamic):

    1. core: energy > floor + high (peak - floor);
    2. a run of frames with energy > floor + low (peak - floor) is kept where it holds a core;
    3. from what is kept, up to `limit` frames on either side as long as the zero-crossing rate exceeds
       max(unvoiced, mean + 2 deviations of the rate over the clip's frames at its floor): fricatives;
    4. `hangover` frames on either side.

    Where peak and floor differ by less than 6 dB, or nothing is kept, every valid frame stays.

    Args:
        energy: (batch, frames), dB.
        crossings: (batch, frames), zero-crossing rate in [0, 1].
        mask: (batch, frames) bool, right-padded.
        high, low: fractions of the range between floor and peak, low <= high.
        percentile: fraction of the valid frames taken for noise.
        dynamic: dB under the peak where the floor lies at least: digital silence does not count.
        unvoiced: least zero-crossing rate of an unvoiced frame.
        limit, hangover: frames.

    Returns:
        (batch, frames) bool, True in valid frames only and in at least one of them where there is any.

    Reference:
        L. Rabiner, M. Sambur, "An algorithm for determining the endpoints of isolated utterances", BSTJ 54 (1975),
        whose absolute thresholds are made relative to the clip.
    """
    valid = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)  # (batch, 1)
    infinity = ops.full_like(energy, float("inf"))
    peak = ops.max(ops.where(mask, energy, -infinity), axis=1, keepdims=True)
    ranked = ops.sort(ops.where(mask, energy, infinity), axis=1)
    rank = ops.cast(percentile * ops.cast(ops.maximum(valid - 1, 0), "float32"), "int32")
    quiet = ops.take_along_axis(ranked, rank, axis=1)  # (batch, 1)
    floor = ops.maximum(quiet, peak - dynamic)
    spread = peak - floor

    core = ops.logical_and(mask, energy > floor + high * spread)
    candidate = ops.logical_and(mask, energy > floor + low * spread)
    kept = runs_with(core, candidate)

    noise = ops.cast(ops.logical_and(mask, energy <= quiet), "float32")
    frames = ops.maximum(ops.sum(noise, axis=1, keepdims=True), 1.0)
    mean = ops.sum(noise * crossings, axis=1, keepdims=True) / frames
    variance = ops.sum(noise * ops.square(crossings - mean), axis=1, keepdims=True) / frames
    rough = ops.logical_and(mask, crossings > ops.maximum(mean + 2.0 * ops.sqrt(variance), unvoiced))
    kept = grow(kept, rough, limit)
    kept = ops.logical_and(mask, grow(kept, ops.ones_like(mask), hangover))

    told = ops.logical_and(spread >= LEAST_RANGE, ops.any(kept, axis=1, keepdims=True))
    return ops.where(told, kept, mask)


def runs_with(seed: Any, passable: Any) -> Any:
    """The runs of `passable` that hold a `seed`, whole.

    A run's number is how many impassable frames stand before it; the seeds are counted by run.

    Args:
        seed, passable: (batch, frames) bool, seed a subset of passable.

    Returns:
        (batch, frames) bool.
    """
    batch, frames = ops.shape(seed)[0], ops.shape(seed)[1]
    run = ops.cumsum(ops.cast(ops.logical_not(passable), "int32"), axis=1)
    run = run + ops.arange(batch, dtype="int32")[:, None] * (frames + 1)
    run = ops.reshape(run, (-1,))
    seeds = ops.segment_sum(ops.reshape(ops.cast(seed, "int32"), (-1,)), run, num_segments=batch * (frames + 1))
    return ops.logical_and(passable, ops.reshape(ops.take(seeds, run, axis=0), (-1, frames)) > 0)


def grow(seed: Any, passable: Any, limit: int) -> Any:
    """`seed`, extended on either side by up to `limit` frames through an unbroken run of `passable`.

    A frame joins when, within the `limit` frames before it and itself, the last seed comes after the last frame that
    is neither seed nor passable; and the same from the other side.

    Args:
        seed, passable: (batch, frames) bool.
        limit: frames; 0 changes nothing.

    Returns:
        (batch, frames) bool.
    """
    if not limit:
        return seed
    # Both directions at once, the second as more rows.
    both = ops.concatenate([seed, ops.flip(seed, axis=1)], axis=0)
    passes = ops.concatenate([passable, ops.flip(passable, axis=1)], axis=0)
    wall = ops.logical_not(ops.logical_or(both, passes))
    joined = ops.logical_or(both, latest(both, limit) > latest(wall, limit))
    forward, backward = ops.split(joined, 2, axis=0)
    return ops.logical_or(forward, ops.flip(backward, axis=1))


def latest(flag: Any, limit: int) -> Any:
    """(batch, frames) float32: the index of the last True among a frame and the `limit` before it, or -1."""
    index = ops.arange(ops.shape(flag)[1], dtype="float32")[None, :]
    index = ops.where(flag, index, -ops.ones_like(index))
    index = ops.pad(index, ((0, 0), (limit, 0)), constant_values=-1.0)[..., None]
    return ops.max_pool(index, limit + 1, strides=1, padding="valid", data_format="channels_last")[..., 0]


@keras.saving.register_keras_serializable(package="keras_ser")
class EndpointDetection(keras.layers.Layer):
    """`detect_endpoints` as a layer: (energy, crossings, mask) -> (batch, frames) bool.

    Args:
        high, low: fractions of a clip's range between noise floor and peak. Default 0.5, 0.25.
        limit: frames by which unvoiced sounds extend speech at most. Default 25.
        hangover: frames kept on either side. Default 5.
    """

    def __init__(self, high: float = 0.5, low: float = 0.25, limit: int = 25, hangover: int = 5, **kwargs):
        super().__init__(**float32(kwargs))
        check_endpoints(high, low, limit, hangover)
        self.high = high
        self.low = low
        self.limit = limit
        self.hangover = hangover

    def call(self, energy, crossings, mask):
        return detect_endpoints(
            energy, crossings, mask, high=self.high, low=self.low, limit=self.limit, hangover=self.hangover
        )

    def compute_output_spec(self, energy, crossings, mask):
        return keras.KerasTensor(mask.shape, dtype="bool")

    def get_config(self):
        return {
            **super().get_config(),
            "high": self.high,
            "low": self.low,
            "limit": self.limit,
            "hangover": self.hangover,
        }


def check_endpoints(high: float, low: float, limit: int, hangover: int) -> None:
    """Raises ValueError for thresholds or extents that `detect_endpoints` cannot use."""
    if not 0 < low <= high < 1:
        raise UserError(f"endpoint thresholds must satisfy 0 < low <= high < 1. Received: low={low}, high={high}.")
    if limit < 0 or hangover < 0:
        raise UserError(f"`limit` and `hangover` must not be negative. Received: {limit}, {hangover}.")
