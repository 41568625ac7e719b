"""Operations on masks, shared by the layers."""

from keras import ops

from keras_ser.features.configured import Configured


class ExplicitMask(Configured):
    """A layer that takes `mask` as an argument and attaches none to its outputs."""

    def compute_mask(self, inputs, previous_mask=None):
        # Without this method Keras warns that the layer destroys the mask of its input.
        return None


def zero_padding(x, mask):
    """Return `x` with 0 where `mask` is False.

    Args:
        x: tensor (batch, frames, ...).
        mask: boolean tensor (batch, frames), or None: every frame is real.
    """
    if mask is None:
        return x
    # `where` instead of a product: padding may be NaN, and 0 * NaN is NaN.
    return ops.where(expand(mask, x), x, ops.zeros((), dtype=x.dtype))


def expand(mask, x):
    """Return `mask` (batch, frames) as a boolean tensor that broadcasts against `x` (batch, frames, ...)."""
    mask = ops.cast(mask, "bool")
    for _ in range(len(x.shape) - 2):
        mask = ops.expand_dims(mask, axis=-1)
    return mask


def lengths(x, mask):
    """Return the number of real frames of each example of `x` (batch, frames, ...), at least 1: float32 (batch, 1)."""
    if mask is None:
        ones = ops.ones_like(x[:, :, :1], dtype="float32")  # (batch, frames, 1)
        return ops.maximum(ops.sum(ones, axis=1), 1.0)
    return ops.maximum(ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True), 1.0)


def first_frames(x, mask, frames: int):
    """Crop or pad a sequence and its mask to `frames` frames; padding is 0 and False.

    Args:
        x: tensor (batch, frames, units).
        mask: boolean tensor (batch, frames), or None: every frame is real.

    Returns:
        (batch, `frames`, units) and bool (batch, `frames`).
    """
    mask = ops.ones_like(x[:, :, 0], dtype="bool") if mask is None else ops.cast(mask, "bool")
    x = zero_padding(x, mask)
    if x.shape[1] != frames:
        x = ops.pad(x, ((0, 0), (0, frames), (0, 0)))[:, :frames]
        # as integers, since not every backend pads booleans
        mask = ops.cast(ops.pad(ops.cast(mask, "int32"), ((0, 0), (0, frames)))[:, :frames], "bool")
    return x, mask
