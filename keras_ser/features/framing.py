"""Frames of a waveform: count, mask and cut them, and pack those that are kept.

Frame t covers samples t hop .. t hop + window - 1, without centring. A last partial frame is dropped, and a clip shorter
than a window is zero-padded to exactly one frame.
"""

from math import gcd
from numbers import Integral
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.masking import zero_padding


def float_tensor(x: Any) -> Any:
    """Convert `x` to a float32 tensor."""
    return ops.cast(ops.convert_to_tensor(x), "float32")


def check_clips(waveform: Any, length: Any = None) -> None:
    """Raise UserError unless the waveform is (batch, samples) and `length`, if it is given, (batch,)."""
    shape = _shape(waveform)  # AutoGraph cannot convert named expressions
    if len(shape) != 2:
        raise UserError(f"expected a waveform (batch, samples); a single clip x is x[None]. Received: shape {shape}.")
    if length is not None and len(_shape(length)) != 1:
        raise UserError(
            f"expected `length` (batch,), one number of samples per clip. Received: shape {_shape(length)}."
        )


def _shape(x: Any) -> tuple:
    return tuple(x.shape if hasattr(x, "shape") else np.shape(x))


def frame_count(length: Any, window: int, hop: int) -> Any:
    """Return the number of frames of a clip: 1 + (length - window) // hop, and 1 for a clip shorter than a window.

    Args:
        length: samples; an int, a NumPy array or an integer tensor.
        window, hop: samples.

    Returns:
        The number of frames, of the same type as `length`.
    """
    if isinstance(length, Integral):
        return max(1, 1 + (int(length) - window) // hop)
    if isinstance(length, np.ndarray):
        return np.maximum(1, 1 + (length - window) // hop)
    # No floor division of negative numbers: backends round it differently.
    return 1 + ops.maximum(length - window, 0) // hop


def valid_lengths(waveform: Any, length: Any = None) -> Any:
    """Return `length` clipped to [0, samples], or all samples if it is None: (batch,) int32."""
    check_clips(waveform, length)
    batch, samples = ops.shape(waveform)[0], ops.shape(waveform)[1]
    if length is None:
        return ops.zeros((batch,), dtype="int32") + samples
    return ops.clip(ops.cast(length, "int32"), 0, samples)


def mask_samples(waveform: Any, length: Any) -> Any:
    """Zero the waveform from sample `length` on, whatever its values there (NaN included).

    Args:
        waveform: (batch, samples) float.
        length: (batch,) int, valid samples.

    Returns:
        (batch, samples) float32.
    """
    check_clips(waveform, length)
    x = float_tensor(waveform)
    inside = ops.arange(ops.shape(x)[1], dtype="int32")[None, :] < ops.cast(length, "int32")[:, None]
    return ops.where(inside, x, 0.0)


def frame_mask(samples: Any, length: Any, window: int, hop: int) -> Any:
    """Return the right-padded mask of the frames that belong to their clip: (batch, frames) bool.

    Args:
        samples: width of the padded batch.
        length: (batch,) int, valid samples of each clip.
        window, hop: samples.
    """
    index = ops.arange(frame_count(samples, window, hop), dtype="int32")
    return index[None, :] < frame_count(ops.cast(length, "int32"), window, hop)[:, None]


def pad_to_window(x: Any, window: int) -> Any:
    """Zero-pad on the right: (batch, samples) -> (batch, max(samples, window))."""
    check_clips(x)
    if isinstance(x.shape[1], int):
        missing = max(window - x.shape[1], 0)
        return ops.pad(x, ((0, 0), (0, missing))) if missing else x
    batch, samples = ops.shape(x)[0], ops.shape(x)[1]
    return ops.concatenate([x, ops.zeros((batch, ops.maximum(window - samples, 0)), dtype=x.dtype)], axis=1)


def frame(waveform: Any, window: int, hop: int) -> Any:
    """Cut overlapping frames.

    Args:
        waveform: (batch, samples) float.
        window, hop: samples.

    Returns:
        (batch, frames, window) float32.
    """
    x = pad_to_window(float_tensor(waveform), window)
    if not isinstance(x.shape[1], int):
        return ops.extract_sequences(x, window, hop)
    # Whole hops are concatenated and the last one is cut, which compiles to copies, much faster than gathering samples.
    frames, reach = frame_count(x.shape[1], window, hop), -(-window // hop)
    used = frames - 1 + reach
    x = ops.pad(x, ((0, 0), (0, max(0, used * hop - x.shape[1]))))
    x = ops.reshape(x[:, : used * hop], (-1, used, hop))
    return ops.concatenate([x[:, k : k + frames, : window - k * hop] for k in range(reach)], axis=-1)


def frame_sums(x: Any, window: int, hop: int) -> Any:
    """Sum each frame, (batch, samples) -> (batch, frames), from sums of blocks of gcd(window, hop) samples."""
    block = gcd(window, hop)
    x = pad_to_window(float_tensor(x), window)
    blocks = ops.shape(x)[1] // block
    x = ops.sum(ops.reshape(x[:, : blocks * block], (-1, blocks, block)), axis=-1)  # (batch, blocks)
    return ops.sum(ops.extract_sequences(x, window // block, hop // block), axis=-1)  # (batch, frames)


def sums_of_changes(changes: Any, window: int, hop: int) -> Any:
    """Sum the changes between neighbouring samples within each frame, (batch, samples - 1) -> (batch, frames)."""
    changes = ops.pad(changes, ((0, 0), (1, 0)))  # (batch, samples): a change from n - 1 to n is at n
    sums = frame_sums(changes, window, hop)
    # The change into a frame's first sample is not between samples of the frame.
    return sums - changes[:, : (ops.shape(sums)[1] - 1) * hop + 1 : hop]


def check_counts(**values: int) -> None:
    """Raise UserError for the first value that is not a positive integer."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise UserError(f"`{name}` must be a positive integer. Received: {name}={value!r}.")


def fixed_length(waveform: Any, length: Any, samples: int, margin: int = 0) -> tuple[Any, Any]:
    """Centre-crop longer clips to `samples` and zero-pad shorter ones on the right.

    Args:
        waveform: (batch, any) float.
        length: (batch,) int, valid samples.
        samples: number of samples to keep.
        margin: zeros to append to every clip.

    Returns:
        Waveforms (batch, samples + margin), 0 from the clip's end on; and their lengths (batch,), samples + margin each.
    """
    first = ops.maximum(length - samples, 0) // 2  # (batch,)
    at = first[:, None] + ops.arange(samples, dtype="int32")[None, :]  # (batch, samples)
    size = ops.shape(waveform)[1]
    # rows without samples cannot be gathered from
    waveform = ops.pad(waveform, ((0, 0), (0, 1)))
    cut = ops.take_along_axis(waveform, ops.minimum(at, size), axis=1)
    cut = ops.where(at < length[:, None], cut, ops.zeros((), dtype=cut.dtype))
    return ops.pad(cut, ((0, 0), (0, margin))), ops.zeros_like(length) + (samples + margin)


def pack(features: Any, keep: Any) -> tuple[Any, Any]:
    """Move kept frames to the left, in order, and zero the rest.

    This is a stable sort by the mask and a gather. Rows do not influence each other, and the resulting right-padded masks meet the
    requirements of cuDNN's recurrent layers.

    Args:
        features: a tensor (batch, frames, bins), or a dict, list or tuple of such tensors; static bins.
        keep: (batch, frames) bool.

    Returns:
        The packed features in the same structure, and their mask (batch, frames) bool.
    """
    batch, frames = ops.shape(keep)[0], ops.shape(keep)[1]
    index = ops.arange(frames, dtype="int32")
    # Distinct keys make any sort stable.
    order = ops.cast(ops.argsort(ops.where(keep, index, index + frames), axis=1), "int32")  # (batch, frames)
    rows = ops.reshape(order + ops.arange(batch, dtype="int32")[:, None] * frames, (-1,))
    mask = index[None, :] < ops.sum(ops.cast(keep, "int32"), axis=1, keepdims=True)

    def move(x):
        bins = x.shape[-1]
        moved = ops.take(ops.reshape(x, (-1, bins)), rows, axis=0)
        return zero_padding(ops.reshape(moved, (-1, frames, bins)), mask)

    return keras.tree.map_structure(move, features), mask
