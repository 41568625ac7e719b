"""Cut clips into parts of a fixed length, and average outputs of the parts for each clip.

Segments are parts of a front end's frames, stretches are parts of the waveform before any front end.
"""

from numbers import Integral
from typing import Any

import keras
from keras import ops

from keras_ser.features.configured import FeatureLayer
from keras_ser.features.framing import check_counts, mask_samples, valid_lengths
from keras_ser.features.masking import zero_padding


def segment_count(length: Any, frames: int) -> Any:
    """Return how many segments cover `length` frames (an int or a tensor): ceil(length / frames), at least 1."""
    if isinstance(length, Integral):
        return 1 + max(length - 1, 0) // frames
    return 1 + ops.maximum(length - 1, 0) // frames


def segment(features: Any, mask: Any, frames: int) -> tuple[Any, Any]:
    """Cut clips into segments and fold these into the batch axis; the last one is padded with zeros and False.

    Args:
        features: (batch, length, bins) float32, static bins.
        mask: (batch, length) bool, right-padded.
        frames: frames of a segment.

    Returns:
        Features (batch * segments, frames, bins), 0 where the mask is False, and mask (batch * segments, frames); the segments of
        a clip are consecutive. In a batch with longer clips, a clip's surplus segments are fully masked.
    """
    length, bins = ops.shape(features)[1], features.shape[-1]
    segments = segment_count(length, frames)
    # Mask segments that contain only frames already covered, so that the result does not depend on the batch's padding.
    own = segment_count(ops.sum(ops.cast(mask, "int32"), axis=1), frames)  # (batch,)
    own = ops.arange(segments, dtype="int32")[None, :] < own[:, None]  # (batch, segments)
    # Pad by a whole segment, then cut to size, so that the padding is a static number.
    x = ops.pad(features, ((0, 0), (0, frames), (0, 0)))[:, : segments * frames]
    valid = ops.pad(ops.cast(mask, "int32"), ((0, 0), (0, frames)))[:, : segments * frames]
    x = ops.reshape(x, (-1, frames, bins))
    valid = ops.logical_and(ops.cast(ops.reshape(valid, (-1, frames)), "bool"), ops.reshape(own, (-1, 1)))
    return zero_padding(x, valid), valid


def unfold(outputs: Any, segment_mask: Any, mask: Any) -> Any:
    """Average the outputs of each clip's segments, weighted by their numbers of valid frames.

    A fully masked segment has weight 0, whatever its output (NaN included). A clip without a valid frame gives 0.

    Args:
        outputs: (batch * segments, classes) float, with a clip's segments consecutive; static classes.
        segment_mask: (batch * segments, frames) bool, as from `segment`.
        mask: (batch, length) bool, the clips' own mask; only its batch size is used.

    Returns:
        (batch, classes) float32.
    """
    batch = ops.shape(mask)[0]
    segments = ops.shape(outputs)[0] // ops.maximum(batch, 1) if not isinstance(batch, int) else -1
    shape = (batch, segments)
    return weighted_mean(outputs, ops.reshape(ops.sum(ops.cast(segment_mask, "float32"), axis=1), shape))


def weighted_mean(outputs: Any, weights: Any) -> Any:
    """Return the weighted mean of the outputs of a clip's parts, (batch, classes) float32; 0 if all its weights are 0.

    Args:
        outputs: (batch * parts, classes), with a clip's parts consecutive; static classes.
        weights: (batch, parts) float; a part with weight 0 is ignored, whatever its output (NaN included).
    """
    outputs = ops.reshape(ops.cast(outputs, "float32"), (*ops.shape(weights), outputs.shape[-1]))
    outputs = ops.where(weights[..., None] > 0, outputs, ops.zeros_like(outputs))
    total = ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1.0)
    return ops.sum(outputs * (weights / total)[..., None], axis=1)


