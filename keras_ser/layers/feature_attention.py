"""Weigh the features of a vector by attention."""

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.configured import Configured


@keras.saving.register_keras_serializable(package="keras_ser")
class FeatureAttention(Configured):
    """Softmax attention over the features of a vector (float32 inside).

        a_i = exp(u_i y_i) / sum_j exp(u_j y_j)
        z_i = a_i y_i

    MT-A-DNN gives each task one of these behind the shared layer, so that each task weighs the features by its own needs.
    In the paper u is one number. By default it is one number per feature here, which lets a task learn which features count,
    whatever their size. u starts at 1.

    Args:
        scalar: one u for all features, the letter of the paper.

    Input shape: (batch, width).
    Output shape: (batch, width).

    Raises:
        UserError: an input that is no vector for each example.
    """

    def __init__(self, scalar: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.scalar = scalar

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise UserError(f"expected an input (batch, width). Received: {tuple(input_shape)}.")
        shape = (1,) if self.scalar else (input_shape[-1],)
        self.scale = self.add_weight(shape=shape, initializer="ones", name="scale", autocast=False)  # u

    def attention(self, y):
        """(batch, width) -> a, (batch, width) float32, the sum of each row 1."""
        return ops.softmax(self.scale * ops.cast(y, "float32"), axis=-1)

    def call(self, y):
        return ops.cast(self.attention(y) * ops.cast(y, "float32"), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape
