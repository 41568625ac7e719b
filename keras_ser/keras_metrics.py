"""Scores while training: Keras metrics that add up over batches, so that an epoch's value is the data set's."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_ser")
class UnweightedAverageRecall(keras.metrics.Metric):
    """Unweighted average recall (UA): mean recall over the classes that have examples, from a running confusion matrix.

    Args:
        classes: number of classes.

    Input shape: labels (batch,) or (batch, 1), integers; predictions (batch, classes), probabilities or logits;
        sample weights (batch,) or (batch, 1), 0 = label missing. Without any example it is 0.
    """

    def __init__(self, classes: int, name: str = "uar", **kwargs):
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.confusion = self.add_variable(
            shape=(classes, classes), initializer="zeros", dtype="float32", name="confusion"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        truth = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), self.classes, dtype="float32")
        guess = ops.one_hot(ops.argmax(y_pred, axis=-1), self.classes, dtype="float32")  # (batch, classes)
        if sample_weight is not None:
            truth = truth * ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
        self.confusion.assign_add(ops.matmul(ops.transpose(truth), guess))

    def result(self):
        matrix = ops.convert_to_tensor(self.confusion)
        examples = ops.sum(matrix, axis=1)
        recall = ops.divide_no_nan(ops.diagonal(matrix), examples)
        there = ops.sum(ops.cast(examples > 0, "float32"))
        return ops.divide_no_nan(ops.sum(recall), there)

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


@keras.saving.register_keras_serializable(package="keras_ser")
class ConcordanceCorrelation(keras.metrics.Metric):
    """Concordance correlation coefficient of everything seen, from running sums (Lin 1989).

        CCC = 2 cov(x, y) / (var x + var y + (mean x - mean y)^2),    moments of the population

    `keras.metrics.ConcordanceCorrelation` averages batches, and gives 0 for outputs (batch, 1).

    Input shape: labels, predictions and sample weights, each (batch,) or (batch, 1). Without spread it is 0.
    """

    def __init__(self, name: str = "ccc", **kwargs):
        super().__init__(name=name, **kwargs)
        self.sums = self.add_variable(shape=(6,), initializer="zeros", dtype="float32", name="sums")

    def update_state(self, y_true, y_pred, sample_weight=None):
        x, y = (ops.reshape(ops.cast(v, "float32"), (-1,)) for v in (y_true, y_pred))
        w = ops.ones_like(x) if sample_weight is None else ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        # A label of weight 0 may be NaN, and 0 * NaN is NaN.
        x, y = ops.where(w > 0, x, 0.0), ops.where(w > 0, y, 0.0)
        self.sums.assign_add(ops.sum(w * ops.stack([ops.ones_like(x), x, y, x * x, y * y, x * y]), axis=1))

    def result(self):
        total = ops.convert_to_tensor(self.sums)
        n = ops.maximum(total[0], 1e-30)
        mean_x, mean_y = total[1] / n, total[2] / n
        var_x, var_y = total[3] / n - mean_x**2, total[4] / n - mean_y**2
        covariance = total[5] / n - mean_x * mean_y
        return ops.divide_no_nan(2.0 * covariance, var_x + var_y + (mean_x - mean_y) ** 2)
