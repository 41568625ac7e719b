"""Losses that need labels, for `compile`; a loss without labels is added by a layer (`OrthogonalityLoss`).

All are computed in float32 whatever the dtype policy, and by default averaged over the labelled examples:
`reduction="mean_with_sample_weight"`, where a missing label has sample weight 0 and is neither summed nor counted
(Keras's default counts it).
"""

import keras
from keras import ops

from keras_ser.checks import check_share

REDUCTION = "mean_with_sample_weight"


def sparse_crossentropy(y_true, logits, label_smoothing: float = 0.0):
    """Cross-entropy of integer labels (equations 17-18 of ASP-MTL, for any number of classes).

        L_i = -sum_c q_i,c log p_i,c,    p_i = softmax(z_i),    q_i,c = (1 - e) [c = y_i] + e / classes

    It takes logits, because probabilities in float32 underflow to 0 and lose their gradient at logit gaps of about 100.

    Args:
        y_true: class indices, (batch,) or (batch, 1).
        logits: z, (batch, classes).
        label_smoothing: e, in [0, 1). Default 0.

    Returns:
        float32 (batch,).
    """
    log_p = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    loss = -true_class(y_true, log_p)
    if label_smoothing:
        loss = (1.0 - label_smoothing) * loss - label_smoothing * ops.mean(log_p, axis=-1)
    return loss


def true_class(y_true, y_pred):
    """Return the entries of the true classes, y_i = y_pred_i,y_true_i.

    Args:
        y_true: class indices, (batch,) or (batch, 1).
        y_pred: (batch, classes).

    Returns:
        (batch,), of the dtype of `y_pred`.
    """
    index = ops.reshape(ops.cast(y_true, "int32"), (-1, 1))
    return ops.squeeze(ops.take_along_axis(y_pred, index, axis=-1), axis=-1)


def squared_error(y_true, y_pred):
    """Return (y_true - y_pred)^2, float32 (batch,), of labels and predictions (batch,) or (batch, 1)."""
    return ops.square(_flat(y_true) - _flat(y_pred))


def _flat(x):
    return ops.reshape(ops.cast(x, "float32"), (-1,))


class _Loss(keras.losses.Loss):
    """Base class of the losses: float32, and by default averaged over the labelled examples.

    Sample weights are (batch, frames) if `by_frame`, otherwise one per example.
    """

    by_frame = False

    def __init__(self, reduction: str | None = REDUCTION, name: str | None = None):
        super().__init__(name=name, reduction=reduction, dtype="float32")

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None and not self.by_frame:
            sample_weight = _flat(sample_weight)
        return super().__call__(y_true, y_pred, sample_weight)


@keras.saving.register_keras_serializable(package="keras_ser")
class SparseCrossentropy(_Loss):
    """Cross-entropy of integer labels (batch,) and logits (batch, classes); see `sparse_crossentropy`.

    Args:
        label_smoothing: in [0, 1). Default 0.

    Raises:
        UserError: `label_smoothing` is out of range.
    """

    def __init__(self, label_smoothing: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing
        check_share(self, "label_smoothing")

    def call(self, y_true, y_pred):
        return sparse_crossentropy(y_true, y_pred, self.label_smoothing)

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="keras_ser")
class TrueClass(_Loss):
    """Mean entry of the true class in an output (batch, classes); the centre loss for the output of `CenterLoss`."""

    def call(self, y_true, y_pred):
        return true_class(y_true, y_pred)


@keras.saving.register_keras_serializable(package="keras_ser")
class SquaredError(_Loss):
    """Mean squared error of a continuous task, with labels and outputs (batch,) or (batch, 1)."""

    def call(self, y_true, y_pred):
        return squared_error(y_true, y_pred)


@keras.saving.register_keras_serializable(package="keras_ser")
class FrameSquaredError(_Loss):
    """Weighted squared error of one value per frame and bin.

        L_t = mean_k w_t,k (y_t,k - p_t,k)^2

    Targets are (batch, frames, 2 bins), the values y followed by the weights w; outputs are (batch, frames, bins). The mean is over
    the bins, then over the frames, with sample weights (batch, frames) that are 0 for padding.
    """

    by_frame = True

    def call(self, y_true, y_pred):
        y, w = ops.split(ops.cast(y_true, "float32"), 2, axis=-1)
        return ops.mean(w * ops.square(y - ops.cast(y_pred, "float32")), axis=-1)
