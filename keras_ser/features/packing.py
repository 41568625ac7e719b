"""Pack kept frames to the left, so that masks stay right-padded."""

from typing import Any

import keras
from keras import ops


def pack(features: Any, keep: Any) -> tuple[Any, Any]:
    """Move kept frames to the left, in order, and zero the rest.

    A stable sort by the mask and a gather: nothing depends on the other rows, and right-padded masks are what cuDNN's
    recurrent layers ask for.

    Args:
        features: a tensor (batch, frames, bins), or a dict, list or tuple of such; static bins.
        keep: (batch, frames) bool.

    Returns:
        The features, packed, in the same structure, and the mask (batch, frames) bool.
    """
    batch, frames = ops.shape(keep)[0], ops.shape(keep)[1]
    index = ops.arange(frames, dtype="int32")
    # Keys that differ make any sort a stable one.
    order = ops.cast(ops.argsort(ops.where(keep, index, index + frames), axis=1), "int32")  # (batch, frames)
    rows = ops.reshape(order + ops.arange(batch, dtype="int32")[:, None] * frames, (-1,))
    mask = index[None, :] < ops.sum(ops.cast(keep, "int32"), axis=1, keepdims=True)

    def move(x):
        bins = x.shape[-1]
        moved = ops.take(ops.reshape(x, (-1, bins)), rows, axis=0)
        moved = ops.reshape(moved, (-1, frames, bins))
        return ops.where(mask[..., None], moved, ops.zeros_like(moved))

    return keras.tree.map_structure(move, features), mask
