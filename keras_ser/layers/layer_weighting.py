"""Learned weights over the layers of an encoder."""

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.layers.masking import ExplicitMask


@keras.saving.register_keras_serializable(package="keras_ser")
class LayerWeighting(ExplicitMask):
    """Weighted sum of the outputs of L layers, with L learned scalars (equations 9-10 of ASP-MTL).

        S = sum_l alpha_l s_l,    alpha = softmax(a),    a_1 .. a_L learned, 0 at first: the plain mean.

    The paper does not say how alpha is kept in bounds; the softmax is our reading.

    Input shape: a list of L tensors of one shape, e.g. (batch, frames, units), or one tensor that stacks them on axis
        1: (batch, layers, frames, units).
    Output shape: that of one of them.

    Reference:
        Liu and Zhang, *Design of Efficient Speech Emotion Recognition Based on Multi Task Learning*, IEEE Access.
    """

    def build(self, input_shape):
        layers = len(input_shape) if _is_list(input_shape) else input_shape[1]
        if not layers:
            raise UserError(
                "expected a list of sequences, or one tensor (batch, layers, frames, units) that knows its number of "
                f"layers. Received: shape {input_shape}."
            )
        self.logits = self.add_weight(shape=(layers,), initializer="zeros", name="logits", autocast=False)

    def call(self, sequences):
        # Not ops.softmax, which warns about a single layer.
        weights = ops.exp(self.logits - ops.max(self.logits))
        weights = weights / ops.sum(weights)  # (layers,)
        if not isinstance(sequences, list | tuple):
            sequences = ops.unstack(sequences, axis=1, num=self.logits.shape[0])
        return sum(ops.cast(weights[i], s.dtype) * s for i, s in enumerate(sequences))

    def compute_output_shape(self, input_shape):
        if _is_list(input_shape):
            return tuple(input_shape[0])
        return (input_shape[0], *input_shape[2:])


def _is_list(shape):
    return isinstance(shape[0], list | tuple)
