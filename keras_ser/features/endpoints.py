"""Endpoint detection: find the frames of speech by short-time energy and zero-crossing rate with a double threshold."""

from typing import Any

from keras import ops

from keras_ser.errors import UserError

LEAST_RANGE = 6.0  # dB between peak and floor, below which speech and pause cannot be told apart
QUIETEST = 0.1  # share of the valid frames that is taken as noise
DYNAMIC = 60.0  # dB between the peak and the lowest floor
UNVOICED = 0.25  # least zero-crossing rate of an unvoiced frame


def detect_endpoints(
    energy: Any,
    crossings: Any,
    mask: Any,
    high: float = 0.5,
    low: float = 0.25,
    limit: int = 25,
    hangover: int = 5,
) -> Any:
    """Return the frames to keep, independently for each clip.

    peak is the highest level of the clip, floor the 10 % quantile of its levels, but at most 60 dB below the peak, so that digital
    silence does not count:

    1. core: energy > floor + high (peak - floor);
    2. a run of frames with energy > floor + low (peak - floor) is kept if it contains a core;
    3. fricatives: the kept frames are extended by up to `limit` frames on either side as long as the zero-crossing rate exceeds
       max(0.25, mean + 2 standard deviations of the rate over the clip's quietest 10 % of frames);
    4. `hangover` frames are added on either side.

    If peak and floor differ by less than 6 dB, or nothing is kept, all valid frames are returned.

    Args:
        energy: (batch, frames), dB.
        crossings: (batch, frames), zero-crossing rate in [0, 1].
        mask: (batch, frames) bool, right-padded.
        high, low: fractions of the range between floor and peak, low <= high.
        limit, hangover: frames.

    Returns:
        (batch, frames) bool, True in valid frames only, and in at least one of a clip that has any.

    Reference:
        L. Rabiner, M. Sambur, "An algorithm for determining the endpoints of isolated utterances", BSTJ 54 (1975).
        Its absolute thresholds are replaced by thresholds relative to the clip.
    """
    valid = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)  # (batch, 1)
    infinity = ops.full_like(energy, float("inf"))
    peak = ops.max(ops.where(mask, energy, -infinity), axis=1, keepdims=True)
    ranked = ops.sort(ops.where(mask, energy, infinity), axis=1)
    rank = ops.cast(QUIETEST * ops.cast(ops.maximum(valid - 1, 0), "float32"), "int32")
    quiet = ops.take_along_axis(ranked, rank, axis=1)  # (batch, 1)
    floor = ops.maximum(quiet, peak - DYNAMIC)
    spread = peak - floor

    core = ops.logical_and(mask, energy > floor + high * spread)
    candidate = ops.logical_and(mask, energy > floor + low * spread)
    kept = runs_with(core, candidate)

    noise = ops.cast(ops.logical_and(mask, energy <= quiet), "float32")
    frames = ops.maximum(ops.sum(noise, axis=1, keepdims=True), 1.0)
    mean = ops.sum(noise * crossings, axis=1, keepdims=True) / frames
    variance = ops.sum(noise * ops.square(crossings - mean), axis=1, keepdims=True) / frames
    rough = ops.logical_and(mask, crossings > ops.maximum(mean + 2.0 * ops.sqrt(variance), UNVOICED))
    kept = grow(kept, rough, limit)
    kept = ops.logical_and(mask, grow(kept, ops.ones_like(mask), hangover))

    found = ops.logical_and(spread >= LEAST_RANGE, ops.any(kept, axis=1, keepdims=True))
    return ops.where(found, kept, mask)


def runs_with(seed: Any, passable: Any) -> Any:
    """Return the whole runs of `passable` (batch, frames) that contain a `seed`; seeds are a subset of the passable frames.

    Runs are numbered by the impassable frames before them, and seeds are counted by run.
    """
    batch, frames = ops.shape(seed)[0], ops.shape(seed)[1]
    run = ops.cumsum(ops.cast(ops.logical_not(passable), "int32"), axis=1)
    run = run + ops.arange(batch, dtype="int32")[:, None] * (frames + 1)
    run = ops.reshape(run, (-1,))
    seeds = ops.segment_sum(ops.reshape(ops.cast(seed, "int32"), (-1,)), run, num_segments=batch * (frames + 1))
    return ops.logical_and(passable, ops.reshape(ops.take(seeds, run, axis=0), (-1, frames)) > 0)


def grow(seed: Any, passable: Any, limit: int) -> Any:
    """Extend `seed` (batch, frames) on either side by up to `limit` frames through an unbroken run of `passable`.

    A frame is added if, among itself and the `limit` frames before it, the last seed comes after the last frame that
    is neither seed nor passable; likewise from the other side.
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
    """Return the index of the last True among each frame and the `limit` before it, or -1: (batch, frames) float32."""
    index = ops.arange(ops.shape(flag)[1], dtype="float32")[None, :]
    index = ops.where(flag, index, -ops.ones_like(index))
    index = ops.pad(index, ((0, 0), (limit, 0)), constant_values=-1.0)[..., None]
    return ops.max_pool(index, limit + 1, strides=1, padding="valid", data_format="channels_last")[..., 0]


def check_endpoints(high: float, low: float, limit: int, hangover: int) -> None:
    """Raise UserError for thresholds or extents that `detect_endpoints` cannot use."""
    if not 0 < low <= high < 1:
        raise UserError(f"endpoint thresholds must satisfy 0 < low <= high < 1. Received: low={low}, high={high}.")
    if limit < 0 or hangover < 0:
        raise UserError(f"`limit` and `hangover` must not be negative. Received: {limit}, {hangover}.")
