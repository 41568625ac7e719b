"""The end of every network: a dense layer and the task's own output."""

from collections.abc import Sequence

import keras

from keras_ser.tasks import Task


def head(x, task: Task, units: int, dropout: float = 0.0, name: str | None = None):
    """Dense ReLU, dropout, then logits (classes) or a linear unit (continuous task), in float32.

    Networks are trained on logits, whose cross-entropy has a gradient at any gap between them;
    `keras_ser.models.whole.scorer` adds the softmax.

    Args:
        x: (batch, features), or (batch, frames, features) for an answer frame by frame.
        task: names the output; its size is the output's width.
        units: width of the dense layer before the output; 0 leaves it out.
        dropout: rate, after the dense layer.
        name: of the output layer; default: the task's.

    Returns:
        (batch, .., classes) logits, or (batch, .., 1) for a continuous task.
    """
    if units:
        x = keras.layers.Dense(units, activation="relu", name=f"{task.name}_dense")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name=f"{task.name}_dropout")(x)
    return keras.layers.Dense(task.size, dtype="float32", name=name or task.name)(x)


def task_losses(tasks: Sequence[Task]):
    """({output: loss}, {output: weight}): cross-entropy of classes, squared error of a continuous task, each times its weight."""
    from keras_ser.losses import SparseCrossentropy, SquaredError

    by_output = {task.name: SquaredError() if task.continuous else SparseCrossentropy() for task in tasks}
    return by_output, {task.name: task.weight for task in tasks}
