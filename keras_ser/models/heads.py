"""The end of every network: a dense layer and the task's own output."""

from collections.abc import Mapping, Sequence

import keras

from keras_ser.models.paper import Label, Output, Target
from keras_ser.tasks import Task


def head(x, task: Task, units: int, dropout: float = 0.0, name: str | None = None):
    """Dense ReLU of `units` (0 = none), dropout, then logits (classes) or a linear unit (continuous task), in float32.

    Networks are trained on logits, whose cross-entropy has a gradient at any gap between them;
    `keras_ser.models.whole_model.scorer` adds the softmax. x is (batch, features), or (batch, frames, features) for an answer frame
    by frame; the output layer has the task's name, or `name`.
    """
    if units:
        x = keras.layers.Dense(units, activation="relu", name=f"{task.name}_dense")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name=f"{task.name}_dropout")(x)
    return keras.layers.Dense(task.size, dtype="float32", name=name or task.name)(x)


def task_outputs(tasks: Sequence[Task], label_smoothing: Mapping[str, float] | None = None) -> dict[str, Output]:
    """What each task's output learns: cross-entropy of classes, squared error of a continuous task, weighted by `Task.weight`.

    `label_smoothing` is by task, 0 where one is not named.
    """
    from keras_ser.losses import SquaredError

    smoothing = label_smoothing or {}
    return {
        task.name: Output(Label(task.name), SquaredError(), task.weight)
        if task.continuous
        else class_output(Label(task.name), task.weight, smoothing.get(task.name, 0.0))
        for task in tasks
    }


def class_output(target: Target, weight: float = 1.0, label_smoothing: float = 0.0) -> Output:
    """What an output of logits learns: classes, by cross-entropy; its accuracy is logged."""
    from keras_ser.losses import SparseCrossentropy

    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    return Output(target, SparseCrossentropy(label_smoothing=label_smoothing), weight, (accuracy,))
