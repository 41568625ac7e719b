"""Heads of the networks: a dense layer and the output of a task."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from keras_ser.models.paper import Label, Output, Target
from keras_ser.tasks import Task


def head(x, task: Task, units: int, dropout: float = 0.0, name: str | None = None):
    """Apply a dense ReLU layer of `units` (0 = none), dropout, and a float32 output layer: logits, or one linear unit.

    Networks are trained on logits, whose cross-entropy has a gradient at any gap between them;
    `keras_ser.models.whole_model.scorer` adds the softmax. x is (batch, features), or (batch, frames, features) for predictions per
    frame. The output layer is called `name`, by default the task's name.
    """
    if units:
        x = keras.layers.Dense(units, activation="relu", name=f"{task.name}_dense")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name=f"{task.name}_dropout")(x)
    return keras.layers.Dense(task.size, dtype="float32", name=name or task.name)(x)


def task_outputs(tasks: Sequence[Task], label_smoothing: Mapping[str, float] | None = None) -> dict[str, Output]:
    """Return the `Output` of each task: cross-entropy of classes or squared error of a continuous task, times `Task.weight`.

    `label_smoothing` maps tasks to their smoothing. Default 0.
    """
    from keras_ser.losses import SquaredError

    smoothing = label_smoothing or {}
    return {
        task.name: Output(Label(task.name), SquaredError(), task.weight)
        if task.continuous
        else class_output(Label(task.name), task.weight, smoothing.get(task.name, 0.0), task.size)
        for task in tasks
    }


def class_output(target: Target, weight: float = 1.0, label_smoothing: float = 0.0, classes: int = 0) -> Output:
    """Return an `Output` that learns classes by cross-entropy and logs its accuracy, and its UAR if `classes` is given."""
    from keras_ser.losses import SparseCrossentropy

    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    if classes:
        metrics.append(UnweightedAverageRecall(classes))
    return Output(target, SparseCrossentropy(label_smoothing=label_smoothing), weight, tuple(metrics))


@keras.saving.register_keras_serializable(package="keras_ser")
class UnweightedAverageRecall(keras.metrics.Metric):
    """Unweighted average recall: mean recall over the classes that have examples (the equation is in `keras_ser.metrics`).

    Takes class indices (batch,) and logits or probabilities (batch, classes), with sample weights (batch,), 0 for examples
    without a label.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int, name: str = "uar", **kwargs):
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.hits = self.add_variable((classes,), "zeros", name="hits")
        self.examples = self.add_variable((classes,), "zeros", name="examples")

    def update_state(self, y_true, y_pred, sample_weight=None):
        truth = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        examples = ops.one_hot(truth, self.classes, dtype="float32")
        if sample_weight is not None:
            examples = examples * ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
        right = ops.cast(ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), truth), "float32")
        self.hits.assign_add(ops.sum(examples * right[:, None], axis=0))
        self.examples.assign_add(ops.sum(examples, axis=0))

    def result(self):
        there = ops.cast(self.examples > 0, "float32")
        recalls = ops.divide_no_nan(ops.convert_to_tensor(self.hits), ops.convert_to_tensor(self.examples))
        return ops.divide_no_nan(ops.sum(recalls), ops.sum(there))

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}
