"""Learned weights over the layers of an encoder."""

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.layers.masking import ExplicitMask


@keras.saving.register_keras_serializable(package="keras_ser")
class LayerWeighting(ExplicitMask):
    """Weighted sum of the outputs of L layers, with L learned scalars (equations 9-10 of ASP-MTL).

        S = sum_l alpha_l s_l,    alpha = softmax(a),    a_1 .. a_L learned, initially 0 (the plain mean)

    The paper does not say how alpha is constrained; the softmax is our reading.

    Input shape: a list of L tensors of the same shape, e.g. (batch, frames, units).
    Output shape: that of each input.

    Raises:
        UserError: the inputs are a single tensor, or differ in shape, or are not L.

    Reference:
        Liu and Zhang, *Design of Efficient Speech Emotion Recognition Based on Multi Task Learning*, IEEE Access.
    """

    def build(self, input_shape):
        _check_shapes(input_shape)
        shape = (len(input_shape),)
        self.logits = self.add_weight(shape, "zeros", dtype="float32", autocast=False, name="logits")

    def call(self, sequences):
        _check_shapes([tuple(s.shape) for s in sequences], self.logits.shape[0])
        # Not ops.softmax, which warns about a single layer.
        weights = ops.exp(self.logits - ops.max(self.logits))
        weights = weights / ops.sum(weights)  # (layers,)
        return sum(ops.cast(weights[i], s.dtype) * s for i, s in enumerate(sequences))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])


def _check_shapes(shapes, layers=None):
    """Refuse inputs that are no list, of another length than `layers`, or of shapes whose known sizes differ."""
    several = len(shapes) and all(isinstance(shape, list | tuple) for shape in shapes)
    if (
        not several
        or layers not in (None, len(shapes))
        or len({len(shape) for shape in shapes}) > 1
        or any(len(set(sizes) - {None}) > 1 for sizes in zip(*shapes, strict=True))
    ):
        count = "one tensor" if layers is None else str(layers)
        raise UserError(f"expected a list of tensors of the same shape, {count} for each layer. Received: {shapes}.")
