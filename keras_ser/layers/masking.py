"""Masks of layers: their base class, and operations shared by them."""

from keras import ops

from keras_ser.features.configured import Configured
from keras_ser.features.masking import expand, zero_padding


class ExplicitMask(Configured):
    """A layer that takes `mask` as an argument and attaches none to its outputs."""

    def compute_mask(self, inputs, previous_mask=None):
        # Without this method Keras warns that the layer destroys the mask of its input.
        return None


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


def masked_softmax(scores, mask):
    """Return the softmax of float32 scores (batch, frames, ...) over the real frames; 0 in padding, and if no frame is real."""
    if mask is not None:
        scores = ops.where(expand(mask, scores), scores, -1e9)
    largest = ops.max(scores, axis=1, keepdims=True, initial=-1e9)  # a batch may be empty
    weights = zero_padding(ops.exp(scores - largest), mask)
    # The largest real weight is 1, so that the bound only applies where no frame is real.
    return weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 0.5)


def common_mask(mask):
    """Return the mask of a layer of several inputs: Keras passes one None for each of them when no mask is given."""
    return mask[0] if isinstance(mask, list | tuple) else mask