@keras.saving.register_keras_serializable(package="keras_ser")
class Segment(FeatureLayer):
    """`segment` as a layer: (features, mask) -> (features, mask) of (batch * segments, frames, ..).

    Args:
        frames: frames of a segment.

    Raises:
        UserError: `frames` is not a positive integer.
    """

    dropped = ("hop",)

    def __init__(self, frames: int, **kwargs):
        super().__init__(**kwargs)
        check_counts(frames=frames)
        self.keep(locals())

    def call(self, features, mask):
        return segment(features, mask, self.frames)

    def compute_output_spec(self, features, mask):
        batch, length, bins = features.shape
        segments = None if length is None else segment_count(length, self.frames)
        rows = None if batch is None or segments is None else batch * segments
        return (
            keras.KerasTensor((rows, self.frames, bins), dtype="float32"),
            keras.KerasTensor((rows, self.frames), dtype="bool"),
        )


@keras.saving.register_keras_serializable(package="keras_ser")
class AverageSegments(FeatureLayer):
    """`unfold` as a layer: (outputs, segment_mask, mask) -> (batch, classes), float32 for any dtype policy."""

    def call(self, outputs, segment_mask, mask):
        return unfold(outputs, segment_mask, mask)

    def compute_output_spec(self, outputs, segment_mask, mask):
        return keras.KerasTensor((mask.shape[0], outputs.shape[-1]), dtype="float32")


def stretch_count(length: Any, samples: int) -> Any:
    """Return the number of stretches of a clip: length / samples, rounded half up, at least 1.

    A remainder of less than half a stretch is dropped; a longer one is padded with zeros.

    Args:
        length: samples of the clip; an int, an integer array or tensor.
        samples: samples of a stretch.
    """
    count = (2 * length + samples) // (2 * samples)
    if isinstance(length, Integral):
        return max(1, count)
    return ops.maximum(count, 1)


def cut_stretches(waveform: Any, length: Any, samples: int) -> tuple[Any, Any, Any]:
    """Cut waveforms into stretches and fold these into the batch axis.

    Args:
        waveform: (batch, any) float.
        length: (batch,) int, valid samples.
        samples: samples of a stretch.

    Returns:
        Waveforms (batch * stretches, samples), 0 beyond the clip, with a clip's stretches consecutive; their valid samples
        (batch * stretches,) int32, 0 for surplus stretches of shorter clips; and the same as (batch, stretches).
    """
    length = valid_lengths(waveform, length)
    most = stretch_count(ops.shape(waveform)[1], samples)
    x = ops.pad(mask_samples(waveform, length), ((0, 0), (0, samples)))[:, : most * samples]
    first = ops.arange(most, dtype="int32")[None, :] * samples  # (1, stretches)
    valid = ops.clip(length[:, None] - first, 0, samples)
    own = ops.arange(most, dtype="int32")[None, :] < stretch_count(length, samples)[:, None]
    # a clip without samples has one stretch of silence
    valid = ops.where(own, ops.maximum(valid, 1), 0)
    return ops.reshape(x, (-1, samples)), ops.reshape(valid, (-1,)), valid


@keras.saving.register_keras_serializable(package="keras_ser")
class CutStretches(FeatureLayer):
    """`cut_stretches` as a layer: (waveform, length) -> (waveforms, lengths (rows,), lengths (batch, stretches)).

    Args:
        samples: samples of a stretch.
    """

    def __init__(self, samples: int, **kwargs):
        super().__init__(**kwargs)
        check_counts(samples=samples)
        self.keep(locals())

    def call(self, waveform, length):
        return cut_stretches(waveform, length, self.samples)

    def compute_output_spec(self, waveform, length):
        return (
            keras.KerasTensor((None, self.samples), dtype="float32"),
            keras.KerasTensor((None,), dtype="int32"),
            keras.KerasTensor((waveform.shape[0], None), dtype="int32"),
        )


@keras.saving.register_keras_serializable(package="keras_ser")
class AverageStretches(FeatureLayer):
    """Average the outputs of each clip's stretches, weighted by their valid samples; float32 for any dtype policy.

    Input: outputs (batch * stretches, classes), valid samples (batch, stretches). Output: (batch, classes).
    """

    def call(self, outputs, valid):
        return weighted_mean(outputs, ops.cast(valid, "float32"))

    def compute_output_spec(self, outputs, valid):
        return keras.KerasTensor((valid.shape[0], outputs.shape[-1]), dtype="float32")
