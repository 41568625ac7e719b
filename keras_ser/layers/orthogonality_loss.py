"""Orthogonality of shared and private features."""

import keras
from keras import ops

from keras_ser.checks import check_least
from keras_ser.errors import UserError
from keras_ser.features.masking import lengths, zero_padding
from keras_ser.layers.masking import ExplicitMask, common_mask


def orthogonality(shared, private, mask=None, normalize: bool = True):
    """Measure the overlap of two feature sequences (equation 13 of ASP-MTL).

    Args:
        shared: S, (batch, frames, units_s).
        private: H, (batch, frames, units_h).
        mask: (batch, frames) or None.
        normalize: divide S^T H by the number of real frames, and its squared norm by units_s units_h. Default True.

    Returns:
        float32 (batch,), the squared Frobenius norm of S^T H.
    """
    s = zero_padding(ops.cast(shared, "float32"), mask)
    h = zero_padding(ops.cast(private, "float32"), mask)
    product = ops.matmul(ops.transpose(s, (0, 2, 1)), h)  # (batch, units_s, units_h)
    if normalize:
        product = product / ops.expand_dims(lengths(s, mask), axis=-1)
        return ops.mean(ops.square(product), axis=(1, 2))
    return ops.sum(ops.square(product), axis=(1, 2))


@keras.saving.register_keras_serializable(package="keras_ser")
class OrthogonalityLoss(ExplicitMask):
    """Loss that makes private features orthogonal to the shared ones; the inputs pass through unchanged.

        L_diff = sum_k || S_k^T H_k ||_F^2                                     (13)

    This form, the paper's, grows with the batch, the frames and the units. The default is instead

        L_diff = mean_i sum_k || S_i^T H_i,k / T_i ||_F^2 / (d_s d_h),         T_i = real frames of example i

    so that its weight (mu of equation 19) does not depend on these sizes; `normalize=False` gives the paper's form, with
    a sum over the examples.

    Args:
        weight: mu, a finite number >= 0; weight * L_diff is added to the model's loss. Default 1.
        normalize: see above. Default True.

    Input shape: a list [shared, private, ...] of one shared and one or more private sequences (batch, frames, units),
        each private one compared with the shared one; `mask` (batch, frames).
    Output shape: the list, unchanged. Use these outputs downstream: a layer with unused outputs is not part of a model.

    L_diff, unweighted, is logged by `fit` and `evaluate` under the layer's name (the mean over all examples; with
    `normalize=False` over batches). It is tracked only if `training` is True or False, as in Keras's own loops, so not in
    the plain call of an export, and never on JAX, whose trainer hides metrics from layers.

    Raises:
        UserError: `weight` is negative or not finite, or the inputs are fewer than two or not sequences.

    Reference:
        Liu and Zhang, *Design of Efficient Speech Emotion Recognition Based on Multi Task Learning*, IEEE Access;
        Bousmalis et al., *Domain Separation Networks*, NIPS 2016.
    """

    def __init__(self, weight: float = 1.0, normalize: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.weight = float(weight)
        check_least(self, 0, "weight")
        self.normalize = normalize
        self.tracker = None if keras.backend.backend() == "jax" else keras.metrics.Mean(name=self.name)

    def build(self, input_shape):
        several = isinstance(input_shape[0], list | tuple) and len(input_shape) > 1
        if not several or not all(len(shape) == 3 for shape in input_shape):
            raise UserError(
                "expected a list [shared, private, ...] of at least two sequences (batch, frames, units). "
                f"Received: shapes {input_shape}."
            )

    def call(self, sequences, mask=None, training=None):
        shared, *private = sequences
        mask = common_mask(mask)
        losses = sum(orthogonality(shared, h, mask, self.normalize) for h in private)  # (batch,)
        if not self.normalize:
            losses = ops.sum(losses)
        self.add_loss(self.weight * ops.mean(losses))
        if self.tracker is not None and training is not None:
            self.tracker.update_state(ops.stop_gradient(losses))
        return list(sequences)

    def compute_output_shape(self, input_shape):
        return [tuple(shape) for shape in input_shape]
