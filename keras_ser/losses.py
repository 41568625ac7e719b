"""Losses that need a label, for `compile`. Those that need none are added by a layer (`OrthogonalityLoss`).

All are computed in float32 whatever the dtype policy, and all are by default a mean over what carries a label:
`reduction="mean_with_sample_weight"`, where a missing label has sample weight 0 and is neither summed nor counted.
Keras's own default would count it.
"""

import keras
from keras import ops

from keras_ser.errors import UserError

# Next to the smallest normal float32: a bound that keeps log and its gradient finite without cutting off any
# probability that a float32 softmax can put out with a useful gradient.
_TINY = 1e-37

REDUCTION = "mean_with_sample_weight"


def sparse_crossentropy(y_true, y_pred, label_smoothing: float = 0.0, from_logits: bool = False):
    """Cross-entropy of integer labels (equations 17-18 of ASP-MTL, for any number of classes).

        L_i = -sum_c q_i,c log p_i,c,    q_i,c = (1 - e) [c = y_i] + e / classes,    e = label_smoothing

    Args:
        y_true: class indices, (batch,) or (batch, 1).
        y_pred: probabilities, or logits with `from_logits`: (batch, classes).
        label_smoothing: e, in [0, 1).
        from_logits: whether softmax is still to be taken.

    Returns:
        float32 (batch,).
    """
    y_pred = ops.cast(y_pred, "float32")
    log_p = ops.log_softmax(y_pred, axis=-1) if from_logits else ops.log(ops.maximum(y_pred, _TINY))
    loss = -true_class(y_true, log_p)
    if label_smoothing:
        loss = (1.0 - label_smoothing) * loss - label_smoothing * ops.mean(log_p, axis=-1)
    return loss


def true_class(y_true, y_pred):
    """The true class's column: y_i = y_pred_i,y_true_i.

    Args:
        y_true: class indices, (batch,) or (batch, 1).
        y_pred: (batch, classes).

    Returns:
        (batch,).
    """
    index = ops.reshape(ops.cast(y_true, "int32"), (-1, 1))
    return ops.squeeze(ops.take_along_axis(y_pred, index, axis=-1), axis=-1)


def squared_error(y_true, y_pred):
    """(y_true - y_pred)^2, float32 (batch,); either may be (batch,) or (batch, 1)."""
    return ops.square(_flat(y_true) - _flat(y_pred))


def ccc_loss(y_true, y_pred, sample_weight=None):
    """1 - the concordance correlation coefficient over a batch.

        CCC = 2 cov(x, y) / (var x + var y + (mean x - mean y)^2)

    Moments are the population's, weighted by `sample_weight`. With no or one weighted example CCC is 0.

    Args:
        y_true, y_pred: (batch,) or (batch, 1).
        sample_weight: (batch,) or (batch, 1), or None.

    Returns:
        float32 scalar in [0, 2].

    Reference:
        Lin, *A Concordance Correlation Coefficient to Evaluate Reproducibility*, Biometrics 45 (1989).
    """
    x, y = _flat(y_true), _flat(y_pred)
    w = ops.ones_like(x) if sample_weight is None else _flat(sample_weight)
    w = w / ops.maximum(ops.sum(w), _TINY)
    # A label of weight 0 may be NaN, and 0 * NaN is NaN.
    x, y = ops.where(w > 0, x, 0.0), ops.where(w > 0, y, 0.0)
    mean_x, mean_y = ops.sum(w * x), ops.sum(w * y)
    dx, dy = x - mean_x, y - mean_y
    spread = ops.sum(w * dx * dx) + ops.sum(w * dy * dy) + ops.square(mean_x - mean_y)
    # The bound is far under any spread of labels, and keeps a batch of one finite, with its gradient.
    return 1.0 - 2.0 * ops.sum(w * dx * dy) / (spread + 1e-8)


def _flat(x):
    return ops.reshape(ops.cast(x, "float32"), (-1,))


