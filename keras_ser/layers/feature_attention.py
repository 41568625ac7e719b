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

    MT-A-DNN puts one of these layers after the shared layer for each task, so that each task weights the features itself.
    In the paper u is a single number. Here it is by default one number per feature, so that a task can learn the relevance of
    a feature independently of its magnitude. u is initialised to 1.

    Args:
        scalar: use one u for all features, as in the paper. Default False.

    Input shape: (batch, width).
    Output shape: (batch, width).

    Raises:
        UserError: the input is not of shape (batch, width).
    """

    def __init__(self, scalar: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.scalar = scalar

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise UserError(f"expected an input (batch, width). Received: {tuple(input_shape)}.")
        shape = (1,) if self.scalar else (input_shape[-1],)
        self.scale = self.add_weight(shape, "ones", dtype="float32", autocast=False, name="scale")  # u

    def attention(self, y):
        """Return the weights a of features (batch, width): (batch, width) float32; each row sums to 1."""
        return ops.softmax(self.scale * ops.cast(y, "float32"), axis=-1)

    def call(self, y):
        return ops.cast(self.attention(y) * ops.cast(y, "float32"), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape
