"""Clips of one length."""

from typing import Any

from keras import ops


def fixed_length(waveform: Any, length: Any, samples: int, margin: int = 0) -> tuple[Any, Any]:
    """Centre-crop longer clips to `samples` and zero-pad shorter ones on the right.

    Args:
        waveform: (batch, any) float.
        length: (batch,) int, valid samples.
        samples: to keep.
        margin: zeros appended to every clip.

    Returns:
        (batch, samples + margin), 0 from the clip's end on; and (batch,) int32, samples + margin of every clip.
    """
    first = ops.maximum(length - samples, 0) // 2  # (batch,)
    at = first[:, None] + ops.arange(samples, dtype="int32")[None, :]  # (batch, samples)
    size = ops.shape(waveform)[1]
    # rows without samples cannot be gathered from
    waveform = ops.pad(waveform, ((0, 0), (0, 1)))
    cut = ops.take_along_axis(waveform, ops.minimum(at, size), axis=1)
    cut = ops.where(at < length[:, None], cut, ops.zeros((), dtype=cut.dtype))
    return ops.pad(cut, ((0, 0), (0, margin))), ops.zeros_like(length) + (samples + margin)