class _Loss(keras.losses.Loss):
    """A loss of this room: float32, and by default a mean over what carries a label."""

    def __init__(self, name: str, reduction: str | None = REDUCTION):
        super().__init__(name=name, reduction=reduction, dtype="float32")

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            sample_weight = _flat(sample_weight)
        return super().__call__(y_true, y_pred, sample_weight)


@keras.saving.register_keras_serializable(package="keras_ser")
class SparseCrossentropy(_Loss):
    """`sparse_crossentropy` as a loss: integer labels (batch,), probabilities or logits (batch, classes).

    Args:
        label_smoothing: in [0, 1). Default 0.
        from_logits: whether the model puts out logits. Default False.

    Raises:
        ValueError: a `label_smoothing` out of range.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        from_logits: bool = False,
        reduction: str | None = REDUCTION,
        name: str = "sparse_crossentropy",
    ):
        super().__init__(name, reduction)
        if not 0 <= label_smoothing < 1:
            raise UserError(f"`label_smoothing` must be in [0, 1). Received: label_smoothing={label_smoothing}.")
        self.label_smoothing = label_smoothing
        self.from_logits = from_logits

    def call(self, y_true, y_pred):
        return sparse_crossentropy(y_true, y_pred, self.label_smoothing, self.from_logits)

    def get_config(self):
        config = {"label_smoothing": self.label_smoothing, "from_logits": self.from_logits}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_ser")
class TrueClass(_Loss):
    """The true class's column of an output (batch, classes): compiled for `CenterLoss`, it is the centre loss."""

    def __init__(self, reduction: str | None = REDUCTION, name: str = "true_class"):
        super().__init__(name, reduction)

    def call(self, y_true, y_pred):
        return true_class(y_true, y_pred)


@keras.saving.register_keras_serializable(package="keras_ser")
class SquaredError(_Loss):
    """Mean squared error of a continuous task: labels and outputs (batch,) or (batch, 1)."""

    def __init__(self, reduction: str | None = REDUCTION, name: str = "squared_error"):
        super().__init__(name, reduction)

    def call(self, y_true, y_pred):
        return squared_error(y_true, y_pred)


@keras.saving.register_keras_serializable(package="keras_ser")
class FrameSquaredError(keras.losses.Loss):
    """Weighted squared error of a value for every frame and bin.

        L_t = mean_k w_t,k (y_t,k - p_t,k)^2

    Targets are (batch, frames, 2 bins), the values y and then the weights w; outputs (batch, frames, bins). The mean is over
    the bins, then over the frames that weigh: sample weights are (batch, frames), 0 for padding.
    """

    def __init__(self, reduction: str | None = REDUCTION, name: str = "frame_squared_error"):
        super().__init__(name=name, reduction=reduction, dtype="float32")

    def call(self, y_true, y_pred):
        y, w = ops.split(ops.cast(y_true, "float32"), 2, axis=-1)
        return ops.mean(w * ops.square(y - ops.cast(y_pred, "float32")), axis=-1)


@keras.saving.register_keras_serializable(package="keras_ser")
class ConcordanceLoss(_Loss):
    """`ccc_loss` of a continuous task: labels and outputs (batch,) or (batch, 1).

    It is one number for a batch, and sample weights enter its moments. Without any weighted label it is 0.
    """

    def __init__(self, reduction: str | None = REDUCTION, name: str = "concordance"):
        super().__init__(name, reduction)

    def __call__(self, y_true, y_pred, sample_weight=None):
        weight = ops.ones_like(_flat(y_pred)) if sample_weight is None else _flat(sample_weight)
        # The weights travel with the labels into `call`, and once more into Keras's reduction, which divides by their
        # sum.
        return super().__call__((y_true, weight), y_pred, weight)

    def call(self, y_true, y_pred):
        y_true, weight = y_true
        return ccc_loss(y_true, y_pred, weight) * ops.ones_like(weight)
