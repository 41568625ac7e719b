"""Mean and variance of a clip's frames."""

from typing import Any

from keras import ops


def clip_statistics(x: Any, mask: Any) -> Any:
    """Mean and variance of each bin over a clip's valid frames, the means first.

    The variance is over all frames (no degree of freedom taken off): 0 for a clip of one frame.

    Args:
        x: (batch, frames, bins) float.
        mask: (batch, frames) bool; values where it is False do not matter.

    Returns:
        (batch, 2 bins) float32; 0 for a clip without valid frames.
    """
    x = ops.cast(ops.convert_to_tensor(x), "float32")
    valid = ops.cast(mask, "bool")[..., None]
    count = ops.maximum(ops.sum(ops.cast(valid, "float32"), axis=1, keepdims=True), 1.0)  # (batch, 1, 1)
    mean = ops.sum(ops.where(valid, x, 0.0), axis=1, keepdims=True) / count  # (batch, 1, bins)
    spread = ops.sum(ops.square(ops.where(valid, x - mean, 0.0)), axis=1) / count[:, 0]  # (batch, bins)
    return ops.concatenate([mean[:, 0], spread], axis=-1)
