"""A waveform from its frames."""

import keras
from keras import ops

from keras_ser.features.configured import FeatureLayer
from keras_ser.layers.masking import ExplicitMask


@keras.saving.register_keras_serializable(package="keras_ser")
class Samples(FeatureLayer, ExplicitMask):
    """Join frames of samples without overlap, (batch, frames, hop), to a waveform with its masks.

    Args:
        field, stride: receptive field and stride of a frame of the next layer, in samples.

    Samples that fill no frame of the input are lost. So a clip with as many whole frames as a receptive field has is zero-padded to
    a receptive field; a shorter one has no frame.

    Output: waveform (batch, samples), 0 in the padding; mask of its samples, bool (batch, samples); mask of the next layer's
        frames, bool (batch, 1 + (samples - field) // stride).
    """

    def __init__(self, field: int, stride: int, **kwargs):
        super().__init__(**kwargs)
        self.keep(locals())

    def call(self, x, mask=None):
        frames, hop = x.shape[1:]
        mask = ops.ones_like(x[:, :, 0], dtype="bool") if mask is None else mask
        waveform = ops.reshape(ops.where(ops.expand_dims(mask, -1), x, 0.0), (-1, frames * hop))
        enough = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True) >= max(1, self.field // hop)
        first = ops.logical_and(enough, ops.arange(frames * hop) < self.field)
        samples = ops.logical_or(ops.repeat(mask, hop, axis=1), first)
        return waveform, samples, samples[:, self.field - 1 :: self.stride]
