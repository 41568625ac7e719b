"""Clips cut into stretches of a fixed length before any front end, and what is found in them averaged over a clip."""

from typing import Any

import keras
from keras import ops

from keras_ser.features.framing import check_positive, float32, mask_samples, valid_lengths
from keras_ser.features.segments import weighted_mean


def stretch_count(length: Any, samples: int) -> Any:
    """Stretches of a clip: length / samples, rounded half up, at least 1.

    A rest of less than half a stretch is left out; a longer one is padded with zeros.

    Args:
        length: samples of the clip; an int, an integer array or tensor.
        samples: of a stretch.
    """
    count = (2 * length + samples) // (2 * samples)
    if isinstance(length, int):
        return max(1, count)
    return ops.maximum(count, 1)


def stretches(waveform: Any, length: Any, samples: int) -> tuple[Any, Any, Any]:
    """Fold stretches into the batch axis.

    Args:
        waveform: (batch, samples) float.
        length: (batch,) int, valid samples.
        samples: of a stretch.

    Returns:
        waveforms (batch * stretches, samples), a clip's stretches in a row, 0 beyond the clip; their lengths (batch * stretches,);
        and the lengths again, (batch, stretches) int32, 0 where a clip of the batch has fewer stretches than another.
    """
    length = valid_lengths(waveform, length)
    most = stretch_count(ops.shape(waveform)[1], samples)
    x = ops.pad(mask_samples(waveform, length), ((0, 0), (0, samples)))[:, : most * samples]
    first = ops.arange(most, dtype="int32")[None, :] * samples  # (1, stretches)
    valid = ops.clip(length[:, None] - first, 0, samples)
    own = ops.arange(most, dtype="int32")[None, :] < stretch_count(length, samples)[:, None]
    # a clip of no sample has one stretch of silence
    valid = ops.where(own, ops.maximum(valid, 1), 0)
    return ops.reshape(x, (-1, samples)), ops.reshape(valid, (-1,)), valid


@keras.saving.register_keras_serializable(package="keras_ser")
class CutStretches(keras.layers.Layer):
    """`stretches` as a layer: (waveform, length) -> (waveforms, lengths (rows,), lengths (batch, stretches)).

    Args:
        samples: of a stretch.
    """

    def __init__(self, samples: int, **kwargs):
        super().__init__(**float32(kwargs))
        check_positive(samples=samples)
        self.samples = samples

    def call(self, waveform, length):
        return stretches(waveform, length, self.samples)

    def compute_output_spec(self, waveform, length):
        return (
            keras.KerasTensor((None, self.samples), dtype="float32"),
            keras.KerasTensor((None,), dtype="int32"),
            keras.KerasTensor((waveform.shape[0], None), dtype="int32"),
        )

    def get_config(self):
        return {**super().get_config(), "samples": self.samples}


@keras.saving.register_keras_serializable(package="keras_ser")
class AverageStretches(keras.layers.Layer):
    """The mean over a clip's stretches, weighted by their valid samples, float32 whatever the dtype policy.

    Input: outputs (batch * stretches, classes), valid samples (batch, stretches). Output: (batch, classes).
    """

    def __init__(self, **kwargs):
        super().__init__(**float32(kwargs))

    def call(self, outputs, valid):
        return weighted_mean(outputs, ops.cast(valid, "float32"))

    def compute_output_spec(self, outputs, valid):
        return keras.KerasTensor((valid.shape[0], outputs.shape[-1]), dtype="float32")
