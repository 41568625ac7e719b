"""Attention pooling of a sequence with weights computed from other vectors."""

import keras
from keras import ops

from keras_ser.checks import check_least
from keras_ser.errors import UserError
from keras_ser.layers.masking import ExplicitMask, common_mask, first_frames, masked_softmax


@keras.saving.register_keras_serializable(package="keras_ser")
class CoAttention(ExplicitMask):
    """Weighted sum of the frames of a sequence, with weights from a dense layer on the vectors of other levels.

        e = W [v_1, v_2, ..] + b,    one e_t for each of the first `frames` frames
        a_t = exp(e_t) / sum_t' exp(e_t'),  t' over the real frames    (normalize=True)
        a_t = max(e_t, 0)                                              (normalize=False)
        y = sum_t a_t x_t

    The published code of Zou et al. uses the second form, in which all weights can be 0; y and the gradient of W then vanish.
    Weights and sum are float32. Frames beyond `frames` are ignored. An example without a real frame gives zeros.

    Args:
        frames: number of frames that get a weight; an integer >= 1.
        normalize: use a softmax over the real frames instead of ReLU. Default True.

    Input shape: a list [sequence (batch, frames, units), vector (batch, width), ..]; `mask` (batch, frames).
    Output shape: (batch, units).

    Raises:
        UserError: `frames` is below 1, or the inputs have other shapes.

    Reference:
        Zou et al., *Speech Emotion Recognition with Co-Attention Based Multi-Level Acoustic Information*, ICASSP 2022.
    """

    def __init__(self, frames: int, normalize: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.keep(locals())
        check_least(self, 1, "frames")
        self.dense = keras.layers.Dense(self.frames, dtype=self.dtype_policy, name="scores")

    def build(self, input_shape):
        sequence, *vectors = input_shape if isinstance(input_shape[0], list | tuple) else ((), ())
        if not vectors or len(sequence) != 3 or any(len(vector) != 2 for vector in vectors):
            raise UserError(
                "expected a list [sequence (batch, frames, units), vector (batch, width), ..]. "
                f"Received: shapes {input_shape}."
            )
        self.dense.build((None, sum(vector[-1] for vector in vectors)))

    def call(self, inputs, mask=None):
        x, *vectors = inputs
        x, mask = first_frames(x, common_mask(mask), self.frames)
        scores = ops.cast(self.dense(ops.concatenate(vectors, axis=-1)), "float32")  # (batch, frames)
        if self.normalize:
            weights = masked_softmax(scores, mask)
        else:
            weights = ops.where(mask, ops.relu(scores), 0.0)
        pooled = ops.sum(ops.expand_dims(weights, axis=-1) * ops.cast(x, "float32"), axis=1)
        return ops.cast(pooled, self.compute_dtype)  # (batch, units)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], input_shape[0][-1])
